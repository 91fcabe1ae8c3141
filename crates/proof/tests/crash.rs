//! The operator is stopped before and after its N-th write, for every N, and starts again with an empty memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use std::time::Instant;

use poolkeeper_policy::{Lifecycle, Recycle};
use poolkeeper_proof::{Crash, Life, Mishap, STATEFUL};
use poolkeeper_simulator::spec::Orchestration;

fn lives() -> Vec<Life> {
    let lifecycles =
        [Lifecycle::Stateless(Recycle::Reimage), Lifecycle::Stateless(Recycle::Replace), STATEFUL];
    let orchestrations = [Orchestration::Uniform, Orchestration::Flexible];
    orchestrations
        .into_iter()
        .flat_map(|orchestration| lifecycles.map(|lifecycle| Life { orchestration, lifecycle }))
        .collect()
}

fn every_write(mishap: impl Fn(Crash) -> Mishap) {
    let mut failures = Vec::new();
    for life in lives() {
        let began = Instant::now();
        let calm = life.play(Mishap::None).unwrap_or_else(|why| panic!("{life:?} without a crash: {why}"));
        let mut runs = 0;
        let mut longest = calm.time;
        for at in 1..=calm.writes {
            for before in [true, false] {
                let mishap = mishap(Crash { at, before });
                runs += 1;
                match life.play(mishap) {
                    Ok(played) => longest = longest.max(played.time),
                    Err(why) => failures.push(format!("{life:?} {mishap:?}: {why}")),
                }
            }
        }
        println!(
            "{life:?}: {} writes, {runs} crashes, all ended the same; {:.0} min without, at most {:.0} min with a crash; {:.1} s",
            calm.writes,
            calm.time.as_secs_f64() / 60.0,
            longest.as_secs_f64() / 60.0,
            began.elapsed().as_secs_f64()
        );
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn stopped_at_every_write_it_ends_in_the_same_state() {
    every_write(Mishap::Crash);
}

#[test]
fn stopped_at_every_write_and_its_status_wiped_it_ends_in_the_same_state() {
    every_write(Mishap::CrashAndWipe);
}
