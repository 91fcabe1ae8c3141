//! Reads the scale set where nobody else has, and keeps the claim.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_azure::{OrchestrationMode, ScaleSet, ScaleSetId, ScaleSets};
use poolkeeper_policy::{BindingReason, Mode};
use poolkeeper_rest::{Class, Error};

use super::{
    BindingCache, DRAIN_LOOK, Fault, RETRY, Standing, later, requirements,
    surroundings::{self, Surroundings},
};
use crate::{
    claim::{self, Claim},
    context::Context,
    controllers::agent_pool::is_gone,
};

/// The pool's controller reads the set once a minute; what it saw is as good as a read of our own.
const FRESH: SignedDuration = SignedDuration::from_mins(2);

/// Who we are in the tags of this binding's scale set.
pub(super) fn owner(ctx: &Context, binding: &ScaleSetBinding) -> String {
    claim::owner(&ctx.cluster, &binding.namespace().unwrap_or_default(), &binding.spec.pool_ref.name)
}

/// The client and the id of the scale set.
pub(super) async fn client(
    ctx: &Context,
    binding: &ScaleSetBinding,
) -> Result<(ScaleSets, ScaleSetId), Fault> {
    let id = binding.spec.scale_set.resource_id.parse().map_err(|error: poolkeeper_azure::IdError| {
        Fault { reason: BindingReason::InvalidSpec, message: format!("spec.scaleSet.resourceID: {error}") }
    })?;
    match ctx.sign_in.scale_sets(&ctx.kube, binding).await {
        Ok(client) => Ok((client, id)),
        Err(error) => Err(Fault { reason: error.binding_reason(), message: crate::chain(&error) }),
    }
}

/// The claim as the newest tags say, without a call.
pub(super) fn standing(
    ctx: &Context,
    binding: &ScaleSetBinding,
    cache: &BindingCache,
    now: Timestamp,
) -> Standing {
    let seen = newest(ctx, binding, cache);
    let Some((set, _)) = seen else { return Standing::NotObserved };
    match claim::judge(&set.tags, &owner(ctx, binding), binding.spec.take_over_from.as_deref(), now) {
        Claim::Ours { since, renewed_at } => Standing::Claimed { since, renewed_at },
        Claim::Foreign { message, found } => Standing::Foreign { message, found },
        Claim::Free => Standing::NotObserved,
    }
}

/// The set as read last, by us or by the pool's controller.
pub(super) fn newest(
    ctx: &Context,
    binding: &ScaleSetBinding,
    cache: &BindingCache,
) -> Option<(ScaleSet, Timestamp)> {
    let theirs = ctx.seen_set(&binding.namespace().unwrap_or_default(), &binding.name_any());
    [theirs, cache.read.clone()].into_iter().flatten().max_by_key(|(_, at)| *at)
}

/// Takes the claim where it is free, renews it when it is time, and says where it stands.
pub(super) async fn claim(
    ctx: &Context,
    binding: &ScaleSetBinding,
    pool: Option<&AgentPool>,
    mode: Mode,
    cache: &mut BindingCache,
    now: Timestamp,
) -> Standing {
    let before = standing(ctx, binding, cache, now);
    let read_at = newest(ctx, binding, cache).map(|(_, at)| at);
    let fresh = read_at.is_some_and(|at| now.duration_since(at) <= FRESH);
    let settled = match (&before, mode) {
        (Standing::Claimed { renewed_at, .. }, Mode::Active) => {
            fresh && now < later(*renewed_at, claim::RENEWAL)
        }
        (_, Mode::Active) => false,
        (_, Mode::Observe | Mode::Paused) => fresh,
    };
    let settled = settled && cache.around.as_ref().is_some_and(|(around, _)| around.is_known());
    if settled && read_at > cache.tried_at {
        // What failed for us has since succeeded for the pool.
        cache.failed = None;
    }
    if settled || cache.tried_at.is_some_and(|tried| now < later(tried, RETRY)) {
        return match (mode, before) {
            (Mode::Observe, Standing::Claimed { .. } | Standing::NotObserved) => Standing::NotWanted,
            (_, before) => before,
        };
    }
    cache.tried_at = Some(now);
    let (client, id) = match client(ctx, binding).await {
        Ok(found) => found,
        Err(fault) => {
            cache.failed = Some(fault);
            return unrenewed(before, now);
        }
    };
    let seen = match client.get(&id).await {
        Ok(seen) => seen,
        // Nothing was asked, so nothing is wrong: the next look asks.
        Err(error) if error.is_kept_back() => return unrenewed(before, now),
        Err(error) => {
            cache.failed = Some(unreadable(&error));
            return unrenewed(before, now);
        }
    };
    cache.failed = None;
    cache.read = Some((seen.value.clone(), now));
    let us = owner(ctx, binding);
    let held = claim::judge(&seen.value.tags, &us, binding.spec.take_over_from.as_deref(), now);
    let mut around = Surroundings::default();
    let alone = requirements::Subject { binding, pool, set: &seen.value, around: &around };
    // Three more calls, for a set that could be used only.
    if !matches!(held, Claim::Foreign { .. }) && requirements::first_fault(alone).is_none() {
        let (read, listed) = surroundings::read(&client, &id, &seen.value).await;
        if let Some(listed) = listed {
            ctx.note_instances(&binding.namespace().unwrap_or_default(), &binding.name_any(), listed, now);
        }
        around = read;
        cache.around = Some((around.clone(), now));
    }
    let subject = requirements::Subject { binding, pool, set: &seen.value, around: &around };
    match (mode, held) {
        (_, Claim::Foreign { message, found }) => Standing::Foreign { message, found },
        (Mode::Observe, Claim::Free | Claim::Ours { .. }) => Standing::NotWanted,
        // Reads only: a claim is neither taken nor renewed.
        (Mode::Paused, Claim::Ours { since, renewed_at }) => Standing::Claimed { since, renewed_at },
        (Mode::Paused, Claim::Free) => Standing::NotObserved,
        (Mode::Active, Claim::Ours { since, renewed_at }) if now < later(renewed_at, claim::RENEWAL) => {
            Standing::Claimed { since, renewed_at }
        }
        // Nothing is written to a set that cannot be used.
        (Mode::Active, Claim::Free | Claim::Ours { .. }) if requirements::first_fault(subject).is_some() => {
            before
        }
        (Mode::Active, Claim::Free | Claim::Ours { .. }) => {
            let tags = claim::claimed(&seen.value.tags, &us, now);
            let since = claim::since(&tags, &us);
            match client.replace_tags(&id, &tags, seen.etag.as_deref()).await {
                Ok(_) => {
                    let claimed = ScaleSet { tags, ..seen.value };
                    ctx.note_set(
                        &binding.namespace().unwrap_or_default(),
                        &binding.name_any(),
                        &claimed,
                        now,
                    );
                    cache.read = Some((claimed, now));
                    cache.release_tries = 0;
                    Standing::Claimed { since, renewed_at: now }
                }
                // Somebody was faster: looked at again.
                Err(error) if error.class() == Class::Precondition || error.is_kept_back() => {
                    unrenewed(before, now)
                }
                Err(error) => {
                    cache.failed = Some(unreadable(&error));
                    unrenewed(before, now)
                }
            }
        }
    }
}

/// When the binding is looked at again, whatever else happens; `read_at` is when the set was read last, by whomever.
pub(super) fn next_look(
    standing: &Standing,
    cache: &BindingCache,
    read_at: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let retry = later(cache.tried_at.unwrap_or(now), RETRY);
    let next = match standing {
        // The pool may have to stop reading it; then somebody has to say why.
        Standing::Claimed { renewed_at, .. } if cache.failed.is_none() => {
            later(*renewed_at, claim::RENEWAL).min(read_at.map_or(retry, |at| later(at, FRESH)))
        }
        Standing::Claimed { .. }
        | Standing::Foreign { .. }
        | Standing::NotRenewed
        | Standing::NotWanted
        | Standing::NotObserved => retry,
    };
    if next > now { next } else { later(now, RETRY) }
}

/// A claim of ours that could not be renewed holds until it has lapsed.
fn unrenewed(before: Standing, now: Timestamp) -> Standing {
    match before {
        Standing::Claimed { renewed_at, .. } if now >= later(renewed_at, claim::RENEWAL + claim::RENEWAL) => {
            Standing::NotRenewed
        }
        other => other,
    }
}

/// Whether the scale set was seen without instances; one that does not exist has none. Asks at most every 20 s, since
/// the pool lists them too.
pub(super) async fn is_empty(
    ctx: &Context,
    binding: &ScaleSetBinding,
    cache: &mut BindingCache,
    now: Timestamp,
) -> bool {
    if cache.tried_at.is_some_and(|tried| now < later(tried, DRAIN_LOOK)) {
        return false;
    }
    cache.tried_at = Some(now);
    let (client, id) = match client(ctx, binding).await {
        Ok(found) => found,
        Err(fault) => {
            cache.failed = Some(fault);
            return false;
        }
    };
    let instances = match newest(ctx, binding, cache).and_then(|(set, _)| set.orchestration_mode) {
        Some(mode) => client.list_instances(&id, &mode).await,
        None => match client.get(&id).await {
            Ok(set) => {
                let mode = set.value.orchestration_mode.clone().unwrap_or(OrchestrationMode::Uniform);
                cache.read = Some((set.value, now));
                client.list_instances(&id, &mode).await
            }
            Err(error) => Err(error),
        },
    };
    match instances {
        Ok(instances) => {
            cache.failed = None;
            instances.value.is_empty()
        }
        Err(error) if is_gone(&error) => true,
        Err(error) if error.is_kept_back() => false,
        Err(error) => {
            cache.failed = Some(unreadable(&error));
            false
        }
    }
}

/// What a failed call to Azure means for the binding, with the mend.
pub(super) fn unreadable(error: &Error) -> Fault {
    let (reason, mend) = match error.class() {
        Class::Unauthenticated => (
            BindingReason::CredentialsRejected,
            "mend tenantID, clientID, or what the Secret holds; the operator's own identity is mended in Azure",
        ),
        Class::Forbidden => (
            BindingReason::PermissionDenied,
            "give its identity the role Virtual Machine Contributor on the scale set",
        ),
        Class::NotFound => {
            (BindingReason::ScaleSetNotFound, "create the scale set, or delete this binding and bind another")
        }
        Class::Throttled => (BindingReason::Throttled, "Azure asks for fewer calls; tried again later"),
        Class::Server | Class::Unreachable => (BindingReason::Unreachable, "tried again"),
        Class::Quota
        | Class::Allocation
        | Class::Conflict
        | Class::Precondition
        | Class::Invalid
        | Class::Unexpected => (BindingReason::UnexpectedAnswer, "tried again"),
    };
    Fault { reason, message: format!("{}: {mend}", crate::chain(error)) }
}
