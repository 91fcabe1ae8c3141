//! Agent records: those that no VM stands behind (placeholders are kept, ghosts go, foreign ones are left alone), and
//! the labels of those of our VMs.
//!
//! * A *placeholder* is an offline agent with the capability `poolkeeper.placeholder` = this pool's name. Azure DevOps
//!   refuses at once a job that no registered agent could run, online or not, so a pool that may be empty keeps one
//!   per image (Azure DevOps documents that for agents of scale sets; KEDA and others rely on it for all), and one for
//!   each name and alias of an image that has a name.
//! * A *ghost* is what a VM has left behind that went without us, such as an evicted one: an offline agent without a
//!   job, and proof that its name was that of a VM of ours. Either this process has listed such a VM, or the name is a
//!   Uniform scale set's prefix and counter, and nobody has used it for an hour. `DELETE` refuses while a job runs, and
//!   the record is read again right before it.
//! * Everybody else's agents are *foreign*, those with another pool's `poolkeeper.placeholder` too.
//! * A *label* is the user capability `ImageOverride`, and `ImageVersionOverride` where that is declared, of an agent on
//!   a VM of ours.

mod ghosts;
mod labels;
mod placeholders;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    explain::RecordKind,
    failure::{Backoff, Failure},
    gate,
    index::{Among, folded},
    instance::after,
    inventory::Inventory,
    memory::Memory,
    pool::{BindingName, DeletionPolicy, Mode, Pool},
    protocol::{RESERVED, RecordChange},
    snapshot::{Agent, AgentId, Snapshot},
};

pub(crate) use placeholders::{SEEN_VERSION, image_of};

/// A failure is forgotten when changes have been possible again for so long; until then the next wait is longer.
const BACKOFF_MEMORY: SignedDuration = SignedDuration::from_mins(5);

/// What is remembered about agent records; losing it costs time only.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordMemory {
    /// Lower-case computer names of VMs: listed now, or gone since.
    pub(crate) names: BTreeMap<String, Option<Timestamp>>,
    /// When each placeholder was last given other capabilities, by its name.
    pub(crate) described: BTreeMap<String, Timestamp>,
    /// When agents were last given a label, and which.
    pub(crate) labelled: BTreeMap<AgentId, labels::Given>,
    /// Nothing is changed for a while.
    pub(crate) backoff: Option<Backoff>,
}

/// What shall be done.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) changes: Vec<RecordChange>,
    /// Scale sets that are listed again before a ghost goes.
    pub(crate) look: BTreeSet<BindingName>,
}

/// What becomes of the records that no VM stands behind, and which labels agents get; notes which names were listed.
///
/// Nothing is changed unless jobs and agents have just been read, and only where the pool may write: an active one, or
/// one that is being deleted.
pub(crate) fn changes(
    pool: &Pool,
    seen: &Snapshot,
    memory: &mut Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> Changes {
    ghosts::note(seen, &mut memory.records.names, now);
    memory.records.backoff.take_if(|backoff| after(backoff.until, BACKOFF_MEMORY) <= now);
    let waits = memory.records.backoff.as_ref().is_some_and(|backoff| backoff.until > now);
    let writes = match (pool.mode, pool.deletion) {
        (Mode::Active, _) | (Mode::Paused, Some(_)) => true,
        (Mode::Observe, _) | (Mode::Paused, None) => false,
    };
    // What is left as it is, the operator leaves by itself.
    let orphans = pool.deletion == Some(DeletionPolicy::Orphan);
    if waits || !writes || orphans || !gate::just_read(seen, now) {
        return Changes::default();
    }
    let mut changes = placeholders::changes(pool, seen, memory, inventory, now);
    let ghosts::Found { gone, look } = ghosts::find(pool, seen, memory, inventory, now);
    changes.extend(gone);
    changes.extend(labels::changes(pool, seen, memory, inventory, now));
    Changes { changes, look }
}

impl RecordMemory {
    /// The names whose VMs are gone and whose records are not: to be kept, so that a restarted operator knows them.
    #[must_use]
    pub fn awaited(&self, seen: &Snapshot) -> Vec<(String, Timestamp)> {
        let agents = seen.agents.latest().into_iter().flatten();
        let of_agents: Among<_> = agents.map(|agent| folded(&agent.name)).collect();
        let gone = self.names.iter().filter_map(|(name, gone)| Some((name.clone(), (*gone)?)));
        gone.filter(|(name, _)| of_agents.contains(name.as_str())).collect()
    }

    /// Takes up what was kept.
    pub fn recall(&mut self, awaited: impl IntoIterator<Item = (String, Timestamp)>) {
        self.names.extend(awaited.into_iter().map(|(name, gone)| (name.to_lowercase(), Some(gone))));
    }
}

impl Memory {
    /// Takes up that a change of an agent record has failed: the next ones wait, longer each time.
    pub fn record_change_failed(&mut self, failure: Failure, now: Timestamp) {
        let backoff = Backoff::new(self.records.backoff.as_ref(), failure, now);
        self.records.backoff = Some(backoff);
        // Which of them were given is not known.
        self.records.labelled.clear();
    }
}

/// The agents that are on none of the VMs, and what each is.
pub(crate) fn without_vm<'a>(
    pool: &Pool,
    seen: &'a Snapshot,
    memory: &Memory,
    now: Timestamp,
) -> Vec<(&'a Agent, RecordKind)> {
    let vms = seen.sets.values().filter_map(|set| set.instances.latest()).flatten();
    let names: Among<_> = vms.map(|vm| folded(&vm.computer_name)).collect();
    let agents = seen.agents.latest().into_iter().flatten();
    agents
        .filter(|agent| !names.contains(&folded(&agent.name)))
        .map(|agent| {
            let kind = if placeholders::is_of(pool, agent) {
                RecordKind::Placeholder
            } else if ghosts::is_ghost(pool, seen, memory, agent, now) {
                RecordKind::Ghost
            } else {
                RecordKind::Foreign
            };
            (agent, kind)
        })
        .collect()
}

/// The last list of agents still has a record of ours: a placeholder, a name that was held, or that of a VM that went
/// without us, whose job may have to time out first.
pub(crate) fn left(pool: &Pool, seen: &Snapshot, memory: &Memory) -> bool {
    let is_ours = |agent: &Agent| {
        let gone = memory.records.names.get(folded(&agent.name).as_ref()).copied().flatten();
        let held = agent.capabilities.contains_key(RESERVED);
        let named = ghosts::counted(pool, seen, &agent.name);
        // The session of an agent whose VM has just gone lasts a minute longer.
        gone.is_some() || (!agent.online && (placeholders::is_of(pool, agent) || held || named))
    };
    seen.agents.latest().into_iter().flatten().any(is_ours)
}

/// A user capability that is ours to give to agents of named images, in whatever case.
#[must_use]
pub fn is_label(name: &str) -> bool {
    let name = folded(name);
    name == crate::demand::IMAGE_OVERRIDE || name == crate::demand::IMAGE_VERSION_OVERRIDE
}

/// How many of them are not ours.
pub(crate) fn foreign(pool: &Pool, seen: &Snapshot, memory: &Memory, now: Timestamp) -> u32 {
    let others = without_vm(pool, seen, memory, now);
    let foreign = others.iter().filter(|(_, kind)| *kind == RecordKind::Foreign).count();
    u32::try_from(foreign).unwrap_or(u32::MAX)
}
