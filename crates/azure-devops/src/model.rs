//! What the operator reads of pools, agents and job requests; the rest of the answers is skipped.

mod agent;
mod job_request;
mod maintenance;
mod pool;

pub use agent::{Agent, AgentStatus, NewAgent};
pub use job_request::{AgentReference, JobRequest, JobResult, JobState, NamedReference};
pub use maintenance::{Maintenance, MaintenanceDays, MaintenanceDefinition};
pub use pool::{Pool, PoolOptions};

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, Error as _};
use std::borrow::Cow;

/// A moment that may be missing. Azure DevOps also writes .NET's default date, the year 1, for what has not happened,
/// and sometimes leaves the zone out, which is UTC.
fn moment<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(input)? else {
        return Ok(None);
    };
    if text.starts_with("0001-01-01T") {
        return Ok(None);
    }
    text.parse().or_else(|error| format!("{text}Z").parse().map_err(|_| D::Error::custom(error))).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[derive(serde::Deserialize)]
    struct At {
        #[serde(default, deserialize_with = "moment")]
        at: Option<Timestamp>,
    }

    #[rstest]
    #[case(r#"{"at": "2022-09-28T11:20:22.4633333Z"}"#, Some("2022-09-28T11:20:22.4633333Z"))]
    #[case(r#"{"at": "2022-09-28T11:20:22.46"}"#, Some("2022-09-28T11:20:22.46Z"))]
    #[case(r#"{"at": "2022-09-28T13:20:22+02:00"}"#, Some("2022-09-28T11:20:22Z"))]
    #[case(r#"{"at": "0001-01-01T00:00:00"}"#, None)]
    #[case(r#"{"at": "0001-01-01T00:00:00Z"}"#, None)]
    #[case(r#"{"at": null}"#, None)]
    #[case("{}", None)]
    fn moments(#[case] json: &str, #[case] at: Option<&str>) {
        let read: At = serde_json::from_str(json).unwrap();
        assert_eq!(read.at, at.map(|at| at.parse().unwrap()));
    }

    #[test]
    fn what_is_no_moment_is_an_error() {
        assert!(serde_json::from_str::<At>(r#"{"at": "yesterday"}"#).is_err());
    }
}
