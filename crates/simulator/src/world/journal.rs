//! The record of every change.

use std::{collections::VecDeque, fmt, num::NonZeroUsize, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

use super::World;

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Kind {
    /// A VM is being created.
    VmCreating,
    /// A VM runs, new or reimaged.
    VmRunning,
    /// A VM could not be created.
    VmFailed,
    /// A VM is being reimaged.
    VmReimaging,
    /// A VM is being deleted.
    VmDeleting,
    /// A VM is gone.
    VmDeleted,
    /// A VM is being stopped or started, or has stopped.
    VmPowerChanged,
    /// The capacity was written.
    CapacityChanged,
    /// The tags were written.
    TagsChanged,
    /// A long-running operation has begun.
    OperationStarted,
    /// A long-running operation has ended.
    OperationEnded,
    /// An agent has registered, under a new record or its old one.
    AgentRegistered,
    /// An agent has come online.
    AgentOnline,
    /// An agent has gone offline.
    AgentOffline,
    /// An agent was enabled.
    AgentEnabled,
    /// An agent was disabled.
    AgentDisabled,
    /// An agent record was deleted.
    AgentDeleted,
    /// A job was queued.
    JobQueued,
    /// A job was handed to an agent.
    JobAssigned,
    /// An agent has started a job.
    JobReceived,
    /// A job has ended.
    JobFinished,
    /// A job has lost its machine; it ends when its lock runs out.
    JobKilled,
    /// A fault was set or has been removed.
    FaultChanged,
    /// Azure takes a spot VM back.
    VmEvicted,
    /// A VM restarts by itself, which Azure does not see.
    VmRebooting,
    /// The scale set was deleted.
    ScaleSetGone,
    /// The organisation was deleted.
    OrganizationGone,
    /// The maintenance definition of a pool was written or deleted.
    MaintenanceChanged,
}

/// One change. Which of the optional parts are there depends on the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Counts up from 1 without gaps.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: Kind,
    /// The scale set's or pool's name.
    pub place: Arc<str>,
    /// The instance id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<u64>,
    /// The name of the agent, and of its computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The job request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// Why, or from what to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Arc<str>>,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.kind {
            Kind::VmCreating => "VM is being created",
            Kind::VmRunning => "VM runs",
            Kind::VmFailed => "VM creation failed",
            Kind::VmReimaging => "VM is being reimaged",
            Kind::VmDeleting => "VM is being deleted",
            Kind::VmDeleted => "VM deleted",
            Kind::VmPowerChanged => "VM power changed",
            Kind::CapacityChanged => "capacity written",
            Kind::TagsChanged => "tags written",
            Kind::OperationStarted => "operation started",
            Kind::OperationEnded => "operation ended",
            Kind::AgentRegistered => "agent registered",
            Kind::AgentOnline => "agent online",
            Kind::AgentOffline => "agent offline",
            Kind::AgentEnabled => "agent enabled",
            Kind::AgentDisabled => "agent disabled",
            Kind::AgentDeleted => "agent deleted",
            Kind::JobQueued => "job queued",
            Kind::JobAssigned => "job assigned",
            Kind::JobReceived => "job received",
            Kind::JobFinished => "job finished",
            Kind::JobKilled => "job killed",
            Kind::FaultChanged => "fault changed",
            Kind::VmEvicted => "VM evicted",
            Kind::VmRebooting => "VM restarts by itself",
            Kind::ScaleSetGone => "scale set deleted",
            Kind::OrganizationGone => "organization deleted",
            Kind::MaintenanceChanged => "maintenance definition changed",
        };
        write!(f, "{} {}: {words}", self.at, self.place)?;
        if let Some(request) = self.request {
            write!(f, ", request {request}")?;
        }
        if let Some(instance) = self.instance {
            write!(f, ", instance {instance}")?;
        }
        if let Some(agent) = &self.agent {
            write!(f, ", {agent}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

/// The record: the last changes in order.
#[derive(Debug, Clone)]
pub struct Journal {
    entries: VecDeque<Entry>,
    written: u64,
    /// How many are kept; one at least, so that a gap always shows.
    bound: NonZeroUsize,
}

/// About 100 MB; a busy day of a large pool writes a tenth of it.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999_999);

impl Default for Journal {
    fn default() -> Self {
        Self { entries: VecDeque::new(), written: 0, bound: KEPT }
    }
}

/// The parts of an entry that a caller fills in.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) instance: Option<u64>,
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) request: Option<u64>,
    pub(crate) detail: Option<Arc<str>>,
}

impl Journal {
    pub(crate) fn write(&mut self, at: Timestamp, kind: Kind, place: &Arc<str>, parts: Parts) {
        let Parts { instance, agent, request, detail } = parts;
        self.written += 1;
        let place = Arc::clone(place);
        self.entries.push_back(Entry {
            seq: self.written,
            at,
            kind,
            place,
            instance,
            agent,
            request,
            detail,
        });
        self.shorten();
    }

    fn shorten(&mut self) {
        let over = self.entries.len().saturating_sub(self.bound.get());
        self.entries.drain(..over);
    }

    /// Changes after number `since`, oldest first, of those that are kept: the last million, or as many as
    /// [`World::keep_journal`] says. Where older ones are missing, the first has a later number than `since + 1`, and
    /// [`Journal::forgotten`] says how many they are; it is empty only where nothing has changed since.
    pub fn since(&self, since: u64) -> impl Iterator<Item = &Entry> {
        let first = self.entries.front().map_or(0, |entry| entry.seq);
        let skip = since.saturating_add(1).saturating_sub(first);
        self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }

    /// How many changes after number `since` are no longer kept: 0 for a reader that has missed nothing.
    pub fn forgotten(&self, since: u64) -> u64 {
        let kept = u64::try_from(self.entries.len()).unwrap_or(u64::MAX);
        self.written.saturating_sub(kept).saturating_sub(since)
    }

    /// All changes that are kept, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many changes there have been.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl World {
    /// Keeps the last `entries` changes of the journal from now on, so that a long run needs no more and more memory.
    /// Whoever reads it has to read as often as that, and can tell by [`Journal::forgotten`] whether it has.
    pub fn keep_journal(&mut self, entries: NonZeroUsize) {
        self.journal.bound = entries;
        self.journal.shorten();
        self.journal.entries.shrink_to_fit();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn journal(bound: usize, changes: u64) -> Journal {
        let mut journal = Journal { bound: NonZeroUsize::new(bound).unwrap(), ..Journal::default() };
        write(&mut journal, changes);
        journal
    }

    fn write(journal: &mut Journal, changes: u64) {
        let place = Arc::from("d4");
        (0..changes).for_each(|_| {
            journal.write(Timestamp::UNIX_EPOCH, Kind::VmRunning, &place, Parts::default());
        });
    }

    fn numbers(journal: &Journal, since: u64) -> Vec<u64> {
        journal.since(since).map(|entry| entry.seq).collect()
    }

    #[test]
    fn the_last_ones_are_kept_and_all_are_counted() {
        let journal = journal(3, 10);
        assert_eq!(journal.written(), 10);
        assert_eq!(journal.entries().map(|entry| entry.seq).collect::<Vec<_>>(), [8, 9, 10]);
        assert_eq!(numbers(&journal, 8), [9, 10]);
        assert_eq!(numbers(&journal, 10), [0; 0]);
    }

    #[test]
    fn a_reader_sees_what_it_has_missed() {
        let journal = journal(3, 10);
        // The oldest that is kept is number 8.
        assert_eq!([0, 6, 7, 8, 10, u64::MAX].map(|since| journal.forgotten(since)), [7, 1, 0, 0, 0, 0]);
        assert_eq!(numbers(&journal, 6), [8, 9, 10]);
        assert_eq!(numbers(&journal, 7), [8, 9, 10]);
    }

    #[test]
    fn a_reader_that_keeps_up_misses_nothing_and_no_bound_hides_a_change() {
        let (mut one, mut read) = (journal(1, 0), 0);
        for _ in 0..5 {
            write(&mut one, 1);
            assert_eq!((one.forgotten(read), numbers(&one, read)), (0, vec![read + 1]));
            read = one.written();
        }
        write(&mut one, 4);
        assert_eq!((one.forgotten(read), numbers(&one, read)), (3, vec![9]));
    }

    #[test]
    fn nothing_is_forgotten_before_the_bound() {
        let mut journal = journal(10, 10);
        assert_eq!((journal.forgotten(0), numbers(&journal, 0).len()), (0, 10));
        write(&mut journal, 1);
        assert_eq!((journal.forgotten(0), numbers(&journal, 0).len()), (1, 10));
        assert_eq!(KEPT.get(), 1_000_000);
    }
}
