//! A pool that is brought to a phase, and what its operator says meanwhile.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    DeletionPolicy, FailureKind, HoldReason, Lifecycle, Notice, Outcome, PoolReason, Recycle, Truth,
};
use poolkeeper_proof::{Adversary, Operator, Pass, STATEFUL, Scene, Spite, Stage};
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration},
    world::JobSpec,
};

/// What a pool is just doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Growing,
    Idle,
    Busy,
    Recycling,
    Settling,
    Deleting,
    PoolDeleted,
}

impl Phase {
    pub(crate) const ALL: [Self; 7] = [
        Self::Growing,
        Self::Idle,
        Self::Busy,
        Self::Recycling,
        Self::Settling,
        Self::Deleting,
        Self::PoolDeleted,
    ];
}

/// A condition without its words.
pub(crate) type Said = (&'static str, Truth, PoolReason);

/// What one pass has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Timestamp,
    pub(crate) holds: Vec<HoldReason>,
    pub(crate) conditions: Vec<Said>,
    /// The reasons of the warnings that the operator publishes for such a pass.
    pub(crate) events: Vec<&'static str>,
}

impl Heard {
    pub(crate) fn says(&self, said: &Said) -> bool {
        self.conditions.contains(said)
    }

    /// By the operator's rules: bad conditions once when they begin, and whatever fails or is noticed.
    fn new(pass: &Pass, before: &[Said], at: Timestamp) -> Self {
        let plan = &pass.plan;
        let conditions: Vec<Said> =
            plan.conditions.iter().map(|said| (said.kind, said.truth, said.reason)).collect();
        let begins = |said: &&Said| {
            ["Stalled", "Holding", "CapacityLimited", "UnroutableJob"].contains(&said.0)
                && !before.contains(said)
        };
        let begun = conditions.iter().filter(begins).map(|said| said.2.as_str());
        let failed = pass.deeds.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Failed { failure, .. } | Outcome::Split { failure: Some((_, failure)), .. } => {
                Some(failure.kind.as_str())
            }
            Outcome::Done
            | Outcome::InFlight { .. }
            | Outcome::Split { failure: None, .. }
            | Outcome::Refused { .. } => None,
        });
        let lost = plan.lost.iter().map(|_| FailureKind::NeverEnded.as_str());
        let noticed = plan.notices.iter().map(|notice| match notice {
            Notice::AgentReused { .. } => "AgentReused",
            Notice::JobOverTwoDays { .. } => "JobOverTwoDays",
            Notice::FailedToStart { .. } => "FailedToStart",
        });
        let events = begun.chain(failed).chain(lost).chain(noticed).collect();
        Self { at, holds: plan.holds.iter().map(|hold| hold.reason).collect(), conditions, events }
    }
}

/// A world with one pool.
pub(crate) struct Bench {
    pub(crate) stage: Stage,
    pub(crate) operator: Operator,
    /// What the passes have said, up to the last [`Bench::take`].
    heard: Vec<Heard>,
    /// The conditions of the last pass.
    conditions: Vec<Said>,
}

impl Bench {
    fn new(lifecycle: Lifecycle) -> Self {
        let mut scene = Scene::plain(Orchestration::Uniform, lifecycle);
        scene.pool.idle_delay = SignedDuration::from_mins(3);
        let (world, view) = scene.open(5).unwrap();
        let operator = Operator::new(&scene.pool, view, "proof", world.now());
        let stage = Stage::new(world, Adversary::new(5, Spite::NONE, 0));
        Self { stage, operator, heard: Vec::new(), conditions: Vec::new() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.stage.world.now()
    }

    /// Until `done`, and at most so long; whether it was done.
    pub(crate) fn run(&mut self, seconds: i64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now() + SignedDuration::from_secs(seconds);
        while self.now() < end {
            if done(self) {
                return true;
            }
            self.stage.world.advance(self.operator.wake.min(end));
            if self.operator.wake <= self.now()
                && let Ok(Some(pass)) = self.operator.pass(&mut self.stage)
            {
                let heard = Heard::new(&pass, &self.conditions, self.now());
                self.conditions.clone_from(&heard.conditions);
                self.heard.push(heard);
            }
            self.stage.judge.tick(&self.stage.world, &self.operator.view, true);
        }
        done(self)
    }

    /// What was said since it was last asked.
    pub(crate) fn take(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }

    /// Whether the last pass has held anything.
    pub(crate) fn holds(&self) -> bool {
        self.heard.last().is_some_and(|heard| !heard.holds.is_empty())
    }

    pub(crate) fn queue(&mut self, count: u32, seconds: i64) {
        let job = JobSpec { count, ..JobSpec::new(Distribution::seconds(seconds)) };
        self.stage.world.queue_jobs(self.operator.view.pool, job, None).unwrap();
    }

    pub(crate) fn open(&self) -> usize {
        self.stage.world.pool(self.operator.view.pool).unwrap().open_requests().count()
    }

    pub(crate) fn delete_pool(&mut self) {
        self.operator.pool.deletion = Some(DeletionPolicy::Drain);
        self.respecify();
    }

    fn respecify(&mut self) {
        let now = self.now();
        self.operator.respecify(now);
    }

    /// How often agents were disabled, and agents or VMs were deleted or reimaged.
    pub(crate) fn deeds(&self) -> u64 {
        self.stage.judge.destructive + self.stage.judge.disabled
    }

    /// Brings the pool to the phase.
    pub(crate) fn reach(phase: Phase) -> Self {
        let stateless = Lifecycle::Stateless(Recycle::Reimage);
        let mut bench = Self::new(if phase == Phase::Recycling { stateless } else { STATEFUL });
        if phase == Phase::Growing {
            bench.run(40, |_| false);
            return bench;
        }
        bench.run(400, |_| false);
        match phase {
            Phase::Growing | Phase::Idle => {}
            Phase::Busy => {
                bench.queue(2, 1200);
                bench.run(30, |_| false);
            }
            Phase::Recycling => {
                bench.queue(2, 60);
                assert!(bench.run(600, |bench| bench.stage.judge.destructive > 0));
            }
            Phase::Settling | Phase::Deleting => {
                bench.operator.pool.standby.agents = 0;
                bench.respecify();
                let settles = |bench: &Self| bench.stage.judge.disabled > 0;
                let deletes = |bench: &Self| bench.stage.judge.destructive > 0;
                let reached = match phase {
                    Phase::Settling => bench.run(1200, settles),
                    _ => bench.run(1200, deletes),
                };
                assert!(reached);
            }
            Phase::PoolDeleted => {
                bench.queue(1, 300);
                bench.run(20, |_| false);
                bench.delete_pool();
                bench.run(5, |_| false);
            }
        }
        bench
    }
}
