//! Agent records.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    demand::{Catalogue, ClassId},
    id::VmRef,
    request::JobResult,
    tally::KilledBy,
};

/// An agent record of a pool.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its id, unique in the organisation.
    pub id: u64,
    /// Its name: the computer's.
    pub name: Arc<str>,
    /// The agent's version.
    pub version: Arc<str>,
    /// Whether it may be given jobs.
    pub enabled: bool,
    /// Whether the service hears of it.
    pub online: bool,
    /// When the record was made.
    pub created_at: Timestamp,
    /// When it last went online or offline.
    pub status_changed_at: Timestamp,
    /// The job request that it has.
    pub request: Option<u64>,
    /// The last job request that ended here.
    pub last_completed: Option<Completed>,
    /// What the image offers.
    pub system_capabilities: Arc<BTreeMap<String, String>>,
    /// What people have added.
    pub user_capabilities: BTreeMap<String, String>,
    pub(crate) class: ClassId,
    pub(crate) process: Option<Process>,
    pub(crate) lost: Option<Lost>,
}

/// The last job of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// The job request.
    pub request: u64,
    /// When it ended.
    pub at: Timestamp,
    /// How it ended.
    pub result: JobResult,
}

/// A running agent process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) session: u64,
    /// The VM that it runs on; none for an agent outside the scale sets.
    pub(crate) vm: Option<VmRef>,
    pub(crate) once: bool,
}

/// A process that has died without saying so: the service still believes that it is online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) session: u64,
    pub(crate) by: KilledBy,
}

impl Agent {
    /// Whether the service may give it a job.
    pub fn is_free(&self) -> bool {
        self.online && self.enabled && self.request.is_none()
    }

    /// All capabilities as the service reports them, the agent's own included.
    pub fn system_capabilities(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = [
            ("Agent.Name", self.name.as_ref()),
            ("Agent.ComputerName", self.name.as_ref()),
            ("Agent.Version", self.version.as_ref()),
        ];
        own.into_iter().chain(pairs(&self.system_capabilities))
    }

    pub(crate) fn classify(&mut self, catalogue: &mut Catalogue) {
        let Self { system_capabilities, user_capabilities, version, .. } = self;
        let own = [("Agent.Version", version.as_ref())];
        let all = own.into_iter().chain(pairs(system_capabilities)).chain(pairs(user_capabilities));
        self.class = catalogue.class(all);
    }

    pub(crate) fn set_online(&mut self, online: bool, now: Timestamp) {
        self.online = online;
        self.status_changed_at = now;
    }
}

fn pairs(map: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}
