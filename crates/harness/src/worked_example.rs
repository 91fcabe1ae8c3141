//! The worked example of Azure's documentation of scale set agents: two standby agents, at most four, one job of 20
//! minutes. What is compared are the steps at which the pool settles.

use std::fmt;

use jiff::Timestamp;

use crate::ledger::Counts;

/// Idle and busy agents.
pub type IdleBusy = (u32, u32);

/// `ElasticPool` with `incrementPercent: 50`: the documentation's own figures.
pub const ELASTIC_POOL: &[IdleBusy] = &[(0, 0), (2, 0), (3, 1), (4, 0), (2, 0)];
/// `Exact`: only what is missing is created.
pub const EXACT: &[IdleBusy] = &[(0, 0), (2, 0), (2, 1), (3, 0), (2, 0)];

/// A state in which nothing moves and nothing is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Since when, in simulated time.
    pub at: Timestamp,
    /// Idle and busy agents.
    pub agents: IdleBusy,
}

/// Whether a pool with this standby and maximum has settled: no VM on its way in or out, and no reaction outstanding,
/// neither to too few idle agents nor to a job that waits.
#[must_use]
pub fn settled(counts: &Counts, standby: u32, most: u32) -> bool {
    let Counts { busy: _, idle, starting, recycling, draining, deleting, failed, vms, queued } = *counts;
    let moving = starting + recycling + draining + deleting + failed;
    let short = idle < standby && vms < most;
    moving == 0 && !short && queued == 0
}

/// The steps of one course, compared with the expected ones as they come.
#[derive(Debug)]
pub struct Steps {
    expected: &'static [IdleBusy],
    most: u32,
    standby: u32,
    seen: Vec<Step>,
}

impl Steps {
    /// A course that begins before the pool exists, hence without a standby.
    #[must_use]
    pub fn new(expected: &'static [IdleBusy], most: u32) -> Self {
        Self { expected, most, standby: 0, seen: Vec::new() }
    }

    /// The pool exists from now on, and wants so many idle agents.
    pub fn want(&mut self, standby: u32) {
        self.standby = standby;
    }

    /// Takes up a state of the world; the step, if it is a new one.
    pub fn observe(&mut self, at: Timestamp, counts: &Counts) -> Option<Step> {
        let step = Step { at, agents: (counts.idle, counts.busy) };
        let same = self.seen.last().is_some_and(|last| last.agents == step.agents);
        if same || !settled(counts, self.standby, self.most) {
            return None;
        }
        self.seen.push(step);
        Some(step)
    }

    /// The steps so far.
    #[must_use]
    pub fn seen(&self) -> &[Step] {
        &self.seen
    }

    /// The expected steps.
    #[must_use]
    pub fn expected(&self) -> &'static [IdleBusy] {
        self.expected
    }

    /// Whether the steps so far are the first of the expected ones.
    #[must_use]
    pub fn on_course(&self) -> bool {
        self.seen.len() <= self.expected.len()
            && self.seen.iter().zip(self.expected).all(|(step, expected)| step.agents == *expected)
    }

    /// Whether all expected steps were seen, and no other.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.on_course() && self.seen.len() == self.expected.len()
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&words(self.seen.iter().map(|step| step.agents)))
    }
}

/// Steps as the documentation's readers count them: `0/0, 2/0, 3/1`.
#[must_use]
pub fn words(steps: impl IntoIterator<Item = IdleBusy>) -> String {
    let steps: Vec<_> = steps.into_iter().map(|(idle, busy)| format!("{idle}/{busy}")).collect();
    if steps.is_empty() { "none".to_owned() } else { steps.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(idle: u32, busy: u32, starting: u32) -> Counts {
        Counts { idle, busy, starting, vms: idle + busy + starting, ..Counts::default() }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_course_of_the_documentation() {
        let mut steps = Steps::new(ELASTIC_POOL, 4);
        assert!(steps.observe(at(0), &counts(0, 0, 0)).is_some(), "before the pool exists nothing is due");
        steps.want(2);
        let used = Counts { recycling: 1, vms: 4, ..counts(3, 0, 0) };
        let leaving = Counts { draining: 2, vms: 4, ..counts(2, 0, 0) };
        let gone = Counts { deleting: 1, vms: 3, ..counts(2, 0, 0) };
        let course = [
            (counts(0, 0, 0), false),
            (counts(0, 0, 2), false),
            (counts(1, 0, 1), false),
            (counts(2, 0, 0), true),
            // The job has come, and idle is below standby: growth is due.
            (counts(1, 1, 0), false),
            (counts(1, 1, 2), false),
            (counts(2, 1, 1), false),
            (counts(3, 1, 0), true),
            (counts(3, 1, 0), false),
            (used, false),
            (counts(4, 0, 0), true),
            (leaving, false),
            (gone, false),
            (counts(2, 0, 0), true),
        ];
        for (second, (seen, new)) in (1..).zip(course) {
            assert_eq!(steps.observe(at(second), &seen).is_some(), new, "at {second}: {seen:?}");
            assert!(steps.on_course());
        }
        assert!(steps.complete());
        assert_eq!(steps.to_string(), "0/0, 2/0, 3/1, 4/0, 2/0");
        assert_eq!(steps.seen()[2], Step { at: at(8), agents: (3, 1) });
    }

    #[test]
    fn another_course_is_seen_at_once() {
        let mut steps = Steps::new(EXACT, 4);
        steps.observe(at(0), &counts(0, 0, 0));
        steps.want(2);
        steps.observe(at(1), &counts(2, 0, 0));
        assert!(steps.on_course() && !steps.complete());
        steps.observe(at(2), &counts(3, 1, 0));
        assert!(!steps.on_course());
    }

    #[test]
    fn at_the_maximum_too_few_idle_agents_are_settled_and_waiting_jobs_are_not() {
        assert!(settled(&counts(0, 4, 0), 2, 4));
        assert!(!settled(&Counts { queued: 1, ..counts(0, 4, 0) }, 2, 4));
        assert!(!settled(&Counts { failed: 1, ..counts(2, 0, 0) }, 2, 4));
    }
}
