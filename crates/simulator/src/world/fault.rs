//! Faults: what goes wrong, where, and until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::SetRef;

/// What Azure DevOps does wrong for an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DevOpsFault {
    /// Every call gets the sign-in page: 203, `text/html`.
    SignIn,
    /// Every call gets 429.
    Throttle,
    /// Every call gets 503.
    Unavailable,
}

/// What Azure does wrong for a scale set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AzureFault {
    /// Every call gets 403.
    Forbidden,
    /// Every call gets 429.
    Throttle,
    /// Every call gets 503.
    Unavailable,
    /// New VMs fail: some are listed as Failed, some are never listed, and the operation fails.
    AllocationFailed,
    /// Growth is refused for want of quota.
    Quota,
}

/// Where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// In an organisation, by its index in the world file.
    DevOps(usize, DevOpsFault),
    /// In a scale set.
    Azure(SetRef, AzureFault),
}

/// The faults of a world, each with its end.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<(Fault, Option<Timestamp>)>,
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault, until: Option<Timestamp>) {
        self.active.retain(|(known, _)| *known != fault);
        self.active.push((fault, until));
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    pub(crate) fn azure(&self, set: SetRef, now: Timestamp) -> impl Iterator<Item = AzureFault> {
        self.at(now).filter_map(move |fault| match fault {
            Fault::Azure(at, kind) if at == set => Some(kind),
            Fault::Azure(..) | Fault::DevOps(..) => None,
        })
    }

    pub(crate) fn devops(&self, organization: usize, now: Timestamp) -> Option<DevOpsFault> {
        self.at(now).find_map(|fault| match fault {
            Fault::DevOps(at, kind) if at == organization => Some(kind),
            Fault::DevOps(..) | Fault::Azure(..) => None,
        })
    }

    fn at(&self, now: Timestamp) -> impl Iterator<Item = Fault> {
        self.active
            .iter()
            .filter(move |(_, until)| until.is_none_or(|until| now < until))
            .map(|(fault, _)| *fault)
    }
}
