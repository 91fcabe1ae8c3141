//! Growth and shrinkage by a write of the capacity.

use std::sync::Arc;

use jiff::SignedDuration;
use rand::RngExt;
use uuid::Uuid;

use super::{AzureError, OperationError};
use crate::{
    spec::Distribution,
    world::{KilledBy, Provisioning, SetRef, Stage, World, event::Event},
};

impl World {
    pub(super) fn check_size(&self, set: SetRef, wanted: u32) -> Result<(), AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        if found.deleting.is_some() || (wanted < found.members() && found.growing.is_some()) {
            return Err(AzureError::Conflict);
        }
        let largest = found.spec.largest();
        if wanted > largest {
            return Err(AzureError::TooLarge { wanted, largest });
        }
        match wanted.saturating_sub(found.members()) {
            0 => Ok(()),
            more => self.check_room(set, more),
        }
    }

    pub(super) fn grow(&mut self, set: SetRef, by: u32, operation: Uuid) {
        self.take_over_growth(set, operation);
        let shortage = self.shortages(set, Stage::Operation).min_by_key(|shortage| shortage.room);
        let granted = shortage.map_or(by, |shortage| shortage.room.min(by));
        self.faults.consume(set, granted);
        for _ in 0..granted {
            let Some(vm) = self.place_vm(set, Provisioning::Creating, Some(operation)) else { continue };
            let Some(create) = self.sets.get(set.0).map(|found| found.spec.timings.create) else { continue };
            self.schedule_vm(operation, create, Event::VmRunning { vm, epoch: 0 });
        }
        let Some(shortage) = shortage.filter(|_| granted < by) else { return };
        let error = match self.say(set, shortage.kind, by - granted) {
            AzureError::Shortage(error) => error,
            AzureError::Quota(quota) => quota.into(),
            other => OperationError::new("InternalExecutionError", &other.to_string()),
        };
        // A failed allocation leaves some VMs listed as Failed, and others not listed at all.
        for _ in granted..by {
            if self.rng.random_bool(0.5) {
                self.fail_operation(operation, error.clone());
                continue;
            }
            let Some(vm) = self.place_vm(set, Provisioning::Creating, Some(operation)) else { continue };
            let target = self.instance_id(vm).map(Arc::from);
            let error = Box::new(OperationError { target, ..error.clone() });
            let (from, to) = (SignedDuration::from_secs(10), SignedDuration::from_secs(60));
            let event = Event::VmFailed { vm, epoch: 0, error };
            self.schedule_vm(operation, Distribution::Uniform { from, to }, event);
        }
    }

    /// A newer capacity write takes over what an older one still creates; the older one ends preempted.
    fn take_over_growth(&mut self, set: SetRef, operation: Uuid) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        let Some(older) = found.growing.replace(operation) else { return };
        let mut moved = 0;
        for instance in found.instances.values_mut().filter(|instance| instance.operation == Some(older)) {
            instance.operation = Some(operation);
            moved += 1;
        }
        if let Some(newer) = self.operations.get_mut(&operation) {
            newer.pending += moved;
        }
        self.cancel_operation(older);
    }

    /// The platform chooses the highest numbers, but never those that are protected.
    pub(super) fn shrink(&mut self, set: SetRef, by: u32, killer: KilledBy, operation: Uuid) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        if !found.is_flexible() {
            found.deleting = Some(operation);
        }
        let victims: Vec<u64> = found
            .instances
            .values()
            .rev()
            .filter(|instance| instance.provisioning != Provisioning::Deleting)
            .filter(|instance| !instance.protection.scale_in)
            .take(usize::try_from(by).unwrap_or(usize::MAX))
            .map(|instance| instance.id)
            .collect();
        for id in victims {
            self.delete_vm(set, id, killer, operation);
        }
    }
}
