//! An object that this version cannot read, such as one stored under an older definition: it is told so, and left
//! alone until it changes. The others go on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api,
    core::{ApiResource, DeserializeGuard, DynamicObject, error_boundary::InvalidObject},
    runtime::controller::Action,
};
use poolkeeper_policy::{ScheduleReason, Truth};
use serde_json::{Map, Value};

use super::{Error, relations::Managed};
use crate::{
    conditions::{Desired, merge},
    context::Context,
    events::Note,
    kubernetes,
};

/// They say what the object does, and are judged anew.
const JUDGED: [&str; 3] = ["Ready", "Stalled", "Reconciling"];

/// Writes `Stalled=InvalidSpec` with the path of the problem. All else of the status stays: a pool remembers there what
/// it has begun.
pub(super) async fn report<K: Managed>(ctx: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let meta = &invalid.metadata;
    let (namespace, name) =
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.kube.clone(), namespace, &kind);
    let Some(raw) = kubernetes::read(api.get_opt(name)).await? else { return Ok(Action::await_change()) };
    let object = serde_json::to_value(&raw).unwrap_or_default();
    let Err(problem) = parse::<K>(&object) else {
        // It has changed already, and the watch is about to say so.
        return Ok(Action::await_change());
    };
    let path = path(&object, &problem, &|candidate| parse::<K>(candidate).err());
    let message = format!("{path}: {problem}; change the field, or delete the object and create it anew");
    let previous = raw.data.get("status").cloned().unwrap_or_default();
    let status =
        status(&previous, path.starts_with("status"), &message, raw.metadata.generation, ctx.clock.now());
    if status != previous {
        kubernetes::apply_status_of::<K>(ctx, &raw.metadata, &status).await?;
        tracing::warn!(message, "the object cannot be read");
        let reason = ScheduleReason::InvalidSpec.as_str();
        let about = kubernetes::object_reference(&DeserializeGuard::<K>(Err(invalid.clone())));
        ctx.events.publish(&about, Note { warning: true, reason, action: "Read", message }).await;
    }
    Ok(Action::await_change())
}

fn parse<K: Managed>(object: &Value) -> Result<(), String> {
    K::deserialize(object).map(|_| ()).map_err(|error| error.to_string())
}

/// The status with the problem in its conditions. Only a status that is itself the problem starts anew.
fn status(
    previous: &Value,
    start_anew: bool,
    message: &str,
    generation: Option<i64>,
    now: jiff::Timestamp,
) -> Value {
    let mut status = previous.as_object().filter(|_| !start_anew).cloned().unwrap_or_else(Map::new);
    let listed = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let before: Vec<Condition> =
        listed.into_iter().filter_map(|condition| serde_json::from_value(condition).ok()).collect();
    // The same word for all three kinds.
    let reason = ScheduleReason::InvalidSpec.as_str();
    let desired = |kind, truth| Desired { kind, truth, reason, message: message.to_owned() };
    let judged = vec![desired("Ready", Truth::False), desired("Stalled", Truth::True)];
    let mut conditions = merge(&before, judged, generation, now);
    conditions.extend(before.into_iter().filter(|condition| !JUDGED.contains(&condition.type_.as_str())));
    status.insert("conditions".to_owned(), serde_json::to_value(conditions).unwrap_or_default());
    if let Some(generation) = generation {
        status.insert("observedGeneration".to_owned(), generation.into());
    }
    Value::Object(status)
}

/// Where in the object the problem is: the innermost part without which there would be another problem, or none.
fn path(object: &Value, problem: &str, problem_of: &impl Fn(&Value) -> Option<String>) -> String {
    let differs = |candidate: &Value| problem_of(candidate).as_deref() != Some(problem);
    let missing = problem.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let mut pointer = String::new();
    let mut path = String::new();
    loop {
        // A field that is missing is missing where another value for it, even a wrong one, is another problem.
        if let Some(field) = missing
            && differs(&changed(object, &pointer, |value| {
                if let Some(fields) = value.as_object_mut() {
                    fields.entry(field).or_insert(Value::Null);
                }
            }))
        {
            break;
        }
        let Some((next, name)) = culprit(object, &pointer, &differs) else { break };
        pointer = next;
        path.push_str(&name);
    }
    if path.is_empty() { "the object".to_owned() } else { path.trim_start_matches('.').to_owned() }
}

/// The first part of the value at `pointer` without which the object differs: its pointer, and its name.
fn culprit(object: &Value, pointer: &str, differs: &impl Fn(&Value) -> bool) -> Option<(String, String)> {
    match object.pointer(pointer)? {
        Value::Object(fields) => fields.keys().find_map(|key| {
            let without = changed(object, pointer, |value| {
                value.as_object_mut().and_then(|fields| fields.remove(key));
            });
            let escaped = key.replace('~', "~0").replace('/', "~1");
            differs(&without).then(|| (format!("{pointer}/{escaped}"), format!(".{key}")))
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            let without = changed(object, pointer, |value| {
                value.as_array_mut().map(|items| items.remove(index));
            });
            let name = item.get("name").and_then(Value::as_str);
            let name = name.map_or_else(|| index.to_string(), str::to_owned);
            differs(&without).then(|| (format!("{pointer}/{index}"), format!("[{name}]")))
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A copy of the object with another value at `pointer`.
fn changed(object: &Value, pointer: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut copy = object.clone();
    if let Some(value) = copy.pointer_mut(pointer) {
        change(value);
    }
    copy
}

#[cfg(test)]
mod tests;
