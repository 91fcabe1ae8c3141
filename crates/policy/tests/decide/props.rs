//! What holds in every world and in every history.

use std::collections::BTreeSet;

use jiff::Timestamp;
use poolkeeper_policy::{
    Action, Basis, Cause, Memory, Operation, OperationKind, Orchestration, Plan, Pool, Removal, ScaleOut,
    Seen, Snapshot, decide,
};
use proptest::prelude::*;

use crate::support::{
    disabled, growths, minutes,
    random::{a_history, a_situation, cases, sets},
    run::{Mishap, Reads},
    scene::{job, lose, lose_all},
    seconds,
};

/// Every list the other way round.
fn reversed(mut seen: Snapshot) -> Snapshot {
    fn reverse<T>(seen: &mut Seen<Vec<T>>) {
        if let Seen::Fresh { value, .. } = seen {
            value.reverse();
        }
    }
    reverse(&mut seen.jobs);
    reverse(&mut seen.agents);
    for set in seen.sets.values_mut() {
        reverse(&mut set.instances);
    }
    seen
}

/// Each growth, and each machine that is disabled or removed.
fn deeds(plan: &Plan) -> BTreeSet<String> {
    let deeds = |action: &Action| match action {
        Action::Grow { binding, target, .. } => vec![format!("grow {binding} to {target}")],
        Action::Disable { member, .. } => vec![format!("disable {}", member.vm_id)],
        Action::Remove { removal, members, .. } => {
            members.iter().map(|member| format!("{removal:?} {}", member.vm_id)).collect()
        }
        Action::Save { members, .. } => {
            members.iter().map(|member| format!("save {}", member.vm_id)).collect()
        }
        Action::Unmark { vms, .. } => vms.iter().map(|vm| format!("unmark {vm}")).collect(),
    };
    plan.actions.iter().flat_map(deeds).collect()
}

/// Whoever is removed is known to be free: just read, no job in either list, and disabled or without a session.
fn removes_only_the_free(pool: &Pool, seen: &Snapshot, plan: &Plan, now: Timestamp) {
    for action in &plan.actions {
        let Action::Remove { binding, members, .. } = action else { continue };
        assert!(pool.bindings.iter().any(|listed| &listed.name == binding));
        let (Seen::Fresh { value: jobs, at: jobs_at }, Seen::Fresh { value: agents, at: agents_at }) =
            (&seen.jobs, &seen.agents)
        else {
            panic!("removes without having read jobs and agents");
        };
        let Seen::Fresh { value: vms, at: listed_at } = &seen.sets[binding].instances else {
            panic!("removes without a list");
        };
        assert!([jobs_at, agents_at, listed_at].iter().all(|at| now.duration_since(**at) <= seconds(12)));
        for member in members {
            assert!(vms.iter().any(|vm| vm.vm_id == member.vm_id && vm.instance_id == member.instance_id));
            for agent in agents.iter().filter(|agent| agent.name == member.computer_name) {
                assert!(agent.assigned.is_none() && jobs.iter().all(|job| job.agent != Some(agent.id)));
                assert!(!(agent.enabled && agent.online));
                assert_eq!(member.agent, Some(agent.id));
            }
        }
    }
}

/// What the plan creates fits under every maximum, and no capacity is lowered.
fn grows_within_bounds(pool: &Pool, seen: &Snapshot, plan: &Plan) {
    let listed = |binding| seen.sets.get(binding).and_then(|set| set.instances.latest()).map_or(0, Vec::len);
    let present: usize = seen.sets.keys().map(listed).sum();
    let by: u32 = growths(plan).iter().map(|(_, by)| by).sum();
    assert!(by == 0 || present + by as usize <= pool.max_agents as usize);
    for action in &plan.actions {
        let Action::Grow { binding, by, target, capacity, .. } = action else { continue };
        let most = pool.bindings.iter().find(|other| &other.name == binding).unwrap().max_agents;
        assert!(most.is_none_or(|most| listed(binding) + *by as usize <= most as usize));
        assert!(target >= capacity && (*target <= pool.max_agents || target == capacity));
    }
}

/// Idle agents go only while enough stay, unless there are more than the maximum.
fn keeps_the_standby(pool: &Pool, plan: &Plan) {
    let leaving = disabled(plan).iter().filter(|(_, cause)| *cause == Cause::Excess).count();
    let creates = |operation: &Operation| matches!(operation.kind, OperationKind::Create { .. });
    let above = plan.counts.total() > pool.max_agents || plan.memory.operations.iter().any(creates);
    let one_image = pool.images.len() == 1;
    if leaving > 0 && one_image && pool.standby.basis == Basis::Idle && !above {
        assert!(plan.counts.idle as usize >= pool.standby.agents as usize + leaving);
    }
}

/// A plan that grows removes nothing for good, and disables none but used agents; where VMs are operated on one by
/// one, they may.
fn never_both_ways(pool: &Pool, seen: &Snapshot, plan: &Plan) {
    if growths(plan).is_empty() {
        return;
    }
    let exact = matches!(pool.scale_out, ScaleOut::Exact { .. });
    let free = |action: &Action| {
        let set = seen.sets[action.binding()].scale_set.latest();
        exact && set.is_some_and(|set| set.orchestration == Orchestration::Flexible)
    };
    let shrinks = |action: &Action| match action {
        Action::Grow { .. } | Action::Save { .. } | Action::Unmark { .. } => false,
        Action::Disable { member, .. } => member.cause != Cause::Used,
        Action::Remove { removal, .. } => *removal == Removal::Delete,
    };
    let both = plan.actions.iter().filter(|action| !free(action)).any(shrinks);
    assert!(!both, "{:?}", plan.actions);
}

/// Nobody is in two operations.
fn operates_once(memory: &Memory) {
    let mut vms = BTreeSet::new();
    assert!(memory.operations.iter().flat_map(|operation| operation.kind.vms()).all(|vm| vms.insert(vm)));
    let mut ids = BTreeSet::new();
    assert!(memory.operations.iter().all(|operation| ids.insert(&operation.id)));
}

/// Jobs beyond the pool's share of the parallel jobs raise nothing.
fn keeps_its_share(pool: &Pool, seen: &Snapshot, plan: &Plan) {
    let (Some(share), Some(jobs)) = (seen.parallel_jobs, seen.jobs.latest()) else { return };
    let running = jobs.iter().filter(|job| job.agent.is_some()).count();
    let may_run = share.saturating_sub(u32::try_from(running).unwrap());
    let wanted = plan.counts.busy + may_run + plan.standby.agents;
    if matches!(pool.scale_out, ScaleOut::Exact { .. }) {
        assert!(plan.decision.desired <= wanted, "{}", plan.decision.message);
    }
}

/// A saved one goes only with its pool, or when a person says so.
fn shields_the_saved(pool: &Pool, seen: &Snapshot, plan: &Plan) {
    let marked = |binding, vm| {
        let set = seen.sets.get(binding).and_then(|set| set.scale_set.latest());
        set.is_some_and(|set| set.saved.contains_key(vm))
    };
    for action in &plan.actions {
        match action {
            Action::Remove { binding, members, .. } => {
                let shielded = members.iter().filter(|member| marked(binding, &member.vm_id));
                assert!(shielded.map(|member| member.cause).all(|cause| cause == Cause::Released));
            }
            Action::Save { binding, members } => {
                assert!(members.iter().all(|member| !marked(binding, &member.vm_id)));
                let asked = members.iter().filter(|member| member.cause == Cause::Asked).count();
                let allowed = pool.save_for_investigation as usize;
                assert!(plan.saved.len() + members.len() - asked <= allowed.max(plan.saved.len()));
            }
            Action::Grow { .. } | Action::Disable { .. } | Action::Unmark { .. } => {}
        }
    }
}

/// On a scale set whose starts fail, no more than one VM is on its way when it grows.
fn tries_one_at_a_time(pool: &Pool, plan: &Plan) {
    for action in &plan.actions {
        let Action::Grow { binding, by, .. } = action else { continue };
        let failed = plan.bindings[binding].failed_starts.as_ref().map_or(0, |starts| starts.count);
        if failed >= pool.max_failed_starts {
            let of = plan.instances.iter().filter(|instance| &instance.binding == binding);
            let coming = of.filter(|instance| instance.state.is_coming()).count();
            assert!(coming == 0 && *by == 1, "{coming} {by}");
        }
    }
}

fn wakes_in_time(plan: &Plan, now: Timestamp) {
    assert!(plan.next_wakeup > now && plan.next_wakeup.duration_since(now) <= minutes(5));
}

fn all_rules(pool: &Pool, seen: &Snapshot, plan: &Plan, now: Timestamp) {
    removes_only_the_free(pool, seen, plan, now);
    grows_within_bounds(pool, seen, plan);
    keeps_the_standby(pool, plan);
    never_both_ways(pool, seen, plan);
    operates_once(&plan.memory);
    keeps_its_share(pool, seen, plan);
    shields_the_saved(pool, seen, plan);
    tries_one_at_a_time(pool, plan);
    wakes_in_time(plan, now);
}

/// What is kept in status.
fn stored(memory: &Memory) -> Memory {
    let Memory { operations, staircase, step, .. } = memory.clone();
    Memory { operations, staircase, step, ..Memory::default() }
}

proptest! {
    #![proptest_config(cases(800))]

    #[test]
    fn every_plan_keeps_the_rules(it in a_situation()) {
        let plan = decide(&it.pool, &it.seen(), &it.memory, it.now);
        all_rules(&it.pool, &it.seen(), &plan, it.now);
    }

    #[test]
    fn the_order_of_lists_does_not_matter(it in a_situation()) {
        let plan = decide(&it.pool, &it.seen(), &it.memory, it.now);
        let other = decide(&it.pool, &reversed(it.seen()), &it.memory, it.now);
        prop_assert_eq!(format!("{plan:?}"), format!("{other:?}"));
    }

    #[test]
    fn a_missing_source_adds_no_action(it in a_situation(), source in 0..8_usize) {
        let mut seen = it.seen();
        let known = deeds(&decide(&it.pool, &seen, &it.memory, it.now));
        match source {
            0 => lose(&mut seen.jobs),
            1 => lose_all(&mut seen.jobs),
            2 => lose(&mut seen.agents),
            3 => lose_all(&mut seen.agents),
            4 => lose(&mut seen.sets.get_mut(&sets()[0]).unwrap().instances),
            5 => lose_all(&mut seen.sets.get_mut(&sets()[0]).unwrap().instances),
            6 => lose(&mut seen.sets.get_mut(&sets()[1]).unwrap().scale_set),
            _ => lose_all(&mut seen.sets.get_mut(&sets()[1]).unwrap().scale_set),
        }
        let blind = decide(&it.pool, &seen, &it.memory, it.now);
        prop_assert!(deeds(&blind).is_subset(&known), "{:?} {known:?}", blind.actions);
        prop_assert!(source > 3 || blind.actions.is_empty());
    }

    #[test]
    fn more_jobs_never_lower_what_is_wanted(it in a_situation(), more in 1..9_i64) {
        let before = decide(&it.pool, &it.seen(), &it.memory, it.now).decision.desired;
        let mut scene = it.scene.clone();
        scene.jobs.extend((100..100 + more).map(job));
        let after = decide(&it.pool, &scene.seen(it.now), &it.memory, it.now).decision.desired;
        prop_assert!(after >= before);
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn every_history_keeps_the_rules_and_comes_to_rest(history in a_history()) {
        let mut run = history.run();
        for turn in &history.turns {
            for length in &turn.jobs {
                run.world.queue(minutes(*length));
            }
            let (seen, plan) = run.pass(turn.mishap);
            all_rules(&run.pool, &seen, &plan, run.world.now);
            operates_once(&run.memory);
            prop_assert!(run.world.size() <= run.pool.max_agents as usize);
        }
        // Whatever went wrong cost time only.
        let work: i64 = history.turns.iter().flat_map(|turn| &turn.jobs).map(|minutes| minutes + 20).sum();
        run.go(minutes(work));
        prop_assert!(run.world.jobs.iter().all(|job| job.done));
        run.go(minutes(150));
        prop_assert_eq!(&run.world.wronged, &Vec::new());
        let (idle, busy) = run.world.idle_busy();
        if history.roomy() {
            prop_assert_eq!((idle, busy), (run.pool.standby.agents as usize, 0));
        }
        prop_assert_eq!(run.world.size(), idle);
        // And a constant world stays quiet.
        let before = stored(&run.memory);
        run.reads = Reads::default();
        let until = run.world.now.checked_add(minutes(10)).unwrap();
        while run.wake < until {
            let (_, plan) = run.pass(Mishap::None);
            prop_assert!(plan.actions.is_empty() && plan.holds.is_empty());
            prop_assert_eq!(&stored(&run.memory), &before);
        }
        let (reads, sets) = (run.reads, run.pool.bindings.len());
        prop_assert!(reads.jobs <= 13 && reads.sets <= 11 * sets && reads.lists <= 3 * sets, "{reads:?}");
    }

    #[test]
    fn a_plan_applied_twice_is_applied_once(history in a_history()) {
        let mut run = history.run();
        for turn in history.turns.iter().filter(|turn| turn.mishap != Mishap::WritesFail) {
            for length in &turn.jobs {
                run.world.queue(minutes(*length));
            }
            let (_, plan) = run.pass(turn.mishap);
            let once = run.world.clone();
            for action in &plan.actions {
                let _ = run.world.apply(action);
            }
            prop_assert_eq!(&run.world, &once);
        }
    }
}
