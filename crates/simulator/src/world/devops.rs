//! What callers may ask of Azure DevOps, and what the control API adds.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;

use super::{
    AgentRef, JobResult, JobSpec, Kind, PoolRef, World, event::Event, journal::Parts, machine::Registration,
};
use crate::spec::DeleteWhileRunning;

/// Why Azure DevOps refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DevOpsError {
    /// There is no such agent.
    #[error("No agent found for pool {pool} with identifier {agent}.")]
    AgentNotFound {
        /// The pool's id.
        pool: u32,
        /// The agent's id.
        agent: u64,
    },
    /// There is no such pool.
    #[error("Agent pool not found.")]
    PoolNotFound,
    /// The agent has a job.
    #[error("Agent \"{agent}\" is running a job for pool \"{pool}\"")]
    JobStillRunning {
        /// The agent's name.
        agent: Arc<str>,
        /// The pool's name.
        pool: Arc<str>,
    },
    /// There is no such open job request.
    #[error("Job request {0} not found.")]
    RequestNotFound(u64),
    /// The name is taken.
    #[error("Pool {pool} already contains an agent with name {agent}.")]
    AgentExists {
        /// The agent's name.
        agent: Arc<str>,
        /// The pool's id.
        pool: u32,
    },
}

/// An agent that belongs to no scale set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherAgent {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it offers beside its own.
    pub capabilities: BTreeMap<String, String>,
    /// What people have added.
    pub user_capabilities: BTreeMap<String, String>,
    /// Whether a process runs, so that it comes online.
    pub runs: bool,
}

impl World {
    /// Enables or disables an agent. A job that it has goes on.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn set_agent_enabled(&mut self, pool: PoolRef, id: u64, enabled: bool) -> Result<(), DevOpsError> {
        let agent = self.known_agent(pool, id)?;
        let Some(found) = self.agent_mut(agent) else { return Ok(()) };
        if found.enabled == enabled {
            return Ok(());
        }
        found.enabled = enabled;
        let name = Some(Arc::clone(&found.name));
        if let Some(found) = self.pool_mut(pool) {
            found.refresh(id);
        }
        let kind = if enabled { Kind::AgentEnabled } else { Kind::AgentDisabled };
        self.write_pool(pool, kind, Parts { agent: name, ..Parts::default() });
        self.offer(agent);
        Ok(())
    }

    /// Replaces what people have added to an agent's capabilities.
    ///
    /// # Errors
    /// When there is no such agent.
    pub fn set_user_capabilities(
        &mut self,
        pool: PoolRef,
        id: u64,
        capabilities: BTreeMap<String, String>,
    ) -> Result<(), DevOpsError> {
        let agent = self.known_agent(pool, id)?;
        if let Some(found) = self.agent_mut(agent) {
            found.user_capabilities = capabilities;
        }
        if let Some(found) = self.pool_mut(pool) {
            found.reclassify(id);
        }
        self.offer(agent);
        Ok(())
    }

    /// Deletes an agent record. A process that runs under it loses its session and leaves; its VM stays.
    ///
    /// # Errors
    /// When there is no such agent, or it has a job.
    pub fn delete_agent(&mut self, pool: PoolRef, id: u64) -> Result<(), DevOpsError> {
        let agent = self.known_agent(pool, id)?;
        let found = self.pool(pool).ok_or(DevOpsError::PoolNotFound)?;
        if let Some(busy) = found.agent(id).filter(|agent| agent.request.is_some()) {
            match self.facts.agent_delete_while_running {
                DeleteWhileRunning::Refused => {
                    let (agent, pool) = (Arc::clone(&busy.name), Arc::clone(&found.name));
                    return Err(DevOpsError::JobStillRunning { agent, pool });
                }
                DeleteWhileRunning::Allowed => self.stray(agent),
            }
        }
        let Some(found) = self.pool(pool) else { return Err(DevOpsError::PoolNotFound) };
        let orphaned = found.bound_to(id);
        self.end_process(agent, None);
        let removed = self.pool_mut(pool).and_then(|found| found.remove_agent(id));
        let name = removed.map(|agent| agent.name);
        self.write_pool(pool, Kind::AgentDeleted, Parts { agent: name, ..Parts::default() });
        for request in orphaned {
            self.tally.cancelled += 1;
            self.finish(pool, request, JobResult::Canceled);
        }
        Ok(())
    }

    /// Adds an agent that belongs to no scale set, or a record without a process (a placeholder).
    ///
    /// # Errors
    /// When the name is taken.
    pub fn add_agent(&mut self, pool: PoolRef, other: OtherAgent) -> Result<u64, DevOpsError> {
        let OtherAgent { name, version, capabilities, user_capabilities, runs } = other;
        let found = self.pool(pool).ok_or(DevOpsError::PoolNotFound)?;
        if found.agent_named(&name).is_some() {
            return Err(DevOpsError::AgentExists { agent: Arc::from(name), pool: found.spec.id });
        }
        let registration = Registration {
            name: Arc::from(name),
            version: Arc::from(version),
            capabilities: Arc::new(capabilities),
            vm: None,
            once: false,
        };
        let agent = self.register(pool, registration).ok_or(DevOpsError::PoolNotFound)?;
        if runs {
            self.schedule_online(agent);
        } else {
            self.end_process(agent, None);
        }
        self.set_user_capabilities(pool, agent.id, user_capabilities)?;
        Ok(agent.id)
    }

    /// Queues jobs, now or at a later time. The ids are those of jobs queued now.
    ///
    /// # Errors
    /// When the agent that they are bound to is not there.
    pub fn queue_jobs(
        &mut self,
        pool: PoolRef,
        job: JobSpec,
        at: Option<Timestamp>,
    ) -> Result<Vec<u64>, DevOpsError> {
        if let Some(agent) = job.maintenance_of {
            self.known_agent(pool, agent)?;
        }
        match at.filter(|at| *at > self.now) {
            Some(at) => {
                self.queue.push(at, Event::JobsArrive { pool, job: Box::new(job) });
                Ok(Vec::new())
            }
            None => Ok(self.jobs_arrive(pool, &job)),
        }
    }

    /// Cancels a job request, waiting or running.
    ///
    /// # Errors
    /// When there is no such open job request.
    pub fn cancel_job(&mut self, pool: PoolRef, request: u64) -> Result<(), DevOpsError> {
        let found = self.pool(pool).ok_or(DevOpsError::PoolNotFound)?;
        let open = found.open(request).ok_or(DevOpsError::RequestNotFound(request))?;
        if open.killed.is_none() {
            self.tally.cancelled += 1;
        }
        self.finish(pool, request, JobResult::Canceled);
        Ok(())
    }

    /// The job of an agent whose record goes runs on where it is, and dies with its machine.
    fn stray(&mut self, agent: AgentRef) {
        let found = self.pool(agent.pool).and_then(|pool| pool.agent(agent.id));
        let Some((request, vm)) = found.and_then(|found| Some((found.request?, found.process?.vm?))) else {
            return;
        };
        let instance = self.sets.get_mut(vm.set.0).and_then(|set| set.instances.get_mut(&vm.instance));
        if let Some(instance) = instance.filter(|instance| instance.serial == vm.serial) {
            instance.stray = Some((agent.pool, request));
        }
    }

    pub(super) fn known_agent(&self, pool: PoolRef, id: u64) -> Result<AgentRef, DevOpsError> {
        let found = self.pool(pool).ok_or(DevOpsError::PoolNotFound)?;
        match found.agent(id) {
            Some(_) => Ok(AgentRef { pool, id }),
            None => Err(DevOpsError::AgentNotFound { pool: found.spec.id, agent: id }),
        }
    }
}
