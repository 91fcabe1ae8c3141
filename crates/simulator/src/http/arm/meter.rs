//! What every call of a resource goes through: limits of calls, then faults; and what its answer says of the limits.

use axum::http::Method;

use super::{
    Call, Reply,
    refusal::{forbidden, not_found, subscription_throttled, throttled, unavailable},
};
use crate::world::{self, AzureFault, Charge, Door, Empty, SetRef, World};

/// A call, and what it is for.
pub(super) struct Target<'a> {
    pub(super) call: &'a Call,
    pub(super) client: usize,
    pub(super) class: world::Call,
    pub(super) set: Option<SetRef>,
    /// Whose bucket it is taken from: the id of a scale set, an instance, an operation.
    pub(super) resource: String,
}

impl Target<'_> {
    /// Answers the call, unless a limit or a fault is in the way.
    pub(super) fn answer(
        self,
        world: &mut World,
        handle: impl FnOnce(&mut World) -> Result<Reply, Reply>,
    ) -> Reply {
        let Target { call, client, class, set, resource } = self;
        let door = match call.method {
            Method::GET | Method::HEAD => Door::Reads,
            Method::DELETE => Door::Deletes,
            _ => Door::Writes,
        };
        let subscription = call.segment(1);
        let left =
            world.charge(&Charge { call: class, set, resource: &resource, subscription, client, door });
        let name = class.limit().map_or("", |limit| limit.name);
        let reply = match left.wait {
            Some((seconds, Empty::Door)) => subscription_throttled(call, Some(seconds)),
            Some((seconds, Empty::Subscription)) => {
                throttled(&format!("{name}SubscriptionMaximum"), Some(seconds))
            }
            Some((seconds, Empty::Resource)) => throttled(&format!("{name}Resource"), Some(seconds)),
            None => check_faults(world, call, class, set)
                .and_then(|()| handle(world))
                .unwrap_or_else(|refusal| refusal),
        };
        let mut policies = Vec::new();
        if let Some(left) = left.resource {
            policies.push(format!("Microsoft.Compute/{name}Resource;{left}"));
        }
        if let Some(left) = left.subscription {
            policies.push(format!("Microsoft.Compute/{name}SubscriptionMaximum;{left}"));
        }
        let reply = reply.header(door.header(), left.door.to_string());
        if policies.is_empty() {
            return reply;
        }
        reply
            .header("x-ms-ratelimit-remaining-resource", policies.join(","))
            .header("x-ms-request-charge", "1")
    }
}

fn check_faults(world: &World, call: &Call, class: world::Call, set: Option<SetRef>) -> Result<(), Reply> {
    let subscription = call.segment(1);
    let door_shut = world.sets().any(|(set, found)| {
        found.address.subscription.eq_ignore_ascii_case(subscription)
            && world.azure_faults(set).any(|fault| fault == AzureFault::ThrottleSubscription)
    });
    if door_shut {
        return Err(subscription_throttled(call, None));
    }
    let Some(set) = set else { return Ok(()) };
    for fault in world.azure_faults(set) {
        match fault {
            AzureFault::Forbidden => return Err(forbidden(call)),
            // Operations are found by their own id, and lists are empty.
            AzureFault::NotFound
                if !matches!(class, world::Call::OperationGet | world::Call::MachineList) =>
            {
                let kind = format!("{}/{}", call.segment(6), call.segment(7));
                return Err(not_found(call, &kind));
            }
            AzureFault::Throttle => {
                let name = class.limit().map_or("", |limit| limit.name);
                return Err(throttled(&format!("{name}Resource"), None));
            }
            AzureFault::Unavailable => return Err(unavailable()),
            // These show in what the world does.
            AzureFault::NotFound
            | AzureFault::ThrottleSubscription
            | AzureFault::Conflict
            | AzureFault::Quota
            | AzureFault::AllocationFailed
            | AzureFault::ZonalAllocationFailed
            | AzureFault::Overconstrained
            | AzureFault::SkuNotAvailable
            | AzureFault::SubnetFull
            | AzureFault::Preempted
            | AzureFault::NeverEnds
            | AzureFault::ExtensionFails => {}
        }
    }
    Ok(())
}
