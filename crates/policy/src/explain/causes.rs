//! Why no agent stood by for a job that has to wait for a start (Managed DevOps Pools, scaling: delays).

use super::{
    Facts,
    time::{at, count, length},
};
use crate::{
    demand::{AGENT_VERSION, Demand, IMAGE_OVERRIDE, IMAGE_VERSION_OVERRIDE},
    instance::{Instance, State, after},
    schedule::Source,
    snapshot::JobRequest,
    start_times::StartTimes,
};

/// The causes that hold, as the end of a sentence; begins with `; ` unless it is empty.
pub(super) fn of(facts: &Facts<'_>, job: &JobRequest, image: usize) -> String {
    let causes = [standby(facts, job, image), agent_version(job), slow(facts, image)];
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

/// Something starts slower than 95 of 100 starts did.
fn slow(facts: &Facts<'_>, image: usize) -> Option<String> {
    let Facts { pool, plan, now, .. } = *facts;
    let late = |instance: &Instance| {
        let serves = pool.bindings.iter().any(|other| other.name == instance.binding && other.image == image);
        let starts = serves && matches!(instance.state, State::Creating | State::Starting);
        let usual = plan.memory.start_times.get(&instance.binding).and_then(StartTimes::measured)?.p95;
        let born = instance.born.filter(|born| starts && after(*born, usual) < now)?;
        let name = &instance.computer_name;
        Some(format!(
            "{name} starts for {}, and 95 of 100 take at most {}: a proxy, a virtual network or a firewall may slow it \
             down",
            length(now.duration_since(born)),
            length(usual)
        ))
    };
    plan.instances.iter().find_map(late)
}
