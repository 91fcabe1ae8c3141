//! The status is wiped at every step of a pool's life: that costs time, and nothing else.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

use poolkeeper_policy::{Lifecycle, Recycle};
use poolkeeper_proof::{Life, Mishap, STATEFUL};
use poolkeeper_simulator::spec::Orchestration;

#[test]
fn wiped_before_any_pass_it_costs_time_only() {
    let mut failures = Vec::new();
    for (orchestration, lifecycle) in [
        (Orchestration::Uniform, Lifecycle::Stateless(Recycle::Reimage)),
        (Orchestration::Flexible, Lifecycle::Stateless(Recycle::Replace)),
        (Orchestration::Uniform, STATEFUL),
    ] {
        let life = Life { orchestration, lifecycle };
        let calm = life.play(Mishap::None).unwrap();
        let mut longest = calm.time;
        for pass in 1..=calm.passes {
            match life.play(Mishap::Wipe(pass)) {
                Ok(played) => longest = longest.max(played.time),
                Err(why) => failures.push(format!("{life:?}, wiped before pass {pass}: {why}")),
            }
        }
        println!(
            "{life:?}: wiped before each of {} passes; {:.0} min without, at most {:.0} min with",
            calm.passes,
            calm.time.as_secs_f64() / 60.0,
            longest.as_secs_f64() / 60.0
        );
    }
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
}
