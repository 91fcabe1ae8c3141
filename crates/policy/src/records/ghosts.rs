//! What VMs have left behind.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::placeholders;
use crate::{
    gate,
    index::{Among, folded},
    instance::after,
    inventory::Inventory,
    memory::{Memory, ONE_MISSED_READ, OperationKind},
    pool::{BindingName, Pool},
    protocol::{RESERVED, RecordCause, RecordChange},
    snapshot::{Agent, Orchestration, SetView, Snapshot},
};

/// A record that only its name speaks against must have been offline for so long.
const OFFLINE_LONG: SignedDuration = SignedDuration::from_hours(1);
/// The name of a VM that is gone is remembered for so long.
const NAMES_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// The rest follows in the next passes, so that one wrong list does not cost a whole pool its records.
const MOST: usize = 20;
/// Uniform scale sets end a computer name in six digits of base 36, a counter (Azure). The first two are 0 for the
/// first 1.6 million VMs; a word of six letters is no counter.
const DIGITS: usize = 6;
const LEADING: &str = "00";

/// The ghosts that go.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) gone: Vec<RecordChange>,
    /// Scale sets whose list is too old to believe that a VM is gone.
    pub(super) look: BTreeSet<BindingName>,
}

/// Notes which names VMs have, and since when each other one is gone.
pub(super) fn note(seen: &Snapshot, names: &mut BTreeMap<String, Option<Timestamp>>, now: Timestamp) {
    let listed: Among<_> = vms(seen).map(|vm| folded(vm)).collect();
    // Who is gone can be told only where every list is known.
    let known = seen.sets.values().all(|set| set.instances.fresh_at().is_some());
    names.retain(|name, gone| {
        if listed.contains(name.as_str()) {
            *gone = None;
        } else if gone.is_none() && known {
            *gone = Some(now);
        }
        gone.is_none_or(|at| after(at, NAMES_KEPT) > now)
    });
    for name in listed {
        if !names.contains_key(name.as_ref()) {
            names.insert(name.into_owned(), None);
        }
    }
}

fn vms(seen: &Snapshot) -> impl Iterator<Item = &str> {
    let lists = seen.sets.values().filter_map(|set| set.instances.latest());
    lists.flatten().map(|vm| vm.computer_name.as_str())
}

/// Whether the record of an agent without a VM was that of a VM of ours; it says nothing about the lists.
pub(super) fn is_ghost(pool: &Pool, seen: &Snapshot, memory: &Memory, agent: &Agent, now: Timestamp) -> bool {
    if agent.online || agent.updating || agent.assigned.is_some() || placeholders::is_any(agent) {
        return false;
    }
    // A pool that is deleted makes no VM that could take the record up again, and nobody comes back for it.
    let leaves = pool.deletion.is_some();
    let was_listed = || {
        let gone = memory.records.names.get(folded(&agent.name).as_ref()).copied().flatten();
        // A list that lacks a member of a moment ago may be wrong; the next read tells.
        gone.is_some_and(|at| leaves || after(at, ONE_MISSED_READ) <= now)
    };
    // A name that was held until its VM was gone.
    agent.capabilities.contains_key(RESERVED)
        || was_listed()
        || ((leaves || long_unused(agent, now)) && counted(pool, seen, &agent.name))
}

fn long_unused(agent: &Agent, now: Timestamp) -> bool {
    let long_ago = |at: Option<Timestamp>| at.is_some_and(|at| after(at, OFFLINE_LONG) <= now);
    let ran = agent.last_finished_at.is_none_or(|at| after(at, OFFLINE_LONG) <= now);
    long_ago(agent.created_at) && long_ago(agent.status_changed_at) && ran
}

/// A Uniform scale set of this pool gives such names. Those of Flexible ones end at random: a word could be one.
pub(super) fn counted(pool: &Pool, seen: &Snapshot, name: &str) -> bool {
    pool.bindings.iter().any(|binding| {
        let set = seen.sets.get(&binding.name).and_then(|set| set.scale_set.latest());
        let uniform = set.filter(|set| set.orchestration == Orchestration::Uniform);
        let prefix = uniform.map(|set| set.computer_name_prefix.as_str()).filter(|prefix| !prefix.is_empty());
        let ends_in = |prefix: &str| {
            let (start, end) = name.split_at_checked(prefix.len())?;
            start.eq_ignore_ascii_case(prefix).then_some(end)
        };
        prefix.and_then(ends_in).is_some_and(|end| {
            end.len() == DIGITS
                && end.starts_with(LEADING)
                && end.bytes().all(|digit| digit.is_ascii_alphanumeric())
        })
    })
}

/// The ghosts that may go now: every scale set of the pool has just been listed, whole, and none grows.
pub(super) fn find(
    pool: &Pool,
    seen: &Snapshot,
    memory: &Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> Found {
    let Some(mut sets) = pool
        .bindings
        .iter()
        .map(|binding| Some((&binding.name, seen.sets.get(&binding.name)?)))
        .collect::<Option<Vec<_>>>()
    else {
        return Found::default();
    };
    // One that was never claimed and never listed has no VM of ours.
    let never_ours = |set: &SetView| {
        set.blocked.as_ref().is_some_and(|blocked| blocked.pending) && set.instances.latest().is_none()
    };
    sets.retain(|(_, set)| !never_ours(set));
    let whole = |name: &BindingName| {
        let set = inventory.set(name);
        let fits = set.capacity.is_some_and(|capacity| set.fits(capacity));
        // A capacity that counts an evicted VM for good says nothing about who is there.
        set.members.is_some()
            && (fits || (memory.differs_since.contains_key(name) && memory.is_settled(name, now)))
    };
    let creates = |kind: &OperationKind| matches!(kind, OperationKind::Create { .. });
    let growing = memory.operations.iter().any(|operation| creates(&operation.kind));
    // A name that is held is ours, whatever else the lists leave open.
    let believable = !inventory.disagree && !growing && sets.iter().all(|(name, _)| whole(name));
    if sets.iter().any(|(_, set)| set.blocked.is_some()) {
        return Found::default();
    }
    let agents = seen.agents.latest().into_iter().flatten();
    let mut ghosts: Vec<&Agent> = agents
        .filter(|agent| believable || agent.capabilities.contains_key(RESERVED))
        .filter(|agent| is_ghost(pool, seen, memory, agent, now))
        .collect();
    if !ghosts.is_empty() {
        let names: Among<_> = vms(seen).map(folded).collect();
        let jobs = seen.jobs.latest().map(Vec::as_slice).unwrap_or_default();
        let working: Among<_> = jobs.iter().filter_map(|job| job.agent).collect();
        ghosts.retain(|agent| !names.contains(&folded(&agent.name)) && !working.contains(&agent.id));
    }
    if ghosts.is_empty() {
        return Found::default();
    }
    let just_listed =
        |set: &SetView| gate::just_listed(set, now) && set.scale_set.within(ONE_MISSED_READ, now);
    if !sets.iter().all(|(_, set)| just_listed(set)) {
        let look = pool.bindings.iter().map(|binding| binding.name.clone()).collect();
        return Found { gone: Vec::new(), look };
    }
    ghosts.sort_unstable_by_key(|agent| agent.id);
    ghosts.truncate(MOST);
    let forget = |agent: &Agent| RecordChange::Forget {
        agent: agent.id,
        name: agent.name.clone(),
        cause: RecordCause::Ghost,
    };
    Found { gone: ghosts.into_iter().map(forget).collect(), look: BTreeSet::new() }
}
