//! What callers may ask of Azure.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use rand::RngExt;
use uuid::Uuid;

use super::{
    AzureFault, KilledBy, Kind, Operation, OperationError, OperationKind, OperationStatus, Provisioning,
    ScaleSet, SetRef, VmRef, World,
    event::{Event, after},
    journal::Parts,
};
use crate::spec::Distribution;

/// A write to a scale set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScaleSetChange {
    /// `sku.capacity`
    pub capacity: Option<u32>,
    /// `sku.name`
    pub sku: Option<String>,
    /// All tags from now on.
    pub tags: Option<BTreeMap<String, String>>,
    /// The etag that the set must still have.
    pub if_match: Option<String>,
}

/// Why Azure refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AzureError {
    /// There is no such scale set.
    #[error("the scale set was not found")]
    NotFound,
    /// The etag is another one by now.
    #[error(
        "the etag provided in the If-Match header does not match the current etag {current} of the resource"
    )]
    PreconditionFailed {
        /// The etag now.
        current: String,
    },
    /// Another write runs.
    #[error(
        "The request failed due to conflict with a concurrent request. To resolve it, please refer to https://aka.ms/activitylog to get more details on the conflicting requests."
    )]
    Conflict,
    /// An instance is going already.
    #[error("Cannot modify instance {0} since it is marked for deletion.")]
    MarkedForDeletion(u64),
    /// An instance is not there.
    #[error("The provided instanceId {0} is not an active Virtual Machine Scale Set VM instanceId.")]
    UnknownInstance(u64),
    /// No instance was named.
    #[error("The instanceIds parameter must name at least one instance.")]
    NoInstances,
    /// The quota does not allow as many.
    #[error(
        "Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Deployment Model: Resource Manager, Location: {location}, Current Limit: {limit}, Current Usage: {usage}, Additional Required: {required}, (Minimum) New Limit Required: {}.",
        usage + required
    )]
    Quota {
        /// The region.
        location: String,
        /// VMs allowed.
        limit: u32,
        /// VMs there.
        usage: u32,
        /// VMs asked for.
        required: u32,
    },
    /// A scale set cannot be so large.
    #[error("The capacity {wanted} is above the maximum of {largest} for this Virtual Machine Scale Set.")]
    TooLarge {
        /// VMs asked for.
        wanted: u32,
        /// VMs allowed.
        largest: u32,
    },
}

impl World {
    /// Writes capacity, size or tags of a scale set. New VMs are listed at once.
    ///
    /// A lower capacity lets the platform choose the victims: the highest instance ids go, jobs or not.
    ///
    /// # Errors
    /// When Azure would refuse the write; nothing has changed then.
    pub fn patch_scale_set(&mut self, set: SetRef, change: ScaleSetChange) -> Result<Uuid, AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        let ScaleSetChange { capacity, sku, tags, if_match } = change;
        if if_match.is_some_and(|wanted| wanted != "*" && wanted != found.etag()) {
            return Err(AzureError::PreconditionFailed { current: found.etag() });
        }
        let members = found.members();
        // Members may be fewer than the capacity, after a failed allocation: writing it again asks for them again.
        let sizing = capacity.filter(|wanted| *wanted != found.capacity || *wanted != members);
        if let Some(wanted) = sizing {
            self.check_size(set, wanted)?;
        }
        let operation = self.start_operation(set, OperationKind::Update);
        let now = self.now;
        let Some(found) = self.sets.get_mut(set.0) else { return Err(AzureError::NotFound) };
        found.version += 1;
        if let Some(sku) = sku {
            found.sku = sku;
        }
        if let Some(tags) = tags {
            found.tags = tags;
            self.journal.write(now, Kind::TagsChanged, &found.name, Parts::default());
        }
        if let Some(wanted) = sizing {
            let detail = Some(Arc::from(format!("{} to {wanted}", found.capacity)));
            found.capacity = wanted;
            self.journal.write(now, Kind::CapacityChanged, &found.name, Parts { detail, ..Parts::default() });
            if wanted >= members {
                self.grow(set, wanted - members, operation);
            } else {
                self.shrink(set, members - wanted, operation);
            }
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Deletes instances by id, which lowers the capacity by as many. One at a time per scale set.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn delete_instances(&mut self, set: SetRef, ids: &[u64]) -> Result<Uuid, AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        if ids.is_empty() {
            return Err(AzureError::NoInstances);
        }
        for id in ids {
            match found.instances.get(id).map(|instance| instance.provisioning) {
                None => return Err(AzureError::UnknownInstance(*id)),
                Some(Provisioning::Deleting) => return Err(AzureError::MarkedForDeletion(*id)),
                Some(_) => {}
            }
        }
        if found.deleting.is_some() || found.growing.is_some() {
            return Err(AzureError::Conflict);
        }
        let operation = self.start_operation(set, OperationKind::Delete);
        let before = self.sets.get(set.0).map_or(0, ScaleSet::members);
        for id in ids {
            self.delete_vm(set, *id, KilledBy::Delete, operation);
        }
        if let Some(found) = self.sets.get_mut(set.0) {
            found.deleting = Some(operation);
            found.version += 1;
            found.capacity = found.capacity.saturating_sub(before - found.members());
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Puts instances on their image again; `None` means all of them. Instance id and VM id stay, the agent process
    /// dies at once.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn reimage_instances(&mut self, set: SetRef, ids: Option<&[u64]>) -> Result<Uuid, AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        let all: Vec<u64>;
        let ids = match ids {
            Some(ids) => ids,
            None => {
                all = found.instances.keys().copied().collect();
                &all
            }
        };
        for id in ids {
            match found.instances.get(id).map(|instance| instance.provisioning) {
                None => return Err(AzureError::UnknownInstance(*id)),
                Some(Provisioning::Deleting) => return Err(AzureError::MarkedForDeletion(*id)),
                Some(Provisioning::Creating | Provisioning::Updating) => return Err(AzureError::Conflict),
                Some(Provisioning::Succeeded | Provisioning::Failed) => {}
            }
        }
        let operation = self.start_operation(set, OperationKind::Reimage);
        for id in ids {
            self.reimage_vm(set, *id, operation);
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    fn check_size(&self, set: SetRef, wanted: u32) -> Result<(), AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        if found.deleting.is_some() || (wanted < found.members() && found.growing.is_some()) {
            return Err(AzureError::Conflict);
        }
        let largest = found.spec.largest();
        if wanted > largest {
            return Err(AzureError::TooLarge { wanted, largest });
        }
        let usage = found.members();
        let out_of_quota = self.azure_faults(set).any(|fault| fault == AzureFault::Quota);
        let limit = if out_of_quota { Some(usage) } else { found.spec.quota };
        match limit {
            Some(limit) if wanted > usage && wanted > limit => Err(AzureError::Quota {
                location: found.spec.location.clone(),
                limit,
                usage,
                required: wanted - usage,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn grow(&mut self, set: SetRef, by: u32, operation: Uuid) {
        self.take_over_growth(set, operation);
        let fails = self.azure_faults(set).any(|fault| fault == AzureFault::AllocationFailed);
        for _ in 0..by {
            // A failed allocation leaves some VMs listed as Failed, and others not listed at all.
            if fails && self.rng.random_bool(0.5) {
                self.fail_operation(operation, ALLOCATION_FAILED);
                continue;
            }
            let Some(vm) = self.place_vm(set, Provisioning::Creating, Some(operation)) else { continue };
            let Some(create) = self.sets.get(set.0).map(|found| found.spec.timings.create) else { continue };
            let (delay, event) = if fails {
                let (from, to) = (SignedDuration::from_secs(10), SignedDuration::from_secs(60));
                (Distribution::Uniform { from, to }, Event::VmFailed { vm, epoch: 0 })
            } else {
                (create, Event::VmRunning { vm, epoch: 0 })
            };
            let at = after(self.now, delay.sample(&mut self.rng));
            self.queue.push(at, event);
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
        if let Some(older) = self.operations.get_mut(&older) {
            older.pending = 0;
            older.error = Some(OperationError {
                code: "OperationPreempted",
                message: "Operation execution has been preempted by a more recent operation.",
                target: None,
            });
            older.status = OperationStatus::Canceled;
            older.ended_at = Some(self.now);
        }
    }

    fn shrink(&mut self, set: SetRef, by: u32, operation: Uuid) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        found.deleting = Some(operation);
        let victims: Vec<u64> = found
            .instances
            .values()
            .rev()
            .filter(|instance| instance.provisioning != Provisioning::Deleting)
            .take(usize::try_from(by).unwrap_or(usize::MAX))
            .map(|instance| instance.id)
            .collect();
        for id in victims {
            self.delete_vm(set, id, KilledBy::Capacity, operation);
        }
    }

    fn start_operation(&mut self, set: SetRef, kind: OperationKind) -> Uuid {
        let id = self.guid();
        if let Some(found) = self.sets.get_mut(set.0) {
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
                error: None,
                pending: 0,
            },
        );
        let detail = Some(Arc::from(kind.name()));
        self.write_set(set, Kind::OperationStarted, Parts { detail, ..Parts::default() });
        id
    }

    /// Notes the first reason why an operation will not succeed.
    pub(super) fn fail_operation(&mut self, id: Uuid, error: OperationError) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.error.get_or_insert(error);
        }
    }

    /// One more instance that the operation waits for.
    pub(super) fn expect_vm(&mut self, id: Uuid) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.pending += 1;
        }
    }

    /// One instance is done.
    pub(super) fn vm_done(&mut self, vm: VmRef) {
        let instance = self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance));
        if let Some(id) = instance.and_then(|instance| instance.operation.take()) {
            self.step_operation(id);
        }
    }

    pub(super) fn step_operation(&mut self, id: Uuid) {
        if let Some(operation) = self.operations.get_mut(&id) {
            operation.pending = operation.pending.saturating_sub(1);
            self.end_if_done(id);
        }
    }

    fn end_if_done(&mut self, id: Uuid) {
        let Some(operation) = self.operations.get_mut(&id) else { return };
        if operation.pending > 0 || operation.status != OperationStatus::InProgress {
            return;
        }
        operation.ended_at = Some(self.now);
        operation.status = match operation.error {
            Some(_) => OperationStatus::Failed,
            None => OperationStatus::Succeeded,
        };
        let (set, kind, status) = (operation.set, operation.kind, operation.status);
        if let Some(found) = self.sets.get_mut(set.0) {
            found.growing.take_if(|growing| *growing == id);
            found.deleting.take_if(|deleting| *deleting == id);
            let quiet = found.growing.is_none() && found.deleting.is_none();
            if quiet {
                found.provisioning = status.name();
            }
        }
        let detail = Some(Arc::from(format!("{} {}", kind.name(), status.name())));
        self.write_set(set, Kind::OperationEnded, Parts { detail, ..Parts::default() });
    }
}

pub(super) const ALLOCATION_FAILED: OperationError = OperationError {
    code: "AllocationFailed",
    message: "Allocation failed. We do not have sufficient capacity for the requested VM size in this region. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
    target: None,
};
