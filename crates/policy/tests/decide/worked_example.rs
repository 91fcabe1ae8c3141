//! The example by which Azure DevOps explains its scale set agents: two on standby, at most four, machines torn down
//! after each use; one job of 20 minutes arrives once the standby is there.

use jiff::SignedDuration;
use poolkeeper_policy::Pool;
use rstest::rstest;

use crate::support::{
    elastic, minutes, monday, name, pool,
    run::{Mishap, Run},
    standby,
    world::{EXAMPLE, Times, World},
};

fn run(pool: &Pool, times: Times) -> Run {
    Run::new(pool, World::new(monday(), [name("d4")], times))
}

/// The idle and busy agents that last: longer than a sample and a start together.
fn settled_steps(run: &mut Run, duration: SignedDuration, steps: &mut Vec<(usize, usize)>) {
    let until = run.world.now.checked_add(duration).unwrap();
    let mut last = (run.world.idle_busy(), run.world.now);
    while run.world.now < until {
        let next = run.world.now.checked_add(SignedDuration::from_secs(5)).unwrap();
        while run.wake <= next {
            let _ = run.pass(Mishap::None);
        }
        run.world.advance(next);
        if run.world.idle_busy() != last.0 {
            last = (run.world.idle_busy(), run.world.now);
        }
        if run.world.now.duration_since(last.1) >= minutes(10) && steps.last() != Some(&last.0) {
            steps.push(last.0);
        }
    }
}

#[rstest]
#[case::azure_devops(elastic(2, 50), [(0, 0), (2, 0), (3, 1), (4, 0), (2, 0)])]
#[case::exact(standby(2), [(0, 0), (2, 0), (2, 1), (3, 0), (2, 0)])]
fn the_worked_example_settles_as_described(
    #[case] pool: Pool,
    #[case] expected: [(usize, usize); 5],
    #[values(false, true)] run_once: bool,
) {
    let mut run = run(&pool, Times { run_once, ..EXAMPLE });
    let mut steps = vec![run.world.idle_busy()];
    settled_steps(&mut run, minutes(15), &mut steps);
    run.world.queue(minutes(20));
    settled_steps(&mut run, minutes(120), &mut steps);
    assert_eq!(steps, expected);
    assert!(run.world.jobs.iter().all(|job| job.done));
}

#[rstest]
fn with_standby_0_one_job_starts_one_vm_and_none_stays(
    #[values(pool(), elastic(0, 10))] pool: Pool,
    #[values(false, true)] run_once: bool,
) {
    let mut run = run(&pool, Times { run_once, ..EXAMPLE });
    run.go(minutes(15));
    assert_eq!(run.world.size(), 0);
    run.world.queue(minutes(20));
    let mut most = 0;
    for _ in 0..100 {
        run.go(minutes(1));
        most = most.max(run.world.size());
    }
    assert_eq!((most, run.world.size()), (1, 0));
    assert!(run.world.jobs.iter().all(|job| job.done));
}
