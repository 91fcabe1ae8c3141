//! Instances under both orchestration modes, against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;
#[path = "support/client.rs"]
mod support;

use poolkeeper_azure::{
    FailureSource, InstanceId, MachinePriority, OperationUrl,
    OrchestrationMode::{self, Flexible, Uniform},
    PowerState, ProvisioningState,
};
use poolkeeper_rest::{Class, Method};
use rstest::rstest;
use serde_json::{Value, json};
use stub::{Scripted, Stub, empty};
use support::{GROUP, PATH, client, id};

const VM: &str = "linux-d4_a1b2c3d4";

fn vm_id() -> InstanceId {
    VM.parse().unwrap()
}

fn machine(name: &str, set: &Value) -> Value {
    json!({
        "id": format!("{GROUP}/providers/Microsoft.Compute/virtualMachines/{name}"), "name": name, "zones": ["2"],
        "location": "westeurope",
        "properties": {
            "vmId": "5D0C1C52-7F3F-4C0E-8D54-000000000001", "provisioningState": "Succeeded", "priority": "Spot",
            "timeCreated": "2026-01-01T00:00:00.1234567+00:00", "virtualMachineScaleSet": set,
            "osProfile": {"computerName": "agent000007"},
            "storageProfile": {"imageReference": {"exactVersion": "1.2.0"}},
            "instanceView": {
                "computerName": "agent000007",
                "statuses": [{"code": "ProvisioningState/succeeded"}, {"code": "PowerState/running"}],
                "extensions": [{"name": "script", "statuses": [{"code": "ProvisioningState/failed/1", "level": "Error"}]}]}}})
}

fn of_ours() -> Value {
    json!({"id": PATH.to_uppercase()})
}

#[tokio::test]
async fn machines_of_a_flexible_set_are_listed_by_filter_without_those_of_another() {
    let arm = Stub::start().await;
    let other = json!({"id": PATH.replace("linux-d4", "linux-d40")});
    let page = json!({
        "value": [machine(VM, &of_ours()), machine("other_1", &other), machine("loose", &Value::Null)],
        "nextLink": format!("{}/next?page=2", arm.url)});
    arm.then(stub::json(200, page));
    let page = json!({"value": [machine(VM, &of_ours()), machine("agents.prod_2", &of_ours())]});
    arm.then(
        stub::json(200, page)
            .with("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/HighCostGet3Min;7"),
    );
    let answer = client(&arm).list_instances(&id(), &Flexible).await.unwrap();
    let ids: Vec<_> = answer.value.iter().map(|instance| instance.id.as_str()).collect();
    assert_eq!(ids, [VM, "agents.prod_2"]);
    assert_eq!(answer.remaining[0].left, 7);
    let first = &answer.value[0];
    assert_eq!(first.vm_id.as_ref().unwrap().as_str(), "5d0c1c52-7f3f-4c0e-8d54-000000000001");
    assert_eq!((first.name.as_deref(), first.computer_name.as_deref()), (Some(VM), Some("agent000007")));
    assert_eq!(
        (&first.power, &first.provisioning_state),
        (&Some(PowerState::Running), &Some(ProvisioningState::Succeeded))
    );
    assert_eq!(
        (&first.priority, first.zones.as_slice()),
        (&Some(MachinePriority::Spot), &["2".to_owned()][..])
    );
    assert_eq!((first.latest_model, first.image_version.as_deref()), (None, Some("1.2.0")));
    assert!(first.created.is_some());
    assert_eq!(first.failures[0].source, FailureSource::Extension("script".into()));

    let seen = arm.seen();
    assert_eq!(seen[0].uri.path(), format!("{GROUP}/providers/Microsoft.Compute/virtualMachines"));
    assert_eq!(seen[0].query("$filter").unwrap(), format!("'virtualMachineScaleSet/id' eq '{PATH}'"));
    assert_eq!(seen[0].query("$expand").as_deref(), Some("instanceView"));
    assert_eq!(seen[1].query("page").as_deref(), Some("2"));
}

#[rstest]
#[case(json!({"value": [machine("*", &of_ours())]}))]
#[case(json!({"value": [machine("", &of_ours())]}))]
#[case(json!({"value": [{"properties": {}}]}))]
#[case(json!({"value": null}))]
#[tokio::test]
async fn a_list_with_a_name_that_is_none_is_no_list(#[case] page: Value) {
    let arm = Stub::with([stub::json(200, page)]).await;
    let error = client(&arm).list_instances(&id(), &Flexible).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
}

#[tokio::test]
async fn one_machine_is_read_only_where_it_is_of_the_set() {
    let other = json!({"id": PATH.replace("linux-d4", "linux-d40")});
    let arm =
        Stub::with([stub::json(200, machine(VM, &of_ours())), stub::json(200, machine(VM, &other))]).await;
    let client = client(&arm);
    assert_eq!(client.get_instance(&id(), &Flexible, &vm_id()).await.unwrap().value.id.as_str(), VM);
    let error = client.get_instance(&id(), &Flexible, &vm_id()).await.unwrap_err();
    assert_eq!((error.class(), error.reason()), (Class::NotFound, Some("the VM is not of this scale set")));
    let path = format!("{GROUP}/providers/Microsoft.Compute/virtualMachines/{VM}");
    assert_eq!(arm.seen()[0].uri.path(), path);
    assert_eq!(arm.seen()[0].query("$expand").as_deref(), Some("instanceView"));
}

#[rstest]
#[case(empty(200))]
#[case(empty(202).with("x-ms-ratelimit-remaining-subscription-deletes", "199"))]
#[case(empty(204))]
#[tokio::test]
async fn a_machine_is_deleted_by_its_name(#[case] answer: Scripted) {
    let arm = Stub::start().await;
    let operation = format!("{}/operations/1?p=x", arm.url);
    arm.then(answer.with("azure-asyncoperation", &operation).with("retry-after", "10"));
    let started = client(&arm).delete_machine(&id(), &vm_id()).await.unwrap();
    assert_eq!(started.operation, Some(operation.parse::<OperationUrl>().unwrap()));
    assert!(
        started.remaining.iter().all(|budget| budget.policy == "subscription-deletes" && budget.left == 199)
    );
    let seen = arm.only();
    assert_eq!(seen.method, Method::DELETE);
    assert_eq!(seen.uri.path(), format!("{GROUP}/providers/Microsoft.Compute/virtualMachines/{VM}"));
    assert_eq!(seen.body.len(), 0);
}

#[tokio::test]
async fn a_machine_is_reimaged_by_its_name() {
    let arm = Stub::with([empty(202)]).await;
    client(&arm).reimage_machine(&id(), &vm_id()).await.unwrap();
    let seen = arm.only();
    assert_eq!((seen.method.clone(), seen.json()), (Method::POST, json!({})));
    assert_eq!(seen.uri.path(), format!("{GROUP}/providers/Microsoft.Compute/virtualMachines/{VM}/reimage"));
    assert!(seen.query("api-version").is_some());
}

#[tokio::test]
async fn a_mode_that_is_new_is_told_before_anything_is_sent() {
    let arm = Stub::start().await;
    let client = client(&arm);
    let mode = OrchestrationMode::Other("Fluid".into());
    let list = client.list_instances(&id(), &mode).await.unwrap_err();
    let get = client.get_instance(&id(), &mode, &vm_id()).await.unwrap_err();
    for error in [list, get] {
        assert_eq!(error.class(), Class::Unexpected);
        assert!(
            error.reason().unwrap().contains("\"Fluid\" is not known here; use a scale set with Uniform"),
            "{error}"
        );
    }
    assert!(arm.seen().is_empty());
}

#[tokio::test]
async fn priority_and_zone_of_a_uniform_instance_are_read_where_they_are_told() {
    let told = json!({"instanceId": "1", "zones": ["1"], "properties": {"priority": "Novel"}});
    let silent = json!({"instanceId": "2", "properties": {}});
    let arm = Stub::with([stub::json(200, json!({"value": [told, silent]}))]).await;
    let instances = client(&arm).list_instances(&id(), &Uniform).await.unwrap().value;
    assert_eq!(instances[0].priority, Some(MachinePriority::Other("Novel".into())));
    assert_eq!((instances[0].zones.len(), instances[1].zones.len(), &instances[1].priority), (1, 0, &None));
    assert_eq!(arm.only().uri.path(), format!("{PATH}/virtualMachines"));
}
