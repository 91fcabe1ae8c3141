//! The smaller parts of Azure Resource Manager: tags, protection, views, lists, models.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::spec::{Orchestration, Run};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    face::{Answer, Face, SET},
    round_figures, running,
};

fn tags_path() -> String {
    format!("{SET}/providers/Microsoft.Resources/tags/default")
}

#[tokio::test]
async fn the_tags_resource_merges_replaces_and_deletes() {
    let mut spec = round_figures();
    spec.scale_sets[0].tags = [("Owner".into(), "a".into()), ("cost".into(), "1".into())].into();
    let face = Face::new(spec).await;
    let change = async |operation: &str, tags: Value| {
        let body = json!({"operation": operation, "properties": {"tags": tags}});
        let answer = face.patch(&tags_path(), body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["properties"]["tags"].clone()
    };
    let etag = face.get(SET).await.body["etag"].clone();
    assert_eq!(change("Merge", json!({"owner": "b"})).await, json!({"owner": "b", "cost": "1"}));
    assert_ne!(face.get(SET).await.body["etag"], etag, "a write of the tags is a write of the set");
    assert_eq!(change("Delete", json!({"cost": "2", "OWNER": "b"})).await, json!({"cost": "1"}));
    assert_eq!(change("Replace", json!({"new": "x"})).await, json!({"new": "x"}));
    let read = face.get(&tags_path()).await;
    assert_eq!(read.body["properties"]["tags"], json!({"new": "x"}));
    assert_eq!(face.get(SET).await.body["tags"], json!({"new": "x"}));
    let replaced = face.patch(SET, json!({"tags": {"only": "this"}})).await;
    assert_eq!(replaced.body["tags"], json!({"only": "this"}), "a PATCH of the set replaces the map");
    let many: serde_json::Map<String, Value> = (0..51).map(|n| (format!("t{n}"), json!("x"))).collect();
    let body = json!({"operation": "Replace", "properties": {"tags": many}});
    for refused in [face.patch(&tags_path(), body).await, face.patch(SET, json!({"tags": many})).await] {
        assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("TooManyTags")));
    }
}

#[tokio::test]
async fn a_protected_instance_survives_a_lower_capacity_but_no_deletion() {
    let mut spec = running(3, Run::Continuous);
    spec.scale_sets[0].protected = 1;
    let face = Face::new(spec).await;
    let protection = async |id: &str| {
        let vm = face.get(&format!("{SET}/virtualMachines/{id}")).await;
        vm.body["properties"]["protectionPolicy"]["protectFromScaleIn"].clone()
    };
    assert_eq!([protection("0").await, protection("1").await], [json!(true), json!(false)]);
    let put = async |id: &str, policy: Value| {
        let body = json!({"properties": {"protectionPolicy": policy}});
        let call = face.azure(Method::PUT, &format!("{SET}/virtualMachines/{id}")).json(&body);
        Answer::of(call.send().await.unwrap()).await
    };
    assert_eq!(put("0", json!({})).await.status, 200);
    assert_eq!(put("2", json!({"protectFromScaleIn": true})).await.status, 200);
    assert_eq!(put("1", json!({"protectFromScaleSetActions": true})).await.status, 400);
    face.patch(SET, json!({"sku": {"capacity": 1}})).await;
    face.pass(30);
    let list = face.get(&format!("{SET}/virtualMachines")).await;
    assert_eq!(list.body["value"].as_array().unwrap().len(), 1);
    assert_eq!(list.body["value"][0]["instanceId"], "2");
    let deleted = face.post(&format!("{SET}/delete"), json!({"instanceIds": ["2"]})).await;
    assert_eq!(deleted.status, 202, "{}", deleted.text);
}

#[tokio::test]
async fn views_skus_extensions_and_lists() {
    let mut spec = running(2, Run::Continuous);
    spec.scale_sets[0].model.extensions = vec!["CustomScript".into(), "Health".into()];
    spec.scale_sets[0].model.os_disk_caching = "ReadWrite".into();
    let face = Face::new(spec).await;
    face.patch(SET, json!({"sku": {"capacity": 3}})).await;
    let view = face.get(&format!("{SET}/instanceView")).await;
    let counts = json!([
        {"code": "ProvisioningState/creating", "count": 1},
        {"code": "ProvisioningState/succeeded", "count": 2},
    ]);
    assert_eq!(view.body["virtualMachine"]["statusesSummary"], counts);
    assert_eq!(face.get(&format!("{SET}/skus")).await.body["value"][0]["capacity"]["maximum"], 1000);
    let vm = face.get(&format!("{SET}/virtualMachines/0/instanceView")).await;
    assert_eq!(vm.body["extensions"][1]["name"], "Health");
    assert_eq!(vm.body["extensions"][1]["statuses"][0]["code"], "ProvisioningState/succeeded");
    let set = face.get(SET).await;
    let profile = &set.body["properties"]["virtualMachineProfile"];
    assert_eq!(profile["extensionProfile"]["extensions"][0]["name"], "CustomScript");
    assert_eq!(profile["storageProfile"]["osDisk"]["caching"], "ReadWrite");
    let (in_group, _) = SET.rsplit_once('/').unwrap();
    let in_subscription = in_group.replace("/resourceGroups/agents", "");
    let in_region = in_subscription.replace("virtualMachine", "locations/westeurope/virtualMachine");
    for (path, found) in [
        (in_group.to_owned(), 1),
        (in_subscription, 1),
        (in_region, 1),
        (in_group.replace("/agents/", "/others/"), 0),
    ] {
        let list = face.get(&path).await;
        assert_eq!((list.status, list.body["value"].as_array().unwrap().len()), (200, found), "{path}");
    }
    let upgrade = face.post(&format!("{SET}/manualupgrade"), json!({"instanceIds": ["0"]})).await;
    assert_eq!(upgrade.status, 202);
    assert_eq!(face.get(upgrade.header("azure-asyncoperation")).await.body["status"], "Succeeded");
    assert_eq!(face.post(&format!("{SET}/manualupgrade"), json!({})).await.status, 400);
}

#[rstest]
#[case(Orchestration::Uniform, None, json!(false), json!("Manual"))]
#[case(Orchestration::Flexible, None, Value::Null, Value::Null)]
#[case(Orchestration::Flexible, Some("Automatic"), Value::Null, json!("Automatic"))]
#[tokio::test]
async fn a_flexible_set_may_leave_parts_of_its_model_out(
    #[case] orchestration: Orchestration,
    #[case] policy: Option<&str>,
    #[case] overprovision: Value,
    #[case] mode: Value,
) {
    let mut spec = round_figures();
    spec.scale_sets[0].orchestration = orchestration;
    spec.scale_sets[0].model.upgrade_policy = policy.map(str::to_owned);
    let properties = Face::new(spec).await.get(SET).await.body["properties"].clone();
    assert_eq!((&properties["overprovision"], &properties["upgradePolicy"]["mode"]), (&overprovision, &mode));
}
