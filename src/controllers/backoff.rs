//! How long a failed pass waits.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_mins(5);
/// Twice `FIRST` so often is beyond `MOST`.
const DOUBLINGS: u32 = 9;

/// Failed passes in a row, by uid.
#[derive(Debug, Default)]
pub(super) struct Backoff(Mutex<HashMap<String, u32>>);

impl Backoff {
    /// A pass has failed: how long the next one waits. A second, doubled per failure up to 5 minutes, less up to a
    /// quarter by uid, so that not all objects come back at once after an outage.
    pub(super) fn failed(&self, uid: &str) -> Duration {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(uid.to_owned()).or_default();
        let wait = FIRST.saturating_mul(1 << (*count).min(DOUBLINGS)).min(MOST);
        *count = count.saturating_add(1);
        let mut hasher = DefaultHasher::new();
        (uid, *count).hash(&mut hasher);
        let quarter = u32::try_from(hasher.finish() % 256).unwrap_or(0);
        wait - wait * quarter / 1024
    }

    /// A pass came to its end, or the object is gone.
    pub(super) fn reset(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_five_minutes_and_differ_by_object() {
        let backoff = Backoff::default();
        let waits: Vec<Duration> = (0..20).map(|_| backoff.failed("a")).collect();
        for (exponent, wait) in waits.iter().enumerate() {
            let full = FIRST * (1 << exponent.min(9));
            let full = full.min(MOST);
            assert!(*wait <= full && *wait >= full * 3 / 4, "{exponent}: {wait:?}");
        }
        let first = |uid: usize| Backoff::default().failed(&uid.to_string());
        let different: std::collections::BTreeSet<Duration> = (0..100).map(first).collect();
        assert!(different.len() > 50, "{different:?}");
    }

    #[test]
    fn a_good_pass_starts_anew() {
        let backoff = Backoff::default();
        let first = backoff.failed("a");
        backoff.failed("a");
        backoff.reset("a");
        assert_eq!(backoff.failed("a"), first);
    }
}
