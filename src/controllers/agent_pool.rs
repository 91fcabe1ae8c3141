//! The pool's controller: observe, decide, act, publish.

mod account;
mod act;
mod cache;
mod convert;
mod failure;
mod finalize;
mod history;
mod maintenance;
mod memory;
mod observe;
mod operations;
mod publish;
mod quota;
mod standby;
mod unread;
mod validate;
mod verbs;

use std::{sync::Arc, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use kube::{ResourceExt, runtime::controller::Action};
use poolkeeper_api::{AgentPool, FINALIZER, ScaleSetBinding, standby_schedule::Automatic};
use poolkeeper_policy::{self as policy, PoolReason, Seen, Snapshot, Why};

pub(crate) use cache::PoolCache;
pub(crate) use unread::is_gone;
pub(crate) use validate::{image_of, images, mode};

use self::{
    account::Account, act::Report, history::HistoryCache, observe::Observation, validate::ValidatedPool,
};
use super::Error;
use crate::{
    context::{Context, Starts},
    kubernetes,
};

/// One pass over one pool. Whatever a cloud answers is not an error of the pass but a finding.
pub(crate) async fn reconcile(pool: &AgentPool, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    let cache = ctx.pool_cache(&namespace, &name);
    let mut cache = cache.lock().await;
    let now = ctx.clock.now();
    ctx.sign_in.begin_pass(&namespace);
    let bindings = ctx.stores.bindings_of(&namespace, &name);
    recall(pool, &bindings, &mut cache);
    let standby = standby::resolve(ctx, pool, now);
    let same_name = pool.spec.pool_name.to_lowercase();
    let rivals = ctx.stores.pools(|other| other.spec.pool_name.to_lowercase() == same_name);
    let yields = validate::yields_to(pool, rivals.iter().map(Arc::as_ref));
    let automatic = automatic(ctx, pool, standby.automatic.as_ref(), &mut cache.history, now).await;
    let forecast = automatic.as_ref().and_then(|view| view.forecast.clone());
    let valid = validate::validate(pool, bindings.clone(), standby.schedule.clone(), forecast);
    let (valid, refused) = match (valid, yields) {
        (Ok(valid), None) => (valid, None),
        (Ok(valid), Some(why)) => (valid, Some(why)),
        (Err(why), _) => (validate::unusable(pool, bindings), Some(why)),
    };

    // A pool that had to yield to another one has nothing to drain.
    let yielded = refused.as_ref().is_some_and(|why| why.reason == PoolReason::DuplicatePool);
    if finalize::orphans(pool) {
        return Ok(finalize::orphan(ctx, pool).await?);
    }
    if yielded && pool.metadata.deletion_timestamp.is_some() {
        return Ok(finalize::release(ctx, pool).await?);
    }
    let memory = cache.memory.clone().unwrap_or_default();
    let decided = refused.is_none();
    let Observation { seen, clouds, not_before } = match refused {
        None => observe::observe(ctx, pool, &valid, &mut cache, now).await,
        Some(why) => Observation { seen: missing(&why), clouds: None, not_before: None },
    };
    let in_control = seen.agents.fresh_at().is_some() && valid.policy.mode != policy::Mode::Observe;
    if in_control && pool.metadata.deletion_timestamp.is_none() {
        // Before the first write to a cloud, so that nothing is left behind. A pool that could never be read has
        // nothing to leave behind.
        kubernetes::add_finalizer(ctx, pool, FINALIZER).await?;
    }
    let mut plan = policy::decide(&valid.policy, &seen, &memory, now);
    if plan.actions.iter().any(|action| matches!(action, policy::Action::Remove { .. })) {
        // So that an operator that is restarted in between finishes what was begun; without it nothing is done.
        publish::remember(ctx, pool, &plan).await?;
    }
    publish::announce_existing(ctx, pool, &plan).await;
    let mut report = match &clouds {
        Some(clouds) => act::act(clouds, &plan, now).await,
        None => Report::default(),
    };
    if let Some(clouds) = &clouds
        && in_control
        && pool.metadata.deletion_timestamp.is_none()
        && cache.is_maintenance_due(now)
    {
        let wanted = maintenance::wanted(pool);
        let kept = maintenance::keep(&clouds.organization, clouds.pool, valid.policy.mode, wanted).await;
        report.changes.extend(kept);
    }
    for deed in &report.deeds {
        if let (policy::Action::Grow { binding, by, .. }, Some(fault)) = (&deed.action, &deed.fault) {
            cache.note_quota(binding, fault, *by);
        }
        plan.memory.record(deed.outcome.clone(), now);
    }
    for failure in report.changes.iter().filter_map(act::Changed::record_failure) {
        plan.memory.record_change_failed(failure.clone(), now);
    }
    for (binding, part) in &plan.bindings {
        ctx.note_limit(&namespace, &binding.0, part.limit.as_ref());
        if valid.policy.mode == policy::Mode::Active {
            let most = valid.policy.max_failed_starts;
            let starts = Starts { failed: part.failed_starts.clone(), most, times: part.start_times };
            ctx.note_starts(&namespace, &binding.0, starts);
        }
    }
    let due = cache.schedule(&plan, not_before, now);
    cache.memory = Some(plan.memory.clone());

    let account = Account {
        pool,
        spec: &valid.policy,
        memory: &memory,
        seen: &seen,
        plan: &plan,
        report: &report,
        now,
    };
    account.keep(ctx);
    history::keep(ctx, pool, &mut cache.history, clouds.as_ref(), &seen, now).await;

    let pool_id = cache.pool_id.latest().map(|id| i64::from(id.0));
    let (condition, automatic) = automatic.map(|view| (view.condition, view.status)).unzip();
    let findings = publish::Findings {
        pool,
        pool_id,
        seen: &seen,
        plan: &plan,
        report: &report,
        further: standby.conditions.into_iter().chain(condition).collect(),
        automatic: automatic.flatten(),
        followed: standby.kept,
        schedule_fault: standby.fault,
        ready: bindings_ready(&valid),
        now,
    };
    if plan.drained && decided {
        return Ok(finalize::release(ctx, pool).await?);
    }
    let waiting = publish::publish(ctx, &findings, &mut cache.status_written_at).await?;
    verbs::finish(ctx, pool, &seen, &plan).await?;
    // What a quota still has room for is asked for at once.
    let fits = |kind| matches!(kind, policy::FailureKind::Quota { fits: Some(1..), .. });
    let again = report.deeds.iter().filter_map(act::Deed::failure).any(|failure| fits(failure.kind));
    let wake = [Some(plan.next_wakeup), Some(due), waiting, again.then_some(now)].into_iter().flatten().min();
    Ok(Action::requeue(until(ctx, now, wake)))
}

/// What the pool's history says, where its schedule asks for automatic standby.
async fn automatic(
    ctx: &Context,
    pool: &AgentPool,
    wanted: Option<&(Automatic, TimeZone)>,
    cache: &mut HistoryCache,
    now: Timestamp,
) -> Option<history::View> {
    history::load(ctx, pool, cache, wanted.is_some(), now).await;
    let most = u32::try_from(pool.spec.max_agents).unwrap_or(0);
    wanted.map(|(automatic, zone)| history::view(cache, automatic, zone, most, now))
}

/// Loads what the status remembers; another object of the same name, or another generation, starts anew.
fn recall(pool: &AgentPool, bindings: &[Arc<ScaleSetBinding>], cache: &mut PoolCache) {
    if cache.uid != pool.uid() {
        *cache = PoolCache { uid: pool.uid(), ..PoolCache::default() };
    }
    let status = pool.status.clone().unwrap_or_default();
    let generation = pool.metadata.generation;
    if cache.memory.is_none() {
        let mut memory = memory::load(&status, generation);
        memory.failed_starts = bindings.iter().filter_map(|binding| memory::failed_starts(binding)).collect();
        memory.start_times = bindings.iter().filter_map(|binding| memory::start_times(binding)).collect();
        cache.memory = Some(memory);
    } else if cache.generation != generation
        && let Some(memory) = &mut cache.memory
    {
        memory.standby_was_met = false;
        // A changed credential or maximum is tried at once.
        memory.backoffs.clear();
        memory.removal_backoffs.clear();
        cache.jobs.due = Timestamp::MIN;
        cache.maintained_at = None;
        memory.sampled_at = None;
    }
    cache.generation = generation;
}

/// What is seen of a pool that may not be looked at.
fn missing(why: &Why) -> Snapshot {
    Snapshot {
        jobs: Seen::Missing { why: why.clone(), last: None },
        agents: Seen::Missing { why: why.clone(), last: None },
        sets: std::collections::BTreeMap::new(),
        operations: std::collections::BTreeMap::new(),
        parallel_jobs: None,
    }
}

fn bindings_ready(valid: &ValidatedPool) -> std::collections::BTreeMap<String, bool> {
    let ready = |binding: &ScaleSetBinding| {
        let conditions = binding.status.iter().flat_map(|status| &status.conditions);
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    valid.bindings.iter().map(|binding| (binding.name_any(), ready(binding))).collect()
}

/// The real time until a moment of the operator's clock, at least a little, so that nothing spins.
fn until(ctx: &Context, now: Timestamp, wake: Option<Timestamp>) -> Duration {
    let wake = wake.unwrap_or_else(|| now.checked_add(jiff::SignedDuration::from_mins(5)).unwrap_or(now));
    ctx.clock.wall_until(ctx.clock.now().min(wake), wake).max(SHORTEST)
}

/// Also at the highest speed of a scaled clock.
const SHORTEST: Duration = Duration::from_millis(20);

/// A count as Kubernetes stores it.
pub(crate) fn count(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
