//! Job requests.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::{demand::DemandsId, event::after, tally::KilledBy};
use crate::spec::Distribution;

/// How long the service waits for an agent that has stopped renewing its job (Azure DevOps: 10 minutes).
pub(crate) const JOB_LOCK: SignedDuration = SignedDuration::from_mins(10);
/// How often an agent renews its job (azure-pipelines-agent: every minute).
const RENEWAL: i64 = 60;

/// Jobs to be queued.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSpec {
    /// What they demand, as Azure DevOps writes it: `docker`, `os -equals linux`, `Agent.Version -gtVersion 4.0.0`.
    pub demands: Vec<String>,
    /// How long each runs.
    pub duration: Distribution,
    /// How many.
    pub count: u32,
    /// The name of the pipeline.
    pub definition: Arc<str>,
    /// The agent that they are bound to: maintenance of that agent.
    pub maintenance_of: Option<u64>,
}

impl JobSpec {
    /// One job without demands.
    pub fn new(duration: Distribution) -> Self {
        Self {
            demands: Vec::new(),
            duration,
            count: 1,
            definition: Arc::from("pipeline"),
            maintenance_of: None,
        }
    }
}

/// How a job has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobResult {
    /// It ran to its end.
    Succeeded,
    /// No agent could ever run it.
    Failed,
    /// It was cancelled.
    Canceled,
    /// Its agent was not heard of again.
    Abandoned,
}

impl JobResult {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A job request of a pool.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// Its id, unique in the organisation.
    pub id: u64,
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When an agent was chosen.
    pub assigned_at: Option<Timestamp>,
    /// When the agent started it.
    pub received_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// How it ended.
    pub result: Option<JobResult>,
    /// The agent that has it, by id and name.
    pub agent: Option<(u64, Arc<str>)>,
    /// The agent that it is bound to.
    pub maintenance_of: Option<u64>,
    /// When its machine was taken away, and by which call.
    pub killed: Option<(Timestamp, KilledBy)>,
    /// The name of the pipeline.
    pub definition: Arc<str>,
    pub(crate) duration: SignedDuration,
    pub(crate) demands: DemandsId,
}

impl JobRequest {
    /// Whether it waits for an agent.
    pub fn is_waiting(&self) -> bool {
        self.assigned_at.is_none() && self.finished_at.is_none()
    }

    /// Until when the service waits for the agent: ten minutes after the last renewal.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        let held_from = self.received_at.or(self.assigned_at)?;
        let alive_until = self.killed.map_or(now, |(at, _)| at).min(self.finished_at.unwrap_or(now));
        let seconds = alive_until.duration_since(held_from).as_secs().max(0);
        // An agent renews only what it has received.
        let renewed = if self.received_at.is_some() { seconds - seconds % RENEWAL } else { 0 };
        Some(after(held_from, SignedDuration::from_secs(renewed).saturating_add(JOB_LOCK)))
    }
}
