//! Between policy's memory and the pool's status, where the durable part of it lives.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use poolkeeper_api::agent_pool::{
    AgentPoolStatus, Operation, OperationInstance, OperationKind, ScaleInMemory, StaircaseStep, StepMemory,
};
use poolkeeper_api::{ScaleSetBinding, duration};
use poolkeeper_policy::{
    self as policy, BindingName, BindingReason, FailedStarts, Instance, Measured, Memory, Stair, Staircase,
    StartTimes, VmId,
};

use super::count;

/// What a restarted operator picks up again.
pub(crate) fn load(status: &AgentPoolStatus, generation: Option<i64>) -> Memory {
    let operations = status.operations.iter().filter_map(operation).collect();
    let stairs = status.scale_in.iter().flat_map(|memory| &memory.staircase);
    let stair =
        |step: &StaircaseStep| Stair { since: step.since.0, agents: u32::try_from(step.agents).unwrap_or(0) };
    let step = status.step.as_ref().map(|step| policy::Step {
        started_at: step.started_at.0,
        binding: BindingName(step.binding.clone()),
        target: u32::try_from(step.target).unwrap_or(0),
    });
    let ready_now = status.conditions.iter().any(|condition| {
        condition.type_ == "Ready"
            && condition.status == "True"
            && condition.observed_generation == generation
    });
    let mut records = policy::RecordMemory::default();
    records.recall(status.ghost_agents.iter().map(|ghost| (ghost.name.clone(), ghost.since.0)));
    let members = status.bindings.iter().filter_map(|binding| {
        let total = u32::try_from(binding.agents.as_ref()?.total).ok()?;
        Some((BindingName(binding.name.clone()), total))
    });
    Memory {
        members: members.collect(),
        records,
        operations,
        staircase: Staircase::from_stairs(stairs.map(stair)),
        step,
        standby_was_met: ready_now,
        ..Memory::default()
    }
}

/// Failed starts in a row, as the binding's status has kept them.
pub(super) fn failed_starts(binding: &ScaleSetBinding) -> Option<(BindingName, FailedStarts)> {
    let status = binding.status.as_ref()?;
    let count = u32::try_from(status.failed_starts?).ok().filter(|count| *count > 0)?;
    let unhealthy = status.conditions.iter().find(|condition| condition.type_ == "ImageUnhealthy");
    let said = unhealthy.and_then(|condition| {
        BindingReason::ALL.iter().find(|reason| reason.as_str() == condition.reason).copied()
    });
    let message = unhealthy.and_then(|condition| condition.message.split_once("the last one: "));
    let starts = FailedStarts {
        count,
        reason: said.unwrap_or(BindingReason::FailedToStart),
        message: message.map(|(_, message)| message.to_owned()).unwrap_or_default(),
    };
    Some((BindingName(binding.name_any()), starts))
}

/// How long starts take, as the binding's status has kept it.
pub(super) fn start_times(binding: &ScaleSetBinding) -> Option<(BindingName, StartTimes)> {
    let kept = binding.status.as_ref()?.start_time.as_ref()?;
    let measured = Measured {
        p50: duration::parse(&kept.p50).ok()?,
        p95: duration::parse(&kept.p95).ok()?,
        samples: u32::try_from(kept.samples).ok()?,
    };
    Some((BindingName(binding.name_any()), StartTimes::recalled(measured)))
}

fn operation(stored: &Operation) -> Option<policy::Operation> {
    let vms = || stored.instances.iter().map(|instance| VmId(instance.vm_id.clone())).collect();
    let kind = match stored.kind {
        // The members that a growth was to reach are not stored: the capacity says them.
        OperationKind::Create => {
            policy::OperationKind::Create { count: u32::try_from(stored.count).ok()?, target: 0 }
        }
        OperationKind::Delete => policy::OperationKind::Delete(vms()),
        OperationKind::Reimage => policy::OperationKind::Reimage(vms()),
        OperationKind::Unknown => return None,
    };
    Some(policy::Operation {
        id: stored.id.clone(),
        binding: BindingName(stored.binding.clone()),
        kind,
        started_at: stored.started_at.0,
        deadline: stored.deadline.0,
        url: stored.url.clone(),
    })
}

/// Writes the durable part of memory into a status.
pub(crate) fn store(memory: &Memory, instances: &[Instance], status: &mut AgentPoolStatus) {
    let known: BTreeMap<&VmId, &Instance> =
        instances.iter().map(|instance| (&instance.vm_id, instance)).collect();
    // An instance keeps the names under which it was stored when it no longer is in any list.
    let stored: BTreeMap<String, OperationInstance> = status
        .operations
        .iter()
        .flat_map(|operation| &operation.instances)
        .map(|instance| (instance.vm_id.clone(), instance.clone()))
        .collect();
    let instance = |vm: &VmId| {
        let fresh = known.get(vm).map(|found| OperationInstance {
            instance_id: found.instance_id.0.clone(),
            vm_id: vm.0.clone(),
            name: found.computer_name.clone(),
            agent: found.agent.map(|agent| agent.0),
        });
        stored.get(&vm.0).cloned().or(fresh).unwrap_or_else(|| OperationInstance {
            instance_id: String::new(),
            vm_id: vm.0.clone(),
            name: String::new(),
            agent: None,
        })
    };
    status.operations = memory
        .operations
        .iter()
        .map(|operation| {
            let (kind, instances, members) = match &operation.kind {
                policy::OperationKind::Create { count, .. } => (OperationKind::Create, Vec::new(), *count),
                policy::OperationKind::Delete(vms) => {
                    (OperationKind::Delete, vms.iter().map(instance).collect(), 0)
                }
                policy::OperationKind::Reimage(vms) => {
                    (OperationKind::Reimage, vms.iter().map(instance).collect(), 0)
                }
            };
            let vms = u32::try_from(instances.len()).unwrap_or(u32::MAX);
            Operation {
                id: operation.id.clone(),
                binding: operation.binding.0.clone(),
                kind,
                started_at: time(operation.started_at),
                deadline: time(operation.deadline),
                count: count(members.max(vms)),
                instances,
                url: operation.url.clone(),
            }
        })
        .collect();
    let stairs: Vec<StaircaseStep> = memory
        .staircase
        .stairs()
        .iter()
        .map(|stair| StaircaseStep { since: time(stair.since), agents: count(stair.agents) })
        .collect();
    status.scale_in = (!stairs.is_empty()).then_some(ScaleInMemory { staircase: stairs });
    status.step = memory.step.as_ref().map(|step| StepMemory {
        started_at: time(step.started_at),
        binding: step.binding.0.clone(),
        target: count(step.target),
    });
}

/// The API server stores whole seconds; what is kept and compared does so too.
pub(crate) fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
