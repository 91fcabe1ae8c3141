//! The simulator's journal as it is read.

use jiff::Timestamp;
use serde::Deserialize;

/// One change of the world.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Counts up from 1 without gaps.
    pub seq: u64,
    /// When, in simulated time.
    pub at: Timestamp,
    /// The name of the scale set or pool.
    pub place: String,
    /// What has changed.
    pub kind: Kind,
    /// The agent, and its computer.
    pub agent: Option<String>,
    /// The job request.
    pub request: Option<u64>,
    /// Why, or from what to what.
    pub detail: Option<String>,
    /// The change in words.
    #[serde(default)]
    pub text: String,
}

/// The changes that count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Kind {
    /// A VM is being created.
    VmCreating,
    /// A VM runs, new or reimaged.
    VmRunning,
    /// A VM could not be created.
    VmFailed,
    /// A VM is being reimaged.
    VmReimaging,
    /// A VM is being deleted.
    VmDeleting,
    /// A VM is gone.
    VmDeleted,
    /// Azure has accepted a write, and works on it.
    OperationStarted,
    /// An agent has registered.
    AgentRegistered,
    /// An agent is online.
    AgentOnline,
    /// An agent is offline.
    AgentOffline,
    /// An agent was enabled.
    AgentEnabled,
    /// An agent was disabled.
    AgentDisabled,
    /// An agent's record is gone.
    AgentDeleted,
    /// A job waits.
    JobQueued,
    /// A job has an agent.
    JobAssigned,
    /// An agent has started a job.
    JobReceived,
    /// A job has ended.
    JobFinished,
    /// A job has lost its machine.
    JobKilled,
    /// Anything else.
    #[serde(other)]
    Other,
}
