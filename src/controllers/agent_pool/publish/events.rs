//! Events: what was done, what failed, what a person should know, and conditions that began.

use poolkeeper_api::{AgentPool, AgentPoolStatus};
use poolkeeper_policy::{Action, FailureKind, Notice, OperationProgress, Plan, PoolReason};

use super::{
    super::act::Deed,
    Findings,
    actions::{operation_verb, stored_verb, verb},
};
use crate::{context::Context, events::Note, kubernetes};

/// Names that one event lists; an event's note holds 1,024 characters.
const NAMED: usize = 30;

/// Says which VMs go because they were there before their scale set was claimed; before anything is done to them.
pub(crate) async fn announce_existing(ctx: &Context, pool: &AgentPool, plan: &Plan) {
    for existing in &plan.existing {
        let names: Vec<&str> =
            existing.members.iter().map(|member| member.computer_name.as_str()).take(NAMED).collect();
        let more = existing.members.len().saturating_sub(names.len());
        let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
        let note = Note {
            warning: false,
            reason: "ReplacingExisting",
            action: "Delete",
            message: format!(
                "binding {}: existingInstances is Replace, so these go, busy ones after their job: {}{rest}",
                existing.binding,
                names.join(", ")
            ),
        };
        ctx.events.publish(&kubernetes::object_reference(pool), note).await;
    }
}

/// Events: what was done, what failed, and conditions that began.
pub(super) async fn tell(
    ctx: &Context,
    findings: &Findings<'_>,
    before: &AgentPoolStatus,
    after: &AgentPoolStatus,
) {
    let about = kubernetes::object_reference(findings.pool);
    for deed in &findings.report.deeds {
        let note = Note {
            warning: deed.failed(),
            reason: event_reason(deed),
            action: verb(&deed.action),
            message: deed.message.clone(),
        };
        ctx.events.publish(&about, note).await;
    }
    for lost in &findings.plan.lost {
        let note = Note {
            warning: true,
            reason: FailureKind::NeverEnded.as_str(),
            action: operation_verb(&lost.kind),
            message: lost.message.clone(),
        };
        ctx.events.publish(&about, note).await;
    }
    for (operation, progress) in &findings.seen.operations {
        if let OperationProgress::Failed(failure) = progress {
            let action = before.operations.iter().find(|known| &known.id == operation);
            let action = action.map_or("Act", |known| stored_verb(known.kind));
            let note = Note {
                warning: true,
                reason: failure.kind.as_str(),
                action,
                message: failure.message.clone(),
            };
            ctx.events.publish(&about, note).await;
        }
    }
    for change in &findings.report.changes {
        let (warning, reason) = match &change.outcome {
            Ok(_) => (false, change.event),
            Err(failure) => (true, failure.kind.as_str()),
        };
        let note = Note { warning, reason, action: change.action, message: change.message.clone() };
        ctx.events.publish(&about, note).await;
    }
    for notice in &findings.plan.notices {
        ctx.events.publish(&about, of_notice(notice)).await;
    }
    for condition in &after.conditions {
        let is_bad =
            ["Stalled", "Holding", "CapacityLimited", "UnroutableJob"].contains(&condition.type_.as_str());
        let known = before
            .conditions
            .iter()
            .any(|old| old.type_ == condition.type_ && old.reason == condition.reason);
        if is_bad && !known {
            let reason = PoolReason::ALL.iter().map(|reason| reason.as_str());
            let Some(reason) = reason.into_iter().find(|reason| *reason == condition.reason) else {
                continue;
            };
            let note = Note { warning: true, reason, action: "Decide", message: condition.message.clone() };
            ctx.events.publish(&about, note).await;
        }
    }
}

fn event_reason(deed: &Deed) -> &'static str {
    match (deed.failed(), &deed.action) {
        (true, _) => deed.failure().map_or("WriteRefused", |failure| failure.kind.as_str()),
        (false, Action::Grow { .. }) => "Creating",
        (false, Action::Disable { .. }) => "Draining",
        (false, Action::Remove { removal: poolkeeper_policy::Removal::Delete, .. }) => "Deleting",
        (false, Action::Remove { removal: poolkeeper_policy::Removal::Reimage, .. }) => "Reimaging",
        (false, Action::Save { .. }) => "Saving",
        (false, Action::Unmark { .. }) => "Unmarking",
    }
}

fn of_notice(notice: &Notice) -> Note {
    let (reason, action, message) = match notice {
        Notice::AgentReused { name, binding, request } => (
            "AgentReused",
            "Disable",
            format!(
                "agent {name} of {binding} was given job request {request} before its machine was new: it gets no \
                 other; start the agent with --once"
            ),
        ),
        Notice::JobOverTwoDays { name, request, since } => (
            "JobOverTwoDays",
            "Decide",
            format!(
                "job request {request} has run on agent {name} since {}, and the agent is past its maxAgentLifetime: \
                 it is not ended (Managed DevOps Pools would), and the agent goes after it",
                since.strftime("%Y-%m-%d %H:%MZ")
            ),
        ),
        Notice::FailedToStart { name, binding, message, saved } => {
            let kept = if *saved { "saved for investigation" } else { "deleted" };
            (
                "FailedToStart",
                "Decide",
                format!("agent {name} of {binding} failed to start, {kept}: {message}"),
            )
        }
    };
    Note { warning: true, reason, action, message }
}
