//! Quotas: what is changed over the control API.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, find_set, read};
use crate::{
    http::Call,
    world::{ScaleSet, SetRef, World},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewQuota {
    #[serde(rename = "subscriptionID")]
    subscription_id: Option<String>,
    location: Option<String>,
    scale_set: Option<String>,
    cores: Option<u32>,
    vms: Option<u32>,
}

/// A region's quota, or with `scaleSet` that set's own. Without a figure it is lifted.
pub(super) fn set(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let NewQuota { subscription_id, location, scale_set, cores, vms } = read(call)?;
    let of_region = |world: &World| {
        world.sets().map(|(set, _)| set).find(|set| {
            world.set(*set).is_some_and(|set| is_in(set, subscription_id.as_deref(), location.as_deref()))
        })
    };
    let (set, own): (SetRef, bool) = match (&scale_set, of_region(world)) {
        (Some(name), _) => (find_set(world, Some(name))?, true),
        (None, Some(set)) => (set, false),
        (None, None) => return Err(Refusal("no scale set is in that subscription and location".into())),
    };
    let Some(found) = world.set(set) else { return Err(Refusal("no such scale set".into())) };
    let cores = match (cores, vms) {
        (Some(_), Some(_)) => return Err(Refusal("give cores or vms, not both".into())),
        (cores, None) => cores,
        (None, Some(vms)) => Some(vms.saturating_mul(found.cores_per_vm())),
    };
    if own {
        world.set_quota(set, cores);
    } else {
        let (subscription, region) = (found.address.subscription.clone(), found.spec.location.clone());
        world.set_region_quota(&subscription, &region, cores);
    }
    Ok(json!({"cores": cores}))
}

fn is_in(set: &ScaleSet, subscription: Option<&str>, location: Option<&str>) -> bool {
    subscription.is_none_or(|id| set.address.subscription.eq_ignore_ascii_case(id))
        && location.is_none_or(|location| set.spec.location.eq_ignore_ascii_case(location))
}
