//! Operations: from the intent that is stored before the deed to the end that Azure reports.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::{Backoff, Memory, Operation, OperationKind, Step},
    plan::{Action, Cause, Failure, LimitedBy, Outcome, Removal},
    pool::{BindingName, Pool, ScaleOut},
    snapshot::{OperationProgress, Snapshot, VmId},
};

/// A delete may wait for a terminate notification of up to 15 minutes (Azure).
pub(crate) const DELETE_TIMEOUT: SignedDuration = SignedDuration::from_mins(20);
/// New members are in Azure's list at once; a list that is a little older than the end of a growth is waited for.
const LIST_LAG: SignedDuration = SignedDuration::from_mins(1);

/// An id that is unique within the pool: one operation of a kind per binding and pass.
pub(crate) fn id(kind: &str, binding: &BindingName, now: Timestamp) -> String {
    format!("{kind}-{binding}-{}", now.as_millisecond())
}

/// Ends the operations that Azure reports as ended, or whose time is over.
pub(crate) fn end(memory: &mut Memory, pool: &Pool, seen: &Snapshot, now: Timestamp) {
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
            Some(OperationProgress::Failed(failure)) => {
                // Azure ends a growth as failed when a newer one takes its place; the newer one tells.
                let replaced = newest.get(&operation.binding).is_some_and(|at| *at > operation.started_at);
                if !(grows && replaced) {
                    failed.push((operation.binding.clone(), grows, failure.clone()));
                    ended_steps.extend(grows.then_some(operation.started_at));
                }
                // What is left of a removal is an intent again: its agent records are gone, its VMs are not.
                operation.url = None;
            }
            Some(OperationProgress::Succeeded) if grows => {
                memory.backoffs.remove(&operation.binding);
                operation.deadline = operation.deadline.min(after(now, LIST_LAG));
            }
            Some(OperationProgress::Succeeded | OperationProgress::InProgress) => {}
            // A growth that was never confirmed is no step; if Azure has it all the same, the capacity shows it.
            None => ended_steps.extend((grows && operation.url.is_none()).then_some(operation.started_at)),
        }
    }
    let unlisted = |binding: &BindingName, target: u32| {
        let listed = seen.sets.get(binding).and_then(|set| set.instances.latest());
        listed.is_none_or(|vms| crate::instance::members(vms) < target)
    };
    memory.operations.retain(|operation| {
        let succeeded = seen.operations.get(&operation.id) == Some(&OperationProgress::Succeeded);
        match operation.kind {
            OperationKind::Create { target, .. } => operation.url.as_ref().is_some_and(|url| {
                let ended = succeeded || url.is_empty();
                now < operation.deadline && (!ended || unlisted(&operation.binding, target))
            }),
            OperationKind::Delete(_) => now < operation.deadline,
            // The deadline of a reimage is judged with its VM.
            OperationKind::Reimage(_) => true,
        }
    });
    memory.step.take_if(|step| ended_steps.contains(&step.started_at));
    for (binding, grows, failure) in failed {
        memory.back_off(binding, grows, failure, now);
    }
}

/// Leaves out of each removal the VMs for which it is over.
pub(crate) fn finish_removals(memory: &mut Memory, inventory: &Inventory, seen: &Snapshot) {
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
pub(crate) fn intend(memory: &mut Memory, pool: &Pool, action: &Action, now: Timestamp) {
    let (operation, kind, timeout) = match action {
        Action::Disable { member, .. } => {
            memory.disabled.extend(member.agent.map(|agent| (agent, now)));
            if member.cause == Cause::Excess {
                memory.staircase.lower(1);
            }
            return;
        }
        Action::Grow { operation, binding, by, target, .. } => {
            if matches!(pool.scale_out, ScaleOut::ElasticPool { .. }) {
                memory.step = Some(Step { started_at: now, binding: binding.clone(), target: *target });
            }
            (operation, OperationKind::Create { count: *by, target: *target }, pool.start_timeout)
        }
        Action::Remove { operation, removal, members, .. } => {
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

impl Memory {
    /// Takes up what became of an action.
    pub fn record(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Done => {}
            Outcome::InFlight { operation, url, covered } => {
                if let Some(found) = self.operations.iter_mut().find(|other| other.id == operation) {
                    let covered: BTreeSet<VmId> = covered.into_iter().collect();
                    found.url = url;
                    found.kind.retain(|vm| covered.contains(vm));
                }
            }
            Outcome::Refused { operation } => self.forget(operation.as_deref()),
            Outcome::Failed { operation, binding, failure } => {
                let id = operation.as_deref();
                let failed = self.operations.iter().find(|other| Some(other.id.as_str()) == id);
                let creates = failed.is_some_and(|other| matches!(other.kind, OperationKind::Create { .. }));
                // A failed removal may have deleted agent records: its intent stays, and is taken up again.
                if creates {
                    self.forget(id);
                }
                self.back_off(binding, creates, failure, now);
            }
        }
    }

    /// A refused operation is none, and its step no step.
    fn forget(&mut self, operation: Option<&str>) {
        let Some(id) = operation else { return };
        let gone = self.operations.extract_if(.., |other| other.id == id);
        let starts: Vec<Timestamp> = gone.map(|other| other.started_at).collect();
        self.step.take_if(|step| starts.contains(&step.started_at));
    }

    /// Growth and removal wait apart: a failing reimage delays no growth, and a used-up quota no deletion.
    fn back_off(&mut self, binding: BindingName, creates: bool, failure: Failure, now: Timestamp) {
        let backoffs = if creates { &mut self.backoffs } else { &mut self.removal_backoffs };
        let failures = backoffs.get(&binding).map_or(0, |backoff| backoff.failures).saturating_add(1);
        let wait = failure.retry_after.unwrap_or_else(|| first_wait(failure.limit)).max(doubled(failures));
        let Failure { limit, message, retry_after: _ } = failure;
        backoffs.insert(binding, Backoff { until: after(now, wait), failures, message, limit });
    }
}

/// Karpenter's figures: quota 10 minutes, capacity an hour; others are tried again after 10 s.
fn first_wait(limit: LimitedBy) -> SignedDuration {
    match limit {
        LimitedBy::Quota | LimitedBy::Subnet => SignedDuration::from_mins(10),
        LimitedBy::Allocation => SignedDuration::from_hours(1),
        LimitedBy::Throttling => SignedDuration::from_mins(1),
        LimitedBy::Nothing
        | LimitedBy::MaxAgents
        | LimitedBy::BindingMaximum
        | LimitedBy::Increment
        | LimitedBy::Hold
        | LimitedBy::Mode => SignedDuration::from_secs(10),
    }
}

/// 10 s, doubled per failure, at most about 5 minutes.
fn doubled(failures: u32) -> SignedDuration {
    SignedDuration::from_secs(10).saturating_mul(1 << failures.saturating_sub(1).min(5))
}
