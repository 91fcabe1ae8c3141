//! What one pass hands to the next.
//!
//! `operations`, `staircase` and `step` are kept in the pool's status; the rest is a cache of first sightings that a
//! restarted operator fills again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    failure::Backoff,
    gate::DIFFERENCE_PATIENCE,
    instance::{Instance, State, after},
    pool::BindingName,
    reason::BindingReason,
    records::RecordMemory,
    snapshot::{AgentId, Snapshot, VmId},
    staircase::Staircase,
    start_times::StartTimes,
};

/// Jobs, agents and scale sets are read at least once a minute; one missed read is no gap.
pub(crate) const ONE_MISSED_READ: SignedDuration = SignedDuration::from_secs(150);
/// A failure is forgotten when its binding has been free for this long; until then the next wait is longer.
const BACKOFF_MEMORY: SignedDuration = SignedDuration::from_mins(5);

/// Azure may answer with the old tags right after a write.
const TAG_LAG: SignedDuration = SignedDuration::from_secs(30);

/// What one pass hands to the next; losing it costs time only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Intents and operations on their way.
    pub operations: Vec<Operation>,
    /// Since when how many idle agents have been in excess.
    pub staircase: Staircase,
    /// The last step of strategy `ElasticPool`.
    pub step: Option<Step>,
    /// Standby was met once in this generation of the specification.
    pub standby_was_met: bool,
    /// Since when each VM is in its state.
    pub sightings: BTreeMap<VmId, Sighting>,
    /// Since when each agent is seen disabled.
    pub disabled: BTreeMap<AgentId, Timestamp>,
    /// When `ElasticPool` last sampled.
    pub sampled_at: Option<Timestamp>,
    /// Since when nothing has moved.
    pub quiet_since: Option<Timestamp>,
    /// Since when jobs and agents have been read without a gap of more than one missed read.
    pub readable_since: Option<Timestamp>,
    /// Since when jobs or agents have been missing, if they are missing now.
    pub unread_since: Option<Timestamp>,
    /// Since when a set's capacity differs from its members.
    pub differs_since: BTreeMap<BindingName, Timestamp>,
    /// Growths that have failed: lists of before then may lack VMs that they have made, up to so many members.
    pub failed_growths: BTreeMap<BindingName, (Timestamp, u32)>,
    /// Bindings on which nothing is created for a while.
    pub backoffs: BTreeMap<BindingName, Backoff>,
    /// Bindings on which nothing is disabled, deleted or reimaged for a while.
    pub removal_backoffs: BTreeMap<BindingName, Backoff>,
    /// VMs of Flexible scale sets that are not disabled, deleted or reimaged for a while.
    pub vm_backoffs: BTreeMap<VmId, Backoff>,
    /// Operations whose loss has been told.
    pub lost: BTreeSet<String>,
    /// The claims for which the existing VMs that go have been told.
    pub existing_told: BTreeMap<BindingName, Timestamp>,
    /// Since when no binding of the pool could be used.
    pub unbound_since: Option<Timestamp>,
    /// VMs of each scale set when it was last listed; kept in the status, and counted until it is listed again.
    pub members: BTreeMap<BindingName, u32>,
    /// Failed starts in a row, by binding; kept in the bindings' status.
    pub failed_starts: BTreeMap<BindingName, FailedStarts>,
    /// How long starts take, by binding; its figures are kept in the bindings' status.
    pub start_times: BTreeMap<BindingName, StartTimes>,
    /// Scale sets whose tags were just written: a list of them may not say yet who is saved.
    pub tagged: BTreeMap<BindingName, Tagged>,
    /// Notices that were told: by agent's name or job, and what.
    pub told: BTreeSet<(&'static str, String)>,
    /// What is remembered about agent records that no VM stands behind.
    pub records: RecordMemory,
}

/// When the tags of a scale set were written, and who is saved since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tagged {
    /// When.
    pub at: Timestamp,
    /// Treated as saved until the tags are read again.
    pub saved: BTreeSet<VmId>,
}

impl Tagged {
    pub(crate) fn new(at: Timestamp) -> Self {
        Self { at, saved: BTreeSet::new() }
    }
}

/// Failed starts in a row of one binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStarts {
    /// How many.
    pub count: u32,
    /// How the last one failed: `FailedToStart`, `ExtensionFailed`, `ScriptFailed` or `CreationFailed`.
    pub reason: BindingReason,
    /// The last one's words.
    pub message: String,
}

/// State of a VM and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// As the last pass classified it.
    pub state: State,
    /// When it entered that state.
    pub since: Timestamp,
    /// Its agent has been seen online since the VM was created or reimaged.
    pub was_online: bool,
}

/// An intent that was written before the deed, and the operation that it became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Unique within the pool.
    pub id: String,
    /// The scale set.
    pub binding: BindingName,
    /// What it does.
    pub kind: OperationKind,
    /// When it was decided.
    pub started_at: Timestamp,
    /// What is not done by then is lost.
    pub deadline: Timestamp,
    /// Where Azure reports on it, empty if Azure did not say; absent until Azure has accepted it, and again once a
    /// removal has failed.
    pub url: Option<String>,
}

impl Operation {
    /// It grows, or still removes somebody.
    pub(crate) fn is_about_something(&self) -> bool {
        matches!(self.kind, OperationKind::Create { .. }) || !self.kind.vms().is_empty()
    }
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Raises the scale set to `target` members.
    Create {
        /// How many were missing.
        count: u32,
        /// Members observed plus the missing ones.
        target: u32,
    },
    /// Deletes VMs.
    Delete(Vec<VmId>),
    /// Reimages VMs.
    Reimage(Vec<VmId>),
}

impl OperationKind {
    /// The VMs that are removed.
    #[must_use]
    pub fn vms(&self) -> &[VmId] {
        match self {
            Self::Create { .. } => &[],
            Self::Delete(vms) | Self::Reimage(vms) => vms,
        }
    }

    /// Whether the operation is about this VM.
    #[must_use]
    pub fn covers(&self, vm: &VmId) -> bool {
        self.vms().contains(vm)
    }

    /// The same for one VM.
    pub(crate) fn only(&self, vm: &VmId) -> Self {
        match self {
            Self::Create { count, target } => Self::Create { count: *count, target: *target },
            Self::Delete(_) => Self::Delete(vec![vm.clone()]),
            Self::Reimage(_) => Self::Reimage(vec![vm.clone()]),
        }
    }

    /// Leaves out the VMs for which `keep` is false.
    pub(crate) fn retain(&mut self, keep: impl Fn(&VmId) -> bool) {
        match self {
            Self::Create { .. } => {}
            Self::Delete(vms) | Self::Reimage(vms) => vms.retain(keep),
        }
    }
}

/// The last step of strategy `ElasticPool`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When it was decided.
    pub started_at: Timestamp,
    /// The scale set that grew.
    pub binding: BindingName,
    /// Its members when the step is complete.
    pub target: u32,
}

impl Memory {
    /// The list of a scale set is what is there: its capacity says the same, or has said otherwise for long enough.
    pub(crate) fn is_settled(&self, binding: &BindingName, now: Timestamp) -> bool {
        let differs = self.differs_since.get(binding);
        !self.failed_growths.contains_key(binding)
            && differs.is_none_or(|since| now >= after(*since, DIFFERENCE_PATIENCE))
    }

    /// VMs of scale sets that have not been listed since the start: they count against the maximum.
    pub(crate) fn unlisted(&self, seen: &Snapshot) -> u32 {
        let unlisted =
            |binding: &BindingName| seen.sets.get(binding).is_none_or(|set| set.instances.latest().is_none());
        let vms = self.members.iter().filter(|(binding, _)| unlisted(binding)).map(|(_, vms)| *vms);
        vms.fold(0, u32::saturating_add)
    }

    /// The memory to be filled by a pass: everything but the sightings, which the pass makes anew.
    pub(crate) fn carried(&self, seen: &Snapshot, now: Timestamp) -> Self {
        // Destructured, so that a new field is carried or left out on purpose.
        let Self {
            operations,
            staircase,
            step,
            standby_was_met,
            sightings: _,
            disabled,
            sampled_at,
            quiet_since,
            readable_since,
            unread_since,
            differs_since,
            failed_growths,
            backoffs,
            removal_backoffs,
            vm_backoffs,
            lost,
            existing_told,
            unbound_since,
            failed_starts,
            start_times,
            members,
            tagged,
            told,
            records,
        } = self;
        let mut carried = Self {
            operations: operations.clone(),
            staircase: staircase.clone(),
            step: step.clone(),
            standby_was_met: *standby_was_met,
            sightings: BTreeMap::new(),
            disabled: disabled.clone(),
            sampled_at: *sampled_at,
            quiet_since: *quiet_since,
            readable_since: *readable_since,
            unread_since: *unread_since,
            differs_since: differs_since.clone(),
            failed_growths: failed_growths.clone(),
            backoffs: backoffs.clone(),
            removal_backoffs: removal_backoffs.clone(),
            vm_backoffs: vm_backoffs.clone(),
            lost: lost.clone(),
            existing_told: existing_told.clone(),
            unbound_since: *unbound_since,
            failed_starts: failed_starts.clone(),
            start_times: start_times.clone(),
            members: members.clone(),
            tagged: tagged.clone(),
            told: told.clone(),
            records: records.clone(),
        };
        carried.read_tags(seen);
        carried.note_sight(seen, now);
        carried
    }

    /// Tags that were read some time after they were written say it themselves.
    fn read_tags(&mut self, seen: &Snapshot) {
        self.tagged.retain(|binding, tagged| {
            let read_at = seen.sets.get(binding).and_then(|set| set.scale_set.fresh_at());
            read_at.is_none_or(|at| at < after(tagged.at, TAG_LAG))
        });
    }

    /// What happened while nobody could look is unknown: after a longer gap every wait begins again.
    fn note_sight(&mut self, seen: &Snapshot, now: Timestamp) {
        let unread = seen.jobs.why().is_some() || seen.agents.why().is_some();
        let gap = self.unread_since.is_some_and(|since| now >= after(since, ONE_MISSED_READ));
        if gap {
            self.readable_since = None;
        }
        if unread {
            self.unread_since.get_or_insert(now);
            return;
        }
        if gap {
            self.staircase = Staircase::default();
        }
        self.unread_since = None;
        self.readable_since.get_or_insert(now);
    }

    /// Takes up what this pass has seen for the first time, and forgets what is gone.
    pub(crate) fn take_up(
        &mut self,
        seen: &Snapshot,
        instances: &[Instance],
        differing: &BTreeSet<&BindingName>,
        usable_binding: bool,
        now: Timestamp,
    ) {
        self.sightings = instances
            .iter()
            .map(|instance| {
                let sighting = Sighting {
                    state: instance.state,
                    since: instance.since,
                    was_online: instance.was_online,
                };
                (instance.vm_id.clone(), sighting)
            })
            .collect();
        if let Some(agents) = seen.agents.latest() {
            let before = std::mem::take(&mut self.disabled);
            let disabled = agents.iter().filter(|agent| !agent.enabled);
            self.disabled =
                disabled.map(|agent| (agent.id, before.get(&agent.id).copied().unwrap_or(now))).collect();
        }
        for (binding, set) in &seen.sets {
            if let Some(vms) = set.instances.latest() {
                self.members.insert(binding.clone(), u32::try_from(vms.len()).unwrap_or(u32::MAX));
            }
        }
        if !seen.sets.is_empty() {
            self.members.retain(|binding, _| seen.sets.contains_key(binding));
        }
        for backoffs in [&mut self.backoffs, &mut self.removal_backoffs] {
            backoffs.retain(|_, backoff| after(backoff.until, BACKOFF_MEMORY) > now);
        }
        let sightings = &self.sightings;
        self.vm_backoffs
            .retain(|vm, backoff| after(backoff.until, BACKOFF_MEMORY) > now && sightings.contains_key(vm));
        for (binding, backoff) in &mut self.backoffs {
            backoff.relieve(seen.sets.get(binding).and_then(|set| set.headroom), now);
        }
        self.failed_growths.retain(|binding, (until, _)| {
            let set = seen.sets.get(binding);
            set.is_some_and(|set| set.instances.as_of().is_none_or(|at| at < *until))
        });
        self.differs_since.retain(|binding, _| differing.contains(binding));
        for binding in differing {
            if !self.differs_since.contains_key(*binding) {
                self.differs_since.insert((*binding).clone(), now);
            }
        }
        self.unbound_since = if usable_binding { None } else { Some(self.unbound_since.unwrap_or(now)) };
    }
}
