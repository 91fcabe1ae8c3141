//! Azure Resource Manager: scale sets, instances, operations.

mod body;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, Reply, Site};
use crate::world::{self, AzureError, AzureFault, OperationStatus, ScaleSetChange, SetRef, World};

/// Seconds that clients are asked to wait before they poll an operation, or call again after a 429.
const POLL_AFTER: &str = "10";
const THROTTLED_FOR: &str = "30";

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    let response = checked(site, call).unwrap_or_else(|refusal| refusal);
    let id = Uuid::from_u64_pair(site.world.journal().written(), site.world.now().as_nanosecond() as u64);
    response.header("x-ms-request-id", id.to_string()).header("x-ms-correlation-request-id", id.to_string())
}

fn checked(site: &mut Site, call: &Call) -> Result<Reply, Reply> {
    let Some(client) = site.tokens.client(call) else {
        let message = "The access token is invalid, expired, or was not issued by this directory.";
        let refusal = refuse(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message);
        return Err(refusal.header("www-authenticate", "Bearer"));
    };
    if call.parameter("api-version").is_none() {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(refuse(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message));
    }
    let subscription = call.segment(1);
    let granted = site.world.clients().get(client).is_some_and(|client| {
        client.subscriptions.iter().any(|known| known.eq_ignore_ascii_case(subscription))
    });
    if !granted {
        return Err(forbidden(call));
    }
    let lower = call.lower();
    match lower.as_slice() {
        [
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.compute",
            "virtualmachinescalesets",
            _,
            rest @ ..,
        ] => scale_set(&mut site.world, call, rest),
        ["subscriptions", _, "providers", "microsoft.compute", "locations", _, "operations", id] => {
            operation(&mut site.world, call, id)
        }
        ["subscriptions", _, "providers", "microsoft.compute", "locations", location, "usages"] => {
            site.world.count_call(world::Call::AzureOther);
            Ok(Reply::json(StatusCode::OK, &body::usages(&site.world, subscription, location)))
        }
        _ => {
            Err(refuse(StatusCode::NOT_FOUND, "InvalidResourceType", "The resource type could not be found."))
        }
    }
}

fn scale_set(world: &mut World, call: &Call, rest: &[&str]) -> Result<Reply, Reply> {
    let id = format!("/{}", call.segments.get(..8).unwrap_or_default().join("/"));
    let class = match (&call.method, rest) {
        (&Method::GET, []) => world::Call::ScaleSetGet,
        (&Method::GET, ["virtualmachines"]) => world::Call::InstanceList,
        (&Method::GET, ["virtualmachines", ..]) => world::Call::InstanceGet,
        (&Method::POST, ["delete"]) => world::Call::InstanceDelete,
        (&Method::PATCH, []) | (&Method::POST, ["reimage"]) => world::Call::ScaleSetUpdate,
        _ => world::Call::AzureOther,
    };
    world.count_call(class);
    let Some(set) = world.find_set(&id) else {
        let (group, name) = (call.segment(3), call.segment(7));
        let message = format!(
            "The Resource 'Microsoft.Compute/virtualMachineScaleSets/{name}' under resource group '{group}' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        return Err(refuse(StatusCode::NOT_FOUND, "ResourceNotFound", &message));
    };
    check_faults(world, call, set)?;
    let response = match (&call.method, rest) {
        (&Method::GET, []) => Ok(Reply::json(StatusCode::OK, &body::scale_set(world, set))),
        (&Method::PATCH, []) => patch(world, call, set),
        (&Method::GET, ["virtualmachines"]) => Ok(instances(world, call, set)),
        (&Method::GET, ["virtualmachines", id]) => instance(world, call, set, id),
        (&Method::POST, ["delete"]) => {
            let ids = instance_ids(world, call, set)?.ok_or_else(|| refusal(&AzureError::NoInstances))?;
            let started = world.delete_instances(set, &ids);
            started.map(|id| accepted(world, call, id)).map_err(|error| refusal(&error))
        }
        (&Method::POST, ["reimage"]) => {
            let ids = instance_ids(world, call, set)?;
            let started = world.reimage_instances(set, ids.as_deref());
            started.map(|id| accepted(world, call, id)).map_err(|error| refusal(&error))
        }
        _ => Err(refuse(
            StatusCode::NOT_FOUND,
            "NotFound",
            "The simulator serves GET and PATCH of a scale set, GET of its virtualMachines, and POST delete and reimage.",
        )),
    };
    response.map(|response| with_budget(world, response, class))
}

fn check_faults(world: &World, call: &Call, set: SetRef) -> Result<(), Reply> {
    for fault in world.azure_faults(set) {
        match fault {
            AzureFault::Forbidden => return Err(forbidden(call)),
            AzureFault::Throttle => return Err(throttled()),
            AzureFault::Unavailable => {
                let message = "The service is temporarily unavailable.";
                return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message));
            }
            AzureFault::AllocationFailed | AzureFault::Quota => {}
        }
    }
    Ok(())
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
    let change = ScaleSetChange { capacity, sku, tags, if_match };
    let operation = world.patch_scale_set(set, change).map_err(|error| refusal(&error))?;
    let mut written = body::scale_set(world, set);
    if let Some(state) = written.pointer_mut("/properties/provisioningState") {
        *state = json!("Updating");
    }
    Ok(with_operation(world, call, operation, Reply::json(StatusCode::OK, &written)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstanceIds {
    #[serde(default)]
    instance_ids: Option<Vec<String>>,
}

/// The ids of the body; none when the body names none, and all for `*`.
fn instance_ids(world: &World, call: &Call, set: SetRef) -> Result<Option<Vec<u64>>, Reply> {
    if call.body.is_empty() {
        return Ok(None);
    }
    let InstanceIds { instance_ids } = call.json().map_err(|error| invalid(&error))?;
    let Some(ids) = instance_ids.filter(|ids| !ids.is_empty()) else { return Ok(None) };
    if ids.iter().any(|id| id == "*") {
        return Ok(world.set(set).map(|found| found.instances().map(|instance| instance.id).collect()));
    }
    let mut numbers: Vec<u64> = ids
        .iter()
        .map(|id| {
            id.parse().map_err(|_| {
                let message = format!(
                    "The provided instanceId {id} is not an active Virtual Machine Scale Set VM instanceId."
                );
                refuse(StatusCode::BAD_REQUEST, "InvalidParameter", &message)
            })
        })
        .collect::<Result<_, _>>()?;
    numbers.sort_unstable();
    numbers.dedup();
    Ok(Some(numbers))
}

fn instances(world: &World, call: &Call, set: SetRef) -> Reply {
    let expand = expands(call);
    let after = call.parameter("$skiptoken").and_then(|token| token.parse().ok());
    let size = world.paging().instances;
    let Some(found) = world.set(set) else { return Reply::empty(StatusCode::NOT_FOUND) };
    let mut page: Vec<_> = found.instances_after(after).take(size + 1).collect();
    let next = (page.len() > size).then(|| page.get(size - 1).map(|last| last.id)).flatten();
    page.truncate(size);
    let value: Vec<Value> =
        page.iter().map(|instance| body::instance(found, instance, expand, world.now())).collect();
    let mut list = json!({"value": value});
    if let (Some(next), Some(list)) = (next, list.as_object_mut()) {
        let version = call.parameter("api-version").unwrap_or_default();
        let expand = if expand { "&$expand=instanceView" } else { "" };
        let link = format!(
            "{}{}/virtualMachines?api-version={version}{expand}&$skiptoken={next}",
            call.base, found.spec.resource_id
        );
        list.insert("nextLink".into(), json!(link));
    }
    Reply::json(StatusCode::OK, &list)
}

fn instance(world: &World, call: &Call, set: SetRef, id: &str) -> Result<Reply, Reply> {
    let found = world.set(set);
    let instance = found.and_then(|found| Some((found, found.instance(id.parse().ok()?)?)));
    let Some((found, instance)) = instance else {
        let message = format!("The entity was not found: instanceId {id}.");
        return Err(refuse(StatusCode::NOT_FOUND, "ResourceNotFound", &message));
    };
    Ok(Reply::json(StatusCode::OK, &body::instance(found, instance, expands(call), world.now())))
}

fn expands(call: &Call) -> bool {
    call.parameter("$expand").is_some_and(|expand| expand.eq_ignore_ascii_case("instanceView"))
}

fn operation(world: &mut World, call: &Call, id: &str) -> Result<Reply, Reply> {
    world.count_call(world::Call::OperationGet);
    let found = id.parse().ok().and_then(|id| world.operation(id));
    let Some(found) = found else {
        return Err(refuse(StatusCode::NOT_FOUND, "NotFound", "The operation was not found."));
    };
    check_faults(world, call, found.set)?;
    let response = if !call.flag("monitor") {
        let running = found.status == OperationStatus::InProgress;
        let response = Reply::json(StatusCode::OK, &body::operation(found));
        if running { response.header("retry-after", POLL_AFTER) } else { response }
    } else {
        match found.status {
            OperationStatus::InProgress => {
                let url = format!("{}{}", call.base, body::operation_path(world, found));
                let version = call.parameter("api-version").unwrap_or_default();
                let location = format!("{url}?api-version={version}&monitor=true");
                let response = Reply::empty(StatusCode::ACCEPTED);
                response.header("location", location).header("retry-after", POLL_AFTER)
            }
            OperationStatus::Succeeded => Reply::empty(StatusCode::NO_CONTENT),
            OperationStatus::Failed | OperationStatus::Canceled => {
                Reply::json(StatusCode::CONFLICT, &json!({"error": body::operation_error(found)}))
            }
        }
    };
    Ok(with_budget(world, response, world::Call::OperationGet))
}

fn accepted(world: &World, call: &Call, operation: Uuid) -> Reply {
    with_operation(world, call, operation, Reply::empty(StatusCode::ACCEPTED))
}

/// Both polling headers, as Azure Compute sends them.
fn with_operation(world: &World, call: &Call, operation: Uuid, response: Reply) -> Reply {
    let Some(operation) = world.operation(operation) else { return response };
    let version = call.parameter("api-version").unwrap_or_default();
    let path = body::operation_path(world, operation);
    let url = format!("{}{path}?p={}&api-version={version}", call.base, operation.id);
    response
        .header("azure-asyncoperation", url.as_str())
        .header("location", format!("{url}&monitor=true"))
        .header("retry-after", POLL_AFTER)
}

/// What is left of the scale set's bucket (sizes: Azure's compute throttling limits). Reported, not enforced.
fn with_budget(world: &World, response: Reply, class: world::Call) -> Reply {
    let (name, bucket): (&str, u32) = match class {
        world::Call::ScaleSetGet => ("GetVMScaleSet", 36),
        world::Call::InstanceList => ("HighCostGetVMScaleSet", 30),
        world::Call::InstanceGet => ("GetVMScaleSetVM", 36),
        world::Call::ScaleSetUpdate => ("UpdateVMScaleSet", 12),
        world::Call::InstanceDelete => ("DeleteVMScaleSet", 12),
        world::Call::OperationGet => ("GetOperation", 45),
        world::Call::AzureOther
        | world::Call::Token
        | world::Call::PoolGet
        | world::Call::AgentGet
        | world::Call::RequestGet
        | world::Call::AgentWrite
        | world::Call::DevOpsOther => return response,
    };
    let left = bucket.saturating_sub(world.tally().calls_in_minute(world.now(), class));
    let value = format!("Microsoft.Compute/{name}3Min;{left}");
    response.header("x-ms-ratelimit-remaining-resource", value).header("x-ms-request-charge", "1")
}

fn refusal(error: &AzureError) -> Reply {
    let (status, code) = match error {
        AzureError::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFound"),
        AzureError::PreconditionFailed { .. } => (StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
        AzureError::Conflict => (StatusCode::CONFLICT, "Conflict"),
        AzureError::MarkedForDeletion(_) | AzureError::Quota { .. } => {
            (StatusCode::CONFLICT, "OperationNotAllowed")
        }
        AzureError::UnknownInstance(_) | AzureError::NoInstances | AzureError::TooLarge { .. } => {
            (StatusCode::BAD_REQUEST, "InvalidParameter")
        }
    };
    refuse(status, code, &error.to_string())
}

fn invalid(error: &str) -> Reply {
    let message = format!("The request content was invalid and could not be deserialized: '{error}'.");
    refuse(StatusCode::BAD_REQUEST, "InvalidRequestContent", &message)
}

fn forbidden(call: &Call) -> Reply {
    let message = format!(
        "The client does not have authorization to perform action on '/{}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
        call.segments.join("/")
    );
    refuse(StatusCode::FORBIDDEN, "AuthorizationFailed", &message)
}

fn throttled() -> Reply {
    let body = json!({"error": {
        "code": "OperationNotAllowed",
        "message": "The server rejected the request because too many requests have been received for this subscription.",
        "details": [{"code": "TooManyRequests", "target": "HighCostGet30Min", "message": "{\"operationGroup\":\"HighCostGet30Min\"}"}],
    }});
    Reply::json(StatusCode::TOO_MANY_REQUESTS, &body).header("retry-after", THROTTLED_FOR)
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": code, "message": message}}))
}
