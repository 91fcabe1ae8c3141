//! Azure DevOps: pools, agents, job requests.

mod access;
mod body;
mod discovery;
mod maintenance;
mod usage;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Call, Reply, Site};
use crate::world::{self, DevOpsError, JobRequest, OtherAgent, Pool, PoolRef, World};
use access::Caller;
pub(super) use access::sign_in;
use body::Includes;
pub(super) use usage::Usage;

/// The service caps `$top` here, whatever is asked.
const LARGEST_TOP: usize = 200;
/// Finished requests that a plain list shows.
const RECENT: usize = 50;

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    let lower = call.lower();
    let rest = lower.get(2..).unwrap_or_default();
    site.world.count_call(class(call, rest));
    let Some(organization) = site.world.find_organization(call.segment(0)) else {
        return Reply::html(StatusCode::NOT_FOUND, "<html><body>The resource cannot be found.</body></html>");
    };
    if let Some(fault) = site.world.devops_fault(organization) {
        return access::faulty(fault, call);
    }
    // Clients look around before they sign in, but not with a token that is wrong.
    if call.method == Method::OPTIONS {
        let offered = call.header("authorization");
        let refused = offered.and_then(|_| access::authenticate(site, call, organization).err());
        let locations = || Reply::json(StatusCode::OK, &discovery::locations(rest.first().copied()));
        return refused.unwrap_or_else(locations);
    }
    let caller = match access::authenticate(site, call, organization) {
        Ok(caller) => caller,
        Err(refused) => return refused,
    };
    let limit = site.world.organizations().nth(organization).and_then(|known| known.spec.rate_limit.clone());
    let now = site.world.now();
    let usage = match limit.map(|limit| site.usage.take(&limit, organization, caller.identity, now)) {
        Some(Err(refused)) => return refused,
        Some(Ok(usage)) => usage,
        None => Vec::new(),
    };
    let reply = match rest {
        ["resourceareas"] => Reply::json(StatusCode::OK, &json!({"count": 0, "value": []})),
        ["connectiondata"] => Reply::json(StatusCode::OK, &json!({"locationServiceData": {}})),
        ["distributedtask", "pools", rest @ ..] => pools(&mut site.world, call, &caller, rest),
        ["distributedtask", "elasticpools", rest @ ..] => elastic_pools(&site.world, call, &caller, rest),
        _ => error(StatusCode::NOT_FOUND, "VssResourceNotFoundException", "The resource cannot be found."),
    };
    usage.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
}

fn class(call: &Call, rest: &[&str]) -> world::Call {
    match (&call.method, rest) {
        (&Method::GET, ["distributedtask", "pools"] | ["distributedtask", "pools", _]) => {
            world::Call::PoolGet
        }
        (&Method::GET, ["distributedtask", "pools", _, "agents", ..]) => world::Call::AgentGet,
        (&Method::GET, ["distributedtask", "pools", _, "jobrequests", ..]) => world::Call::RequestGet,
        (_, ["distributedtask", "pools", _, "agents", ..]) => world::Call::AgentWrite,
        _ => world::Call::DevOpsOther,
    }
}

fn pools(world: &mut World, call: &Call, caller: &Caller, rest: &[&str]) -> Reply {
    let Some((id, rest)) = rest.split_first() else {
        return Reply::json(
            StatusCode::OK,
            &body::pools(world, caller.organization, |spec| {
                let named =
                    call.parameter("poolname").is_none_or(|name| spec.name.eq_ignore_ascii_case(name));
                let listed = call
                    .parameter("poolids")
                    .is_none_or(|ids| ids.split(',').any(|id| id.trim().parse() == Ok(spec.id)));
                named && listed && caller.sees(spec.id)
            }),
        );
    };
    let index = id.parse::<u32>().ok().and_then(|id| {
        world.organizations().nth(caller.organization)?.pools().position(|pool| pool.spec.id == id)
    });
    let Some(index) = index else {
        let message = format!("No agent pool found with identifier {id}.");
        return error(StatusCode::NOT_FOUND, "TaskAgentPoolNotFoundException", &message);
    };
    let pool = PoolRef { organization: caller.organization, pool: index };
    let Some(found) = world.pool(pool) else { return Reply::empty(StatusCode::NOT_FOUND) };
    if !caller.sees(found.spec.id) {
        let message = format!("Access denied: View permissions are needed for pool {}.", found.spec.id);
        return error(StatusCode::FORBIDDEN, "AccessDeniedException", &message);
    }
    let base = format!("{}/{}", call.base, call.segment(0));
    let done = match (&call.method, rest) {
        (&Method::GET, []) => Ok(Reply::json(StatusCode::OK, &body::pool(found, world.tally().started))),
        (&Method::GET, ["agents"]) => Ok(agents(found, call, &base, world)),
        (&Method::POST, ["agents"]) => add_agent(world, pool, call, &base),
        (&Method::GET, ["agents", id]) => one_agent(world, pool, call, &base, id),
        (&Method::PATCH, ["agents", id]) => patch_agent(world, pool, call, &base, id),
        (&Method::PUT, ["agents", id, "usercapabilities"]) => put_capabilities(world, pool, call, &base, id),
        (&Method::DELETE, ["agents", id]) => agent_id(world, pool, id)
            .and_then(|id| world.delete_agent(pool, id).map_err(|error| refusal(&error)))
            .map(|()| Reply::empty(StatusCode::NO_CONTENT)),
        (_, ["maintenancedefinitions"]) => maintenance::answer(world, pool, call, None),
        (_, ["maintenancedefinitions", id]) => maintenance::answer(world, pool, call, Some(id)),
        (&Method::GET, ["jobrequests"]) => Ok(requests(found, call, world)),
        (&Method::GET, ["jobrequests", id]) => one_request(world, pool, id),
        _ => {
            Err(error(StatusCode::NOT_FOUND, "VssResourceNotFoundException", "The resource cannot be found."))
        }
    };
    done.unwrap_or_else(|refused| refused)
}

/// The pools that Azure DevOps sizes itself, read only.
fn elastic_pools(world: &World, call: &Call, caller: &Caller, rest: &[&str]) -> Reply {
    let all = || body::elastic_pools(world, caller.organization, |spec| caller.sees(spec.id));
    match (&call.method, rest) {
        (&Method::GET, []) => {
            let value: Vec<Value> = all().collect();
            Reply::json(StatusCode::OK, &json!({"count": value.len(), "value": value}))
        }
        (&Method::GET, [id]) => match all().find(|pool| pool["poolId"].as_u64() == id.parse().ok()) {
            Some(pool) => Reply::json(StatusCode::OK, &pool),
            None => {
                let message = format!("No elastic pool found with identifier {id}.");
                error(StatusCode::NOT_FOUND, "ElasticPoolDoesNotExistException", &message)
            }
        },
        _ => error(StatusCode::NOT_FOUND, "VssResourceNotFoundException", "The resource cannot be found."),
    }
}

fn agents(pool: &Pool, call: &Call, base: &str, world: &World) -> Reply {
    let includes = Includes::of(call);
    let value: Vec<Value> = pool
        .agents()
        .filter(|agent| call.parameter("agentname").is_none_or(|name| agent.name.eq_ignore_ascii_case(name)))
        .map(|agent| body::agent(pool, agent, includes, base, world.now()))
        .collect();
    Reply::json(StatusCode::OK, &json!({"count": value.len(), "value": value}))
}

fn agent_id(world: &World, pool: PoolRef, id: &str) -> Result<u64, Reply> {
    let pool_id = world.pool(pool).map_or(0, |found| found.spec.id);
    id.parse().map_err(|_| refusal(&DevOpsError::AgentNotFound { pool: pool_id, agent: 0 }))
}

fn one_agent(world: &World, pool: PoolRef, call: &Call, base: &str, id: &str) -> Result<Reply, Reply> {
    let id = agent_id(world, pool, id)?;
    let found = world.pool(pool).and_then(|found| Some((found, found.agent(id)?)));
    let Some((found, agent)) = found else {
        let pool = world.pool(pool).map_or(0, |found| found.spec.id);
        return Err(refusal(&DevOpsError::AgentNotFound { pool, agent: id }));
    };
    Ok(Reply::json(StatusCode::OK, &body::agent(found, agent, Includes::of(call), base, world.now())))
}

#[derive(Deserialize)]
struct AgentPatch {
    id: Option<u64>,
    enabled: Option<bool>,
}

fn patch_agent(
    world: &mut World,
    pool: PoolRef,
    call: &Call,
    base: &str,
    written: &str,
) -> Result<Reply, Reply> {
    let id = agent_id(world, pool, written)?;
    let patch: AgentPatch = call.json().map_err(|error| invalid(&error))?;
    if patch.id != Some(id) {
        return Err(invalid("the id of the body must be the agent's"));
    }
    if let Some(enabled) = patch.enabled {
        world.set_agent_enabled(pool, id, enabled).map_err(|error| refusal(&error))?;
    }
    one_agent(world, pool, call, base, written)
}

fn put_capabilities(
    world: &mut World,
    pool: PoolRef,
    call: &Call,
    base: &str,
    written: &str,
) -> Result<Reply, Reply> {
    let id = agent_id(world, pool, written)?;
    let capabilities = call.json().map_err(|error| invalid(&error))?;
    world.set_user_capabilities(pool, id, capabilities).map_err(|error| refusal(&error))?;
    one_agent(world, pool, call, base, written)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAgent {
    name: String,
    #[serde(default)]
    version: String,
    enabled: Option<bool>,
    #[serde(default)]
    system_capabilities: BTreeMap<String, String>,
    #[serde(default)]
    user_capabilities: BTreeMap<String, String>,
}

/// A record without a process: how a placeholder agent comes to be.
fn add_agent(world: &mut World, pool: PoolRef, call: &Call, base: &str) -> Result<Reply, Reply> {
    let NewAgent { name, version, enabled, system_capabilities, user_capabilities } =
        call.json().map_err(|error| invalid(&error))?;
    let other =
        OtherAgent { name, version, capabilities: system_capabilities, user_capabilities, runs: false };
    let id = world.add_agent(pool, other).map_err(|error| refusal(&error))?;
    world.set_agent_enabled(pool, id, enabled.unwrap_or(true)).map_err(|error| refusal(&error))?;
    one_agent(world, pool, call, base, &id.to_string())
}

fn requests(pool: &Pool, call: &Call, world: &World) -> Reply {
    let now = world.now();
    let top = call.parameter("$top").and_then(|top| top.parse::<usize>().ok());
    let before = call.parameter("continuationtoken").and_then(|token| token.parse::<u64>().ok());
    let mut next = None;
    let value: Vec<Value> = if let Some(top) = top {
        // Newest first, finished ones among them, and without the agents that match.
        let top = top.min(LARGEST_TOP);
        let mut all: Vec<&JobRequest> = pool.open_requests().chain(pool.finished_requests()).collect();
        all.sort_unstable_by_key(|request| std::cmp::Reverse(request.id));
        all.retain(|request| before.is_none_or(|before| request.id < before));
        if all.len() > top {
            all.truncate(top);
            next = all.last().map(|request| request.id.to_string());
        }
        all.iter().map(|request| body::request(pool, request, false, now)).collect()
    } else {
        let finished = match call.parameter("completedrequestcount").and_then(|count| count.parse().ok()) {
            Some(count) => count,
            None => RECENT,
        };
        let agent = call.parameter("agentid").and_then(|id| id.parse::<u64>().ok());
        pool.open_requests()
            .chain(pool.finished_requests().rev().take(finished))
            .filter(|request| {
                agent.is_none_or(|agent| request.agent.as_ref().is_some_and(|(id, _)| *id == agent))
            })
            .map(|request| body::request(pool, request, true, now))
            .collect()
    };
    let response = Reply::json(StatusCode::OK, &json!({"count": value.len(), "value": value}));
    match next {
        Some(next) => response.header("x-ms-continuationtoken", next),
        None => response,
    }
}

fn one_request(world: &World, pool: PoolRef, id: &str) -> Result<Reply, Reply> {
    let found = world.pool(pool).and_then(|found| Some((found, found.request(id.parse().ok()?)?)));
    let Some((found, request)) = found else {
        let message = format!("Job request {id} not found.");
        return Err(error(StatusCode::NOT_FOUND, "TaskAgentJobNotFoundException", &message));
    };
    Ok(Reply::json(StatusCode::OK, &body::request(found, request, true, world.now())))
}

fn refusal(refused: &DevOpsError) -> Reply {
    let (status, key) = match refused {
        DevOpsError::AgentNotFound { .. } => (StatusCode::NOT_FOUND, "TaskAgentNotFoundException"),
        DevOpsError::PoolNotFound => (StatusCode::NOT_FOUND, "TaskAgentPoolNotFoundException"),
        DevOpsError::JobStillRunning { .. } => (StatusCode::BAD_REQUEST, "TaskAgentJobStillRunningException"),
        DevOpsError::RequestNotFound(_) => (StatusCode::NOT_FOUND, "TaskAgentJobNotFoundException"),
        DevOpsError::AgentExists { .. } => (StatusCode::CONFLICT, "TaskAgentExistsException"),
    };
    error(status, key, &refused.to_string())
}

fn invalid(problem: &str) -> Reply {
    error(StatusCode::BAD_REQUEST, "VssPropertyValidationException", problem)
}

fn error(status: StatusCode, key: &str, message: &str) -> Reply {
    let body = json!({
        "$id": "1",
        "innerException": null,
        "message": message,
        "typeName": format!("Microsoft.TeamFoundation.DistributedTask.WebApi.{key}, Microsoft.TeamFoundation.DistributedTask.WebApi"),
        "typeKey": key,
        "errorCode": 0,
        "eventId": 3000,
    });
    Reply::json(status, &body)
}
