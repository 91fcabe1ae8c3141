//! VMs that were in a scale set before it was claimed.

use jiff::Timestamp;
use poolkeeper_policy::{Cause, Existing, Mode, Plan, Pool, State};
use rstest::rstest;

use crate::support::{
    Machine, Passes, deleted, disabled, first_look, grown, machine, minutes, monday, pool, reimaged, scene,
    seconds, standby,
};

/// Claimed on Monday, an hour after the machines were created.
fn claimed(mut pool: Pool, existing: Existing, at: Timestamp) -> Pool {
    pool.max_agents = 10;
    for binding in &mut pool.bindings {
        binding.existing = existing;
        binding.claimed_at = Some(at);
    }
    pool
}

fn told(plan: &Plan) -> Vec<Vec<&str>> {
    plan.existing
        .iter()
        .map(|existing| existing.members.iter().map(|member| member.computer_name.as_str()).collect())
        .collect()
}

fn young(name: &str) -> Machine {
    machine(name).vm(|vm| vm.created_at = Some(monday().checked_add(seconds(1)).unwrap()))
}

#[test]
fn a_vm_without_an_agent_gets_the_start_timeout_from_the_claim_on() {
    let mut passes = Passes::of(&standby(0));
    // Seen for a long time before the claim.
    let plan = passes.watch(&scene([machine("a")]).blocked("d4", true), minutes(30));
    assert_eq!(plan.instances[0].state, State::FailedToStart);
    passes.pool = claimed(standby(0), Existing::Adopt, passes.now);
    let plan = passes.watch(&scene([machine("a")]), minutes(10) - seconds(10));
    assert_eq!((plan.instances[0].state, deleted(&plan).len()), (State::Starting, 0));
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a")]));
    assert_eq!(deleted(&plan), [("a", Cause::FailedToStart)]);
}

#[test]
fn adopted_agents_are_used_like_others() {
    let plan = first_look(&claimed(standby(1), Existing::Adopt, monday()), &scene([machine("a").idle()]));
    assert!(plan.actions.is_empty() && plan.existing.is_empty());
}

#[test]
fn those_that_are_replaced_are_told_once_and_then_go_by_the_usual_steps() {
    let mut passes = Passes::of(&claimed(pool(), Existing::Replace, monday()));
    let machines = || scene([machine("a").idle(), machine("b").busy(), machine("c"), young("d").idle()]);
    let plan = passes.look(&machines());
    assert_eq!((told(&plan), plan.actions.len()), (vec![vec!["a", "b", "c"]], 0));
    assert!(plan.next_wakeup <= passes.now.checked_add(seconds(10)).unwrap());
    passes.wait(seconds(10));
    let plan = passes.look(&machines());
    assert_eq!(told(&plan), Vec::<Vec<&str>>::new());
    assert_eq!(disabled(&plan), [("a", Cause::Existing), ("b", Cause::Existing)]);
    assert_eq!(deleted(&plan), [("c", Cause::Existing)]);
    passes.accepted();
    passes.wait(seconds(10));
    let later = || scene([machine("a").idle().disabled(), machine("b").busy().disabled(), young("d").idle()]);
    assert!(passes.look(&later()).actions.is_empty());
    passes.wait(seconds(30));
    let plan = passes.look(&later());
    assert_eq!((disabled(&plan).len(), deleted(&plan)), (0, vec![("a", Cause::Existing)]));
    passes.accepted();
    passes.wait(seconds(60));
    // After its job the busy one is not reimaged but goes.
    let plan = passes.look(&scene([machine("b").used().offline(), young("d").idle()]));
    assert_eq!((deleted(&plan), reimaged(&plan).len()), (vec![("b", Cause::Existing)], 0));
}

#[test]
fn those_that_go_are_no_capacity() {
    let mut passes = Passes::of(&claimed(standby(1), Existing::Replace, monday()));
    let idle = || scene([machine("a").idle()]);
    assert_eq!(grown(&passes.look(&idle())), 0);
    passes.wait(seconds(10));
    // The new one is ordered first.
    let plan = passes.look(&idle());
    assert_eq!((grown(&plan), disabled(&plan).len()), (1, 0));
}

#[test]
fn an_agent_that_is_back_in_a_moment_is_waited_for() {
    let mut passes = Passes::of(&claimed(pool(), Existing::Replace, monday()));
    let away = || scene([machine("a").idle().offline()]);
    let _ = passes.look(&away());
    passes.wait(seconds(10));
    assert!(passes.look(&away()).actions.is_empty());
}

#[rstest]
#[case::paused(|pool: &mut Pool| pool.mode = Mode::Paused, false)]
#[case::observing(|pool: &mut Pool| pool.mode = Mode::Observe, false)]
#[case::blocked(|_: &mut Pool| {}, true)]
fn where_nothing_may_be_written_nobody_goes(#[case] change: fn(&mut Pool), #[case] blocked: bool) {
    let mut pool = claimed(standby(1), Existing::Replace, monday());
    change(&mut pool);
    let mut passes = Passes::of(&pool);
    for _ in 0..3 {
        let idle = scene([machine("a").idle()]);
        let plan = passes.look(&if blocked { idle.blocked("d4", false) } else { idle });
        assert!(plan.existing.is_empty() && plan.actions.is_empty() && plan.observed.is_empty());
        passes.wait(seconds(10));
    }
}

#[test]
fn a_new_claim_tells_anew() {
    let mut passes = Passes::of(&claimed(pool(), Existing::Replace, monday()));
    assert_eq!(told(&passes.look(&scene([machine("a").busy()]))).len(), 1);
    passes.wait(minutes(1));
    assert_eq!(told(&passes.look(&scene([machine("a").busy()]))).len(), 0);
    passes.pool = claimed(pool(), Existing::Replace, passes.now);
    assert_eq!(told(&passes.look(&scene([machine("a").busy()]))).len(), 1);
}

#[test]
fn those_that_go_take_nobodys_place_among_the_excess() {
    let mut pool = claimed(standby(1), Existing::Replace, monday());
    pool.idle_delay = seconds(0);
    let mut passes = Passes::of(&pool);
    let machines = || scene([machine("a").idle(), young("b").idle(), young("c").idle()]);
    let _ = passes.look(&machines());
    passes.wait(seconds(10));
    let plan = passes.look(&machines());
    assert_eq!(disabled(&plan), [("a", Cause::Existing), ("b", Cause::Excess)]);
}
