//! Carries out a plan: writes only, and the reads that check a precondition right before the deed.
//!
//! To end the life of an agent: its record is read again (no request assigned, disabled or offline), then deleted,
//! which Azure DevOps refuses while a job runs; the agents are listed again, and a name that is back keeps its VM;
//! the instance is read again and must still be the same VM; only then is it deleted or reimaged. What remains is the
//! time between the last read and the deletion of a VM whose agent registers in just that moment.

use futures::{StreamExt, stream};
use poolkeeper_azure::{Fault, InstanceId, InstanceIds, OrchestrationMode, ScaleSet, fault};
use poolkeeper_azure_devops::{AgentId, AgentStatus, Organization, PoolId, Removal as Gone};
use poolkeeper_policy::{Action, Cause, Failure, Member, Outcome, Part, Plan, Removal, VmId};
use poolkeeper_rest::{Class, Error};

use super::{
    failure,
    observe::{Clouds, SetHandle},
};
use crate::claim;

/// Calls about single agents or instances that may run at once.
const PARALLEL: usize = 8;

/// What became of a plan.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) deeds: Vec<Deed>,
}

/// An action and what became of it.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    /// Azure's own words of a failure, for what sizing needs besides its kind.
    pub(crate) fault: Option<Fault>,
}

impl Deed {
    /// As it stands in status and metrics.
    pub(crate) fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Done => "Done",
            Outcome::InFlight { .. } => "InFlight",
            Outcome::Split { failure: None, .. } => "InFlight",
            Outcome::Split { failure: Some(_), .. } => "Failed",
            Outcome::Refused { .. } => "Refused",
            Outcome::Failed { .. } => "Failed",
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure().is_some()
    }

    /// What failed, of the whole or of a part.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed { failure, .. } | Outcome::Split { failure: Some((_, failure)), .. } => {
                Some(failure)
            }
            Outcome::Done
            | Outcome::InFlight { .. }
            | Outcome::Split { failure: None, .. }
            | Outcome::Refused { .. } => None,
        }
    }
}

/// Carries out the plan's actions in order. Infallible: each action has its own outcome.
pub(crate) async fn act(clouds: &Clouds, plan: &Plan, now: jiff::Timestamp) -> Report {
    let mut report = Report::default();
    for action in &plan.actions {
        let deed = match clouds.sets.get(action.binding()) {
            Some(set) => carry_out(clouds, set, action, now).await,
            // The gate lets no action through for a set that was not read.
            None => refused(action, "the scale set was not read in this pass"),
        };
        tracing::info!(action = super::publish::verb(action), binding = %action.binding(), result = deed.result(), "{}", deed.message);
        report.deeds.push(deed);
    }
    report
}

async fn carry_out(clouds: &Clouds, set: &SetHandle, action: &Action, now: jiff::Timestamp) -> Deed {
    let result = match action {
        Action::Grow { operation, target, capacity, .. } => {
            grow(set, operation, *target, *capacity, now).await
        }
        Action::Disable { member, .. } => disable(clouds, member).await,
        Action::Remove { operation, removal, members, .. } => {
            remove(clouds, set, operation, *removal, members, now).await
        }
    };
    let words = action.words();
    let missing = match action {
        Action::Grow { by, .. } => *by,
        Action::Disable { .. } | Action::Remove { .. } => 0,
    };
    match result {
        Ok(Ok(outcome)) => {
            let mut deed = Deed { action: action.clone(), outcome, message: words, fault: None };
            if let Some(failure) = deed.failure() {
                deed.message = format!("{}: {}", deed.message, failure.message);
            }
            deed
        }
        Ok(Err(reason)) => refused(action, &reason),
        Err(error) => Deed {
            action: action.clone(),
            outcome: Outcome::Failed {
                operation: operation_id(action),
                binding: action.binding().clone(),
                failure: failure::of_call(&error, missing),
            },
            message: format!("{words}: {error}"),
            fault: Some(fault::of(&error)),
        },
    }
}

fn refused(action: &Action, reason: &str) -> Deed {
    Deed {
        action: action.clone(),
        outcome: Outcome::Refused { operation: operation_id(action) },
        message: format!("{}: not done, {reason}", action.words()),
        fault: None,
    }
}

fn operation_id(action: &Action) -> Option<String> {
    match action {
        Action::Grow { operation, .. } | Action::Remove { operation, .. } => Some(operation.clone()),
        Action::Disable { .. } => None,
    }
}

/// The action's outcome, or why a precondition did not hold.
type Checked = Result<Result<Outcome, String>, Error>;

/// Reads the scale set again: the claim must be ours, and what was decided upon must still be so.
async fn grow(set: &SetHandle, operation: &str, target: u32, capacity: u32, now: jiff::Timestamp) -> Checked {
    let seen = set.client.get(&set.id).await?;
    if let Err(foreign) = still_ours(set, &seen.value, now) {
        return Ok(Err(foreign));
    }
    let Some(sku) = seen.value.sku.as_ref().filter(|sku| sku.capacity == Some(capacity)) else {
        return Ok(Err("its capacity has changed".to_owned()));
    };
    if target < capacity {
        return Ok(Err("a capacity is never lowered".to_owned()));
    }
    let started = match set.client.set_capacity(&set.id, sku, target, seen.etag.as_deref()).await {
        Ok(started) => started,
        Err(error) if error.class() == Class::Precondition => {
            return Ok(Err("somebody else changed it".to_owned()));
        }
        Err(error) => return Err(error),
    };
    Ok(Ok(in_flight(operation, started.operation.map(|url| url.to_string()), Vec::new())))
}

/// The claim is ours, and its VMs are managed as they were when this was decided.
fn still_ours(set: &SetHandle, seen: &ScaleSet, now: jiff::Timestamp) -> Result<(), String> {
    match &seen.orchestration_mode {
        Some(mode) if *mode != set.mode || matches!(mode, OrchestrationMode::Other(_)) => {
            Err(format!("its orchestration mode is {} now", mode.as_str()))
        }
        Some(_) | None => {
            claim::judge(&seen.tags, &set.owner, set.take_over_from.as_deref(), now).writable(now)
        }
    }
}

fn in_flight(operation: &str, url: Option<String>, covered: Vec<VmId>) -> Outcome {
    Outcome::InFlight { operation: operation.to_owned(), url: Some(url.unwrap_or_default()), covered }
}

async fn disable(clouds: &Clouds, member: &Member) -> Checked {
    let Some(agent) = member.agent else { return Ok(Err("it has no agent".to_owned())) };
    let seen = clouds.organization.agent(clouds.pool, id(agent)).await?.value;
    match seen {
        None => Ok(Err("its agent is gone".to_owned())),
        // Nobody is in excess who works; who leaves finishes this job and gets no other.
        Some(seen) if seen.assigned_request.is_some() && member.cause == Cause::Excess => {
            Ok(Err("it has been given a job".to_owned()))
        }
        Some(seen) => {
            clouds.organization.disable_agent(clouds.pool, seen.id).await?;
            Ok(Ok(Outcome::Done))
        }
    }
}

async fn remove(
    clouds: &Clouds,
    set: &SetHandle,
    operation: &str,
    removal: Removal,
    members: &[Member],
    now: jiff::Timestamp,
) -> Checked {
    let seen = set.client.get(&set.id).await?;
    if let Err(foreign) = still_ours(set, &seen.value, now) {
        return Ok(Err(foreign));
    }
    let organization = &clouds.organization;
    let mut without_agent = Vec::new();
    let mut records = stream::iter(members.iter().cloned().map(|member| async move {
        let gone = delete_record(organization, clouds.pool, &member).await;
        (member, gone)
    }))
    .buffered(PARALLEL);
    let mut failed = None;
    while let Some((member, gone)) = records.next().await {
        match gone {
            Ok(true) => without_agent.push(member),
            Ok(false) => {}
            Err(error) => failed = Some(error),
        }
    }
    drop(records);
    // Whose record is gone goes on, whatever happened to the others.
    if let Some(error) = failed.filter(|_| without_agent.is_empty()) {
        return Err(error);
    }
    let names = organization.agents(clouds.pool).await?.value;
    without_agent
        .retain(|member| !names.iter().any(|agent| agent.name.eq_ignore_ascii_case(&member.computer_name)));

    let mut confirmed: Vec<Member> = Vec::new();
    let mut instances = stream::iter(without_agent.into_iter().map(|member| async move {
        let same = is_same_vm(set, &member).await;
        (member, same)
    }))
    .buffered(PARALLEL);
    while let Some((member, same)) = instances.next().await {
        if same? {
            confirmed.push(member);
        }
    }
    drop(instances);
    // An id that is none was not confirmed either.
    let confirmed: Vec<(VmId, InstanceId)> = confirmed
        .into_iter()
        .filter_map(|member| Some((member.vm_id, member.instance_id.0.parse().ok()?)))
        .collect();
    if set.mode == OrchestrationMode::Flexible {
        return each(set, operation, removal, confirmed).await;
    }
    let (covered, ids): (Vec<VmId>, Vec<InstanceId>) = confirmed.into_iter().unzip();
    let Ok(ids) = InstanceIds::try_from(ids) else {
        return Ok(Err(NOBODY_LEFT.to_owned()));
    };
    let started = match removal {
        Removal::Delete => set.client.delete_instances(&set.id, &ids).await?,
        Removal::Reimage => set.client.reimage_instances(&set.id, &ids).await?,
    };
    Ok(Ok(in_flight(operation, started.operation.map(|url| url.to_string()), covered)))
}

const NOBODY_LEFT: &str = "none of its members is still free and the same";

/// Flexible orchestration: each VM has an operation of its own, and all run at once.
async fn each(
    set: &SetHandle,
    operation: &str,
    removal: Removal,
    confirmed: Vec<(VmId, InstanceId)>,
) -> Checked {
    if confirmed.is_empty() {
        return Ok(Err(NOBODY_LEFT.to_owned()));
    }
    let mut calls = stream::iter(confirmed.into_iter().map(|(vm, id)| async move {
        let started = match removal {
            Removal::Delete => set.client.delete_machine(&set.id, &id).await,
            Removal::Reimage => set.client.reimage_machine(&set.id, &id).await,
        };
        (vm, started)
    }))
    .buffered(PARALLEL);
    let (mut parts, mut left, mut failed) = (Vec::new(), Vec::new(), None);
    while let Some((vm, started)) = calls.next().await {
        match started {
            Ok(started) => {
                let url = started.operation.map(|url| url.to_string()).unwrap_or_default();
                parts.push(Part { vm, url: Some(url) });
            }
            Err(error) => {
                left.push(vm);
                failed = Some(error);
            }
        }
    }
    let failure = failed.map(|error| (left, failure::of_call(&error, 0)));
    Ok(Ok(Outcome::Split { operation: operation.to_owned(), parts, failure }))
}

/// Whether the agent has no record any more; `false` if it may have a job.
async fn delete_record(organization: &Organization, pool: PoolId, member: &Member) -> Result<bool, Error> {
    let Some(agent) = member.agent.map(id) else { return Ok(true) };
    let Some(seen) = organization.agent(pool, agent).await?.value else { return Ok(true) };
    let takes_jobs = seen.enabled && seen.status != AgentStatus::Offline;
    if seen.assigned_request.is_some() || takes_jobs || !seen.name.eq_ignore_ascii_case(&member.computer_name)
    {
        return Ok(false);
    }
    Ok(match organization.delete_agent(pool, agent).await?.value {
        Gone::Deleted | Gone::Gone => true,
        Gone::StillRunning => false,
    })
}

/// Ids come from Azure DevOps; one that does not fit never did.
fn id(agent: poolkeeper_policy::AgentId) -> AgentId {
    AgentId(u32::try_from(agent.0).unwrap_or(u32::MAX))
}

/// Instance ids may be reused; the VM id is not.
async fn is_same_vm(set: &SetHandle, member: &Member) -> Result<bool, Error> {
    let Ok(instance) = member.instance_id.0.parse::<InstanceId>() else { return Ok(false) };
    match set.client.get_instance(&set.id, &set.mode, &instance).await {
        Ok(seen) => Ok(seen.value.vm_id.as_ref().is_some_and(|vm| vm.as_str() == member.vm_id.0)),
        Err(error) if error.class() == Class::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
