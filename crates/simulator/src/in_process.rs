//! The face for the policy: the same world in the policy's own types, in virtual time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use poolkeeper_policy::{
    Action, Agent, AgentId, BindingName, Demand, Failure, InstanceId, JobRequest, LimitedBy, Member, Memory,
    OperationProgress, Outcome, PoolReason, Power, Provisioning, Removal, RequestId, ScaleSet, Seen, SetView,
    Snapshot, Vm, VmId, Why,
};

use crate::world::{
    self, AzureError, AzureFault, Call, DevOpsFault, OperationStatus, PoolRef, ScaleSetChange, SetRef, World,
};

/// What one agent pool's operator sees of a world, and where it acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The agent pool.
    pub pool: PoolRef,
    /// The scale set of each binding.
    pub bindings: BTreeMap<BindingName, SetRef>,
}

/// How long a throttled caller is asked to wait, as in the HTTP face.
const THROTTLED_FOR: SignedDuration = SignedDuration::from_secs(30);

impl View {
    /// Reads everything at once, at the world's time. Faults make their source missing.
    pub fn snapshot(&self, world: &World, memory: &Memory) -> Snapshot {
        let sets = self.bindings.iter().map(|(name, set)| (name.clone(), set_view(world, *set))).collect();
        let operations = memory
            .operations
            .iter()
            .filter_map(|operation| Some((operation.id.clone(), progress(world, operation.url.as_deref()?)?)))
            .collect();
        Snapshot { jobs: self.jobs(world), agents: self.agents(world), sets, operations }
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
            (Some(fault), _) => missing(devops_reason(fault)),
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
        if let Some(failure) = azure_failure(world, set) {
            return failed(operation, binding, failure);
        }
        let Some(found) = world.set(set).filter(|found| found.capacity == capacity) else { return refused() };
        let change = ScaleSetChange {
            capacity: Some(target),
            if_match: Some(found.etag()),
            ..ScaleSetChange::default()
        };
        world.count_call(Call::ScaleSetUpdate);
        match world.patch_scale_set(set, change) {
            Ok(id) => in_flight(operation, id, Vec::new()),
            Err(error) => failed(operation, binding, classify(&error)),
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
                failure: devops_failure(fault),
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
            return failed(operation, binding, devops_failure(fault));
        }
        if let Some(failure) = azure_failure(world, set) {
            return failed(operation, binding, failure);
        }
        let mut ids = BTreeSet::new();
        let mut covered = Vec::new();
        for member in members {
            if let Some(id) = self.release(world, set, member) {
                ids.insert(id);
                covered.push(member.vm_id.clone());
            }
        }
        if ids.is_empty() {
            return refused();
        }
        let ids: Vec<u64> = ids.into_iter().collect();
        let started = match removal {
            Removal::Delete => {
                world.count_call(Call::InstanceDelete);
                world.delete_instances(set, &ids)
            }
            Removal::Reimage => {
                world.count_call(Call::ScaleSetUpdate);
                world.reimage_instances(set, Some(&ids))
            }
        };
        match started {
            Ok(id) => in_flight(operation, id, covered),
            Err(error) => failed(operation, binding, classify(&error)),
        }
    }

    /// The instance, once it is the same VM and no agent stands behind it any more.
    fn release(&self, world: &mut World, set: SetRef, member: &Member) -> Option<u64> {
        let id: u64 = member.instance_id.0.parse().ok()?;
        let instance = world.set(set)?.instance(id)?;
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

fn set_view(world: &World, set: SetRef) -> SetView {
    let why = world.azure_faults(set).find_map(azure_reason);
    let (scale_set, instances) = match (why, world.set(set)) {
        (Some(reason), _) => (missing(reason), missing(reason)),
        (None, None) => (missing(PoolReason::NotObserved), missing(PoolReason::NotObserved)),
        (None, Some(found)) => {
            let prefix = found.spec.computer_name_prefix.as_deref().unwrap_or(found.name());
            let value = ScaleSet { capacity: found.capacity, computer_name_prefix: prefix.to_owned() };
            let vms = found.instances().map(vm).collect();
            (Seen::Fresh { value, at: world.now() }, Seen::Fresh { value: vms, at: world.now() })
        }
    };
    SetView { blocked: None, scale_set, instances }
}

fn vm(instance: &world::Instance) -> Vm {
    Vm {
        vm_id: VmId(instance.vm_id.to_string()),
        instance_id: InstanceId(instance.id.to_string()),
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
            world::Power::Stopping | world::Power::Stopped => Power::Off,
        },
        created_at: Some(instance.created_at),
        failure: instance.failure.map(str::to_owned),
    }
}

fn progress(world: &World, url: &str) -> Option<OperationProgress> {
    let operation = world.operation(url.parse().ok()?)?;
    Some(match operation.status {
        OperationStatus::InProgress => OperationProgress::InProgress,
        OperationStatus::Succeeded => OperationProgress::Succeeded,
        OperationStatus::Failed | OperationStatus::Canceled => {
            let (limit, message) = match &operation.error {
                Some(error) if error.code == "AllocationFailed" => (LimitedBy::Allocation, error.message),
                Some(error) => (LimitedBy::Hold, error.message),
                None => (LimitedBy::Hold, ""),
            };
            OperationProgress::Failed(Failure { limit, message: message.to_owned(), retry_after: None })
        }
    })
}

fn in_flight(operation: &str, id: uuid::Uuid, covered: Vec<VmId>) -> Outcome {
    Outcome::InFlight { operation: operation.to_owned(), url: Some(id.to_string()), covered }
}

fn failed(operation: &str, binding: &BindingName, failure: Failure) -> Outcome {
    Outcome::Failed { operation: Some(operation.to_owned()), binding: binding.clone(), failure }
}

fn classify(error: &AzureError) -> Failure {
    let limit = match error {
        AzureError::Quota { .. } => LimitedBy::Quota,
        AzureError::TooLarge { .. } => LimitedBy::BindingMaximum,
        AzureError::NotFound
        | AzureError::PreconditionFailed { .. }
        | AzureError::Conflict
        | AzureError::MarkedForDeletion(_)
        | AzureError::UnknownInstance(_)
        | AzureError::NoInstances => LimitedBy::Hold,
    };
    Failure { limit, message: error.to_string(), retry_after: None }
}

fn azure_failure(world: &World, set: SetRef) -> Option<Failure> {
    let reason = world.azure_faults(set).find_map(azure_reason)?;
    Some(failure(reason))
}

fn devops_failure(fault: DevOpsFault) -> Failure {
    failure(devops_reason(fault))
}

fn failure(reason: PoolReason) -> Failure {
    let throttled = reason == PoolReason::Throttled;
    let limit = if throttled { LimitedBy::Throttling } else { LimitedBy::Hold };
    let retry_after = throttled.then_some(THROTTLED_FOR);
    Failure { limit, message: reason.as_str().to_owned(), retry_after }
}

fn missing<T>(reason: PoolReason) -> Seen<T> {
    Seen::Missing { why: Why { reason, message: reason.as_str().to_owned() }, last: None }
}

fn devops_reason(fault: DevOpsFault) -> PoolReason {
    match fault {
        DevOpsFault::SignIn => PoolReason::CredentialsRejected,
        DevOpsFault::Throttle => PoolReason::Throttled,
        DevOpsFault::Unavailable => PoolReason::Unreachable,
    }
}

fn azure_reason(fault: AzureFault) -> Option<PoolReason> {
    match fault {
        AzureFault::Forbidden => Some(PoolReason::PermissionDenied),
        AzureFault::Throttle => Some(PoolReason::Throttled),
        AzureFault::Unavailable => Some(PoolReason::Unreachable),
        AzureFault::AllocationFailed | AzureFault::Quota => None,
    }
}

fn signed(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(i64::MAX)
}
