//! Actions in one word and in rows.

use jiff::Timestamp;
use poolkeeper_api::agent_pool::RecentAction;
use poolkeeper_policy::{Action, OperationKind, Plan};

use super::super::{act::Report, count, memory::time};

/// Actions that the status keeps.
const RECENT: usize = 20;

pub(super) fn operation_verb(kind: &OperationKind) -> &'static str {
    match kind {
        OperationKind::Create { .. } => "Create",
        OperationKind::Delete(_) => "Delete",
        OperationKind::Reimage(_) => "Reimage",
    }
}

pub(super) fn stored_verb(kind: poolkeeper_api::agent_pool::OperationKind) -> &'static str {
    match kind {
        poolkeeper_api::agent_pool::OperationKind::Create => "Create",
        poolkeeper_api::agent_pool::OperationKind::Delete => "Delete",
        poolkeeper_api::agent_pool::OperationKind::Reimage => "Reimage",
        poolkeeper_api::agent_pool::OperationKind::Unknown => "Act",
    }
}

/// What an action is called in status, events and metrics.
pub(crate) fn verb(action: &Action) -> &'static str {
    match action {
        Action::Grow { .. } => "Create",
        Action::Disable { .. } => "Disable",
        Action::Remove { removal: poolkeeper_policy::Removal::Delete, .. } => "Delete",
        Action::Remove { removal: poolkeeper_policy::Removal::Reimage, .. } => "Reimage",
        Action::Save { .. } => "Save",
        Action::Unmark { .. } => "Unmark",
    }
}

fn size(action: &Action) -> u32 {
    match action {
        Action::Grow { by, .. } => *by,
        Action::Disable { .. } => 1,
        Action::Remove { members, .. } | Action::Save { members, .. } => {
            u32::try_from(members.len()).unwrap_or(u32::MAX)
        }
        Action::Unmark { vms, .. } => u32::try_from(vms.len()).unwrap_or(u32::MAX),
    }
}

/// The last actions, newest first.
pub(super) fn recent(
    before: &[RecentAction],
    plan: &Plan,
    report: &Report,
    now: Timestamp,
) -> Vec<RecentAction> {
    let row = |action: &Action, result: &str, message: String| RecentAction {
        at: time(now),
        action: verb(action).to_owned(),
        binding: action.binding().0.clone(),
        count: count(size(action)),
        result: result.to_owned(),
        message,
    };
    let done = report.deeds.iter().map(|deed| row(&deed.action, deed.result(), deed.message.clone()));
    let same = |a: &RecentAction, b: &RecentAction| {
        (&a.action, &a.binding, a.count, &a.result, &a.message)
            == (&b.action, &b.binding, b.count, &b.result, &b.message)
    };
    // In mode Observe the same wish comes with every pass.
    let wished = plan.observed.iter().map(|action| row(action, "Observed", action.words()));
    let changes = report.changes.iter().map(|change| RecentAction {
        at: time(now),
        action: change.action.to_owned(),
        binding: String::new(),
        count: 1,
        result: change.result().to_owned(),
        message: change.message.clone(),
    });
    let mut rows: Vec<RecentAction> =
        wished.filter(|wish| !before.iter().any(|old| same(old, wish))).chain(done).chain(changes).collect();
    rows.extend(before.iter().cloned());
    rows.truncate(RECENT);
    rows
}
