//! How long it takes to expand a year's schedule at minute steps, and to forecast from three weeks, with their growth.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::{hint::black_box, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp, civil::Weekday, tz::TimeZone};
use poolkeeper_policy::{
    Basis, Forecast, History, Preference, Standby,
    schedule::{Change, Draft, EndDraft, ManualDraft, PeriodDraft, Schedule},
};

const YEAR: i64 = 365 * 24 * 60;

fn now() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().unwrap()
}

/// So many periods, spread over the week, of which every other lasts until the next.
fn schedule(periods: u16) -> Schedule {
    let length = 7 * 24 * 60 / periods;
    let day = |minute: u16| Weekday::Monday.wrapping_add(i64::from(minute / 1440));
    let time = |minute: u16| format!("{:02}:{:02}", minute % 1440 / 60, minute % 60);
    let period = |number: u16| {
        let (start, end) = (number * length, number * length + length / 2);
        PeriodDraft {
            name: format!("p{number}"),
            zone: None,
            start_day: day(start),
            start: time(start),
            end: match number % 2 {
                0 => EndDraft::At { day: Some(day(end)), time: time(end) },
                _ => EndDraft::NextPeriod,
            },
            agents: 1 + u32::from(number % 7),
        }
    };
    let manual = Some(ManualDraft::Periods((0..periods).map(period).collect()));
    let draft = Draft { zone: "Europe/Stockholm".into(), manual, exceptions: vec![], boosts: vec![] };
    Schedule::check(&draft, now()).unwrap()
}

/// Each minute's figure from the changes between two instants.
fn by_minute(first: u32, changes: &[Change], minutes: i64) -> Vec<u32> {
    let mut figures = Vec::with_capacity(usize::try_from(minutes).unwrap());
    let mut agents = first;
    for change in changes {
        let minute = change.at.duration_since(now()).as_mins().min(minutes);
        figures.resize(usize::try_from(minute).unwrap(), agents);
        agents = change.agents;
    }
    figures.resize(usize::try_from(minutes).unwrap(), agents);
    figures
}

/// Three weeks of an office's load, a little different for each seed.
fn history(seed: i64) -> History {
    let mut history = History::default();
    for number in (1..=6048_i64).rev() {
        let start = now() - SignedDuration::from_mins(5 * number);
        let busy = (8..18).contains(&(start.as_second() / 3600 % 24));
        let sessions = (start.as_second() / 300 * 7919 + seed) % 23;
        history.record(start, if busy { u32::try_from(sessions).unwrap() } else { 0 });
    }
    history
}

fn years(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("schedule/year");
    for periods in [8, 16, 32, 64] {
        let schedule = schedule(periods);
        let until = now() + SignedDuration::from_mins(YEAR);
        group.throughput(Throughput::Elements(u64::try_from(YEAR).unwrap()));
        group.bench_with_input(BenchmarkId::from_parameter(periods), &periods, |bench, _| {
            bench.iter(|| {
                let changes = schedule.changes(now(), until);
                black_box(by_minute(schedule.level(now()).agents, &changes, YEAR))
            });
        });
    }
    group.finish();
}

fn forecasts(criterion: &mut Criterion) {
    let zone = TimeZone::get("Europe/Stockholm").unwrap();
    let histories: Vec<History> = (0..1_000).map(history).collect();
    let mut group = criterion.benchmark_group("forecast/pools");
    for pools in [1_usize, 10, 100, 1_000] {
        group.throughput(Throughput::Elements(u64::try_from(pools).unwrap()));
        group.bench_with_input(BenchmarkId::from_parameter(pools), &pools, |bench, _| {
            bench.iter(|| {
                for history in histories.iter().take(pools) {
                    black_box(Forecast::new(history, Preference::Balanced, zone.clone(), None, now()));
                }
            });
        });
    }
    group.finish();
}

/// What one decision asks: the level, and the next change.
fn levels(criterion: &mut Criterion) {
    let zone = TimeZone::get("Europe/Stockholm").unwrap();
    let forecast = Forecast::new(&history(0), Preference::Balanced, zone, None, now());
    let mut group = criterion.benchmark_group("standby/level");
    for periods in [8, 16, 32, 64] {
        let schedule = Some(schedule(periods));
        let standby = Standby { agents: 1, basis: Basis::Idle, schedule, forecast: Some(forecast.clone()) };
        group.bench_with_input(BenchmarkId::from_parameter(periods), &periods, |bench, _| {
            bench
                .iter(|| black_box((standby.level(black_box(now())), standby.next_change(black_box(now())))));
        });
    }
    group.finish();
}

fn short() -> Criterion {
    let short = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(300));
    short.measurement_time(Duration::from_secs(2))
}

criterion_group! { name = benches; config = short(); targets = years, forecasts, levels }
criterion_main!(benches);
