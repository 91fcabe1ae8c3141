//! How many sessions were queued or running over the last three weeks, in periods of five minutes.
//!
//! What a forecast rests on (Managed DevOps Pools, scaling: automatic). A bucket that nobody has sampled is missing,
//! which is not 0: missing ones count for nothing.

mod error;
mod sweep;
mod text;

use std::{collections::VecDeque, ops::Range};

use jiff::Timestamp;

pub use error::HistoryError;

/// Seconds of a bucket; buckets begin at multiples of it since 1970, in UTC.
const BUCKET: i64 = 5 * 60;
/// Buckets of a day.
const DAY: i64 = 24 * 12;
/// Whole buckets that are kept: three weeks.
const BUCKETS: i64 = 21 * DAY;
/// Clocks of two replicas differ by seconds: what lies further than an hour ahead comes from a clock that was wrong.
const SKEW: i64 = 12;
/// Most buckets: the whole ones, the one that is not over, and those ahead.
const MOST: i64 = BUCKETS + 1 + SKEW;
/// 9000-01-01: no clock is right that shows a later time, or one before 1970.
const END: i64 = 221_845_392_000 / BUCKET;

/// The sessions of one pool over the last three weeks.
///
/// The clock is believed: after one that was wrong, what it has dropped is missing, and can be filled again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Number of the first bucket.
    first: i64,
    /// The highest number of sessions of each; the first and the last one are not missing.
    buckets: VecDeque<Option<u16>>,
}

/// A job that waited for an agent, and then had one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it was queued.
    pub queued_at: Timestamp,
    /// When it ended; `None` while it waits or runs.
    pub finished_at: Option<Timestamp>,
}

impl History {
    /// Takes up how many sessions are queued or running now: the highest number of a bucket stays.
    ///
    /// What is older than three weeks is dropped, and what is more than an hour ahead of `now`.
    pub fn record(&mut self, now: Timestamp, sessions: u32) {
        let current = bucket(now);
        if !(0..END).contains(&current) {
            return;
        }
        self.forget(current);
        let sessions = saturated(sessions);
        let highest = self.get(current).map_or(sessions, |before| before.max(sessions));
        self.put(current, highest);
    }

    /// Fills missing buckets that lie wholly inside `from` to `until` with the highest number of sessions that overlapped
    /// there at one moment, 0 included. `sessions` are all that overlap this time, in any order; one that ends before
    /// it was queued counts at its beginning.
    ///
    /// `until` is at most the present: what is older than three weeks by then is dropped.
    pub fn backfill(
        &mut self,
        sessions: impl IntoIterator<Item = Session>,
        from: Timestamp,
        until: Timestamp,
    ) {
        let end = bucket(until).clamp(0, END);
        let newest = end.max(self.end()).saturating_sub(1);
        // The first one that begins at `from` or later.
        let begun = i64::from(start(bucket(from)) != Some(from));
        let first = bucket(from).saturating_add(begun).max(newest - BUCKETS).max(end - BUCKETS).max(0);
        if first >= end {
            return;
        }
        self.forget(newest);
        for (number, peak) in (first..end).zip(sweep::peaks(sessions, first, end)) {
            if self.get(number).is_none() {
                self.put(number, saturated(peak));
            }
        }
    }

    /// Buckets with a sample, the present one included.
    #[must_use]
    pub fn samples(&self) -> u32 {
        let samples = self.buckets.iter().flatten().count();
        u32::try_from(samples).unwrap_or(u32::MAX)
    }

    /// Days (by UTC) of the last three weeks of which at least half was sampled: at most 21.
    #[must_use]
    pub fn days_seen(&self, now: Timestamp) -> u32 {
        let mut days: Vec<(i64, i64)> = Vec::new();
        for (number, _) in self.whole(now) {
            match days.last_mut() {
                Some((day, samples)) if *day == number / DAY => *samples += 1,
                Some(_) | None => days.push((number / DAY, 1)),
            }
        }
        let seen = days.into_iter().filter(|(_, samples)| samples * 2 >= DAY).count();
        u32::try_from(seen).unwrap_or(u32::MAX).min(21)
    }

    /// The parts of the last three weeks that nobody has sampled, without the present bucket.
    #[must_use]
    pub fn gaps(&self, now: Timestamp) -> Vec<Range<Timestamp>> {
        let current = bucket(now).clamp(0, END);
        let mut gaps = Vec::new();
        let mut free = (current - BUCKETS).max(0);
        let mut close = |free: i64, end: i64| {
            if let (true, Some(from), Some(until)) = (free < end, start(free), start(end)) {
                gaps.push(from..until);
            }
        };
        for (number, _) in self.whole(now) {
            close(free, number);
            free = number + 1;
        }
        close(free, current);
        gaps
    }

    /// The sampled buckets of the last three weeks that are over, by their number: at most 6048, 36 per hour of the
    /// week.
    pub(crate) fn whole(&self, now: Timestamp) -> impl Iterator<Item = (i64, u16)> {
        let current = bucket(now);
        let sampled =
            (self.first..).zip(&self.buckets).filter_map(|(number, sessions)| Some((number, (*sessions)?)));
        sampled.filter(move |(number, _)| (current.saturating_sub(BUCKETS)..current).contains(number))
    }

    fn end(&self) -> i64 {
        self.first.saturating_add(i64::try_from(self.buckets.len()).unwrap_or(i64::MAX))
    }

    fn get(&self, number: i64) -> Option<u16> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.buckets.get(index).copied().flatten()
    }

    /// `number` is at most three weeks from what is there.
    fn put(&mut self, number: i64, sessions: u16) {
        if self.buckets.is_empty() {
            self.first = number;
        }
        while number < self.first {
            self.buckets.push_front(None);
            self.first -= 1;
        }
        while number >= self.end() {
            self.buckets.push_back(None);
        }
        let index = usize::try_from(number - self.first).ok();
        if let Some(bucket) = index.and_then(|index| self.buckets.get_mut(index)) {
            *bucket = Some(sessions);
        }
    }

    /// Drops what is too old at `current`, and what is too far ahead.
    fn forget(&mut self, current: i64) {
        while self.first < current - BUCKETS && self.buckets.pop_front().is_some() {
            self.first += 1;
        }
        while self.end() > current + SKEW + 1 && self.buckets.pop_back().is_some() {}
        self.trim();
    }

    fn trim(&mut self) {
        while self.buckets.pop_back_if(|sessions| sessions.is_none()).is_some() {}
        while self.buckets.pop_front_if(|sessions| sessions.is_none()).is_some() {
            self.first += 1;
        }
        if self.buckets.is_empty() {
            self.first = 0;
        }
    }
}

/// The number of the bucket that an instant lies in.
fn bucket(at: Timestamp) -> i64 {
    second(at).div_euclid(BUCKET)
}

/// The first instant of a bucket.
fn start(number: i64) -> Option<Timestamp> {
    Timestamp::from_second(number.checked_mul(BUCKET)?).ok()
}

/// The second of a bucket's start.
pub(crate) fn start_second(number: i64) -> i64 {
    number.saturating_mul(BUCKET)
}

/// The second that an instant lies in, since 1970.
pub(crate) fn second(at: Timestamp) -> i64 {
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

fn saturated(sessions: u32) -> u16 {
    u16::try_from(sessions).unwrap_or(u16::MAX)
}
