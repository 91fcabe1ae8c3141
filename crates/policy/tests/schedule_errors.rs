//! What a schedule's check refuses, and in which words.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::Timestamp;
use jiff::civil::Weekday::{self, Monday, Saturday, Sunday, Tuesday, Wednesday};
use poolkeeper_policy::ScheduleReason;
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule, ScheduleError,
};

const NOW: &str = "2026-11-23T00:00:00Z";

/// A period such as `("a", "Asia/Tokyo", Monday, "08:00", Monday, "12:00")`; the zone empty for the schedule's, the
/// end's time empty for the next period.
type Row<'a> = (&'a str, &'a str, Weekday, &'a str, Weekday, &'a str);

fn periods(rows: &[Row<'_>]) -> Draft {
    let period = |&(name, zone, start_day, start, end_day, end): &Row<'_>| PeriodDraft {
        name: name.into(),
        zone: (!zone.is_empty()).then(|| zone.into()),
        start_day,
        start: start.into(),
        end: if end.is_empty() {
            EndDraft::NextPeriod
        } else {
            EndDraft::At { day: Some(end_day), time: end.into() }
        },
        agents: 1,
    };
    manual(ManualDraft::Periods(rows.iter().map(period).collect()))
}

fn manual(manual: ManualDraft) -> Draft {
    Draft { zone: "Europe/Stockholm".into(), manual: Some(manual), exceptions: vec![], boosts: vec![] }
}

/// Name, first and last date, start and end of a part of each day.
type Dates<'a> = (&'a str, &'a str, &'a str, Option<(&'a str, &'a str)>);

fn exceptions(rows: &[Dates<'_>]) -> Draft {
    let exception = |&(name, from, to, hours): &Dates<'_>| ExceptionDraft {
        name: name.into(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        hours: hours.map(|(start, end)| (start.into(), end.into())),
        agents: 0,
    };
    let mut draft = manual(ManualDraft::AllWeek { agents: 1 });
    draft.exceptions = rows.iter().map(exception).collect();
    draft
}

fn boost(from: &str, until: &str) -> Draft {
    let mut draft = manual(ManualDraft::AllWeek { agents: 1 });
    draft.boosts = vec![BoostDraft {
        name: "b".into(),
        from: from.parse().unwrap(),
        until: until.parse().unwrap(),
        agents: 2,
    }];
    draft
}

fn check(draft: &Draft) -> Result<Schedule, ScheduleError> {
    Schedule::check(draft, NOW.parse::<Timestamp>().unwrap())
}

#[track_caller]
fn refused(draft: &Draft, reason: ScheduleReason, message: &str) {
    let error = check(draft).unwrap_err();
    assert_eq!(error.to_string(), message);
    assert_eq!(error.reason(), reason);
}

#[test]
fn malformed_entries_are_named_with_the_mend() {
    let refused = |draft: &Draft, message| refused(draft, ScheduleReason::InvalidSpec, message);
    let weekdays = |start: &str, end: &str, agents| {
        manual(ManualDraft::Weekdays { start: start.into(), end: end.into(), agents })
    };
    let mut zone = manual(ManualDraft::AllWeek { agents: 1 });
    zone.zone = "Europe/Stokholm".into();
    refused(
        &zone,
        "spec.timeZone: unknown time zone Europe/Stokholm; timeZone must be an IANA name such as Europe/Stockholm or UTC",
    );
    refused(
        &periods(&[("a", "W. Europe Standard Time", Monday, "08:00", Monday, "09:00")]),
        "spec.manual.periods[a].timeZone: unknown time zone W. Europe Standard Time; timeZone must be an IANA name such \
         as Europe/Stockholm or UTC",
    );
    refused(
        &weekdays("24:00", "24:00", 1),
        "spec.manual.weekdays.start: \"24:00\" is no time; start must be a quoted time of day from \"00:00\" to \"23:59\"",
    );
    refused(
        &weekdays("08:00", "24:01", 1),
        "spec.manual.weekdays.end: \"24:01\" is no time; end must be a quoted time of day from \"00:00\" to \"24:00\"",
    );
    refused(
        &weekdays("18:00", "08:00", 1),
        "spec.manual.weekdays: end must be after start; for nights use type Periods",
    );
    refused(
        &weekdays("08:00", "18:00", 0),
        "spec.manual.weekdays.agents: 0 is out of bounds; give a number from 1 to 10000",
    );
    refused(
        &manual(ManualDraft::AllWeek { agents: 10_001 }),
        "spec.manual.allWeek.agents: 10001 is out of bounds; give a number from 1 to 10000",
    );
    refused(&periods(&[]), "spec.manual.periods has 0 entries; give at least 1 and at most 64");
    refused(
        &periods(&[("night", "", Monday, "22:00", Monday, "06:00")]),
        "spec.manual.periods[night]: end must be after start; for a period over midnight or over several days give endDay",
    );
    refused(
        &exceptions(&[("x", "9999-12-31", "9999-12-31", None)]),
        "spec.exceptions[x]: its dates are out of bounds; write dates from 1970 to 9000",
    );
    refused(
        &exceptions(&[("x", "2026-12-02", "2026-12-01", None)]),
        "spec.exceptions[x]: to must not be before from; change one of them",
    );
    refused(
        &exceptions(&[("x", "2026-01-01", "2027-01-03", None)]),
        "spec.exceptions[x]: an exception lasts at most 366 days; shorten it, or write two",
    );
    refused(
        &exceptions(&[("x", "2026-12-01", "2026-12-01", Some(("12:00", "12:00")))]),
        "spec.exceptions[x]: end must be after start; leave both out for whole days",
    );
    refused(
        &boost("9999-12-01T00:00:00Z", "9999-12-02T00:00:00Z"),
        "spec.boosts[b]: its dates are out of bounds; write dates from 1970 to 9000",
    );
    let length = "spec.boosts[b]: until must be after from, by at most 30 days; change one of them";
    refused(&boost("2026-12-02T05:00:00Z", "2026-12-02T05:00:00Z"), length);
    refused(&boost("2026-12-01T00:00:00Z", "2026-12-31T00:00:01Z"), length);
}

#[test]
fn times_are_hours_and_minutes_only() {
    for time in ["8:00", "08:60", "0800", "08:00:00", "08:0a", "-1:00", "30:00", ""] {
        let draft = manual(ManualDraft::Weekdays { start: time.into(), end: "24:00".into(), agents: 1 });
        assert!(matches!(check(&draft), Err(ScheduleError::BadStart { .. })), "{time}");
    }
}

#[test]
fn the_longest_entries_are_taken() {
    assert!(check(&exceptions(&[("x", "2026-01-01", "2027-01-02", None)])).is_ok());
    assert!(check(&boost("2026-12-01T00:00:00Z", "2026-12-31T00:00:00Z")).is_ok());
}

#[test]
fn exceptions_of_one_kind_must_not_overlap() {
    let whole = ("whole", "2026-12-01", "2026-12-03", None);
    let part = ("part", "2026-12-03", "2026-12-05", Some(("08:00", "12:00")));
    let next = ("next", "2026-12-05", "2026-12-06", Some(("12:00", "24:00")));
    let after = ("after", "2026-12-04", "2026-12-04", None);
    assert!(check(&exceptions(&[whole, part, next, after])).is_ok());
    let message = |first, second| {
        format!(
            "exceptions {first} and {second} overlap: two exceptions of the same kind (whole days, or part of a day) \
             must not overlap; change a date or a time"
        )
    };
    let same = ("same", "2026-12-03", "2026-12-03", None);
    refused(&exceptions(&[whole, part, same]), ScheduleReason::InvalidSpec, &message("whole", "same"));
    let meets = ("meets", "2026-12-01", "2026-12-09", Some(("11:59", "12:01")));
    refused(&exceptions(&[part, meets]), ScheduleReason::InvalidSpec, &message("part", "meets"));
}

/// Managed DevOps Pools, scaling, periods: they must not overlap.
#[test]
fn periods_of_one_zone_must_not_overlap() {
    let free: &[Row<'_>] = &[
        ("a", "", Monday, "08:00", Monday, "12:00"),
        ("b", "Europe/Stockholm", Monday, "12:00", Monday, ""),
        ("c", "", Sunday, "22:00", Monday, "08:00"),
        ("d", "", Saturday, "22:00", Saturday, "24:00"),
        ("e", "", Sunday, "00:00", Sunday, "01:00"),
    ];
    check(&periods(free)).unwrap();
    for second in [
        ("b", "", Monday, "11:59", Monday, "13:00"),
        ("b", "", Monday, "08:00", Monday, ""),
        ("b", "", Monday, "11:59", Monday, ""),
        ("b", "", Sunday, "22:00", Monday, "08:01"),
        ("b", "", Wednesday, "00:00", Tuesday, "24:00"),
        ("b", "Europe/Stockholm", Monday, "11:59", Monday, "13:00"),
    ] {
        refused(
            &periods(&[("a", "", Monday, "08:00", Monday, "12:00"), second]),
            ScheduleReason::PeriodsOverlap,
            "periods a and b overlap: move a start, or shorten the period before it",
        );
    }
}

#[test]
fn equal_starts_collide() {
    refused(
        &periods(&[("a", "", Monday, "08:00", Monday, ""), ("b", "", Monday, "08:00", Monday, "")]),
        ScheduleReason::PeriodsOverlap,
        "periods a and b overlap: move a start, or shorten the period before it",
    );
    // 08:00 in Stockholm is 16:00 in Tokyo as long as it is winter.
    refused(
        &periods(&[("a", "", Monday, "08:00", Monday, ""), ("b", "Asia/Tokyo", Monday, "16:00", Monday, "")]),
        ScheduleReason::PeriodsOverlap,
        "periods a and b (Asia/Tokyo) overlap from Monday 2026-11-23 08:00 on, when Europe/Stockholm is on standard \
         time: shorten one",
    );
}

#[test]
fn periods_that_only_summer_time_brings_together() {
    refused(
        &periods(&[
            ("tokyo-morning", "Asia/Tokyo", Monday, "08:00", Monday, "09:00"),
            ("late-shift", "", Monday, "01:00", Monday, "05:00"),
        ]),
        ScheduleReason::PeriodsOverlap,
        "periods tokyo-morning (Asia/Tokyo) and late-shift overlap from Monday 2027-03-29 01:00 on, when \
         Europe/Stockholm is on summer time: shorten one",
    );
}

#[test]
fn periods_that_meet_only_while_two_continents_disagree() {
    // Clocks change on 2027-03-14 in New York and on 2027-03-28 in Stockholm: five hours apart instead of six.
    refused(
        &periods(&[
            ("stockholm", "", Monday, "13:00", Monday, "15:00"),
            ("boston", "America/New_York", Monday, "09:00", Monday, "10:00"),
        ]),
        ScheduleReason::PeriodsOverlap,
        "periods stockholm and boston (America/New_York) overlap from Monday 2027-03-15 14:00 on, when \
         Europe/Stockholm is on standard time and America/New_York is on summer time: shorten one",
    );
}

#[test]
fn periods_that_always_meet_blame_no_clock() {
    refused(
        &periods(&[
            ("tokyo", "Asia/Tokyo", Tuesday, "08:00", Tuesday, "17:00"),
            ("stockholm", "", Tuesday, "06:00", Tuesday, "12:00"),
        ]),
        ScheduleReason::PeriodsOverlap,
        "periods tokyo (Asia/Tokyo) and stockholm overlap from Tuesday 2026-11-24 06:00 on: shorten one",
    );
}

#[test]
fn an_until_next_period_gives_way_to_another_zone() {
    let draft = periods(&[
        ("tokyo", "Asia/Tokyo", Tuesday, "08:00", Tuesday, "17:00"),
        ("stockholm", "", Monday, "12:00", Monday, ""),
    ]);
    check(&draft).unwrap();
}
