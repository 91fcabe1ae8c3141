//! `examples/quickstart` and its like, with the simulator in the place of both clouds.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{Simulator, repository};

/// The AgentPool of `examples/quickstart`, and its pool in Azure DevOps.
pub const POOL: &str = "linux-build";
/// Where the demo and the day apply it; every cluster has this namespace.
pub const NAMESPACE: &str = "default";

/// A folder of `examples`, and the names that its manifests have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Example {
    /// Below `examples`.
    pub folder: &'static str,
    /// The AgentPool, and its pool in Azure DevOps.
    pub pool: &'static str,
    /// The ScaleSetBinding.
    pub binding: &'static str,
    /// The scale set.
    pub scale_set: &'static str,
}

/// `examples/quickstart`
pub const QUICKSTART: Example =
    Example { folder: "quickstart", pool: POOL, binding: "linux-build-d4", scale_set: "linux-d4" };
/// `examples/flexible`, which uses the Secrets of [`QUICKSTART`].
pub const FLEXIBLE: Example = Example {
    folder: "flexible",
    pool: "linux-flexible",
    binding: "linux-flexible-f4",
    scale_set: "linux-f4",
};

/// The world of `examples/simulator/world.yaml`, which serves `examples/quickstart`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleWorld(Value);

impl ExampleWorld {
    /// Reads it.
    ///
    /// # Errors
    /// If the file is missing or no YAML.
    pub fn read() -> Result<Self> {
        Self::read_file("world.yaml")
    }

    /// With the scale set and the pool of `examples/simulator/flexible.yaml` as well.
    ///
    /// # Errors
    /// If the file is missing or no YAML.
    pub fn with_flexible(mut self) -> Result<Self> {
        let other = Self::read_file("flexible.yaml")?;
        for list in ["/scaleSets", "/organizations/0/pools"] {
            let more = other.0.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
            let own = self.0.pointer_mut(list).and_then(Value::as_array_mut);
            own.with_context(|| format!("examples/simulator/world.yaml has no {list}"))?.extend(more);
        }
        Ok(self)
    }

    fn read_file(name: &str) -> Result<Self> {
        let path = repository().join("examples/simulator").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self(serde_yaml::from_str(&text).with_context(|| path.display().to_string())?))
    }

    /// With a quota of so many VMs in its scale set.
    #[must_use]
    pub fn with_quota(self, vms: u32) -> Self {
        self.with("/scaleSets/0", "quota", vms.into())
    }

    /// With another value of a member of the object at a JSON pointer.
    #[must_use]
    pub fn with(mut self, object: &str, member: &str, value: Value) -> Self {
        if let Some(object) = self.0.pointer_mut(object).and_then(Value::as_object_mut) {
            object.insert(member.to_owned(), value);
        }
        self
    }

    /// Its service principals.
    #[must_use]
    pub fn clients(&self) -> &[Value] {
        self.0.pointer("/clients").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
    }

    /// Its first scale set.
    #[must_use]
    pub fn scale_set(&self) -> Option<&Value> {
        self.0.pointer("/scaleSets/0")
    }

    /// As the simulator reads it: JSON is YAML too.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.to_string()
    }

    fn field(&self, path: &str) -> Result<&str> {
        let found = self.0.pointer(path).and_then(Value::as_str);
        found.with_context(|| format!("examples/simulator/world.yaml has no {path}"))
    }
}

/// What changed in an example, and the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Quickstart {
    /// Where the pool's organisation is.
    pub organization_url: String,
    /// Where the example has it.
    pub example_url: String,
    items: Vec<Value>,
}

impl Quickstart {
    /// Reads the manifests of [`QUICKSTART`], points the pool at the simulator, fills in the Secrets with the simulator's
    /// tokens, and merges `spec` into the pool's spec.
    ///
    /// # Errors
    /// If a manifest is missing, or not what this expects.
    pub fn read(simulator: &Simulator, world: &ExampleWorld, spec: &Value) -> Result<Self> {
        Self::read_examples(&[QUICKSTART], simulator, world, spec)
    }

    /// The same for several examples at once; `spec` is merged into each pool's spec.
    ///
    /// # Errors
    /// If a manifest is missing, or not what this expects.
    pub fn read_examples(
        examples: &[Example],
        simulator: &Simulator,
        world: &ExampleWorld,
        spec: &Value,
    ) -> Result<Self> {
        let organization = world.field("/organizations/0/name")?;
        let organization_url = format!("{}/{organization}", simulator.url());
        let mut texts = Vec::new();
        for example in examples {
            for path in manifests(example.folder)? {
                texts.push(std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
            }
        }
        Self::from_texts(&texts, organization_url, world, spec)
    }

    fn from_texts(
        texts: &[String],
        organization_url: String,
        world: &ExampleWorld,
        spec: &Value,
    ) -> Result<Self> {
        let mut items = Vec::new();
        for text in texts {
            items.extend(serde_yaml::from_multiple::<Value>(text)?);
        }
        let mut example_url = None;
        for item in &mut items {
            match item.get("kind").and_then(Value::as_str) {
                Some("AgentPool") => {
                    let url = item.pointer_mut("/spec/organization/url");
                    let url = url.context("examples: the AgentPool has no organization.url")?;
                    example_url = url.as_str().map(str::to_owned);
                    *url = Value::String(organization_url.clone());
                    if let Some(old) = item.get_mut("spec") {
                        merge(old, spec);
                    }
                }
                Some("Secret") => fill(item, world)?,
                Some(_) | None => {}
            }
        }
        let example_url = example_url.context("the examples have no AgentPool")?;
        Ok(Self { organization_url, example_url, items })
    }

    /// The manifests for `kubectl apply`.
    #[must_use]
    pub fn text(&self) -> String {
        list(&self.items)
    }

    /// Its objects.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        &self.items
    }
}

/// Objects as one manifest.
#[must_use]
pub fn list(items: &[Value]) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

fn manifests(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = repository().join("examples").join(folder);
    let read = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    if paths.is_empty() {
        bail!("{} has no manifests", folder.display());
    }
    Ok(paths)
}

/// Puts the simulator's token or client secret in the place of the placeholder.
fn fill(secret: &mut Value, world: &ExampleWorld) -> Result<()> {
    let data = secret.get_mut("stringData").and_then(Value::as_object_mut);
    for (key, value) in data.into_iter().flatten() {
        *value = Value::from(match key.as_str() {
            "token" => world.field("/organizations/0/tokens/0/value")?,
            "clientSecret" => world.field("/clients/0/secret")?,
            other => bail!("examples: the simulator has nothing for the key {other} of a Secret"),
        });
    }
    Ok(())
}

/// Merges as a JSON merge patch does, without its deletions.
pub fn merge(old: &mut Value, new: &Value) {
    let Value::Object(members) = new else {
        *old = new.clone();
        return;
    };
    if !old.is_object() {
        *old = Value::Object(Map::new());
    }
    if let Some(old) = old.as_object_mut() {
        for (name, value) in members {
            merge(old.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(example: Example) -> Vec<String> {
        let paths = manifests(example.folder).unwrap();
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
    }

    #[test]
    fn each_example_has_its_pool_and_scale_set_in_the_world() {
        let world = ExampleWorld::read().unwrap().with_flexible().unwrap();
        let sets = world.0["scaleSets"].as_array().unwrap();
        let pools = world.0["organizations"][0]["pools"].as_array().unwrap();
        for example in [QUICKSTART, FLEXIBLE] {
            let items =
                Quickstart::from_texts(&texts(example), "http://x/fabrikam".into(), &world, &json!({}));
            let items = items.unwrap().items;
            let of = |kind: &str| items.iter().find(|item| item["kind"] == kind).unwrap();
            let (pool, binding) = (of("AgentPool"), of("ScaleSetBinding"));
            assert_eq!(
                (&pool["metadata"]["name"], &pool["spec"]["poolName"]),
                (&json!(example.pool), &json!(example.pool))
            );
            assert_eq!(binding["metadata"]["name"], example.binding);
            assert_eq!(binding["spec"]["poolRef"]["name"], example.pool);
            let id = &binding["spec"]["scaleSet"]["resourceID"];
            assert!(id.as_str().unwrap().ends_with(&format!("/{}", example.scale_set)));
            let set = sets.iter().find(|set| &set["resourceID"] == id).unwrap();
            assert_eq!(set["agents"]["pool"], example.pool);
            assert!(pools.iter().any(|known| known["name"] == example.pool));
        }
    }

    #[test]
    fn the_examples_meet_the_simulator() {
        let world = ExampleWorld::read().unwrap().with_quota(7);
        assert!(world.text().contains("\"quota\":7"), "{}", world.text());
        let texts = texts(QUICKSTART);
        let spec = json!({"standby": {"agents": 8}});
        let quickstart = Quickstart::from_texts(&texts, "http://127.0.0.1:1/fabrikam".into(), &world, &spec);
        let quickstart = quickstart.unwrap();
        assert_eq!(quickstart.example_url, "https://dev.azure.com/fabrikam");

        let pool = quickstart.items.iter().find(|item| item["kind"] == "AgentPool").unwrap();
        assert_eq!(pool["metadata"]["name"], POOL);
        assert_eq!(pool["spec"]["poolName"], POOL);
        assert_eq!(pool["spec"]["organization"]["url"], "http://127.0.0.1:1/fabrikam");
        assert_eq!((&pool["spec"]["maxAgents"], &pool["spec"]["standby"]["agents"]), (&json!(4), &json!(8)));
        assert!(!quickstart.text().contains('<'), "a placeholder is left: {}", quickstart.text());
        let secrets = quickstart.items.iter().filter(|item| item["kind"] == "Secret");
        assert_eq!(secrets.filter(|secret| secret["stringData"].is_object()).count(), 2);
    }
}
