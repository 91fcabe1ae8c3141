//! What the client changes beside agents that run: records of agents, capabilities, maintenance.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;

use poolkeeper_azure_devops::{
    AgentId, Authorization, Maintenance, MaintenanceDays, MaintenanceId, NewAgent, Organization, PoolId,
    Registration,
};
use poolkeeper_rest::{CallLog, Class, Http, Limits, Method, Url};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use stub::{Scripted, Stub};

const POOL: PoolId = PoolId(44);

fn organization(stub: &Stub) -> Organization {
    let url = Url::parse(&format!("{}/fabrikam", stub.url)).unwrap();
    let http = Http::new(Limits::default()).unwrap();
    Organization::new(http, url, Authorization::Pat("p4t".into()), CallLog::default()).unwrap()
}

fn failure(status: u16, key: &str) -> Scripted {
    stub::json(status, json!({"$id": "1", "message": "m", "typeKey": key, "errorCode": 0, "eventId": 3000}))
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn placeholder() -> NewAgent {
    NewAgent {
        name: "poolkeeper-placeholder-ubuntu".into(),
        version: "4.261.0".into(),
        os_description: "placeholder".into(),
        enabled: true,
        system_capabilities: map(&[("docker", "/usr/bin/docker")]),
        user_capabilities: map(&[("ImageOverride", "ubuntu")]),
    }
}

#[tokio::test]
async fn a_record_is_made_without_a_key_and_with_its_capabilities() {
    let made =
        json!({"id": 9, "name": "poolkeeper-placeholder-ubuntu", "enabled": true, "status": "offline"});
    let stub = Stub::with([stub::json(200, made)]).await;
    let registration = organization(&stub).register_agent(POOL, &placeholder()).await.unwrap().value;
    let Registration::Made(agent) = registration else { panic!() };
    assert_eq!((agent.id, agent.enabled), (AgentId(9), true));
    let seen = stub.only();
    assert_eq!(
        (seen.method.clone(), seen.uri.path()),
        (Method::POST, "/fabrikam/_apis/distributedtask/pools/44/agents")
    );
    let body = seen.json();
    assert_eq!((&body["maxParallelism"], &body["enabled"]), (&json!(1), &json!(true)));
    assert_eq!(body["systemCapabilities"], json!({"docker": "/usr/bin/docker"}));
    assert_eq!(body["userCapabilities"], json!({"ImageOverride": "ubuntu"}));
    assert!(body.get("authorization").is_none(), "nobody may sign in as it: {body}");
}

#[rstest]
#[case(failure(409, "TaskAgentExistsException"), None)]
#[case(failure(409, "TaskAgentPoolReferencesDifferException"), Some(Class::Conflict))]
#[case(failure(404, "TaskAgentPoolNotFoundException"), Some(Class::NotFound))]
#[case(failure(403, "AccessDeniedException"), Some(Class::Forbidden))]
#[tokio::test]
async fn a_name_that_is_taken_is_no_error_and_all_else_is(
    #[case] answer: Scripted,
    #[case] class: Option<Class>,
) {
    let stub = Stub::with([answer]).await;
    let registration = organization(&stub).register_agent(POOL, &placeholder()).await;
    match class {
        None => assert_eq!(registration.unwrap().value, Registration::Exists),
        Some(class) => assert_eq!(registration.unwrap_err().class(), class),
    }
}

#[tokio::test]
async fn capabilities_are_written_whole() {
    let agent = json!({"id": 9, "name": "a", "enabled": true, "status": "online"});
    let stub = Stub::with([stub::json(200, agent), failure(404, "TaskAgentNotFoundException")]).await;
    let organization = organization(&stub);
    let capabilities = map(&[("docker", "true")]);
    organization.set_user_capabilities(POOL, AgentId(9), &capabilities).await.unwrap();
    let gone = organization.set_user_capabilities(POOL, AgentId(9), &capabilities).await.unwrap_err();
    assert_eq!(gone.class(), Class::NotFound);
    let seen = stub.seen();
    assert_eq!((seen[0].method.clone(), seen[0].json()), (Method::PUT, json!({"docker": "true"})));
    assert_eq!(seen[0].uri.path(), "/fabrikam/_apis/distributedtask/pools/44/agents/9/usercapabilities");
}

/// As the service answers: enumerations as numbers.
fn definition() -> Value {
    json!({
        "id": 4, "enabled": true, "jobTimeoutInMinutes": 60, "maxConcurrentAgentsPercentage": 25,
        "options": {"workingDirectoryExpirationInDays": 30},
        "retentionPolicy": {"numberOfHistoryRecordsToKeep": 10},
        "scheduleSetting": {"scheduleJobId": "a69f552a-bc2f-4b85-af66-66f7e8657060", "timeZoneId": "UTC",
            "startHours": 1, "startMinutes": 30, "daysToBuild": 127},
        "pool": {"id": 44, "isHosted": false, "poolType": 1, "size": 0, "isLegacy": null, "options": null}})
}

fn maintenance() -> Maintenance {
    Maintenance {
        enabled: true,
        job_timeout_minutes: 60,
        max_concurrent_percent: 25,
        unused_days: 30,
        history_records: 10,
        days: MaintenanceDays::ALL,
        start_hours: 1,
        start_minutes: 30,
        time_zone: "UTC".into(),
    }
}

#[tokio::test]
async fn maintenance_is_read_made_and_changed() {
    let list = json!({"count": 1, "value": [definition()]});
    let none = json!({"count": 0, "value": []});
    let answers = [none, list, definition(), definition()].map(|body| stub::json(200, body));
    let stub = Stub::with(answers).await;
    let organization = organization(&stub);
    assert!(organization.maintenance_definitions(POOL).await.unwrap().value.is_empty());
    let read = organization.maintenance_definitions(POOL).await.unwrap().value;
    let [known] = read.as_slice() else { panic!() };
    assert_eq!((known.id, &known.maintenance), (MaintenanceId(4), &maintenance()));

    let made = organization.create_maintenance_definition(POOL, &maintenance()).await.unwrap().value;
    assert_eq!(&made, known);
    let mut changed = known.clone();
    changed.maintenance.enabled = false;
    organization.update_maintenance_definition(POOL, &changed).await.unwrap();

    let seen = stub.seen();
    let path = "/fabrikam/_apis/distributedtask/pools/44/maintenancedefinitions";
    assert_eq!((seen[0].method.clone(), seen[0].uri.path()), (Method::GET, path));
    assert_eq!(seen[0].query("api-version").as_deref(), Some("7.2-preview.1"));
    let mut sent = definition();
    sent.as_object_mut().unwrap().remove("pool");
    sent["enabled"] = json!(false);
    assert_eq!((seen[3].method.clone(), seen[3].json()), (Method::PUT, sent.clone()));
    assert_eq!(seen[3].uri.path(), format!("{path}/4"));
    sent["enabled"] = json!(true);
    sent.as_object_mut().unwrap().remove("id");
    sent["scheduleSetting"].as_object_mut().unwrap().remove("scheduleJobId");
    assert_eq!((seen[2].method.clone(), seen[2].json()), (Method::POST, sent));
}

#[tokio::test]
async fn maintenance_of_which_little_is_said_is_read_still() {
    let bare =
        json!({"count": 1, "value": [{"id": 4, "enabled": false, "options": null, "scheduleSetting": null}]});
    let stub = Stub::with([stub::json(200, bare)]).await;
    let read = organization(&stub).maintenance_definitions(POOL).await.unwrap().value;
    assert!(!read[0].maintenance.enabled);
    assert_eq!(
        (read[0].maintenance.days, read[0].maintenance.time_zone.as_str()),
        (MaintenanceDays::default(), "")
    );
}
