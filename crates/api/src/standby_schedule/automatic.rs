//! Standby learned from past jobs.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Standby learned from past jobs. Until there are enough days, schedule and constant hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.predictive) || self.strategy == 'Predictive'",
    "predictive is read only with strategy Predictive; set it, or remove predictive",
))]
pub struct Automatic {
    /// Percentile (default): three weeks in buckets of 5 minutes, one figure for each hour of the week; Predictive:
    /// from what is likely to come next.
    #[serde(default)]
    pub strategy: AutomaticStrategy,
    /// Cost against waiting, as a percentile of past need: MostCostEffective 10, MoreCostEffective 25, Balanced 50
    /// (default), MorePerformance 75, BestPerformance 90.
    #[serde(default)]
    pub preference: Preference,
    /// Settings of strategy Predictive, and only of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predictive: Option<Predictive>,
    /// Automatic never asks for more agents than this, 1 to 10000. Absent: no bound but the pool's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_agents: Option<i32>,
}

/// How standby is learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AutomaticStrategy {
    /// A percentile of each hour of past weeks.
    #[default]
    Percentile,
    /// From what is likely to come next.
    Predictive,
}

/// Cost against waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Preference {
    /// 10th percentile.
    MostCostEffective,
    /// 25th percentile.
    MoreCostEffective,
    /// 50th percentile.
    #[default]
    Balanced,
    /// 75th percentile.
    MorePerformance,
    /// 90th percentile.
    BestPerformance,
}

/// Settings of strategy Predictive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Predictive {
    /// A minute of waiting costs as much as so many idle minutes, 1 to 1000. Absent: from preference.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub wait_cost_ratio: Option<i32>,
    /// None (default), or BlockedJobs: also jobs of running pipelines that wait for an earlier stage.
    #[serde(default)]
    pub look_ahead: LookAhead,
}

/// Which jobs count before they can run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LookAhead {
    /// None of them.
    #[default]
    None,
    /// Jobs of running pipelines that wait for an earlier stage.
    BlockedJobs,
}
