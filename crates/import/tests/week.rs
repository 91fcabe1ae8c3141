//! Any week of Managed DevOps Pools, as its schedule answers it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use jiff::{ToSpan, civil::DateTime, tz::TimeZone};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use support::{check, managed};

/// Half hours of a day, with the count from then on.
type Day = Vec<(u8, u32)>;

fn days() -> impl Strategy<Value = Vec<Day>> {
    let day = prop::collection::vec((0_u8..=48, 0_u32..4), 0..4);
    prop_oneof![1 => prop::collection::vec(day.clone(), 1), 6 => prop::collection::vec(day, 7)]
}

fn time(half: u8) -> String {
    format!("{:02}:{:02}:00", half / 2, half % 2 * 30)
}

/// Managed DevOps Pools, scaling: a count holds until the next entry, also across days and the week's end.
fn naive(days: &[Day], day: usize, half: u8) -> u32 {
    let entries = |day: usize| {
        let day = &days[day % days.len()];
        // The last of two entries of one time is the one that JSON keeps.
        let mut at: Map<String, Value> = Map::new();
        for (half, count) in day {
            at.insert(time(*half), json!(count));
        }
        at.into_iter()
            .map(|(time, count)| (time, u32::try_from(count.as_u64().unwrap()).unwrap()))
            .collect::<Vec<_>>()
    };
    let now = time(half);
    let today = entries(day).into_iter().rfind(|(time, _)| *time <= now);
    // Every earlier day in full, back to this day a week before.
    let before = || (1..=7).find_map(|back| entries(day + 7 - back).into_iter().next_back());
    today.or_else(before).map_or(0, |(_, count)| count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_schedule_is_the_week(days in days(), zone in prop::sample::select(vec![
        ("UTC", "UTC"), ("Eastern Standard Time", "America/New_York"), ("Lord Howe Standard Time", "Australia/Lord_Howe"),
        ("Nepal Standard Time", "Asia/Kathmandu"),
    ])) {
        let data: Vec<Value> = days.iter().map(|day| {
            day.iter().map(|(half, count)| (time(*half), json!(count))).collect::<Map<_, _>>().into()
        }).collect();
        let read = managed(&json!({
            "name": "p", "maximumConcurrency": 10,
            "agentProfile": {"kind": "Stateless", "resourcePredictionsProfile": {"kind": "Manual"},
                "resourcePredictions": {"timeZone": zone.0, "daysData": data}},
            "fabricProfile": {"kind": "Vmss", "images": [{"wellKnownImageName": "a"}]},
        }));
        let schedule = read.schedule.as_ref().map(|schedule| check(&schedule.spec));
        let tz = TimeZone::get(zone.1).unwrap();
        // A Sunday; no clock of these zones changes that week.
        let sunday: DateTime = "2026-11-29T00:00:00".parse().unwrap();
        for half in 0..336_u16 {
            let wall = sunday + (i64::from(half) * 30).minutes();
            let at = tz.to_timestamp(wall).unwrap();
            let found = schedule.as_ref().map_or(0, |schedule| schedule.level(at).agents);
            let expected = naive(&days, usize::from(half / 48), u8::try_from(half % 48).unwrap());
            prop_assert_eq!(found, expected, "{}: {}", wall, &read.text);
        }
    }
}
