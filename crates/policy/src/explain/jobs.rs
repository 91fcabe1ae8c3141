//! Where each job runs, or why it waits.

use std::collections::BTreeMap;

use super::{Facts, JobLine, causes, decision, time::at};
use crate::{
    demand::{Demand, Offers},
    instance::Instance,
    plan::{Action, LimitedBy},
    pool::BindingName,
    reason::PoolReason,
    snapshot::{Agent, AgentId, JobRequest, RequestId},
};

/// One line per unfinished job request, oldest first.
pub(super) fn lines(facts: &Facts<'_>) -> Vec<JobLine> {
    let mut jobs: Vec<&JobRequest> = facts.seen.jobs.latest().into_iter().flatten().collect();
    jobs.sort_unstable_by_key(|job| (job.queued_at.is_none(), job.queued_at, job.id));
    let mut queue = Queue::new(facts, &jobs);
    jobs.into_iter().map(|job| queue.line(job)).collect()
}

/// The jobs in the order in which they are handed out.
struct Queue<'a> {
    facts: &'a Facts<'a>,
    offers: Offers<'a>,
    agents: BTreeMap<AgentId, &'a Agent>,
    /// Agents by the request that they say they have.
    taken: BTreeMap<RequestId, AgentId>,
    instances: BTreeMap<AgentId, &'a Instance>,
    images: BTreeMap<&'a BindingName, usize>,
    /// Jobs of each image that have been explained as waiting.
    before: BTreeMap<usize, u32>,
    /// Of each image, something that starts slowly.
    slow: Vec<Option<String>>,
    /// How many more may run at once, if that is limited.
    parallel: Option<usize>,
}

impl<'a> Queue<'a> {
    fn new(facts: &'a Facts<'a>, jobs: &[&JobRequest]) -> Self {
        let agents = facts.seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
        let taken: BTreeMap<RequestId, AgentId> =
            agents.iter().filter_map(|agent| Some((agent.assigned?, agent.id))).collect();
        let runs =
            |job: &&&JobRequest| !job.maintenance && (job.agent.is_some() || taken.contains_key(&job.id));
        let running = jobs.iter().filter(runs).count();
        let most = facts.seen.parallel_jobs.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        Self {
            facts,
            offers: Offers::new(facts.pool, agents, &facts.plan.instances, true),
            agents: agents.iter().map(|agent| (agent.id, agent)).collect(),
            instances: facts
                .plan
                .instances
                .iter()
                .filter_map(|instance| Some((instance.agent?, instance)))
                .collect(),
            images: facts.pool.bindings.iter().map(|binding| (&binding.name, binding.image)).collect(),
            before: BTreeMap::new(),
            slow: causes::slow(facts),
            parallel: most.map(|most| most.saturating_sub(running)),
            taken,
        }
    }

    fn line(&mut self, job: &JobRequest) -> JobLine {
        let agent = job.agent.or_else(|| self.taken.get(&job.id).copied());
        let (image, why) = match agent {
            Some(agent) => {
                let image = self.instances.get(&agent).and_then(|it| self.images.get(&it.binding)).copied();
                (image, self.runs(job, agent))
            }
            None if job.maintenance => {
                (None, "pool maintenance; it waits for its agent, and starts no VM".into())
            }
            None => {
                let image = self.offers.image(&job.demands);
                let why = match image {
                    Some(image) => self.waits(job, image),
                    None => self.unroutable(job),
                };
                (image, why)
            }
        };
        let image = image.and_then(|image| self.facts.pool.images.get(image)).map(|image| image.name.clone());
        JobLine {
            request: job.id,
            definition: job.definition.clone(),
            queued_at: job.queued_at,
            demands: job.demands.iter().map(Demand::words).collect(),
            image,
            agent,
            why,
        }
    }

    fn runs(&self, job: &JobRequest, agent: AgentId) -> String {
        let record = self.agents.get(&agent);
        let since =
            job.assigned_at.map(|begun| format!(" since {}", at(begun, self.facts.now))).unwrap_or_default();
        let runs = if job.maintenance { "pool maintenance runs" } else { "runs" };
        let Some(instance) = self.instances.get(&agent) else {
            let name = record.map_or_else(|| agent.to_string(), |record| record.name.clone());
            return format!("{runs} on agent {name}{since}, which is on none of this pool's VMs");
        };
        let (name, binding) = (&instance.computer_name, &instance.binding);
        if instance.online {
            format!("{runs} on {name} of {binding}{since}")
        } else {
            format!(
                "given to {name} of {binding}{since}, whose agent is offline: Azure DevOps ends the job about 10m \
                 after the agent's last sign of life"
            )
        }
    }

    fn unroutable(&self, job: &JobRequest) -> String {
        let Some(found) = self.facts.plan.unroutable.iter().find(|other| other.request == job.id) else {
            return "waits: no image meets its demands".into();
        };
        let demands = found.demands.join(", ");
        if found.reason == PoolReason::NoSuchImage {
            format!("waits: no image is what it asks for ({demands}): {}", found.remedy())
        } else {
            format!("waits: no image offers {demands}: {}", found.remedy())
        }
    }

    /// The jobs before it have the agents that are free first.
    fn waits(&mut self, job: &JobRequest, image: usize) -> String {
        let Facts { pool, plan, .. } = *self.facts;
        if pool.deletion.is_some() {
            return "waits: the pool is being deleted, and starts no VM".into();
        }
        if let Some(parallel) = &mut self.parallel {
            if *parallel == 0 {
                let share = self.facts.seen.parallel_jobs.unwrap_or(0);
                return format!("waits for a parallel job: this pool's share, {share}, is in use");
            }
            *parallel -= 1;
        }
        let place = *self.before.entry(image).and_modify(|before| *before += 1).or_insert(0);
        let Some(figures) = plan.images.get(image) else {
            return "waits: nothing is known of its image".into();
        };
        if place < figures.idle {
            let idle = super::time::count(figures.idle, "agent");
            let is = if figures.idle == 1 { "is" } else { "are" };
            return format!("waits for Azure DevOps to hand it out: {idle} of its image {is} idle");
        }
        let place = place - figures.idle;
        let coming = figures.coming.saturating_sub(figures.maintained);
        if place < coming {
            return self.comes(image, coming)
                + &causes::of(self.facts, job, image, self.slow.get(image).and_then(Option::as_ref));
        }
        let grown: u32 = plan
            .actions
            .iter()
            .filter(|action| self.images.get(action.binding()) == Some(&image))
            .map(|action| match action {
                Action::Grow { by, .. } => *by,
                Action::Disable { .. }
                | Action::Remove { .. }
                | Action::Save { .. }
                | Action::Unmark { .. } => 0,
            })
            .fold(0, u32::saturating_add);
        if place - coming < grown {
            return format!(
                "waits: a VM is created for it now{}",
                causes::of(self.facts, job, image, self.slow.get(image).and_then(Option::as_ref))
            );
        }
        self.limited(image)
    }

    fn comes(&self, image: usize, coming: u32) -> String {
        let plan = self.facts.plan;
        let starting = plan.instances.iter().filter(|instance| {
            instance.state.is_coming() && self.images.get(&instance.binding) == Some(&image)
        });
        let ordered =
            plan.memory.operations.iter().filter(|other| self.images.get(&other.binding) == Some(&image));
        let first = starting
            .filter_map(|instance| instance.deadline)
            .chain(ordered.map(|operation| operation.deadline))
            .min();
        let are = if coming == 1 {
            "1 agent is starting".to_owned()
        } else {
            format!("{coming} agents are starting")
        };
        match first {
            Some(first) => {
                format!("waits: {are}, the first is expected by {} at the latest", at(first, self.facts.now))
            }
            None => format!("waits: {are}"),
        }
    }

    fn limited(&self, image: usize) -> String {
        let Facts { pool, plan, .. } = *self.facts;
        let name = pool.images.get(image).map(|image| image.name.as_str()).unwrap_or_default();
        match plan.decision.limited_by {
            LimitedBy::BindingMaximum => {
                let of = if name.is_empty() { "the pool".to_owned() } else { format!("its image {name}") };
                let why = decision::no_room(self.facts, |other| other == image);
                format!("waits: {of} has no binding with room ({why})")
            }
            LimitedBy::Nothing
            | LimitedBy::MaxAgents
            | LimitedBy::SavedAgents
            | LimitedBy::ParallelJobs
            | LimitedBy::Increment
            | LimitedBy::Quota
            | LimitedBy::Allocation
            | LimitedBy::Subnet
            | LimitedBy::Throttling
            | LimitedBy::FailedStarts
            | LimitedBy::Hold
            | LimitedBy::Mode => match decision::limit(self.facts) {
                Some(why) => format!("waits: {why}"),
                None => "waits: its VM comes with the next ones".into(),
            },
        }
    }
}
