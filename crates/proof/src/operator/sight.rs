//! What an operator reads, when it is due, and what it does not see.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, AgentId, BindingName, Blocked, JobRequest, Memory, Plan, PoolReason, ScaleSet, Seen, SetView,
    Snapshot, Vm, Why,
};
use poolkeeper_simulator::in_process::View;

use crate::Stage;

/// A source with its last good answer, as the operator's cache keeps it.
#[derive(Clone, Debug)]
struct Source<T> {
    last: Option<(T, Timestamp)>,
    why: Option<Why>,
    tried_at: Option<Timestamp>,
    due: Timestamp,
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { last: None, why: None, tried_at: None, due: Timestamp::MIN }
    }
}

impl<T: Clone> Source<T> {
    /// Takes up an answer; `blind` is a fault that hides it.
    fn take(&mut self, answer: Seen<T>, blind: bool, now: Timestamp) {
        self.tried_at = Some(now);
        match answer {
            Seen::Fresh { value, .. } if !blind => {
                self.last = Some((value, now));
                self.why = None;
            }
            Seen::Fresh { .. } => self.why = Some(unread()),
            Seen::Missing { why, .. } => self.why = Some(why),
        }
    }

    fn seen(&self) -> Seen<T> {
        match (&self.last, &self.why) {
            (Some((value, at)), None) => Seen::Fresh { value: value.clone(), at: *at },
            (last, why) => Seen::Missing { why: why.clone().unwrap_or_else(unread), last: last.clone() },
        }
    }

    /// What was never tried is due at once.
    fn read_after(&mut self, interval: SignedDuration) {
        let last = self.tried_at;
        self.due = last.map_or(Timestamp::MIN, |at| at.checked_add(interval).unwrap_or(Timestamp::MAX));
    }

    fn plan(&mut self, at: Timestamp, now: Timestamp) {
        match &self.why {
            None if self.last.is_some() => self.due = at,
            None | Some(_) => self.read_after(at.duration_since(now)),
        }
    }
}

fn unread() -> Why {
    Why { reason: PoolReason::Unreachable, message: "it could not be read".to_owned() }
}

/// Everything that was read last; a restart loses it.
#[derive(Clone, Debug, Default)]
pub(super) struct Eyes {
    jobs: Source<Vec<JobRequest>>,
    agents: Source<Vec<Agent>>,
    sets: BTreeMap<BindingName, (Source<ScaleSet>, Source<Vec<Vm>>)>,
}

impl Eyes {
    pub(super) fn jobs_due(&mut self, now: Timestamp) {
        self.jobs.due = now;
    }

    /// Jobs, then agents, then scale sets: what is due of them. The world moves in between.
    pub(super) fn look(
        &mut self,
        stage: &mut Stage,
        view: &View,
        memory: &Memory,
        blocked: &BTreeMap<BindingName, Option<String>>,
        now: Timestamp,
    ) -> Snapshot {
        let blind = stage.blind.clone();
        if self.jobs.due <= now && !blind.repeated {
            stage.take_time();
            let hidden = stage.hidden(view.pool);
            let since = stage.world.now().checked_sub(stage.lag).unwrap_or(Timestamp::MIN);
            self.jobs.take(hide_jobs(view.jobs(&stage.world), &hidden, since), blind.jobs, now);
            stage.take_time();
            let hidden = stage.hidden(view.pool);
            self.agents.take(
                hide_agents(view.agents(&stage.world), &hidden),
                blind.agents || blind.jobs,
                now,
            );
        }
        let mut sets = BTreeMap::new();
        for name in view.bindings.keys() {
            let (set, list) = self.sets.entry(name.clone()).or_default();
            let refused = blocked.get(name).cloned().flatten();
            let (set_due, list_due) = (set.due <= now, list.due <= now);
            // Also one whose claim is not ours just now: what is there counts.
            if !blind.repeated && (set_due || list_due) {
                stage.take_time();
                let read = view.set_view(&stage.world, name);
                if set_due {
                    set.take(read.scale_set, blind.sets, now);
                }
                match (&mut list.last, blind.lagging) {
                    // A copy that lags behind answers.
                    (Some((_, at)), true) if list_due => *at = now,
                    _ if list_due => list.take(read.instances, blind.instances, now),
                    _ => {}
                }
            }
            let headroom = view.bindings.get(name).and_then(|set| stage.world.headroom(*set));
            sets.insert(
                name.clone(),
                SetView {
                    blocked: refused.map(|message| Blocked { message, pending: false }),
                    scale_set: set.seen(),
                    instances: list.seen(),
                    headroom,
                },
            );
        }
        Snapshot {
            jobs: self.jobs.seen(),
            agents: self.agents.seen(),
            sets,
            operations: view.operations(&stage.world, memory),
            parallel_jobs: None,
        }
    }

    /// When each source is read next, as the plan says; the first of them, or the next pass.
    pub(super) fn schedule(&mut self, plan: &Plan, now: Timestamp) -> Timestamp {
        self.jobs.read_after(plan.read_jobs_at.duration_since(now));
        let mut first = self.jobs.due.min(plan.next_wakeup);
        for (name, binding) in &plan.bindings {
            let Some((set, list)) = self.sets.get_mut(name) else { continue };
            set.plan(binding.read_set_at, now);
            list.plan(binding.list_at, now);
            first = first.min(set.due).min(list.due);
        }
        // A pass has its price: it follows the last one after a second at the earliest.
        first.max(now.checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX))
    }
}

/// A job that was queued and assigned since then does not show; one that waited before still does.
fn hide_jobs(
    seen: Seen<Vec<JobRequest>>,
    hidden: &BTreeSet<AgentId>,
    since: Timestamp,
) -> Seen<Vec<JobRequest>> {
    let is_hidden = |job: &JobRequest| job.agent.is_some_and(|agent| hidden.contains(&agent));
    match seen {
        Seen::Fresh { mut value, at } => {
            value.retain(|job| !is_hidden(job) || job.queued_at.is_some_and(|queued_at| queued_at < since));
            for job in value.iter_mut().filter(|job| is_hidden(job)) {
                job.agent = None;
                job.assigned_at = None;
            }
            Seen::Fresh { value, at }
        }
        missing @ Seen::Missing { .. } => missing,
    }
}

fn hide_agents(seen: Seen<Vec<Agent>>, hidden: &BTreeSet<AgentId>) -> Seen<Vec<Agent>> {
    match seen {
        Seen::Fresh { mut value, at } => {
            for agent in value.iter_mut().filter(|agent| hidden.contains(&agent.id)) {
                agent.assigned = None;
            }
            Seen::Fresh { value, at }
        }
        missing @ Seen::Missing { .. } => missing,
    }
}
