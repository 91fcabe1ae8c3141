//! `poolkeeper schedule preview`: what a StandbySchedule will ask for, before it is applied.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use poolkeeper_api::{StandbySchedule, StandbyScheduleSpec};
use poolkeeper_policy::schedule::{Level, Schedule, ScheduleError};
use serde::Serialize;
use serde_json::Value;

use super::{
    Error, Output,
    args::{Preview, ScheduleCommand},
    input, json,
    table::{Column, table},
};
use crate::schedule;

const COLUMNS: [Column; 4] =
    [Column("TIME", 40), Column("AGENTS", 12), Column("SOURCE", 12), Column("NAME", usize::MAX)];

/// Why a schedule cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// Not YAML.
    #[error("{file} is not YAML: {message}")]
    Yaml {
        /// Which file.
        file: String,
        /// Where and why.
        message: String,
    },
    /// No schedule to show.
    #[error("{file} has no StandbySchedule{named}")]
    None {
        /// Which file.
        file: String,
        /// Of which name.
        named: String,
    },
    /// More than one.
    #[error("{file} has several StandbySchedules: {names}; choose one with --name")]
    Several {
        /// Which file.
        file: String,
        /// What they are called.
        names: String,
    },
    /// Not of the shape of a StandbySchedule.
    #[error("StandbySchedule {name}: spec: {message}")]
    Shape {
        /// What it is called.
        name: String,
        /// In the parser's words.
        message: String,
    },
    /// A schedule without any plan.
    #[error(
        "StandbySchedule {0}: spec: give manual, automatic or both; for no standby leave scheduleRef out of the pool"
    )]
    Empty(String),
    /// A schedule that is wrong.
    #[error("StandbySchedule {name}")]
    Schedule {
        /// What it is called.
        name: String,
        /// Where and why.
        #[source]
        source: ScheduleError,
    },
    /// A day beyond the calendar.
    #[error("--from and --days lead out of the calendar; choose an earlier day")]
    Calendar,
}

/// An entry for programs.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Entry {
    at: Timestamp,
    agents: u32,
    source: &'static str,
}

/// The table, or JSON.
pub(super) fn text(command: &ScheduleCommand, width: Option<usize>) -> Result<String, Error> {
    let ScheduleCommand::Preview(args) = command;
    let file = args.file.display().to_string();
    let (name, spec) = find(&file, &input(&args.file)?, args.name.as_deref())?;
    let levels = levels(&name, &spec, args)?;
    if spec.automatic.is_some() {
        eprintln!("poolkeeper: {}", automatic(&name, &spec));
    }
    match args.output {
        Output::Json => json(&entries(&levels)),
        Output::Table => Ok(rows(&levels, &zone(&spec, args), width)),
    }
}

fn automatic(name: &str, spec: &StandbyScheduleSpec) -> String {
    let planned = spec.manual.is_some() || !spec.exceptions.is_empty() || !spec.boosts.is_empty();
    if planned {
        format!(
            "StandbySchedule {name} is automatic too: the history of each pool may ask for more than is shown"
        )
    } else {
        format!(
            "StandbySchedule {name} is automatic only: the history of each pool decides, which nobody knows in advance"
        )
    }
}

/// The one StandbySchedule of the documents, or that of the name.
fn find(file: &str, text: &str, name: Option<&str>) -> Result<(String, StandbyScheduleSpec), PreviewError> {
    let options = serde_yaml::options! { with_snippet: false };
    let documents: Vec<Value> = serde_yaml::from_multiple_with_options(text, options)
        .map_err(|error| PreviewError::Yaml { file: file.to_owned(), message: error.to_string() })?;
    let group = format!("{}/", poolkeeper_api::GROUP);
    let is_ours = |document: &Value| {
        let field = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        field("kind") == "StandbySchedule" && field("apiVersion").starts_with(&group)
    };
    let called = |document: &Value| {
        let name = document.get("metadata").and_then(|metadata| metadata.get("name"));
        name.and_then(Value::as_str).unwrap_or("without a name").to_owned()
    };
    let mut found: Vec<Value> = documents.into_iter().filter(is_ours).collect();
    if let Some(name) = name {
        found.retain(|document| called(document) == name);
    }
    let names = found.iter().map(called).collect::<Vec<_>>().join(", ");
    match (found.pop(), found.is_empty()) {
        (None, _) => {
            let named = name.map_or_else(String::new, |name| format!(" called {name}"));
            Err(PreviewError::None { file: file.to_owned(), named })
        }
        (Some(_), false) => Err(PreviewError::Several { file: file.to_owned(), names }),
        (Some(document), true) => {
            let schedule: StandbySchedule = serde_json::from_value(document)
                .map_err(|error| PreviewError::Shape { name: names.clone(), message: error.to_string() })?;
            Ok((names, schedule.spec))
        }
    }
}

fn zone(spec: &StandbyScheduleSpec, args: &Preview) -> TimeZone {
    args.zone.clone().or_else(|| TimeZone::get(&spec.time_zone).ok()).unwrap_or(TimeZone::UTC)
}

/// The level at the start of the first day, and each later one up to the end of the last.
fn levels(
    name: &str,
    spec: &StandbyScheduleSpec,
    args: &Preview,
) -> Result<Vec<(Timestamp, Level)>, PreviewError> {
    if spec.manual.is_none()
        && spec.automatic.is_none()
        && spec.exceptions.is_empty()
        && spec.boosts.is_empty()
    {
        return Err(PreviewError::Empty(name.to_owned()));
    }
    let zone = zone(spec, args);
    let day = |date: Date| zone.to_zoned(date.to_datetime(jiff::civil::Time::midnight())).ok();
    let begin = day(args.from);
    let end = args.from.checked_add(i64::from(args.days).days()).ok().and_then(day);
    let (Some(begin), Some(end)) = (begin, end) else { return Err(PreviewError::Calendar) };
    let (mut at, end) = (begin.timestamp(), end.timestamp());
    let schedule: Schedule = schedule::check(spec, at)
        .map_err(|source| PreviewError::Schedule { name: name.to_owned(), source })?;
    let mut levels = Vec::new();
    loop {
        let level = schedule.level(at);
        let next = level.until;
        levels.push((at, level));
        match next {
            Some(next) if at < next && next < end => at = next,
            Some(_) | None => return Ok(levels),
        }
    }
}

/// Only where agents or source differ: names are for people.
fn entries(levels: &[(Timestamp, Level)]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for (at, level) in levels {
        let entry = Entry { at: *at, agents: level.agents, source: level.source.as_str() };
        let same = |last: &Entry| (last.agents, last.source) == (entry.agents, entry.source);
        if !entries.last().is_some_and(same) {
            entries.push(entry);
        }
    }
    entries
}

fn rows(levels: &[(Timestamp, Level)], zone: &TimeZone, width: Option<usize>) -> String {
    let row = |(at, level): &(Timestamp, Level)| {
        let time = at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %:z").to_string();
        let name = level.name.clone().unwrap_or_default();
        vec![time, level.agents.to_string(), level.source.to_string(), name]
    };
    let rows: Vec<Vec<String>> = levels.iter().map(row).collect();
    table(&COLUMNS, &rows, width)
}
