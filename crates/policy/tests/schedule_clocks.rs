//! Standby schedules where clocks change, against tables and a year of the wall clock.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::civil::{DateTime, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::schedule::{Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule};
use rstest::rstest;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn period(name: &str, start: (Weekday, &str), end: EndDraft, agents: u32) -> PeriodDraft {
    PeriodDraft { name: name.into(), zone: None, start_day: start.0, start: start.1.into(), end, agents }
}

fn until(day: Weekday, time: &str) -> EndDraft {
    EndDraft::At { day: Some(day), time: time.into() }
}

fn draft(zone: &str, periods: Vec<PeriodDraft>) -> Draft {
    Draft {
        zone: zone.into(),
        manual: Some(ManualDraft::Periods(periods)),
        exceptions: vec![],
        boosts: vec![],
    }
}

/// A period of the Sunday on which the clocks change: when it begins and ends. Every zone's row of a gap (clocks go
/// forward) has a start inside, an end inside, both inside (hence nothing), one over it; a fold (back) the same.
#[rstest]
// 01:00Z, 02:00 becomes 03:00.
#[case("Europe/Stockholm", "2027-03-28", "02:30", "06:00", "01:00Z", "04:00Z")]
#[case("Europe/Stockholm", "2027-03-28", "00:30", "02:30", "-00:30Z", "01:00Z")]
#[case("Europe/Stockholm", "2027-03-28", "02:10", "02:50", "", "")]
#[case("Europe/Stockholm", "2027-03-28", "02:00", "03:01", "01:00Z", "01:01Z")]
// 01:00Z, 03:00 becomes 02:00.
#[case("Europe/Stockholm", "2027-10-31", "02:30", "06:00", "00:30Z", "05:00Z")]
#[case("Europe/Stockholm", "2027-10-31", "00:30", "02:30", "-01:30Z", "01:30Z")]
#[case("Europe/Stockholm", "2027-10-31", "02:10", "02:50", "00:10Z", "01:50Z")]
#[case("Europe/Stockholm", "2027-10-31", "01:59", "02:00", "-00:01Z", "01:00Z")]
#[case("Europe/Stockholm", "2027-10-31", "01:00", "03:00", "-01:00Z", "02:00Z")]
// 07:00Z, 02:00 becomes 03:00.
#[case("America/New_York", "2027-03-14", "02:30", "06:00", "07:00Z", "10:00Z")]
#[case("America/New_York", "2027-03-14", "00:30", "02:30", "05:30Z", "07:00Z")]
#[case("America/New_York", "2027-03-14", "02:00", "02:59", "", "")]
// 06:00Z, 02:00 becomes 01:00.
#[case("America/New_York", "2027-11-07", "01:30", "06:00", "05:30Z", "11:00Z")]
#[case("America/New_York", "2027-11-07", "00:30", "01:30", "04:30Z", "06:30Z")]
#[case("America/New_York", "2027-11-07", "01:00", "02:00", "05:00Z", "07:00Z")]
// 01:00Z, 01:00 becomes 02:00.
#[case("Europe/London", "2027-03-28", "01:30", "06:00", "01:00Z", "05:00Z")]
#[case("Europe/London", "2027-03-28", "00:30", "01:30", "00:30Z", "01:00Z")]
#[case("Europe/London", "2027-03-28", "01:00", "01:59", "", "")]
// 01:00Z, 02:00 becomes 01:00.
#[case("Europe/London", "2027-10-31", "01:30", "06:00", "00:30Z", "06:00Z")]
#[case("Europe/London", "2027-10-31", "00:30", "01:30", "-00:30Z", "01:30Z")]
// 14:00Z of Saturday, 03:00 becomes 02:00.
#[case("Pacific/Auckland", "2027-04-04", "02:30", "06:00", "-10:30Z", "-06:00Z")]
#[case("Pacific/Auckland", "2027-04-04", "00:30", "02:30", "-12:30Z", "-09:30Z")]
// 14:00Z of Saturday, 02:00 becomes 03:00.
#[case("Pacific/Auckland", "2027-09-26", "02:30", "06:00", "-10:00Z", "-07:00Z")]
#[case("Pacific/Auckland", "2027-09-26", "00:30", "02:30", "-11:30Z", "-10:00Z")]
#[case("Pacific/Auckland", "2027-09-26", "02:15", "02:45", "", "")]
// 15:00Z of Saturday, 02:00 becomes 01:30.
#[case("Australia/Lord_Howe", "2027-04-04", "01:45", "06:00", "-09:15Z", "-04:30Z")]
#[case("Australia/Lord_Howe", "2027-04-04", "00:30", "01:45", "-10:30Z", "-08:45Z")]
#[case("Australia/Lord_Howe", "2027-04-04", "01:30", "02:00", "-09:30Z", "-08:30Z")]
// 15:30Z of Saturday, 02:00 becomes 02:30.
#[case("Australia/Lord_Howe", "2027-10-03", "02:15", "06:00", "-08:30Z", "-05:00Z")]
#[case("Australia/Lord_Howe", "2027-10-03", "00:30", "02:15", "-10:00Z", "-08:30Z")]
#[case("Australia/Lord_Howe", "2027-10-03", "02:05", "02:25", "", "")]
fn clock_change(
    #[case] zone: &str,
    #[case] date: &str,
    #[case] start: &str,
    #[case] end: &str,
    #[case] begins: &str,
    #[case] ends: &str,
) {
    let sunday = Weekday::Sunday;
    let draft = draft(zone, vec![period("p", (sunday, start), until(sunday, end), 2)]);
    let midnight = at(&format!("{date}T00:00:00Z"));
    let schedule = Schedule::check(&draft, midnight).unwrap();
    // The Saturday before the date, by any clock.
    let before = midnight - SignedDuration::from_hours(36);
    let next = schedule.next_change(before).unwrap();
    if begins.is_empty() {
        assert!(next.at > midnight + SignedDuration::from_hours(5 * 24), "an empty period holds: {next:?}");
        return;
    }
    assert_eq!((next.at, next.agents), (offset(midnight, begins), 2));
    let level = schedule.level(next.at);
    assert_eq!((level.agents, level.until), (2, Some(offset(midnight, ends))));
    assert_eq!(schedule.level(next.at - SignedDuration::from_secs(1)).agents, 0);
}

/// `01:30Z` of the date, `-01:30Z` so long before its midnight.
fn offset(midnight: Timestamp, text: &str) -> Timestamp {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |text| (-1, text));
    let (hours, minutes) = text.strip_suffix('Z').unwrap().split_once(':').unwrap();
    let minutes = hours.parse::<i64>().unwrap() * 60 + minutes.parse::<i64>().unwrap();
    midnight + SignedDuration::from_mins(sign * minutes)
}

#[test]
fn where_an_end_comes_twice_the_larger_count_holds() {
    let sunday = Weekday::Sunday;
    for (first, second) in [(6, 2), (2, 6)] {
        let periods = vec![
            period("first", (sunday, "01:00"), until(sunday, "02:30"), first),
            period("second", (sunday, "02:30"), until(sunday, "05:00"), second),
        ];
        let schedule =
            Schedule::check(&draft("Europe/Stockholm", periods), at("2027-10-01T00:00:00Z")).unwrap();
        // 02:30 is both 00:30Z and 01:30Z.
        assert_eq!(schedule.level(at("2027-10-31T00:29:00Z")).agents, first);
        assert_eq!(schedule.level(at("2027-10-31T01:00:00Z")).agents, 6);
        assert_eq!(schedule.level(at("2027-10-31T01:30:00Z")).agents, second);
    }
}

#[test]
fn two_starts_in_one_gap_hold_in_their_order() {
    let sunday = Weekday::Sunday;
    let periods = vec![
        period("morning", (sunday, "02:45"), EndDraft::NextPeriod, 3),
        period("night", (sunday, "02:15"), EndDraft::NextPeriod, 9),
    ];
    let schedule = Schedule::check(&draft("Europe/Stockholm", periods), at("2027-03-01T00:00:00Z")).unwrap();
    assert_eq!(schedule.level(at("2027-03-28T00:59:00Z")).agents, 3);
    assert_eq!(schedule.level(at("2027-03-28T01:00:00Z")).agents, 3, "nothing is left of the night");
    assert_eq!(schedule.level(at("2027-04-04T00:15:00Z")).agents, 9);
}

#[test]
fn whole_days_follow_the_date_where_midnight_moves() {
    // Havana: midnight to 01:00 is skipped on 2027-03-14, and comes twice on 2027-11-07.
    let day = |name: &str, date: &str| ExceptionDraft {
        name: name.into(),
        from: date.parse().unwrap(),
        to: date.parse().unwrap(),
        hours: None,
        agents: 0,
    };
    let draft = Draft {
        zone: "America/Havana".into(),
        manual: Some(ManualDraft::AllWeek { agents: 1 }),
        exceptions: vec![
            day("spring", "2027-03-14"),
            day("before", "2027-11-06"),
            day("autumn", "2027-11-07"),
        ],
        boosts: vec![],
    };
    let schedule = Schedule::check(&draft, at("2027-01-01T00:00:00Z")).unwrap();
    let level = schedule.level(at("2027-03-14T05:00:00Z"));
    assert_eq!((level.agents, level.until), (0, Some(at("2027-03-15T04:00:00Z"))));
    assert_eq!(schedule.level(at("2027-03-14T04:59:00Z")).agents, 1);
    let level = schedule.level(at("2027-11-06T04:00:00Z"));
    assert_eq!((level.name.as_deref(), level.until), (Some("before"), Some(at("2027-11-07T04:00:00Z"))));
    let level = schedule.level(at("2027-11-07T04:00:00Z"));
    assert_eq!((level.name.as_deref(), level.until), (Some("autumn"), Some(at("2027-11-08T05:00:00Z"))));
}

#[test]
fn an_end_at_24_00_that_comes_twice_reaches_into_the_next_date() {
    // Havana, 2027-11-07: 00:00 is both 04:00Z and 05:00Z.
    let evening = period("evening", (Weekday::Saturday, "18:00"), until(Weekday::Saturday, "24:00"), 2);
    let mut draft = draft("America/Havana", vec![evening]);
    let checked = at("2027-01-01T00:00:00Z");
    let during = at("2027-11-07T04:30:00Z");
    let ends = Some(at("2027-11-07T05:00:00Z"));
    let level = Schedule::check(&draft, checked).unwrap().level(during);
    assert_eq!((level.agents, level.until), (2, ends));
    draft.manual = None;
    draft.exceptions = vec![ExceptionDraft {
        name: "evening".into(),
        from: date(2027, 11, 5),
        to: date(2027, 11, 6),
        hours: Some(("18:00".into(), "24:00".into())),
        agents: 3,
    }];
    let level = Schedule::check(&draft, checked).unwrap().level(during);
    assert_eq!((level.agents, level.until), (3, ends));
}

#[test]
fn a_whole_year_agrees_with_stepping_by_the_wall_clock() {
    use Weekday::{Friday, Monday, Sunday, Thursday, Tuesday, Wednesday};
    let office = vec![
        period("early", (Monday, "07:45"), until(Monday, "12:00"), 6),
        period("rest", (Monday, "12:00"), EndDraft::NextPeriod, 2),
        period("midweek", (Tuesday, "07:00"), until(Thursday, "20:15"), 4),
        period("friday", (Friday, "07:30"), until(Friday, "16:00"), 5),
        period("sunday", (Sunday, "20:00"), until(Monday, "05:00"), 1),
    ];
    // Nothing of it lies in the hours that clocks skip or repeat, so the wall clock alone tells what holds.
    let holds = |wall: DateTime| {
        let time = i32::from(wall.hour()) * 100 + i32::from(wall.minute());
        match wall.weekday() {
            Monday if time < 500 => 1,
            Monday if (745..1200).contains(&time) => 6,
            Monday if time >= 1200 => 2,
            Tuesday if time < 700 => 2,
            Tuesday | Wednesday => 4,
            Thursday if time < 2015 => 4,
            Friday if (730..1600).contains(&time) => 5,
            Sunday if time >= 2000 => 1,
            _ => 0,
        }
    };
    let zone = TimeZone::get("Europe/Stockholm").unwrap();
    let start = at("2026-12-31T23:00:00Z");
    let schedule = Schedule::check(&draft("Europe/Stockholm", office), start).unwrap();
    let mut stepped = vec![];
    let mut before = holds(zone.to_datetime(start));
    for minute in 1..366 * 24 * 60 {
        let instant = start + SignedDuration::from_mins(minute);
        let now = holds(zone.to_datetime(instant));
        if now != before {
            stepped.push((instant, now));
        }
        before = now;
    }
    let mut expanded = vec![];
    let mut from = start;
    while expanded.len() < stepped.len() {
        let change = schedule.next_change(from).unwrap();
        expanded.push((change.at, change.agents));
        from = change.at;
    }
    assert_eq!(expanded, stepped);
    assert!(stepped.len() >= 52 * 8);
}
