//! Agent records that no VM stands behind, and what becomes of each.

use super::{Facts, RecordKind, RecordLine};
use crate::{
    protocol::RecordChange,
    records,
    snapshot::{Agent, AgentId},
};

/// One line per record, by name.
pub(super) fn lines(facts: &Facts<'_>) -> Vec<RecordLine> {
    let found = records::without_vm(facts.pool, facts.seen, &facts.plan.memory, facts.now);
    let line = |(agent, kind): (&Agent, RecordKind)| RecordLine {
        agent: agent.id,
        name: agent.name.clone(),
        online: agent.online,
        kind,
        why: why(facts, agent.id, kind),
    };
    let mut lines: Vec<RecordLine> = found.into_iter().map(line).collect();
    lines.sort_unstable_by(|a, b| (&a.name, a.agent).cmp(&(&b.name, b.agent)));
    lines
}

fn why(facts: &Facts<'_>, agent: AgentId, kind: RecordKind) -> String {
    let change = facts.plan.records.iter().find(|change| match change {
        RecordChange::Register(_) | RecordChange::Label { .. } => false,
        RecordChange::Describe { agent: other, .. } | RecordChange::Forget { agent: other, .. } => {
            *other == agent
        }
    });
    match (kind, change) {
        (_, Some(RecordChange::Forget { cause, .. })) => {
            format!("{}: its record is deleted now", cause.words())
        }
        (RecordKind::Placeholder, Some(RecordChange::Describe { .. })) => {
            "lets jobs wait while no agent is there; its capabilities are updated now".into()
        }
        (RecordKind::Placeholder, Some(RecordChange::Register(_) | RecordChange::Label { .. }) | None) => {
            "lets jobs wait while no agent is there".into()
        }
        (
            RecordKind::Ghost,
            Some(RecordChange::Describe { .. } | RecordChange::Register(_) | RecordChange::Label { .. })
            | None,
        ) => "its VM is gone: its record goes once every scale set of the pool has just been listed whole"
            .into(),
        (
            RecordKind::Foreign,
            Some(RecordChange::Describe { .. } | RecordChange::Register(_) | RecordChange::Label { .. })
            | None,
        ) => "on none of this pool's VMs: left alone".into(),
    }
}
