//! The custom resources of `poolkeeper.dev/v1alpha1`: [`AgentPool`], [`StandbySchedule`] and [`ScaleSetBinding`].
//!
//! The types hold what the API server stores, and nothing more: a choice is a `type` (or `strategy`) with optional
//! members, as it is written. What a rule of the schema can check, the schema checks ([`crd::all`]); turning a
//! choice into one real value is the reader's work. Durations stay text as written: see [`duration`].
//!
//! Everything a status holds is read leniently: it may have been written by another version of the operator.

// The schema derive repeats each struct inside a function, `pub` included.
#![allow(unreachable_pub)]

pub mod agent_pool;
pub mod crd;
pub mod credentials;
pub mod duration;
pub mod reference;
mod rules;
pub mod scale_set_binding;
pub mod standby_schedule;
pub mod status;
mod weekday;

pub use agent_pool::{AgentPool, AgentPoolSpec, AgentPoolStatus};
pub use scale_set_binding::{ScaleSetBinding, ScaleSetBindingSpec, ScaleSetBindingStatus};
pub use standby_schedule::{StandbySchedule, StandbyScheduleSpec, StandbyScheduleStatus};
pub use weekday::Weekday;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// API group of all three kinds.
pub const GROUP: &str = "poolkeeper.dev";
/// API version of all three kinds.
pub const VERSION: &str = "v1alpha1";
/// Finalizer on AgentPool and ScaleSetBinding, set before the first write to a cloud and removed once drained.
pub const FINALIZER: &str = "poolkeeper.dev/drain";
/// Label in `AgentPool.status.selector`; its value is the name of the AgentPool.
pub const POOL_LABEL: &str = "poolkeeper.dev/pool";

/// Annotations on an AgentPool by which a person asks for something once.
pub mod annotation {
    /// `true`, or why: as `mode: Paused`. Removed by a person only.
    pub const PAUSED: &str = "poolkeeper.dev/paused";
    /// `<agents> until <instant>`: standby at least that many agents until then. Removed at its end.
    pub const BOOST: &str = "poolkeeper.dev/boost";
    /// Agent names or vmIDs, separated by commas, or `*`: they finish their job and go. Removed when they are gone.
    pub const DRAIN: &str = "poolkeeper.dev/drain";
    /// Agent names or vmIDs: no further job, kept and shielded. Removed when listed in `status.savedAgents`.
    pub const SAVE: &str = "poolkeeper.dev/save";
    /// vmIDs, agent names, or `*`: saved agents are deleted. Removed when they are gone.
    pub const RELEASE_SAVED: &str = "poolkeeper.dev/release-saved";
    /// Any new value: look now. Stays, and is echoed in `status.lastHandledReconcile`.
    pub const RECONCILE: &str = "poolkeeper.dev/reconcile";
}

/// What deleting the object does to agents and VMs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Jobs end, then agents, VMs and the claim go, then the object.
    #[default]
    Drain,
    /// VMs and agents stay as they are; claim and placeholders get one try.
    Orphan,
}
