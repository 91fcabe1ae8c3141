//! The tags resource beside a scale set.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::refusal::{invalid, no_such_call, refusal};
use crate::{
    http::{Call, Reply},
    world::{SetRef, World},
};

type Tags = BTreeMap<String, String>;

#[derive(Deserialize)]
struct Patch {
    operation: Verb,
    properties: Properties,
}

#[derive(Deserialize)]
struct Put {
    properties: Properties,
}

#[derive(Deserialize)]
struct Properties {
    #[serde(default)]
    tags: Tags,
}

#[derive(Clone, Copy, Deserialize)]
enum Verb {
    Merge,
    Replace,
    Delete,
}

pub(super) fn answer(world: &mut World, call: &Call, set: SetRef) -> Result<Reply, Reply> {
    let known = world.set(set).map(|found| found.tags.clone()).unwrap_or_default();
    let tags = match call.method {
        Method::GET => return Ok(reply(world, set)),
        Method::PATCH => {
            let Patch { operation, properties } = call.json().map_err(|error| invalid(&error))?;
            changed(known, operation, properties.tags)
        }
        Method::PUT => {
            let Put { properties } = call.json().map_err(|error| invalid(&error))?;
            properties.tags
        }
        Method::DELETE => Tags::new(),
        _ => return Err(no_such_call("GET, PUT, PATCH and DELETE of tags")),
    };
    world.write_tags(set, tags).map_err(|error| refusal(&error))?;
    Ok(reply(world, set))
}

/// Names of tags are told apart without regard to case, values with it.
fn changed(mut known: Tags, verb: Verb, given: Tags) -> Tags {
    match verb {
        Verb::Replace => given,
        Verb::Merge => {
            known.retain(|name, _| !given.keys().any(|other| other.eq_ignore_ascii_case(name)));
            known.extend(given);
            known
        }
        Verb::Delete => {
            known.retain(|name, value| {
                !given.iter().any(|(other, gone)| other.eq_ignore_ascii_case(name) && gone == value)
            });
            known
        }
    }
}

fn reply(world: &World, set: SetRef) -> Reply {
    let Some(found) = world.set(set) else { return Reply::empty(StatusCode::NOT_FOUND) };
    let id = format!("{}/providers/Microsoft.Resources/tags/default", found.spec.resource_id);
    let body = json!({
        "id": id,
        "name": "default",
        "type": "Microsoft.Resources/tags",
        "properties": {"tags": found.tags},
    });
    Reply::json(StatusCode::OK, &body)
}
