//! The status of a schedule. No IO.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use poolkeeper_api::{
    StandbySchedule, StandbyScheduleStatus,
    standby_schedule::{CurrentStandby, PlanRow},
    status::NextChange,
};
use poolkeeper_policy::{
    ScheduleReason, Truth,
    schedule::{Change, Level, Schedule, Source, WeekRow},
};

use crate::{
    conditions::{Desired, merge},
    schedule,
};

/// The status as of `now`, and when it differs next. `users` are the pools that follow the schedule, sorted.
pub(super) fn status(
    object: &StandbySchedule,
    users: &[String],
    now: Timestamp,
) -> (StandbyScheduleStatus, Option<Timestamp>) {
    let generation = object.metadata.generation;
    let previous = object.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let desired = |kind, truth, reason: ScheduleReason, message: &str| Desired {
        kind,
        truth,
        reason: reason.as_str(),
        message: message.to_owned(),
    };
    let conditions = |list| merge(previous, list, generation, now);
    match schedule::check(&object.spec, now) {
        Ok(schedule) => {
            let ready =
                desired("Ready", Truth::True, ScheduleReason::Valid, &message(users, &schedule.past(now)));
            let automatic = object.spec.automatic.is_some();
            let level = schedule.level(now);
            let changes_at = level.until;
            let status = StandbyScheduleStatus {
                observed_generation: generation,
                conditions: conditions(vec![ready]),
                current: current(level, automatic),
                next_change: next_change(&schedule, now, automatic),
                week: schedule.week().into_iter().map(row).collect(),
            };
            (status, changes_at)
        }
        Err(error) => {
            let (reason, words) = (error.reason(), error.to_string());
            let ready = desired("Ready", Truth::False, reason, &words);
            let stalled = desired("Stalled", Truth::True, reason, &words);
            let status = StandbyScheduleStatus {
                observed_generation: generation,
                conditions: conditions(vec![ready, stalled]),
                ..StandbyScheduleStatus::default()
            };
            (status, None)
        }
    }
}

fn message(users: &[String], past: &[String]) -> String {
    let used = match users {
        [] => "not used by any pool".to_owned(),
        users => format!("used by {}", users.join(", ")),
    };
    if past.is_empty() { used } else { format!("{used}; past: {}", past.join(", ")) }
}

/// Where nothing is planned and history decides, the figure differs by pool and is not here.
fn current(level: Level, automatic: bool) -> Option<CurrentStandby> {
    let Level { agents, source, name, until } = level;
    (!automatic || source != Source::Off).then(|| CurrentStandby {
        agents: count(agents),
        source: source.as_str().to_owned(),
        name,
        until: until.map(Time),
    })
}

fn next_change(schedule: &Schedule, now: Timestamp, automatic: bool) -> Option<NextChange> {
    let Change { at, agents, source, name } = schedule.next_change(now)?;
    (!automatic || source != Source::Off).then(|| NextChange {
        at: Time(at),
        agents: count(agents),
        source: source.as_str().to_owned(),
        name,
    })
}

fn row(row: WeekRow) -> PlanRow {
    let WeekRow { start, end, agents, period } = row;
    PlanRow {
        start: start.to_string(),
        end: end.to_string(),
        agents: count(agents),
        period: period.unwrap_or_default(),
    }
}

/// At most 10,000, as checked.
fn count(agents: u32) -> i32 {
    i32::try_from(agents).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
