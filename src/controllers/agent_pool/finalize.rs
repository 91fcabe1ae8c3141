//! The end of a pool: its finalizer goes when it was seen empty, or when it is to be left as it is.

use std::collections::BTreeMap;

use kube::{ResourceExt, runtime::controller::Action};
use poolkeeper_api::{AgentPool, DeletionPolicy, FINALIZER};
use poolkeeper_policy::{Agent, Mode, RecordCause, RecordChange};

use super::{act, convert, observe::Clouds, validate::mode};
use crate::{context::Context, kubernetes};

/// Whether the pool is being deleted without looking at any cloud.
pub(super) fn orphans(pool: &AgentPool) -> bool {
    pool.metadata.deletion_timestamp.is_some() && pool.spec.deletion_policy == DeletionPolicy::Orphan
}

/// One try to take the pool's placeholders away, for which nothing waits: a pool that is orphaned leaves everything else
/// as it is.
pub(super) async fn orphan(ctx: &Context, pool: &AgentPool) -> Result<Action, kube::Error> {
    // Mode Observe has made none: those of this name are another operator's.
    if mode(pool) == Mode::Observe {
        return release(ctx, pool).await;
    }
    if tokio::time::timeout(kubernetes::PATIENCE, forget_placeholders(ctx, pool)).await.is_err() {
        tracing::warn!(pool = pool.name_any(), "its placeholder agents were not deleted in time, and stay");
    }
    release(ctx, pool).await
}

async fn forget_placeholders(ctx: &Context, pool: &AgentPool) {
    // Whatever fails, the placeholders stay: they are offline, and harm nobody.
    let Ok(organization) = ctx.sign_in.organization(&ctx.kube, pool).await else { return };
    let Ok(found) = organization.pool_by_name(&pool.spec.pool_name).await else { return };
    let Some(id) = found.value.map(|found| found.id) else { return };
    let Ok(agents) = organization.agents(id).await else { return };
    let agents: Vec<_> = agents.value.iter().map(convert::agent).collect();
    let name = pool.name_any();
    let is_ours = |agent: &&Agent| {
        let mark = agent.capabilities.get("poolkeeper.placeholder");
        !agent.online && mark.is_some_and(|of| of.eq_ignore_ascii_case(&name))
    };
    let forget = |agent: &Agent| RecordChange::Forget {
        agent: agent.id,
        name: agent.name.clone(),
        cause: RecordCause::Placeholder,
    };
    let changes: Vec<_> = agents.iter().filter(is_ours).map(forget).collect();
    let clouds = Clouds { organization, pool: id, sets: BTreeMap::new() };
    act::forget_records(&clouds, &changes, ctx.clock.now()).await;
}

/// Lets the object go. Its bindings see that and release their claims.
pub(super) async fn release(ctx: &Context, pool: &AgentPool) -> Result<Action, kube::Error> {
    kubernetes::remove_finalizer(ctx, pool, FINALIZER).await?;
    ctx.forget_pool(&pool.namespace().unwrap_or_default(), &pool.name_any());
    Ok(Action::await_change())
}
