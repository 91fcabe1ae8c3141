//! VMs that were in a scale set before it was claimed, where their binding replaces them.

use crate::{
    instance::State,
    inventory::Inventory,
    memory::Memory,
    plan::Cause,
    pool::{Mode, Pool},
    select,
    snapshot::Snapshot,
    told::ExistingVms,
};

/// Tells once per claim which VMs go. In the pass that tells, and where nothing may be written, none of them goes yet:
/// they are used like others.
pub(crate) fn tell(
    pool: &Pool,
    seen: &Snapshot,
    memory: &mut Memory,
    inventory: &mut Inventory,
) -> Vec<ExistingVms> {
    let mut told = Vec::new();
    memory.existing_told.retain(|name, claimed_at| {
        pool.bindings.iter().any(|binding| &binding.name == name && binding.claimed_at == Some(*claimed_at))
    });
    for binding in &pool.bindings {
        let name = &binding.name;
        let of_binding = inventory.instances.partition_point(|other| &other.binding < name);
        let rest = inventory.instances.get_mut(of_binding..).unwrap_or_default();
        let rest = rest.iter_mut().take_while(|other| &other.binding == name);
        let mut existing: Vec<_> = rest.filter(|instance| instance.existing).collect();
        let Some(claimed_at) = binding.claimed_at.filter(|_| !existing.is_empty()) else { continue };
        if memory.existing_told.contains_key(name) {
            continue;
        }
        let writable = pool.mode == Mode::Active && pool.deletion.is_none();
        let listed = seen
            .sets
            .get(name)
            .is_some_and(|set| set.blocked.is_none() && set.instances.fresh_at().is_some());
        let members: Vec<_> = existing
            .iter()
            .filter(|instance| instance.state != State::Deleting && !instance.saved)
            .map(|instance| select::member(instance, Cause::Existing))
            .collect();
        if writable && listed && !members.is_empty() {
            memory.existing_told.insert(name.clone(), claimed_at);
            told.push(ExistingVms { binding: name.clone(), claimed_at, members });
        }
        for instance in &mut existing {
            instance.existing = false;
        }
    }
    told.sort_by(|a, b| a.binding.cmp(&b.binding));
    told
}
