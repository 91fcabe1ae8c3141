//! The plan of the week as rows.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use super::clock::{DAY, WEEK};
use super::{Manual, Schedule, period};

/// A time of the week, local to the schedule. Prints as `Monday 08:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekTime {
    /// The day.
    pub day: Weekday,
    /// Minutes since its midnight; 1440 (24:00) for an end only.
    pub minute: u16,
}

impl fmt::Display for WeekTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = match self.day {
            Weekday::Monday => "Monday",
            Weekday::Tuesday => "Tuesday",
            Weekday::Wednesday => "Wednesday",
            Weekday::Thursday => "Thursday",
            Weekday::Friday => "Friday",
            Weekday::Saturday => "Saturday",
            Weekday::Sunday => "Sunday",
        };
        write!(f, "{day} {:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// A part of the week with the same count throughout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeekRow {
    /// Its first minute.
    pub start: WeekTime,
    /// Its end, which no longer belongs to it; at most Sunday 24:00.
    pub end: WeekTime,
    /// Agents on standby.
    pub agents: u32,
    /// The period; `None` for a plan without names.
    pub period: Option<String>,
}

/// Minutes since Monday 00:00 in which a count holds.
struct Block<'a> {
    start: u16,
    end: u16,
    agents: u32,
    period: Option<&'a str>,
}

pub(super) fn rows(schedule: &Schedule) -> Vec<WeekRow> {
    let mut blocks = blocks(schedule);
    blocks.sort_by_key(|block| (block.start, block.end, block.period));
    let mut rows: Vec<WeekRow> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let start = WeekTime { day: weekday(block.start / DAY), minute: block.start % DAY };
        let end = WeekTime { day: weekday((block.end - 1) / DAY), minute: (block.end - 1) % DAY + 1 };
        // A period that lasts until itself would else begin anew each week.
        if let Some(before) = rows.last_mut()
            && follows(before.end, start)
            && (before.agents, before.period.as_deref()) == (block.agents, block.period)
        {
            before.end = end;
        } else {
            rows.push(WeekRow { start, end, agents: block.agents, period: block.period.map(str::to_owned) });
        }
    }
    rows
}

fn blocks(schedule: &Schedule) -> Vec<Block<'_>> {
    let periods = match &schedule.manual {
        Manual::Flat(None) => return Vec::new(),
        Manual::Flat(Some(agents)) => {
            return vec![Block { start: 0, end: WEEK, agents: *agents, period: None }];
        }
        Manual::Weekly(periods) => periods,
    };
    let own = offset_minutes(&schedule.zone, schedule.checked);
    let starts: Vec<u16> = periods
        .iter()
        .map(|period| {
            let there = offset_minutes(&period.zone, schedule.checked);
            let local = i32::from(period.minute_of_week()) - there + own;
            u16::try_from(local.rem_euclid(i32::from(WEEK))).unwrap_or_default()
        })
        .collect();
    let mut blocks = Vec::with_capacity(periods.len() + 1);
    for (period, &start) in periods.iter().zip(&starts) {
        let until_next = || starts.iter().map(|next| period::minutes_until(start, *next)).min();
        let end = start + period.minutes().or_else(until_next).unwrap_or(WEEK);
        let (agents, name) = (period.agents, period.name.as_deref());
        blocks.push(Block { start, end: end.min(WEEK), agents, period: name });
        if end > WEEK {
            blocks.push(Block { start: 0, end: end - WEEK, agents, period: name });
        }
    }
    blocks
}

/// No zone in use differs by parts of a minute.
fn offset_minutes(zone: &TimeZone, at: Timestamp) -> i32 {
    zone.to_offset(at).seconds().div_euclid(60)
}

fn follows(end: WeekTime, start: WeekTime) -> bool {
    end == start || (end.minute == DAY && start.minute == 0 && end.day.next() == start.day)
}

fn weekday(days_since_monday: u16) -> Weekday {
    Weekday::Monday.wrapping_add(days_since_monday)
}
