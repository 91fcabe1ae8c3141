//! What poolkeeper reports of a schedule.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::NextChange;

/// What poolkeeper reports of a schedule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandbyScheduleStatus {
    /// The last generation of the spec that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds of the schedule. Positive conditions are always there, negative ones only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
    /// Standby now, from manual, exceptions and boosts; automatic differs by pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<CurrentStandby>,
    /// The next change of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_change: Option<NextChange>,
    /// The plan of a week with every rule made visible, at most 160 rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub week: Vec<PlanRow>,
}

/// Standby now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentStandby {
    /// Agents on standby.
    #[serde(default)]
    pub agents: i32,
    /// What gives the figure: Off, Manual, Exception or Boost.
    #[serde(default)]
    pub source: String,
    /// Name of the period, exception or boost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// A row of the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanRow {
    /// Day and time, such as "Monday 08:00", in the schedule's time zone.
    #[serde(default)]
    pub start: String,
    /// Day and time at which it ends.
    #[serde(default)]
    pub end: String,
    /// Agents on standby.
    #[serde(default)]
    pub agents: i32,
    /// Name of the period.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub period: String,
}
