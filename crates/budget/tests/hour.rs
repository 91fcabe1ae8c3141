//! An hour of 300 scale sets under one subscription and region, half of them moving, with and without a 429 storm on
//! one of them. Prints the figures: `cargo test -p poolkeeper-budget --test hour -- --nocapture`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers outside of #[test]")]

use jiff::{SignedDuration, Timestamp};
use poolkeeper_budget::{Budgets, Call, Scope, Target, Usage};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

const SETS: usize = 300;
const MOVING: usize = 150;
const HOUR: i64 = 3_600_000;
/// How long an operation runs after its write.
const OPERATION: i64 = 30_000;
/// The set that Azure throttles, and for how long each time.
const STORM: usize = 7;
const RETRY_AFTER: i64 = 30;

/// What a set does over and over, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Work {
    Get,
    List,
    Write,
    Poll,
}

impl Work {
    fn every(self, is_moving: bool) -> i64 {
        match self {
            Self::Get => 60_000,
            Self::List if is_moving => 10_000,
            Self::List => 300_000,
            Self::Write => 20_000,
            Self::Poll => 10_000,
        }
    }
}

/// By time, the earliest first; then when it was due, the set, its work, and for a poll the end of its operation.
type Event = Reverse<(i64, i64, usize, Work, i64)>;

#[derive(Default)]
struct Hour {
    usage: Vec<Usage>,
    /// Between two lists of a moving set, but of the throttled one, in seconds.
    lists: Vec<f64>,
    /// How long calls of all sets but the throttled one waited, in seconds.
    waits: BTreeMap<Work, Vec<f64>>,
    throttled: u32,
}

fn play(has_storm: bool, seed: u64) -> Hour {
    let budgets = Budgets::default();
    let mut hour = Hour::default();
    // A small generator of its own: the same lateness in each run.
    let mut seed = seed;
    let mut below = |most: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(seed >> 33).unwrap() % most
    };
    let mut queue: BinaryHeap<Event> = BinaryHeap::new();
    for set in 0..SETS {
        // All start at once, as after a restart of the operator.
        let works: &[Work] =
            if set < MOVING { &[Work::Get, Work::List, Work::Write] } else { &[Work::Get, Work::List] };
        queue.extend(works.iter().map(|work| Reverse((0, 0, set, *work, 0))));
    }
    // Sets do not change in step: a third begins with each kind of write.
    let mut writes: [usize; SETS] = std::array::from_fn(|set| set);
    let mut listed = [None; SETS];
    while let Some(Reverse((now, due, set, work, end))) = queue.pop().filter(|Reverse(next)| next.0 <= HOUR) {
        let call = match work {
            Work::Get => Call::GetScaleSet,
            Work::List => Call::ListInstances,
            Work::Poll => Call::PollOperation,
            Work::Write => {
                [Call::UpdateScaleSet, Call::ReimageInstances, Call::DeleteInstances][writes[set] % 3]
            }
        };
        let who = Target {
            set: format!("agents-{set}"),
            machine: None,
            subscription: "fabrikam".to_owned(),
            location: Some("westeurope".to_owned()),
            operation: (work == Work::Poll).then(|| format!("{set}-{end}")),
        };
        let time = Timestamp::from_millisecond(now).unwrap();
        if let Err(wait) = budgets.take(call, &who, time) {
            // The caller's timer is up to a second late.
            queue.push(Reverse((wait.until.as_millisecond() + below(1000), due, set, work, end)));
            continue;
        }
        let is_throttled = has_storm && set == STORM && now > HOUR / 4;
        if is_throttled {
            hour.throttled += 1;
            budgets.note_throttled(Scope::Set, &who, SignedDuration::from_secs(RETRY_AFTER), time);
        }
        if set != STORM {
            hour.waits.entry(work).or_default().push((now - due) as f64 / 1000.0);
        }
        if work == Work::List && set < MOVING && set != STORM {
            let before: Option<i64> = listed[set].replace(now);
            hour.lists.extend(before.map(|before| (now - before) as f64 / 1000.0));
        }
        if work == Work::Write && !is_throttled {
            writes[set] += 1;
            queue.push(Reverse((now + 10_000, now + 10_000, set, Work::Poll, now + OPERATION)));
        }
        let next = now + work.every(set < MOVING);
        if work != Work::Poll || now < end {
            queue.push(Reverse((next, next, set, work, end)));
        }
    }
    hour.usage = budgets.usage(Timestamp::from_millisecond(HOUR).unwrap());
    hour
}

/// Mean, 95th percentile and maximum.
fn spread(values: &[f64]) -> [f64; 3] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    [mean, sorted[sorted.len() * 95 / 100], sorted[sorted.len() - 1]]
}

fn print(title: &str, hour: &Hour) {
    println!("{title}");
    println!("  highest minute        calls  limit  share");
    for row in &hour.usage {
        let share = 100.0 * f64::from(row.highest) / f64::from(row.limit);
        let scope = format!("{:?}", row.scope).to_lowercase();
        println!("  {:<16} {:>12} {:>5} {:>6} {share:>5.1} %", row.bucket, scope, row.highest, row.limit);
    }
    let [mean, p95, max] = spread(&hour.lists);
    println!("  list interval of moving sets, s: mean {mean:.1}, p95 {p95:.1}, max {max:.1} (wanted 10)");
    for (work, waits) in &hour.waits {
        let [mean, p95, max] = spread(waits);
        let count = waits.len();
        println!("  {work:?} waits, s: mean {mean:.1}, p95 {p95:.1}, max {max:.1} ({count} calls)");
    }
}

#[test]
fn three_hundred_sets_keep_to_the_limits_and_a_storm_on_one_delays_no_other() {
    let (calm, storm) = (play(false, 42), play(true, 42));
    print("300 scale sets, an hour, 150 of them moving", &calm);
    print(&format!("the same, one set throttled ({} answers of 429)", storm.throttled), &storm);
    assert!(storm.throttled > 50);
    for row in calm.usage.iter().chain(&storm.usage) {
        assert!(row.highest * 4 <= row.limit * 3, "{row:?}");
    }
    let list = calm.usage.iter().find(|row| row.bucket == "scale-set-list" && row.owner.is_some()).unwrap();
    assert_eq!(list.highest, 270, "and they are used");
    // Nobody starves.
    assert!(spread(&calm.lists)[2] < 90.0);
    for (before, with) in spread(&calm.lists).into_iter().zip(spread(&storm.lists)) {
        assert!(with <= before * 1.05 + 1.0, "list interval {before} s, with the storm {with} s");
    }
    for (work, waits) in &calm.waits {
        for (before, with) in spread(waits).into_iter().zip(spread(&storm.waits[work])) {
            assert!(with <= before * 1.05 + 1.0, "{work:?} waits {before} s, with the storm {with} s");
        }
    }
}
