//! What is read around a scale set: autoscale settings, quotas, the addresses of its subnet.
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

use poolkeeper_azure::{Cloud, Credential, ScaleSets, SubnetId, SubnetSpace, Usage};
use poolkeeper_rest::{CallLog, Class, Http, Limits};
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use stub::{Stub, empty};
use support::{GROUP, PATH, client, id};

const SUBNET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/agents/subnets/linux";

fn subnet() -> SubnetId {
    SUBNET.parse().unwrap()
}

#[tokio::test]
async fn an_autoscale_setting_tells_which_set_it_sizes() {
    let setting = |name: &str, enabled: Value, target: &str| json!({"name": name, "properties": {"enabled": enabled, "targetResourceUri": target}});
    let arm = Stub::start().await;
    let first = json!({
        "value": [setting("ours", json!(true), &PATH.to_uppercase()), setting("off", json!(false), PATH)],
        "nextLink": format!("{}/next", arm.url)});
    arm.then(stub::json(200, first));
    arm.then(stub::json(200, json!({"value": [
        setting("silent", Value::Null, &format!("{PATH}/")), setting("other", json!(true), &format!("{PATH}0")),
        {"name": "nothing", "properties": {}}]})));
    let settings = client(&arm).autoscale_settings(&id()).await.unwrap().value;
    assert_eq!(settings.len(), 5);
    let ours: Vec<_> = settings.iter().filter(|one| one.sizes(&id())).map(|one| one.name.as_str()).collect();
    assert_eq!(ours, ["ours", "silent"]);
    let seen = &arm.seen()[0];
    assert_eq!(seen.uri.path(), format!("{GROUP}/providers/Microsoft.Insights/autoscalesettings"));
    assert_eq!(seen.query("api-version").as_deref(), Some("2022-10-01"));
}

#[tokio::test]
async fn quotas_are_read_by_region() {
    let arm = Stub::start().await;
    arm.then(stub::json(200, json!({"value": [
        {"unit": "Count", "currentValue": 96, "limit": 100, "name": {"value": "cores", "localizedValue": "Total Regional vCPUs"}}],
        "nextLink": format!("{}/next", arm.url)})));
    arm.then(stub::json(
        200,
        json!({"value": [{"currentValue": 0, "limit": -1, "name": {"value": "lowPriorityCores"}}]}),
    ));
    let usages = client(&arm).usages(id().subscription(), "West Europe").await.unwrap().value;
    let cores = Usage {
        name: "cores".into(),
        localized_name: Some("Total Regional vCPUs".into()),
        current: 96,
        limit: Some(100),
    };
    let spot = Usage { name: "lowPriorityCores".into(), localized_name: None, current: 0, limit: None };
    assert_eq!(usages, [cores, spot]);
    let path = format!(
        "/subscriptions/{}/providers/Microsoft.Compute/locations/westeurope/usages",
        id().subscription()
    );
    assert_eq!(arm.seen()[0].uri.path(), path);
}

#[rstest]
#[case("", "westeurope")]
#[case("..", "westeurope")]
#[case("00000000-1111-2222-3333-444444444444", "")]
#[case("00000000-1111-2222-3333-444444444444", "../x")]
#[tokio::test]
async fn what_is_no_region_is_not_asked_for(#[case] subscription: &str, #[case] location: &str) {
    let arm = Stub::start().await;
    let error = client(&arm).usages(subscription, location).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    assert!(arm.seen().is_empty());
}

#[tokio::test]
async fn the_addresses_of_a_subnet_are_those_of_its_own_row() {
    let row = |id: &str, current: Value, kind: &str| json!({"id": id, "currentValue": current, "limit": 251.0, "unit": "Count", "name": {"value": kind}});
    let arm = Stub::with([
        stub::json(
            200,
            json!({"value": [
            row(&SUBNET.replace("linux", "windows"), json!(9), "SubnetSpace"), row(SUBNET, json!(1), "Other"),
            row(&SUBNET.to_uppercase(), json!(4.0), "SubnetSpace")]}),
        ),
        stub::json(200, json!({"value": []})),
        stub::json(200, json!({"value": [row(SUBNET, json!(300), "SubnetSpace")]})),
    ])
    .await;
    let client = client(&arm);
    let space = client.subnet_space(&subnet()).await.unwrap().value.unwrap();
    assert_eq!((space, space.free()), (SubnetSpace { used: 4, limit: 251 }, 247));
    assert_eq!(client.subnet_space(&subnet()).await.unwrap().value, None);
    assert_eq!(client.subnet_space(&subnet()).await.unwrap().value.unwrap().free(), 0);
    let seen = &arm.seen()[0];
    assert_eq!(seen.uri.path(), format!("{}/usages", SUBNET.trim_end_matches("/subnets/linux")));
    assert_eq!(seen.query("api-version").as_deref(), Some("2024-05-01"));
}

#[rstest]
#[case::primary_of_both(json!([
    {"properties": {"ipConfigurations": [{"properties": {"subnet": {"id": "/second"}}}]}},
    {"properties": {"primary": true, "ipConfigurations": [
        {"properties": {"primary": false, "subnet": {"id": "/second"}}},
        {"properties": {"primary": true, "subnet": {"id": SUBNET}}}]}}]), true)]
#[case::first_of_both(json!([{"properties": {"ipConfigurations": [{"properties": {"subnet": {"id": SUBNET}}}]}}]), true)]
#[case::no_subnet(json!([{"properties": {"primary": true, "ipConfigurations": [{"properties": {}}]}}]), false)]
#[case::no_id(json!([{"properties": {"primary": true, "ipConfigurations": [{"properties": {"subnet": {"id": "/x"}}}]}}]), false)]
#[case::nothing(json!([]), false)]
#[tokio::test]
async fn the_model_tells_its_subnet_and_extensions(#[case] interfaces: Value, #[case] found: bool) {
    let body = json!({"name": "flex", "properties": {"orchestrationMode": "Flexible", "virtualMachineProfile": {
        "networkProfile": {"networkInterfaceConfigurations": interfaces},
        "extensionProfile": {"extensions": [{"name": "CustomScript"}, {"name": "Agent", "properties": {}}]}}}});
    let arm = Stub::with([stub::json(200, body)]).await;
    let set = client(&arm).get(&id()).await.unwrap().value;
    assert_eq!((set.fault_domains, set.overprovision, set.upgrade_mode), (None, None, None));
    let profile = set.profile.unwrap();
    assert_eq!(profile.subnet, found.then(subnet));
    assert_eq!(profile.extensions, ["CustomScript", "Agent"]);
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_used_again() {
    let granted = |token: &str| {
        stub::json(200, json!({"token_type": "Bearer", "expires_in": 3599, "access_token": token}))
    };
    let entra = Stub::with([granted("revoked"), granted("fresh")]).await;
    let set = || stub::json(200, json!({"properties": {}}));
    let arm = Stub::with([set(), empty(403), empty(401), set(), set()]).await;
    let http = Http::new(Limits::default()).unwrap();
    let cloud = Cloud::custom(&arm.url, &entra.url, "s").unwrap();
    let tenant = "00000000-0000-0000-0000-00000000000a";
    let credential = Credential::client_secret(&http, &cloud, tenant, "c", &"secret".into()).unwrap();
    let client = ScaleSets::new(http, &cloud, Arc::new(credential), CallLog::default()).unwrap();
    let mut classes = Vec::new();
    for _ in 0..5 {
        classes.push(client.get(&id()).await.err().map(|error| error.class()));
    }
    assert_eq!(classes, [None, Some(Class::Forbidden), Some(Class::Unauthenticated), None, None]);
    let tokens: Vec<_> = arm.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(
        tokens,
        ["Bearer revoked", "Bearer revoked", "Bearer revoked", "Bearer fresh", "Bearer fresh"]
    );
    assert_eq!(entra.seen().len(), 2);
}
