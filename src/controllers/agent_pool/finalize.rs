//! The end of a pool: its finalizer goes when it was seen empty, or when it is to be left as it is.

use kube::{ResourceExt, runtime::controller::Action};
use poolkeeper_api::{AgentPool, DeletionPolicy, FINALIZER};

use crate::{context::Context, kubernetes};

/// Whether the pool is being deleted without looking at any cloud.
pub(super) fn orphans(pool: &AgentPool) -> bool {
    pool.metadata.deletion_timestamp.is_some() && pool.spec.deletion_policy == DeletionPolicy::Orphan
}

/// Lets the object go. Its bindings see that and release their claims.
pub(super) async fn release(ctx: &Context, pool: &AgentPool) -> Result<Action, kube::Error> {
    kubernetes::remove_finalizer(ctx, pool, FINALIZER).await?;
    ctx.forget_pool(&pool.namespace().unwrap_or_default(), &pool.name_any());
    Ok(Action::await_change())
}
