//! What poolkeeper reports of a scale set.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::AgentCounts;

/// What poolkeeper reports of a scale set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleSetBindingStatus {
    /// The last generation of the spec over which a whole pass was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Image of the pool that it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// What holds of the binding. Positive conditions are always there, negative ones only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
    /// What Azure says of the scale set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_set: Option<ScaleSetFacts>,
    /// The claim in the scale set's tags that keeps other writers out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimStatus>,
    /// What the scale set has to be, and what it better were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub requirements: Vec<Requirement>,
    /// Its agents by what they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,
    /// How long its VMs take from creation to an online agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<StartTimes>,
    /// Failed starts in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_starts: Option<i32>,
    /// The agent extension in the scale set's model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bootstrap: Option<BootstrapStatus>,
}

/// What Azure says of a scale set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleSetFacts {
    /// Azure region.
    #[serde(default)]
    pub location: String,
    /// Size of its VMs.
    #[serde(default)]
    pub sku: String,
    /// Uniform or Flexible.
    #[serde(default)]
    pub orchestration_mode: String,
    /// Regular or Spot.
    #[serde(default)]
    pub priority: String,
    /// Whether the disk of the operating system is ephemeral.
    #[serde(default, rename = "ephemeralOSDisk")]
    pub ephemeral_os_disk: bool,
    /// Image and version of its model.
    #[serde(default)]
    pub image: String,
    /// VMs that Azure is to hold.
    #[serde(default)]
    pub capacity: i32,
}

/// A claim on a scale set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimStatus {
    /// Who holds it.
    #[serde(default)]
    pub owner: String,
    /// Since when it has been held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claimed_at: Option<Time>,
    /// When it was renewed last.
    pub renewed_at: Time,
}

/// Something that a scale set has to be, or better were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// AutoscaleOff, OverprovisionOff, UpgradePolicyManual, NoInstanceProtection, SinglePlacementGroupOff,
    /// FaultDomainCountOne, EphemeralOSDisk or SubnetLargeEnough.
    pub name: String,
    /// Whether it is so.
    #[serde(default)]
    pub met: bool,
    /// True: works without, but less well.
    #[serde(default)]
    pub advice: bool,
    /// Why it matters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Command that makes it so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub command: String,
}

/// How long VMs take from creation to an online agent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartTimes {
    /// Half of them start within it, such as 3m20s.
    #[serde(default)]
    pub p50: String,
    /// 95 of 100 start within it.
    #[serde(default)]
    pub p95: String,
    /// Starts behind the figures.
    #[serde(default)]
    pub samples: i32,
}

/// The agent extension in a scale set's model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BootstrapStatus {
    /// Version of the agent.
    #[serde(default)]
    pub agent_version: String,
    /// Hash of the settings without secrets.
    #[serde(default)]
    pub settings_hash: String,
    /// When the registration token in the model expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
}
