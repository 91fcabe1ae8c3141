//! From wall times to instants.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};

/// Minutes of a day.
pub(super) const DAY: u16 = 24 * 60;
/// Minutes of a week.
pub(super) const WEEK: u16 = 7 * DAY;

/// Whether a wall time begins or ends something: one that comes twice counts as its first occurrence for a start, its
/// last for an end, so that standby is rather longer than shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Start,
    End,
}

/// The wall time `minute` of a date; 24:00 is the next date's midnight. `None` beyond the last date there is.
pub(super) fn wall(date: Date, minute: u16) -> Option<DateTime> {
    let (date, minute) = if minute < DAY { (date, minute) } else { (date.tomorrow().ok()?, minute - DAY) };
    let hour = i8::try_from(minute / 60).ok()?;
    let minute = i8::try_from(minute % 60).ok()?;
    Some(date.to_datetime(Time::new(hour, minute, 0, 0).ok()?))
}

/// The instant of a wall time. One that a clock change skips counts as the moment after the gap.
pub(super) fn instant(zone: &TimeZone, wall: DateTime, edge: Edge) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(wall).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(wall).ok(),
        AmbiguousOffset::Fold { before, after } => match edge {
            Edge::Start => before.to_timestamp(wall).ok(),
            Edge::End => after.to_timestamp(wall).ok(),
        },
        AmbiguousOffset::Gap { after, .. } => {
            // By the clock of after the gap, a skipped time lies before it.
            let early = after.to_timestamp(wall).ok()?;
            zone.following(early).find(|change| change.offset() == after).map(|change| change.timestamp())
        }
    }
}

/// The first instant of a date.
pub(super) fn day_start(zone: &TimeZone, date: Date) -> Option<Timestamp> {
    instant(zone, wall(date, 0)?, Edge::Start)
}

/// The date that the clocks of a zone show.
pub(super) fn date(zone: &TimeZone, at: Timestamp) -> Date {
    zone.to_datetime(at).date()
}

/// `HH:MM` in minutes, from 00:00 to 24:00.
pub(super) fn time_of_day(text: &str) -> Option<u16> {
    let &[h1 @ b'0'..=b'2', h2 @ b'0'..=b'9', b':', m1 @ b'0'..=b'5', m2 @ b'0'..=b'9'] = text.as_bytes()
    else {
        return None;
    };
    let digit = |byte: u8| u16::from(byte - b'0');
    let minutes = (digit(h1) * 10 + digit(h2)) * 60 + digit(m1) * 10 + digit(m2);
    (minutes <= DAY).then_some(minutes)
}

/// Days since Monday.
pub(super) fn days_since_monday(day: Weekday) -> u16 {
    match day {
        Weekday::Monday => 0,
        Weekday::Tuesday => 1,
        Weekday::Wednesday => 2,
        Weekday::Thursday => 3,
        Weekday::Friday => 4,
        Weekday::Saturday => 5,
        Weekday::Sunday => 6,
    }
}
