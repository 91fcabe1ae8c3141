//! The whole life of a pool as a script: it grows, runs jobs, recycles, scales in, is deleted with jobs on it, and
//! drains; with a mishap at one place of it.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{DeletionPolicy, Lifecycle};
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration},
    world::JobSpec,
};

use crate::{Adversary, Crash, Operator, Scene, Spite, Stage, Status, Verdict};

/// Whose life.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// How its VMs are operated on.
    pub orchestration: Orchestration,
    /// What becomes of an agent after a job.
    pub lifecycle: Lifecycle,
}

/// What goes wrong in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing.
    None,
    /// The operator is stopped at a write; the status stays.
    Crash(Crash),
    /// The same, and the status is wiped before it starts again.
    CrashAndWipe(Crash),
    /// The status is wiped before the N-th pass, while the operator is restarted.
    Wipe(u64),
}

/// How it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Played {
    /// Writes that the operator made.
    pub writes: u64,
    /// Passes.
    pub passes: u64,
    /// Jobs that ran to their end.
    pub finished: u64,
    /// How long it took.
    pub time: SignedDuration,
    /// The longest time from the end of a record to the end of its VM.
    pub longest_half: SignedDuration,
    /// The most VMs at a time.
    pub max_vms: u32,
}

/// Jobs of the script.
const JOBS: u64 = 9;

struct Stand {
    stage: Stage,
    operator: Operator,
    mishap: Mishap,
    passes: u64,
}

impl Life {
    /// Plays it.
    ///
    /// # Errors
    /// In words, whatever is not as it must be at the end.
    pub fn play(&self, mishap: Mishap) -> Result<Played, String> {
        let mut scene = Scene::plain(self.orchestration, self.lifecycle);
        scene.pool.idle_delay = SignedDuration::from_mins(4);
        let (world, view) = scene.open(7).map_err(|error| error.to_string())?;
        let began = world.now();
        let mut operator = Operator::new(&scene.pool, view, "proof", began);
        operator.crash = match mishap {
            Mishap::Crash(crash) | Mishap::CrashAndWipe(crash) => Some(crash),
            Mishap::None | Mishap::Wipe(_) => None,
        };
        let stage = Stage::new(world, Adversary::new(7, Spite::NONE, 0));
        let mut stand = Stand { stage, operator, mishap, passes: 0 };
        stand.run(8, |_| false);
        stand.queue(4, 240);
        stand.queue(2, 900);
        stand.run(120, |stand| stand.finished() >= 6);
        stand.operator.pool.standby.agents = 0;
        stand.operator.respecify(stand.stage.world.now());
        if !stand.run(180, |stand| stand.vms() == 0) {
            return Err("it does not scale in".to_owned());
        }
        stand.queue(3, 600);
        stand.run(4, |_| false);
        stand.operator.pool.deletion = Some(DeletionPolicy::Drain);
        stand.operator.respecify(stand.stage.world.now());
        // A deleted pool makes no VMs for jobs that wait; those that run end.
        let left = stand.waiting();
        if !stand.run(600, |stand| stand.operator.drained) {
            return Err("it does not drain".to_owned());
        }
        stand.end(began, left)
    }
}

impl Stand {
    fn end(mut self, began: Timestamp, left: u64) -> Result<Played, String> {
        let Self { stage, operator, passes, .. } = &mut self;
        stage.judge.close(&stage.world, &operator.view, stage.raised_by_others);
        stage.judge.check()?;
        if let Some(ghost) = stage.judge.ghosts.first() {
            return Err(ghost.clone());
        }
        let capacity: u32 = stage.world.sets().map(|(_, set)| set.capacity).sum();
        if capacity != 0 {
            return Err(format!("the capacity is {capacity} at the end"));
        }
        let tags: usize = stage.world.sets().map(|(_, set)| set.tags.len()).sum();
        if tags != 0 {
            return Err("tags are left".to_owned());
        }
        let tally = stage.world.tally();
        if tally.finished + left < JOBS || tally.killed > 0 {
            return Err(format!("{} of {JOBS} jobs have ended, {left} found no agent", tally.finished));
        }
        if stage.judge.verdict() != Verdict::default() {
            return Err(format!("{:?}", stage.judge.verdict()));
        }
        Ok(Played {
            writes: operator.writes,
            passes: *passes,
            finished: tally.finished,
            time: stage.world.now().duration_since(began),
            longest_half: stage.judge.longest_half,
            max_vms: tally.max_vms,
        })
    }

    /// Whether `done` became true within so many minutes.
    fn run(&mut self, minutes: i64, done: impl Fn(&Self) -> bool) -> bool {
        let begun = self.stage.world.now();
        let end = begun.checked_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX);
        while self.stage.world.now() < end {
            if done(self) {
                return true;
            }
            self.stage.world.advance(self.operator.wake.min(end));
            if self.operator.wake <= self.stage.world.now() {
                self.pass();
            }
            self.stage.judge.tick(&self.stage.world, &self.operator.view, true);
        }
        done(self)
    }

    fn pass(&mut self) {
        self.passes += 1;
        if self.mishap == Mishap::Wipe(self.passes) {
            self.operator.status = Status::default();
            self.operator.restart(self.stage.world.now());
        }
        if self.operator.pass(&mut self.stage).is_err() {
            if matches!(self.mishap, Mishap::CrashAndWipe(_)) {
                self.operator.status = Status::default();
            }
            // Kubernetes starts it again.
            let now = self.stage.world.now();
            self.operator.wake = now.checked_add(SignedDuration::from_secs(5)).unwrap_or(Timestamp::MAX);
        }
    }

    fn queue(&mut self, count: u32, seconds: i64) {
        let job = JobSpec { count, ..JobSpec::new(Distribution::seconds(seconds)) };
        let _ = self.stage.world.queue_jobs(self.operator.view.pool, job, None);
    }

    fn finished(&self) -> u64 {
        self.stage.world.tally().finished
    }

    fn vms(&self) -> u32 {
        self.stage.world.tally().vms
    }

    fn waiting(&self) -> u64 {
        let pool = self.stage.world.pool(self.operator.view.pool);
        let waiting = pool.map_or(0, |pool| pool.open_requests().filter(|job| job.is_waiting()).count());
        u64::try_from(waiting).unwrap_or_default()
    }
}
