//! Pools of Managed DevOps Pools, in every shape and field by field.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use poolkeeper_api::{
    agent_pool::{LifecycleType, Mode, Recycle, StandbyBasis},
    scale_set_binding::{Logon, OperatingSystem},
    standby_schedule::{ManualType, Preference},
};
use poolkeeper_import::Options;
use rstest::rstest;
use serde_json::{Value, json};
use support::{managed, managed_error, options};

const GALLERY: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/images/providers/Microsoft.Compute/galleries/ci/images/debian-build/versions/1.4.0";

fn office() -> Value {
    let day = json!({"09:00:00": 4, "17:00:00": 0});
    json!([{}, day, day, day, day, day, {}])
}

/// As Azure Resource Manager answers.
fn arm() -> Value {
    json!({
        "id": "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/ci/providers/Microsoft.DevOpsInfrastructure/pools/fabrikam-ci",
        "name": "fabrikam-ci", "type": "microsoft.devopsinfrastructure/pools", "location": "westeurope",
        "tags": {"cost": "build"}, "systemData": {"createdBy": "x"},
        "properties": {
            "provisioningState": "Succeeded", "maximumConcurrency": 12,
            "devCenterProjectResourceId": "/subscriptions/x/providers/Microsoft.DevCenter/projects/p",
            "organizationProfile": {
                "kind": "AzureDevOps",
                "organizations": [{"url": "https://dev.azure.com/fabrikam", "projects": ["web"], "parallelism": 12, "openAccess": false}],
                "permissionProfile": {"kind": "CreatorOnly"}
            },
            "agentProfile": {
                "kind": "Stateless",
                "resourcePredictions": {"timeZone": "Eastern Standard Time", "daysData": office()},
                "resourcePredictionsProfile": {"kind": "Manual"}
            },
            "fabricProfile": {
                "kind": "Vmss", "sku": {"name": "Standard_D4ads_v5"},
                "images": [
                    {"wellKnownImageName": "ubuntu-22.04/latest", "aliases": ["linux", "ubuntu"], "buffer": "70"},
                    {"resourceId": GALLERY, "buffer": "10", "ephemeralType": "Automatic"},
                    {"wellKnownImageName": "windows-2022", "buffer": "20"}
                ],
                "osProfile": {"logonType": "Interactive", "secretsManagementSettings": {
                    "observedCertificates": ["https://vault/secrets/c"], "keyExportable": false}},
                "storageProfile": {"osDiskStorageAccountType": "Standard", "dataDisks": []},
                "networkProfile": {"subnetId": "/subscriptions/x/subnets/s"}
            },
            "runtimeConfiguration": {"workFolder": "/mnt/storage/work"}
        }
    })
}

fn with(path: &str, value: Value) -> Value {
    let mut json = arm();
    *json.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value;
    json
}

fn without(path: &str) -> Value {
    with(path, Value::Null)
}

/// The text without its line breaks inside comments.
fn flat(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim_start().trim_start_matches("# "));
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_field_has_its_place() {
    let read = managed(&arm());
    let [pool] = &read.pools[..] else { panic!("one pool") };
    assert_eq!(pool.metadata.name.as_deref(), Some("fabrikam-ci"));
    let spec = &pool.spec;
    assert_eq!((spec.pool_name.as_str(), spec.mode, spec.max_agents), ("fabrikam-ci", Mode::Observe, 12));
    assert_eq!(spec.organization.url, "https://dev.azure.com/fabrikam");
    assert_eq!(spec.lifecycle.type_, LifecycleType::Stateless);
    assert_eq!(spec.lifecycle.stateless.as_ref().unwrap().recycle, Recycle::Replace);
    assert_eq!(spec.scale_in.as_ref().unwrap().idle_delay.as_deref(), Some("0s"));
    assert_eq!((spec.standby.agents, spec.standby.basis), (0, StandbyBasis::Total));
    let images = serde_json::to_value(&spec.images).unwrap();
    assert_eq!(
        images,
        json!([
            {"name": "linux", "aliases": ["ubuntu", "ubuntu-22.04"], "standbyPercent": 70},
            {"name": "debian-build", "aliases": [], "standbyPercent": 10},
            {"name": "windows-2022", "aliases": [], "standbyPercent": 20}
        ])
    );
    let schedule = read.schedule.as_ref().unwrap();
    assert_eq!(schedule.metadata.name.as_deref(), Some("fabrikam-ci"));
    assert_eq!(schedule.spec.time_zone, "America/New_York");
    let manual = schedule.spec.manual.as_ref().unwrap();
    let days = manual.weekdays.as_ref().unwrap();
    assert_eq!((days.start.as_str(), days.end.as_str(), days.agents), ("09:00", "17:00", 4));
    assert!(schedule.spec.automatic.is_none());

    let names: Vec<_> = read.bindings.iter().map(|b| b.metadata.name.clone().unwrap()).collect();
    assert_eq!(names, ["fabrikam-ci-linux", "fabrikam-ci-debian-build", "fabrikam-ci-windows-2022"]);
    let served: Vec<_> = read.bindings.iter().map(|b| b.spec.image_name.clone().unwrap()).collect();
    assert_eq!(served, ["linux", "debian-build", "windows-2022"]);
    for binding in &read.bindings {
        let windows = binding.spec.image_name.as_deref() == Some("windows-2022");
        let managed = binding.spec.agent_bootstrap.managed.as_ref().unwrap();
        assert_eq!(binding.spec.operating_system == OperatingSystem::Windows, windows);
        assert_eq!(managed.logon == Logon::Interactive, windows);
        let [work] = &managed.env[..] else { panic!("one variable") };
        assert_eq!(
            (work.name.as_str(), work.value.as_deref()),
            ("VSTS_AGENT_INPUT_WORK", Some("/mnt/storage/work"))
        );
        assert_eq!(binding.spec.scale_set.resource_id, "FILL IN");
    }
    let text = flat(&read.text);
    for words in [
        "rights on the pool are set in Azure DevOps: organizationProfile.organizations[0].openAccess false, organizationProfile.organizations[0].projects[0] \"web\", organizationProfile.permissionProfile.kind \"CreatorOnly\", devCenterProjectResourceId \"/subscriptions/x/providers/Microsoft.DevCenter/projects/p\"",
        "give the scale sets their own: tags.cost \"build\"",
        "Belongs to the scale set: location \"westeurope\"",
        "fabricProfile.sku.name \"Standard_D4ads_v5\"",
        "fabricProfile.networkProfile.subnetId \"/subscriptions/x/subnets/s\"",
        "fabricProfile.osProfile.secretsManagementSettings.observedCertificates[0] \"https://vault/secrets/c\"",
        "Belongs to the scale set of this image: ephemeralType \"Automatic\"",
        "agents on Linux cannot be",
        "Total counts busy agents too",
    ] {
        assert!(text.contains(words), "{words}: {}", read.text);
    }
    assert!(!text.contains("Left out") && !text.contains("createdBy"), "{}", read.text);
}

/// The same pool in every shape in which tools write it.
#[test]
fn the_shapes_of_a_pool() {
    let whole = arm();
    let spec = |json: &Value| {
        let read = managed(json);
        let bindings: Vec<Value> =
            read.bindings.iter().map(|b| serde_json::to_value(&b.spec).unwrap()).collect();
        let schedule = read.schedule.map(|schedule| serde_json::to_value(schedule.spec).unwrap());
        (serde_json::to_value(&read.pools[0].spec).unwrap(), schedule, bindings)
    };
    let expected = spec(&whole);
    // az mdp pool show.
    let mut flat = whole["properties"].clone();
    for key in ["id", "name", "type", "location", "tags", "systemData"] {
        flat[key] = whole[key].clone();
    }
    flat["resourceGroup"] = json!("ci");
    // az mdp pool create: the kind is a key, and keys may be spelt with dashes.
    let mut created = flat.clone();
    created["agentProfile"] = json!({"Stateless": {}, "resourcePredictionsProfile": {"Manual": {}},
        "resourcePredictions": {"time-zone": "Eastern Standard Time", "daysData": office()}});
    let mut fabric = whole["properties"]["fabricProfile"].clone();
    fabric.as_object_mut().unwrap().remove("kind");
    created["fabricProfile"] = json!({"vmss": fabric});
    let mut organization = whole["properties"]["organizationProfile"].clone();
    organization.as_object_mut().unwrap().remove("kind");
    created["organizationProfile"] = json!({"azure-dev-ops": organization});
    created["maximum-concurrency"] = json!(12);
    created.as_object_mut().unwrap().remove("maximumConcurrency");
    let mut template = whole.clone();
    template["apiVersion"] = json!("2025-09-20");
    template["dependsOn"] = json!([]);
    let other = json!({"type": "Microsoft.Network/virtualNetworks", "name": "[variables('vnet')]"});
    let schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
    let listed = json!({"$schema": schema, "contentVersion": "1.0.0.0", "resources": [other, template]});
    let symbolic = json!({"languageVersion": "2.0", "resources": {"net": other, "pool": template}});
    for json in [flat.clone(), created, listed, symbolic, json!([whole]), json!({"value": [flat]})] {
        assert_eq!(spec(&json), expected, "{json:#}");
    }
    assert!(managed_error(&json!([whole, whole])).contains("holds 2 pools"));
    let two = json!({"resources": [whole, whole]});
    assert!(managed_error(&two).contains("resources holds 2 pools; save one alone"));
    assert!(
        managed_error(&json!({"resources": [other]}))
            .contains("Microsoft.DevOpsInfrastructure/pools is missing")
    );
}

#[rstest]
#[case("https://dev.azure.com/fabrikam", "build-fabrikam")]
#[case("https://fabrikam.visualstudio.com/", "build-fabrikam")]
fn several_organizations_are_several_pools(#[case] url: &str, #[case] name: &str) {
    let organizations = json!([
        {"url": url, "parallelism": 3, "alias": "fabrikam-linux"},
        {"url": "https://dev.azure.com/contoso", "parallelism": 9}
    ]);
    let json = with("/properties/organizationProfile/organizations", organizations);
    let options = Options { name: Some("build".to_owned()), ..options() };
    let read = support::read(&poolkeeper_import::managed_pool(&json, &options).unwrap());
    let pools: Vec<_> = read
        .pools
        .iter()
        .map(|pool| (pool.metadata.name.clone().unwrap(), pool.spec.pool_name.clone(), pool.spec.max_agents))
        .collect();
    let text = |text: &str| text.to_owned();
    assert_eq!(
        pools,
        [(text(name), text("fabrikam-linux"), 3), (text("build-contoso"), text("fabrikam-ci"), 9)]
    );
    assert_eq!(read.bindings.len(), 6);
    for binding in &read.bindings {
        let name = binding.metadata.name.clone().unwrap();
        assert!(name.starts_with(&format!("{}-", binding.spec.pool_ref.name)), "{name}");
    }
    let text = flat(&read.text);
    assert!(text.contains("share them out, in one schedule for each"), "{}", read.text);
    assert!(text.contains("weekdays of the schedule wants 4 agents, above maxAgents"), "{}", read.text);
    assert!(text.contains("parallelism; maximumConcurrency is 12"), "{}", read.text);
}

#[rstest]
#[case(json!({"maxAgentLifetime": "7.00:00:00", "gracePeriodTimeSpan": "00:30:00"}), "7.00:00:00", "00:30:00")]
#[case(json!({"maxAgentLifetime": "1.12:00:00"}), "1.12:00:00", "0s")]
#[case(json!({}), "168h", "0s")]
fn agents_that_are_reused(#[case] spans: Value, #[case] lifetime: &str, #[case] grace: &str) {
    let mut profile = spans.clone();
    profile["kind"] = json!("Stateful");
    for profile in [profile, json!({"stateful": spans})] {
        let read = managed(&with("/properties/agentProfile", profile));
        let spec = &read.pools[0].spec;
        assert_eq!(spec.lifecycle.type_, LifecycleType::Stateful);
        let stateful = spec.lifecycle.stateful.as_ref().unwrap();
        assert_eq!(
            (stateful.max_agent_lifetime.as_str(), stateful.grace_period.as_deref()),
            (lifetime, Some(grace))
        );
        assert!(spec.scale_in.is_none() && spec.lifecycle.stateless.is_none());
        assert_eq!(spec.standby.basis, StandbyBasis::Total);
        assert!(read.schedule.is_none(), "no resourcePredictionsProfile is standby off");
    }
}

#[rstest]
#[case(json!({"kind": "Automatic", "predictionPreference": "BestPerformance"}), Preference::BestPerformance)]
#[case(json!({"kind": "Automatic", "predictionPreference": "mostCostEffective"}), Preference::MostCostEffective)]
#[case(json!({"kind": "Automatic"}), Preference::Balanced)]
#[case(json!({"automatic": {"predictionPreference": "MorePerformance"}}), Preference::MorePerformance)]
fn automatic(#[case] mode: Value, #[case] preference: Preference) {
    let read = managed(&with("/properties/agentProfile/resourcePredictionsProfile", mode));
    let schedule = read.schedule.unwrap().spec;
    assert_eq!(schedule.automatic.unwrap().preference, preference);
    assert!(schedule.manual.is_none(), "{}", read.text);
    assert!(!read.text.contains("Left out"), "{}", read.text);
}

#[test]
fn standby_that_is_off() {
    let read = managed(&without("/properties/agentProfile/resourcePredictionsProfile"));
    assert!(read.schedule.is_none());
    assert!(
        flat(&read.text).contains("resourcePredictions without resourcePredictionsProfile: standby is off")
    );
    let read = managed(&with("/properties/agentProfile/resourcePredictions/daysData", json!([{}])));
    assert!(read.schedule.is_none());
    assert!(flat(&read.text).contains("daysData never asks for an agent"));
}

#[test]
fn the_plans_of_a_week() {
    let manual = |days: Value| {
        let read = managed(&with("/properties/agentProfile/resourcePredictions/daysData", days));
        read.schedule.unwrap().spec.manual.unwrap()
    };
    let all = manual(json!([{"00:00:00": 3}]));
    assert_eq!((all.type_, all.all_week.unwrap().agents), (ManualType::AllWeek, 3));
    // One agent on Mondays until five.
    let periods = manual(json!([{}, {"00:00:00": 1, "05:00:00": 0}, {}, {}, {}, {}, {}])).periods.unwrap();
    let period = serde_json::to_value(&periods).unwrap();
    let expected =
        json!([{"name": "monday-0000", "startDay": "Monday", "start": "00:00", "end": "05:00", "agents": 1}]);
    assert_eq!(period, expected);
    // Over midnight, over the week's end, and to midnight itself.
    let periods = manual(
        json!([{"06:30:00": 0}, {}, {"22:00:00": 2}, {"06:00:00": 0}, {"12:00:00": 1, "24:00:00": 0}, {}, {"20:00:00": 5}]),
    );
    let period = serde_json::to_value(periods.periods.unwrap()).unwrap();
    let expected = json!([
        {"name": "tuesday-2200", "startDay": "Tuesday", "start": "22:00", "endDay": "Wednesday", "end": "06:00", "agents": 2},
        {"name": "thursday-1200", "startDay": "Thursday", "start": "12:00", "end": "24:00", "agents": 1},
        {"name": "saturday-2000", "startDay": "Saturday", "start": "20:00", "endDay": "Sunday", "end": "06:30", "agents": 5}
    ]);
    assert_eq!(period, expected);
}

#[test]
fn counts_above_the_maximum_are_said() {
    let read = managed(&with("/properties/maximumConcurrency", json!(3)));
    // The organization's own part stays what it was.
    assert_eq!(read.pools[0].spec.max_agents, 12);
    let mut json = with("/properties/maximumConcurrency", json!(3));
    json["properties"]["organizationProfile"]["organizations"][0]["parallelism"] = json!(3);
    let read = managed(&json);
    assert_eq!(read.pools[0].spec.max_agents, 3);
    assert!(
        flat(&read.text).contains("weekdays of the schedule wants 4 agents, above maxAgents"),
        "{}",
        read.text
    );
}

#[rstest]
#[case(json!([{"resourceId": GALLERY}]), json!([["debian-build", "*"]]), None)]
#[case(json!([{"resourceId": "/x/Publishers/canonical/Offers/0001/Skus/20_04-lts-gen2/versions/latest", "buffer": "*"}]), json!([["20_04-lts-gen2", "*"]]), None)]
#[case(json!([{"wellKnownImageName": "a", "buffer": 100}]), json!([["a", 100]]), None)]
#[case(json!([{"wellKnownImageName": "a", "buffer": "50"}, {"wellKnownImageName": "b"}]), json!([["a", "*"], ["b", "*"]]), Some("The shares 50, * do not add up to 100"))]
#[case(json!([{"wellKnownImageName": "a", "aliases": ["1", "2", "3", "4", "5", "6", "7", "8", "9"]}]), json!([["1", "*"]]), Some("1 has more aliases than the 8 that fit: a"))]
#[case(json!([{"resourceId": "[variables('image')]", "aliases": ["x"]}]), json!([["x", "*"]]), Some("resourceId \"[variables('image')]\""))]
fn images(#[case] list: Value, #[case] expected: Value, #[case] words: Option<&str>) {
    let read = managed(&with("/properties/fabricProfile/images", list));
    let found: Vec<Value> =
        read.pools[0].spec.images.iter().map(|image| json!([image.name, image.standby_percent])).collect();
    assert_eq!(Value::from(found), expected);
    let text = flat(&read.text);
    assert!(words.is_none_or(|words| text.contains(words)), "{}", read.text);
    assert_eq!(read.bindings.len(), read.pools[0].spec.images.len());
}

#[rstest]
#[case("/properties", json!(null), "properties is missing; give a pool of Managed DevOps Pools")]
#[case("/properties", json!({"kind": "Stateless"}), "properties is missing")]
#[case("/properties", json!("x"), "properties is \"x\"; it must be an object")]
#[case("/name", json!("[parameters('pool')]"), "name is the template expression [parameters('pool')]")]
#[case("/name", json!(null), "name is missing; name the pool")]
#[case("/properties/maximumConcurrency", json!(null), "properties.maximumConcurrency is missing")]
#[case("/properties/maximumConcurrency", json!("[parameters('most')]"), "properties.maximumConcurrency is the template expression")]
#[case("/properties/maximumConcurrency", json!(10001), "it must be a whole number from 1 to 10000")]
#[case("/properties/organizationProfile/kind", json!("GitHub"), "properties.organizationProfile is GitHub")]
#[case("/properties/organizationProfile/organizations", json!([]), "organizations is missing; name the organization")]
#[case("/properties/organizationProfile/organizations/0/url", json!("http://fabrikam"), "it must be an https address")]
#[case("/properties/organizationProfile/organizations/0/url", json!("https://a@b"), "it must be an https address")]
#[case("/properties/organizationProfile/organizations", json!([{"url": "https://a"}, {"url": "https://b"}]), "organizations[0].parallelism is missing")]
#[case("/properties/agentProfile", json!("[variables('agents')]"), "properties.agentProfile is the template expression")]
#[case("/properties/agentProfile", json!(null), "properties.agentProfile is missing")]
#[case("/properties/agentProfile/kind", json!("Reusable"), "it must be Stateless or Stateful")]
#[case("/properties/agentProfile", json!({"kind": "Stateful", "maxAgentLifetime": "8.00:00:00"}), "maxAgentLifetime is \"8.00:00:00\"; it must be a span of at most a week")]
#[case("/properties/agentProfile", json!({"kind": "Stateful", "gracePeriodTimeSpan": "P1D"}), "gracePeriodTimeSpan is \"P1D\"")]
#[case("/properties/agentProfile/resourcePredictions/timeZone", json!("Mars Standard Time"), "properties.agentProfile.resourcePredictions.timeZone: no time zone of Windows or of the tz database is called \"Mars Standard Time\"")]
#[case("/properties/agentProfile/resourcePredictions/daysData", json!([{"09:00:00": -4}]), "daysData[0].09:00:00 is -4")]
#[case("/properties/agentProfile/resourcePredictions/daysData", json!([{}, {}]), "daysData has 2 items")]
#[case("/properties/agentProfile/resourcePredictionsProfile", json!({"kind": "Psychic"}), "it must be Manual or Automatic")]
#[case("/properties/agentProfile/resourcePredictionsProfile", json!({"kind": "Automatic", "predictionPreference": "Fast"}), "predictionPreference is \"Fast\"")]
#[case("/properties/fabricProfile/kind", json!("Container"), "it must be Vmss")]
#[case("/properties/fabricProfile/images", json!([]), "images is missing; give at least one image")]
#[case("/properties/fabricProfile/images", json!([{}]), "images[0].resourceId is missing")]
#[case("/properties/fabricProfile/images", json!([{"resourceId": "[variables('i')]"}]), "images[0].resourceId is the template expression")]
#[case("/properties/fabricProfile/images", json!([{"wellKnownImageName": "a"}, {"wellKnownImageName": "b", "aliases": ["A"]}]), "images[1]: \"A\" leads to two images")]
#[case("/properties/fabricProfile/images", json!([{"wellKnownImageName": "a", "buffer": "101"}]), "buffer is \"101\"")]
#[case("/properties/fabricProfile/osProfile/logonType", json!("Desktop"), "it must be Service or Interactive")]
fn what_is_wrong_is_named(#[case] path: &str, #[case] value: Value, #[case] words: &str) {
    let error = managed_error(&with(path, value));
    assert!(error.contains(words), "{error}");
}

#[test]
fn what_is_no_pool() {
    for json in [json!(null), json!({}), json!({"Stateless": {}})] {
        assert!(managed_error(&json).contains("properties is missing"), "{json}");
    }
    for json in [json!(3), json!("x"), json!([3])] {
        assert!(managed_error(&json).contains("must be an object"), "{json}");
    }
}

/// No text of a definition becomes YAML.
#[test]
fn texts_cannot_escape_their_place() {
    let evil = "x\n---\nkind: Secret\nspec: {}\u{2028}a: b\u{85}c: d";
    for path in [
        "/name",
        "/tags/cost",
        "/location",
        "/properties/fabricProfile/sku/name",
        "/properties/fabricProfile/images/0/aliases/0",
        "/properties/fabricProfile/images/1/ephemeralType",
        "/properties/runtimeConfiguration/workFolder",
        "/properties/organizationProfile/organizations/0/projects/0",
    ] {
        let read = managed(&with(path, json!(evil)));
        assert_eq!((read.pools.len(), read.bindings.len()), (1, 3), "{path}: {}", read.text);
    }
}
