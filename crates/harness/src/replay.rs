//! Replays jobs through the whole stage, faster than they came, and measures what became of them.

mod report;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::control::Tally;
use crate::ledger::{Counts, Ledger};
use crate::quickstart::{ExampleWorld, POOL};
use crate::stage::Stage;
pub use report::{CallRate, OperatorUsage, Report, Waits, percentile, service};

/// How often the world is looked at; the journal loses nothing in between.
const LOOK: Duration = Duration::from_millis(250);
/// The first standby is filled within this simulated time, with room for slow starts.
const FIRST_STANDBY: SignedDuration = SignedDuration::from_mins(60);
/// Wall time for queueing all jobs before the first is due: a part for each job, and one for a busy machine.
const QUEUEING: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(3));
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A job to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayJob {
    /// When it is queued, after the start.
    pub at: SignedDuration,
    /// How long it runs.
    pub duration: SignedDuration,
}

/// Jobs, and the pool that serves them: stateless with reimage, strategy Exact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replay {
    /// The jobs.
    pub jobs: Vec<ReplayJob>,
    /// How long is measured at least; longer until the last job has ended.
    pub length: SignedDuration,
    /// How long after `length` the last job must have ended.
    pub grace: SignedDuration,
    /// Simulated seconds per second.
    pub speed: u32,
    /// Idle agents that stand by.
    pub standby: u32,
    /// The most VMs.
    pub max_agents: u32,
    /// The seed of the simulator.
    pub seed: u64,
}

impl Replay {
    /// A made-up hour: jobs of 1 to 15 minutes that come at any time of it, the same for the same seed.
    #[must_use]
    pub fn synthetic_hour(seed: u64, jobs: u32) -> Self {
        let mut state = seed;
        let mut below = |bound: u64| i64::try_from(next(&mut state) % bound).unwrap_or(0);
        let job = |_| ReplayJob {
            at: SignedDuration::from_secs(below(3600)),
            duration: SignedDuration::from_secs(60 + below(14 * 60 + 1)),
        };
        let mut jobs: Vec<ReplayJob> = (0..jobs).map(job).collect();
        jobs.sort_by_key(|job| (job.at, job.duration));
        Self { jobs, length: HOUR, grace: HOUR * 2, speed: 200, standby: 8, max_agents: 100, seed }
    }

    /// The stage for it.
    ///
    /// # Errors
    /// If a part does not start.
    pub async fn stage(&self, say: impl FnMut(&str)) -> Result<Stage> {
        let world = ExampleWorld::read()?.with_quota(self.max_agents);
        Stage::start(world, self.seed, self.speed, say).await
    }

    /// Applies the pool, waits for its first standby, queues all jobs at their times, and waits until all have ended.
    ///
    /// # Errors
    /// If a part of the stage fails. A job that does not end, or is killed, is in the report instead.
    pub async fn run(&self, stage: &mut Stage, mut say: impl FnMut(&str)) -> Result<Report> {
        let began = Instant::now();
        let spec = json!({
            "maxAgents": self.max_agents,
            "standby": {"agents": self.standby},
            "scaleOut": {"strategy": "Exact"},
            "lifecycle": {"type": "Stateless", "stateless": {"recycle": "Reimage"}},
        });
        stage.apply_quickstart(&spec).await?;
        let mut ledger = Ledger::default();
        self.fill_standby(stage, &mut ledger).await?;
        say(&format!("{} agents stand by; queueing {} jobs", self.standby, self.jobs.len()));
        let start = self.queue(stage).await?;
        ledger.start_measuring(start);
        let before = self.watch_until(stage, &mut ledger, start).await?;

        let earliest = start.checked_add(self.length)?;
        let deadline = earliest.checked_add(self.grace)?;
        let all = u64::try_from(self.jobs.len()).unwrap_or(u64::MAX);
        let mut hour = 1;
        let end = loop {
            let now = look(stage, &mut ledger).await?;
            while start.checked_add(HOUR * hour).is_ok_and(|end| end <= now) {
                say(&progress(hour, &ledger));
                hour += 1;
            }
            if (ledger.ended() >= all && now >= earliest) || now >= deadline {
                break now;
            }
            tokio::time::sleep(LOOK).await;
        };
        ledger.measure(end);
        let tally = stage.control.tally().await?;
        Ok(Report::new(self, &ledger, start, end, (&before, &tally), began.elapsed(), usage(stage)))
    }

    async fn fill_standby(&self, stage: &mut Stage, ledger: &mut Ledger) -> Result<()> {
        let deadline = stage.control.now().await?.checked_add(FIRST_STANDBY)?;
        loop {
            let now = look(stage, ledger).await?;
            let Counts { idle, starting, vms, .. } = *ledger.counts();
            if idle >= self.standby {
                return Ok(());
            }
            if now >= deadline {
                let minutes = FIRST_STANDBY.as_mins();
                bail!(
                    "only {idle} of {} agents stand by after {minutes} simulated minutes; {starting} of {vms} VMs start",
                    self.standby
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Queues all jobs ahead of their times, so that none is late by a round trip. Returns the time of the start.
    async fn queue(&self, stage: &Stage) -> Result<Timestamp> {
        let jobs = u32::try_from(self.jobs.len()).unwrap_or(u32::MAX);
        let wall = QUEUEING.1.saturating_add(QUEUEING.0.saturating_mul(jobs));
        let lead = SignedDuration::try_from(wall.saturating_mul(self.speed))?;
        let start = stage.control.now().await?.checked_add(lead)?;
        for job in &self.jobs {
            stage.control.queue_job(POOL, job.duration, Some(start.checked_add(job.at)?)).await?;
        }
        ensure!(
            stage.control.now().await? < start,
            "this machine is too slow to queue the jobs ahead of time"
        );
        Ok(start)
    }

    /// The calls before the start are not the replay's.
    async fn watch_until(&self, stage: &mut Stage, ledger: &mut Ledger, start: Timestamp) -> Result<Tally> {
        loop {
            let before = stage.control.tally().await?;
            let left = start.duration_since(look(stage, ledger).await?);
            if !left.is_positive() {
                return Ok(before);
            }
            let wall = Duration::try_from(left)?.checked_div(self.speed).unwrap_or_default();
            tokio::time::sleep(wall.min(LOOK)).await;
        }
    }
}

/// Takes up what has happened; the simulated time.
async fn look(stage: &mut Stage, ledger: &mut Ledger) -> Result<Timestamp> {
    stage.check_operator()?;
    // The time first: everything up to it is then in the journal.
    let now = stage.control.now().await?;
    let entries = stage.control.journal(ledger.last_read()).await.context("the simulator's journal")?;
    ledger.read(&entries, |_, _| {});
    Ok(now)
}

fn progress(hour: i32, ledger: &Ledger) -> String {
    let Counts { busy, idle, starting, recycling, vms, queued, .. } = *ledger.counts();
    format!(
        "hour {hour:>2}: {:>5} jobs queued, {:>5} finished, {queued:>3} waiting | {vms:>3} VMs: {busy:>3} busy, {idle:>3} idle, \
         {:>3} starting or recycling",
        ledger.queued(),
        ledger.succeeded(),
        starting + recycling
    )
}

fn usage(stage: &Stage) -> Option<OperatorUsage> {
    OperatorUsage::of_process(stage.operator.process_id())
}

/// The next number of SplitMix64 (Steele, Lea, Flood 2014): enough for made-up jobs.
pub fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_synthetic_hour_depends_on_its_seed_alone() {
        let hour = Replay::synthetic_hour(7, 100);
        assert_eq!(hour, Replay::synthetic_hour(7, 100));
        assert_ne!(hour.jobs, Replay::synthetic_hour(8, 100).jobs);
        assert!(hour.jobs.is_sorted_by_key(|job| job.at));
        assert!(hour.jobs.iter().all(|job| job.at < HOUR
            && job.duration >= SignedDuration::from_mins(1)
            && job.duration <= SignedDuration::from_mins(15)));
    }
}
