//! The scale set client against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;

use jiff::SignedDuration;
use poolkeeper_azure::{
    API_VERSION, Cloud, Credential, Failure, FailureSource, Fault, InstanceId, InstanceIds, OperationStatus,
    OperationUrl, OrchestrationMode, PowerState, ProvisioningState, ScaleSetId, ScaleSets, Sku, UpgradeMode,
};
use poolkeeper_rest::{CallLog, Class, Http, Limits, Method, Operation, Service};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use stub::{Scripted, Stub, empty, text};

const TOKEN: &str = "t0k3n";
const PATH: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux-d4";

fn id() -> ScaleSetId {
    PATH.parse().unwrap()
}

fn client(arm: &Stub) -> ScaleSets {
    client_and_calls(arm).0
}

fn client_and_calls(arm: &Stub) -> (ScaleSets, CallLog) {
    let cloud = Cloud::custom(&arm.url, &arm.url, "s").unwrap();
    let calls = CallLog::default();
    let http = Http::new(Limits::default()).unwrap();
    (ScaleSets::new(http, &cloud, Arc::new(Credential::fixed(TOKEN.into())), calls.clone()).unwrap(), calls)
}

fn scale_set() -> Value {
    json!({
        "id": PATH, "name": "linux-d4", "location": "westeurope", "etag": "\"7\"", "tags": {"a": "b"},
        "sku": {"name": "Standard_D4ds_v5", "tier": "Standard", "capacity": 4},
        "properties": {
            "provisioningState": "Succeeded", "orchestrationMode": "Uniform", "overprovision": false,
            "singlePlacementGroup": false, "platformFaultDomainCount": 1, "upgradePolicy": {"mode": "Surprise"},
            "virtualMachineProfile": {
                "priority": "spot", "osProfile": {"computerNamePrefix": "agent"},
                "storageProfile": {
                    "imageReference": {"id": "/galleries/g/versions/1.0.0", "exactVersion": "1.0.0"},
                    "osDisk": {"osType": "Linux", "caching": "ReadOnly", "createOption": "FromImage",
                        "diffDiskSettings": {"option": "Local", "placement": "NvmeDisk"}}},
                "extensionProfile": {"extensions": []}}}})
}

fn instance(number: u32) -> Value {
    json!({
        "id": format!("{PATH}/virtualMachines/{number}"), "name": format!("linux-d4_{number}"),
        "instanceId": number.to_string(),
        "properties": {
            "latestModelApplied": true, "vmId": format!("5D0C1C52-7F3F-4C0E-8D54-{number:012}"),
            "provisioningState": "Succeeded", "timeCreated": "2026-01-01T00:00:00.1234567+00:00",
            "storageProfile": {"imageReference": {"id": "/i", "exactVersion": "1.2.0"}},
            "osProfile": {"computerName": "agent000007"},
            "protectionPolicy": {"protectFromScaleIn": true, "protectFromScaleSetActions": false},
            "instanceView": {"statuses": [
                {"code": "ProvisioningState/succeeded", "level": "Info", "displayStatus": "Provisioning succeeded"},
                {"code": "PowerState/running", "level": "Info", "displayStatus": "VM running"}]}}})
}

fn fault(status: u16, code: &str, message: &str) -> Scripted {
    stub::json(status, json!({"error": {"code": code, "message": message}}))
}

#[tokio::test]
async fn a_scale_set_is_read_with_its_version() {
    let arm = Stub::with([stub::json(200, scale_set()).with("retry-after", "3")]).await;
    let answer = client(&arm).get(&id()).await.unwrap();
    assert_eq!(
        (answer.etag.as_deref(), answer.retry_after),
        (Some("\"7\""), Some(SignedDuration::from_secs(3)))
    );
    let set = answer.value;
    assert_eq!(
        set.sku,
        Some(Sku { name: "Standard_D4ds_v5".into(), tier: Some("Standard".into()), capacity: Some(4) })
    );
    assert_eq!(set.tags, BTreeMap::from([("a".into(), "b".into())]));
    assert_eq!(set.orchestration_mode, Some(OrchestrationMode::Uniform));
    assert_eq!(set.upgrade_mode, Some(UpgradeMode::Other("Surprise".into())));
    assert_eq!(
        (set.overprovision, set.single_placement_group, set.fault_domains),
        (Some(false), Some(false), Some(1))
    );
    let profile = set.profile.unwrap();
    assert_eq!(profile.priority.unwrap().as_str(), "Spot");
    assert_eq!(profile.computer_name_prefix.as_deref(), Some("agent"));
    assert!(profile.os_disk.ephemeral);
    assert_eq!(profile.os_disk.placement.unwrap().as_str(), "NvmeDisk");
    assert_eq!(profile.image.unwrap().exact_version.as_deref(), Some("1.0.0"));

    let seen = arm.only();
    assert_eq!((seen.uri.path(), seen.query("api-version").as_deref()), (PATH, Some(API_VERSION)));
    assert_eq!(seen.header("authorization"), format!("Bearer {TOKEN}"));
}

#[tokio::test]
async fn the_header_s_version_goes_before_the_body_s() {
    let arm = Stub::with([stub::json(200, scale_set()).with("etag", "\"8\"")]).await;
    assert_eq!(client(&arm).get(&id()).await.unwrap().etag.as_deref(), Some("\"8\""));
}

#[tokio::test]
async fn pages_are_followed_to_the_end() {
    let arm = Stub::start().await;
    let next = format!("{}{PATH}/virtualMachines?api-version=x&$skiptoken=2", arm.url);
    arm.then(
        stub::json(200, json!({"value": [instance(1), instance(2)], "nextLink": next}))
            .with("retry-after", "9"),
    );
    arm.then(
        stub::json(200, json!({"value": [instance(2), instance(3)], "nextLink": ""}))
            .with("retry-after", "4"),
    );
    let (client, calls) = client_and_calls(&arm);
    let answer = client.list_instances(&id(), &OrchestrationMode::Uniform).await.unwrap();
    let ids: Vec<_> = answer.value.iter().map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "3"]);
    assert_eq!(answer.retry_after, Some(SignedDuration::from_secs(9)));
    let first = &answer.value[0];
    assert_eq!(first.vm_id.as_ref().unwrap().as_str(), "5d0c1c52-7f3f-4c0e-8d54-000000000001");
    assert_eq!((first.power.clone(), first.latest_model), (Some(PowerState::Running), Some(true)));
    assert_eq!(
        (first.computer_name.as_deref(), first.image_version.as_deref()),
        (Some("agent000007"), Some("1.2.0"))
    );
    assert_eq!((first.protection.scale_in, first.protection.actions), (true, false));
    assert_eq!(first.created, Some("2026-01-01T00:00:00.1234567Z".parse().unwrap()));
    assert_eq!(first.failures, []);

    let seen = arm.seen();
    assert_eq!(seen[0].query("$expand").as_deref(), Some("instanceView"));
    assert_eq!(seen[1].query("$skiptoken").as_deref(), Some("2"));
    assert_eq!(
        calls.counts().map(|row| (row.operation, row.count)).collect::<Vec<_>>(),
        [(Operation::List, 2)]
    );
}

#[rstest]
#[case(empty(429).with("retry-after", "30"), Class::Throttled)]
#[case(empty(503), Class::Server)]
#[case(text(200, "text/html", "<html>"), Class::Unexpected)]
#[case(stub::json(200, json!({"nextLink": null})), Class::Unexpected)]
#[case(stub::json(200, json!({"value": [{"instanceId": "*", "properties": {}}]})), Class::Unexpected)]
#[tokio::test]
async fn a_page_that_fails_fails_the_list(#[case] page: Scripted, #[case] class: Class) {
    let arm = Stub::start().await;
    arm.then(stub::json(200, json!({"value": [instance(1)], "nextLink": format!("{}/next", arm.url)})));
    arm.then(page);
    assert_eq!(
        client(&arm).list_instances(&id(), &OrchestrationMode::Uniform).await.unwrap_err().class(),
        class
    );
}

#[tokio::test]
async fn a_page_elsewhere_is_not_asked_for() {
    let elsewhere = Stub::with([stub::json(200, json!({"value": []}))]).await;
    let link = format!("{}{PATH}/virtualMachines?page=2", elsewhere.url);
    let arm = Stub::with([stub::json(200, json!({"value": [instance(1)], "nextLink": link}))]).await;
    let error = client(&arm).list_instances(&id(), &OrchestrationMode::Uniform).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    assert!(error.to_string().contains("another origin"), "{error}");
    assert!(elsewhere.seen().is_empty());
}

#[rstest]
#[case("/next")]
#[case("not a url")]
#[tokio::test]
async fn a_link_that_leads_nowhere_fails_the_list(#[case] link: &str) {
    let arm = Stub::with([stub::json(200, json!({"value": [], "nextLink": link}))]).await;
    assert_eq!(
        client(&arm).list_instances(&id(), &OrchestrationMode::Uniform).await.unwrap_err().class(),
        Class::Unexpected
    );
}

#[tokio::test]
async fn pages_in_a_circle_fail_the_list() {
    let arm = Stub::start().await;
    let page = stub::json(200, json!({"value": [], "nextLink": format!("{}/again", arm.url)}));
    arm.then(page.clone());
    arm.then(page);
    let error = client(&arm).list_instances(&id(), &OrchestrationMode::Uniform).await.unwrap_err();
    assert!(error.to_string().contains("circle"), "{error}");
    assert_eq!(arm.seen().len(), 2);
}

#[tokio::test]
async fn a_failed_instance_tells_what_failed() {
    let body = json!({"instanceId": "9", "properties": {"provisioningState": "Failed", "instanceView": {
        "computerName": "agent000009",
        "statuses": [{"code": "ProvisioningState/failed/AllocationFailed", "level": "Error", "message": "no\nroom"}],
        "extensions": [
            {"name": "ok", "statuses": [{"code": "ProvisioningState/succeeded", "level": "Info"}]},
            {"name": "script", "statuses": [
                {"code": "ProvisioningState/failed/1", "level": "Error", "displayStatus": "Provisioning failed"}]}]}}});
    let arm = Stub::with([stub::json(200, body)]).await;
    let instance = client(&arm)
        .get_instance(&id(), &OrchestrationMode::Uniform, &"9".parse().unwrap())
        .await
        .unwrap()
        .value;
    assert_eq!(arm.only().uri.path(), format!("{PATH}/virtualMachines/9"));
    assert_eq!(instance.provisioning_state, Some(ProvisioningState::Failed));
    assert_eq!((instance.power, instance.vm_id, instance.created), (None, None, None));
    assert_eq!(instance.computer_name.as_deref(), Some("agent000009"));
    assert_eq!(
        instance.failures,
        [
            Failure {
                source: FailureSource::Machine,
                extension_type: None,
                code: Some("AllocationFailed".into()),
                message: Some("no room".into())
            },
            Failure {
                source: FailureSource::Extension("script".into()),
                extension_type: None,
                code: Some("1".into()),
                message: Some("Provisioning failed".into())
            }
        ]
    );
}

#[tokio::test]
async fn capacity_and_tags_are_patched_under_a_version() {
    let arm = Stub::start().await;
    let operation = format!("{}/operations/1?p=x", arm.url);
    arm.then(
        stub::json(200, scale_set())
            .with("azure-asyncoperation", &operation)
            .with("location", &format!("{}/operations/1?monitor=true", arm.url))
            .with("retry-after", "10"),
    );
    arm.then(stub::json(200, scale_set()));
    let client = client(&arm);
    let sku = Sku { name: "Standard_D4ds_v5".into(), tier: Some("Standard".into()), capacity: Some(4) };
    let started = client.set_capacity(&id(), &sku, 5, Some("\"7\"")).await.unwrap();
    assert_eq!(started.operation.unwrap().to_string(), operation);
    assert_eq!(started.retry_after, Some(SignedDuration::from_secs(10)));
    assert_eq!(started.value.unwrap().sku.unwrap().capacity, Some(4));
    let tags = BTreeMap::from([("owner".to_owned(), "x".to_owned())]);
    let started = client.replace_tags(&id(), &tags, None).await.unwrap();
    assert_eq!(started.operation, None);

    let seen = arm.seen();
    assert_eq!((seen[0].method.clone(), seen[0].header("if-match")), (Method::PATCH, "\"7\""));
    assert_eq!(
        seen[0].json(),
        json!({"sku": {"name": "Standard_D4ds_v5", "tier": "Standard", "capacity": 5}})
    );
    assert_eq!((seen[1].header("if-match"), seen[1].json()), ("", json!({"tags": {"owner": "x"}})));
}

#[tokio::test]
async fn deletion_and_reimage_name_their_instances() {
    let arm = Stub::start().await;
    let location = format!("{}/operations/2?monitor=true", arm.url);
    arm.then(empty(202).with("location", &location));
    arm.then(empty(202).with("azure-asyncoperation", "https://management.contoso.com/operations/3"));
    let (client, calls) = client_and_calls(&arm);
    let ids = InstanceIds::new("3".parse().unwrap(), ["7".parse::<InstanceId>().unwrap()]);
    let started = client.delete_instances(&id(), &ids).await.unwrap();
    assert_eq!(started.operation.unwrap().to_string(), format!("{location}#location"));
    // Accepted all the same; only its outcome cannot be followed.
    let started = client.reimage_instances(&id(), &ids).await.unwrap();
    assert_eq!((started.operation, started.value), (None, None));

    let seen = arm.seen();
    assert_eq!(
        (seen[0].method.clone(), seen[0].uri.path()),
        (Method::POST, format!("{PATH}/delete").as_str())
    );
    assert_eq!(
        (seen[0].json(), seen[1].json()),
        (json!({"instanceIds": ["3", "7"]}), json!({"instanceIds": ["3", "7"]}))
    );
    assert_eq!(seen[1].uri.path(), format!("{PATH}/reimage"));
    assert_eq!(calls.writes(Service::ResourceManager), 2);
}

#[rstest]
#[case(
    fault(409, "OperationNotAllowed", "exceeding approved Total Regional Cores quota. Current Limit: 8"),
    Class::Quota
)]
#[case(fault(409, "SkuNotAvailable", ""), Class::Allocation)]
#[case(fault(400, "SubnetIsFull", ""), Class::Allocation)]
#[case(fault(429, "OperationNotAllowed", "too many requests"), Class::Throttled)]
#[case(fault(409, "OperationNotAllowed", "it is marked for deletion"), Class::Conflict)]
#[case(fault(409, "ScopeLocked", ""), Class::Forbidden)]
#[case(fault(409, "Conflict", ""), Class::Conflict)]
#[case(fault(412, "PreconditionFailed", ""), Class::Precondition)]
#[case(fault(400, "InvalidParameter", ""), Class::Invalid)]
#[tokio::test]
async fn a_refused_change_is_classed_by_its_code_and_counted_so(
    #[case] answer: Scripted,
    #[case] class: Class,
) {
    let arm = Stub::with([answer]).await;
    let (client, calls) = client_and_calls(&arm);
    let sku = Sku { name: "s".into(), tier: None, capacity: None };
    let error = client.set_capacity(&id(), &sku, 5, None).await.unwrap_err();
    assert_eq!(error.class(), class);
    assert_eq!(calls.counts().map(|row| row.class).collect::<Vec<_>>(), [Some(class)]);
    assert_eq!(arm.only().json(), json!({"sku": {"name": "s", "capacity": 5}}));
}

async fn poll(answer: Scripted, mark: &str) -> Result<OperationStatus, poolkeeper_rest::Error> {
    let arm = Stub::with([answer]).await;
    let operation: OperationUrl = format!("{}/operations/1?p=x{mark}", arm.url).parse().unwrap();
    let status = client(&arm).operation(&operation).await.map(|answer| answer.value);
    assert_eq!(arm.only().uri, "/operations/1?p=x");
    status
}

#[tokio::test]
async fn an_operation_is_read_by_either_header() {
    let state = |status: &str| stub::json(200, json!({"name": "1", "status": status}));
    assert_eq!(poll(state("InProgress"), "").await.unwrap(), OperationStatus::InProgress);
    assert_eq!(poll(state("Updating"), "").await.unwrap(), OperationStatus::InProgress);
    assert_eq!(poll(state("succeeded"), "").await.unwrap(), OperationStatus::Succeeded);
    assert_eq!(poll(empty(202), "#location").await.unwrap(), OperationStatus::InProgress);
    assert_eq!(poll(empty(204), "#location").await.unwrap(), OperationStatus::Succeeded);
    assert_eq!(poll(stub::json(200, scale_set()), "#location").await.unwrap(), OperationStatus::Succeeded);

    let failed = json!({"status": "Failed", "error": {"code": "VMScaleSetFailed", "message": "some failed",
        "details": [{"code": "AllocationFailed", "message": "no room", "target": "243"}]}});
    let OperationStatus::Failed(error) = poll(stub::json(200, failed), "").await.unwrap() else { panic!() };
    assert_eq!((error.fault, error.code.as_deref()), (Fault::Allocation, Some("VMScaleSetFailed")));
    let canceled = json!({"status": "Canceled", "error": {"code": "OperationPreempted", "message": "m"}});
    let OperationStatus::Canceled(error) = poll(stub::json(200, canceled), "").await.unwrap() else {
        panic!()
    };
    assert_eq!((error.fault, error.message.as_deref()), (Fault::Preempted, Some("m")));
    let OperationStatus::Failed(error) = poll(fault(409, "SkuNotAvailable", "m"), "#location").await.unwrap()
    else {
        panic!()
    };
    assert_eq!(error.fault, Fault::SkuUnavailable);
}

#[rstest]
#[case(empty(429), "#location", Class::Throttled)]
#[case(empty(404), "#location", Class::NotFound)]
#[case(fault(409, "Conflict", ""), "", Class::Conflict)]
#[case(empty(202), "", Class::Unexpected)]
#[case(stub::json(200, json!({"name": "no status"})), "", Class::Unexpected)]
#[tokio::test]
async fn a_poll_that_fails_says_nothing_about_the_operation(
    #[case] answer: Scripted,
    #[case] mark: &str,
    #[case] class: Class,
) {
    assert_eq!(poll(answer, mark).await.unwrap_err().class(), class);
}

#[tokio::test]
async fn an_operation_elsewhere_is_not_asked_for() {
    let (elsewhere, arm) = (Stub::start().await, Stub::start().await);
    let operation: OperationUrl = format!("{}/operations/1", elsewhere.url).parse().unwrap();
    assert_eq!(client(&arm).operation(&operation).await.unwrap_err().class(), Class::Unexpected);
    assert!(elsewhere.seen().is_empty() && arm.seen().is_empty());
}

#[tokio::test]
async fn without_a_token_nothing_is_sent() {
    let refusal = json!({"error_codes": [700016], "error_description": "AADSTS700016: no such application"});
    let (arm, entra) = (Stub::start().await, Stub::with([stub::json(400, refusal), empty(503)]).await);
    let http = Http::new(Limits::default()).unwrap();
    let cloud = Cloud::custom(&arm.url, &entra.url, "s").unwrap();
    let tenant = "00000000-0000-0000-0000-00000000000a";
    let credential = Credential::client_secret(&http, &cloud, tenant, "c", &"secret".into()).unwrap();
    let client = ScaleSets::new(http, &cloud, Arc::new(credential), CallLog::default()).unwrap();
    let error = client.get(&id()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthenticated);
    assert!(error.to_string().contains("AADSTS700016"), "{error}");
    assert_eq!(client.get(&id()).await.unwrap_err().class(), Class::Unreachable);
    assert!(arm.seen().is_empty());
    // Elsewhere, not even a token is asked for.
    let operation: OperationUrl = "https://management.contoso.com/operations/1".parse().unwrap();
    assert_eq!(client.operation(&operation).await.unwrap_err().class(), Class::Unexpected);
    assert_eq!(entra.seen().len(), 2);
    assert!(!format!("{client:?}").contains("secret\""));
}

#[tokio::test]
async fn the_token_shows_nowhere() {
    let arm = Stub::with([fault(401, "InvalidAuthenticationToken", &format!("bad token {TOKEN}"))]).await;
    let client = client(&arm);
    let error = client.get(&id()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthenticated);
    assert!(!format!("{client:?} {error:?} {error}").contains(TOKEN));
}
