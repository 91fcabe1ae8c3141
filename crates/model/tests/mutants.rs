//! A checker that finds nothing proves nothing: with a safety step left out it finds how that goes wrong, in a world
//! in which it finds nothing without.

use std::time::Duration;

use poolkeeper_model::{Bounds, Fault, Report, Step, Variant, explore};
use poolkeeper_policy::mutant::Mutant;

/// One VM and one job.
fn explored(variant: Variant, depth: Option<usize>) -> Report {
    let bounds = Bounds { depth, time: Some(Duration::from_secs(60)), threads: 1, deep: false };
    explore(Variant { max_agents: 1, jobs: 1, ..variant }, bounds)
}

/// Nothing is found without the mutant, in every state there is; with it, one of these is.
fn finds(mutant: Mutant, properties: &[&str], variant: &Variant) {
    let without = explored(variant.clone(), None);
    println!("{without}");
    assert!(without.complete && without.found.is_empty(), "{without}");
    let planted = Variant { mutant: Some(mutant), ..variant.clone() };
    // The checker tells of the last way that it has found, not of the shortest one: it goes deeper step by step.
    let shortest = (2..40).find_map(|depth| found(&planted, properties, depth));
    assert!(shortest.is_some(), "{mutant:?} is not noticed");
    let steps = shortest.unwrap_or_default();
    println!("{mutant:?}: noticed after {} steps: {steps:?}", steps.len());
}

/// The steps to a state in which one of the properties does not hold, within so many states in a row.
fn found(variant: &Variant, properties: &[&str], depth: usize) -> Option<Vec<Step>> {
    let report = explored(variant.clone(), Some(depth));
    let found = report.found.into_iter().filter(|(name, _)| properties.contains(name));
    found.map(|(_, steps)| steps).min_by_key(Vec::len)
}

const KILLED: &str = "no VM of an assigned job is deleted or reimaged";
const RECORD: &str = "no agent record of an assigned job is deleted";
const ENABLED: &str = "no VM is removed whose agent takes jobs";
const OTHER: &str = "no other VM is removed than the one decided upon";
const IN_THE_END: &str = "without further faults everything is as wanted in the end";

/// A world in which the record of a busy agent can be deleted: what the server refuses today is not what holds it up.
fn trusting(kinds: Vec<Fault>) -> Variant {
    Variant { refuses_deletion: false, kinds, ..Variant::reimage() }
}

#[test]
fn an_agent_that_is_not_read_again() {
    finds(Mutant::SkipReread, &[RECORD], &trusting(vec![Fault::Person]));
}

#[test]
fn an_agent_that_does_not_settle() {
    finds(Mutant::SkipSettle, &[RECORD], &trusting(Vec::new()));
}

#[test]
fn an_agent_that_is_not_disabled() {
    // The second reading refuses it, so nobody is killed, and nobody leaves.
    finds(
        Mutant::SkipDisable,
        &[IN_THE_END],
        &Variant { follow_one_of: 20, faults: 0, ..Variant::reimage() },
    );
}

#[test]
fn agents_that_are_not_listed_again() {
    finds(Mutant::SkipRelist, &[KILLED, ENABLED], &Variant { faults: 0, ..Variant::reimage() });
}

#[test]
fn an_instance_that_is_not_read_again() {
    finds(Mutant::SkipInstance, &[OTHER], &Variant { kinds: vec![Fault::Evicted], ..Variant::reimage() });
}

#[test]
fn an_agent_that_settles_while_a_pass_takes_its_time() {
    // A settle begins with the decision, not with the call that disables: nothing is lost, because the server refuses.
    let slow = Variant { slow_passes: true, faults: 0, ..Variant::reimage() };
    let report = explored(slow, None);
    assert!(report.complete && report.found.is_empty(), "{report}");
}
