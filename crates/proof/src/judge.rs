//! The judge: what must never be, counted from the world's own journal, not from what the operator says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{BindingName, Call, Member, Removal};
use poolkeeper_simulator::{
    World,
    in_process::{SAVED_TAG, View},
    world::{self, KilledBy, Kind, Provisioning},
};

/// A VM that is of no use to anybody for so long, with nothing in the operator's way, is leaked.
const LOST_FOR: SignedDuration = SignedDuration::from_hours(2);

/// The calls that nobody but an operator makes here; what a person, Azure or a restart has killed is told apart.
const OUR_CALLS: [KilledBy; 3] = [KilledBy::Delete, KilledBy::Reimage, KilledBy::Capacity];

/// A job that was killed by a call of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    /// When.
    pub at: Timestamp,
    /// The job request.
    pub request: u64,
    /// The agent's name.
    pub agent: String,
    /// The call that did it.
    pub by: String,
}

/// The judge's books.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// Jobs that we have killed.
    pub killed: Vec<Kill>,
    /// VMs and records that were lost, in words.
    pub leaked: Vec<String>,
    /// Calls of ours after which there were more VMs than the maximum, in words.
    pub over: Vec<String>,
    /// Calls that took another VM than the one that was meant, in words.
    pub mistaken: Vec<String>,
    /// How often the remaining window was open: an agent registered between the last list and the end of its VM.
    pub window_open: u64,
    /// How often such an agent had a job by then.
    pub window_jobs: u64,
    /// Records that VMs have left behind which went without us, such as evicted ones.
    pub ghosts: Vec<String>,
    /// Agents that we have disabled.
    pub disabled: u64,
    /// The longest time from the end of a record to the end of its VM.
    pub longest_half: SignedDuration,
    /// Our destructive calls that Azure or Azure DevOps has accepted.
    pub destructive: u64,
    read_to: u64,
    counted: BTreeSet<u64>,
    useless: BTreeMap<String, SignedDuration>,
    /// VMs whose records we have deleted, and since when.
    half: BTreeMap<String, Timestamp>,
    /// VMs that we have deleted.
    deleted: BTreeSet<String>,
    /// Names of VMs that we have deleted.
    ours: BTreeSet<String>,
    told: BTreeSet<String>,
    ticked_at: Option<Timestamp>,
}

/// The figures that must be 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Jobs killed by us.
    pub killed: usize,
    /// VMs or records leaked.
    pub leaked: usize,
    /// Calls that went over the maximum.
    pub over: usize,
    /// Calls that took another VM than was meant.
    pub mistaken: usize,
}

/// What a call of ours is about to touch.
#[derive(Debug)]
pub(crate) struct Before {
    /// The job of the agent whose record is to go.
    job: Option<(u64, String)>,
    /// That agent's name.
    agent: Option<String>,
    /// Names that have an agent though the last list had none.
    back: Vec<(String, bool)>,
    mistaken: Option<String>,
    listed: u32,
}

impl Judge {
    /// The figures.
    pub fn verdict(&self) -> Verdict {
        Verdict {
            killed: self.killed.len(),
            leaked: self.leaked.len(),
            over: self.over.len(),
            mistaken: self.mistaken.len(),
        }
    }

    /// What was found, in words; nothing is fine.
    ///
    /// # Errors
    /// The first of each kind.
    pub fn check(&self) -> Result<(), String> {
        if self.verdict() == Verdict::default() {
            return Ok(());
        }
        let first = |words: &[String]| words.first().cloned().unwrap_or_default();
        Err(format!(
            "{:?}: {} {} {} {}",
            self.verdict(),
            self.killed.first().map(|kill| format!("{kill:?}")).unwrap_or_default(),
            first(&self.leaked),
            first(&self.over),
            first(&self.mistaken),
        ))
    }

    /// Reads on in the journal: what happened outside our calls.
    pub fn read(&mut self, world: &World) {
        for entry in world.journal().since(self.read_to).filter(|entry| entry.kind == Kind::JobKilled) {
            let by = entry.detail.as_deref().unwrap_or_default();
            if !OUR_CALLS.iter().any(|call| call.name() == by) {
                continue;
            }
            let Some(request) = entry.request.filter(|request| self.counted.insert(*request)) else {
                continue;
            };
            let agent = entry.agent.as_deref().unwrap_or_default().to_owned();
            self.killed.push(Kill { at: entry.at, request, agent, by: by.to_owned() });
        }
        self.read_to = world.journal().written();
    }

    pub(crate) fn before(
        &mut self,
        world: &World,
        view: &View,
        binding: Option<&BindingName>,
        call: &Call,
    ) -> Before {
        self.read(world);
        let pool = world.pool(view.pool);
        let mut before = Before {
            job: None,
            agent: None,
            back: Vec::new(),
            mistaken: None,
            listed: self.listed(world, view),
        };
        match call {
            Call::DeleteAgent(id) => {
                let agent = u64::try_from(id.0).ok().and_then(|id| pool?.agent(id));
                before.agent = agent.map(|agent| agent.name.to_string());
                before.job = agent.and_then(|agent| {
                    let request = pool?.open(agent.request?)?;
                    request.killed.is_none().then(|| (request.id, agent.name.to_string()))
                });
            }
            Call::RemoveAll(_, members) => self.look(world, view, binding, members, &mut before),
            Call::RemoveOne(_, member) => {
                self.look(world, view, binding, std::slice::from_ref(member), &mut before);
            }
            _ => {}
        }
        before
    }

    fn look(
        &self,
        world: &World,
        view: &View,
        binding: Option<&BindingName>,
        members: &[Member],
        before: &mut Before,
    ) {
        let set = binding.and_then(|binding| view.bindings.get(binding)).and_then(|set| world.set(*set));
        for member in members {
            // In whichever pool: another operator's claim may have been overlooked.
            let agents = world.organizations().flat_map(world::Organization::pools);
            let agent = agents.filter_map(|pool| pool.agent_named(&member.computer_name)).next();
            // A disabled record without an agent is what keeps late agents from jobs.
            let is_back = |agent: &&world::Agent| agent.enabled || agent.online || agent.request.is_some();
            if let Some(agent) = agent.filter(is_back) {
                before.back.push((member.computer_name.clone(), agent.request.is_some()));
            }
            let found = set.and_then(|set| set.find_instance(&member.instance_id.0));
            if let Some(found) = found.filter(|found| found.vm_id.to_string() != member.vm_id.0) {
                before.mistaken = Some(format!(
                    "{} was meant to be VM {}, and is {}",
                    found.name, member.vm_id, found.vm_id
                ));
            }
        }
    }

    pub(crate) fn after(
        &mut self,
        world: &World,
        view: &View,
        call: &Call,
        before: Before,
        accepted: bool,
        maximum: u32,
    ) {
        if accepted {
            match call {
                Call::Disable(_) => self.disabled += 1,
                Call::DeleteAgent(_) => {
                    self.destructive += 1;
                    self.half.extend(before.agent.map(|agent| (agent, world.now())));
                    if let Some((request, agent)) = before.job
                        && self.counted.insert(request)
                    {
                        let by = "DELETE agent".to_owned();
                        self.killed.push(Kill { at: world.now(), request, agent, by });
                    }
                }
                Call::RemoveAll(removal, members) => self.taken(*removal, members, before, world.now()),
                Call::RemoveOne(removal, member) => {
                    self.taken(*removal, std::slice::from_ref(member), before, world.now());
                }
                Call::Raise { to } => {
                    let now = self.listed(world, view);
                    if now > maximum && now > before.listed {
                        let words = format!(
                            "{}: a capacity of {to} made {now} VMs of {}, the maximum is {maximum}",
                            world.now(),
                            before.listed
                        );
                        self.over.push(words);
                    }
                }
                _ => {}
            }
        }
        self.read(world);
    }

    fn taken(&mut self, removal: Removal, members: &[Member], before: Before, now: Timestamp) {
        self.destructive += 1;
        for member in members {
            if removal == Removal::Delete {
                self.deleted.insert(member.vm_id.0.clone());
            }
            match removal {
                // An agent that was back by then leaves a record that the window has made, not we.
                Removal::Delete if !before.back.iter().any(|(name, _)| *name == member.computer_name) => {
                    self.ours.insert(member.computer_name.clone());
                }
                Removal::Delete | Removal::Reimage => {}
            }
            if let Some(since) = self.half.remove(&member.computer_name) {
                self.longest_half = self.longest_half.max(now.duration_since(since));
            }
        }
        self.window_open += u64::try_from(before.back.len()).unwrap_or_default();
        self.window_jobs +=
            u64::try_from(before.back.iter().filter(|(_, job)| *job).count()).unwrap_or_default();
        self.mistaken.extend(before.mistaken);
    }

    /// Time has passed. `calm`: nothing has been in the operator's way.
    pub fn tick(&mut self, world: &World, view: &View, calm: bool) {
        self.read(world);
        let now = world.now();
        let passed = self.ticked_at.map_or(SignedDuration::ZERO, |at| now.duration_since(at));
        self.ticked_at = Some(now);
        let Some(pool) = world.pool(view.pool) else { return };
        let mut useless = BTreeMap::new();
        for set in view.bindings.values().filter_map(|set| world.set(*set)) {
            for instance in set.instances() {
                let agent = pool.agent_named(&instance.computer_name);
                let is_saved = || {
                    let tag = format!("{SAVED_TAG}{}", instance.vm_id);
                    set.tags.keys().any(|name| name.eq_ignore_ascii_case(&tag))
                };
                if agent.is_some_and(|agent| agent.online || agent.request.is_some()) || is_saved() {
                    continue;
                }
                let vm = instance.vm_id.to_string();
                let before = self.useless.remove(&vm).unwrap_or_default();
                let so_far = if calm { before.saturating_add(passed) } else { before };
                if so_far > LOST_FOR && self.told.insert(vm.clone()) {
                    self.leaked.push(format!(
                        "{now}: VM {} ({:?}, {:?}, agent {}) has been of no use for two hours",
                        instance.computer_name,
                        instance.provisioning,
                        instance.power,
                        agent.is_some(),
                    ));
                }
                useless.insert(vm, so_far);
            }
        }
        self.useless = useless;
    }

    /// Nothing of the pool may be left: VMs, records of its VMs and placeholders, marks. VMs that a person has ordered
    /// at `ordered`, after the last list of a scale set that was empty, are that person's.
    pub fn close(&mut self, world: &World, view: &View, ordered: Option<Timestamp>) {
        self.read(world);
        // A pass lists every 10 s, and writes its last words within a few more.
        let after_the_list =
            ordered.filter(|at| world.now().duration_since(*at) < SignedDuration::from_secs(20));
        for set in view.bindings.values().filter_map(|set| world.set(*set)) {
            for instance in set.instances() {
                if after_the_list == Some(instance.created_at) {
                    continue;
                }
                self.leaked
                    .push(format!("VM {} is left ({:?})", instance.computer_name, instance.provisioning));
            }
            for tag in set.tags.keys().filter(|tag| tag.to_lowercase().starts_with(SAVED_TAG)) {
                self.leaked.push(format!("tag {tag} is left"));
            }
        }
        for agent in world.pool(view.pool).into_iter().flat_map(world::Pool::agents) {
            if agent.name.starts_with(crate::scene::FOREIGN) {
                continue;
            }
            let words = format!("agent record {} is left", agent.name);
            let placeholder = agent.user_capabilities.contains_key("poolkeeper.placeholder");
            if placeholder || self.ours.contains(&*agent.name) {
                self.leaked.push(words);
            } else {
                self.ghosts.push(words);
            }
        }
    }

    /// VMs that are there, those that we have deleted until they are gone; not those that others have just deleted:
    /// nobody could have known.
    fn listed(&self, world: &World, view: &View) -> u32 {
        let sets = view.bindings.values().filter_map(|set| world.set(*set));
        let counts = |instance: &&world::Instance| {
            instance.provisioning != Provisioning::Deleting
                || self.deleted.contains(&instance.vm_id.to_string())
        };
        let counted = sets.flat_map(world::ScaleSet::instances).filter(counts).count();
        u32::try_from(counted).unwrap_or(u32::MAX)
    }
}
