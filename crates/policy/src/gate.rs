//! The one place that decides whether a wanted action is carried out, waits for its turn, or is held.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::{Memory, ONE_MISSED_READ, Operation, OperationKind},
    operations::DELETE_TIMEOUT,
    plan::{Action, Cause, Hold, HoldReason, Removal},
    pool::{BindingName, Mode, Pool, ScaleOut},
    snapshot::{SetView, Snapshot},
};

/// A removal trusts only what this pass has read; lists are at least 10 s apart, so a few more seconds are allowed.
const REMOVAL_AGE: SignedDuration = SignedDuration::from_secs(12);
/// Instances are listed at least every 5 minutes; growth is guarded by the capacity besides.
const LIST_AGE: SignedDuration = SignedDuration::from_mins(7);
/// Azure refills 4 writes a minute per scale set and kind; reimages leave half of theirs to growth.
const REIMAGE_SPACING: SignedDuration = SignedDuration::from_secs(30);
const DELETE_SPACING: SignedDuration = SignedDuration::from_secs(15);
/// So long may capacity and members differ before Azure is asked for the missing ones again.
pub(crate) const DIFFERENCE_PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// Jobs and agents have just been read: agents may be disabled and removed by what they say.
pub(crate) fn just_read(seen: &Snapshot, now: Timestamp) -> bool {
    seen.jobs.within(REMOVAL_AGE, now) && seen.agents.within(REMOVAL_AGE, now)
}

/// The instances have just been listed: what is not in the list is gone.
pub(crate) fn just_listed(set: &SetView, now: Timestamp) -> bool {
    set.instances.within(REMOVAL_AGE, now)
}

/// What becomes of a wanted action.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Do,
    /// Nothing is wrong; its sources are looked at again first.
    Look,
    /// Nothing is wrong; its turn comes after another operation, which is looked at often, or at that time.
    Later(Option<Timestamp>),
    /// The binding is not ready yet; its own controller says when it is.
    Pending,
    Hold(HoldReason, String),
}

/// The wanted actions by what becomes of them.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    pub(crate) actions: Vec<Action>,
    pub(crate) holds: Vec<Hold>,
    /// Scale sets that are looked at again soon.
    pub(crate) look: BTreeSet<BindingName>,
    /// When the turn of something that waits comes.
    pub(crate) turn_at: Option<Timestamp>,
}

impl Judged {
    fn add(&mut self, action: Action, verdict: Verdict) {
        match verdict {
            Verdict::Do => self.actions.push(action),
            Verdict::Look => {
                self.look.insert(action.binding().clone());
            }
            Verdict::Later(Some(at)) => self.turn_at = Some(self.turn_at.map_or(at, |turn| turn.min(at))),
            // The operation that it waits for is looked at often.
            Verdict::Later(None) | Verdict::Pending => {}
            Verdict::Hold(reason, message) => {
                self.holds.push(Hold { wanted: Some(action), reason, message });
            }
        }
    }
}

/// What the gate looks at.
pub(crate) struct Gate<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) seen: &'a Snapshot,
    pub(crate) memory: &'a Memory,
    pub(crate) inventory: &'a Inventory,
    pub(crate) ordered: &'a BTreeMap<BindingName, u32>,
    /// A step of `ElasticPool` is on its way, or some scale set grows in this plan.
    pub(crate) growing: bool,
    pub(crate) now: Timestamp,
}

impl Gate<'_> {
    /// Growth is judged first: what leaves waits for it.
    pub(crate) fn judge_all(mut self, growths: Vec<Action>, removals: Vec<Action>) -> Judged {
        let mut judged = Judged::default();
        for action in growths {
            let verdict = self.judge(&action);
            // What would not be deleted beside a growth is not deleted because the growth cannot be decided.
            let missing = matches!(verdict, Verdict::Hold(HoldReason::SourceMissing, _));
            self.growing |= verdict == Verdict::Do || missing;
            judged.add(action, verdict);
        }
        for action in removals {
            let verdict = self.judge(&action);
            judged.add(action, verdict);
        }
        judged
    }

    fn judge(&self, action: &Action) -> Verdict {
        let steps = [
            Self::mode,
            Self::organization,
            Self::binding,
            Self::backoff,
            Self::order,
            Self::freshness,
            Self::capacity,
        ];
        steps
            .iter()
            .map(|step| step(self, action))
            .find(|verdict| *verdict != Verdict::Do)
            .unwrap_or(Verdict::Do)
    }

    fn mode(&self, _: &Action) -> Verdict {
        match self.pool.mode {
            // A paused pool still deletes.
            Mode::Paused if self.pool.deletion.is_none() => {
                Verdict::Hold(HoldReason::Paused, "the pool is paused: nothing is written".into())
            }
            Mode::Active | Mode::Observe | Mode::Paused => Verdict::Do,
        }
    }

    fn organization(&self, _: &Action) -> Verdict {
        let held = |message| Verdict::Hold(HoldReason::SourceMissing, message);
        unreadable(self.seen).map_or(Verdict::Do, held)
    }

    fn set(&self, action: &Action) -> Option<&SetView> {
        self.seen.sets.get(action.binding())
    }

    fn binding(&self, action: &Action) -> Verdict {
        let binding = action.binding();
        let Some(set) = self.set(action) else { return Verdict::Pending };
        match &set.blocked {
            Some(blocked) if blocked.pending => return Verdict::Pending,
            Some(blocked) => {
                let message = format!("binding {binding} cannot be written to: {}", blocked.message);
                return Verdict::Hold(HoldReason::ClaimLost, message);
            }
            None => {}
        }
        set.instances.why().or(set.scale_set.why()).map_or(Verdict::Do, |why| {
            let message = format!("scale set of {binding}: {}", why.message);
            Verdict::Hold(HoldReason::SourceMissing, message)
        })
    }

    fn backoff(&self, action: &Action) -> Verdict {
        let binding = action.binding();
        let (backoffs, by) = match action {
            Action::Grow { by, .. } => (&self.memory.backoffs, *by),
            Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => {
                (&self.memory.removal_backoffs, 1)
            }
        };
        let Some(backoff) = backoffs.get(binding) else { return Verdict::Do };
        let headroom = self.set(action).and_then(|set| set.headroom);
        match backoff.allows(headroom, self.now) {
            Some(allowed) if allowed < by => {
                let message = format!("binding {binding}: {}", backoff.message);
                Verdict::Hold(backoff.kind.hold_reason(), message)
            }
            Some(_) | None => Verdict::Do,
        }
    }

    /// Capacity changes and deletes one at a time; growth first, and never behind a reimage. Only where each VM has
    /// operations of its own, nothing waits, unless steps are asked for.
    fn order(&self, action: &Action) -> Verdict {
        let stepwise = matches!(self.pool.scale_out, ScaleOut::ElasticPool { .. });
        if !stepwise && self.inventory.set(action.binding()).is_flexible() {
            return Verdict::Do;
        }
        let operations = || self.memory.operations.iter().filter(|other| &other.binding == action.binding());
        let creating = || operations().any(|other| matches!(other.kind, OperationKind::Create { .. }));
        let deleting = || {
            // Also one that nobody remembers: a change of the capacity would end it halfway.
            let goes = |instance: &Instance| {
                &instance.binding == action.binding()
                    && instance.state == State::Deleting
                    && instance.resumes.is_none()
                    && self.now < after(instance.since, DELETE_TIMEOUT)
            };
            let deletes = |other: &Operation| matches!(other.kind, OperationKind::Delete(_));
            operations().any(|other| deletes(other) && other.url.is_some())
                || self.inventory.instances.iter().any(goes)
        };
        let spaced = |kind: fn(&OperationKind) -> bool, spacing: SignedDuration| {
            let last = operations().filter(|other| kind(&other.kind)).map(|other| other.started_at).max();
            match last.map(|last| after(last, spacing)) {
                Some(free) if free > self.now => Verdict::Later(Some(free)),
                Some(_) | None => Verdict::Do,
            }
        };
        match action {
            Action::Grow { .. } if deleting() => Verdict::Later(None),
            Action::Grow { .. } | Action::Save { .. } | Action::Unmark { .. } => Verdict::Do,
            // Not even a growth may let a used machine take a second job.
            Action::Disable { member, .. } if member.cause == Cause::Used => Verdict::Do,
            Action::Disable { .. } if self.growing => Verdict::Later(None),
            Action::Disable { .. } => Verdict::Do,
            Action::Remove { removal: Removal::Delete, .. } if self.growing || creating() || deleting() => {
                Verdict::Later(None)
            }
            Action::Remove { removal: Removal::Delete, .. } => {
                spaced(|kind| matches!(kind, OperationKind::Delete(_)), DELETE_SPACING)
            }
            // Azure DevOps' own scale set agents do one thing at a time.
            Action::Remove { removal: Removal::Reimage, .. } if self.growing && stepwise => {
                Verdict::Later(None)
            }
            Action::Remove { removal: Removal::Reimage, .. } => {
                spaced(|kind| matches!(kind, OperationKind::Reimage(_)), REIMAGE_SPACING)
            }
        }
    }

    fn freshness(&self, action: &Action) -> Verdict {
        let Some(set) = self.set(action) else { return Verdict::Pending };
        let (organization, list_age) = match action {
            Action::Grow { .. } => {
                let (jobs, agents) = (&self.seen.jobs, &self.seen.agents);
                let both = jobs.within(ONE_MISSED_READ, self.now) && agents.within(ONE_MISSED_READ, self.now);
                (both, LIST_AGE)
            }
            Action::Disable { .. } => (just_read(self.seen, self.now), LIST_AGE),
            Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => {
                (just_read(self.seen, self.now), REMOVAL_AGE)
            }
        };
        let listed = set.instances.within(list_age, self.now);
        if !organization || !listed || !set.scale_set.within(ONE_MISSED_READ, self.now) {
            return Verdict::Look;
        }
        if action.is_destructive() && self.inventory.disagree { Verdict::Look } else { Verdict::Do }
    }

    /// The target of a growth is the members observed plus the missing ones; where the capacity says otherwise, part
    /// of the answer is old.
    fn capacity(&self, action: &Action) -> Verdict {
        let Action::Grow { binding, capacity, .. } = action else { return Verdict::Do };
        if self.ordered.contains_key(binding) {
            return Verdict::Later(None);
        }
        let members = self.inventory.members(binding);
        let since = self.memory.differs_since.get(binding).copied().unwrap_or(self.now);
        if self.inventory.set(binding).fits(*capacity)
            || (*capacity > members && self.now >= after(since, DIFFERENCE_PATIENCE))
        {
            return Verdict::Do;
        }
        Verdict::Hold(
            HoldReason::SourcePartial,
            format!(
                "scale set of {binding} has capacity {capacity} and lists {members} instances: listing again"
            ),
        )
    }
}

/// Why nothing can be said about jobs and agents now.
pub(crate) fn unreadable(seen: &Snapshot) -> Option<String> {
    let why = seen.jobs.why().or(seen.agents.why())?;
    let reason = why.reason.as_str();
    Some(format!("agents and jobs cannot be read ({reason}), so nothing is created, reimaged or deleted"))
}
