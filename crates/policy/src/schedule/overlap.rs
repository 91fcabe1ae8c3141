//! Periods must not overlap. Those of one zone are compared by their clock, those of different zones by instants in
//! every week of the coming year, because their clocks change on different days.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::clock::WEEK;
use super::error::ScheduleError;
use super::period::{End, Occurrence, Period, occurrences};
use super::{YEAR_HOURS, later};

/// A period until the next one counts as so short, so that only an equal start collides.
const MOMENT: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn check(
    zone_name: &str,
    zone: &TimeZone,
    periods: &[Period],
    from: Timestamp,
) -> Result<(), ScheduleError> {
    for (index, first) in periods.iter().enumerate() {
        for second in periods.iter().skip(index + 1).filter(|second| second.zone_name == first.zone_name) {
            if starts_inside(first, second) || starts_inside(second, first) {
                return Err(ScheduleError::PeriodsOverlap {
                    first: label(first, zone_name),
                    second: label(second, zone_name),
                });
            }
        }
    }
    if periods.windows(2).all(|pair| matches!(pair, [a, b] if a.zone_name == b.zone_name)) {
        return Ok(());
    }
    let year = later(from, YEAR_HOURS);
    let turns = occurrences(periods, from, year);
    let Some((a, b, at)) = first_meeting(&turns, from, year) else { return Ok(()) };
    let mut pair = periods.iter().filter(|period| std::ptr::eq(*period, a) || std::ptr::eq(*period, b));
    let (first, second) = (pair.next().unwrap_or(a), pair.next().unwrap_or(b));
    Err(ScheduleError::ZonesOverlap {
        first: label(first, zone_name),
        second: label(second, zone_name),
        from: zone.to_datetime(at).strftime("%A %Y-%m-%d %H:%M").to_string(),
        when: clocks(first, second, &turns, at, from),
    })
}

/// Whether b starts inside a, by the clock of their zone.
fn starts_inside(a: &Period, b: &Period) -> bool {
    let gap = (b.minute_of_week() + WEEK - a.minute_of_week()) % WEEK;
    gap < a.minutes().unwrap_or(1)
}

fn label(period: &Period, zone_name: &str) -> String {
    let name = period.name.as_deref().unwrap_or("weekdays");
    if period.zone_name == zone_name { name.to_owned() } else { format!("{name} ({})", period.zone_name) }
}

/// The end of a turn as far as overlaps go.
fn own_end(turn: &Occurrence<'_>) -> Timestamp {
    match turn.period.end {
        End::At { .. } => turn.end,
        End::NextPeriod => turn.start.checked_add(MOMENT).unwrap_or(Timestamp::MAX),
    }
}

/// Two periods of different zones that hold at one time after `from`, and the first instant at which they do.
fn first_meeting<'a>(
    turns: &[Occurrence<'a>],
    from: Timestamp,
    year: Timestamp,
) -> Option<(&'a Period, &'a Period, Timestamp)> {
    let mut best: Option<(&Occurrence<'a>, &Occurrence<'a>)> = None;
    for (index, first) in turns.iter().enumerate() {
        let end = own_end(first);
        let meets = |second: &&Occurrence<'a>| {
            second.period.zone_name != first.period.zone_name
                && own_end(second).min(end) > from.max(second.start)
                && second.start < year
        };
        let mut others = turns.iter().skip(index + 1).take_while(|second| second.start < end);
        if let Some(second) = others.find(meets)
            && best.is_none_or(|(_, earlier)| second.start < earlier.start)
        {
            best = Some((first, second));
        }
    }
    let (a, b) = best?;
    Some((a.period, b.period, b.start))
}

/// Which clocks make two periods meet, where they do not meet in every week: ", when … is on summer time".
fn clocks(
    first: &Period,
    second: &Period,
    turns: &[Occurrence<'_>],
    at: Timestamp,
    from: Timestamp,
) -> String {
    let of =
        |period: &Period| turns.iter().filter(|turn| std::ptr::eq(turn.period, period)).collect::<Vec<_>>();
    let others = of(second);
    let year = later(from, YEAR_HOURS - 7 * 24);
    let apart = of(first)
        .iter()
        .filter(|turn| from <= turn.start && turn.start < year)
        .any(|turn| !others.iter().any(|other| turn.start < own_end(other) && other.start < own_end(turn)));
    if !apart {
        return String::new();
    }
    let words: Vec<String> = [first, second].into_iter().filter_map(|period| clock_of(period, at)).collect();
    if words.is_empty() { String::new() } else { format!(", when {}", words.join(" and ")) }
}

/// Which of its two clocks the zone of a period follows; `None` for a zone that has one only.
fn clock_of(period: &Period, at: Timestamp) -> Option<String> {
    let now = period.zone.to_offset(at);
    let year = later(at, YEAR_HOURS);
    let mut others = period.zone.following(at).take_while(|change| change.timestamp() < year);
    let other = others.find(|change| change.offset() != now)?.offset();
    let clock = if now > other { "summer time" } else { "standard time" };
    Some(format!("{} is on {clock}", period.zone_name))
}
