//! For fuzz targets and their tests alone: every parser of an answer, without a network.

use crate::model::{Agent, JobRequest, MaintenanceDefinition, Pool};
use crate::organization::whole;
use crate::windows_zone;
use poolkeeper_rest::fuzzing::{check, check_error, reply};
use poolkeeper_rest::{Answer, Error, Reply, Service};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Reads `bytes` as the body of every answer. The result is what must never be: an empty list is good.
pub fn parse(bytes: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    match reply(Service::AzureDevOps, 200, "application/json; charset=utf-8", bytes) {
        Ok(reply) => {
            list::<Pool>(&reply, bytes, &mut broken);
            list::<Agent>(&reply, bytes, &mut broken);
            let jobs = list::<JobRequest>(&reply, bytes, &mut broken);
            for job in jobs.iter().flatten() {
                let _ = (job.state(), job.is_maintenance());
            }
            one(reply.json::<Pool>(), &mut broken);
            one(reply.json::<Agent>(), &mut broken);
            for definition in list::<MaintenanceDefinition>(&reply, bytes, &mut broken).iter().flatten() {
                check_sent(definition, &mut broken);
            }
            one(reply.json::<MaintenanceDefinition>(), &mut broken);
        }
        Err(error) => check_error(&error, &mut broken),
    }
    for (status, kind) in
        [(200, "text/html"), (203, "application/json"), (302, ""), (400, "application/json"), (500, "")]
    {
        match reply(Service::AzureDevOps, status, kind, bytes) {
            Ok(_) => broken.push(format!("{status} {kind} passed for an answer")),
            Err(error) => check_error(&error, &mut broken),
        }
    }
    if let Some(zone) = std::str::from_utf8(bytes).ok().and_then(windows_zone) {
        check(!zone.is_empty(), "a time zone without a name", &mut broken);
    }
    broken
}

/// What is sent back must be read as the same again.
fn check_sent(definition: &MaintenanceDefinition, broken: &mut Vec<String>) {
    let again = serde_json::from_value::<MaintenanceDefinition>(definition.body());
    check(again.is_ok_and(|again| again == *definition), "a maintenance that changes on its way", broken);
}

#[derive(Deserialize)]
struct Sent {
    value: Vec<IgnoredAny>,
}

fn list<T: DeserializeOwned>(reply: &Reply, bytes: &[u8], broken: &mut Vec<String>) -> Option<Vec<T>> {
    match whole::<T>(reply) {
        Ok(answer) => {
            // Read no more closely than the answer itself, whose other fields are skipped.
            let sent = serde_json::from_slice::<Sent>(bytes).ok().map(|sent| sent.value.len());
            check(sent == Some(answer.value.len()), "a list of another length than sent", broken);
            Some(answer.value)
        }
        Err(error) => {
            check_error(&error, broken);
            None
        }
    }
}

fn one<T>(read: Result<Answer<T>, Error>, broken: &mut Vec<String>) {
    if let Err(error) = read {
        check_error(&error, broken);
    }
}
