//! Why no VM starts, why a VM is still here, why a job waits: sentences for a person, from what a pass has seen and
//! decided.
//!
//! Nothing is decided here. Each sentence repeats what [`decide`](crate::decide) has put into its [`Plan`]; where a
//! source is missing, or something was seen for the first time, the sentence says so instead of guessing.

mod causes;
mod decision;
mod figures;
mod instances;
mod jobs;
mod records;
pub(crate) mod time;

use jiff::Timestamp;

pub use figures::ImagePlan;
pub(crate) use figures::of as images;

use crate::{
    instance::State,
    memory::Memory,
    plan::Plan,
    pool::{BindingName, Pool},
    snapshot::{AgentId, InstanceId, RequestId, Snapshot, VmId},
};

/// A pool explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What is wanted, what is missing of it, and what keeps VMs from being started: one to four sentences.
    pub decision: String,
    /// Every VM, in the order of the plan: by binding, then VM.
    pub instances: Vec<InstanceLine>,
    /// Every unfinished job request, oldest first.
    pub jobs: Vec<JobLine>,
    /// Agent records that no VM stands behind, by name.
    pub records: Vec<RecordLine>,
}

impl Explanation {
    /// The VM with this id, instance id or computer name, in upper or lower case; the first where several have it.
    #[must_use]
    pub fn instance(&self, id: &str) -> Option<&InstanceLine> {
        let is = |text: &str| text.eq_ignore_ascii_case(id);
        let by = |called: fn(&InstanceLine) -> &str| self.instances.iter().find(|line| is(called(line)));
        by(|line| &line.vm_id.0)
            .or_else(|| by(|line| &line.computer_name))
            .or_else(|| by(|line| &line.instance_id.0))
    }

    /// The job request with this number.
    #[must_use]
    pub fn job(&self, request: RequestId) -> Option<&JobLine> {
        self.jobs.iter().find(|line| line.request == request)
    }
}

/// A VM and its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLine {
    /// Its scale set.
    pub binding: BindingName,
    /// Azure's id, never reused.
    pub vm_id: VmId,
    /// Inside the scale set.
    pub instance_id: InstanceId,
    /// The agent's default name.
    pub computer_name: String,
    /// Its agent record.
    pub agent: Option<AgentId>,
    /// What it does.
    pub state: State,
    /// Since when; unknown for a state that was seen for the first time in this pass and has no time of its own.
    pub since: Option<Timestamp>,
    /// The agent may take a job.
    pub enabled: bool,
    /// The agent has a session.
    pub online: bool,
    /// The request that it has been assigned.
    pub job: Option<RequestId>,
    /// Why it is still here, and what comes next.
    pub why: String,
}

/// An unfinished job request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLine {
    /// Its number.
    pub request: RequestId,
    /// Its pipeline.
    pub definition: Option<String>,
    /// When it was queued.
    pub queued_at: Option<Timestamp>,
    /// What it asks of an agent.
    pub demands: Vec<String>,
    /// The image that it goes to, empty for the unnamed one; none: no image can run it, or its agent is on no VM.
    pub image: Option<String>,
    /// The agent that has it.
    pub agent: Option<AgentId>,
    /// Where it runs, or why it waits.
    pub why: String,
}

/// An agent record that no VM stands behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLine {
    /// Its id.
    pub agent: AgentId,
    /// Its name.
    pub name: String,
    /// It has a session.
    pub online: bool,
    /// What it is.
    pub kind: RecordKind,
    /// What becomes of it.
    pub why: String,
}

/// What an agent record is that no VM stands behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordKind {
    /// Kept so that jobs wait while there are no agents.
    Placeholder,
    /// Its VM is gone.
    Ghost,
    /// Not ours.
    Foreign,
}

impl RecordKind {
    /// In one word.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Ghost => "ghost",
            Self::Foreign => "foreign",
        }
    }
}

/// Explains a pass: `memory` is what [`decide`](crate::decide) was given, `plan` what it made of that, of `seen` and of
/// `now`.
#[must_use]
pub fn explain(pool: &Pool, seen: &Snapshot, memory: &Memory, plan: &Plan, now: Timestamp) -> Explanation {
    let facts = Facts { pool, seen, memory, plan, now };
    Explanation {
        decision: decision::sentences(&facts),
        instances: instances::lines(&facts),
        jobs: jobs::lines(&facts),
        records: records::lines(&facts),
    }
}

/// What explanations are made from.
struct Facts<'a> {
    pool: &'a Pool,
    seen: &'a Snapshot,
    /// Before the pass.
    memory: &'a Memory,
    plan: &'a Plan,
    now: Timestamp,
}

impl State {
    /// In words, as a person says it of an agent.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Starting => "starting",
            Self::Recycling => "recycling",
            Self::Idle => "idle",
            Self::Busy => "busy",
            Self::Used => "used",
            Self::Draining => "draining",
            Self::CreationFailed => "creation failed",
            Self::FailedToStart => "failed to start",
            Self::WentOffline => "went offline",
            Self::Stopped => "stopped",
            Self::Saved => "saved",
            Self::Deleting => "deleting",
        }
    }
}
