//! How many sessions overlapped, bucket by bucket.

use jiff::Timestamp;

use super::{BUCKET, Session};

/// The highest number of sessions at one moment of each bucket from `first` to before `end`.
pub(super) fn peaks(
    sessions: impl IntoIterator<Item = Session>,
    first: i64,
    end: i64,
) -> impl Iterator<Item = u32> {
    let millisecond = |number: i64| number * BUCKET * 1_000;
    let (from, until) = (millisecond(first), millisecond(end));
    let mut events: Vec<(i64, i32)> = Vec::new();
    for Session { queued_at, finished_at } in sessions {
        let queued = queued_at.as_millisecond();
        // One that began and ended within a millisecond was there too.
        let finished = finished_at.map_or(i64::MAX, Timestamp::as_millisecond).max(queued.saturating_add(1));
        if queued < until && finished > from {
            events.push((queued, 1));
            events.push((finished, -1));
        }
    }
    // An end before a beginning at the same moment: the one makes room for the other.
    events.sort_unstable();
    let mut events = events.into_iter().peekable();
    let mut running = 0_u32;
    (first..end).map(move |number| {
        while let Some((_, change)) = events.next_if(|(at, _)| *at <= millisecond(number)) {
            running = running.saturating_add_signed(change);
        }
        let mut highest = running;
        while let Some((_, change)) = events.next_if(|(at, _)| *at < millisecond(number + 1)) {
            running = running.saturating_add_signed(change);
            highest = highest.max(running);
        }
        highest
    })
}
