//! 300 scale sets of one subscription and region, and the pools and bindings that they serve.

use anyhow::{Context, Result};
use poolkeeper_harness::quickstart::{ExampleWorld, NAMESPACE, Quickstart, list, merge};
use poolkeeper_harness::stage::Stage;
use serde_json::{Value, json};

/// All of one organisation.
pub(crate) const POOLS: usize = 10;
/// Of each pool.
pub(crate) const IMAGES: usize = 15;
/// Of each image: one that is used first, and one that takes over where the first cannot.
const SETS: usize = 2;
/// All scale sets.
pub(crate) const ALL_SETS: usize = POOLS * IMAGES * SETS;

/// An AgentPool, and its pool in Azure DevOps.
pub(crate) fn pool(pool: usize) -> String {
    format!("pool-{:02}", pool + 1)
}

pub(crate) fn image(image: usize) -> String {
    format!("image-{:02}", image + 1)
}

/// A scale set, and its ScaleSetBinding.
pub(crate) fn scale_set(pool: usize, image: usize, which: usize) -> String {
    format!("set-{:03}", (pool * IMAGES + image) * SETS + which + 1)
}

fn all() -> impl Iterator<Item = (usize, usize, usize)> {
    (0..POOLS)
        .flat_map(|pool| (0..IMAGES).flat_map(move |image| (0..SETS).map(move |which| (pool, image, which))))
}

/// Values of the chart: the operator's own identity may serve these scale sets. So many bindings with a Secret each
/// would make the API server the bottleneck of a fast clock.
pub(crate) fn values() -> Value {
    json!({"ownIdentity": {"namespaces": [NAMESPACE], "scaleSetPrefixes": [PREFIX]}})
}

/// Of the scale sets of the example.
const PREFIX: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents";

/// The world: scale sets like that of the example, and Azure's limits enforced.
pub(crate) fn world() -> Result<ExampleWorld> {
    let example = ExampleWorld::read()?;
    let like = example.scale_set().context("the example world has no scale set")?.clone();
    let mut sets = Vec::new();
    for (pool_index, image_index, which) in all() {
        let name = scale_set(pool_index, image_index, which);
        let mut set = like.clone();
        let id = resource_id(&like, &name)?;
        let agents = json!({"pool": pool(pool_index), "capabilities": {"ImageOverride": image(image_index)}});
        // The prefix ends where the six digits of each computer name begin.
        merge(&mut set, &json!({"resourceID": id, "computerNamePrefix": name, "agents": agents}));
        sets.push(set);
    }
    let pools: Vec<Value> = (0..POOLS).map(|index| json!({"id": index + 1, "name": pool(index)})).collect();
    // The client of the example is the identity of the operator's machine.
    let identity = example.clients().first().and_then(|client| client.get("clientID")).cloned();
    let world = example.with("/organizations/0", "pools", pools.into());
    let world = world.with("", "managedIdentities", identity.into_iter().collect());
    Ok(world.with("", "scaleSets", sets.into()).with("", "throttling", "Enforced".into()))
}

/// Pools and bindings like those of the example.
pub(crate) fn manifests(stage: &Stage) -> Result<String> {
    let example = Quickstart::read(&stage.simulator, stage.world(), &json!({}))?;
    let mut items = Vec::new();
    // Secrets first, so that nobody looks for them in vain.
    let is_secret = |item: &&Value| item.get("kind").and_then(Value::as_str) == Some("Secret");
    items.extend(example.items().iter().filter(is_secret).cloned());
    for item in example.items().iter().filter(|item| !is_secret(item)) {
        match item.get("kind").and_then(Value::as_str) {
            Some("AgentPool") => items.extend((0..POOLS).map(|index| agent_pool(item, index))),
            Some("ScaleSetBinding") => {
                for (pool, image, which) in all() {
                    items.push(binding(item, pool, image, which)?);
                }
            }
            Some(_) | None => items.push(item.clone()),
        }
    }
    Ok(list(&items))
}

fn agent_pool(like: &Value, index: usize) -> Value {
    let images: Vec<Value> = (0..IMAGES).map(|index| json!({"name": image(index)})).collect();
    // Without standby each wait depends on what the operator does about it, and how soon.
    let spec = json!({
        "poolName": pool(index),
        "maxAgents": 200,
        "standby": {"agents": 0},
        "images": images,
        "scaleOut": {"strategy": "Exact"},
        "scaleIn": {"idleDelay": "5m"},
        "lifecycle": {"type": "Stateless", "stateless": {"recycle": "Reimage"}},
    });
    let mut pool_object = like.clone();
    merge(&mut pool_object, &json!({"metadata": {"name": pool(index)}, "spec": spec}));
    pool_object
}

fn binding(like: &Value, pool_index: usize, image_index: usize, which: usize) -> Result<Value> {
    let name = scale_set(pool_index, image_index, which);
    let like_set = like.pointer("/spec/scaleSet").context("the example's binding has no scaleSet")?;
    let spec = json!({
        "poolRef": {"name": pool(pool_index)},
        "scaleSet": {"resourceID": resource_id(like_set, &name)?},
        "imageName": image(image_index),
        "priority": if which == 0 { 10 } else { 0 },
    });
    let mut object = like.clone();
    merge(&mut object, &json!({"metadata": {"name": name}, "spec": spec}));
    let credentials = object.pointer_mut("/spec/credentials");
    *credentials.context("the example's binding has no credentials")? = json!({"type": "ManagedIdentity"});
    Ok(object)
}

fn resource_id(like: &Value, name: &str) -> Result<String> {
    let id = like.get("resourceID").and_then(Value::as_str).context("the example has no resourceID")?;
    let (folder, _) = id.rsplit_once('/').context("the example's resourceID has no name")?;
    Ok(format!("{folder}/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_300_scale_sets_are_used_first() {
        let names: std::collections::BTreeSet<String> =
            all().map(|(pool, image, which)| scale_set(pool, image, which)).collect();
        assert_eq!((names.len(), ALL_SETS), (300, 300));
        assert_eq!(names.first().map(String::as_str), Some("set-001"));
        let text = world().unwrap().text();
        assert!(text.contains("\"throttling\":\"Enforced\""), "{text}");
        assert!(text.contains("\"managedIdentities\":[\"00000000-"), "{text}");
    }
}
