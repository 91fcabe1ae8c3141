//! Maintenance definitions of pools.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Call, Reply, error, invalid};
use crate::world::{MaintenanceDefinition, MaintenanceError, PoolRef, World};

pub(super) fn answer(
    world: &mut World,
    pool: PoolRef,
    call: &Call,
    id: Option<&str>,
) -> Result<Reply, Reply> {
    let number = id.map(|id| id.parse::<u32>().map_err(|_| refusal(&MaintenanceError::NotFound(0))));
    let id = number.transpose()?;
    let read = || call.json::<MaintenanceDefinition>().map_err(|error| invalid(&error));
    let written = match (&call.method, id) {
        (&Method::GET, None) => {
            let all = definitions(world, pool);
            let value: Vec<Value> = all.iter().map(|known| body(world, pool, known)).collect();
            return Ok(Reply::json(StatusCode::OK, &json!({"count": value.len(), "value": value})));
        }
        (&Method::GET, Some(id)) => {
            let known = definitions(world, pool).iter().find(|known| known.id == id).cloned();
            known.ok_or(MaintenanceError::NotFound(id))
        }
        (&Method::POST, None) => world.write_maintenance(pool, None, read()?),
        (&Method::PUT, Some(id)) => world.write_maintenance(pool, Some(id), read()?),
        (&Method::DELETE, Some(id)) => {
            world.delete_maintenance(pool, id).map_err(|error| refusal(&error))?;
            return Ok(Reply::empty(StatusCode::NO_CONTENT));
        }
        _ => {
            return Err(error(
                StatusCode::METHOD_NOT_ALLOWED,
                "VssMethodNotAllowedException",
                "No such call.",
            ));
        }
    };
    let written = written.map_err(|error| refusal(&error))?;
    Ok(Reply::json(StatusCode::OK, &body(world, pool, &written)))
}

fn definitions(world: &World, pool: PoolRef) -> &[MaintenanceDefinition] {
    world.pool(pool).map_or(&[], |found| found.maintenance_definitions())
}

/// The definition, with the pool as the service refers to it: its enumerations are numbers here.
fn body(world: &World, pool: PoolRef, definition: &MaintenanceDefinition) -> Value {
    let mut value = json!(definition);
    if let (Some(value), Some(found)) = (value.as_object_mut(), world.pool(pool)) {
        let reference =
            json!({"id": found.spec.id, "isHosted": false, "poolType": 1, "size": 0, "options": null});
        value.insert("pool".into(), reference);
    }
    value
}

fn refusal(refused: &MaintenanceError) -> Reply {
    match refused {
        MaintenanceError::NotFound(_) => error(
            StatusCode::NOT_FOUND,
            "TaskAgentPoolMaintenanceDefinitionNotFoundException",
            &refused.to_string(),
        ),
        MaintenanceError::Invalid(_) => invalid(&refused.to_string()),
    }
}
