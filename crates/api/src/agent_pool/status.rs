//! What poolkeeper reports of a pool, and what it remembers across a restart.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::{
    standby_schedule::StandbyScheduleSpec,
    status::{AgentCounts, NextChange},
};

/// What poolkeeper reports of a pool. Losing it costs delay, never a job or a VM.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentPoolStatus {
    /// The last generation of the spec over which a whole pass was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds of the pool. Positive conditions are always there, negative ones only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::status::conditions")]
    pub conditions: Vec<Condition>,
    /// Id of the pool in Azure DevOps.
    #[serde(rename = "poolID", skip_serializing_if = "Option::is_none")]
    pub pool_id: Option<i64>,
    /// Label selector for autoscalers; matches no pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Agents by what they do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,
    /// Jobs of the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<JobCounts>,
    /// Up to 10 jobs that no binding can run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub unroutable_jobs: Vec<UnroutableJob>,
    /// Standby, now and next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standby: Option<StandbyStatus>,
    /// The last decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The pool's bindings, up to 32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub bindings: Vec<BindingSummary>,
    /// What automatic standby has learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub automatic: Option<AutomaticHistory>,
    /// The last valid schedule, followed while the object is missing or bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<FollowedSchedule>,
    /// VMs kept for investigation, up to 100; deleted by annotation `poolkeeper.dev/release-saved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["vmID"]))]
    pub saved_agents: Vec<SavedAgent>,
    /// Up to 100 agent records whose VMs are gone, until they are deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub ghost_agents: Vec<GhostAgent>,
    /// Operations on their way, which a restarted operator picks up again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub operations: Vec<Operation>,
    /// The last 20 actions, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub recent_actions: Vec<RecentAction>,
    /// What scaling in remembers; if lost, the wait starts again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<ScaleInMemory>,
    /// The last step of strategy ElasticPool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepMemory>,
    /// Value of annotation `poolkeeper.dev/reconcile` that was acted upon last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile: Option<String>,
}

/// Jobs of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobCounts {
    /// Jobs that wait for an agent, and that some image can run.
    #[serde(default)]
    pub queued: i32,
    /// Jobs on an agent.
    #[serde(default)]
    pub running: i32,
    /// Jobs that no binding can run; not counted as queued.
    #[serde(default)]
    pub unroutable: i32,
}

/// A job that no binding can run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnroutableJob {
    /// Id of the job request in Azure DevOps.
    pub request: i64,
    /// Name of its pipeline.
    #[serde(default)]
    pub definition: String,
    /// Demands that no image meets.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub demands: Vec<String>,
}

/// Standby, now and next.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StandbyStatus {
    /// Agents on standby.
    #[serde(default)]
    pub current: i32,
    /// Agents wanted on standby.
    #[serde(default)]
    pub wanted: i32,
    /// What gives the figure: Off (nothing set), Constant, Manual, Automatic, Exception or Boost.
    #[serde(default)]
    pub source: String,
    /// The next change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_change: Option<NextChange>,
}

/// A decision, in words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was first made.
    pub at: Time,
    /// VMs wanted.
    #[serde(default)]
    pub desired: i32,
    /// What kept it from more: Nothing, MaxAgents, SavedAgents, BindingMaximum, ParallelJobs, Increment, Quota,
    /// Allocation, Subnet, Throttling, FailedStarts, Hold or Mode.
    #[serde(default)]
    pub limited_by: String,
    /// How the figure came about.
    #[serde(default)]
    pub message: String,
}

/// A binding, as the pool sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BindingSummary {
    /// Name of the ScaleSetBinding.
    pub name: String,
    /// Whether it may create agents now.
    #[serde(default)]
    pub ready: bool,
    /// Its share of the wanted standby.
    #[serde(default)]
    pub standby: i32,
    /// Its agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agents: Option<AgentCounts>,
}

/// What automatic standby has learned; the whole history is in a ConfigMap that the pool owns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AutomaticHistory {
    /// Days with samples.
    #[serde(default)]
    pub days_seen: i32,
    /// Samples of 5 minutes.
    #[serde(default)]
    pub samples: i32,
    /// History, or Fallback: too few days, schedule and constant hold.
    #[serde(default)]
    pub basis: String,
    /// One row a day of the week.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub hours: Vec<HistoryDay>,
}

/// A day of the week of automatic standby.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryDay {
    /// Day, in English.
    pub day: String,
    /// Agents on standby in each of its 24 hours.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub agents: Vec<i32>,
    /// Samples behind each figure.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub samples: Vec<i32>,
}

/// The last valid schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FollowedSchedule {
    /// Name of the StandbySchedule.
    pub name: String,
    /// Its generation.
    #[serde(default)]
    pub generation: i64,
    /// Its spec, whole. Untyped, so that one written by another version never hides the rest of the status.
    #[serde(default)]
    #[schemars(schema_with = "any_object")]
    pub spec: serde_json::Value,
}

impl FollowedSchedule {
    /// The schedule as typed data.
    ///
    /// # Errors
    /// If it was written by a version with other fields or values.
    pub fn typed(&self) -> Result<StandbyScheduleSpec, serde_json::Error> {
        StandbyScheduleSpec::deserialize(&self.spec)
    }
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "x-kubernetes-map-type": "atomic"
    })
}

/// A VM kept for investigation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SavedAgent {
    /// Name of VM and agent.
    #[serde(default)]
    pub name: String,
    /// Azure's unique id of the VM.
    #[serde(rename = "vmID")]
    pub vm_id: String,
    /// Id of the instance in its scale set.
    #[serde(default, rename = "instanceID")]
    pub instance_id: String,
    /// Name of its ScaleSetBinding.
    #[serde(default)]
    pub binding: String,
    /// When it was saved.
    pub saved_at: Time,
    /// Why, in one word.
    #[serde(default)]
    pub reason: String,
    /// Why, in full.
    #[serde(default)]
    pub message: String,
}

/// An agent record whose VM is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GhostAgent {
    /// Name of the agent, in lower case.
    pub name: String,
    /// Since when its VM is in no list.
    pub since: Time,
}

/// What an operation does. Reads a kind of a later version as Unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperationKind {
    /// VMs are created.
    Create,
    /// VMs are deleted.
    Delete,
    /// VMs are reset to their image.
    Reimage,
    /// A kind that this version does not know.
    #[default]
    #[serde(other)]
    Unknown,
}

/// An operation on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Unique among the pool's operations.
    pub id: String,
    /// Name of its ScaleSetBinding.
    #[serde(default)]
    pub binding: String,
    /// Create, Delete or Reimage.
    #[serde(default)]
    #[schemars(with = "String")]
    pub kind: OperationKind,
    /// When it was decided, before the first write.
    pub started_at: Time,
    /// What is not done by then has failed.
    pub deadline: Time,
    /// VMs that it concerns; of a creation, once they are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub instances: Vec<OperationInstance>,
    /// How many VMs it concerns.
    #[serde(default)]
    pub count: i32,
    /// Azure's address of the operation, once accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A VM that an operation concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationInstance {
    /// Id of the instance in its scale set.
    #[serde(rename = "instanceID")]
    pub instance_id: String,
    /// Azure's unique id of the VM.
    #[serde(default, rename = "vmID")]
    pub vm_id: String,
    /// Name of VM and agent.
    #[serde(default)]
    pub name: String,
    /// Id of its agent in Azure DevOps, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<i64>,
}

/// Something done, or tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentAction {
    /// When.
    pub at: Time,
    /// What, in one word.
    #[serde(default)]
    pub action: String,
    /// Name of its ScaleSetBinding.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub binding: String,
    /// How many VMs or agents it concerns.
    #[serde(default)]
    pub count: i32,
    /// Done, InFlight, Refused, Failed, or Observed (mode Observe: what would have been done).
    #[serde(default)]
    pub result: String,
    /// What, in full.
    #[serde(default)]
    pub message: String,
}

/// What scaling in remembers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleInMemory {
    /// How long how many idle agents have been in excess, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub staircase: Vec<StaircaseStep>,
}

/// At least so many idle agents have been in excess ever since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StaircaseStep {
    /// Since when.
    pub since: Time,
    /// How many agents.
    pub agents: i32,
}

/// The last step of strategy ElasticPool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepMemory {
    /// When it started.
    pub started_at: Time,
    /// Name of its ScaleSetBinding.
    #[serde(default)]
    pub binding: String,
    /// VMs that the binding should have after it.
    #[serde(default)]
    pub target: i32,
}
