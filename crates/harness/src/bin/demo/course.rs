//! The acts: what is done, and what must be seen.

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use poolkeeper_harness::quickstart::POOL;
use poolkeeper_harness::worked_example::{ELASTIC_POOL, EXACT, IdleBusy};
use serde_json::{Value, json};

use crate::show::Show;

/// The worked example under one strategy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    pub(crate) strategy: &'static str,
    about: &'static str,
    pub(crate) expected: &'static [IdleBusy],
    /// Simulated minutes within which each step must follow the one before.
    minutes: &'static [i64],
}

/// `maxAgents` of `examples/quickstart`.
pub(crate) const MOST: u32 = 4;
/// `standby.agents` of `examples/quickstart`.
const STANDBY: u32 = 2;
const JOB: SignedDuration = SignedDuration::from_mins(20);
/// A drain takes a sample, a settled agent, and the deletion of the VMs.
const DRAIN: SignedDuration = SignedDuration::from_mins(60);
/// Statuses follow at most every 30 s, and a scale set is listed every 5 minutes when quiet.
const PUBLISHED: SignedDuration = SignedDuration::from_mins(15);
/// The first standby; growth while the job runs; the job's rest and the reimage; `idleDelay` and the deletion.
const MINUTES: &[i64] = &[5, 45, 30, 60, 90];

impl Course {
    pub(crate) const ELASTIC_POOL: Self = Self {
        strategy: "ElasticPool",
        about: "as Azure DevOps does it: sampled every 5 minutes, in steps of 50 % of the maximum",
        expected: ELASTIC_POOL,
        minutes: MINUTES,
    };
    pub(crate) const EXACT: Self = Self {
        strategy: "Exact",
        about: "poolkeeper's default: what is missing, at once",
        expected: EXACT,
        minutes: MINUTES,
    };

    /// What is merged into the spec of the example's pool.
    fn scale_out(self) -> Value {
        if self.strategy == Self::EXACT.strategy {
            return json!({"strategy": "Exact"});
        }
        json!({"strategy": "ElasticPool", "elasticPool": {"incrementPercent": 50}})
    }
}

/// Plays one act after the other, with the pool deleted and drained in between.
pub(crate) async fn play(show: &mut Show, courses: &[Course]) -> Result<()> {
    for (number, course) in courses.iter().enumerate() {
        if number > 0 {
            drain(show).await?;
        }
        act(show, number + 1, *course).await?;
    }
    Ok(())
}

async fn act(show: &mut Show, number: usize, course: Course) -> Result<()> {
    let Course { strategy, about, expected, minutes } = course;
    let title = format!("act {number}: strategy {strategy}");
    show.screen.line("");
    show.screen.line(&format!("== {title} ({about})"));
    show.begin(title, course).await?;

    let scale_out = course.scale_out();
    let (quickstart, said) = show.stage.apply_quickstart(&json!({"scaleOut": scale_out})).await?;
    show.pool_exists(STANDBY);
    show.screen.line("$ kubectl apply -f examples/quickstart/");
    show.screen.line(&said);
    show.note(&format!(
        "changed for the demo: organization.url is {} instead of {}, the Secrets have the simulator's tokens, and \
         scaleOut is {scale_out}",
        quickstart.organization_url, quickstart.example_url
    ));
    for (index, (step, minutes)) in expected.iter().zip(minutes).enumerate() {
        show.until_step(index + 1, *step, SignedDuration::from_mins(*minutes)).await?;
        if index == 1 {
            // So that nobody wonders about a status of before.
            show.until_published(PUBLISHED).await?;
            show.stage.control.queue_job(POOL, JOB, None).await?;
            show.note(&format!("one job of {} minutes is queued", JOB.as_mins()));
        }
    }
    show.until_published(PUBLISHED).await?;
    ensure!(show.killed() == 0, "{strategy}: a job was killed");
    Ok(())
}

async fn drain(show: &mut Show) -> Result<()> {
    show.screen.line("");
    show.screen.line(&format!("$ kubectl delete agentpool {POOL}"));
    let said = show.stage.kubectl(&["delete", "agentpool", POOL, "--wait=false"]).await?;
    show.screen.line(&said);
    show.until_drained(DRAIN).await?;
    show.note("the pool is gone, its scale set is empty, and the claim is released");
    Ok(())
}
