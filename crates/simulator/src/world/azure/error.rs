//! Why Azure refuses.

use std::sync::Arc;

use crate::world::OperationError;

/// Why Azure refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureError {
    /// There is no such scale set.
    #[error("the scale set was not found")]
    NotFound,
    /// The etag is another one by now.
    #[error(
        "the etag provided in the If-Match header does not match the current etag {current} of the resource"
    )]
    PreconditionFailed {
        /// The etag now.
        current: String,
    },
    /// Another write runs.
    #[error(
        "The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests."
    )]
    Conflict,
    /// An instance is going already.
    #[error("Cannot modify instance {0} since it is marked for deletion.")]
    MarkedForDeletion(String),
    /// An instance is not there.
    #[error("The provided instanceId {0} is not an active Virtual Machine Scale Set VM instanceId.")]
    UnknownInstance(String),
    /// No instance was named.
    #[error("The instanceIds parameter must name at least one instance.")]
    NoInstances,
    /// The quota does not allow as many.
    #[error(transparent)]
    Quota(#[from] QuotaExceeded),
    /// There are no machines for it.
    #[error("{}", .0.message)]
    Shortage(OperationError),
    /// A scale set cannot be so large.
    #[error("The capacity {wanted} is above the maximum of {largest} for this Virtual Machine Scale Set.")]
    TooLarge {
        /// VMs asked for.
        wanted: u32,
        /// VMs allowed.
        largest: u32,
    },
    /// A Flexible set's VM lies on a disk that cannot be put back.
    #[error("The OS disk of virtual machine {0} is not ephemeral, and only such a disk can be reimaged.")]
    NotEphemeral(String),
    /// Uniform sets alone have this.
    #[error("A scale set with Flexible orchestration has no {0}; call it on each of its virtual machines.")]
    NotOnFlexible(&'static str),
    /// A set's tags are bounded.
    #[error("A resource can have at most 50 tags; these would be {0}.")]
    TooManyTags(usize),
    /// Protection from actions alone does not exist.
    #[error("protectFromScaleSetActions needs protectFromScaleIn.")]
    ProtectionInvalid,
}

/// A quota does not allow as many cores.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Operation could not be completed as it results in exceeding approved {name} quota. Additional details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: {usage}, Additional Required: {required}, (Minimum) New Limit Required: {}.",
    usage + required
)]
pub struct QuotaExceeded {
    /// Which one, such as `Total Regional Cores`.
    pub name: String,
    /// The region.
    pub location: String,
    /// Cores allowed.
    pub limit: u32,
    /// Cores in use.
    pub usage: u32,
    /// Cores asked for besides.
    pub required: u32,
}

impl From<QuotaExceeded> for OperationError {
    fn from(quota: QuotaExceeded) -> Self {
        Self { code: "OperationNotAllowed", message: Arc::from(quota.to_string()), target: None }
    }
}
