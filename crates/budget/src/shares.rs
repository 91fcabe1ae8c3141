//! Which buckets a call takes from, and how far it may empty them.

use crate::call::{Call, Place, Target};
use crate::limits::{Limit, Policy};

/// How much of a bucket a call may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All that we allow ourselves.
    Whole,
    /// All that we allow ourselves, and that at once: for deletions.
    AtOnce,
    /// All but the last tenth, which is for deletions.
    NineTenths,
    /// All but one, which is for growth: it never waits for a reimage.
    AllButOne,
    /// At most so many a minute, and no more than nine tenths.
    AtMost(u32),
}

impl Part {
    /// Calls a minute, out of `most`; at least one.
    pub(crate) fn of(self, most: u32) -> u32 {
        let tenth = most.div_ceil(10);
        match self {
            Self::Whole | Self::AtOnce => most,
            Self::NineTenths => most.saturating_sub(tenth),
            Self::AllButOne => most.saturating_sub(1),
            Self::AtMost(calls) => most.saturating_sub(tenth).min(calls),
        }
        .max(1)
    }
}

/// A bucket that a call takes from.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) policy: Policy,
    pub(crate) place: Place,
    pub(crate) part: Part,
    pub(crate) limit: Limit,
}

/// The buckets of a call, none of them twice.
pub(crate) fn of(call: Call, who: &Target) -> Vec<Share> {
    let machine = || who.machine().unwrap_or_else(|| who.set());
    let (counted, door) = match call {
        Call::GetScaleSet => (Some((Policy::SetGet, who.set())), Policy::FrontDoorRead),
        Call::ListInstances => (Some((Policy::SetList, who.set())), Policy::FrontDoorRead),
        Call::GetInstance => (Some((Policy::InstanceGet, machine())), Policy::FrontDoorRead),
        // POST is a write to the front door, whatever it does.
        Call::UpdateScaleSet => (Some((Policy::SetUpdate, who.set())), Policy::FrontDoorWrite),
        Call::ReimageInstances => (Some((Policy::SetUpdate, who.set())), Policy::FrontDoorWrite),
        Call::DeleteInstances => (Some((Policy::SetDelete, who.set())), Policy::FrontDoorWrite),
        Call::GetMachine => (Some((Policy::MachineGet, machine())), Policy::FrontDoorRead),
        Call::ListMachines => (Some((Policy::MachineList, who.set())), Policy::FrontDoorRead),
        Call::ReimageMachine => (Some((Policy::MachineUpdate, machine())), Policy::FrontDoorWrite),
        Call::DeleteMachine => (Some((Policy::MachineDelete, machine())), Policy::FrontDoorDelete),
        Call::PollOperation => {
            let operation = who.operation().unwrap_or_else(|| who.set());
            (Some((Policy::OperationGet, operation)), Policy::FrontDoorRead)
        }
        // No limit of theirs is documented that would bind before the front door's.
        Call::GetUsages | Call::GetAutoscale | Call::GetSubnet => (None, Policy::FrontDoorRead),
    };
    let (own, common) = parts(call);
    let mut shares = Vec::with_capacity(3);
    let mut add = |policy, place, part, limit: Option<Limit>| {
        shares.extend(limit.map(|limit| Share { policy, place, part, limit }));
    };
    if let Some((policy, place)) = counted {
        let row = policy.row();
        add(policy, place, own, row.each);
        add(policy, who.region(), common, row.all);
    }
    add(door, who.subscription(), common, door.row().all);
    shares
}

/// How far a call may empty a bucket of its own, and one that all share.
fn parts(call: Call) -> (Part, Part) {
    match call {
        Call::GetScaleSet
        | Call::ListInstances
        | Call::GetInstance
        | Call::GetMachine
        | Call::ListMachines
        | Call::PollOperation
        | Call::GetUsages
        | Call::GetAutoscale
        | Call::GetSubnet => (Part::Whole, Part::Whole),
        Call::DeleteInstances | Call::DeleteMachine => (Part::Whole, Part::AtOnce),
        Call::UpdateScaleSet | Call::ReimageMachine => (Part::Whole, Part::NineTenths),
        Call::ReimageInstances => (Part::AllButOne, Part::NineTenths),
    }
}

/// The bucket that an answered header speaks of.
pub(crate) fn named(policy: &str, shares: Vec<Share>) -> Option<Share> {
    let policy = policy.trim().to_ascii_lowercase();
    let is_front_door = policy.contains("remaining-subscription-");
    let name = policy.strip_prefix("microsoft.compute/");
    // Those that begin so count VMs, not calls: VMScaleSetBatchedVMRequests…, VmssQueuedVMOperations.
    let name = name.filter(|name| !name.starts_with("vm"));
    let (each, all) = (
        name.is_some_and(|name| name.ends_with("resource")),
        name.is_some_and(|name| name.ends_with("subscriptionmaximum")),
    );
    shares.into_iter().find(|share| match (&share.place, share.policy) {
        (_, Policy::FrontDoorRead) => is_front_door && policy.ends_with("-reads"),
        (_, Policy::FrontDoorWrite) => is_front_door && policy.ends_with("-writes"),
        (_, Policy::FrontDoorDelete) => is_front_door && policy.ends_with("-deletes"),
        (Place::Operation(_) | Place::Machine { .. } | Place::Set(_), _) => each,
        (Place::Region { .. } | Place::Subscription(_) | Place::Organization(_), _) => all,
    })
}
