//! What scale sets stand in: quotas, autoscale settings, networks. A client may be denied each of them.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{body, meter::Target, page, path, refusal::forbidden};
use crate::{
    http::{Call, Reply},
    spec::Denied,
    world::{self, SubnetUsage, World},
};

pub(super) fn usages(world: &mut World, call: &Call, client: usize, location: &str) -> Reply {
    answer(world, call, client, Denied::Usages, |world| {
        Reply::json(StatusCode::OK, &body::usages(world, call.segment(1), location))
    })
}

pub(super) fn autoscale(world: &mut World, call: &Call, client: usize, group: Option<&str>) -> Reply {
    answer(world, call, client, Denied::Autoscale, |world| {
        let value: Vec<Value> = world
            .sets()
            .map(|(_, set)| set)
            .filter(|set| set.spec.autoscale)
            .filter(|set| set.address.subscription.eq_ignore_ascii_case(call.segment(1)))
            .filter(|set| group.is_none_or(|group| set.address.resource_group.eq_ignore_ascii_case(group)))
            .map(|set| {
                let (address, name) = (&set.address, format!("{}-autoscale", set.name()));
                json!({
                    "id": format!(
                        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Insights/autoscaleSettings/{name}",
                        address.subscription, address.resource_group
                    ),
                    "name": name,
                    "type": "Microsoft.Insights/autoscaleSettings",
                    "location": set.spec.location,
                    "properties": {
                        "name": name,
                        "enabled": true,
                        "targetResourceUri": set.spec.resource_id,
                        "profiles": [],
                    },
                })
            })
            .collect();
        page(call, &value, None)
    })
}

pub(super) fn network(world: &mut World, call: &Call, client: usize) -> Reply {
    answer(world, call, client, Denied::Network, |world| {
        let value: Vec<Value> = world
            .subnet_usages(&path(call, 8))
            .into_iter()
            .map(|SubnetUsage { id, used, limit }| {
                json!({
                    "id": id,
                    "currentValue": used,
                    "limit": limit,
                    "unit": "Count",
                    "name": {"value": "SubnetSpace", "localizedValue": "Subnet size and usage"},
                })
            })
            .collect();
        page(call, &value, None)
    })
}

fn answer(
    world: &mut World,
    call: &Call,
    client: usize,
    denied: Denied,
    make: impl FnOnce(&World) -> Reply,
) -> Reply {
    let class = world::Call::SurroundingsGet;
    let target = Target { call, client, class, set: None, resource: path(call, usize::MAX) };
    target.answer(world, |world| {
        let is_denied = world.clients().get(client).is_some_and(|known| known.denied.contains(&denied));
        if is_denied { Err(forbidden(call)) } else { Ok(make(world)) }
    })
}
