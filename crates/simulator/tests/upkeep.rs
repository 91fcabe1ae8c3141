//! Placeholders and maintenance, and the control calls for what befalls machines, over HTTP.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;

use poolkeeper_azure_devops::{
    Authorization, JobState, Maintenance, MaintenanceDays, NewAgent, Organization, PoolId, Registration,
};
use poolkeeper_rest::{CallLog, Class, Http, Limits, Url};
use poolkeeper_simulator::spec::{Orchestration, Run, UnmatchedJobs};
use reqwest::Method;
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use support::{
    face::{Answer, Face, PAT, POOL, SET},
    round_figures, running,
};

const NUMBER: PoolId = PoolId(44);

fn organization(face: &Face) -> Organization {
    let http = Http::new(Limits::default()).unwrap();
    let url = Url::parse(&format!("{}/fabrikam", face.base)).unwrap();
    let token = Authorization::Pat(SecretString::from(PAT.to_owned()));
    Organization::new(http, url, token, CallLog::default()).unwrap()
}

async fn control(face: &Face, path: &str, body: Value) -> Value {
    let answer = face.control(Method::POST, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body
}

fn placeholder() -> NewAgent {
    NewAgent {
        name: "placeholder".into(),
        version: "4.261.0".into(),
        os_description: "none".into(),
        enabled: true,
        system_capabilities: BTreeMap::new(),
        user_capabilities: BTreeMap::from([("docker".into(), "true".into())]),
    }
}

#[tokio::test]
async fn a_placeholder_is_offline_for_good_and_keeps_jobs_from_being_refused() {
    let mut spec = round_figures();
    spec.organizations[0].pools[0].unmatched_jobs = UnmatchedJobs::Fail;
    let face = Face::new(spec).await;
    let devops = organization(&face);
    face.queue(1, "5m").await;
    assert!(devops.job_requests(NUMBER).await.unwrap().value.is_empty(), "nobody could ever run it");

    let made = devops.register_agent(NUMBER, &placeholder()).await.unwrap().value;
    let Registration::Made(agent) = made else { panic!("{made:?}") };
    let again = NewAgent { name: "PLACEHOLDER".into(), ..placeholder() };
    assert_eq!(devops.register_agent(NUMBER, &again).await.unwrap().value, Registration::Exists);
    face.pass(3600);
    face.queue(1, "5m").await;
    let waiting = devops.job_requests(NUMBER).await.unwrap().value;
    assert_eq!(waiting[0].state(), JobState::Queued);
    assert_eq!(waiting[0].matched_agents.as_ref().unwrap()[0].id, agent.id);

    // Without the capability it is of no use.
    devops.set_user_capabilities(NUMBER, agent.id, &BTreeMap::new()).await.unwrap();
    face.queue(1, "5m").await;
    assert_eq!(devops.job_requests(NUMBER).await.unwrap().value.len(), 1);
    let gone = devops.set_user_capabilities(PoolId(45), agent.id, &BTreeMap::new()).await.unwrap_err();
    assert_eq!(gone.class(), Class::NotFound);
    let off = NewAgent { name: "off".into(), enabled: false, ..placeholder() };
    let Registration::Made(off) = devops.register_agent(NUMBER, &off).await.unwrap().value else { panic!() };
    assert!(!devops.agent(NUMBER, off.id).await.unwrap().value.unwrap().enabled);
}

fn nightly() -> Maintenance {
    Maintenance {
        enabled: true,
        job_timeout_minutes: 60,
        max_concurrent_percent: 25,
        unused_days: 30,
        history_records: 10,
        days: MaintenanceDays::ALL,
        start_hours: 3,
        start_minutes: 30,
        time_zone: "W. Europe Standard Time".into(),
    }
}

#[tokio::test]
async fn maintenance_is_declared_and_declared_otherwise() {
    let face = Face::new(round_figures()).await;
    let devops = organization(&face);
    assert!(devops.maintenance_definitions(NUMBER).await.unwrap().value.is_empty());
    let made = devops.create_maintenance_definition(NUMBER, &nightly()).await.unwrap().value;
    assert_eq!((&made.maintenance, made.schedule_job.is_some()), (&nightly(), true));
    let mut changed = made.clone();
    changed.maintenance.enabled = false;
    assert_eq!(devops.update_maintenance_definition(NUMBER, &changed).await.unwrap().value, changed);
    assert_eq!(devops.maintenance_definitions(NUMBER).await.unwrap().value, [changed.clone()]);

    let one = format!("{POOL}/maintenancedefinitions/{}?api-version=7.2-preview.1", made.id);
    assert_eq!(face.devops_get(&one).await.body["scheduleSetting"]["daysToBuild"], 127);
    let zone = Maintenance { time_zone: "Europe/Berlin".into(), ..nightly() };
    let refused = devops.create_maintenance_definition(NUMBER, &zone).await.unwrap_err();
    assert_eq!(refused.class(), Class::Invalid);
    let deleted = face.devops(Method::DELETE, &one).send().await.unwrap();
    assert_eq!(deleted.status(), 204);
    let gone = devops.update_maintenance_definition(NUMBER, &changed).await.unwrap_err();
    assert_eq!(gone.class(), Class::NotFound);
    let locations =
        face.http.request(Method::OPTIONS, format!("{}/fabrikam/_apis/distributedtask", face.base));
    assert!(locations.send().await.unwrap().text().await.unwrap().contains("maintenancedefinitions"));
}

#[rstest]
#[case(None, 20)]
#[case(Some(25), 5)]
#[case(Some(1), 1)]
#[tokio::test]
async fn maintenance_runs_on_every_agent_and_so_many_at_a_time(
    #[case] percent: Option<u32>,
    #[case] at_once: usize,
) {
    let face = Face::new(running(20, Run::Continuous)).await;
    let devops = organization(&face);
    let run = json!({"organization": "fabrikam", "pool": "linux-build", "minutes": 10, "percent": percent});
    let queued = control(&face, "maintenance", run).await;
    assert_eq!(queued["requests"].as_array().unwrap().len(), at_once);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20_usize.div_ceil(at_once) {
        let open = devops.job_requests(NUMBER).await.unwrap().value;
        assert_eq!(open.len(), at_once);
        assert!(open.iter().all(|job| job.is_maintenance() && job.state() != JobState::Queued));
        seen.extend(open.iter().map(|job| job.reserved_agent.as_ref().unwrap().id));
        face.pass(615);
    }
    assert_eq!(seen.len(), 20, "each agent has had its turn");
    assert!(devops.job_requests(NUMBER).await.unwrap().value.is_empty());
}

async fn instances(face: &Face) -> Value {
    face.get(&format!("{SET}/virtualMachines?$expand=instanceView")).await.body["value"].take()
}

#[tokio::test]
async fn machines_are_taken_restarted_and_touched_by_people() {
    let face = Face::new(running(4, Run::Continuous)).await;
    control(&face, "evict", json!({"scaleSet": "linux-d4", "instance": 3, "policy": "Delete"})).await;
    control(&face, "evict", json!({"instance": "2", "policy": "Deallocate"})).await;
    assert_eq!(control(&face, "reboot", json!({"instance": "linux-d4_1"})).await, json!({"instance": 1}));
    control(&face, "manual", json!({"do": "deallocate", "instance": 0})).await;
    face.pass(30);
    let states: Vec<_> = instances(&face)
        .await
        .as_array()
        .unwrap()
        .iter()
        .map(|vm| vm["properties"]["instanceView"]["statuses"][1]["code"].clone())
        .collect();
    assert_eq!(states, ["PowerState/deallocated", "PowerState/running", "PowerState/deallocated"]);
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 3);
    control(&face, "manual", json!({"do": "start", "instance": 0})).await;
    control(&face, "manual", json!({"do": "delete", "instance": 2})).await;
    face.pass(60);
    control(&face, "manual", json!({"do": "capacity", "capacity": 5})).await;
    face.pass(100);
    let any = control(&face, "evict", json!({})).await;
    assert!(any["instance"].is_u64(), "{any}");
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 5, "the model's own policy: Deallocate");
}

#[rstest]
#[case("evict", json!({"instance": 7}), "no such instance")]
#[case("evict", json!({"instance": "linux-d4_x"}), "no such instance")]
#[case("evict", json!({"policy": "Perhaps"}), "cannot be read")]
#[case("manual", json!({"do": "capacity"}), "needs capacity")]
#[case("manual", json!({"do": "dance"}), "cannot be read")]
#[case("vanish", json!({}), "give one of")]
#[case("vanish", json!({"scaleSet": "no-such"}), "no scale set")]
#[case("image", json!({"startFails": "silent", "of": 0}), "from 1 on")]
#[case("image", json!({"startFails": "loud"}), "cannot be read")]
#[case("maintenance", json!({"pool": "no-such", "minutes": 1}), "no pool")]
#[tokio::test]
async fn what_cannot_befall_is_refused(#[case] path: &str, #[case] body: Value, #[case] said: &str) {
    let face = Face::new(running(1, Run::Continuous)).await;
    let answer = face.control(Method::POST, path, body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["message"].as_str().unwrap().contains(said), "{}", answer.text);
}

#[rstest]
#[case("extension", "Microsoft.VisualStudio.Services.TeamServicesAgentLinux")]
#[case("script", "Microsoft.Azure.Extensions.CustomScript")]
#[tokio::test]
async fn a_bad_image_shows_in_the_view_of_its_instances(#[case] kind: &str, #[case] extension: &str) {
    let face = Face::new(round_figures()).await;
    control(&face, "image", json!({"scaleSet": "linux-d4", "startFails": kind, "of": "every"})).await;
    face.patch(SET, json!({"sku": {"capacity": 1}})).await;
    face.pass(300);
    let view = &instances(&face).await[0]["properties"]["instanceView"];
    assert_eq!(view["statuses"][0]["code"], "ProvisioningState/failed/VMExtensionProvisioningError");
    assert_eq!(view["extensions"][0]["type"], extension);
    let status = &view["extensions"][0]["statuses"][0];
    assert_eq!(status["code"], "ProvisioningState/failed");
    assert!(status["message"].as_str().unwrap().contains("failed to execute command"), "{status}");
    control(&face, "image", json!({"startFails": null})).await;
    face.patch(SET, json!({"sku": {"capacity": 2}})).await;
    face.pass(300);
    assert_eq!(instances(&face).await[1]["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn what_has_vanished_is_not_found() {
    let face = Face::new(running(1, Run::Continuous)).await;
    control(&face, "vanish", json!({"scaleSet": "linux-d4"})).await;
    for path in [SET.to_owned(), format!("{SET}/virtualMachines")] {
        let answer = face.get(&path).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("ResourceNotFound")));
    }
    let devops = organization(&face);
    assert_eq!(devops.agents(NUMBER).await.unwrap().value.len(), 1, "its record is still there");
    control(&face, "vanish", json!({"organization": "fabrikam"})).await;
    assert_eq!(devops.agents(NUMBER).await.unwrap_err().class(), Class::NotFound);
    assert_eq!(devops.pool_by_name("linux-build").await.unwrap_err().class(), Class::NotFound);
    let world = face.control(Method::GET, "world", Value::Null).await;
    assert_eq!(world.body["scaleSets"], json!([]));
}

#[rstest]
#[case("Regular", Orchestration::Uniform, 409)]
#[case("Spot", Orchestration::Uniform, 204)]
#[case("Spot", Orchestration::Flexible, 204)]
#[tokio::test]
async fn azure_simulates_the_eviction_of_spot_vms_alone(
    #[case] priority: &str,
    #[case] orchestration: Orchestration,
    #[case] status: u16,
) {
    let mut spec = running(1, Run::Continuous);
    spec.scale_sets[0].model.priority = priority.into();
    spec.scale_sets[0].orchestration = orchestration;
    let face = Face::new(spec).await;
    let vm = match orchestration {
        Orchestration::Uniform => format!("{SET}/virtualMachines/0"),
        Orchestration::Flexible => {
            let world = face.control(Method::GET, "world", Value::Null).await;
            let name = world.body["scaleSets"][0]["instances"][0]["name"].as_str().unwrap().to_owned();
            format!("{}/virtualMachines/{name}", SET.split_once("/virtualMachineScaleSets").unwrap().0)
        }
    };
    let answer: Answer = face.post(&format!("{vm}/simulateEviction"), json!({})).await;
    assert_eq!(answer.status, status, "{}", answer.text);
    face.pass(60);
    let evicted = face.get(&format!("{vm}/instanceView")).await.body["statuses"][1]["code"].clone();
    assert_eq!(evicted == "PowerState/deallocated", status == 204);
    let policy = &face.get(SET).await.body["properties"]["virtualMachineProfile"]["evictionPolicy"];
    assert_eq!(policy.as_str(), (priority == "Spot").then_some("Deallocate"));
}

#[tokio::test]
async fn the_journal_after_the_last_number_is_empty() {
    let face = Face::new(running(1, Run::Continuous)).await;
    let path = format!("journal?since={}", u64::MAX);
    let answer = face.control(Method::GET, &path, Value::Null).await;
    assert_eq!((answer.status, &answer.body["entries"]), (200, &json!([])));
}
