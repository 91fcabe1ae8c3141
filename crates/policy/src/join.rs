//! The join of VMs and agents: one instance for each VM.

use std::{borrow::Cow, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};

use crate::{
    index::{Among, Few, Index, folded},
    instance::{Instance, State, after},
    memory::{Memory, Operation, OperationKind, Sighting},
    plan::Removal,
    pool::{BindingName, Existing, Lifecycle, Pool},
    snapshot::{Agent, AgentId, JobRequest, Power, Provisioning, RequestId, Snapshot, Vm, VmId},
};

/// An agent retries a session conflict for 4 minutes (azure-pipelines-agent), so a shorter absence is not a loss.
const OFFLINE_GRACE: SignedDuration = SignedDuration::from_mins(5);
/// By how much the clocks of Azure DevOps and the operator may differ.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(1);

/// All instances, and what the agents' and jobs' lists say beside them.
pub(crate) struct Joined {
    /// Sorted by binding and VM.
    pub(crate) instances: Vec<Instance>,
    /// Agents that are on none of the VMs.
    pub(crate) foreign: u32,
    /// Jobs and agents, read one after the other, tell different stories about somebody.
    pub(crate) disagree: bool,
}

/// Joins VMs and agents; `before` has the sightings of the last pass, `memory` the operations of this one.
pub(crate) fn join(
    pool: &Pool,
    seen: &Snapshot,
    before: &BTreeMap<VmId, Sighting>,
    memory: &Memory,
    now: Timestamp,
) -> Joined {
    let agents = seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
    let jobs = seen.jobs.latest().map(Vec::as_slice).unwrap_or_default();
    let working = working(jobs);
    let before: Index<&VmId, &Sighting> = before.iter().collect();
    let operations: Index<&VmId, &Operation> = memory
        .operations
        .iter()
        .rev()
        .flat_map(|operation| operation.kind.vms().iter().map(move |vm| (vm, operation)))
        .collect();

    let mut names: Index<Cow<'_, str>, Namesakes<'_>> = Index::default();
    let mut placeholders = 0;
    for agent in agents {
        if agent.is_placeholder() {
            placeholders += 1;
            continue;
        }
        names.entry(folded(&agent.name)).or_default().agents.push(agent);
    }
    let vms = || seen.sets.values().filter_map(|set| set.instances.latest()).flatten();
    let mut matched = 0;
    for vm in vms() {
        if let Some(namesakes) = names.get_mut(&folded(&vm.computer_name)) {
            matched += if namesakes.vms == 0 { namesakes.agents.len() } else { 0 };
            namesakes.vms += 1;
        }
    }

    let mut instances = Vec::with_capacity(vms().count());
    for (binding, set) in &seen.sets {
        let found = pool.bindings.iter().find(|other| &other.name == binding);
        let mut vms: Vec<&Vm> = set.instances.latest().into_iter().flatten().collect();
        let saved = set.scale_set.latest().map(|set| &set.saved).filter(|saved| !saved.is_empty());
        let tagged = memory.tagged.get(binding);
        vms.sort_unstable_by(|a, b| a.vm_id.cmp(&b.vm_id));
        for vm in vms {
            let namesakes = names.get(&folded(&vm.computer_name));
            let view = View {
                pool,
                binding,
                vm,
                record: Record::choose(vm, namesakes, &working),
                operation: operations.get(&vm.vm_id).copied(),
                before: before.get(&vm.vm_id).copied(),
                // A VM that was there before the claim waits for its agent from the claim on.
                claimed_at: found
                    .and_then(|found| found.claimed_at)
                    .filter(|claimed_at| vm.created_at.is_some_and(|created_at| created_at < *claimed_at)),
                saved: saved.is_some_and(|saved| saved.contains_key(&vm.vm_id))
                    || tagged.is_some_and(|tagged| tagged.saved.contains(&vm.vm_id)),
                replaces: found.is_some_and(|found| found.existing == Existing::Replace),
                readable_since: memory.readable_since.filter(|_| memory.unread_since.is_none()),
                now,
            };
            instances.push(view.classify());
        }
    }
    let foreign = u32::try_from(agents.len().saturating_sub(matched + placeholders)).unwrap_or(u32::MAX);
    Joined { instances, foreign, disagree: disagree(agents, jobs, &working) }
}

/// Somebody works on a request that the other list does not know of, or on none where it knows of one.
fn disagree(agents: &[Agent], jobs: &[JobRequest], working: &Working<'_>) -> bool {
    let holder: Index<RequestId, AgentId> =
        jobs.iter().filter_map(|job| job.agent.map(|agent| (job.id, agent))).collect();
    let listed: Among<AgentId> =
        agents.iter().map(|agent| agent.id).filter(|id| working.contains_key(id)).collect();
    let differs = |agent: &Agent| match agent.assigned {
        Some(request) => holder.get(&request) != Some(&agent.id),
        None => listed.contains(&agent.id),
    };
    listed.len() < working.len() || agents.iter().any(differs)
}

/// The request of each agent that has one; of several, the first that is no maintenance.
type Working<'a> = Index<AgentId, &'a JobRequest>;

fn working(jobs: &[JobRequest]) -> Working<'_> {
    let mut working = Working::default();
    for job in jobs {
        let Some(agent) = job.agent else { continue };
        let first = working.entry(agent).or_insert(job);
        if (job.maintenance, job.id) < (first.maintenance, first.id) {
            *first = job;
        }
    }
    working
}

/// The agents of one name, and how many VMs have it too.
#[derive(Default)]
struct Namesakes<'a> {
    agents: Few<&'a Agent>,
    vms: u32,
}

/// The agent record of a VM.
#[derive(Clone, Copy)]
struct Record<'a> {
    agent: Option<&'a Agent>,
    leftover: Option<AgentId>,
    busy: bool,
    /// What it works on.
    request: Option<RequestId>,
    maintenance: bool,
    /// There is a record, and nobody knows which of several VMs of its name it belongs to.
    ambiguous: bool,
}

impl<'a> Record<'a> {
    /// A record older than its VM is a leftover of an earlier VM of the same name, unless it is in use now.
    fn choose(vm: &Vm, namesakes: Option<&Namesakes<'a>>, working: &Working<'_>) -> Self {
        let in_use = |agent: &Agent| agent.assigned.is_some() || working.contains_key(&agent.id);
        let is_leftover = |agent: &Agent| {
            let older = matches!((agent.created_at, vm.created_at), (Some(agent), Some(vm)) if agent < vm);
            older && !agent.online && !in_use(agent)
        };
        let candidates = || namesakes.into_iter().flat_map(|namesakes| namesakes.agents.iter());
        let agent = candidates()
            .filter(|agent| !is_leftover(agent))
            .max_by_key(|agent| (in_use(agent), agent.online, agent.id));
        let leftover = candidates().filter(|agent| is_leftover(agent)).map(|agent| agent.id).max();
        let job = agent.and_then(|agent| working.get(&agent.id));
        let assigned = agent.and_then(|agent| agent.assigned);
        let fits = |job: &&&JobRequest| assigned.is_none_or(|request| request == job.id);
        Self {
            agent,
            leftover,
            request: assigned.or(job.map(|job| job.id)),
            maintenance: agent.is_some_and(|agent| agent.maintained && agent.assigned.is_some())
                || job.filter(fits).is_some_and(|job| job.maintenance),
            busy: agent.is_some_and(in_use),
            ambiguous: namesakes.is_some_and(|namesakes| namesakes.vms > 1),
        }
    }
}

/// All that is known of one VM.
struct View<'a> {
    pool: &'a Pool,
    binding: &'a BindingName,
    vm: &'a Vm,
    record: Record<'a>,
    operation: Option<&'a Operation>,
    before: Option<&'a Sighting>,
    /// When its scale set was claimed, if that was after its creation.
    claimed_at: Option<Timestamp>,
    /// The tags say so.
    saved: bool,
    /// Its binding replaces such VMs.
    replaces: bool,
    /// Absent while jobs or agents are missing.
    readable_since: Option<Timestamp>,
    now: Timestamp,
}

impl View<'_> {
    fn classify(&self) -> Instance {
        let Self { pool, binding, vm, record, operation, before, now, .. } = *self;
        let agent = record.agent;
        let online = agent.is_some_and(|agent| agent.online);
        // An intent that Azure never confirmed (the operator was restarted) says nothing about the VM.
        let confirmed = operation.filter(|operation| operation.url.is_some());
        let reimage = confirmed.filter(|operation| matches!(operation.kind, OperationKind::Reimage(_)));
        let reborn = reimage.is_some_and(|operation| {
            let since = operation.started_at.checked_sub(CLOCK_SKEW).unwrap_or(Timestamp::MIN);
            online && agent.and_then(|agent| agent.created_at).is_none_or(|at| at >= since)
        });
        let reimaging = reimage.filter(|_| !reborn);
        let was_online = online || (reimage.is_none() && before.is_some_and(|before| before.was_online));
        // What is saved is removed for other reasons than what was begun before.
        let resumes = self.resumes().filter(|_| !self.saved);
        let deleting = resumes == Some(Removal::Delete)
            || confirmed.is_some_and(|operation| matches!(operation.kind, OperationKind::Delete(_)));
        let new_since = reimage.map_or(vm.created_at, |operation| Some(operation.started_at));
        let used = agent.is_some_and(|agent| has_run_a_job(pool, agent, new_since));

        let state = if record.busy || record.ambiguous {
            State::Busy
        } else if deleting || vm.provisioning == Provisioning::Deleting {
            State::Deleting
        } else if self.saved {
            State::Saved
        } else if reimaging.is_some() {
            State::Recycling
        } else if vm.provisioning == Provisioning::Creating {
            State::Creating
        } else if vm.provisioning == Provisioning::Failed && vm.power != Power::On && !online {
            State::CreationFailed
        } else if vm.power == Power::Off {
            State::Stopped
        } else {
            by_agent(agent, used, was_online)
        };

        let since = self.since(state, reimaging);
        let deadline = self.deadline(state, since, was_online, reimaging);
        let late = state.is_coming() && deadline.is_some_and(|deadline| deadline <= now);
        let lost = if was_online && reimaging.is_none() { State::WentOffline } else { State::FailedToStart };
        Instance {
            binding: binding.clone(),
            vm_id: vm.vm_id.clone(),
            instance_id: vm.instance_id.clone(),
            computer_name: vm.computer_name.clone(),
            agent: agent.map(|agent| agent.id),
            leftover: record.leftover.filter(|_| !record.ambiguous),
            ambiguous: record.ambiguous,
            enabled: agent.is_some_and(|agent| agent.enabled),
            online,
            state: if late { lost } else { state },
            since,
            deadline,
            was_online,
            resumes,
            existing: self.replaces && self.claimed_at.is_some() && !self.saved,
            born: vm.created_at.or(agent.and_then(|agent| agent.created_at)),
            request: record.request,
            maintenance: record.maintenance,
            reused: used && record.busy && !record.maintenance && !record.ambiguous,
            saved: self.saved,
            leaves: None,
            saves: None,
            undecided: false,
        }
    }

    /// A removal that was decided, whose agent record is gone, and that Azure has not confirmed or has failed.
    fn resumes(&self) -> Option<Removal> {
        let operation = self.operation.filter(|operation| operation.url.is_none())?;
        if self.record.agent.is_some() || self.vm.provisioning == Provisioning::Deleting {
            return None;
        }
        match operation.kind {
            OperationKind::Create { .. } => None,
            OperationKind::Delete(_) => Some(Removal::Delete),
            OperationKind::Reimage(_) => Some(Removal::Reimage),
        }
    }

    /// Since when the instance is in its state.
    fn since(&self, state: State, reimaging: Option<&Operation>) -> Timestamp {
        let now = self.now;
        let finished_at = self.record.agent.and_then(|agent| agent.last_finished_at);
        let unchanged =
            self.before.filter(|before| before.state == state || (waits(before.state) && waits(state)));
        match state {
            State::Recycling => reimaging.map_or(now, |operation| operation.started_at),
            // A job between two looks begins the idle time again.
            State::Idle => {
                let changed_at = self.record.agent.and_then(|agent| agent.status_changed_at);
                // A job that ended just now, although the agent's record does not say so.
                let ended = self.before.filter(|before| {
                    before.state == State::Busy && finished_at.is_none_or(|at| at < before.since)
                });
                let known = unchanged.map(|before| before.since).max(finished_at).max(changed_at);
                let known = known.filter(|_| ended.is_none());
                known.filter(|at| *at <= now).unwrap_or(now)
            }
            State::Used => finished_at.filter(|at| *at <= now).unwrap_or(now),
            // Not from the VM's creation: it may just have been reimaged by an operator that has lost its memory.
            State::Creating
            | State::Starting
            | State::Busy
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Saved
            | State::Deleting => unchanged.map_or(now, |before| before.since),
        }
    }

    /// When capacity on its way is given up. Nothing is lost before agents have been readable for as long as one may
    /// need to find its way back; while they are not readable, nothing is lost at all.
    fn deadline(
        &self,
        state: State,
        since: Timestamp,
        was_online: bool,
        reimaging: Option<&Operation>,
    ) -> Option<Timestamp> {
        let updating = self.record.agent.is_some_and(|agent| agent.updating);
        let deadline = match state {
            State::Recycling => reimaging.map(|operation| operation.deadline),
            State::Starting if was_online && !updating => Some(after(since, OFFLINE_GRACE)),
            State::Creating | State::Starting => {
                let claimed_at = self.claimed_at.filter(|_| self.record.agent.is_none());
                Some(after(claimed_at.map_or(since, |at| at.max(since)), self.pool.start_timeout))
            }
            State::Used => return Some(after(since, self.pool.start_timeout)),
            State::Idle
            | State::Busy
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Saved
            | State::Deleting => None,
        }?;
        self.readable_since.map(|readable| deadline.max(after(readable, OFFLINE_GRACE)))
    }
}

/// A stateless agent has finished a job since its machine was new.
fn has_run_a_job(pool: &Pool, agent: &Agent, new_since: Option<Timestamp>) -> bool {
    match pool.lifecycle {
        Lifecycle::Stateless(_) => {
            agent.last_finished_at.is_some_and(|at| new_since.is_none_or(|since| at >= since))
        }
        Lifecycle::Stateful { .. } => false,
    }
}

/// The state of a VM that runs and is not ours to wait for, by its agent.
fn by_agent(agent: Option<&Agent>, used: bool, was_online: bool) -> State {
    let Some(agent) = agent else { return State::Starting };
    // An agent that has never been online is not drained: disabling it while it starts confuses it.
    if used {
        State::Used
    } else if !agent.enabled && (was_online || agent.online) {
        State::Draining
    } else if agent.online {
        State::Idle
    } else {
        State::Starting
    }
}

/// One wait from creation, or from the loss of its session, to online; a wait that was given up goes on being one, and
/// so does that of a VM which is saved: without its mark, it is lost at once.
fn waits(state: State) -> bool {
    matches!(
        state,
        State::Creating | State::Starting | State::FailedToStart | State::WentOffline | State::Saved
    )
}
