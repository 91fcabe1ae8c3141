use serde_json::json;

use super::*;

fn pool(mode: &str, conditions: &serde_json::Value) -> AgentPool {
    serde_json::from_value(json!({
        "apiVersion": "poolkeeper.dev/v1alpha1", "kind": "AgentPool",
        "metadata": {"name": "build", "generation": 2},
        "spec": {
            "organization": {"url": "https://dev.azure.com/fabrikam"}, "poolName": "build", "maxAgents": 4, "mode": mode,
        },
        "status": {"observedGeneration": 2, "conditions": conditions},
    }))
    .unwrap()
}

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> serde_json::Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2026-11-23T08:00:00Z",
    })
}

fn binding(conditions: &[serde_json::Value]) -> ScaleSetBinding {
    serde_json::from_value(json!({
        "apiVersion": "poolkeeper.dev/v1alpha1", "kind": "ScaleSetBinding", "metadata": {"name": "d4"},
        "spec": {
            "poolRef": {"name": "build"},
            "scaleSet": {"resourceID": "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/d4"},
        },
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

#[test]
fn only_a_pool_that_is_observed_is_taken_over() {
    let reachable = condition("OrganizationReachable", "True", "Reachable", "");
    let observing = json!([condition("Ready", "True", "Observing", ""), reachable]);
    assert!(observed(&pool("Observe", &observing)).passed);
    assert!(!observed(&pool("Active", &observing)).passed);
    assert!(!observed(&pool("Paused", &observing)).passed);
    assert!(!observed(&pool("Observe", &json!([]))).passed);
    let refused = json!([condition("Ready", "False", "CredentialsRejected", "replace the token")]);
    let step = observed(&pool("Observe", &refused));
    assert_eq!(step, no("AgentPool build: CredentialsRejected: replace the token"));
    // What cannot be read is not empty, and a pause by annotation is one.
    let unread = json!([
        condition("Ready", "True", "Observing", ""),
        condition("OrganizationReachable", "False", "Throttled", "429"),
    ]);
    assert_eq!(observed(&pool("Observe", &unread)), no("AgentPool build: Throttled: 429"));
    let held = json!([
        condition("Ready", "True", "Observing", ""),
        condition("OrganizationReachable", "True", "Reachable", ""),
        condition("Holding", "True", "SourceMissing", "scale set of d4: 500"),
    ]);
    assert!(!observed(&pool("Observe", &held)).passed);
    assert!(!observed(&pool("Observe", &json!([condition("Ready", "True", "Observing", "")]))).passed);
    let paused = json!([
        condition("Ready", "True", "Paused", ""),
        condition("OrganizationReachable", "True", "Reachable", ""),
    ]);
    assert!(!observed(&pool("Observe", &paused)).passed);
    let mut edited = pool("Observe", &observing);
    edited.metadata.generation = Some(3);
    assert!(!observed(&edited).passed, "the last spec was not looked at yet");
}

#[test]
fn a_scale_set_of_somebody_else_stops_it() {
    let reachable = condition("ScaleSetReachable", "True", "Reachable", "");
    let met = condition("RequirementsMet", "True", "Met", "");
    let free = condition("Claimed", "False", "NotWanted", "mode Observe claims nothing");
    assert!(usable(&binding(&[reachable.clone(), met.clone(), free.clone()])).passed);
    let used = condition("Claimed", "False", "ScaleSetInUse", "tag _AzureDevOpsElasticPool: linux-old");
    let unknown = condition("RequirementsMet", "Unknown", "NotObserved", "");
    let step = usable(&binding(&[reachable.clone(), unknown, used]));
    assert!(!step.passed && step.words.contains("linux-old"), "{step:?}");
    let unmet = condition("RequirementsMet", "False", "Unmet", "overprovisioning is on: az vmss update");
    assert!(usable(&binding(&[reachable.clone(), unmet, free.clone()])).words.contains("az vmss update"));
    assert!(!usable(&binding(&[reachable, free])).passed, "what was not looked at has not passed");
    assert!(!usable(&binding(&[condition("Stalled", "True", "PoolNotFound", "create it"), met])).passed);
}

fn view(agents: &[(&str, Option<i64>, Option<i64>)]) -> PoolView {
    let agents = agents.iter().map(|(name, agent, job)| {
        json!({
            "name": name, "vmID": format!("vm-{name}"), "instanceID": "1", "binding": "d4", "state": "Idle",
            "agent": agent, "job": job, "enabled": true, "online": true, "why": "",
        })
    });
    serde_json::from_value(json!({
        "namespace": "ci", "name": "build", "now": "2026-11-23T08:00:00Z", "madeAt": "2026-11-23T08:00:00Z",
        "decision": {"desired": 1, "limitedBy": "Nothing", "sum": "", "why": ""},
        "agents": agents.collect::<Vec<_>>(), "jobs": [], "records": [],
    }))
    .unwrap()
}

#[test]
fn a_vm_without_an_agent_may_run_another_pools_job() {
    let live = view(&[("a", Some(1), Some(7)), ("b", Some(2), None)]);
    let steps = known(&live, &[], false);
    assert_eq!(steps, [ok("2 VMs have agents in the pool and are adopted, 1 with a job")]);
    let unknown = view(&[("a", Some(1), None), ("c", None, None)]);
    assert!(known(&unknown, &[], false).iter().any(|step| !step.passed && step.words.contains("(c)")));
    assert!(known(&unknown, &[], true).iter().all(|step| step.passed));
}

#[test]
fn who_went_meanwhile_is_named() {
    let before = view(&[("a", Some(1), None), ("b", Some(2), None), ("c", None, None)]);
    let after = view(&[("a", Some(1), None), ("b", Some(9), None)]);
    let text = adopted(&before, &after);
    assert_eq!(
        text,
        "note     b has gone meanwhile: poolkeeper diagnostics says why\n\
         done     1 agents are adopted as they are, 1 have gone meanwhile\n"
    );
}
