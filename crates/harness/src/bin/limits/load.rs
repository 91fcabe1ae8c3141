//! The jobs: the same half an hour again and again, so that its calm and its storm can be compared.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_harness::control::Job;
use poolkeeper_harness::replay::next;

use crate::fleet::{IMAGES, POOLS, image, pool};

/// A job of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Planned {
    pool: usize,
    image: usize,
    at: SignedDuration,
    duration: SignedDuration,
}

/// Jobs for every image, of 1 to 5 minutes, that come at any time.
pub(crate) struct Pattern {
    jobs: Vec<Planned>,
    length: SignedDuration,
}

impl Pattern {
    /// Each image gets `length / every` jobs.
    pub(crate) fn new(seed: u64, length: SignedDuration, every: SignedDuration) -> Self {
        let mut state = seed;
        let mut below = |bound: i64| {
            let bound = u64::try_from(bound).unwrap_or_default().max(1);
            SignedDuration::from_secs(i64::try_from(next(&mut state) % bound).unwrap_or_default())
        };
        let count = length.as_secs() / every.as_secs().max(1);
        let mut jobs = Vec::new();
        for pool in 0..POOLS {
            for image in 0..IMAGES {
                for _ in 0..count {
                    let (at, more) = (below(length.as_secs()), below(241));
                    jobs.push(Planned { pool, image, at, duration: SignedDuration::from_mins(1) + more });
                }
            }
        }
        jobs.sort_by_key(|job| job.at);
        Self { jobs, length }
    }

    /// Jobs in one length of it.
    pub(crate) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// The jobs from `from` until `until` in their order, where a round of the pattern begins at `start`.
    pub(crate) fn between(&self, start: Timestamp, from: Timestamp, until: Timestamp) -> Vec<Job> {
        let length = self.length.as_secs().max(1);
        let rounds = |at: Timestamp| at.duration_since(start).as_secs().div_euclid(length);
        let mut jobs = Vec::new();
        for round in rounds(from)..=rounds(until) {
            let begins = start.checked_add(SignedDuration::from_secs(round * length)).unwrap_or(until);
            for Planned { pool: pool_index, image: image_index, at, duration } in &self.jobs {
                let at = begins.checked_add(*at).unwrap_or(until);
                if from <= at && at < until {
                    let demands = vec![format!("ImageOverride -equals {}", image(*image_index))];
                    jobs.push(Job { pool: pool(*pool_index), demands, duration: *duration, at: Some(at) });
                }
            }
        }
        jobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_the_same_jobs() {
        let minutes = SignedDuration::from_mins;
        let pattern = Pattern::new(1, minutes(30), minutes(4));
        assert_eq!(pattern.len(), 7 * POOLS * IMAGES);
        let start = Timestamp::from_second(1_000_000).unwrap();
        let after = |mins| start.checked_add(minutes(mins)).unwrap();
        let (one, other) =
            (pattern.between(start, start, after(30)), pattern.between(start, after(30), after(60)));
        assert_eq!(one.len(), pattern.len());
        let offsets = |jobs: &[Job], from: Timestamp| -> Vec<SignedDuration> {
            jobs.iter().map(|job| job.at.unwrap().duration_since(from)).collect()
        };
        assert_eq!(offsets(&one, start), offsets(&other, after(30)));
        // The end of a round comes before its beginning.
        let before = pattern.between(start, after(-15), start);
        assert_eq!(before.len(), pattern.between(start, after(15), after(30)).len());
        let parts =
            [(0, 7), (7, 22), (22, 30)].map(|(a, b)| pattern.between(start, after(a), after(b)).len());
        assert_eq!(parts.iter().sum::<usize>(), pattern.len());
    }
}
