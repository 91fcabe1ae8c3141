//! What can be said of a binding without asking Azure.

use kube::ResourceExt;
use poolkeeper_api::{AgentPool, ScaleSetBinding, scale_set_binding::AgentBootstrapType};
use poolkeeper_policy::BindingReason;

use super::Fault;
use crate::{context::Context, controllers::agent_pool};

/// More bindings would not fit a pool's status.
const MOST_BINDINGS: usize = 32;

/// The first thing that keeps the binding from serving its pool.
pub(super) fn check(ctx: &Context, binding: &ScaleSetBinding, pool: Option<&AgentPool>) -> Option<Fault> {
    let fault = |reason, message: String| Some(Fault { reason, message });
    let Some(pool) = pool else {
        return fault(
            BindingReason::PoolNotFound,
            format!(
                "AgentPool {} does not exist in this namespace: create it, or mend poolRef",
                binding.spec.pool_ref.name
            ),
        );
    };
    if let Some(other) = older_twin(ctx, binding) {
        return fault(
            BindingReason::ScaleSetInUse,
            format!("ScaleSetBinding {other} already binds this scale set: delete one of the two"),
        );
    }
    if place_among_siblings(ctx, binding, pool) >= MOST_BINDINGS {
        return fault(
            BindingReason::TooManyBindings,
            format!(
                "a pool has at most {MOST_BINDINGS} bindings, by priority and name: delete some, or add a pool"
            ),
        );
    }
    let images = agent_pool::images(&pool.spec).unwrap_or_default();
    if agent_pool::image_of(binding, &images).is_none() {
        let name = binding.spec.image_name.as_deref().unwrap_or_default();
        return fault(
            BindingReason::ImageNotFound,
            format!(
                "AgentPool {} lists no image {name}: add it to images, or mend imageName",
                pool.name_any()
            ),
        );
    }
    match binding.spec.agent_bootstrap.type_ {
        AgentBootstrapType::External => None,
        // Without an agent every VM would fail to start, and cost money until then.
        AgentBootstrapType::Managed => fault(
            BindingReason::BootstrapFailed,
            "this version does not install the agent extension yet: let the image register its agent, and set \
             agentBootstrap.type to External"
                .to_owned(),
        ),
    }
}

/// Another binding of the same scale set that was there first, in any namespace.
fn older_twin(ctx: &Context, binding: &ScaleSetBinding) -> Option<String> {
    let age = |binding: &ScaleSetBinding| {
        (binding.creation_timestamp().map(|time| time.0), binding.uid().unwrap_or_default())
    };
    let (own, own_age) = (&binding.spec.scale_set.resource_id, age(binding));
    let mut oldest: Option<(_, String)> = None;
    ctx.stores.visit_bindings(|other| {
        let same = other.spec.scale_set.resource_id.eq_ignore_ascii_case(own);
        if same && age(other) < own_age {
            let name = format!("{}/{}", other.namespace().unwrap_or_default(), other.name_any());
            let found = (age(other), name);
            oldest = Some(oldest.take().map_or_else(|| found.clone(), |known| known.min(found.clone())));
        }
    });
    oldest.map(|(_, name)| name)
}

fn place_among_siblings(ctx: &Context, binding: &ScaleSetBinding, pool: &AgentPool) -> usize {
    let order = |binding: &ScaleSetBinding| (std::cmp::Reverse(binding.spec.priority), binding.name_any());
    let (own, namespace, pool) = (order(binding), pool.namespace(), pool.name_any());
    let mut before = 0;
    ctx.stores.visit_bindings(|other| {
        let sibling = other.spec.pool_ref.name == pool && other.metadata.namespace == namespace;
        if sibling && order(other) < own {
            before += 1;
        }
    });
    before
}
