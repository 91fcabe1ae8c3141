//! What was seen of the clouds in one pass.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};

use crate::{demand::Demand, failure::Failure, pool::BindingName, reason::PoolReason};

/// A source: read, or missing with the reason. A failed read is never an empty list.
#[derive(Clone, Debug)]
pub enum Seen<T> {
    /// Read whole.
    Fresh {
        /// What was read.
        value: T,
        /// When.
        at: Timestamp,
    },
    /// Not read; `last` is what was seen before, for figures and for counting, never for removal.
    Missing {
        /// The reason, for conditions.
        why: Why,
        /// The last good answer and its time.
        last: Option<(T, Timestamp)>,
    },
}

impl<T> Seen<T> {
    /// The newest value known, fresh or not.
    pub fn latest(&self) -> Option<&T> {
        match self {
            Self::Fresh { value, .. } => Some(value),
            Self::Missing { last, .. } => last.as_ref().map(|(value, _)| value),
        }
    }

    /// The time of the value, if it was read and is not missing now.
    pub fn fresh_at(&self) -> Option<Timestamp> {
        match self {
            Self::Fresh { at, .. } => Some(*at),
            Self::Missing { .. } => None,
        }
    }

    /// The time of the value, however old it is.
    pub fn as_of(&self) -> Option<Timestamp> {
        match self {
            Self::Fresh { at, .. } => Some(*at),
            Self::Missing { last, .. } => last.as_ref().map(|(_, at)| *at),
        }
    }

    /// Why the source is missing.
    pub fn why(&self) -> Option<&Why> {
        match self {
            Self::Fresh { .. } => None,
            Self::Missing { why, .. } => Some(why),
        }
    }

    /// Read, and at most `age` old.
    pub fn within(&self, age: SignedDuration, now: Timestamp) -> bool {
        self.fresh_at().is_some_and(|at| now.duration_since(at) <= age)
    }
}

/// Why a source is missing: a reason of the closed list and a sentence with the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// For the conditions `Stalled` and `OrganizationReachable`.
    pub reason: PoolReason,
    /// For the person.
    pub message: String,
}

/// Everything that was read in one pass.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Unfinished job requests of the pool; `busy` and `queued` both come from this one answer.
    pub jobs: Seen<Vec<JobRequest>>,
    /// Agents of the pool, read after the jobs.
    pub agents: Seen<Vec<Agent>>,
    /// Each binding's scale set.
    pub sets: BTreeMap<BindingName, SetView>,
    /// How the operations in [`Memory`](crate::Memory) stand, by id; absent: not polled.
    pub operations: BTreeMap<String, OperationProgress>,
    /// This pool's fair share of the organisation's parallel jobs, running ones included; `None`: no limit is known.
    pub parallel_jobs: Option<u32>,
}

#[cfg(feature = "mutants")]
impl Snapshot {
    /// The planted fault: a list that is missing is taken for an empty one that was just read.
    pub(crate) fn emptied(&self, now: Timestamp) -> Self {
        fn empty<T>(seen: &mut Seen<Vec<T>>, now: Timestamp) {
            if seen.why().is_some() {
                *seen = Seen::Fresh { value: Vec::new(), at: now };
            }
        }
        let mut emptied = self.clone();
        empty(&mut emptied.jobs, now);
        empty(&mut emptied.agents, now);
        for set in emptied.sets.values_mut() {
            empty(&mut set.instances, now);
        }
        emptied
    }
}

/// One binding's scale set as seen.
#[derive(Clone, Debug)]
pub struct SetView {
    /// Set by the binding's own controller while the set must not be written to.
    pub blocked: Option<Blocked>,
    /// The scale set itself.
    pub scale_set: Seen<ScaleSet>,
    /// Its instances.
    pub instances: Seen<Vec<Vm>>,
    /// How many VMs of this size the subscription's quota still allows, if that was read; it is asked for while a
    /// failure of kind `Quota` is remembered.
    pub headroom: Option<u32>,
}

/// Why a binding cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// For the person.
    pub message: String,
    /// It is still on its way to its first agent, as opposed to stalled.
    pub pending: bool,
}

/// A scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScaleSet {
    /// `sku.capacity`.
    pub capacity: u32,
    /// The first part of each computer name.
    pub computer_name_prefix: String,
    /// How its VMs are operated on.
    pub orchestration: Orchestration,
    /// VMs that its tags say are saved for investigation.
    pub saved: BTreeMap<VmId, SavedMark>,
}

/// What the tags say of a saved VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedMark {
    /// When it was saved, if the tag is readable.
    pub at: Option<Timestamp>,
}

/// How the VMs of a scale set are operated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orchestration {
    /// By the scale set, which does one thing at a time.
    Uniform,
    /// Each VM by itself.
    Flexible,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub String);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// Azure's id of a VM; unlike the instance id it is never reused.
    VmId
}
text_id! {
    /// Id of an instance inside its scale set; Azure may reuse it.
    InstanceId
}

/// Id of an agent record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentId(pub i64);

/// Id of a job request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub i64);

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An instance of a scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vm {
    /// Never reused.
    pub vm_id: VmId,
    /// Inside the scale set.
    pub instance_id: InstanceId,
    /// The agent's default name.
    pub computer_name: String,
    /// State of the last operation on it.
    pub provisioning: Provisioning,
    /// Whether it runs.
    pub power: Power,
    /// When Azure created it.
    pub created_at: Option<Timestamp>,
    /// What failed, in Azure's words.
    pub failure: Option<VmFailure>,
}

/// What failed of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmFailure {
    /// Where.
    pub kind: VmFailureKind,
    /// In Azure's words.
    pub message: String,
}

/// Where a VM failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmFailureKind {
    /// Azure could not make it.
    Creation,
    /// The agent's extension.
    Extension,
    /// The custom script.
    Script,
}

/// State of the last operation on an instance, not its health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provisioning {
    /// Being created.
    Creating,
    /// Being changed, such as reimaged.
    Updating,
    /// Being deleted.
    Deleting,
    /// The last operation succeeded.
    Succeeded,
    /// The last operation failed.
    Failed,
    /// Something that Azure may add.
    Other,
}

/// Power state of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Starting or running.
    On,
    /// Stopping, stopped, deallocating or deallocated.
    Off,
    /// Not said.
    Unknown,
}

/// An agent record of the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Id in the pool.
    pub id: AgentId,
    /// By default the computer name of its VM.
    pub name: String,
    /// Takes new jobs.
    pub enabled: bool,
    /// Has a session.
    pub online: bool,
    /// Restarts itself for a new version; may look offline.
    pub updating: bool,
    /// When the record was made.
    pub created_at: Option<Timestamp>,
    /// When it last went online or offline.
    pub status_changed_at: Option<Timestamp>,
    /// The request that it has been assigned.
    pub assigned: Option<RequestId>,
    /// That request is the pool's maintenance: it may be younger than the list of jobs.
    pub maintained: bool,
    /// When its last request finished.
    pub last_finished_at: Option<Timestamp>,
    /// System and user capabilities, by lower-case name.
    pub capabilities: BTreeMap<String, String>,
    /// The user capabilities alone, named as they are written: a write replaces all of them.
    pub user_capabilities: BTreeMap<String, String>,
}

/// A user capability of agent records that no agent stands behind, by its lower-case name.
pub(crate) const PLACEHOLDER: &str = "poolkeeper.placeholder";

impl Agent {
    /// A record that no agent stands behind: it lets jobs wait for a pool that has no agents. One that is online is an
    /// agent, whatever its capabilities say.
    pub(crate) fn is_placeholder(&self) -> bool {
        !self.online && self.capabilities.contains_key(PLACEHOLDER)
    }
}

/// An unfinished job request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRequest {
    /// Id in the pool.
    pub id: RequestId,
    /// When it was queued.
    pub queued_at: Option<Timestamp>,
    /// When an agent was given it.
    pub assigned_at: Option<Timestamp>,
    /// The agent that has it.
    pub agent: Option<AgentId>,
    /// What it asks of an agent.
    pub demands: Vec<Demand>,
    /// Pool maintenance: bound to its agent, never counted as demand.
    pub maintenance: bool,
    /// Name of its pipeline.
    pub definition: Option<String>,
}

/// How a long-running operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationProgress {
    /// Still running.
    InProgress,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed(Failure),
}
