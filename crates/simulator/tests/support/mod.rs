//! Worlds for tests.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod face;
pub(crate) mod jwt;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_simulator::{
    World, WorldSpec,
    spec::{Distribution, Run},
    world::{Entry, JobSpec, Kind, PoolRef, SetRef},
};

/// The world file that users start from.
pub(crate) fn example() -> WorldSpec {
    WorldSpec::parse(include_str!("../../../../examples/simulator/world.yaml")).unwrap()
}

/// The example with round figures: 60 s to running, 30 s to registration, 5 s to online, 40 s to reimage, 20 s to
/// delete, and jobs that start after 2 s. A dead agent is offline at once.
pub(crate) fn round_figures() -> WorldSpec {
    let mut spec = example();
    for set in &mut spec.scale_sets {
        set.timings.create = Distribution::seconds(60);
        set.timings.register = Distribution::seconds(30);
        set.timings.reimage = Distribution::seconds(40);
        set.timings.delete = Distribution::seconds(20);
        set.agents.as_mut().unwrap().run = Run::Continuous;
    }
    for organization in &mut spec.organizations {
        organization.timings.online = Distribution::seconds(5);
        organization.timings.offline = Distribution::seconds(0);
        organization.timings.receive = Distribution::seconds(2);
    }
    spec
}

/// The round figures with so many VMs that run, and once or continuously.
pub(crate) fn running(vms: u32, run: Run) -> WorldSpec {
    let mut spec = round_figures();
    spec.scale_sets[0].capacity = vms;
    spec.scale_sets[0].agents.as_mut().unwrap().run = run;
    spec
}

pub(crate) fn start() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

/// A world with its one scale set and one pool at hand.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) set: SetRef,
    pub(crate) pool: PoolRef,
}

impl Bench {
    pub(crate) fn new(spec: WorldSpec) -> Self {
        Self::seeded(spec, 1)
    }

    pub(crate) fn seeded(spec: WorldSpec, seed: u64) -> Self {
        let world = World::new(spec, seed, start()).unwrap();
        let set = world.sets().next().unwrap().0;
        let pool = world.find_pool("fabrikam", "linux-build").unwrap();
        Self { world, set, pool }
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        let to = self.world.now() + SignedDuration::from_secs(seconds);
        self.world.advance(to);
    }

    pub(crate) fn queue(&mut self, count: u32, seconds: i64) -> Vec<u64> {
        let job = JobSpec { count, ..JobSpec::new(Distribution::seconds(seconds)) };
        self.world.queue_jobs(self.pool, job, None).unwrap()
    }

    pub(crate) fn instance_ids(&self) -> Vec<u64> {
        self.world.set(self.set).unwrap().instances().map(|instance| instance.id).collect()
    }

    pub(crate) fn idle(&self) -> usize {
        self.world.pool(self.pool).unwrap().agents().filter(|agent| agent.is_free()).count()
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.world.journal().entries().map(|entry| entry.kind).collect()
    }

    pub(crate) fn last(&self, kind: Kind) -> &Entry {
        self.world.journal().entries().filter(|entry| entry.kind == kind).last().unwrap()
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.world.journal().entries().filter(|entry| entry.kind == kind).count()
    }

    pub(crate) fn record(&self) -> Vec<String> {
        self.world.journal().entries().map(ToString::to_string).collect()
    }
}
