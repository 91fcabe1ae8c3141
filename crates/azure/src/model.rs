//! What the operator reads of a scale set and its instances; the rest of Azure's answers is skipped.

mod instance;
mod scale_set;

pub(crate) use instance::Machine;
pub use instance::{Failure, FailureKind, FailureSource, Instance, PowerState, Protection};
pub use scale_set::{
    Caching, DiskPlacement, ImageReference, MachinePriority, MachineProfile, OperatingSystem,
    OrchestrationMode, OsDisk, ScaleSet, Sku, UpgradeMode,
};

poolkeeper_rest::open_enum! {
    /// How the latest operation on a resource went. It says nothing about health: a running VM whose last change
    /// failed is `Failed` too.
    pub enum ProvisioningState {
        /// Being made.
        Creating = "Creating",
        /// Being changed.
        Updating = "Updating",
        /// Being removed.
        Deleting = "Deleting",
        /// The last operation succeeded.
        Succeeded = "Succeeded",
        /// The last operation failed.
        Failed = "Failed",
    }
}
