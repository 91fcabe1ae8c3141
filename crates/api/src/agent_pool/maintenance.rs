//! Azure DevOps' maintenance job of a pool.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Weekday, rules};

/// Azure DevOps' maintenance job, which removes unused work folders.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maintenance {
    /// Auto (default): daily where agents are reused, else left as it is; Enabled: needs lifecycle Stateful; Disabled.
    #[serde(default)]
    pub policy: MaintenancePolicy,
    /// Days on which it runs. Default: all.
    #[serde(default = "Weekday::all")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub days: Vec<Weekday>,
    /// Time of day, "HH:MM". Default "03:00".
    #[serde(default = "start")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::start())]
    pub start: String,
    /// Time zone of start, an IANA name. Default UTC.
    #[serde(default = "crate::standby_schedule::utc")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::time_zone())]
    pub time_zone: String,
    /// How long the job may run on one agent, 1m to 48h. Default 1h.
    #[serde(default = "job_timeout")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::duration("jobTimeout", "1m", "48h"))]
    pub job_timeout: String,
    /// Agents under maintenance at a time, in percent, 1 to 100. Default 25.
    #[serde(default = "max_concurrent_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_concurrent_percent: i32,
    /// Work folders unused for so many days are removed, 0 to 3650. Default 30.
    #[serde(default = "unused_days")]
    #[schemars(range(min = 0, max = 3650))]
    pub unused_days: i32,
    /// How many past runs Azure DevOps keeps, 0 to 1000. Default 10.
    #[serde(default = "history_records")]
    #[schemars(range(min = 0, max = 1000))]
    pub history_records: i32,
}

impl Default for Maintenance {
    fn default() -> Self {
        Self {
            policy: MaintenancePolicy::default(),
            days: Weekday::all(),
            start: start(),
            time_zone: crate::standby_schedule::utc(),
            job_timeout: job_timeout(),
            max_concurrent_percent: max_concurrent_percent(),
            unused_days: unused_days(),
            history_records: history_records(),
        }
    }
}

/// Whether the maintenance job runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MaintenancePolicy {
    /// Where agents are reused; else the pool's setting is left as it is.
    #[default]
    Auto,
    /// Yes.
    Enabled,
    /// No.
    Disabled,
}

fn start() -> String {
    "03:00".to_owned()
}

fn job_timeout() -> String {
    "1h".to_owned()
}

fn max_concurrent_percent() -> i32 {
    25
}

fn unused_days() -> i32 {
    30
}

fn history_records() -> i32 {
    10
}
