//! Failed starts in a row. A scale set whose image does not start is tried with one VM at a time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    index::Index,
    instance::{Instance, State, after},
    memory::{FailedStarts, Memory, Sighting},
    notices,
    pool::{Binding, BindingName, Pool},
    reason::BindingReason,
    snapshot::{Snapshot, VmFailure, VmFailureKind, VmId},
};

/// Counts the starts that have failed since the last pass, and forgets those before one that succeeded.
///
/// Of what has become of VMs while nobody looked (`resumed`: an operator's first pass) nothing is counted.
pub(crate) fn count(
    memory: &mut Memory,
    pool: &Pool,
    seen: &Snapshot,
    instances: &[Instance],
    before: &BTreeMap<VmId, Sighting>,
    resumed: bool,
    now: Timestamp,
) {
    let listed: BTreeSet<&BindingName> = pool.bindings.iter().map(|binding| &binding.name).collect();
    memory.failed_starts.retain(|binding, _| listed.contains(binding));
    // A list that could not be read for a while shows old VMs too.
    let young = |instance: &Instance| {
        !resumed && instance.born.is_none_or(|born| after(born, pool.start_timeout) > now)
    };
    let starts = |instance: &Instance| {
        let before = before.get(&instance.vm_id);
        !instance.saved && before.map_or_else(|| young(instance), |before| !before.was_online)
    };
    let fails = |instance: &Instance| {
        let before = before.get(&instance.vm_id);
        before.map_or_else(|| young(instance), |before| before.state != instance.state)
            && !notices::was_told(memory, notices::FAILED_TO_START, &instance.vm_id)
    };
    let mut failed: BTreeMap<&BindingName, (u32, &Instance)> = BTreeMap::new();
    let mut started: BTreeSet<&BindingName> = BTreeSet::new();
    for instance in instances.iter().filter(|instance| listed.contains(&instance.binding)) {
        if instance.was_online && starts(instance) {
            started.insert(&instance.binding);
        }
        if matches!(instance.state, State::FailedToStart | State::CreationFailed) && fails(instance) {
            let (count, last) = failed.entry(&instance.binding).or_insert((0, instance));
            *count = count.saturating_add(1);
            *last = instance;
        }
    }
    for binding in started {
        memory.failed_starts.remove(binding);
        failed.remove(binding);
    }
    if failed.is_empty() {
        return;
    }
    let failures = failures(seen);
    for (binding, (more, last)) in failed {
        let failure = failures.get(&last.vm_id).copied();
        let count = memory.failed_starts.get(binding).map_or(0, |before| before.count).saturating_add(more);
        let starts =
            FailedStarts { count, reason: reason(last, failure), message: message(pool, last, failure) };
        memory.failed_starts.insert(binding.clone(), starts);
    }
}

/// What failed of which VM.
pub(crate) fn failures(seen: &Snapshot) -> Index<&VmId, &VmFailure> {
    let vms = seen.sets.values().filter_map(|set| set.instances.latest()).flatten();
    vms.filter_map(|vm| Some((&vm.vm_id, vm.failure.as_ref()?))).collect()
}

fn reason(instance: &Instance, failure: Option<&VmFailure>) -> BindingReason {
    match failure.map(|failure| failure.kind) {
        Some(VmFailureKind::Creation) => BindingReason::CreationFailed,
        Some(VmFailureKind::Extension) => BindingReason::ExtensionFailed,
        Some(VmFailureKind::Script) => BindingReason::ScriptFailed,
        None if instance.state == State::CreationFailed => BindingReason::CreationFailed,
        None => BindingReason::FailedToStart,
    }
}

/// Why it failed to start, in Azure's words or ours.
pub(crate) fn message(pool: &Pool, instance: &Instance, failure: Option<&VmFailure>) -> String {
    match failure {
        Some(failure) => failure.message.clone(),
        None if instance.state == State::CreationFailed => "Azure could not create it".to_owned(),
        None => format!("not online {:#} after its start", pool.start_timeout),
    }
}

/// How many VMs may be on their way on an unhealthy image's scale set, besides those that are already; `None`: the
/// image is healthy.
pub(crate) fn allowed<'a>(
    pool: &Pool,
    memory: &'a Memory,
    binding: &Binding,
    on_their_way: u32,
) -> Option<(u32, &'a FailedStarts)> {
    let failed = memory.failed_starts.get(&binding.name)?;
    (failed.count >= pool.max_failed_starts.max(1)).then(|| (1_u32.saturating_sub(on_their_way), failed))
}
