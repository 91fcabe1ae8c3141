//! How agents are added, removed, and reached by jobs.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Which jobs reach which agents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Routing {
    /// Names of demands that never make a job unroutable; case does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ignore_demands: Vec<String>,
    /// WhenNeeded (default): an offline agent record per image while the pool may be empty, so that Azure DevOps
    /// accepts jobs; Never: no such records.
    #[serde(default)]
    pub placeholder_agents: PlaceholderAgents,
}

/// When offline agent records stand in for agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PlaceholderAgents {
    /// While the pool may be empty.
    #[default]
    WhenNeeded,
    /// Not at all.
    Never,
}

/// How agents are added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.elasticPool) || self.strategy == 'ElasticPool'",
    "elasticPool is read only with strategy ElasticPool; set it, or remove elasticPool",
))]
pub struct ScaleOut {
    /// Exact (default): the missing agents at once, in full; ElasticPool: in steps, as Azure DevOps' scale set agents.
    #[serde(default)]
    pub strategy: ScaleOutStrategy,
    /// How often jobs and agents are read, 5s to 1h. Absent: 10s for Exact, decaying to 60s when quiet; 5m for
    /// ElasticPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::duration("sampleInterval", "5s", "1h"))]
    pub sample_interval: Option<String>,
    /// The steps of strategy ElasticPool, and only of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elastic_pool: Option<ElasticPool>,
}

/// How missing agents are added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ScaleOutStrategy {
    /// All at once.
    #[default]
    Exact,
    /// In steps.
    ElasticPool,
}

/// The steps of strategy ElasticPool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ElasticPool {
    /// Agents of one step, in percent of maxAgents, 1 to 100, rounded up. Default 10.
    #[serde(default = "increment_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub increment_percent: i32,
    /// How long a step may last before the next one starts, 1m to 2h. Default 20m.
    #[serde(default = "step_timeout")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::duration("stepTimeout", "1m", "2h"))]
    pub step_timeout: String,
}

impl Default for ElasticPool {
    fn default() -> Self {
        Self { increment_percent: increment_percent(), step_timeout: step_timeout() }
    }
}

fn increment_percent() -> i32 {
    10
}

fn step_timeout() -> String {
    "20m".to_owned()
}

/// How agents that are too many are removed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleIn {
    /// Idle agents in excess go once the excess has lasted this long, 0s to 168h. Absent: 30m, unless
    /// lifecycle.stateful.gracePeriod is set, which takes its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::duration("idleDelay", "0s", "168h"))]
    pub idle_delay: Option<String>,
}
