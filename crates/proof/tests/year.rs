//! One year of one pool with a weekly load, under faults: everything holds, and the memory stays flat.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::num::NonZeroUsize;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{DeletionPolicy, Lifecycle, Recycle};
use poolkeeper_proof::{Adversary, Hazard, Operator, Scene, Spite, Stage, Trouble};
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration},
    world::JobSpec,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

const WEEKS: i64 = 52;
/// Many times as much as happens between two looks of the judge.
const JOURNAL: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// Resident memory of this process in MiB; 0 where nobody tells.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or(0);
    pages * 4096 / (1 << 20)
}

/// Working days from 8 to 18, one job in ten at other times.
fn moment(rng: &mut StdRng, week: Timestamp) -> Timestamp {
    let (day, hour) =
        if rng.random_bool(0.9) { (rng.random_range(0..5), 8..18) } else { (rng.random_range(0..7), 0..24) };
    let hours = day * 24 + rng.random_range(hour);
    week + SignedDuration::from_hours(hours) + SignedDuration::from_secs(rng.random_range(0..3600))
}

#[test]
fn a_year_of_one_pool() {
    let jobs = std::env::var("YEAR_JOBS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_u32);
    let mut rng = StdRng::seed_from_u64(1);
    let mut scene = Scene::plain(Orchestration::Uniform, Lifecycle::Stateless(Recycle::Reimage));
    scene.pool.max_agents = 20;
    scene.pool.standby.agents = 1;
    scene.pool.save_for_investigation = 1;
    let (mut world, view) = scene.open(1).unwrap();
    world.keep_journal(JOURNAL);
    let began = world.now();
    let mut operator = Operator::new(&scene.pool, view, "proof", began);
    let spite = Spite { jobs: 0.05, ..Spite::FULL };
    let mut stage = Stage::new(world, Adversary::new(1, spite, jobs / 20));
    let mut trouble = Trouble::new(1, &Hazard::ALL, SignedDuration::from_hours(6), began);
    let (mut passes, mut first, mut largest, mut read) = (0_u64, 0, 0, 0);
    let mut sizes = Vec::new();
    for week in 0..WEEKS {
        let monday = began + SignedDuration::from_hours(week * 168);
        for _ in 0..i64::from(jobs) / WEEKS {
            let duration = Distribution::LogNormal { median: SignedDuration::from_mins(6), sigma: 0.8 };
            let at = moment(&mut rng, monday);
            stage.world.queue_jobs(operator.view.pool, JobSpec::new(duration), Some(at)).unwrap();
        }
        let end = monday + SignedDuration::from_hours(168);
        let mut most = 0;
        while stage.world.now() < end {
            let now = stage.world.now();
            stage.world.advance(operator.wake.min(trouble.due()).max(now).min(end));
            trouble.strike(&mut stage, &mut operator);
            if operator.wake <= stage.world.now() {
                passes += 1;
                if operator.pass(&mut stage).is_err() {
                    operator.wake = stage.world.now() + SignedDuration::from_secs(5);
                }
                if passes.is_multiple_of(50) {
                    most = operator.memory().map_or(0, |memory| format!("{memory:?}").len()).max(most);
                }
            }
            let calm = trouble.is_calm(stage.world.now());
            // The judge must have seen every change.
            assert_eq!(stage.world.journal().forgotten(read), 0, "the journal is too short for the judge");
            stage.judge.tick(&stage.world, &operator.view, calm);
            read = stage.world.journal().written();
        }
        if week < 4 {
            first = most.max(first);
        }
        largest = most.max(largest);
        if week % 4 == 3 {
            sizes.push(resident());
            println!(
                "week {:>2}: {} jobs, {passes} passes, {read} changes of the world, resident {} MiB, memory of the operator at most {most} characters",
                week + 1,
                stage.world.tally().finished,
                resident(),
            );
        }
        stage.judge.check().unwrap();
    }
    assert!(largest <= first * 3, "the operator's memory has grown from {first} to {largest} characters");
    trouble.end(&mut stage, &operator.view);
    operator.pool.deletion = Some(DeletionPolicy::Drain);
    operator.respecify(stage.world.now());
    let end = stage.world.now() + SignedDuration::from_hours(48);
    while !operator.drained && stage.world.now() < end {
        stage.world.advance(operator.wake.min(end));
        let _ = operator.pass(&mut stage);
    }
    assert!(operator.drained, "it does not drain");
    assert_eq!(stage.world.journal().forgotten(read), 0, "the journal is too short for the judge");
    stage.judge.close(&stage.world, &operator.view, stage.raised_by_others);
    stage.judge.check().unwrap();
    println!("{passes} passes, window open {} times, faults {:?}", stage.judge.window_open, trouble.counts);
    println!("resident memory every four weeks, in MiB, the judge's books with it: {sizes:?}");
}
