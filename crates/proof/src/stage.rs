//! The stage: the world, what moves it between calls, and the judge.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{AgentId, Answer, BindingName, Call};
use poolkeeper_simulator::{
    World,
    in_process::{Etag, View},
    world::{self, PoolRef, SetRef},
};

use crate::{Adversary, Judge, Moment, Operator};

/// What an operator cannot see now, beside what the world's own faults hide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blind {
    /// The list of jobs cannot be read.
    pub jobs: bool,
    /// The list of agents cannot be read.
    pub agents: bool,
    /// Lists of instances cannot be read.
    pub instances: bool,
    /// Scale sets cannot be read.
    pub sets: bool,
    /// The last answers are given again, with their old time.
    pub repeated: bool,
    /// Lists of instances are old copies that look new.
    pub lagging: bool,
    /// The status cannot be written.
    pub status: bool,
}

/// What a script does before a call.
pub type Script = fn(&mut World, PoolRef, SetRef, &Moment<'_>, &mut u32);

/// The world with everything that happens to it.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    /// Counts what must never be.
    pub judge: Judge,
    /// Moves the world between calls.
    pub adversary: Adversary,
    /// What cannot be seen.
    pub blind: Blind,
    /// An assignment does not show for so long.
    pub lag: SignedDuration,
    /// Another operator on the same scale sets, which may act between two calls, and how likely that is.
    pub rival: Option<(Box<Operator>, f64)>,
    /// A deed of its own before certain calls, with a counter.
    pub script: Option<(Script, u32)>,
    /// Prints every call, and what each pass decides.
    pub trace: bool,
    /// So many jobs will have been queued when all have come.
    pub expected: u64,
    /// When the number of VMs was last raised by others than us.
    pub raised_by_others: Option<Timestamp>,
}

impl Stage {
    /// A world in which nothing bad happens.
    pub fn new(world: World, adversary: Adversary) -> Self {
        Self {
            world,
            judge: Judge::default(),
            adversary,
            blind: Blind::default(),
            lag: SignedDuration::ZERO,
            rival: None,
            script: None,
            trace: false,
            expected: 0,
            raised_by_others: None,
        }
    }

    /// So much time passes.
    pub fn wait(&mut self, duration: SignedDuration) {
        let to = self.world.now().checked_add(duration).unwrap_or(Timestamp::MAX);
        self.world.advance(to);
    }

    /// The time that a call takes passes.
    pub(crate) fn take_time(&mut self) {
        let latency = self.adversary.latency();
        self.wait(latency);
    }

    /// One call of a deed, after everything that may happen before it.
    pub(crate) fn call(
        &mut self,
        operator: (&View, u32),
        binding: Option<&BindingName>,
        moment: Moment<'_>,
        etag: &mut Etag,
    ) -> Answer {
        let (view, maximum) = operator;
        let call = moment.next;
        if !moment.beside {
            self.take_time();
        }
        self.adversary.strike(&mut self.world, view.pool, moment);
        if let (Some((script, counter)), Some(set)) =
            (&mut self.script, binding.and_then(|binding| view.bindings.get(binding)))
        {
            script(&mut self.world, view.pool, *set, &moment, counter);
        }
        self.rival_acts();
        let before = self.judge.before(&self.world, view, binding, call);
        let answer = match binding {
            Some(binding) => view.call(&mut self.world, binding, call, etag),
            None => view.call_devops(&mut self.world, call),
        };
        let accepted = matches!(answer, Answer::Done | Answer::Accepted(_));
        // Somebody else's VMs are not over our maximum by our doing.
        let maximum = if self.raised_by_others.is_some() { u32::MAX } else { maximum };
        self.judge.after(&self.world, view, call, before, accepted, maximum);
        if self.trace {
            println!("    {} {call:?} -> {answer:?}", self.world.now());
        }
        match (call, answer) {
            (Call::ReadAgent(id), Answer::Agent(Some(mut now))) => {
                now.assigned &= !self.hidden(view.pool).contains(id);
                Answer::Agent(Some(now))
            }
            (_, answer) => answer,
        }
    }

    /// Agents whose assignment does not show yet.
    pub(crate) fn hidden(&self, pool: PoolRef) -> BTreeSet<AgentId> {
        if self.lag.is_zero() {
            return BTreeSet::new();
        }
        let now = self.world.now();
        let requests = self.world.pool(pool).into_iter().flat_map(world::Pool::open_requests);
        requests
            .filter(|request| request.assigned_at.is_some_and(|at| now.duration_since(at) < self.lag))
            .filter_map(|request| Some(AgentId(i64::try_from(request.agent.as_ref()?.0).ok()?)))
            .collect()
    }

    fn rival_acts(&mut self) {
        let Some((mut rival, chance)) = self.rival.take() else { return };
        if self.adversary.is_drawn(chance) && rival.wake <= self.world.now() {
            let _ = rival.pass(self);
        }
        self.rival = Some((rival, chance));
    }
}
