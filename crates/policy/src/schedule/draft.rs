//! A schedule as it was written, before any check.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};

/// A schedule as it was written. [`Schedule::check`](super::Schedule::check) reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// IANA name, such as `Europe/Stockholm` or `UTC`.
    pub zone: String,
    /// The plan of the week.
    pub manual: Option<ManualDraft>,
    /// At most 128.
    pub exceptions: Vec<ExceptionDraft>,
    /// At most 64.
    pub boosts: Vec<BoostDraft>,
}

/// The plan of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManualDraft {
    /// Monday to Friday, nothing at weekends.
    Weekdays {
        /// `HH:MM`.
        start: String,
        /// `HH:MM`, up to `24:00`, after `start`.
        end: String,
        /// From 1.
        agents: u32,
    },
    /// The same at all times.
    AllWeek {
        /// From 1.
        agents: u32,
    },
    /// 1 to 64 periods that do not overlap.
    Periods(Vec<PeriodDraft>),
}

/// A part of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodDraft {
    /// Unique among the periods.
    pub name: String,
    /// IANA name; the schedule's zone by default.
    pub zone: Option<String>,
    /// The day on which it starts.
    pub start_day: Weekday,
    /// `HH:MM`.
    pub start: String,
    /// Where it ends.
    pub end: EndDraft,
    /// From 1.
    pub agents: u32,
}

/// The end of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndDraft {
    /// A time of a day.
    At {
        /// The first such day after the start; absent, the day of the start.
        day: Option<Weekday>,
        /// `HH:MM`, up to `24:00`.
        time: String,
    },
    /// The next start of any period, also in the next week.
    NextPeriod,
}

/// Another count on certain dates, in place of the manual plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExceptionDraft {
    /// Unique among the exceptions.
    pub name: String,
    /// First date, in the schedule's zone.
    pub from: Date,
    /// Last date, included; at most 366 days later.
    pub to: Date,
    /// Start and end of a part of each day, `HH:MM`, the end up to `24:00`; absent for whole days.
    pub hours: Option<(String, String)>,
    /// From 0.
    pub agents: u32,
}

/// At least so many agents between two instants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoostDraft {
    /// Unique among the boosts.
    pub name: String,
    /// Its first instant.
    pub from: Timestamp,
    /// Its end; at most 30 days after `from`.
    pub until: Timestamp,
    /// From 1; raises only.
    pub agents: u32,
}
