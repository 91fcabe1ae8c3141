//! Every fault of a source in every phase of a pool: nothing is disabled, deleted or reimaged while it lasts, the plan
//! says that it holds, and when it is over all goes on.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use jiff::SignedDuration;
use poolkeeper_policy::{DeletionPolicy, HoldReason, Lifecycle, Recycle};
use poolkeeper_proof::{Adversary, Blind, Operator, STATEFUL, Scene, Spite, Stage};
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration},
    world::{AzureFault, DevOpsFault, Fault, JobSpec},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Growing,
    Idle,
    Busy,
    Recycling,
    Settling,
    Deleting,
    PoolDeleted,
}

#[derive(Clone, Debug)]
enum Ill {
    DevOps(DevOpsFault),
    Azure(AzureFault),
    Blind(Blind),
}

const PHASES: [Phase; 7] = [
    Phase::Growing,
    Phase::Idle,
    Phase::Busy,
    Phase::Recycling,
    Phase::Settling,
    Phase::Deleting,
    Phase::PoolDeleted,
];

fn ills() -> Vec<(&'static str, Ill)> {
    let blind = Blind::default;
    vec![
        ("sign-in page", Ill::DevOps(DevOpsFault::SignIn)),
        ("Azure DevOps 429", Ill::DevOps(DevOpsFault::Throttle)),
        ("Azure DevOps 503", Ill::DevOps(DevOpsFault::Unavailable)),
        ("Azure DevOps 403", Ill::DevOps(DevOpsFault::Forbidden)),
        ("Azure DevOps 401", Ill::DevOps(DevOpsFault::Unauthorized)),
        ("Azure DevOps 302", Ill::DevOps(DevOpsFault::Redirect)),
        ("Azure 403", Ill::Azure(AzureFault::Forbidden)),
        ("Azure 503", Ill::Azure(AzureFault::Unavailable)),
        ("Azure 429", Ill::Azure(AzureFault::Throttle)),
        ("subscription 429", Ill::Azure(AzureFault::ThrottleSubscription)),
        ("jobs missing", Ill::Blind(Blind { jobs: true, ..blind() })),
        ("agents missing", Ill::Blind(Blind { agents: true, ..blind() })),
        ("instances missing", Ill::Blind(Blind { instances: true, ..blind() })),
        ("scale set missing", Ill::Blind(Blind { sets: true, ..blind() })),
        ("old answers", Ill::Blind(Blind { repeated: true, ..blind() })),
    ]
}

struct Bench {
    stage: Stage,
    operator: Operator,
    holds: Vec<HoldReason>,
}

impl Bench {
    fn new(lifecycle: Lifecycle) -> Self {
        let mut scene = Scene::plain(Orchestration::Uniform, lifecycle);
        scene.pool.idle_delay = SignedDuration::from_mins(3);
        let (world, view) = scene.open(5).unwrap();
        let operator = Operator::new(&scene.pool, view, "proof", world.now());
        let stage = Stage::new(world, Adversary::new(5, Spite::NONE, 0));
        Self { stage, operator, holds: Vec::new() }
    }

    fn run(&mut self, seconds: i64, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.stage.world.now() + SignedDuration::from_secs(seconds);
        while self.stage.world.now() < end {
            if done(self) {
                return true;
            }
            self.stage.world.advance(self.operator.wake.min(end));
            if self.operator.wake <= self.stage.world.now()
                && let Ok(Some(pass)) = self.operator.pass(&mut self.stage)
            {
                self.holds.extend(pass.plan.holds.iter().map(|hold| hold.reason));
            }
            self.stage.judge.tick(&self.stage.world, &self.operator.view, true);
        }
        done(self)
    }

    fn queue(&mut self, count: u32, seconds: i64) {
        let job = JobSpec { count, ..JobSpec::new(Distribution::seconds(seconds)) };
        self.stage.world.queue_jobs(self.operator.view.pool, job, None).unwrap();
    }

    fn open(&self) -> usize {
        self.stage.world.pool(self.operator.view.pool).unwrap().open_requests().count()
    }

    fn respecify(&mut self) {
        let now = self.stage.world.now();
        self.operator.respecify(now);
    }

    /// Brings the pool to the phase.
    fn reach(phase: Phase) -> Self {
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
                bench.operator.pool.deletion = Some(DeletionPolicy::Drain);
                bench.respecify();
                bench.run(5, |_| false);
            }
        }
        bench
    }

    fn deeds(&self) -> u64 {
        self.stage.judge.destructive + self.stage.judge.disabled
    }
}

fn cell(phase: Phase, ill: &Ill) -> Result<Option<HoldReason>, String> {
    let mut bench = Bench::reach(phase);
    match ill {
        Ill::DevOps(kind) => bench.stage.world.set_fault(Fault::DevOps(0, *kind), None),
        Ill::Azure(kind) => {
            let set = *bench.operator.view.bindings.values().next().unwrap();
            bench.stage.world.set_fault(Fault::Azure(set, (*kind).into()), None);
        }
        Ill::Blind(blind) => bench.stage.blind = blind.clone(),
    }
    if matches!(ill, Ill::Blind(_)) {
        // What was read just before is believed for 12 s.
        bench.run(13, |_| false);
    }
    if matches!(ill, Ill::Blind(Blind { sets: true, .. })) {
        // A scale set is read anew before each write to it; that it is missing shows when it is due.
        bench.holds.clear();
        bench.run(600, |bench| !bench.holds.is_empty());
    }
    let before = bench.deeds();
    bench.holds.clear();
    bench.queue(1, 100);
    bench.run(2400, |_| false);
    if bench.deeds() > before {
        return Err(format!("{} destructive calls while the source was missing", bench.deeds() - before));
    }
    if bench.operator.drained {
        return Err("it is gone before anybody has seen it empty".to_owned());
    }
    let hold = bench.holds.first().copied();
    bench.stage.world.clear_faults();
    bench.stage.blind = Blind::default();
    let over = match phase {
        Phase::PoolDeleted => bench.run(7200, |bench| bench.operator.drained),
        _ => bench.run(7200, |bench| bench.open() == 0),
    };
    if !over {
        return Err("it does not recover".to_owned());
    }
    bench.operator.pool.deletion = Some(DeletionPolicy::Drain);
    bench.respecify();
    if !bench.run(14_400, |bench| bench.operator.drained) {
        return Err("it does not drain afterwards".to_owned());
    }
    bench.stage.judge.close(&bench.stage.world, &bench.operator.view);
    bench.stage.judge.check().map(|()| hold)
}

#[test]
fn nothing_is_removed_while_a_source_is_missing_or_old() {
    let mut failures = Vec::new();
    print!("{:<20}", "");
    PHASES.iter().for_each(|phase| print!("{:<16}", format!("{phase:?}")));
    println!();
    for (name, ill) in ills() {
        print!("{name:<20}");
        for phase in PHASES {
            let word = match cell(phase, &ill) {
                Ok(hold) => {
                    // Old answers are no fault that anybody could tell; all others are held by name.
                    if hold.is_none() && name != "old answers" {
                        failures.push(format!("{name}, {phase:?}: nothing says that it holds"));
                    }
                    hold.map_or("waits".to_owned(), |hold| hold.as_str().to_owned())
                }
                Err(why) => {
                    failures.push(format!("{name}, {phase:?}: {why}"));
                    "FAILS".to_owned()
                }
            };
            print!("{word:<16}");
        }
        println!();
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
