//! What is called, by whom, and whose limit is in the way.

use jiff::Timestamp;

/// A call to Azure. Lists are counted by page: ask once for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Call {
    /// Reads a scale set.
    GetScaleSet,
    /// Lists the instances of a Uniform scale set.
    ListInstances,
    /// Reads one instance of a Uniform scale set.
    GetInstance,
    /// Changes a scale set: its capacity or its tags.
    UpdateScaleSet,
    /// Deletes instances of a scale set by id.
    DeleteInstances,
    /// Reimages instances of a scale set by id.
    ReimageInstances,
    /// Reads one VM of a Flexible scale set.
    GetMachine,
    /// Lists the VMs of a Flexible scale set.
    ListMachines,
    /// Deletes one VM of a Flexible scale set.
    DeleteMachine,
    /// Reimages one VM of a Flexible scale set.
    ReimageMachine,
    /// Reads how a long-running operation stands.
    PollOperation,
    /// Reads the quota of a region.
    GetUsages,
    /// Reads the autoscale settings.
    GetAutoscale,
    /// Reads a subnet.
    GetSubnet,
}

/// A call to Azure DevOps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrganizationCall {
    /// Reads.
    Read,
    /// Changes, as disabling an agent.
    Write,
    /// Removes an agent.
    Delete,
}

/// Whom a call to Azure is about. Names count in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Target {
    /// The resource id of the scale set.
    pub set: String,
    /// The instance id or VM name, for a call about one machine.
    pub machine: Option<String>,
    /// The subscription's id.
    pub subscription: String,
    /// The region, where known.
    pub location: Option<String>,
    /// The operation, for a poll.
    pub operation: Option<String>,
}

/// Whose limit it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// One long-running operation.
    Operation,
    /// One VM.
    Machine,
    /// One scale set.
    Set,
    /// A subscription, as a whole or in one region.
    Subscription,
    /// An Azure DevOps organization.
    Organization,
}

/// The call has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// When to come back; the slot is held from then on for 60 s.
    pub until: Timestamp,
    /// Whose limit is in the way the longest.
    pub scope: Scope,
    /// The service itself refused calls there, and asked to wait; else our own share of its limit is used up.
    pub throttled: bool,
}

/// What a bucket belongs to, and what can be throttled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    Operation(String),
    Machine { set: String, name: String },
    Set(String),
    Region { subscription: String, location: String },
    Subscription(String),
    Organization(String),
}

impl Place {
    pub(crate) fn organization(name: &str) -> Self {
        Self::Organization(name.to_ascii_lowercase())
    }

    pub(crate) fn scope(&self) -> Scope {
        match self {
            Self::Operation(_) => Scope::Operation,
            Self::Machine { .. } => Scope::Machine,
            Self::Set(_) => Scope::Set,
            Self::Region { .. } | Self::Subscription(_) => Scope::Subscription,
            Self::Organization(_) => Scope::Organization,
        }
    }

    /// Its name where many callers share it, so that there are few of them.
    pub(crate) fn shared_by_many(&self) -> Option<String> {
        match self {
            Self::Operation(_) | Self::Machine { .. } | Self::Set(_) => None,
            Self::Region { subscription, location } => Some(format!("{subscription}/{location}")),
            Self::Subscription(name) | Self::Organization(name) => Some(name.clone()),
        }
    }
}

impl Target {
    pub(crate) fn set(&self) -> Place {
        Place::Set(self.set.to_ascii_lowercase())
    }

    pub(crate) fn machine(&self) -> Option<Place> {
        let name = self.machine.as_ref()?.to_ascii_lowercase();
        Some(Place::Machine { set: self.set.to_ascii_lowercase(), name })
    }

    pub(crate) fn operation(&self) -> Option<Place> {
        Some(Place::Operation(self.operation.as_ref()?.to_ascii_lowercase()))
    }

    /// The region; those whose region is not known share one.
    pub(crate) fn region(&self) -> Place {
        let location = self.location.as_deref().unwrap_or("unknown").to_ascii_lowercase();
        Place::Region { subscription: self.subscription.to_ascii_lowercase(), location }
    }

    pub(crate) fn subscription(&self) -> Place {
        Place::Subscription(self.subscription.to_ascii_lowercase())
    }

    /// Everything whose throttling a call to it has to heed.
    pub(crate) fn places(&self) -> Vec<Place> {
        let shared = [self.set(), self.region(), self.subscription()];
        shared.into_iter().chain(self.machine()).chain(self.operation()).collect()
    }

    pub(crate) fn place(&self, scope: Scope) -> Option<Place> {
        match scope {
            Scope::Operation => Some(self.operation().unwrap_or_else(|| self.set())),
            Scope::Machine => Some(self.machine().unwrap_or_else(|| self.set())),
            Scope::Set => Some(self.set()),
            Scope::Subscription if self.location.is_some() => Some(self.region()),
            Scope::Subscription => Some(self.subscription()),
            Scope::Organization => None,
        }
    }
}
