//! The control API: queue jobs, let things fail, look at the world.

mod event;
mod fault;
mod identity;
mod quota;
mod view;

use std::{collections::BTreeMap, sync::Arc};

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{Call, Reply, Site};
use crate::{
    spec::Distribution,
    world::{JobSpec, OtherAgent, PoolRef, SetRef, World},
};

/// Entries of the journal in one answer.
const JOURNAL_PAGE: usize = 10_000;

/// A refusal in words.
struct Refusal(String);

impl<E: std::fmt::Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

pub(super) fn answer(site: &mut Site, call: &Call, rest: &[&str]) -> Reply {
    let world = &mut site.world;
    let answered = match (&call.method, rest) {
        (&Method::GET, ["world"]) => Ok(view::world(world)),
        (&Method::GET, ["tally"]) => Ok(view::tally(world)),
        (&Method::GET, ["clock"]) => Ok(json!({
            "now": world.now(),
            "nextEvent": world.next_event(),
            "scaled": site.clock.is_scaled(),
        })),
        (&Method::GET, ["journal"]) => {
            let since = call.parameter("since").and_then(|since| since.parse().ok()).unwrap_or(0);
            Ok(view::journal(world, since, JOURNAL_PAGE))
        }
        (&Method::POST, ["jobs"]) => queue_jobs(world, call),
        (&Method::POST, ["cancel"]) => cancel(world, call),
        (&Method::POST, ["faults"]) => fault::set(site, call),
        (&Method::DELETE, ["faults"]) => fault::clear(site, call),
        (&Method::POST, ["tokens"]) => identity::tokens(site, call),
        (&Method::POST, ["secrets"]) => identity::secrets(world, call),
        (&Method::POST, ["quota"]) => quota::set(world, call),
        (&Method::POST, ["agents"]) => agents(world, call),
        (&Method::POST, ["facts"]) => facts(world, call),
        (&Method::POST, ["evict"]) => event::evict(world, call),
        (&Method::POST, ["reboot"]) => event::reboot(world, call),
        (&Method::POST, ["manual"]) => event::manual(world, call),
        (&Method::POST, ["vanish"]) => event::vanish(world, call),
        (&Method::POST, ["image"]) => event::image(world, call),
        (&Method::POST, ["maintenance"]) => event::maintenance(world, call),
        _ => {
            let message = "no such control: GET world, tally, journal, clock; POST jobs, cancel, maintenance, agents, evict, reboot, manual, image, vanish, faults, facts, quota, tokens, secrets; DELETE faults";
            return Reply::json(StatusCode::NOT_FOUND, &json!({"message": message}));
        }
    };
    match answered {
        Ok(value) => Reply::json(StatusCode::OK, &value),
        Err(Refusal(message)) => Reply::json(StatusCode::BAD_REQUEST, &json!({"message": message})),
    }
}

fn read<T: DeserializeOwned>(call: &Call) -> Result<T, Refusal> {
    call.json().map_err(|error| Refusal(format!("the body cannot be read: {error}")))
}

/// How the clouds behave from now on; what is left out is as poolkeeper expects it.
fn facts(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    world.set_facts(read(call)?);
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Jobs {
    organization: Option<String>,
    pool: String,
    #[serde(default)]
    demands: Vec<String>,
    duration: Distribution,
    #[serde(default = "one")]
    count: u32,
    at: Option<Timestamp>,
    definition: Option<String>,
    maintenance_of: Option<String>,
}

fn one() -> u32 {
    1
}

fn queue_jobs(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let jobs: Jobs = read(call)?;
    jobs.duration.check()?;
    let pool = find_pool(world, jobs.organization.as_deref(), &jobs.pool)?;
    let maintenance_of = match &jobs.maintenance_of {
        Some(name) => Some(find_agent(world, pool, name)?),
        None => None,
    };
    let job = JobSpec {
        demands: jobs.demands,
        duration: jobs.duration,
        count: jobs.count,
        definition: Arc::from(jobs.definition.unwrap_or_else(|| "pipeline".into())),
        maintenance_of,
    };
    Ok(json!({"requests": world.queue_jobs(pool, job, jobs.at)?}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    organization: Option<String>,
    pool: String,
    request: u64,
}

fn cancel(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Cancel { organization, pool, request } = read(call)?;
    let pool = find_pool(world, organization.as_deref(), &pool)?;
    world.cancel_job(pool, request)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct AgentCall {
    organization: Option<String>,
    pool: String,
    name: String,
    enabled: Option<bool>,
    #[serde(default = "default_version")]
    version: String,
    #[serde(default)]
    capabilities: BTreeMap<String, String>,
    #[serde(default = "yes")]
    runs: bool,
}

fn default_version() -> String {
    "4.261.0".into()
}

fn yes() -> bool {
    true
}

/// With `enabled` an agent that is there is enabled or disabled; without it one is added that no scale set has.
fn agents(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let AgentCall { organization, pool, name, enabled, version, capabilities, runs } = read(call)?;
    let pool = find_pool(world, organization.as_deref(), &pool)?;
    let id = match enabled {
        Some(enabled) => {
            let id = find_agent(world, pool, &name)?;
            world.set_agent_enabled(pool, id, enabled)?;
            id
        }
        None => {
            let user_capabilities = BTreeMap::new();
            world.add_agent(pool, OtherAgent { name, version, capabilities, user_capabilities, runs })?
        }
    };
    Ok(json!({"id": id}))
}

fn find_organization(world: &World, name: Option<&str>) -> Result<usize, Refusal> {
    match name {
        Some(name) => world.find_organization(name).ok_or_else(|| Refusal(format!("no organization {name}"))),
        None if world.organizations().count() == 1 => Ok(0),
        None => Err(Refusal("organization is needed: the world has more than one".into())),
    }
}

fn find_pool(world: &World, organization: Option<&str>, pool: &str) -> Result<PoolRef, Refusal> {
    let index = find_organization(world, organization)?;
    let name = world.organizations().nth(index).map_or("", |known| known.spec.name.as_str());
    world.find_pool(name, pool).ok_or_else(|| Refusal(format!("no pool {pool} in organization {name}")))
}

fn find_agent(world: &World, pool: PoolRef, name: &str) -> Result<u64, Refusal> {
    let found = world.pool(pool).and_then(|pool| pool.agent_named(name));
    found.map(|agent| agent.id).ok_or_else(|| Refusal(format!("no agent {name} in the pool")))
}

/// By name or resource id; the only one if none is named.
fn find_set(world: &World, name: Option<&str>) -> Result<SetRef, Refusal> {
    let mut all = world.sets();
    let found = match name {
        Some(name) => all.find(|(_, set)| {
            set.name().eq_ignore_ascii_case(name) || set.spec.resource_id.eq_ignore_ascii_case(name)
        }),
        None => all.next().filter(|_| world.sets().count() == 1),
    };
    found.map(|(set, _)| set).ok_or_else(|| match name {
        Some(name) => Refusal(format!("no scale set {name}")),
        None => Refusal("scaleSet is needed: the world has not exactly one".into()),
    })
}
