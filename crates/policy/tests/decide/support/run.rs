//! An operator at work in the world: it reads what is due, decides, acts and sleeps, all in virtual time.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, BindingName, JobRequest, Memory, Outcome, Plan, Pool, ScaleSet, Seen, SetView, Snapshot, Vm,
    decide,
};

use super::{
    monday,
    scene::{failure, unreachable_why},
    seconds,
    world::World,
};

/// What goes wrong in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    JobsMissing,
    AgentsMissing,
    ListsMissing,
    /// The instances are those of the last list.
    ListsStale,
    /// All writes fail, and do nothing.
    WritesFail,
    /// What is accepted in this pass ends badly.
    OperationsFail,
    /// Some VMs' own operations are refused.
    PartsFail,
    /// The operator stops after its deeds, before it has recorded what became of them.
    Crash,
    /// Somebody has deleted the status, and the operator is restarted.
    MemoryLost,
}

pub(crate) struct Run {
    pub(crate) pool: Pool,
    pub(crate) world: World,
    pub(crate) memory: Memory,
    pub(crate) wake: Timestamp,
    pub(crate) reads: Reads,
    eyes: Eyes,
}

/// How often each source was read; sets and lists together for all scale sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reads {
    pub(crate) jobs: usize,
    pub(crate) sets: usize,
    pub(crate) lists: usize,
}

/// What was read last. A source is due so long after it was tried as the plan says, whatever passes come in between.
#[derive(Default)]
struct Eyes {
    jobs: Source<Vec<JobRequest>>,
    agents: Source<Vec<Agent>>,
    sets: BTreeMap<BindingName, (Source<ScaleSet>, Source<Vec<Vm>>)>,
}

struct Source<T> {
    last: Option<(T, Timestamp)>,
    missing: bool,
    tried_at: Timestamp,
    due: Timestamp,
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { last: None, missing: true, tried_at: Timestamp::MIN, due: Timestamp::MIN }
    }
}

impl<T: Clone> Source<T> {
    fn read(&mut self, value: T, missing: bool, now: Timestamp) {
        self.tried_at = now;
        self.missing = missing;
        if !missing {
            self.last = Some((value, now));
        }
    }

    fn plan(&mut self, at: Timestamp, now: Timestamp) {
        let tried = self.tried_at.max(monday());
        self.due = if self.missing { tried.checked_add(at.duration_since(now)).unwrap() } else { at };
    }

    fn seen(&self) -> Seen<T> {
        match &self.last {
            Some((value, at)) if !self.missing => Seen::Fresh { value: value.clone(), at: *at },
            last => Seen::Missing { why: unreachable_why(), last: last.clone() },
        }
    }
}

impl Run {
    pub(crate) fn new(pool: &Pool, world: World) -> Self {
        let wake = world.now;
        Self {
            pool: pool.clone(),
            world,
            memory: Memory::default(),
            wake,
            reads: Reads::default(),
            eyes: Eyes::default(),
        }
    }

    /// Sleeps until the next pass is due, and makes it; the world after it.
    pub(crate) fn pass(&mut self, mishap: Mishap) -> (Snapshot, Plan) {
        self.world.advance(self.wake);
        let now = self.world.now;
        if mishap == Mishap::MemoryLost {
            self.memory = Memory::default();
            self.eyes = Eyes::default();
        }
        let seen = self.look(mishap);
        let plan = decide(&self.pool, &seen, &self.memory, now);
        self.memory = plan.memory.clone();
        let eyes = &mut self.eyes;
        let interval = plan.read_jobs_at.duration_since(now);
        eyes.jobs.due = eyes.jobs.tried_at.checked_add(interval).unwrap();
        self.wake = plan.next_wakeup.min(eyes.jobs.due);
        for (name, (set, list)) in &mut eyes.sets {
            set.plan(plan.bindings[name].read_set_at, now);
            list.plan(plan.bindings[name].list_at, now);
            self.wake = self.wake.min(set.due).min(list.due);
        }
        self.wake = self.wake.max(now.checked_add(seconds(1)).unwrap());
        self.act(&plan, mishap);
        (seen, plan)
    }

    fn look(&mut self, mishap: Mishap) -> Snapshot {
        let now = self.world.now;
        let is = |source: Mishap| mishap == source;
        let eyes = &mut self.eyes;
        if eyes.jobs.due <= now || is(Mishap::JobsMissing) || is(Mishap::AgentsMissing) {
            self.reads.jobs += 1;
            eyes.jobs.read(self.world.job_requests(), is(Mishap::JobsMissing), now);
            let unread = is(Mishap::JobsMissing) || is(Mishap::AgentsMissing);
            eyes.agents.read(self.world.agent_list(), unread, now);
        }
        for binding in self.world.sets.keys() {
            let (set, list) = eyes.sets.entry(binding.clone()).or_default();
            if set.due <= now || is(Mishap::ListsMissing) {
                self.reads.sets += 1;
                set.read(self.world.scale_set(binding), is(Mishap::ListsMissing), now);
            }
            if is(Mishap::ListsStale) && list.last.is_some() {
                // A copy that lags behind answers.
                list.last = list.last.take().map(|(value, _)| (value, now));
            } else if list.due <= now || is(Mishap::ListsMissing) {
                self.reads.lists += 1;
                list.read(self.world.vms(binding), is(Mishap::ListsMissing), now);
            }
        }
        let view = |(set, list): &(Source<ScaleSet>, Source<Vec<Vm>>)| SetView {
            blocked: None,
            scale_set: set.seen(),
            instances: list.seen(),
            headroom: None,
        };
        let urls = self.memory.operations.iter().filter_map(|operation| operation.url.as_ref());
        Snapshot {
            jobs: eyes.jobs.seen(),
            agents: eyes.agents.seen(),
            sets: eyes.sets.iter().map(|(binding, set)| (binding.clone(), view(set))).collect(),
            operations: urls.filter_map(|url| Some((url.clone(), self.world.progress(url)?))).collect(),
            parallel_jobs: None,
        }
    }

    fn act(&mut self, plan: &Plan, mishap: Mishap) {
        let now = self.world.now;
        self.world.operations_fail = mishap == Mishap::OperationsFail;
        self.world.parts_fail = mishap == Mishap::PartsFail;
        for action in &plan.actions {
            let outcome = if mishap == Mishap::WritesFail {
                let operation = match action {
                    poolkeeper_policy::Action::Grow { operation, .. }
                    | poolkeeper_policy::Action::Remove { operation, .. } => Some(operation.clone()),
                    poolkeeper_policy::Action::Disable { .. }
                    | poolkeeper_policy::Action::Save { .. }
                    | poolkeeper_policy::Action::Unmark { .. } => None,
                };
                let failure = failure(poolkeeper_policy::FailureKind::Invalid);
                Outcome::Failed { operation, binding: action.binding().clone(), failure }
            } else {
                self.world.apply(action)
            };
            if mishap != Mishap::Crash {
                self.memory.record(outcome, now);
            }
        }
        if mishap == Mishap::Crash {
            let Memory { operations, staircase, step, .. } = std::mem::take(&mut self.memory);
            self.memory = Memory { operations, staircase, step, ..Memory::default() };
            self.eyes = Eyes::default();
        }
    }

    /// Passes without mishaps for so long.
    pub(crate) fn go(&mut self, duration: SignedDuration) {
        let until = self.world.now.checked_add(duration).unwrap();
        while self.wake < until {
            let _ = self.pass(Mishap::None);
        }
        self.world.advance(until);
    }
}
