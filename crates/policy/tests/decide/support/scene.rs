//! A snapshot in a few words: `scene([machine("a").idle(), machine("b").busy()]).queued(2)`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, AgentId, Blocked, Demand, Failure, InstanceId, JobRequest, OperationProgress, Orchestration,
    PoolReason, Power, Provisioning, RequestId, SavedMark, ScaleSet, Seen, SetView, Snapshot, Vm, VmId, Why,
};

use super::{monday, name};

/// A VM with its agent, on scale set `d4` unless said otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) binding: String,
    pub(crate) vm: Vm,
    pub(crate) agent: Option<Agent>,
}

/// A VM that runs since an hour before Monday, and has no agent yet.
pub(crate) fn machine(name: &str) -> Machine {
    let hour_ago = monday().checked_sub(SignedDuration::from_hours(1)).unwrap();
    let vm = Vm {
        vm_id: VmId(format!("vm-{name}")),
        instance_id: InstanceId(name.to_owned()),
        computer_name: name.to_owned(),
        provisioning: Provisioning::Succeeded,
        power: Power::On,
        created_at: Some(hour_ago),
        failure: None,
    };
    Machine { binding: "d4".to_owned(), vm, agent: None }
}

/// The id of the agent with this name.
pub(crate) fn agent_id(name: &str) -> AgentId {
    AgentId(name.bytes().fold(0, |id, byte| (id * 256 + i64::from(byte)) % 1_000_003))
}

/// An agent that came a minute after its VM, online and free.
pub(crate) fn agent(name: &str) -> Agent {
    let created_at = monday().checked_sub(SignedDuration::from_mins(59)).unwrap();
    Agent {
        id: agent_id(name),
        name: name.to_owned(),
        enabled: true,
        online: true,
        updating: false,
        created_at: Some(created_at),
        status_changed_at: Some(created_at),
        assigned: None,
        maintained: false,
        last_finished_at: None,
        capabilities: BTreeMap::new(),
        user_capabilities: BTreeMap::new(),
    }
}

impl Machine {
    pub(crate) fn on(mut self, binding: &str) -> Self {
        self.binding = binding.to_owned();
        self
    }

    pub(crate) fn vm(mut self, change: impl FnOnce(&mut Vm)) -> Self {
        change(&mut self.vm);
        self
    }

    pub(crate) fn agent(mut self, change: impl FnOnce(&mut Agent)) -> Self {
        let name = self.vm.computer_name.clone();
        change(self.agent.get_or_insert_with(|| agent(&name)));
        self
    }

    pub(crate) fn idle(self) -> Self {
        self.agent(|_| {})
    }

    pub(crate) fn idle_since(self, at: Timestamp) -> Self {
        self.agent(|agent| agent.status_changed_at = Some(at))
    }

    /// Runs the request with the same number as its agent.
    pub(crate) fn busy(self) -> Self {
        self.agent(|agent| agent.assigned = Some(RequestId(agent.id.0)))
    }

    /// Has run a job, which ended a minute before Monday.
    pub(crate) fn used(self) -> Self {
        let finished_at = monday().checked_sub(SignedDuration::from_mins(1)).unwrap();
        self.agent(|agent| agent.last_finished_at = Some(finished_at))
    }

    pub(crate) fn disabled(self) -> Self {
        self.agent(|agent| agent.enabled = false)
    }

    pub(crate) fn offline(self) -> Self {
        self.agent(|agent| agent.online = false)
    }

    pub(crate) fn provisioning(self, provisioning: Provisioning) -> Self {
        self.vm(|vm| vm.provisioning = provisioning)
    }

    pub(crate) fn off(self) -> Self {
        self.vm(|vm| vm.power = Power::Off)
    }
}

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) machines: Vec<Machine>,
    pub(crate) jobs: Vec<JobRequest>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) capacity: BTreeMap<String, u32>,
    pub(crate) blocked: BTreeMap<String, Blocked>,
    pub(crate) operations: BTreeMap<String, OperationProgress>,
    pub(crate) flexible: BTreeSet<String>,
    pub(crate) headroom: BTreeMap<String, u32>,
    pub(crate) parallel_jobs: Option<u32>,
    /// What the tags say, by scale set.
    pub(crate) saved: BTreeMap<String, BTreeMap<VmId, SavedMark>>,
    /// Scale sets besides those of the machines; `d4` is always there.
    pub(crate) sets: Vec<String>,
}

pub(crate) fn scene(machines: impl IntoIterator<Item = Machine>) -> Scene {
    Scene { machines: machines.into_iter().collect(), sets: vec!["d4".to_owned()], ..Scene::default() }
}

/// A waiting job.
pub(crate) fn job(id: i64) -> JobRequest {
    JobRequest {
        id: RequestId(id),
        queued_at: Some(monday()),
        assigned_at: None,
        agent: None,
        demands: Vec::new(),
        maintenance: false,
        definition: Some("nightly".to_owned()),
    }
}

impl Scene {
    pub(crate) fn queued(mut self, count: i64) -> Self {
        self.jobs.extend((1..=count).map(job));
        self
    }

    pub(crate) fn job_that_demands(mut self, demands: &[&str]) -> Self {
        let id = 1 + i64::try_from(self.jobs.len()).unwrap();
        self.jobs.push(JobRequest {
            demands: demands.iter().map(|text| Demand::parse(text)).collect(),
            ..job(id)
        });
        self
    }

    pub(crate) fn set(mut self, binding: &str) -> Self {
        self.sets.push(binding.to_owned());
        self
    }

    pub(crate) fn capacity(mut self, binding: &str, capacity: u32) -> Self {
        self.capacity.insert(binding.to_owned(), capacity);
        self
    }

    pub(crate) fn blocked(mut self, binding: &str, pending: bool) -> Self {
        let message = "claimed by another operator".to_owned();
        self.blocked.insert(binding.to_owned(), Blocked { message, pending });
        self
    }

    pub(crate) fn flexible(mut self, binding: &str) -> Self {
        self.flexible.insert(binding.to_owned());
        self
    }

    /// So many VMs the quota still allows.
    pub(crate) fn headroom(mut self, binding: &str, vms: u32) -> Self {
        self.headroom.insert(binding.to_owned(), vms);
        self
    }

    /// The pool's share of the organisation's parallel jobs.
    pub(crate) fn parallel_jobs(mut self, share: u32) -> Self {
        self.parallel_jobs = Some(share);
        self
    }

    pub(crate) fn foreign(mut self, agent: Agent) -> Self {
        self.agents.push(agent);
        self
    }

    /// How an operation of the memory stands now.
    pub(crate) fn operation(mut self, id: &str, progress: OperationProgress) -> Self {
        self.operations.insert(id.to_owned(), progress);
        self
    }

    /// The tags of a scale set say that this VM is saved.
    pub(crate) fn saved(mut self, binding: &str, vm: &str) -> Self {
        let mark = SavedMark { at: Some(monday()) };
        self.saved.entry(binding.to_owned()).or_default().insert(VmId(vm.to_owned()), mark);
        self
    }

    /// Everything read at that time.
    pub(crate) fn seen(&self, at: Timestamp) -> Snapshot {
        let mut jobs = self.jobs.clone();
        let mut agents = self.agents.clone();
        let mut lists: BTreeMap<&str, Vec<Vm>> =
            self.sets.iter().map(|binding| (binding.as_str(), Vec::new())).collect();
        for machine in &self.machines {
            lists.entry(&machine.binding).or_default().push(machine.vm.clone());
            let Some(agent) = &machine.agent else { continue };
            if let Some(request) = agent.assigned.filter(|id| jobs.iter().all(|job| job.id != *id)) {
                jobs.push(JobRequest { agent: Some(agent.id), ..job(request.0) });
            }
            if agents.iter().all(|other| other.id != agent.id) {
                agents.push(agent.clone());
            }
        }
        let set = |(binding, vms): (&str, Vec<Vm>)| {
            let staying = vms.iter().filter(|vm| vm.provisioning != Provisioning::Deleting).count();
            let capacity = self.capacity.get(binding).copied();
            let capacity = capacity.unwrap_or(u32::try_from(staying).unwrap());
            let flexible = self.flexible.contains(binding);
            let orchestration = if flexible { Orchestration::Flexible } else { Orchestration::Uniform };
            let scale_set = ScaleSet {
                capacity,
                computer_name_prefix: binding.to_owned(),
                orchestration,
                saved: self.saved.get(binding).cloned().unwrap_or_default(),
            };
            let view = SetView {
                blocked: self.blocked.get(binding).cloned(),
                scale_set: Seen::Fresh { value: scale_set, at },
                instances: Seen::Fresh { value: vms, at },
                headroom: self.headroom.get(binding).copied(),
            };
            (name(binding), view)
        };
        Snapshot {
            jobs: Seen::Fresh { value: jobs, at },
            agents: Seen::Fresh { value: agents, at },
            sets: lists.into_iter().map(set).collect(),
            operations: self.operations.clone(),
            parallel_jobs: self.parallel_jobs,
        }
    }
}

/// A read that failed after the last one succeeded.
pub(crate) fn lose<T>(seen: &mut Seen<T>) {
    let placeholder = Seen::Missing { why: unreachable_why(), last: None };
    let last = match std::mem::replace(seen, placeholder) {
        Seen::Fresh { value, at } => Some((value, at)),
        Seen::Missing { last, .. } => last,
    };
    *seen = Seen::Missing { why: unreachable_why(), last };
}

/// A read that failed, and no earlier one is known.
pub(crate) fn lose_all<T>(seen: &mut Seen<T>) {
    *seen = Seen::Missing { why: unreachable_why(), last: None };
}

pub(crate) fn unreachable_why() -> Why {
    Why { reason: PoolReason::Unreachable, message: "the connection was reset".to_owned() }
}

pub(crate) fn failure(kind: poolkeeper_policy::FailureKind) -> Failure {
    Failure { kind, message: "Azure says no".to_owned(), retry_after: None }
}
