//! Schedules and forecasts of a week.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule,
};
use poolkeeper_policy::{Forecast, History, Preference};

/// An instant of November 2026, such as `23T08:00`: a Monday.
pub(crate) fn on(text: &str) -> Timestamp {
    let seconds = if text.len() > 8 { "" } else { ":00" };
    format!("2026-11-{text}{seconds}Z").parse().unwrap()
}

pub(crate) fn period(name: &str, day: Weekday, start: &str, end: &str, agents: u32) -> PeriodDraft {
    let end = EndDraft::At { day: None, time: end.into() };
    PeriodDraft { name: name.into(), zone: None, start_day: day, start: start.into(), end, agents }
}

pub(crate) fn exception(
    name: &str,
    (from, to): (&str, &str),
    hours: Option<(&str, &str)>,
    agents: u32,
) -> ExceptionDraft {
    ExceptionDraft {
        name: name.into(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        hours: hours.map(|(start, end)| (start.into(), end.into())),
        agents,
    }
}

pub(crate) fn boost(name: &str, from: Timestamp, until: Timestamp, agents: u32) -> BoostDraft {
    BoostDraft { name: name.into(), from, until, agents }
}

pub(crate) fn draft(zone: &str, periods: Vec<PeriodDraft>) -> Draft {
    let manual = (!periods.is_empty()).then_some(ManualDraft::Periods(periods));
    Draft { zone: zone.into(), manual, exceptions: vec![], boosts: vec![] }
}

pub(crate) fn check(draft: &Draft) -> Schedule {
    Schedule::check(draft, on("22T00:00")).unwrap()
}

/// From three weeks before the Monday in which each hour had so many sessions, by the zone's clock: day from Monday, hour.
pub(crate) fn forecast(zone: &str, sessions: impl Fn(i64, i64) -> u32) -> Forecast {
    forecast_at(zone, on("23T00:00"), sessions)
}

pub(crate) fn forecast_at(zone: &str, now: Timestamp, sessions: impl Fn(i64, i64) -> u32) -> Forecast {
    let zone = TimeZone::get(zone).unwrap();
    let mut history = History::default();
    for number in (1..=6048).rev() {
        let start = now - SignedDuration::from_mins(5 * number);
        let clock = zone.to_datetime(start);
        let day = i64::from(clock.weekday().to_monday_zero_offset());
        history.record(start, sessions(day, i64::from(clock.hour())));
    }
    Forecast::new(&history, Preference::Balanced, zone, None, now)
}
