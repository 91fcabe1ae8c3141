//! What happens between two calls: time passes, and the scheduler assigns a waiting job at the worst moment.

use std::sync::Arc;

use jiff::SignedDuration;
use poolkeeper_policy::{Call, Member};
use poolkeeper_simulator::{
    World,
    spec::Distribution,
    world::{JobSpec, PoolRef},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// The moment before a call.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The call that comes next.
    pub next: &'a Call,
    /// Whom the deed is about.
    pub members: &'a [Member],
    /// The agents have been listed a last time.
    pub listed: bool,
    /// It is made at once with the call before it.
    pub beside: bool,
}

/// How mean the scheduler is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spite {
    /// How likely it is before each call that a job is queued for just the agent that is concerned.
    pub jobs: f64,
    /// How likely it is that a call is slow.
    pub slow: f64,
    /// How long a slow call takes, at the longest.
    pub longest: SignedDuration,
}

impl Spite {
    /// Nothing but the time that calls take.
    pub const NONE: Self = Self { jobs: 0.0, slow: 0.0, longest: SignedDuration::ZERO };
    /// As the long runs have it.
    pub const FULL: Self = Self { jobs: 0.3, slow: 0.02, longest: SignedDuration::from_secs(20) };
}

/// Whoever has nothing better to do than to break the operator.
#[derive(Debug)]
pub struct Adversary {
    rng: StdRng,
    /// How mean it is.
    pub spite: Spite,
    /// Jobs that it keeps back for the worst moment.
    pub kept_back: u32,
    /// Jobs that were given to just the agent that a deed was about.
    pub hits: u64,
}

impl Adversary {
    /// One that keeps so many jobs back.
    pub fn new(seed: u64, spite: Spite, kept_back: u32) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), spite, kept_back, hits: 0 }
    }

    pub(crate) fn is_drawn(&mut self, chance: f64) -> bool {
        self.rng.random_bool(chance.clamp(0.0, 1.0))
    }

    /// How long the next call takes.
    pub(crate) fn latency(&mut self) -> SignedDuration {
        let slow = self.spite.slow > 0.0 && self.rng.random_bool(self.spite.slow);
        let longest = if slow { self.spite.longest.as_millis() } else { 600 };
        let longest = i64::try_from(longest).unwrap_or(i64::MAX).max(51);
        SignedDuration::from_millis(self.rng.random_range(50..longest))
    }

    /// Does its worst before a call.
    pub(crate) fn strike(&mut self, world: &mut World, pool: PoolRef, moment: Moment<'_>) {
        if self.kept_back == 0 || self.spite.jobs <= 0.0 || !self.rng.random_bool(self.spite.jobs) {
            return;
        }
        let chosen = self.rng.random_range(0..moment.members.len().max(1));
        let Some(member) = moment.members.get(chosen) else { return };
        let minutes = self.rng.random_range(1..15);
        if give(world, pool, &member.computer_name, SignedDuration::from_mins(minutes)) {
            self.kept_back -= 1;
            self.hits += 1;
        }
    }

    /// Queues what is left.
    pub fn let_go(&mut self, world: &mut World, pool: PoolRef) {
        let count = std::mem::take(&mut self.kept_back);
        if count > 0 {
            let duration = Distribution::LogNormal { median: SignedDuration::from_mins(3), sigma: 0.5 };
            let _ = world.queue_jobs(pool, JobSpec { count, ..JobSpec::new(duration) }, None);
        }
    }
}

/// Lets the service give a job to this very agent, if it can have one now.
pub(crate) fn give(world: &mut World, pool: PoolRef, name: &str, duration: SignedDuration) -> bool {
    if !world
        .pool(pool)
        .and_then(|pool| pool.agent_named(name))
        .is_some_and(poolkeeper_simulator::world::Agent::is_free)
    {
        return false;
    }
    let job = JobSpec {
        demands: vec![format!("Agent.Name -equals {name}")],
        definition: Arc::from("worst moment"),
        ..JobSpec::new(Distribution::Constant(duration))
    };
    let Ok(ids) = world.queue_jobs(pool, job, None) else { return false };
    let waits = |id: &u64| {
        world
            .pool(pool)
            .and_then(|pool| pool.open(*id))
            .is_some_and(poolkeeper_simulator::world::JobRequest::is_waiting)
    };
    let left: Vec<u64> = ids.iter().copied().filter(waits).collect();
    for id in &left {
        let _ = world.cancel_job(pool, *id);
    }
    left.is_empty()
}
