//! What a person asks for once: drain, save, release.

use poolkeeper_policy::{Cause, DeletionPolicy, Pool, Provisioning, State};
use rstest::rstest;

use crate::support::{
    Machine, Passes, deleted, disabled, first_look, grown, machine, minutes, named, pool, reimaged, saved,
    scene, seconds, standby, states,
};

fn draining(names: &[&str]) -> Pool {
    let mut pool = pool();
    pool.max_agents = 40;
    pool.verbs.drain = named(names);
    pool
}

#[rstest]
#[case::an_idle_one(machine("a").idle(), true, false)]
#[case::a_busy_one_after_its_job(machine("a").busy(), true, false)]
#[case::one_whose_agent_is_back_in_a_moment(machine("a").offline(), false, false)]
#[case::one_without_an_agent(machine("a"), false, true)]
#[case::one_that_is_made(machine("a").provisioning(Provisioning::Creating), false, false)]
fn a_named_one_is_drained(#[case] machine: Machine, #[case] disables: bool, #[case] deletes: bool) {
    for verb in ["a", "vm-a"] {
        let plan = first_look(&draining(&[verb]), &scene([machine.clone()]).queued(1));
        let expected = |happens: bool| if happens { vec![("a", Cause::Asked)] } else { vec![] };
        // It is no capacity for the job that waits; growth comes first.
        assert_eq!(grown(&plan), 1);
        let mut idle = draining(&[verb]);
        idle.max_agents = 1;
        let plan = first_look(&idle, &scene([machine.clone()]));
        assert_eq!((disabled(&plan), deleted(&plan)), (expected(disables), expected(deletes)));
    }
}

#[test]
fn all_are_those_that_are_there() {
    let there = [
        machine("a").idle(),
        machine("b").busy(),
        machine("c"),
        machine("d").provisioning(Provisioning::Creating),
    ];
    let plan = first_look(&draining(&["*"]), &scene(there));
    assert_eq!(disabled(&plan), [("a", Cause::Asked), ("b", Cause::Asked)]);
    assert!(deleted(&plan).is_empty());
}

#[test]
fn who_is_drained_is_no_capacity_and_settles() {
    let mut pool = draining(&["a"]);
    pool.standby.agents = 1;
    let mut passes = Passes::of(&pool);
    assert_eq!(grown(&passes.look(&scene([machine("a").idle()]))), 1);
    passes.memory.operations.clear();
    let two = |a: Machine| scene([a, machine("b").idle()]);
    passes.wait(seconds(10));
    assert_eq!(disabled(&passes.look(&two(machine("a").idle()))), [("a", Cause::Asked)]);
    for wait in [10, 20] {
        passes.wait(seconds(wait));
        assert!(passes.look(&two(machine("a").disabled())).actions.is_empty());
    }
    passes.wait(seconds(10));
    assert_eq!(deleted(&passes.look(&two(machine("a").disabled()))), [("a", Cause::Asked)]);
}

fn keeping(names: &[&str]) -> Pool {
    let mut pool = pool();
    pool.verbs.save = named(names);
    pool
}

#[test]
fn an_idle_one_is_disabled_settles_and_is_saved() {
    let mut passes = Passes::of(&keeping(&["a"]));
    assert_eq!(disabled(&passes.look(&scene([machine("a").idle()]))), [("a", Cause::Asked)]);
    let kept = || scene([machine("a").disabled()]);
    for wait in [10, 20] {
        passes.wait(seconds(wait));
        assert!(passes.look(&kept()).actions.is_empty());
    }
    passes.wait(seconds(10));
    assert_eq!(saved(&passes.look(&kept())), [("a", Cause::Asked)]);
}

#[test]
fn a_busy_one_is_saved_after_its_job() {
    let mut passes = Passes::of(&keeping(&["vm-a"]));
    assert_eq!(disabled(&passes.look(&scene([machine("a").busy()]))), [("a", Cause::Asked)]);
    assert!(passes.watch(&scene([machine("a").busy().disabled()]), minutes(60)).actions.is_empty());
    // Its agent, which runs one job, has left.
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").used().disabled().offline()]));
    assert_eq!(
        (saved(&plan), reimaged(&plan).len(), deleted(&plan).len()),
        (vec![("a", Cause::Asked)], 0, 0)
    );
}

#[rstest]
#[case::one_that_failed(machine("a").provisioning(Provisioning::Failed).off(), true)]
#[case::a_stopped_one(machine("a").off(), true)]
#[case::one_that_boots(machine("a"), true)]
#[case::one_that_is_made(machine("a").provisioning(Provisioning::Creating), false)]
#[case::one_that_is_deleted(machine("a").provisioning(Provisioning::Deleting), false)]
fn a_person_may_save_others_too(#[case] machine: Machine, #[case] expected: bool) {
    let plan = first_look(&keeping(&["a"]), &scene([machine]));
    assert_eq!(saved(&plan), if expected { vec![("a", Cause::Asked)] } else { vec![] });
    assert!(deleted(&plan).is_empty());
}

#[test]
fn whom_a_person_saves_is_no_capacity_and_counts() {
    let mut pool = keeping(&["a"]);
    (pool.standby.agents, pool.save_for_investigation) = (1, 1);
    assert_eq!(grown(&first_look(&pool, &scene([machine("a").idle()]))), 1);
    // Nobody else is saved besides; up to the maximum, a person may.
    let mut passes = Passes::of(&keeping(&["a", "b"]));
    (passes.pool.save_for_investigation, passes.pool.max_agents) = (1, 3);
    let plan = passes.watch(&scene([machine("a").off(), machine("c")]).saved("d4", "vm-z"), minutes(0));
    assert_eq!(saved(&plan), [("a", Cause::Asked)]);
    let failing = scene([machine("a").off(), machine("c")]).saved("d4", "vm-a");
    let plan = passes.watch(&failing, minutes(10));
    assert_eq!((saved(&plan), deleted(&plan)), (vec![], vec![("c", Cause::FailedToStart)]));
}

#[test]
fn a_pool_that_goes_saves_nobody() {
    let mut pool = keeping(&["a"]);
    pool.save_for_investigation = 1;
    pool.deletion = Some(DeletionPolicy::Drain);
    let plan = first_look(&pool, &scene([machine("a").idle(), machine("b").off()]));
    assert_eq!((saved(&plan), disabled(&plan)), (vec![], vec![("a", Cause::PoolDeleted)]));
    assert_eq!(deleted(&plan), [("b", Cause::Stopped)]);
}

#[test]
fn release_is_about_saved_ones_only() {
    let mut pool = standby(1);
    pool.verbs.release_saved = named(&["*"]);
    let plan = first_look(&pool, &scene([machine("a").idle(), machine("b").offline()]).saved("d4", "vm-b"));
    assert_eq!(
        (states(&plan), deleted(&plan)),
        (vec![State::Idle, State::Saved], vec![("b", Cause::Released)])
    );
    assert!(disabled(&plan).is_empty());
}
