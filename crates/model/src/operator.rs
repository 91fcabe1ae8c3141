//! The operator: passes of the real `decide` and the real protocols, cut at every call.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use poolkeeper_policy::{
    Action, AgentId, Answer, Call, Memory, Next, OperationKind, Plan, Protocol, RecordChange, State as Seen,
    VmId, decide,
};

use crate::{
    age::{self, Tick},
    sight::{self, Unread},
    variant::Variant,
    world::State,
};

/// A memory that is cheap to copy, compare and hash.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    memory: Arc<Memory>,
    hash: u64,
}

impl Kept {
    /// Without what neither decisions nor deeds depend on.
    fn new(mut memory: Memory) -> Self {
        memory.quiet_since = None;
        memory.standby_was_met = false;
        memory.unbound_since = None;
        memory.lost.clear();
        // Its times cannot be made older from outside; a ghost goes by its name then, as after a restart.
        memory.records = Default::default();
        memory.told.clear();
        // Bad images only slow growth down.
        memory.failed_starts.clear();
        // They say when standby begins to start, which nothing is lost by.
        memory.start_times.clear();
        for sighting in memory.sightings.values_mut() {
            if !is_timed(sighting.state) {
                sighting.since = age::now();
            }
        }
        Self::as_is(memory)
    }

    fn as_is(memory: Memory) -> Self {
        let hash = hash_of(&memory);
        Self { memory: Arc::new(memory), hash }
    }

    pub(crate) fn nothing() -> Self {
        Self::as_is(Memory::default())
    }

    pub(crate) fn get(&self) -> &Memory {
        &self.memory
    }

    /// What of it stands in the status.
    pub(crate) fn durable(&self) -> Self {
        let Memory { operations, staircase, step, .. } = self.get().clone();
        let mut durable = Memory { operations, staircase, step, ..Memory::default() };
        for operation in &mut durable.operations {
            if let OperationKind::Create { target, .. } = &mut operation.kind {
                *target = 0;
            }
        }
        Self::as_is(durable)
    }

    pub(crate) fn after(&self, tick: Tick) -> Self {
        Self::as_is(age::after(self.get(), tick))
    }

    pub(crate) fn knows_vm(&self, vm: &VmId) -> bool {
        let memory = self.get();
        memory.sightings.contains_key(vm)
            || memory.vm_backoffs.contains_key(vm)
            || memory.operations.iter().any(|operation| operation.kind.vms().contains(vm))
    }

    pub(crate) fn knows_agent(&self, agent: &AgentId) -> bool {
        self.memory.disabled.contains_key(agent)
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.memory == other.memory
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// Something is decided by how long a VM has been in this state.
fn is_timed(state: Seen) -> bool {
    match state {
        Seen::Creating
        | Seen::Starting
        | Seen::Idle
        | Seen::FailedToStart
        | Seen::WentOffline
        | Seen::Deleting => true,
        // The deadline of a reimage is that of its operation.
        Seen::Recycling
        | Seen::Busy
        | Seen::Used
        | Seen::Draining
        | Seen::CreationFailed
        | Seen::Stopped
        | Seen::Saved => false,
    }
}

/// Policy's types have no `Hash` of their own.
fn hash_of(value: &impl std::fmt::Debug) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{value:?}").hash(&mut hasher);
    hasher.finish()
}

/// What a pass still has to do: deeds in their order, the first one on its way.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    deeds: VecDeque<Deed>,
    /// The calls that are made now, in any order, and the answers to the first of them.
    calls: Vec<Call>,
    answers: Vec<Answer>,
    /// The capacity that the first deed has read, for If-Match.
    pub(crate) capacity: Option<u32>,
    /// The first deed has listed the agents again, and may remove VMs next.
    pub(crate) listed: bool,
    /// The first deed has read its agents again.
    pub(crate) agents_read: bool,
    /// Places whose VM the first deed has read again.
    pub(crate) read: BTreeSet<usize>,
    /// Places through which the remaining window is open: since the last list an agent has registered there, or since
    /// its last reading the VM is another one.
    pub(crate) window: BTreeSet<usize>,
    /// Whom the deeds have in mind.
    pub(crate) vms: BTreeSet<VmId>,
    pub(crate) agents: BTreeSet<AgentId>,
    hash: u64,
}

#[derive(Clone, Debug)]
enum Deed {
    Action(Action, Box<Protocol>),
    Record(RecordChange),
}

impl PartialEq for Pass {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Pass {}

impl Hash for Pass {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

impl Pass {
    fn new(plan: &Plan) -> Self {
        let mut pass = Self {
            deeds: VecDeque::new(),
            calls: Vec::new(),
            answers: Vec::new(),
            capacity: None,
            listed: false,
            agents_read: false,
            read: BTreeSet::new(),
            window: BTreeSet::new(),
            vms: BTreeSet::new(),
            agents: BTreeSet::new(),
            hash: 0,
        };
        for action in &plan.actions {
            let members = match action {
                Action::Disable { member, .. } => std::slice::from_ref(member),
                Action::Remove { members, .. } | Action::Save { members, .. } => members,
                Action::Grow { .. } | Action::Unmark { .. } => &[],
            };
            pass.vms.extend(members.iter().map(|member| member.vm_id.clone()));
            pass.agents.extend(members.iter().filter_map(|member| member.agent));
            pass.deeds.push_back(Deed::Action(action.clone(), Box::new(Protocol::new(action))));
        }
        for change in &plan.records {
            match change {
                RecordChange::Register(_) => {}
                RecordChange::Describe { agent, .. }
                | RecordChange::Label { agent, .. }
                | RecordChange::Forget { agent, .. } => {
                    pass.agents.insert(*agent);
                }
            }
            pass.deeds.push_back(Deed::Record(change.clone()));
        }
        pass
    }

    /// The next call.
    pub(crate) fn call(&self) -> Option<&Call> {
        self.calls.get(self.answers.len())
    }

    /// The VMs that the first deed removes are known to be without an agent, but not gone yet.
    pub(crate) fn removes(&self, vm: &VmId) -> bool {
        let removed = |action: &Action| match action {
            Action::Remove { members, .. } => members.iter().any(|member| &member.vm_id == vm),
            Action::Grow { .. } | Action::Disable { .. } | Action::Save { .. } | Action::Unmark { .. } => {
                false
            }
        };
        match self.deeds.front() {
            Some(Deed::Action(action, _)) => removed(action),
            Some(Deed::Record(_)) | None => false,
        }
    }

    /// The next call reads what can be read at once: nothing that may happen before it makes a difference.
    pub(crate) fn reads_set_for_removal(&self) -> bool {
        let grows = matches!(self.deeds.front(), Some(Deed::Action(Action::Grow { .. }, _)));
        !grows && self.call() == Some(&Call::ReadSet)
    }

    /// Marks the window at a place.
    pub(crate) fn open_window(&mut self, place: usize) {
        self.window.insert(place);
        self.rehash();
    }

    fn rehash(&mut self) {
        self.hash = 0;
        self.hash = hash_of(self);
    }

    /// Begins the first deed.
    fn begin(&mut self, state: &mut State) {
        (self.capacity, self.listed, self.agents_read) = (None, false, false);
        self.read.clear();
        self.window.clear();
        let next = match self.deeds.front_mut() {
            None => return,
            Some(Deed::Action(_, protocol)) => protocol.next(Vec::new()),
            Some(Deed::Record(change)) => Next::Calls(vec![change.begin()]),
        };
        self.take(state, next);
    }

    fn take(&mut self, state: &mut State, next: Next) {
        self.answers.clear();
        match next {
            Next::Calls(calls) => self.calls = calls,
            Next::End(end) => {
                let mut memory = state.memory.get().clone();
                memory.record(end.outcome, age::now());
                state.memory = Kept::as_is(memory);
                self.end(state);
            }
        }
    }

    fn end(&mut self, state: &mut State) {
        self.calls.clear();
        self.answers.clear();
        self.deeds.pop_front();
        self.begin(state);
    }

    fn answer(&mut self, state: &mut State, answer: Answer) {
        self.answers.push(answer);
        if self.answers.len() < self.calls.len() {
            return;
        }
        let answers = std::mem::take(&mut self.answers);
        match self.deeds.front_mut() {
            None => {}
            Some(Deed::Action(_, protocol)) => {
                let next = protocol.next(answers);
                self.take(state, next);
            }
            Some(Deed::Record(change)) => {
                let next = answers.into_iter().next().map(|answer| change.next(answer));
                match next {
                    Some(Ok(Next::Calls(calls))) => self.calls = calls,
                    Some(Ok(Next::End(_)) | Err(_)) | None => self.end(state),
                }
            }
        }
    }
}

/// Begins a pass: looks, decides, and stores what it is about to do.
pub(crate) fn begin(variant: &Variant, state: &mut State, unread: Option<Unread>) {
    let seen = sight::snapshot(variant, state, unread);
    let mut plan = decide(&variant.pool(), &seen, state.memory.get(), age::now());
    rename(&mut plan);
    let removes = plan.actions.iter().any(|action| matches!(action, Action::Remove { .. }));
    let mut pass = Pass::new(&plan);
    state.memory = Kept::new(std::mem::take(&mut plan.memory));
    if removes && state.faults > 0 {
        state.stored = state.memory.durable();
    }
    pass.begin(state);
    go_on(state, pass);
}

/// Gives the answer to the call that is made now.
pub(crate) fn answered(state: &mut State, mut pass: Pass, answer: Answer) {
    pass.answer(state, answer);
    go_on(state, pass);
}

/// After its last deed a pass is over, and the status is written.
fn go_on(state: &mut State, mut pass: Pass) {
    if pass.call().is_none() {
        if state.faults > 0 {
            state.stored = state.memory.durable();
        }
        state.pass = None;
        return;
    }
    pass.rehash();
    state.pass = Some(Arc::new(pass));
}

/// Ids of operations carry the time, which is always the same here: they get numbers instead.
fn rename(plan: &mut Plan) {
    let mut taken: BTreeSet<String> = plan.memory.operations.iter().map(|it| it.id.clone()).collect();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for action in &mut plan.actions {
        let (Action::Grow { operation, .. } | Action::Remove { operation, .. }) = action else { continue };
        let free = |name: &String| !taken.iter().any(|id| id.split('/').next() == Some(name));
        let name = (0..).map(|number| format!("op{number}")).find(free).unwrap_or_default();
        taken.insert(name.clone());
        names.insert(std::mem::replace(operation, name.clone()), name);
    }
    for operation in &mut plan.memory.operations {
        if let Some(name) = names.get(&operation.id) {
            operation.id.clone_from(name);
        }
    }
}
