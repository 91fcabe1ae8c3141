//! Operations: their beginning, what holds them up, and their end.

use std::sync::Arc;

use jiff::SignedDuration;
use uuid::Uuid;

use super::{Operation, OperationError, OperationKind, OperationStatus};
use crate::{
    spec::Distribution,
    world::{
        AzureFault, Fault, Kind, SetRef, VmRef, World,
        event::{Event, after},
        journal::Parts,
    },
};

/// Something that will happen when the fault that holds it up is over, so much later.
#[derive(Debug, Clone)]
pub(in crate::world) struct Held {
    set: SetRef,
    delay: SignedDuration,
    event: Event,
}

/// More than anybody polls; without a bound a simulated year would fill the memory.
const OPERATIONS_KEPT: usize = 10_000;

/// How long a preempted operation looks alive.
const PREEMPTED_AFTER: SignedDuration = SignedDuration::from_secs(10);

impl World {
    pub(super) fn start_operation(&mut self, set: SetRef, kind: OperationKind) -> Uuid {
        let id = self.guid();
        let (mut held, mut preempted) = (false, false);
        for trouble in self.faults.azure(set, self.now) {
            held |= trouble.kind == AzureFault::NeverEnds;
            preempted |= trouble.kind == AzureFault::Preempted
                && matches!(kind, OperationKind::Update | OperationKind::Delete);
        }
        if let Some(found) = self.sets.get_mut(set.0)
            && (kind == OperationKind::Update || !found.is_flexible())
        {
            found.provisioning = "Updating";
        }
        self.operations.insert(
            id,
            Operation {
                id,
                set,
                kind,
                status: OperationStatus::InProgress,
                started_at: self.now,
                ended_at: None,
                error: preempted.then(OperationError::preempted),
                pending: 0,
                preempted,
                held,
            },
        );
        if preempted {
            self.queue.push(after(self.now, PREEMPTED_AFTER), Event::OperationCut { operation: id });
        }
        let detail = Some(Arc::from(kind.name()));
        self.write_set(set, Kind::OperationStarted, Parts { detail, ..Parts::default() });
        id
    }

    /// What an operation does to a VM will happen after a while, or that while after a fault that holds it up.
    pub(in crate::world) fn schedule_vm(&mut self, operation: Uuid, delay: Distribution, event: Event) {
        let delay = delay.sample(&mut self.rng);
        match self.operations.get(&operation).filter(|operation| operation.held) {
            Some(Operation { set, .. }) => self.held.push(Held { set: *set, delay, event }),
            None => self.queue.push(after(self.now, delay), event),
        }
    }

    /// Whatever a fault has held up goes on, unless such a fault is still there.
    pub(in crate::world) fn release(&mut self) {
        let now = self.now;
        let is_held = |faults: &crate::world::fault::Faults, set: SetRef| {
            faults.azure(set, now).any(|trouble| trouble.kind == AzureFault::NeverEnds)
        };
        for held in std::mem::take(&mut self.held) {
            if is_held(&self.faults, held.set) {
                self.held.push(held);
            } else {
                self.queue.push(after(now, held.delay), held.event);
            }
        }
        let freed: Vec<Uuid> = self
            .operations
            .values()
            .filter(|operation| operation.held && !is_held(&self.faults, operation.set))
            .map(|operation| operation.id)
            .collect();
        for id in freed {
            if let Some(operation) = self.operations.get_mut(&id) {
                operation.held = false;
            }
            self.end_if_done(id);
        }
    }

    /// A fault of Azure as it is kept: a quota bounds the set from now on.
    pub(in crate::world) fn bound(&self, fault: Fault) -> Fault {
        match fault {
            Fault::Azure(set, mut trouble) if trouble.kind == AzureFault::Quota => {
                let listed = self.sets.get(set.0).map_or(0, super::ScaleSet::listed);
                trouble.allows = trouble.allows.saturating_add(listed);
                Fault::Azure(set, trouble)
            }
            other => other,
        }
    }

    /// Notes the first reason why an operation will not succeed.
    pub(in crate::world) fn fail_operation(&mut self, id: Uuid, error: OperationError) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.error.get_or_insert(error);
        }
    }

    /// One more instance that the operation waits for.
    pub(in crate::world) fn expect_vm(&mut self, id: Uuid) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.pending += 1;
        }
    }

    /// One instance is done.
    pub(in crate::world) fn vm_done(&mut self, vm: VmRef) {
        let instance = self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance));
        if let Some(id) = instance.and_then(|instance| instance.operation.take()) {
            self.step_operation(id);
        }
    }

    pub(in crate::world) fn step_operation(&mut self, id: Uuid) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.pending = operation.pending.saturating_sub(1);
            self.end_if_done(id);
        }
    }

    /// Azure says that an operation is over, whatever becomes of its VMs.
    pub(in crate::world) fn operation_cut(&mut self, id: Uuid) {
        if let Some(operation) = self.operations.get_mut(&id)
            && operation.status == OperationStatus::InProgress
        {
            operation.pending = 0;
            self.end_if_done(id);
        }
    }

    /// Something newer has taken an operation's work away.
    pub(in crate::world) fn cancel_operation(&mut self, id: Uuid) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if operation.status != OperationStatus::InProgress {
            return;
        }
        (operation.pending, operation.held) = (0, false);
        operation.error = Some(OperationError::preempted());
        operation.status = OperationStatus::Canceled;
        operation.ended_at = Some(self.now);
        self.forget_operations(id);
    }

    /// One more operation has ended: Azure answers for the latest ones alone.
    fn forget_operations(&mut self, ended: Uuid) {
        self.ended.push_back(ended);
        if self.ended.len() > OPERATIONS_KEPT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.operations.remove(&oldest);
        }
    }

    pub(super) fn end_if_done(&mut self, id: Uuid) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if operation.pending > 0 || operation.held || operation.status != OperationStatus::InProgress {
            return;
        }
        operation.ended_at = Some(self.now);
        operation.status = match operation.error {
            Some(_) if operation.preempted => OperationStatus::Canceled,
            Some(_) => OperationStatus::Failed,
            None => OperationStatus::Succeeded,
        };
        let (set, kind, status) = (operation.set, operation.kind, operation.status);
        self.forget_operations(id);
        if let Some(found) = self.sets.get_mut(set.0) {
            let concerns = kind == OperationKind::Update || !found.is_flexible();
            found.growing.take_if(|growing| *growing == id);
            found.deleting.take_if(|deleting| *deleting == id);
            let quiet = found.growing.is_none() && found.deleting.is_none();
            if quiet && concerns {
                found.provisioning = match status {
                    OperationStatus::Succeeded => "Succeeded",
                    OperationStatus::Failed | OperationStatus::Canceled => "Failed",
                    OperationStatus::InProgress => "Updating",
                };
            }
        }
        let detail = Some(Arc::from(format!("{} {}", kind.name(), status.name())));
        self.write_set(set, Kind::OperationEnded, Parts { detail, ..Parts::default() });
    }
}
