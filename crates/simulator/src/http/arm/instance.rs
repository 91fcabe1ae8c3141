//! Instances of scale sets, under the set's own path.

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    body, cut, expands,
    operation::{accepted, with_operation},
    page,
    refusal::{invalid, no_such_call, refusal, refuse},
    scale_set::power_action,
};
use crate::{
    http::{Call, Reply},
    world::{AzureError, Protection, ScaleSet, SetRef, World},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceIds {
    #[serde(default)]
    instance_ids: Option<Vec<String>>,
}

/// The instances that the body names by their ids; none when it names none, and all for `*`.
pub(super) fn ids(world: &World, call: &Call, set: SetRef) -> Result<Option<Vec<u64>>, Reply> {
    if call.body.is_empty() {
        return Ok(None);
    }
    let InstanceIds { instance_ids } = call.json().map_err(|error| invalid(&error))?;
    let Some(ids) = instance_ids.filter(|ids| !ids.is_empty()) else { return Ok(None) };
    let Some(found) = world.set(set) else { return Ok(None) };
    if ids.iter().any(|id| id == "*") {
        return Ok(Some(found.instances().map(|instance| instance.id).collect()));
    }
    let mut numbers: Vec<u64> = ids
        .iter()
        .map(|id| {
            let instance = found.find_instance(id);
            instance
                .map(|instance| instance.id)
                .ok_or_else(|| refusal(&AzureError::UnknownInstance(id.clone())))
        })
        .collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers))
}

pub(super) fn answer(world: &mut World, call: &Call, set: SetRef, rest: &[&str]) -> Result<Reply, Reply> {
    let Some(found) = world.set(set) else { return Err(refusal(&AzureError::NotFound)) };
    let [id, rest @ ..] = rest else {
        return match call.method {
            Method::GET => Ok(list(world, call, found)),
            _ => Err(no_such_call("GET of a scale set's virtualMachines")),
        };
    };
    let Some(instance) = found.find_instance(id) else {
        // A deletion of what is not there has nothing to do.
        if (&call.method, rest) == (&Method::DELETE, &[]) {
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        let message = format!("The entity was not found: instanceId {id}.");
        return Err(refuse(StatusCode::NOT_FOUND, "ResourceNotFound", &message));
    };
    let number = instance.id;
    let ok = |value: &Value| Ok(Reply::json(StatusCode::OK, value));
    let started = match (&call.method, rest) {
        (&Method::GET, []) => return ok(&body::instance(found, instance, expands(call), world.now())),
        (&Method::GET, ["instanceview"]) => {
            return ok(&body::instance_view(found, instance, world.now()));
        }
        (&Method::GET, ["extensions"]) => {
            return ok(&json!({"value": body::extension_views(found, instance)}));
        }
        (&Method::PUT, []) => return protect(world, call, set, number),
        (&Method::DELETE, []) => world.delete_instances(set, &[number]),
        (&Method::POST, ["reimage" | "reimageall"]) => world.reimage_instances(set, Some(&[number])),
        (&Method::POST, ["simulateeviction"]) => return evict(world, set, number),
        (&Method::POST, [action]) => match power_action(action) {
            Some(action) => world.power(set, Some(&[number]), action),
            None => return Err(no_such_call("no such action")),
        },
        _ => {
            return Err(no_such_call(
                "GET, PUT and DELETE of an instance, GET of its instanceView, and POST of reimage, deallocate, start, restart, poweroff and simulateEviction",
            ));
        }
    };
    started.map(|id| accepted(world, call, id)).map_err(|error| refusal(&error))
}

/// Azure takes a Spot VM back, at once: of when it does no documentation says more than "within 30 minutes".
pub(super) fn evict(world: &mut World, set: SetRef, number: u64) -> Result<Reply, Reply> {
    let model = world.set(set).map(|found| &found.spec.model);
    let Some(policy) = model.filter(|model| model.priority == "Spot").map(|model| model.eviction_policy)
    else {
        let message = "Only virtual machines of Spot priority can be evicted.";
        return Err(refuse(StatusCode::CONFLICT, "OperationNotAllowed", message));
    };
    world.evict(set, number, policy).map_err(|error| refusal(&error))?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// The VMs of a Flexible set are found in its resource group, not here.
fn list(world: &World, call: &Call, found: &ScaleSet) -> Reply {
    let after = call.parameter("$skiptoken").and_then(|token| token.parse().ok());
    let rows = found.instances_after(after).filter(|_| !found.is_flexible());
    let (rows, next) = cut(rows.map(|instance| (instance.id, instance)), after, world.paging().instances);
    let expand = expands(call);
    let value: Vec<Value> =
        rows.into_iter().map(|instance| body::instance(found, instance, expand, world.now())).collect();
    page(call, &value, next)
}

#[derive(Deserialize)]
struct PutBody {
    properties: PutProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PutProperties {
    protection_policy: Option<ProtectionPolicy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ProtectionPolicy {
    protect_from_scale_in: bool,
    protect_from_scale_set_actions: bool,
}

fn protect(world: &mut World, call: &Call, set: SetRef, id: u64) -> Result<Reply, Reply> {
    let PutBody { properties } = call.json().map_err(|error| invalid(&error))?;
    let policy = properties.protection_policy.unwrap_or_default();
    let protection =
        Protection { scale_in: policy.protect_from_scale_in, actions: policy.protect_from_scale_set_actions };
    let operation = world.protect(set, id, protection).map_err(|error| refusal(&error))?;
    let written =
        world.set(set).and_then(|found| Some(body::instance(found, found.instance(id)?, false, world.now())));
    let reply = Reply::json(StatusCode::OK, &written.unwrap_or_default());
    Ok(with_operation(world, call, operation, reply))
}
