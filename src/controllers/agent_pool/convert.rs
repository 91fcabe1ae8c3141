//! From the clouds' words to policy's.

use poolkeeper_azure::{FailureKind, Instance, OrchestrationMode, PowerState, ProvisioningState, ScaleSet};
use poolkeeper_azure_devops as devops;
use poolkeeper_policy::{
    Agent, AgentId, Demand, InstanceId, JobRequest, Orchestration, Power, Provisioning, RequestId, Vm,
    VmFailure, VmFailureKind, VmId,
};

use crate::saved;

pub(crate) fn scale_set(set: &ScaleSet) -> poolkeeper_policy::ScaleSet {
    let prefix = set.profile.as_ref().and_then(|profile| profile.computer_name_prefix.clone());
    poolkeeper_policy::ScaleSet {
        saved: saved::marks(&set.tags),
        capacity: set.sku.as_ref().and_then(|sku| sku.capacity).unwrap_or(0),
        computer_name_prefix: prefix.unwrap_or_default(),
        orchestration: match &set.orchestration_mode {
            Some(OrchestrationMode::Flexible) => Orchestration::Flexible,
            // Another mode is refused before anything is written; absent is the older of the two.
            Some(OrchestrationMode::Uniform | OrchestrationMode::Other(_)) | None => Orchestration::Uniform,
        },
    }
}

pub(crate) fn vm(instance: &Instance) -> Vm {
    let instance_id = InstanceId(instance.id.to_string());
    Vm {
        // A VM that has no id yet is a member, but no action can name it.
        vm_id: VmId(
            instance.vm_id.as_ref().map_or_else(|| format!("unnamed/{instance_id}"), ToString::to_string),
        ),
        computer_name: instance.computer_name.clone().unwrap_or_default(),
        provisioning: match &instance.provisioning_state {
            Some(ProvisioningState::Creating) => Provisioning::Creating,
            Some(ProvisioningState::Updating) => Provisioning::Updating,
            Some(ProvisioningState::Deleting) => Provisioning::Deleting,
            Some(ProvisioningState::Succeeded) => Provisioning::Succeeded,
            Some(ProvisioningState::Failed) => Provisioning::Failed,
            Some(ProvisioningState::Other(_)) | None => Provisioning::Other,
        },
        power: match &instance.power {
            Some(PowerState::Starting | PowerState::Running) => Power::On,
            Some(
                PowerState::Stopping
                | PowerState::Stopped
                | PowerState::Deallocating
                | PowerState::Deallocated,
            ) => Power::Off,
            Some(PowerState::Other(_)) | None => Power::Unknown,
        },
        created_at: instance.created,
        failure: instance.failure().map(|failure| VmFailure {
            kind: match failure.kind() {
                FailureKind::Creation => VmFailureKind::Creation,
                FailureKind::Extension => VmFailureKind::Extension,
                FailureKind::Script => VmFailureKind::Script,
            },
            message: failure.message.clone().or(failure.code.clone()).unwrap_or_default(),
        }),
        instance_id,
    }
}

pub(crate) fn agent(agent: &devops::Agent) -> Agent {
    let capabilities = agent.system_capabilities.iter().chain(&agent.user_capabilities);
    Agent {
        id: agent_id(agent.id),
        name: agent.name.clone(),
        enabled: agent.enabled,
        online: agent.status == devops::AgentStatus::Online,
        updating: agent.updating,
        created_at: agent.created_on,
        status_changed_at: agent.status_changed_on,
        assigned: agent.assigned_request.as_ref().map(|request| request_id(request.request_id)),
        maintained: agent.assigned_request.as_ref().is_some_and(devops::JobRequest::is_maintenance),
        last_finished_at: agent.last_completed_request.as_ref().and_then(|request| request.finish_time),
        capabilities: capabilities.map(|(name, value)| (name.to_lowercase(), value.clone())).collect(),
        user_capabilities: agent.user_capabilities.clone(),
    }
}

fn agent_id(id: devops::AgentId) -> AgentId {
    AgentId(i64::from(id.0))
}

fn request_id(id: devops::RequestId) -> RequestId {
    RequestId(i64::try_from(id.0).unwrap_or(i64::MAX))
}

pub(crate) fn job_request(request: &devops::JobRequest) -> JobRequest {
    JobRequest {
        id: request_id(request.request_id),
        queued_at: request.queue_time,
        assigned_at: request.assign_time,
        // A reservation without an assignment is a wish, except for maintenance, which is bound from the start.
        agent: request.reserved_agent.as_ref().map(|agent| agent_id(agent.id)),
        demands: request.demands.iter().map(|demand| Demand::parse(demand)).collect(),
        maintenance: request.is_maintenance(),
        definition: request.definition.as_ref().and_then(|definition| definition.name.clone()),
    }
}
