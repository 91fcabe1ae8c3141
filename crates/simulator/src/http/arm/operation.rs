//! Long-running operations.

use axum::http::StatusCode;
use serde_json::json;
use uuid::Uuid;

use super::{body, meter::Target, refusal::refuse};
use crate::{
    http::{Call, Reply},
    world::{self, OperationStatus, World},
};

/// Seconds that clients are asked to wait before they poll an operation.
const POLL_AFTER: &str = "10";

pub(super) fn answer(world: &mut World, call: &Call, client: usize, id: &str) -> Reply {
    let id: Option<Uuid> = id.parse().ok();
    let set = id.and_then(|id| world.operation(id)).map(|operation| operation.set);
    let resource = id.map(|id| id.to_string()).unwrap_or_default();
    let class = world::Call::OperationGet;
    Target { call, client, class, set, resource }.answer(world, |world| {
        let Some(found) = id.and_then(|id| world.operation(id)) else {
            return Err(refuse(StatusCode::NOT_FOUND, "NotFound", "The operation was not found."));
        };
        let running = found.status == OperationStatus::InProgress;
        if !call.flag("monitor") {
            let reply = Reply::json(StatusCode::OK, &body::operation(found));
            return Ok(if running { reply.header("retry-after", POLL_AFTER) } else { reply });
        }
        Ok(match found.status {
            OperationStatus::InProgress => {
                let url = format!("{}{}", call.base, body::operation_path(world, found));
                let version = call.parameter("api-version").unwrap_or_default();
                let location = format!("{url}?api-version={version}&monitor=true");
                let reply = Reply::empty(StatusCode::ACCEPTED);
                reply.header("location", location).header("retry-after", POLL_AFTER)
            }
            OperationStatus::Succeeded => Reply::empty(StatusCode::NO_CONTENT),
            OperationStatus::Failed | OperationStatus::Canceled => {
                Reply::json(StatusCode::CONFLICT, &json!({"error": body::operation_error(found)}))
            }
        })
    })
}

pub(super) fn accepted(world: &World, call: &Call, operation: Uuid) -> Reply {
    with_operation(world, call, operation, Reply::empty(StatusCode::ACCEPTED))
}

/// Both polling headers, as Azure Compute sends them.
pub(super) fn with_operation(world: &World, call: &Call, operation: Uuid, response: Reply) -> Reply {
    let Some(operation) = world.operation(operation) else { return response };
    let version = call.parameter("api-version").unwrap_or_default();
    let path = body::operation_path(world, operation);
    let url = format!("{}{path}?p={}&api-version={version}", call.base, operation.id);
    response
        .header("azure-asyncoperation", url.as_str())
        .header("location", format!("{url}&monitor=true"))
        .header("retry-after", POLL_AFTER)
}
