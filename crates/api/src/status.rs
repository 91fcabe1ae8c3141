//! What the statuses of more than one kind hold.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Agents by what they do, a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentCounts {
    /// Agents with a job.
    #[serde(default)]
    pub busy: i32,
    /// Agents online and enabled, without a job.
    #[serde(default)]
    pub idle: i32,
    /// VMs on their way to their first job, before startTimeout.
    #[serde(default)]
    pub starting: i32,
    /// VMs that are being reimaged or replaced after a job.
    #[serde(default)]
    pub recycling: i32,
    /// Agents that get no further job and go after the present one.
    #[serde(default)]
    pub draining: i32,
    /// VMs that failed, or whose agent did not come online in time.
    #[serde(default)]
    pub unhealthy: i32,
    /// VMs kept for investigation.
    #[serde(default)]
    pub saved: i32,
    /// Agents of the Azure DevOps pool that run on none of its bindings' VMs; never touched, not in total.
    #[serde(default)]
    pub foreign: i32,
    /// All but foreign.
    #[serde(default)]
    pub total: i32,
}

/// The next change of standby that a schedule brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NextChange {
    /// When, in UTC.
    pub at: Time,
    /// Agents on standby from then on.
    #[serde(default)]
    pub agents: i32,
    /// What then gives the figure: Off, Constant, Manual, Automatic, Exception or Boost.
    #[serde(default)]
    pub source: String,
    /// Name of the period, exception or boost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Schema of `metav1.Condition`, in this project's words.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": { "type": "string", "description": "What is judged." },
                "status": { "type": "string", "description": "True, False or Unknown." },
                "reason": {
                    "type": "string",
                    "description": "Why, in one word of a closed list, which grows between versions."
                },
                "message": { "type": "string", "description": "Why in full, and what to do about it." },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "description": "metadata.generation that was judged."
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When status last changed."
                }
            }
        }
    })
}
