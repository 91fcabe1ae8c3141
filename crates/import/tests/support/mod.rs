//! Reads manifests back, as the API server and the operator do.
#![allow(dead_code, reason = "each test file uses its part")]

use jiff::Timestamp;
use poolkeeper_api::{
    AgentPool, ScaleSetBinding, StandbySchedule, StandbyScheduleSpec, standby_schedule::ManualType,
};
use poolkeeper_import::{ImportError, Manifests, Options};
use poolkeeper_policy::schedule::{Draft, EndDraft, ManualDraft, PeriodDraft, Schedule};
use serde_json::Value;

/// What came out, read back.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) text: String,
    pub(crate) pools: Vec<AgentPool>,
    pub(crate) schedule: Option<StandbySchedule>,
    pub(crate) bindings: Vec<ScaleSetBinding>,
}

pub(crate) fn options() -> Options {
    let text = |text: &str| Some(text.to_owned());
    Options {
        name: None,
        namespace: text("ci"),
        organization: text("https://dev.azure.com/fabrikam"),
        pool: None,
    }
}

/// Every document has to be an object of ours without fields that we do not have, and the schedule has to be one.
pub(crate) fn read(manifests: &Manifests) -> Read {
    let text = manifests.to_string();
    let all: Vec<Value> = serde_yaml::from_multiple(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(all.len(), manifests.documents().len(), "{text}");
    let mut read = Read { text: text.clone(), pools: Vec::new(), schedule: None, bindings: Vec::new() };
    for document in all {
        assert_eq!(document["apiVersion"], "poolkeeper.dev/v1alpha1", "{text}");
        let written = document["spec"].clone();
        let spec = match document["kind"].as_str() {
            Some("AgentPool") => {
                let pool: AgentPool = serde_json::from_value(document).expect("an AgentPool");
                let spec = serde_json::to_value(&pool.spec).expect("JSON");
                read.pools.push(pool);
                spec
            }
            Some("StandbySchedule") => {
                let schedule: StandbySchedule = serde_json::from_value(document).expect("a StandbySchedule");
                let spec = serde_json::to_value(&schedule.spec).expect("JSON");
                assert!(read.schedule.replace(schedule).is_none(), "one schedule: {text}");
                spec
            }
            Some("ScaleSetBinding") => {
                let binding: ScaleSetBinding = serde_json::from_value(document).expect("a ScaleSetBinding");
                let spec = serde_json::to_value(&binding.spec).expect("JSON");
                read.bindings.push(binding);
                spec
            }
            other => panic!("{other:?}: {text}"),
        };
        within(&written, &spec, &text);
    }
    if let Some(schedule) = &read.schedule {
        check(&schedule.spec);
    }
    for pool in &read.pools {
        let spec = &pool.spec;
        assert!((0..=spec.max_agents).contains(&spec.standby.agents), "{text}");
        assert!(spec.unhealthy.save_for_investigation <= spec.max_agents, "{text}");
        let follows = spec.standby.schedule_ref.as_ref().map(|schedule| schedule.name.as_str());
        let name = read.schedule.as_ref().and_then(|schedule| schedule.metadata.name.as_deref());
        assert_eq!(follows, name, "{text}");
    }
    read
}

/// Everything that was written was understood.
fn within(written: &Value, understood: &Value, text: &str) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                let found = understood.get(key).unwrap_or_else(|| panic!("{key} is no field: {text}"));
                within(value, found, text);
            }
        }
        (Value::Array(written), Value::Array(understood)) => {
            assert_eq!(written.len(), understood.len(), "{text}");
            written
                .iter()
                .zip(understood)
                .for_each(|(written, understood)| within(written, understood, text));
        }
        (written, understood) => assert_eq!(written, understood, "{text}"),
    }
}

/// As the operator checks it.
pub(crate) fn check(spec: &StandbyScheduleSpec) -> Schedule {
    let agents = |agents: i32| u32::try_from(agents).expect("not below zero");
    let manual = spec.manual.as_ref().map(|manual| match manual.type_ {
        ManualType::AllWeek => {
            ManualDraft::AllWeek { agents: agents(manual.all_week.as_ref().expect("allWeek").agents) }
        }
        ManualType::Weekdays => {
            let days = manual.weekdays.as_ref().expect("weekdays");
            ManualDraft::Weekdays {
                start: days.start.clone(),
                end: days.end.clone(),
                agents: agents(days.agents),
            }
        }
        ManualType::Periods => {
            let periods = manual.periods.as_ref().expect("periods").iter().map(|period| PeriodDraft {
                name: period.name.clone(),
                zone: period.time_zone.clone(),
                start_day: period.start_day.into(),
                start: period.start.clone(),
                end: EndDraft::At {
                    day: period.end_day.map(Into::into),
                    time: period.end.clone().expect("an end"),
                },
                agents: agents(period.agents),
            });
            ManualDraft::Periods(periods.collect())
        }
    });
    let draft = Draft { zone: spec.time_zone.clone(), manual, exceptions: Vec::new(), boosts: Vec::new() };
    let from: Timestamp = "2026-11-23T00:00:00Z".parse().expect("an instant");
    Schedule::check(&draft, from).unwrap_or_else(|error| panic!("{error}: {spec:?}"))
}

pub(crate) fn managed(json: &Value) -> Read {
    read(&poolkeeper_import::managed_pool(json, &options()).expect("manifests"))
}

pub(crate) fn managed_error(json: &Value) -> String {
    said(poolkeeper_import::managed_pool(json, &options()))
}

pub(crate) fn elastic(json: &Value) -> Read {
    read(&poolkeeper_import::elastic_pool(json, &options()).expect("manifests"))
}

pub(crate) fn elastic_error(json: &Value) -> String {
    said(poolkeeper_import::elastic_pool(json, &options()))
}

fn said(result: Result<Manifests, ImportError>) -> String {
    match result {
        Ok(manifests) => panic!("not refused: {manifests}"),
        Err(error) => error.to_string(),
    }
}
