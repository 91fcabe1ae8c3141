//! What becomes of an agent after a job, and of one that fails.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What becomes of an agent after a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.stateful) || self.type == 'Stateful'",
    "lifecycle.stateful needs type Stateful; keep one lifecycle only",
))]
#[x_kube(validation = (
    "!has(self.stateless) || self.type == 'Stateless'",
    "lifecycle.stateless needs type Stateless; keep one lifecycle only",
))]
pub struct Lifecycle {
    /// Stateless (default): one job, then recycled; Stateful: agents serve job after job.
    #[serde(default, rename = "type")]
    pub type_: LifecycleType,
    /// Only with type Stateless.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateless: Option<Stateless>,
    /// Only with type Stateful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateful: Option<Stateful>,
}

/// How many jobs an agent serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LifecycleType {
    /// One.
    #[default]
    Stateless,
    /// Many.
    Stateful,
}

/// Settings of lifecycle Stateless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stateless {
    /// What happens to the VM after its job: Reimage (default), or Replace (delete and create).
    #[serde(default)]
    pub recycle: Recycle,
}

/// How a VM is made new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Recycle {
    /// Its disk is reset to the image.
    #[default]
    Reimage,
    /// It is deleted, and another one created.
    Replace,
}

/// Settings of lifecycle Stateful.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stateful {
    /// An agent older than this goes after its job, 1m to 168h, also written 7.00:00:00. Default 168h.
    #[serde(default = "max_agent_lifetime")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::max_agent_lifetime())]
    pub max_agent_lifetime: String,
    /// How long an agent waits for another job after its last, 0s to 168h, also written 00:30:00. Absent: none. Takes
    /// the place of scaleIn.idleDelay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::grace_period())]
    pub grace_period: Option<String>,
}

impl Default for Stateful {
    fn default() -> Self {
        Self { max_agent_lifetime: max_agent_lifetime(), grace_period: None }
    }
}

fn max_agent_lifetime() -> String {
    "168h".to_owned()
}

/// When a VM counts as failed, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unhealthy {
    /// How long a VM may take from creation, or reimage, to an online agent, 1m to 4h. Default 10m. Later it has
    /// failed, and is replaced.
    #[serde(default = "start_timeout")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::duration("startTimeout", "1m", "4h"))]
    pub start_timeout: String,
    /// How many failed VMs are kept for a person to look at; they count towards maxAgents. 0 (default) is none; at
    /// most 100 and at most maxAgents.
    #[serde(default)]
    #[schemars(range(min = 0, max = 100))]
    pub save_for_investigation: i32,
    /// After so many failed starts in a row a binding tries one VM at a time, 1 to 100. Default 3.
    #[serde(default = "max_failed_starts")]
    #[schemars(range(min = 1, max = 100))]
    pub max_failed_starts: i32,
}

impl Default for Unhealthy {
    fn default() -> Self {
        Self {
            start_timeout: start_timeout(),
            save_for_investigation: 0,
            max_failed_starts: max_failed_starts(),
        }
    }
}

fn start_timeout() -> String {
    "10m".to_owned()
}

fn max_failed_starts() -> i32 {
    3
}
