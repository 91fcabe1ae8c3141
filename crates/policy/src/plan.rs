//! What shall be done, what is not done and why, and when to look again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    demand::UnroutableJob,
    explain::ImagePlan,
    failure::Limit,
    health::Condition,
    instance::{Counts, Instance},
    memory::{FailedStarts, Memory},
    pool::BindingName,
    protocol::RecordChange,
    schedule::{Change, Level},
    snapshot::{AgentId, InstanceId, VmId},
    start_times::Measured,
    told::{ExistingVms, Lost, Notice, Saved},
};

/// The outcome of one decision.
#[derive(Clone, Debug)]
#[must_use]
pub struct Plan {
    /// To be carried out, in this order.
    pub actions: Vec<Action>,
    /// Changes of agent records that no VM stands behind, after the actions.
    pub records: Vec<RecordChange>,
    /// Mode `Observe`: what would have been carried out.
    pub observed: Vec<Action>,
    /// What is wanted and not done, and why.
    pub holds: Vec<Hold>,
    /// The sizing in figures and words.
    pub decision: Decision,
    /// The standby wanted now, and its source.
    pub standby: Level,
    /// When the wanted standby changes next.
    pub next_change: Option<Change>,
    /// Instances by state.
    pub counts: Counts,
    /// Every instance of the pool, for explanations.
    pub instances: Vec<Instance>,
    /// Jobs by what becomes of them.
    pub jobs: JobCounts,
    /// Jobs that no image can run.
    pub unroutable: Vec<UnroutableJob>,
    /// Each binding's part, and when its scale set is read next.
    pub bindings: BTreeMap<BindingName, BindingPlan>,
    /// Operations whose deadline has passed without an end, each told once; what they were to bring is not capacity.
    pub lost: Vec<Lost>,
    /// What a person should know, each told once.
    pub notices: Vec<Notice>,
    /// VMs that are saved for investigation, by binding and VM.
    pub saved: Vec<Saved>,
    /// Each image in figures, in the order of the pool's images.
    pub images: Vec<ImagePlan>,
    /// VMs that will go because they were there before their scale set was claimed: told once per claim, before the
    /// first of them is touched.
    pub existing: Vec<ExistingVms>,
    /// The pool's conditions.
    pub conditions: Vec<Condition>,
    /// For the next pass.
    pub memory: Memory,
    /// When jobs and agents are read next, if they have been read now; else so much earlier.
    pub read_jobs_at: Timestamp,
    /// The next pass is due then, unless something wakes the pool earlier; always after now.
    pub next_wakeup: Timestamp,
    /// The pool is being deleted and was *seen* empty.
    pub drained: bool,
}

/// Jobs by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// No agent has them, and some image can run them.
    pub queued: u32,
    /// An agent of the pool's VMs has them.
    pub running: u32,
    /// No image can run them.
    pub unroutable: u32,
}

/// One binding's part of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingPlan {
    /// Its instances by state.
    pub counts: Counts,
    /// Its share of the standby.
    pub standby: u32,
    /// Failed starts in a row, if there were any.
    pub failed_starts: Option<FailedStarts>,
    /// How long its starts take, if any was measured.
    pub start_times: Option<Measured>,
    /// Why it may not create VMs now.
    pub limit: Option<Limit>,
    /// When the scale set is read next.
    pub read_set_at: Timestamp,
    /// When its instances are listed next.
    pub list_at: Timestamp,
}

/// The sizing in figures and words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Agents wanted.
    pub desired: u32,
    /// What keeps the pool from more.
    pub limited_by: LimitedBy,
    /// The sum in words.
    pub message: String,
}

/// What keeps a pool from growing further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitedBy {
    /// Nothing does.
    Nothing,
    /// The pool's `maxAgents`.
    MaxAgents,
    /// The pool's `maxAgents`, of which saved agents take a part that is missing.
    SavedAgents,
    /// Every usable binding is at its own maximum.
    BindingMaximum,
    /// The organisation's parallel jobs, of which this pool has its share.
    ParallelJobs,
    /// The step of strategy `ElasticPool`.
    Increment,
    /// Azure's quota.
    Quota,
    /// Azure has no machine of this size there, or does not offer it.
    Allocation,
    /// The subnet has no address left.
    Subnet,
    /// Azure or Azure DevOps asks for fewer calls.
    Throttling,
    /// The starts of an image fail, so it is tried with one VM at a time.
    FailedStarts,
    /// A source is missing, or a write was refused.
    Hold,
    /// The mode: nothing is written.
    Mode,
}

impl LimitedBy {
    /// As it stands in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "Nothing",
            Self::MaxAgents => "MaxAgents",
            Self::SavedAgents => "SavedAgents",
            Self::BindingMaximum => "BindingMaximum",
            Self::ParallelJobs => "ParallelJobs",
            Self::Increment => "Increment",
            Self::Quota => "Quota",
            Self::Allocation => "Allocation",
            Self::Subnet => "Subnet",
            Self::Throttling => "Throttling",
            Self::FailedStarts => "FailedStarts",
            Self::Hold => "Hold",
            Self::Mode => "Mode",
        }
    }
}

/// A deed with its preconditions, which are checked again right before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Raise the capacity.
    Grow {
        /// Id of the operation in [`Memory`].
        operation: String,
        /// The scale set.
        binding: BindingName,
        /// How many are missing.
        by: u32,
        /// Members observed plus the missing ones, never below the capacity.
        target: u32,
        /// Precondition: the capacity is still this.
        capacity: u32,
    },
    /// Keep an agent from taking another job; the first step of a removal. One that runs a job finishes it.
    Disable {
        /// The scale set.
        binding: BindingName,
        /// Whose agent.
        member: Member,
    },
    /// Delete the agent records, which Azure DevOps refuses while a job runs, then delete or reimage the VMs.
    Remove {
        /// Id of the operation in [`Memory`].
        operation: String,
        /// The scale set.
        binding: BindingName,
        /// What becomes of the VMs.
        removal: Removal,
        /// Never empty. Precondition for each: no request assigned, same `vm_id`.
        members: Vec<Member>,
    },
    /// Keep VMs for investigation: no further job, and noted in the scale set's tags.
    Save {
        /// The scale set.
        binding: BindingName,
        /// Never empty. Precondition for each: no request assigned, offline.
        members: Vec<Member>,
    },
    /// Forget saved VMs that are gone.
    Unmark {
        /// The scale set.
        binding: BindingName,
        /// Never empty.
        vms: Vec<VmId>,
    },
}

impl Action {
    /// The scale set that it writes to.
    #[must_use]
    pub fn binding(&self) -> &BindingName {
        match self {
            Self::Grow { binding, .. }
            | Self::Disable { binding, .. }
            | Self::Remove { binding, .. }
            | Self::Save { binding, .. }
            | Self::Unmark { binding, .. } => binding,
        }
    }

    /// Whether it can end the life of an agent or VM.
    #[must_use]
    pub fn is_destructive(&self) -> bool {
        match self {
            Self::Grow { .. } | Self::Unmark { .. } => false,
            Self::Disable { .. } | Self::Remove { .. } | Self::Save { .. } => true,
        }
    }
}

/// What becomes of a VM whose agent record is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removal {
    /// It is deleted.
    Delete,
    /// It gets a fresh OS disk, and a new agent registers.
    Reimage,
}

/// An instance that an action is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Must still be this VM's.
    pub vm_id: VmId,
    /// Inside the scale set.
    pub instance_id: InstanceId,
    /// To list agents again by, before a VM without one is deleted.
    pub computer_name: String,
    /// Its agent record, or the one that an earlier VM of this name has left.
    pub agent: Option<AgentId>,
    /// Why it goes.
    pub cause: Cause,
}

/// Why an instance goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Idle agents above what is wanted, for the idle delay.
    Excess,
    /// A stateless agent that has run its job.
    Used,
    /// Its agent is disabled, by whomever.
    Disabled,
    /// Not online within the start timeout.
    FailedToStart,
    /// Azure could not create the VM.
    CreationFailed,
    /// Its agent went offline without a job.
    WentOffline,
    /// The VM was stopped or evicted.
    Stopped,
    /// Its binding is cordoned or being deleted.
    BindingLeaves,
    /// The pool is being deleted.
    PoolDeleted,
    /// It was there before the scale set was claimed, and the binding replaces such VMs.
    Existing,
    /// A stateful agent that has lived as long as it may.
    Lifetime,
    /// A person has asked for it.
    Asked,
    /// It was saved for investigation, and a person has released it.
    Released,
}

impl Cause {
    /// In words, after "because".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Excess => "idle beyond what is wanted",
            Self::Used => "has run its job",
            Self::Disabled => "disabled",
            Self::FailedToStart => "failed to start",
            Self::CreationFailed => "deleting unhealthy machine: its creation failed",
            Self::WentOffline => "deleting unhealthy machine: its agent went offline",
            Self::Stopped => "deleting unhealthy machine: it was stopped or evicted",
            Self::BindingLeaves => "its binding is cordoned or deleted",
            Self::PoolDeleted => "the pool is being deleted",
            Self::Existing => "was there before the scale set was taken over",
            Self::Lifetime => "has reached maxAgentLifetime",
            Self::Asked => "a person has asked for it",
            Self::Released => "was saved and is released",
        }
    }
}

/// Something wanted that is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What would have been done; `None` where not even that can be known.
    pub wanted: Option<Action>,
    /// The reason of the condition.
    pub reason: HoldReason,
    /// For the person.
    pub message: String,
}

/// Why something is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HoldReason {
    /// A source could not be read.
    SourceMissing,
    /// Capacity and members differ: part of the answer is old.
    SourcePartial,
    /// The scale set is not ours to write to.
    ClaimLost,
    /// Another operation runs on the scale set.
    Conflict,
    /// A write was refused or failed; it is tried again later.
    WriteRefused,
    /// Mode `Paused`. Not a condition of its own.
    Paused,
}

impl HoldReason {
    /// As it stands in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SourceMissing => "SourceMissing",
            Self::SourcePartial => "SourcePartial",
            Self::ClaimLost => "ClaimLost",
            Self::Conflict => "Conflict",
            Self::WriteRefused => "WriteRefused",
            Self::Paused => "Paused",
        }
    }
}
