//! What callers may ask of Azure.

mod error;
mod growth;
mod progress;
mod quota;

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

pub use error::{AzureError, QuotaExceeded};
pub(super) use progress::Held;
pub use quota::{SubnetUsage, Usage};

use super::{
    AzureFault, KilledBy, Kind, Operation, OperationError, OperationKind, OperationStatus, PowerAction,
    Protection, Provisioning, ScaleSet, SetRef, VmRef, World, journal::Parts,
};
use crate::spec::TagsPatch;

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

impl World {
    /// Writes capacity, size or tags of a scale set. New VMs are listed at once.
    ///
    /// A lower capacity lets the platform choose the victims: the highest instance ids go, jobs or not.
    ///
    /// # Errors
    /// When Azure would refuse the write; nothing has changed then.
    pub fn patch_scale_set(&mut self, set: SetRef, change: ScaleSetChange) -> Result<Uuid, AzureError> {
        self.patch(set, change, KilledBy::Capacity)
    }

    pub(super) fn patch(
        &mut self,
        set: SetRef,
        change: ScaleSetChange,
        by: KilledBy,
    ) -> Result<Uuid, AzureError> {
        let found = self.writable(set)?;
        let ScaleSetChange { capacity, sku, tags, if_match } = change;
        if if_match.is_some_and(|wanted| wanted != "*" && wanted != found.etag()) {
            return Err(AzureError::PreconditionFailed { current: found.etag() });
        }
        if let Some(count) = tags.as_ref().map(BTreeMap::len).filter(|count| *count > self.facts.most_tags) {
            return Err(AzureError::TooManyTags(count));
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
            match self.facts.tags_patch {
                TagsPatch::Replace => found.tags = tags,
                TagsPatch::Merge => found.tags.extend(tags),
            }
            self.journal.write(now, Kind::TagsChanged, &found.name, Parts::default());
        }
        if let Some(wanted) = sizing {
            let detail = Some(Arc::from(format!("{} to {wanted}", found.capacity)));
            found.capacity = wanted;
            self.journal.write(now, Kind::CapacityChanged, &found.name, Parts { detail, ..Parts::default() });
            if wanted >= members {
                self.grow(set, wanted - members, operation);
            } else {
                self.shrink(set, members - wanted, by, operation);
            }
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Writes all tags of a scale set, as the tags resource beside it does: at once, without an operation.
    ///
    /// # Errors
    /// When Azure would refuse the write; nothing has changed then.
    pub fn write_tags(&mut self, set: SetRef, tags: BTreeMap<String, String>) -> Result<(), AzureError> {
        self.writable(set)?;
        if tags.len() > self.facts.most_tags {
            return Err(AzureError::TooManyTags(tags.len()));
        }
        if let Some(found) = self.sets.get_mut(set.0) {
            found.tags = tags;
            found.version += 1;
        }
        self.write_set(set, Kind::TagsChanged, Parts::default());
        Ok(())
    }

    /// Deletes instances, which lowers the capacity by as many. One deletion at a time per Uniform scale set; in a
    /// Flexible one only the VM itself is taken.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn delete_instances(&mut self, set: SetRef, ids: &[u64]) -> Result<Uuid, AzureError> {
        self.delete(set, ids, KilledBy::Delete)
    }

    pub(super) fn delete(&mut self, set: SetRef, ids: &[u64], by: KilledBy) -> Result<Uuid, AzureError> {
        let found = self.writable(set)?;
        if ids.is_empty() {
            return Err(AzureError::NoInstances);
        }
        for id in ids {
            found.touchable(*id)?;
        }
        let exclusive = !found.is_flexible() && !self.facts.uniform_parallel_deletes;
        if exclusive && (found.deleting.is_some() || found.growing.is_some()) {
            return Err(AzureError::Conflict);
        }
        let before = found.members();
        let operation = self.start_operation(set, OperationKind::Delete);
        for id in ids {
            self.delete_vm(set, *id, by, operation);
        }
        if let Some(found) = self.sets.get_mut(set.0) {
            if exclusive {
                found.deleting = Some(operation);
            }
            found.version += 1;
            if self.facts.delete_lowers_capacity {
                found.capacity = found.capacity.saturating_sub(before - found.members());
            }
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Puts instances on their image again; `None` means all of them. Instance id and VM id stay, the agent process
    /// dies at once. A VM of a Flexible set must have an ephemeral OS disk.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn reimage_instances(&mut self, set: SetRef, ids: Option<&[u64]>) -> Result<Uuid, AzureError> {
        let ids = self.settled(set, ids)?;
        let found = self.writable(set)?;
        if found.is_flexible() && !found.spec.model.ephemeral_os_disk {
            let named = ids.first().and_then(|id| found.instances.get(id));
            let name = named.map_or_else(|| found.name.to_string(), |instance| instance.name.to_string());
            return Err(AzureError::NotEphemeral(name));
        }
        let operation = self.start_operation(set, OperationKind::Reimage);
        for id in ids {
            self.reimage_vm(set, id, operation);
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Stops or starts instances; `None` means all of them. Stopped ones are listed and count in the capacity, and
    /// their agents go offline.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn power(
        &mut self,
        set: SetRef,
        ids: Option<&[u64]>,
        action: PowerAction,
    ) -> Result<Uuid, AzureError> {
        self.power_by(set, ids, action, KilledBy::Power)
    }

    pub(super) fn power_by(
        &mut self,
        set: SetRef,
        ids: Option<&[u64]>,
        action: PowerAction,
        by: KilledBy,
    ) -> Result<Uuid, AzureError> {
        let ids = self.settled(set, ids)?;
        let operation = self.start_operation(set, OperationKind::Power(action));
        for id in ids {
            self.power_vm(set, id, action, by, operation);
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Gives instances the latest model, which they have already: the model of a simulated set never changes.
    ///
    /// # Errors
    /// When Azure would refuse the call.
    pub fn upgrade_instances(&mut self, set: SetRef, ids: &[u64]) -> Result<Uuid, AzureError> {
        if self.writable(set)?.is_flexible() {
            return Err(AzureError::NotOnFlexible("manualupgrade"));
        }
        if ids.is_empty() {
            return Err(AzureError::NoInstances);
        }
        self.settled(set, Some(ids))?;
        let operation = self.start_operation(set, OperationKind::Upgrade);
        self.end_if_done(operation);
        Ok(operation)
    }

    /// Changes what an instance is protected from.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn protect(&mut self, set: SetRef, id: u64, protection: Protection) -> Result<Uuid, AzureError> {
        self.writable(set)?.touchable(id)?;
        if protection.actions && !protection.scale_in {
            return Err(AzureError::ProtectionInvalid);
        }
        let operation = self.start_operation(set, OperationKind::Protect);
        let instance = self.sets.get_mut(set.0).and_then(|found| found.instances.get_mut(&id));
        if let Some(instance) = instance {
            instance.protection = protection;
        }
        self.end_if_done(operation);
        Ok(operation)
    }

    /// The instance id of a VM on the wire.
    pub fn instance_id(&self, vm: VmRef) -> Option<String> {
        let found = self.sets.get(vm.set.0)?;
        Some(found.instance_id(found.instances.get(&vm.instance)?))
    }

    /// The set, if it takes writes.
    fn writable(&self, set: SetRef) -> Result<&ScaleSet, AzureError> {
        let found = self.set(set).ok_or(AzureError::NotFound)?;
        match self.faults.azure(set, self.now).any(|trouble| trouble.kind == AzureFault::Conflict) {
            true => Err(AzureError::Conflict),
            false => Ok(found),
        }
    }

    /// The instances, if each can begin something new.
    fn settled(&self, set: SetRef, ids: Option<&[u64]>) -> Result<Vec<u64>, AzureError> {
        let found = self.writable(set)?;
        let ids = ids.map_or_else(|| found.instances.keys().copied().collect(), <[u64]>::to_vec);
        for id in &ids {
            match found.touchable(*id)? {
                Provisioning::Creating | Provisioning::Updating => return Err(AzureError::Conflict),
                Provisioning::Succeeded | Provisioning::Failed | Provisioning::Deleting => {}
            }
        }
        Ok(ids)
    }
}

impl ScaleSet {
    /// The state of an instance that is there and stays.
    pub(super) fn touchable(&self, id: u64) -> Result<Provisioning, AzureError> {
        let Some(instance) = self.instances.get(&id) else {
            return Err(AzureError::UnknownInstance(id.to_string()));
        };
        match instance.provisioning {
            Provisioning::Deleting => Err(AzureError::MarkedForDeletion(self.instance_id(instance))),
            other => Ok(other),
        }
    }
}
