//! Operations: from the intent that is stored before the deed to the end that Azure reports.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    failure::{Backoff, FailureKind},
    gate::DIFFERENCE_PATIENCE,
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::{Memory, Operation, OperationKind, Step, Tagged},
    plan::{Action, Cause, Removal},
    pool::{BindingName, Pool, ScaleOut},
    snapshot::{OperationProgress, Orchestration, Provisioning, Snapshot, VmId},
    told::Lost,
};

/// A delete may wait for a terminate notification of up to 15 minutes (Azure).
pub(crate) const DELETE_TIMEOUT: SignedDuration = SignedDuration::from_mins(20);
/// New members are in Azure's list at once; a list that is a little older than the end of a growth is waited for.
const LIST_LAG: SignedDuration = SignedDuration::from_mins(1);

/// An id that is unique within the pool: one operation of a kind per binding and pass.
pub(crate) fn id(kind: &str, binding: &BindingName, now: Timestamp) -> String {
    format!("{kind}-{binding}-{}", now.as_millisecond())
}

/// Ends the operations that Azure reports as ended, or whose time is over; those that never ended are returned.
pub(crate) fn end(memory: &mut Memory, pool: &Pool, seen: &Snapshot, now: Timestamp) -> Vec<Lost> {
    // Those of a scale set that has left the pool have nobody to wait for them.
    memory
        .operations
        .retain(|operation| pool.bindings.iter().any(|binding| binding.name == operation.binding));
    let mut failed = Vec::new();
    let mut ended_steps = Vec::new();
    let creates = |operation: &Operation| matches!(operation.kind, OperationKind::Create { .. });
    let mut newest: BTreeMap<BindingName, Timestamp> = BTreeMap::new();
    for operation in memory.operations.iter().filter(|operation| creates(operation)) {
        let last = newest.entry(operation.binding.clone()).or_insert(operation.started_at);
        *last = operation.started_at.max(*last);
    }
    for operation in &mut memory.operations {
        let grows = creates(operation);
        match seen.operations.get(&operation.id).filter(|_| operation.url.is_some()) {
            Some(progress) if is_carried_out(progress) => {
                if grows {
                    // What still fitted into a quota says nothing about the rest.
                    let ends = |backoff: &Backoff| operation.started_at >= backoff.until;
                    if memory.backoffs.get(&operation.binding).is_some_and(ends) {
                        memory.backoffs.remove(&operation.binding);
                    }
                    operation.deadline = operation.deadline.min(after(now, LIST_LAG));
                }
                if !matches!(operation.kind, OperationKind::Delete(_)) {
                    // Told once; from here on the VMs tell.
                    operation.url = Some(String::new());
                }
            }
            Some(OperationProgress::Failed(failure)) => {
                // Azure ends a growth as failed when a newer one takes its place; the newer one tells.
                let replaced = newest.get(&operation.binding).is_some_and(|at| *at > operation.started_at);
                if !(grows && replaced) {
                    let vms = operation.kind.vms().to_vec();
                    let target = match operation.kind {
                        OperationKind::Create { target, .. } => Some(target),
                        OperationKind::Delete(_) | OperationKind::Reimage(_) => None,
                    };
                    failed.push((operation.binding.clone(), target, vms, failure.clone()));
                    ended_steps.extend(grows.then_some(operation.started_at));
                }
                // What is left of a removal is an intent again: its agent records are gone, its VMs are not.
                operation.url = None;
            }
            Some(OperationProgress::InProgress | OperationProgress::Succeeded) => {}
            // A growth that was never confirmed is no step; if Azure has it all the same, the capacity shows it.
            None => ended_steps.extend((grows && operation.url.is_none()).then_some(operation.started_at)),
        }
    }
    // A list may be older than a deletion, which the target does not count any more.
    let deleted = |kind: &OperationKind| matches!(kind, OperationKind::Delete(_));
    let removals = memory.operations.iter().map(|operation| &operation.kind).filter(|kind| deleted(kind));
    let going: BTreeSet<VmId> = removals.flat_map(OperationKind::vms).cloned().collect();
    let unlisted = |binding: &BindingName, target: u32| {
        let listed = seen.sets.get(binding).and_then(|set| set.instances.latest());
        listed.is_none_or(|vms| {
            let going = vms
                .iter()
                .filter(|vm| vm.provisioning != Provisioning::Deleting && going.contains(&vm.vm_id))
                .count();
            let members = crate::instance::members(vms);
            members.saturating_sub(u32::try_from(going).unwrap_or(u32::MAX)) < target
        })
    };
    // A list of before the deadline cannot say that nothing came, or went.
    let looked = |operation: &Operation| {
        let listed = seen.sets.get(&operation.binding).and_then(|set| set.instances.as_of());
        now >= operation.deadline && listed.is_some_and(|at| at >= operation.deadline)
    };
    let mut lost = Vec::new();
    memory.operations.retain(|operation| {
        let succeeded = seen.operations.get(&operation.id).is_some_and(is_carried_out);
        let stays = match operation.kind {
            OperationKind::Create { target, .. } => operation.url.as_ref().is_some_and(|url| {
                let ended = succeeded || url.is_empty();
                !looked(operation) && (!ended || unlisted(&operation.binding, target))
            }),
            OperationKind::Delete(_) => !looked(operation),
            // The deadline of a reimage is judged with its VM.
            OperationKind::Reimage(_) => true,
        };
        lost.extend((!stays && !succeeded && is_lost(operation, seen, now)).then(|| told(operation)));
        stays
    });
    memory.step.take_if(|step| ended_steps.contains(&step.started_at));
    // Growths first: a deletion that failed with one brings back whom its target does not count.
    failed.sort_by_key(|(_, target, ..)| target.is_none());
    for (binding, target, vms, failure) in failed {
        let grows = target.is_some();
        if let Some(target) = target {
            memory.failed_growths.insert(binding.clone(), (after(now, LIST_LAG), target));
        }
        if grows && let Ok(long_ago) = now.checked_sub(DIFFERENCE_PATIENCE) {
            // Azure has said that the rest does not come: capacity and list differ for good, and nobody waits for it.
            memory.differs_since.insert(binding.clone(), long_ago);
        }
        if !grows && let Some((_, target)) = memory.failed_growths.get_mut(&binding) {
            // Whoever was not counted, because it was to go, may stay.
            *target = target.saturating_add(u32::try_from(vms.len()).unwrap_or(u32::MAX));
        }
        if !grows && orchestration(seen, &binding) == Orchestration::Flexible {
            memory.back_off_vms(binding, vms, failure, now);
        } else {
            memory.back_off(binding, grows, failure, now);
        }
    }
    lost
}

/// Azure has done what was asked, for all VMs. Those that do not start are judged one by one, like any other: a reimage
/// that was tried again for one of them would take the others with it, and their agents may be starting.
fn is_carried_out(progress: &OperationProgress) -> bool {
    match progress {
        OperationProgress::Succeeded => true,
        OperationProgress::Failed(failure) => failure.kind == FailureKind::StartFailed,
        OperationProgress::InProgress => false,
    }
}

/// How the VMs of a scale set are operated on; one at a time where that is not known.
pub(crate) fn orchestration(seen: &Snapshot, binding: &BindingName) -> Orchestration {
    let set = seen.sets.get(binding).and_then(|set| set.scale_set.latest());
    set.map_or(Orchestration::Uniform, |set| set.orchestration)
}

/// Its deadline has passed, and what it was to bring or take is still missing or there. A reimage is judged with its
/// VM.
fn is_lost(operation: &Operation, seen: &Snapshot, now: Timestamp) -> bool {
    let listed = seen.sets.get(&operation.binding).and_then(|set| set.instances.latest());
    let Some(url) = operation.url.as_ref().filter(|_| now >= operation.deadline) else { return false };
    match &operation.kind {
        OperationKind::Create { target, .. } => {
            !url.is_empty() || listed.is_none_or(|vms| crate::instance::members(vms) < *target)
        }
        OperationKind::Delete(doomed) => {
            let doomed: BTreeSet<&VmId> = doomed.iter().collect();
            listed.is_none_or(|vms| vms.iter().any(|vm| doomed.contains(&vm.vm_id)))
        }
        OperationKind::Reimage(_) => false,
    }
}

fn told(operation: &Operation) -> Lost {
    let Operation { id, binding, kind, started_at, .. } = operation.clone();
    let what = match &kind {
        OperationKind::Create { count, .. } => format!("the creation of {count}"),
        OperationKind::Delete(vms) => format!("the deletion of {}", vms.len()),
        OperationKind::Reimage(vms) => format!("the reimage of {}", vms.len()),
    };
    let begun = started_at.strftime("%H:%M:%SZ");
    let message = format!("{what} on {binding}, begun at {begun}, has not ended in time: given up");
    Lost { operation: id, binding, kind, since: started_at, message }
}

/// Leaves out of each removal the VMs for which it is over; the reimages that never ended are returned.
pub(crate) fn finish_removals(
    memory: &mut Memory,
    inventory: &Inventory,
    seen: &Snapshot,
    now: Timestamp,
) -> Vec<Lost> {
    let removals = || memory.operations.iter().flat_map(|operation| operation.kind.vms());
    let covered: BTreeSet<&VmId> = removals().collect();
    let by_vm: BTreeMap<&VmId, &Instance> = inventory
        .instances
        .iter()
        .map(|instance| (&instance.vm_id, instance))
        .filter(|(vm, _)| covered.contains(vm))
        .collect();
    for operation in &mut memory.operations {
        let listed = seen.sets.get(&operation.binding).is_some_and(|set| set.instances.fresh_at().is_some());
        let confirmed = operation.url.is_some();
        let reimages = matches!(operation.kind, OperationKind::Reimage(_));
        operation.kind.retain(|vm| match by_vm.get(vm) {
            None => !listed,
            Some(found) if !confirmed => found.agent.is_none(),
            Some(found) => !reimages || matches!(found.state, State::Recycling | State::FailedToStart),
        });
    }
    memory.operations.retain(Operation::is_about_something);
    // A reimage stays in the memory until its VM goes, so it is noted that its loss was told.
    let given_up = |vm: &VmId| by_vm.get(vm).is_some_and(|found| found.state == State::FailedToStart);
    let mut lost = Vec::new();
    for operation in &memory.operations {
        let reimages = matches!(operation.kind, OperationKind::Reimage(_)) && operation.url.is_some();
        let ended = operation.url.as_ref().is_some_and(String::is_empty);
        let over = now >= operation.deadline && operation.kind.vms().iter().any(given_up);
        if reimages && over && !ended && memory.lost.insert(operation.id.clone()) {
            lost.push(told(operation));
        }
    }
    if !memory.lost.is_empty() {
        let known: BTreeSet<&String> = memory.operations.iter().map(|operation| &operation.id).collect();
        memory.lost.retain(|id| known.contains(id));
    }
    lost
}

/// VMs that Azure has accepted to create and that no list shows yet.
pub(crate) fn ordered(memory: &Memory, inventory: &Inventory) -> BTreeMap<BindingName, u32> {
    let mut ordered: BTreeMap<BindingName, u32> = BTreeMap::new();
    for operation in &memory.operations {
        if let OperationKind::Create { target, .. } = operation.kind {
            let unseen = target.saturating_sub(inventory.members(&operation.binding));
            if unseen > 0 {
                let most = ordered.entry(operation.binding.clone()).or_default();
                *most = unseen.max(*most);
            }
        }
    }
    ordered
}

/// Writes the intent of an action into memory, which is stored before the deed.
pub(crate) fn intend(
    memory: &mut Memory,
    pool: &Pool,
    inventory: &Inventory,
    action: &Action,
    now: Timestamp,
) {
    let (operation, kind, timeout) = match action {
        Action::Disable { member, .. } => {
            // It settles from the first list that shows it disabled: a call may come late.
            if member.cause == Cause::Excess {
                memory.staircase.lower(1);
            }
            return;
        }
        // The tags will say it.
        Action::Save { binding, members } => {
            let tagged = memory.tagged.entry(binding.clone()).or_insert_with(|| Tagged::new(now));
            tagged.at = now;
            tagged.saved.extend(members.iter().map(|member| member.vm_id.clone()));
            return;
        }
        Action::Unmark { binding, .. } => {
            memory.tagged.entry(binding.clone()).or_insert_with(|| Tagged::new(now)).at = now;
            return;
        }
        Action::Grow { operation, binding, by, target, capacity } => {
            // In members: a capacity may still count VMs that are being deleted.
            let target = target.saturating_sub(inventory.set(binding).leaving_in(*capacity));
            if matches!(pool.scale_out, ScaleOut::ElasticPool { .. }) {
                memory.step = Some(Step { started_at: now, binding: binding.clone(), target });
            }
            if let Some(backoff) = memory.backoffs.get_mut(binding) {
                backoff.take(*by);
            }
            (operation, OperationKind::Create { count: *by, target }, pool.start_timeout)
        }
        Action::Remove { operation, binding, removal, members } => {
            // Beside a growth: what goes was counted in the members that it is to reach; what is tried again, no more.
            let goes = |vm: &VmId| {
                let deletes = |other: &&Operation| matches!(other.kind, OperationKind::Delete(_));
                memory.operations.iter().filter(deletes).any(|other| other.kind.covers(vm))
            };
            let gone = members.iter().filter(|member| !goes(&member.vm_id)).count();
            let gone = u32::try_from(gone).unwrap_or(u32::MAX);
            let beside = *removal == Removal::Delete && inventory.set(binding).is_flexible();
            for other in memory.operations.iter_mut().filter(|other| beside && &other.binding == binding) {
                if let OperationKind::Create { target, .. } = &mut other.kind {
                    *target = target.saturating_sub(gone);
                }
            }
            let taken: BTreeSet<&VmId> = members.iter().map(|member| &member.vm_id).collect();
            for other in &mut memory.operations {
                other.kind.retain(|vm| !taken.contains(vm));
            }
            memory.operations.retain(Operation::is_about_something);
            let vms: Vec<_> = members.iter().map(|member| member.vm_id.clone()).collect();
            match removal {
                Removal::Delete => (operation, OperationKind::Delete(vms), DELETE_TIMEOUT),
                Removal::Reimage => (operation, OperationKind::Reimage(vms), pool.start_timeout),
            }
        }
    };
    memory.operations.push(Operation {
        id: operation.clone(),
        binding: action.binding().clone(),
        kind,
        started_at: now,
        deadline: after(now, timeout),
        url: None,
    });
}
