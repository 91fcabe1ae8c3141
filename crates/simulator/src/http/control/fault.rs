//! Faults: what is set and ended over the control API.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, find_organization, find_set, read};
use crate::{
    http::{
        Call, Service, Site,
        wire::{self, Limit, Trouble},
    },
    world::{AzureFault, AzureTrouble, DevOpsFault, Fault, Stage},
};

/// Seconds of wall time that a slow answer takes, unless the fault says another figure.
const SLOW: u32 = 30;
/// Where a redirect leads unless the fault says so: a port of this machine on which nobody listens.
const ELSEWHERE: &str = "http://127.0.0.1:9/";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewFault {
    organization: Option<String>,
    azure_dev_ops: Option<DevOps>,
    scale_set: Option<String>,
    azure: Option<AzureFault>,
    #[serde(rename = "in")]
    stage: Option<Stage>,
    #[serde(default)]
    allows: u32,
    entra: Option<Entra>,
    metadata: Option<Metadata>,
    wire: Option<Wire>,
    service: Option<Service>,
    location: Option<String>,
    seconds: Option<u32>,
    #[serde(rename = "for")]
    lasts: Option<SignedDuration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum DevOps {
    SignIn,
    Throttle,
    Unavailable,
    Forbidden,
    Unauthorized,
    Redirect,
    Delayed,
    Slow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Entra {
    Reject,
    Unavailable,
    Throttle,
    Slow,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Metadata {
    Unavailable,
    Throttle,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Wire {
    Html,
    Truncated,
    Huge,
    WrongType,
    Redirect,
    UnknownEnums,
    Empty,
    Closed,
    Slow,
    Skew,
}

/// What is wrong: in the world, or only in how its services answer.
enum Wrong {
    World(Fault),
    Answers(Service, Limit, Trouble),
}

pub(super) fn set(site: &mut Site, call: &Call) -> Result<Value, Refusal> {
    let fault: NewFault = read(call)?;
    let until = fault.lasts.and_then(|lasts| site.world.now().checked_add(lasts).ok());
    match wrong(site, fault)? {
        Wrong::World(fault) => site.world.set_fault(fault, until),
        Wrong::Answers(service, limit, trouble) => {
            site.world.note_fault(&format!("{service:?}: {trouble:?}"), until);
            site.troubles.set(service, limit, trouble, until);
        }
    }
    Ok(json!({"until": until}))
}

/// All of them, or with `scaleSet` what is wrong with that set.
pub(super) fn clear(site: &mut Site, call: &Call) -> Result<Value, Refusal> {
    if let Some(name) = call.parameter("scaleset") {
        let set = find_set(&site.world, Some(name))?;
        site.world.clear_azure_faults(set);
        return Ok(json!({}));
    }
    site.world.clear_faults();
    site.troubles = wire::Troubles::default();
    Ok(json!({}))
}

fn wrong(site: &Site, fault: NewFault) -> Result<Wrong, Refusal> {
    let NewFault { organization, azure_dev_ops, scale_set, azure, entra, metadata, wire, .. } = fault;
    let world = &site.world;
    let slow = Trouble::Slow(fault.seconds.unwrap_or(SLOW));
    let wrong = match (azure_dev_ops, azure, entra, metadata, wire) {
        (Some(kind), None, None, None, None) => {
            let index = find_organization(world, organization.as_deref())?;
            let answers = |trouble| Wrong::Answers(Service::AzureDevOps, Limit::Organization(index), trouble);
            let world = |kind| Wrong::World(Fault::DevOps(index, kind));
            match kind {
                DevOps::SignIn => world(DevOpsFault::SignIn),
                DevOps::Throttle => world(DevOpsFault::Throttle),
                DevOps::Unavailable => world(DevOpsFault::Unavailable),
                DevOps::Forbidden => world(DevOpsFault::Forbidden),
                DevOps::Unauthorized => world(DevOpsFault::Unauthorized),
                DevOps::Redirect => world(DevOpsFault::Redirect),
                DevOps::Delayed => answers(Trouble::Delayed),
                DevOps::Slow => answers(slow),
            }
        }
        (None, Some(kind), None, None, None) => {
            let trouble = AzureTrouble { kind, stage: fault.stage, allows: fault.allows };
            Wrong::World(Fault::Azure(find_set(world, scale_set.as_deref())?, trouble))
        }
        (None, None, Some(kind), None, None) => {
            let trouble = match kind {
                Entra::Reject => Trouble::Reject,
                Entra::Unavailable => Trouble::Unavailable,
                Entra::Throttle => Trouble::Throttle,
                Entra::Slow => slow,
            };
            Wrong::Answers(Service::Entra, Limit::None, trouble)
        }
        (None, None, None, Some(kind), None) => {
            let trouble = match kind {
                Metadata::Unavailable => Trouble::Unavailable,
                Metadata::Throttle => Trouble::Throttle,
            };
            Wrong::Answers(Service::Metadata, Limit::None, trouble)
        }
        (None, None, None, None, Some(kind)) => {
            let service = fault.service.ok_or_else(|| {
                Refusal("a wire fault needs a service: azure, azureDevOps, entra or metadata".into())
            })?;
            let limit = match (service, scale_set, organization) {
                (_, None, None) => Limit::None,
                (Service::Azure, Some(name), None) => Limit::ScaleSet(find_set(world, Some(&name))?),
                (Service::AzureDevOps, None, Some(name)) => {
                    Limit::Organization(find_organization(world, Some(&name))?)
                }
                (_, _, _) => {
                    return Err(Refusal(
                        "scaleSet limits a fault of azure, organization one of azureDevOps".into(),
                    ));
                }
            };
            let trouble = match kind {
                Wire::Html => Trouble::Html,
                Wire::Truncated => Trouble::Truncated,
                Wire::Huge => Trouble::Huge,
                Wire::WrongType => Trouble::WrongType,
                Wire::Redirect => Trouble::Redirect(fault.location.unwrap_or_else(|| ELSEWHERE.into())),
                Wire::UnknownEnums => Trouble::UnknownEnums,
                Wire::Empty => Trouble::Empty,
                Wire::Closed => Trouble::Closed,
                Wire::Slow => slow,
                Wire::Skew => Trouble::Skew,
            };
            Wrong::Answers(service, limit, trouble)
        }
        _ => return Err(Refusal("give one of azure, azureDevOps, entra, metadata, wire".into())),
    };
    Ok(wrong)
}
