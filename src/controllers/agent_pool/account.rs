//! What a pass leaves for a person to ask about: why the pool is as it is (`poolkeeper explain`), and what was done
//! (`poolkeeper diagnostics`).

use jiff::Timestamp;
use kube::ResourceExt;
use poolkeeper_api::AgentPool;
use poolkeeper_policy::{Memory, Plan, Pool, Snapshot, explain};

use super::act::{Changed, Deed, Report};
use crate::{
    context::Context,
    journal::{self, Did, Pass},
};

/// A pass that has decided and acted.
pub(super) struct Account<'a> {
    pub(super) pool: &'a AgentPool,
    pub(super) spec: &'a Pool,
    /// As the decision was given it.
    pub(super) memory: &'a Memory,
    pub(super) seen: &'a Snapshot,
    pub(super) plan: &'a Plan,
    pub(super) report: &'a Report,
    pub(super) now: Timestamp,
}

impl Account<'_> {
    /// Keeps the explanation in memory, and hands the deeds to the journal.
    pub(super) fn keep(&self, ctx: &Context) {
        let Self { pool, spec, memory, seen, plan, report, now } = *self;
        let explanation = explain(spec, seen, memory, plan, now);
        let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
        ctx.explanations.note(&namespace, &name, explanation, &plan.decision, now);
        let deeds = report.deeds.iter().map(did).collect();
        let changes = report.changes.iter().map(changed).collect();
        ctx.journal.note(&Pass { pool, memory, seen, plan, deeds, changes, now });
    }
}

fn did(deed: &Deed) -> Did<'_> {
    let Deed { action, outcome, message, .. } = deed;
    Did { action, outcome, message }
}

fn changed(change: &Changed) -> journal::Changed<'_> {
    journal::Changed {
        action: change.action,
        result: change.result(),
        message: &change.message,
        failure: change.outcome.as_ref().err(),
    }
}
