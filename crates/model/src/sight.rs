//! What the operator sees of the world.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, AgentId, JobRequest, OperationKind, OperationProgress, Orchestration, PoolReason, Power,
    Provisioning, RequestId, SavedMark, ScaleSet, Seen, SetView, Snapshot, Vm as SeenVm, Why,
};

use crate::{
    age::{self, Age},
    variant::{self, Variant},
    world::{PLACES, Phase, State, agent_id, computer_name, instance_id, vm_id},
};

/// A source that cannot be read in a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// The job requests, and with them the agents, which are read after them.
    Jobs,
    /// The agents.
    Agents,
    /// The instances.
    Instances,
}

/// Everything, as it is at this moment.
pub(crate) fn snapshot(variant: &Variant, state: &State, unread: Option<Unread>) -> Snapshot {
    let jobs_missing = unread == Some(Unread::Jobs);
    let agents_missing = jobs_missing || unread == Some(Unread::Agents);
    let set = ScaleSet {
        capacity: state.capacity(),
        computer_name_prefix: "agent".to_owned(),
        orchestration: if variant.flexible { Orchestration::Flexible } else { Orchestration::Uniform },
        saved: saved(state),
    };
    let view = SetView {
        blocked: None,
        scale_set: seen(set, false),
        instances: seen(vms(state), unread == Some(Unread::Instances)),
        headroom: None,
    };
    let operations = state.memory.get().operations.iter();
    let operations = operations
        .filter(|operation| operation.url.is_some())
        .map(|operation| (operation.id.clone(), progress(state, &operation.kind)))
        .collect();
    Snapshot {
        jobs: seen(jobs(state), jobs_missing),
        agents: seen(agents(state), agents_missing),
        sets: BTreeMap::from([(variant::binding(), view)]),
        operations,
        parallel_jobs: None,
    }
}

/// What is missing now was read a moment ago.
fn seen<T>(value: T, missing: bool) -> Seen<T> {
    if !missing {
        return Seen::Fresh { value, at: age::now() };
    }
    let why = Why { reason: PoolReason::Unreachable, message: "no answer".to_owned() };
    Seen::Missing { why, last: Some((value, age::now() - SignedDuration::from_secs(30))) }
}

/// The request that an agent has, by its record's id; those that wait have higher ids.
fn request(agent: AgentId) -> RequestId {
    RequestId(agent.0)
}

fn jobs(state: &State) -> Vec<JobRequest> {
    let job = |id, agent| JobRequest {
        id,
        queued_at: None,
        assigned_at: None,
        agent,
        demands: Vec::new(),
        maintenance: false,
        definition: None,
    };
    let waiting = (0..i64::from(state.queued)).map(|number| job(RequestId(1_000 + number), None));
    let assigned = (0..PLACES).filter_map(|place| {
        let agent = agent_id(place, state.record(place).filter(|record| record.busy)?.serial);
        Some(job(request(agent), Some(agent)))
    });
    assigned.chain(waiting).collect()
}

/// Before any VM that is there now.
fn long_ago() -> Timestamp {
    Age::Old.at() - SignedDuration::from_hours(24)
}

fn agents(state: &State) -> Vec<Agent> {
    let agent = |place| {
        let record = state.record(place)?;
        let id = agent_id(place, record.serial);
        let own = state.own_record(place).is_some();
        Some(Agent {
            id,
            name: computer_name(place),
            enabled: record.enabled,
            online: record.online(),
            updating: false,
            created_at: Some(if record.inherited || !own { long_ago() } else { age::now() }),
            status_changed_at: record.offline.map(Age::at),
            assigned: record.busy.then(|| request(id)),
            maintained: false,
            last_finished_at: record.finished.map(Age::at),
            capabilities: BTreeMap::new(),
            user_capabilities: BTreeMap::new(),
        })
    };
    (0..PLACES).filter_map(agent).collect()
}

fn vms(state: &State) -> Vec<SeenVm> {
    let vm = |place| {
        let vm = state.vm(place)?;
        Some(SeenVm {
            vm_id: vm_id(place, vm.generation),
            instance_id: instance_id(place),
            computer_name: computer_name(place),
            provisioning: match vm.phase {
                Phase::Starting | Phase::Up => Provisioning::Succeeded,
                Phase::Reimaging => Provisioning::Updating,
                Phase::Deleting => Provisioning::Deleting,
            },
            power: Power::On,
            created_at: Some(vm.born.at()),
            failure: None,
        })
    };
    (0..PLACES).filter_map(vm).collect()
}

fn saved(state: &State) -> BTreeMap<poolkeeper_policy::VmId, SavedMark> {
    let mark = |place| {
        let vm = state.vm(place).filter(|vm| vm.saved)?;
        Some((vm_id(place, vm.generation), SavedMark { at: None }))
    };
    (0..PLACES).filter_map(mark).collect()
}

/// A growth ends at once, a removal with its VMs.
fn progress(state: &State, kind: &OperationKind) -> OperationProgress {
    let phase = |id| {
        (0..PLACES)
            .filter_map(|place| state.vm(place).map(|vm| (vm_id(place, vm.generation), vm.phase)))
            .find_map(|(vm, phase)| (&vm == id).then_some(phase))
    };
    let ended = match kind {
        OperationKind::Create { .. } => true,
        OperationKind::Delete(vms) => vms.iter().all(|vm| phase(vm).is_none()),
        OperationKind::Reimage(vms) => vms.iter().all(|vm| phase(vm) != Some(Phase::Reimaging)),
    };
    if ended { OperationProgress::Succeeded } else { OperationProgress::InProgress }
}
