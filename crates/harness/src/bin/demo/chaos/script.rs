//! What is thrown when, and which jobs come: the same for the same seed.

use std::time::Duration;

use jiff::SignedDuration;
use poolkeeper_harness::replay::next;

use super::fault::Fault;

/// Something to be thrown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Throw {
    /// Wall time after the start.
    pub(crate) at: Duration,
    pub(crate) fault: Fault,
    /// Which of the pools.
    pub(crate) pool: usize,
    /// Which of its machines, modulo their number.
    pub(crate) pick: usize,
    /// Simulated; nothing where it is over at once.
    pub(crate) lasts: SignedDuration,
}

/// A job to be queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Simulated time after the start.
    pub(crate) at: SignedDuration,
    pub(crate) pool: usize,
    pub(crate) lasts: SignedDuration,
}

/// Wall seconds from one kill of the operator to the next.
const BETWEEN_KILLS: (u64, u64) = (15, 25);
/// Simulated seconds that a fault lasts: from one sample to several.
const LASTS: (u64, u64) = (60, 300);
/// Simulated seconds from one job of a pool to the next: its four agents are busy for about half of the time.
const BETWEEN_JOBS: (u64, u64) = (60, 480);
/// Simulated seconds that a job runs.
const RUNS: (u64, u64) = (120, 480);
/// Wall time from one throw to the next where there is no time for all of them.
const CLOSEST: Duration = Duration::from_secs(2);

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(next(&mut self.0) % bound).unwrap_or_default()
    }

    fn between(&mut self, (from, to): (u64, u64)) -> u64 {
        from + next(&mut self.0) % (to.saturating_sub(from) + 1)
    }

    fn seconds(&mut self, range: (u64, u64)) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.between(range)).unwrap_or_default())
    }
}

/// Every fault once, in any order, then again, so dense that all of them fit in; and in between the kills.
pub(crate) fn throws(seed: u64, length: Duration, pools: usize) -> Vec<Throw> {
    let mut dice = Dice(seed);
    let mut throws = Vec::new();
    let mut deck: Vec<Fault> = Vec::new();
    let share = u32::try_from(Fault::deck().len()).unwrap_or(u32::MAX);
    let every = (length / share.saturating_add(1)).max(CLOSEST);
    let mut at = every;
    while at < length {
        if deck.is_empty() {
            deck = Fault::deck();
        }
        let fault = deck.swap_remove(dice.below(deck.len()));
        let (pool, pick, lasts) = (dice.below(pools), dice.below(usize::MAX), dice.seconds(LASTS));
        let lasts = if fault.lasts() { lasts } else { SignedDuration::ZERO };
        throws.push(Throw { at, fault, pool, pick, lasts });
        at += every;
    }
    let mut at = Duration::ZERO;
    loop {
        // In the middle of whatever happens then.
        at += Duration::from_millis(dice.between((BETWEEN_KILLS.0 * 1000, BETWEEN_KILLS.1 * 1000)));
        if at >= length {
            break;
        }
        throws.push(Throw { at, fault: Fault::Kill, pool: 0, pick: 0, lasts: SignedDuration::ZERO });
    }
    throws.sort_by_key(|throw| throw.at);
    throws
}

/// The jobs of so much simulated time.
pub(crate) fn jobs(seed: u64, length: SignedDuration, pools: usize) -> Vec<Arrival> {
    let mut dice = Dice(seed ^ 0x6a6f_6273);
    let mut jobs = Vec::new();
    for pool in 0..pools {
        let mut at = dice.seconds(BETWEEN_JOBS);
        while at < length {
            jobs.push(Arrival { at, pool, lasts: dice.seconds(RUNS) });
            at += dice.seconds(BETWEEN_JOBS);
        }
    }
    jobs.sort_by_key(|job| job.at);
    jobs
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(180);

    #[test]
    fn a_seed_repeats_its_course_and_another_one_does_not() {
        assert_eq!(throws(7, LENGTH, 2), throws(7, LENGTH, 2));
        assert_ne!(throws(7, LENGTH, 2), throws(8, LENGTH, 2));
        let hours = SignedDuration::from_hours(2);
        assert_eq!(jobs(7, hours, 2), jobs(7, hours, 2));
        assert_ne!(jobs(7, hours, 2), jobs(8, hours, 2));
    }

    #[test]
    fn three_minutes_are_enough_for_everything() {
        for seed in 0..20 {
            let throws = throws(seed, LENGTH, 2);
            let kinds: BTreeSet<Fault> = throws.iter().map(|throw| throw.fault).collect();
            let all: BTreeSet<Fault> = Fault::deck().into_iter().chain([Fault::Kill]).collect();
            assert_eq!(kinds, all, "seed {seed}");
            let kills = throws.iter().filter(|throw| throw.fault == Fault::Kill).count();
            assert!((7..=11).contains(&kills), "seed {seed}: {kills} kills");
            assert!(throws.iter().all(|throw| throw.at < LENGTH));
        }
    }

    #[test]
    fn both_pools_get_jobs_until_the_end() {
        let length = SignedDuration::from_hours(2);
        for pool in 0..2 {
            let jobs: Vec<Arrival> = jobs(1, length, 2).into_iter().filter(|job| job.pool == pool).collect();
            assert!((18..=36).contains(&jobs.len()), "{} jobs", jobs.len());
            assert!(jobs.last().is_some_and(|job| job.at > length - SignedDuration::from_mins(8)));
        }
    }
}
