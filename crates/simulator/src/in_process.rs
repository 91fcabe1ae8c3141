//! The face for the policy: the same world in the policy's own types, in virtual time.

mod call;
mod failure;

use std::collections::BTreeMap;

use poolkeeper_policy::{
    Agent, AgentId, BindingName, Demand, InstanceId, JobRequest, Memory, OperationProgress, Orchestration,
    PoolReason, Power, Provisioning, RequestId, SavedMark, ScaleSet, Seen, SetView, Snapshot, Vm, VmFailure,
    VmFailureKind, VmId, Why,
};

pub use call::Etag;

use crate::world::{self, OperationStatus, PoolRef, SetRef, World};

/// The tag of a VM that is saved for investigation is named so, and its id; it holds when that was.
pub const SAVED_TAG: &str = "poolkeeper-saved-";

/// What one agent pool's operator sees of a world, and where it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The agent pool.
    pub pool: PoolRef,
    /// The scale set of each binding.
    pub bindings: BTreeMap<BindingName, SetRef>,
}

impl View {
    /// Reads everything at once, at the world's time. Faults make their source missing.
    pub fn snapshot(&self, world: &World, memory: &Memory) -> Snapshot {
        let sets = self.bindings.keys().map(|name| (name.clone(), self.set_view(world, name))).collect();
        let (jobs, agents) = (self.jobs(world), self.agents(world));
        Snapshot { jobs, agents, sets, operations: self.operations(world, memory), parallel_jobs: None }
    }

    /// Reads a binding's scale set and its instances; missing where it has none.
    pub fn set_view(&self, world: &World, binding: &BindingName) -> SetView {
        match self.bindings.get(binding) {
            Some(set) => set_view(world, *set),
            None => {
                let (scale_set, instances) = (missing(PoolReason::NoBinding), missing(PoolReason::NoBinding));
                SetView { blocked: None, scale_set, instances, headroom: None }
            }
        }
    }

    /// How the operations in a memory stand; those that nobody can ask about are left out.
    pub fn operations(&self, world: &World, memory: &Memory) -> BTreeMap<String, OperationProgress> {
        let readable = |binding: &BindingName| {
            self.bindings.get(binding).is_some_and(|set| failure::why(world, *set).is_none())
        };
        memory
            .operations
            .iter()
            .filter(|operation| readable(&operation.binding))
            .filter_map(|operation| Some((operation.id.clone(), progress(world, operation.url.as_deref()?)?)))
            .collect()
    }

    /// Lists the unfinished job requests.
    pub fn jobs(&self, world: &World) -> Seen<Vec<JobRequest>> {
        let read = |pool: &world::Pool| {
            pool.open_requests()
                .map(|request| JobRequest {
                    id: RequestId(signed(request.id)),
                    queued_at: Some(request.queued_at),
                    assigned_at: request.assigned_at,
                    agent: request.agent.as_ref().map(|(id, _)| AgentId(signed(*id))),
                    demands: pool.demands(request).iter().map(|text| Demand::parse(text)).collect(),
                    maintenance: request.maintenance_of.is_some(),
                    definition: Some(request.definition.to_string()),
                })
                .collect()
        };
        self.devops(world, read)
    }

    /// Lists the agents.
    pub fn agents(&self, world: &World) -> Seen<Vec<Agent>> {
        self.devops(world, |pool| {
            pool.agents()
                .map(|agent| Agent {
                    id: AgentId(signed(agent.id)),
                    name: agent.name.to_string(),
                    enabled: agent.enabled,
                    online: agent.online,
                    updating: false,
                    created_at: Some(agent.created_at),
                    status_changed_at: Some(agent.status_changed_at),
                    assigned: agent.request.map(|id| RequestId(signed(id))),
                    maintained: agent
                        .request
                        .and_then(|id| pool.open(id))
                        .is_some_and(|request| request.maintenance_of.is_some()),
                    last_finished_at: agent.last_completed.map(|last| last.at),
                    capabilities: agent
                        .system_capabilities()
                        .chain(
                            agent
                                .user_capabilities
                                .iter()
                                .map(|(name, value)| (name.as_str(), value.as_str())),
                        )
                        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                        .collect(),
                    user_capabilities: agent.user_capabilities.clone(),
                })
                .collect()
        })
    }

    fn devops<T>(&self, world: &World, read: impl FnOnce(&world::Pool) -> T) -> Seen<T> {
        match (world.devops_fault(self.pool.organization), world.pool(self.pool)) {
            (Some(fault), _) => missing(failure::devops_reason(fault)),
            (None, None) => missing(PoolReason::PoolNotFound),
            (None, Some(pool)) => Seen::Fresh { value: read(pool), at: world.now() },
        }
    }
}

fn set_view(world: &World, set: SetRef) -> SetView {
    let why = failure::why(world, set);
    let (scale_set, instances) = match (why, world.set(set)) {
        (Some(reason), _) => (missing(reason), missing(reason)),
        (None, None) => (missing(PoolReason::NotObserved), missing(PoolReason::NotObserved)),
        (None, Some(found)) => {
            let prefix = found.spec.computer_name_prefix.as_deref().unwrap_or(found.name());
            let value = ScaleSet {
                capacity: found.capacity,
                computer_name_prefix: prefix.to_owned(),
                orchestration: match found.spec.orchestration {
                    crate::spec::Orchestration::Uniform => Orchestration::Uniform,
                    crate::spec::Orchestration::Flexible => Orchestration::Flexible,
                },
                saved: saved(found),
            };
            let vms = found.instances().map(|instance| vm(found, instance)).collect();
            (Seen::Fresh { value, at: world.now() }, Seen::Fresh { value: vms, at: world.now() })
        }
    };
    SetView { blocked: None, scale_set, instances, headroom: world.headroom(set) }
}

fn vm(set: &world::ScaleSet, instance: &world::Instance) -> Vm {
    Vm {
        vm_id: VmId(instance.vm_id.to_string()),
        instance_id: InstanceId(set.instance_id(instance)),
        computer_name: instance.computer_name.to_string(),
        provisioning: match instance.provisioning {
            world::Provisioning::Creating => Provisioning::Creating,
            world::Provisioning::Updating => Provisioning::Updating,
            world::Provisioning::Succeeded => Provisioning::Succeeded,
            world::Provisioning::Failed => Provisioning::Failed,
            world::Provisioning::Deleting => Provisioning::Deleting,
        },
        power: match instance.power {
            world::Power::Starting | world::Power::Running => Power::On,
            world::Power::Stopping
            | world::Power::Stopped
            | world::Power::Deallocating
            | world::Power::Deallocated => Power::Off,
        },
        created_at: Some(instance.created_at),
        failure: instance.failure.as_ref().map(|failure| VmFailure {
            kind: failure_kind(set, instance),
            message: failure.message.to_string(),
        }),
    }
}

fn failure_kind(set: &world::ScaleSet, instance: &world::Instance) -> VmFailureKind {
    if instance.extension_failure().is_none() {
        VmFailureKind::Creation
    } else if set.failed_extension(instance).is_some_and(|name| name.starts_with("CustomScript")) {
        VmFailureKind::Script
    } else {
        VmFailureKind::Extension
    }
}

fn saved(set: &world::ScaleSet) -> BTreeMap<VmId, SavedMark> {
    let mark = |(name, value): (&String, &String)| {
        let vm = name.to_lowercase().strip_prefix(SAVED_TAG)?.to_owned();
        Some((VmId(vm), SavedMark { at: value.parse().ok() }))
    };
    set.tags.iter().filter_map(mark).collect()
}

fn progress(world: &World, url: &str) -> Option<OperationProgress> {
    let operation = world.operation(url.parse().ok()?)?;
    Some(match operation.status {
        OperationStatus::InProgress => OperationProgress::InProgress,
        OperationStatus::Succeeded => OperationProgress::Succeeded,
        OperationStatus::Failed | OperationStatus::Canceled => {
            OperationProgress::Failed(failure::of_operation(operation))
        }
    })
}

fn missing<T>(reason: PoolReason) -> Seen<T> {
    Seen::Missing { why: Why { reason, message: reason.as_str().to_owned() }, last: None }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
