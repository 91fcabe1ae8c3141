//! Histories in the little world: what a mishap costs.

use poolkeeper_policy::{Lifecycle, Recycle};
use rstest::rstest;

use crate::support::{
    minutes, monday, name,
    run::{Mishap, Run},
    standby,
    world::{EXAMPLE, World},
};

#[rstest]
fn after_a_mishap_at_any_pass_the_pool_is_as_without_it(
    #[values(
        Mishap::JobsMissing,
        Mishap::AgentsMissing,
        Mishap::ListsMissing,
        Mishap::ListsStale,
        Mishap::WritesFail,
        Mishap::OperationsFail,
        Mishap::PartsFail,
        Mishap::Crash,
        Mishap::MemoryLost
    )]
    mishap: Mishap,
    #[values(Recycle::Reimage, Recycle::Replace)] recycle: Recycle,
    #[values(false, true)] flexible: bool,
) {
    let mut pool = standby(1);
    pool.lifecycle = Lifecycle::Stateless(recycle);
    pool.idle_delay = minutes(5);
    for at in 0..30 {
        let mut run = Run::new(&pool, World::new(monday(), [name("d4")], EXAMPLE));
        run.world.sets.get_mut(&name("d4")).unwrap().flexible = flexible;
        for pass in 0..=at {
            if pass == 5 {
                run.world.queue(minutes(2));
                run.world.queue(minutes(2));
            }
            let _ = run.pass(if pass == at { mishap } else { Mishap::None });
            assert!(run.world.size() <= 4, "{at}");
        }
        run.go(minutes(50));
        assert_eq!((run.world.idle_busy(), run.world.size()), ((1, 0), 1), "{at}");
        assert!(run.world.jobs.iter().all(|job| job.done) && run.world.wronged.is_empty(), "{at}");
    }
}

#[test]
fn machines_that_never_come_are_replaced_and_never_exceed_the_maximum() {
    let mut run = Run::new(&standby(2), World::new(monday(), [name("d4")], EXAMPLE));
    run.world.duds = true;
    for _ in 0..600 {
        let _ = run.pass(Mishap::None);
        assert!(run.world.size() <= 4);
    }
    run.world.duds = false;
    run.go(minutes(90));
    assert_eq!((run.world.idle_busy(), run.world.size()), ((2, 0), 2));
}

#[test]
fn an_outage_of_an_hour_costs_its_time_and_nobody() {
    let mut run = Run::new(&standby(2), World::new(monday(), [name("d4")], EXAMPLE));
    run.go(minutes(10));
    run.world.queue(minutes(15));
    let until = run.world.now.checked_add(minutes(60)).unwrap();
    while run.world.now < until {
        let (_, plan) = run.pass(Mishap::AgentsMissing);
        assert!(plan.actions.is_empty());
    }
    run.go(minutes(90));
    assert_eq!((run.world.idle_busy(), run.world.wronged.len()), ((2, 0), 0));
}
