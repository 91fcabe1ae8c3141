//! The acts: what is done, and what must be seen.

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use poolkeeper_harness::quickstart::{Example, FLEXIBLE, QUICKSTART};
use poolkeeper_harness::worked_example::{ELASTIC_POOL, EXACT, IdleBusy};
use serde_json::{Value, json};

use crate::show::Show;
use crate::words::names;

/// The worked example under one strategy, on one kind of scale set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// The orchestration of its scale set: what its lines begin with.
    pub(crate) orchestration: &'static str,
    pub(crate) strategy: &'static str,
    pub(crate) example: Example,
    pub(crate) expected: &'static [IdleBusy],
}

/// Courses that run at the same time, all of one strategy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Act {
    about: &'static str,
    pub(crate) courses: &'static [Course],
}

/// What a course waits for, or does, one after the other. Times are simulated minutes after the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cue {
    /// The pool settles at the step of this number.
    Step { number: usize, within: i64 },
    /// The API server says what is true.
    Published,
    /// The job is queued.
    Job,
}

/// `maxAgents` of the examples.
pub(crate) const MOST: u32 = 4;
/// `standby.agents` of the examples.
pub(crate) const STANDBY: u32 = 2;
pub(crate) const JOB: SignedDuration = SignedDuration::from_mins(20);
/// A drain takes a sample, a settled agent, and the deletion of the VMs.
const DRAIN: SignedDuration = SignedDuration::from_mins(60);

/// The first standby; growth while the job runs; the job's rest and the reimage; `idleDelay` and the deletion. A status
/// is read before the job comes, so that nobody wonders about one of before.
pub(crate) const CUES: &[Cue] = &[
    Cue::Step { number: 1, within: 5 },
    Cue::Step { number: 2, within: 45 },
    Cue::Published,
    Cue::Job,
    Cue::Step { number: 3, within: 30 },
    Cue::Step { number: 4, within: 60 },
    Cue::Step { number: 5, within: 90 },
    Cue::Published,
];

impl Act {
    pub(crate) const ELASTIC_POOL: Self = Self {
        about: "as Azure DevOps does it: sampled every 5 minutes, in steps of 50 % of the maximum",
        courses: &[Course {
            orchestration: "Uniform",
            strategy: "ElasticPool",
            example: QUICKSTART,
            expected: ELASTIC_POOL,
        }],
    };
    /// Two pools side by side.
    pub(crate) const EXACT: Self = Self {
        about: "poolkeeper's default: what is missing, at once",
        courses: &[
            Course { orchestration: "Uniform", strategy: "Exact", example: QUICKSTART, expected: EXACT },
            Course { orchestration: "Flexible", strategy: "Exact", example: FLEXIBLE, expected: EXACT },
        ],
    };

    fn strategy(self) -> &'static str {
        self.courses.first().map_or("none", |course| course.strategy)
    }

    /// What is merged into the specs of the examples' pools.
    fn scale_out(self) -> Value {
        match self.strategy() {
            "ElasticPool" => json!({"strategy": "ElasticPool", "elasticPool": {"incrementPercent": 50}}),
            other => json!({"strategy": other}),
        }
    }
}

/// Plays one act after the other, with the pools deleted and drained in between.
pub(crate) async fn play(show: &mut Show, acts: &[Act]) -> Result<()> {
    for (number, act) in acts.iter().enumerate() {
        if number > 0 {
            drain(show).await?;
        }
        play_act(show, number + 1, *act).await?;
    }
    Ok(())
}

async fn play_act(show: &mut Show, number: usize, act: Act) -> Result<()> {
    let strategy = act.strategy();
    let orchestrations = names(act.courses.iter().map(|course| course.orchestration), " and ");
    let title = format!("act {number}: strategy {strategy}, orchestration {orchestrations}");
    show.screen.line("");
    show.screen.line(&format!("== {title} ({})", act.about));
    show.begin(title, act.courses).await?;

    let scale_out = act.scale_out();
    let examples: Vec<Example> = act.courses.iter().map(|course| course.example).collect();
    let (quickstart, said) = show.stage.apply_examples(&examples, &json!({"scaleOut": scale_out})).await?;
    show.pools_exist(STANDBY);
    let folders = names(examples.iter().map(|example| example.folder), "/ -f examples/");
    show.screen.line(&format!("$ kubectl apply -f examples/{folders}/"));
    show.screen.line(&said);
    show.note(&format!(
        "changed for the demo: organization.url is {} instead of {}, the Secrets have the simulator's tokens, and \
         scaleOut is {scale_out}",
        quickstart.organization_url, quickstart.example_url
    ));
    show.until_played().await?;
    ensure!(show.killed() == 0, "{strategy}: a job was killed");
    Ok(())
}

async fn drain(show: &mut Show) -> Result<()> {
    let pools: Vec<&str> = show.current().map(|track| track.course.example.pool).collect();
    let mut delete = vec!["delete", "agentpool", "--wait=false"];
    delete.extend(&pools);
    show.screen.line("");
    show.screen.line(&format!("$ kubectl delete agentpool {}", pools.join(" ")));
    let said = show.stage.kubectl(&delete).await?;
    show.screen.line(&said);
    show.until_drained(DRAIN).await?;
    show.note("the pool is gone, its scale set is empty, and the claim is released");
    Ok(())
}
