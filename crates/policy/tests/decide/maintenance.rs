//! Pool maintenance: bound to its agent, so it starts no VM, and it is not interrupted.

use poolkeeper_policy::{Basis, JobRequest, Pool, State};
use rstest::rstest;

use crate::support::{
    Passes, Scene, WEEK, disabled, elastic, first_look, grown, machine, minutes, scene, standby, stateful,
};

/// So many agents, of which the first are in maintenance.
fn maintained(agents: usize, maintained: usize) -> Scene {
    let names: Vec<String> = (0..agents).map(|number| format!("m{number:02}")).collect();
    let mut scene = scene(names.iter().enumerate().map(|(number, name)| {
        let machine = machine(name);
        if number < maintained { machine.busy() } else { machine.idle() }
    }));
    let agents = scene.machines.iter().filter_map(|machine| machine.agent.as_ref());
    let request = |id: i64| crate::support::scene::job(id);
    scene.jobs = agents
        .filter_map(|agent| agent.assigned.map(|id| (agent.id, id)))
        .map(|(agent, id)| JobRequest { agent: Some(agent), maintenance: true, ..request(id.0) })
        .collect();
    scene
}

fn twenty(basis: Basis, max: u32, steps: bool) -> Pool {
    let mut pool = if steps { elastic(20, 50) } else { standby(20) };
    (pool.max_agents, pool.standby.basis, pool.lifecycle) = (max, basis, stateful(WEEK));
    pool.idle_delay = minutes(0);
    pool
}

#[rstest]
fn maintenance_on_twenty_agents_at_once_starts_no_vm(
    #[values(Basis::Idle, Basis::Total)] basis: Basis,
    #[values(false, true)] steps: bool,
    #[values(1, 10, 20)] count: usize,
) {
    let mut passes = Passes::of(&twenty(basis, 40, steps));
    let plan = passes.watch(&maintained(20, count), minutes(30));
    assert_eq!((grown(&plan), plan.actions.len(), plan.memory.operations.len()), (0, 0, 0));
    assert_eq!((plan.counts.total(), plan.jobs.running, plan.jobs.queued), (20, 0, 0));
    assert!(plan.instances.iter().filter(|instance| instance.state == State::Busy).count() == count);
}

#[rstest]
#[case::jobs_do_not_wait_for_its_end(20, 5, 40, 5)]
#[case::never_above_the_maximum(20, 30, 40, 20)]
#[case::free_ones_take_them(10, 5, 40, 5)]
fn jobs_that_wait_besides_get_their_agents(
    #[case] in_maintenance: usize,
    #[case] queued: i64,
    #[case] max: u32,
    #[case] expected: u32,
) {
    let plan = first_look(&twenty(Basis::Idle, max, false), &maintained(20, in_maintenance).queued(queued));
    assert_eq!(grown(&plan), expected);
}

#[test]
fn with_total_standby_a_job_takes_a_free_one_and_waits_for_no_maintenance() {
    let pool = twenty(Basis::Total, 40, false);
    assert_eq!(grown(&first_look(&pool, &maintained(20, 15).queued(5))), 0);
    assert_eq!(grown(&first_look(&pool, &maintained(20, 20).queued(5))), 5);
}

#[test]
fn an_agent_in_maintenance_is_not_in_excess() {
    let mut pool = twenty(Basis::Idle, 40, false);
    pool.standby.agents = 0;
    let plan = first_look(&pool, &maintained(3, 1));
    assert_eq!(disabled(&plan).iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["m01", "m02"]);
}
