//! How a new image reaches VMs that exist.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Weekday, rules};

/// How a new image reaches VMs that exist.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.idleFirst) || self.strategy == 'IdleFirst'",
    "idleFirst is read only with strategy IdleFirst; set it, or remove idleFirst",
))]
pub struct Rollout {
    /// FutureVMs (default): a new image reaches new VMs only; IdleFirst: idle agents too, busy ones after their job.
    #[serde(default)]
    pub strategy: RolloutStrategy,
    /// Pace of strategy IdleFirst, and only of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_first: Option<IdleFirst>,
}

/// Which VMs a new image reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RolloutStrategy {
    /// New VMs.
    #[default]
    FutureVMs,
    /// Idle agents too, busy ones after their job.
    IdleFirst,
}

/// Pace of a rollout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdleFirst {
    /// How many agents are renewed at a time: a number, or 1% to 100% of the binding's. Default 10%. Never so many
    /// that standby is not met.
    #[serde(default = "max_unavailable")]
    #[schemars(extend("maxLength" = 4))]
    #[x_kube(validation = rules::max_unavailable())]
    pub max_unavailable: IntOrString,
    /// Time zone of the windows, an IANA name. Default UTC.
    #[serde(default = "crate::standby_schedule::utc")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::time_zone())]
    pub time_zone: String,
    /// When agents are renewed. Absent: at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 14))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub windows: Vec<RolloutWindow>,
}

impl Default for IdleFirst {
    fn default() -> Self {
        Self {
            max_unavailable: max_unavailable(),
            time_zone: crate::standby_schedule::utc(),
            windows: Vec::new(),
        }
    }
}

fn max_unavailable() -> IntOrString {
    IntOrString::String("10%".to_owned())
}

/// A time of day at which agents are renewed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.start != self.end",
    r#"start and end must differ; for the whole day write start "00:00" and end "24:00""#,
))]
pub struct RolloutWindow {
    /// Name of the window, unique in the list.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Days on which it starts. Default: all.
    #[serde(default = "Weekday::all")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub days: Vec<Weekday>,
    /// Time of day, "HH:MM".
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::start())]
    pub start: String,
    /// Time of day, "HH:MM", up to "24:00"; before start: on the next day.
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::end())]
    pub end: String,
}
