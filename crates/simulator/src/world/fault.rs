//! Faults: what goes wrong, where, and until when.

mod azure;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::id::SetRef;
pub use azure::{AzureFault, AzureTrouble, Stage};

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
    /// Every call gets 403.
    Forbidden,
    /// Every call gets 401.
    Unauthorized,
    /// Every call is sent to the sign-in page: 302.
    Redirect,
}

/// Where a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// In an organisation, by its index in the world file.
    DevOps(usize, DevOpsFault),
    /// In a scale set.
    Azure(SetRef, AzureTrouble),
}

impl Fault {
    /// The same thing in the same place, whatever it lets through.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Azure(at, one), Self::Azure(there, other)) => at == there && one.kind == other.kind,
            (one, other) => one == other,
        }
    }
}

/// The faults of a world, each with its end.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    active: Vec<(Fault, Option<Timestamp>)>,
}

impl Faults {
    pub(crate) fn set(&mut self, fault: Fault, until: Option<Timestamp>) {
        self.active.retain(|(known, _)| !known.is_same(&fault));
        self.active.push((fault, until));
    }

    pub(crate) fn clear(&mut self) {
        self.active.clear();
    }

    /// Ends what is wrong with one scale set.
    pub(crate) fn clear_azure(&mut self, set: SetRef) {
        self.active.retain(|(fault, _)| !matches!(fault, Fault::Azure(at, _) if *at == set));
    }

    /// So many VMs have come: less is left of what the faults let through.
    pub(crate) fn consume(&mut self, set: SetRef, vms: u32) {
        for (fault, _) in &mut self.active {
            if let Fault::Azure(at, trouble) = fault
                && *at == set
                // A quota is a bound on what there is, not on what comes.
                && trouble.kind != AzureFault::Quota
            {
                trouble.allows = trouble.allows.saturating_sub(vms);
            }
        }
    }

    pub(crate) fn azure(&self, set: SetRef, now: Timestamp) -> impl Iterator<Item = AzureTrouble> {
        self.at(now).filter_map(move |fault| match fault {
            Fault::Azure(at, trouble) if at == set => Some(trouble),
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
