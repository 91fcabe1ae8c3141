//! How many agents stand by.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{reference::LocalReference, rules};

/// How many agents stand by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Standby {
    /// The constant number of agents, 0 (default) to 10000 and at most maxAgents; what `kubectl scale` sets.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10_000))]
    pub agents: i32,
    /// Idle (default): this many free agents; Total: this many provisioned ones, busy ones included.
    #[serde(default)]
    pub basis: StandbyBasis,
    /// StandbySchedule to follow; the larger of constant and schedule wins. Missing: ScheduleNotFound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_ref: Option<LocalReference>,
    /// How long before an hour of the schedule its agents are started: Measured (default), which is the 95th
    /// percentile of the image's start times, or a duration from 0s to 4h, such as 15m.
    #[serde(default = "measured")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::lead_time())]
    pub lead_time: String,
}

impl Default for Standby {
    fn default() -> Self {
        Self { agents: 0, basis: StandbyBasis::default(), schedule_ref: None, lead_time: measured() }
    }
}

fn measured() -> String {
    "Measured".to_owned()
}

/// What a standby figure counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum StandbyBasis {
    /// Free agents.
    #[default]
    Idle,
    /// Provisioned agents, busy ones included.
    Total,
}
