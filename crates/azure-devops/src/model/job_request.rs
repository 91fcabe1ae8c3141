use super::moment;
use crate::id::{AgentId, PoolId, RequestId};
use jiff::Timestamp;
use poolkeeper_rest::open_enum;
use serde::Deserialize;

open_enum! {
    /// How a job ended.
    pub enum JobResult {
        /// Well.
        Succeeded = "succeeded",
        /// Well, with warnings.
        SucceededWithIssues = "succeededWithIssues",
        /// Not well.
        Failed = "failed",
        /// A person ended it.
        Canceled = "canceled",
        /// Its condition was not met.
        Skipped = "skipped",
        /// Its agent was lost.
        Abandoned = "abandoned",
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JobState {
    /// No agent has it.
    Queued,
    /// The server chose an agent, which has not taken it yet.
    Assigned,
    /// An agent runs it.
    Received,
    /// It is over.
    Finished,
}

/// A job on its way to an agent, on it, or past it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobRequest {
    /// Its number.
    pub request_id: RequestId,
    /// When it began to wait.
    #[serde(default, deserialize_with = "moment")]
    pub queue_time: Option<Timestamp>,
    /// When the server chose an agent.
    #[serde(default, deserialize_with = "moment")]
    pub assign_time: Option<Timestamp>,
    /// When the agent took it.
    #[serde(default, deserialize_with = "moment")]
    pub receive_time: Option<Timestamp>,
    /// When it ended.
    #[serde(default, deserialize_with = "moment")]
    pub finish_time: Option<Timestamp>,
    /// Until when the server waits for word of the agent; renewed every minute for ten.
    #[serde(default, deserialize_with = "moment")]
    pub locked_until: Option<Timestamp>,
    /// How it ended.
    #[serde(default)]
    pub result: Option<JobResult>,
    /// The agent that the server chose.
    #[serde(default)]
    pub reserved_agent: Option<AgentReference>,
    /// The agents that could run it. Some queries leave it out, which says nothing.
    #[serde(default)]
    pub matched_agents: Option<Vec<AgentReference>>,
    /// Whether every agent of the pool could; the list is then left out or empty.
    #[serde(default)]
    pub matches_all_agents_in_pool: Option<bool>,
    /// What it asks of an agent: `name`, `name -equals value` or `Agent.Version -gtVersion value`.
    #[serde(default, deserialize_with = "demands")]
    pub demands: Vec<String>,
    /// The pipeline.
    #[serde(default)]
    pub definition: Option<NamedReference>,
    /// The run.
    #[serde(default)]
    pub owner: Option<NamedReference>,
    /// The job's own name.
    #[serde(default)]
    pub job_name: Option<String>,
    /// What kind of work it is, such as `Build`.
    #[serde(default)]
    pub plan_type: Option<String>,
    /// The pool.
    #[serde(default)]
    pub pool_id: Option<PoolId>,
    /// The project's GUID.
    #[serde(default)]
    pub scope_id: Option<String>,
    /// The job's GUID within its plan.
    #[serde(default)]
    pub job_id: Option<String>,
}

/// An agent that a job request names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AgentReference {
    /// Its number.
    pub id: AgentId,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
}

/// A pipeline or a run that a job request names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NamedReference {
    /// Its number.
    pub id: u64,
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
}

/// The kind of plan that maintenance runs in. The agent's own job runner knows the same word, in lower case.
const MAINTENANCE: &str = "PoolMaintenance";

impl JobRequest {
    /// Whether it is the pool's maintenance, which is bound to its agent: no other could run it, and none is missing.
    pub fn is_maintenance(&self) -> bool {
        self.plan_type.as_deref().is_some_and(|plan| plan.eq_ignore_ascii_case(MAINTENANCE))
    }

    /// How far it is.
    pub fn state(&self) -> JobState {
        if self.result.is_some() || self.finish_time.is_some() {
            JobState::Finished
        } else if self.receive_time.is_some() {
            JobState::Received
        } else if self.assign_time.is_some() || self.reserved_agent.is_some() {
            JobState::Assigned
        } else {
            JobState::Queued
        }
    }
}

fn demands<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::<Vec<String>>::deserialize(input)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case(json!({"queueTime": "2026-01-01T00:00:00Z", "receiveTime": "0001-01-01T00:00:00"}), JobState::Queued)]
    #[case(json!({"assignTime": "2026-01-01T00:00:00Z"}), JobState::Assigned)]
    #[case(json!({"reservedAgent": {"id": 7}}), JobState::Assigned)]
    #[case(json!({"assignTime": "2026-01-01T00:00:00Z", "receiveTime": "2026-01-01T00:00:00Z"}), JobState::Received)]
    #[case(json!({"result": "canceled"}), JobState::Finished)]
    #[case(json!({"finishTime": "2026-01-01T00:00:00Z"}), JobState::Finished)]
    fn states(#[case] mut fields: serde_json::Value, #[case] state: JobState) {
        fields["requestId"] = json!(1);
        assert_eq!(serde_json::from_value::<JobRequest>(fields).unwrap().state(), state);
    }

    #[test]
    fn maintenance_is_told_by_its_plan() {
        let read = |plan: &str| {
            serde_json::from_value::<JobRequest>(json!({"requestId": 1, "planType": plan})).unwrap()
        };
        assert!(read("PoolMaintenance").is_maintenance() && read("poolmaintenance").is_maintenance());
        assert!(!read("Build").is_maintenance());
    }
}
