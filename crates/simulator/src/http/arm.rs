//! Azure Resource Manager: scale sets, instances, VMs, operations, and what surrounds them.

mod body;
mod instance;
mod machine;
mod meter;
mod operation;
mod refusal;
mod scale_set;
mod surroundings;
mod tags;

use axum::http::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Call, Reply, Site};
use refusal::{forbidden, refuse};

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    let response = checked(site, call).unwrap_or_else(|refusal| refusal);
    let id = Uuid::from_u64_pair(site.world.journal().written(), site.world.now().as_nanosecond() as u64);
    response
        .header("x-ms-request-id", id.to_string())
        .header("x-ms-correlation-request-id", id.to_string())
        .header("x-ms-routing-request-id", format!("SIMULATOR:{id}"))
}

fn checked(site: &mut Site, call: &Call) -> Result<Reply, Reply> {
    let Some(client) = site.tokens.client(call) else { return Err(unauthenticated()) };
    if call.parameter("api-version").is_none() {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Err(refuse(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message));
    }
    let subscription = call.segment(1);
    let granted = site.world.clients().get(client).is_some_and(|client| {
        client.subscriptions.iter().any(|known| known.eq_ignore_ascii_case(subscription))
    });
    if !granted {
        return Err(forbidden(call));
    }
    let world = &mut site.world;
    let lower = call.lower();
    let ["subscriptions", _, rest @ ..] = lower.as_slice() else { return Err(no_such_type()) };
    // Below a resource group or right below the subscription: most lists exist at both.
    let (group, rest) = match rest {
        ["resourcegroups", group, "providers", rest @ ..] => (Some(*group), rest),
        ["providers", rest @ ..] => (None, rest),
        _ => return Err(no_such_type()),
    };
    Ok(match (group, rest) {
        (_, ["microsoft.compute", "virtualmachinescalesets"]) => {
            scale_set::list(world, call, client, group, None)
        }
        (None, ["microsoft.compute", "locations", location, "virtualmachinescalesets"]) => {
            scale_set::list(world, call, client, None, Some(location))
        }
        (Some(_), ["microsoft.compute", "virtualmachinescalesets", _, rest @ ..]) => {
            scale_set::answer(world, call, client, rest)
        }
        (_, ["microsoft.compute", "virtualmachines"]) => machine::list(world, call, client, group),
        (Some(group), ["microsoft.compute", "virtualmachines", name, rest @ ..]) => {
            machine::answer(world, call, client, (group, name), rest)
        }
        (None, ["microsoft.compute", "locations", _, "operations", id]) => {
            operation::answer(world, call, client, id)
        }
        (None, ["microsoft.compute", "locations", location, "usages"]) => {
            surroundings::usages(world, call, client, location)
        }
        (_, ["microsoft.insights", "autoscalesettings"]) => {
            surroundings::autoscale(world, call, client, group)
        }
        (Some(_), ["microsoft.network", "virtualnetworks", _, "usages"]) => {
            surroundings::network(world, call, client)
        }
        _ => return Err(no_such_type()),
    })
}

fn unauthenticated() -> Reply {
    let message = "The access token is invalid, expired, or was not issued by this directory.";
    let refusal = refuse(StatusCode::UNAUTHORIZED, "InvalidAuthenticationToken", message);
    refusal.header("www-authenticate", "Bearer")
}

fn no_such_type() -> Reply {
    refuse(StatusCode::NOT_FOUND, "InvalidResourceType", "The resource type could not be found.")
}

/// The path of the call, as the id of a resource.
fn path(call: &Call, segments: usize) -> String {
    format!("/{}", call.segments.get(..segments).unwrap_or(&call.segments).join("/"))
}

fn expands(call: &Call) -> bool {
    call.parameter("$expand").is_some_and(|expand| expand.eq_ignore_ascii_case("instanceView"))
}

/// One page of a list, with a link to the next one, which begins after `next`.
fn page(call: &Call, value: &[Value], next: Option<u64>) -> Reply {
    let mut list = json!({"value": value});
    if let (Some(next), Some(list)) = (next, list.as_object_mut()) {
        let mut link = format!("{}{}?$skiptoken={next}", call.base, path(call, usize::MAX));
        for name in ["api-version", "$filter", "$expand"] {
            if let Some(value) = call.parameter(name) {
                link.push_str(&format!("&{name}={}", encoded(value)));
            }
        }
        list.insert("nextLink".into(), json!(link));
    }
    Reply::json(StatusCode::OK, &list)
}

fn encoded(text: &str) -> String {
    let keeps = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes()
        .map(|byte| if keeps(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// The rows of one page, and the key of its last row if there are more.
fn cut<T>(rows: impl Iterator<Item = (u64, T)>, after: Option<u64>, size: usize) -> (Vec<T>, Option<u64>) {
    let mut rows = rows.filter(|(key, _)| after.is_none_or(|after| *key > after));
    let mut last = None;
    let taken: Vec<T> = rows
        .by_ref()
        .take(size)
        .map(|(key, row)| {
            last = Some(key);
            row
        })
        .collect();
    let more = rows.next().is_some();
    (taken, last.filter(|_| more))
}
