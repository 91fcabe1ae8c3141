//! From what was seen to what shall be done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

#[cfg(feature = "mutants")]
use crate::mutant::{self, Mutant};
use crate::{
    cadence,
    demand::{self, Demands},
    drain, existing, explain,
    failure::Backoff,
    gate::{self, Gate, Judged},
    health::{self, Findings},
    inventory::Inventory,
    life,
    memory::Memory,
    notices, operations,
    pace::{self, Pace},
    placement::{self, Growth, Placement},
    plan::{Action, BindingPlan, Decision, Hold, HoldReason, JobCounts, LimitedBy, Plan},
    pool::{Binding, BindingName, DeletionPolicy, Mode, Pool, ScaleOut},
    records::{self, Changes},
    select::{self, Selection, Surplus},
    snapshot::{SetView, Snapshot},
    standby::{self, Outlook, Share},
    start_times::{self, StartTimes},
    starts,
    target::{self, Target, total},
    words,
};

/// Decides what shall be done for one pool.
///
/// Pure: the same pool, snapshot, memory and time give the same plan, in whatever order the lists are. Nothing fails:
/// what cannot be known or done is a [`Hold`] of the plan.
pub fn decide(pool: &Pool, seen: &Snapshot, memory: &Memory, now: Timestamp) -> Plan {
    #[cfg(feature = "mutants")]
    let emptied = seen.emptied(now);
    #[cfg(feature = "mutants")]
    let seen = if mutant::is(Mutant::MissingIsEmpty) { &emptied } else { seen };

    // What is there, and what has become of what was begun.
    let (before, resumed) = (&memory.sightings, memory.quiet_since.is_none());
    let mut memory = memory.carried(seen, now);
    let mut lost = operations::end(&mut memory, pool, seen, now);
    let mut inventory = Inventory::new(pool, seen, before, &memory, now);
    let existing = existing::tell(pool, seen, &mut memory, &mut inventory);
    let next_lifetime = life::note(pool, seen, &memory, &mut inventory, now);
    starts::count(&mut memory, pool, seen, &inventory.instances, before, resumed, now);
    start_times::measure(&mut memory, pool, &inventory.instances, before, now);
    memory.take_up(seen, &inventory.instances, &inventory.differing(), usable(pool, seen), now);
    lost.extend(operations::finish_removals(&mut memory, &inventory, seen, now));
    lost.sort_by(|a, b| a.operation.cmp(&b.operation));
    let ordered = operations::ordered(&memory, &inventory);
    inventory.counts.foreign = records::foreign(pool, seen, &memory, now);

    // How many are wanted.
    let outlook = standby::outlook(pool, now);
    let Demands { queued, beyond, unroutable } = demand::route(pool, seen, &inventory.instances);
    let sees_all = gate::just_read(seen, now) && usable_list(pool, seen);
    let pace = pace::pace(pool, &mut memory, &inventory, &ordered, sees_all, now);
    let target = size(pool, &outlook, &queued, &inventory, &memory, &ordered, pace, now);

    // What would have to be done: growth, and what leaves.
    let placement = placement::place(pool, &target.missing, seen, &memory, &inventory, &ordered, now);
    let growths = placement.growths.iter().map(|growth| grow(growth, &inventory, &ordered, now)).collect();
    let lasting = lasting_excess(pool, &mut memory, &target, inventory.known, pace, now);
    let surplus = Surplus { lasting, by_image: &target.surplus };
    let Leaving { mut removals, held, settling, settled_at } =
        leaving(pool, &inventory, &surplus, &memory, now);

    removals.extend(life::unmark(pool, seen, &memory, now));

    // What may be done now.
    let gate = Gate {
        pool,
        seen,
        memory: &memory,
        inventory: &inventory,
        ordered: &ordered,
        growing: pace.growing || !inventory.known,
        now,
    };
    let Judged { actions, mut holds, mut look, turn_at } = gate.judge_all(growths, removals);
    let (actions, observed) = match pool.mode {
        Mode::Observe => (Vec::new(), actions),
        Mode::Active | Mode::Paused => (actions, Vec::new()),
    };
    for action in &actions {
        operations::intend(&mut memory, pool, &inventory, action, now);
    }
    let Changes { changes: records, look: list } = records::changes(pool, seen, &mut memory, &inventory, now);
    look.extend(list);
    holds.extend(held);
    holds.extend(placement.gaps.iter().map(|binding| gap(binding, &inventory)));
    if holds.is_empty() {
        holds.extend(blind(pool, seen));
    }

    // When to look again.
    look.extend(settling);
    look.extend(existing.iter().map(|existing| existing.binding.clone()));
    if pool.deletion == Some(DeletionPolicy::Drain) && drain::nothing_left(pool, &memory, &inventory) {
        // The finalizer waits for a list that shows it.
        look.extend(pool.bindings.iter().map(|binding| binding.name.clone()));
    }
    let moving = cadence::moving(&memory, &inventory.instances, &actions, look);
    let quiet = moving.is_empty() && records.is_empty() && beyond == 0 && total(queued.iter().copied()) == 0;
    let quiet_since = if quiet { memory.quiet_since.unwrap_or(now) } else { now };
    memory.quiet_since = Some(quiet_since);
    let read_jobs_at = cadence::jobs(pool, seen, quiet_since, pace.sample_at, now);
    let bindings = binding_plans(pool, seen, &memory, &inventory, &outlook.shares, &moving, now);
    let backoffs = memory.backoffs.values().chain(memory.removal_backoffs.values());
    let backoffs = backoffs.chain(memory.vm_backoffs.values());
    let times = [
        Some(read_jobs_at),
        settled_at,
        turn_at,
        next_lifetime,
        life::own_delay(pool, &memory, &inventory, now),
        outlook.next_change.as_ref().map(|change| change.at),
        outlook.starts_at,
        memory.staircase.matures(pool.idle_delay, now),
        inventory.instances.iter().filter_map(|instance| instance.deadline).filter(|at| *at > now).min(),
        backoffs.map(|backoff| backoff.until).filter(|at| *at > now).min(),
        bindings.values().flat_map(|binding| [binding.read_set_at, binding.list_at]).min(),
    ];
    let next_wakeup = cadence::wakeup(times.into_iter().flatten(), now);

    // What is said about it.
    let limited_by = limited_by(pool, seen, &target, &holds, &placement, beyond);
    let message = words::decision(pool, &target, &outlook, beyond, limited_by == LimitedBy::Hold, now);
    let long_jobs = notices::long_jobs(pool, seen, &inventory.instances, now);
    let findings = Findings {
        pool,
        seen,
        memory: &memory,
        target: &target,
        counts: &inventory.counts,
        standby: &outlook.level,
        holds: &holds,
        homeless: placement.homeless,
        limit: placement.limit.as_ref(),
        limited_by,
        unroutable: &unroutable,
        long_jobs: &long_jobs,
        now,
    };
    let conditions = health::conditions(&findings);
    memory.standby_was_met = memory.standby_was_met || health::standby_met(&findings);
    let notices = notices::tell(pool, seen, &mut memory, &inventory.instances, &long_jobs);
    let maintained = inventory.instances.iter().filter(|instance| instance.maintenance).count();
    let maintained = u32::try_from(maintained).unwrap_or(u32::MAX);
    let jobs = JobCounts {
        queued: total(queued).saturating_add(beyond),
        running: inventory.counts.busy.saturating_sub(maintained),
        unroutable: u32::try_from(unroutable.len()).unwrap_or(u32::MAX),
    };
    // A record that goes in this pass is not gone yet.
    let drained = records.is_empty() && drain::is_over(pool, seen, &memory, &inventory, now);
    Plan {
        actions,
        images: explain::images(&target),
        records,
        notices,
        saved: life::saved(seen, &inventory.instances),
        observed,
        holds,
        decision: Decision { desired: target.desired, limited_by, message },
        standby: outlook.level,
        next_change: outlook.next_change,
        counts: inventory.counts,
        instances: inventory.instances,
        jobs,
        unroutable,
        bindings,
        lost,
        existing,
        conditions,
        memory,
        read_jobs_at,
        next_wakeup,
        drained,
    }
}

/// A pool that is being deleted wants nobody; where not everything has been seen, nobody is missing.
#[allow(clippy::too_many_arguments, reason = "all that a size depends on")]
fn size(
    pool: &Pool,
    outlook: &Outlook,
    queued: &[u32],
    inventory: &Inventory,
    memory: &Memory,
    ordered: &BTreeMap<BindingName, u32>,
    pace: Pace,
    now: Timestamp,
) -> Target {
    let deleted = pool.deletion.is_some();
    let queued = if deleted { vec![0; queued.len()] } else { queued.to_vec() };
    let needs = target::needs(pool, &inventory.instances, &queued, &outlook.shares, ordered, now);
    let taken = inventory.taken(memory, ordered, now);
    let mut target = target::target(pool, needs, taken, inventory.counts.saved, pace);
    if deleted || !inventory.known {
        target.missing.fill(0);
    }
    target
}

/// Who leaves, and at which step each one is.
struct Leaving {
    removals: Vec<Action>,
    /// VMs whose own operation has failed.
    held: Vec<Hold>,
    /// Scale sets with a disabled agent that settles.
    settling: Vec<BindingName>,
    settled_at: Option<Timestamp>,
}

/// First those that are kept from another job, then those that are free, as one removal per scale set and kind.
fn leaving(
    pool: &Pool,
    inventory: &Inventory,
    surplus: &Surplus<'_>,
    memory: &Memory,
    now: Timestamp,
) -> Leaving {
    let Selection { disable, remove, save, held, settling, next } = match pool.deletion {
        Some(DeletionPolicy::Orphan) => Selection::default(),
        Some(DeletionPolicy::Drain) | None => {
            select::select(pool, &inventory.instances, surplus, memory, now)
        }
    };
    let mut removals = disable;
    removals.extend(remove.into_iter().map(|((binding, removal), members)| {
        let operation = operations::id(removal.verb(), binding, now);
        Action::Remove { operation, binding: binding.clone(), removal, members }
    }));
    let saves = save.into_iter().map(|(binding, members)| Action::Save { binding: binding.clone(), members });
    removals.extend(saves);
    let held = held.into_iter().map(|((binding, removal), (kind, message, members))| {
        let operation = operations::id(removal.verb(), binding, now);
        let wanted = Action::Remove { operation, binding: binding.clone(), removal, members };
        let message = format!("binding {binding}: {message}");
        Hold { wanted: Some(wanted), reason: kind.hold_reason(), message }
    });
    Leaving {
        removals,
        held: held.collect(),
        settling: settling.into_iter().cloned().collect(),
        settled_at: next,
    }
}

/// Some scale set that can be written to has been listed.
fn usable_list(pool: &Pool, seen: &Snapshot) -> bool {
    let listed = |set: &SetView| set.blocked.is_none() && set.instances.latest().is_some();
    pool.bindings.iter().any(|binding| seen.sets.get(&binding.name).is_some_and(listed))
}

/// Some binding of the pool can be written to.
fn usable(pool: &Pool, seen: &Snapshot) -> bool {
    let free = |binding: &BindingName| seen.sets.get(binding).is_some_and(|set| set.blocked.is_none());
    pool.bindings.iter().any(|binding| free(&binding.name))
}

/// The growth of one scale set: its target is the members observed and ordered plus the missing ones.
fn grow(
    growth: &Growth,
    inventory: &Inventory,
    ordered: &BTreeMap<BindingName, u32>,
    now: Timestamp,
) -> Action {
    let Growth { binding, by } = growth;
    let members = inventory.members(binding).saturating_add(ordered.get(binding).copied().unwrap_or(0));
    // A capacity is never lowered: Azure would choose whom to delete.
    let set = inventory.set(binding);
    let capacity = set.capacity.unwrap_or(members);
    // A capacity that still counts VMs that are being deleted must rise above them.
    let target = members.saturating_add(set.leaving_in(capacity)).saturating_add(*by).max(capacity);
    let operation = operations::id("create", binding, now);
    Action::Grow { operation, binding: binding.clone(), by: *by, target, capacity }
}

/// A scale set that would be given more VMs than there is room for: a person, or Azure, lowers its capacity.
fn gap(binding: &BindingName, inventory: &Inventory) -> Hold {
    let set = inventory.set(binding);
    let (capacity, members) = (set.capacity.unwrap_or(0), inventory.members(binding));
    let message = format!(
        "scale set of {binding} has capacity {capacity} and only {members} instances; Azure would fill it up, which \
         maxAgents does not allow: set its capacity to {members} (az vmss scale --new-capacity {members}), or raise maxAgents"
    );
    Hold { wanted: None, reason: HoldReason::SourcePartial, message }
}

/// How many idle agents have been in excess for the whole idle delay.
fn lasting_excess(
    pool: &Pool,
    memory: &mut Memory,
    target: &Target,
    known: bool,
    pace: Pace,
    now: Timestamp,
) -> u32 {
    if !known {
        return 0;
    }
    let excess = total(target.surplus.iter().copied());
    memory.staircase.observe(excess, now);
    let lasting = memory.staircase.lasting(pool.idle_delay, now);
    match pool.scale_out {
        ScaleOut::Exact { .. } => lasting,
        // Azure's words: once idle agents have exceeded the standby for the delay, it scales in to the standby.
        ScaleOut::ElasticPool { .. } if pace.decides && lasting > 0 => excess,
        ScaleOut::ElasticPool { .. } => 0,
    }
}

/// Jobs, agents or a whole list are unknown: that is a hold even where nothing can be wanted.
fn blind(pool: &Pool, seen: &Snapshot) -> Option<Hold> {
    let set = || {
        pool.bindings.iter().find_map(|binding| {
            let set = seen.sets.get(&binding.name).filter(|set| set.blocked.is_none())?;
            let why = set.instances.why().or(set.scale_set.why())?;
            Some(format!("scale set of {}: {}", binding.name, why.message))
        })
    };
    let message = gate::unreadable(seen).or_else(set)?;
    Some(Hold { wanted: None, reason: HoldReason::SourceMissing, message })
}

fn limited_by(
    pool: &Pool,
    seen: &Snapshot,
    target: &Target,
    holds: &[Hold],
    placement: &Placement,
    beyond: u32,
) -> LimitedBy {
    let held_growth = holds.iter().any(|hold| matches!(hold.wanted, Some(Action::Grow { .. }) | None));
    if pool.mode != Mode::Active && pool.deletion.is_none() {
        LimitedBy::Mode
    } else if held_growth || gate::unreadable(seen).is_some() {
        LimitedBy::Hold
    } else if placement.homeless > 0 {
        placement.limited_by()
    } else if beyond > 0 && target.limited_by == LimitedBy::Nothing {
        LimitedBy::ParallelJobs
    } else {
        target.limited_by
    }
}

fn binding_plans(
    pool: &Pool,
    seen: &Snapshot,
    memory: &Memory,
    inventory: &Inventory,
    shares: &[Share],
    moving: &BTreeSet<BindingName>,
    now: Timestamp,
) -> BTreeMap<BindingName, BindingPlan> {
    let plan = |binding: &Binding| {
        let name = &binding.name;
        let view = seen.sets.get(name)?;
        let (read_set_at, list_at) = cadence::set(name, view, memory, moving.contains(name), now);
        let counts = inventory.set(name).counts;
        let standby = shares.get(binding.image).map_or(0, |share| share.standby);
        let backoff = memory
            .backoffs
            .get(name)
            .filter(|backoff| backoff.is_passed_over() && backoff.allows(view.headroom, now) == Some(0));
        let limit = backoff.map(Backoff::limit);
        let failed_starts = memory.failed_starts.get(name).cloned();
        let start_times = memory.start_times.get(name).and_then(StartTimes::measured);
        let plan = BindingPlan { counts, standby, failed_starts, start_times, limit, read_set_at, list_at };
        Some((name.clone(), plan))
    };
    pool.bindings.iter().filter_map(plan).collect()
}
