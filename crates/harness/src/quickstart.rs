//! `examples/quickstart`, with the simulator in the place of both clouds.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use crate::{Simulator, repository};

/// The AgentPool of `examples/quickstart`, and its pool in Azure DevOps.
pub const POOL: &str = "linux-build";
/// Where the demo and the day apply it; every cluster has this namespace.
pub const NAMESPACE: &str = "default";

/// The world of `examples/simulator/world.yaml`, which serves `examples/quickstart`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExampleWorld(Value);

impl ExampleWorld {
    /// Reads it.
    ///
    /// # Errors
    /// If the file is missing or no YAML.
    pub fn read() -> Result<Self> {
        let path = repository().join("examples/simulator/world.yaml");
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(Self(serde_yaml::from_str(&text).with_context(|| path.display().to_string())?))
    }

    /// With a quota of so many VMs in its scale set.
    #[must_use]
    pub fn with_quota(mut self, vms: u32) -> Self {
        if let Some(set) = self.0.pointer_mut("/scaleSets/0").and_then(Value::as_object_mut) {
            set.insert("quota".to_owned(), vms.into());
        }
        self
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

/// What changed in `examples/quickstart`, and the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Quickstart {
    /// Where the pool's organisation is.
    pub organization_url: String,
    /// Where the example has it.
    pub example_url: String,
    items: Vec<Value>,
}

impl Quickstart {
    /// Reads the manifests, points the pool at the simulator, fills in the Secrets with the simulator's tokens, and
    /// merges `spec` into the pool's spec.
    ///
    /// # Errors
    /// If a manifest is missing, or not what this expects.
    pub fn read(simulator: &Simulator, world: &ExampleWorld, spec: &Value) -> Result<Self> {
        let organization = world.field("/organizations/0/name")?;
        let organization_url = format!("{}/{organization}", simulator.url());
        let mut texts = Vec::new();
        for path in manifests()? {
            texts.push(std::fs::read_to_string(&path).with_context(|| path.display().to_string())?);
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
                    let url = url.context("examples/quickstart: the AgentPool has no organization.url")?;
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
        let example_url = example_url.context("examples/quickstart has no AgentPool")?;
        Ok(Self { organization_url, example_url, items })
    }

    /// The manifests for `kubectl apply`.
    #[must_use]
    pub fn text(&self) -> String {
        json!({"apiVersion": "v1", "kind": "List", "items": self.items}).to_string()
    }
}

fn manifests() -> Result<Vec<PathBuf>> {
    let folder = repository().join("examples/quickstart");
    let read = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
    let mut paths: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    if paths.is_empty() {
        bail!("{} has no manifests", Path::new("examples/quickstart").display());
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
            other => bail!("examples/quickstart: the simulator has nothing for the key {other} of a Secret"),
        });
    }
    Ok(())
}

/// As a JSON merge patch, without its deletions.
fn merge(old: &mut Value, new: &Value) {
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

    #[test]
    fn the_examples_meet_the_simulator() {
        let world = ExampleWorld::read().unwrap().with_quota(7);
        assert!(world.text().contains("\"quota\":7"), "{}", world.text());
        let texts: Vec<String> =
            manifests().unwrap().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
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
