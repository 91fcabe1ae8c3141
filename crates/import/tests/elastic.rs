//! Elastic pools of Azure DevOps, field by field.
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
};
use poolkeeper_import::Options;
use rstest::rstest;
use serde_json::{Value, json};
use support::{elastic, elastic_error, options};

const SET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux-d4";

/// As the REST API answers, with the pool's own JSON beside it.
fn pool(change: &Value) -> Value {
    let mut elastic = json!({
        "poolId": 44, "serviceEndpointId": "5d0c1c52-7f3f-4c0e-8d54-0f6f1d1f9a11",
        "serviceEndpointScope": "6f0e1c52-7f3f-4c0e-8d54-0f6f1d1f9a12", "azureId": SET, "maxCapacity": 10,
        "desiredIdle": 2, "recycleAfterEachUse": true, "maxSavedNodeCount": 1, "osType": "linux", "state": "online",
        "offlineSince": null, "desiredSize": 3, "sizingAttempts": 0, "agentInteractiveUI": false,
        "timeToLiveMinutes": 45, "orchestrationType": "uniform"
    });
    for (key, value) in change.as_object().unwrap() {
        elastic[key] = value.clone();
    }
    let agent_pool = json!({
        "id": 44, "name": "linux-build", "autoProvision": false, "autoUpdate": true, "isHosted": false,
        "options": "elasticPool, preserveAgentOnJobFailure"
    });
    json!({"elasticPool": elastic, "agentPool": agent_pool})
}

#[test]
fn every_field_has_its_place() {
    let read = elastic(&pool(&json!({})));
    let [pool] = &read.pools[..] else { panic!("one pool") };
    assert_eq!(pool.metadata.name.as_deref(), Some("linux-build"));
    assert_eq!(pool.metadata.namespace.as_deref(), Some("ci"));
    let spec = &pool.spec;
    assert_eq!(spec.organization.url, "https://dev.azure.com/fabrikam");
    assert_eq!((spec.pool_name.as_str(), spec.mode, spec.max_agents), ("linux-build", Mode::Observe, 10));
    assert_eq!((spec.standby.agents, spec.standby.basis), (2, StandbyBasis::Idle));
    assert!(spec.images.is_empty() && spec.standby.schedule_ref.is_none());
    assert_eq!(spec.scale_in.as_ref().unwrap().idle_delay.as_deref(), Some("45m"));
    assert_eq!(spec.lifecycle.type_, LifecycleType::Stateless);
    assert_eq!(spec.lifecycle.stateless.as_ref().unwrap().recycle, Recycle::Reimage);
    assert_eq!(spec.unhealthy.save_for_investigation, 1);
    assert_eq!(spec.scale_out, Default::default());
    let [binding] = &read.bindings[..] else { panic!("one binding") };
    assert_eq!(binding.metadata.name.as_deref(), Some("linux-build-linux-d4"));
    let spec = &binding.spec;
    assert_eq!((spec.pool_ref.name.as_str(), spec.scale_set.resource_id.as_str()), ("linux-build", SET));
    assert_eq!(spec.operating_system, OperatingSystem::Linux);
    assert_eq!(spec.take_over_from.as_deref(), Some("linux-build"));
    assert_eq!(spec.image_name, None);
    assert_eq!(spec.agent_bootstrap, Default::default());
    let joined = read.text.replace("\n  # ", " ").replace("\n    # ", " ");
    for words in [
        "The service connection 5d0c1c52-7f3f-4c0e-8d54-0f6f1d1f9a11 of project 6f0e1c52-7f3f-4c0e-8d54-0f6f1d1f9a12 has no equal.",
        "autoUpdate (true), autoProvision (false) and preserveAgentOnJobFailure (true) stay settings of the pool",
        "scaleOut: {strategy: ElasticPool}",
        "type: PersonalAccessToken",
        "Observe decides and explains",
    ] {
        assert!(joined.contains(words), "{words}: {}", read.text);
    }
    assert!(!read.text.contains("Secret\n") && !read.text.contains("Left out"), "{}", read.text);
}

#[test]
fn agents_that_are_reused() {
    let read = elastic(&pool(&json!({"recycleAfterEachUse": false, "maxSavedNodeCount": 0})));
    let spec = &read.pools[0].spec;
    assert_eq!(spec.lifecycle.type_, LifecycleType::Stateful);
    assert!(spec.lifecycle.stateless.is_none() && spec.lifecycle.stateful.is_none());
    assert!(read.text.contains("Agents now live at most 7 days"), "{}", read.text);
    assert!(!read.text.contains("saveForInvestigation"), "{}", read.text);
}

#[rstest]
#[case("windows", true, Logon::Interactive, None)]
#[case("Windows", false, Logon::Service, None)]
#[case("linux", true, Logon::Service, Some("agents on Linux cannot be"))]
fn desktops(
    #[case] system: &str,
    #[case] interactive: bool,
    #[case] logon: Logon,
    #[case] words: Option<&str>,
) {
    let read = elastic(&pool(&json!({"osType": system, "agentInteractiveUI": interactive})));
    let spec = &read.bindings[0].spec;
    assert_eq!(spec.agent_bootstrap.managed.clone().unwrap_or_default().logon, logon);
    assert_eq!(spec.operating_system == OperatingSystem::Windows, system.eq_ignore_ascii_case("windows"));
    assert_eq!(read.text.contains("cannot be"), words.is_some(), "{}", read.text);
}

#[rstest]
#[case(json!({"desiredIdle": 11}), "desiredIdle is 11, which is above maxCapacity", "agents: 10")]
#[case(json!({"timeToLiveMinutes": 20000}), "timeToLiveMinutes is 20000; idleDelay is at most a week", "idleDelay: 10080m")]
#[case(json!({"maxSavedNodeCount": 12}), "maxSavedNodeCount is 12; at most 10 can be kept", "saveForInvestigation: 10")]
#[case(json!({"maxSavedNodeCount": 120, "maxCapacity": 200}), "at most 100 can be kept", "saveForInvestigation: 100")]
#[case(json!({"orchestrationType": "flexible"}), "Reimage needs an ephemeral OS disk", "recycle: Reimage")]
#[case(json!({"newSetting": {"a": [true, "x\ny"]}}), "Left out, unknown to poolkeeper: newSetting.a[0] true, newSetting.a[1] \"x\\ny\"", "spec:")]
#[case(json!({"timeToLiveMinutes": 0}), "", "idleDelay: 0m")]
fn bounds_and_the_unknown(#[case] change: Value, #[case] words: &str, #[case] yaml: &str) {
    let read = elastic(&pool(&change));
    let joined = read.text.replace("\n  # ", " ").replace("\n      # ", " ");
    assert!(joined.contains(words), "{}", read.text);
    assert!(read.text.contains(yaml), "{}", read.text);
}

#[rstest]
#[case(json!({"azureId": null}), "elasticPool.azureId is missing")]
#[case(json!({"azureId": "linux-d4"}), "elasticPool.azureId is \"linux-d4\"; it must be the resource id")]
#[case(json!({"azureId": SET.replace("444444444444", "4444")}), "it must be the resource id")]
#[case(json!({"azureId": "[resourceId('x')]"}), "elasticPool.azureId is the template expression [resourceId('x')]")]
#[case(json!({"maxCapacity": null}), "elasticPool.maxCapacity is missing")]
#[case(json!({"maxCapacity": 0}), "elasticPool.maxCapacity is 0; it must be a whole number from 1 to 10000")]
#[case(json!({"maxCapacity": "10"}), "elasticPool.maxCapacity is \"10\"; it must be a whole number")]
#[case(json!({"desiredIdle": -1}), "elasticPool.desiredIdle is -1")]
#[case(json!({"desiredIdle": 1.5}), "elasticPool.desiredIdle is 1.5")]
#[case(json!({"recycleAfterEachUse": "yes"}), "elasticPool.recycleAfterEachUse is \"yes\"; it must be true or false")]
#[case(json!({"osType": "beos"}), "elasticPool.osType is \"beos\"; it must be linux or windows")]
#[case(json!({"orchestrationType": "loose"}), "it must be uniform or flexible")]
#[case(json!({"timeToLiveMinutes": -1}), "elasticPool.timeToLiveMinutes is -1")]
fn what_is_wrong_is_named(#[case] change: Value, #[case] words: &str) {
    let error = elastic_error(&pool(&change));
    assert!(error.contains(words), "{error}");
}

#[test]
fn the_shapes_of_an_answer() {
    let whole = pool(&json!({}));
    let alone = whole["elasticPool"].clone();
    let given = Options { pool: Some("linux-build".to_owned()), ..options() };
    let expected = poolkeeper_import::elastic_pool(&alone, &given).unwrap();
    for json in [json!([alone]), json!({"count": 1, "value": [alone]})] {
        assert_eq!(poolkeeper_import::elastic_pool(&json, &given).unwrap(), expected);
    }
    assert!(elastic_error(&alone).contains("agentPool.name is missing; name the pool (--pool)"));
    let nobodys = Options { organization: None, ..options() };
    let error = poolkeeper_import::elastic_pool(&whole, &nobodys).unwrap_err().to_string();
    assert!(error.contains("--organization"), "{error}");
    let odd = Options { organization: Some("https://dev.azure.com/fabrikam?x=y".to_owned()), ..options() };
    let error = poolkeeper_import::elastic_pool(&whole, &odd).unwrap_err().to_string();
    assert!(error.contains("must be an https address without user, query or fragment"), "{error}");
    assert!(elastic_error(&json!({"value": [alone, alone]})).contains("value holds 2 pools; save one alone"));
    assert!(elastic_error(&json!([])).contains("the definition holds 0 pools"));
    for json in [json!(null), json!({})] {
        assert!(elastic_error(&json).contains("missing"));
    }
    for json in [json!("x"), json!(3), json!([3]), json!({"elasticPool": 3})] {
        assert!(elastic_error(&json).contains("must be an object"), "{json}");
    }
}

#[test]
fn names_and_namespaces() {
    let json = pool(&json!({}));
    let named = |name: &str, namespace: Option<&str>| {
        let options =
            Options { name: Some(name.to_owned()), namespace: namespace.map(str::to_owned), ..options() };
        poolkeeper_import::elastic_pool(&json, &options)
    };
    let read = support::read(&named("west", None).unwrap());
    assert_eq!(read.pools[0].metadata.name.as_deref(), Some("west"));
    assert_eq!(read.pools[0].metadata.namespace, None);
    assert_eq!(read.pools[0].spec.pool_name, "linux-build");
    for (name, namespace) in [("West", None), ("", None), ("west", Some("a b")), ("west\nspec: {}", None)] {
        assert!(named(name, namespace).unwrap_err().to_string().contains("cannot be"), "{name}");
    }
    let mut odd = json.clone();
    odd["agentPool"]["name"] = json!("Łinux: \"Build\" #1\nkind: Secret");
    let read = elastic(&odd);
    assert_eq!(read.pools[0].metadata.name.as_deref(), Some("inux-build-1-kind-secret"));
    assert_eq!(read.pools[0].spec.pool_name, "Łinux: \"Build\" #1\nkind: Secret");
    odd["agentPool"]["name"] = json!("日本");
    assert!(elastic_error(&odd).contains("(--name)"));
}

#[test]
fn what_is_not_json() {
    assert!(poolkeeper_import::json("{").unwrap_err().to_string().contains("not JSON"));
    assert_eq!(poolkeeper_import::json("\u{feff}{}\r\n").unwrap(), json!({}));
}
