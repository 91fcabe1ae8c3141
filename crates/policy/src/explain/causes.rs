//! Why no agent stood by for a job that has to wait for a start (Managed DevOps Pools, scaling: delays).

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    Facts,
    time::{at, count, length},
};
use crate::{
    demand::{AGENT_VERSION, Demand, IMAGE_OVERRIDE, IMAGE_VERSION_OVERRIDE},
    instance::{State, after},
    pool::BindingName,
    schedule::Source,
    snapshot::JobRequest,
    start_times::StartTimes,
};

/// The causes that hold, as the end of a sentence; begins with `; ` unless it is empty.
pub(super) fn of(facts: &Facts<'_>, job: &JobRequest, image: usize, slow: Option<&String>) -> String {
    let causes = [standby(facts, job, image), agent_version(job), slow.cloned()];
    causes.into_iter().flatten().map(|cause| format!("; {cause}")).collect()
}

fn asks(job: &JobRequest, name: &str) -> bool {
    job.demands.iter().any(|demand| Demand::name(demand) == name)
}

fn standby(facts: &Facts<'_>, job: &JobRequest, image: usize) -> Option<String> {
    let Facts { pool, plan, now, .. } = *facts;
    if asks(job, IMAGE_VERSION_OVERRIDE) {
        return Some("agents of an ImageVersionOverride are started on demand, never on standby".into());
    }
    let (share, all) = (plan.images.get(image)?.standby, plan.standby.agents);
    if share > 0 {
        return Some(format!("more jobs came than the {} on standby", count(share, "agent")));
    }
    if all > 0 {
        let name = &pool.images.get(image)?.name;
        let all = count(all, "agent");
        return Some(if asks(job, IMAGE_OVERRIDE) {
            format!("image {name} has no share of the {all} on standby")
        } else {
            format!("it names no image, so it goes to {name}, which has no share of the {all} on standby")
        });
    }
    let planned = pool.standby.schedule.is_some() || pool.standby.forecast.is_some();
    Some(match &plan.next_change {
        Some(next) => format!(
            "it came outside the schedule: {} from {} on",
            count(next.agents, "agent"),
            at(next.at, now)
        ),
        None if planned && plan.standby.source != Source::Off => {
            "the schedule wants none on standby now".into()
        }
        None => "none is wanted on standby".into(),
    })
}

fn agent_version(job: &JobRequest) -> Option<String> {
    let asked = asks(job, AGENT_VERSION);
    asked.then(|| {
        "it asks for an Agent.Version, which an agent may have to download before its first job".into()
    })
}

/// Of each image, something that starts slower than 95 of 100 starts did. Found once, not for every job.
pub(super) fn slow(facts: &Facts<'_>) -> Vec<Option<String>> {
    let Facts { pool, plan, now, .. } = *facts;
    let usual: BTreeMap<&BindingName, (usize, SignedDuration)> = pool
        .bindings
        .iter()
        .filter_map(|binding| {
            let measured = plan.memory.start_times.get(&binding.name).and_then(StartTimes::measured)?;
            Some((&binding.name, (binding.image, measured.p95)))
        })
        .collect();
    let mut slow = vec![None; pool.images.len()];
    for instance in plan.instances.iter().filter(|it| matches!(it.state, State::Creating | State::Starting)) {
        let Some((image, usual)) = usual.get(&instance.binding) else { continue };
        let (Some(slow), Some(born)) = (slow.get_mut(*image), instance.born) else { continue };
        if slow.is_none() && after(born, *usual) < now {
            *slow = Some(format!(
                "{} starts for {}, and 95 of 100 take at most {}: a proxy, a virtual network or a firewall may slow it \
                 down",
                instance.computer_name,
                length(now.duration_since(born)),
                length(*usual)
            ));
        }
    }
    slow
}
