//! The record of every change.

use std::{collections::VecDeque, fmt, sync::Arc};

use jiff::Timestamp;
use serde::Serialize;

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
#[derive(Debug, Clone, Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    written: u64,
}

/// About 100 MB; a busy day of a large pool writes a tenth of it.
const KEPT: usize = 1_000_000;

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
        if self.entries.len() == KEPT {
            self.entries.pop_front();
        }
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
    }

    /// Changes after number `since`, oldest first. The last million are kept.
    pub fn since(&self, since: u64) -> impl Iterator<Item = &Entry> {
        let first = self.entries.front().map_or(0, |entry| entry.seq);
        let skip = since.saturating_add(1).saturating_sub(first);
        self.entries.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX))
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
