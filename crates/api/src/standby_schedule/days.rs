//! Days that differ, and spans with more standby.

use jiff::civil::Date;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Days that differ: whole days, or the same part of each day, which wins over whole days.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("self.from <= self.to", "to must not be before from"))]
#[x_kube(validation = ("self.to - self.from <= duration('8784h')", "an exception lasts at most 366 days"))]
#[x_kube(validation = (
    "has(self.start) == has(self.end) && (!has(self.start) || self.end > self.start)",
    "give both start and end, end after start, or neither for whole days",
))]
pub struct Exception {
    /// Name of the exception, unique in the list; shown in statuses and messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// First day, "YYYY-MM-DD", in the schedule's time zone.
    pub from: Date,
    /// Last day, "YYYY-MM-DD", included; at most 366 days after from.
    pub to: Date,
    /// Time of day at which it starts on each of the days, "HH:MM". Absent, with end: whole days.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::start())]
    pub start: Option<String>,
    /// Time of day after start at which it ends, "HH:MM", up to "24:00".
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5))]
    #[x_kube(validation = rules::end())]
    pub end: Option<String>,
    /// Agents on standby, 0 to 10000, in place of manual and automatic.
    #[schemars(range(min = 0, max = 10_000))]
    pub agents: i32,
}

/// A span with more standby.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "self.until > self.from && self.until - self.from <= duration('720h')",
    "until must be after from, by at most 30 days",
))]
pub struct Boost {
    /// Name of the boost, unique in the list; shown in statuses and messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// First instant, RFC 3339 with a zone.
    pub from: Time,
    /// Instant at which it ends, RFC 3339 with a zone; at most 30 days after from.
    pub until: Time,
    /// Agents on standby at least, 1 to 10000.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: i32,
}
