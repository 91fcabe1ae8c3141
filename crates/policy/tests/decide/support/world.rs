//! A tiny world in virtual time: machines that start, run jobs, are reimaged and go, and a server that hands jobs to
//! any agent that is free, at the worst moment.

mod tags;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Action, Agent, AgentId, BindingName, Cause, FailureKind, InstanceId, JobRequest, Member,
    OperationProgress, Orchestration, Outcome, Part, Power, Provisioning, Removal, RequestId, SavedMark,
    ScaleSet, Vm, VmId,
};

use super::{
    scene::{agent, failure},
    seconds,
};

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) start: SignedDuration,
    pub(crate) reimage: SignedDuration,
    pub(crate) delete: SignedDuration,
    /// Agents leave after their job, as run-once ones do.
    pub(crate) run_once: bool,
}

/// The figures of the worked example.
pub(crate) const EXAMPLE: Times = Times {
    start: SignedDuration::from_secs(210),
    reimage: SignedDuration::from_secs(180),
    delete: SignedDuration::from_secs(60),
    run_once: false,
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) sets: BTreeMap<BindingName, Set>,
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) jobs: Vec<Job>,
    pub(crate) operations: BTreeMap<String, Running>,
    /// Machines that were removed as unhealthy and were not.
    pub(crate) wronged: Vec<VmId>,
    next_id: i64,
    run_once: bool,
    times: (SignedDuration, SignedDuration, SignedDuration),
    /// What the next accepted operations come to.
    pub(crate) operations_fail: bool,
    /// Of each removal of a Flexible scale set the last VM's operation is refused.
    pub(crate) parts_fail: bool,
    /// New machines never come online.
    pub(crate) duds: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Set {
    pub(crate) capacity: u32,
    pub(crate) machines: Vec<Machine>,
    pub(crate) flexible: bool,
    /// The capacity counts a VM that is being deleted until it is gone.
    pub(crate) lingers: bool,
    /// Its tags.
    pub(crate) saved: BTreeMap<VmId, SavedMark>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    pub(crate) vm: Vm,
    pub(crate) phase: Phase,
    pub(crate) healthy: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Phase {
    /// Being created or reimaged; its agent comes online then.
    Coming(Timestamp),
    Up,
    /// Gone then.
    Leaving(Timestamp),
    /// Its agent never comes.
    Dud,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Job {
    pub(crate) id: RequestId,
    pub(crate) queued_at: Timestamp,
    pub(crate) length: SignedDuration,
    pub(crate) agent: Option<AgentId>,
    pub(crate) ends: Option<Timestamp>,
    pub(crate) done: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Running {
    ends: Timestamp,
    fails: bool,
}

fn plus(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap()
}

impl World {
    pub(crate) fn new(now: Timestamp, bindings: impl IntoIterator<Item = BindingName>, times: Times) -> Self {
        let sets = bindings.into_iter().map(|binding| (binding, Set::default())).collect();
        let Times { start, reimage, delete, run_once } = times;
        Self {
            now,
            sets,
            agents: BTreeMap::new(),
            jobs: Vec::new(),
            operations: BTreeMap::new(),
            wronged: Vec::new(),
            next_id: 1,
            run_once,
            times: (start, reimage, delete),
            operations_fail: false,
            parts_fail: false,
            duds: false,
        }
    }

    pub(crate) fn queue(&mut self, length: SignedDuration) {
        let id = RequestId(self.id());
        let now = self.now;
        self.jobs.push(Job { id, queued_at: now, length, agent: None, ends: None, done: false });
        self.hand_out_jobs();
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    /// All machines that Azure still lists.
    pub(crate) fn size(&self) -> usize {
        self.sets.values().map(|set| set.machines.len()).sum()
    }

    /// Idle and busy agents.
    pub(crate) fn idle_busy(&self) -> (usize, usize) {
        let busy = self.agents.values().filter(|agent| agent.assigned.is_some()).count();
        let idle = |agent: &&Agent| agent.online && agent.enabled && agent.assigned.is_none();
        (self.agents.values().filter(idle).count(), busy)
    }

    /// From event to event.
    pub(crate) fn advance(&mut self, until: Timestamp) {
        while self.now < until {
            let phases = self.sets.values().flat_map(|set| &set.machines).map(|machine| machine.phase);
            let changes = phases.filter_map(|phase| match phase {
                Phase::Coming(at) | Phase::Leaving(at) => Some(at),
                Phase::Up | Phase::Dud => None,
            });
            let ends = self.jobs.iter().filter(|job| !job.done).filter_map(|job| job.ends);
            self.now = changes.chain(ends).min().map_or(until, |next| next.min(until));
            self.change_machines();
            self.finish_jobs();
            self.hand_out_jobs();
        }
    }

    fn change_machines(&mut self) {
        let now = self.now;
        let mut registered = Vec::new();
        for set in self.sets.values_mut() {
            let before = set.machines.len();
            set.machines.retain(|machine| !matches!(machine.phase, Phase::Leaving(gone) if gone <= now));
            if set.lingers {
                set.capacity -= u32::try_from(before - set.machines.len()).unwrap();
            }
            for machine in &mut set.machines {
                if let Phase::Coming(online) = machine.phase
                    && online <= now
                {
                    machine.phase = Phase::Up;
                    machine.vm.provisioning = Provisioning::Succeeded;
                    registered.push(machine.vm.computer_name.clone());
                }
            }
        }
        for name in registered {
            let id = AgentId(self.id());
            let times = (Some(now), Some(now));
            let record = Agent { id, created_at: times.0, status_changed_at: times.1, ..agent(&name) };
            self.agents.insert(id, record);
        }
    }

    fn finish_jobs(&mut self) {
        let now = self.now;
        for job in self.jobs.iter_mut().filter(|job| !job.done && job.ends.is_some_and(|end| end <= now)) {
            job.done = true;
            let agent = job.agent.and_then(|id| self.agents.get_mut(&id)).unwrap();
            agent.assigned = None;
            agent.last_finished_at = Some(now);
            if self.run_once {
                agent.online = false;
                agent.status_changed_at = Some(now);
            }
        }
    }

    fn hand_out_jobs(&mut self) {
        for job in self.jobs.iter_mut().filter(|job| job.agent.is_none()) {
            let free = |agent: &&mut Agent| agent.online && agent.enabled && agent.assigned.is_none();
            let Some(agent) = self.agents.values_mut().find(free) else { return };
            agent.assigned = Some(job.id);
            job.agent = Some(agent.id);
            job.ends = Some(plus(self.now, job.length));
        }
    }

    pub(crate) fn job_requests(&self) -> Vec<JobRequest> {
        let open = self.jobs.iter().filter(|job| !job.done);
        let request = |job: &Job| JobRequest {
            id: job.id,
            queued_at: Some(job.queued_at),
            assigned_at: None,
            agent: job.agent,
            demands: Vec::new(),
            maintenance: false,
            definition: None,
        };
        open.map(request).collect()
    }

    pub(crate) fn agent_list(&self) -> Vec<Agent> {
        self.agents.values().cloned().collect()
    }

    pub(crate) fn scale_set(&self, binding: &BindingName) -> ScaleSet {
        let &Set { capacity, flexible, .. } = &self.sets[binding];
        let orchestration = if flexible { Orchestration::Flexible } else { Orchestration::Uniform };
        ScaleSet {
            capacity,
            computer_name_prefix: binding.0.clone(),
            orchestration,
            saved: self.sets[binding].saved.clone(),
        }
    }

    pub(crate) fn vms(&self, binding: &BindingName) -> Vec<Vm> {
        self.sets[binding].machines.iter().map(|machine| machine.vm.clone()).collect()
    }

    pub(crate) fn progress(&self, url: &str) -> Option<OperationProgress> {
        let running = self.operations.get(url)?;
        Some(match running.fails {
            _ if self.now < running.ends => OperationProgress::InProgress,
            false => OperationProgress::Succeeded,
            true => OperationProgress::Failed(failure(FailureKind::Invalid)),
        })
    }

    /// Does what an action says, after checking its preconditions.
    pub(crate) fn apply(&mut self, action: &Action) -> Outcome {
        match action {
            Action::Grow { operation, binding, target, capacity, .. } => {
                if self.sets[binding].capacity != *capacity {
                    return Outcome::Refused { operation: Some(operation.clone()) };
                }
                assert!(target >= capacity, "a capacity is never lowered");
                self.grow(binding, *target);
                self.accept(operation, seconds(60), Vec::new())
            }
            Action::Disable { member, .. } => {
                let agent = member.agent.and_then(|agent| self.agents.get_mut(&agent));
                let Some(agent) = agent else { return Outcome::Refused { operation: None } };
                agent.enabled = false;
                Outcome::Done
            }
            Action::Save { binding, members } => self.save(binding, members),
            Action::Unmark { binding, vms } => self.unmark(binding, vms),
            Action::Remove { operation, binding, removal, members } => {
                let free: Vec<&Member> =
                    members.iter().filter(|member| self.release(binding, member)).collect();
                if free.is_empty() {
                    return Outcome::Refused { operation: Some(operation.clone()) };
                }
                if self.sets[binding].flexible {
                    return self.remove_each(operation, binding, *removal, &free);
                }
                let covered = free.iter().map(|member| member.vm_id.clone()).collect();
                for member in free {
                    self.remove(binding, member, *removal);
                }
                let takes = if *removal == Removal::Delete { self.times.2 } else { seconds(60) };
                self.accept(operation, takes, covered)
            }
        }
    }

    /// Each VM by itself.
    fn remove_each(
        &mut self,
        operation: &str,
        binding: &BindingName,
        removal: Removal,
        members: &[&Member],
    ) -> Outcome {
        let takes = if removal == Removal::Delete { self.times.2 } else { seconds(60) };
        let (mut parts, mut failed) = (Vec::new(), Vec::new());
        for (index, member) in members.iter().enumerate() {
            let vm = member.vm_id.clone();
            if self.parts_fail && index + 1 == members.len() {
                // Its agent record is gone all the same.
                let machines = &mut self.sets.get_mut(binding).unwrap().machines;
                let machine = machines.iter_mut().find(|machine| machine.vm.vm_id == vm).unwrap();
                (machine.phase, machine.healthy) = (Phase::Dud, false);
                failed.push(vm);
                continue;
            }
            self.remove(binding, member, removal);
            let url = format!("{operation}/{vm}");
            let _ = self.accept(&url, takes, Vec::new());
            parts.push(Part { vm, url: Some(url) });
        }
        let failure = (!failed.is_empty()).then(|| (failed, failure(FailureKind::Conflict)));
        Outcome::Split { operation: operation.to_owned(), parts, failure }
    }

    fn accept(&mut self, operation: &str, takes: SignedDuration, covered: Vec<VmId>) -> Outcome {
        let ends = plus(self.now, takes);
        self.operations.insert(operation.to_owned(), Running { ends, fails: self.operations_fail });
        Outcome::InFlight { operation: operation.to_owned(), url: Some(operation.to_owned()), covered }
    }

    pub(crate) fn grow(&mut self, binding: &BindingName, target: u32) {
        let missing = target.saturating_sub(self.sets[binding].capacity);
        for _ in 0..missing {
            let id = self.id();
            let name = format!("{binding}{id:04}");
            let vm = Vm {
                vm_id: VmId(format!("vm-{id}")),
                instance_id: InstanceId(id.to_string()),
                computer_name: name,
                provisioning: Provisioning::Creating,
                power: Power::On,
                created_at: Some(self.now),
                failure: None,
            };
            let phase = if self.duds { Phase::Dud } else { Phase::Coming(plus(self.now, self.times.0)) };
            self.sets.get_mut(binding).unwrap().machines.push(Machine {
                vm,
                phase,
                healthy: phase != Phase::Dud,
            });
        }
        self.sets.get_mut(binding).unwrap().capacity = target;
    }

    /// Deletes the agent's record, unless a job runs, the VM is another, or a record has its name again.
    fn release(&mut self, binding: &BindingName, member: &Member) -> bool {
        let machines = &self.sets[binding].machines;
        let Some(machine) = machines.iter().find(|machine| machine.vm.vm_id == member.vm_id) else {
            return false;
        };
        if matches!(machine.phase, Phase::Leaving(_)) || machine.vm.instance_id != member.instance_id {
            return false;
        }
        match member.agent.and_then(|id| self.agents.get(&id)) {
            Some(agent) if agent.assigned.is_some() || (agent.enabled && agent.online) => false,
            Some(agent) => self.agents.remove(&agent.id.clone()).is_some(),
            None => self.agents.values().all(|agent| agent.name != member.computer_name),
        }
    }

    fn remove(&mut self, binding: &BindingName, member: &Member, removal: Removal) {
        let (now, fails, dud) = (self.now, self.operations_fail, self.duds);
        let (_, reimage, delete) = self.times;
        let set = self.sets.get_mut(binding).unwrap();
        let machine = set.machines.iter_mut().find(|machine| machine.vm.vm_id == member.vm_id).unwrap();
        let unhealthy = match member.cause {
            Cause::FailedToStart | Cause::CreationFailed | Cause::WentOffline | Cause::Stopped => true,
            Cause::Excess
            | Cause::Used
            | Cause::Disabled
            | Cause::BindingLeaves
            | Cause::PoolDeleted
            | Cause::Existing
            | Cause::Lifetime
            | Cause::Asked
            | Cause::Released => false,
        };
        if unhealthy && machine.healthy {
            self.wronged.push(machine.vm.vm_id.clone());
        }
        match removal {
            // A removal that fails leaves a machine without an agent.
            Removal::Delete | Removal::Reimage if fails => {
                machine.phase = Phase::Dud;
                machine.healthy = false;
            }
            Removal::Delete => {
                machine.phase = Phase::Leaving(plus(now, delete));
                machine.vm.provisioning = Provisioning::Deleting;
                set.capacity -= u32::from(!set.lingers);
            }
            Removal::Reimage => {
                machine.phase = if dud { Phase::Dud } else { Phase::Coming(plus(now, reimage)) };
                machine.healthy = !dud;
                machine.vm.provisioning = Provisioning::Updating;
            }
        }
    }
}
