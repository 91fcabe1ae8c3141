//! The schedule that a pool follows: the one it names, or the last valid one of it.

use jiff::{Timestamp, tz::TimeZone};
use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, StandbySchedule, StandbyScheduleSpec, agent_pool::FollowedSchedule,
    standby_schedule::Automatic,
};
use poolkeeper_policy::{PoolReason, Truth, Why, schedule::Schedule};

use crate::{conditions::Desired, context::Context, schedule};

/// What the pool follows, and what it says about that.
#[derive(Debug, Default)]
pub(super) struct Followed {
    pub(super) schedule: Option<Schedule>,
    /// Kept in status, whole, for the time when the object is missing or bad.
    pub(super) kept: Option<FollowedSchedule>,
    /// What is wrong with the schedule itself.
    pub(super) fault: Option<Why>,
    /// What it says of automatic standby, and the zone of its hours.
    pub(super) automatic: Option<(Automatic, TimeZone)>,
    /// `StandbyResolved`.
    pub(super) conditions: Vec<Desired>,
}

/// Finds the schedule that holds for the pool.
pub(super) fn resolve(ctx: &Context, pool: &AgentPool, now: Timestamp) -> Followed {
    let Some(reference) = &pool.spec.standby.schedule_ref else {
        return Followed { conditions: vec![resolved("constant")], ..Followed::default() };
    };
    let namespace = pool.namespace().unwrap_or_default();
    match ctx.stores.schedule(&namespace, &reference.name) {
        Some(Ok(found)) => match usable(&found, pool, now) {
            Ok(schedule) => {
                let conditions = vec![resolved(&format!("constant and StandbySchedule {}", reference.name))];
                let automatic = automatic(&found.spec, &schedule);
                Followed { schedule: Some(schedule), kept: keep(&found), fault: None, automatic, conditions }
            }
            Err(why) => follow_last(pool, why, now),
        },
        Some(Err(unreadable)) => {
            let message = format!("StandbySchedule {}: {unreadable}", reference.name);
            follow_last(pool, Why { reason: PoolReason::ScheduleInvalid, message }, now)
        }
        None => {
            let why = Why {
                reason: PoolReason::ScheduleNotFound,
                message: format!(
                    "StandbySchedule {} does not exist in this namespace: create it, or remove standby.scheduleRef",
                    reference.name
                ),
            };
            follow_last(pool, why, now)
        }
    }
}

fn usable(found: &StandbySchedule, pool: &AgentPool, now: Timestamp) -> Result<Schedule, Why> {
    let checked = schedule::check(&found.spec, now).map_err(|error| Why {
        reason: PoolReason::ScheduleInvalid,
        message: format!("StandbySchedule {}: {error}", found.name_any()),
    })?;
    let most = u32::try_from(pool.spec.max_agents).unwrap_or(0);
    match checked.highest().filter(|(_, agents)| *agents > most) {
        Some((entry, agents)) => Err(Why {
            reason: PoolReason::ScheduleAboveMaximum,
            message: format!(
                "{entry} of StandbySchedule {} asks for {agents} agents, and maxAgents is {most}: lower it, or raise \
                 maxAgents",
                found.name_any()
            ),
        }),
        None => Ok(checked),
    }
}

/// The last valid schedule goes on, not a frozen number.
fn follow_last(pool: &AgentPool, why: Why, now: Timestamp) -> Followed {
    let name = pool.spec.standby.schedule_ref.as_ref().map(|reference| reference.name.clone());
    let kept = pool.status.as_ref().and_then(|status| status.schedule.clone());
    let kept = kept.filter(|kept| Some(&kept.name) == name.as_ref());
    let last = kept.as_ref().and_then(|kept| {
        let spec: StandbyScheduleSpec = kept.typed().ok()?;
        let schedule = schedule::check(&spec, now).ok()?;
        Some((automatic(&spec, &schedule), schedule))
    });
    let goes_on = if last.is_some() { "; the last valid schedule is followed" } else { "" };
    let condition = Desired {
        kind: "StandbyResolved",
        truth: Truth::False,
        reason: why.reason.as_str(),
        message: format!("{}{goes_on}", why.message),
    };
    let (automatic, schedule) = last.unzip();
    Followed { schedule, kept, fault: Some(why), automatic: automatic.flatten(), conditions: vec![condition] }
}

fn automatic(spec: &StandbyScheduleSpec, schedule: &Schedule) -> Option<(Automatic, TimeZone)> {
    spec.automatic.clone().map(|automatic| (automatic, schedule.zone().clone()))
}

fn resolved(message: &str) -> Desired {
    Desired {
        kind: "StandbyResolved",
        truth: Truth::True,
        reason: PoolReason::Resolved.as_str(),
        message: message.to_owned(),
    }
}

fn keep(found: &StandbySchedule) -> Option<FollowedSchedule> {
    Some(FollowedSchedule {
        name: found.name_any(),
        generation: found.metadata.generation.unwrap_or_default(),
        spec: serde_json::to_value(&found.spec).ok()?,
    })
}
