//! The organisation's parallel jobs, shared between its pools.

use std::collections::BTreeMap;

/// What a pool has and wants of the organisation's parallel jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Want {
    /// Jobs that run.
    pub running: u32,
    /// Jobs that wait.
    pub queued: u32,
}

impl Want {
    fn most(self) -> u32 {
        self.running.saturating_add(self.queued)
    }

    /// What this pool gets where everybody may have `level`: never less than what runs, never more than it wants.
    fn at(self, level: u32) -> u32 {
        level.clamp(self.running, self.most())
    }
}

/// How many parallel jobs each pool may use, running ones included.
///
/// Max-min fair: nobody gets more while somebody who wants it has less. Never below what runs; in sum at most `total`,
/// unless more runs already. What cannot be divided goes to the first keys.
#[must_use]
pub fn fair_shares<K: Ord + Clone>(total: u32, wants: &BTreeMap<K, Want>) -> BTreeMap<K, u32> {
    let sum = |level: u32| wants.values().map(|want| u64::from(want.at(level))).sum::<u64>();
    let total = u64::from(total);
    // The highest level that all can have.
    let (mut low, mut high) = (0, wants.values().map(|want| want.most()).max().unwrap_or(0));
    while low < high {
        let middle = high - (high - low) / 2;
        if sum(middle) <= total {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let mut left = total.saturating_sub(sum(low));
    let share = |(key, want): (&K, &Want)| {
        let mut share = want.at(low);
        if left > 0 && want.at(low.saturating_add(1)) > share {
            share += 1;
            left -= 1;
        }
        (key.clone(), share)
    };
    wants.iter().map(share).collect()
}
