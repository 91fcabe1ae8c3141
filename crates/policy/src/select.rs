//! Which instances leave, in which order, and the step each one is at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    failure::FailureKind,
    instance::{Instance, State, after},
    memory::Memory,
    mutant::{self, Mutant},
    plan::{Action, Cause, Member, Removal},
    pool::{Binding, BindingName, DeletionPolicy, Lifecycle, Pool, Recycle},
    snapshot::VmId,
};

/// A job that was assigned just before the agent was disabled shows within one read of the agents; others wait about
/// as long before they trust a disabled agent to stay free.
pub(crate) const SETTLE: SignedDuration = SignedDuration::from_secs(30);

/// The steps of removals that are due now, and when the next one will be.
#[derive(Debug, Default)]
pub(crate) struct Selection<'a> {
    pub(crate) disable: Vec<Action>,
    pub(crate) remove: BTreeMap<(&'a BindingName, Removal), Vec<Member>>,
    pub(crate) save: BTreeMap<&'a BindingName, Vec<Member>>,
    /// Scale sets with a disabled agent that settles.
    pub(crate) settling: BTreeSet<&'a BindingName>,
    /// Those whose own operation has failed a while ago.
    pub(crate) held: BTreeMap<(&'a BindingName, Removal), (FailureKind, &'a str, Vec<Member>)>,
    pub(crate) next: Option<Timestamp>,
}

/// How an agent's life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Remove(Removal),
    Save,
}

/// How many idle agents may go.
pub(crate) struct Surplus<'a> {
    /// Over the whole pool.
    pub(crate) lasting: u32,
    /// Now, per image.
    pub(crate) by_image: &'a [u32],
}

/// Instances of scale sets that the pool does not list are left alone.
pub(crate) fn select<'a>(
    pool: &Pool,
    instances: &'a [Instance],
    surplus: &Surplus<'_>,
    memory: &'a Memory,
    now: Timestamp,
) -> Selection<'a> {
    let bindings: BTreeMap<&BindingName, &Binding> =
        pool.bindings.iter().map(|binding| (&binding.name, binding)).collect();
    let excess = longest_idle(pool, &bindings, instances, surplus, now);
    let mut selection = Selection::default();
    for instance in instances {
        let Some(binding) = bindings.get(&instance.binding) else { continue };
        if instance.undecided {
            continue;
        }
        let ending = match instance.saves {
            Some(cause) => may_be_saved(instance).then_some((cause, Ending::Save)),
            None => cause(pool, binding, instance, excess.contains(&instance.vm_id))
                .map(|(cause, removal)| (cause, Ending::Remove(removal))),
        };
        if let Some((cause, ending)) = ending {
            step(&mut selection, instance, cause, ending, memory, now);
        }
    }
    selection
}

/// A job is finished first; it is the agent's last.
fn may_be_saved(instance: &Instance) -> bool {
    instance.state != State::Busy || instance.enabled
}

/// Why a saved instance goes: with its pool or its binding, or released by a person. One that takes jobs all the same
/// is kept from them.
fn cause_of_saved(pool: &Pool, binding: &Binding, instance: &Instance) -> Option<(Cause, Removal)> {
    let leaves = match pool.deletion {
        Some(DeletionPolicy::Drain) => Some(Cause::PoolDeleted),
        Some(DeletionPolicy::Orphan) | None if binding.draining => Some(Cause::BindingLeaves),
        Some(DeletionPolicy::Orphan) | None => {
            let released = pool.verbs.release_saved.covers(&instance.vm_id, &instance.computer_name);
            released.then_some(Cause::Released)
        }
    };
    let takes_jobs = instance.enabled && (instance.online || instance.state == State::Busy);
    let kept = (takes_jobs && !instance.ambiguous).then_some(Cause::FailedToStart);
    let cause = match instance.state {
        State::Saved => leaves.or(kept),
        State::Busy => kept,
        State::Creating
        | State::Starting
        | State::Recycling
        | State::Idle
        | State::Used
        | State::Draining
        | State::CreationFailed
        | State::FailedToStart
        | State::WentOffline
        | State::Stopped
        | State::Deleting => None,
    };
    cause.map(|cause| (cause, Removal::Delete))
}

/// Why an instance goes, and what becomes of its VM; `None`: it stays, or is on its way already.
pub(crate) fn cause(
    pool: &Pool,
    binding: &Binding,
    instance: &Instance,
    excess: bool,
) -> Option<(Cause, Removal)> {
    if instance.saved {
        return cause_of_saved(pool, binding, instance);
    }
    let leaves = match pool.deletion {
        Some(DeletionPolicy::Drain) => Some(Cause::PoolDeleted),
        Some(DeletionPolicy::Orphan) | None if binding.cordoned() => Some(Cause::BindingLeaves),
        Some(DeletionPolicy::Orphan) | None => instance.leaves,
    };
    let delete = |cause| (cause, Removal::Delete);
    // What a restarted operator had begun, or what has failed, is finished: the record is gone, the VM is not.
    match instance.resumes.filter(|_| instance.state != State::Busy) {
        Some(Removal::Delete) => return Some(delete(leaves.unwrap_or(Cause::Disabled))),
        Some(Removal::Reimage) if leaves.is_none() && instance.state.is_coming() => {
            return Some((Cause::Used, Removal::Reimage));
        }
        Some(Removal::Reimage) | None => {}
    }
    let recycled = match pool.lifecycle {
        Lifecycle::Stateless(Recycle::Reimage) => Removal::Reimage,
        Lifecycle::Stateless(Recycle::Replace) | Lifecycle::Stateful { .. } => Removal::Delete,
    };
    match instance.state {
        // A job is finished; an agent that still takes jobs may be kept from the next one.
        State::Busy if !instance.enabled || instance.ambiguous => None,
        State::Busy => leaves.map(delete).or(instance.reused.then_some((Cause::Used, recycled))),
        // A VM that is being made cannot be deleted in peace; it goes when it is there.
        State::Creating | State::Recycling | State::Deleting | State::Saved => None,
        // A VM that is replaced may have an agent that is back in a moment.
        State::Starting
            if matches!(leaves, Some(Cause::Existing | Cause::Asked)) && instance.agent.is_some() =>
        {
            None
        }
        State::Starting => leaves.map(delete),
        State::Idle => leaves.or(excess.then_some(Cause::Excess)).map(delete),
        State::Used => Some(leaves.map_or((Cause::Used, recycled), delete)),
        State::Draining => Some(delete(leaves.unwrap_or(Cause::Disabled))),
        State::CreationFailed => Some(delete(Cause::CreationFailed)),
        State::FailedToStart => Some(delete(Cause::FailedToStart)),
        State::WentOffline => Some(delete(Cause::WentOffline)),
        State::Stopped => Some(delete(Cause::Stopped)),
    }
}

/// Disable, let it settle, then remove. An agent without a session takes no job, so there is nothing to settle.
fn step<'a>(
    selection: &mut Selection<'a>,
    instance: &'a Instance,
    cause: Cause,
    ending: Ending,
    memory: &'a Memory,
    now: Timestamp,
) {
    let skips_disable = mutant::is(Mutant::SkipDisable) && instance.state != State::Busy;
    if instance.enabled && (instance.online || instance.state == State::Busy) && !skips_disable {
        let member = member(instance, cause);
        selection.disable.push(Action::Disable { binding: instance.binding.clone(), member });
        return;
    }
    if instance.online && !skips_disable && !mutant::is(Mutant::SkipSettle) {
        let disabled_since = instance.agent.and_then(|agent| memory.disabled.get(&agent).copied());
        let settled = after(disabled_since.unwrap_or(now), SETTLE);
        if settled > now {
            selection.settling.insert(&instance.binding);
            selection.next = Some(selection.next.map_or(settled, |next| next.min(settled)));
            return;
        }
    }
    let member = member(instance, cause);
    let removal = match ending {
        Ending::Save => {
            selection.save.entry(&instance.binding).or_default().push(member);
            return;
        }
        Ending::Remove(removal) => removal,
    };
    let group = (&instance.binding, removal);
    match memory.vm_backoffs.get(&instance.vm_id).filter(|backoff| backoff.until > now) {
        Some(backoff) => {
            let first = || (backoff.kind, backoff.message.as_str(), Vec::new());
            selection.held.entry(group).or_insert_with(first).2.push(member);
        }
        None => selection.remove.entry(group).or_default().push(member),
    }
}

pub(crate) fn member(instance: &Instance, cause: Cause) -> Member {
    Member {
        vm_id: instance.vm_id.clone(),
        instance_id: instance.instance_id.clone(),
        computer_name: instance.computer_name.clone(),
        agent: instance.agent.or(instance.leftover),
        cause,
    }
}

/// The longest idle of the images that have too many, ties by VM id. A stateful agent that has just finished a job is
/// not among them: it is kept for the idle delay from its last job on.
fn longest_idle<'a>(
    pool: &Pool,
    bindings: &BTreeMap<&BindingName, &Binding>,
    instances: &'a [Instance],
    surplus: &Surplus<'_>,
    now: Timestamp,
) -> BTreeSet<&'a VmId> {
    let mut left = surplus.by_image.to_vec();
    let mut lasting = surplus.lasting;
    let mut chosen = BTreeSet::new();
    if lasting == 0 {
        return chosen;
    }
    let stateful = matches!(pool.lifecycle, Lifecycle::Stateful { .. });
    let mut idle: Vec<(usize, &Instance)> = instances
        .iter()
        .filter(|instance| instance.state == State::Idle && instance.enabled && instance.stays())
        .filter(|instance| !stateful || after(instance.since, pool.idle_delay) <= now)
        .filter_map(|instance| {
            let binding = bindings.get(&instance.binding).filter(|binding| !binding.cordoned())?;
            Some((binding.image, instance))
        })
        .collect();
    idle.sort_unstable_by(|(_, a), (_, b)| (a.since, &a.vm_id).cmp(&(b.since, &b.vm_id)));
    for (image, instance) in idle {
        if let Some(room) = left.get_mut(image).filter(|room| **room > 0 && lasting > 0) {
            *room -= 1;
            lasting -= 1;
            chosen.insert(&instance.vm_id);
        }
    }
    chosen
}
