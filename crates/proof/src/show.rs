//! A whole random world, from its first job to the end of its pool, by its seed.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::DeletionPolicy;
use poolkeeper_simulator::{spec::Distribution, world::JobSpec};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{Adversary, Hazard, Operator, Scene, Spite, Stage, Trouble, Verdict};

/// What a show is made of.
#[derive(Clone, Debug)]
pub struct Show {
    /// Everything follows from it.
    pub seed: u64,
    /// How many jobs there are.
    pub jobs: u32,
    /// What goes wrong.
    pub hazards: Vec<Hazard>,
    /// How mean the scheduler is.
    pub spite: Spite,
    /// Prints everything.
    pub trace: bool,
}

/// Sums over shows.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// Jobs that ran to their end.
    pub finished: u64,
    /// Jobs that something else than a call of ours has killed.
    pub lost_to_others: u64,
    /// Simulated time.
    pub time: SignedDuration,
    /// Passes.
    pub passes: u64,
    /// Crashes.
    pub crashes: u64,
    /// Jobs that were given to just the agent that a deed was about.
    pub hits: u64,
    /// Destructive calls that were accepted.
    pub destructive: u64,
    /// Faults by kind.
    pub faults: BTreeMap<Hazard, u64>,
    /// How often the remaining window was open.
    pub window_open: u64,
    /// How often a job was in it.
    pub window_jobs: u64,
    /// Records that VMs have left behind which went without us.
    pub ghosts: u64,
    /// The figures that must be 0.
    pub verdict: Verdict,
    /// What was found, with the seed that shows it.
    pub findings: Vec<String>,
}

impl Sums {
    /// Adds the sums of another show.
    pub fn add(&mut self, other: Self) {
        self.finished += other.finished;
        self.lost_to_others += other.lost_to_others;
        self.time = self.time.saturating_add(other.time);
        self.passes += other.passes;
        self.crashes += other.crashes;
        self.hits += other.hits;
        self.destructive += other.destructive;
        for (hazard, count) in other.faults {
            *self.faults.entry(hazard).or_default() += count;
        }
        self.window_open += other.window_open;
        self.window_jobs += other.window_jobs;
        self.ghosts += other.ghosts;
        self.verdict.killed += other.verdict.killed;
        self.verdict.leaked += other.verdict.leaked;
        self.verdict.over += other.verdict.over;
        self.verdict.mistaken += other.verdict.mistaken;
        self.findings.extend(other.findings);
    }
}

/// A pool without faults has run all its jobs, and is gone, after so long.
const PATIENCE: SignedDuration = SignedDuration::from_hours(48);

impl Show {
    /// All kinds of trouble, and a mean scheduler.
    #[must_use]
    pub fn full(seed: u64, jobs: u32) -> Self {
        Self { seed, jobs, hazards: Hazard::ALL.to_vec(), spite: Spite::FULL, trace: false }
    }

    /// Plays it.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub fn play(&self) -> anyhow::Result<Sums> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let scene = Scene::random(&mut rng);
        let (world, view) = scene.open(self.seed)?;
        let began = world.now();
        let kept_back = if self.spite.jobs > 0.0 { self.jobs / 4 } else { 0 };
        let mut stage = Stage::new(world, Adversary::new(rng.random(), self.spite, kept_back));
        stage.lag = SignedDuration::from_secs(if rng.random_bool(0.3) { rng.random_range(1..12) } else { 0 });
        self.queue(&mut rng, &scene, &mut stage, &view, self.jobs - kept_back);
        stage.trace = self.trace;
        stage.expected = u64::from(self.jobs - kept_back);
        let mean = SignedDuration::from_mins(rng.random_range(4..60));
        let mut trouble = Trouble::new(rng.random(), &self.hazards, mean, began);
        let mut operator = Operator::new(&scene.pool, view, "proof", began);
        let mut sums = Sums::default();

        // The load, under faults.
        while !idle(&stage, &operator) || stage.adversary.kept_back > 0 {
            self.step(&mut stage, &mut operator, &mut trouble, &mut sums);
            if stage.world.now().duration_since(began) > SignedDuration::from_hours(24 * 60) {
                break;
            }
            if stage.adversary.kept_back > 0 && idle(&stage, &operator) {
                stage.adversary.let_go(&mut stage.world, operator.view.pool);
            }
        }
        // In some worlds the pool is deleted while everything goes on.
        if rng.random_bool(0.5) {
            let load = JobSpec { count: 5, ..JobSpec::new(Distribution::seconds(400)) };
            let _ = stage.world.queue_jobs(operator.view.pool, load, None);
            let minutes = rng.random_range(1..30);
            self.run(
                &mut stage,
                &mut operator,
                &mut trouble,
                &mut sums,
                SignedDuration::from_mins(minutes),
                |_, _| false,
            );
            operator.pool.deletion = Some(DeletionPolicy::Drain);
            operator.respecify(stage.world.now());
            self.run(
                &mut stage,
                &mut operator,
                &mut trouble,
                &mut sums,
                SignedDuration::from_hours(2),
                |_, operator| operator.drained,
            );
        }
        let view = operator.view.clone();
        trouble.end(&mut stage, &view);
        if operator.pool.deletion.is_none() {
            let done = self.run(&mut stage, &mut operator, &mut trouble, &mut sums, PATIENCE, idle);
            if !done {
                stage.judge.leaked.push(format!("jobs wait for ever: {}", waiting(&stage, &operator)));
            }
            operator.pool.deletion = Some(DeletionPolicy::Drain);
            operator.respecify(stage.world.now());
        }
        let drained =
            self.run(&mut stage, &mut operator, &mut trouble, &mut sums, PATIENCE, |_, operator| {
                operator.drained
            });
        if !drained {
            stage.judge.leaked.push("the pool was never seen empty".to_owned());
        }
        stage.judge.close(&stage.world, &operator.view, stage.raised_by_others);
        if self.trace {
            stage.world.journal().entries().for_each(|entry| println!("{entry}"));
        }
        Ok(self.sum(&stage, &trouble, sums, began))
    }

    fn sum(&self, stage: &Stage, trouble: &Trouble, mut sums: Sums, began: Timestamp) -> Sums {
        let tally = stage.world.tally();
        let judge = &stage.judge;
        sums.finished = tally.finished;
        sums.lost_to_others =
            tally.killed.saturating_sub(u64::try_from(judge.killed.len()).unwrap_or_default());
        sums.time = stage.world.now().duration_since(began);
        sums.hits = stage.adversary.hits;
        sums.destructive = judge.destructive;
        sums.faults.clone_from(&trouble.counts);
        sums.window_open = judge.window_open;
        sums.window_jobs = judge.window_jobs;
        sums.ghosts = u64::try_from(judge.ghosts.len()).unwrap_or_default();
        sums.verdict = judge.verdict();
        if let Err(words) = judge.check() {
            sums.findings.push(format!("seed {} with {} jobs: {words}", self.seed, self.jobs));
        }
        sums
    }

    /// Whether `done` became true in time.
    fn run(
        &self,
        stage: &mut Stage,
        operator: &mut Operator,
        trouble: &mut Trouble,
        sums: &mut Sums,
        most: SignedDuration,
        done: impl Fn(&Stage, &Operator) -> bool,
    ) -> bool {
        let end = stage.world.now().checked_add(most).unwrap_or(Timestamp::MAX);
        while stage.world.now() < end {
            if done(stage, operator) {
                return true;
            }
            self.step(stage, operator, trouble, sums);
        }
        done(stage, operator)
    }

    /// To the next pass or the next trouble, whichever comes first.
    fn step(&self, stage: &mut Stage, operator: &mut Operator, trouble: &mut Trouble, sums: &mut Sums) {
        let now = stage.world.now();
        let next = operator.wake.min(trouble.due()).max(now);
        // Never in one leap, so that the judge sees how time passes.
        let leap = now.checked_add(SignedDuration::from_mins(10)).unwrap_or(Timestamp::MAX);
        stage.world.advance(next.min(leap));
        trouble.strike(stage, operator);
        if operator.wake <= stage.world.now() {
            sums.passes += 1;
            if operator.pass(stage).is_err() {
                sums.crashes += 1;
                // Kubernetes starts it again.
                operator.wake =
                    stage.world.now().checked_add(SignedDuration::from_secs(5)).unwrap_or(Timestamp::MAX);
            }
        }
        let calm = trouble.is_calm(stage.world.now());
        stage.judge.tick(&stage.world, &operator.view, calm);
    }

    /// Jobs come in bursts and singly, at a rate that the pool can serve.
    fn queue(
        &self,
        rng: &mut StdRng,
        scene: &Scene,
        stage: &mut Stage,
        view: &poolkeeper_simulator::in_process::View,
        mut left: u32,
    ) {
        let mut at = stage.world.now();
        let rate = f64::from(scene.pool.max_agents) / 700.0 * rng.random_range(0.3..1.0);
        while left > 0 {
            let burst = if rng.random_bool(0.2) { rng.random_range(1..=8_u32) } else { 1 }.min(left);
            left -= burst;
            let mean = f64::from(burst) / rate;
            let wait = mean * rng.random_range(0.1..1.9);
            at = at.checked_add(SignedDuration::try_from_secs_f64(wait).unwrap_or_default()).unwrap_or(at);
            let median = SignedDuration::from_secs(rng.random_range(20..400));
            let duration = Distribution::LogNormal { median, sigma: 0.7 };
            let job = JobSpec { count: burst, ..JobSpec::new(duration) };
            let _ = stage.world.queue_jobs(view.pool, job, Some(at));
        }
    }
}

/// No job waits, runs, or will come.
fn idle(stage: &Stage, operator: &Operator) -> bool {
    waiting(stage, operator) == 0 && stage.world.tally().queued >= stage.expected
}

fn waiting(stage: &Stage, operator: &Operator) -> usize {
    stage.world.pool(operator.view.pool).map_or(0, |pool| pool.open_requests().count())
}
