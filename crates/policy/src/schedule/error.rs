//! What can be wrong with a draft.

use thiserror::Error;

use crate::reason::ScheduleReason;

/// Why a draft is no schedule. `entry` is the path of the entry, such as `spec.manual.periods[mornings]`.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says it, and the fields are its parts")]
pub enum ScheduleError {
    #[error(
        "{entry}.timeZone: unknown time zone {zone}; timeZone must be an IANA name such as Europe/Stockholm or UTC"
    )]
    UnknownZone { entry: String, zone: String },
    #[error(
        "{entry}.start: \"{value}\" is no time; start must be a quoted time of day from \"00:00\" to \"23:59\""
    )]
    BadStart { entry: String, value: String },
    #[error(
        "{entry}.end: \"{value}\" is no time; end must be a quoted time of day from \"00:00\" to \"24:00\""
    )]
    BadEnd { entry: String, value: String },
    #[error("{entry}: end must be after start; {mend}")]
    EndNotAfterStart { entry: String, mend: &'static str },
    #[error("{entry}: its dates are out of bounds; write dates from 1970 to 9000")]
    BadDate { entry: String },
    #[error("{entry}.agents: {agents} is out of bounds; give a number from {least} to 10000")]
    BadAgents { entry: String, agents: u32, least: u32 },
    #[error("{entry} has {count} entries; give at least {least} and at most {most}")]
    BadCount { entry: &'static str, count: usize, least: usize, most: usize },
    #[error("periods {first} and {second} overlap: move a start, or shorten the period before it")]
    PeriodsOverlap { first: String, second: String },
    /// `from` is local to the schedule; `when` is empty, or says which clocks make the overlap.
    #[error("periods {first} and {second} overlap from {from} on{when}: shorten one")]
    ZonesOverlap { first: String, second: String, from: String, when: String },
    #[error("{entry}: to must not be before from; change one of them")]
    ExceptionBackwards { entry: String },
    #[error("{entry}: an exception lasts at most 366 days; shorten it, or write two")]
    ExceptionTooLong { entry: String },
    #[error(
        "exceptions {first} and {second} overlap: two exceptions of the same kind (whole days, or part of a day) must \
         not overlap; change a date or a time"
    )]
    ExceptionsOverlap { first: String, second: String },
    #[error("{entry}: until must be after from, by at most 30 days; change one of them")]
    BadBoostLength { entry: String },
}

impl ScheduleError {
    /// The reason of the condition that reports it.
    #[must_use]
    pub fn reason(&self) -> ScheduleReason {
        match self {
            Self::PeriodsOverlap { .. } | Self::ZonesOverlap { .. } => ScheduleReason::PeriodsOverlap,
            Self::UnknownZone { .. }
            | Self::BadStart { .. }
            | Self::BadEnd { .. }
            | Self::EndNotAfterStart { .. }
            | Self::BadDate { .. }
            | Self::BadAgents { .. }
            | Self::BadCount { .. }
            | Self::ExceptionBackwards { .. }
            | Self::ExceptionTooLong { .. }
            | Self::ExceptionsOverlap { .. }
            | Self::BadBoostLength { .. } => ScheduleReason::InvalidSpec,
        }
    }
}
