//! Faults: what goes wrong, where, and until when.

mod azure;

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Kind, World, event::Event, id::SetRef, journal::Parts};
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
#[derive(Debug, Clone, Default)]
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

impl World {
    /// Lets something go wrong, from now on until `until`.
    pub fn set_fault(&mut self, fault: Fault, until: Option<Timestamp>) {
        self.faults.set(self.bound(fault), until);
        if let (Fault::Azure(..), Some(until)) = (fault, until) {
            self.queue.push(until, Event::FaultEnds);
        }
        let (place, kind) = match fault {
            Fault::DevOps(index, kind) => (
                self.organizations.get(index).map(|known| known.spec.name.as_str()),
                format!("Azure DevOps: {kind:?}"),
            ),
            Fault::Azure(set, kind) => {
                (self.sets.get(set.0).map(|known| known.name.as_ref()), format!("Azure: {kind:?}"))
            }
        };
        let place = Arc::from(place.unwrap_or_default());
        let detail = match until {
            Some(until) => format!("{kind} until {until}"),
            None => kind,
        };
        self.journal.write(
            self.now,
            Kind::FaultChanged,
            &place,
            Parts { detail: Some(Arc::from(detail)), ..Parts::default() },
        );
    }

    /// Ends what is wrong with one scale set.
    pub fn clear_azure_faults(&mut self, set: SetRef) {
        self.faults.clear_azure(set);
        let parts = Parts { detail: Some(Arc::from("ended")), ..Parts::default() };
        self.write_set(set, Kind::FaultChanged, parts);
        self.release();
    }

    /// Ends all faults.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
        self.release();
        let parts = Parts { detail: Some(Arc::from("all ended")), ..Parts::default() };
        self.journal.write(self.now, Kind::FaultChanged, &Arc::from("world"), parts);
    }

    /// What is wrong with a scale set now.
    pub fn azure_faults(&self, set: SetRef) -> impl Iterator<Item = AzureFault> {
        self.faults.azure(set, self.now).map(|trouble| trouble.kind)
    }

    /// What is wrong with an organisation now, by its index in the world file.
    pub fn devops_fault(&self, organization: usize) -> Option<DevOpsFault> {
        self.faults.devops(organization, self.now)
    }
}
