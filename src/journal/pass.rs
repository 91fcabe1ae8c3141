//! What one pass over a pool adds to its journal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_api::{AgentPool, AgentPoolStatus};
use poolkeeper_policy::{
    Action, Condition, Failure, FailureKind, Memory, Notice, Operation, OperationKind, OperationProgress,
    Outcome, Plan, Removal, Snapshot, Truth, VmId,
};

use super::Row;

/// Names that a row lists.
const NAMES: usize = 5;

/// A pass that has decided and acted.
pub(crate) struct Pass<'a> {
    /// As it was read before the pass.
    pub(crate) pool: &'a AgentPool,
    /// As the decision was given it.
    pub(crate) memory: &'a Memory,
    /// What was seen.
    pub(crate) seen: &'a Snapshot,
    /// What was decided.
    pub(crate) plan: &'a Plan,
    /// What became of the plan's actions.
    pub(crate) deeds: Vec<Did<'a>>,
    /// What became of its changes of agent records.
    pub(crate) changes: Vec<Changed<'a>>,
    /// When.
    pub(crate) now: Timestamp,
}

/// An action and what became of it.
pub(crate) struct Did<'a> {
    pub(crate) action: &'a Action,
    pub(crate) outcome: &'a Outcome,
    /// In words.
    pub(crate) message: &'a str,
}

/// A change of agent records and what became of it.
pub(crate) struct Changed<'a> {
    /// In one word.
    pub(crate) action: &'a str,
    /// In one word.
    pub(crate) result: &'a str,
    /// In words.
    pub(crate) message: &'a str,
    /// What failed.
    pub(crate) failure: Option<&'a Failure>,
}

/// Conditions that say that something is wrong, by type and reason.
pub(super) type Wrong = BTreeMap<(String, String), String>;

/// Types of conditions that are worth a row while they are true; `OrganizationReachable` is one while it is false.
const BAD: [&str; 4] = ["Stalled", "Holding", "CapacityLimited", "UnroutableJob"];

fn is_wrong(kind: &str, truth: &str) -> bool {
    if kind == "OrganizationReachable" { truth == "False" } else { BAD.contains(&kind) && truth == "True" }
}

/// What was wrong before the first pass since the start.
pub(super) fn wrong_before(pool: &AgentPool) -> Wrong {
    let conditions = pool.status.iter().flat_map(|status| &status.conditions);
    let wrong = conditions.filter(|condition| is_wrong(&condition.type_, &condition.status));
    wrong
        .map(|condition| ((condition.type_.clone(), condition.reason.clone()), condition.message.clone()))
        .collect()
}

pub(super) fn wrong_now(conditions: &[Condition]) -> Wrong {
    let truth = |truth| match truth {
        Truth::True => "True",
        Truth::False => "False",
        Truth::Unknown => "Unknown",
    };
    let wrong = conditions.iter().filter(|condition| is_wrong(condition.kind, truth(condition.truth)));
    wrong
        .map(|condition| {
            ((condition.kind.to_owned(), condition.reason.as_str().to_owned()), condition.message.clone())
        })
        .collect()
}

/// The rows of a pass; `before` is what was wrong before it, `wrong` what is now.
pub(super) fn rows(pass: &Pass<'_>, before: &Wrong, wrong: &Wrong) -> Vec<Row> {
    let condition = |((kind, reason), message): (&(String, String), &String), result: &str| Row {
        reason: format!("{kind}={reason}"),
        result: result.to_owned(),
        message: message.clone(),
        error: (result == "Began").then(|| reason.clone()),
        ..Row::new(pass.now, "Condition")
    };
    let ended = before.iter().filter(|(key, _)| !wrong.contains_key(*key));
    let began = wrong.iter().filter(|(key, _)| !before.contains_key(*key));
    let mut rows: Vec<Row> = ended.map(|ended| condition(ended, "Ended")).collect();
    rows.extend(began.map(|began| condition(began, "Began")));
    rows.extend(operations(pass));
    rows.extend(pass.plan.notices.iter().map(|notice| of_notice(notice, pass.now)));
    rows.extend(pass.deeds.iter().map(|did| of_deed(did, pass)));
    rows.extend(pass.changes.iter().map(|changed| Row {
        count: 1,
        result: changed.result.to_owned(),
        message: changed.message.to_owned(),
        error: changed.failure.map(|failure| failure.kind.as_str().to_owned()),
        ..Row::new(pass.now, changed.action)
    }));
    rows
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn of_deed(did: &Did<'_>, pass: &Pass<'_>) -> Row {
    let (result, failure) = match did.outcome {
        Outcome::Done => ("Done", None),
        Outcome::InFlight { .. } | Outcome::Split { failure: None, .. } => ("InFlight", None),
        Outcome::Refused { .. } => ("Refused", None),
        Outcome::Failed { failure, .. } | Outcome::Split { failure: Some((_, failure)), .. } => {
            ("Failed", Some(failure))
        }
    };
    let (action, members): (_, &[_]) = match did.action {
        Action::Grow { .. } => ("Create", &[]),
        Action::Disable { member, .. } => ("Disable", std::slice::from_ref(member)),
        Action::Remove { removal: Removal::Delete, members, .. } => ("Delete", members),
        Action::Remove { removal: Removal::Reimage, members, .. } => ("Reimage", members),
        Action::Save { members, .. } => ("Save", members),
        Action::Unmark { .. } => ("Unmark", &[]),
    };
    let causes: BTreeSet<&str> = members.iter().map(|member| member.cause.words()).collect();
    let (size, reason) = match did.action {
        Action::Grow { by, .. } => (*by, format!("{} agents wanted", pass.plan.decision.desired)),
        Action::Unmark { vms, .. } => (count(vms.len()), "its VM is gone".to_owned()),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } => {
            (count(members.len()), causes.into_iter().collect::<Vec<_>>().join("; "))
        }
    };
    let message = match did.action {
        Action::Grow { .. } => format!("{}; {}", did.message, pass.plan.decision.message),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => {
            did.message.to_owned()
        }
    };
    Row {
        binding: did.action.binding().0.clone(),
        count: size,
        names: members.iter().take(NAMES).map(|member| member.computer_name.clone()).collect(),
        reason,
        result: result.to_owned(),
        operation: operation_of(did.action).map(str::to_owned),
        message,
        error: failure.map(|failure| failure.kind.as_str().to_owned()),
        ..Row::new(pass.now, action)
    }
}

fn operation_of(action: &Action) -> Option<&str> {
    match action {
        Action::Grow { operation, .. } | Action::Remove { operation, .. } => Some(operation),
        Action::Disable { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    }
}

/// The ends of operations: failed, given up, or over for some or all of their VMs.
fn operations(pass: &Pass<'_>) -> Vec<Row> {
    let names = names(pass);
    let mut rows = Vec::new();
    for operation in &pass.memory.operations {
        let row = |vms: &[&VmId], size: u32, result: &str, message: String| Row {
            binding: operation.binding.0.clone(),
            count: size,
            names: vms.iter().filter_map(|vm| names.get(&vm.0)).take(NAMES).cloned().collect(),
            result: result.to_owned(),
            operation: Some(operation.id.clone()),
            message,
            ..Row::new(pass.now, verb(&operation.kind))
        };
        let all: Vec<&VmId> = operation.kind.vms().iter().collect();
        if let Some(OperationProgress::Failed(failure)) = pass.seen.operations.get(&operation.id) {
            let error = Some(failure.kind.as_str().to_owned());
            rows.push(Row { error, ..row(&all, size(&operation.kind), "Failed", failure.message.clone()) });
            continue;
        }
        let (over, size) = over(pass, operation);
        if size > 0 {
            let took =
                SignedDuration::from_secs(pass.now.duration_since(operation.started_at).as_secs().max(0));
            let what = verb(&operation.kind).to_lowercase();
            let message = format!("{what} {size} on {}: over after {took:#}", operation.binding);
            rows.push(row(&over, size, "Succeeded", message));
        }
    }
    rows.extend(pass.plan.lost.iter().map(|lost| Row {
        binding: lost.binding.0.clone(),
        count: size(&lost.kind),
        names: lost.kind.vms().iter().filter_map(|vm| names.get(&vm.0)).take(NAMES).cloned().collect(),
        result: "NeverEnded".to_owned(),
        operation: Some(lost.operation.clone()),
        message: lost.message.clone(),
        error: Some(FailureKind::NeverEnded.as_str().to_owned()),
        ..Row::new(pass.now, verb(&lost.kind))
    }));
    rows
}

/// For which VMs an operation is over by this pass, and how many VMs that are.
fn over<'a>(pass: &Pass<'_>, operation: &'a Operation) -> (Vec<&'a VmId>, u32) {
    let after = &pass.plan.memory.operations;
    let begun_again = pass.deeds.iter().any(|did| operation_of(did.action) == Some(operation.id.as_str()));
    // A scale set that has left the pool takes its operations with it, and nobody knows how they end.
    if begun_again || !pass.plan.bindings.contains_key(&operation.binding) {
        return (Vec::new(), 0);
    }
    match &operation.kind {
        OperationKind::Create { count, .. } => {
            let lost = pass.plan.lost.iter().any(|lost| lost.operation == operation.id);
            let goes_on = after.iter().any(|other| other.id == operation.id);
            // What Azure has never accepted has not come to its end either.
            let accepted = operation.url.is_some();
            (Vec::new(), if accepted && !goes_on && !lost { *count } else { 0 })
        }
        OperationKind::Delete(vms) | OperationKind::Reimage(vms) => {
            let goes_on = |vm: &VmId| {
                let same = |other: &&Operation| {
                    std::mem::discriminant(&other.kind) == std::mem::discriminant(&operation.kind)
                };
                after.iter().filter(same).any(|other| other.kind.covers(vm))
            };
            let lost = |vm: &VmId| pass.plan.lost.iter().any(|lost| lost.kind.covers(vm));
            let over: Vec<&VmId> = vms.iter().filter(|vm| !goes_on(vm) && !lost(vm)).collect();
            let number = count(over.len());
            (over, number)
        }
    }
}

/// Computer names by VM: those seen now, and those that the status remembers of VMs that are gone.
fn names(pass: &Pass<'_>) -> BTreeMap<String, String> {
    let operations = |status: &AgentPoolStatus| status.operations.clone();
    let stored = pass.pool.status.iter().flat_map(operations).flat_map(|operation| operation.instances);
    let stored = stored.filter(|instance| !instance.name.is_empty());
    let seen = pass.plan.instances.iter();
    let seen = seen.map(|instance| (instance.vm_id.0.clone(), instance.computer_name.clone()));
    stored.map(|instance| (instance.vm_id, instance.name)).chain(seen).collect()
}

fn verb(kind: &OperationKind) -> &'static str {
    match kind {
        OperationKind::Create { .. } => "Create",
        OperationKind::Delete(_) => "Delete",
        OperationKind::Reimage(_) => "Reimage",
    }
}

fn size(kind: &OperationKind) -> u32 {
    match kind {
        OperationKind::Create { count, .. } => *count,
        OperationKind::Delete(vms) | OperationKind::Reimage(vms) => count(vms.len()),
    }
}

fn of_notice(notice: &Notice, now: Timestamp) -> Row {
    let (reason, name, binding, message) = match notice {
        Notice::AgentReused { name, binding, request } => (
            "AgentReused",
            name,
            Some(binding),
            format!("agent {name} was given job request {request} before its machine was new"),
        ),
        Notice::JobOverTwoDays { name, request, since } => (
            "JobOverTwoDays",
            name,
            None,
            format!(
                "job request {request} has run on agent {name} since {}",
                since.strftime("%Y-%m-%d %H:%MZ")
            ),
        ),
        Notice::FailedToStart { name, binding, message, saved } => {
            let kept = if *saved { "saved for investigation" } else { "deleted" };
            ("FailedToStart", name, Some(binding), format!("agent {name} failed to start, {kept}: {message}"))
        }
    };
    Row {
        binding: binding.map(|binding| binding.0.clone()).unwrap_or_default(),
        count: 1,
        names: vec![name.clone()],
        reason: reason.to_owned(),
        message,
        error: Some(reason.to_owned()),
        ..Row::new(now, "Notice")
    }
}

#[cfg(test)]
mod tests;
