//! What the tests of the whole operator share: a stage on which everything but the clouds is real, and sites on it.
//!
//! A [`Stage`] has one control plane, one simulated world 60 times as fast, and the chart. A [`Site`] is one pool with
//! its scale set in a namespace of its own, all of the same name, so that many of them run side by side.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]
#![allow(dead_code, unused_imports, reason = "every test binary uses a part of it")]

mod clouds;
mod course;
mod door;
mod hour;
mod scenarios;
mod site;
mod stage;
mod table;

use std::time::Duration;

pub(crate) use clouds::{Clouds, Truth};
pub(crate) use course::Course;
pub(crate) use door::{Door, Moment, Write};
pub(crate) use hour::Hour;
pub(crate) use scenarios::Scenarios;
pub(crate) use site::{Site, words as conditions};
pub(crate) use stage::{SPEED, Stage, world};
pub(crate) use table::cells;

/// No wait of a test takes a quarter of it, unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// What kubectl printed, or why it failed.
pub(crate) fn said(what: &str, output: &std::process::Output) -> anyhow::Result<String> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::ensure!(output.status.success(), "{what}: {}: {}{}", output.status, out.trim(), err.trim());
    Ok(out.trim_end().to_owned())
}

/// As a JSON merge patch: null removes, a list is replaced.
pub(crate) fn merge(target: &mut serde_json::Value, patch: &serde_json::Value) {
    use serde_json::{Map, Value};
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(target) = target.as_object_mut() else { return };
    for (name, value) in members {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}
