//! Objects as people and the API server write them.

// clippy.toml allows these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::BTreeMap, fs, path::Path};

use poolkeeper_api::{
    AgentPool, AgentPoolStatus, ScaleSetBinding, ScaleSetBindingStatus, StandbySchedule,
    StandbyScheduleStatus, agent_pool::OperationKind,
};
use rstest::rstest;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn read<T: DeserializeOwned>(path: &Path) -> T {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads an object as its kind, and writes it again.
fn again(object: Value) -> Value {
    fn typed<T: DeserializeOwned + Serialize>(object: Value) -> Value {
        serde_json::to_value(serde_json::from_value::<T>(object).unwrap()).unwrap()
    }
    match object["kind"].as_str().unwrap() {
        "AgentPool" => typed::<AgentPool>(object),
        "StandbySchedule" => typed::<StandbySchedule>(object),
        "ScaleSetBinding" => typed::<ScaleSetBinding>(object),
        kind => panic!("{kind} is not ours"),
    }
}

fn bases() -> BTreeMap<String, Value> {
    read(&repository().join("tests/crd/bases.yaml"))
}

fn schema_of(kind: &str) -> Value {
    let crd = poolkeeper_api::crd::all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].take()
}

/// What the API server does: a missing field becomes its default, and defaults are completed in turn.
fn complete(value: &mut Value, schema: &Value) {
    if let (Some(fields), Some(properties)) = (value.as_object_mut(), schema["properties"].as_object()) {
        for (name, property) in properties {
            if let (false, Some(default)) = (fields.contains_key(name), property.get("default")) {
                fields.insert(name.clone(), default.clone());
            }
            if let Some(field) = fields.get_mut(name) {
                complete(field, property);
            }
        }
    }
    for item in value.as_array_mut().into_iter().flatten() {
        complete(item, &schema["items"]);
    }
}

#[test]
fn a_minimal_pool_gets_the_documented_defaults() {
    let spec = again(bases()["minimal-pool"].clone())["spec"].take();
    let expected = json!({
        "organization": {
            "url": "https://dev.azure.com/fabrikam",
            "credentials": { "type": "WorkloadIdentity" }
        },
        "poolName": "linux-build",
        "mode": "Active",
        "maxAgents": 40,
        "standby": { "agents": 0, "basis": "Idle", "leadTime": "Measured" },
        "routing": { "placeholderAgents": "WhenNeeded" },
        "scaleOut": { "strategy": "Exact" },
        "lifecycle": { "type": "Stateless" },
        "unhealthy": { "startTimeout": "10m", "saveForInvestigation": 0, "maxFailedStarts": 3 },
        "rollout": { "strategy": "FutureVMs" },
        "deletionPolicy": "Drain"
    });
    assert_eq!(spec, expected);
}

#[test]
fn the_members_of_a_pool_get_the_documented_defaults() {
    let mut pool = bases()["minimal-pool"].clone();
    let members = json!({
        "images": [{ "name": "ubuntu-22.04" }],
        "scaleOut": { "strategy": "ElasticPool", "elasticPool": {} },
        "lifecycle": { "type": "Stateful", "stateful": {}, "stateless": {} },
        "rollout": {
            "strategy": "IdleFirst",
            "idleFirst": { "windows": [{ "name": "nights", "start": "20:00", "end": "05:00" }] }
        },
        "maintenance": {}
    });
    pool["spec"].as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let spec = again(pool)["spec"].take();
    let week = json!(["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]);
    assert_eq!(spec["images"], json!([{ "name": "ubuntu-22.04", "aliases": [], "standbyPercent": "*" }]));
    assert_eq!(spec["scaleOut"]["elasticPool"], json!({ "incrementPercent": 10, "stepTimeout": "20m" }));
    assert_eq!(spec["lifecycle"]["stateful"], json!({ "maxAgentLifetime": "168h" }));
    assert_eq!(spec["lifecycle"]["stateless"], json!({ "recycle": "Reimage" }));
    assert_eq!(
        spec["rollout"]["idleFirst"],
        json!({
            "maxUnavailable": "10%",
            "timeZone": "UTC",
            "windows": [{ "name": "nights", "days": week, "start": "20:00", "end": "05:00" }]
        })
    );
    assert_eq!(
        spec["maintenance"],
        json!({
            "policy": "Auto", "days": week, "start": "03:00", "timeZone": "UTC", "jobTimeout": "1h",
            "maxConcurrentPercent": 25, "unusedDays": 30, "historyRecords": 10
        })
    );
}

#[test]
fn a_schedule_gets_the_documented_defaults() {
    let mut schedule = bases()["minimal-schedule"].clone();
    schedule["spec"] = json!({ "automatic": { "predictive": {} } });
    let spec = again(schedule)["spec"].take();
    let expected = json!({
        "timeZone": "UTC",
        "automatic": { "strategy": "Percentile", "preference": "Balanced", "predictive": { "lookAhead": "None" } }
    });
    assert_eq!(spec, expected);
}

#[test]
fn a_minimal_binding_gets_the_documented_defaults() {
    let mut binding = bases()["minimal-binding"].clone();
    binding["spec"]["agentBootstrap"] = json!({ "managed": {} });
    let spec = again(binding.clone())["spec"].take();
    let expected = json!({
        "poolRef": { "name": "linux-build" },
        "scaleSet": binding["spec"]["scaleSet"],
        "credentials": { "type": "WorkloadIdentity" },
        "operatingSystem": "Linux",
        "priority": 0,
        "existingInstances": "Adopt",
        "agentBootstrap": { "type": "Managed", "managed": { "agentVersion": "Latest", "logon": "Service" } },
        "deletionPolicy": "Drain"
    });
    assert_eq!(spec, expected);
}

/// The operator sees the same object, whether the API server or serde filled it in.
#[test]
fn schema_and_types_have_the_same_defaults() {
    for (name, object) in bases() {
        let schema = schema_of(object["kind"].as_str().unwrap());
        let mut completed = object.clone();
        complete(&mut completed, &schema);
        assert_eq!(again(object)["spec"], completed["spec"], "{name}");
    }
}

/// Nothing that a person wrote gets lost, or is written differently.
#[test]
fn full_objects_are_written_as_they_were_read() {
    for (name, object) in bases().into_iter().filter(|(name, _)| name.starts_with("full-")) {
        let written = again(object.clone());
        assert_eq!(written["spec"], object["spec"], "{name}");
    }
}

#[test]
fn every_status_is_written_as_it_was_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/statuses.yaml");
    for (name, object) in read::<BTreeMap<String, Value>>(&path) {
        let written = again(object.clone());
        assert_eq!(written["status"], object["status"], "{name}");
    }
}

#[test]
fn an_empty_status_is_read_and_written() {
    fn check<T: DeserializeOwned + Serialize + Default + PartialEq + std::fmt::Debug>() {
        let status: T = serde_json::from_value(json!({})).unwrap();
        assert_eq!(status, T::default());
        assert_eq!(serde_json::to_value(status).unwrap(), json!({}));
    }
    check::<AgentPoolStatus>();
    check::<StandbyScheduleStatus>();
    check::<ScaleSetBindingStatus>();
}

#[test]
fn a_status_of_another_version_is_read() {
    let status: AgentPoolStatus = serde_json::from_value(json!({
        "phase": "of an older version",
        "agents": { "busy": 2, "hibernated": 1 },
        "decision": { "at": "2026-11-20T10:00:00Z", "limitedBy": "Budget" },
        "operations": [{
            "id": "1", "kind": "Hibernate",
            "startedAt": "2026-11-20T10:00:00Z", "deadline": "2026-11-20T10:10:00Z"
        }],
        "schedule": { "name": "office-hours", "spec": { "manual": { "type": "Lunar" } } }
    }))
    .unwrap();
    assert_eq!(status.agents.unwrap().busy, 2);
    assert_eq!(status.decision.unwrap().limited_by, "Budget");
    assert_eq!(status.operations[0].kind, OperationKind::Unknown);
    assert!(status.schedule.unwrap().typed().is_err());
}

#[test]
fn a_followed_schedule_is_read_as_typed_data() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/statuses.yaml");
    let mut objects: BTreeMap<String, Value> = read(&path);
    let pool: AgentPool = serde_json::from_value(objects.remove("healthy pool").unwrap()).unwrap();
    let schedule = pool.status.unwrap().schedule.unwrap().typed().unwrap();
    assert_eq!(schedule.manual.unwrap().all_week.unwrap().agents, 3);
}

/// The reader's wrapper reports these; they must not be taken for something else.
#[rstest]
#[case("minimal-pool", "/spec/mode", json!("Sleeping"))]
#[case("minimal-pool", "/spec/maxAgents", json!("many"))]
#[case("minimal-pool", "/spec/organization", json!(null))]
#[case("minimal-schedule", "/spec/manual/type", json!("Lunar"))]
#[case("full-schedule", "/spec/exceptions/0/from", json!("2026-02-30"))]
#[case("full-schedule", "/spec/boosts/0/until", json!("tomorrow"))]
#[case("minimal-binding", "/spec/scaleSet", json!({}))]
fn an_object_that_no_longer_fits_fails(#[case] base: &str, #[case] field: &str, #[case] value: Value) {
    let mut object = bases().remove(base).unwrap();
    let (parent, name) = field.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    parent[name] = value;
    let failed = match object["kind"].as_str().unwrap() {
        "AgentPool" => serde_json::from_value::<AgentPool>(object).is_err(),
        "StandbySchedule" => serde_json::from_value::<StandbySchedule>(object).is_err(),
        _ => serde_json::from_value::<ScaleSetBinding>(object).is_err(),
    };
    assert!(failed);
}

#[rstest]
#[case("agent-pool.yaml")]
#[case("scale-set-binding.yaml")]
#[case("standby-schedule.yaml")]
fn the_quickstart_says_nothing_that_is_not_read(#[case] file: &str) {
    let written: Value = read(&repository().join("examples/quickstart").join(file));
    let mut completed = written.clone();
    complete(&mut completed, &schema_of(written["kind"].as_str().unwrap()));
    assert_eq!(again(written)["spec"], completed["spec"]);
}
