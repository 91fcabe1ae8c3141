//! The three kinds: whose passes they have, and whom their changes concern.

use kube::{Resource, ResourceExt, runtime::controller::Action};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};

use super::{
    Error, agent_pool, scale_set_binding, standby_schedule,
    stores::Set,
    watch::{Change, Queue, Queues},
};
use crate::{context::Context, kubernetes::Kind};

/// A kind that the operator manages.
pub(crate) trait Managed: Kind {
    /// Its controller's name in logs and metrics.
    const CONTROLLER: &'static str;

    /// One pass over one object.
    fn pass(&self, ctx: &Context) -> impl Future<Output = Result<Action, Error>> + Send;

    /// Where its passes are asked for.
    fn queue(queues: &Queues) -> &Queue<Self>;

    /// Wakes the objects whose passes read this one.
    fn wake_others(change: &Change<Self>, namespace: &str, set: &Set, queues: &Queues);

    /// An object is gone.
    fn forget(ctx: &Context, namespace: &str, name: &str);
}

impl Managed for AgentPool {
    const CONTROLLER: &'static str = "agent_pool";

    async fn pass(&self, ctx: &Context) -> Result<Action, Error> {
        agent_pool::reconcile(self, ctx).await
    }

    fn queue(queues: &Queues) -> &Queue<Self> {
        &queues.pools
    }

    /// Its bindings read its spec and status; schedules name the pools that refer to them.
    fn wake_others(change: &Change<Self>, namespace: &str, set: &Set, queues: &Queues) {
        if let Some(meta) = change.meta() {
            wake_bindings(set, queues, namespace, meta.name.as_deref().unwrap_or_default());
        }
        if change.is_of_the_spec() {
            queues.schedules.wake_all(&set.schedules, namespace);
        }
        if change.new.is_none() {
            // A pool that waited as DuplicatePool may now take its place, from any namespace.
            for pool in set.pools.state() {
                queues.pools.wake(&pool.namespace().unwrap_or_default(), &pool.name_any());
            }
        }
    }

    fn forget(ctx: &Context, namespace: &str, name: &str) {
        ctx.forget_pool(namespace, name);
    }
}

impl Managed for ScaleSetBinding {
    const CONTROLLER: &'static str = "scale_set_binding";

    async fn pass(&self, ctx: &Context) -> Result<Action, Error> {
        scale_set_binding::reconcile(self, ctx).await
    }

    fn queue(queues: &Queues) -> &Queue<Self> {
        &queues.bindings
    }

    /// Its pool reads it. A binding that nobody can read might be any pool's.
    fn wake_others(change: &Change<Self>, namespace: &str, set: &Set, queues: &Queues) {
        let Some(binding) = change.object() else {
            queues.pools.wake_all(&set.pools, namespace);
            return;
        };
        let pool = &binding.spec.pool_ref.name;
        queues.pools.wake(namespace, pool);
        if change.new.is_none() {
            // One that was TooManyBindings may now take its place.
            wake_bindings(set, queues, namespace, pool);
        }
    }

    fn forget(ctx: &Context, namespace: &str, name: &str) {
        ctx.forget_binding(namespace, name);
    }
}

impl Managed for StandbySchedule {
    const CONTROLLER: &'static str = "standby_schedule";

    async fn pass(&self, ctx: &Context) -> Result<Action, Error> {
        standby_schedule::reconcile(self, ctx).await
    }

    fn queue(queues: &Queues) -> &Queue<Self> {
        &queues.schedules
    }

    /// The pools that follow it read its spec, never its status.
    fn wake_others(change: &Change<Self>, namespace: &str, set: &Set, queues: &Queues) {
        let Some(name) = change.meta().and_then(|meta| meta.name.as_deref()) else { return };
        if !change.is_of_the_spec() {
            return;
        }
        for pool in set.pools.state().iter().filter_map(|pool| pool.0.as_ref().ok()) {
            let follows =
                pool.spec.standby.schedule_ref.as_ref().is_some_and(|schedule| schedule.name == name);
            if follows && pool.namespace().as_deref() == Some(namespace) {
                queues.pools.wake(namespace, &pool.name_any());
            }
        }
    }

    fn forget(_: &Context, _: &str, _: &str) {}
}

fn wake_bindings(set: &Set, queues: &Queues, namespace: &str, pool: &str) {
    for binding in set.bindings.state().iter().filter_map(|binding| binding.0.as_ref().ok()) {
        if binding.spec.pool_ref.name == pool && binding.meta().namespace.as_deref() == Some(namespace) {
            queues.bindings.wake(namespace, &binding.name_any());
        }
    }
}
