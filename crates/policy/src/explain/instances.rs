//! Why each VM is still here, and what comes next.

use std::collections::BTreeMap;

use super::{
    Facts, InstanceLine,
    decision::{held, turn},
    time::{at, count, length, since},
};
use crate::{
    gate,
    instance::{Instance, State, after},
    plan::{Action, Cause, Removal},
    pool::{Basis, Binding, BindingName, DeletionPolicy, Lifecycle, Mode, Recycle, ScaleOut},
    select::{self, SETTLE},
    snapshot::{JobRequest, Vm, VmId},
};

/// One line per VM.
pub(super) fn lines(facts: &Facts<'_>) -> Vec<InstanceLine> {
    let view = View::new(facts);
    facts.plan.instances.iter().map(|instance| view.line(instance)).collect()
}

/// What is done to a VM in this pass, or is not.
enum Deed<'a> {
    Now(&'a Action),
    Observed(&'a Action),
    Held(&'a crate::plan::Hold),
}

/// The same facts by VM and agent.
struct View<'a> {
    facts: &'a Facts<'a>,
    bindings: BTreeMap<&'a BindingName, &'a Binding>,
    vms: BTreeMap<&'a VmId, &'a Vm>,
    /// Jobs by the agent that has them.
    jobs: BTreeMap<i64, &'a JobRequest>,
    deeds: BTreeMap<&'a VmId, Deed<'a>>,
    /// The place of an idle VM among those that are too many, the first to go first.
    ranks: BTreeMap<&'a VmId, u32>,
}

impl<'a> View<'a> {
    fn new(facts: &'a Facts<'a>) -> Self {
        let Facts { pool, seen, plan, .. } = *facts;
        let mut deeds = BTreeMap::new();
        for hold in &plan.holds {
            deeds.extend(hold.wanted.iter().flat_map(vms_of).map(|vm| (vm, Deed::Held(hold))));
        }
        for action in &plan.observed {
            deeds.extend(vms_of(action).map(|vm| (vm, Deed::Observed(action))));
        }
        for action in &plan.actions {
            deeds.extend(vms_of(action).map(|vm| (vm, Deed::Now(action))));
        }
        let jobs = seen.jobs.latest().into_iter().flatten();
        let bindings = pool.bindings.iter().map(|binding| (&binding.name, binding)).collect();
        Self {
            facts,
            ranks: ranks(facts, &bindings),
            bindings,
            vms: seen
                .sets
                .values()
                .filter_map(|set| set.instances.latest())
                .flatten()
                .map(|vm| (&vm.vm_id, vm))
                .collect(),
            jobs: jobs.filter_map(|job| Some((job.agent?.0, job))).collect(),
            deeds,
        }
    }

    fn line(&self, instance: &Instance) -> InstanceLine {
        let Facts { memory, now, .. } = *self.facts;
        // What is seen for the first time, and has no time of its own, is dated now.
        let first_sight = instance.since == now && !memory.sightings.contains_key(&instance.vm_id);
        InstanceLine {
            binding: instance.binding.clone(),
            vm_id: instance.vm_id.clone(),
            instance_id: instance.instance_id.clone(),
            computer_name: instance.computer_name.clone(),
            agent: instance.agent,
            state: instance.state,
            since: (!first_sight).then_some(instance.since),
            enabled: instance.enabled,
            online: instance.online,
            job: instance.request,
            why: self.why(instance),
        }
    }

    fn why(&self, instance: &Instance) -> String {
        let state = self.state(instance);
        let next = self.next(instance);
        match next {
            Some(next) => format!("{state}; {next}"),
            None => state,
        }
    }

    /// What it does, with what is known of why.
    fn state(&self, instance: &Instance) -> String {
        let Facts { pool, now, .. } = *self.facts;
        let begun = at(instance.since, now);
        match instance.state {
            State::Creating => format!("Azure creates it; {}", self.given_up(instance)),
            State::Starting if instance.was_online => {
                format!("its agent is offline and may be back; {}", self.given_up(instance))
            }
            State::Starting => format!("starting; {}", self.given_up(instance)),
            State::Recycling => format!("reimaged since {begun}; {}", self.given_up(instance)),
            State::Idle => self.idle(instance),
            State::Busy => self.busy(instance),
            State::Used => "has run its job, and takes no second one before the machine is new".into(),
            State::Draining => "disabled, and without a job".into(),
            State::CreationFailed => format!("Azure could not create it{}", self.failure(instance)),
            State::FailedToStart => {
                let timeout = length(pool.start_timeout);
                format!("failed to start: not online within {timeout}{}", self.failure(instance))
            }
            State::WentOffline => "its agent went offline without a job, and did not come back".into(),
            State::Stopped => "stopped, deallocated or evicted".into(),
            State::Saved => format!(
                "saved for investigation, and shielded until it is released: kubectl annotate agentpool {} \
                 poolkeeper.dev/release-saved={}",
                pool.name, instance.vm_id
            ),
            State::Deleting if instance.resumes.is_some() => {
                "its agent record is gone, and Azure has not confirmed its deletion, which is begun again"
                    .into()
            }
            State::Deleting => format!("being deleted since {begun}"),
        }
    }

    fn given_up(&self, instance: &Instance) -> String {
        match instance.deadline {
            Some(deadline) => format!("given up at {} unless it is online", at(deadline, self.facts.now)),
            None => "not given up while agents cannot be read".into(),
        }
    }

    fn failure(&self, instance: &Instance) -> String {
        let failure = self.vms.get(&instance.vm_id).and_then(|vm| vm.failure.as_ref());
        failure.map(|failure| format!(" ({})", failure.message)).unwrap_or_default()
    }

    fn busy(&self, instance: &Instance) -> String {
        let Facts { pool, now, .. } = *self.facts;
        if instance.ambiguous {
            let name = &instance.computer_name;
            return format!(
                "another VM is called {name} too, so nobody knows whose agent it is: neither goes"
            );
        }
        let job = instance.agent.and_then(|agent| self.jobs.get(&agent.0));
        let what = if instance.maintenance { "pool maintenance" } else { "its job" };
        let runs = match (instance.request, job.and_then(|job| job.assigned_at)) {
            (Some(request), Some(begun)) => format!("{what} {request} runs since {}", at(begun, now)),
            (Some(request), None) => format!("{what} {request} runs"),
            (None, _) => "it has a job".into(),
        };
        if !instance.online {
            return format!(
                "{runs}, and its agent is offline: nothing is touched until Azure DevOps ends the job, about 10m \
                 after the agent's last sign of life"
            );
        }
        if let Some(cause) = self.leaves(instance) {
            return format!("{runs}; it leaves after it because {}", because(cause));
        }
        match pool.lifecycle {
            _ if instance.maintenance => format!("{runs}; then it is free again"),
            Lifecycle::Stateless(Recycle::Reimage) => format!("{runs}; then it is reimaged"),
            Lifecycle::Stateless(Recycle::Replace) => {
                format!("{runs}; then it is deleted, as agents are replaced")
            }
            Lifecycle::Stateful { .. } => format!("{runs}; it stays for the next one"),
        }
    }

    /// Why a busy one goes after its job, though that alone is no reason.
    fn leaves(&self, instance: &Instance) -> Option<Cause> {
        let cordoned = self.bindings.get(&instance.binding).is_some_and(|binding| binding.cordoned());
        let disabled = !instance.enabled && instance.agent.is_some();
        match self.facts.pool.deletion {
            Some(DeletionPolicy::Drain) => Some(Cause::PoolDeleted),
            Some(DeletionPolicy::Orphan) => None,
            None if cordoned => Some(Cause::BindingLeaves),
            None => instance.leaves.or(instance.saves).or(disabled.then_some(Cause::Disabled)),
        }
    }

    /// Why it goes, whatever it takes; the rule is the selection's own.
    fn goes(&self, instance: &Instance) -> Option<Cause> {
        if self.facts.pool.deletion == Some(DeletionPolicy::Orphan) {
            return None;
        }
        let binding = self.bindings.get(&instance.binding)?;
        instance.saves.or_else(|| Some(select::cause(self.facts.pool, binding, instance, false)?.0))
    }

    fn idle(&self, instance: &Instance) -> String {
        let Facts { pool, plan, seen, now, .. } = *self.facts;
        let idle = format!("idle since {}", at(instance.since, now));
        if self.goes(instance).is_some() || self.deeds.contains_key(&instance.vm_id) {
            return idle;
        }
        if let Some(unreadable) = gate::unreadable(seen) {
            return format!("{idle}; held: {unreadable}");
        }
        if let Some(rank) = self.ranks.get(&instance.vm_id) {
            let stair = plan.memory.staircase.stairs().iter().find(|stair| stair.agents >= *rank);
            let delay = length(pool.idle_delay);
            let Some(stair) = stair else {
                return format!("{idle}, beyond what is wanted; its wait of {delay} idleDelay begins");
            };
            // A stateful agent is kept for the delay from its own last job on.
            let from = match pool.lifecycle {
                Lifecycle::Stateless(_) => stair.since,
                Lifecycle::Stateful { .. } => stair.since.max(instance.since),
            };
            let goes_at = after(from, pool.idle_delay);
            let lasted = since(from, now);
            let when = if goes_at > now {
                format!("goes at {} unless it is wanted", at(goes_at, now))
            } else if matches!(pool.scale_out, ScaleOut::ElasticPool { .. }) {
                "goes at the next sample".into()
            } else {
                turn(self.facts, &instance.binding)
            };
            return format!("{idle}, beyond what is wanted for {lasted} of {delay} idleDelay; {when}");
        }
        let image = self.bindings.get(&instance.binding).map(|binding| binding.image);
        let Some(figures) = image.and_then(|image| plan.images.get(image)) else {
            return format!("{idle}; left alone: its scale set has left the pool");
        };
        let kept = match pool.standby.basis {
            _ if figures.queued > 0 => format!("{} for such agents", waiting(figures.queued)),
            Basis::Idle if figures.standby > 0 => {
                format!("standby wants {} and {}", figures.standby, are(figures.idle, "idle"))
            }
            Basis::Total if figures.standby > 0 => format!(
                "standby wants {} in all, and {} are there",
                figures.standby,
                figures.idle.saturating_add(figures.busy)
            ),
            Basis::Idle | Basis::Total => "it is not beyond what is wanted".into(),
        };
        format!("{idle}; kept: {kept}")
    }

    /// What is done to it, or what it waits for.
    fn next(&self, instance: &Instance) -> Option<String> {
        let Facts { plan, pool, now, .. } = *self.facts;
        match self.deeds.get(&instance.vm_id) {
            Some(Deed::Now(action)) => {
                return Some(format!("{}{}", deed(action), reason(action, instance, " now")));
            }
            Some(Deed::Observed(action)) => {
                return Some(format!(
                    "mode Observe: would be {}{}",
                    deed(action),
                    reason(action, instance, "")
                ));
            }
            Some(Deed::Held(hold)) => return Some(held(hold)),
            None => {}
        }
        if instance.state == State::Creating {
            let leaves = self.leaves(instance)?;
            return Some(format!("goes once it is there, because {}", because(leaves)));
        }
        let cause = self.goes(instance)?;
        // What the state says already is not repeated.
        let goes = match instance.state {
            State::Used
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Deleting => String::new(),
            // It says so itself.
            State::Busy => return None,
            State::Idle | State::Starting | State::Creating | State::Recycling | State::Saved => {
                format!("goes because {}; ", because(cause))
            }
        };
        if pool.mode == Mode::Paused && pool.deletion.is_none() {
            return Some(format!("{goes}held: the pool is paused"));
        }
        if instance.online && !instance.enabled {
            let disabled_since = instance.agent.and_then(|agent| plan.memory.disabled.get(&agent)).copied();
            let settled = after(disabled_since.unwrap_or(now), SETTLE);
            if settled > now {
                let until = settled.strftime("%H:%M:%SZ");
                return Some(format!(
                    "{goes}settles until {until}, so that a job given to it just before would show"
                ));
            }
        }
        if let Some(unreadable) = gate::unreadable(self.facts.seen) {
            return Some(format!("{goes}held: {unreadable}"));
        }
        Some(format!("{goes}{}", turn(self.facts, &instance.binding)))
    }
}

/// The VMs whose life an action is about.
fn vms_of(action: &Action) -> impl Iterator<Item = &VmId> {
    let members = match action {
        Action::Grow { .. } | Action::Unmark { .. } => &[],
        Action::Disable { member, .. } => std::slice::from_ref(member),
        Action::Remove { members, .. } | Action::Save { members, .. } => members.as_slice(),
    };
    members.iter().map(|member| &member.vm_id)
}

fn deed(action: &Action) -> &'static str {
    match action {
        Action::Grow { .. } => "created",
        Action::Disable { .. } => "disabled",
        Action::Remove { removal: Removal::Delete, .. } => "deleted",
        Action::Remove { removal: Removal::Reimage, .. } => "reimaged",
        Action::Save { .. } => "saved for investigation",
        Action::Unmark { .. } => "forgotten",
    }
}

/// Why the deed is done, unless the state says it already.
fn reason(action: &Action, instance: &Instance, when: &str) -> String {
    let members = match action {
        Action::Grow { .. } | Action::Unmark { .. } => &[],
        Action::Disable { member, .. } => std::slice::from_ref(member),
        Action::Remove { members, .. } | Action::Save { members, .. } => members.as_slice(),
    };
    match members.iter().find(|member| member.vm_id == instance.vm_id) {
        Some(member) => format!("{when} because {}", because(member.cause)),
        None => when.to_owned(),
    }
}

/// A cause after "because".
fn because(cause: Cause) -> &'static str {
    match cause {
        Cause::Excess => "it is idle beyond what is wanted",
        Cause::Used => "it has run its job",
        Cause::Disabled => "its agent is disabled",
        Cause::FailedToStart => "it failed to start",
        Cause::CreationFailed => "its creation failed",
        Cause::WentOffline => "its agent went offline",
        Cause::Stopped => "it was stopped or evicted",
        Cause::BindingLeaves => "its binding is cordoned or deleted",
        Cause::PoolDeleted => "the pool is being deleted",
        Cause::Existing => "it was there before the scale set was taken over",
        Cause::Lifetime => "it has reached maxAgentLifetime",
        Cause::Asked => "a person has asked for it",
        Cause::Released => "it was saved and is released",
    }
}

fn waiting(jobs: u32) -> String {
    format!("{} {}", count(jobs, "job"), if jobs == 1 { "waits" } else { "wait" })
}

fn are(agents: u32, what: &str) -> String {
    format!("{agents} {} {what}", if agents == 1 { "is" } else { "are" })
}

/// The idle VMs beyond what is wanted in the order in which they go: the longest idle first, ties by VM id.
fn ranks<'a>(facts: &Facts<'a>, bindings: &BTreeMap<&BindingName, &Binding>) -> BTreeMap<&'a VmId, u32> {
    let mut left: Vec<u32> = facts.plan.images.iter().map(|image| image.surplus).collect();
    let mut idle: Vec<(usize, &Instance)> = facts
        .plan
        .instances
        .iter()
        .filter(|instance| instance.state == State::Idle && instance.enabled && instance.stays())
        .filter_map(|instance| {
            let binding = bindings.get(&instance.binding).filter(|binding| !binding.cordoned())?;
            Some((binding.image, instance))
        })
        .collect();
    idle.sort_unstable_by(|(_, a), (_, b)| (a.since, &a.vm_id).cmp(&(b.since, &b.vm_id)));
    let mut ranks = BTreeMap::new();
    let mut rank = 0_u32;
    for (image, instance) in idle {
        if let Some(room) = left.get_mut(image).filter(|room| **room > 0) {
            *room -= 1;
            rank = rank.saturating_add(1);
            ranks.insert(&instance.vm_id, rank);
        }
    }
    ranks
}
