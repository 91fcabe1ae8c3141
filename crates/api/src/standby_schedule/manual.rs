//! Standby that a person planned, week by week.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Weekday, rules};

/// Standby that a person planned: the member that type names, and no other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::manual_member("Weekdays", "weekdays"))]
#[x_kube(validation = rules::manual_member("AllWeek", "allWeek"))]
#[x_kube(validation = rules::manual_member("Periods", "periods"))]
pub struct Manual {
    /// Weekdays: one span from Monday to Friday; AllWeek: one figure at all times; Periods: spans of the week.
    #[serde(rename = "type")]
    pub type_: ManualType,
    /// Only, and always, with type Weekdays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weekdays: Option<Weekdays>,
    /// Only, and always, with type AllWeek.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all_week: Option<AllWeek>,
    /// Only, and always, with type Periods; they must not overlap, also across the week's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = rules::periods_do_not_overlap())]
    pub periods: Option<Vec<Period>>,
}

/// How a person planned the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ManualType {
    /// One span from Monday to Friday.
    Weekdays,
    /// One figure at all times.
    AllWeek,
    /// Spans of the week.
    Periods,
}

/// One span, the same from Monday to Friday; nothing at weekends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.end > self.start", "end must be after start; for nights use type Periods"))]
pub struct Weekdays {
    /// Time of day, "HH:MM".
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::start())]
    pub start: String,
    /// Time of day after start, "HH:MM", up to "24:00".
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::end())]
    pub end: String,
    /// Agents on standby, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: i32,
}

/// One figure at all times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AllWeek {
    /// Agents on standby, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: i32,
}

/// A span of the week without a break, nights too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.end) != has(self.until)", "give either end, or until: NextPeriod"))]
#[x_kube(validation = (
    "!has(self.endDay) || has(self.end)",
    "endDay needs end; with until: NextPeriod leave endDay out",
))]
#[x_kube(validation = (
    "!has(self.end) || (has(self.endDay) && self.endDay != self.startDay) || self.end > self.start",
    "end must be after start; for a period over midnight or over several days give endDay",
))]
pub struct Period {
    /// Name of the period, unique in the list; shown in statuses and messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Day on which it starts.
    pub start_day: Weekday,
    /// Time of day at which it starts, "HH:MM".
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::start())]
    pub start: String,
    /// Day on which it ends; may be before startDay, then in the next week. Absent: startDay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_day: Option<Weekday>,
    /// Time of day at which it ends, "HH:MM", up to "24:00". Either this or until.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::end())]
    pub end: Option<String>,
    /// NextPeriod: it ends when the next period starts. Either this or end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Until>,
    /// Agents on standby, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: i32,
    /// Time zone of start and end, an IANA name. Absent: the schedule's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = rules::time_zone())]
    pub time_zone: Option<String>,
}

/// An end that is no time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Until {
    /// The start of the next period.
    NextPeriod,
}
