//! How agents leave: disable, let it settle, read again, delete the record, and only then the machine.

use poolkeeper_policy::{
    Action, Cause, DeletionPolicy, Lifecycle, Mode, OperationProgress, Pool, Provisioning, Recycle, State,
};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, WEEK, deleted, disabled, first_look, grown, held, machine, minutes, pool,
    reimaged, scene,
    scene::{agent, failure, lose},
    seconds, standby, stateful,
};

#[rstest]
#[case::a_used_one_is_disabled_first(machine("a").used(), Some(Cause::Used), None)]
#[case::a_used_one_that_has_left_goes_at_once(machine("a").used().offline(), None, Some(Cause::Used))]
#[case::a_busy_one_stays(machine("a").busy(), None, None)]
#[case::a_busy_one_stays_whoever_disabled_it(machine("a").busy().disabled(), None, None)]
#[case::a_busy_one_stays_while_it_is_offline(machine("a").busy().offline(), None, None)]
#[case::a_busy_one_stays_on_a_machine_that_was_stopped(machine("a").busy().offline().off(), None, None)]
#[case::one_that_is_made_stays(machine("a").provisioning(Provisioning::Creating), None, None)]
#[case::one_that_boots_stays(machine("a"), None, None)]
#[case::a_failed_one_goes(
    machine("a").provisioning(Provisioning::Failed).off(),
    None,
    Some(Cause::CreationFailed)
)]
#[case::a_failed_operation_is_no_failed_machine(machine("a").busy().provisioning(Provisioning::Failed), None, None)]
#[case::a_stopped_one_goes(machine("a").off(), None, Some(Cause::Stopped))]
#[case::one_that_never_came_online_is_not_drained(machine("a").disabled().offline(), None, None)]
fn at_the_first_look(
    #[case] machine: Machine,
    #[case] is_disabled: Option<Cause>,
    #[case] is_removed: Option<Cause>,
) {
    let mut pool = standby(1);
    pool.lifecycle = Lifecycle::Stateless(Recycle::Reimage);
    // Growth would come first.
    pool.max_agents = 1;
    let plan = first_look(&pool, &scene([machine]));
    let causes = |list: Vec<(&str, Cause)>| list.first().map(|(_, cause)| *cause);
    assert_eq!(causes(disabled(&plan)), is_disabled);
    assert_eq!(causes(deleted(&plan)).or(causes(reimaged(&plan))), is_removed);
}

#[test]
fn a_used_agent_is_disabled_settles_and_comes_back() {
    let mut passes = Passes::of(&standby(1));
    let used = scene([machine("a").used()]);
    assert_eq!(disabled(&passes.look(&used)), [("a", Cause::Used)]);
    // Disabled, it still settles.
    let disabled = scene([machine("a").used().disabled()]);
    // From the first list that shows it: the call that disables it may come late.
    for _ in 0..3 {
        passes.wait(seconds(10));
        assert!(passes.look(&disabled).actions.is_empty());
    }
    passes.wait(seconds(10));
    let plan = passes.look(&disabled);
    assert_eq!((reimaged(&plan), grown(&plan)), (vec![("a", Cause::Used)], 0));
    passes.accepted();
    // It counts as capacity until it is back, with a new record.
    passes.wait(seconds(60));
    let gone = scene([machine("a").provisioning(Provisioning::Updating)]);
    let plan = passes.look(&gone);
    assert_eq!((plan.instances[0].state, grown(&plan)), (State::Recycling, 0));
    passes.wait(minutes(3));
    let now = passes.now;
    let back = scene([machine("a").agent(|agent| agent.created_at = Some(now))]);
    let plan = passes.look(&back);
    assert_eq!((plan.instances[0].state, plan.memory.operations.len()), (State::Idle, 0));
}

#[test]
fn an_old_record_that_is_still_there_is_no_agent_that_came_back() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.look(&scene([machine("a").used().offline()]));
    passes.accepted();
    passes.wait(seconds(60));
    let plan = passes.look(&scene([machine("a").used()]));
    assert_eq!((plan.instances[0].state, plan.actions.len()), (State::Recycling, 0));
}

#[test]
fn a_reimage_that_takes_too_long_is_given_up() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.look(&scene([machine("a").used().offline()]));
    passes.accepted();
    let gone = scene([machine("a").provisioning(Provisioning::Updating)]);
    assert_eq!(passes.watch(&gone, minutes(9)).instances[0].state, State::Recycling);
    let plan = passes.watch(&gone, minutes(1));
    assert_eq!(plan.instances[0].state, State::FailedToStart);
    // Another one first, then this one goes.
    assert_eq!((grown(&plan), deleted(&plan)), (1, vec![]));
    let with_another = scene([machine("a"), machine("b").idle()]);
    passes.memory.operations.retain(|operation| operation.url.is_some());
    assert_eq!(deleted(&passes.look(&with_another)), [("a", Cause::FailedToStart)]);
}

#[test]
fn a_failed_removal_is_taken_up_again_and_delays_no_growth() {
    let mut passes = Passes::of(&pool());
    let _ = passes.look(&scene([machine("a").used().offline()]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(40));
    let failed = OperationProgress::Failed(failure(poolkeeper_policy::FailureKind::Invalid));
    let without_agent = scene([machine("a")]).queued(2);
    let plan = passes.look(&without_agent.clone().operation(&operation, failed));
    assert_eq!((grown(&plan), reimaged(&plan)), (1, vec![]));
    passes.wait(seconds(10));
    assert_eq!(reimaged(&passes.look(&without_agent)), [("a", Cause::Used)]);
}

#[rstest]
#[case::a_delete(Lifecycle::Stateless(Recycle::Replace))]
#[case::a_reimage(Lifecycle::Stateless(Recycle::Reimage))]
fn a_restarted_operator_finishes_what_it_had_begun(#[case] lifecycle: Lifecycle) {
    let mut pool = pool();
    pool.lifecycle = lifecycle;
    let mut passes = Passes::of(&pool);
    let plan = passes.look(&scene([machine("a").used().offline(), machine("b").used().offline()]));
    assert_eq!(plan.actions.len(), 1);
    // It had got as far as the record of `a`; only the status is left of its memory.
    passes.memory = poolkeeper_policy::Memory { operations: plan.memory.operations, ..Default::default() };
    passes.wait(seconds(40));
    let again = passes.look(&scene([machine("a"), machine("b").busy()]));
    let [Action::Remove { members, .. }] = again.actions.as_slice() else { panic!("{:?}", again.actions) };
    let names: Vec<&str> = members.iter().map(|member| member.computer_name.as_str()).collect();
    assert_eq!((names, again.memory.operations.len()), (vec!["a"], 1));
    assert_eq!(reimaged(&again).is_empty(), lifecycle == Lifecycle::Stateless(Recycle::Replace));
}

#[test]
fn an_intent_is_dropped_when_the_agent_is_back() {
    let mut passes = Passes::of(&pool());
    let _ = passes.look(&scene([machine("a").off()]));
    passes.wait(seconds(20));
    let plan = passes.look(&scene([machine("a").idle()]));
    assert_eq!((plan.actions.len(), plan.memory.operations.len()), (0, 0));
}

#[test]
fn lists_that_disagree_remove_nobody() {
    let used = || scene([machine("a").used().offline(), machine("b").busy()]);
    assert_eq!(reimaged(&first_look(&standby(2), &used())).len(), 1);
    let mut ended = used();
    // The request of `b` is no longer open; of `c` the agents know nothing.
    ended.jobs.push(scene::job(agent("b").id.0));
    let mut begun = used();
    begun.jobs.push(scene::job(7));
    begun.jobs[0].agent = Some(agent("c").id);
    for disagreeing in [ended, begun] {
        assert!(reimaged(&first_look(&standby(2), &disagreeing)).is_empty());
    }
}

#[test]
fn of_two_machines_with_one_name_none_goes() {
    let mut twin = machine("a").off();
    twin.vm.vm_id.0.push_str("-twin");
    let twins = scene([machine("a").used().offline(), twin]);
    let plan = first_look(&pool(), &twins);
    assert!(plan.actions.is_empty() && plan.instances.iter().all(|instance| instance.state == State::Busy));
}

#[test]
fn the_record_of_an_earlier_machine_of_the_same_name_is_not_this_ones() {
    let mut passes = Passes::of(&pool());
    let leftover = machine("a").used().disabled().offline().agent(|agent| {
        agent.created_at = Some("2026-11-20T08:00:00Z".parse().unwrap());
    });
    let plan = passes.look(&scene([leftover.clone()]));
    assert_eq!((plan.instances[0].state, plan.actions.len()), (State::Starting, 0));
    // When the machine goes, the record goes with it; or it would stand in the way for ever.
    let plan = passes.watch(&scene([leftover]), minutes(10));
    let [Action::Remove { members, .. }] = plan.actions.as_slice() else { panic!("{:?}", plan.actions) };
    assert_eq!((members[0].cause, members[0].agent), (Cause::FailedToStart, Some(agent("a").id)));
}

#[rstest]
#[case::a_short_absence(4, None)]
#[case::a_long_one(6, Some(Cause::WentOffline))]
fn an_agent_may_be_gone_for_some_minutes(#[case] minutes_gone: i64, #[case] expected: Option<Cause>) {
    let mut pool = standby(1);
    pool.max_agents = 1;
    pool.lifecycle = stateful(WEEK);
    let mut passes = Passes::of(&pool);
    let _ = passes.watch(&scene([machine("a").idle()]), minutes(10));
    let plan = passes.watch(&scene([machine("a").offline()]), minutes(minutes_gone));
    assert_eq!(plan.instances[0].state == State::WentOffline, expected.is_some());
    assert_eq!(plan.memory.operations.len(), usize::from(expected.is_some()));
}

#[test]
fn an_agent_that_updates_itself_is_given_the_time_of_a_start() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.watch(&scene([machine("a").idle()]), minutes(10));
    let updating = scene([machine("a").offline().agent(|agent| agent.updating = true)]);
    assert_eq!(passes.watch(&updating, minutes(9)).instances[0].state, State::Starting);
    assert_eq!(passes.watch(&updating, minutes(1)).instances[0].state, State::WentOffline);
}

#[test]
fn nobody_is_lost_while_agents_cannot_be_read_nor_right_after() {
    let mut passes = Passes::of(&standby(1));
    let booting = scene([machine("a")]);
    let _ = passes.watch(&booting, minutes(8));
    for _ in 0..30 {
        passes.wait(minutes(1));
        let mut seen = booting.seen(passes.now);
        lose(&mut seen.agents);
        let plan = poolkeeper_policy::decide(&passes.pool, &seen, &passes.memory, passes.now);
        assert_eq!(plan.instances[0].state, State::Starting);
        passes.memory = plan.memory;
    }
    // Its agent may need some minutes to find its way back.
    assert_eq!(passes.watch(&booting, minutes(4)).instances[0].state, State::Starting);
    assert_eq!(passes.watch(&booting, minutes(2)).instances[0].state, State::FailedToStart);
}

/// A pool of up to 4, being deleted.
fn deleted_pool(policy: DeletionPolicy) -> Pool {
    let mut pool = standby(2);
    pool.deletion = Some(policy);
    pool
}

#[test]
fn a_deleted_pool_drains() {
    let mut passes = Passes::of(&deleted_pool(DeletionPolicy::Drain));
    let machines = [
        machine("busy").busy(),
        machine("idle").idle(),
        machine("new").provisioning(Provisioning::Creating),
        machine("boots"),
    ];
    let plan = passes.look(&scene(machines).queued(3));
    // The busy one finishes its job, and gets no other.
    assert_eq!(disabled(&plan), [("busy", Cause::PoolDeleted), ("idle", Cause::PoolDeleted)]);
    assert_eq!((deleted(&plan), grown(&plan), plan.drained), (vec![("boots", Cause::PoolDeleted)], 0, false));
    passes.accepted();
    passes.wait(minutes(1));
    let plan = passes.look(&scene([machine("busy").busy().disabled()]));
    assert_eq!((plan.actions.len(), plan.drained), (0, false));
    passes.wait(minutes(1));
    assert!(passes.look(&scene([])).drained);
}

#[rstest]
#[case::not_listed_lately(scene([]), true)]
#[case::azure_says_there_are_more(scene([]).capacity("d4", 1), false)]
#[case::of_a_blocked_scale_set(scene([machine("a").idle()]).blocked("d4", false), false)]
fn a_pool_is_drained_when_it_is_seen_empty(#[case] scene: Scene, #[case] late: bool) {
    let passes = Passes::of(&deleted_pool(DeletionPolicy::Drain));
    let listed_at = if late { passes.now.checked_sub(minutes(1)).unwrap() } else { passes.now };
    let plan = poolkeeper_policy::decide(&passes.pool, &scene.seen(listed_at), &passes.memory, passes.now);
    assert!(!plan.drained && plan.next_wakeup.duration_since(passes.now) <= seconds(10));
}

#[rstest]
#[case::orphaned(DeletionPolicy::Orphan, Mode::Active)]
#[case::only_observed(DeletionPolicy::Drain, Mode::Observe)]
fn a_pool_that_leaves_everything_as_it_is_is_drained_at_once(
    #[case] policy: DeletionPolicy,
    #[case] mode: Mode,
) {
    let mut pool = deleted_pool(policy);
    pool.mode = mode;
    let plan = first_look(&pool, &scene([machine("a").idle(), machine("b").off()]));
    assert!(plan.drained && plan.actions.is_empty());
}

#[test]
fn a_paused_pool_still_drains() {
    let mut pool = deleted_pool(DeletionPolicy::Drain);
    pool.mode = Mode::Paused;
    let plan = first_look(&pool, &scene([machine("a").idle()]));
    assert_eq!(disabled(&plan), [("a", Cause::PoolDeleted)]);
}

#[rstest]
#[case::cordoned(Some(0), false)]
#[case::being_deleted(None, true)]
fn the_agents_of_a_scale_set_that_leaves_finish_and_go(#[case] most: Option<u32>, #[case] draining: bool) {
    let mut pool = standby(1);
    pool.bindings[0].max_agents = most;
    pool.bindings[0].draining = draining;
    pool.bindings.push(crate::support::binding("spot"));
    let leaving = scene([machine("a").idle(), machine("b").busy()]).set("spot");
    let mut passes = Passes::of(&pool);
    // Its sibling takes over; then they go.
    assert_eq!(grown(&passes.look(&leaving)), 1);
    passes.memory.operations.clear();
    passes.wait(seconds(10));
    let taken_over = scene([machine("a").idle(), machine("b").busy(), machine("c").on("spot").idle()]);
    let plan = passes.look(&taken_over);
    assert_eq!(disabled(&plan), [("a", Cause::BindingLeaves), ("b", Cause::BindingLeaves)]);
}

#[test]
fn a_scale_set_that_the_pool_does_not_list_is_left_alone() {
    let other = [machine("a").used().offline().on("other"), machine("b").off().on("other")];
    let plan = first_look(&standby(1), &scene(other));
    assert_eq!((plan.counts.total(), grown(&plan), plan.actions.len()), (2, 1, 1));
}

#[test]
fn deletes_come_one_at_a_time_after_growth() {
    let mut passes = Passes::of(&standby(1));
    let broken = || scene([machine("a").off()]);
    let plan = passes.look(&broken());
    assert_eq!((grown(&plan), deleted(&plan)), (1, vec![]));
    passes.accepted();
    passes.wait(seconds(10));
    // The new one is on its way, and the growth not over.
    let growing = || scene([machine("a").off(), machine("b").provisioning(Provisioning::Creating)]);
    assert!(passes.look(&growing()).actions.is_empty());
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let grown_up = growing().operation(&operation, OperationProgress::Succeeded);
    assert_eq!(deleted(&passes.look(&grown_up)), [("a", Cause::Stopped)]);
    passes.accepted();
    passes.wait(seconds(30));
    let next =
        scene([machine("a").provisioning(Provisioning::Deleting), machine("b").idle(), machine("c").off()]);
    assert!(passes.look(&next).actions.is_empty());
}

#[test]
fn a_removal_waits_for_a_fresh_list() {
    let passes = Passes::of(&standby(1));
    let mut seen = scene([machine("a").used().offline()]).seen(passes.now);
    let old = scene([machine("a")]).seen(passes.now.checked_sub(seconds(60)).unwrap());
    for set in seen.sets.values_mut() {
        set.instances = old.sets.values().next().unwrap().instances.clone();
    }
    let plan = poolkeeper_policy::decide(&passes.pool, &seen, &passes.memory, passes.now);
    assert!(plan.actions.is_empty() && held(&plan).is_empty());
    assert!(plan.bindings.values().all(|binding| binding.list_at <= passes.now));
}
