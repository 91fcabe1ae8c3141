//! What goes wrong, in the policy's words.

use jiff::SignedDuration;
use poolkeeper_policy::{Failure, FailureKind, PoolReason};

use crate::world::{
    AzureError, AzureFault, DevOpsFault, EXTENSION_FAILED, Operation, OperationError, QuotaExceeded, SetRef,
    World,
};

/// How long a throttled caller is asked to wait, as in the HTTP face.
const THROTTLED_FOR: SignedDuration = SignedDuration::from_secs(30);

/// Why a scale set cannot be read.
pub(super) fn why(world: &World, set: SetRef) -> Option<PoolReason> {
    world.azure_faults(set).find_map(|fault| match fault {
        AzureFault::Forbidden => Some(PoolReason::PermissionDenied),
        AzureFault::NotFound => Some(PoolReason::NotObserved),
        AzureFault::Throttle | AzureFault::ThrottleSubscription => Some(PoolReason::Throttled),
        AzureFault::Unavailable => Some(PoolReason::Unreachable),
        AzureFault::Conflict
        | AzureFault::Quota
        | AzureFault::AllocationFailed
        | AzureFault::ZonalAllocationFailed
        | AzureFault::Overconstrained
        | AzureFault::SkuNotAvailable
        | AzureFault::SubnetFull
        | AzureFault::Preempted
        | AzureFault::NeverEnds
        | AzureFault::ExtensionFails => None,
    })
}

/// Why a scale set cannot be written.
pub(super) fn of_set(world: &World, set: SetRef) -> Option<Failure> {
    why(world, set).map(of_reason)
}

pub(super) fn of_devops(fault: DevOpsFault) -> Failure {
    of_reason(devops_reason(fault))
}

pub(super) fn devops_reason(fault: DevOpsFault) -> PoolReason {
    match fault {
        DevOpsFault::SignIn | DevOpsFault::Unauthorized | DevOpsFault::Redirect => {
            PoolReason::CredentialsRejected
        }
        DevOpsFault::Forbidden => PoolReason::PermissionDenied,
        DevOpsFault::Throttle => PoolReason::Throttled,
        DevOpsFault::Unavailable => PoolReason::Unreachable,
    }
}

/// What was asked for is not there, or is there already.
pub(super) fn not_there(message: &str) -> Failure {
    Failure { kind: FailureKind::Invalid, message: message.to_owned(), retry_after: None }
}

fn of_reason(reason: PoolReason) -> Failure {
    let refused = [PoolReason::PermissionDenied, PoolReason::CredentialsRejected].contains(&reason);
    let kind = if reason == PoolReason::Throttled {
        FailureKind::Throttled
    } else if refused {
        FailureKind::Refused
    } else {
        FailureKind::Unreachable
    };
    let retry_after = (kind == FailureKind::Throttled).then_some(THROTTLED_FOR);
    Failure { kind, message: reason.as_str().to_owned(), retry_after }
}

/// `asked` is how many VMs the refused growth was to bring.
pub(super) fn of_azure(error: &AzureError, asked: u32) -> Failure {
    let kind = match error {
        AzureError::Quota(quota) => of_quota(quota, asked),
        AzureError::Shortage(error) => of_code(error),
        AzureError::Conflict | AzureError::PreconditionFailed { .. } | AzureError::MarkedForDeletion(_) => {
            FailureKind::Conflict
        }
        AzureError::NotFound
        | AzureError::UnknownInstance(_)
        | AzureError::NoInstances
        | AzureError::TooLarge { .. }
        | AzureError::NotEphemeral(_)
        | AzureError::NotOnFlexible(_)
        | AzureError::TooManyTags(_)
        | AzureError::ProtectionInvalid => FailureKind::Invalid,
    };
    Failure { kind, message: error.to_string(), retry_after: None }
}

fn of_quota(quota: &QuotaExceeded, asked: u32) -> FailureKind {
    let QuotaExceeded { limit, usage, required, .. } = quota;
    let per_vm = required.checked_div(asked).filter(|cores| *cores > 0);
    let fits = per_vm.map(|cores| limit.saturating_sub(*usage) / cores);
    FailureKind::Quota { limit_is_zero: *limit == 0, fits }
}

pub(super) fn of_operation(operation: &Operation) -> Failure {
    let (kind, message) = match &operation.error {
        Some(error) => (of_code(error), error.message.to_string()),
        None => (FailureKind::Invalid, String::new()),
    };
    Failure { kind, message, retry_after: None }
}

fn of_code(error: &OperationError) -> FailureKind {
    match error.code {
        "AllocationFailed" | "ZonalAllocationFailed" | "OverconstrainedAllocationRequest" => {
            FailureKind::Allocation
        }
        "SkuNotAvailable" => FailureKind::SkuUnavailable,
        "SubnetIsFull" => FailureKind::SubnetFull,
        "OperationNotAllowed" => FailureKind::Quota { limit_is_zero: false, fits: None },
        "OperationPreempted" => FailureKind::Preempted,
        EXTENSION_FAILED => FailureKind::StartFailed,
        _ => FailureKind::Invalid,
    }
}
