//! On which scale sets missing agents are created.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    inventory::Inventory,
    memory::{Backoff, Memory},
    plan::LimitedBy,
    pool::{Binding, BindingName, Pool},
    snapshot::Snapshot,
};

/// A growth of one scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Growth {
    pub(crate) binding: BindingName,
    pub(crate) by: u32,
}

/// Where the missing agents go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) growths: Vec<Growth>,
    /// How many found no place.
    pub(crate) homeless: u32,
    /// Why they found none.
    pub(crate) limited_by: LimitedBy,
}

/// Spreads the missing agents of each image over its bindings, by priority and then name; one that is full, blocked or
/// left alone after a failure is passed over.
pub(crate) fn place(
    pool: &Pool,
    missing: &[u32],
    seen: &Snapshot,
    memory: &Memory,
    inventory: &Inventory,
    ordered: &BTreeMap<BindingName, u32>,
    now: Timestamp,
) -> Placement {
    let mut placement = Placement { growths: Vec::new(), homeless: 0, limited_by: LimitedBy::BindingMaximum };
    let mut bindings: Vec<&Binding> = pool.bindings.iter().collect();
    bindings.sort_by_key(|binding| (Reverse(binding.priority), &binding.name));
    for (image, missing) in missing.iter().enumerate() {
        let mut left = *missing;
        let mut pending = false;
        for binding in bindings.iter().filter(|binding| binding.image == image) {
            let backoff = memory.backoffs.get(&binding.name).filter(|backoff| backoff.until > now);
            if let Some(backoff) = backoff.filter(|backoff| passed_over(backoff)) {
                placement.limited_by = backoff.limit;
                continue;
            }
            let blocked = seen.sets.get(&binding.name).map(|set| set.blocked.as_ref());
            pending |= matches!(blocked, Some(Some(blocked)) if blocked.pending);
            if binding.cordoned() || !matches!(blocked, Some(None)) {
                continue;
            }
            let taken = inventory
                .set(&binding.name)
                .counts
                .total()
                .saturating_add(ordered.get(&binding.name).copied().unwrap_or(0));
            let by = left.min(binding.max_agents.unwrap_or(u32::MAX).saturating_sub(taken));
            if by > 0 {
                placement.growths.push(Growth { binding: binding.name.clone(), by });
                left -= by;
            }
        }
        // What a binding on its way will take has a place.
        if !pending {
            placement.homeless = placement.homeless.saturating_add(left);
        }
    }
    placement
}

/// One more try may end a failure of another kind; a dearer scale set does not take over for it before the third.
fn passed_over(backoff: &Backoff) -> bool {
    match backoff.limit {
        LimitedBy::Quota | LimitedBy::Allocation | LimitedBy::Subnet | LimitedBy::Throttling => true,
        LimitedBy::Nothing
        | LimitedBy::MaxAgents
        | LimitedBy::BindingMaximum
        | LimitedBy::Increment
        | LimitedBy::Hold
        | LimitedBy::Mode => backoff.failures >= 3,
    }
}
