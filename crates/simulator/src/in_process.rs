//! The face for the policy: the same world in the policy's own types, in virtual time.

mod failure;

use std::collections::BTreeMap;

use poolkeeper_policy::{
    Action, Agent, AgentId, BindingName, Demand, Failure, InstanceId, JobRequest, Member, Memory,
    OperationProgress, Orchestration, Outcome, Part, PoolReason, Power, Provisioning, Removal, RequestId,
    ScaleSet, Seen, SetView, Snapshot, Vm, VmId, Why,
};

use crate::world::{self, AzureError, Call, OperationStatus, PoolRef, ScaleSetChange, SetRef, World};

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
        let sets = self.bindings.iter().map(|(name, set)| (name.clone(), set_view(world, *set))).collect();
        let operations = memory
            .operations
            .iter()
            .filter_map(|operation| Some((operation.id.clone(), progress(world, operation.url.as_deref()?)?)))
            .collect();
        Snapshot { jobs: self.jobs(world), agents: self.agents(world), sets, operations, parallel_jobs: None }
    }

    /// Carries an action out, after checking its preconditions as the operator does.
    pub fn apply(&self, world: &mut World, action: &Action) -> Outcome {
        match action {
            Action::Grow { operation, binding, by: _, target, capacity } => {
                self.grow(world, operation, binding, *target, *capacity)
            }
            Action::Disable { binding, member } => self.disable(world, binding, member),
            Action::Remove { operation, binding, removal, members } => {
                self.remove(world, operation, binding, *removal, members)
            }
        }
    }

    fn jobs(&self, world: &World) -> Seen<Vec<JobRequest>> {
        let read = |pool: &world::Pool| {
            pool.open_requests()
                .map(|request| JobRequest {
                    id: RequestId(signed(request.id)),
                    queued_at: Some(request.queued_at),
                    agent: request.agent.as_ref().map(|(id, _)| AgentId(signed(*id))),
                    demands: pool.demands(request).iter().map(|text| Demand::parse(text)).collect(),
                    maintenance: request.maintenance_of.is_some(),
                    definition: Some(request.definition.to_string()),
                })
                .collect()
        };
        self.devops(world, read)
    }

    fn agents(&self, world: &World) -> Seen<Vec<Agent>> {
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

    fn set(&self, binding: &BindingName) -> Option<SetRef> {
        self.bindings.get(binding).copied()
    }

    fn grow(
        &self,
        world: &mut World,
        operation: &str,
        binding: &BindingName,
        target: u32,
        capacity: u32,
    ) -> Outcome {
        let refused = || Outcome::Refused { operation: Some(operation.to_owned()) };
        let Some(set) = self.set(binding) else { return refused() };
        if let Some(failure) = failure::of_set(world, set) {
            return failed(operation, binding, failure);
        }
        let Some(found) = world.set(set).filter(|found| found.capacity == capacity) else { return refused() };
        let members = found.members();
        let change = ScaleSetChange {
            capacity: Some(target),
            if_match: Some(found.etag()),
            ..ScaleSetChange::default()
        };
        world.count_call(Call::ScaleSetUpdate);
        let asked = target.saturating_sub(members);
        match world.patch_scale_set(set, change) {
            Ok(id) => in_flight(operation, id, Vec::new()),
            Err(error) => failed(operation, binding, failure::of_azure(&error, asked)),
        }
    }

    fn disable(&self, world: &mut World, binding: &BindingName, member: &Member) -> Outcome {
        let Some(agent) = member.agent.and_then(|agent| u64::try_from(agent.0).ok()) else {
            return Outcome::Refused { operation: None };
        };
        if let Some(fault) = world.devops_fault(self.pool.organization) {
            return Outcome::Failed {
                operation: None,
                binding: binding.clone(),
                failure: failure::of_devops(fault),
            };
        }
        world.count_call(Call::AgentWrite);
        match world.set_agent_enabled(self.pool, agent, false) {
            Ok(()) => Outcome::Done,
            Err(_) => Outcome::Refused { operation: None },
        }
    }

    fn remove(
        &self,
        world: &mut World,
        operation: &str,
        binding: &BindingName,
        removal: Removal,
        members: &[Member],
    ) -> Outcome {
        let refused = || Outcome::Refused { operation: Some(operation.to_owned()) };
        let Some(set) = self.set(binding) else { return refused() };
        if let Some(fault) = world.devops_fault(self.pool.organization) {
            return failed(operation, binding, failure::of_devops(fault));
        }
        if let Some(failure) = failure::of_set(world, set) {
            return failed(operation, binding, failure);
        }
        let released: Vec<(u64, VmId)> = members
            .iter()
            .filter_map(|member| Some((self.release(world, set, member)?, member.vm_id.clone())))
            .collect();
        if released.is_empty() {
            return refused();
        }
        if world.set(set).is_some_and(world::ScaleSet::is_flexible) {
            return split(world, set, operation, removal, released);
        }
        let (mut ids, covered): (Vec<u64>, Vec<VmId>) = released.into_iter().unzip();
        ids.sort_unstable();
        ids.dedup();
        match start_removal(world, set, removal, &ids) {
            Ok(id) => in_flight(operation, id, covered),
            Err(error) => failed(operation, binding, failure::of_azure(&error, 0)),
        }
    }

    /// The instance, once it is the same VM and no agent stands behind it any more.
    fn release(&self, world: &mut World, set: SetRef, member: &Member) -> Option<u64> {
        let instance = world.set(set)?.find_instance(&member.instance_id.0)?;
        let id = instance.id;
        if instance.vm_id.to_string() != member.vm_id.0 {
            return None;
        }
        let pool = world.pool(self.pool)?;
        match member.agent {
            None => pool.agent_named(&member.computer_name).is_none().then_some(id),
            Some(agent) => {
                let agent = u64::try_from(agent.0).ok()?;
                if pool.agent(agent).is_none() {
                    // Gone since: another record may have come under its name.
                    return pool.agent_named(&member.computer_name).is_none().then_some(id);
                }
                world.count_call(Call::AgentWrite);
                world.delete_agent(self.pool, agent).is_ok().then_some(id)
            }
        }
    }
}

/// Each VM of a Flexible set has an operation of its own.
fn split(
    world: &mut World,
    set: SetRef,
    operation: &str,
    removal: Removal,
    released: Vec<(u64, VmId)>,
) -> Outcome {
    let mut parts = Vec::new();
    let mut failure: Option<(Vec<VmId>, Failure)> = None;
    for (id, vm) in released {
        match start_removal(world, set, removal, &[id]) {
            Ok(id) => parts.push(Part { vm, url: Some(id.to_string()) }),
            Err(error) => {
                failure.get_or_insert_with(|| (Vec::new(), failure::of_azure(&error, 0))).0.push(vm);
            }
        }
    }
    Outcome::Split { operation: operation.to_owned(), parts, failure }
}

fn start_removal(
    world: &mut World,
    set: SetRef,
    removal: Removal,
    ids: &[u64],
) -> Result<uuid::Uuid, AzureError> {
    let flexible = world.set(set).is_some_and(world::ScaleSet::is_flexible);
    match removal {
        Removal::Delete => {
            world.count_call(if flexible { Call::MachineDelete } else { Call::InstanceDelete });
            world.delete_instances(set, ids)
        }
        Removal::Reimage => {
            world.count_call(if flexible { Call::MachineUpdate } else { Call::ScaleSetUpdate });
            world.reimage_instances(set, Some(ids))
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
        failure: instance.failure.as_ref().map(|failure| failure.code.to_owned()),
    }
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

fn in_flight(operation: &str, id: uuid::Uuid, covered: Vec<VmId>) -> Outcome {
    Outcome::InFlight { operation: operation.to_owned(), url: Some(id.to_string()), covered }
}

fn failed(operation: &str, binding: &BindingName, failure: Failure) -> Outcome {
    Outcome::Failed { operation: Some(operation.to_owned()), binding: binding.clone(), failure }
}

fn missing<T>(reason: PoolReason) -> Seen<T> {
    Seen::Missing { why: Why { reason, message: reason.as_str().to_owned() }, last: None }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
