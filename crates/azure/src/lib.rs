//! A thin client of Azure Resource Manager for virtual machine scale sets.
//!
//! One method is one call (a list: one chain of pages). Nothing retries or waits; a long-running change answers with
//! [`Started`], and its outcome is read with [`ScaleSets::operation`] when the caller sees fit. Nothing here can act on
//! all instances of a scale set by leaving their ids out: [`InstanceIds`] is never empty and knows no wildcard.

mod autoscale;
mod charge;
mod cloud;
mod credential;
pub mod fault;
#[doc(hidden)]
pub mod fuzzing;
mod id;
mod instances;
mod model;
mod operation;
mod scale_sets;
mod subnet;
mod usage;

pub use autoscale::AutoscaleSetting;
pub use cloud::Cloud;
pub use credential::{Credential, CredentialError, Token, WorkloadIdentity};
pub use fault::{Fault, Quota, ThrottleScope};
pub use id::{IdError, InstanceId, InstanceIds, ScaleSetId, SubnetId, VmId};
pub use model::{
    Caching, DiskPlacement, Failure, FailureKind, FailureSource, ImageReference, Instance, MachinePriority,
    MachineProfile, OperatingSystem, OrchestrationMode, OsDisk, PowerState, Protection, ProvisioningState,
    ScaleSet, Sku, UpgradeMode,
};
pub use operation::{NotAnOperation, OperationError, OperationStatus, OperationUrl, Started};
pub use scale_sets::{API_VERSION, ScaleSets};
pub use subnet::SubnetSpace;
pub use usage::Usage;
