//! The documented limits, all in one table.
//!
//! Compute's are token buckets per resource and per subscription and region, refilled every minute:
//! <https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits>. The front door's are per
//! subscription, refilled every second:
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>.

/// One token bucket of Azure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Calls that it regains in a minute: what can be kept up.
    pub(crate) per_minute: u32,
    /// Calls that it holds when full.
    pub(crate) size: u32,
}

/// What calls are counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Policy {
    SetGet,
    SetList,
    SetUpdate,
    SetDelete,
    InstanceGet,
    MachineGet,
    MachineList,
    MachineUpdate,
    MachineDelete,
    OperationGet,
    FrontDoorRead,
    FrontDoorWrite,
    FrontDoorDelete,
    OrganizationCall,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Per scale set, VM or operation.
    pub(crate) each: Option<Limit>,
    /// Per subscription (and region, but for the front door).
    pub(crate) all: Option<Limit>,
}

impl Policy {
    pub(crate) fn row(self) -> Row {
        match self {
            // "Low Cost Get" of scale sets.
            Self::SetGet => row("scale-set-get", (12, 36), (800, 2400)),
            // "High Cost Get" of scale sets. The page does not say where the list of instances counts: the dearest fits.
            Self::SetList => row("scale-set-list", (10, 30), (360, 1080)),
            Self::SetUpdate => row("scale-set-update", (4, 12), (500, 1500)),
            Self::SetDelete => row("scale-set-delete", (4, 12), (175, 525)),
            Self::InstanceGet => row("instance-get", (12, 36), (2000, 6000)),
            Self::MachineGet => row("machine-get", (12, 36), (8000, 24_000)),
            Self::MachineList => shared("machine-list", 300, 900),
            Self::MachineUpdate => row("machine-update", (4, 12), (500, 1500)),
            Self::MachineDelete => row("machine-delete", (4, 12), (500, 1500)),
            Self::OperationGet => row("operation-get", (15, 45), (5000, 15_000)),
            // 25 a second, then 10 and 10.
            Self::FrontDoorRead => shared("front-door-read", 1500, 250),
            Self::FrontDoorWrite => shared("front-door-write", 600, 200),
            Self::FrontDoorDelete => shared("front-door-delete", 600, 200),
            // Configured, not documented.
            Self::OrganizationCall => Row { name: "organization-call", each: None, all: None },
        }
    }
}

fn row(name: &'static str, each: (u32, u32), all: (u32, u32)) -> Row {
    Row { each: Some(Limit { per_minute: each.0, size: each.1 }), ..shared(name, all.0, all.1) }
}

fn shared(name: &'static str, per_minute: u32, size: u32) -> Row {
    Row { name, each: None, all: Some(Limit { per_minute, size }) }
}
