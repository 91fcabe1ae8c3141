//! One made-up hour of jobs through the whole operator: all finish, none is killed, and the set ends as it began.

use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use poolkeeper_harness::{
    eventually,
    quickstart::ExampleWorld,
    replay::{Replay, ReplayJob},
    stage::Stage,
};

const SEED: u64 = 7;
/// Simulated seconds per second.
const SPEED: u32 = 100;
const STANDBY: u32 = 4;
/// Fewer than the burst would have, so that the maximum is tried.
const MOST: u32 = 40;
/// Wall time for the standby to go back: the idle delay of 30 simulated minutes is 18 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// Calls a minute that Azure grants for one scale set in the long run, and at once after a pause (Azure: compute
/// throttling limits, token buckets of three minutes).
const BUDGETS: [(&str, f64, u32); 6] = [
    ("scaleSetGet", 12.0, 36),
    ("scaleSetUpdate", 4.0, 12),
    ("instanceList", 10.0, 30),
    ("instanceGet", 12.0, 36),
    ("instanceDelete", 4.0, 12),
    ("operationGet", 15.0, 45),
];

/// `SplitMix64` (Steele, Lea, Flood 2014), as a number from 0 to 1, without 1.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Poisson arrivals, 1.5 a minute, with a burst of 12 a minute from 20:00 to 25:00; jobs of 2 to 15 minutes.
fn jobs(seed: u64) -> Vec<ReplayJob> {
    let (mut state, mut at, mut jobs) = (seed, 0.0, Vec::new());
    loop {
        let per_second = if (1200.0..1500.0).contains(&at) { 12.0 } else { 1.5 } / 60.0;
        at += -(1.0 - uniform(&mut state)).ln() / per_second;
        if at >= 3600.0 {
            return jobs;
        }
        let duration = SignedDuration::from_secs_f64(120.0 + 780.0 * uniform(&mut state));
        jobs.push(ReplayJob { at: SignedDuration::from_secs_f64(at), duration });
    }
}

#[tokio::test]
async fn every_job_of_an_hour_with_a_burst_finishes_within_the_maximum() -> Result<()> {
    let jobs = jobs(SEED);
    ensure!((100..250).contains(&jobs.len()), "{} jobs are not such an hour", jobs.len());
    let replay = Replay {
        jobs,
        length: SignedDuration::from_hours(1),
        grace: SignedDuration::from_hours(2),
        speed: SPEED,
        standby: STANDBY,
        max_agents: MOST,
        seed: SEED,
    };
    // The quota is no help against too many VMs.
    let world = ExampleWorld::read()?.with_quota(3 * MOST);
    let mut stage = Stage::start(world, SEED, SPEED, |line| println!("{line}")).await?;
    let result = hour(&replay, &mut stage).await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs().await?.display());
    }
    result
}

async fn hour(replay: &Replay, stage: &mut Stage) -> Result<()> {
    let report = replay.run(stage, |line| println!("{line}")).await?;
    println!("{report}");
    ensure!(
        report.passed(),
        "of {} jobs {} finished and {} were killed",
        report.jobs,
        report.finished,
        report.killed
    );
    ensure!(report.peak_vms <= MOST, "{} VMs, and maxAgents is {MOST}", report.peak_vms);
    ensure!(report.peak_vms > 2 * STANDBY, "the burst had only {} VMs", report.peak_vms);
    for call in &report.calls {
        let budget = BUDGETS.iter().find(|(class, ..)| *class == call.call);
        let within = budget
            .is_none_or(|(_, mean, most)| call.mean_per_minute <= *mean && call.max_per_minute <= *most);
        ensure!(within, "Azure would throttle {}: its budget is {budget:?}, {call:?}", call.call);
    }
    let standby = usize::try_from(STANDBY)?;
    eventually("the set is back at its standby", PATIENCE, async || {
        let set = stage.control.scale_set().await?;
        ensure!(
            (set.capacity, set.vms()) == (STANDBY, standby),
            "capacity {}, {} VMs",
            set.capacity,
            set.vms()
        );
        Ok(Some(()))
    })
    .await?;
    stage.check_operator()
}
