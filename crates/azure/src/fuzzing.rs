//! For fuzz targets and their tests alone: every parser of an answer, without a network.

use crate::credential::{CredentialError, parse_certificate, read_token_answer};
use crate::fault;
use crate::id::{InstanceId, ScaleSetId, SubnetId, VmId};
use crate::model::{Instance, Machine, ScaleSet};
use crate::operation::{OperationStatus, OperationUrl};
use crate::{AutoscaleSetting, Usage, scale_sets, subnet};
use poolkeeper_rest::fuzzing::{check, check_error, check_text, reply};
use poolkeeper_rest::{Reply, Service};
use serde::de::DeserializeOwned;

/// Reads `bytes` as the body of every answer of Resource Manager, and as every id. The result is what must never be:
/// an empty list is good.
pub fn parse(bytes: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    match reply(Service::ResourceManager, 200, "application/json", bytes) {
        Ok(reply) => bodies(&reply, &mut broken),
        Err(error) => check_error(&error, &mut broken),
    }
    for status in [302, 400, 401, 403, 404, 409, 412, 429, 500] {
        match reply(Service::ResourceManager, status, "application/json", bytes) {
            Ok(_) => broken.push(format!("{status} passed for an answer")),
            Err(error) => {
                let error = fault::refine(error);
                let of_fault = fault::of(&error).class();
                let fits = of_fault.is_none_or(|class| class == error.class()) || error.said().is_empty();
                check(fits, "a class that is not its fault's", &mut broken);
                check_error(&error, &mut broken);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        ids(text, &mut broken);
    }
    broken
}

fn bodies(reply: &Reply, broken: &mut Vec<String>) {
    if let Err(error) = reply.json::<ScaleSet>() {
        check_error(&error, broken);
    }
    for instance in list::<Instance>(reply, broken) {
        check_instance(&instance, broken);
    }
    for machine in list::<Machine>(reply, broken) {
        check_instance(&machine.instance, broken);
    }
    list::<AutoscaleSetting>(reply, broken);
    list::<Usage>(reply, broken);
    for usage in list::<subnet::Wire>(reply, broken) {
        let space = usage.space();
        check(space.free() <= space.limit, "more free addresses than there are", broken);
    }
    if let Ok(operation) = "https://management.azure.com/operations/1".parse() {
        match OperationStatus::read(reply, &operation) {
            Ok(OperationStatus::Failed(error) | OperationStatus::Canceled(error)) => {
                error.code.iter().chain(&error.message).for_each(|text| check_text(text, broken));
            }
            Ok(OperationStatus::InProgress | OperationStatus::Succeeded) => {}
            Err(error) => check_error(&error, broken),
        }
    }
}

fn list<T: DeserializeOwned>(reply: &Reply, broken: &mut Vec<String>) -> Vec<T> {
    match scale_sets::page::<T>(reply) {
        Ok((page, _)) => page.value,
        Err(error) => {
            check_error(&error, broken);
            Vec::new()
        }
    }
}

fn check_instance(instance: &Instance, broken: &mut Vec<String>) {
    check_id(instance.id.as_str(), broken);
    for failure in &instance.failures {
        failure.code.iter().chain(&failure.message).for_each(|text| check_text(text, broken));
        let _ = failure.kind();
    }
    check(instance.failure().is_none() == instance.failures.is_empty(), "a failure that is lost", broken);
}

fn check_id(id: &str, broken: &mut Vec<String>) {
    let names_one = !id.is_empty() && !id.contains(['*', '/', '?', '#', '%', ',']) && id != "." && id != "..";
    check(names_one, "an id that may name more than one instance", broken);
}

fn ids(text: &str, broken: &mut Vec<String>) {
    if let Ok(id) = text.parse::<ScaleSetId>() {
        check(id.as_str() == text, "another scale set", broken);
    }
    if let Ok(id) = text.parse::<SubnetId>() {
        check(id.as_str() == text, "another subnet", broken);
    }
    if let Ok(id) = text.parse::<VmId>() {
        check(id.as_str().eq_ignore_ascii_case(text), "another VM", broken);
    }
    if let Ok(id) = text.parse::<InstanceId>() {
        check_id(id.as_str(), broken);
        check(id.as_str() == text, "another instance", broken);
    }
    if let Ok(operation) = text.parse::<OperationUrl>() {
        let again = operation.to_string().parse::<OperationUrl>();
        check(again.is_ok_and(|again| again == operation), "another operation", broken);
    }
}

/// Reads `bytes` as every answer of Entra ID and of the metadata service, and as a certificate with its key.
pub fn parse_entra(bytes: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    for status in [200, 302, 400, 401, 404, 429, 503] {
        match read_token_answer(status, bytes) {
            Ok(()) => check(status == 200, "a refusal passed for a token", &mut broken),
            Err(CredentialError::Rejected { code, reason }) => {
                check(matches!(status, 400 | 401), "another status passed for a refusal", &mut broken);
                code.iter().for_each(|code| check_text(code, &mut broken));
                check_text(&reason, &mut broken);
            }
            Err(CredentialError::Unreachable { reason } | CredentialError::Setup { reason }) => {
                check_text(&reason, &mut broken);
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = parse_certificate(text)
    {
        check_text(&error.to_string(), &mut broken);
    }
    broken
}
