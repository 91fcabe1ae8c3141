//! Periods of the week, and the times at which they occur.

use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::clock::{self, Edge, WEEK};

/// A period that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// `None` for the days of `Weekdays`.
    pub(super) name: Option<String>,
    pub(super) zone_name: String,
    pub(super) zone: TimeZone,
    pub(super) day: Weekday,
    /// Minute of the day.
    pub(super) start: u16,
    pub(super) end: End,
    pub(super) agents: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A minute of the day so many days after the start's.
    At {
        days: u16,
        minute: u16,
    },
    NextPeriod,
}

impl Period {
    /// How a person finds it.
    pub(super) fn entry(&self) -> String {
        self.name.as_ref().map_or_else(|| "weekdays".to_owned(), |name| format!("period {name}"))
    }

    /// Its start in minutes since Monday 00:00, by its own clock.
    pub(super) fn minute_of_week(&self) -> u16 {
        clock::days_since_monday(self.day) * clock::DAY + self.start
    }

    /// Its length in minutes by the clock, at most a week; `None` until the next period.
    pub(super) fn minutes(&self) -> Option<u16> {
        match self.end {
            End::At { days, minute } => Some(days * clock::DAY + minute - self.start),
            End::NextPeriod => None,
        }
    }
}

/// One week's turn of a period.
#[derive(Clone, Debug)]
pub(super) struct Occurrence<'a> {
    pub(super) period: &'a Period,
    pub(super) start: Timestamp,
    /// The start as written: decides the order of two starts that one gap makes the same instant.
    wall: DateTime,
    pub(super) end: Timestamp,
}

/// Days around a span of time that hold all starts and ends which matter to it: a period lasts a week, the local date
/// differs by one, and a clock change by less than another.
const MARGIN_DAYS: i64 = 9;

/// The turns of all periods that may touch the time from `from` to `to`, and some more, by their starts. Those until
/// the next period end at the next start; the last one ends at the end of time.
pub(super) fn occurrences(periods: &[Period], from: Timestamp, to: Timestamp) -> Vec<Occurrence<'_>> {
    let chained = periods.iter().any(|period| period.end == End::NextPeriod);
    let mut all: Vec<Occurrence<'_>> = Vec::new();
    for period in periods {
        let (lead, tail) = match period.end {
            // Only where one waits for the next do turns matter that do not touch the time themselves. An end at
            // 24:00 may pass midnight where clocks go back, hence one day more.
            End::At { days, .. } if !chained => (i64::from(days) + 1, 1),
            End::At { .. } | End::NextPeriod => (MARGIN_DAYS, MARGIN_DAYS),
        };
        let first = clock::date(&period.zone, from).saturating_sub(lead.days());
        let last = clock::date(&period.zone, to).saturating_add(tail.days());
        let ahead = period.day.since(first.weekday());
        let mut date = first.saturating_add(i64::from(ahead).days());
        while date <= last {
            all.extend(occurrence(period, date));
            let Ok(next) = date.checked_add(7.days()) else { break };
            date = next;
        }
    }
    all.sort_by(|a, b| (a.start, a.wall, &a.period.name).cmp(&(b.start, b.wall, &b.period.name)));
    let mut next_start = Timestamp::MAX;
    for turn in all.iter_mut().rev() {
        match turn.period.end {
            End::At { .. } => {}
            End::NextPeriod => turn.end = next_start,
        }
        next_start = turn.start;
    }
    all
}

fn occurrence(period: &Period, date: jiff::civil::Date) -> Option<Occurrence<'_>> {
    let wall = clock::wall(date, period.start)?;
    let start = clock::instant(&period.zone, wall, Edge::Start)?;
    let end = match period.end {
        End::At { days, minute } => {
            let date = date.saturating_add(i64::from(days).days());
            clock::instant(&period.zone, clock::wall(date, minute)?, Edge::End)?
        }
        End::NextPeriod => Timestamp::MAX,
    };
    Some(Occurrence { period, start, wall, end })
}

/// Minutes from one minute of the week to the next time that another comes, from 1 to a whole week.
pub(super) fn minutes_until(from: u16, to: u16) -> u16 {
    (to + 2 * WEEK - from - 1) % WEEK + 1
}
