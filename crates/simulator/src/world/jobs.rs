//! The life of job requests.

use std::sync::Arc;

use super::{
    AgentRef, Completed, JobRequest, JobResult, JobSpec, KilledBy, Kind, PoolRef, World,
    event::{Event, after},
    journal::Parts,
    request::JOB_LOCK,
};
use crate::spec::{Distribution, UnmatchedJobs};

impl World {
    /// Jobs are queued now.
    pub(super) fn jobs_arrive(&mut self, pool: PoolRef, job: &JobSpec) -> Vec<u64> {
        (0..job.count).filter_map(|_| self.job_arrives(pool, job)).collect()
    }

    fn job_arrives(&mut self, pool: PoolRef, job: &JobSpec) -> Option<u64> {
        let duration = job.duration.sample(&mut self.rng);
        let now = self.now;
        let organization = self.organizations.get_mut(pool.organization)?;
        let found = organization.pools.get_mut(pool.pool)?;
        let id = organization.next_request;
        organization.next_request += 1;
        let demands = found.catalogue.demands(&job.demands);
        let fails = found.spec.unmatched_jobs == UnmatchedJobs::Fail && job.maintenance_of.is_none();
        found.insert_request(JobRequest {
            id,
            queued_at: now,
            assigned_at: None,
            received_at: None,
            finished_at: None,
            result: None,
            agent: None,
            maintenance_of: job.maintenance_of,
            killed: None,
            definition: Arc::clone(&job.definition),
            duration,
            demands,
        });
        let refused = fails && !found.is_runnable(id);
        self.tally.queued += 1;
        self.write_job(pool, Kind::JobQueued, id, None, None);
        if refused {
            self.tally.cancelled += 1;
            self.finish(pool, id, JobResult::Failed);
        } else if self.may_start(pool.organization) || job.maintenance_of.is_some() {
            self.start(pool, id);
        }
        Some(id)
    }

    fn choose(&mut self, pool: PoolRef, request: u64) -> Option<u64> {
        let found = self.organizations.get_mut(pool.organization)?.pools.get_mut(pool.pool)?;
        found.choose_agent(request, &mut self.rng)
    }

    fn start(&mut self, pool: PoolRef, request: u64) {
        if let Some(agent) = self.choose(pool, request) {
            self.assign(AgentRef { pool, id: agent }, request);
        }
    }

    /// Whether the organisation has a parallel job left.
    fn may_start(&self, organization: usize) -> bool {
        self.organizations
            .get(organization)
            .is_none_or(|known| known.spec.parallel_jobs.is_none_or(|most| known.running < most))
    }

    /// Starts the jobs of all pools that have waited longest, while parallel jobs are left.
    fn fill(&mut self, organization: usize) {
        let Some(known) = self.organizations.get(organization) else { return };
        let mut waiting: Vec<(u64, PoolRef)> = known
            .pools
            .iter()
            .enumerate()
            .flat_map(|(pool, found)| {
                let open =
                    found.open_requests().filter(|job| job.is_waiting() && job.maintenance_of.is_none());
                open.map(move |job| (job.id, PoolRef { organization, pool }))
            })
            .collect();
        waiting.sort_unstable_by_key(|(id, _)| *id);
        for (id, pool) in waiting {
            if !self.may_start(organization) {
                return;
            }
            self.start(pool, id);
        }
    }

    /// Gives an agent that has become free the job that has waited longest.
    pub(super) fn offer(&mut self, agent: AgentRef) {
        let may_start = self.may_start(agent.pool.organization);
        let next = self.pool_mut(agent.pool).and_then(|pool| pool.next_request_for(agent.id, may_start));
        if let Some(request) = next {
            self.assign(agent, request);
        }
    }

    fn assign(&mut self, agent: AgentRef, request: u64) {
        let now = self.now;
        let Some(pool) = self.pool_mut(agent.pool) else { return };
        pool.stop_waiting(request);
        let Some(found) = pool.agent_mut(agent.id) else { return };
        found.request = Some(request);
        let (name, lost, alive) = (Arc::clone(&found.name), found.lost, found.process.is_some());
        pool.refresh(agent.id);
        let Some(job) = pool.request_mut(request) else { return };
        job.assigned_at = Some(now);
        job.agent = Some((agent.id, Arc::clone(&name)));
        let wait = now.duration_since(job.queued_at);
        let counts = job.maintenance_of.is_none();
        if let Some(organization) = self.organizations.get_mut(agent.pool.organization) {
            organization.running += u32::from(counts);
        }
        self.tally.wait(wait);
        self.write_job(agent.pool, Kind::JobAssigned, request, Some(name), None);
        if alive {
            if let Some(receive) = self.service_timing(agent.pool, |timings| timings.receive) {
                self.schedule(receive, Event::JobReceived { pool: agent.pool, request });
            }
        } else if let Some(lost) = lost {
            // The service does not know yet that the machine is gone.
            self.kill(agent.pool, request, lost.by);
        }
    }

    pub(super) fn job_received(&mut self, pool: PoolRef, request: u64) {
        let now = self.now;
        let Some(job) = self.pool_mut(pool).and_then(|found| found.request_mut(request)) else { return };
        if job.killed.is_some() {
            return;
        }
        job.received_at = Some(now);
        let (duration, name) = (job.duration, job.agent.as_ref().map(|(_, name)| Arc::clone(name)));
        self.write_job(pool, Kind::JobReceived, request, name, None);
        self.schedule(Distribution::Constant(duration), Event::JobFinished { pool, request });
    }

    pub(super) fn job_finished(&mut self, pool: PoolRef, request: u64) {
        let lives =
            self.pool(pool).and_then(|found| found.open(request)).is_some_and(|job| job.killed.is_none());
        if lives {
            self.tally.finished += 1;
            self.finish(pool, request, JobResult::Succeeded);
        }
    }

    pub(super) fn lock_expired(&mut self, pool: PoolRef, request: u64) {
        self.finish(pool, request, JobResult::Abandoned);
    }

    /// The job's machine is gone. The job stays with its agent until the lock runs out.
    pub(super) fn kill(&mut self, pool: PoolRef, request: u64, by: KilledBy) {
        let now = self.now;
        let Some(job) = self.pool_mut(pool).and_then(|found| found.request_mut(request)) else { return };
        if job.killed.is_some() {
            return;
        }
        job.killed = Some((now, by));
        let ends = job.locked_until(now).unwrap_or_else(|| after(now, JOB_LOCK));
        let name = job.agent.as_ref().map(|(_, name)| Arc::clone(name));
        self.tally.kill(by);
        self.write_job(pool, Kind::JobKilled, request, name, Some(by.name()));
        self.queue.push(ends, Event::LockExpired { pool, request });
    }

    /// Ends a request, and frees its agent for the next one.
    pub(super) fn finish(&mut self, pool: PoolRef, request: u64, result: JobResult) {
        let now = self.now;
        let Some(found) = self.pool_mut(pool) else { return };
        let Some(job) = found.request_mut(request) else { return };
        job.finished_at = Some(now);
        job.result = Some(result);
        let Some(job) = found.close_request(request) else { return };
        let name = job.agent.as_ref().map(|(_, name)| Arc::clone(name));
        self.write_job(pool, Kind::JobFinished, request, name, Some(result.name()));
        let Some((id, _)) = job.agent else {
            if job.maintenance_of.is_some() {
                self.maintenance_goes_on(pool);
            }
            return;
        };
        let agent = AgentRef { pool, id };
        if let Some(organization) = self.organizations.get_mut(pool.organization) {
            organization.running =
                organization.running.saturating_sub(u32::from(job.maintenance_of.is_none()));
        }
        self.free(agent, request, result, job.killed.is_none());
        if job.maintenance_of.is_some() {
            self.maintenance_goes_on(pool);
        }
        // A parallel job that is free again goes to the job that has waited longest, in whichever pool.
        let limited =
            self.organizations.get(pool.organization).is_some_and(|known| known.spec.parallel_jobs.is_some());
        if limited {
            self.fill(pool.organization);
        }
        self.offer(agent);
    }

    fn free(&mut self, agent: AgentRef, request: u64, result: JobResult, alive: bool) {
        let now = self.now;
        let Some(found) = self.agent_mut(agent) else { return };
        found.request = None;
        found.last_completed = Some(Completed { request, at: now, result });
        let leaves = alive && found.process.is_some_and(|process| process.once);
        if leaves {
            self.end_process(agent, None);
            self.set_offline(agent);
        }
        if let Some(found) = self.pool_mut(agent.pool) {
            found.refresh(agent.id);
        }
    }

    fn write_job(
        &mut self,
        pool: PoolRef,
        kind: Kind,
        request: u64,
        agent: Option<Arc<str>>,
        detail: Option<&'static str>,
    ) {
        let parts =
            Parts { request: Some(request), agent, detail: detail.map(Arc::from), ..Parts::default() };
        self.write_pool(pool, kind, parts);
    }
}
