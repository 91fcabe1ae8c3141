//! Standby schedules: what holds when, and what comes next.
#![allow(clippy::unwrap_used, reason = "tests")]

use jiff::civil::Weekday::{self, Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
use jiff::{Timestamp, Zoned};
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule, Source,
};

const EASTERN: &str = "America/New_York";
const STOCKHOLM: &str = "Europe/Stockholm";

fn draft(zone: &str, manual: ManualDraft) -> Draft {
    Draft { zone: zone.into(), manual: Some(manual), exceptions: vec![], boosts: vec![] }
}

fn period(name: &str, start: (Weekday, &str), end: Option<(Weekday, &str)>, agents: u32) -> PeriodDraft {
    let end = end.map_or(EndDraft::NextPeriod, |(day, time)| EndDraft::At {
        day: (day != start.0).then_some(day),
        time: time.into(),
    });
    PeriodDraft { name: name.into(), zone: None, start_day: start.0, start: start.1.into(), end, agents }
}

fn exception(name: &str, days: (&str, &str), hours: Option<(&str, &str)>, agents: u32) -> ExceptionDraft {
    ExceptionDraft {
        name: name.into(),
        from: days.0.parse().unwrap(),
        to: days.1.parse().unwrap(),
        hours: hours.map(|(start, end)| (start.into(), end.into())),
        agents,
    }
}

fn boost(name: &str, from: &str, until: &str, agents: u32) -> BoostDraft {
    BoostDraft { name: name.into(), from: at(from), until: at(until), agents }
}

/// The week of the examples: 2026-11-23 is a Monday.
fn check(draft: &Draft) -> Schedule {
    Schedule::check(draft, at("2026-11-22T00:00:00Z")).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A wall time of November 2026, such as `23 09:42`.
fn local(zone: &str, text: &str) -> Timestamp {
    let (day, time) = text.split_once(' ').unwrap();
    format!("2026-11-{day}T{time}[{zone}]").parse::<Zoned>().unwrap().timestamp()
}

fn level(schedule: &Schedule, at: Timestamp) -> (u32, Source, Option<String>) {
    let level = schedule.level(at);
    (level.agents, level.source, level.name)
}

/// Every change of a week from the night to Monday on, as `day hour:minute agents` by the zone's clock.
fn changes(schedule: &Schedule, zone: &str) -> Vec<String> {
    let mut from = local(zone, "22 23:59");
    let end = local(zone, "29 23:59");
    let mut found = vec![];
    while let Some(change) = schedule.next_change(from).filter(|change| change.at <= end) {
        let wall = change.at.in_tz(zone).unwrap();
        found.push(format!("{} {}", wall.strftime("%a %H:%M"), change.agents));
        from = change.at;
    }
    found
}

fn week(schedule: &Schedule) -> Vec<String> {
    let row = |row: poolkeeper_policy::schedule::WeekRow| {
        format!("{} - {}: {} {}", row.start, row.end, row.agents, row.period.unwrap_or_default())
    };
    schedule.week().into_iter().map(row).collect()
}

/// mornings, monday-rest until the next, midweek over three days, weekend over the end of the week.
fn office_hours() -> Draft {
    draft(
        STOCKHOLM,
        ManualDraft::Periods(vec![
            period("mornings", (Monday, "08:00"), Some((Monday, "12:00")), 6),
            period("monday-rest", (Monday, "12:00"), None, 2),
            period("midweek", (Tuesday, "07:00"), Some((Thursday, "20:00")), 4),
            period("weekend", (Friday, "18:00"), Some((Monday, "05:00")), 1),
        ]),
    )
}

/// Managed DevOps Pools, scaling: the example of periods from scratch.
#[test]
fn one_agent_on_monday_mornings_eastern() {
    let early = period("early", (Monday, "00:00"), Some((Monday, "05:00")), 1);
    let schedule = check(&draft(EASTERN, ManualDraft::Periods(vec![early])));
    assert_eq!(changes(&schedule, EASTERN), ["Mon 00:00 1", "Mon 05:00 0"]);
    // Eastern standard time is five hours behind UTC.
    assert_eq!(schedule.level(at("2026-11-23T05:00:00Z")).until, Some(at("2026-11-23T10:00:00Z")));
    assert_eq!(level(&schedule, at("2026-11-23T04:59:59Z")), (0, Source::Off, None));
    assert_eq!(level(&schedule, at("2026-11-23T09:59:59Z")), (1, Source::Manual, Some("early".into())));
}

/// Managed DevOps Pools, scaling: weekdays (the rows of start, end and count), and their example.
#[test]
fn four_agents_in_office_hours_eastern_none_at_nights_and_weekends() {
    let weekdays = ManualDraft::Weekdays { start: "09:00".into(), end: "17:00".into(), agents: 4 };
    let schedule = check(&draft(EASTERN, weekdays));
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri"];
    let expected: Vec<String> =
        days.iter().flat_map(|day| [format!("{day} 09:00 4"), format!("{day} 17:00 0")]).collect();
    assert_eq!(changes(&schedule, EASTERN), expected);
    assert_eq!(level(&schedule, local(EASTERN, "28 12:00")), (0, Source::Off, None));
    assert_eq!(level(&schedule, local(EASTERN, "25 12:00")), (4, Source::Manual, None));
    assert_eq!(week(&schedule).len(), 5);
    assert_eq!(week(&schedule)[4], "Friday 09:00 - Friday 17:00: 4 ");
}

/// Managed DevOps Pools, scaling: all week.
#[test]
fn all_week_never_changes() {
    let schedule = check(&draft("UTC", ManualDraft::AllWeek { agents: 4 }));
    let now = at("2026-11-23T12:00:00Z");
    assert_eq!(level(&schedule, now), (4, Source::Manual, None));
    assert_eq!(schedule.level(now).until, None);
    assert_eq!(schedule.next_change(now), None);
    assert_eq!(week(&schedule), ["Monday 00:00 - Sunday 24:00: 4 "]);
}

#[test]
fn weekdays_from_midnight_to_midnight_have_no_break() {
    let weekdays = ManualDraft::Weekdays { start: "00:00".into(), end: "24:00".into(), agents: 2 };
    let schedule = check(&draft(STOCKHOLM, weekdays));
    assert_eq!(changes(&schedule, STOCKHOLM), ["Mon 00:00 2", "Sat 00:00 0"]);
    assert_eq!(week(&schedule), ["Monday 00:00 - Friday 24:00: 2 "]);
}

#[test]
fn the_periods_of_the_manual_page() {
    let schedule = check(&office_hours());
    let expected = ["Mon 05:00 0", "Mon 08:00 6", "Mon 12:00 2", "Tue 07:00 4", "Thu 20:00 0", "Fri 18:00 1"];
    assert_eq!(changes(&schedule, STOCKHOLM), expected);
    let now = schedule.level(at("2026-11-23T08:42:00Z"));
    assert_eq!((now.agents, now.name.as_deref()), (6, Some("mornings")));
    assert_eq!(now.until, Some(at("2026-11-23T11:00:00Z")));
    let next = schedule.next_change(at("2026-11-23T08:42:00Z")).unwrap();
    assert_eq!((next.at, next.agents, next.source), (at("2026-11-23T11:00:00Z"), 2, Source::Manual));
    assert_eq!(next.name.as_deref(), Some("monday-rest"));
    assert_eq!(
        week(&schedule),
        [
            "Monday 00:00 - Monday 05:00: 1 weekend",
            "Monday 08:00 - Monday 12:00: 6 mornings",
            "Monday 12:00 - Tuesday 07:00: 2 monday-rest",
            "Tuesday 07:00 - Thursday 20:00: 4 midweek",
            "Friday 18:00 - Sunday 24:00: 1 weekend",
        ]
    );
    assert_eq!(schedule.highest(), Some(("period mornings".into(), 6)));
}

/// Managed DevOps Pools, scaling, periods: the row of several days.
#[test]
fn multi_day_holds_through_the_nights() {
    let schedule = check(&office_hours());
    for night in ["25 00:00", "25 03:30", "26 02:00", "26 19:59"] {
        assert_eq!(level(&schedule, local(STOCKHOLM, night)).0, 4, "{night}");
    }
}

#[test]
fn overnight_and_over_the_end_of_the_week() {
    let schedule = check(&draft(
        STOCKHOLM,
        ManualDraft::Periods(vec![
            period("nightly", (Wednesday, "22:00"), Some((Thursday, "06:00")), 3),
            period("new-week", (Sunday, "20:00"), Some((Monday, "06:00")), 5),
        ]),
    ));
    assert_eq!(changes(&schedule, STOCKHOLM), ["Mon 06:00 0", "Wed 22:00 3", "Thu 06:00 0", "Sun 20:00 5"]);
    assert_eq!(level(&schedule, local(STOCKHOLM, "23 00:00")).0, 5);
}

/// Managed DevOps Pools, scaling, periods: the row of until the next one.
#[test]
fn until_next_wraps_around_the_week() {
    let schedule = check(&draft(
        STOCKHOLM,
        ManualDraft::Periods(vec![
            period("work", (Tuesday, "07:00"), None, 4),
            period("rest", (Friday, "18:00"), None, 1),
        ]),
    ));
    assert_eq!(changes(&schedule, STOCKHOLM), ["Tue 07:00 4", "Fri 18:00 1"]);
    assert_eq!(level(&schedule, local(STOCKHOLM, "23 00:00")), (1, Source::Manual, Some("rest".into())));
    assert_eq!(week(&schedule)[0], "Monday 00:00 - Tuesday 07:00: 1 rest");
}

#[test]
fn a_single_period_until_next_holds_all_week() {
    let schedule =
        check(&draft(STOCKHOLM, ManualDraft::Periods(vec![period("always", (Wednesday, "09:00"), None, 3)])));
    let now = local(STOCKHOLM, "24 12:00");
    assert_eq!(level(&schedule, now), (3, Source::Manual, Some("always".into())));
    assert_eq!((schedule.level(now).until, schedule.next_change(now)), (None, None));
    assert_eq!(week(&schedule), ["Monday 00:00 - Sunday 24:00: 3 always"]);
}

#[test]
fn a_full_week_ends_where_it_starts() {
    let full = period("full", (Monday, "00:00"), Some((Sunday, "24:00")), 2);
    let schedule = check(&draft(STOCKHOLM, ManualDraft::Periods(vec![full])));
    assert_eq!(schedule.next_change(local(STOCKHOLM, "24 12:00")), None);
    assert_eq!(week(&schedule), ["Monday 00:00 - Sunday 24:00: 2 full"]);
}

#[test]
fn a_change_of_name_alone_ends_the_level_but_is_no_change() {
    let schedule = check(&draft(
        STOCKHOLM,
        ManualDraft::Periods(vec![
            period("early", (Monday, "08:00"), Some((Monday, "12:00")), 2),
            period("late", (Monday, "12:00"), Some((Monday, "18:00")), 2),
        ]),
    ));
    let now = local(STOCKHOLM, "23 09:00");
    assert_eq!(schedule.level(now).until, Some(local(STOCKHOLM, "23 12:00")));
    assert_eq!(schedule.next_change(now).unwrap().at, local(STOCKHOLM, "23 18:00"));
}

#[test]
fn exceptions_replace_the_plan_on_local_dates_the_last_included() {
    let mut draft = office_hours();
    draft.exceptions = vec![exception("holiday", ("2026-11-23", "2026-11-25"), None, 0)];
    let schedule = check(&draft);
    assert_eq!(changes(&schedule, STOCKHOLM), ["Mon 00:00 0", "Thu 00:00 4", "Thu 20:00 0", "Fri 18:00 1"]);
    let holiday = (0, Source::Exception, Some("holiday".into()));
    assert_eq!(level(&schedule, local(STOCKHOLM, "23 00:00")), holiday);
    assert_eq!(level(&schedule, local(STOCKHOLM, "25 23:59")), holiday);
    assert_eq!(level(&schedule, local(STOCKHOLM, "26 00:00")).1, Source::Manual);
    assert_eq!(schedule.exception(local(STOCKHOLM, "25 23:59")), Some("holiday"));
    assert_eq!(schedule.exception(local(STOCKHOLM, "26 00:00")), None);
}

#[test]
fn a_part_of_the_day_wins_over_whole_days() {
    let mut draft = draft(STOCKHOLM, ManualDraft::AllWeek { agents: 3 });
    draft.exceptions = vec![
        exception("freeze", ("2026-11-24", "2026-11-26"), None, 0),
        exception("eve", ("2026-11-25", "2026-11-26"), Some(("18:00", "24:00")), 8),
    ];
    let schedule = check(&draft);
    let expected = ["Tue 00:00 0", "Wed 18:00 8", "Thu 00:00 0", "Thu 18:00 8", "Fri 00:00 3"];
    assert_eq!(changes(&schedule, STOCKHOLM), expected);
    assert_eq!(schedule.highest(), Some(("exception eve".into(), 8)));
}

#[test]
fn boosts_only_raise() {
    let mut draft = office_hours();
    draft.boosts = vec![
        boost("small", "2026-11-23T06:00:00Z", "2026-11-23T14:00:00Z", 5),
        boost("large", "2026-11-23T12:00:00+01:00", "2026-11-23T14:00:00+01:00", 20),
    ];
    let schedule = check(&draft);
    let name = |time| {
        let (agents, source, name) = level(&schedule, local(STOCKHOLM, time));
        (agents, source, name.unwrap())
    };
    assert_eq!(name("23 07:00"), (5, Source::Boost, "small".into()));
    assert_eq!(name("23 08:00"), (6, Source::Manual, "mornings".into()));
    assert_eq!(name("23 12:00"), (20, Source::Boost, "large".into()));
    assert_eq!(name("23 14:00"), (5, Source::Boost, "small".into()));
    assert_eq!(name("23 15:00"), (2, Source::Manual, "monday-rest".into()));
}

#[test]
fn a_boost_raises_an_exception_too_and_does_not_hide_it() {
    let mut draft = draft("UTC", ManualDraft::AllWeek { agents: 9 });
    draft.exceptions = vec![exception("freeze", ("2026-11-24", "2026-11-24"), None, 0)];
    draft.boosts = vec![boost("fix", "2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z", 2)];
    let schedule = check(&draft);
    assert_eq!(changes(&schedule, "UTC"), ["Tue 00:00 0", "Tue 10:00 2", "Tue 11:00 0", "Wed 00:00 9"]);
    assert_eq!(schedule.exception(at("2026-11-24T10:30:00Z")), Some("freeze"));
}

#[test]
fn the_larger_of_schedule_and_constant_wins() {
    let mut draft = office_hours();
    draft.exceptions = vec![exception("freeze", ("2026-11-26", "2026-11-26"), None, 0)];
    let schedule = check(&draft);
    // 6 on Monday morning, then 2, then 4 until the freeze, then 1 at the weekend.
    let monday = local(STOCKHOLM, "23 09:00");
    assert_eq!(schedule.level_with_constant(monday, 5).agents, 6);
    let rest = local(STOCKHOLM, "23 12:00");
    let change = schedule.next_change_with_constant(monday, 3).unwrap();
    assert_eq!((change.at, change.agents, change.source), (rest, 3, Source::Constant));
    let level = schedule.level_with_constant(rest, 3);
    let tuesday = local(STOCKHOLM, "24 07:00");
    assert_eq!((level.agents, level.source, level.until), (3, Source::Constant, Some(tuesday)));
    // A tie is the constant's, and an exception does not lower it.
    let change = schedule.next_change_with_constant(rest, 4).unwrap();
    assert_eq!((change.at, change.agents), (local(STOCKHOLM, "30 08:00"), 6));
    assert_eq!(schedule.level_with_constant(local(STOCKHOLM, "26 12:00"), 4).source, Source::Constant);
    assert_eq!(schedule.next_change_with_constant(monday, 6), None);
}

#[test]
fn without_a_plan_dated_entries_stand_alone() {
    let schedule = check(&Draft {
        zone: STOCKHOLM.into(),
        manual: None,
        exceptions: vec![exception("far", ("2031-05-01", "2031-05-02"), None, 3)],
        boosts: vec![boost("soon", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z", 7)],
    });
    let now = at("2026-11-23T00:00:00Z");
    assert_eq!(level(&schedule, now), (0, Source::Off, None));
    let soon = schedule.next_change(now).unwrap();
    assert_eq!((soon.at, soon.agents, soon.source), (at("2027-01-01T00:00:00Z"), 7, Source::Boost));
    let far = schedule.next_change(at("2027-01-02T00:00:00Z")).unwrap();
    assert_eq!((far.at, far.agents), (at("2031-04-30T22:00:00Z"), 3));
    assert_eq!(schedule.next_change(at("2031-05-03T00:00:00Z")), None);
    assert!(schedule.week().is_empty());
}

#[test]
fn a_flat_plan_finds_an_exception_years_ahead() {
    let mut draft =
        draft(STOCKHOLM, ManualDraft::Periods(vec![period("always", (Monday, "09:00"), None, 3)]));
    draft.exceptions = vec![exception("far", ("2031-05-01", "2031-05-01"), Some(("08:00", "09:00")), 0)];
    let change = check(&draft).next_change(at("2026-11-23T00:00:00Z")).unwrap();
    assert_eq!((change.at, change.agents), (at("2031-05-01T06:00:00Z"), 0));
}

#[test]
fn what_is_over_is_named_and_no_longer_the_highest() {
    let mut draft = draft(STOCKHOLM, ManualDraft::AllWeek { agents: 4 });
    draft.exceptions = vec![
        exception("gone", ("2026-11-20", "2026-11-20"), None, 50),
        exception("today", ("2026-11-22", "2026-11-22"), Some(("08:00", "12:00")), 6),
    ];
    draft.boosts = vec![boost("old", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z", 99)];
    let schedule = check(&draft);
    assert_eq!(schedule.highest(), Some(("exception today".into(), 6)));
    assert_eq!(schedule.past(local(STOCKHOLM, "22 11:59")), ["exception gone", "boost old"]);
    assert_eq!(
        schedule.past(local(STOCKHOLM, "22 12:00")),
        ["exception gone", "exception today", "boost old"]
    );
}

/// Managed DevOps Pools, scaling, periods: each may have a zone of its own.
#[test]
fn periods_of_other_zones_follow_their_own_clock() {
    let mut tokyo = period("tokyo", (Monday, "08:00"), Some((Monday, "17:00")), 3);
    tokyo.zone = Some("Asia/Tokyo".into());
    let stockholm = period("stockholm", (Monday, "12:00"), None, 2);
    let last = period("last", (Saturday, "10:00"), Some((Saturday, "11:00")), 1);
    let schedule = check(&draft(STOCKHOLM, ManualDraft::Periods(vec![tokyo, stockholm, last])));
    // Eight hours apart in winter.
    assert_eq!(
        changes(&schedule, STOCKHOLM),
        ["Mon 00:00 3", "Mon 09:00 0", "Mon 12:00 2", "Sat 10:00 1", "Sat 11:00 0"]
    );
    assert_eq!(week(&schedule)[0], "Monday 00:00 - Monday 09:00: 3 tokyo");
    // Seven in summer.
    assert_eq!(level(&schedule, at("2027-06-06T22:59:00Z")).0, 0);
    assert_eq!(schedule.level(at("2027-06-06T23:00:00Z")).until, Some(at("2027-06-07T08:00:00Z")));
}
