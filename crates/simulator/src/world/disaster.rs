//! What befalls machines that neither poolkeeper nor a fault of the services brings about.

use std::sync::Arc;

use jiff::SignedDuration;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    AgentRef, AzureError, KilledBy, Kind, Power, PowerAction, Provisioning, ScaleSetChange, SetRef, VmRef,
    World, agent::Process, event::Event, journal::Parts,
};
use crate::spec::Distribution;

/// What becomes of a VM that Azure takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvictionPolicy {
    /// It stays listed without a host, and counts in the capacity.
    Deallocate,
    /// It goes with its disks.
    Delete,
}

/// What a person does to a scale set past poolkeeper, as in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By<'a> {
    /// Deletes instances.
    Deleting(&'a [u64]),
    /// Stops or starts instances.
    Power(PowerAction, &'a [u64]),
    /// Writes the capacity; the platform chooses whom to delete.
    Capacity(u32),
}

/// How long the agent of a machine that restarts is away.
const REBOOT: Distribution =
    Distribution::Uniform { from: SignedDuration::from_secs(30), to: SignedDuration::from_secs(90) };

impl World {
    /// A VM that is there and stays, chosen at random.
    pub fn any_instance(&mut self, set: SetRef) -> Option<u64> {
        let found = self.set(set)?;
        let alive: Vec<u64> = found
            .instances()
            .filter(|instance| instance.provisioning != Provisioning::Deleting)
            .map(|instance| instance.id)
            .collect();
        let drawn = self.rng.random_range(0..alive.len().max(1));
        alive.get(drawn).copied()
    }

    /// Azure takes a VM back at once: its agent dies without a word.
    ///
    /// # Errors
    /// When there is no such VM, or it is going already.
    pub fn evict(&mut self, set: SetRef, id: u64, policy: EvictionPolicy) -> Result<(), AzureError> {
        let found = self.set(set).ok_or(AzureError::NotFound)?;
        found.touchable(id)?;
        let takes = found.spec.timings.delete;
        let lowers = self.facts.eviction_lowers_capacity;
        let Some(found) = self.sets.get_mut(set.0) else { return Err(AzureError::NotFound) };
        let Some(instance) = found.instances.get_mut(&id) else { return Err(AzureError::NotFound) };
        instance.epoch += 1;
        let older = instance.operation.take();
        let vm = VmRef { set, instance: id, serial: instance.serial };
        let epoch = instance.epoch;
        let event = match policy {
            EvictionPolicy::Deallocate => {
                instance.provisioning = Provisioning::Updating;
                instance.power = Power::Deallocating;
                Event::VmStopped { vm, epoch }
            }
            EvictionPolicy::Delete => {
                instance.provisioning = Provisioning::Deleting;
                instance.power = Power::Stopping;
                found.leaving += 1;
                found.capacity = found.capacity.saturating_sub(u32::from(lowers));
                found.version += 1;
                Event::VmGone { vm }
            }
        };
        self.preempt(older);
        self.write_vm(vm, Kind::VmEvicted, Some(KilledBy::Eviction.name()));
        self.process_dies(vm, KilledBy::Eviction);
        self.schedule(takes, event);
        Ok(())
    }

    /// A machine restarts by itself, which Azure does not see. Its agent says good-bye, loses its job, and is back under
    /// its record after 30 to 90 s; one that takes a single job is not.
    ///
    /// # Errors
    /// When there is no such VM, or it is going already.
    pub fn reboot(&mut self, set: SetRef, id: u64) -> Result<(), AzureError> {
        let found = self.set(set).ok_or(AzureError::NotFound)?;
        found.touchable(id)?;
        let Some(instance) = found.instance(id) else { return Err(AzureError::NotFound) };
        let vm = VmRef { set, instance: id, serial: instance.serial };
        let (agent, epoch) = (instance.agent, instance.epoch);
        self.write_vm(vm, Kind::VmRebooting, None);
        let once = agent.and_then(|agent| self.process(agent)).is_some_and(|process| process.once);
        self.process_dies(vm, KilledBy::Reboot);
        if let Some(agent) = agent {
            self.set_offline(agent);
            if !once {
                self.schedule(REBOOT, Event::AgentReturns { agent, vm, epoch });
            }
        }
        Ok(())
    }

    /// The agent of a machine that restarted runs again, unless its record or its machine is another one by now.
    pub(super) fn agent_returns(&mut self, agent: AgentRef, vm: VmRef, epoch: u32) {
        let session = self.serial();
        let free = self
            .pool(agent.pool)
            .and_then(|pool| pool.agent(agent.id))
            .is_some_and(|agent| agent.process.is_none());
        let Some(instance) = self.instance_mut(vm, epoch).filter(|instance| free && instance.agent.is_none())
        else {
            return;
        };
        instance.agent = Some(agent);
        if let Some(found) = self.agent_mut(agent) {
            found.process = Some(Process { session, vm: Some(vm), once: false });
        }
        self.agent_online(agent, session);
    }

    /// A person changes a scale set past poolkeeper.
    ///
    /// # Errors
    /// When Azure would refuse the call; nothing has changed then.
    pub fn by_hand(&mut self, set: SetRef, deed: By<'_>) -> Result<Uuid, AzureError> {
        match deed {
            By::Deleting(ids) => self.delete(set, ids, KilledBy::Person),
            By::Power(action, ids) => self.power_by(set, Some(ids), action, KilledBy::Person),
            By::Capacity(capacity) => {
                let change = ScaleSetChange { capacity: Some(capacity), ..ScaleSetChange::default() };
                self.patch(set, change, KilledBy::Person)
            }
        }
    }

    /// A scale set is deleted with all its VMs, at once; Azure does not know it from now on.
    pub fn vanish_set(&mut self, set: SetRef) {
        let Some(found) = self.set(set) else { return };
        let vms: Vec<VmRef> = found
            .instances()
            .map(|instance| VmRef { set, instance: instance.id, serial: instance.serial })
            .collect();
        self.write_set(set, Kind::ScaleSetGone, Parts::default());
        let of_set = self.operations.values().filter(|operation| operation.set == set);
        let of_set: Vec<Uuid> = of_set.map(|operation| operation.id).collect();
        for operation in of_set {
            self.cancel_operation(operation);
        }
        for vm in vms {
            self.process_dies(vm, KilledBy::Vanished);
            self.vm_gone(vm);
        }
        if let Some(found) = self.sets.get_mut(set.0) {
            found.capacity = 0;
            (found.growing, found.deleting) = (None, None);
            found.gone = true;
        }
    }

    /// An organisation is deleted, by its index in the world file: whoever asks for it or for what is in it finds
    /// nothing.
    pub fn vanish_organization(&mut self, organization: usize) {
        let Some(found) = self.organizations.get_mut(organization) else { return };
        found.gone = true;
        let name = Arc::from(found.spec.name.as_str());
        self.journal.write(self.now, Kind::OrganizationGone, &name, Parts::default());
    }
}
