use crate::id::ScaleSetId;
use crate::scale_sets::ScaleSets;
use poolkeeper_rest::{Answer, Error};
use serde::Deserialize;

/// Of Azure Monitor: <https://learn.microsoft.com/rest/api/monitor/autoscale-settings/list-by-resource-group>.
const API_VERSION: &str = "2022-10-01";

/// A setting of Azure Monitor that sizes a resource. On a scale set of ours it would be a second writer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct AutoscaleSetting {
    /// Its name.
    pub name: String,
    /// Whether it acts; one that does not say so is taken to.
    pub enabled: bool,
    /// The resource that it sizes, as Azure writes it.
    pub target: Option<String>,
}

impl AutoscaleSetting {
    /// Whether it is enabled and sizes this set.
    pub fn sizes(&self, set: &ScaleSetId) -> bool {
        self.enabled && self.target.as_deref().is_some_and(|target| set.is(target))
    }
}

#[derive(Deserialize)]
struct Wire {
    name: String,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    enabled: Option<bool>,
    target_resource_uri: Option<String>,
}

impl From<Wire> for AutoscaleSetting {
    fn from(wire: Wire) -> Self {
        Self {
            name: wire.name,
            enabled: wire.properties.enabled.unwrap_or(true),
            target: wire.properties.target_resource_uri,
        }
    }
}

impl ScaleSets {
    /// Reads the autoscale settings of the set's resource group, those of other resources too.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn autoscale_settings(&self, id: &ScaleSetId) -> Result<Answer<Vec<AutoscaleSetting>>, Error> {
        let group = ["subscriptions", id.subscription(), "resourceGroups", id.resource_group()];
        let below = ["providers", "Microsoft.Insights", "autoscalesettings"];
        let segments = group.into_iter().chain(below);
        self.pages(self.client.url(segments, &[("api-version", API_VERSION)])).await
    }
}
