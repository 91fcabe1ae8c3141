//! Random standby schedules around clock changes, against a model that steps through every minute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule, Source,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::{collection, option, prop_assert_eq, sample};

/// Minutes of the model: two weeks, with a margin before and after that holds whatever reaches into them.
const MARGIN: i64 = 10 * 24 * 60;
const SPAN: i64 = 14 * 24 * 60;

/// What holds in each minute: agents, source, name. Nothing but the reading of wall clocks is taken from the library.
struct Model<'a> {
    origin: Timestamp,
    states: Vec<(u32, Source, Option<&'a str>)>,
}

/// The wall clock of every minute.
struct Clock(Vec<DateTime>);

impl Clock {
    fn new(zone: &str, origin: Timestamp) -> Self {
        let zone = TimeZone::get(zone).unwrap();
        let wall = |minute| zone.to_datetime(origin + SignedDuration::from_mins(minute));
        Self((0..2 * MARGIN + SPAN).map(wall).collect())
    }

    /// The first minute that shows this time, or the first after the gap.
    fn start(&self, wall: DateTime) -> usize {
        self.0.iter().position(|shown| *shown >= wall).unwrap_or(self.0.len())
    }

    /// The last minute that shows this time, or the first after the gap.
    fn end(&self, wall: DateTime) -> usize {
        self.0.iter().rposition(|shown| *shown == wall).unwrap_or_else(|| self.start(wall))
    }

    fn dates(&self) -> BTreeSet<Date> {
        self.0.iter().map(|wall| wall.date()).collect()
    }
}

fn wall(date: Date, text: &str) -> DateTime {
    let (hours, minutes) = text.split_once(':').unwrap();
    date.at(0, 0, 0, 0) + hours.parse::<i64>().unwrap().hours() + minutes.parse::<i64>().unwrap().minutes()
}

impl<'a> Model<'a> {
    fn new(draft: &'a Draft, first: Timestamp) -> Self {
        let origin = first - SignedDuration::from_mins(MARGIN);
        let minutes = usize::try_from(2 * MARGIN + SPAN).unwrap();
        let mut states = vec![(0, Source::Off, None); minutes];
        let clocks: BTreeMap<String, Clock> =
            zones(draft).map(|zone| (zone.clone(), Clock::new(zone, origin))).collect();
        if let Some(ManualDraft::Periods(periods)) = &draft.manual {
            let mut turns = vec![];
            for period in periods {
                let clock = &clocks[period.zone.as_ref().unwrap_or(&draft.zone)];
                for date in clock.dates().into_iter().filter(|date| date.weekday() == period.start_day) {
                    let from = wall(date, &period.start);
                    let end = match &period.end {
                        EndDraft::NextPeriod => None,
                        EndDraft::At { day, time } => {
                            let days = day.unwrap_or(period.start_day).since(period.start_day);
                            Some(clock.end(wall(date + i64::from(days).days(), time)))
                        }
                    };
                    turns.push((clock.start(from), from, period, end));
                }
            }
            turns.sort_by_key(|turn| (turn.0, turn.1));
            let starts: Vec<usize> = turns.iter().map(|turn| turn.0).collect();
            let mut painted: Vec<Option<(u32, usize, &str)>> = vec![None; minutes];
            for (index, (start, _, period, end)) in turns.into_iter().enumerate() {
                let end = end.unwrap_or_else(|| starts.get(index + 1).copied().unwrap_or(minutes));
                for minute in painted.iter_mut().take(end).skip(start) {
                    *minute = (*minute).max(Some((period.agents, start, &period.name)));
                }
            }
            for (state, painted) in states.iter_mut().zip(painted) {
                if let Some((agents, _, name)) = painted {
                    *state = (agents, Source::Manual, Some(name));
                }
            }
        }
        let clock = &clocks[&draft.zone];
        for whole in [true, false] {
            for exception in draft.exceptions.iter().filter(|exception| exception.hours.is_none() == whole) {
                let value = (exception.agents, Source::Exception, Some(exception.name.as_str()));
                for date in clock.dates().range(exception.from..=exception.to) {
                    match &exception.hours {
                        None => states
                            .iter_mut()
                            .zip(&clock.0)
                            .filter(|(_, wall)| wall.date() == *date)
                            .for_each(|(state, _)| *state = value),
                        Some((start, end)) => {
                            let (start, end) = (clock.start(wall(*date, start)), clock.end(wall(*date, end)));
                            states.iter_mut().take(end).skip(start).for_each(|state| *state = value);
                        }
                    }
                }
            }
        }
        for boost in &draft.boosts {
            for (minute, state) in (0..).zip(&mut states) {
                let now = origin + SignedDuration::from_mins(minute);
                if boost.from <= now && now < boost.until && boost.agents > state.0 {
                    *state = (boost.agents, Source::Boost, Some(&boost.name));
                }
            }
        }
        Self { origin, states }
    }

    fn at(&self, minute: i64) -> (u32, Source, Option<&'a str>) {
        self.states[usize::try_from(minute).unwrap()]
    }

    fn instant(&self, minute: i64) -> Timestamp {
        self.origin + SignedDuration::from_mins(minute)
    }
}

/// Zones, and two Mondays a week before their clocks change.
const ZONES: [(&str, [&str; 2]); 5] = [
    ("Europe/Stockholm", ["2027-03-22", "2027-10-25"]),
    ("America/New_York", ["2027-03-08", "2027-11-01"]),
    ("Europe/London", ["2027-03-22", "2027-10-25"]),
    ("Pacific/Auckland", ["2027-03-29", "2027-09-20"]),
    ("Australia/Lord_Howe", ["2027-03-29", "2027-09-27"]),
];

fn zones(draft: &Draft) -> impl Iterator<Item = &String> {
    let periods = match &draft.manual {
        Some(ManualDraft::Periods(periods)) => periods.as_slice(),
        Some(ManualDraft::Weekdays { .. } | ManualDraft::AllWeek { .. }) | None => &[],
    };
    std::iter::once(&draft.zone).chain(periods.iter().filter_map(|period| period.zone.as_ref()))
}

fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Periods between random minutes of the week, often in the hours that clocks skip or repeat.
fn any_periods() -> impl Strategy<Value = Vec<PeriodDraft>> {
    const SUNDAY: u16 = 6 * 24 * 60;
    let minute = prop_oneof![2 => 0..7 * 24 * 60u16, 1 => SUNDAY..SUNDAY + 240];
    let kinds = collection::vec((0..3u8, 1..5u32), 8);
    (collection::btree_set(minute, 1..8), kinds).prop_map(|(cuts, kinds)| {
        let cuts: Vec<u16> = cuts.into_iter().collect();
        let day = |minute: u16| Weekday::Monday.wrapping_add(i64::from(minute / 1440));
        let next = |index: usize| cuts.get(index + 1).copied().unwrap_or(cuts[0]);
        let periods = cuts.iter().enumerate().zip(kinds).filter_map(|((index, &start), (kind, agents))| {
            let end = match kind {
                0 => EndDraft::NextPeriod,
                // A single period that ends at its own start cannot be written.
                1 if cuts.len() > 1 => {
                    EndDraft::At { day: Some(day(next(index))), time: time(next(index) % 1440) }
                }
                _ => return None,
            };
            // The last one passes the end of the week; on one and the same day it cannot be written either.
            let backwards = index + 1 == cuts.len() && day(start) == day(cuts[0]) && kind == 1;
            (!backwards).then(|| PeriodDraft {
                name: format!("p{index}"),
                zone: None,
                start_day: day(start),
                start: time(start % 1440),
                end,
                agents,
            })
        });
        periods.collect()
    })
}

fn any_draft() -> impl Strategy<Value = (Draft, Timestamp)> {
    let zone = (sample::select(ZONES.to_vec()), any::<bool>());
    let hours = option::of((0..1439u16, 1..=1440u16));
    let exception = option::of((0..14i64, 0..3i64, hours, 0..5u32));
    let boost = option::of((0..SPAN, 1..3000i64, 1..7u32));
    let other = prop_oneof![3 => Just(None), 1 => Just(Some("Asia/Kolkata"))];
    (zone, any_periods(), exception, boost, other).prop_map(
        |((zone, autumn), mut periods, exception, boost, other)| {
            let monday = zone.1[usize::from(autumn)].parse::<Date>().unwrap();
            let first = monday.to_zoned(TimeZone::UTC).unwrap().timestamp();
            if let (Some(other), Some(period)) = (other, periods.first_mut()) {
                period.zone = Some(other.into());
            }
            let exceptions = exception.map(|(day, days, hours, agents)| ExceptionDraft {
                name: "exception".into(),
                from: monday + day.days(),
                to: monday + (day + days).days(),
                hours: hours.map(|(start, end)| (time(start.min(end - 1)), time(end.max(start + 1)))),
                agents,
            });
            let boosts = boost.map(|(start, minutes, agents)| BoostDraft {
                name: "boost".into(),
                from: first + SignedDuration::from_mins(start),
                until: first + SignedDuration::from_mins(start + minutes),
                agents,
            });
            let manual = (!periods.is_empty()).then_some(ManualDraft::Periods(periods));
            let draft = Draft {
                zone: zone.0.into(),
                manual,
                exceptions: exceptions.into_iter().collect(),
                boosts: boosts.into_iter().collect(),
            };
            (draft, first)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// `level` and `next_change` agree with every minute of the model over two weeks around a clock change.
    #[test]
    fn agrees_with_minute_stepping((draft, first) in any_draft(), probes in collection::vec(0..SPAN, 40)) {
        // Periods of two zones may overlap; then there is no schedule to look at.
        let Ok(schedule) = Schedule::check(&draft, first) else {
            prop_assert_eq!(zones(&draft).collect::<BTreeSet<_>>().len(), 2, "{:?}", draft);
            return Ok(());
        };
        let model = Model::new(&draft, first);
        let end = MARGIN + SPAN;
        let differs = |from: i64, same: &dyn Fn(i64) -> bool| (from + 1..end).find(|minute| !same(*minute));

        let mut minutes: Vec<i64> = probes.into_iter().map(|probe| MARGIN + probe).collect();
        let changes = (MARGIN + 1..end).filter(|minute| model.at(*minute) != model.at(minute - 1));
        minutes.extend(changes.flat_map(|minute| [minute - 1, minute]));
        for minute in minutes {
            let now = model.instant(minute);
            let (agents, source, name) = model.at(minute);
            let level = schedule.level(now);
            prop_assert_eq!((level.agents, level.source, level.name.as_deref()), (agents, source, name), "{}", now);

            let until = differs(minute, &|other| model.at(other) == model.at(minute));
            let seen = level.until.filter(|at| *at < model.instant(end));
            prop_assert_eq!(seen, until.map(|at| model.instant(at)), "until at {}", now);

            let change = differs(minute, &|other| {
                let other = model.at(other);
                (other.0, other.1) == (agents, source)
            });
            let seen = schedule.next_change(now).filter(|change| change.at < model.instant(end));
            let seen = seen.map(|change| (change.at, change.agents, change.source, change.name));
            let expected = change.map(|minute| {
                let (agents, source, name) = model.at(minute);
                (model.instant(minute), agents, source, name.map(str::to_owned))
            });
            prop_assert_eq!(seen, expected, "change after {}", now);
        }
    }
}
