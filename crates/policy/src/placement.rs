//! On which scale sets missing agents are created.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    failure::Limit,
    inventory::Inventory,
    memory::{FailedStarts, Memory},
    plan::LimitedBy,
    pool::{Binding, BindingName, Pool},
    reason::PoolReason,
    snapshot::Snapshot,
    starts,
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
    /// Scale sets that are passed over because their capacity counts VMs that are not there, for which there is no room.
    pub(crate) gaps: Vec<BindingName>,
    /// How many found no place.
    pub(crate) homeless: u32,
    /// Why they found none, if it is not that all bindings are full or blocked.
    pub(crate) limit: Option<Shortage>,
}

/// Why a scale set gives no more VMs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shortage {
    /// Azure has refused.
    Refused(Limit),
    /// Its image does not start.
    FailedStarts(BindingName, FailedStarts),
}

impl Shortage {
    pub(crate) fn limited_by(&self) -> LimitedBy {
        match self {
            Self::Refused(limit) => limit.kind.limited_by(),
            Self::FailedStarts(..) => LimitedBy::FailedStarts,
        }
    }

    /// For the condition `CapacityLimited`.
    pub(crate) fn told(&self) -> (PoolReason, String) {
        match self {
            Self::Refused(Limit { kind, message, until }) => {
                let again = until.strftime("%H:%M:%SZ");
                (kind.pool_reason(), format!("{message}; tried again at {again}"))
            }
            Self::FailedStarts(binding, FailedStarts { count, message, .. }) => (
                PoolReason::FailedStarts,
                format!(
                    "binding {binding}: {count} starts in a row have failed, so one VM at a time is tried; the last \
                     one: {message}"
                ),
            ),
        }
    }
}

impl Placement {
    pub(crate) fn limited_by(&self) -> LimitedBy {
        self.limit.as_ref().map_or(LimitedBy::BindingMaximum, Shortage::limited_by)
    }
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
    let mut placement = Placement { growths: Vec::new(), gaps: Vec::new(), homeless: 0, limit: None };
    let mut free = pool.max_agents.saturating_sub(inventory.taken(memory, ordered, now));
    let mut bindings: Vec<&Binding> = pool.bindings.iter().collect();
    bindings.sort_by_key(|binding| (Reverse(binding.priority), &binding.name));
    for (image, missing) in missing.iter().enumerate() {
        let mut left = *missing;
        let mut pending = false;
        for binding in bindings.iter().filter(|binding| binding.image == image) {
            let set = seen.sets.get(&binding.name);
            let backoff = memory.backoffs.get(&binding.name).filter(|backoff| backoff.is_passed_over());
            let allowed = backoff.and_then(|backoff| backoff.allows(set.and_then(|set| set.headroom), now));
            if allowed == Some(0) {
                placement.limit = backoff.map(|backoff| Shortage::Refused(backoff.limit()));
                continue;
            }
            let blocked = set.map(|set| set.blocked.as_ref());
            pending |= matches!(blocked, Some(Some(blocked)) if blocked.pending);
            if binding.cordoned() || !matches!(blocked, Some(None)) {
                continue;
            }
            let ordered = ordered.get(&binding.name).copied().unwrap_or(0);
            let taken = inventory.set(&binding.name).counts.total().saturating_add(ordered);
            let room = binding.max_agents.unwrap_or(u32::MAX).saturating_sub(taken);
            // What is ordered may not be in the figures of the quota yet.
            let allowed = allowed.map_or(u32::MAX, |allowed| allowed.saturating_sub(ordered));
            let by = left.min(room).min(allowed);
            if by < left.min(room) {
                placement.limit = backoff.map(|backoff| Shortage::Refused(backoff.limit()));
            }
            let coming = inventory.set(&binding.name).coming.saturating_add(ordered);
            let tries = starts::allowed(pool, memory, binding, coming);
            let by = match tries {
                Some((tries, failed)) if tries < by => {
                    placement.limit = Some(Shortage::FailedStarts(binding.name.clone(), failed.clone()));
                    tries
                }
                Some(_) | None => by,
            };
            let by = by.min(free);
            // Azure makes up for a capacity that was never filled, such as after an eviction, with the next growth.
            let figures = inventory.set(&binding.name);
            let comes = if ordered == 0 { figures.at_most(by) } else { by };
            if by > 0 && comes > room.min(free) {
                placement.gaps.extend(figures.is_short().then(|| binding.name.clone()));
                continue;
            }
            if by > 0 {
                placement.growths.push(Growth { binding: binding.name.clone(), by });
                free = free.saturating_sub(comes);
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
