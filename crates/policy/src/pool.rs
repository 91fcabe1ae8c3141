//! The checked specification: what a person asked for, after defaults and validation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use jiff::{SignedDuration, Timestamp};

use crate::{forecast::Forecast, schedule::Schedule, snapshot::VmId};

/// Name of a ScaleSetBinding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BindingName(pub String);

impl fmt::Display for BindingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An agent pool as [`decide`](crate::decide) needs it.
#[derive(Clone, Debug)]
pub struct Pool {
    /// The object's name, for messages.
    pub name: String,
    /// Whether decisions are carried out.
    pub mode: Mode,
    /// Set once deletion was asked for.
    pub deletion: Option<DeletionPolicy>,
    /// Most VMs over all bindings: failed, saved and deleting ones count until they are gone.
    pub max_agents: u32,
    /// In order; the first serves jobs that name none. Never empty.
    pub images: Vec<Image>,
    /// The scale sets, in any order.
    pub bindings: Vec<Binding>,
    /// How many agents stand by.
    pub standby: Standby,
    /// Lower-case names of demands that never make a job unroutable.
    pub ignore_demands: BTreeSet<String>,
    /// How missing agents are created.
    pub scale_out: ScaleOut,
    /// Excess that has lasted this long is removed. A stateful agent goes only if it has itself been idle for so long,
    /// counted from its last job (the grace period).
    pub idle_delay: SignedDuration,
    /// Whether an agent runs one job or many.
    pub lifecycle: Lifecycle,
    /// How many VMs that failed to start are kept for investigation.
    pub save_for_investigation: u32,
    /// After so many failed starts in a row a binding creates one VM at a time.
    pub max_failed_starts: u32,
    /// An offline agent record per image is kept while the pool may be empty.
    pub placeholders: bool,
    /// What a person has asked for once.
    pub verbs: Verbs,
    /// From creation, or reimage, to online; a VM that takes longer is lost.
    pub start_timeout: SignedDuration,
}

/// What a person has asked for once, by annotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verbs {
    /// These finish their job, and go.
    pub drain: Named,
    /// These get no further job, and are kept for investigation.
    pub save: Named,
    /// These were saved, and go.
    pub release_saved: Named,
}

/// Some instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// All of them.
    pub all: bool,
    /// Agent names or VM ids, in lower case.
    pub names: BTreeSet<String>,
}

impl Named {
    /// Whether it names this VM, by its id or by its agent's name.
    #[must_use]
    pub fn covers(&self, vm: &VmId, computer_name: &str) -> bool {
        let named = |text: &str| self.names.contains(&text.to_lowercase());
        self.all || (!self.names.is_empty() && (named(&vm.0) || named(computer_name)))
    }
}

/// Whether decisions are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Decides and acts.
    Active,
    /// Decides and explains, writes to no cloud.
    Observe,
    /// Reads only.
    Paused,
}

/// What becomes of VMs and agents when the pool is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// Jobs end, then agents and VMs go.
    Drain,
    /// Everything is left as it is.
    Orphan,
}

/// An image that the pool offers.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// For the demand `ImageOverride`; the unnamed image of a pool that lists none is empty.
    pub name: String,
    /// More names for it.
    pub aliases: Vec<String>,
    /// Share of the standby in percent; `None` is an equal share.
    pub standby_percent: Option<u32>,
    /// What its agents offer, by lower-case name; learned ones are added from the agents seen.
    pub capabilities: BTreeMap<String, String>,
    /// Its agents are started so much before a rise of the standby, to be ready when it comes; a day at most counts.
    pub lead: SignedDuration,
}

/// A scale set that serves one image.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The object's name.
    pub name: BindingName,
    /// Index into [`Pool::images`].
    pub image: usize,
    /// The highest is used first, then by name.
    pub priority: i32,
    /// Most VMs of this scale set; 0 cordons.
    pub max_agents: Option<u32>,
    /// The binding is being deleted: its agents finish and go.
    pub draining: bool,
    /// What becomes of VMs that were there before the claim.
    pub existing: Existing,
    /// When the scale set was first claimed, as long as that claim has been kept; a renewal does not change it.
    pub claimed_at: Option<Timestamp>,
}

/// What becomes of VMs that were in a scale set before it was claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They are used like others.
    Adopt,
    /// They go, busy ones after their job.
    Replace,
}

impl Binding {
    /// No new VMs, and the present agents finish and go.
    #[must_use]
    pub fn cordoned(&self) -> bool {
        self.draining || self.max_agents == Some(0)
    }
}

/// How many agents stand by.
#[derive(Clone, Debug)]
pub struct Standby {
    /// The constant.
    pub agents: u32,
    /// What the figure counts.
    pub basis: Basis,
    /// The larger of constant and schedule wins.
    pub schedule: Option<Schedule>,
    /// The larger of it and the others wins, but for exceptions; `None` while it rests on too little, too.
    pub forecast: Option<Forecast>,
}

/// What a standby figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// This many free agents.
    Idle,
    /// This many provisioned agents, busy ones included.
    Total,
}

/// How missing agents are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleOut {
    /// The missing ones at once, in full.
    Exact {
        /// How often jobs and agents are read.
        sampling: Sampling,
    },
    /// In steps, as Azure DevOps' own scale set agents do.
    ElasticPool {
        /// One step, in percent of the maximum, rounded up.
        increment_percent: u32,
        /// A step that is not complete by then no longer blocks the next.
        step_timeout: SignedDuration,
        /// Growth and scale-in are decided this often.
        sample_interval: SignedDuration,
    },
}

/// How often jobs and agents are read under `Exact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Every 10 s while something moves, decaying to 60 s.
    Decaying,
    /// As the specification says.
    Every(SignedDuration),
}

/// Whether an agent runs one job or many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// One job, then a new machine.
    Stateless(Recycle),
    /// Agents live on after a job.
    Stateful {
        /// An agent as old as this gets no further job; one that runs a job finishes it.
        max_lifetime: SignedDuration,
    },
}

/// How a used machine becomes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recycle {
    /// The VM gets a fresh OS disk.
    Reimage,
    /// The VM is deleted; missing ones are created.
    Replace,
}
