//! The simulated world of the mistakes, and manifests without a mistake.

use serde_json::{Value, json};

use crate::support::merge;

/// The token that may see every pool.
pub(crate) const TOKEN: &str = "pat-8c1f6e52d94b";
/// A token that may not see the pool `forbidden-pool`.
pub(crate) const NARROW_TOKEN: &str = "pat-narrow-51d07be3";
/// A token that nobody issued.
pub(crate) const WRONG_TOKEN: &str = "pat-wrong-f00d4a77";
/// The client secret of the client that may write to [`SUBSCRIPTION`].
pub(crate) const CLIENT_SECRET: &str = "client-secret-5b39ac71";
/// The client secret of the client that may write to [`OTHER_SUBSCRIPTION`].
pub(crate) const OTHER_CLIENT_SECRET: &str = "client-secret-other-e2a8";
/// A client secret that nobody issued.
pub(crate) const WRONG_CLIENT_SECRET: &str = "client-secret-wrong-0d1e";

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const OTHER_CLIENT: &str = "00000000-0000-0000-0000-00000000000c";
/// A client that may not read autoscale settings.
pub(crate) const BLIND_CLIENT: &str = "00000000-0000-0000-0000-00000000000d";
/// Its client secret.
pub(crate) const BLIND_CLIENT_SECRET: &str = "client-secret-blind-77c3";
pub(crate) const SUBSCRIPTION: &str = "00000000-1111-2222-3333-444444444444";
const OTHER_SUBSCRIPTION: &str = "00000000-1111-2222-3333-555555555555";
const NAMESPACE: &str = "ci";

pub(crate) fn set_id(subscription: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
    )
}

/// The id of a scale set of the world.
pub(crate) fn resource_id(name: &str) -> String {
    set_id(if name == "forbidden-set" { OTHER_SUBSCRIPTION } else { SUBSCRIPTION }, name)
}

fn object(kind: &str, name: &str, mut spec: Value, change: &Value) -> Value {
    merge(&mut spec, change);
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    json!({"apiVersion": "poolkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// A Secret with one key.
pub(crate) fn secret(name: &str, key: &str, value: &str) -> Value {
    let metadata = json!({"name": name, "namespace": NAMESPACE});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: value}})
}

/// A pool without a mistake, and what is changed in its spec.
pub(crate) fn pool(url: &str, name: &str, change: &Value) -> Value {
    let credentials = json!({"type": "PersonalAccessToken", "secretRef": {"name": "azure-devops"}});
    let spec = json!({
        "organization": {"url": url, "credentials": credentials},
        "poolName": name, "maxAgents": 2, "standby": {"agents": 1},
    });
    object("AgentPool", name, spec, change)
}

/// A binding without a mistake, and what is changed in its spec.
pub(crate) fn binding(name: &str, change: &Value) -> Value {
    let spec = json!({
        "poolRef": {"name": name}, "scaleSet": {"resourceID": resource_id(name)},
        "credentials": {"type": "ServicePrincipal", "tenantID": TENANT, "clientID": CLIENT, "secretRef": {"name": "azure"}},
        "agentBootstrap": {"type": "External"},
    });
    object("ScaleSetBinding", name, spec, change)
}

pub(crate) fn schedule(name: &str, manual: &Value) -> Value {
    object("StandbySchedule", name, json!({"timeZone": "UTC", "manual": manual}), &json!({}))
}

/// The Secret of a pool.
pub(crate) fn secret_ref(name: &str) -> Value {
    json!({"organization": {"credentials": {"secretRef": {"name": name}}}})
}

/// Older objects that keep two of the cases from what they want, a pool that works until its token expires, and one that
/// nothing is wrong with.
pub(crate) fn first(url: &str) -> Vec<Value> {
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        secret("azure-devops", "token", TOKEN),
        secret("azure", "clientSecret", CLIENT_SECRET),
        pool(url, "healthy", &json!({})),
        binding("healthy", &json!({})),
        secret("token-expired", "token", TOKEN),
        pool(url, "token-expired", &secret_ref("token-expired")),
        binding("token-expired", &json!({})),
        pool(url, "first-of-two", &json!({"poolName": "duplicate", "standby": {"agents": 0}})),
        pool(url, "first-of-set", &json!({"standby": {"agents": 0}})),
        binding("first-of-set", &json!({"scaleSet": {"resourceID": resource_id("bound-twice")}})),
    ]
}

/// The world of all cases: VMs start in 30 s, so that mending does not take long.
pub(crate) fn world(cases: &[&str], now: &str) -> Value {
    let timings = json!({"create": "20s", "register": "5s", "reimage": "20s", "delete": "10s"});
    let set = |name: &str, pool: &str| {
        json!({
            "resourceID": resource_id(name), "computerNamePrefix": format!("{name}-"), "quota": 3, "timings": timings,
            "agents": {"organization": "fabrikam", "pool": pool, "run": "Once"},
        })
    };
    let mut sets: Vec<Value> = cases.iter().chain(&["healthy"]).map(|name| set(name, name)).collect();
    for (name, case, change) in crate::requirements::scale_sets() {
        let mut unmet = set(&name, case);
        merge(&mut unmet, &change);
        sets.push(unmet);
    }
    for set in &mut sets {
        if set["resourceID"] == resource_id("foreign-claim") {
            set["tags"] = json!({"_AzureDevOpsElasticPool": "linux-old", "_AzureDevOpsElasticPoolTimeStamp": now, "team": "ci"});
        }
    }
    let names = cases.iter().copied().chain(["healthy", "first-of-set", "sized-by-azure-devops"]);
    let pools: Vec<Value> = (1..)
        .zip(names)
        .map(|(id, name)| {
            let options = if name == "sized-by-azure-devops" { "elasticPool" } else { "none" };
            json!({"id": id, "name": name, "options": options})
        })
        .collect();
    let forbidden: Vec<&Value> =
        pools.iter().filter(|pool| pool["name"] == "forbidden-pool").map(|pool| &pool["id"]).collect();
    let tokens = json!([{"value": TOKEN}, {"value": NARROW_TOKEN, "forbiddenPools": forbidden}]);
    json!({
        "clients": [
            {"tenantID": TENANT, "clientID": CLIENT, "secret": CLIENT_SECRET, "subscriptions": [SUBSCRIPTION]},
            {"tenantID": TENANT, "clientID": OTHER_CLIENT, "secret": OTHER_CLIENT_SECRET, "subscriptions": [OTHER_SUBSCRIPTION]},
            {"tenantID": TENANT, "clientID": BLIND_CLIENT, "secret": BLIND_CLIENT_SECRET, "subscriptions": [SUBSCRIPTION], "denied": ["Autoscale"]},
        ],
        "scaleSets": sets,
        "organizations": [{"name": "fabrikam", "tokens": tokens, "pools": pools}],
    })
}

/// A token of Entra for the scale sets: where to ask, and the form.
pub(crate) fn token_request(simulator: &str) -> (String, [(&'static str, &'static str); 4]) {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("client_secret", CLIENT_SECRET),
        ("scope", "https://management.azure.com/.default"),
    ];
    (format!("{simulator}/{TENANT}/oauth2/v2.0/token"), form)
}
