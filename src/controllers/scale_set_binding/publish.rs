//! Status and events of a binding. Never calls a cloud.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, ScaleSetBinding, ScaleSetBindingStatus, duration,
    scale_set_binding::{AgentBootstrapType, ClaimStatus, ScaleSetFacts, StartTimes},
};
use poolkeeper_azure::{MachinePriority, OrchestrationMode, ScaleSet};
use poolkeeper_policy::{BindingReason as Reason, Limit, Measured, Mode, Truth};

use super::{Fault, Standing, requirements, surroundings::Surroundings};
use crate::{
    conditions::{self, Desired},
    context::{Context, Starts},
    controllers::agent_pool,
    events::Note,
    kubernetes,
};

/// What a pass found out.
pub(super) struct Findings<'a> {
    pub(super) binding: &'a ScaleSetBinding,
    pub(super) pool: Option<&'a AgentPool>,
    pub(super) mode: Mode,
    pub(super) set: Option<&'a ScaleSet>,
    pub(super) around: Surroundings,
    pub(super) fault: Option<Fault>,
    /// Why the last read failed.
    pub(super) unreachable: Option<Fault>,
    pub(super) standing: Standing,
    /// Why its pool cannot create VMs in it now.
    pub(super) limit: Option<Limit>,
    /// How the starts of its image go, as its pool has counted; absent until it has looked.
    pub(super) starts: Option<Starts>,
    pub(super) now: Timestamp,
}

impl Findings<'_> {
    /// The set and what lies around it, once read.
    fn subject(&self) -> Option<requirements::Subject<'_>> {
        let Self { binding, pool, set, around, .. } = self;
        (*set).map(|set| requirements::Subject { binding, pool: *pool, set, around })
    }
}

fn desired(kind: &'static str, truth: Truth, reason: Reason, message: impl Into<String>) -> Desired {
    Desired { kind, truth, reason: reason.as_str(), message: message.into() }
}

/// Throttling and lost connections pass by themselves; whatever else is wrong needs a person.
fn needs_a_person(reason: Reason) -> bool {
    !matches!(reason, Reason::Throttled | Reason::Unreachable | Reason::UnexpectedAnswer)
}

fn conditions(findings: &Findings<'_>) -> Vec<Desired> {
    let Findings { binding, pool, mode, fault, standing, limit, .. } = findings;
    let unmet = findings.subject().and_then(requirements::first_fault);
    let stalled = fault.clone().into_iter().chain(unmet).find(|fault| needs_a_person(fault.reason));
    let stalled = stalled.map(|fault| desired("Stalled", Truth::True, fault.reason, fault.message));
    let deleting = binding.metadata.deletion_timestamp.is_some();
    let reconciling = if stalled.is_some() {
        None
    } else if deleting {
        Some(desired("Reconciling", Truth::True, Reason::Draining, "its agents finish their jobs and go"))
    } else if matches!(standing, Standing::NotObserved | Standing::NotRenewed) && *mode == Mode::Active {
        Some(desired("Reconciling", Truth::True, Reason::Claiming, "claiming the scale set"))
    } else {
        None
    };
    let image = image(findings).unwrap_or_default();
    let pool_name = pool.map(ResourceExt::name_any).unwrap_or_default();
    let ready = match stalled.as_ref().or(reconciling.as_ref()) {
        Some(blocking) => Desired { kind: "Ready", truth: Truth::False, ..blocking.clone() },
        None if binding.spec.max_agents == Some(0) => desired(
            "Ready",
            Truth::True,
            Reason::Cordoned,
            "maxAgents is 0: no new VMs, present agents finish and go",
        ),
        None => match (mode, limit) {
            (Mode::Active, Some(limit)) => {
                desired("Ready", Truth::False, limit.kind.binding_reason(), limited(limit))
            }
            (Mode::Active, None) if unhealthy(findings).is_some() => {
                let message = unhealthy(findings).map(|unhealthy| unhealthy.message).unwrap_or_default();
                desired("Ready", Truth::False, Reason::FailedStarts, message)
            }
            (Mode::Observe, _) => {
                desired("Ready", Truth::True, Reason::Observing, "the pool only observes: nothing is claimed")
            }
            (Mode::Paused, _) => desired("Ready", Truth::True, Reason::Paused, "the pool is paused"),
            (Mode::Active, None) if image.is_empty() => {
                desired("Ready", Truth::True, Reason::Bound, format!("serves pool {pool_name}"))
            }
            (Mode::Active, None) => {
                desired("Ready", Truth::True, Reason::Bound, format!("serves {image} of pool {pool_name}"))
            }
        },
    };
    let mut all = vec![ready];
    all.extend(stalled);
    all.extend(reconciling);
    all.extend([reachable(findings), claimed(standing), met(findings), bootstrap(binding)]);
    all.extend(unhealthy(findings));
    all
}

/// The image's starts fail: said until one succeeds, also while nobody has looked since a restart.
fn unhealthy(findings: &Findings<'_>) -> Option<Desired> {
    let kind = "ImageUnhealthy";
    let Some(starts) = &findings.starts else {
        let before = findings.binding.status.as_ref()?;
        let kept = before.conditions.iter().find(|condition| condition.type_ == kind)?;
        let reason =
            Reason::ALL.iter().map(|reason| reason.as_str()).find(|reason| *reason == kept.reason)?;
        return Some(Desired { kind, truth: Truth::True, reason, message: kept.message.clone() });
    };
    let failed = starts.failed.as_ref().filter(|failed| failed.count >= starts.most)?;
    let message = format!(
        "{} starts or more have failed in a row, so one VM is tried at a time: mend the image or its extensions; the \
         last one: {}",
        starts.most, failed.message
    );
    Some(desired(kind, Truth::True, failed.reason, message))
}

/// What Azure said, and when a growth is tried again: to the minute, so that a status is not written for seconds.
fn limited(limit: &Limit) -> String {
    format!("{}; tried again at {}", limit.message, limit.until.strftime("%H:%MZ"))
}

fn reachable(findings: &Findings<'_>) -> Desired {
    let kind = "ScaleSetReachable";
    // What lies around the set, its instances above all, is required too, and no other condition says what passes.
    let around = || findings.around.fault().filter(|fault| !needs_a_person(fault.reason));
    match (findings.unreachable.as_ref().or_else(around), findings.set) {
        (Some(fault), _) => {
            let known = [
                Reason::CredentialsRejected,
                Reason::PermissionDenied,
                Reason::ScaleSetNotFound,
                Reason::Throttled,
                Reason::Unreachable,
                Reason::UnexpectedAnswer,
            ];
            if known.contains(&fault.reason) {
                desired(kind, Truth::False, fault.reason, fault.message.clone())
            } else {
                desired(kind, Truth::Unknown, Reason::NotObserved, fault.message.clone())
            }
        }
        (None, Some(_)) => desired(kind, Truth::True, Reason::Reachable, ""),
        (None, None) => desired(kind, Truth::Unknown, Reason::NotObserved, ""),
    }
}

fn claimed(standing: &Standing) -> Desired {
    let kind = "Claimed";
    match standing {
        Standing::Claimed { .. } => desired(kind, Truth::True, Reason::Claimed, ""),
        Standing::Foreign { found, .. } => desired(kind, Truth::False, Reason::ScaleSetInUse, found.clone()),
        Standing::NotRenewed => {
            desired(kind, Truth::False, Reason::NotRenewed, "the claim could not be renewed for an hour")
        }
        Standing::NotWanted => desired(kind, Truth::False, Reason::NotWanted, "mode Observe claims nothing"),
        Standing::NotObserved => desired(kind, Truth::Unknown, Reason::NotObserved, ""),
    }
}

fn met(findings: &Findings<'_>) -> Desired {
    let kind = "RequirementsMet";
    let Some(subject) = findings.subject() else {
        return desired(kind, Truth::Unknown, Reason::NotObserved, "");
    };
    let rows = requirements::rows(subject);
    let advice: Vec<&str> =
        rows.iter().filter(|row| !row.met && row.advice).map(|row| row.name.as_str()).collect();
    if let Some(unmet) = requirements::unmet(&rows) {
        desired(kind, Truth::False, Reason::Unmet, unmet)
    } else if rows.iter().any(|row| !row.met && !row.advice) {
        desired(kind, Truth::Unknown, Reason::NotObserved, "")
    } else if advice.is_empty() {
        desired(kind, Truth::True, Reason::Met, "")
    } else {
        desired(kind, Truth::True, Reason::Met, format!("advice: {}", advice.join(", ")))
    }
}

fn bootstrap(binding: &ScaleSetBinding) -> Desired {
    match binding.spec.agent_bootstrap.type_ {
        AgentBootstrapType::External => {
            desired("BootstrapCurrent", Truth::True, Reason::External, "the image registers its agent itself")
        }
        AgentBootstrapType::Managed => desired("BootstrapCurrent", Truth::Unknown, Reason::NotObserved, ""),
    }
}

fn image(findings: &Findings<'_>) -> Option<String> {
    let images = agent_pool::images(&findings.pool?.spec).ok()?;
    let index = agent_pool::image_of(findings.binding, &images)?;
    images.get(index).map(|image| image.name.clone()).filter(|name| !name.is_empty())
}

fn facts(set: &ScaleSet) -> ScaleSetFacts {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let profile = set.profile.as_ref();
    let image = profile.and_then(|profile| profile.image.as_ref()).map(|image| {
        let id = image.id.as_deref().or(image.shared_gallery_image_id.as_deref());
        match id {
            // A gallery's image: its last parts are name and version.
            Some(id) => {
                let parts: Vec<&str> = id.rsplit('/').filter(|part| *part != "versions").take(2).collect();
                parts.into_iter().rev().collect::<Vec<_>>().join("/")
            }
            None => format!("{}/{}", text(image.sku.as_deref()), text(image.version.as_deref())),
        }
    });
    ScaleSetFacts {
        location: text(set.location.as_deref()),
        sku: set.sku.as_ref().map(|sku| sku.name.clone()).unwrap_or_default(),
        orchestration_mode: text(set.orchestration_mode.as_ref().map(OrchestrationMode::as_str)),
        priority: text(profile.and_then(|profile| profile.priority.as_ref()).map(MachinePriority::as_str)),
        ephemeral_os_disk: profile.is_some_and(|profile| profile.os_disk.ephemeral),
        image: image.unwrap_or_default(),
        capacity: set.sku.as_ref().and_then(|sku| sku.capacity).map_or(0, agent_pool::count),
    }
}

/// The status that a pass ends in.
fn status(findings: &Findings<'_>) -> ScaleSetBindingStatus {
    let Findings { binding, pool, set, standing, now, .. } = findings;
    let before = binding.status.clone().unwrap_or_default();
    let name = binding.name_any();
    let agents = pool
        .and_then(|pool| pool.status.as_ref())
        .and_then(|status| status.bindings.iter().find(|summary| summary.name == name))
        .and_then(|summary| summary.agents.clone());
    ScaleSetBindingStatus {
        observed_generation: binding.metadata.generation,
        image: image(findings),
        conditions: conditions::merge(
            &before.conditions,
            conditions(findings),
            binding.metadata.generation,
            *now,
        ),
        scale_set: set.map(facts).or(before.scale_set),
        claim: match standing {
            Standing::Claimed { since, renewed_at } => Some(ClaimStatus {
                owner: pool
                    .and_then(|_| set.and_then(|set| set.tags.get(crate::claim::OWNER_TAG).cloned()))
                    .unwrap_or_default(),
                claimed_at: since.map(whole),
                renewed_at: whole(*renewed_at),
            }),
            // Unknown is not none: a deletion drains what may be ours.
            Standing::NotRenewed | Standing::NotObserved if pool.is_some() => before.claim,
            Standing::Foreign { .. } | Standing::NotRenewed | Standing::NotWanted | Standing::NotObserved => {
                None
            }
        },
        requirements: findings.subject().map_or(before.requirements, requirements::rows),
        agents: agents.or(before.agents),
        start_time: findings
            .starts
            .as_ref()
            .and_then(|starts| starts.times)
            .map(start_times)
            .or(before.start_time),
        failed_starts: match &findings.starts {
            None => before.failed_starts,
            Some(starts) => starts.failed.as_ref().map(|failed| agent_pool::count(failed.count)),
        },
        bootstrap: before.bootstrap,
    }
}

/// Rounded up to 5 s, which is less than a read of the agents is late: so that not every start changes the status.
fn start_times(measured: Measured) -> StartTimes {
    let shown = |took: SignedDuration| {
        let seconds = u64::try_from(took.as_secs()).unwrap_or(0).next_multiple_of(5);
        duration::format(SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX)))
    };
    StartTimes {
        p50: shown(measured.p50),
        p95: shown(measured.p95),
        samples: agent_pool::count(measured.samples),
    }
}

/// The API server stores whole seconds.
fn whole(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}

/// Writes the status if it differs, and tells what began to be wrong.
pub(super) async fn publish(ctx: &Context, findings: &Findings<'_>) -> Result<(), kube::Error> {
    let binding = findings.binding;
    let before = binding.status.clone().unwrap_or_default();
    let after = status(findings);
    if before == after {
        return Ok(());
    }
    let reason_of = |status: &ScaleSetBindingStatus, kind: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.type_ == kind)
            .map(|condition| condition.reason.clone())
    };
    let limited = |reason: &Option<String>| {
        let reasons = ["QuotaExceeded", "AllocationFailed", "SubnetFull", "SKUUnavailable"];
        reason.as_deref().is_some_and(|reason| reasons.contains(&reason))
    };
    let (ready_before, ready_after) = (reason_of(&before, "Ready"), reason_of(&after, "Ready"));
    if limited(&ready_after)
        && ready_before != ready_after
        && let Some(found) = conditions(findings).into_iter().find(|found| found.kind == "Ready")
    {
        let note = Note { warning: true, reason: found.reason, action: "Create", message: found.message };
        ctx.events.publish(&kubernetes::object_reference(binding), note).await;
    }
    for kind in ["Stalled", "Claimed"] {
        if reason_of(&before, kind) == reason_of(&after, kind) {
            continue;
        }
        if let Some(found) = conditions(findings).into_iter().find(|found| found.kind == kind) {
            let warning = kind == "Stalled";
            if warning || found.truth == Truth::True {
                let message =
                    if warning { found.message } else { "the scale set is claimed for this pool".to_owned() };
                let note = Note { warning, reason: found.reason, action: "Claim", message };
                ctx.events.publish(&kubernetes::object_reference(binding), note).await;
            }
        }
    }
    kubernetes::apply_status(ctx, binding, &after).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn object<K: serde::de::DeserializeOwned>(spec: &Value, status: &Value) -> K {
        serde_json::from_value(json!({"metadata": {"name": "linux"}, "spec": spec, "status": status}))
            .unwrap()
    }

    /// What becomes of a claim that the status has, when a pass ends so.
    fn kept(standing: Standing, with_pool: bool) -> bool {
        let id = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux";
        let claim = json!({"owner": "poolkeeper/6f0e/ci/linux", "renewedAt": "2026-11-23T08:30:00Z"});
        let binding: ScaleSetBinding = object(
            &json!({"poolRef": {"name": "linux"}, "scaleSet": {"resourceID": id}}),
            &json!({"claim": claim}),
        );
        let organization = json!({"url": "https://dev.azure.com/fabrikam"});
        let pool: AgentPool =
            object(&json!({"organization": organization, "poolName": "linux", "maxAgents": 1}), &json!({}));
        let findings = Findings {
            binding: &binding,
            pool: with_pool.then_some(&pool),
            mode: Mode::Active,
            set: None,
            around: Surroundings::default(),
            fault: None,
            unreachable: None,
            standing,
            limit: None,
            starts: None,
            now: Timestamp::UNIX_EPOCH,
        };
        status(&findings).claim.is_some()
    }

    #[test]
    fn a_claim_is_kept_while_nothing_is_known_of_it() {
        // A Secret that is gone before its binding, after a restart: its VMs are drained still.
        assert!(kept(Standing::NotObserved, true));
        assert!(kept(Standing::NotRenewed, true));
        assert!(!kept(Standing::NotObserved, false), "a pool that is gone has released it");
        let (message, found) = (String::new(), String::new());
        assert!(!kept(Standing::Foreign { message, found }, true));
        assert!(!kept(Standing::NotWanted, true));
    }
}
