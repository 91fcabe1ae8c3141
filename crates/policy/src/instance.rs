//! An instance: a VM and its agent, with its state and since when.

use jiff::{SignedDuration, Timestamp};

use crate::{
    plan::{Cause, Removal},
    pool::BindingName,
    snapshot::{AgentId, InstanceId, Provisioning, RequestId, Vm, VmId},
};

/// A VM and its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its scale set.
    pub binding: BindingName,
    /// Azure's id, never reused.
    pub vm_id: VmId,
    /// Inside the scale set.
    pub instance_id: InstanceId,
    /// The agent's default name.
    pub computer_name: String,
    /// Its agent record, unless that is a leftover of an earlier VM of the same name.
    pub agent: Option<AgentId>,
    /// The record that an earlier VM of the same name has left behind; it goes with the VM.
    pub leftover: Option<AgentId>,
    /// An agent has its name, and so has another VM: nobody knows whose agent it is, so neither goes.
    pub ambiguous: bool,
    /// The agent may take a job.
    pub enabled: bool,
    /// The agent has a session.
    pub online: bool,
    /// What it does.
    pub state: State,
    /// Since when.
    pub since: Timestamp,
    /// When capacity on its way is given up.
    pub deadline: Option<Timestamp>,
    /// Its agent has been online since the VM was created or reimaged.
    pub was_online: bool,
    /// A removal whose agent record is gone and which Azure never confirmed: it is begun again.
    pub resumes: Option<Removal>,
    /// It was there before the claim and goes, because its binding replaces such VMs.
    pub existing: bool,
    /// When its VM was created; where Azure does not say, when its agent was registered.
    pub born: Option<Timestamp>,
    /// The request that its agent works on.
    pub request: Option<RequestId>,
    /// That request is pool maintenance: the agent is free again soon.
    pub maintenance: bool,
    /// A stateless agent that was given a job although it has finished one since its machine was new.
    pub reused: bool,
    /// The tags of its scale set say that it is saved for investigation.
    pub saved: bool,
    /// Why it takes no further job and is no capacity for others: `Existing`, `Lifetime` or `Asked`.
    pub leaves: Option<Cause>,
    /// Why it is to be saved for investigation: `FailedToStart` or `Asked`.
    pub saves: Option<Cause>,
    /// It would be saved or removed, but not all tags are known, and so not how many are saved.
    pub undecided: bool,
}

/// What an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Azure makes the VM.
    Creating,
    /// The VM is there, its agent is not yet online, or back in a moment.
    Starting,
    /// It is being reimaged, up to the agent being online again.
    Recycling,
    /// Online, enabled, without a job.
    Idle,
    /// A job is assigned and not finished, whatever the agent's status.
    Busy,
    /// A stateless agent that has run its job.
    Used,
    /// Its agent is disabled and has no job.
    Draining,
    /// Azure could not create it.
    CreationFailed,
    /// Its agent was not online in time.
    FailedToStart,
    /// Its agent went offline without a job.
    WentOffline,
    /// Stopped, deallocated or evicted.
    Stopped,
    /// Kept for investigation: shielded from every removal.
    Saved,
    /// On its way out.
    Deleting,
}

impl State {
    /// Capacity on its way: it counts once, until its deadline.
    #[must_use]
    pub fn is_coming(self) -> bool {
        match self {
            Self::Creating | Self::Starting | Self::Recycling => true,
            Self::Idle
            | Self::Busy
            | Self::Used
            | Self::Draining
            | Self::CreationFailed
            | Self::FailedToStart
            | Self::WentOffline
            | Self::Stopped
            | Self::Saved
            | Self::Deleting => false,
        }
    }

    /// Never capacity again: only its removal is left.
    #[must_use]
    pub fn is_lost(self) -> bool {
        match self {
            Self::CreationFailed | Self::FailedToStart | Self::WentOffline | Self::Stopped => true,
            Self::Creating
            | Self::Starting
            | Self::Recycling
            | Self::Idle
            | Self::Busy
            | Self::Used
            | Self::Draining
            | Self::Saved
            | Self::Deleting => false,
        }
    }

    /// It will be in another state soon by itself, so the set is listed often.
    #[must_use]
    pub fn is_moving(self) -> bool {
        self.is_coming() || self == Self::Deleting
    }
}

/// Instances by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Running a job.
    pub busy: u32,
    /// Free.
    pub idle: u32,
    /// Created and not yet online.
    pub starting: u32,
    /// Between two jobs: being reimaged, or about to be.
    pub recycling: u32,
    /// Disabled and finishing, or being deleted.
    pub draining: u32,
    /// Failed, stopped or lost.
    pub unhealthy: u32,
    /// Kept for investigation.
    pub saved: u32,
    /// Agents of the pool that are on none of its VMs, and no placeholders.
    pub foreign: u32,
}

impl Counts {
    /// All VMs: what `maxAgents` bounds.
    #[must_use]
    pub fn total(&self) -> u32 {
        [self.busy, self.idle, self.starting, self.recycling, self.draining, self.unhealthy, self.saved]
            .into_iter()
            .fold(0, u32::saturating_add)
    }

    pub(crate) fn add(&mut self, instance: &Instance) {
        let counter = match instance.state {
            State::Creating | State::Starting => &mut self.starting,
            State::Recycling | State::Used => &mut self.recycling,
            State::Idle => &mut self.idle,
            State::Busy => &mut self.busy,
            State::Draining | State::Deleting => &mut self.draining,
            State::Saved => &mut self.saved,
            State::CreationFailed | State::FailedToStart | State::WentOffline | State::Stopped => {
                &mut self.unhealthy
            }
        };
        *counter = counter.saturating_add(1);
    }
}

impl Instance {
    /// It may serve others: it is neither on its way out nor about to be saved.
    pub(crate) fn stays(&self) -> bool {
        self.leaves.is_none() && self.saves.is_none()
    }
}

/// The later time, at the end of time at the latest.
pub(crate) fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// Members of a scale set as its capacity counts them: those being deleted are members no more.
pub(crate) fn members(vms: &[Vm]) -> u32 {
    let staying = vms.iter().filter(|vm| vm.provisioning != Provisioning::Deleting).count();
    u32::try_from(staying).unwrap_or(u32::MAX)
}
