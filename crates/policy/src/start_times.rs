//! How long starts take, from a VM's creation to its agent being online: measured, for the lead time of standby.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    instance::{Instance, State},
    memory::{Memory, Sighting},
    pool::{BindingName, Pool},
    snapshot::VmId,
};

/// So many starts are remembered of each scale set: an image that has become slower shows within a day or two.
const REMEMBERED: usize = 40;
/// Fewer starts than this say less than the figures of before a restart.
const ENOUGH: usize = 5;

/// How long starts take, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Half of them start within it.
    pub p50: SignedDuration,
    /// 95 of 100 start within it.
    pub p95: SignedDuration,
    /// Starts behind the figures.
    pub samples: u32,
}

/// The starts of one scale set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartTimes {
    /// The latest is last.
    recent: Vec<SignedDuration>,
    /// What an operator before this one has measured.
    before: Option<Measured>,
}

impl StartTimes {
    /// Goes on from what was measured before a restart.
    #[must_use]
    pub fn recalled(before: Measured) -> Self {
        Self { recent: Vec::new(), before: Some(before) }
    }

    /// The figures, by nearest rank; `None` if nothing was ever measured.
    #[must_use]
    pub fn measured(&self) -> Option<Measured> {
        if let Some(before) = self.before.filter(|_| self.recent.len() < ENOUGH) {
            return Some(before);
        }
        let mut sorted = self.recent.clone();
        sorted.sort_unstable();
        let rank =
            |percent: usize| sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        let samples = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
        Some(Measured { p50: rank(50)?, p95: rank(95)?, samples })
    }

    fn note(&mut self, took: SignedDuration) {
        if self.recent.len() >= REMEMBERED {
            self.recent.remove(0);
        }
        self.recent.push(took);
    }
}

/// Measures the VMs whose agents are online for the first time in this pass.
///
/// A reimaged VM starts in another time than a new one, and a start that nobody watched from its beginning on is as long
/// as nobody looked: neither counts.
pub(crate) fn measure(
    memory: &mut Memory,
    pool: &Pool,
    instances: &[Instance],
    before: &BTreeMap<VmId, Sighting>,
    now: Timestamp,
) {
    let listed: BTreeSet<&BindingName> = pool.bindings.iter().map(|binding| &binding.name).collect();
    memory.start_times.retain(|binding, _| listed.contains(binding));
    let Some(readable) = memory.readable_since else { return };
    for instance in
        instances.iter().filter(|instance| instance.was_online && listed.contains(&instance.binding))
    {
        let starts = before.get(&instance.vm_id).is_some_and(|before| {
            !before.was_online && matches!(before.state, State::Creating | State::Starting)
        });
        let born = instance.born.filter(|born| starts && *born >= readable && *born <= now);
        if let Some(born) = born {
            let took = now.duration_since(born);
            memory.start_times.entry(instance.binding.clone()).or_default().note(took);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: &[i64]) -> StartTimes {
        let mut times = StartTimes::default();
        seconds.iter().for_each(|seconds| times.note(SignedDuration::from_secs(*seconds)));
        times
    }

    fn measured(p50: i64, p95: i64, samples: u32) -> Measured {
        Measured { p50: SignedDuration::from_secs(p50), p95: SignedDuration::from_secs(p95), samples }
    }

    #[test]
    fn ranks_are_nearest() {
        assert_eq!(StartTimes::default().measured(), None);
        assert_eq!(after(&[90]).measured(), Some(measured(90, 90, 1)));
        assert_eq!(after(&[300, 100]).measured(), Some(measured(100, 300, 2)));
        let twenty: Vec<i64> = (1..=20).rev().collect();
        assert_eq!(after(&twenty).measured(), Some(measured(10, 19, 20)));
    }

    #[test]
    fn old_starts_are_forgotten() {
        let many: Vec<i64> = (1..=100).collect();
        assert_eq!(after(&many).measured(), Some(measured(80, 98, 40)));
    }

    #[test]
    fn what_was_measured_before_holds_until_there_are_enough() {
        let mut times = StartTimes::recalled(measured(200, 240, 40));
        for _ in 0..4 {
            times.note(SignedDuration::from_secs(60));
            assert_eq!(times.measured(), Some(measured(200, 240, 40)));
        }
        times.note(SignedDuration::from_secs(60));
        assert_eq!(times.measured(), Some(measured(60, 60, 5)));
    }
}
