//! Explanations as JSON: what `GET /pools/<namespace>/<name>` answers and `-o json` prints. No secrets are in it.

use jiff::Timestamp;
use poolkeeper_policy::{InstanceLine, JobLine, RecordKind, RecordLine, State};
use serde::{Deserialize, Serialize};

/// A pool as its last pass has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolView {
    /// Namespace of the AgentPool.
    pub namespace: String,
    /// Name of the AgentPool.
    pub name: String,
    /// The operator's time when it answered.
    pub now: Timestamp,
    /// When the pass was.
    pub made_at: Timestamp,
    /// What is wanted, and what keeps the pool from it.
    pub decision: DecisionView,
    /// Every VM with its agent, by binding, then VM.
    pub agents: Vec<AgentView>,
    /// Every unfinished job request, oldest first.
    pub jobs: Vec<JobView>,
    /// Agent records that no VM stands behind, by name.
    pub records: Vec<RecordView>,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionView {
    /// Agents wanted.
    pub desired: u32,
    /// What keeps the pool from more, as in its status.
    pub limited_by: String,
    /// The sizing as a sum, as in its status.
    pub sum: String,
    /// The same in sentences.
    pub why: String,
}

/// A VM and its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Computer name of the VM, by default the name of its agent.
    pub name: String,
    /// Azure's id of the VM, never reused.
    #[serde(rename = "vmID")]
    pub vm_id: String,
    /// Inside the scale set.
    #[serde(rename = "instanceID")]
    pub instance_id: String,
    /// The ScaleSetBinding.
    pub binding: String,
    /// What it does, such as `Idle`.
    pub state: String,
    /// Since when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Its agent record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<i64>,
    /// The agent may take a job.
    pub enabled: bool,
    /// The agent has a session.
    pub online: bool,
    /// The job request that it has been assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<i64>,
    /// Why it is still here, and what comes next.
    pub why: String,
}

/// An unfinished job request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// Its number.
    pub request: i64,
    /// Its pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<String>,
    /// When it was queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queued_at: Option<Timestamp>,
    /// What it asks of an agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub demands: Vec<String>,
    /// The image that it goes to, empty for the unnamed one; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The agent that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<i64>,
    /// Where it runs, or why it waits.
    pub why: String,
}

/// An agent record that no VM stands behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordView {
    /// Its id.
    pub agent: i64,
    /// Its name.
    pub name: String,
    /// `Placeholder`, `Ghost` or `Foreign`.
    pub kind: String,
    /// It has a session.
    pub online: bool,
    /// What becomes of it.
    pub why: String,
}

impl From<&InstanceLine> for AgentView {
    fn from(line: &InstanceLine) -> Self {
        Self {
            name: line.computer_name.clone(),
            vm_id: line.vm_id.0.clone(),
            instance_id: line.instance_id.0.clone(),
            binding: line.binding.0.clone(),
            state: state(line.state).to_owned(),
            since: line.since,
            agent: line.agent.map(|agent| agent.0),
            enabled: line.enabled,
            online: line.online,
            job: line.job.map(|request| request.0),
            why: line.why.clone(),
        }
    }
}

impl From<&JobLine> for JobView {
    fn from(line: &JobLine) -> Self {
        Self {
            request: line.request.0,
            definition: line.definition.clone(),
            queued_at: line.queued_at,
            demands: line.demands.clone(),
            image: line.image.clone(),
            agent: line.agent.map(|agent| agent.0),
            why: line.why.clone(),
        }
    }
}

impl From<&RecordLine> for RecordView {
    fn from(line: &RecordLine) -> Self {
        let kind = match line.kind {
            RecordKind::Placeholder => "Placeholder",
            RecordKind::Ghost => "Ghost",
            RecordKind::Foreign => "Foreign",
        };
        Self {
            agent: line.agent.0,
            name: line.name.clone(),
            kind: kind.to_owned(),
            online: line.online,
            why: line.why.clone(),
        }
    }
}

/// One word, as statuses have them.
fn state(state: State) -> &'static str {
    match state {
        State::Creating => "Creating",
        State::Starting => "Starting",
        State::Recycling => "Recycling",
        State::Idle => "Idle",
        State::Busy => "Busy",
        State::Used => "Used",
        State::Draining => "Draining",
        State::CreationFailed => "CreationFailed",
        State::FailedToStart => "FailedToStart",
        State::WentOffline => "WentOffline",
        State::Stopped => "Stopped",
        State::Saved => "Saved",
        State::Deleting => "Deleting",
    }
}
