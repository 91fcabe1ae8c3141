//! `poolkeeper agents`: a line for every VM and agent.

use super::table::{Column, age, table};
use crate::explanation::PoolView;

/// Enough of a VM's id to tell VMs apart; `--vm` takes as much.
pub(super) const ID: usize = 8;

const COLUMNS: [Column; 8] = [
    Column("NAME", 40),
    Column("VM", ID),
    Column("INSTANCE", 20),
    Column("BINDING", 24),
    Column("STATE", 14),
    Column("SINCE", 8),
    Column("JOB", 12),
    Column("WHY", usize::MAX),
];

/// VMs with their agents, then agent records that no VM stands behind.
fn rows(view: &PoolView) -> Vec<Vec<String>> {
    let vms = view.agents.iter().map(|agent| {
        vec![
            agent.name.clone(),
            short(&agent.vm_id),
            agent.instance_id.clone(),
            agent.binding.clone(),
            agent.state.clone(),
            agent.since.map(|since| age(since, view.now)).unwrap_or_default(),
            agent.job.map(|job| job.to_string()).unwrap_or_default(),
            agent.why.clone(),
        ]
    });
    let none = String::new;
    let records = view.records.iter().map(|record| {
        let state = record.kind.clone();
        vec![record.name.clone(), none(), none(), none(), state, none(), none(), record.why.clone()]
    });
    vms.chain(records).collect()
}

fn short(id: &str) -> String {
    id.chars().take(ID).collect()
}

/// The table.
pub(super) fn text(view: &PoolView, width: Option<usize>) -> String {
    let rows = rows(view);
    if rows.is_empty() {
        return format!("pool {} has no VMs and no agents\n", view.name);
    }
    table(&COLUMNS, &rows, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::explain::tests::view;

    #[test]
    fn every_vm_and_record_has_a_line() {
        let expected = "\
NAME            VM        INSTANCE  BINDING         STATE        SINCE  JOB  WHY
linux-d4000000  0b6c2f1e  0         linux-build-d4  Busy         12m    41   its job 41 runs since 08:30Z
linux-d4000001  7d1a9c30  1         linux-build-d4  Idle         3m20s  -    kept: standby wants 2 and 2 are idle, so
                                                                             that a job finds an agent at once
linux-d4000002  7d1a9c31  2         linux-build-d4  Starting     45s    -    given up at 08:52Z
mac-mini-3      -         -         -               Foreign      -      -    runs on none of the pool's VMs
poolkeeper-x    -         -         -               Placeholder  -      -    lets jobs wait
";
        assert_eq!(text(&view(), Some(120)), expected);
        let mut none = view();
        none.agents.clear();
        none.records.clear();
        assert_eq!(text(&none, None), "pool linux-build has no VMs and no agents\n");
    }
}
