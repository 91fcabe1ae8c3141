//! Facts that show in calls and answers alone; the world itself knows of the others.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::{Call, Reply};
use crate::{
    spec::{BadToken, Facts},
    world::{OperationStatus, Provisioning, World},
};

/// Changes a call, or answers it, where a fact is another one than the service has.
pub(super) fn before(world: &World, call: &mut Call) -> Option<Reply> {
    let facts = world.facts();
    if *facts == Facts::default() {
        return None;
    }
    let method = call.method.clone();
    let lower: Vec<String> = call.lower().into_iter().map(str::to_owned).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["subscriptions", rest @ ..] => before_azure(world, facts, call, &method, rest),
        [_, "_apis", "distributedtask", "pools", rest @ ..] => before_devops(facts, call, &method, rest),
        _ => None,
    }
}

fn before_azure(
    world: &World,
    facts: &Facts,
    call: &mut Call,
    method: &Method,
    rest: &[&str],
) -> Option<Reply> {
    if facts.api_version_optional && call.parameter("api-version").is_none() {
        call.set_parameter("api-version", "2025-04-01");
    }
    if facts.path_case_matters && call.segment(0) != "subscriptions" {
        return Some(arm(404, "ResourceNotFound", "The path was not found."));
    }
    if !facts.if_match {
        call.headers.remove("if-match");
    }
    let body: Value = call.json().unwrap_or(Value::Null);
    let capacity = body.pointer("/sku/capacity").is_some() && body.pointer("/sku/name").is_none();
    if *method == Method::PATCH && capacity && !facts.capacity_alone {
        return Some(arm(400, "InvalidParameter", "Required parameter 'sku.name' is missing."));
    }
    if let Some(filter) = call.parameter("$filter") {
        let allowed = if filter.starts_with('\'') { facts.filter_quoted } else { facts.filter_plain };
        if !allowed {
            return Some(arm(400, "BadRequest", "The filter is not valid."));
        }
    }
    if let (&Method::DELETE, [.., "virtualmachines", name]) = (method, rest) {
        let mut going =
            world.sets().filter(|(_, set)| set.is_flexible()).flat_map(|(_, set)| set.instances());
        let another =
            going.any(|vm| vm.provisioning == Provisioning::Deleting && !vm.name.eq_ignore_ascii_case(name));
        if another && !facts.flexible_parallel_deletes {
            return Some(arm(409, "Conflict", "Another VM of the set is being deleted."));
        }
    }
    None
}

fn before_devops(facts: &Facts, call: &mut Call, method: &Method, rest: &[&str]) -> Option<Reply> {
    let in_header = call.header("accept").is_some_and(|accept| accept.contains("api-version"));
    if !facts.version_in_header && in_header && call.parameter("api-version").is_none() {
        let message = "The version must be given in the query.";
        return Some(devops(400, "VssVersionNotSpecifiedException", message));
    }
    match (method, rest) {
        (&Method::GET, []) if !facts.pool_name_filter => call.remove_parameter("poolname"),
        (&Method::GET, [_, "agents", ..]) if !facts.includes_needed => {
            for name in ["includecapabilities", "includeassignedrequest", "includelastcompletedrequest"] {
                call.set_parameter(name, "true");
            }
        }
        (&Method::GET, [_, "jobrequests", ..]) => {
            if facts
                .job_requests_refuse
                .as_deref()
                .is_some_and(|no| call.parameter("api-version") == Some(no))
            {
                let message = "The requested REST API version is out of range for this server.";
                return Some(devops(400, "VssVersionOutOfRangeException", message));
            }
            if !facts.completed_request_count {
                call.remove_parameter("completedrequestcount");
            }
        }
        (&Method::PATCH, [_, "agents", _]) if facts.patch_needs_name => {
            let body: Value = call.json().unwrap_or(Value::Null);
            if body.get("name").is_none() {
                return Some(devops(400, "VssPropertyValidationException", "The name is missing."));
            }
        }
        (&Method::PUT, [_, "agents", _, "usercapabilities"]) if !facts.user_capabilities => {
            return Some(devops(404, "VssResourceNotFoundException", "The resource cannot be found."));
        }
        _ => {}
    }
    None
}

/// Changes an answer where a fact is another one than the service has.
pub(super) fn after(world: &mut World, call: &Call, reply: Reply) -> Reply {
    let facts = world.facts().clone();
    if facts == Facts::default() {
        return reply;
    }
    match call.lower().as_slice() {
        ["subscriptions", rest @ ..] => after_azure(world, &facts, call, rest, reply),
        [organization, "_apis", "distributedtask", "pools", rest @ ..] => {
            after_devops(world, &facts, call, (organization, rest), reply)
        }
        _ => reply,
    }
}

fn after_azure(world: &World, facts: &Facts, call: &Call, rest: &[&str], mut reply: Reply) -> Reply {
    if !facts.budget_headers {
        reply = reply.without_header("x-ms-ratelimit-remaining-resource");
    }
    let status = reply.status.as_u16();
    let known = match rest {
        [.., "operations", id] => id.parse().ok().and_then(|id| world.operation(id)),
        _ => None,
    };
    match (&call.method, rest, status) {
        (_, _, 401) => edit(&mut reply, |body| put(body, "/error/code", &facts.bad_token_code)),
        (_, [.., "virtualmachinescalesets", _], 404) => edit(&mut reply, |body| {
            put(body, "/error/code", &facts.not_found_code);
            if let Some(text) = &facts.not_found_text {
                put(body, "/error/message", text);
            }
        }),
        (&Method::GET, [.., "virtualmachines", _], 404) => answered(&mut reply, facts.unknown_instance),
        (_, [.., "operations", _], 404) => answered(&mut reply, facts.unknown_operation),
        (_, [.., "operations", _], _)
            if !facts.operation_kept
                && known.is_some_and(|known| known.status != OperationStatus::InProgress) =>
        {
            return arm(404, "NotFound", "The operation was not found.");
        }
        (_, [.., "usages"], _) => edit(&mut reply, |body| rename_cores(body, &facts.cores_name)),
        (&Method::GET, [.., "virtualmachines"], 200) => {
            let now = world.now();
            edit(&mut reply, |body| shorten(body, facts, call, now));
        }
        (&Method::GET, [.., "virtualmachinescalesets", _], 200) if !facts.etag => {
            edit(&mut reply, |body| {
                if let Some(body) = body.as_object_mut() {
                    body.remove("etag");
                }
            });
        }
        (&Method::PATCH, [.., "virtualmachinescalesets", _], 200) => answered(&mut reply, facts.patch_status),
        (&Method::POST | &Method::DELETE, _, 202) => answered(&mut reply, facts.action_status),
        (&Method::POST, [.., "delete"], 400) => answered(&mut reply, facts.delete_unknown),
        (&Method::POST, [.., "delete"], 409) | (&Method::DELETE, _, 409)
            if reply.body.contains("marked for deletion") =>
        {
            answered(&mut reply, facts.delete_twice);
        }
        (&Method::POST, [.., "virtualmachines", _, "reimage"], 409) => {
            edit(&mut reply, |body| put(body, "/error/code", &facts.flexible_reimage_code));
        }
        _ => {}
    }
    reply
}

/// Leaves out instances that are too new, and turns the link to the next page.
fn shorten(body: &mut Value, facts: &Facts, call: &Call, now: jiff::Timestamp) {
    if let Some(Value::Array(rows)) = body.get_mut("value") {
        rows.retain(|row| {
            let made = row.pointer("/properties/timeCreated").and_then(Value::as_str);
            let made = made.and_then(|made| made.parse::<jiff::Timestamp>().ok());
            made.is_none_or(|made| now.duration_since(made) >= facts.listed_after)
        });
    }
    if let (Some(host), Some(Value::String(link))) = (&facts.next_link_host, body.get_mut("nextLink")) {
        *link = link.replacen(&call.base, &format!("https://{host}"), 1);
    }
}

fn rename_cores(body: &mut Value, name: &str) {
    let rows = body.get_mut("value").and_then(Value::as_array_mut);
    for value in rows.into_iter().flatten().filter_map(|row| row.pointer_mut("/name/value")) {
        if value.as_str() == Some("cores") {
            *value = json!(name);
        }
    }
}

fn after_devops(
    world: &mut World,
    facts: &Facts,
    call: &Call,
    (organization, rest): (&str, &[&str]),
    mut reply: Reply,
) -> Reply {
    let suppressed = call.header("x-tfs-fedauthredirect").is_some() && facts.suppress_redirect;
    if reply.status == StatusCode::NON_AUTHORITATIVE_INFORMATION {
        return match facts.bad_token {
            // A redirect is what the header is to prevent.
            BadToken::Page if !facts.suppress_redirect && !suppressed => {
                Reply::empty(StatusCode::FOUND).header("location", format!("{}/_signin", call.base))
            }
            BadToken::Page => reply,
            BadToken::Refusal => devops(401, "UnauthorizedRequestException", "TF400813: not authorized."),
            BadToken::EmptyList => Reply::json(StatusCode::OK, &json!({"count": 0, "value": []})),
        };
    }
    match (&call.method, rest, reply.status.as_u16()) {
        (&Method::GET, [], 200) if facts.pool_name_case_matters => {
            exactly(&mut reply, call.parameter("poolname"));
        }
        (&Method::GET, [_, "agents"], 200) if facts.agent_name_case_matters => {
            exactly(&mut reply, call.parameter("agentname"));
        }
        (&Method::GET, [_, "agents", _], 404) => {
            edit(&mut reply, |body| put(body, "/typeKey", &facts.agent_not_found_key));
        }
        (&Method::DELETE, [_, "agents", _], 404) => answered(&mut reply, facts.delete_unknown_agent),
        (&Method::DELETE, [_, "agents", _], 204) => answered(&mut reply, facts.delete_agent),
        (&Method::POST, [_, "agents"], 409) => {
            edit(&mut reply, |body| put(body, "/typeKey", &facts.agent_exists_key));
        }
        (&Method::POST, [pool, "agents"], 200) if !facts.added_agent_enabled => {
            let body: Value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
            let id = body.get("id").and_then(Value::as_u64);
            if let (Some(pool), Some(id)) = (world.find_pool(organization, pool), id)
                && world.set_agent_enabled(pool, id, false).is_ok()
            {
                edit(&mut reply, |body| {
                    if let Some(enabled) = body.get_mut("enabled") {
                        *enabled = json!(false);
                    }
                });
            }
        }
        _ => {}
    }
    reply
}

/// Keeps the rows of that very name.
fn exactly(reply: &mut Reply, name: Option<&str>) {
    let Some(name) = name else { return };
    edit(reply, |body| {
        let Some(Value::Array(rows)) = body.get_mut("value") else { return };
        rows.retain(|row| row.get("name").and_then(Value::as_str) == Some(name));
        let count = rows.len();
        if let Some(field) = body.get_mut("count") {
            *field = json!(count);
        }
    });
}

fn edit(reply: &mut Reply, change: impl FnOnce(&mut Value)) {
    if let Ok(mut body) = serde_json::from_str::<Value>(&reply.body) {
        change(&mut body);
        reply.body = body.to_string();
    }
}

fn put(body: &mut Value, pointer: &str, text: &str) {
    if let Some(field) = body.pointer_mut(pointer) {
        *field = json!(text);
    }
}

/// The same answer under another status.
fn answered(reply: &mut Reply, status: u16) {
    reply.status = StatusCode::from_u16(status).unwrap_or(reply.status);
    if reply.status == StatusCode::NO_CONTENT {
        reply.body.clear();
    }
}

fn arm(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({"error": {"code": code, "message": message}});
    Reply::json(StatusCode::from_u16(status).unwrap_or_default(), &body)
}

fn devops(status: u16, key: &str, message: &str) -> Reply {
    let body = json!({"$id": "1", "message": message, "typeKey": key, "errorCode": 0, "eventId": 3000});
    Reply::json(StatusCode::from_u16(status).unwrap_or_default(), &body)
}
