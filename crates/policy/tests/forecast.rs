//! One figure for each hour of the week: percentiles, clocks, and what counts as a sample.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::schedule::WeekTime;
use poolkeeper_policy::{Figure, Forecast, History, Preference};
use rstest::rstest;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap()
}

/// Three weeks after it is Monday, 2026-11-23, in UTC.
fn first() -> Timestamp {
    at("2026-11-02T00:00:00Z")
}

fn now() -> Timestamp {
    at("2026-11-23T00:00:00Z")
}

/// Three weeks until `now`, each bucket with what `sessions` says of its start.
fn three_weeks(now: Timestamp, sessions: impl Fn(Timestamp) -> u32) -> History {
    let mut history = History::default();
    for number in (1..=6048).rev() {
        let start = now - minutes(5 * number);
        history.record(start, sessions(start));
    }
    history
}

fn balanced(history: &History, zone: &str, now: Timestamp) -> Forecast {
    Forecast::new(history, Preference::Balanced, self::zone(zone), None, now)
}

/// The figure of an hour of the week, 0 for Monday 00:00.
fn hour(forecast: &Forecast, day: usize, hour: usize) -> Figure {
    forecast.hours()[day * 24 + hour]
}

/// The rank of each number of samples from 1 to 36, by hand: p/100 x n, rounded up.
#[rstest]
#[case(Preference::MostCostEffective, [
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, // one week
    2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, // two
    3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, // three
])]
#[case(Preference::MoreCostEffective, [
    1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, // one week
    4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, // two
    7, 7, 7, 7, 8, 8, 8, 8, 9, 9, 9, 9, // three
])]
#[case(Preference::Balanced, [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, // one week
    7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, // two
    13, 13, 14, 14, 15, 15, 16, 16, 17, 17, 18, 18, // three
])]
#[case(Preference::MorePerformance, [
    1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 9, 9, // one week
    10, 11, 12, 12, 13, 14, 15, 15, 16, 17, 18, 18, // two
    19, 20, 21, 21, 22, 23, 24, 24, 25, 26, 27, 27, // three
])]
#[case(Preference::BestPerformance, [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11, // one week
    12, 13, 14, 15, 16, 17, 18, 18, 19, 20, 21, 22, // two
    23, 24, 25, 26, 27, 27, 28, 29, 30, 31, 32, 33, // three
])]
fn the_figure_is_the_percentile_by_nearest_rank(#[case] preference: Preference, #[case] ranks: [u32; 36]) {
    for (n, rank) in (1..=36_u32).zip(ranks) {
        // n buckets of Mondays from 08:00 to 09:00, with n, n-1, ... 1 sessions.
        let mut history = History::default();
        for index in 0..n {
            let start =
                first() + minutes(8 * 60 + i64::from(index / 12) * 7 * 1440 + i64::from(index % 12) * 5);
            history.record(start, n - index);
        }
        let forecast = Forecast::new(&history, preference, TimeZone::UTC, None, now());
        assert_eq!(hour(&forecast, 0, 8), Figure { agents: rank, samples: n }, "{preference} of {n}");
        assert_eq!(forecast.samples(), n);
    }
}

#[test]
fn three_weeks_give_every_hour_36_samples() {
    // An hour of the week has its own number as sessions.
    let of_week =
        |start: Timestamp| u32::try_from(start.duration_since(first()).as_hours().rem_euclid(168)).unwrap();
    let forecast = balanced(&three_weeks(now(), of_week), "UTC", now());
    for (agents, figure) in (0..168).zip(forecast.hours()) {
        assert_eq!(*figure, Figure { agents, samples: 36 });
    }
    assert_eq!((forecast.samples(), forecast.days_seen(), forecast.is_sufficient()), (6048, 21, true));
    assert_eq!((forecast.highest(), forecast.level(at("2026-11-24T10:59:59Z"))), (167, 34));
}

#[test]
fn preferences_are_named_as_in_a_schedule() {
    let names: Vec<&str> = [
        Preference::MostCostEffective,
        Preference::MoreCostEffective,
        Preference::Balanced,
        Preference::MorePerformance,
        Preference::BestPerformance,
    ]
    .map(Preference::as_str)
    .to_vec();
    let expected =
        ["MostCostEffective", "MoreCostEffective", "Balanced", "MorePerformance", "BestPerformance"];
    assert_eq!(names, expected);
    assert_eq!(Preference::default(), Preference::Balanced);
}

#[test]
fn a_bucket_without_sessions_counts_and_a_missing_one_does_not() {
    let monday_at_8 = first() + minutes(8 * 60);
    let mut history = History::default();
    (0..4).for_each(|number| history.record(monday_at_8 + minutes(5 * number), 6));
    assert_eq!(hour(&balanced(&history, "UTC", now()), 0, 8), Figure { agents: 6, samples: 4 });
    (4..9).for_each(|number| history.record(monday_at_8 + minutes(5 * number), 0));
    assert_eq!(hour(&balanced(&history, "UTC", now()), 0, 8), Figure { agents: 0, samples: 9 });
    // Nobody has seen Tuesday.
    assert_eq!(hour(&balanced(&history, "UTC", now()), 1, 8), Figure { agents: 0, samples: 0 });
}

#[test]
fn the_bucket_that_is_not_over_and_what_is_older_than_three_weeks_do_not_count() {
    let monday_at_8 = now() + minutes(8 * 60);
    let mut history = History::default();
    history.record(monday_at_8 - minutes(3 * 7 * 1440), 1);
    history.record(monday_at_8, 9);
    let samples = |minute| hour(&balanced(&history, "UTC", monday_at_8 + minutes(minute)), 0, 8).samples;
    assert_eq!((samples(0), samples(4), samples(5)), (1, 1, 1));
    let figure = hour(&balanced(&history, "UTC", monday_at_8 + minutes(5)), 0, 8);
    assert_eq!(figure, Figure { agents: 9, samples: 1 });
}

#[test]
fn no_figure_is_above_the_most() {
    let history = three_weeks(now(), |start| if start < at("2026-11-09T00:00:00Z") { 3 } else { 40 });
    let forecast = Forecast::new(&history, Preference::Balanced, TimeZone::UTC, Some(12), now());
    assert!(forecast.hours().iter().all(|figure| figure.agents == 12));
    let lowest = Forecast::new(&history, Preference::MostCostEffective, TimeZone::UTC, Some(12), now());
    assert_eq!(lowest.highest(), 3);
    let none = Forecast::new(&history, Preference::Balanced, TimeZone::UTC, Some(0), now());
    assert_eq!((none.highest(), none.level(now())), (0, 0));
}

#[rstest]
#[case::six_days(6, false)]
#[case::seven_days(7, true)]
#[case::ten_days(10, true)]
fn a_week_is_enough(#[case] days: i64, #[case] enough: bool) {
    let mut history = History::default();
    history.backfill([], now() - minutes(days * 1440), now());
    let forecast = balanced(&history, "UTC", now());
    assert_eq!(forecast.is_sufficient(), enough);
    assert_eq!(i64::from(forecast.days_seen()), days);
}

#[test]
fn nothing_follows_from_nothing() {
    let forecast = balanced(&History::default(), "Europe/Stockholm", now());
    assert!(forecast.hours().iter().all(|figure| *figure == Figure::default()));
    assert_eq!((forecast.samples(), forecast.days_seen(), forecast.is_sufficient()), (0, 0, false));
}

/// A bucket belongs to the hour that the clocks show: `now` is a Monday at midnight after a Sunday on which clocks
/// change, so that three weeks in hours begin one hour, or half an hour, off the Monday at midnight. All other hours have
/// 36 samples.
#[rstest]
// 02:00 becomes 03:00.
#[case("Europe/Stockholm", "2027-03-28T22:00:00Z", &[(6, 2, 24), (6, 23, 48)])]
// 03:00 becomes 02:00.
#[case("Europe/Stockholm", "2027-10-31T23:00:00Z", &[(6, 2, 48), (0, 0, 24)])]
// 02:00 becomes 03:00.
#[case("America/New_York", "2027-03-15T04:00:00Z", &[(6, 2, 24), (6, 23, 48)])]
// 02:00 becomes 01:00.
#[case("America/New_York", "2027-11-08T05:00:00Z", &[(6, 1, 48), (0, 0, 24)])]
// 02:00 becomes 02:30.
#[case("Australia/Lord_Howe", "2027-10-03T13:00:00Z", &[(6, 2, 30), (6, 23, 42)])]
// 02:00 becomes 01:30.
#[case("Australia/Lord_Howe", "2027-04-04T13:30:00Z", &[(6, 1, 42), (0, 0, 30)])]
#[case("Asia/Kolkata", "2027-04-04T18:30:00Z", &[])]
fn hours_are_what_the_clocks_show(
    #[case] zone: &str,
    #[case] now: &str,
    #[case] others: &[(usize, usize, u32)],
) {
    let history = three_weeks(at(now), |_| 1);
    let forecast = balanced(&history, zone, at(now));
    assert_eq!(forecast.samples(), 6048);
    for (index, figure) in forecast.hours().iter().enumerate() {
        let other = others.iter().find(|(day, hour, _)| day * 24 + hour == index);
        assert_eq!(figure.samples, other.map_or(36, |other| other.2), "{} {}", index / 24, index % 24);
    }
}

#[test]
fn in_a_half_hour_zone_an_hour_begins_at_half_past() {
    let mut history = History::default();
    // 07:55, 08:00 and 08:55 of Monday in India.
    for (start, sessions) in [("02:25", 1), ("02:30", 2), ("03:25", 2), ("03:30", 3)] {
        history.record(at(&format!("2026-11-16T{start}:00Z")), sessions);
    }
    let forecast = balanced(&history, "Asia/Kolkata", now());
    let monday: Vec<Figure> = (7..10).map(|of_day| hour(&forecast, 0, of_day)).collect();
    let figure = |agents, samples| Figure { agents, samples };
    assert_eq!(monday, [figure(1, 1), figure(2, 2), figure(3, 1)]);
    let level = |time: &str| forecast.level(at(&format!("2026-11-23T{time}Z")));
    assert_eq!((level("02:29:59"), level("02:30:00"), level("03:29:59"), level("03:30:00")), (1, 2, 2, 3));
    let (time, of_hour) = forecast.hour(at("2026-11-23T02:45:00Z"));
    assert_eq!((time, of_hour), (WeekTime { day: Weekday::Monday, minute: 480 }, figure(2, 2)));
    assert_eq!(time.to_string(), "Monday 08:00");
}

/// The instants at which another hour begins, from `after` to `until`.
#[rstest]
#[case("UTC", "2026-11-29T22:00Z", "2026-11-30T00:00Z", &["2026-11-29T23:00Z", "2026-11-30T00:00Z"])]
#[case("UTC", "2026-11-29T22:59:59.5Z", "2026-11-29T23:59:59Z", &["2026-11-29T23:00Z"])]
#[case("Asia/Kolkata", "2026-11-29T18:00Z", "2026-11-29T20:00Z", &["2026-11-29T18:30Z", "2026-11-29T19:30Z"])]
// 02:00 becomes 03:00 at 01:00Z.
#[case("Europe/Stockholm", "2027-03-27T23:30Z", "2027-03-28T02:00Z", &["2027-03-28T00:00Z", "2027-03-28T01:00Z", "2027-03-28T02:00Z"])]
// 03:00 becomes 02:00 at 01:00Z, and the hour goes on.
#[case("Europe/Stockholm", "2027-10-30T23:30Z", "2027-10-31T02:00Z", &["2027-10-31T00:00Z", "2027-10-31T02:00Z"])]
// 02:00 becomes 02:30 at 15:30Z: half an hour of it is left.
#[case("Australia/Lord_Howe", "2027-10-02T14:30Z", "2027-10-02T17:00Z", &["2027-10-02T15:30Z", "2027-10-02T16:00Z", "2027-10-02T17:00Z"])]
// 02:00 becomes 01:30 at 15:00Z, and the hour goes on.
#[case("Australia/Lord_Howe", "2027-04-03T13:30Z", "2027-04-03T16:30Z", &["2027-04-03T14:00Z", "2027-04-03T15:30Z", "2027-04-03T16:30Z"])]
fn an_hour_begins_where_the_clocks_show_another(
    #[case] zone: &str,
    #[case] after: &str,
    #[case] until: &str,
    #[case] expected: &[&str],
) {
    let instant = |text: &str| match text.parse() {
        Ok(instant) => instant,
        Err(_) => at(&text.replace('Z', ":00Z")),
    };
    let forecast = balanced(&History::default(), zone, now());
    let found: Vec<Timestamp> = forecast.boundaries(instant(after), instant(until)).collect();
    let expected: Vec<Timestamp> = expected.iter().map(|text| instant(text)).collect();
    assert_eq!(found, expected);
}

#[test]
fn at_the_ends_of_time_there_is_still_a_level() {
    let forecast = balanced(&three_weeks(now(), |_| 4), "Europe/Stockholm", now());
    assert_eq!((forecast.level(Timestamp::MIN), forecast.level(Timestamp::MAX)), (4, 4));
    let last = Timestamp::MAX - minutes(90);
    assert_eq!(forecast.boundaries(last, Timestamp::MAX).count(), 2);
    assert_eq!(forecast.boundaries(Timestamp::MAX, Timestamp::MAX).count(), 0);
}
