//! The sessions of three weeks: what is taken up, what is filled in, and how it is kept.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{Forecast, History, HistoryError, Preference, Session};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{collection, option, prop_assert, prop_assert_eq};
use rstest::rstest;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// A Monday at midnight, in UTC.
fn monday() -> Timestamp {
    at("2026-11-23T00:00:00Z")
}

/// `08:00` of the Monday.
fn clock(time: &str) -> Timestamp {
    at(&format!("2026-11-23T{time}Z"))
}

fn session(queued: &str, finished: &str) -> Session {
    Session { queued_at: clock(queued), finished_at: (!finished.is_empty()).then(|| clock(finished)) }
}

/// One sample every five minutes, beginning at `from`.
fn sampled(from: Timestamp, count: i64, sessions: impl Fn(i64) -> u32) -> History {
    let mut history = History::default();
    (0..count).for_each(|number| history.record(from + minutes(5 * number), sessions(number)));
    history
}

/// The highest sessions of a bucket that is over, read through the best percentile of its hour.
fn highest_of_hour(history: &History, hour: &str) -> (u32, u32) {
    let now = monday() + minutes(24 * 60);
    let zone = jiff::tz::TimeZone::UTC;
    let forecast = Forecast::new(history, Preference::BestPerformance, zone, None, now);
    let (_, figure) = forecast.hour(clock(hour));
    (figure.agents, figure.samples)
}

#[test]
fn a_bucket_keeps_the_highest_number_that_was_queued_or_running_in_it() {
    let mut history = History::default();
    for (time, sessions) in [("08:00:00", 2), ("08:02:30", 7), ("08:04:59", 3), ("08:05:00", 1)] {
        history.record(clock(time), sessions);
    }
    assert_eq!(history.samples(), 2);
    // Nearest rank of 1 and 7 at 90 percent: the second.
    assert_eq!(highest_of_hour(&history, "08:00:00"), (7, 2));
}

#[test]
fn no_session_is_a_sample_and_no_sample_is_none() {
    let history = sampled(clock("08:00:00"), 3, |_| 0);
    assert_eq!(highest_of_hour(&history, "08:00:00"), (0, 3));
    assert_eq!(highest_of_hour(&history, "09:00:00"), (0, 0));
}

#[test]
fn more_sessions_than_fit_are_as_many_as_fit() {
    let mut history = History::default();
    history.record(monday(), 1_000_000);
    assert_eq!(highest_of_hour(&history, "00:00:00"), (65_535, 1));
}

#[test]
fn what_is_older_than_three_weeks_is_dropped() {
    // Three weeks and an hour.
    let history = sampled(monday(), 6048 + 12, |_| 1);
    // The whole ones of three weeks, and the present one.
    assert_eq!(history.samples(), 6049);
    let now = monday() + minutes(5 * (6048 + 11));
    assert_eq!((history.days_seen(now), history.gaps(now)), (21, vec![]));
    let mut later = history;
    later.record(now + minutes(22 * 24 * 60), 1);
    assert_eq!(later.samples(), 1);
}

#[test]
fn a_day_is_seen_once_half_of_it_was_sampled() {
    let half = |count| sampled(monday(), count, |_| 1).days_seen(monday() + minutes(24 * 60));
    assert_eq!((half(143), half(144), half(288)), (0, 1, 1));
    // A week from noon to noon: both halves of its Mondays count.
    let history = sampled(clock("12:00:00"), 7 * 288 + 1, |_| 1);
    let day = |day: i64| history.days_seen(clock("12:00:00") + minutes(day * 24 * 60));
    assert_eq!((day(0), day(1), day(6), day(7)), (0, 2, 7, 8));
}

#[test]
fn gaps_are_what_nobody_has_sampled() {
    let mut history = sampled(clock("08:00:00"), 3, |_| 1);
    history.record(clock("09:00:00"), 0);
    let now = clock("09:07:00");
    let three_weeks_ago = clock("09:05:00") - minutes(21 * 24 * 60);
    let expected = [three_weeks_ago..clock("08:00:00"), clock("08:15:00")..clock("09:00:00")];
    assert_eq!(history.gaps(now), expected);
    assert_eq!(History::default().gaps(now), [three_weeks_ago..clock("09:05:00")]);
}

#[rstest]
#[case::before_1970("1969-12-31T23:59:59Z")]
#[case::at_the_end_of_time("9999-12-30T00:00:00Z")]
#[case::at_its_beginning("-009999-01-03T00:00:00Z")]
fn a_clock_that_cannot_be_right_is_not_believed(#[case] now: &str) {
    let mut history = sampled(monday(), 12, |_| 3);
    let before = history.clone();
    history.record(at(now), 9);
    assert_eq!(history, before);
    assert_eq!(history.days_seen(at(now)), 0);
    assert!(history.gaps(at(now)).len() < 2);
}

#[test]
fn a_clock_that_goes_back_a_little_loses_nothing() {
    let mut history = sampled(monday(), 12, |_| 3);
    history.record(monday() + minutes(20), 8);
    assert_eq!((history.samples(), highest_of_hour(&history, "00:00:00").0), (12, 3));
    history.record(monday() + minutes(25), 8);
    assert_eq!(highest_of_hour(&history, "00:00:00").0, 8);
}

#[test]
fn after_a_clock_that_was_years_ahead_history_goes_on() {
    let mut history = sampled(monday(), 12, |_| 3);
    history.record(at("2040-01-01T00:00:00Z"), 3);
    assert_eq!(history.samples(), 1);
    history.record(monday() + minutes(60), 5);
    assert_eq!((history.samples(), highest_of_hour(&history, "01:00:00")), (1, (5, 1)));
}

#[rstest]
#[case::one_over_two_buckets(&[("08:02:00", "08:09:00")], [1, 1, 0])]
#[case::one_that_ends_where_a_bucket_begins(&[("08:02:00", "08:05:00")], [1, 0, 0])]
#[case::one_that_begins_where_a_bucket_begins(&[("08:05:00", "08:06:00")], [0, 1, 0])]
#[case::two_in_a_row_are_never_two(&[("08:01:00", "08:03:00"), ("08:03:00", "08:04:00")], [1, 0, 0])]
#[case::two_that_overlap(&[("08:01:00", "08:03:00"), ("08:02:59", "08:06:00")], [2, 1, 0])]
#[case::a_peak_inside(&[("07:00:00", "09:00:00"), ("08:06:00", "08:07:00"), ("08:06:30", "08:08:00")], [1, 3, 1])]
#[case::one_that_still_runs(&[("08:06:00", "")], [0, 1, 1])]
#[case::one_that_waits_since_long(&[("00:00:00", "")], [1, 1, 1])]
#[case::one_of_no_length(&[("08:06:00", "08:06:00")], [0, 1, 0])]
#[case::one_that_ends_before_it_was_queued(&[("08:06:00", "08:01:00")], [0, 1, 0])]
#[case::one_before_and_one_after(&[("07:00:00", "08:00:00"), ("08:15:00", "09:00:00")], [0, 0, 0])]
#[case::nothing(&[], [0, 0, 0])]
fn missing_buckets_are_filled_from_sessions(#[case] sessions: &[(&str, &str)], #[case] expected: [u32; 3]) {
    let sessions: Vec<Session> =
        sessions.iter().map(|(queued, finished)| session(queued, finished)).collect();
    for number in 0..3_u8 {
        let from = clock("08:00:00") + minutes(5 * i64::from(number));
        let mut history = History::default();
        history.backfill(sessions.iter().copied(), from, from + minutes(5));
        let found = highest_of_hour(&history, "08:00:00");
        assert_eq!(found, (expected[usize::from(number)], 1), "bucket {number}");
    }
    // The same in one go; the highest of three is the best one's figure at 90 percent.
    let mut history = History::default();
    history.backfill(sessions, clock("08:00:00"), clock("08:15:00"));
    assert_eq!(highest_of_hour(&history, "08:00:00"), (expected.into_iter().max().unwrap(), 3));
}

#[test]
fn only_missing_buckets_wholly_inside_are_filled() {
    let mut history = History::default();
    history.record(clock("08:05:00"), 9);
    let sessions = [session("07:00:00", "10:00:00")];
    history.backfill(sessions, clock("07:58:00"), clock("08:16:00"));
    // 08:00 and 08:10; what was sampled stays.
    assert_eq!((history.samples(), highest_of_hour(&history, "08:00:00")), (3, (9, 3)));
    let before = history.clone();
    history.backfill(sessions, clock("08:16:00"), clock("08:21:00"));
    history.backfill(sessions, clock("09:00:00"), clock("08:00:00"));
    history.backfill(sessions, Timestamp::MIN, at("1969-01-01T00:00:00Z"));
    assert_eq!(history, before);
}

#[test]
fn three_weeks_are_filled_at_most() {
    let mut history = History::default();
    history.backfill([session("07:00:00", "")], Timestamp::MIN, monday());
    assert_eq!((history.samples(), history.days_seen(monday()), history.gaps(monday())), (6048, 21, vec![]));
}

#[test]
fn history_of_one_pool_is_below_32_kib() {
    // Values without a pattern, so that no two neighbours are equal.
    let mut state = 1_u32;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state >> 8
    };
    let numbers: Vec<u32> = (0..6049).map(|_| random()).collect();
    let number = |index: i64| numbers[usize::try_from(index).unwrap()];
    let kinds: [(&str, History); 4] = [
        ("nothing but 0", sampled(monday(), 6049, |_| 0)),
        (
            "office hours",
            sampled(monday(), 6049, |index| {
                if index / 12 % 24 / 8 == 1 && index / 288 % 7 < 5 { number(index) % 20 } else { 0 }
            }),
        ),
        ("random up to 10,000", sampled(monday(), 6049, |index| number(index) % 10_001)),
        ("random up to the most", sampled(monday(), 6049, |index| 32_768 + number(index) % 32_768)),
    ];
    for (kind, history) in kinds {
        let text = history.encode();
        println!("history, {kind}: {} bytes", text.len());
        assert_eq!(history.samples(), 6049);
        assert!(text.len() < 32 * 1024, "{kind}: {}", text.len());
        assert_eq!(History::decode(&text), Ok(history));
    }
}

#[test]
fn a_history_is_kept_as_printable_text() {
    let mut history = sampled(monday(), 3, |_| 0);
    history.record(monday() + minutes(40), 5);
    let text = history.encode();
    assert_eq!(text, "1:06117494:10:gs02FDBBDM");
    assert_eq!(History::decode(&format!("\n{text}\n")), Ok(history));
    assert_eq!(History::decode(&History::default().encode()), Ok(History::default()));
}

/// A text with this body whose checksum fits.
fn text(body: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    let sum = body.bytes().fold(2_166_136_261, step);
    format!("1:{sum:08x}:{}:{body}", body.len())
}

#[rstest]
#[case::empty("", HistoryError::Form)]
#[case::something_else("hello", HistoryError::Form)]
#[case::only_a_version("1:", HistoryError::Form)]
#[case::no_length("1:06117494", HistoryError::Form)]
#[case::a_length_that_is_none("1:06117494:-3:gs02", HistoryError::Form)]
#[case::of_a_later_version("2:06117494:10:gs02FDBBDM", HistoryError::Version { found: 2, read: 1 })]
#[case::cut("1:06117494:10:gs02FDB", HistoryError::Truncated { length: 10, missing: 3 })]
#[case::cut_before_its_body("1:06117494:10", HistoryError::Truncated { length: 10, missing: 10 })]
#[case::longer("1:06117494:10:gs02FDBBDMA", HistoryError::Overlong { length: 10 })]
#[case::changed("1:06117494:10:gs02FDBBDN", HistoryError::Checksum)]
#[case::another_sum("1:06117495:10:gs02FDBBDM", HistoryError::Checksum)]
#[case::no_digit(&text("gs02FDB!"), HistoryError::Body)]
#[case::cut_in_a_number(&text("gs02Fg"), HistoryError::Body)]
#[case::cut_in_a_run(&text("gs02FD"), HistoryError::Body)]
#[case::no_start(&text(""), HistoryError::Body)]
#[case::a_number_without_end(&text(&"_".repeat(40)), HistoryError::Body)]
#[case::too_many_sessions(&text("AAgggggB"), HistoryError::Body)]
#[case::a_start_after_9000(&text("______B"), HistoryError::Date)]
#[case::an_end_after_9000(&text(&after_9000()), HistoryError::Date)]
#[case::a_run_of_a_million(&text("ADggggf"), HistoryError::TooMany { most: 6061 })]
#[case::one_too_many(&text(&format!("A{}", "CE".repeat(3031))), HistoryError::TooMany { most: 6061 })]
fn a_text_that_is_no_history_is_refused(#[case] text: &str, #[case] expected: HistoryError) {
    assert_eq!(History::decode(text), Err(expected));
}

/// The last bucket before 9000, with two samples.
fn after_9000() -> String {
    let mut number = 221_845_392_000_u64 / 300 - 1;
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
    let mut body = String::new();
    loop {
        let more = if number >= 32 { 32 } else { 0 };
        body.push(alphabet[usize::try_from(number % 32 + more).unwrap()]);
        number /= 32;
        if number == 0 {
            return body + "CE";
        }
    }
}

#[test]
fn every_error_says_what_to_do() {
    let error = History::decode("7:0:0:").unwrap_err();
    assert_eq!(
        error.to_string(),
        "it is of version 7, and this version reads 1; set it aside, and history is built anew"
    );
}

/// Samples and fills at random moments, also far from each other and backwards.
#[derive(Clone, Debug)]
enum Step {
    Record(i64, u32),
    Backfill(i64, i64, Vec<(i64, Option<i64>)>),
}

fn any_step() -> impl Strategy<Value = Step> {
    let second = || prop_oneof![8 => 0..40 * 86_400_i64, 1 => -377_705_116_800..=253_402_207_200_i64];
    let sessions = collection::vec((second(), option::of(second())), 0..8);
    prop_oneof![
        4 => (second(), any::<u32>()).prop_map(|(now, sessions)| Step::Record(now, sessions)),
        1 => (second(), second(), sessions).prop_map(|(from, until, sessions)| Step::Backfill(from, until, sessions)),
    ]
}

fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_stays_small_and_is_read_back(steps in collection::vec(any_step(), 1..40)) {
        let mut history = History::default();
        for step in steps {
            let now = match step {
                Step::Record(now, sessions) => {
                    history.record(instant(now), sessions);
                    now
                }
                Step::Backfill(from, until, sessions) => {
                    let sessions = sessions.into_iter().map(|(queued, finished)| Session {
                        queued_at: instant(queued),
                        finished_at: finished.map(instant),
                    });
                    history.backfill(sessions, instant(from), instant(until));
                    until
                }
            };
            prop_assert!(history.samples() <= 6061);
            prop_assert!(history.days_seen(instant(now)) <= 21);
            let text = history.encode();
            prop_assert!(text.len() < 32 * 1024);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert_eq!(History::decode(&text), Ok(history.clone()));
        }
    }

    #[test]
    fn samples_and_gaps_are_the_whole_of_three_weeks(
        samples in collection::btree_set(0..6048_i64, 0..200),
        offset in 0..300_i64,
    ) {
        let mut history = History::default();
        for number in &samples {
            history.record(monday() + minutes(5 * number), 1);
        }
        let now = monday() + minutes(5 * 6048) + SignedDuration::from_secs(offset);
        let gaps: i64 = history.gaps(now).iter().map(|gap| gap.end.duration_since(gap.start).as_secs() / 300).sum();
        prop_assert_eq!(gaps + i64::from(history.samples()), 6048);
    }

    /// The highest number of sessions, counted at every second.
    #[test]
    fn filling_agrees_with_counting_every_second(
        sessions in collection::vec((0..1800_i64, option::of(1..900_i64)), 0..12),
    ) {
        let sessions: Vec<(i64, i64)> = sessions
            .into_iter()
            .map(|(queued, length)| (queued, length.map_or(i64::MAX, |length| queued + length)))
            .collect();
        let session = |(queued, finished): &(i64, i64)| Session {
            queued_at: monday() + SignedDuration::from_secs(*queued),
            finished_at: (*finished < i64::MAX).then(|| monday() + SignedDuration::from_secs(*finished)),
        };
        for number in 0..6 {
            let seconds = number * 300..(number + 1) * 300;
            let at_once = |second: i64| sessions.iter().filter(|(queued, finished)| *queued <= second && second < *finished).count();
            let expected = seconds.clone().map(at_once).max().unwrap();
            let mut history = History::default();
            let from = monday() + SignedDuration::from_secs(seconds.start);
            history.backfill(sessions.iter().map(session), from, from + minutes(5));
            prop_assert_eq!(highest_of_hour(&history, "00:00:00"), (u32::try_from(expected).unwrap(), 1));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), body in "[A-Za-z0-9_-]{0,40}", sum in any::<u32>()) {
        let _ = History::decode(&text);
        let _ = History::decode(&format!("1:{text}"));
        let _ = History::decode(&format!("1:{sum:08x}:{}:{body}", body.len()));
        if let Ok(history) = History::decode(&self::text(&body)) {
            prop_assert!(history.samples() <= 6061);
            prop_assert_eq!(History::decode(&history.encode()), Ok(history));
        }
    }

    /// Whichever one character is written wrongly, it is noticed, or is the same history.
    #[test]
    fn a_changed_character_is_noticed(place in any::<proptest::sample::Index>(), with in "[ -~]") {
        let history = sampled(monday(), 60, |number| u32::try_from(number % 7).unwrap());
        let text = history.encode();
        let place = place.index(text.len());
        let changed = format!("{}{with}{}", &text[..place], &text[place + 1..]);
        if changed.to_lowercase() != text.to_lowercase() {
            let read = History::decode(&changed);
            prop_assert!(read.is_err() || read == Ok(history), "{}", changed);
        }
    }
}
