//! What a person should know, each told once.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    index::{Among, Index},
    instance::{Instance, State, after},
    life,
    memory::Memory,
    plan::Cause,
    pool::{BindingName, Lifecycle, Pool},
    snapshot::{RequestId, Snapshot, VmId},
    starts,
    told::Notice,
};

pub(crate) const FAILED_TO_START: &str = "FailedToStart";
const AGENT_REUSED: &str = "AgentReused";
const JOB_OVER_TWO_DAYS: &str = "JobOverTwoDays";
/// Managed DevOps Pools ends a job after two days on an agent that is past its lifetime.
const TWO_DAYS: SignedDuration = SignedDuration::from_hours(48);

/// Whether a notice about this VM was told.
pub(crate) fn was_told(memory: &Memory, kind: &'static str, vm: &VmId) -> bool {
    !memory.told.is_empty() && memory.told.contains(&(kind, vm.0.clone()))
}

/// A job on an agent past its lifetime that has run for two days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LongJob {
    pub(crate) request: RequestId,
    pub(crate) name: String,
    pub(crate) since: Timestamp,
}

/// By request.
pub(crate) fn long_jobs(
    pool: &Pool,
    seen: &Snapshot,
    instances: &[Instance],
    now: Timestamp,
) -> Vec<LongJob> {
    let Lifecycle::Stateful { max_lifetime } = pool.lifecycle else { return Vec::new() };
    let jobs = seen.jobs.latest().into_iter().flatten();
    let long: Index<RequestId, Timestamp> = jobs
        .filter_map(|job| Some((job.id, job.assigned_at.filter(|at| after(*at, TWO_DAYS) <= now)?)))
        .collect();
    if long.is_empty() {
        return Vec::new();
    }
    let past = instances.iter().filter(|instance| life::is_past(instance, max_lifetime, now));
    let mut found: Vec<LongJob> = past
        .filter_map(|instance| {
            let request = instance.request?;
            let since = long.get(&request).copied()?;
            Some(LongJob { request, name: instance.computer_name.clone(), since })
        })
        .collect();
    found.sort_by(|a, b| (a.request, &a.name).cmp(&(b.request, &b.name)));
    found
}

/// What has not been told yet.
pub(crate) fn tell(
    pool: &Pool,
    seen: &Snapshot,
    memory: &mut Memory,
    instances: &[Instance],
    long_jobs: &[LongJob],
) -> Vec<Notice> {
    forget(memory, seen, instances);
    let mut notices = Vec::new();
    let listed: BTreeSet<&BindingName> = pool.bindings.iter().map(|binding| &binding.name).collect();
    let mut failures = None;
    for instance in instances.iter().filter(|instance| listed.contains(&instance.binding)) {
        let (name, binding) = (&instance.computer_name, &instance.binding);
        if let Some(request) = instance.request.filter(|_| instance.reused)
            && memory.told.insert((AGENT_REUSED, request.to_string()))
        {
            notices.push(Notice::AgentReused { name: name.clone(), binding: binding.clone(), request });
        }
        if instance.state == State::FailedToStart
            && memory.told.insert((FAILED_TO_START, instance.vm_id.0.clone()))
        {
            let failures = failures.get_or_insert_with(|| starts::failures(seen));
            let message = starts::message(pool, instance, failures.get(&instance.vm_id).copied());
            let saved = instance.saves == Some(Cause::FailedToStart) || instance.saves == Some(Cause::Asked);
            let (name, binding) = (name.clone(), binding.clone());
            notices.push(Notice::FailedToStart { name, binding, message, saved });
        }
    }
    for job in long_jobs {
        if memory.told.insert((JOB_OVER_TWO_DAYS, job.request.to_string())) {
            let LongJob { request, name, since } = job.clone();
            notices.push(Notice::JobOverTwoDays { name, request, since });
        }
    }
    notices
}

/// What is gone may be told again; a VM whose agent has come online after all has started.
fn forget(memory: &mut Memory, seen: &Snapshot, instances: &[Instance]) {
    if memory.told.is_empty() {
        return;
    }
    let failing: Among<&str> = instances
        .iter()
        .filter(|instance| !instance.was_online || instance.state == State::FailedToStart)
        .map(|instance| instance.vm_id.0.as_str())
        .collect();
    let jobs: Option<Among<String>> =
        seen.jobs.latest().map(|jobs| jobs.iter().map(|job| job.id.to_string()).collect());
    memory.told.retain(|(kind, about)| match *kind {
        FAILED_TO_START => failing.contains(about.as_str()),
        AGENT_REUSED | JOB_OVER_TWO_DAYS => jobs.as_ref().is_none_or(|jobs| jobs.contains(about)),
        _ => true,
    });
}
