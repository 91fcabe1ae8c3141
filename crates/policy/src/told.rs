//! What a plan tells besides its actions.

use jiff::Timestamp;

use crate::{
    memory::OperationKind,
    plan::Member,
    pool::BindingName,
    snapshot::{InstanceId, RequestId, VmId},
};

/// An operation that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Its id, as in [`Memory`](crate::Memory).
    pub operation: String,
    /// The scale set.
    pub binding: BindingName,
    /// What it was to do.
    pub kind: OperationKind,
    /// When it was begun.
    pub since: Timestamp,
    /// For the person.
    pub message: String,
}

/// What a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A stateless agent was given another job before its machine was new.
    AgentReused {
        /// The agent's name.
        name: String,
        /// Its scale set.
        binding: BindingName,
        /// The second job.
        request: RequestId,
    },
    /// A job on an agent past its lifetime has run two days; it is never ended.
    JobOverTwoDays {
        /// The agent's name.
        name: String,
        /// The job.
        request: RequestId,
        /// Since when it has run.
        since: Timestamp,
    },
    /// A VM was kept for investigation, or was not because enough are.
    FailedToStart {
        /// The agent's name.
        name: String,
        /// Its scale set.
        binding: BindingName,
        /// Why it failed, in Azure's words or ours.
        message: String,
        /// It is saved.
        saved: bool,
    },
}

/// A VM that is saved for investigation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Its scale set.
    pub binding: BindingName,
    /// The VM.
    pub vm_id: VmId,
    /// Inside the scale set.
    pub instance_id: InstanceId,
    /// The agent's name.
    pub computer_name: String,
    /// When it was saved, if its tag says so.
    pub at: Option<Timestamp>,
}

/// The VMs of one scale set that go because they were there before it was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingVms {
    /// The scale set.
    pub binding: BindingName,
    /// When it was claimed.
    pub claimed_at: Timestamp,
    /// Those that go, busy ones after their job; never empty.
    pub members: Vec<Member>,
}
