//! The binding's controller: checks and claims a scale set. Sizing it is the pool's controller's business.

mod check;
mod observe;
mod publish;
mod requirements;
mod surroundings;

use jiff::{SignedDuration, Timestamp};
use kube::{ResourceExt, runtime::controller::Action};
use poolkeeper_api::{DeletionPolicy, FINALIZER, ScaleSetBinding};
use poolkeeper_azure::ScaleSet;
use poolkeeper_policy::{BindingReason, Mode};

use self::surroundings::Surroundings;
use super::Error;
use crate::{claim, context::Context, kubernetes, saved};

/// A scale set that is not ours yet, or cannot be read, is looked at this often.
const RETRY: SignedDuration = SignedDuration::from_secs(30);
/// A set that empties is looked at this often.
const DRAIN_LOOK: SignedDuration = SignedDuration::from_secs(20);
/// So often a release is tried before the claim is left to lapse, as Azure DevOps does.
const RELEASE_TRIES: u32 = 3;

/// Why a person must act, in the words of the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: BindingReason,
    pub(crate) message: String,
}

/// What the passes of one binding keep; a restart empties it.
#[derive(Debug, Default)]
pub(crate) struct BindingCache {
    /// The set as this controller has last read it, and when.
    read: Option<(ScaleSet, Timestamp)>,
    /// What lies around the set, and when that was read.
    around: Option<(Surroundings, Timestamp)>,
    /// Why the last read or claim failed.
    failed: Option<Fault>,
    /// When this controller last called Azure.
    tried_at: Option<Timestamp>,
    generation: Option<i64>,
    release_tries: u32,
}

/// Where the claim stands after a pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Ours.
    Claimed { since: Option<Timestamp>, renewed_at: Timestamp },
    /// Somebody else's.
    Foreign { message: String, found: String },
    /// It could not be renewed in time.
    NotRenewed,
    /// Mode `Observe` claims nothing.
    NotWanted,
    /// Nothing is known.
    NotObserved,
}

/// One pass over one binding.
pub(crate) async fn reconcile(binding: &ScaleSetBinding, ctx: &Context) -> Result<Action, Error> {
    let (namespace, name) = (binding.namespace().unwrap_or_default(), binding.name_any());
    let now = ctx.clock.now();
    let cache = ctx.binding_cache(&namespace, &name);
    let mut cache = cache.lock().await;
    ctx.sign_in.begin_pass(&namespace);
    if cache.generation != binding.metadata.generation {
        *cache = BindingCache { generation: binding.metadata.generation, ..BindingCache::default() };
    }
    if binding.metadata.deletion_timestamp.is_some() {
        return leave(ctx, binding, &mut cache, now).await;
    }

    let pool = ctx.stores.pool(&namespace, &binding.spec.pool_ref.name);
    let fault = check::check(ctx, binding, pool.as_deref());
    let mode = pool.as_deref().map_or(Mode::Paused, super::agent_pool::mode);
    let standing = match &fault {
        Some(fault) => {
            // A pool that is gone leaves its bindings without a claim.
            if fault.reason == BindingReason::PoolNotFound {
                release(ctx, binding, &mut cache).await;
            }
            Standing::NotObserved
        }
        None => {
            if mode == Mode::Active {
                kubernetes::add_finalizer(ctx, binding, FINALIZER).await?;
            }
            observe::claim(ctx, binding, pool.as_deref(), mode, &mut cache, now).await
        }
    };
    let fault = fault.or_else(|| cache.failed.clone()).or_else(|| match &standing {
        // Beside the old manager, mode Observe only looks on.
        Standing::Foreign { message, .. } if mode != Mode::Observe => {
            Some(Fault { reason: BindingReason::ScaleSetInUse, message: message.clone() })
        }
        Standing::Foreign { .. }
        | Standing::Claimed { .. }
        | Standing::NotRenewed
        | Standing::NotWanted
        | Standing::NotObserved => None,
    });
    let set = observe::newest(ctx, binding, &cache);
    let findings = publish::Findings {
        binding,
        pool: pool.as_deref(),
        mode,
        set: set.as_ref().map(|(set, _)| set),
        around: cache.around.clone().map(|(around, _)| around).unwrap_or_default(),
        fault,
        unreachable: cache.failed.clone(),
        standing,
        limit: ctx.limit(&namespace, &name),
        starts: ctx.starts(&namespace, &name),
        now,
    };
    publish::publish(ctx, &findings).await?;
    let read_at = set.as_ref().map(|(_, at)| *at);
    Ok(super::wake_at(ctx, now, observe::next_look(&findings.standing, &cache, read_at, now)))
}

/// A deleted binding: drained by its pool, then without claim, then gone.
async fn leave(
    ctx: &Context,
    binding: &ScaleSetBinding,
    cache: &mut BindingCache,
    now: Timestamp,
) -> Result<Action, Error> {
    let namespace = binding.namespace().unwrap_or_default();
    let pool = ctx.stores.pool(&namespace, &binding.spec.pool_ref.name);
    let orphaned = binding.spec.deletion_policy == DeletionPolicy::Orphan
        || pool.as_ref().is_none_or(|pool| {
            // Mode Observe removes nothing, so nothing of it would ever be seen to be empty.
            super::agent_pool::mode(pool) == Mode::Observe
                || (pool.metadata.deletion_timestamp.is_some()
                    && pool.spec.deletion_policy == DeletionPolicy::Orphan)
        });
    // Whoever never held the claim has made nothing, and has nothing to drain.
    let held = binding.status.as_ref().is_some_and(|status| status.claim.is_some())
        || matches!(observe::standing(ctx, binding, cache, now), Standing::Claimed { .. });
    if !orphaned && held && !observe::is_empty(ctx, binding, cache, now).await {
        let findings = publish::Findings {
            binding,
            pool: pool.as_deref(),
            mode: Mode::Active,
            set: cache.read.as_ref().map(|(set, _)| set),
            around: cache.around.clone().map(|(around, _)| around).unwrap_or_default(),
            fault: cache.failed.clone().map(|fault| blocked_drain(binding, &fault)),
            unreachable: cache.failed.clone(),
            standing: observe::standing(ctx, binding, cache, now),
            limit: None,
            starts: None,
            now,
        };
        publish::publish(ctx, &findings).await?;
        return Ok(super::wake_at(ctx, now, later(now, DRAIN_LOOK)));
    }
    if !release(ctx, binding, cache).await && !orphaned && cache.release_tries < RELEASE_TRIES {
        return Ok(super::wake_at(ctx, now, later(now, RETRY)));
    }
    // A claim that could not be released lapses by itself: it never holds a finalizer.
    kubernetes::remove_finalizer(ctx, binding, FINALIZER).await?;
    ctx.forget_binding(&namespace, &binding.name_any());
    Ok(Action::await_change())
}

fn blocked_drain(binding: &ScaleSetBinding, fault: &Fault) -> Fault {
    let name = binding.name_any();
    Fault {
        reason: BindingReason::BlockedDrain,
        message: format!(
            "{}; to delete without draining: kubectl patch scalesetbinding {name} --type=merge -p \
             '{{\"spec\":{{\"deletionPolicy\":\"Orphan\"}}}}'",
            fault.message
        ),
    }
}

/// One try to take our claim off the scale set; true if it is not there.
async fn release(ctx: &Context, binding: &ScaleSetBinding, cache: &mut BindingCache) -> bool {
    if cache.release_tries >= RELEASE_TRIES {
        return false;
    }
    cache.release_tries += 1;
    let Ok((client, id)) = observe::client(ctx, binding).await else { return false };
    let Ok(seen) = client.get(&id).await else { return false };
    let owner = observe::owner(ctx, binding);
    if !claim::is_ours(&seen.value.tags, &owner) {
        cache.release_tries = RELEASE_TRIES;
        return true;
    }
    // Who lets go has drained what was saved too, or leaves it to people.
    let tags = saved::unmarked(&claim::released(&seen.value.tags));
    let done = client.replace_tags(&id, &tags, seen.etag.as_deref()).await;
    if let Err(error) = &done {
        tracing::warn!(binding = binding.name_any(), "the claim was not released: {}", crate::chain(error));
    } else {
        cache.release_tries = RELEASE_TRIES;
    }
    done.is_ok()
}

fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}
