//! When the pool is looked at again.

use jiff::SignedDuration;
use poolkeeper_policy::{Plan, Pool, Provisioning, Sampling, ScaleOut, decide};
use rstest::rstest;

use crate::support::{
    Passes, Scene, machine, minutes, pool, scene,
    scene::{lose, lose_all},
    seconds, standby,
};

fn jobs_in(passes: &Passes, plan: &Plan) -> SignedDuration {
    plan.read_jobs_at.duration_since(passes.now)
}

fn list_in(passes: &Passes, plan: &Plan) -> SignedDuration {
    plan.bindings.values().next().unwrap().list_at.duration_since(passes.now)
}

#[rstest]
#[case::nothing_to_do(pool(), scene([machine("a").busy()]), 60, 300)]
#[case::jobs_wait(pool(), scene([machine("a").busy()]).blocked("d4", false).queued(1), 10, 300)]
#[case::a_machine_boots(pool(), scene([machine("a")]), 10, 10)]
#[case::a_machine_goes(pool(), scene([machine("a").provisioning(Provisioning::Deleting)]), 10, 10)]
#[case::held_for_good(pool(), scene([machine("a").used().offline()]).blocked("d4", false), 60, 300)]
#[case::waiting_for_a_scale_set(pool(), scene([machine("a").used().offline()]).blocked("d4", true), 60, 300)]
#[case::a_capacity_that_never_fits(pool(), scene([machine("a").busy()]).capacity("d4", 3), 60, 300)]
#[case::wanted_and_full(Pool { max_agents: 1, ..standby(1) }, scene([machine("a").busy()]), 60, 300)]
fn a_constant_world_is_read_every(
    #[case] pool: Pool,
    #[case] scene: Scene,
    #[case] jobs: i64,
    #[case] list: i64,
) {
    let mut passes = Passes::of(&pool);
    // Shorter than a start, longer than any patience.
    let plan = passes.watch(&scene, minutes(8));
    assert_eq!((jobs_in(&passes, &plan), list_in(&passes, &plan)), (seconds(jobs), seconds(list)));
}

#[test]
fn reads_become_rarer_when_nothing_moves() {
    let mut passes = Passes::of(&standby(1));
    let resting = scene([machine("a").idle()]);
    let mut intervals = Vec::new();
    for _ in 0..5 {
        let plan = passes.look(&resting);
        intervals.push(jobs_in(&passes, &plan).as_secs());
        passes.wait(jobs_in(&passes, &plan));
    }
    assert_eq!(intervals, [10, 10, 20, 40, 60]);
}

#[test]
fn an_interval_of_the_specification_is_kept() {
    let mut pool = pool();
    pool.scale_out = ScaleOut::Exact { sampling: Sampling::Every(seconds(25)) };
    let mut passes = Passes::of(&pool);
    let plan = passes.look(&scene([machine("a")]).queued(3));
    assert_eq!(jobs_in(&passes, &plan), seconds(25));
}

#[test]
fn a_missing_source_is_asked_again_in_half_a_minute() {
    let passes = Passes::of(&pool());
    let mut seen = scene([machine("a").used()]).seen(passes.now);
    lose(&mut seen.jobs);
    seen.sets.values_mut().for_each(|set| lose_all(&mut set.instances));
    let plan = decide(&passes.pool, &seen, &passes.memory, passes.now);
    assert_eq!((jobs_in(&passes, &plan), list_in(&passes, &plan)), (seconds(30), seconds(30)));
}

#[rstest]
#[case::when_an_excess_has_lasted(scene([machine("a").idle()]), 0, 30)]
#[case::when_a_machine_is_lost(scene([machine("a")]), 1, 10)]
fn a_pass_is_due(#[case] scene: Scene, #[case] standby_agents: u32, #[case] after: i64) {
    let mut passes = Passes::of(&standby(standby_agents));
    let start = passes.now;
    let due = start.checked_add(minutes(after)).unwrap();
    let mut woken = Vec::new();
    while passes.now < due {
        let plan = passes.look(&scene);
        assert!(plan.next_wakeup > passes.now && plan.next_wakeup.duration_since(passes.now) <= minutes(5));
        passes.now = plan.next_wakeup;
        woken.push(passes.now);
    }
    assert_eq!(woken.last(), Some(&due));
}

#[test]
fn a_pool_without_scale_sets_is_looked_at_again() {
    let mut pool = standby(1);
    pool.bindings.clear();
    let plan = Passes::of(&pool).look(&Scene::default());
    assert!(plan.actions.is_empty());
}
