//! What comes of a state without further faults: everything is as wanted in the end. A checker of single states cannot
//! see that something never comes; so states are followed, in a world that does its part.

use std::hash::{DefaultHasher, Hash, Hasher};

use poolkeeper_policy::mutant;

use crate::{
    age::Tick,
    model::{Loop, Step},
    world::{PLACES, Phase, State},
};

/// Passes until it must be so; each third one comes after every timeout.
const PASSES: u32 = 60;

/// The state, if it is one of those to be followed.
pub(crate) fn sampled(model: &Loop, state: &State) -> Option<State> {
    let one_of = model.variant.follow_one_of;
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    let taken = one_of > 0 && state.crime.is_none() && hasher.finish().is_multiple_of(one_of);
    taken.then(|| state.clone())
}

/// Follows a state: agents register, VMs go, jobs run and end, agents that are offline stay so.
pub(crate) fn recovers(model: &Loop, mut state: State) -> bool {
    mutant::plant(model.variant.mutant);
    state.faults = 0;
    for pass in 0..PASSES {
        while state.pass.is_some() {
            model.step(&mut state, Step::Call);
        }
        if state.crime.is_some() {
            return false;
        }
        world(model, &mut state);
        model.step(&mut state, Step::Decide);
        if state.pass.is_none() && as_wanted(model, &state) {
            return true;
        }
        let tick = if pass % 3 == 2 { Tick::Over } else { Tick::Settle };
        if state.pass.is_none() {
            model.step(&mut state, Step::Tick(tick));
        }
    }
    false
}

/// The world does what it has to do.
fn world(model: &Loop, state: &mut State) {
    for place in 0..PLACES {
        match state.vm(place).map(|vm| vm.phase) {
            Some(Phase::Starting | Phase::Reimaging) => model.step(state, Step::Register(place)),
            Some(Phase::Deleting) => model.step(state, Step::Vanish(place)),
            Some(Phase::Up) | None => {}
        }
        let Some(record) = state.record(place) else { continue };
        if record.busy {
            model.step(state, Step::Finish(place));
            // No new ones.
            state.to_come = 0;
        } else if record.online() && record.enabled && state.queued > 0 {
            model.step(state, Step::Assign(place));
        }
    }
}

/// As many agents stand by as are wanted, each fit for a job, and nothing is left of anybody else.
fn as_wanted(model: &Loop, state: &State) -> bool {
    let fit = |place: usize| {
        let up = state.vm(place).is_some_and(|vm| vm.phase == Phase::Up && !vm.saved);
        let record = state.own_record(place);
        up && record.is_some_and(|record| record.online() && record.enabled && !record.busy)
    };
    let there = |place: &usize| state.vm(*place).is_some() || state.record(*place).is_some();
    let there: Vec<usize> = (0..PLACES).filter(there).collect();
    let standby = usize::try_from(model.variant.standby).unwrap_or(usize::MAX);
    state.queued == 0 && there.len() == standby && there.into_iter().all(fit)
}
