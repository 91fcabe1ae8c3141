//! Hours of the week as the clocks of a zone show them.

use jiff::{Timestamp, tz::TimeZone};

use crate::history;

const HOUR: i64 = 3_600;
/// 1970 began on a Thursday.
const THURSDAY: i64 = 3 * 24;

/// The hour of the week from Monday 00:00, 0 to 167, at a second since 1970.
pub(super) fn of_week(second: i64, offset: i64) -> usize {
    let hours = second.saturating_add(offset).div_euclid(HOUR);
    usize::try_from(hours.saturating_add(THURSDAY).rem_euclid(168)).unwrap_or(0)
}

/// The offset of a zone from UTC, asked for once per clock change.
#[derive(Debug)]
pub(super) struct Offsets<'a> {
    zone: &'a TimeZone,
    /// Seconds.
    offset: i64,
    from: i64,
    /// The next clock change.
    until: i64,
}

impl<'a> Offsets<'a> {
    pub(super) fn new(zone: &'a TimeZone) -> Self {
        Self { zone, offset: 0, from: i64::MAX, until: i64::MIN }
    }

    /// At a second since 1970; cheapest in order.
    pub(super) fn at(&mut self, second: i64) -> i64 {
        if !(self.from..self.until).contains(&second)
            && let Ok(at) = Timestamp::from_second(second)
        {
            self.offset = i64::from(self.zone.to_offset(at).seconds());
            self.from = second;
            let change = self.zone.following(at).next();
            self.until = change.map_or(i64::MAX, |change| change.timestamp().as_second());
        }
        self.offset
    }
}

/// The instants at which the clocks begin to show another hour, with that hour of the week.
#[derive(Debug)]
pub(super) struct Hours<'a> {
    offsets: Offsets<'a>,
    second: i64,
    until: Timestamp,
}

impl<'a> Hours<'a> {
    /// After `after`, up to `until`.
    pub(super) fn new(zone: &'a TimeZone, after: Timestamp, until: Timestamp) -> Self {
        Self { offsets: Offsets::new(zone), second: history::second(after), until }
    }
}

impl Iterator for Hours<'_> {
    type Item = (Timestamp, usize);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.offsets.at(self.second);
            let before = of_week(self.second, offset);
            let next_hour = ((self.second + offset).div_euclid(HOUR) + 1) * HOUR - offset;
            // Where clocks change, the hour may change or go on.
            self.second = next_hour.min(self.offsets.until);
            let at = Timestamp::from_second(self.second).ok().filter(|at| *at <= self.until)?;
            let hour = of_week(self.second, self.offsets.at(self.second));
            if hour != before {
                return Some((at, hour));
            }
        }
    }
}
