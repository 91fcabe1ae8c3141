//! What has happened, from the simulator's journal: delays of jobs, scale sets that move, and what became of one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_harness::ledger::{Entry, Kind};

/// Digits at the end of a computer name.
const DIGITS: usize = 6;

/// A job that has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Started {
    pub(crate) pool: String,
    pub(crate) queued_at: Timestamp,
    /// From its queueing to its start by an agent.
    pub(crate) delay: SignedDuration,
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) started: Vec<Started>,
    pub(crate) killed: u64,
    /// The last change that was read.
    pub(crate) read: u64,
    waiting: BTreeMap<(String, u64), Timestamp>,
    /// VMs by name: whether they are on their way, in, out or to their next job.
    vms: BTreeMap<String, bool>,
    /// VMs on their way by scale set.
    moving: BTreeMap<String, u32>,
    /// Time of scale sets that move, all added up: from when, and up to when.
    moved: SignedDuration,
    began: Option<Timestamp>,
    measured: Option<Timestamp>,
    /// Writes that Azure has accepted, by scale set.
    operations: BTreeMap<String, Vec<Timestamp>>,
}

impl Record {
    pub(crate) fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.measure(entry.at);
            self.read = entry.seq;
            let job = (entry.place.clone(), entry.request.unwrap_or_default());
            match (entry.kind, entry.agent.as_deref()) {
                (Kind::JobQueued, _) => _ = self.waiting.insert(job, entry.at),
                (Kind::JobReceived, _) => {
                    if let Some(queued_at) = self.waiting.remove(&job) {
                        let delay = entry.at.duration_since(queued_at);
                        self.started.push(Started { pool: entry.place.clone(), queued_at, delay });
                    }
                }
                (Kind::JobKilled, _) => self.killed += 1,
                (Kind::OperationStarted, _) => {
                    self.operations.entry(entry.place.clone()).or_default().push(entry.at);
                }
                (
                    Kind::VmCreating | Kind::VmReimaging | Kind::VmDeleting | Kind::AgentOffline,
                    Some(name),
                ) => self.set_moving(name, Some(true)),
                (Kind::AgentOnline, Some(name)) => self.set_moving(name, Some(false)),
                (Kind::VmDeleted | Kind::VmFailed, Some(name)) => self.set_moving(name, None),
                (_, _) => {}
            }
        }
    }

    fn set_moving(&mut self, vm: &str, is_moving: Option<bool>) {
        let before = match is_moving {
            Some(is_moving) => self.vms.insert(vm.to_owned(), is_moving),
            None => self.vms.remove(vm),
        };
        let set = vm.get(..vm.len().saturating_sub(DIGITS)).unwrap_or(vm);
        let count = self.moving.entry(set.to_owned()).or_default();
        *count += u32::from(is_moving == Some(true));
        *count = count.saturating_sub(u32::from(before == Some(true)));
    }

    fn measure(&mut self, at: Timestamp) {
        let Some(from) = self.measured.filter(|from| *from < at) else { return };
        let sets = self.moving.values().filter(|vms| **vms > 0).count();
        self.moved += at.duration_since(from) * i32::try_from(sets).unwrap_or(i32::MAX);
        self.measured = Some(at);
    }

    /// Measures [`Self::mean_moving`] anew from now on.
    pub(crate) fn start_measuring(&mut self, now: Timestamp) {
        (self.moved, self.measured, self.began) = (SignedDuration::ZERO, Some(now), Some(now));
    }

    /// How many scale sets had a VM on its way, in the mean since [`Self::start_measuring`].
    pub(crate) fn mean_moving(&mut self, now: Timestamp) -> f64 {
        self.measure(now);
        let passed = self.began.map_or(0.0, |began| now.duration_since(began).as_secs_f64());
        if passed > 0.0 { self.moved.as_secs_f64() / passed } else { 0.0 }
    }

    /// Jobs queued before `until` that have not started.
    pub(crate) fn waiting_since_before(&self, until: Timestamp) -> usize {
        self.waiting.values().filter(|queued_at| **queued_at < until).count()
    }

    /// The first write of that scale set which Azure accepted from then on.
    pub(crate) fn first_operation(&self, set: &str, from: Timestamp) -> Option<Timestamp> {
        self.operations.get(set)?.iter().copied().find(|at| *at >= from)
    }

    /// Delays of the jobs that were queued then, in pools that `in_pool` names.
    pub(crate) fn delays(
        &self,
        (from, until): (Timestamp, Timestamp),
        in_pool: impl Fn(&str) -> bool,
    ) -> Vec<SignedDuration> {
        let then = |job: &&Started| from <= job.queued_at && job.queued_at < until && in_pool(&job.pool);
        self.started.iter().filter(then).map(|job| job.delay).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn entry(seq: u64, second: i64, kind: &str, place: &str, agent: Option<&str>) -> Entry {
        let request = kind.starts_with("Job").then_some(7);
        let entry = json!({"seq": seq, "at": at(second), "kind": kind, "place": place, "agent": agent, "request": request});
        serde_json::from_value(entry).unwrap()
    }

    #[test]
    fn a_job_waits_until_its_agent_starts_it() {
        let (vm, set, pool) = (Some("set-001000000"), "set-001", "pool-01");
        let mut record = Record::default();
        record.start_measuring(at(0));
        record.take(&[
            entry(1, 10, "JobQueued", pool, None),
            entry(2, 20, "OperationStarted", set, None),
            entry(3, 20, "VmCreating", set, vm),
            entry(4, 80, "AgentOnline", pool, vm),
            entry(5, 81, "JobAssigned", pool, vm),
        ]);
        assert_eq!((record.waiting_since_before(at(10)), record.waiting_since_before(at(11))), (0, 1));
        record.take(&[
            entry(6, 85, "JobReceived", pool, vm),
            entry(7, 100, "AgentOffline", pool, vm),
            entry(8, 110, "OperationStarted", set, None),
            entry(9, 110, "VmDeleting", set, vm),
            entry(10, 140, "VmDeleted", set, vm),
        ]);
        let delay = SignedDuration::from_secs(75);
        assert_eq!(record.delays((at(0), at(11)), |name| name == pool), [delay]);
        assert_eq!(record.delays((at(11), at(99)), |_| true), []);
        assert_eq!(record.first_operation(set, at(21)), Some(at(110)));
        // On its way from 20 to 80, and from 100 to 140.
        assert!((record.mean_moving(at(200)) - 0.5).abs() < 1e-9);
        assert_eq!((record.read, record.killed), (10, 0));
    }
}
