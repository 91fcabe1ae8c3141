//! The life of VMs.

mod process;

use std::sync::Arc;

use uuid::Uuid;

use super::{
    Agent, AgentRef, AzureFault, Instance, KilledBy, Kind, OperationError, PoolRef, Power, PowerAction,
    Protection, Provisioning, SetRef, VmRef, World,
    agent::Process,
    event::{Event, after},
    image::{StartFails, StartFailure},
    journal::Parts,
    scale_set::EXTENSION_FAILED,
};
use crate::spec::Distribution;
pub(super) use process::Registration;

impl World {
    /// Adds an instance to the list.
    pub(super) fn place_vm(
        &mut self,
        set: SetRef,
        provisioning: Provisioning,
        operation: Option<Uuid>,
    ) -> Option<VmRef> {
        let (vm_id, serial) = (self.guid(), self.serial());
        let found = self.sets.get_mut(set.0)?;
        let id = found.take_id(self.facts.instance_id_reuse);
        let (name, computer_name) = found.names(id, self.facts.computer_name_digits, &mut self.rng);
        let scale_in = found.placed < found.spec.protected;
        found.placed = found.placed.saturating_add(1);
        let agent = Some(Arc::clone(&computer_name));
        let power = if provisioning == Provisioning::Succeeded { Power::Running } else { Power::Starting };
        found.instances.insert(
            id,
            Instance {
                id,
                name,
                vm_id,
                computer_name,
                provisioning,
                power,
                created_at: self.now,
                failure: None,
                protection: Protection { scale_in, actions: false },
                serial,
                epoch: 0,
                agent: None,
                operation,
                fate: found
                    .start_failure
                    .as_mut()
                    .filter(|_| operation.is_some())
                    .and_then(StartFailure::next),
                failed_extension: None,
                stray: None,
            },
        );
        self.vms += 1;
        self.tally.count_vms(self.now, self.vms);
        if let Some(operation) = operation {
            self.expect_vm(operation);
        }
        let kind = if operation.is_some() { Kind::VmCreating } else { Kind::VmRunning };
        self.write_set(set, kind, Parts { instance: Some(id), agent, ..Parts::default() });
        Some(VmRef { set, instance: id, serial })
    }

    /// Adds a VM that runs already, with its agent online: the start of a world.
    pub(super) fn place_running_vm(&mut self, set: SetRef) {
        let Some(vm) = self.place_vm(set, Provisioning::Succeeded, None) else { return };
        if let Some(agent) = self.register_vm(vm) {
            let session = self.process(agent).map_or(0, |process| process.session);
            self.agent_online(agent, session);
        }
    }

    pub(super) fn vm_running(&mut self, vm: VmRef, epoch: u32) {
        let mut faults = self.faults.azure(vm.set, self.now);
        let fails = faults.any(|trouble| trouble.kind == AzureFault::ExtensionFails);
        drop(faults);
        let Some(instance) = self.instance_mut(vm, epoch) else { return };
        let fate = if fails { Some(StartFails::First) } else { instance.fate };
        if fate == Some(StartFails::Creation) {
            let error = instance.creation_failure();
            self.vm_failed(vm, epoch, error);
            return;
        }
        instance.provisioning = Provisioning::Succeeded;
        instance.power = Power::Running;
        instance.failure = None;
        instance.failed_extension = None;
        self.write_vm(vm, Kind::VmRunning, None);
        if let Some(kind @ (StartFails::First | StartFails::Extension | StartFails::Script)) = fate {
            self.extension_fails(vm, kind);
            return;
        }
        self.vm_done(vm);
        if fate.is_none()
            && self.bootstraps.get(vm.set.0).is_some_and(Option::is_some)
            && let Some(register) = self.sets.get(vm.set.0).map(|set| set.spec.timings.register)
        {
            self.schedule(register, Event::AgentRegisters { vm, epoch });
        }
    }

    /// The machine runs, but what should have set it up has failed: Azure calls the VM failed, and no agent comes.
    fn extension_fails(&mut self, vm: VmRef, kind: StartFails) {
        let Some(found) = self.sets.get_mut(vm.set.0) else { return };
        let extension = found.failing_extension(kind);
        let Some(instance) = found.instances.get_mut(&vm.instance) else { return };
        let message = format!(
            "VM has reported a failure when processing extension '{extension}'. Error message: \"Enable failed: failed to execute command: command terminated with exit status=1\"."
        );
        let error = OperationError::new(EXTENSION_FAILED, &message);
        instance.provisioning = Provisioning::Failed;
        instance.failure = Some(error.clone());
        instance.failed_extension = Some(extension);
        self.vm_has_failed(vm, error);
    }

    pub(super) fn vm_failed(&mut self, vm: VmRef, epoch: u32, error: OperationError) {
        let Some(instance) = self.instance_mut(vm, epoch) else { return };
        instance.provisioning = Provisioning::Failed;
        instance.power = Power::Stopped;
        instance.failure = Some(error.clone());
        self.vm_has_failed(vm, error);
    }

    fn vm_has_failed(&mut self, vm: VmRef, error: OperationError) {
        self.write_vm(vm, Kind::VmFailed, Some(error.code));
        let target = self.instance_id(vm).map(Arc::from);
        let operation = self.sets.get(vm.set.0).and_then(|set| set.instances.get(&vm.instance)?.operation);
        if let Some(operation) = operation {
            self.fail_operation(operation, OperationError { target, ..error });
        }
        self.vm_done(vm);
    }

    /// The VM stops at once, and is listed until it is gone.
    pub(super) fn delete_vm(&mut self, set: SetRef, id: u64, by: KilledBy, operation: Uuid) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        let delete = found.spec.timings.delete;
        let Some(instance) = found.instances.get_mut(&id) else { return };
        if instance.provisioning == Provisioning::Deleting {
            return;
        }
        instance.provisioning = Provisioning::Deleting;
        instance.power = Power::Stopping;
        instance.epoch += 1;
        let older = instance.operation.replace(operation);
        let vm = VmRef { set, instance: id, serial: instance.serial };
        found.leaving += 1;
        self.expect_vm(operation);
        self.preempt(older);
        self.write_vm(vm, Kind::VmDeleting, Some(by.name()));
        self.process_dies(vm, by);
        self.schedule_vm(operation, delete, Event::VmGone { vm });
    }

    pub(super) fn reimage_vm(&mut self, set: SetRef, id: u64, operation: Uuid) {
        let vm_id = (!self.facts.reimage_keeps_vm_id).then(|| self.guid());
        let created_at = (!self.facts.reimage_keeps_time_created).then_some(self.now);
        let Some(found) = self.sets.get_mut(set.0) else { return };
        let reimage = found.spec.timings.reimage;
        let Some(instance) = found.instances.get_mut(&id) else { return };
        instance.fate = found.start_failure.as_mut().and_then(StartFailure::next);
        instance.vm_id = vm_id.unwrap_or(instance.vm_id);
        instance.created_at = created_at.unwrap_or(instance.created_at);
        instance.provisioning = Provisioning::Updating;
        instance.power = Power::Starting;
        instance.epoch += 1;
        let older = instance.operation.replace(operation);
        let vm = VmRef { set, instance: id, serial: instance.serial };
        let epoch = instance.epoch;
        self.expect_vm(operation);
        self.preempt(older);
        self.write_vm(vm, Kind::VmReimaging, None);
        self.process_dies(vm, KilledBy::Reimage);
        self.schedule_vm(operation, reimage, Event::VmRunning { vm, epoch });
    }

    /// Stops or starts a VM. Its agent dies with what it runs on, and comes back under its old record.
    pub(super) fn power_vm(
        &mut self,
        set: SetRef,
        id: u64,
        action: PowerAction,
        by: KilledBy,
        operation: Uuid,
    ) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        let timings = &found.spec.timings;
        let (delete, reimage) = (timings.delete, timings.reimage);
        let Some(instance) = found.instances.get_mut(&id) else { return };
        if action == PowerAction::Start && instance.power == Power::Running {
            return;
        }
        instance.provisioning = Provisioning::Updating;
        instance.power = match action {
            PowerAction::Deallocate => Power::Deallocating,
            PowerAction::PowerOff => Power::Stopping,
            PowerAction::Start | PowerAction::Restart => Power::Starting,
        };
        instance.epoch += 1;
        let older = instance.operation.replace(operation);
        let vm = VmRef { set, instance: id, serial: instance.serial };
        let epoch = instance.epoch;
        self.expect_vm(operation);
        self.preempt(older);
        self.write_vm(vm, Kind::VmPowerChanged, Some(action.name()));
        self.process_dies(vm, by);
        match action {
            PowerAction::Deallocate | PowerAction::PowerOff => {
                self.schedule_vm(operation, delete, Event::VmStopped { vm, epoch });
            }
            PowerAction::Start | PowerAction::Restart => {
                self.schedule_vm(operation, reimage, Event::VmRunning { vm, epoch });
            }
        }
    }

    pub(super) fn vm_stopped(&mut self, vm: VmRef, epoch: u32) {
        let Some(instance) = self.instance_mut(vm, epoch) else { return };
        instance.provisioning = Provisioning::Succeeded;
        let deallocates = instance.power == Power::Deallocating;
        instance.power = if deallocates { Power::Deallocated } else { Power::Stopped };
        let word = instance.power.name();
        self.write_vm(vm, Kind::VmPowerChanged, Some(word));
        self.vm_done(vm);
    }

    pub(super) fn preempt(&mut self, operation: Option<Uuid>) {
        if let Some(operation) = operation {
            self.fail_operation(operation, OperationError::preempted());
            self.step_operation(operation);
        }
    }

    pub(super) fn vm_gone(&mut self, vm: VmRef) {
        let Some(set) = self.sets.get_mut(vm.set.0) else { return };
        if set.instances.get(&vm.instance).is_none_or(|instance| instance.serial != vm.serial) {
            return;
        }
        let Some(instance) = set.instances.remove(&vm.instance) else { return };
        set.leaving = set.leaving.saturating_sub(1);
        self.vms = self.vms.saturating_sub(1);
        self.tally.count_vms(self.now, self.vms);
        let parts =
            Parts { instance: Some(vm.instance), agent: Some(instance.computer_name), ..Parts::default() };
        self.write_set(vm.set, Kind::VmDeleted, parts);
        if let Some(operation) = instance.operation {
            self.step_operation(operation);
        }
    }

    pub(super) fn agent_registers(&mut self, vm: VmRef, epoch: u32) {
        if self.instance_mut(vm, epoch).is_none() {
            return;
        }
        if let Some(agent) = self.register_vm(vm) {
            self.schedule_online(agent);
        }
    }

    pub(super) fn schedule(&mut self, delay: Distribution, event: Event) {
        let at = after(self.now, delay.sample(&mut self.rng));
        self.queue.push(at, event);
    }

    pub(super) fn service_timing(
        &self,
        pool: PoolRef,
        pick: impl Fn(&crate::spec::ServiceTimings) -> Distribution,
    ) -> Option<Distribution> {
        self.organizations.get(pool.organization).map(|organization| pick(&organization.spec.timings))
    }

    pub(super) fn process(&self, agent: AgentRef) -> Option<Process> {
        self.pool(agent.pool)?.agent(agent.id)?.process
    }

    pub(super) fn agent_mut(&mut self, agent: AgentRef) -> Option<&mut Agent> {
        self.pool_mut(agent.pool)?.agent_mut(agent.id)
    }

    pub(super) fn instance_mut(&mut self, vm: VmRef, epoch: u32) -> Option<&mut Instance> {
        self.sets
            .get_mut(vm.set.0)?
            .instances
            .get_mut(&vm.instance)
            .filter(|instance| instance.serial == vm.serial && instance.epoch == epoch)
    }

    pub(super) fn write_vm(&mut self, vm: VmRef, kind: Kind, detail: Option<&'static str>) {
        let Some(set) = self.sets.get(vm.set.0) else { return };
        let agent = set.instances.get(&vm.instance).map(|instance| Arc::clone(&instance.computer_name));
        let parts =
            Parts { instance: Some(vm.instance), agent, detail: detail.map(Arc::from), ..Parts::default() };
        self.journal.write(self.now, kind, &set.name, parts);
    }
}
