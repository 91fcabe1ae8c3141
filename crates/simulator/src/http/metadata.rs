//! The instance metadata service of a VM: tokens of its managed identities, and a little about itself.

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Call, Reply, Service, Site, entra::Audience, wire::Trouble};
use crate::world;

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    if call.method != Method::GET {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    // Both keep a server that forwards requests of others from being used to steal a token.
    if !call.header("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return refuse("Required metadata header not specified");
    }
    if call.header("x-forwarded-for").is_some() {
        return refuse("Requests with X-Forwarded-For header are not allowed");
    }
    if call.parameter("api-version").is_none() {
        return refuse("Required query variable 'api-version' is missing");
    }
    let now = site.world.now();
    if site.troubles.has(Service::Metadata, &Trouble::Unavailable, now) {
        let said = json!({"error": "unknown", "error_description": "Failed to retrieve token from the Active directory."});
        return Reply::json(StatusCode::SERVICE_UNAVAILABLE, &said);
    }
    if site.troubles.has(Service::Metadata, &Trouble::Throttle, now) {
        let said = json!({"error": "too_many_requests", "error_description": "Too many requests"});
        return Reply::json(StatusCode::TOO_MANY_REQUESTS, &said).header("retry-after", "30");
    }
    match call.lower().as_slice() {
        [_, "identity", "oauth2", "token"] => token(site, call),
        [_, "instance"] => Reply::json(StatusCode::OK, &instance(site)),
        _ => Reply::json(StatusCode::NOT_FOUND, &json!({"error": "Not found"})),
    }
}

fn token(site: &mut Site, call: &Call) -> Reply {
    site.world.count_call(world::Call::Token);
    let Some(resource) = call.parameter("resource") else {
        return refuse("Required query variable 'resource' is missing");
    };
    let world = &site.world;
    let identities = world.managed_identities();
    let identity = match call.parameter("client_id") {
        Some(id) => identities.iter().find(|known| known.eq_ignore_ascii_case(id)),
        None => identities.first(),
    };
    let index = identity
        .and_then(|id| world.clients().iter().position(|client| client.client_id.eq_ignore_ascii_case(id)));
    let Some((index, client)) = index.and_then(|index| Some((index, world.clients().get(index)?))) else {
        return refuse("Identity not found");
    };
    let Some(audience) = Audience::of(resource, call) else {
        let message = format!(
            "AADSTS500011: The resource principal named {resource} was not found in the tenant named {}.",
            client.tenant_id
        );
        let said = json!({"error": "invalid_resource", "error_description": message});
        return Reply::json(StatusCode::BAD_REQUEST, &said);
    };
    let client_id = client.client_id.clone();
    let (lifetime, wall) = (world.token_lifetime(), Timestamp::now());
    let token = site.tokens.issue(index, audience, wall, lifetime);
    let (from, lasts) = (wall.as_second(), i64::from(lifetime));
    Reply::json(
        StatusCode::OK,
        &json!({
            "access_token": token,
            "client_id": client_id,
            "expires_in": lasts.to_string(),
            "expires_on": (from + lasts).to_string(),
            "ext_expires_in": lasts.to_string(),
            "not_before": from.to_string(),
            "resource": resource,
            "token_type": "Bearer",
        }),
    )
}

/// The simulator stands for a VM of the first scale set.
fn instance(site: &Site) -> Value {
    let set = site.world.sets().next();
    let id = set.map_or("", |(_, set)| set.spec.resource_id.as_str());
    let part = |index: usize| id.split('/').nth(index).unwrap_or_default();
    json!({
        "compute": {
            "azEnvironment": "AzurePublicCloud",
            "location": set.map_or("", |(_, set)| set.spec.location.as_str()),
            "name": "operator",
            "osType": "Linux",
            "resourceGroupName": part(4),
            "subscriptionId": part(2),
            "vmId": "00000000-0000-4000-8000-000000000001",
        },
        "network": {"interface": []},
    })
}

fn refuse(message: &str) -> Reply {
    let said = json!({"error": "invalid_request", "error_description": message});
    Reply::json(StatusCode::BAD_REQUEST, &said)
}
