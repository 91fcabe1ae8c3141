use jiff::Timestamp;
use poolkeeper_api::{AgentPool, StandbySchedule};
use rstest::rstest;
use serde_json::json;

use super::*;

fn blame<K: Managed>(mut object: Value) -> String {
    object["metadata"] = json!({"name": "x", "namespace": "ci"});
    let problem = parse::<K>(&object).unwrap_err();
    path(&object, &problem, &|candidate| parse::<K>(candidate).err())
}

#[rstest]
#[case(json!({"timeZone": "UTC", "manual": {"type": "Sundays"}}), "spec.manual.type")]
#[case(json!({"boosts": 3, "timeZone": "UTC"}), "spec.boosts")]
#[case(
    json!({"manual": {"type": "Periods", "periods": [
        {"name": "a", "startDay": "Monday", "start": "08:00", "agents": 1},
        {"name": "b", "startDay": "Mondag", "start": "08:00", "agents": 1}]}}),
    "spec.manual.periods[b].startDay"
)]
#[case(json!({"manual": {}}), "spec.manual")]
#[case(json!({"exceptions": [{"from": "2026-12-24", "to": "2026-12-26"}]}), "spec.exceptions[0]")]
fn the_field_at_fault_is_named(#[case] spec: Value, #[case] expected: &str) {
    assert_eq!(blame::<StandbySchedule>(json!({"spec": spec})), expected);
}

#[test]
fn good_neighbours_are_not_blamed() {
    let spec = json!({
        "organization": {"url": "https://dev.azure.com/fabrikam"}, "poolName": "p", "maxAgents": 3,
        "mode": "Sleeping", "routing": {"ignoreDemands": ["a"]}
    });
    assert_eq!(blame::<AgentPool>(json!({"spec": spec})), "spec.mode");
}

#[test]
fn an_object_without_a_spec_is_named_as_a_whole() {
    assert_eq!(blame::<StandbySchedule>(json!({})), "the object");
}

#[test]
fn the_rest_of_the_status_stays() {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "reason": "R", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let before = json!({
        "operations": [{"id": "1"}],
        "conditions": [condition("Ready", "False"), condition("Reconciling", "True"), condition("StandbyMet", "True")]
    });
    let after = status(&before, false, "spec.mode: no", Some(4), Timestamp::UNIX_EPOCH);
    assert_eq!((&after["operations"], &after["observedGeneration"]), (&before["operations"], &json!(4)));
    let listed = after["conditions"].as_array().unwrap();
    let kinds: Vec<_> =
        listed.iter().map(|c| (c["type"].as_str().unwrap(), c["reason"].as_str().unwrap())).collect();
    assert_eq!(kinds, [("Ready", "InvalidSpec"), ("Stalled", "InvalidSpec"), ("StandbyMet", "R")]);
    assert_eq!(listed[0]["lastTransitionTime"], "2026-01-01T00:00:00Z", "Ready was False before");
    // Reported once: the second time there is nothing to write.
    assert_eq!(status(&after, false, "spec.mode: no", Some(4), Timestamp::MAX), after);
    assert_eq!(status(&before, true, "status: no", Some(4), Timestamp::UNIX_EPOCH).get("operations"), None);
}
