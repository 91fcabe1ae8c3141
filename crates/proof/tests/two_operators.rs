//! Two operators on one scale set: one that was cut off comes back, or both run at once.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use jiff::SignedDuration;
use poolkeeper_policy::{Lifecycle, Recycle};
use poolkeeper_proof::{Adversary, Operator, STATEFUL, Scene, Spite, Stage};
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration},
    world::JobSpec,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Two of them, of which each is cut off at times, for up to five hours; between any two calls of the one the other may
/// make a whole pass.
fn rivals(seed: u64, same_owner: bool) -> (Result<(), String>, u64, u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let orchestration = if rng.random_bool(0.5) { Orchestration::Uniform } else { Orchestration::Flexible };
    let lifecycle = match rng.random_range(0..3) {
        0 => Lifecycle::Stateless(Recycle::Reimage),
        1 => Lifecycle::Stateless(Recycle::Replace),
        _ => STATEFUL,
    };
    let scene = Scene::plain(orchestration, lifecycle);
    let (world, view) = scene.open(seed).unwrap();
    let began = world.now();
    let mut operator = Operator::new(&scene.pool, view.clone(), "one", began);
    let owner = if same_owner { "one" } else { "two" };
    let rival = Operator::new(&scene.pool, view, owner, began);
    let mut stage = Stage::new(world, Adversary::new(seed, Spite { jobs: 0.2, ..Spite::FULL }, 40));
    let mut at = began;
    for _ in 0..120 {
        at += SignedDuration::from_secs(rng.random_range(10..900));
        let job = JobSpec::new(Distribution::seconds(rng.random_range(30..2400)));
        stage.world.queue_jobs(operator.view.pool, job, Some(at)).unwrap();
    }
    stage.rival = Some((Box::new(rival), 0.3));
    let end = at + SignedDuration::from_hours(3);
    while stage.world.now() < end {
        // Now and then one of them is cut off, so that its claim lapses.
        if rng.random_bool(0.01) {
            let until = stage.world.now() + SignedDuration::from_mins(rng.random_range(1..300));
            match stage.rival.as_mut().filter(|_| rng.random_bool(0.5)) {
                Some((rival, _)) => rival.wake = until,
                None => operator.wake = until,
            }
        }
        let rival_wakes = stage.rival.as_ref().map_or(end, |(rival, _)| rival.wake);
        let now = stage.world.now();
        stage.world.advance(operator.wake.min(rival_wakes).max(now).min(end));
        if operator.wake <= stage.world.now() {
            let _ = operator.pass(&mut stage);
        }
        if let Some((mut rival, chance)) = stage.rival.take() {
            if rival.wake <= stage.world.now() {
                let _ = rival.pass(&mut stage);
            }
            stage.rival = Some((rival, chance));
        }
        stage.judge.read(&stage.world);
    }
    let judge = &stage.judge;
    (judge.check(), stage.world.tally().finished, judge.window_open)
}

#[test]
fn two_operators_on_one_scale_set_kill_nothing_and_make_no_more_than_the_maximum() {
    let mut failures = Vec::new();
    for (same_owner, what) in [(false, "two owners"), (true, "two replicas of one owner")] {
        let (mut jobs, mut open) = (0, 0);
        for seed in 0..60 {
            let (found, finished, window) = rivals(seed, same_owner);
            jobs += finished;
            open += window;
            if let Err(why) = found {
                failures.push(format!("{what}, seed {seed}: {why}"));
            }
        }
        println!("{what}: 60 worlds, {jobs} jobs, remaining window open {open} times");
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
