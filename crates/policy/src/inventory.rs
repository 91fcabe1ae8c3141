//! What is there: the instances, and each scale set in figures.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    instance::{self, Counts, Instance, State},
    join::{Joined, join},
    memory::{Memory, Operation, OperationKind, Sighting},
    pool::{Binding, BindingName, Pool},
    snapshot::{Blocked, Orchestration, SetView, Snapshot, VmId},
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
    /// VMs of scale sets that have not been listed since the start, as they were last listed.
    unlisted: u32,
    sets: BTreeMap<BindingName, Figures>,
}

/// One scale set in figures.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) counts: Counts,
    /// Its members if it has been listed.
    pub(crate) members: Option<u32>,
    /// Flexible: listed VMs that are being deleted. Its capacity may still count them, or not.
    leaving: u32,
    /// VMs that are on their way to their first job, or to the next.
    pub(crate) coming: u32,
    /// Its capacity if it has been read.
    pub(crate) capacity: Option<u32>,
    orchestration: Option<Orchestration>,
}

impl Figures {
    pub(crate) fn is_flexible(&self) -> bool {
        self.orchestration == Some(Orchestration::Flexible)
    }

    /// The capacity is what the list shows.
    pub(crate) fn fits(&self, capacity: u32) -> bool {
        let members = self.members.unwrap_or(0);
        (members..=members.saturating_add(self.leaving)).contains(&capacity)
    }

    /// VMs that the capacity counts and that are no members: Azure makes them with whatever is ordered next, unless they
    /// are VMs that are being deleted and that it still counts.
    pub(crate) fn gap(&self) -> u32 {
        self.capacity.map_or(0, |capacity| capacity.saturating_sub(self.members.unwrap_or(0)))
    }

    /// At most so many VMs come of a growth by so many. A capacity that may count VMs on their way out is raised above it;
    /// the others of a gap are among those that are asked for. A capacity of a Flexible scale set that no longer counts
    /// all members, such as one whose deletion is said to have failed and goes on, is filled up from below them.
    pub(crate) fn at_most(&self, by: u32) -> u32 {
        let members = self.members.unwrap_or(0);
        let uncounted = self.capacity.map_or(0, |capacity| members.saturating_sub(capacity));
        if self.leaving > 0 {
            by.saturating_add(self.gap())
        } else if self.is_flexible() && by > 0 {
            by.saturating_add(uncounted).max(self.gap())
        } else {
            by.max(self.gap())
        }
    }

    /// Nobody is on the way out who could explain that the capacity is above the members.
    pub(crate) fn is_short(&self) -> bool {
        self.gap() > 0 && self.leaving == 0
    }

    /// How many of the VMs that are being deleted such a capacity still counts.
    pub(crate) fn leaving_in(&self, capacity: u32) -> u32 {
        if self.fits(capacity) { capacity.saturating_sub(self.members.unwrap_or(0)) } else { 0 }
    }

    /// A Flexible scale set is written to while VMs of it are being deleted, and while the list does not show it yet.
    fn note_leaving(&mut self, instances: &[Instance], listed: u32) {
        let (Some(members), true) = (self.members, self.is_flexible()) else { return };
        let leaves = |instance: &&Instance| instance.state == State::Deleting && instance.resumes.is_none();
        let leaving = u32::try_from(instances.iter().filter(leaves).count()).unwrap_or(u32::MAX);
        let leaving = leaving.max(listed.saturating_sub(members));
        self.members = Some(listed.saturating_sub(leaving));
        self.leaving = leaving;
    }
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
            members: view.instances.latest().map(|vms| instance::members(vms)),
            capacity: view.scale_set.latest().map(|set| set.capacity),
            orchestration: view.scale_set.latest().map(|set| set.orchestration),
            ..Figures::default()
        };
        let mut sets: BTreeMap<BindingName, Figures> =
            seen.sets.iter().map(|(name, view)| (name.clone(), figures(view))).collect();
        let mut counts = Counts { foreign, ..Counts::default() };
        for of_one_set in instances.chunk_by(|a, b| a.binding == b.binding) {
            let (mut sum, mut coming) = (Counts::default(), 0_u32);
            for instance in of_one_set {
                counts.add(instance);
                sum.add(instance);
                coming = coming.saturating_add(u32::from(instance.state.is_coming()));
            }
            let name = of_one_set.first().map(|instance| &instance.binding);
            if let Some(figures) = name.and_then(|name| sets.get_mut(name)) {
                (figures.counts, figures.coming) = (sum, coming);
                figures.note_leaving(of_one_set, u32::try_from(of_one_set.len()).unwrap_or(u32::MAX));
            }
        }
        // A blocked scale set that was never listed holds up no other.
        // One that was ours has VMs: it is waited for while its own controller takes it up again. One that a person has to
        // mend counts as it was last listed, if that is known.
        let listed = |(binding, view): (&Binding, &SetView)| {
            let counted = memory.members.contains_key(&binding.name);
            let passed_over =
                |blocked: &Blocked| binding.claimed_at.is_none() || (counted && !blocked.pending);
            view.instances.latest().is_some() || view.blocked.as_ref().is_some_and(passed_over)
        };
        let lists =
            || pool.bindings.iter().filter_map(|binding| Some((binding, seen.sets.get(&binding.name)?)));
        let known = seen.jobs.latest().is_some() && seen.agents.latest().is_some() && lists().all(listed);
        Self { instances, counts, disagree, known, unlisted: memory.unlisted(seen), sets }
    }

    /// All VMs that `maxAgents` bounds: listed, ordered, and those that a list may lack because it is older than the
    /// capacity.
    pub(crate) fn taken(&self, memory: &Memory, ordered: &BTreeMap<BindingName, u32>, now: Timestamp) -> u32 {
        let of_set = |(name, figures): (&BindingName, &Figures)| {
            let ordered = ordered.get(name).copied().unwrap_or(0);
            let lacks = figures.gap().saturating_sub(figures.leaving);
            let made = memory.failed_growths.get(name).map_or(0, |(_, target)| {
                // The target of a growth counts nobody whose deletion was decided with it or before.
                let staying = figures.members.unwrap_or(0).saturating_sub(self.going(memory, name, figures));
                target.saturating_sub(staying)
            });
            if memory.is_settled(name, now) { ordered } else { ordered.max(lacks).max(made) }
        };
        let beyond = self.sets.iter().map(of_set).fold(self.unlisted, u32::saturating_add);
        self.counts.total().saturating_add(beyond)
    }

    /// Members whose deletion is on its way, and whom the figures still count.
    fn going(&self, memory: &Memory, binding: &BindingName, figures: &Figures) -> u32 {
        let deleted = |operation: &Operation| {
            operation.url.is_some() && matches!(operation.kind, OperationKind::Delete(_))
        };
        let removals = memory.operations.iter().filter(|operation| deleted(operation));
        let vms: BTreeSet<&VmId> = removals.flat_map(|operation| operation.kind.vms()).collect();
        let uncounted = |instance: &Instance| {
            figures.is_flexible() && instance.state == State::Deleting && instance.resumes.is_none()
        };
        let going = self.instances.iter().filter(|instance| {
            &instance.binding == binding && vms.contains(&instance.vm_id) && !uncounted(instance)
        });
        u32::try_from(going.count()).unwrap_or(u32::MAX)
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
            figures.members.is_some() && figures.capacity.is_some_and(|capacity| !figures.fits(capacity))
        };
        self.sets.iter().filter(|(_, figures)| differs(figures)).map(|(name, _)| name).collect()
    }
}
