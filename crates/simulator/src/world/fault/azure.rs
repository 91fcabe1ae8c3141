//! What Azure does wrong for a scale set.

use serde::{Deserialize, Serialize};

use crate::world::OperationError;

/// What Azure does wrong for a scale set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AzureFault {
    /// Every call gets 403.
    Forbidden,
    /// Every call gets 404; a list of its VMs is empty.
    NotFound,
    /// Every call gets 503.
    Unavailable,
    /// Every call of this set gets 429.
    Throttle,
    /// Every call of the whole subscription gets 429, `SubscriptionRequestsThrottled`.
    ThrottleSubscription,
    /// Every write gets 409.
    Conflict,
    /// Growth is refused for want of quota. Deleted VMs free their part of it.
    Quota,
    /// New VMs cannot be placed: some are listed as Failed, some are never listed, and the operation fails.
    AllocationFailed,
    /// The same, for want of machines in the zone.
    ZonalAllocationFailed,
    /// The same, because of the constraints of the scale set.
    Overconstrained,
    /// The size is not offered here.
    SkuNotAvailable,
    /// The subnet has no address left.
    SubnetFull,
    /// Every growth and deletion ends Canceled, `OperationPreempted`; the VMs come and go all the same.
    Preempted,
    /// Operations that begin now do not end, and their VMs stay as they are, until the fault is over.
    NeverEnds,
    /// VMs run, but their extension fails, and no agent comes.
    ExtensionFails,
}

/// Where a want of machines shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Stage {
    /// The call is refused, and nothing changes.
    Call,
    /// The call is accepted; the capacity is as asked, and the operation fails.
    Operation,
}

/// A fault of a scale set, with where it shows and what it lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AzureTrouble {
    /// What goes wrong.
    pub kind: AzureFault,
    /// Where it shows; each kind has a place of its own unless given.
    pub stage: Option<Stage>,
    /// New VMs that still come.
    pub allows: u32,
}

impl From<AzureFault> for AzureTrouble {
    fn from(kind: AzureFault) -> Self {
        Self { kind, stage: None, allows: 0 }
    }
}

impl AzureFault {
    /// Whether it is a want of machines, and where that shows unless it is said: where Azure shows it most often.
    pub(crate) fn usual_stage(self) -> Option<Stage> {
        match self {
            Self::Quota | Self::SkuNotAvailable | Self::SubnetFull => Some(Stage::Call),
            Self::AllocationFailed | Self::ZonalAllocationFailed | Self::Overconstrained => {
                Some(Stage::Operation)
            }
            Self::Forbidden
            | Self::NotFound
            | Self::Unavailable
            | Self::Throttle
            | Self::ThrottleSubscription
            | Self::Conflict
            | Self::Preempted
            | Self::NeverEnds
            | Self::ExtensionFails => None,
        }
    }

    /// What Azure says when VMs of this size cannot come. A want of quota is said with its figures elsewhere.
    pub(crate) fn shortage(self, size: &str, location: &str, missing: u32) -> Option<OperationError> {
        let (code, message) = match self {
            Self::AllocationFailed => (
                "AllocationFailed",
                "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance".to_owned(),
            ),
            Self::ZonalAllocationFailed => (
                "ZonalAllocationFailed",
                format!("Allocation failed. We do not have sufficient capacity for the requested VM size {size} in zone 1. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance"),
            ),
            Self::Overconstrained => (
                "OverconstrainedAllocationRequest",
                "Allocation failed. VM(s) with the following constraints cannot be allocated, because the condition is too restrictive. Please remove some constraints and try again. Constraints applied are:\n - Networking Constraints (such as Accelerated Networking or IPv6)\n - VM Size".to_owned(),
            ),
            Self::SkuNotAvailable => (
                "SkuNotAvailable",
                format!("The requested VM size for resource 'Following SKUs have failed for Capacity Restrictions: {size}' is currently not available in location '{location}'. Please try another size or deploy to a different location or different zone. See https://aka.ms/azureskunotavailable for details."),
            ),
            Self::SubnetFull => (
                "SubnetIsFull",
                format!("Subnet agents with address prefix 10.0.0.0/24 does not have enough capacity for {missing} IP addresses."),
            ),
            Self::Forbidden
            | Self::NotFound
            | Self::Unavailable
            | Self::Throttle
            | Self::ThrottleSubscription
            | Self::Conflict
            | Self::Quota
            | Self::Preempted
            | Self::NeverEnds
            | Self::ExtensionFails => return None,
        };
        Some(OperationError { code, message: message.into(), target: None })
    }
}
