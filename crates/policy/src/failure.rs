//! Why a write failed: one closed list, with the wait, the condition reasons and the limit of each.

use jiff::{SignedDuration, Timestamp};

use crate::{
    instance::after,
    plan::{HoldReason, LimitedBy},
    reason::{BindingReason, PoolReason},
};

/// A failed call or operation, as far as it concerns sizing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it is.
    pub kind: FailureKind,
    /// In the service's words.
    pub message: String,
    /// How long the service, or our own budget of calls, asks to wait.
    pub retry_after: Option<SignedDuration>,
}

/// What a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// Azure's quota of cores or VMs.
    Quota {
        /// The quota is 0: nobody has ever asked for more.
        limit_is_zero: bool,
        /// How many VMs of the growth still fit, where Azure gave the figures; they are asked for at once.
        fits: Option<u32>,
    },
    /// Azure has no machine of this size there now.
    Allocation,
    /// The size is not offered there, or not to this subscription.
    SkuUnavailable,
    /// The subnet has no address left.
    SubnetFull,
    /// 429, or kept back by our own budget of calls.
    Throttled,
    /// Another operation runs, or a precondition has changed.
    Conflict,
    /// A newer operation took its place.
    Preempted,
    /// 401 or 403 on a write.
    Refused,
    /// 5xx, or no connection.
    Unreachable,
    /// The service does not accept what was asked, or answers what nobody understands.
    Invalid,
    /// The VM is there, and what Azure runs on it at its start, such as an extension, has failed: a matter of its image.
    StartFailed,
    /// No end was seen by the deadline.
    NeverEnded,
}

impl FailureKind {
    /// As it stands in events and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quota { .. } => "Quota",
            Self::Allocation => "Allocation",
            Self::SkuUnavailable => "SkuUnavailable",
            Self::SubnetFull => "SubnetFull",
            Self::Throttled => "Throttled",
            Self::Conflict => "Conflict",
            Self::Preempted => "Preempted",
            Self::Refused => "Refused",
            Self::Unreachable => "Unreachable",
            Self::Invalid => "Invalid",
            Self::StartFailed => "StartFailed",
            Self::NeverEnded => "NeverEnded",
        }
    }

    /// What it says about the growth of the pool.
    #[must_use]
    pub fn limited_by(self) -> LimitedBy {
        match self {
            Self::Quota { .. } => LimitedBy::Quota,
            Self::Allocation | Self::SkuUnavailable => LimitedBy::Allocation,
            Self::SubnetFull => LimitedBy::Subnet,
            Self::Throttled => LimitedBy::Throttling,
            Self::Conflict
            | Self::Preempted
            | Self::Refused
            | Self::Unreachable
            | Self::Invalid
            | Self::StartFailed
            | Self::NeverEnded => LimitedBy::Hold,
        }
    }

    /// Reason of the pool's condition `CapacityLimited`.
    #[must_use]
    pub fn pool_reason(self) -> PoolReason {
        match self {
            Self::Quota { .. } => PoolReason::QuotaExceeded,
            Self::Allocation => PoolReason::AllocationFailed,
            Self::SkuUnavailable => PoolReason::SKUUnavailable,
            Self::SubnetFull => PoolReason::SubnetFull,
            Self::Throttled => PoolReason::Throttled,
            Self::Conflict
            | Self::Preempted
            | Self::Refused
            | Self::Unreachable
            | Self::Invalid
            | Self::StartFailed
            | Self::NeverEnded => PoolReason::BindingsBlocked,
        }
    }

    /// Reason of the binding's condition `Ready`, which is false meanwhile.
    #[must_use]
    pub fn binding_reason(self) -> BindingReason {
        match self {
            Self::Quota { .. } => BindingReason::QuotaExceeded,
            Self::Allocation => BindingReason::AllocationFailed,
            Self::SkuUnavailable => BindingReason::SKUUnavailable,
            Self::SubnetFull => BindingReason::SubnetFull,
            Self::Throttled => BindingReason::Throttled,
            Self::Conflict | Self::Preempted | Self::NeverEnded => BindingReason::Conflict,
            Self::Refused => BindingReason::PermissionDenied,
            Self::Unreachable => BindingReason::Unreachable,
            Self::Invalid => BindingReason::WriteRefused,
            Self::StartFailed => BindingReason::FailedStarts,
        }
    }

    /// Why an action waits for its next try.
    pub(crate) fn hold_reason(self) -> HoldReason {
        match self {
            Self::Conflict | Self::Preempted => HoldReason::Conflict,
            Self::Quota { .. }
            | Self::Allocation
            | Self::SkuUnavailable
            | Self::SubnetFull
            | Self::Throttled
            | Self::Refused
            | Self::Unreachable
            | Self::Invalid
            | Self::StartFailed
            | Self::NeverEnded => HoldReason::WriteRefused,
        }
    }

    /// The scale set can give no VM for a while, so the next one takes over at once; for another kind one more try may
    /// be enough.
    #[must_use]
    pub fn is_lasting(self) -> bool {
        match self {
            Self::Quota { .. }
            | Self::Allocation
            | Self::SkuUnavailable
            | Self::SubnetFull
            | Self::Throttled
            | Self::Refused => true,
            Self::Conflict
            | Self::Preempted
            | Self::Unreachable
            | Self::Invalid
            | Self::StartFailed
            | Self::NeverEnded => false,
        }
    }

    /// Whether it makes the next wait longer: being asked to wait, or giving way to a newer operation, is no failure.
    pub(crate) fn counts(self) -> bool {
        !matches!(self, Self::Throttled | Self::Preempted | Self::StartFailed | Self::NeverEnded)
    }

    /// Whether a failure of this kind after one of the other goes on with its doubling.
    pub(crate) fn continues(self, other: Self) -> bool {
        let same = std::mem::discriminant(&self) == std::mem::discriminant(&other);
        same || !self.counts() || !other.counts() || !(self.is_lasting() || other.is_lasting())
    }

    /// How long nothing is tried after so many failures in a row.
    pub(crate) fn wait(self, failures: u32) -> SignedDuration {
        let (first, most) = match self {
            // Karpenter's figures: 10 minutes, an hour where there is none to be had.
            Self::Quota { limit_is_zero: false, .. } => (600, 600),
            Self::Quota { limit_is_zero: true, .. } | Self::SkuUnavailable => (3_600, 3_600),
            Self::Allocation => (300, 3_600),
            Self::SubnetFull => (600, 600),
            // Azure's buckets fill up within a minute.
            Self::Throttled => (60, 60),
            Self::Conflict => (10, 120),
            // The newer operation, or the deadline, has been the wait.
            Self::Preempted | Self::StartFailed | Self::NeverEnded => (0, 0),
            Self::Refused => (60, 600),
            Self::Unreachable | Self::Invalid => (10, 300),
        };
        let doubled = 1_i64 << failures.saturating_sub(1).min(10);
        SignedDuration::from_secs(most.min(first * doubled))
    }
}

/// A binding, or one VM, that is left alone after a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Nothing is done before then.
    pub until: Timestamp,
    /// Failures in a row.
    pub failures: u32,
    /// What the service said.
    pub message: String,
    /// What failed.
    pub kind: FailureKind,
    /// From when on the headroom of the quota is believed: later where a growth has failed in spite of it.
    pub believes_from: Timestamp,
}

/// So often a growth may be tried in vain because the headroom that Azure states is not the one that it applies.
const DISBELIEF: SignedDuration = SignedDuration::from_mins(1);

impl Backoff {
    pub(crate) fn new(before: Option<&Self>, failure: Failure, now: Timestamp) -> Self {
        let Failure { kind, message, retry_after } = failure;
        let counted = before.filter(|before| kind.continues(before.kind)).map_or(0, |before| before.failures);
        let failures = if kind.counts() { counted.saturating_add(1) } else { counted };
        let own = kind.wait(failures);
        let wait = match retry_after {
            // It is the service, or our own budget, that knows.
            Some(asked) if kind == FailureKind::Throttled => asked,
            Some(asked) => asked.max(own),
            None => own,
        };
        let deceived =
            is_quota(kind) && before.is_some_and(|before| is_quota(before.kind) && before.failures == 0);
        let believes_from = if deceived { after(now, DISBELIEF) } else { now };
        Self { until: after(now, wait), failures, message, kind, believes_from }
    }

    /// There is room in the quota again: the next failure is a first one.
    pub(crate) fn relieve(&mut self, headroom: Option<u32>, now: Timestamp) {
        if is_quota(self.kind) && self.believes_from <= now && headroom.is_some_and(|free| free > 0) {
            self.failures = 0;
        }
    }

    /// How many VMs may be created in spite of it; `None`: it does not hold.
    ///
    /// Where the quota's `headroom` is known, it holds by that instead of by time.
    pub(crate) fn allows(&self, headroom: Option<u32>, now: Timestamp) -> Option<u32> {
        match (self.kind, headroom) {
            (FailureKind::Quota { .. }, Some(headroom)) if self.believes_from <= now => Some(headroom),
            _ if self.until <= now => None,
            (FailureKind::Quota { fits, .. }, _) => Some(fits.unwrap_or(0)),
            _ => Some(0),
        }
    }

    /// So many of those that still fit have been asked for.
    pub(crate) fn take(&mut self, by: u32) {
        if let FailureKind::Quota { fits: Some(fits), .. } = &mut self.kind {
            *fits = fits.saturating_sub(by);
        }
    }

    /// The next scale set takes over; for a passing failure not before the third.
    pub(crate) fn is_passed_over(&self) -> bool {
        self.kind.is_lasting() || self.failures >= 3
    }

    /// What the binding says about it.
    pub(crate) fn limit(&self) -> Limit {
        Limit { kind: self.kind, message: self.message.clone(), until: self.until }
    }
}

fn is_quota(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Quota { .. })
}

/// What keeps a binding from creating VMs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What failed; it has the reason of the condition.
    pub kind: FailureKind,
    /// What Azure said.
    pub message: String,
    /// When it is tried again.
    pub until: Timestamp,
}
