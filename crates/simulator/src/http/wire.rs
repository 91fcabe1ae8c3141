//! Answers that go wrong on their way, and services that are not there: what no service says of itself.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Call, Reply, Service, reply::Delivery};
use crate::world::{SetRef, World};

/// What is wrong with answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// A page of HTML, and the call is not carried out.
    Html,
    /// A redirect, and the call is not carried out.
    Redirect(String),
    /// JSON cut in the middle.
    Truncated,
    /// More than any client should read.
    Huge,
    /// JSON that says that it is plain text.
    WrongType,
    /// States and options that do not exist.
    UnknownEnums,
    /// 200 without a body.
    Empty,
    /// No answer at all.
    Closed,
    /// An answer so many seconds later, in wall time.
    Slow(u32),
    /// Times that lie an hour ahead.
    Skew,
    /// Azure DevOps: an answer that says it was delayed.
    Delayed,
    /// Entra: every credential is refused.
    Reject,
    /// Entra and the metadata service: 503.
    Unavailable,
    /// Entra and the metadata service: 429.
    Throttle,
}

/// Which calls of a service it is limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    None,
    ScaleSet(SetRef),
    Organization(usize),
}

/// All that is wrong with answers, each with its end in simulated time.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    active: Vec<(Service, Limit, Trouble, Option<Timestamp>)>,
}

impl Troubles {
    pub(super) fn set(&mut self, service: Service, limit: Limit, trouble: Trouble, until: Option<Timestamp>) {
        let kind = std::mem::discriminant(&trouble);
        self.active
            .retain(|(at, to, known, _)| (*at, *to, std::mem::discriminant(known)) != (service, limit, kind));
        self.active.push((service, limit, trouble, until));
    }

    /// What is wrong with the answer to this call.
    pub(super) fn of(&self, service: Service, call: &Call, world: &World) -> Vec<Trouble> {
        self.active
            .iter()
            .filter(|(at, limit, _, until)| {
                *at == service && until.is_none_or(|until| world.now() < until) && limit.holds(call, world)
            })
            .map(|(_, _, trouble, _)| trouble.clone())
            .collect()
    }

    /// Whether a service as a whole has this trouble.
    pub(super) fn has(&self, service: Service, trouble: &Trouble, now: Timestamp) -> bool {
        self.active.iter().any(|(at, _, known, until)| {
            *at == service && known == trouble && until.is_none_or(|until| now < until)
        })
    }
}

impl Limit {
    fn holds(self, call: &Call, world: &World) -> bool {
        match self {
            Self::None => true,
            Self::Organization(index) => world.find_organization(call.segment(0)) == Some(index),
            Self::ScaleSet(set) => concerns(set, call, world),
        }
    }
}

/// Whether a call of Azure is about this scale set: by path, by filter, by a VM's name, or by its operation.
fn concerns(set: SetRef, call: &Call, world: &World) -> bool {
    let Some(found) = world.set(set) else { return false };
    let id = found.spec.resource_id.to_lowercase();
    let (lower, vm) = (call.lower(), format!("{}_", found.name().to_lowercase()));
    match lower.as_slice() {
        [_, subscription, _, group, _, "microsoft.compute", "virtualmachines", name, ..] => {
            id.starts_with(&format!("/subscriptions/{subscription}/resourcegroups/{group}/"))
                && name.starts_with(&vm)
        }
        [.., "operations", operation] => {
            let known = operation.parse().ok().and_then(|operation| world.operation(operation));
            known.is_some_and(|known| known.set == set)
        }
        path => {
            let path = format!("/{}/", path.join("/"));
            let filter = call.parameter("$filter").unwrap_or_default().to_lowercase();
            path.starts_with(&format!("{id}/")) || filter.contains(&format!("'{id}'"))
        }
    }
}

const PAGE: &str = "<!DOCTYPE html>\r\n<html><head><title>Proxy</title></head><body>This page is not what was asked for.</body></html>";

/// The answer of something that stands before the service, so that the call is not carried out.
pub(super) fn instead(troubles: &[Trouble]) -> Option<Reply> {
    let reply = troubles.iter().find_map(|trouble| match trouble {
        Trouble::Html => Some(Reply::html(StatusCode::OK, PAGE)),
        Trouble::Redirect(location) => Some(Reply::empty(StatusCode::FOUND).header("location", location)),
        Trouble::Truncated
        | Trouble::Huge
        | Trouble::WrongType
        | Trouble::UnknownEnums
        | Trouble::Empty
        | Trouble::Closed
        | Trouble::Slow(_)
        | Trouble::Skew
        | Trouble::Delayed
        | Trouble::Reject
        | Trouble::Unavailable
        | Trouble::Throttle => None,
    })?;
    Some(spoil(reply, troubles))
}

/// The answer as it arrives; the call has been carried out.
pub(super) fn spoil(mut reply: Reply, troubles: &[Trouble]) -> Reply {
    for trouble in troubles {
        match trouble {
            Trouble::Truncated => reply.delivery = Delivery::Half,
            Trouble::Huge => reply.delivery = Delivery::Endless,
            Trouble::Closed => reply.delivery = Delivery::Closed,
            Trouble::WrongType => reply.kind = "text/plain; charset=utf-8",
            Trouble::Empty => {
                let late = reply.late;
                reply = Reply::empty(StatusCode::OK);
                reply.late = late;
            }
            Trouble::Slow(seconds) => reply.late = Some(Duration::from_secs(u64::from(*seconds))),
            Trouble::UnknownEnums => rewrite(&mut reply, unknown_enums),
            Trouble::Skew => {
                rewrite(&mut reply, skew);
                let ahead = later(Timestamp::now());
                if let Ok(date) =
                    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&ahead)
                {
                    reply = reply.header("date", date);
                }
            }
            // Azure DevOps answers slowed calls with 200 all the same.
            Trouble::Delayed => {
                reply = reply
                    .header("retry-after", "30")
                    .header("x-ratelimit-resource", "Concurrency")
                    .header("x-ratelimit-delay", "30.000");
            }
            Trouble::Html
            | Trouble::Redirect(_)
            | Trouble::Reject
            | Trouble::Unavailable
            | Trouble::Throttle => {}
        }
    }
    reply
}

fn rewrite(reply: &mut Reply, change: fn(&str, &mut Value)) {
    if let Ok(mut body) = serde_json::from_str::<Value>(&reply.body) {
        walk("", &mut body, change);
        reply.body = body.to_string();
    }
}

/// Every value that is no list or object, with the name of its field.
fn walk(name: &str, value: &mut Value, change: fn(&str, &mut Value)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| walk(name, item, change)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, field)| walk(name, field, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => change(name, value),
    }
}

/// Fields whose values come from a closed list, by the documents of today.
const ENUMS: [&str; 14] = [
    "provisioningState",
    "status",
    "result",
    "options",
    "poolType",
    "state",
    "mode",
    "orchestrationMode",
    "priority",
    "caching",
    "osType",
    "level",
    "agentState",
    "orchestrationType",
];

fn unknown_enums(name: &str, value: &mut Value) {
    let Value::String(text) = value else { return };
    if ENUMS.contains(&name) {
        *text = "unheardOf".into();
    } else if name == "code"
        && let Some((kind, _)) = text.split_once('/')
    {
        *text = format!("{kind}/unheardOf");
    }
}

const AHEAD: SignedDuration = SignedDuration::from_hours(1);

fn later(time: Timestamp) -> Timestamp {
    time.checked_add(AHEAD).unwrap_or(time)
}

fn skew(name: &str, value: &mut Value) {
    let Value::String(text) = value else { return };
    if let Ok(time) = text.parse::<Timestamp>() {
        *text = later(time).to_string();
    } else if matches!(name, "expires_on" | "not_before")
        && let Ok(seconds) = text.parse::<i64>()
    {
        *text = (seconds + AHEAD.as_secs()).to_string();
    }
}
