//! Scale sets and their instances.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use uuid::Uuid;

use super::id::AgentRef;
use crate::spec::{ScaleSetSpec, SetAddress};

/// `provisioningState` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Provisioning {
    /// On its way.
    Creating,
    /// Being reimaged.
    Updating,
    /// There.
    Succeeded,
    /// Its creation failed; it counts in the capacity until it is deleted.
    Failed,
    /// Going; listed until it is gone.
    Deleting,
}

impl Provisioning {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creating => "Creating",
            Self::Updating => "Updating",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Deleting => "Deleting",
        }
    }
}

/// `PowerState/…` of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// Not running yet.
    Starting,
    /// Running.
    Running,
    /// Shutting down.
    Stopping,
    /// Never started.
    Stopped,
}

impl Power {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

/// A VM of a scale set.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its number in the scale set; may come again after its deletion.
    pub id: u64,
    /// Its identity: never comes again.
    pub vm_id: Uuid,
    /// Prefix and six digits of base 36.
    pub computer_name: Arc<str>,
    /// The state of the last operation on it.
    pub provisioning: Provisioning,
    /// Whether it runs.
    pub power: Power,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Why its creation failed.
    pub failure: Option<&'static str>,
    pub(crate) serial: u64,
    /// Counts reimages and the deletion: events of an earlier epoch are void.
    pub(crate) epoch: u32,
    /// The record of the agent process that runs on it.
    pub(crate) agent: Option<AgentRef>,
    pub(crate) operation: Option<Uuid>,
}

/// A virtual machine scale set.
#[derive(Debug)]
pub struct ScaleSet {
    /// What the world file says.
    pub spec: ScaleSetSpec,
    /// `sku.capacity`
    pub capacity: u32,
    /// `sku.name`
    pub sku: String,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// The outcome of the last operation.
    pub provisioning: &'static str,
    /// `uniqueId`
    pub unique_id: Uuid,
    /// When it was made: at the start of the world.
    pub created_at: Timestamp,
    pub(crate) name: Arc<str>,
    pub(crate) address: SetAddress,
    pub(crate) version: u64,
    pub(crate) instances: BTreeMap<u64, Instance>,
    pub(crate) next_id: u64,
    pub(crate) freed_ids: BTreeSet<u64>,
    /// The write of the capacity that runs.
    pub(crate) growing: Option<Uuid>,
    /// The deletion that runs.
    pub(crate) deleting: Option<Uuid>,
    /// Instances that are being deleted.
    pub(crate) leaving: u32,
}

impl ScaleSet {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The etag: another one after each write.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.version)
    }

    /// All VMs that are listed, by instance id.
    pub fn instances(&self) -> impl DoubleEndedIterator<Item = &Instance> {
        self.instances.values()
    }

    /// VMs with an id above `after`, by instance id.
    pub fn instances_after(&self, after: Option<u64>) -> impl Iterator<Item = &Instance> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        self.instances.range(from..).map(|(_, instance)| instance)
    }

    /// One VM.
    pub fn instance(&self, id: u64) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// VMs that are not being deleted: what `sku.capacity` counts.
    pub fn members(&self) -> u32 {
        u32::try_from(self.instances.len()).unwrap_or(u32::MAX).saturating_sub(self.leaving)
    }

    pub(crate) fn take_id(&mut self) -> u64 {
        if self.spec.reuse_instance_ids
            && let Some(id) = self.freed_ids.pop_first()
        {
            return id;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(crate) fn computer_name(&self, id: u64) -> Arc<str> {
        let prefix = self.spec.computer_name_prefix.as_deref().unwrap_or(&self.name);
        Arc::from(format!("{prefix}{}", base36(id)))
    }
}

/// Six digits of base 36, as Azure ends a computer name.
fn base36(mut number: u64) -> String {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 36).unwrap_or_default();
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::base36;

    #[test]
    fn computer_names_end_in_six_digits_of_base_36() {
        assert_eq!(base36(7), "000007");
        assert_eq!(base36(48), "00001c");
        assert_eq!(base36(36_u64.pow(6) - 1), "zzzzzz");
    }
}
