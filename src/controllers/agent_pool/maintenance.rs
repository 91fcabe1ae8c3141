//! The pool's maintenance definition in Azure DevOps, kept as the specification says it.

use jiff::civil::{Time, Weekday as Day};
use poolkeeper_api::{
    AgentPool, Weekday,
    agent_pool::{LifecycleType, MaintenancePolicy},
    duration,
};
use poolkeeper_azure_devops::{Maintenance, MaintenanceDefinition, Organization, PoolId, windows_zone};
use poolkeeper_policy::{Failure, FailureKind, Mode, PoolReason, Why};
use poolkeeper_rest::Error;

use super::{act::Changed, failure};

/// In status and metrics.
pub(super) const ACTION: &str = "Maintain";

/// What the specification says of maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It stays as it is in Azure DevOps.
    AsItIs,
    /// It does not happen.
    Off,
    /// It happens so.
    On(Box<Maintenance>),
}

/// What the specification says: where agents are reused every 24 hours, unless it says otherwise.
///
/// # Errors
/// `InvalidSpec` with the path and the mend.
pub(super) fn wanted(pool: &AgentPool) -> Result<Wanted, Why> {
    let stateful = pool.spec.lifecycle.type_ == LifecycleType::Stateful;
    let spec = pool.spec.maintenance.clone().unwrap_or_default();
    match spec.policy {
        MaintenancePolicy::Disabled => return Ok(Wanted::Off),
        MaintenancePolicy::Auto if !stateful => return Ok(Wanted::AsItIs),
        MaintenancePolicy::Auto | MaintenancePolicy::Enabled => {}
    }
    let invalid = |field: &str, mend: String| Why {
        reason: PoolReason::InvalidSpec,
        message: format!("spec.maintenance.{field}: {mend}"),
    };
    let start: Time = spec.start.parse().map_err(|error: jiff::Error| invalid("start", error.to_string()))?;
    let timeout = duration::parse(&spec.job_timeout);
    let timeout = timeout.map_err(|error| invalid("jobTimeout", error.to_string()))?;
    let zone = windows_zone(&spec.time_zone).ok_or_else(|| {
        invalid(
            "timeZone",
            format!("Azure DevOps has no zone that is {}: give a larger city's", spec.time_zone),
        )
    })?;
    let count = |value: i32| u32::try_from(value).unwrap_or(0);
    Ok(Wanted::On(Box::new(Maintenance {
        enabled: true,
        // Azure DevOps counts minutes.
        job_timeout_minutes: u32::try_from(timeout.as_mins()).unwrap_or(u32::MAX).max(1),
        max_concurrent_percent: count(spec.max_concurrent_percent),
        unused_days: count(spec.unused_days),
        history_records: count(spec.history_records),
        days: spec.days.iter().map(|day| weekday(*day)).collect(),
        start_hours: start.hour().unsigned_abs(),
        start_minutes: start.minute().unsigned_abs(),
        time_zone: zone.to_owned(),
    })))
}

fn weekday(day: Weekday) -> Day {
    match day {
        Weekday::Monday => Day::Monday,
        Weekday::Tuesday => Day::Tuesday,
        Weekday::Wednesday => Day::Wednesday,
        Weekday::Thursday => Day::Thursday,
        Weekday::Friday => Day::Friday,
        Weekday::Saturday => Day::Saturday,
        Weekday::Sunday => Day::Sunday,
    }
}

/// A definition that has to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Create(Box<Maintenance>),
    Update(Box<MaintenanceDefinition>),
}

/// What has to be written, where these definitions are there: the portal makes no more than one.
fn change(wanted: Wanted, there: &[MaintenanceDefinition]) -> Option<Change> {
    let update = |found: &MaintenanceDefinition, maintenance: Maintenance| {
        let changed = MaintenanceDefinition { maintenance, ..found.clone() };
        (changed.maintenance != found.maintenance).then(|| Change::Update(Box::new(changed)))
    };
    match (wanted, there.first()) {
        (Wanted::AsItIs, _) | (Wanted::Off, None) => None,
        (Wanted::Off, Some(found)) => {
            update(found, Maintenance { enabled: false, ..found.maintenance.clone() })
        }
        (Wanted::On(maintenance), Some(found)) => update(found, *maintenance),
        (Wanted::On(maintenance), None) => Some(Change::Create(maintenance)),
    }
}

/// Looks at the definition, and writes it where it is not as wanted; what was done, or failed.
pub(super) async fn keep(
    organization: &Organization,
    pool: PoolId,
    mode: Mode,
    wanted: Result<Wanted, Why>,
) -> Option<Changed> {
    let wanted = match wanted {
        Ok(wanted) => wanted,
        // The pool goes on: a clean-up is not worth its jobs.
        Err(Why { message, .. }) => {
            let failure = Failure { kind: FailureKind::Invalid, message: message.clone(), retry_after: None };
            return Some(changed(message, Err(failure)));
        }
    };
    if mode != Mode::Active || wanted == Wanted::AsItIs {
        return None;
    }
    match write(organization, pool, wanted).await {
        Ok(None) => None,
        Ok(Some(message)) => Some(changed(message, Ok(true))),
        // The next look at the pool tries again.
        Err(error) if error.is_kept_back() => None,
        Err(error) => {
            let failure = failure::of_call(&error, 0);
            let message =
                format!("the pool's maintenance definition is not as declared: {}", crate::chain(&error));
            Some(changed(message, Err(failure)))
        }
    }
}

fn changed(message: String, outcome: Result<bool, Failure>) -> Changed {
    tracing::info!(action = ACTION, "{message}");
    Changed { action: ACTION, event: "Maintaining", message, outcome }
}

async fn write(organization: &Organization, pool: PoolId, wanted: Wanted) -> Result<Option<String>, Error> {
    let there = organization.maintenance_definitions(pool).await?.value;
    Ok(match change(wanted, &there) {
        None => None,
        Some(Change::Create(maintenance)) => {
            organization.create_maintenance_definition(pool, &maintenance).await?;
            Some("the pool has got a maintenance definition".to_owned())
        }
        Some(Change::Update(definition)) => {
            organization.update_maintenance_definition(pool, &definition).await?;
            Some("the pool's maintenance definition is as declared again".to_owned())
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pool(more: &serde_json::Value) -> AgentPool {
        let mut spec = json!({
            "organization": {"url": "https://dev.azure.com/fabrikam"}, "poolName": "linux", "maxAgents": 1,
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(json!({"metadata": {"name": "linux"}, "spec": spec})).unwrap()
    }

    fn found(maintenance: Maintenance) -> MaintenanceDefinition {
        MaintenanceDefinition {
            maintenance,
            ..serde_json::from_value(json!({"id": 1, "enabled": true})).unwrap()
        }
    }

    #[test]
    fn reused_agents_are_maintained_every_24_hours_and_others_left_alone() {
        assert_eq!(wanted(&pool(&json!({}))).unwrap(), Wanted::AsItIs);
        let Wanted::On(daily) = wanted(&pool(&json!({"lifecycle": {"type": "Stateful"}}))).unwrap() else {
            panic!("not on")
        };
        assert_eq!((daily.start_hours, daily.job_timeout_minutes, daily.max_concurrent_percent), (3, 60, 25));
        assert_eq!(daily.days, poolkeeper_azure_devops::MaintenanceDays::ALL);
        assert_eq!(daily.time_zone, "UTC");
        let off = pool(&json!({"maintenance": {"policy": "Disabled"}}));
        assert_eq!(wanted(&off).unwrap(), Wanted::Off);
    }

    #[test]
    fn only_what_differs_is_written() {
        let on = || wanted(&pool(&json!({"lifecycle": {"type": "Stateful"}}))).unwrap();
        let Wanted::On(daily) = on() else { panic!("not on") };
        assert_eq!(change(on(), &[]), Some(Change::Create(daily.clone())));
        assert_eq!(change(on(), &[found((*daily).clone())]), None);
        let late = found(Maintenance { start_hours: 5, ..(*daily).clone() });
        assert_eq!(
            change(on(), std::slice::from_ref(&late)),
            Some(Change::Update(Box::new(found((*daily).clone()))))
        );
        assert_eq!(change(Wanted::Off, &[]), None);
        let Some(Change::Update(off)) = change(Wanted::Off, &[late]) else { panic!("not switched off") };
        assert!(!off.maintenance.enabled && off.maintenance.start_hours == 5);
    }

    #[test]
    fn a_zone_that_azure_devops_does_not_know_is_named() {
        let spec = json!({"maintenance": {"policy": "Enabled", "timeZone": "Etc/GMT+25"}, "lifecycle": {"type": "Stateful"}});
        assert!(wanted(&pool(&spec)).unwrap_err().message.contains("spec.maintenance.timeZone"));
    }
}
