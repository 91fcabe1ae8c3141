//! Operations on the wire.

use serde_json::{Value, json};

use crate::world::{Operation, World};

pub(in crate::http::arm) fn operation_path(world: &World, operation: &Operation) -> String {
    let (subscription, location) = world
        .set(operation.set)
        .map(|set| (set.address.subscription.as_str(), set.spec.location.as_str()))
        .unwrap_or_default();
    format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/operations/{}",
        operation.id
    )
}

pub(in crate::http::arm) fn operation(operation: &Operation) -> Value {
    let mut value = json!({
        "startTime": operation.started_at,
        "status": operation.status.name(),
        "name": operation.id.to_string(),
    });
    if let Some(value) = value.as_object_mut() {
        if let Some(ended) = operation.ended_at {
            value.insert("endTime".into(), json!(ended));
        }
        if operation.error.is_some() && operation.ended_at.is_some() {
            value.insert("error".into(), operation_error(operation));
        }
    }
    value
}

pub(in crate::http::arm) fn operation_error(operation: &Operation) -> Value {
    operation.error.as_ref().map_or(
        Value::Null,
        |error| json!({"code": error.code, "message": error.message, "target": error.target}),
    )
}
