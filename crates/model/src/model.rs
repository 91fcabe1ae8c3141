//! The model: which steps there are, what each does, and what must hold in every state.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use poolkeeper_policy::{Call, mutant};
use stateright::{Model, Property};

use crate::{
    age::{Age, Tick},
    cloud::{self, LostInWindow},
    operator::{self, Kept, Pass},
    recovery,
    sight::Unread,
    variant::{Fault, Variant},
    world::{Crime, PLACES, Phase, State, vm_id},
};

/// One step of the operator or of the world. Places count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The operator looks, decides, and stores its intents.
    Decide,
    /// The same with a source that cannot be read.
    DecideWithout(Unread),
    /// The next call of the pass is made and answered.
    Call,
    /// It is not carried out: no answer.
    CallFails,
    /// It is carried out: no answer.
    AnswerLost,
    /// A VM's agent registers and is online.
    Register(usize),
    /// Azure has deleted a VM.
    Vanish(usize),
    /// A job is queued.
    Queue,
    /// An agent is given a job that waits, or else one that nobody has seen waiting.
    Assign(usize),
    /// An agent's job ends.
    Finish(usize),
    /// An agent loses its session, or a stateless one ends after its job.
    Offline(usize),
    /// An agent's session is back.
    Online(usize),
    /// A person disables an agent.
    OtherDisables(usize),
    /// A person enables an agent.
    OtherEnables(usize),
    /// A VM disappears.
    Evicted(usize),
    /// A VM disappears, and somebody puts a new one in its place.
    Replaced(usize),
    /// The operator ends and starts again.
    Crash,
    /// The status is emptied.
    StatusWiped,
    /// Time moves.
    Tick(Tick),
}

/// The whole loop, to be explored.
#[derive(Debug)]
pub struct Loop {
    pub(crate) variant: Variant,
    /// States in which the window that remains is open.
    pub(crate) open: AtomicU64,
    /// Steps that lost a job through it.
    pub(crate) lost: AtomicU64,
    /// States that were followed to the end.
    pub(crate) followed: AtomicU64,
}

impl Loop {
    /// The loop of a variant.
    #[must_use]
    pub fn new(variant: Variant) -> Self {
        Self { variant, open: AtomicU64::new(0), lost: AtomicU64::new(0), followed: AtomicU64::new(0) }
    }

    /// The steps of the operator, without faults.
    fn operator(&self, state: &State, steps: &mut Vec<Step>) {
        steps.push(if state.pass.is_some() { Step::Call } else { Step::Decide });
    }

    /// What happens without a fault.
    fn world(&self, state: &State, steps: &mut Vec<Step>) {
        for place in 0..PLACES {
            self.at(state, place, steps);
        }
        if state.to_come > 0 {
            steps.push(Step::Queue);
        }
        // A pass takes less than any timeout.
        if state.pass.is_none() {
            steps.extend([Step::Tick(Tick::Settle), Step::Tick(Tick::Over)]);
        } else if self.variant.slow_passes {
            steps.push(Step::Tick(Tick::Settle));
        }
    }

    fn at(&self, state: &State, place: usize, steps: &mut Vec<Step>) {
        match state.vm(place).map(|vm| vm.phase) {
            Some(Phase::Starting | Phase::Reimaging) if self.may_register(state, place) => {
                steps.push(Step::Register(place));
            }
            Some(Phase::Deleting) => steps.push(Step::Vanish(place)),
            Some(Phase::Starting | Phase::Reimaging | Phase::Up) | None => {}
        }
        let Some(record) = state.record(place) else { return };
        let takes_job = record.online() && !record.busy && (record.enabled || record.unsettled);
        if takes_job && state.queued + state.to_come > 0 {
            steps.push(Step::Assign(place));
        }
        if record.busy {
            steps.push(Step::Finish(place));
        }
        let ended = self.variant.stateless() && record.finished.is_some() && !record.busy;
        if record.online() && ended {
            steps.push(Step::Offline(place));
        }
        let up =
            state.vm(place).is_some_and(|vm| vm.phase == Phase::Up && vm.generation == record.generation);
        if !record.online() && up && !ended && !self.between_read_and_deletion(state) {
            steps.push(Step::Online(place));
        }
    }

    /// An agent may register here now. One that takes over a record brings it online.
    fn may_register(&self, state: &State, place: usize) -> bool {
        let takes_over = state.record(place).is_some();
        (self.variant.window || !self.in_window(state, place))
            && !(takes_over && self.between_read_and_deletion(state))
    }

    /// The window that remains is open at this place: an agent that registers now is not noticed any more.
    fn in_window(&self, state: &State, place: usize) -> bool {
        let (Some(pass), Some(vm)) = (&state.pass, state.vm(place)) else { return false };
        pass.listed && pass.removes(&vm_id(place, vm.generation))
    }

    fn between_read_and_deletion(&self, state: &State) -> bool {
        let deletes = |pass: &Arc<Pass>| {
            pass.agents_read && matches!(pass.call(), Some(Call::DeleteAgent(_) | Call::ReadAgent(_)))
        };
        !self.variant.refuses_deletion && state.pass.as_ref().is_some_and(deletes)
    }

    fn faults(&self, state: &State, steps: &mut Vec<Step>) {
        let allows = |fault| self.variant.allows(fault);
        if allows(Fault::Unread) && state.pass.is_none() {
            let unread = [Unread::Jobs, Unread::Agents, Unread::Instances];
            steps.extend(unread.map(Step::DecideWithout));
        }
        if let Some(call) =
            state.pass.as_ref().and_then(|pass| pass.call()).filter(|_| allows(Fault::CallFails))
        {
            steps.push(Step::CallFails);
            if call.is_write() {
                steps.push(Step::AnswerLost);
            }
        }
        if allows(Fault::Crash) {
            steps.push(Step::Crash);
        }
        if allows(Fault::StatusWiped) {
            steps.push(Step::StatusWiped);
        }
        for place in 0..PLACES {
            let record = state.record(place);
            if record.is_some_and(|record| record.online()) && allows(Fault::AgentOffline) {
                steps.push(Step::Offline(place));
            }
            if let Some(record) = record.filter(|_| allows(Fault::Person)) {
                if record.enabled {
                    steps.push(Step::OtherDisables(place));
                } else if !self.between_read_and_deletion(state) {
                    steps.push(Step::OtherEnables(place));
                }
            }
            if state.vm(place).is_some() && allows(Fault::Evicted) {
                steps.push(Step::Evicted(place));
                let read = state.pass.as_ref().is_some_and(|pass| pass.read.contains(&place));
                if self.variant.window || !read {
                    steps.push(Step::Replaced(place));
                }
            }
        }
    }

    /// Carries a step out.
    pub(crate) fn step(&self, state: &mut State, step: Step) {
        match step {
            Step::Decide => operator::begin(&self.variant, state, None),
            Step::DecideWithout(unread) => operator::begin(&self.variant, state, Some(unread)),
            Step::Call => self.call(state, true, true),
            Step::CallFails => self.call(state, false, false),
            Step::AnswerLost => self.call(state, true, false),
            Step::Register(place) => {
                if self.in_window(state, place) {
                    open_window(state, place);
                }
                state.register(place);
            }
            Step::Vanish(place) => state.put_vm(place, None),
            Step::Queue => {
                state.to_come -= 1;
                state.queued += 1;
            }
            Step::Assign(place) => {
                if let Some(record) = state.record_mut(place) {
                    record.busy = true;
                    record.unsettled = false;
                }
                let from = if state.queued > 0 { &mut state.queued } else { &mut state.to_come };
                *from -= 1;
            }
            Step::Finish(place) => state.finish(place, self.variant.newborn()),
            Step::Offline(place) => {
                if let Some(record) = state.record_mut(place) {
                    (record.offline, record.unsettled) = (Some(Age::Recent), false);
                }
            }
            Step::Online(place) => {
                if let Some(record) = state.record_mut(place) {
                    record.offline = None;
                }
            }
            Step::OtherDisables(place) => {
                if let Some(record) = state.record_mut(place) {
                    record.enabled = false;
                    record.unsettled = record.online() && self.variant.refuses_deletion;
                }
            }
            Step::OtherEnables(place) => {
                if let Some(record) = state.record_mut(place) {
                    (record.enabled, record.unsettled) = (true, false);
                }
            }
            Step::Evicted(place) => {
                state.machine_lost(place);
                state.put_vm(place, None);
            }
            Step::Replaced(place) => {
                if state.pass.as_ref().is_some_and(|pass| pass.read.contains(&place)) {
                    open_window(state, place);
                }
                state.machine_lost(place);
                state.create(place, self.variant.newborn());
            }
            Step::Crash => {
                state.pass = None;
                state.memory = state.stored.clone();
            }
            Step::StatusWiped => state.stored = Kept::nothing(),
            Step::Tick(tick) => state.tick(tick),
        }
        // Reading the scale set before a removal is done together with the step before it.
        while state.pass.as_ref().is_some_and(|pass| pass.reads_set_for_removal()) {
            self.call(state, true, true);
        }
    }

    fn call(&self, state: &mut State, done: bool, answered: bool) {
        let Some(mut pass) = state.pass.take().map(Arc::unwrap_or_clone) else { return };
        let Some(call) = pass.call().cloned() else { return };
        let mut answer = cloud::unreachable();
        if done {
            let (real, lost) = cloud::carry_out(&self.variant, state, &mut pass, &call);
            if let Some(LostInWindow) = lost {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
            if answered {
                answer = real;
            }
        }
        operator::answered(state, pass, answer);
    }

    fn is_open(state: &State) -> bool {
        state.pass.as_ref().is_some_and(|pass| !pass.window.is_empty())
    }
}

fn open_window(state: &mut State, place: usize) {
    if let Some(pass) = &mut state.pass {
        let mut opened = Pass::clone(pass);
        opened.open_window(place);
        *pass = Arc::new(opened);
    }
}

impl Model for Loop {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let empty = State {
            vms: [None; PLACES],
            records: [None; PLACES],
            to_come: self.variant.jobs,
            queued: 0,
            memory: Kept::nothing(),
            stored: Kept::nothing(),
            pass: None,
            faults: self.variant.faults,
            crime: None,
        };
        let mut full = empty.clone();
        for place in 0..self.variant.max_agents {
            full.create(place, Age::Old);
            full.register(place);
        }
        vec![empty, full]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        if state.crime.is_some() {
            return;
        }
        self.operator(state, steps);
        self.world(state, steps);
        if state.faults > 0 {
            let before = steps.len();
            self.faults(state, steps);
            // A stateless agent that ends after its job is none.
            let known = steps.get(..before).unwrap_or_default().to_vec();
            let mut place = 0;
            steps.retain(|step| {
                place += 1;
                place <= before || !known.contains(step)
            });
        }
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        // Mutants are planted per thread, and the checker has several.
        mutant::plant(self.variant.mutant);
        let mut state = last.clone();
        let ended = |place: usize| {
            let record = last.record(place);
            self.variant.stateless() && record.is_some_and(|record| record.finished.is_some() && !record.busy)
        };
        let fault = match step {
            Step::Offline(place) => !ended(place),
            Step::DecideWithout(_)
            | Step::CallFails
            | Step::AnswerLost
            | Step::OtherDisables(_)
            | Step::OtherEnables(_)
            | Step::Evicted(_)
            | Step::Replaced(_)
            | Step::Crash
            | Step::StatusWiped => true,
            Step::Decide
            | Step::Call
            | Step::Register(_)
            | Step::Vanish(_)
            | Step::Queue
            | Step::Assign(_)
            | Step::Finish(_)
            | Step::Online(_)
            | Step::Tick(_) => false,
        };
        state.faults = state.faults.saturating_sub(u8::from(fault));
        self.step(&mut state, step);
        if state.faults == 0 {
            // Nobody reads it any more.
            state.stored = Kept::nothing();
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no VM of an assigned job is deleted or reimaged", |_, state: &State| {
                state.crime != Some(Crime::JobKilled)
            }),
            Property::always("no agent record of an assigned job is deleted", |_, state: &State| {
                state.crime != Some(Crime::RecordOfJobDeleted)
            }),
            Property::always("no VM is removed whose agent takes jobs", |_, state: &State| {
                state.crime != Some(Crime::EnabledAgentRemoved)
            }),
            Property::always("no other VM is removed than the one decided upon", |_, state: &State| {
                state.crime != Some(Crime::OtherVmRemoved)
            }),
            Property::always("never more VMs than the maximum", |_, state: &State| {
                state.crime != Some(Crime::OverMaximum)
            }),
            Property::always(
                "without further faults everything is as wanted in the end",
                |model: &Self, state| {
                    if Self::is_open(state) {
                        model.open.fetch_add(1, Ordering::Relaxed);
                    }
                    recovery::sampled(model, state).is_none_or(|state| {
                        model.followed.fetch_add(1, Ordering::Relaxed);
                        recovery::recovers(model, state)
                    })
                },
            ),
        ]
    }
}
