//! The truth, from the simulator's journal: every change of VMs, agents and jobs at its exact simulated time.

mod entry;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

pub use entry::{Entry, Kind};

/// VMs by what they do, and jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Agents with a job.
    pub busy: u32,
    /// Agents online and enabled, without a job.
    pub idle: u32,
    /// VMs whose agent was not online yet.
    pub starting: u32,
    /// VMs whose agent has left: to be reimaged, or being reimaged.
    pub recycling: u32,
    /// Agents that were disabled, with or without a job.
    pub draining: u32,
    /// VMs that are being deleted.
    pub deleting: u32,
    /// VMs whose creation failed.
    pub failed: u32,
    /// All VMs.
    pub vms: u32,
    /// Jobs that wait for an agent.
    pub queued: u32,
}

/// Time that VMs have existed, all added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VmTime {
    /// From creation until they were gone.
    pub total: SignedDuration,
    /// With a job.
    pub busy: SignedDuration,
    /// With an idle agent.
    pub idle: SignedDuration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    /// Its agent has been online since its start.
    Started,
    Reimaging,
    Deleting,
    Failed,
}

#[derive(Debug, Clone, Copy, Default)]
struct Agent {
    online: bool,
    disabled: bool,
    job: bool,
}

/// What the journal adds up to.
#[derive(Debug, Default)]
pub struct Ledger {
    vms: BTreeMap<String, Phase>,
    agents: BTreeMap<String, Agent>,
    waiting: BTreeMap<u64, Timestamp>,
    waits: Vec<SignedDuration>,
    read: u64,
    queued: u64,
    succeeded: u64,
    ended: u64,
    killed: u64,
    counts: Counts,
    peak: u32,
    time: VmTime,
    measured: Option<Timestamp>,
}

impl Ledger {
    /// Takes up changes in their order. `seen` is shown the world after each instant at which something changed, never
    /// between two changes of one instant.
    pub fn read(&mut self, entries: &[Entry], mut seen: impl FnMut(Timestamp, &Counts)) {
        for instant in entries.chunk_by(|one, next| one.at == next.at) {
            let Some(last) = instant.last() else { continue };
            self.measure(last.at);
            for entry in instant {
                self.take(entry);
            }
            self.read = last.seq;
            self.counts = self.count();
            self.peak = self.peak.max(self.counts.vms);
            seen(last.at, &self.counts);
        }
    }

    /// The number of the last change that was taken up.
    #[must_use]
    pub fn last_read(&self) -> u64 {
        self.read
    }

    /// The world now.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Measures [`Self::vm_time`] anew from `at` on, which may be still to come, and [`Self::peak`] from now on.
    pub fn start_measuring(&mut self, at: Timestamp) {
        self.time = VmTime::default();
        self.measured = Some(at);
        self.peak = self.counts.vms;
    }

    /// Counts the time of VMs up to `at`.
    pub fn measure(&mut self, at: Timestamp) {
        let Some(from) = self.measured.filter(|from| *from < at) else { return };
        let passed = at.duration_since(from);
        let times = |vms: u32| passed * i32::try_from(vms).unwrap_or(i32::MAX);
        self.time.total += times(self.counts.vms);
        self.time.busy += times(self.counts.busy);
        self.time.idle += times(self.counts.idle);
        self.measured = Some(at);
    }

    /// Time of VMs since [`Self::start_measuring`].
    #[must_use]
    pub fn vm_time(&self) -> VmTime {
        self.time
    }

    /// The most VMs at one time since [`Self::start_measuring`].
    #[must_use]
    pub fn peak(&self) -> u32 {
        self.peak
    }

    /// From queue to assignment, per job, in the order of assignment.
    #[must_use]
    pub fn waits(&self) -> &[SignedDuration] {
        &self.waits
    }

    /// Jobs that were queued.
    #[must_use]
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Jobs that ran to their end.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// Jobs that have ended, in whatever way.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Jobs whose machine was taken away.
    #[must_use]
    pub fn killed(&self) -> u64 {
        self.killed
    }

    fn take(&mut self, entry: &Entry) {
        let name = entry.agent.as_deref().unwrap_or_default();
        match entry.kind {
            Kind::VmCreating => self.phase(name, Phase::Starting),
            // Only VMs that were there at the start of the world are new here.
            Kind::VmRunning => {
                self.vms.entry(name.to_owned()).or_insert(Phase::Starting);
            }
            Kind::VmFailed => self.phase(name, Phase::Failed),
            Kind::VmReimaging => self.phase(name, Phase::Reimaging),
            Kind::VmDeleting => self.phase(name, Phase::Deleting),
            Kind::VmDeleted => {
                self.vms.remove(name);
            }
            Kind::AgentRegistered => {
                let agent = self.agents.entry(name.to_owned()).or_default();
                agent.online = false;
            }
            Kind::AgentOnline => {
                self.agents.entry(name.to_owned()).or_default().online = true;
                if let Some(phase) = self.vms.get_mut(name).filter(|phase| **phase != Phase::Deleting) {
                    *phase = Phase::Started;
                }
            }
            Kind::AgentOffline => self.agent(name, |agent| agent.online = false),
            Kind::AgentEnabled => self.agent(name, |agent| agent.disabled = false),
            Kind::AgentDisabled => self.agent(name, |agent| agent.disabled = true),
            Kind::AgentDeleted => {
                self.agents.remove(name);
            }
            Kind::JobQueued => {
                self.queued += 1;
                self.waiting.extend(entry.request.map(|request| (request, entry.at)));
            }
            Kind::JobAssigned => {
                let queued_at = entry.request.and_then(|request| self.waiting.remove(&request));
                self.waits.extend(queued_at.map(|queued_at| entry.at.duration_since(queued_at)));
                self.agent(name, |agent| agent.job = true);
            }
            Kind::JobKilled => {
                self.killed += 1;
                self.agent(name, |agent| agent.job = false);
            }
            Kind::JobFinished => {
                self.ended += 1;
                self.succeeded += u64::from(entry.detail.as_deref() == Some("succeeded"));
                entry.request.and_then(|request| self.waiting.remove(&request));
                self.agent(name, |agent| agent.job = false);
            }
            Kind::OperationStarted | Kind::JobReceived | Kind::Other => {}
        }
    }

    fn phase(&mut self, name: &str, phase: Phase) {
        self.vms.insert(name.to_owned(), phase);
    }

    fn agent(&mut self, name: &str, change: impl FnOnce(&mut Agent)) {
        if let Some(agent) = self.agents.get_mut(name) {
            change(agent);
        }
    }

    fn count(&self) -> Counts {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut counts =
            Counts { vms: number(self.vms.len()), queued: number(self.waiting.len()), ..Counts::default() };
        for (name, phase) in &self.vms {
            let agent = self.agents.get(name).copied().unwrap_or_default();
            let counter = match phase {
                Phase::Deleting => &mut counts.deleting,
                Phase::Failed => &mut counts.failed,
                Phase::Starting | Phase::Started | Phase::Reimaging if agent.job => &mut counts.busy,
                Phase::Started if agent.online && !agent.disabled => &mut counts.idle,
                Phase::Started if agent.online => &mut counts.draining,
                Phase::Starting => &mut counts.starting,
                Phase::Started | Phase::Reimaging => &mut counts.recycling,
            };
            *counter += 1;
            counts.draining += u32::from(agent.job && agent.disabled && *phase != Phase::Deleting);
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(seq: u64, at: i64, kind: &str, request: Option<u64>, detail: Option<&str>) -> Entry {
        let at = Timestamp::from_second(at).unwrap();
        let agent = if kind == "JobQueued" { None } else { Some("vm1") };
        let entry = json!({"seq": seq, "at": at, "kind": kind, "place": "x", "agent": agent, "request": request,
            "detail": detail});
        serde_json::from_value(entry).unwrap()
    }

    /// A VM's first job, of 100 s, and its reimage.
    fn course() -> Vec<Entry> {
        let steps = [
            (0, "OperationStarted", None, None),
            (0, "VmCreating", None, None),
            (60, "VmRunning", None, None),
            (90, "AgentRegistered", None, None),
            (95, "AgentOnline", None, None),
            (100, "JobQueued", Some(7), None),
            (130, "JobAssigned", Some(7), None),
            (230, "JobFinished", Some(7), Some("succeeded")),
            (230, "AgentOffline", None, None),
            (240, "AgentDeleted", None, None),
            (241, "VmReimaging", None, None),
            (300, "VmRunning", None, None),
            (320, "AgentRegistered", None, None),
            (325, "AgentOnline", None, None),
            (400, "AgentDisabled", None, None),
            (401, "AgentDeleted", None, None),
            (402, "VmDeleting", None, None),
            (440, "VmDeleted", None, None),
        ];
        (1..)
            .zip(steps)
            .map(|(seq, (at, kind, request, detail))| entry(seq, at, kind, request, detail))
            .collect()
    }

    #[test]
    fn a_vm_is_counted_by_what_it_does() {
        let mut seen = Vec::new();
        Ledger::default().read(&course(), |at, counts| {
            let Counts { idle, busy, starting, recycling, draining, deleting, vms, .. } = *counts;
            seen.push((at.as_second(), [idle, busy, starting, recycling, draining, deleting, vms]));
        });
        // Job and agent end at one instant: an idle agent is never seen there.
        let expected = [
            (0, [0, 0, 1, 0, 0, 0, 1]),
            (60, [0, 0, 1, 0, 0, 0, 1]),
            (90, [0, 0, 1, 0, 0, 0, 1]),
            (95, [1, 0, 0, 0, 0, 0, 1]),
            (100, [1, 0, 0, 0, 0, 0, 1]),
            (130, [0, 1, 0, 0, 0, 0, 1]),
            (230, [0, 0, 0, 1, 0, 0, 1]),
            (240, [0, 0, 0, 1, 0, 0, 1]),
            (241, [0, 0, 0, 1, 0, 0, 1]),
            (300, [0, 0, 0, 1, 0, 0, 1]),
            (320, [0, 0, 0, 1, 0, 0, 1]),
            (325, [1, 0, 0, 0, 0, 0, 1]),
            (400, [0, 0, 0, 0, 1, 0, 1]),
            (401, [0, 0, 0, 1, 0, 0, 1]),
            (402, [0, 0, 0, 0, 0, 1, 1]),
            (440, [0, 0, 0, 0, 0, 0, 0]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn time_and_waits_are_measured() {
        let mut ledger = Ledger::default();
        ledger.start_measuring(Timestamp::from_second(0).unwrap());
        ledger.read(&course(), |_, _| {});
        let seconds = SignedDuration::from_secs;
        let VmTime { total, busy, idle } = ledger.vm_time();
        assert_eq!((total, busy, idle), (seconds(440), seconds(100), seconds(110)));
        assert_eq!(ledger.waits(), [seconds(30)]);
        assert_eq!((ledger.queued(), ledger.ended(), ledger.succeeded(), ledger.killed()), (1, 1, 1, 0));
        assert_eq!((ledger.peak(), ledger.last_read()), (1, 18));
    }

    #[test]
    fn a_killed_job_is_no_finished_one() {
        let mut ledger = Ledger::default();
        let mut course: Vec<Entry> = course().into_iter().take(7).collect();
        course.push(entry(8, 140, "VmDeleting", None, None));
        course.push(entry(9, 140, "JobKilled", Some(7), Some("POST delete")));
        course.push(entry(10, 700, "JobFinished", Some(7), Some("abandoned")));
        ledger.read(&course, |_, _| {});
        assert_eq!((ledger.killed(), ledger.ended(), ledger.succeeded()), (1, 1, 0));
    }
}
