//! Stateful agents: their lifetime, how long they are kept after a job, and jobs that outlast them.

use jiff::Timestamp;
use poolkeeper_policy::{
    Cause, DeletionPolicy, Lifecycle, Notice, Pool, PoolReason, Provisioning, RequestId, Truth,
};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, WEEK, binding, condition, deleted, disabled, first_look, grown, machine, minutes,
    monday, name, pool,
    run::Run,
    scene, seconds, standby, stateful,
    world::{EXAMPLE, Times, World},
};

fn hours_ago(hours: i64) -> Timestamp {
    monday().checked_sub(minutes(60 * hours)).unwrap()
}

fn aged(name: &str, hours: i64) -> Machine {
    let born = hours_ago(hours);
    machine(name).vm(|vm| vm.created_at = Some(born)).agent(|agent| agent.created_at = Some(born))
}

/// Agents live a day; so many stand by.
fn daily(agents: u32) -> Pool {
    let mut pool = standby(agents);
    (pool.max_agents, pool.lifecycle) = (40, stateful(24));
    pool
}

#[rstest]
#[case::an_idle_one(aged("a", 24), true)]
#[case::a_busy_one_after_its_job(aged("a", 24).busy(), true)]
#[case::a_young_one(aged("a", 23), false)]
#[case::a_young_busy_one(aged("a", 23).busy(), false)]
#[case::a_busy_one_that_is_disabled(aged("a", 24).busy().disabled(), false)]
#[case::azure_does_not_say_its_age_but_the_record_does(aged("a", 24).vm(|vm| vm.created_at = None), true)]
#[case::nobody_knows_its_age(
    aged("a", 24).vm(|vm| vm.created_at = None).agent(|agent| agent.created_at = None),
    false
)]
fn an_agent_as_old_as_it_may_be_leaves(#[case] machine: Machine, #[case] leaves: bool) {
    let plan = first_look(&daily(0), &scene([machine.clone()]));
    assert_eq!(disabled(&plan), if leaves { vec![("a", Cause::Lifetime)] } else { vec![] });
    assert!(deleted(&plan).is_empty());
    // Stateless agents have no lifetime.
    let mut stateless = daily(0);
    stateless.lifecycle = pool().lifecycle;
    assert!(disabled(&first_look(&stateless, &scene([machine]))).is_empty());
}

#[test]
fn a_replacement_starts_at_once_and_the_old_one_settles_before_it_goes() {
    let mut passes = Passes::of(&daily(1));
    let plan = passes.look(&scene([aged("a", 24).idle()]));
    // Growth comes first.
    assert_eq!((grown(&plan), disabled(&plan).len()), (1, 0));
    passes.memory.operations.clear();
    let with_another = |old: Machine| scene([old, aged("b", 0)]);
    passes.wait(minutes(4));
    assert_eq!(disabled(&passes.look(&with_another(aged("a", 24)))), [("a", Cause::Lifetime)]);
    for wait in [10, 20] {
        passes.wait(seconds(wait));
        assert!(passes.look(&with_another(aged("a", 24).disabled())).actions.is_empty());
    }
    passes.wait(seconds(10));
    let plan = passes.look(&with_another(aged("a", 24).disabled()));
    assert_eq!((deleted(&plan), grown(&plan)), (vec![("a", Cause::Lifetime)], 0));
}

#[rstest]
#[case::a_few(5, 0, 0, 1)]
#[case::ten(10, 0, 0, 1)]
#[case::a_tenth_rounded_up(11, 0, 0, 2)]
#[case::some_leave_already(25, 2, 0, 1)]
#[case::some_are_being_deleted(25, 0, 3, 0)]
fn of_those_of_one_age_a_tenth_leaves_at_a_time(
    #[case] agents: usize,
    #[case] leaving: usize,
    #[case] deleting: usize,
    #[case] expected: usize,
) {
    let machines = (0..agents).map(|number| {
        let machine = aged(&format!("m{number:02}"), 24 + i64::try_from(number).unwrap());
        match number {
            _ if number < leaving => machine.busy().disabled(),
            _ if number < leaving + deleting => machine.provisioning(Provisioning::Deleting),
            _ => machine,
        }
    });
    let plan = first_look(&daily(0), &scene(machines));
    let names: Vec<String> = (0..expected).map(|place| format!("m{:02}", agents - 1 - place)).collect();
    let mut gone: Vec<&str> = disabled(&plan).into_iter().map(|(name, _)| name).collect();
    gone.reverse();
    assert_eq!(gone, names, "the oldest first");
}

#[test]
fn a_last_job_that_does_not_end_keeps_no_other_from_leaving() {
    let mut passes = Passes::of(&daily(0));
    let long = || scene([aged("a", 30).busy().disabled(), aged("b", 30).busy()]);
    assert!(disabled(&passes.watch(&long(), minutes(59))).is_empty());
    assert_eq!(disabled(&passes.watch(&long(), minutes(1))), [("b", Cause::Lifetime)]);
}

#[test]
fn a_deletion_or_a_cordon_is_the_reason_before_the_lifetime() {
    let mut pool = daily(0);
    pool.deletion = Some(DeletionPolicy::Drain);
    assert_eq!(disabled(&first_look(&pool, &scene([aged("a", 24)]))), [("a", Cause::PoolDeleted)]);
    let mut pool = daily(0);
    pool.bindings[0].max_agents = Some(0);
    assert_eq!(disabled(&first_look(&pool, &scene([aged("a", 24)]))), [("a", Cause::BindingLeaves)]);
}

#[test]
fn the_pool_is_looked_at_when_the_next_lifetime_ends() {
    let mut pool = daily(1);
    pool.bindings.push(binding("spot"));
    let born = hours_ago(24).checked_add(seconds(7)).unwrap();
    let young = machine("a").vm(|vm| vm.created_at = Some(born)).idle();
    let plan = first_look(&pool, &scene([young]).set("spot"));
    assert_eq!(plan.next_wakeup.duration_since(monday()), seconds(7));
}

#[test]
fn a_pool_that_was_created_in_one_go_does_not_vanish_in_one_go() {
    let world = World::new(monday(), [name("d4")], Times { run_once: false, ..EXAMPLE });
    let mut run = Run::new(&daily(20), world);
    run.go(minutes(20));
    assert_eq!(run.world.idle_busy(), (20, 0));
    let first: Vec<_> = run.world.agents.keys().copied().collect();
    let mut fewest = 20;
    for _ in 0..(26 * 60) {
        run.go(minutes(1));
        fewest = fewest.min(run.world.idle_busy().0);
        assert!(run.world.size() <= 40);
    }
    // Two leave at a time; the next two may before the replacements of the first are online.
    assert!(fewest >= 14, "{fewest} of 20");
    assert_eq!((run.world.idle_busy(), run.world.size()), ((20, 0), 20));
    assert!(first.iter().all(|agent| !run.world.agents.contains_key(agent)));
}

/// Two agents, one of them always busy, in turns of ten minutes.
fn trickle(minute: i64) -> Scene {
    let (a, b) = (aged("a", 1), aged("b", 1));
    scene(if (minute / 10) % 2 == 0 { [a.busy(), b.idle()] } else { [a.idle(), b.busy()] })
}

#[rstest]
#[case::stateful_ones_are_kept_from_their_last_job_on(stateful(WEEK), 0)]
#[case::of_others_the_longest_idle_goes(pool().lifecycle, 1)]
fn one_that_was_busy_within_the_grace_period_stays(#[case] lifecycle: Lifecycle, #[case] expected: usize) {
    let mut pool = pool();
    (pool.lifecycle, pool.idle_delay) = (lifecycle, minutes(30));
    let mut passes = Passes::of(&pool);
    let mut gone = 0;
    for minute in 0..35 {
        gone = disabled(&passes.look(&trickle(minute))).len().max(gone);
        passes.wait(minutes(1));
    }
    assert_eq!(gone, expected);
}

#[test]
fn the_grace_period_begins_with_the_last_job() {
    let mut pool = pool();
    (pool.lifecycle, pool.idle_delay) = (stateful(WEEK), minutes(30));
    let mut passes = Passes::of(&pool);
    let idle_since = |machine: Machine, at: i64| {
        machine.agent(|agent| agent.last_finished_at = Some(monday().checked_add(minutes(at)).unwrap()))
    };
    // One is busy for five minutes more.
    let _ =
        passes.watch(&scene([idle_since(aged("a", 1), 0), aged("b", 1).busy()]), minutes(5) - seconds(10));
    passes.wait(seconds(10));
    let both = scene([idle_since(aged("a", 1), 0), idle_since(aged("b", 1), 5)]);
    assert!(passes.watch(&both, minutes(25) - seconds(10)).actions.is_empty());
    passes.wait(seconds(10));
    assert_eq!(disabled(&passes.look(&both)), [("a", Cause::Excess)]);
    let rest = scene([idle_since(aged("b", 1), 5)]);
    passes.wait(seconds(10));
    let plan = passes.watch(&rest, minutes(5) - seconds(20));
    assert_eq!((plan.actions.len(), plan.next_wakeup.duration_since(passes.now)), (0, seconds(10)));
    passes.wait(seconds(10));
    assert_eq!(disabled(&passes.look(&rest)), [("b", Cause::Excess)]);
}

#[rstest]
#[case::nobody_is_needed(0, 0, 3)]
#[case::a_job_waits(1, 0, 2)]
#[case::the_standby_needs_them(0, 3, 0)]
#[case::both(1, 1, 1)]
fn an_agent_is_kept_while_it_is_needed(#[case] queued: i64, #[case] standby: u32, #[case] expected: usize) {
    let mut pool = daily(standby);
    pool.idle_delay = minutes(0);
    let idle = ["a", "b", "c"].map(|name| aged(name, 1));
    assert_eq!(disabled(&first_look(&pool, &scene(idle).queued(queued))).len(), expected);
}

#[rstest]
#[case::two_days_past_its_lifetime(48, 50, stateful(24), true)]
#[case::not_yet_two_days(47, 50, stateful(24), false)]
#[case::within_its_lifetime(48, 50, stateful(WEEK), false)]
#[case::a_stateless_one(48, 50, pool().lifecycle, false)]
fn a_job_that_runs_for_two_days_is_told_and_never_ended(
    #[case] runs: i64,
    #[case] age: i64,
    #[case] lifecycle: Lifecycle,
    #[case] expected: bool,
) {
    let mut pool = daily(0);
    pool.lifecycle = lifecycle;
    let mut passes = Passes::of(&pool);
    let busy = aged("a", age).busy().disabled();
    let agent = busy.agent.clone().unwrap();
    let since = hours_ago(runs);
    let mut scene = scene([busy]);
    let job = crate::support::scene::job(agent.id.0);
    let job = poolkeeper_policy::JobRequest { agent: Some(agent.id), assigned_at: Some(since), ..job };
    scene.jobs.push(job);
    let plan = passes.look(&scene);
    let request = RequestId(agent.id.0);
    let told = Notice::JobOverTwoDays { name: "a".to_owned(), request, since };
    assert_eq!((plan.notices.clone(), plan.actions.len()), (if expected { vec![told] } else { vec![] }, 0));
    // Once; but the condition lasts as long as the job.
    passes.wait(minutes(1));
    let plan = passes.look(&scene);
    assert!(plan.notices.is_empty());
    let condition = condition(&plan, "JobOverTwoDays");
    assert_eq!(condition.is_some(), expected);
    if let Some((truth, reason, message)) = condition {
        assert_eq!((truth, reason), (Truth::True, PoolReason::StillRunning));
        assert!(message.contains("agent a,") && message.contains(&request.to_string()), "{message}");
        assert!(message.contains("2026-11-21T08:00:00Z"), "{message}");
    }
}
