//! Standby schedules: how many agents stand by at an instant, and when that changes.
//!
//! A [`Draft`] is what a person wrote; [`Schedule::check`] makes it a [`Schedule`], on which every question has an
//! answer. Three layers: the manual plan of the week; exceptions on local dates, which replace it; boosts between two
//! instants, which only raise the rest. All is exact to the minute, also where clocks change.

mod check;
mod clock;
mod draft;
mod error;
mod layers;
mod overlap;
mod period;
mod timeline;
mod week;

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub use draft::{BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft};
pub use error::ScheduleError;
pub(crate) use layers::Layers;
pub use week::{WeekRow, WeekTime};

use period::Period;
use timeline::Timeline;

/// Where a standby figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Nothing is set for this time.
    Off,
    /// The pool's own constant; a schedule answers this only where it is given one.
    Constant,
    /// The manual plan of the week.
    Manual,
    /// The forecast from the pool's history; a schedule never answers this.
    Automatic,
    /// An exception on a local date.
    Exception,
    /// A boost, where it is above the rest.
    Boost,
}

impl Source {
    /// As it stands in a status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "Off",
            Self::Constant => "Constant",
            Self::Manual => "Manual",
            Self::Automatic => "Automatic",
            Self::Exception => "Exception",
            Self::Boost => "Boost",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands by at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// Agents on standby.
    pub agents: u32,
    /// The layer that says so.
    pub source: Source,
    /// The period, exception or boost; `None` for a plan without names and for [`Source::Off`].
    pub name: Option<String>,
    /// When agents, source or name differ next; `None` if never.
    pub until: Option<Timestamp>,
}

/// The next time that agents or source differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The first instant of the new level.
    pub at: Timestamp,
    /// Agents on standby from then on.
    pub agents: u32,
    /// The layer that says so.
    pub source: Source,
    /// The period, exception or boost that begins to hold.
    pub name: Option<String>,
}

/// A standby schedule that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    zone: TimeZone,
    manual: Manual,
    exceptions: Vec<Exception>,
    boosts: Vec<Boost>,
    /// When it was checked: what was over by then no longer counts for `highest`, and `week` shows other zones by
    /// their clocks of that instant.
    checked: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Manual {
    /// The same all week; `None` where there is no manual plan.
    Flat(Option<u32>),
    /// Not empty; the five days of `Weekdays` are periods without a name.
    Weekly(Vec<Period>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    name: String,
    agents: u32,
    first: jiff::civil::Date,
    last: jiff::civil::Date,
    /// Minutes of each day; `None` for whole days.
    hours: Option<(u16, u16)>,
    /// The first instant of the first day.
    start: Timestamp,
    /// The end of the last day.
    end: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Boost {
    name: String,
    agents: u32,
    start: Timestamp,
    end: Timestamp,
}

/// Length of the first look for a change, which mostly finds one.
const NEAR_HOURS: i64 = 48;
/// Length of the further ones: two weeks.
const FAR_HOURS: i64 = 14 * 24;
/// After 53 weeks without a change a manual plan is taken to be flat: it has seen every clock change of a year.
const YEAR_HOURS: i64 = 53 * 7 * 24;

impl Schedule {
    /// Checks a draft. Periods of different zones are compared in every week of the year that begins at `from`.
    ///
    /// # Errors
    /// The first thing that is wrong, with the entry and the mend.
    pub fn check(draft: &Draft, from: Timestamp) -> Result<Self, ScheduleError> {
        check::schedule(draft, from)
    }

    /// What stands by at an instant.
    #[must_use]
    pub fn level(&self, at: Timestamp) -> Level {
        self.level_with_constant(at, 0)
    }

    /// The larger of the schedule and a pool's constant, which wins a tie; with a constant of 0 the schedule alone.
    #[must_use]
    pub fn level_with_constant(&self, at: Timestamp, constant: u32) -> Level {
        Layers::new(Some(self), constant, None).level(at)
    }

    /// The first instant after `after` at which agents or source differ from those at `after`; `None` if never.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Change> {
        self.next_change_with_constant(after, 0)
    }

    /// The next change of [`level_with_constant`](Self::level_with_constant): none where the constant hides it.
    #[must_use]
    pub fn next_change_with_constant(&self, after: Timestamp, constant: u32) -> Option<Change> {
        Layers::new(Some(self), constant, None).next_change(after)
    }

    /// Every change of agents, source or name after `after`, up to `until`, in order.
    #[must_use]
    pub fn changes(&self, after: Timestamp, until: Timestamp) -> Vec<Change> {
        Layers::new(Some(self), 0, None).changes(after, until)
    }

    /// The zone of its days and hours.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The exception that holds at an instant: while one does, a forecast does not count, also under a boost.
    #[must_use]
    pub fn exception(&self, at: Timestamp) -> Option<&str> {
        Timeline::new(self, at, at).exception(at).and_then(|state| state.name)
    }

    /// The manual plan with every rule made visible, Monday first, in the schedule's own zone; times without standby
    /// have no row. Periods of other zones stand as the clocks were when the schedule was checked.
    /// At most 65 rows: one per period, and one more for the period that passes the end of the week.
    #[must_use]
    pub fn week(&self) -> Vec<WeekRow> {
        week::rows(self)
    }

    /// The entry with the most agents, such as `period mornings` or `weekdays`, to compare with a pool's maximum.
    /// Exceptions and boosts that were over when the schedule was checked do not count. `None` if there is no entry.
    #[must_use]
    pub fn highest(&self) -> Option<(String, u32)> {
        let manual: Vec<(String, u32)> = match &self.manual {
            Manual::Flat(agents) => agents.iter().map(|agents| ("allWeek".to_owned(), *agents)).collect(),
            Manual::Weekly(periods) => periods.iter().map(|period| (period.entry(), period.agents)).collect(),
        };
        let exceptions = self.exceptions.iter().filter(|exception| exception.end > self.checked);
        let boosts = self.boosts.iter().filter(|boost| boost.end > self.checked);
        manual
            .into_iter()
            .chain(exceptions.map(|exception| (exception.entry(), exception.agents)))
            .chain(boosts.map(|boost| (boost.entry(), boost.agents)))
            .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)))
    }

    /// Exceptions and boosts that are over at `now`, such as `exception christmas`.
    #[must_use]
    pub fn past(&self, now: Timestamp) -> Vec<String> {
        let exceptions = self.exceptions.iter().filter(|exception| exception.end <= now);
        let boosts = self.boosts.iter().filter(|boost| boost.end <= now);
        exceptions.map(Exception::entry).chain(boosts.map(Boost::entry)).collect()
    }

    /// The next begin or end of an exception or boost, at `at` or later.
    fn next_dated(&self, at: Timestamp) -> Option<Timestamp> {
        let exceptions = self.exceptions.iter().flat_map(|exception| [exception.start, exception.end]);
        let boosts = self.boosts.iter().flat_map(|boost| [boost.start, boost.end]);
        exceptions.chain(boosts).filter(|instant| *instant >= at).min()
    }
}

impl Exception {
    fn entry(&self) -> String {
        format!("exception {}", self.name)
    }
}

impl Boost {
    fn entry(&self) -> String {
        format!("boost {}", self.name)
    }
}

/// So many hours later, at most the last instant there is.
fn later(at: Timestamp, hours: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(hours)).unwrap_or(Timestamp::MAX)
}
