//! The end of a pool: whether nothing is left of it.

use jiff::Timestamp;

use crate::{
    gate,
    inventory::Inventory,
    memory::Memory,
    pool::{Binding, DeletionPolicy, Mode, Pool},
    records,
    snapshot::{SetView, Snapshot},
};

/// The pool is being deleted, and nothing is left that it has to remove.
pub(crate) fn is_over(
    pool: &Pool,
    seen: &Snapshot,
    memory: &Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> bool {
    let seen_empty = |binding: &Binding| {
        let never_ours = |set: &SetView| {
            set.blocked.as_ref().is_some_and(|blocked| blocked.pending) && set.instances.latest().is_none()
        };
        let set = seen.sets.get(&binding.name);
        memory.is_settled(&binding.name, now)
            && set.is_some_and(|set| never_ours(set) || gate::just_listed(set, now))
    };
    match pool.deletion {
        None => false,
        Some(DeletionPolicy::Orphan) => true,
        // A pool that only observes has made nothing, and removes nothing.
        Some(DeletionPolicy::Drain) if pool.mode == Mode::Observe => true,
        Some(DeletionPolicy::Drain) => {
            nothing_left(pool, memory, inventory)
                && pool.bindings.iter().all(seen_empty)
                && gate::just_read(seen, now)
                && !marked(pool, seen)
                && !records::left(pool, seen, memory)
        }
    }
}

/// The tags of a scale set that may be written to still say that a VM is saved.
fn marked(pool: &Pool, seen: &Snapshot) -> bool {
    pool.bindings.iter().any(|binding| {
        let set = seen.sets.get(&binding.name).filter(|set| set.blocked.is_none());
        set.and_then(|set| set.scale_set.latest()).is_some_and(|set| !set.saved.is_empty())
    })
}

pub(crate) fn nothing_left(pool: &Pool, memory: &Memory, inventory: &Inventory) -> bool {
    let empty = |binding: &Binding| inventory.set(&binding.name).counts.total() == 0;
    memory.operations.is_empty() && pool.bindings.iter().all(empty)
}
