//! Scale sets.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    body, instance,
    meter::Target,
    operation::{accepted, with_operation},
    page, path,
    refusal::{invalid, no_such_call, not_found, refusal},
    tags,
};
use crate::{
    http::{Call, Reply},
    world::{self, PowerAction, ScaleSet, ScaleSetChange, SetRef, World},
};

/// Segments of a scale set's id.
const ID: usize = 8;

pub(super) fn answer(world: &mut World, call: &Call, client: usize, rest: &[&str]) -> Reply {
    let class = match (&call.method, rest) {
        (&Method::GET, ["virtualmachines"] | ["instanceview"]) => world::Call::InstanceList,
        (&Method::GET, ["virtualmachines", ..]) => world::Call::InstanceGet,
        (&Method::GET, ["providers", ..]) => world::Call::SurroundingsGet,
        (&Method::GET, _) => world::Call::ScaleSetGet,
        (_, ["virtualmachines", ..]) => world::Call::InstanceUpdate,
        (_, ["providers", ..]) => world::Call::AzureOther,
        (&Method::POST, ["delete" | "deallocate" | "poweroff"]) => world::Call::InstanceDelete,
        (&Method::PATCH | &Method::POST, _) => world::Call::ScaleSetUpdate,
        _ => world::Call::AzureOther,
    };
    let id = path(call, ID);
    let set = world.find_set(&id);
    let resource = match class {
        world::Call::InstanceGet | world::Call::InstanceUpdate => path(call, ID + 2),
        _ => id,
    };
    Target { call, client, class, set, resource }.answer(world, |world| {
        let Some(set) = set else {
            return Err(not_found(call, &format!("virtualMachineScaleSets/{}", call.segment(7))));
        };
        handle(world, call, set, rest)
    })
}

fn handle(world: &mut World, call: &Call, set: SetRef, rest: &[&str]) -> Result<Reply, Reply> {
    let Some(found) = world.set(set) else { return Err(not_found(call, "virtualMachineScaleSets")) };
    let ok = |value: &Value| Ok(Reply::json(StatusCode::OK, value));
    match (&call.method, rest) {
        (&Method::GET, []) => ok(&body::scale_set(found)),
        (&Method::GET, ["instanceview"]) => ok(&body::set_view(found)),
        (&Method::GET, ["skus"]) => ok(&body::skus(found)),
        (&Method::GET, ["extensions"]) => {
            let all: Vec<Value> =
                found.spec.model.extensions.iter().map(|name| body::extension(name)).collect();
            ok(&json!({"value": all}))
        }
        (&Method::PATCH, []) => patch(world, call, set),
        (&Method::POST, [action]) => post(world, call, set, action),
        (_, ["virtualmachines", rest @ ..]) => instance::answer(world, call, set, rest),
        (_, ["providers", "microsoft.resources", "tags", "default"]) => tags::answer(world, call, set),
        _ => Err(no_such_call(
            "GET and PATCH of a scale set, GET of its virtualMachines, instanceView, skus and extensions, and POST of delete, reimage, deallocate, start, restart, poweroff and manualupgrade",
        )),
    }
}

fn post(world: &mut World, call: &Call, set: SetRef, action: &str) -> Result<Reply, Reply> {
    let ids = instance::ids(world, call, set)?;
    let some = ids.as_deref().unwrap_or_default();
    let started = match (action, power_action(action)) {
        ("delete", _) => world.delete_instances(set, some),
        ("manualupgrade", _) => world.upgrade_instances(set, some),
        // Of a Flexible set only deletions can be batched.
        (_, _) if world.set(set).is_some_and(ScaleSet::is_flexible) => {
            Err(world::AzureError::NotOnFlexible("such action on instances"))
        }
        ("reimage" | "reimageall", _) => world.reimage_instances(set, ids.as_deref()),
        (_, Some(action)) => world.power(set, ids.as_deref(), action),
        (_, None) => return Err(no_such_call("no such action")),
    };
    started.map(|id| accepted(world, call, id)).map_err(|error| refusal(&error))
}

/// The action of that name, in lower case.
pub(super) fn power_action(name: &str) -> Option<PowerAction> {
    let all = [PowerAction::Deallocate, PowerAction::PowerOff, PowerAction::Start, PowerAction::Restart];
    all.into_iter().find(|action| action.name() == name)
}

#[derive(Deserialize)]
struct PatchBody {
    sku: Option<Sku>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
struct Sku {
    name: Option<String>,
    capacity: Option<u32>,
}

fn patch(world: &mut World, call: &Call, set: SetRef) -> Result<Reply, Reply> {
    let PatchBody { sku, tags } = call.json().map_err(|error| invalid(&error))?;
    let (sku, capacity) = sku.map_or((None, None), |sku| (sku.name, sku.capacity));
    let if_match = call.header("if-match").map(str::to_owned);
    // Tags in a PATCH take the place of those that are there.
    let change = ScaleSetChange { capacity, sku, tags, if_match };
    let operation = world.patch_scale_set(set, change).map_err(|error| refusal(&error))?;
    let mut written = world.set(set).map_or(Value::Null, body::scale_set);
    if let Some(state) = written.pointer_mut("/properties/provisioningState") {
        *state = json!("Updating");
    }
    Ok(with_operation(world, call, operation, Reply::json(StatusCode::OK, &written)))
}

/// The scale sets of a subscription, of a resource group in it, or in a region.
pub(super) fn list(
    world: &mut World,
    call: &Call,
    client: usize,
    group: Option<&str>,
    location: Option<&str>,
) -> Reply {
    let class = world::Call::InstanceList;
    let target = Target { call, client, class, set: None, resource: path(call, usize::MAX) };
    target.answer(world, |world| {
        let value: Vec<Value> = world
            .sets()
            .map(|(_, set)| set)
            .filter(|set| set.address.subscription.eq_ignore_ascii_case(call.segment(1)))
            .filter(|set| group.is_none_or(|group| set.address.resource_group.eq_ignore_ascii_case(group)))
            .filter(|set| location.is_none_or(|location| set.spec.location.eq_ignore_ascii_case(location)))
            .map(body::scale_set)
            .collect();
        Ok(page(call, &value, None))
    })
}
