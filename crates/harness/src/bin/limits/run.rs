//! The run: start-up, warm-up, calm, storm, and what follows it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::ListParams;
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::control::Tally;
use poolkeeper_harness::quickstart::NAMESPACE;
use poolkeeper_harness::replay::OperatorUsage;
use poolkeeper_harness::stage::Stage;
use serde_json::json;

use crate::SEED;
use crate::calls::{self, Doors};
use crate::fleet::{self, ALL_SETS, POOLS};
use crate::load::Pattern;
use crate::record::Record;
use crate::report::{Delays, Report};

/// How often the world is looked at; the journal loses nothing in between.
const LOOK: Duration = Duration::from_millis(250);
/// Wall time within which all bindings have claimed their scale sets.
const START: Duration = Duration::from_secs(300);
/// Jobs are handed to the simulator so long ahead, in wall time.
const AHEAD: Duration = Duration::from_secs(5);
/// How long after the storm its scale set must be written to, and all jobs have started.
const AFTER: SignedDuration = SignedDuration::from_mins(30);
/// Requests to the simulator at a time.
const AT_ONCE: usize = 8;

pub(crate) struct Run<Say> {
    stage: Stage,
    speed: u32,
    say: Say,
    began: Instant,
    record: Record,
    doors: Doors,
    now: Timestamp,
    tally: Tally,
}

/// When jobs come.
struct Plan {
    pattern: Pattern,
    /// A round of the pattern begins here.
    round: Timestamp,
    /// No job comes from then on.
    end: Timestamp,
    /// Up to when the simulator has been told.
    told: Timestamp,
}

/// The clouds and the operator at one time.
struct Mark {
    at: Timestamp,
    refused: u64,
    job_reads: u64,
}

impl<Say: FnMut(&str)> Run<Say> {
    pub(crate) fn new(stage: Stage, speed: u32, say: Say) -> Self {
        let (record, doors, tally) = (Record::default(), Doors::default(), Tally::default());
        Self { stage, speed, say, began: Instant::now(), record, doors, now: Timestamp::UNIX_EPOCH, tally }
    }

    pub(crate) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(crate) async fn play(&mut self, minutes: i64, warm_up: i64, every: i64) -> Result<Report> {
        let length = SignedDuration::from_mins(minutes);
        let pattern = Pattern::new(SEED, length, SignedDuration::from_secs(every));
        let throttled = fleet::scale_set(0, 0, 0);
        self.start().await?;

        let first = self.now.checked_add(self.ahead()?)?;
        let calm = first.checked_add(SignedDuration::from_mins(warm_up))?;
        let storm = calm.checked_add(length)?;
        let end = storm.checked_add(length)?;
        let jobs = pattern.len();
        (self.say)(&format!(
            "{warm_up} simulated minutes of warm-up, {minutes} of calm, {minutes} of storm; {jobs} jobs in each of these"
        ));
        let mut plan = Plan { pattern, round: calm, end, told: first };
        self.until(calm, &mut plan).await?;
        self.record.start_measuring(self.now);
        let at_calm = self.mark().await?;
        (self.say)("calm begins");
        self.until(storm, &mut plan).await?;
        let moving_calm = self.record.mean_moving(self.now);
        self.record.start_measuring(self.now);
        let at_storm = self.mark().await?;
        let lasts = format!("{}s", end.duration_since(self.now).as_secs());
        let fault = json!({"scaleSet": throttled, "azure": "throttle", "for": lasts});
        let over = self.stage.control.set_fault(&fault).await?.context("the fault has no end")?;
        (self.say)(&format!("storm begins: every call of {throttled} is answered with 429"));
        self.until(over, &mut plan).await?;
        let moving_storm = self.record.mean_moving(self.now);
        let at_end = self.mark().await?;
        (self.say)("the storm is over");
        let patience = over.checked_add(AFTER)?;
        while self.now < patience
            && (self.record.first_operation(&throttled, over).is_none()
                || self.record.waiting_since_before(end) > 0)
        {
            self.look().await?;
            tokio::time::sleep(LOOK).await;
        }

        let affected = fleet::pool(0);
        let (times, other) = ([(calm, storm), (storm, end)], |name: &str| name != affected);
        let [calm_delays, storm_delays] = times.map(|times| self.record.delays(times, other));
        let [its_calm, its_storm] = times.map(|times| self.record.delays(times, |name| !other(name)));
        let metrics = self.stage.operator.metrics().await?;
        Ok(Report {
            rows: calls::rows(&metrics, &self.tally, &self.doors),
            over_a_limit: self.tally.calls.values().map(|count| count.throttled).sum(),
            refused: [at_storm.refused, calls::refused(&metrics).saturating_sub(at_storm.refused)],
            moving: [moving_calm, moving_storm],
            sampled: [sampled(&at_calm, &at_storm), sampled(&at_storm, &at_end)],
            delays: vec![
                Delays { name: "pools without the throttled set, calm", delays: calm_delays },
                Delays { name: "pools without the throttled set, storm", delays: storm_delays },
                Delays { name: "the pool of the throttled set, calm", delays: its_calm },
                Delays { name: "the pool of the throttled set, storm", delays: its_storm },
            ],
            waiting: self.record.waiting_since_before(end),
            killed: self.record.killed,
            relief: self.record.first_operation(&throttled, over).map(|at| at.duration_since(over)),
            storm: throttled,
            speed: self.speed,
            span: self.now.duration_since(first),
            wall: self.began.elapsed(),
            operator: OperatorUsage::of_process(self.stage.operator.process_id()),
        })
    }

    /// Applies all pools and bindings, and waits until each of them is ready.
    async fn start(&mut self) -> Result<()> {
        let manifests = fleet::manifests(&self.stage)?;
        self.stage.apply(&manifests).await?;
        (self.say)(&format!("{POOLS} pools and {ALL_SETS} bindings are applied"));
        self.look().await?;
        let (from, began) = (self.now, Instant::now());
        let client = self.stage.control_plane.client().await?;
        let pools: Api<AgentPool> = Api::namespaced(client.clone(), NAMESPACE);
        let bindings: Api<ScaleSetBinding> = Api::namespaced(client, NAMESPACE);
        loop {
            self.look().await?;
            let pools = pools.list(&ListParams::default()).await?;
            let bindings = bindings.list(&ListParams::default()).await?;
            let ready_pools = pools.iter().filter_map(|pool| pool.status.as_ref());
            let ready_pools = ready_pools.filter(|status| is_ready(&status.conditions)).count();
            let ready = bindings.iter().filter_map(|binding| binding.status.as_ref());
            let ready = ready.filter(|status| is_ready(&status.conditions)).count();
            if (ready_pools, ready) == (POOLS, ALL_SETS) {
                let seconds = self.now.duration_since(from).as_secs();
                (self.say)(&format!("all are ready within {seconds} simulated seconds"));
                return Ok(());
            }
            if began.elapsed() > START {
                bail!(
                    "only {ready_pools} of {POOLS} pools and {ready} of {ALL_SETS} bindings are ready after {} s",
                    START.as_secs()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Lets time pass, and hands over the jobs as they come near.
    async fn until(&mut self, then: Timestamp, plan: &mut Plan) -> Result<()> {
        while self.now < then {
            let near = self.now.checked_add(self.ahead()?)?.min(plan.end);
            if plan.told < near {
                let jobs = plan.pattern.between(plan.round, plan.told, near);
                let control = &self.stage.control;
                let queued = stream::iter(&jobs).map(|job| control.queue(job)).buffer_unordered(AT_ONCE);
                queued.try_collect::<()>().await?;
                plan.told = near;
            }
            self.look().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// [`AHEAD`] in simulated time.
    fn ahead(&self) -> Result<SignedDuration> {
        Ok(SignedDuration::try_from(AHEAD)? * i32::try_from(self.speed)?)
    }

    async fn look(&mut self) -> Result<()> {
        self.stage.check_operator()?;
        // The time first: everything up to it is then in the journal.
        self.now = self.stage.control.now().await?;
        let entries = self.stage.control.journal(self.record.read).await?;
        self.record.take(&entries);
        self.tally = self.stage.control.tally().await?;
        self.doors.take(self.now, &self.tally);
        Ok(())
    }

    async fn mark(&self) -> Result<Mark> {
        let refused = calls::refused(&self.stage.operator.metrics().await?);
        let job_reads = self.tally.calls.get("requestGet").map_or(0, |count| count.total);
        Ok(Mark { at: self.now, refused, job_reads })
    }
}

fn is_ready(conditions: &[Condition]) -> bool {
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Between two reads of one pool's jobs, in the mean.
fn sampled(from: &Mark, until: &Mark) -> SignedDuration {
    let reads = until.job_reads.saturating_sub(from.job_reads).max(1) as f64;
    let time = until.at.duration_since(from.at).as_secs_f64() * POOLS as f64;
    SignedDuration::try_from_secs_f64(time / reads).unwrap_or_default()
}
