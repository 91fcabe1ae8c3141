//! The definitions of the three kinds.

// clippy.toml allows these in test functions only, not in what they call.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::{collections::BTreeSet, fs, path::Path};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use poolkeeper_api::{FINALIZER, GROUP, POOL_LABEL, VERSION, annotation, crd};
use rstest::rstest;
use serde::Deserialize;
use serde_json::{Value, json};

fn definition(kind: &str) -> CustomResourceDefinition {
    crd::all().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

fn schema(crd: &CustomResourceDefinition) -> Value {
    serde_json::to_value(&crd.spec.versions[0].schema).unwrap()["openAPIV3Schema"].take()
}

/// Calls `see` with every schema of a definition and its path, such as `spec.images[].name`.
fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        walk(property, &path, see);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{path}[]"), see);
    }
}

fn walk_all(mut see: impl FnMut(&str, &str, &Value)) {
    for crd in crd::all() {
        let kind = crd.spec.names.kind.clone();
        walk(&schema(&crd), "", &mut |path, schema| see(&kind, path, schema));
    }
}

#[rstest]
#[case("AgentPool", "agentpools", "agp")]
#[case("StandbySchedule", "standbyschedules", "sbs")]
#[case("ScaleSetBinding", "scalesetbindings", "ssb")]
fn names_are_as_documented(#[case] kind: &str, #[case] plural: &str, #[case] short: &str) {
    let crd = definition(kind);
    let names = &crd.spec.names;
    assert_eq!(crd.metadata.name, Some(format!("{plural}.{GROUP}")));
    assert_eq!((crd.spec.group.as_str(), crd.spec.scope.as_str()), (GROUP, "Namespaced"));
    assert_eq!(crd.spec.versions[0].name, VERSION);
    assert_eq!(names.plural, plural);
    assert_eq!(names.short_names, Some(vec![short.to_owned()]));
    assert_eq!(names.categories, Some(vec!["poolkeeper".to_owned()]));
}

#[test]
fn names_of_annotations_and_labels_are_of_the_group() {
    for name in [
        FINALIZER,
        POOL_LABEL,
        annotation::PAUSED,
        annotation::BOOST,
        annotation::DRAIN,
        annotation::SAVE,
        annotation::RELEASE_SAVED,
        annotation::RECONCILE,
    ] {
        assert_eq!(name.split_once('/').unwrap().0, GROUP, "{name}");
    }
}

#[rstest]
#[case(
    "AgentPool",
    "Ready Reason Queued Busy Idle Starting Standby Max Age | Mode Pool Schedule Limited-By Next-Change Message"
)]
#[case("StandbySchedule", "Ready Reason Now Source Next At Zone Age | Manual Automatic Message")]
#[case(
    "ScaleSetBinding",
    "Pool Ready Reason Image Busy Idle Total Age | Priority OS Size Location VM-Priority Start-P95 Message"
)]
fn columns_are_as_documented(#[case] kind: &str, #[case] expected: &str) {
    let crd = definition(kind);
    let columns = crd.spec.versions[0].additional_printer_columns.as_ref().unwrap();
    let of = |wide: bool| {
        let shown = columns.iter().filter(|column| (column.priority.unwrap_or(0) > 0) == wide);
        shown.map(|column| column.name.replace(' ', "-")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(format!("{} | {}", of(false), of(true)), expected);
}

/// A column whose path leads nowhere stays empty, and nobody notices.
#[test]
fn columns_show_fields_that_exist() {
    for crd in crd::all() {
        let mut paths = BTreeSet::new();
        walk(&schema(&crd), "", &mut |path, _| {
            paths.insert(format!(".{path}"));
        });
        for column in crd.spec.versions[0].additional_printer_columns.iter().flatten() {
            let path = column.json_path.replace(r#"[?(@.type=="Ready")]"#, "[]");
            assert!(paths.contains(&path) || path == ".metadata.creationTimestamp", "{path}");
        }
    }
}

#[test]
fn a_pool_can_be_scaled() {
    let crd = definition("AgentPool");
    let subresources = serde_json::to_value(&crd.spec.versions[0].subresources).unwrap();
    assert_eq!(
        subresources,
        json!({
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.standby.agents",
                "statusReplicasPath": ".status.standby.current",
                "labelSelectorPath": ".status.selector"
            }
        })
    );
}

#[rstest]
#[case("AgentPool", "spec.images", "map name")]
#[case("AgentPool", "spec.images[].aliases", "atomic")]
#[case("AgentPool", "spec.images[].capabilities", "map name")]
#[case("AgentPool", "spec.routing.ignoreDemands", "set")]
#[case("AgentPool", "spec.rollout.idleFirst.windows", "map name")]
#[case("AgentPool", "spec.rollout.idleFirst.windows[].days", "atomic")]
#[case("AgentPool", "spec.maintenance.days", "atomic")]
#[case("AgentPool", "status.conditions", "map type")]
#[case("AgentPool", "status.bindings", "map name")]
#[case("AgentPool", "status.savedAgents", "map vmID")]
#[case("AgentPool", "status.operations", "map id")]
#[case("AgentPool", "status.recentActions", "atomic")]
#[case("StandbySchedule", "spec.manual.periods", "map name")]
#[case("StandbySchedule", "spec.exceptions", "map name")]
#[case("StandbySchedule", "spec.boosts", "map name")]
#[case("StandbySchedule", "status.conditions", "map type")]
#[case("ScaleSetBinding", "spec.agentBootstrap.managed.afterExtensions", "set")]
#[case("ScaleSetBinding", "spec.agentBootstrap.managed.env", "map name")]
#[case("ScaleSetBinding", "status.conditions", "map type")]
#[case("ScaleSetBinding", "status.requirements", "map name")]
fn lists_are_merged_as_documented(#[case] kind: &str, #[case] list: &str, #[case] expected: &str) {
    let mut found = None;
    walk(&schema(&definition(kind)), "", &mut |path, schema| {
        if path == list {
            let type_ = schema["x-kubernetes-list-type"].as_str().unwrap_or("none");
            let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
            found =
                Some(keys.fold(type_.to_owned(), |text, key| format!("{text} {}", key.as_str().unwrap())));
        }
    });
    assert_eq!(found.as_deref(), Some(expected));
}

#[test]
fn a_list_says_how_it_is_merged_and_one_with_a_default_is_atomic() {
    walk_all(|kind, path, schema| {
        if schema["type"] == "array" {
            let list_type = &schema["x-kubernetes-list-type"];
            assert!(list_type.is_string(), "{kind} {path}");
            assert!(schema.get("default").is_none() || list_type == "atomic", "{kind} {path}");
        }
    });
}

/// The cost of a rule is estimated from the most that a field can hold.
#[test]
fn every_text_and_list_of_a_spec_is_bounded() {
    walk_all(|kind, path, schema| {
        if !path.starts_with("spec") || schema.get("enum").is_some() || schema.get("format").is_some() {
            return;
        }
        let bound = match schema["type"].as_str() {
            Some("string") => "maxLength",
            Some("array") => "maxItems",
            Some("integer") => "maximum",
            None => "maxLength",
            Some(_) => return,
        };
        assert!(schema.get(bound).is_some(), "{kind} {path} has no {bound}");
    });
}

#[test]
fn every_field_is_described() {
    walk_all(|kind, path, schema| {
        let own = path.starts_with("spec") || path.starts_with("status");
        if own && !path.ends_with("[]") {
            assert!(schema["description"].is_string(), "{kind} {path}");
        }
    });
}

#[test]
fn nothing_is_nullable_and_a_status_has_neither_defaults_nor_closed_lists() {
    walk_all(|kind, path, schema| {
        assert!(schema.get("nullable").is_none(), "{kind} {path}");
        if path.starts_with("status") {
            assert!(schema.get("default").is_none() && schema.get("enum").is_none(), "{kind} {path}");
        }
    });
}

#[derive(Deserialize)]
struct Case {
    name: String,
    base: String,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Accepted(String),
    Refused { field: String, message: String },
}

/// A path as the API server writes it, without the numbers of list items.
fn without_numbers(path: &str) -> String {
    path.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Every rule has a case that the API server must refuse with the rule's words at the rule's field.
#[test]
fn every_rule_has_a_case() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/crd/cases.yaml");
    let cases: Vec<Case> = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut refusals = Vec::new();
    for case in &cases {
        match &case.expect {
            Expect::Accepted(word) => assert_eq!(word, "accepted", "{}", case.name),
            Expect::Refused { field, message } => {
                refusals.push((&case.base, without_numbers(field), message));
            }
        }
    }

    let mut rules = 0;
    walk_all(|kind, path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let message = rule["message"].as_str().unwrap();
            let at = format!("{path}{}", rule["fieldPath"].as_str().unwrap_or_default());
            let at = at.trim_start_matches('.');
            let suffix = match kind {
                "AgentPool" => "-pool",
                "StandbySchedule" => "-schedule",
                _ => "-binding",
            };
            let tried = refusals.iter().any(|(base, field, part)| {
                // The server puts its own words before a message when the rule itself fails, as with a bad zone.
                let ours = part.rsplit("evaluating rule: ").next().unwrap_or(part);
                base.ends_with(suffix) && field == at && message.contains(ours)
            });
            assert!(tried, "no case for {kind} {at}: {message}");
        }
    });
    assert_eq!(rules, 70);
}

#[test]
fn names_of_cases_are_unique() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/crd/cases.yaml");
    let cases: Vec<Case> = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut names = BTreeSet::new();
    for case in cases {
        assert!(names.insert(case.name.clone()), "{} stands twice", case.name);
    }
}
