//! Status, events and metrics of a pool. Never calls a cloud; always reached, after a failed pass too.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, AgentPoolStatus, POOL_LABEL,
    agent_pool::{
        BindingSummary, Decision, FollowedSchedule, JobCounts, RecentAction, StandbyStatus, UnroutableJob,
    },
    annotation,
    status::{AgentCounts, NextChange},
};
use poolkeeper_policy::{
    Action, Counts, FailureKind, OperationKind, OperationProgress, Plan, PoolReason, Snapshot, Truth, Why,
    schedule,
};

use super::{
    act::{Deed, Report},
    count,
    memory::{self, time},
};
use crate::{
    conditions::{self, Desired},
    context::Context,
    events::Note,
    kubernetes,
};

/// Live counts are metrics; the status follows them at this pace.
const STATUS_PACE: SignedDuration = SignedDuration::from_secs(30);
/// Actions that the status keeps.
const RECENT: usize = 20;
/// Names that one event lists; an event's note holds 1,024 characters.
const NAMED: usize = 30;
/// Unroutable jobs that the status names.
const UNROUTABLE: usize = 10;

/// What a pass found out besides the plan.
pub(crate) struct Findings<'a> {
    pub(crate) pool: &'a AgentPool,
    pub(crate) pool_id: Option<i64>,
    pub(crate) seen: &'a Snapshot,
    pub(crate) plan: &'a Plan,
    pub(crate) report: &'a Report,
    /// Conditions that are not policy's: whether standby and history are known.
    pub(crate) further: Vec<Desired>,
    /// The schedule that is followed, kept for the time when its object is missing.
    pub(crate) followed: Option<FollowedSchedule>,
    /// What is wrong with the schedule that the pool names.
    pub(crate) schedule_fault: Option<Why>,
    /// Which bindings are usable now.
    pub(crate) ready: BTreeMap<String, bool>,
    pub(crate) now: Timestamp,
}

/// The status that a pass ends in.
pub(crate) fn status(findings: &Findings<'_>) -> AgentPoolStatus {
    let Findings { pool, pool_id, seen, plan, report, further, followed, schedule_fault, ready, now } =
        findings;
    let before = pool.status.clone().unwrap_or_default();
    let generation = pool.metadata.generation;
    let mut desired: Vec<Desired> = plan.conditions.iter().map(Desired::from).collect();
    if let Some(why) = schedule_fault {
        stall(&mut desired, why);
    }
    if let (Some(ready), Some(id)) = (desired.first_mut().filter(|ready| ready.reason == "Managed"), pool_id)
    {
        ready.message = format!("in control of pool {} (id {id})", pool.spec.pool_name);
    }
    let at = desired.iter().position(|condition| condition.kind == "StandbyMet").unwrap_or(desired.len());
    desired.splice(at..at, further.iter().cloned());
    let conditions = conditions::merge(&before.conditions, desired, generation, *now);

    let mut status = AgentPoolStatus {
        observed_generation: generation,
        conditions,
        pool_id: pool_id.or(before.pool_id),
        selector: Some(format!("{POOL_LABEL}={}", pool.name_any())),
        last_handled_reconcile: pool.annotations().get(annotation::RECONCILE).cloned(),
        recent_actions: recent(&before.recent_actions, plan, report, *now),
        schedule: followed.clone(),
        ..before.clone()
    };
    memory::store(&plan.memory, &plan.instances, &mut status);
    // What was never read since the start is left as it was last seen.
    if seen.jobs.latest().is_none() || seen.agents.latest().is_none() {
        status.decision = before.decision.clone().map(|last| Decision { limited_by: "Hold".into(), ..last });
        return status;
    }
    status.agents = Some(counts(&plan.counts));
    status.jobs = Some(JobCounts {
        queued: count(plan.jobs.queued),
        running: count(plan.jobs.running),
        unroutable: count(plan.jobs.unroutable),
    });
    status.unroutable_jobs = plan
        .unroutable
        .iter()
        .take(UNROUTABLE)
        .map(|job| UnroutableJob {
            request: job.request.0,
            definition: job.definition.clone().unwrap_or_default(),
            demands: job.demands.clone(),
        })
        .collect();
    status.standby = Some(StandbyStatus {
        current: count(plan.counts.idle),
        wanted: count(plan.standby.agents),
        source: plan.standby.source.as_str().to_owned(),
        next_change: plan.next_change.as_ref().map(next_change),
    });
    status.decision = Some(decision(before.decision.as_ref(), plan, *now));
    status.bindings = plan
        .bindings
        .iter()
        .map(|(name, binding)| BindingSummary {
            name: name.0.clone(),
            ready: ready.get(&name.0).copied().unwrap_or(false),
            standby: count(binding.standby),
            agents: Some(counts(&binding.counts)),
        })
        .collect();
    status
}

/// A schedule that cannot be followed stalls the pool, which goes on with the last valid one; what else is wrong with
/// the pool itself comes first.
fn stall(conditions: &mut Vec<Desired>, why: &Why) {
    if conditions.iter().any(|condition| condition.kind == "Stalled") {
        return;
    }
    let stalled =
        |kind, truth| Desired { kind, truth, reason: why.reason.as_str(), message: why.message.clone() };
    conditions.retain(|condition| condition.kind != "Reconciling" && condition.kind != "Ready");
    conditions.splice(0..0, [stalled("Ready", Truth::False), stalled("Stalled", Truth::True)]);
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
    let after = status(findings);
    tell(ctx, findings, &before, &after).await;
    for deed in &report.deeds {
        ctx.metrics.action(verb(&deed.action), deed.result());
        if let Some(failure) = deed.failure() {
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

fn operation_verb(kind: &OperationKind) -> &'static str {
    match kind {
        OperationKind::Create { .. } => "Create",
        OperationKind::Delete(_) => "Delete",
        OperationKind::Reimage(_) => "Reimage",
    }
}

fn stored_verb(kind: poolkeeper_api::agent_pool::OperationKind) -> &'static str {
    match kind {
        poolkeeper_api::agent_pool::OperationKind::Create => "Create",
        poolkeeper_api::agent_pool::OperationKind::Delete => "Delete",
        poolkeeper_api::agent_pool::OperationKind::Reimage => "Reimage",
        poolkeeper_api::agent_pool::OperationKind::Unknown => "Act",
    }
}

/// Events: what was done, what failed, and conditions that began.
async fn tell(ctx: &Context, findings: &Findings<'_>, before: &AgentPoolStatus, after: &AgentPoolStatus) {
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
    }
}

/// What an action is called in status, events and metrics.
pub(crate) fn verb(action: &Action) -> &'static str {
    match action {
        Action::Grow { .. } => "Create",
        Action::Disable { .. } => "Disable",
        Action::Remove { removal: poolkeeper_policy::Removal::Delete, .. } => "Delete",
        Action::Remove { removal: poolkeeper_policy::Removal::Reimage, .. } => "Reimage",
    }
}

fn size(action: &Action) -> u32 {
    match action {
        Action::Grow { by, .. } => *by,
        Action::Disable { .. } => 1,
        Action::Remove { members, .. } => u32::try_from(members.len()).unwrap_or(u32::MAX),
    }
}

fn recent(before: &[RecentAction], plan: &Plan, report: &Report, now: Timestamp) -> Vec<RecentAction> {
    let row = |action: &Action, result: &str, message: String| RecentAction {
        at: time(now),
        action: verb(action).to_owned(),
        binding: action.binding().0.clone(),
        count: count(size(action)),
        result: result.to_owned(),
        message,
    };
    let done = report.deeds.iter().map(|deed| row(&deed.action, deed.result(), deed.message.clone()));
    let same = |a: &RecentAction, b: &RecentAction| {
        (&a.action, &a.binding, a.count, &a.result, &a.message)
            == (&b.action, &b.binding, b.count, &b.result, &b.message)
    };
    // In mode Observe the same wish comes with every pass.
    let wished = plan.observed.iter().map(|action| row(action, "Observed", action.words()));
    let mut rows: Vec<RecentAction> =
        wished.filter(|wish| !before.iter().any(|old| same(old, wish))).chain(done).collect();
    rows.extend(before.iter().cloned());
    rows.truncate(RECENT);
    rows
}

/// The time of a decision is the time at which it was first made.
fn decision(before: Option<&Decision>, plan: &Plan, now: Timestamp) -> Decision {
    let made = Decision {
        at: time(now),
        desired: count(plan.decision.desired),
        limited_by: plan.decision.limited_by.as_str().to_owned(),
        message: plan.decision.message.clone(),
    };
    match before {
        Some(old) if Decision { at: made.at.clone(), ..old.clone() } == made => old.clone(),
        Some(_) | None => made,
    }
}

fn next_change(change: &schedule::Change) -> NextChange {
    NextChange {
        at: Time(change.at),
        agents: count(change.agents),
        source: change.source.as_str().to_owned(),
        name: change.name.clone(),
    }
}

/// Agents by what they do, as the status shows them.
pub(crate) fn counts(counts: &Counts) -> AgentCounts {
    let Counts { busy, idle, starting, recycling, draining, unhealthy, foreign } = *counts;
    AgentCounts {
        busy: count(busy),
        idle: count(idle),
        starting: count(starting),
        recycling: count(recycling),
        draining: count(draining),
        unhealthy: count(unhealthy),
        saved: 0,
        foreign: count(foreign),
        total: count(counts.total()),
    }
}
