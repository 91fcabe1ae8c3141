//! The maintenance of agent pools: what is declared, and its jobs.

use std::{collections::VecDeque, sync::Arc};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{DevOpsError, JobSpec, Kind, PoolRef, World, journal::Parts};
use crate::spec::Distribution;

/// A maintenance definition, in the words of the REST API. The world keeps it; only
/// [`run_maintenance`](World::run_maintenance) lets its jobs run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MaintenanceDefinition {
    /// Its number within the pool; given by the service.
    pub id: u32,
    /// Whether it happens.
    pub enabled: bool,
    /// Minutes that it may take on one agent.
    pub job_timeout_in_minutes: u32,
    /// Percent of the agents that it runs on at the same time.
    pub max_concurrent_agents_percentage: u32,
    /// What it does.
    pub options: Options,
    /// What is kept of it.
    pub retention_policy: Retention,
    /// When it starts.
    pub schedule_setting: Schedule,
}

/// What maintenance does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    /// Days after which a work folder that nobody used is removed.
    pub working_directory_expiration_in_days: u32,
}

/// What is kept of maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retention {
    /// Past runs.
    pub number_of_history_records_to_keep: u32,
}

/// When maintenance starts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Schedule {
    /// The service's own schedule; given by the service.
    pub schedule_job_id: Option<String>,
    /// The sum of the days' bits, from Monday on.
    pub days_to_build: u8,
    /// The hour.
    pub start_hours: u8,
    /// The minute.
    pub start_minutes: u8,
    /// The zone, by its name in Windows.
    pub time_zone_id: String,
}

/// Why a maintenance definition is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceError {
    /// There is none of that number.
    #[error("Maintenance definition {0} not found.")]
    NotFound(u32),
    /// A field is out of its range.
    #[error("The value of {0} is out of range.")]
    Invalid(&'static str),
}

/// What a pool has of maintenance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Maintenance {
    definitions: Vec<MaintenanceDefinition>,
    made: u32,
    /// Agents whose turn comes when another one is done.
    next: VecDeque<u64>,
    takes: SignedDuration,
}

impl MaintenanceDefinition {
    fn check(&self) -> Result<(), MaintenanceError> {
        let checks = [
            (self.max_concurrent_agents_percentage <= 100, "maxConcurrentAgentsPercentage"),
            (self.schedule_setting.days_to_build <= 0x7f, "daysToBuild"),
            (self.schedule_setting.start_hours <= 23, "startHours"),
            (self.schedule_setting.start_minutes <= 59, "startMinutes"),
            // The names of Windows have no slash but those of the tz database do.
            (!self.schedule_setting.time_zone_id.contains('/'), "timeZoneId"),
            (!self.schedule_setting.time_zone_id.is_empty(), "timeZoneId"),
        ];
        checks
            .into_iter()
            .find(|(good, _)| !good)
            .map_or(Ok(()), |(_, name)| Err(MaintenanceError::Invalid(name)))
    }
}

impl super::Pool {
    /// Its maintenance definitions.
    pub fn maintenance_definitions(&self) -> &[MaintenanceDefinition] {
        &self.maintenance.definitions
    }
}

impl World {
    /// Writes a maintenance definition: a new one where `id` is none.
    ///
    /// # Errors
    /// When a field is out of range, or there is none of that number.
    pub fn write_maintenance(
        &mut self,
        pool: PoolRef,
        id: Option<u32>,
        mut definition: MaintenanceDefinition,
    ) -> Result<MaintenanceDefinition, MaintenanceError> {
        definition.check()?;
        let schedule_job = self.guid().to_string();
        let missing = MaintenanceError::NotFound(id.unwrap_or_default());
        let Some(kept) = self.pool_mut(pool).map(|found| &mut found.maintenance) else { return Err(missing) };
        if let Some(id) = id {
            let Some(old) = kept.definitions.iter_mut().find(|known| known.id == id) else {
                return Err(missing);
            };
            definition.id = id;
            definition.schedule_setting.schedule_job_id = old.schedule_setting.schedule_job_id.take();
            *old = definition.clone();
        } else {
            kept.made += 1;
            definition.id = kept.made;
            definition.schedule_setting.schedule_job_id = Some(schedule_job);
            kept.definitions.push(definition.clone());
        }
        self.write_pool(pool, Kind::MaintenanceChanged, Parts::default());
        Ok(definition)
    }

    /// Deletes a maintenance definition.
    ///
    /// # Errors
    /// When there is none of that number.
    pub fn delete_maintenance(&mut self, pool: PoolRef, id: u32) -> Result<(), MaintenanceError> {
        let kept = self.pool_mut(pool).map(|found| &mut found.maintenance);
        let kept = kept.ok_or(MaintenanceError::NotFound(id))?;
        let place = kept.definitions.iter().position(|known| known.id == id);
        kept.definitions.remove(place.ok_or(MaintenanceError::NotFound(id))?);
        self.write_pool(pool, Kind::MaintenanceChanged, Parts::default());
        Ok(())
    }

    /// Lets maintenance run once on each agent that is online, with jobs that are bound to it. With `percent` so many
    /// of the agents have theirs at a time, one at least, and the next ones follow as others are done. The ids are
    /// those of jobs queued now.
    ///
    /// # Errors
    /// When there is no such pool.
    pub fn run_maintenance(
        &mut self,
        pool: PoolRef,
        takes: SignedDuration,
        percent: Option<u32>,
    ) -> Result<Vec<u64>, DevOpsError> {
        let found = self.pool_mut(pool).ok_or(DevOpsError::PoolNotFound)?;
        let online: VecDeque<u64> =
            found.agents().filter(|agent| agent.online).map(|agent| agent.id).collect();
        let share = |percent: u32| {
            let percent = usize::try_from(percent.min(100)).unwrap_or(100);
            (online.len() * percent).div_ceil(100).max(1)
        };
        let at_once = percent.map_or(online.len(), share);
        found.maintenance.next = online;
        found.maintenance.takes = takes;
        Ok((0..at_once).filter_map(|_| self.next_maintenance(pool)).collect())
    }

    /// One agent is done: the next one's turn.
    pub(super) fn maintenance_goes_on(&mut self, pool: PoolRef) {
        self.next_maintenance(pool);
    }

    fn next_maintenance(&mut self, pool: PoolRef) -> Option<u64> {
        loop {
            let kept = &mut self.pool_mut(pool)?.maintenance;
            let (agent, takes) = (kept.next.pop_front()?, kept.takes);
            let job = JobSpec {
                definition: Arc::from("maintenance"),
                maintenance_of: Some(agent),
                ..JobSpec::new(Distribution::Constant(takes))
            };
            // An agent that is gone by now has no turn.
            if let Ok(requests) = self.queue_jobs(pool, job, None) {
                return requests.first().copied();
            }
        }
    }
}
