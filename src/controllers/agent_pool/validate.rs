//! From the stored object to what policy decides on. No IO.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, AgentPoolSpec, DeletionPolicy, ScaleSetBinding,
    agent_pool::{LifecycleType, Mode, PlaceholderAgents, Recycle, ScaleOutStrategy, StandbyBasis},
    annotation, duration,
    scale_set_binding::ExistingInstances,
};
use poolkeeper_policy::{self as policy, Forecast, PoolReason, Why, schedule::Schedule};

use super::verbs;
use crate::config;

/// Until a first start was measured: what a VM with the agent's extension mostly needs, 3 to 5 minutes.
const UNMEASURED: SignedDuration = SignedDuration::from_mins(5);
/// The most that `leadTime` may be.
const LONGEST_LEAD: SignedDuration = SignedDuration::from_hours(4);

/// A pool that can be decided on.
#[derive(Debug)]
pub(crate) struct ValidatedPool {
    /// For the decision.
    pub(crate) policy: policy::Pool,
    /// Its bindings, the usable and the others.
    pub(crate) bindings: Vec<Arc<ScaleSetBinding>>,
}

/// Checks the pool and gathers what it refers to.
///
/// # Errors
/// `InvalidSpec` with the path and the mend: only an object stored under older rules gets here, since the API server
/// refuses others.
pub(crate) fn validate(
    pool: &AgentPool,
    bindings: Vec<Arc<ScaleSetBinding>>,
    schedule: Option<Schedule>,
    forecast: Option<Forecast>,
) -> Result<ValidatedPool, Why> {
    let spec = &pool.spec;
    let mut images = images(spec)?;
    let policy_bindings = bindings.iter().filter_map(|binding| policy_binding(binding, &images)).collect();
    lead_times(spec, &bindings, &mut images)?;
    let deleting = pool.metadata.deletion_timestamp.is_some();
    let policy = policy::Pool {
        name: pool.name_any(),
        mode: mode(pool),
        deletion: deleting.then_some(match spec.deletion_policy {
            DeletionPolicy::Drain => policy::DeletionPolicy::Drain,
            DeletionPolicy::Orphan => policy::DeletionPolicy::Orphan,
        }),
        max_agents: count("spec.maxAgents", spec.max_agents)?,
        images,
        bindings: policy_bindings,
        standby: policy::Standby {
            agents: count("spec.standby.agents", spec.standby.agents)?,
            basis: match spec.standby.basis {
                StandbyBasis::Idle => policy::Basis::Idle,
                StandbyBasis::Total => policy::Basis::Total,
            },
            schedule,
            forecast,
        },
        ignore_demands: spec.routing.ignore_demands.iter().map(|name| name.to_lowercase()).collect(),
        scale_out: scale_out(spec)?,
        idle_delay: idle_delay(spec)?,
        lifecycle: lifecycle(spec)?,
        start_timeout: span("spec.unhealthy.startTimeout", &spec.unhealthy.start_timeout)?,
        save_for_investigation: count(
            "spec.unhealthy.saveForInvestigation",
            spec.unhealthy.save_for_investigation,
        )?,
        max_failed_starts: count("spec.unhealthy.maxFailedStarts", spec.unhealthy.max_failed_starts)?,
        placeholders: match spec.routing.placeholder_agents {
            PlaceholderAgents::WhenNeeded => true,
            PlaceholderAgents::Never => false,
        },
        verbs: verbs::read(pool),
    };
    Ok(ValidatedPool { policy, bindings })
}

/// Stands in for a pool that cannot be decided on: nothing is wanted, and nothing may be done.
pub(crate) fn unusable(pool: &AgentPool, bindings: Vec<Arc<ScaleSetBinding>>) -> ValidatedPool {
    let policy = policy::Pool {
        name: pool.name_any(),
        mode: mode(pool),
        deletion: pool.metadata.deletion_timestamp.is_some().then_some(policy::DeletionPolicy::Drain),
        max_agents: 0,
        images: vec![policy::Image::default()],
        bindings: Vec::new(),
        standby: policy::Standby { agents: 0, basis: policy::Basis::Idle, schedule: None, forecast: None },
        ignore_demands: std::collections::BTreeSet::new(),
        scale_out: policy::ScaleOut::Exact { sampling: policy::Sampling::Decaying },
        idle_delay: SignedDuration::MAX,
        lifecycle: policy::Lifecycle::Stateful { max_lifetime: SignedDuration::MAX },
        start_timeout: SignedDuration::MAX,
        save_for_investigation: 0,
        max_failed_starts: 1,
        placeholders: false,
        verbs: policy::Verbs::default(),
    };
    ValidatedPool { policy, bindings }
}

/// The stricter of `spec.mode` and the annotation.
pub(crate) fn mode(pool: &AgentPool) -> policy::Mode {
    if pool.annotations().contains_key(annotation::PAUSED) {
        return policy::Mode::Paused;
    }
    match pool.spec.mode {
        Mode::Active => policy::Mode::Active,
        Mode::Observe => policy::Mode::Observe,
        Mode::Paused => policy::Mode::Paused,
    }
}

/// The image that a binding serves, by its index; `None` if the pool does not list it.
pub(crate) fn image_of(binding: &ScaleSetBinding, images: &[policy::Image]) -> Option<usize> {
    match &binding.spec.image_name {
        None => Some(0),
        Some(name) => images.iter().position(|image| &image.name == name),
    }
}

/// A pool that lists no image has one without a name.
pub(crate) fn images(spec: &AgentPoolSpec) -> Result<Vec<policy::Image>, Why> {
    if spec.images.is_empty() {
        return Ok(vec![policy::Image::default()]);
    }
    let image = |image: &poolkeeper_api::agent_pool::Image| {
        let path = || format!("spec.images[{}].standbyPercent", image.name);
        let standby_percent = match &image.standby_percent {
            IntOrString::Int(percent) => Some(count(&path(), *percent)?),
            IntOrString::String(text) if text == "*" => None,
            IntOrString::String(text) => Some(
                text.parse().map_err(|_| invalid(&path(), "must be '*' or a whole number from 0 to 100"))?,
            ),
        };
        let capabilities: BTreeMap<String, String> =
            image.capabilities.iter().map(|offer| (offer.name.to_lowercase(), offer.value.clone())).collect();
        Ok(policy::Image {
            name: image.name.clone(),
            aliases: image.aliases.clone(),
            standby_percent,
            capabilities,
            lead: SignedDuration::ZERO,
        })
    };
    spec.images.iter().map(image).collect()
}

/// How long before an hour of the schedule the agents of each image are started: as the spec says, or as long as 95 of
/// 100 starts take on the slowest of the image's scale sets.
fn lead_times(
    spec: &AgentPoolSpec,
    bindings: &[Arc<ScaleSetBinding>],
    images: &mut [policy::Image],
) -> Result<(), Why> {
    let fixed = match spec.standby.lead_time.as_str() {
        "Measured" => None,
        text => Some(span("spec.standby.leadTime", text)?),
    };
    let measured = |image: usize, images: &[policy::Image]| {
        let of_image = bindings.iter().filter(|binding| image_of(binding, images) == Some(image));
        let starts = of_image.filter_map(|binding| binding.status.as_ref()?.start_time.as_ref());
        starts.filter_map(|times| duration::parse(&times.p95).ok()).max().unwrap_or(UNMEASURED)
    };
    for image in 0..images.len() {
        let lead = fixed.unwrap_or_else(|| measured(image, images).min(LONGEST_LEAD));
        if let Some(image) = images.get_mut(image) {
            image.lead = lead;
        }
    }
    Ok(())
}

fn policy_binding(binding: &ScaleSetBinding, images: &[policy::Image]) -> Option<policy::Binding> {
    let claim = binding.status.as_ref().and_then(|status| status.claim.as_ref());
    Some(policy::Binding {
        name: policy::BindingName(binding.name_any()),
        image: image_of(binding, images)?,
        priority: binding.spec.priority,
        max_agents: binding.spec.max_agents.and_then(|most| u32::try_from(most).ok()),
        draining: binding.metadata.deletion_timestamp.is_some(),
        existing: match binding.spec.existing_instances {
            ExistingInstances::Adopt => policy::Existing::Adopt,
            ExistingInstances::Replace => policy::Existing::Replace,
        },
        claimed_at: claim.and_then(|claim| claim.claimed_at.as_ref()).map(|at| at.0),
    })
}

fn scale_out(spec: &AgentPoolSpec) -> Result<policy::ScaleOut, Why> {
    let interval = |text: &String| span("spec.scaleOut.sampleInterval", text);
    let sample = spec.scale_out.sample_interval.as_ref().map(interval).transpose()?;
    Ok(match spec.scale_out.strategy {
        ScaleOutStrategy::Exact => policy::ScaleOut::Exact {
            sampling: sample.map_or(policy::Sampling::Decaying, policy::Sampling::Every),
        },
        ScaleOutStrategy::ElasticPool => {
            let steps = spec.scale_out.elastic_pool.clone().unwrap_or_default();
            policy::ScaleOut::ElasticPool {
                increment_percent: count(
                    "spec.scaleOut.elasticPool.incrementPercent",
                    steps.increment_percent,
                )?,
                step_timeout: span("spec.scaleOut.elasticPool.stepTimeout", &steps.step_timeout)?,
                // Azure DevOps samples its scale sets every 5 minutes.
                sample_interval: sample.unwrap_or(SignedDuration::from_mins(5)),
            }
        }
    })
}

/// `gracePeriod` takes the place of `idleDelay`; 30 minutes where neither is given, as in Azure DevOps.
fn idle_delay(spec: &AgentPoolSpec) -> Result<SignedDuration, Why> {
    let grace = spec.lifecycle.stateful.as_ref().and_then(|stateful| stateful.grace_period.as_ref());
    if let Some(text) = grace {
        let path = "spec.lifecycle.stateful.gracePeriod";
        return duration::parse_agent_lifetime(text).map_err(|error| invalid(path, &error.to_string()));
    }
    match spec.scale_in.as_ref().and_then(|scale_in| scale_in.idle_delay.as_ref()) {
        Some(text) => span("spec.scaleIn.idleDelay", text),
        None => Ok(SignedDuration::from_mins(30)),
    }
}

fn lifecycle(spec: &AgentPoolSpec) -> Result<policy::Lifecycle, Why> {
    Ok(match spec.lifecycle.type_ {
        LifecycleType::Stateful => {
            let stateful = spec.lifecycle.stateful.clone().unwrap_or_default();
            let path = "spec.lifecycle.stateful.maxAgentLifetime";
            let max_lifetime = duration::parse_agent_lifetime(&stateful.max_agent_lifetime);
            policy::Lifecycle::Stateful {
                max_lifetime: max_lifetime.map_err(|error| invalid(path, &error.to_string()))?,
            }
        }
        LifecycleType::Stateless => {
            let recycle =
                spec.lifecycle.stateless.as_ref().map_or(Recycle::Reimage, |stateless| stateless.recycle);
            policy::Lifecycle::Stateless(match recycle {
                Recycle::Reimage => policy::Recycle::Reimage,
                Recycle::Replace => policy::Recycle::Replace,
            })
        }
    })
}

fn count(path: &str, value: i32) -> Result<u32, Why> {
    u32::try_from(value).map_err(|_| invalid(path, "must not be negative"))
}

fn span(path: &str, text: &str) -> Result<SignedDuration, Why> {
    duration::parse(text).map_err(|error| invalid(path, &error.to_string()))
}

fn invalid(path: &str, mend: &str) -> Why {
    Why { reason: PoolReason::InvalidSpec, message: format!("{path}: {mend}") }
}

/// The older of two pools of one Azure DevOps pool keeps it: younger, then larger uid, yields.
pub(crate) fn yields_to<'a>(pool: &AgentPool, others: impl Iterator<Item = &'a AgentPool>) -> Option<Why> {
    let place = |pool: &AgentPool| {
        (config::organization(&pool.spec.organization.url), pool.spec.pool_name.to_lowercase())
    };
    let age = |pool: &AgentPool| {
        (pool.creation_timestamp().map_or(Timestamp::MAX, |time| time.0), pool.uid().unwrap_or_default())
    };
    let mut older = others.filter(|other| place(other) == place(pool) && age(other) < age(pool));
    older.next().map(|other| Why {
        reason: PoolReason::DuplicatePool,
        message: format!(
            "AgentPool {}/{} already runs pool {}: delete one of the two",
            other.namespace().unwrap_or_default(),
            other.name_any(),
            pool.spec.pool_name
        ),
    })
}
