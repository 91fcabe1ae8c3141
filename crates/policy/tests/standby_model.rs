//! Random constants, schedules and forecasts around clock changes, against a model that steps through every minute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "standby/support.rs"]
#[allow(dead_code, reason = "shared with the tables")]
mod weeks;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use poolkeeper_policy::schedule::{Draft, ExceptionDraft, ManualDraft, Schedule, Source};
use poolkeeper_policy::{Basis, Standby};
use proptest::prelude::{ProptestConfig, Strategy, any, proptest};
use proptest::{collection, option, prop_assert_eq, sample};
use weeks::{boost, forecast_at};

/// Minutes of two weeks.
const SPAN: i64 = 14 * 24 * 60;

/// Zones, and the Mondays a week before their clocks change.
const ZONES: [(&str, [&str; 2]); 6] = [
    ("UTC", ["2027-03-22", "2027-10-25"]),
    ("Europe/Stockholm", ["2027-03-22", "2027-10-25"]),
    ("America/New_York", ["2027-03-08", "2027-11-01"]),
    ("Asia/Kolkata", ["2027-03-22", "2027-10-25"]),
    ("Pacific/Auckland", ["2027-03-29", "2027-09-20"]),
    ("Australia/Lord_Howe", ["2027-03-29", "2027-09-27"]),
];

/// First minute of the day, and the end.
type Hours = (u16, u16);

/// All that stands by comes from these.
#[derive(Clone, Debug)]
struct Case {
    zone: &'static str,
    first: Timestamp,
    constant: u32,
    /// Minutes of the day, and agents.
    weekdays: Option<(u16, u16, u32)>,
    /// First day, days, minutes of the day, agents: no clock changes after 05:00.
    exception: Option<(i64, i64, Option<Hours>, u32)>,
    /// First minute, minutes, agents.
    boost: Option<(i64, i64, u32)>,
    figures: Vec<u32>,
}

type State = (u32, Source, Option<&'static str>);

impl Case {
    fn instant(&self, minute: i64) -> Timestamp {
        self.first + SignedDuration::from_mins(minute)
    }

    fn date(&self, day: i64) -> Date {
        TimeZone::UTC.to_datetime(self.first).date() + day.days()
    }

    fn standby(&self) -> Standby {
        let exception = self.exception.map(|(day, days, hours, agents)| ExceptionDraft {
            name: "exception".into(),
            from: self.date(day),
            to: self.date(day + days),
            hours: hours.map(|(start, end)| (time(start), time(end))),
            agents,
        });
        let boost = self.boost.map(|(start, minutes, agents)| {
            boost("boost", self.instant(start), self.instant(start + minutes), agents)
        });
        let draft = Draft {
            zone: self.zone.into(),
            manual: self.weekdays.map(|(start, end, agents)| ManualDraft::Weekdays {
                start: time(start),
                end: time(end),
                agents,
            }),
            exceptions: exception.into_iter().collect(),
            boosts: boost.into_iter().collect(),
        };
        let figure = |day: i64, hour: i64| self.figures[usize::try_from(day * 24 + hour).unwrap()];
        Standby {
            agents: self.constant,
            basis: Basis::Idle,
            schedule: Some(Schedule::check(&draft, self.first).unwrap()),
            forecast: Some(forecast_at(self.zone, self.first, figure)),
        }
    }

    /// What holds in a minute, from the wall clock alone.
    fn state(&self, zone: &TimeZone, minute: i64) -> State {
        let now = self.instant(minute);
        let clock = zone.to_datetime(now);
        let of_day = u16::try_from(clock.hour()).unwrap() * 60 + u16::try_from(clock.minute()).unwrap();
        let day = usize::try_from(clock.weekday().to_monday_zero_offset()).unwrap();
        let exception = self.exception.filter(|(day, days, hours, _)| {
            (self.date(*day)..=self.date(day + days)).contains(&clock.date())
                && hours.is_none_or(|(start, end)| (start..end).contains(&of_day))
        });
        let weekend = matches!(clock.weekday(), Weekday::Saturday | Weekday::Sunday);
        let manual = self.weekdays.filter(|(start, end, _)| !weekend && (*start..*end).contains(&of_day));
        let mut state = match (exception, manual) {
            (Some((.., agents)), _) => (agents, Source::Exception, Some("exception")),
            (None, Some((.., agents))) => (agents, Source::Manual, None),
            (None, None) => (0, Source::Off, None),
        };
        let boost = self.boost.filter(|(start, minutes, agents)| {
            (*start..start + minutes).contains(&minute) && *agents > state.0
        });
        if let Some((.., agents)) = boost {
            state = (agents, Source::Boost, Some("boost"));
        }
        let figure = self.figures[day * 24 + usize::try_from(clock.hour()).unwrap()];
        if exception.is_none() && figure > state.0 {
            state = (figure, Source::Automatic, None);
        }
        if self.constant > 0 && self.constant >= state.0 {
            state = (self.constant, Source::Constant, None);
        }
        state
    }
}

fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn any_case() -> impl Strategy<Value = Case> {
    let zone = (sample::select(ZONES.to_vec()), any::<bool>());
    let hours =
        |first: u16| (first..1439, 1..=1440_u16).prop_map(move |(start, end)| (start, end.max(start + 1)));
    let weekdays = option::of((hours(0), 1..5_u32).prop_map(|((start, end), agents)| (start, end, agents)));
    let exception = option::of((0..14_i64, 0..3_i64, option::of(hours(300)), 0..5_u32));
    let boost = option::of((0..SPAN, 1..3000_i64, 1..7_u32));
    // Few different figures, so that neighbours and layers are often equal.
    let figures = collection::vec(0..6_u32, 168);
    (zone, 0..4_u32, weekdays, exception, boost, figures).prop_map(
        |((zone, autumn), constant, weekdays, exception, boost, figures)| {
            let monday: Date = zone.1[usize::from(autumn)].parse().unwrap();
            let first = monday.to_zoned(TimeZone::UTC).unwrap().timestamp();
            Case { zone: zone.0, first, constant, weekdays, exception, boost, figures }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Levels and changes agree with every minute of the model over two weeks around a clock change.
    #[test]
    fn agrees_with_minute_stepping(case in any_case(), probes in collection::vec(0..SPAN, 20)) {
        let (standby, zone) = (case.standby(), TimeZone::get(case.zone).unwrap());
        let states: Vec<State> = (0..SPAN).map(|minute| case.state(&zone, minute)).collect();
        let state = |minute: i64| states[usize::try_from(minute).unwrap()];
        let changes: Vec<i64> = (1..SPAN).filter(|minute| state(*minute) != state(minute - 1)).collect();

        let found = standby.changes(case.instant(0), case.instant(SPAN - 1));
        let found: Vec<_> = found.iter().map(|c| (c.at, (c.agents, c.source, c.name.as_deref()))).collect();
        let expected: Vec<_> = changes.iter().map(|minute| (case.instant(*minute), state(*minute))).collect();
        prop_assert_eq!(found, expected);

        let around = changes.iter().flat_map(|minute| [minute - 1, *minute]);
        for minute in around.chain(probes) {
            let now = case.instant(minute);
            let level = standby.level(now);
            prop_assert_eq!((level.agents, level.source, level.name.as_deref()), state(minute), "{}", now);
            let until = changes.iter().find(|change| **change > minute).map(|change| case.instant(*change));
            let seen = level.until.filter(|at| *at < case.instant(SPAN));
            prop_assert_eq!(seen, until, "until at {}", now);
            let (agents, source, _) = state(minute);
            let mut later = changes.iter().filter(|change| **change > minute);
            let next = later.find(|change| (state(**change).0, state(**change).1) != (agents, source));
            let next = next.map(|change| (case.instant(*change), state(*change).0, state(*change).1));
            let seen = standby.next_change(now).filter(|change| change.at < case.instant(SPAN));
            prop_assert_eq!(seen.map(|change| (change.at, change.agents, change.source)), next, "after {}", now);
        }
    }
}
