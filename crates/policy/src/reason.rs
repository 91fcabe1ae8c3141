//! The closed lists of condition reasons, one per kind; docs/conditions.md lists the same, and a test compares them.

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "docs/conditions.md says what each one means")]
        pub enum $name { $($variant),+ }

        impl $name {
            /// All of them, in the order of the page.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it stands in conditions, events and metrics.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),+ }
            }
        }
    };
}

reasons! {
    /// Reasons of an AgentPool's conditions.
    PoolReason {
        Managed, Observing, Paused, NotObserved, Unavailable, NewGeneration, FillingStandby,
        Draining, WaitingForBinding, InvalidSpec, SecretNotFound, CredentialsRejected,
        PermissionDenied, HostNotAllowed, IdentityNotAllowed, PoolNotFound, PoolManagedElsewhere,
        DuplicatePool, NoBinding, ScheduleNotFound, ScheduleInvalid, ScheduleAboveMaximum,
        BlockedDrain, Reachable, Throttled, Unreachable, UnexpectedAnswer, Resolved, EnoughHistory,
        Learning, HistoryUnreadable, Met, Starting, AtMaximum, CapacityLimited, NotReadable,
        ParallelJobs, QuotaExceeded, AllocationFailed, SubnetFull, SKUUnavailable, FailedStarts,
        BindingsBlocked, SourceMissing, SourceStale, SourcePartial, ClaimLost, Conflict,
        WriteRefused, NoSuchImage, DemandNotMet, StillRunning, InProgress, OutsideWindow, Stopped,
    }
}

reasons! {
    /// Reasons of a ScaleSetBinding's conditions.
    BindingReason {
        Bound, Observing, Paused, Cordoned, NotObserved, FailedStarts, QuotaExceeded,
        AllocationFailed, SubnetFull, SKUUnavailable, Claiming, UpdatingModel, Draining,
        InvalidSpec, PoolNotFound, TooManyBindings, SecretNotFound, CredentialsRejected,
        PermissionDenied, HostNotAllowed, IdentityNotAllowed, ScaleSetNotFound, ScaleSetInUse,
        ImageNotFound, RequirementsUnmet, ReimageNeedsEphemeralDisk, OperatingSystemMismatch,
        UnsupportedSystem, BootstrapFailed, BlockedDrain, Reachable, Throttled, Unreachable,
        UnexpectedAnswer, Claimed, NotRenewed, NotWanted, Met, Unmet, Current, External, Updating,
        TokenExpired, Failed, FailedToStart, ExtensionFailed, ScriptFailed, CreationFailed,
        DistributionUntested, VersionUntested, Conflict, WriteRefused,
    }
}

reasons! {
    /// Reasons of a StandbySchedule's conditions.
    ScheduleReason {
        Valid, NotObserved, InvalidSpec, PeriodsOverlap,
    }
}
