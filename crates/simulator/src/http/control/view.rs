//! The world, its journal and its tally as JSON.

use serde_json::{Map, Value, json};

use crate::world::{Agent, Instance, JobRequest, Pool, World};

pub(super) fn world(world: &World) -> Value {
    let sets: Vec<Value> = world
        .sets()
        .map(|(_, set)| {
            json!({
                "resourceID": set.spec.resource_id,
                "name": set.name(),
                "capacity": set.capacity,
                "tags": set.tags,
                "etag": set.etag(),
                "provisioningState": set.provisioning,
                "orchestration": set.spec.orchestration.name(),
                "instances": set.instances().map(instance).collect::<Vec<_>>(),
            })
        })
        .collect();
    let organizations: Vec<Value> = world
        .organizations()
        .map(|organization| {
            let pools: Vec<Value> = organization.pools().map(pool).collect();
            json!({"name": organization.spec.name, "pools": pools})
        })
        .collect();
    json!({"now": world.now(), "scaleSets": sets, "organizations": organizations})
}

fn instance(instance: &Instance) -> Value {
    json!({
        "instanceID": instance.id,
        "name": instance.name,
        "vmID": instance.vm_id.to_string(),
        "computerName": instance.computer_name,
        "provisioningState": instance.provisioning.name(),
        "powerState": instance.power.name(),
        "timeCreated": instance.created_at,
    })
}

fn pool(pool: &Pool) -> Value {
    let agents: Vec<Value> = pool.agents().map(agent).collect();
    let jobs: Vec<Value> = pool.open_requests().map(|request| job(pool, request)).collect();
    let free = pool.agents().filter(|agent| agent.is_free()).count();
    let busy = pool.agents().filter(|agent| agent.request.is_some()).count();
    let waiting = pool.open_requests().filter(|request| request.is_waiting()).count();
    json!({
        "id": pool.spec.id,
        "name": pool.spec.name,
        "agents": agents,
        "jobs": jobs,
        "counts": {"idle": free, "busy": busy, "waiting": waiting},
    })
}

fn agent(agent: &Agent) -> Value {
    json!({
        "id": agent.id,
        "name": agent.name,
        "status": if agent.online { "online" } else { "offline" },
        "enabled": agent.enabled,
        "request": agent.request,
        "createdOn": agent.created_at,
    })
}

fn job(pool: &Pool, request: &JobRequest) -> Value {
    json!({
        "request": request.id,
        "definition": request.definition,
        "demands": pool.demands(request),
        "queueTime": request.queued_at,
        "assignTime": request.assigned_at,
        "receiveTime": request.received_at,
        "agent": request.agent.as_ref().map(|(_, name)| name),
        "killed": request.killed.is_some(),
    })
}

pub(super) fn journal(world: &World, since: u64, page: usize) -> Value {
    let entries: Vec<Value> = world
        .journal()
        .since(since)
        .take(page)
        .map(|entry| {
            let mut value = json!(entry);
            if let Some(value) = value.as_object_mut() {
                value.insert("text".into(), json!(entry.to_string()));
            }
            value
        })
        .collect();
    json!({"written": world.journal().written(), "entries": entries})
}

pub(super) fn tally(world: &World) -> Value {
    let (tally, now) = (world.tally(), world.now());
    let minutes = (now.duration_since(tally.started).as_secs_f64() / 60.0).max(1.0);
    let calls: Map<String, Value> = tally
        .calls()
        .iter()
        .filter_map(|(call, count)| {
            let name = json!(call).as_str()?.to_owned();
            let value = json!({
                "total": count.total,
                "perMinute": (count.total as f64 / minutes * 100.0).round() / 100.0,
                "maxPerMinute": count.max_per_minute,
                "throttled": count.throttled,
                "busiestMinute": tally.busiest(*call),
            });
            Some((name, value))
        })
        .collect();
    json!({
        "started": tally.started,
        "now": now,
        "jobs": {
            "queued": tally.queued,
            "finished": tally.finished,
            "cancelled": tally.cancelled,
            "killed": tally.killed,
            "killedBy": tally.killed_by,
        },
        "waits": tally.waits(),
        "vms": tally.vms,
        "maxVMs": tally.max_vms,
        "vmHours": tally.vm_time_at(now).as_secs_f64() / 3600.0,
        "calls": calls,
    })
}
