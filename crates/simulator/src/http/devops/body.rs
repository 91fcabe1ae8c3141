//! The JSON of Azure DevOps.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Call;
use crate::{
    spec::PoolSpec,
    world::{Agent, JobRequest, Pool, World},
};

/// What a caller wants to see of an agent beside the record itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Includes {
    capabilities: bool,
    assigned: bool,
    last_completed: bool,
}

impl Includes {
    pub(super) fn of(call: &Call) -> Self {
        Self {
            capabilities: call.flag("includecapabilities"),
            assigned: call.flag("includeassignedrequest"),
            last_completed: call.flag("includelastcompletedrequest"),
        }
    }
}

pub(super) fn pools(world: &World, organization: usize, shown: impl Fn(&PoolSpec) -> bool) -> Value {
    let value: Vec<Value> = world
        .organizations()
        .nth(organization)
        .into_iter()
        .flat_map(crate::world::Organization::pools)
        .filter(|found| shown(&found.spec))
        .map(|found| pool(found, world.tally().started))
        .collect();
    json!({"count": value.len(), "value": value})
}

pub(super) fn pool(pool: &Pool, created: Timestamp) -> Value {
    json!({
        "id": pool.spec.id,
        "name": pool.spec.name,
        "scope": guid(1, u64::from(pool.spec.id)),
        "size": pool.agents().count(),
        "isHosted": false,
        "isLegacy": false,
        "poolType": "automation",
        "options": pool.spec.options,
        "autoProvision": false,
        "autoUpdate": true,
        "autoSize": true,
        "createdOn": created,
        "properties": {},
    })
}

/// The pools of an organisation that Azure DevOps sizes itself. Their settings are made up; the scale set is the one
/// whose VMs register there.
pub(super) fn elastic_pools(
    world: &World,
    organization: usize,
    shown: impl Fn(&PoolSpec) -> bool,
) -> impl Iterator<Item = Value> {
    let found = world.organizations().nth(organization);
    let name = found.map_or("", |found| found.spec.name.as_str());
    let pools = found.into_iter().flat_map(crate::world::Organization::pools);
    let elastic = pools.filter(move |pool| {
        let options = pool.spec.options.split(',');
        shown(&pool.spec) && options.map(str::trim).any(|option| option.eq_ignore_ascii_case("elasticPool"))
    });
    elastic.map(move |pool| {
        let set = world.sets().map(|(_, set)| set).find(|set| {
            set.spec.agents.as_ref().is_some_and(|agents| {
                agents.organization.eq_ignore_ascii_case(name)
                    && agents.pool.eq_ignore_ascii_case(&pool.spec.name)
            })
        });
        json!({
            "poolId": pool.spec.id,
            "serviceEndpointId": guid(7, u64::from(pool.spec.id)),
            "serviceEndpointScope": guid(8, 1),
            "azureId": set.map_or("", |set| set.spec.resource_id.as_str()),
            "maxCapacity": set.map_or(1, |set| set.spec.largest()),
            "desiredIdle": 0,
            "recycleAfterEachUse": true,
            "maxSavedNodeCount": 0,
            "osType": set.map_or("linux".to_owned(), |set| set.spec.model.os_type.to_lowercase()),
            "state": "online",
            "offlineSince": null,
            "desiredSize": set.map_or(0, |set| set.capacity),
            "sizingAttempts": 0,
            "agentInteractiveUI": false,
            "timeToLiveMinutes": 30,
            "orchestrationType": set
                .map_or("uniform".to_owned(), |set| format!("{:?}", set.spec.orchestration).to_lowercase()),
        })
    })
}

pub(super) fn agent(pool: &Pool, agent: &Agent, includes: Includes, base: &str, now: Timestamp) -> Value {
    let mut value = reference(agent, pool.spec.id, base);
    value.insert("maxParallelism".into(), json!(1));
    value.insert("createdOn".into(), json!(agent.created_at));
    value.insert("statusChangedOn".into(), json!(agent.status_changed_at));
    value.insert("osDescription".into(), json!("Linux 6.8"));
    if includes.capabilities {
        let system: BTreeMap<&str, &str> = agent.system_capabilities().collect();
        value.insert("systemCapabilities".into(), json!(system));
        value.insert("userCapabilities".into(), json!(agent.user_capabilities));
    }
    if includes.assigned
        && let Some(assigned) = agent.request.and_then(|id| pool.open(id))
    {
        value.insert("assignedRequest".into(), request(pool, assigned, false, now));
    }
    if includes.last_completed
        && let Some(last) = agent.last_completed
    {
        let last = json!({"requestId": last.request, "finishTime": last.at, "result": last.result.name()});
        value.insert("lastCompletedRequest".into(), last);
    }
    Value::Object(value)
}

fn reference(agent: &Agent, pool: u32, base: &str) -> Map<String, Value> {
    let mut value = Map::new();
    let id = agent.id;
    if !base.is_empty() {
        let own = format!("{base}/_apis/distributedtask/pools/{pool}/agents/{id}");
        let web = format!("{base}/_settings/agentpools?view=jobs&poolId={pool}&agentId={id}");
        value.insert("_links".into(), json!({"self": {"href": own}, "web": {"href": web}}));
    }
    value.insert("id".into(), json!(id));
    value.insert("name".into(), json!(agent.name));
    value.insert("version".into(), json!(agent.version));
    value.insert("enabled".into(), json!(agent.enabled));
    value.insert("status".into(), json!(if agent.online { "online" } else { "offline" }));
    value.insert("provisioningState".into(), json!("Provisioned"));
    value
}

pub(super) fn request(pool: &Pool, request: &JobRequest, with_matches: bool, now: Timestamp) -> Value {
    let mut value = Map::new();
    let plan_type = if request.maintenance_of.is_some() { "PoolMaintenance" } else { "Build" };
    let plan = guid(2, request.id);
    let fixed = json!({
        "requestId": request.id,
        "queueTime": request.queued_at,
        "serviceOwner": guid(3, 1),
        "hostId": guid(4, 1),
        "scopeId": guid(5, 1),
        "planType": plan_type,
        "planGroup": format!("{plan_type}:{}", request.id),
        "planId": plan,
        "jobId": guid(6, request.id),
        "jobName": "job",
        "demands": pool.demands(request),
        "definition": {"id": 1, "name": request.definition},
        "owner": {"id": request.id, "name": format!("run {}", request.id)},
        "data": {"ParallelismTag": "Private", "IsScheduledKey": "False"},
        "poolId": pool.spec.id,
        "queueId": pool.spec.id,
        "orchestrationId": format!("{plan}.job.__default"),
        "priority": 0,
        "userDelayed": false,
    });
    if let Value::Object(fixed) = fixed {
        value.extend(fixed);
    }
    let times = [
        ("assignTime", request.assigned_at),
        ("receiveTime", request.received_at),
        ("finishTime", request.finished_at),
        ("lockedUntil", request.finished_at.is_none().then(|| request.locked_until(now)).flatten()),
    ];
    for (name, time) in times {
        if let Some(time) = time {
            value.insert(name.into(), json!(time));
        }
    }
    if let Some(result) = request.result {
        value.insert("result".into(), json!(result.name()));
    }
    if let Some((id, name)) = &request.agent {
        let agent = pool.agent(*id).map(|agent| Value::Object(reference(agent, pool.spec.id, "")));
        value.insert("reservedAgent".into(), agent.unwrap_or_else(|| json!({"id": id, "name": name})));
    }
    if with_matches && request.is_waiting() {
        let all = pool.demands(request).is_empty() && request.maintenance_of.is_none();
        value.insert("matchesAllAgentsInPool".into(), json!(all));
        if !all {
            let matched: Vec<Value> = pool
                .matching_agents(request)
                .filter(|agent| request.maintenance_of.is_none_or(|bound| bound == agent.id))
                .map(|agent| Value::Object(reference(agent, pool.spec.id, "")))
                .collect();
            value.insert("matchedAgents".into(), json!(matched));
        }
    }
    Value::Object(value)
}

/// A made-up GUID, the same each time for the same thing.
fn guid(kind: u64, number: u64) -> String {
    Uuid::from_u64_pair((kind << 32) | 0x4000, (1 << 63) | number).to_string()
}
