//! Who takes no further job although it could: what was there before a claim, what is as old as it may be, and what a
//! person has named; and who is saved for investigation.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    gate,
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::{Memory, OperationKind},
    plan::{Action, Cause},
    pool::{Binding, BindingName, DeletionPolicy, Lifecycle, Mode, Pool},
    snapshot::{SetView, Snapshot},
    told::Saved,
};

/// Azure allows 50 tags on a resource; the claim and the owner's own tags take the rest.
const SAVED_PER_SET: usize = 30;
/// One agent in so many may leave for its lifetime at a time, so that those of one age do not vanish together.
const LEAVERS: usize = 10;
/// An agent whose last job takes longer keeps no other from leaving.
const LAST_JOB: SignedDuration = SignedDuration::from_hours(1);

/// Notes at each instance whether it leaves or is to be saved; when the next one will be as old as it may be.
pub(crate) fn note(
    pool: &Pool,
    seen: &Snapshot,
    memory: &Memory,
    inventory: &mut Inventory,
    now: Timestamp,
) -> Option<Timestamp> {
    let bindings: BTreeMap<&BindingName, &Binding> =
        pool.bindings.iter().map(|binding| (&binding.name, binding)).collect();
    save(pool, seen, &bindings, &mut inventory.instances);
    let drain = &pool.verbs.drain;
    let asks = drain.all || !drain.names.is_empty();
    for instance in &mut inventory.instances {
        if instance.existing {
            instance.leaves = Some(Cause::Existing);
        } else if asks && asked_to_leave(pool, instance) {
            instance.leaves = Some(Cause::Asked);
        }
    }
    let Lifecycle::Stateful { max_lifetime } = pool.lifecycle else { return None };
    let (next, due, room) = due(&bindings, memory, &mut inventory.instances, max_lifetime, now);
    // Who else leaves is seen in a list that is missing.
    let room = if inventory.known { room } else { 0 };
    for instance in due.into_iter().take(room) {
        instance.leaves = Some(Cause::Lifetime);
    }
    next
}

/// `*` means those that have been online: what starts meanwhile stays.
fn asked_to_leave(pool: &Pool, instance: &Instance) -> bool {
    let named = pool.verbs.drain.covers(&instance.vm_id, &instance.computer_name);
    named && !instance.saved && !(pool.verbs.drain.all && instance.state.is_coming())
}

/// The instance is as old as its agent may be.
pub(crate) fn is_past(instance: &Instance, max_lifetime: SignedDuration, now: Timestamp) -> bool {
    instance.born.is_some_and(|born| after(born, max_lifetime) <= now)
}

/// Those that are as old as they may be, the oldest first, and how many of them may leave now; and when the next one
/// will be. Whoever is disabled leaves anyway.
fn due<'a>(
    bindings: &BTreeMap<&BindingName, &Binding>,
    memory: &Memory,
    instances: &'a mut [Instance],
    max_lifetime: SignedDuration,
    now: Timestamp,
) -> (Option<Timestamp>, Vec<&'a mut Instance>, usize) {
    let (mut alive, mut leaving) = (0_usize, 0_usize);
    let mut next: Option<Timestamp> = None;
    let mut due: Vec<&mut Instance> = Vec::new();
    for instance in instances {
        if bindings.get(&instance.binding).is_none_or(|binding| binding.cordoned()) {
            continue;
        }
        alive += usize::from(!instance.state.is_lost() && !instance.saved);
        let past = is_past(instance, max_lifetime, now);
        match instance.state {
            State::Idle | State::Busy | State::Draining if !past => {
                let ends = instance.born.map(|born| after(born, max_lifetime));
                next = [next, ends].into_iter().flatten().min();
            }
            State::Deleting => leaving += usize::from(past),
            State::Idle | State::Busy | State::Draining if instance.stays() && !instance.ambiguous => {
                if instance.enabled {
                    due.push(instance);
                    continue;
                }
                instance.leaves = Some(Cause::Lifetime);
                let since = instance.agent.and_then(|agent| memory.disabled.get(&agent).copied());
                let long =
                    instance.state == State::Busy && since.is_some_and(|since| after(since, LAST_JOB) <= now);
                leaving += usize::from(!long);
            }
            State::Idle
            | State::Busy
            | State::Draining
            | State::Creating
            | State::Starting
            | State::Recycling
            | State::Used
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Saved => {}
        }
    }
    due.sort_unstable_by(|a, b| (a.born, &a.vm_id).cmp(&(b.born, &b.vm_id)));
    let room = alive.div_ceil(LEAVERS).saturating_sub(leaving);
    (next, due, room)
}

/// When the next stateful agent will have been idle for the idle delay, where there are too many.
pub(crate) fn own_delay(
    pool: &Pool,
    memory: &Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> Option<Timestamp> {
    if memory.staircase.stairs().is_empty() || !matches!(pool.lifecycle, Lifecycle::Stateful { .. }) {
        return None;
    }
    let idle = inventory.instances.iter().filter(|instance| instance.state == State::Idle);
    idle.map(|instance| after(instance.since, pool.idle_delay)).filter(|at| *at > now).min()
}

/// First those that a person has named, then those that failed to start, as many as are allowed.
fn save(
    pool: &Pool,
    seen: &Snapshot,
    bindings: &BTreeMap<&BindingName, &Binding>,
    instances: &mut [Instance],
) {
    let verb = &pool.verbs.save;
    let named = verb.all || !verb.names.is_empty();
    if pool.deletion.is_some() || !(named || pool.save_for_investigation > 0) {
        return;
    }
    let known = tags_known(pool, seen);
    let mut room = Room::new(pool, seen, instances);
    for instance in instances.iter_mut().filter(|_| named) {
        let can_be = match instance.state {
            State::Creating | State::Recycling | State::Deleting | State::Saved => false,
            State::Starting
            | State::Idle
            | State::Busy
            | State::Used
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped => !instance.saved && !instance.ambiguous,
        };
        let covered = can_be && verb.covers(&instance.vm_id, &instance.computer_name);
        if covered && leaves_not(bindings, instance) {
            instance.undecided = !known;
            let saves = known && room.take(&instance.binding, pool.max_agents);
            instance.saves = saves.then_some(Cause::Asked);
        }
    }
    let most = pool.save_for_investigation.min(pool.max_agents);
    let failed = instances.iter_mut().filter(|instance| instance.state == State::FailedToStart);
    for instance in failed.filter(|instance| instance.saves.is_none() && most > 0) {
        if leaves_not(bindings, instance) {
            instance.undecided = !known;
            let saves = known && room.take(&instance.binding, most);
            instance.saves = saves.then_some(Cause::FailedToStart);
        }
    }
}

/// The tags and VMs of every scale set that has ever been ours are known.
fn tags_known(pool: &Pool, seen: &Snapshot) -> bool {
    pool.bindings.iter().filter_map(|binding| seen.sets.get(&binding.name)).all(|set| {
        let (tags, vms) = (set.scale_set.latest().is_some(), set.instances.latest().is_some());
        (tags && vms) || (set.blocked.is_some() && !vms)
    })
}

/// Its binding is listed and not being deleted.
fn leaves_not(bindings: &BTreeMap<&BindingName, &Binding>, instance: &Instance) -> bool {
    bindings.get(&instance.binding).is_some_and(|binding| !binding.draining)
}

/// How many are saved.
struct Room<'a> {
    in_pool: u32,
    by_set: BTreeMap<&'a BindingName, usize>,
}

impl<'a> Room<'a> {
    fn new(pool: &Pool, seen: &'a Snapshot, instances: &[Instance]) -> Self {
        let listed = |instance: &&Instance| {
            instance.saved && pool.bindings.iter().any(|binding| binding.name == instance.binding)
        };
        let saved = instances.iter().filter(|instance| instance.state != State::Deleting).filter(listed);
        let marks = |set: &'a SetView| set.scale_set.latest().map(|set| &set.saved);
        let by_set = seen.sets.iter().filter_map(|(name, set)| {
            // Those whose mark is just being written are in no list yet.
            let written = |instance: &&Instance| {
                instance.saved
                    && &instance.binding == name
                    && marks(set).is_some_and(|saved| !saved.contains_key(&instance.vm_id))
            };
            Some((name, marks(set)?.len() + instances.iter().filter(written).count()))
        });
        Self { in_pool: u32::try_from(saved.count()).unwrap_or(u32::MAX), by_set: by_set.collect() }
    }

    /// One more, if fewer than `most` are saved in the pool. Nobody is saved where the tags are not known.
    fn take(&mut self, binding: &BindingName, most: u32) -> bool {
        match self.by_set.get_mut(binding) {
            Some(in_set) if *in_set < SAVED_PER_SET && self.in_pool < most => {
                *in_set += 1;
                self.in_pool += 1;
                true
            }
            Some(_) | None => false,
        }
    }
}

/// Those that are saved, by binding and VM.
pub(crate) fn saved(seen: &Snapshot, instances: &[Instance]) -> Vec<Saved> {
    let saved = |instance: &&Instance| instance.saved && instance.state != State::Deleting;
    let told = |instance: &Instance| {
        let set = seen.sets.get(&instance.binding).and_then(|set| set.scale_set.latest());
        let mark = set.and_then(|set| set.saved.get(&instance.vm_id));
        Saved {
            binding: instance.binding.clone(),
            vm_id: instance.vm_id.clone(),
            instance_id: instance.instance_id.clone(),
            computer_name: instance.computer_name.clone(),
            at: mark.and_then(|mark| mark.at),
        }
    };
    instances.iter().filter(saved).map(told).collect()
}

/// Marks of VMs that are gone from a list that was just read.
pub(crate) fn unmark(pool: &Pool, seen: &Snapshot, memory: &Memory, now: Timestamp) -> Vec<Action> {
    let writes = pool.mode == Mode::Active || pool.deletion == Some(DeletionPolicy::Drain);
    let of = |binding: &Binding| {
        let name = &binding.name;
        let set = seen.sets.get(name).filter(|set| set.blocked.is_none() && gate::just_listed(set, now))?;
        let (marks, vms) = (&set.scale_set.latest()?.saved, set.instances.latest()?);
        if marks.is_empty() || memory.tagged.contains_key(name) || set.scale_set.why().is_some() {
            return None;
        }
        let goes = |vm: &_| {
            let deletes = |kind: &OperationKind| matches!(kind, OperationKind::Delete(_)) && kind.covers(vm);
            memory.operations.iter().any(|operation| deletes(&operation.kind))
        };
        let gone = marks.keys().filter(|vm| vms.iter().all(|listed| &listed.vm_id != *vm));
        let vms: Vec<_> = gone.filter(|vm| !goes(vm)).cloned().collect();
        (!vms.is_empty()).then(|| Action::Unmark { binding: name.clone(), vms })
    };
    let mut actions: Vec<Action> = pool.bindings.iter().filter(|_| writes).filter_map(of).collect();
    actions.sort_by(|a, b| a.binding().cmp(b.binding()));
    actions
}
