//! Scale sets and their instances.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use rand::{RngExt, rngs::Xoshiro256PlusPlus};
use uuid::Uuid;

use super::{
    id::{AgentRef, PoolRef},
    image::{StartFails, StartFailure},
    operation::OperationError,
};
use crate::spec::{InstanceIdReuse, Orchestration, ScaleSetSpec, SetAddress};

/// Azure's code for an extension that has failed.
pub(crate) const EXTENSION_FAILED: &str = "VMExtensionProvisioningError";

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
    /// Never started, or shut down by a call.
    Stopped,
    /// Giving its host back.
    Deallocating,
    /// Without a host; it counts in the capacity still.
    Deallocated,
}

impl Power {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Deallocating => "deallocating",
            Self::Deallocated => "deallocated",
        }
    }
}

/// What an instance is protected from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// From a lowered capacity; a deletion by id goes through still.
    pub scale_in: bool,
    /// From operations on the set.
    pub actions: bool,
}

/// A VM of a scale set.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its number in the scale set; may come again after its deletion. The instance id, in a Uniform set.
    pub id: u64,
    /// The resource's name: the set's and the number, or eight hexadecimal digits; the instance id, in a Flexible set.
    pub name: Arc<str>,
    /// Its identity: never comes again.
    pub vm_id: Uuid,
    /// Prefix and six digits of base 36; letters at random in a Flexible set.
    pub computer_name: Arc<str>,
    /// The state of the last operation on it.
    pub provisioning: Provisioning,
    /// Whether it runs.
    pub power: Power,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Why its creation failed, or its extension.
    pub failure: Option<OperationError>,
    /// What it is protected from.
    pub protection: Protection,
    pub(crate) serial: u64,
    /// Counts reimages and the deletion: events of an earlier epoch are void.
    pub(crate) epoch: u32,
    /// The record of the agent process that runs on it.
    pub(crate) agent: Option<AgentRef>,
    pub(crate) operation: Option<Uuid>,
    /// How this VM's start fails.
    pub(crate) fate: Option<StartFails>,
    /// The extension that failed, unless it is the set's first.
    pub(crate) failed_extension: Option<Arc<str>>,
    /// A job that runs on though the record of its agent was deleted.
    pub(crate) stray: Option<(PoolRef, u64)>,
}

impl Instance {
    /// Why its extension failed.
    pub fn extension_failure(&self) -> Option<&OperationError> {
        self.failure.as_ref().filter(|failure| failure.code == EXTENSION_FAILED)
    }
}

/// A virtual machine scale set.
#[derive(Debug, Clone)]
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
    /// A quota of its own, in cores.
    pub quota: Option<u32>,
    pub(crate) name: Arc<str>,
    pub(crate) address: SetAddress,
    pub(crate) version: u64,
    pub(crate) instances: BTreeMap<u64, Instance>,
    pub(crate) next_id: u64,
    /// The write of the capacity that runs.
    pub(crate) growing: Option<Uuid>,
    /// The deletion that runs.
    pub(crate) deleting: Option<Uuid>,
    /// Instances that are being deleted.
    pub(crate) leaving: u32,
    /// VMs that it has ever had.
    pub(crate) placed: u32,
    /// How VMs that start now fail.
    pub(crate) start_failure: Option<StartFailure>,
    /// It was deleted: nobody finds it any more.
    pub(crate) gone: bool,
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

    /// A deleted VM's id is given again where the set or the cloud does so: the lowest first.
    pub(crate) fn take_id(&mut self, reuse: InstanceIdReuse) -> u64 {
        if self.spec.reuse_instance_ids || reuse == InstanceIdReuse::Lowest {
            let taken = self.instances.keys().zip(0..).take_while(|(id, place)| **id == *place).count();
            return u64::try_from(taken).unwrap_or(u64::MAX);
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Whether it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether its VMs are VMs of the resource group.
    pub fn is_flexible(&self) -> bool {
        self.spec.orchestration == Orchestration::Flexible
    }

    /// The VM with this instance id: a number, or the VM's name in a Flexible set.
    pub fn find_instance(&self, id: &str) -> Option<&Instance> {
        match self.spec.orchestration {
            Orchestration::Uniform => self.instances.get(&id.parse().ok()?),
            Orchestration::Flexible => {
                self.instances.values().find(|instance| instance.name.eq_ignore_ascii_case(id))
            }
        }
    }

    /// The instance id on the wire.
    pub fn instance_id(&self, instance: &Instance) -> String {
        match self.spec.orchestration {
            Orchestration::Uniform => instance.id.to_string(),
            Orchestration::Flexible => instance.name.to_string(),
        }
    }

    /// Cores of one VM.
    pub fn cores_per_vm(&self) -> u32 {
        cores(&self.sku)
    }

    /// Cores of all VMs that are listed: one that goes frees its own when it is gone.
    pub fn cores(&self) -> u32 {
        self.listed().saturating_mul(self.cores_per_vm())
    }

    /// The extension that sets its VMs up.
    pub fn extension(&self) -> &str {
        self.spec.model.extensions.first().map_or("CustomScript", String::as_str)
    }

    /// The extension of a VM that failed; none if it failed otherwise, or not at all.
    pub fn failed_extension<'a>(&'a self, instance: &'a Instance) -> Option<&'a str> {
        instance.extension_failure()?;
        Some(instance.failed_extension.as_deref().unwrap_or_else(|| self.extension()))
    }

    /// VMs that are listed.
    pub fn listed(&self) -> u32 {
        u32::try_from(self.instances.len()).unwrap_or(u32::MAX)
    }

    /// The names of a new VM: its own and its computer's.
    pub(crate) fn names(&self, id: u64, digits: usize, rng: &mut Xoshiro256PlusPlus) -> (Arc<str>, Arc<str>) {
        let prefix = self.spec.computer_name_prefix.as_deref().unwrap_or(&self.name);
        match self.spec.orchestration {
            Orchestration::Uniform => (
                Arc::from(format!("{}_{id}", self.name)),
                Arc::from(format!("{prefix}{}", base36(id, digits))),
            ),
            Orchestration::Flexible => loop {
                let name: Arc<str> = Arc::from(format!("{}_{:08x}", self.name, rng.random::<u32>()));
                let ending = base36(rng.random_range(0..36_u64.pow(6)), digits);
                let computer: Arc<str> = Arc::from(format!("{prefix}{ending}"));
                let taken = self.instances.values().any(|it| it.name == name || it.computer_name == computer);
                if !taken {
                    return (name, computer);
                }
            },
        }
    }
}

/// The first number of a size's name is its count of cores: 4 for `Standard_D4ds_v5`. A name without one counts as 4.
fn cores(sku: &str) -> u32 {
    let size = sku.split('_').nth(1).unwrap_or(sku);
    let digits = size.trim_start_matches(|letter: char| !letter.is_ascii_digit());
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or(4)
}

/// So many digits of base 36; Azure ends a computer name with six.
fn base36(mut number: u64, digits: usize) -> String {
    let mut digits = vec![b'0'; digits];
    for digit in digits.iter_mut().rev() {
        let value = u8::try_from(number % 36).unwrap_or_default();
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
        number /= 36;
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::{base36, cores};

    #[test]
    fn computer_names_end_in_six_digits_of_base_36() {
        assert_eq!(base36(7, 6), "000007");
        assert_eq!(base36(48, 6), "00001c");
        assert_eq!(base36(36_u64.pow(6) - 1, 6), "zzzzzz");
    }

    #[test]
    fn the_name_of_a_size_tells_its_cores() {
        let sizes = ["Standard_D4ds_v5", "Standard_F16s_v2", "Standard_E4-2ds_v5", "Standard_B2ms", "Mix"];
        assert_eq!(sizes.map(cores), [4, 16, 4, 2, 4]);
    }
}
