//! The faults that tests may plant are real ones: each changes what is decided.

use poolkeeper_policy::{
    Cause, HoldReason, Snapshot, decide,
    mutant::{Mutant, plant},
};

use crate::support::{
    Passes, deleted, first_look, grown, machine, minutes, pool, scene, scene::lose, seconds, standby,
};

struct Planted;

impl Planted {
    fn new(mutant: Mutant) -> Self {
        plant(Some(mutant));
        Self
    }
}

impl Drop for Planted {
    fn drop(&mut self) {
        plant(None);
    }
}

#[test]
fn without_the_disabling_an_idle_one_is_deleted_as_it_is() {
    let mut pool = pool();
    pool.idle_delay = minutes(0);
    let idle = scene([machine("a").idle()]);
    assert!(deleted(&first_look(&pool, &idle)).is_empty());
    let _planted = Planted::new(Mutant::SkipDisable);
    assert_eq!(deleted(&first_look(&pool, &idle)), [("a", Cause::Excess)]);
}

#[test]
fn without_the_settling_a_disabled_one_is_deleted_at_once() {
    let mut passes = Passes::of(&pool());
    let disabled = scene([machine("a").disabled()]);
    assert!(deleted(&passes.look(&disabled)).is_empty());
    passes.wait(seconds(10));
    let _planted = Planted::new(Mutant::SkipSettle);
    assert_eq!(deleted(&passes.look(&disabled)), [("a", Cause::Disabled)]);
}

#[test]
fn a_list_that_is_missing_is_taken_for_an_empty_one() {
    let passes = Passes::of(&standby(2));
    let mut seen = scene([machine("a").idle(), machine("b").idle()]).seen(passes.now);
    for set in seen.sets.values_mut() {
        lose(&mut set.instances);
    }
    let plan = |seen: &Snapshot| decide(&passes.pool, seen, &passes.memory, passes.now);
    assert_eq!(grown(&plan(&seen)), 0);
    let _planted = Planted::new(Mutant::MissingIsEmpty);
    assert_eq!(plan(&seen).counts.total(), 0);
    lose(&mut seen.agents);
    assert!(plan(&seen).holds.iter().all(|hold| hold.reason != HoldReason::SourceMissing));
}
