//! The life of VMs and of the agents on them.

use std::{collections::BTreeMap, sync::Arc};

use uuid::Uuid;

use super::{
    Agent, AgentRef, Bootstrap, Instance, KilledBy, Kind, OperationError, PoolRef, Power, Provisioning,
    SetRef, VmRef, World,
    agent::{Lost, Process},
    azure::ALLOCATION_FAILED,
    demand::ClassId,
    event::{Event, after},
    journal::Parts,
};
use crate::spec::Distribution;

/// An agent that announces itself.
#[derive(Debug)]
pub(super) struct Registration {
    pub(super) name: Arc<str>,
    pub(super) version: Arc<str>,
    pub(super) capabilities: Arc<BTreeMap<String, String>>,
    pub(super) vm: Option<VmRef>,
    pub(super) once: bool,
}

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
        let id = found.take_id();
        let computer_name = found.computer_name(id);
        let agent = Some(Arc::clone(&computer_name));
        let power = if provisioning == Provisioning::Succeeded { Power::Running } else { Power::Starting };
        found.instances.insert(
            id,
            Instance {
                id,
                vm_id,
                computer_name,
                provisioning,
                power,
                created_at: self.now,
                failure: None,
                serial,
                epoch: 0,
                agent: None,
                operation,
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
        let Some(instance) = self.instance_mut(vm, epoch) else { return };
        instance.provisioning = Provisioning::Succeeded;
        instance.power = Power::Running;
        instance.failure = None;
        self.write_vm(vm, Kind::VmRunning, None);
        self.vm_done(vm);
        if self.bootstraps.get(vm.set.0).is_some_and(Option::is_some)
            && let Some(register) = self.sets.get(vm.set.0).map(|set| set.spec.timings.register)
        {
            self.schedule(register, Event::AgentRegisters { vm, epoch });
        }
    }

    pub(super) fn vm_failed(&mut self, vm: VmRef, epoch: u32) {
        let Some(instance) = self.instance_mut(vm, epoch) else { return };
        instance.provisioning = Provisioning::Failed;
        instance.power = Power::Stopped;
        instance.failure = Some(ALLOCATION_FAILED.code);
        let operation = instance.operation;
        self.write_vm(vm, Kind::VmFailed, Some(ALLOCATION_FAILED.code));
        if let Some(operation) = operation {
            self.fail_operation(operation, OperationError { target: Some(vm.instance), ..ALLOCATION_FAILED });
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
        self.schedule(delete, Event::VmGone { vm });
    }

    pub(super) fn reimage_vm(&mut self, set: SetRef, id: u64, operation: Uuid) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        let reimage = found.spec.timings.reimage;
        let Some(instance) = found.instances.get_mut(&id) else { return };
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
        self.schedule(reimage, Event::VmRunning { vm, epoch });
    }

    fn preempt(&mut self, operation: Option<Uuid>) {
        if let Some(operation) = operation {
            self.fail_operation(
                operation,
                OperationError {
                    code: "OperationPreempted",
                    message: "Operation execution has been preempted by a more recent operation.",
                    target: None,
                },
            );
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
        set.freed_ids.insert(vm.instance);
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

    fn register_vm(&mut self, vm: VmRef) -> Option<AgentRef> {
        let Bootstrap { pool, once, version, capabilities } = self.bootstraps.get(vm.set.0)?.clone()?;
        let name = Arc::clone(&self.sets.get(vm.set.0)?.instances.get(&vm.instance)?.computer_name);
        let agent = self.register(pool, Registration { name, version, capabilities, vm: Some(vm), once })?;
        self.sets.get_mut(vm.set.0)?.instances.get_mut(&vm.instance)?.agent = Some(agent);
        Some(agent)
    }

    /// `config --replace`: a record of the same name keeps its id, its user capabilities and whether it is enabled;
    /// the process that had it loses its session.
    pub(super) fn register(&mut self, pool: PoolRef, registration: Registration) -> Option<AgentRef> {
        let Registration { name, version, capabilities, vm, once } = registration;
        let known = self.pool(pool)?.agent_named(&name).map(|agent| agent.id);
        if let Some(id) = known {
            self.end_process(AgentRef { pool, id }, Some(KilledBy::Replaced));
        }
        let session = self.serial();
        let now = self.now;
        let process = Some(Process { session, vm, once });
        let organization = self.organizations.get_mut(pool.organization)?;
        let found = organization.pools.get_mut(pool.pool)?;
        let id = if let Some(id) = known {
            let agent = found.agent_mut(id)?;
            agent.version = version;
            agent.system_capabilities = capabilities;
            agent.process = process;
            agent.lost = None;
            if agent.online {
                agent.set_online(false, now);
            }
            found.reclassify(id);
            id
        } else {
            let id = organization.next_agent;
            organization.next_agent += 1;
            found.insert_agent(Agent {
                id,
                name: Arc::clone(&name),
                version,
                enabled: true,
                online: false,
                created_at: now,
                status_changed_at: now,
                request: None,
                last_completed: None,
                system_capabilities: capabilities,
                user_capabilities: BTreeMap::new(),
                class: ClassId::default(),
                process,
                lost: None,
            });
            id
        };
        let agent = AgentRef { pool, id };
        let detail = known.is_some().then(|| Arc::from("replaced the record"));
        self.write_pool(pool, Kind::AgentRegistered, Parts { agent: Some(name), detail, ..Parts::default() });
        Some(agent)
    }

    pub(super) fn schedule_online(&mut self, agent: AgentRef) {
        let Some(session) = self.process(agent).map(|process| process.session) else { return };
        let Some(online) = self.service_timing(agent.pool, |timings| timings.online) else { return };
        self.schedule(online, Event::AgentOnline { agent, session });
    }

    pub(super) fn agent_online(&mut self, agent: AgentRef, session: u64) {
        let now = self.now;
        let Some(pool) = self.pool_mut(agent.pool) else { return };
        let Some(found) = pool.agent_mut(agent.id) else { return };
        if found.process.is_none_or(|process| process.session != session) {
            return;
        }
        found.set_online(true, now);
        let name = Arc::clone(&found.name);
        pool.refresh(agent.id);
        self.write_pool(agent.pool, Kind::AgentOnline, Parts { agent: Some(name), ..Parts::default() });
        self.offer(agent);
    }

    /// The service has noticed that a process is gone.
    pub(super) fn agent_offline(&mut self, agent: AgentRef, session: u64) {
        let lost = self
            .pool(agent.pool)
            .and_then(|pool| pool.agent(agent.id))
            .is_some_and(|found| found.lost.is_some_and(|lost| lost.session == session));
        if lost {
            self.set_offline(agent);
        }
    }

    pub(super) fn set_offline(&mut self, agent: AgentRef) {
        let now = self.now;
        let Some(pool) = self.pool_mut(agent.pool) else { return };
        let Some(found) = pool.agent_mut(agent.id) else { return };
        found.lost = None;
        if !found.online {
            return;
        }
        found.set_online(false, now);
        let name = Arc::clone(&found.name);
        pool.refresh(agent.id);
        self.write_pool(agent.pool, Kind::AgentOffline, Parts { agent: Some(name), ..Parts::default() });
    }

    /// The process on a VM dies without a word: the service believes in it for a while, and its job is lost.
    fn process_dies(&mut self, vm: VmRef, by: KilledBy) {
        let instance = self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance));
        let Some(agent) = instance.and_then(|instance| instance.agent.take()) else { return };
        let session = self.process(agent).map(|process| process.session);
        self.end_process(agent, Some(by));
        let online = self.agent_mut(agent).is_some_and(|found| {
            found.lost = session.filter(|_| found.online).map(|session| Lost { session, by });
            found.lost.is_some()
        });
        if online
            && let Some(session) = session
            && let Some(offline) = self.service_timing(agent.pool, |timings| timings.offline)
        {
            self.schedule(offline, Event::AgentOffline { agent, session });
        }
    }

    /// Ends the process behind a record, if there is one. With `by`, its job dies with it.
    pub(super) fn end_process(&mut self, agent: AgentRef, by: Option<KilledBy>) {
        let Some(found) = self.agent_mut(agent) else { return };
        let process = found.process.take();
        let request = found.request;
        if let Some(vm) = process.and_then(|process| process.vm)
            && let Some(instance) =
                self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance))
            && instance.serial == vm.serial
        {
            instance.agent = None;
        }
        if let (Some(_), Some(request), Some(by)) = (process, request, by) {
            self.kill(agent.pool, request, by);
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

    fn process(&self, agent: AgentRef) -> Option<Process> {
        self.pool(agent.pool)?.agent(agent.id)?.process
    }

    pub(super) fn agent_mut(&mut self, agent: AgentRef) -> Option<&mut Agent> {
        self.pool_mut(agent.pool)?.agent_mut(agent.id)
    }

    fn instance_mut(&mut self, vm: VmRef, epoch: u32) -> Option<&mut Instance> {
        self.sets
            .get_mut(vm.set.0)?
            .instances
            .get_mut(&vm.instance)
            .filter(|instance| instance.serial == vm.serial && instance.epoch == epoch)
    }

    fn write_vm(&mut self, vm: VmRef, kind: Kind, detail: Option<&'static str>) {
        let Some(set) = self.sets.get(vm.set.0) else { return };
        let agent = set.instances.get(&vm.instance).map(|instance| Arc::clone(&instance.computer_name));
        let parts =
            Parts { instance: Some(vm.instance), agent, detail: detail.map(Arc::from), ..Parts::default() };
        self.journal.write(self.now, kind, &set.name, parts);
    }
}
