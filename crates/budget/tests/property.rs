//! Whatever comes when, no bucket gives more than three quarters of its documented limit in any minute.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test helpers outside of #[test]")]

use jiff::{SignedDuration, Timestamp};
use poolkeeper_budget::{Budgets, Call, Target};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Counted apart from the crate: what a call counts as, and the documented limits per resource, and for all.
fn counted(call: Call) -> (&'static str, u32, u32, &'static str) {
    match call {
        Call::GetScaleSet => ("get", 12, 800, "reads"),
        Call::ListInstances => ("list", 10, 360, "reads"),
        Call::GetInstance => ("instance", 12, 2000, "reads"),
        Call::UpdateScaleSet | Call::ReimageInstances => ("update", 4, 500, "writes"),
        Call::DeleteInstances => ("delete", 4, 175, "writes"),
        Call::GetMachine => ("vm", 12, 8000, "reads"),
        Call::ListMachines => ("vms", 300, 300, "reads"),
        Call::DeleteMachine => ("vm delete", 4, 500, "deletes"),
        Call::ReimageMachine => ("vm update", 4, 500, "writes"),
        Call::PollOperation => ("operation", 15, 5000, "reads"),
        Call::GetUsages | Call::GetAutoscale | Call::GetSubnet => {
            ("other", u32::MAX / 3, u32::MAX / 3, "reads")
        }
    }
}

const CALLS: [Call; 14] = [
    Call::GetScaleSet,
    Call::ListInstances,
    Call::GetInstance,
    Call::UpdateScaleSet,
    Call::DeleteInstances,
    Call::ReimageInstances,
    Call::GetMachine,
    Call::ListMachines,
    Call::DeleteMachine,
    Call::ReimageMachine,
    Call::PollOperation,
    Call::GetUsages,
    Call::GetAutoscale,
    Call::GetSubnet,
];

fn most_in_a_minute(times: &[i64]) -> usize {
    let mut first = 0;
    (0..times.len())
        .map(|last| {
            while times[last] - times[first] > 60_000 {
                first += 1;
            }
            last - first + 1
        })
        .max()
        .unwrap_or(0)
}

/// Gap to the call before (ms), call, set, machine, and how late (ms) it comes back when refused.
type Arrival = (i64, usize, usize, usize, i64);

fn play(sets: usize, arrivals: &[Arrival]) -> Result<(), TestCaseError> {
    let budgets = Budgets::default();
    let mut queue = BTreeMap::new();
    let mut now = 0;
    for (index, (gap, call, set, machine, late)) in arrivals.iter().enumerate() {
        now += gap;
        queue.insert((now, index), (CALLS[*call], set % sets, *machine, *late));
    }
    let mut given: BTreeMap<(&str, String), (u32, Vec<i64>)> = BTreeMap::new();
    let end = now + 600_000;
    while let Some(((now, index), arrival)) = queue.pop_first() {
        let (call, set, machine, late) = arrival;
        let who = Target {
            set: format!("set-{set}"),
            machine: Some(machine.to_string()),
            subscription: "fabrikam".to_owned(),
            location: None,
            operation: Some(format!("op-{set}-{machine}")),
        };
        match budgets.take(call, &who, Timestamp::from_millisecond(now).unwrap()) {
            Ok(()) => {
                let (kind, each, all, door) = counted(call);
                let one = match call {
                    Call::GetInstance
                    | Call::GetMachine
                    | Call::DeleteMachine
                    | Call::ReimageMachine
                    | Call::PollOperation => format!("{set}/{machine}"),
                    _ => set.to_string(),
                };
                let door_limit = if door == "reads" { 1500 } else { 600 };
                for (key, limit) in [
                    ((kind, one), each),
                    ((kind, "all".to_owned()), all),
                    ((door, "door".to_owned()), door_limit),
                ] {
                    given.entry(key).or_insert((limit, Vec::new())).1.push(now);
                }
            }
            Err(wait) => {
                let until = wait.until.as_millisecond();
                prop_assert!(until > now);
                if until < end {
                    queue.insert((until + late, index), arrival);
                }
            }
        }
    }
    for (key, (limit, times)) in given {
        let most = most_in_a_minute(&times);
        prop_assert!(most * 4 <= limit as usize * 3, "{key:?}: {most} of {limit}");
    }
    let usage = budgets.usage(Timestamp::from_millisecond(now).unwrap() + SignedDuration::from_mins(9));
    prop_assert!(usage.iter().all(|row| row.highest * 4 <= row.limit * 3));
    Ok(())
}

fn arrivals(longest_gap: i64, sets: usize) -> impl Strategy<Value = Vec<Arrival>> {
    let late = prop_oneof![3 => Just(0), 3 => 0..3_000_i64, 1 => 0..90_000_i64];
    prop::collection::vec((0..longest_gap, 0..CALLS.len(), 0..sets, 0..3_usize, late), 1..1500)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn few_sets_stay_below_three_quarters(arrivals in arrivals(300, 3)) {
        play(3, &arrivals)?;
    }

    #[test]
    fn many_sets_stay_below_three_quarters(arrivals in arrivals(20, 400)) {
        play(400, &arrivals)?;
    }
}
