//! What Azure's errors mean for sizing: the same condition comes from a call, or later from its operation.

use poolkeeper_azure::{Fault, OperationError, Quota, fault};
use poolkeeper_policy::{Failure, FailureKind};
use poolkeeper_rest::{Class, Error};

/// A failed call; `missing` is how many VMs a growth asked for.
pub(crate) fn of_call(error: &Error, missing: u32) -> Failure {
    let kind = of_fault(&fault::of(error), missing).unwrap_or_else(|| of_class(error.class()));
    Failure { kind, message: error.to_string(), retry_after: error.retry_after() }
}

/// An operation that ended badly; `None` where a later operation took its place, which says how it ends.
pub(crate) fn of_operation(error: &OperationError, missing: u32) -> Failure {
    let kind = of_fault(&error.fault, missing).unwrap_or(FailureKind::Invalid);
    let code = error.code.as_deref().unwrap_or("Failed");
    let message = error.message.as_deref().unwrap_or("the operation failed");
    Failure { kind, message: format!("{code}: {message}"), retry_after: None }
}

fn of_fault(found: &Fault, missing: u32) -> Option<FailureKind> {
    Some(match found {
        Fault::Quota(quota) => {
            FailureKind::Quota { limit_is_zero: quota.limit == Some(0), fits: fits(quota, missing) }
        }
        Fault::Allocation => FailureKind::Allocation,
        Fault::SkuUnavailable => FailureKind::SkuUnavailable,
        Fault::SubnetFull => FailureKind::SubnetFull,
        Fault::Throttled(_) => FailureKind::Throttled,
        Fault::Conflict | Fault::MarkedForDeletion => FailureKind::Conflict,
        Fault::Preempted => FailureKind::Preempted,
        Fault::Forbidden | Fault::Unauthenticated => FailureKind::Refused,
        Fault::Extension => FailureKind::StartFailed,
        Fault::NotFound | Fault::Invalid => FailureKind::Invalid,
        Fault::Other => return None,
    })
}

fn of_class(class: Class) -> FailureKind {
    match class {
        Class::Throttled => FailureKind::Throttled,
        Class::Conflict | Class::Precondition => FailureKind::Conflict,
        Class::Unauthenticated | Class::Forbidden => FailureKind::Refused,
        Class::Server | Class::Unreachable => FailureKind::Unreachable,
        Class::Quota => FailureKind::Quota { limit_is_zero: false, fits: None },
        Class::Allocation => FailureKind::Allocation,
        Class::NotFound | Class::Invalid | Class::Unexpected => FailureKind::Invalid,
    }
}

/// The cores of one VM, from what a growth by `missing` would have needed.
pub(crate) fn cores_per_vm(quota: &Quota, missing: u32) -> Option<u64> {
    let required = quota.required.filter(|required| *required > 0)?;
    (missing > 0).then(|| required.div_ceil(u64::from(missing)))
}

/// How many of the missing VMs the quota still has room for.
fn fits(quota: &Quota, missing: u32) -> Option<u32> {
    let room = quota.limit?.saturating_sub(quota.usage?);
    let fits = room / cores_per_vm(quota, missing)?;
    Some(u32::try_from(fits).unwrap_or(u32::MAX).min(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_of_eight_fit_where_twelve_cores_are_left_for_vms_of_four() {
        let quota = Quota { name: None, limit: Some(100), usage: Some(88), required: Some(32) };
        assert_eq!(fits(&quota, 8), Some(3));
        assert_eq!(fits(&Quota { usage: Some(100), ..quota.clone() }, 8), Some(0));
        assert_eq!(fits(&Quota { limit: None, ..quota.clone() }, 8), None);
        assert_eq!(fits(&quota, 0), None);
    }
}
