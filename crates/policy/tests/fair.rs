//! Fair shares of the organisation's parallel jobs.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;

use poolkeeper_policy::{Want, fair_shares};
use proptest::{collection::btree_map, prelude::*, test_runner::Config};
use rstest::rstest;

fn wants(wants: &[(u32, u32)]) -> BTreeMap<usize, Want> {
    let want = |(running, queued): &(u32, u32)| Want { running: *running, queued: *queued };
    wants.iter().map(want).enumerate().collect()
}

#[rstest]
#[case::nobody(5, &[], &[])]
#[case::enough_for_all(10, &[(1, 2), (0, 4)], &[3, 4])]
#[case::halves(6, &[(0, 9), (0, 9)], &[3, 3])]
#[case::the_rest_to_the_first(7, &[(0, 9), (0, 9)], &[4, 3])]
#[case::the_modest_get_all(10, &[(0, 1), (0, 99), (0, 99)], &[1, 5, 4])]
#[case::what_runs_stays(6, &[(5, 9), (0, 9)], &[5, 1])]
#[case::more_runs_than_there_is(3, &[(5, 9), (2, 9)], &[5, 2])]
#[case::none(0, &[(0, 9)], &[0])]
#[case::as_many_as_can_be(u32::MAX, &[(u32::MAX, u32::MAX), (0, 7)], &[u32::MAX, 0])]
fn shares(#[case] total: u32, #[case] of: &[(u32, u32)], #[case] expected: &[u32]) {
    let shares: Vec<u32> = fair_shares(total, &wants(of)).into_values().collect();
    assert_eq!(shares, expected);
}

fn some_wants() -> impl Strategy<Value = BTreeMap<u8, Want>> {
    let want = (0..20_u32, 0..40_u32).prop_map(|(running, queued)| Want { running, queued });
    btree_map(any::<u8>(), want, 0..12)
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]

    #[test]
    fn shares_are_fair(total in 0..200_u32, wants in some_wants()) {
        let shares = fair_shares(total, &wants);
        let running: u32 = wants.values().map(|want| want.running).sum();
        let wanted: u32 = wants.values().map(|want| want.running + want.queued).sum();
        let given: u32 = shares.values().sum();
        // Nothing is wasted, and no more is given than there is.
        prop_assert_eq!(given, wanted.min(total).max(running));
        for (key, want) in &wants {
            prop_assert!(shares[key] >= want.running && shares[key] <= want.running + want.queued);
            // Who still wants more has, up to the rest of a division, as much as anybody who got more than what runs.
            let envies = shares[key] < want.running + want.queued;
            for (other, share) in shares.iter().filter(|(other, _)| envies && *other != key) {
                prop_assert!(*share <= shares[key] + 1 || *share == wants[other].running, "{shares:?}");
                prop_assert!(*share <= shares[key] || *share == wants[other].running || other < key);
            }
        }
        prop_assert_eq!(&fair_shares(total, &wants), &shares);
    }

    #[test]
    fn more_parallel_jobs_take_nothing_away(total in 0..200_u32, wants in some_wants()) {
        let (less, more) = (fair_shares(total, &wants), fair_shares(total + 1, &wants));
        prop_assert!(less.iter().all(|(key, share)| more[key] >= *share));
    }
}
