//! Status, events and metrics of a pool. Never calls a cloud; always reached, after a failed pass too.

mod actions;
mod events;
mod status;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, AgentPoolStatus,
    agent_pool::{AutomaticHistory, FollowedSchedule},
};
use poolkeeper_policy::{FailureKind, OperationProgress, Plan, Snapshot, Why};

pub(crate) use actions::verb;
pub(crate) use events::announce_existing;

use super::{act::Report, memory};
use crate::{conditions::Desired, context::Context, kubernetes};

/// Live counts are metrics; the status follows them at this pace.
const STATUS_PACE: SignedDuration = SignedDuration::from_secs(30);

/// What a pass found out besides the plan.
pub(crate) struct Findings<'a> {
    pub(crate) pool: &'a AgentPool,
    pub(crate) pool_id: Option<i64>,
    pub(crate) seen: &'a Snapshot,
    pub(crate) plan: &'a Plan,
    pub(crate) report: &'a Report,
    /// Conditions that are not policy's: whether standby and history are known.
    pub(crate) further: Vec<Desired>,
    /// What the history says, where it is asked.
    pub(crate) automatic: Option<AutomaticHistory>,
    /// The schedule that is followed, kept for the time when its object is missing.
    pub(crate) followed: Option<FollowedSchedule>,
    /// What is wrong with the schedule that the pool names.
    pub(crate) schedule_fault: Option<Why>,
    /// Which bindings are usable now.
    pub(crate) ready: BTreeMap<String, bool>,
    pub(crate) now: Timestamp,
}

/// Whether the status is written now: at once when a condition or the reason of the decision changed, or an operation
/// began or ended; otherwise at most every 30 s; never when it is the same.
pub(crate) fn is_due(
    before: &AgentPoolStatus,
    after: &AgentPoolStatus,
    written_at: Option<Timestamp>,
    now: Timestamp,
) -> bool {
    if before == after {
        return false;
    }
    let limited =
        |status: &AgentPoolStatus| status.decision.as_ref().map(|decision| decision.limited_by.clone());
    before.conditions != after.conditions
        || before.observed_generation != after.observed_generation
        || limited(before) != limited(after)
        || before.operations != after.operations
        || before.step != after.step
        || before.saved_agents.len() != after.saved_agents.len()
        || before.ghost_agents != after.ghost_agents
        || before.last_handled_reconcile != after.last_handled_reconcile
        || written_at.is_none_or(|written| now.duration_since(written) >= STATUS_PACE)
}

/// Writes the intents of a plan before the deeds, so that an operator that is restarted in between finishes them.
pub(crate) async fn remember(ctx: &Context, pool: &AgentPool, plan: &Plan) -> Result<(), kube::Error> {
    let mut status = pool.status.clone().unwrap_or_default();
    memory::store(&plan.memory, &plan.instances, &mut status);
    kubernetes::apply_status(ctx, pool, &status).await
}

/// Publishes a pass; the time of the write is noted where one was made.
pub(crate) async fn publish(
    ctx: &Context,
    findings: &Findings<'_>,
    written_at: &mut Option<Timestamp>,
) -> Result<Option<Timestamp>, kube::Error> {
    let Findings { pool, seen, plan, report, now, .. } = findings;
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    ctx.metrics.pool(&namespace, &name, &plan.counts, &plan.jobs, plan.standby.agents);
    for hold in &plan.holds {
        ctx.metrics.hold(hold.reason.as_str());
    }
    let before = pool.status.clone().unwrap_or_default();
    let after = status::status(findings);
    events::tell(ctx, findings, &before, &after).await;
    for deed in &report.deeds {
        ctx.metrics.action(verb(&deed.action), deed.result());
        if let Some(failure) = deed.failure() {
            ctx.metrics.failure(failure.kind.as_str());
        }
    }
    for change in &report.changes {
        ctx.metrics.action(change.action, change.result());
        if let Err(failure) = &change.outcome {
            ctx.metrics.failure(failure.kind.as_str());
        }
    }
    for progress in seen.operations.values() {
        if let OperationProgress::Failed(failure) = progress {
            ctx.metrics.failure(failure.kind.as_str());
        }
    }
    for _ in &plan.lost {
        ctx.metrics.failure(FailureKind::NeverEnded.as_str());
    }
    if is_due(&before, &after, *written_at, *now) {
        kubernetes::apply_status(ctx, *pool, &after).await?;
        *written_at = Some(*now);
        return Ok(None);
    }
    // What is held back for the pace is written when it is due.
    let waits =
        (before != after).then(|| written_at.map(|written| written.checked_add(STATUS_PACE).unwrap_or(*now)));
    Ok(waits.flatten())
}
