//! StandbySchedule: when how many agents stand by, for any pools of its namespace.

mod automatic;
mod days;
mod manual;
mod status;

pub use automatic::{Automatic, AutomaticStrategy, LookAhead, Predictive, Preference};
pub use days::{Boost, Exception};
pub use manual::{AllWeek, Manual, ManualType, Period, Until, Weekdays};
pub use status::{CurrentStandby, PlanRow, StandbyScheduleStatus};

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::rules;

/// What a person wants on standby, and when.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "poolkeeper.dev",
    version = "v1alpha1",
    kind = "StandbySchedule",
    plural = "standbyschedules",
    shortname = "sbs",
    category = "poolkeeper",
    namespaced,
    status = "StandbyScheduleStatus",
    derive = "PartialEq",
    doc = "When how many agents stand by, for any AgentPools of its namespace.",
    validation = rules::name_fits_a_label(),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "pools can follow it"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(
        name = "Now",
        type_ = "integer",
        json_path = ".status.current.agents",
        description = "agents on standby now"
    ),
    printcolumn(
        name = "Source",
        type_ = "string",
        json_path = ".status.current.source",
        description = "what gives the figure"
    ),
    printcolumn(
        name = "Next",
        type_ = "integer",
        json_path = ".status.nextChange.agents",
        description = "agents on standby after the next change"
    ),
    printcolumn(
        name = "At",
        type_ = "string",
        json_path = ".status.nextChange.at",
        description = "when the next change comes"
    ),
    printcolumn(name = "Zone", type_ = "string", json_path = ".spec.timeZone"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Manual", type_ = "string", json_path = ".spec.manual.type", priority = 1),
    printcolumn(name = "Automatic", type_ = "string", json_path = ".spec.automatic.strategy", priority = 1),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "has(self.manual) || has(self.automatic) || has(self.exceptions) || has(self.boosts)",
    "give manual, automatic or both; for no standby leave scheduleRef out of the pool",
))]
pub struct StandbyScheduleSpec {
    /// Time zone of all local times and dates, an IANA name such as Europe/Stockholm. Default UTC.
    #[serde(default = "utc")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::time_zone())]
    pub time_zone: String,
    /// Standby that a person planned. With automatic too, the larger wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manual: Option<Manual>,
    /// Standby learned from past jobs. With manual too, the larger wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<Automatic>,
    /// Days that differ: each replaces manual and automatic, but neither the pool's constant nor boosts. Past ones
    /// are harmless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = rules::exceptions_do_not_overlap())]
    pub exceptions: Vec<Exception>,
    /// Spans with more standby: each raises only. Past ones are harmless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub boosts: Vec<Boost>,
}

/// The default of every time zone.
pub(crate) fn utc() -> String {
    "UTC".to_owned()
}
