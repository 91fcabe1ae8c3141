use crate::id::MaintenanceId;
use jiff::civil::Weekday;
use serde::Deserialize;
use serde_json::{Value, json};

/// When and how Azure DevOps lets the agents of a pool clean up their work folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// Whether it happens.
    pub enabled: bool,
    /// Minutes that it may take on one agent.
    pub job_timeout_minutes: u32,
    /// Percent of the pool's agents that it runs on at the same time.
    pub max_concurrent_percent: u32,
    /// Days after which a work folder that nobody used is removed.
    pub unused_days: u32,
    /// Past runs that the service keeps.
    pub history_records: u32,
    /// The days on which it starts.
    pub days: MaintenanceDays,
    /// The hour at which it starts, in `time_zone`.
    pub start_hours: u8,
    /// The minute at which it starts.
    pub start_minutes: u8,
    /// The zone of its start, by its name in Windows, such as `W. Europe Standard Time`: see
    /// [`windows_zone`](crate::windows_zone).
    pub time_zone: String,
}

/// The maintenance of a pool, as the service keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct MaintenanceDefinition {
    /// Its number within the pool.
    pub id: MaintenanceId,
    /// What it says.
    pub maintenance: Maintenance,
    /// The GUID of the service's own schedule, which goes back as it came.
    pub schedule_job: Option<String>,
}

/// Days of a week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MaintenanceDays(u8);

/// The bits of `daysToBuild`, from Monday on: <https://learn.microsoft.com/javascript/api/azure-devops-extension-api/taskagentpoolmaintenancescheduledays>.
const DAYS: [(Weekday, &str); 7] = [
    (Weekday::Monday, "monday"),
    (Weekday::Tuesday, "tuesday"),
    (Weekday::Wednesday, "wednesday"),
    (Weekday::Thursday, "thursday"),
    (Weekday::Friday, "friday"),
    (Weekday::Saturday, "saturday"),
    (Weekday::Sunday, "sunday"),
];

impl MaintenanceDays {
    /// Every day.
    pub const ALL: Self = Self(0x7f);

    /// Whether the day is one of them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & Self::bit(day) != 0
    }

    fn bit(day: Weekday) -> u8 {
        1 << day.to_monday_zero_offset().clamp(0, 6)
    }

    fn named(words: &str) -> Self {
        let words = words.split(',').map(|word| word.trim().to_ascii_lowercase());
        Self(words.fold(0, |bits, word| match word.as_str() {
            "all" => Self::ALL.0,
            word => bits | word.parse().unwrap_or(0) & Self::ALL.0 | named_day(word),
        }))
    }
}

fn named_day(word: &str) -> u8 {
    DAYS.iter().find(|(_, name)| *name == word).map_or(0, |(day, _)| MaintenanceDays::bit(*day))
}

impl FromIterator<Weekday> for MaintenanceDays {
    fn from_iter<T: IntoIterator<Item = Weekday>>(days: T) -> Self {
        Self(days.into_iter().fold(0, |bits, day| bits | Self::bit(day)))
    }
}

impl Maintenance {
    /// The service chooses the number and its own schedule.
    pub(crate) fn body(&self) -> Value {
        json!({
            "enabled": self.enabled,
            "jobTimeoutInMinutes": self.job_timeout_minutes,
            "maxConcurrentAgentsPercentage": self.max_concurrent_percent,
            "options": {"workingDirectoryExpirationInDays": self.unused_days},
            "retentionPolicy": {"numberOfHistoryRecordsToKeep": self.history_records},
            "scheduleSetting": {
                "daysToBuild": self.days.0,
                "startHours": self.start_hours,
                "startMinutes": self.start_minutes,
                "timeZoneId": self.time_zone,
            },
        })
    }
}

impl MaintenanceDefinition {
    pub(crate) fn body(&self) -> Value {
        let mut body = self.maintenance.body();
        if let Some(body) = body.as_object_mut() {
            body.insert("id".into(), json!(self.id));
        }
        let schedule = body.pointer_mut("/scheduleSetting").and_then(Value::as_object_mut);
        if let (Some(schedule), Some(job)) = (schedule, &self.schedule_job) {
            schedule.insert("scheduleJobId".into(), json!(job));
        }
        body
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    id: MaintenanceId,
    enabled: bool,
    #[serde(default)]
    job_timeout_in_minutes: u32,
    #[serde(default)]
    max_concurrent_agents_percentage: u32,
    options: Option<Options>,
    retention_policy: Option<Retention>,
    schedule_setting: Option<Schedule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Options {
    working_directory_expiration_in_days: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Retention {
    number_of_history_records_to_keep: u32,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Schedule {
    schedule_job_id: Option<String>,
    days_to_build: Option<Days>,
    start_hours: u8,
    start_minutes: u8,
    time_zone_id: Option<String>,
}

/// Flags come as their sum, or, from some versions, as words. Words that are new are passed over.
#[derive(Deserialize)]
#[serde(untagged)]
enum Days {
    Sum(u32),
    Words(String),
    List(Vec<String>),
}

impl From<Days> for MaintenanceDays {
    fn from(days: Days) -> Self {
        match days {
            // What lies above are no days.
            Days::Sum(sum) => Self(u8::try_from(sum & u32::from(Self::ALL.0)).unwrap_or(0)),
            Days::Words(words) => Self::named(&words),
            Days::List(words) => Self::named(&words.join(",")),
        }
    }
}

impl From<Wire> for MaintenanceDefinition {
    fn from(wire: Wire) -> Self {
        let schedule = wire.schedule_setting.unwrap_or_default();
        Self {
            id: wire.id,
            maintenance: Maintenance {
                enabled: wire.enabled,
                job_timeout_minutes: wire.job_timeout_in_minutes,
                max_concurrent_percent: wire.max_concurrent_agents_percentage,
                unused_days: wire.options.unwrap_or_default().working_directory_expiration_in_days,
                history_records: wire.retention_policy.unwrap_or_default().number_of_history_records_to_keep,
                days: schedule.days_to_build.map(MaintenanceDays::from).unwrap_or_default(),
                start_hours: schedule.start_hours,
                start_minutes: schedule.start_minutes,
                time_zone: schedule.time_zone_id.unwrap_or_default(),
            },
            schedule_job: schedule.schedule_job_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(json!(17), &[Weekday::Monday, Weekday::Friday])]
    #[case(json!(64), &[Weekday::Sunday])]
    #[case(json!(0), &[])]
    #[case(json!(256 + 1), &[Weekday::Monday])]
    #[case(json!(null), &[])]
    #[case(json!("none"), &[])]
    #[case(json!("Monday, friday"), &[Weekday::Monday, Weekday::Friday])]
    #[case(json!(["tuesday", "someday"]), &[Weekday::Tuesday])]
    fn days_of_a_week(#[case] sent: Value, #[case] days: &[Weekday]) {
        let sent = json!({"id": 4, "enabled": true, "scheduleSetting": {"daysToBuild": sent}});
        let read: MaintenanceDefinition = serde_json::from_value(sent).unwrap();
        assert_eq!(read.maintenance.days, days.iter().copied().collect());
        assert!(days.iter().all(|day| read.maintenance.days.contains(*day)));
    }

    #[test]
    fn every_day_is_all() {
        assert_eq!(DAYS.iter().map(|(day, _)| *day).collect::<MaintenanceDays>(), MaintenanceDays::ALL);
        assert_eq!(MaintenanceDays::named("all"), MaintenanceDays::ALL);
        assert_eq!(MaintenanceDays::named("127"), MaintenanceDays::ALL);
    }
}
