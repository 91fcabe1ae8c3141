//! What became of the jobs and VMs, and what was lost by our fault.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use poolkeeper_harness::ledger::{Counts, Entry, Kind, Ledger};

/// Causes of which nobody but the operator can be the author here: the simulator names what people, Azure and reboots do
/// otherwise.
const OURS: [&str; 5] = ["POST delete", "POST reimage", "PATCH sku.capacity", "POST power", "PUT agent"];

/// One pool with its scale set, from the simulator's journal.
#[derive(Debug, Default)]
pub(crate) struct Score {
    ledger: Ledger,
    /// Jobs that lost their machine, by what took it.
    killed: BTreeMap<String, u64>,
    victims: BTreeSet<u64>,
    /// Ends of other jobs that are no success, by result.
    failed: BTreeMap<String, u64>,
}

impl Score {
    /// Takes up what has happened, all of this pool and scale set.
    pub(crate) fn read(&mut self, entries: &[Entry]) {
        for entry in entries {
            let detail = || entry.detail.clone().unwrap_or_default();
            let victim = entry.request.is_some_and(|request| self.victims.contains(&request));
            match entry.kind {
                Kind::JobKilled => {
                    self.victims.extend(entry.request);
                    *self.killed.entry(detail()).or_default() += 1;
                }
                Kind::JobFinished if !victim && entry.detail.as_deref() != Some("succeeded") => {
                    *self.failed.entry(detail()).or_default() += 1;
                }
                _ => {}
            }
        }
        self.ledger.read(entries, |_: Timestamp, _| {});
    }

    pub(crate) fn counts(&self) -> &Counts {
        self.ledger.counts()
    }

    pub(crate) fn jobs(&self) -> Jobs {
        let (ours, worlds): (Vec<_>, Vec<_>) =
            self.killed.iter().partition(|(cause, _)| OURS.contains(&cause.as_str()));
        let owned = |all: Vec<(&String, &u64)>| all.into_iter().map(|(k, n)| (k.clone(), *n)).collect();
        Jobs {
            queued: self.ledger.queued(),
            succeeded: self.ledger.succeeded(),
            ended: self.ledger.ended(),
            ours: owned(ours),
            worlds: owned(worlds),
            failed: self.failed.clone(),
        }
    }

    /// The most VMs at one time.
    pub(crate) fn peak(&self) -> u32 {
        self.ledger.peak()
    }
}

/// What became of jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) queued: u64,
    pub(crate) succeeded: u64,
    /// In whatever way.
    pub(crate) ended: u64,
    /// Killed by a call of ours, by the call.
    pub(crate) ours: BTreeMap<String, u64>,
    /// Lost with a machine that others took, by what they did.
    pub(crate) worlds: BTreeMap<String, u64>,
    /// Ended otherwise, by result.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Jobs {
    pub(crate) fn add(&mut self, more: &Self) {
        self.queued += more.queued;
        self.succeeded += more.succeeded;
        self.ended += more.ended;
        for (sum, more) in
            [(&mut self.ours, &more.ours), (&mut self.worlds, &more.worlds), (&mut self.failed, &more.failed)]
        {
            for (name, count) in more {
                *sum.entry(name.clone()).or_default() += count;
            }
        }
    }

    pub(crate) fn killed_by_us(&self) -> u64 {
        self.ours.values().sum()
    }

    pub(crate) fn lost_to_others(&self) -> u64 {
        self.worlds.values().sum()
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.values().sum()
    }
}

/// What is still there when nothing may be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Left {
    /// Computer names of VMs.
    pub(crate) vms: Vec<String>,
    /// Names of agents that poolkeeper's VMs or poolkeeper itself have registered.
    pub(crate) records: Vec<String>,
    /// Agents of others: as many as were brought must be there.
    pub(crate) foreign: usize,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_is_ours_only_if_a_call_of_ours_has_killed_it() {
        let entry = |seq: u64, kind: &str, request: u64, detail: Option<&str>| -> Entry {
            let entry = json!({"seq": seq, "at": "2026-11-22T08:00:00Z", "kind": kind, "place": "linux-build",
                "agent": "vm", "request": request, "detail": detail});
            serde_json::from_value(entry).unwrap()
        };
        let mut score = Score::default();
        score.read(&[
            entry(1, "JobQueued", 1, None),
            entry(2, "JobQueued", 2, None),
            entry(3, "JobQueued", 3, None),
            entry(4, "JobKilled", 1, Some("POST reimage")),
            entry(5, "JobKilled", 2, Some("eviction")),
        ]);
        score.read(&[
            entry(6, "JobFinished", 1, Some("abandoned")),
            entry(7, "JobFinished", 2, Some("abandoned")),
            entry(8, "JobFinished", 3, Some("failed")),
        ]);
        let jobs = score.jobs();
        assert_eq!((jobs.killed_by_us(), jobs.lost_to_others(), jobs.failed()), (1, 1, 1));
        assert_eq!((jobs.queued, jobs.succeeded, jobs.ended), (3, 0, 3));
        let mut twice = jobs.clone();
        twice.add(&jobs);
        assert_eq!((twice.killed_by_us(), twice.ended), (2, 6));
    }
}
