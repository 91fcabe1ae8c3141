//! The scaling decision of poolkeeper: [`decide`] is a pure function from what was seen to what shall be done.
//!
//! Contract:
//! * No IO, no clock, no randomness: time is an argument, [`Plan::next_wakeup`] is an output. The manifest of this
//!   crate reaches neither kube, tokio nor an HTTP client, and `clippy.toml` denies every clock.
//! * The same input gives the same plan, whatever the order of the input lists; ties break by a total order.
//! * Unknown is not zero: a source that is [`Seen::Missing`] only ever takes actions away.
//! * Dropping [`Memory`] costs time, never a job or a VM.

mod cadence;
mod decide;
mod demand;
mod drain;
mod existing;
mod explain;
mod failure;
mod fair;
mod forecast;
mod gate;
mod health;
mod history;
mod index;
mod instance;
mod inventory;
mod join;
mod life;
mod memory;
pub mod mutant;
mod notices;
mod operations;
mod outcome;
mod pace;
mod placement;
mod plan;
mod pool;
mod protocol;
mod reason;
mod records;
pub mod schedule;
mod select;
mod snapshot;
mod staircase;
mod standby;
mod start_times;
mod starts;
mod target;
mod told;
mod words;

pub use decide::decide;
pub use demand::{Demand, Demands, UnroutableJob};
pub use explain::{Explanation, ImagePlan, InstanceLine, JobLine, RecordKind, RecordLine, explain};
pub use failure::{Backoff, Failure, FailureKind, Limit};
pub use fair::{Want, fair_shares};
pub use forecast::{ENOUGH_DAYS, Figure, Forecast, Preference};
pub use health::{Condition, Truth};
pub use history::{History, HistoryError, Session};
pub use instance::{Counts, Instance, State};
pub use memory::{FailedStarts, Memory, Operation, OperationKind, Sighting, Step, Tagged};
pub use outcome::{Outcome, Part};
pub use plan::{
    Action, BindingPlan, Cause, Decision, Hold, HoldReason, JobCounts, LimitedBy, Member, Plan, Removal,
};
pub use pool::{
    Basis, Binding, BindingName, DeletionPolicy, Existing, Image, Lifecycle, Mode, Named, Pool, Recycle,
    Sampling, ScaleOut, Standby, Verbs,
};
pub use protocol::{
    AgentNow, Answer, Call, End, Next, Protocol, RecordCause, RecordChange, Register, SetNow,
};
pub use reason::{BindingReason, PoolReason, ScheduleReason};
pub use records::{RecordMemory, is_label};
pub use snapshot::{
    Agent, AgentId, Blocked, InstanceId, JobRequest, OperationProgress, Orchestration, Power, Provisioning,
    RequestId, SavedMark, ScaleSet, Seen, SetView, Snapshot, Vm, VmFailure, VmFailureKind, VmId, Why,
};
pub use staircase::{Stair, Staircase};
pub use start_times::{Measured, StartTimes};
pub use told::{ExistingVms, Lost, Notice, Saved};
