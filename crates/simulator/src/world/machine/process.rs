//! The agent processes on VMs: how they register, come online, and die.

use std::{collections::BTreeMap, sync::Arc};

use crate::world::{
    Agent, AgentRef, Bootstrap, KilledBy, Kind, PoolRef, VmRef, World,
    agent::{Lost, Process},
    demand::ClassId,
    event::Event,
    journal::Parts,
};

/// An agent that announces itself.
#[derive(Debug)]
pub(in crate::world) struct Registration {
    pub(in crate::world) name: Arc<str>,
    pub(in crate::world) version: Arc<str>,
    pub(in crate::world) capabilities: Arc<BTreeMap<String, String>>,
    pub(in crate::world) vm: Option<VmRef>,
    pub(in crate::world) once: bool,
}

impl World {
    pub(super) fn register_vm(&mut self, vm: VmRef) -> Option<AgentRef> {
        let Bootstrap { pool, once, version, capabilities } = self.bootstraps.get(vm.set.0)?.clone()?;
        let name = Arc::clone(&self.sets.get(vm.set.0)?.instances.get(&vm.instance)?.computer_name);
        let agent = self.register(pool, Registration { name, version, capabilities, vm: Some(vm), once })?;
        self.sets.get_mut(vm.set.0)?.instances.get_mut(&vm.instance)?.agent = Some(agent);
        Some(agent)
    }

    /// `config --replace`: a record of the same name keeps its id, its user capabilities and whether it is enabled;
    /// the process that had it loses its session.
    pub(in crate::world) fn register(
        &mut self,
        pool: PoolRef,
        registration: Registration,
    ) -> Option<AgentRef> {
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

    pub(in crate::world) fn schedule_online(&mut self, agent: AgentRef) {
        let Some(session) = self.process(agent).map(|process| process.session) else { return };
        let Some(online) = self.service_timing(agent.pool, |timings| timings.online) else { return };
        self.schedule(online, Event::AgentOnline { agent, session });
    }

    pub(in crate::world) fn agent_online(&mut self, agent: AgentRef, session: u64) {
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
    pub(in crate::world) fn agent_offline(&mut self, agent: AgentRef, session: u64) {
        let lost = self
            .pool(agent.pool)
            .and_then(|pool| pool.agent(agent.id))
            .is_some_and(|found| found.lost.is_some_and(|lost| lost.session == session));
        if lost {
            self.set_offline(agent);
        }
    }

    pub(in crate::world) fn set_offline(&mut self, agent: AgentRef) {
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
    pub(in crate::world) fn process_dies(&mut self, vm: VmRef, by: KilledBy) {
        let found = self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance));
        let Some(instance) = found else { return };
        let (agent, stray) = (instance.agent.take(), instance.stray.take());
        if let Some((pool, request)) = stray {
            self.kill(pool, request, by);
        }
        let Some(agent) = agent else { return };
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
    pub(in crate::world) fn end_process(&mut self, agent: AgentRef, by: Option<KilledBy>) {
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
}
