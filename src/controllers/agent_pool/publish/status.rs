//! The status that a pass ends in.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPoolStatus, POOL_LABEL,
    agent_pool::{BindingSummary, Decision, GhostAgent, JobCounts, SavedAgent, StandbyStatus, UnroutableJob},
    annotation,
    status::{AgentCounts, NextChange},
};
use poolkeeper_policy::{Counts, Notice, Plan, Snapshot, Truth, Why, schedule};

use super::{
    super::{
        count,
        memory::{self, time},
    },
    Findings,
    actions::recent,
};
use crate::conditions::{self, Desired};

/// Unroutable jobs that the status names.
const UNROUTABLE: usize = 10;
/// Saved agents that the status lists.
const SAVED: usize = 100;
/// Records without VMs that the status lists.
const GHOSTS: usize = 100;

/// The status that a pass ends in.
pub(crate) fn status(findings: &Findings<'_>) -> AgentPoolStatus {
    let Findings {
        pool,
        pool_id,
        seen,
        plan,
        report,
        further,
        automatic,
        followed,
        schedule_fault,
        ready,
        now,
    } = findings;
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
        automatic: automatic.clone(),
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
    status.saved_agents = saved(&before.saved_agents, plan, *now);
    status.ghost_agents = ghosts(plan, seen);
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
fn counts(counts: &Counts) -> AgentCounts {
    let Counts { busy, idle, starting, recycling, draining, unhealthy, saved, foreign } = *counts;
    AgentCounts {
        busy: count(busy),
        idle: count(idle),
        starting: count(starting),
        recycling: count(recycling),
        draining: count(draining),
        unhealthy: count(unhealthy),
        saved: count(saved),
        foreign: count(foreign),
        total: count(counts.total()),
    }
}

/// Records of agents whose VMs are gone.
fn ghosts(plan: &Plan, seen: &Snapshot) -> Vec<GhostAgent> {
    let awaited = plan.memory.records.awaited(seen).into_iter().take(GHOSTS);
    awaited.map(|(name, since)| GhostAgent { name, since: time(since) }).collect()
}

/// The saved agents; why each was saved is told once, when it is, and kept.
fn saved(before: &[SavedAgent], plan: &Plan, now: Timestamp) -> Vec<SavedAgent> {
    let told = |name: &str| {
        plan.notices.iter().find_map(|notice| match notice {
            Notice::FailedToStart { name: of, message, saved: true, .. } if of == name => {
                Some(message.clone())
            }
            Notice::FailedToStart { .. } | Notice::AgentReused { .. } | Notice::JobOverTwoDays { .. } => None,
        })
    };
    let rows = plan.saved.iter().map(|saved| {
        let known = before.iter().find(|row| row.vm_id == saved.vm_id.0);
        let message = told(&saved.computer_name).or_else(|| known.map(|row| row.message.clone()));
        SavedAgent {
            name: saved.computer_name.clone(),
            vm_id: saved.vm_id.0.clone(),
            instance_id: saved.instance_id.0.clone(),
            binding: saved.binding.0.clone(),
            saved_at: saved
                .at
                .map(time)
                .or_else(|| known.map(|row| row.saved_at.clone()))
                .unwrap_or(time(now)),
            reason: "FailedToStart".to_owned(),
            message: message.unwrap_or_default(),
        }
    });
    rows.take(SAVED).collect()
}
