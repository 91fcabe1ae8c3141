//! What is there: the instances, and each scale set in figures.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    instance::{self, Counts, Instance},
    join::{Joined, join},
    memory::{Memory, Sighting},
    pool::{BindingName, Pool},
    snapshot::{SetView, Snapshot, VmId},
};

/// What one pass sees.
pub(crate) struct Inventory {
    /// Sorted by binding and VM; those of scale sets that the pool does not list are counted and left alone.
    pub(crate) instances: Vec<Instance>,
    /// Over all scale sets.
    pub(crate) counts: Counts,
    /// Jobs and agents tell different stories about somebody.
    pub(crate) disagree: bool,
    /// Jobs, agents and the lists of all usable scale sets have been read at least once.
    pub(crate) known: bool,
    sets: BTreeMap<BindingName, Figures>,
}

/// One scale set in figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) counts: Counts,
    /// Its members if it has been listed.
    pub(crate) members: Option<u32>,
    /// Its capacity if it has been read.
    pub(crate) capacity: Option<u32>,
}

impl Inventory {
    pub(crate) fn new(
        pool: &Pool,
        seen: &Snapshot,
        before: &BTreeMap<VmId, Sighting>,
        memory: &Memory,
        now: Timestamp,
    ) -> Self {
        let Joined { instances, foreign, disagree } = join(pool, seen, before, memory, now);
        let figures = |view: &SetView| Figures {
            counts: Counts::default(),
            members: view.instances.latest().map(|vms| instance::members(vms)),
            capacity: view.scale_set.latest().map(|set| set.capacity),
        };
        let mut sets: BTreeMap<BindingName, Figures> =
            seen.sets.iter().map(|(name, view)| (name.clone(), figures(view))).collect();
        let mut counts = Counts { foreign, ..Counts::default() };
        for of_one_set in instances.chunk_by(|a, b| a.binding == b.binding) {
            let mut sum = Counts::default();
            for instance in of_one_set {
                counts.add(instance);
                sum.add(instance);
            }
            let name = of_one_set.first().map(|instance| &instance.binding);
            if let Some(figures) = name.and_then(|name| sets.get_mut(name)) {
                figures.counts = sum;
            }
        }
        // A blocked scale set that was never listed holds up no other.
        let listed = |view: &SetView| view.blocked.is_some() || view.instances.latest().is_some();
        let lists = || pool.bindings.iter().filter_map(|binding| seen.sets.get(&binding.name));
        let known = seen.jobs.latest().is_some() && seen.agents.latest().is_some() && lists().all(listed);
        Self { instances, counts, disagree, known, sets }
    }

    pub(crate) fn set(&self, binding: &BindingName) -> Figures {
        self.sets.get(binding).copied().unwrap_or_default()
    }

    /// Members of a scale set, none if it has never been listed.
    pub(crate) fn members(&self, binding: &BindingName) -> u32 {
        self.set(binding).members.unwrap_or(0)
    }

    /// The scale sets whose capacity is not the number of their members: part of the answer is old.
    pub(crate) fn differing(&self) -> BTreeSet<&BindingName> {
        let differs = |figures: &Figures| {
            figures.members.zip(figures.capacity).is_some_and(|(members, capacity)| members != capacity)
        };
        self.sets.iter().filter(|(_, figures)| differs(figures)).map(|(name, _)| name).collect()
    }
}
