//! A stateless agent runs one job on a new machine, and no second one.

use poolkeeper_policy::{Cause, Lifecycle, Notice, Pool, Recycle, RequestId, State};
use rstest::rstest;

use crate::support::{
    Machine, Passes, WEEK, disabled, first_look, machine, minutes, monday, name, pool, reimaged, scene,
    seconds, standby, stateful, states,
};

fn full(mut pool: Pool) -> Pool {
    pool.max_agents = 1;
    pool
}

#[rstest]
#[case::a_second_job(machine("a").used().busy(), true)]
#[case::its_first_job(machine("a").busy(), false)]
#[case::none(machine("a").used(), false)]
#[case::the_one_before_was_on_the_old_machine(
    machine("a").busy().agent(|agent| agent.last_finished_at = monday().checked_sub(minutes(90)).ok()),
    false
)]
fn a_second_job_is_told_once_and_a_third_kept_away(#[case] machine: Machine, #[case] reused: bool) {
    let mut passes = Passes::of(&full(standby(1)));
    let plan = passes.look(&scene([machine.clone()]));
    let id = machine.agent.clone().unwrap().id;
    let (name_, binding) = ("a".to_owned(), name("d4"));
    let told = Notice::AgentReused { name: name_, binding, request: RequestId(id.0) };
    assert_eq!(plan.notices, if reused { vec![told] } else { vec![] });
    let busy = states(&plan) == [State::Busy];
    if busy {
        assert_eq!(disabled(&plan), if reused { vec![("a", Cause::Used)] } else { vec![] });
    }
    passes.wait(seconds(10));
    assert!(passes.look(&scene([machine.clone()])).notices.is_empty());
    // Once more for another request.
    passes.wait(seconds(10));
    let again =
        machine.agent(|agent| agent.assigned = agent.assigned.map(|request| RequestId(request.0 + 1)));
    assert_eq!(passes.look(&scene([again])).notices.len(), usize::from(reused));
}

#[test]
fn it_finishes_its_second_job_and_is_then_recycled() {
    let mut passes = Passes::of(&full(standby(1)));
    let second = || scene([machine("a").used().busy().disabled()]);
    let plan = passes.look(&second());
    assert_eq!((states(&plan), plan.actions.len(), plan.notices.len()), (vec![State::Busy], 0, 1));
    assert!(passes.watch(&second(), minutes(60)).actions.is_empty());
    passes.wait(seconds(10));
    assert_eq!(
        reimaged(&passes.look(&scene([machine("a").used().disabled().offline()]))),
        [("a", Cause::Used)]
    );
}

#[test]
fn stateful_agents_are_reused() {
    let mut pool = full(standby(1));
    pool.lifecycle = stateful(WEEK);
    let plan = first_look(&pool, &scene([machine("a").used().busy()]));
    assert_eq!((plan.notices.len(), plan.actions.len()), (0, 0));
}

#[test]
fn maintenance_is_no_second_job() {
    let used = machine("a").used().busy();
    let id = used.agent.clone().unwrap().id;
    let mut scene = scene([used]);
    let job = crate::support::scene::job(id.0);
    scene.jobs.push(poolkeeper_policy::JobRequest { agent: Some(id), maintenance: true, ..job });
    let mut pool = full(pool());
    pool.lifecycle = Lifecycle::Stateless(Recycle::Replace);
    let plan = first_look(&pool, &scene);
    assert_eq!((plan.notices.len(), plan.actions.len()), (0, 0));
}
