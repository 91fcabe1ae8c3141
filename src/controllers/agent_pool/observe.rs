//! Reads both clouds. Infallible: a read that fails is a source that is missing, with the reason.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_azure::{Instance, OrchestrationMode, ScaleSetId, ScaleSets};
use poolkeeper_azure_devops::{Organization, PoolId};
use poolkeeper_policy::{
    BindingName, BindingReason, Blocked, Mode, PoolReason, Seen, SetView, Snapshot, Want, Why,
};
use poolkeeper_rest::{Answer, Class, Error};

use super::{
    cache::{PoolCache, SetCache},
    convert, operations, quota, unread,
    validate::{ValidatedPool, mode},
};
use crate::{claim, context::Context};

/// A pool keeps its id; that it still exists, and is nobody else's, is looked up again this often.
const POOL_LOOKUP: SignedDuration = SignedDuration::from_mins(10);

/// What was seen, and the clients to act with.
pub(crate) struct Observation {
    pub(crate) seen: Snapshot,
    pub(crate) clouds: Option<Clouds>,
    /// A service asked to be left alone until then.
    pub(crate) not_before: Option<Timestamp>,
}

/// The clients that a pass acts with.
pub(crate) struct Clouds {
    pub(crate) organization: Organization,
    pub(crate) pool: PoolId,
    pub(crate) sets: BTreeMap<BindingName, SetHandle>,
}

/// A scale set to write to.
pub(crate) struct SetHandle {
    pub(crate) client: ScaleSets,
    pub(crate) id: ScaleSetId,
    /// Who manages its instances.
    pub(crate) mode: OrchestrationMode,
    /// Who we are in its tags.
    pub(crate) owner: String,
    pub(crate) take_over_from: Option<String>,
}

/// Reads what is due, and hands on what is not.
pub(crate) async fn observe(
    ctx: &Context,
    pool: &AgentPool,
    valid: &ValidatedPool,
    cache: &mut PoolCache,
    now: Timestamp,
) -> Observation {
    let mut not_before = None;
    let organization = organization(ctx, pool, cache, &mut not_before, now).await;
    let mut sets = BTreeMap::new();
    let mut views = BTreeMap::new();
    cache.sets.retain(|name, _| valid.bindings.iter().any(|binding| &binding.name_any() == name));
    for binding in &valid.bindings {
        let name = BindingName(binding.name_any());
        let (view, handle) = scale_set(ctx, pool, binding, valid.policy.mode, cache, now).await;
        views.insert(name.clone(), view);
        sets.extend(handle.map(|handle| (name, handle)));
    }
    let operations = operations::observe(cache, &sets, now).await;
    let unread = || not_observed("Azure DevOps has not been read yet");
    let parallel_jobs = cache.jobs.latest().and_then(|jobs| {
        let assigned = jobs.iter().filter(|job| !job.maintenance && job.agent.is_some()).count();
        let open = jobs.iter().filter(|job| !job.maintenance).count();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let want = Want { running: count(assigned), queued: count(open - assigned) };
        let namespace = pool.namespace().unwrap_or_default();
        ctx.parallel_jobs(&pool.spec.organization.url, &namespace, &pool.name_any(), want)
    });
    let seen = Snapshot {
        parallel_jobs,
        jobs: cache.jobs.seen(Clone::clone, unread),
        agents: cache.agents.seen(Clone::clone, unread),
        sets: views,
        operations,
    };
    let clouds = match (organization, cache.pool_id.latest()) {
        (Some(organization), Some(pool)) => Some(Clouds { organization, pool: *pool, sets }),
        (Some(_) | None, _) => None,
    };
    Observation { seen, clouds, not_before }
}

fn not_observed(message: &str) -> Why {
    Why { reason: PoolReason::NotObserved, message: message.to_owned() }
}

/// Jobs, then agents, so that whatever was assigned in between shows on the agent.
async fn organization(
    ctx: &Context,
    pool: &AgentPool,
    cache: &mut PoolCache,
    not_before: &mut Option<Timestamp>,
    now: Timestamp,
) -> Option<Organization> {
    let due = cache.jobs.is_due(now);
    let organization = match ctx.sign_in.organization(&ctx.kube, pool).await {
        Ok(organization) => organization,
        Err(error) => {
            let why = Why { reason: error.pool_reason(), message: crate::chain(&error) };
            cache.jobs.take(Err(why.clone()), now);
            cache.agents.take(Err(why), now);
            return None;
        }
    };
    if !due {
        return Some(organization);
    }
    let rejected = |error: &Error| {
        if error.class() == Class::Unauthenticated {
            ctx.sign_in.reject_token(&pool.namespace().unwrap_or_default(), &pool.name_any());
        }
    };
    let wait = |retry: Option<SignedDuration>| retry.and_then(|retry| now.checked_add(retry).ok());
    if cache.pool_id.is_due(now) || cache.pool_id.latest().is_none() {
        let id = match pool_id(&organization, pool).await {
            Err(Lookup::Call(error)) if error.is_kept_back() => {
                cache.jobs.keep_back(&error, now);
                return Some(organization);
            }
            Err(Lookup::Call(error)) => {
                rejected(&error);
                *not_before = (*not_before).max(wait(error.retry_after()));
                Err(unread::devops(pool, &error))
            }
            Err(Lookup::Failed(why)) => Err(why),
            Ok(id) => Ok(id),
        };
        cache.pool_id.due = now.checked_add(POOL_LOOKUP).unwrap_or(Timestamp::MAX);
        if let Err(why) = &id {
            // A pool that is gone or another's is looked up with every pass, so that the mend is seen at once.
            cache.pool_id = super::cache::Source::default();
            cache.jobs.take(Err(why.clone()), now);
            cache.agents.take(Err(why.clone()), now);
            return Some(organization);
        }
        cache.pool_id.take(id, now);
    }
    let Some(id) = cache.pool_id.latest().copied() else { return Some(organization) };
    match organization.job_requests(id).await {
        Ok(answer) => {
            *not_before = (*not_before).max(wait(answer.retry_after));
            cache.jobs.take(Ok(answer.value.iter().map(convert::job_request).collect()), now);
        }
        Err(error) if error.is_kept_back() => {
            cache.jobs.keep_back(&error, now);
            return Some(organization);
        }
        Err(error) => {
            rejected(&error);
            *not_before = (*not_before).max(wait(error.retry_after()));
            let why = unread::devops(pool, &error);
            cache.jobs.take(Err(why.clone()), now);
            cache.agents.take(Err(why), now);
            return Some(organization);
        }
    }
    match organization.agents(id).await {
        Ok(answer) => {
            *not_before = (*not_before).max(wait(answer.retry_after));
            let agents = match unread::unheard_of(pool, &answer.value) {
                None => Ok(answer.value.iter().map(convert::agent).collect()),
                Some(why) => Err(why),
            };
            cache.agents.take(agents, now);
        }
        // Jobs are read again before them.
        Err(error) if error.is_kept_back() => cache.jobs.keep_back(&error, now),
        Err(error) => {
            *not_before = (*not_before).max(wait(error.retry_after()));
            cache.agents.take(Err(unread::devops(pool, &error)), now);
        }
    }
    Some(organization)
}

/// Why a pool's id is not known.
enum Lookup {
    Call(Error),
    Failed(Why),
}

async fn pool_id(organization: &Organization, pool: &AgentPool) -> Result<PoolId, Lookup> {
    let name = &pool.spec.pool_name;
    let found = organization.pool_by_name(name).await.map_err(Lookup::Call)?;
    let Some(found) = found.value else {
        return Err(Lookup::Failed(Why {
            reason: PoolReason::PoolNotFound,
            message: format!(
                "Azure DevOps has no agent pool {name} that this credential may see: create it there, or mend poolName"
            ),
        }));
    };
    // Looking on beside it harms nobody.
    if found.options.elastic_pool && mode(pool) != Mode::Observe {
        return Err(Lookup::Failed(Why {
            reason: PoolReason::PoolManagedElsewhere,
            message: format!(
                "agent pool {name} is a scale set pool that Azure DevOps sizes itself: use another pool, or delete \
                 that one and create it again as self-hosted"
            ),
        }));
    }
    Ok(found.id)
}

/// One binding's scale set, and the client to write to it where that is allowed.
async fn scale_set(
    ctx: &Context,
    pool: &AgentPool,
    binding: &Arc<ScaleSetBinding>,
    mode: Mode,
    cache: &mut PoolCache,
    now: Timestamp,
) -> (SetView, Option<SetHandle>) {
    let unread = || not_observed("its scale set has not been read yet");
    let set = cache.sets.entry(binding.name_any()).or_default();
    let mut blocked = blocked(binding, mode);
    let never_held = binding.status.as_ref().is_none_or(|status| status.claim.is_none());
    if let Some(blocked) = blocked.as_mut()
        && pool.metadata.deletion_timestamp.is_some()
    {
        // A scale set that was never claimed has nothing of ours, whatever is wrong with it; a binding whose status is
        // not there yet, or was wiped, may well have been.
        let observed = binding.status.as_ref().is_some_and(|status| status.observed_generation.is_some());
        blocked.pending = never_held && observed;
    }
    if std::mem::replace(&mut set.blocked, blocked.is_some()) && blocked.is_none() {
        // What was put off while nobody could read it is read now.
        (set.scale_set.due, set.instances.due) = (Timestamp::MIN, Timestamp::MIN);
    }
    let leaves = pool.metadata.deletion_timestamp.is_some() || binding.metadata.deletion_timestamp.is_some();
    if leaves
        && is_said_gone(binding)
        && let Some(empty) = gone(ctx, pool, binding, set, now).await
    {
        return (empty, None);
    }
    // Whoever may not write need not read either: the binding's own controller says what is wrong.
    let mut handle = if blocked.is_none() { handle(ctx, pool, binding).await } else { Err(unread()) };
    let mut claimed = Ok(());
    match &mut handle {
        Ok(handle) => {
            if set.scale_set.is_due(now) {
                let read = handle.client.get(&handle.id).await;
                if let Ok(answer) = &read {
                    let namespace = pool.namespace().unwrap_or_default();
                    ctx.note_set(&namespace, &binding.name_any(), &answer.value, now);
                }
                set.scale_set.take_call(read, |answer| answer.value, unread::azure, now);
            }
            if let Some(mode) = set.scale_set.latest().and_then(|set| set.orchestration_mode.clone()) {
                handle.mode = mode;
            }
            // The binding's controller lists them too, to see whether any is protected.
            let namespace = pool.namespace().unwrap_or_default();
            if let Some((listed, at)) = ctx.take_instances(&namespace, &binding.name_any()) {
                set.instances.hand_on(listed.iter().map(convert::vm).collect(), at, now);
            }
            // How instances are listed is known once the set has been read.
            if set.instances.is_due(now) && set.scale_set.latest().is_some() {
                let read = handle.client.list_instances(&handle.id, &handle.mode).await;
                let vms = |answer: Answer<Vec<Instance>>| answer.value.iter().map(convert::vm).collect();
                set.instances.take_call(read, vms, unread::azure, now);
            }
            if let (Some(seen), Mode::Active) = (set.scale_set.latest(), mode) {
                let held = claim::judge(&seen.tags, &handle.owner, handle.take_over_from.as_deref(), now);
                claimed = held.writable(now);
            }
        }
        Err(why) => {
            if blocked.is_none() {
                set.scale_set.take(Err(why.clone()), now);
                set.instances.take(Err(why.clone()), now);
            }
        }
    }
    let lost = claimed.err().map(|message| Blocked { message, pending: false });
    let name = BindingName(binding.name_any());
    let headroom = match &handle {
        Ok(handle) => quota::headroom(ctx, cache, &name, handle, now).await,
        Err(_) => None,
    };
    let set = cache.sets.entry(name.0).or_default();
    let view = SetView {
        blocked: blocked.or(lost),
        headroom,
        scale_set: set.scale_set.seen(convert::scale_set, unread),
        instances: set.instances.seen(Clone::clone, unread),
    };
    (view, handle.ok())
}

/// The binding's own controller has been told that there is no such scale set.
fn is_said_gone(binding: &ScaleSetBinding) -> bool {
    let conditions = binding.status.iter().flat_map(|status| &status.conditions);
    let not_found = BindingReason::ScaleSetNotFound.as_str();
    conditions.into_iter().any(|condition| condition.reason == not_found)
}

/// A scale set that Azure says does not exist is empty: asked again here, since a drain may end by it.
async fn gone(
    ctx: &Context,
    pool: &AgentPool,
    binding: &Arc<ScaleSetBinding>,
    set: &mut SetCache,
    now: Timestamp,
) -> Option<SetView> {
    if set.scale_set.is_due(now) {
        let handle = handle(ctx, pool, binding).await.ok()?;
        let read = handle.client.get(&handle.id).await;
        set.gone_at = read.as_ref().is_err_and(unread::is_gone).then_some(now);
        set.scale_set.take_call(read, |answer| answer.value, unread::azure, now);
    }
    set.gone_at.map(|at| {
        let value = poolkeeper_policy::ScaleSet {
            capacity: 0,
            computer_name_prefix: String::new(),
            orchestration: poolkeeper_policy::Orchestration::Uniform,
            saved: BTreeMap::new(),
        };
        SetView {
            blocked: None,
            scale_set: Seen::Fresh { value, at },
            instances: Seen::Fresh { value: Vec::new(), at },
            headroom: None,
        }
    })
}

/// What the binding's own controller says of it.
fn blocked(binding: &ScaleSetBinding, mode: Mode) -> Option<Blocked> {
    let status = binding.status.as_ref();
    let condition = |kind: &str| {
        status.and_then(|status| status.conditions.iter().find(|condition| condition.type_ == kind))
    };
    if let Some(stalled) = condition("Stalled").filter(|stalled| stalled.status == "True") {
        return Some(Blocked { message: stalled.message.clone(), pending: false });
    }
    // Nothing is claimed and nothing is written: reading is enough, beside whoever manages the scale set.
    if mode == Mode::Observe {
        return None;
    }
    let claimed = condition("Claimed").is_some_and(|claimed| claimed.status == "True");
    let pending = || Blocked { message: "its scale set is not claimed yet".to_owned(), pending: true };
    (!claimed).then(pending)
}

async fn handle(ctx: &Context, pool: &AgentPool, binding: &ScaleSetBinding) -> Result<SetHandle, Why> {
    let invalid = |message: String| Why { reason: PoolReason::InvalidSpec, message };
    let id: ScaleSetId = binding
        .spec
        .scale_set
        .resource_id
        .parse()
        .map_err(|error: poolkeeper_azure::IdError| invalid(error.to_string()))?;
    let client = ctx.sign_in.scale_sets(&ctx.kube, binding).await;
    let client =
        client.map_err(|error| Why { reason: error.pool_reason(), message: crate::chain(&error) })?;
    Ok(SetHandle {
        client,
        id,
        mode: OrchestrationMode::Uniform,
        owner: claim::owner(&ctx.cluster, &pool.namespace().unwrap_or_default(), &pool.name_any()),
        take_over_from: binding.spec.take_over_from.clone(),
    })
}
