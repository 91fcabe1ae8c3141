//! How many idle agents go, and when.

use jiff::Timestamp;
use poolkeeper_policy::{Cause, Memory, Stair, Staircase};
use proptest::prelude::*;
use rstest::rstest;

use crate::support::{
    Machine, Passes, WEEK, deleted, disabled, machine, minutes, monday, pool,
    random::cases,
    scene,
    scene::{job, lose},
    seconds, standby, stateful,
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn idle(count: usize) -> Vec<Machine> {
    NAMES.iter().take(count).map(|name| machine(name).idle()).collect()
}

fn later(minutes: i64) -> Timestamp {
    monday().checked_add(crate::support::minutes(minutes)).unwrap()
}

#[test]
fn the_longest_idle_go_once_their_excess_has_lasted() {
    let mut passes = Passes::of(&standby(2));
    let times = [later(-3), later(-50), later(-20), later(-50)];
    let machines = NAMES.iter().zip(times).map(|(name, at)| machine(name).idle_since(at));
    let excess = scene(machines);
    assert!(passes.watch(&excess, minutes(29)).actions.is_empty());
    let plan = passes.watch(&excess, minutes(1));
    assert_eq!(disabled(&plan), [("b", Cause::Excess), ("d", Cause::Excess)]);
}

#[test]
fn what_goes_is_the_least_excess_of_the_whole_delay() {
    let mut passes = Passes::of(&standby(0));
    let _ = passes.watch(&scene(idle(2)), minutes(20));
    // A trickle of jobs: for a moment one is busy, and it is another one each time.
    let _ = passes.look(&scene([machine("a").busy(), machine("b").idle()]));
    let plan = passes.watch(&scene(idle(2)), minutes(10));
    assert_eq!(disabled(&plan), [("b", Cause::Excess)]);
}

#[test]
fn those_that_stay_have_been_in_excess_no_longer_than_before() {
    let mut pool = standby(0);
    pool.max_agents = 6;
    let mut passes = Passes::of(&pool);
    let _ = passes.watch(&scene(idle(1)), minutes(10));
    let _ = passes.watch(&scene(idle(2)), minutes(10));
    let plan = passes.watch(&scene(idle(6)), minutes(10));
    assert_eq!(disabled(&plan), [("a", Cause::Excess)]);
    // It is gone; the second one has ten more minutes, the others twenty.
    let rest = scene(idle(6).split_off(1));
    assert!(disabled(&passes.watch(&rest, minutes(9))).is_empty());
    assert_eq!(disabled(&passes.watch(&rest, minutes(1))), [("b", Cause::Excess)]);
    let rest = scene(idle(6).split_off(2));
    assert!(disabled(&passes.watch(&rest, minutes(9))).is_empty());
    assert_eq!(disabled(&passes.watch(&rest, minutes(1))).len(), 4);
}

#[test]
fn the_wait_survives_a_restart_and_a_lost_one_begins_again() {
    let excess = scene(idle(1));
    for (kept, expected) in [(true, 1), (false, 0)] {
        let mut passes = Passes::of(&pool());
        let _ = passes.watch(&excess, minutes(20));
        let staircase = Staircase::from_stairs(passes.memory.staircase.stairs().to_vec());
        passes.memory = if kept { Memory { staircase, ..Memory::default() } } else { Memory::default() };
        assert_eq!(disabled(&passes.watch(&excess, minutes(10))).len(), expected);
    }
}

#[test]
fn nobody_knows_what_was_idle_while_nobody_could_look() {
    let mut passes = Passes::of(&pool());
    let excess = scene(idle(1));
    let _ = passes.watch(&excess, minutes(20));
    for _ in 0..10 {
        passes.wait(minutes(1));
        let mut seen = excess.seen(passes.now);
        lose(&mut seen.jobs);
        passes.memory = poolkeeper_policy::decide(&passes.pool, &seen, &passes.memory, passes.now).memory;
    }
    assert!(disabled(&passes.watch(&excess, minutes(29))).is_empty());
    assert_eq!(disabled(&passes.watch(&excess, minutes(1))).len(), 1);
}

#[test]
fn a_pool_never_grows_and_shrinks_in_one_plan() {
    let mut pool = standby(0);
    pool.idle_delay = minutes(0);
    pool.lifecycle = stateful(WEEK);
    pool.images.push(poolkeeper_policy::Image { name: "windows".into(), ..Default::default() });
    pool.bindings.push(poolkeeper_policy::Binding { image: 1, ..crate::support::binding("win") });
    let mut both = scene(idle(1)).set("win").job_that_demands(&["ImageOverride -equals windows"]);
    let mut passes = Passes::of(&pool);
    let plan = passes.look(&both);
    assert_eq!((crate::support::grown(&plan), disabled(&plan)), (1, vec![]));
    both.jobs.clear();
    passes.wait(seconds(10));
    assert_eq!(disabled(&passes.look(&both)), [("a", Cause::Excess)]);
}

#[rstest]
#[case::idle_ones_stay_while_jobs_wait(vec![machine("a").idle()], 1, 0)]
#[case::one_on_its_way_takes_nobodys_place(vec![machine("a").idle(), machine("b")], 0, 0)]
fn an_idle_agent_that_is_wanted_stays(
    #[case] machines: Vec<Machine>,
    #[case] queued: i64,
    #[case] expected: usize,
) {
    let mut pool = standby(u32::from(queued == 0));
    pool.idle_delay = minutes(0);
    let mut waiting = scene(machines);
    waiting.jobs.extend((0..queued).map(job));
    assert_eq!(disabled(&Passes::of(&pool).look(&waiting)).len(), expected);
}

#[test]
fn what_is_above_a_lowered_maximum_goes_though_it_is_wanted() {
    let mut pool = standby(4);
    pool.max_agents = 4;
    let mut passes = Passes::of(&pool);
    let machines = [machine("x").busy(), machine("y").busy()].into_iter().chain(idle(4));
    let above = scene(machines);
    let plan = passes.watch(&above, minutes(30));
    assert_eq!(disabled(&plan).len(), 2);
}

#[test]
fn a_disabled_agent_settles_before_its_machine_goes() {
    let mut pool = pool();
    pool.idle_delay = minutes(0);
    let mut passes = Passes::of(&pool);
    assert_eq!(disabled(&passes.look(&scene(idle(1)))).len(), 1);
    let off = scene([machine("a").disabled()]);
    for wait in [10, 20] {
        passes.wait(seconds(wait));
        assert!(passes.look(&off).actions.is_empty());
    }
    passes.wait(seconds(10));
    assert_eq!(deleted(&passes.look(&off)), [("a", Cause::Disabled)]);
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn the_staircase_knows_the_minimum_of_every_window(
        excess in proptest::collection::vec(0..6_u32, 1..40),
        window in 1..40_usize,
    ) {
        let mut staircase = Staircase::default();
        for (minute, excess) in (0..).zip(&excess) {
            staircase.observe(*excess, later(minute));
        }
        let now = later(i64::try_from(excess.len() - 1).unwrap());
        let expected = if excess.len() > window {
            excess.iter().rev().take(window + 1).copied().min().unwrap()
        } else {
            0
        };
        prop_assert_eq!(staircase.lasting(minutes(i64::try_from(window).unwrap()), now), expected);
    }

    #[test]
    fn stored_stairs_that_make_no_sense_only_lengthen_the_wait(
        stairs in proptest::collection::vec((0..60_i64, 0..6_u32), 0..10),
    ) {
        let given: Vec<Stair> = stairs.iter().map(|(at, agents)| Stair { since: later(*at), agents: *agents }).collect();
        let longest = given.iter().filter(|stair| stair.since <= later(30)).map(|stair| stair.agents).max();
        let staircase = Staircase::from_stairs(given);
        prop_assert!(staircase.lasting(minutes(30), later(60)) <= longest.unwrap_or(0));
    }
}
