//! What a person has asked for once, by annotation, and when that is done.

use std::collections::BTreeSet;

use kube::ResourceExt;
use poolkeeper_api::{AgentPool, annotation};
use poolkeeper_policy::{Instance, Named, Plan, Snapshot, State, Verbs};
use serde_json::{Map, Value};

use crate::{context::Context, events::Note, kubernetes};

/// An object's annotations hold 256 KiB in all (Kubernetes), a VM id with its comma is 37 characters.
const NAMED: usize = 5_000;
/// An agent's name has at most 64 characters, a VM's id 36.
const LONGEST: usize = 64;

const ALL: [&str; 3] = [annotation::DRAIN, annotation::SAVE, annotation::RELEASE_SAVED];

/// Reads the annotations; one that does not parse changes nothing.
pub(super) fn read(pool: &AgentPool) -> Verbs {
    let named = |key: &str| pool.annotations().get(key).and_then(|text| parse(text).ok()).unwrap_or_default();
    Verbs {
        drain: named(annotation::DRAIN),
        save: named(annotation::SAVE),
        release_saved: named(annotation::RELEASE_SAVED),
    }
}

/// Agent names or VM ids, comma-separated, or `*`.
fn parse(text: &str) -> Result<Named, String> {
    let names: BTreeSet<String> =
        text.split(',').map(|name| name.trim().to_lowercase()).filter(|name| !name.is_empty()).collect();
    if names.contains("*") {
        let alone = names.len() == 1;
        return if alone {
            Ok(Named { all: true, names: BTreeSet::new() })
        } else {
            Err("* goes alone".into())
        };
    }
    let bad = |name: &&String| {
        name.chars().count() > LONGEST
            || name.chars().any(|letter| letter.is_whitespace() || letter.is_control())
    };
    match names.iter().find(bad) {
        Some(name) => Err(format!("{name:.64} is no agent name and no VM id")),
        None if names.is_empty() => Err("it names nobody".into()),
        None if names.len() > NAMED => Err(format!("it names more than {NAMED}")),
        None => Ok(Named { all: false, names }),
    }
}

/// After a pass: says what does not parse, names whom `drain: *` means, and removes what is carried out.
pub(super) async fn finish(
    ctx: &Context,
    pool: &AgentPool,
    seen: &Snapshot,
    plan: &Plan,
) -> Result<(), kube::Error> {
    let mut changes = Map::new();
    for key in ALL {
        let Some(text) = pool.annotations().get(key) else { continue };
        match parse(text) {
            Err(why) => {
                let message = format!(
                    "annotation {key} changes nothing, {why}: give agent names or VM ids, comma-separated, or *"
                );
                let note = Note { warning: true, reason: "AnnotationInvalid", action: "Decide", message };
                ctx.events.publish(&kubernetes::object_reference(pool), note).await;
            }
            Ok(named) if is_known(seen) => {
                if let Some(change) = next(key, &named, plan) {
                    changes.insert(key.to_owned(), change);
                }
            }
            Ok(_) => {}
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    kubernetes::annotate(ctx, pool, changes).await
}

/// Everything was read in this pass: who is not in the lists is gone.
fn is_known(seen: &Snapshot) -> bool {
    let listed = seen.sets.values().all(|set| set.blocked.is_some() || set.instances.fresh_at().is_some());
    listed && seen.agents.fresh_at().is_some()
}

/// What the annotation becomes: null where it is carried out, another value where `*` is resolved.
fn next(key: &str, named: &Named, plan: &Plan) -> Option<Value> {
    let covered =
        || plan.instances.iter().filter(|instance| named.covers(&instance.vm_id, &instance.computer_name));
    let is_coming = |instance: &Instance| instance.state.is_coming();
    match key {
        // Whom `*` means is whoever is there now, or it would drain those that come in their place.
        annotation::DRAIN if named.all => {
            let vms: Vec<&str> = covered()
                .filter(|instance| !is_coming(instance) && instance.state != State::Saved)
                .take(NAMED)
                .map(|instance| instance.vm_id.0.as_str())
                .collect();
            Some(if vms.is_empty() { Value::Null } else { Value::String(vms.join(",")) })
        }
        annotation::SAVE => {
            let waits = covered().any(|instance| instance.state != State::Saved);
            (!waits).then_some(Value::Null)
        }
        annotation::RELEASE_SAVED => {
            let waits = covered().any(|instance| matches!(instance.state, State::Saved | State::Deleting));
            (!waits).then_some(Value::Null)
        }
        _ => covered().next().is_none().then_some(Value::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_nonsense_is_not() {
        let named = parse(" Agent-1, 5D0C1C52-7f3f ,").unwrap();
        assert_eq!(named.names.into_iter().collect::<Vec<_>>(), ["5d0c1c52-7f3f", "agent-1"]);
        assert!(parse("*").unwrap().all);
        for bad in ["", " , ", "*, agent-1", "two words", &"x".repeat(65)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
