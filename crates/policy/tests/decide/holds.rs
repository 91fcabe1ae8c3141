//! What is not done, and why.

use poolkeeper_policy::{Action, Cause, FailureKind, HoldReason, LimitedBy, Mode, Outcome, Snapshot, decide};
use rstest::rstest;

use crate::support::{
    Passes, deleted, first_look, grown, held, machine, minutes, name, pool, reimaged, scene,
    scene::{failure, lose, lose_all},
    seconds, standby,
};

type Loss = fn(&mut Snapshot);

#[rstest]
#[case::jobs(|seen: &mut Snapshot| lose(&mut seen.jobs))]
#[case::jobs_that_were_never_read(|seen: &mut Snapshot| lose_all(&mut seen.jobs))]
#[case::agents(|seen: &mut Snapshot| lose(&mut seen.agents))]
#[case::agents_that_were_never_read(|seen: &mut Snapshot| lose_all(&mut seen.agents))]
#[case::the_list(|seen: &mut Snapshot| lose(&mut seen.sets.get_mut(&name("d4")).unwrap().instances))]
#[case::a_list_that_was_never_read(
    |seen: &mut Snapshot| lose_all(&mut seen.sets.get_mut(&name("d4")).unwrap().instances)
)]
#[case::the_scale_set(|seen: &mut Snapshot| lose(&mut seen.sets.get_mut(&name("d4")).unwrap().scale_set))]
fn a_missing_source_holds_everything(#[case] loss: Loss) {
    let passes = Passes::of(&standby(2));
    let mut seen = scene([machine("a").used().offline(), machine("b").off()]).queued(1).seen(passes.now);
    loss(&mut seen);
    let plan = decide(&passes.pool, &seen, &passes.memory, passes.now);
    assert!(plan.actions.is_empty());
    assert_eq!(held(&plan), [HoldReason::SourceMissing].into());
    assert_eq!(plan.decision.limited_by, LimitedBy::Hold);
    assert!(plan.decision.message.starts_with("held at"), "{}", plan.decision.message);
}

#[test]
fn capacity_and_members_that_differ_hold_growth_for_five_minutes() {
    let mut passes = Passes::of(&standby(2));
    // Azure has two on order that nobody remembers, and lists none.
    let differing = scene([]).capacity("d4", 2);
    let plan = passes.watch(&differing, minutes(4));
    assert_eq!((grown(&plan), held(&plan)), (0, [HoldReason::SourcePartial].into()));
    // Then it is asked again, never for less than the capacity.
    let fewer = scene([machine("a").idle()]).capacity("d4", 3);
    let plan = passes.watch(&fewer, minutes(1));
    let [Action::Grow { by: 1, target: 3, capacity: 3, .. }] = plan.actions.as_slice() else {
        panic!("{:?}", plan.actions);
    };
}

#[test]
fn a_capacity_below_the_members_is_waited_for() {
    let mut passes = Passes::of(&standby(2));
    let plan = passes.watch(&scene([machine("a").idle()]).capacity("d4", 0), minutes(20));
    assert_eq!((grown(&plan), held(&plan)), (0, [HoldReason::SourcePartial].into()));
}

#[rstest]
#[case::stalled(false, [HoldReason::ClaimLost].into(), LimitedBy::BindingMaximum)]
#[case::not_ready_yet(true, [].into(), LimitedBy::Nothing)]
fn nothing_is_written_to_a_blocked_scale_set(
    #[case] pending: bool,
    #[case] expected: std::collections::BTreeSet<HoldReason>,
    #[case] limited_by: LimitedBy,
) {
    let blocked = scene([machine("a").used().offline(), machine("b").off()]).queued(2).blocked("d4", pending);
    let plan = first_look(&pool(), &blocked);
    assert!(plan.actions.is_empty());
    assert_eq!((held(&plan), plan.decision.limited_by), (expected, limited_by));
}

#[test]
fn a_paused_pool_writes_nothing_and_says_what_it_would() {
    let mut pool = standby(2);
    pool.mode = Mode::Paused;
    let plan = first_look(&pool, &scene([machine("a").used()]));
    assert!(plan.actions.is_empty() && plan.observed.is_empty());
    assert_eq!((held(&plan), plan.decision.limited_by), ([HoldReason::Paused].into(), LimitedBy::Mode));
}

#[test]
fn a_pool_that_observes_writes_nothing_and_shows_what_it_would() {
    let mut pool = standby(2);
    pool.mode = Mode::Observe;
    let plan = first_look(&pool, &scene([machine("a").used().offline()]));
    assert!(plan.actions.is_empty() && plan.holds.is_empty() && plan.memory.operations.is_empty());
    let words: Vec<String> = plan.observed.iter().map(Action::words).collect();
    assert_eq!(words, ["create 1 on d4 (capacity 1 to 2)", "reimage a on d4 (has run its job)"]);
}

#[test]
fn a_failed_write_is_tried_again_later_and_later() {
    let mut passes = Passes::of(&standby(1));
    let mut waits = Vec::new();
    for _ in 0..8 {
        let plan = passes.look(&scene([]));
        assert_eq!(grown(&plan), 1);
        let operation = Some(plan.memory.operations[0].id.clone());
        let failure = failure(FailureKind::Invalid);
        passes.memory.record(Outcome::Failed { operation, binding: name("d4"), failure }, passes.now);
        let until = passes.memory.backoffs[&name("d4")].until;
        waits.push(until.duration_since(passes.now).as_secs());
        passes.now = until;
    }
    assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300, 300]);
}

#[test]
fn a_service_that_asks_for_patience_gets_it() {
    let mut passes = Passes::of(&standby(1));
    let plan = passes.look(&scene([]));
    let mut failure = failure(FailureKind::Throttled);
    failure.retry_after = Some(seconds(77));
    let operation = Some(plan.memory.operations[0].id.clone());
    passes.memory.record(Outcome::Failed { operation, binding: name("d4"), failure }, passes.now);
    assert_eq!(passes.memory.backoffs[&name("d4")].until.duration_since(passes.now), seconds(77));
    assert!(passes.memory.operations.is_empty());
}

#[test]
fn a_used_up_quota_stops_no_removal_and_a_failing_removal_no_growth() {
    let mut passes = Passes::of(&standby(1));
    let failed = |passes: &mut Passes, operation: &str, kind| {
        let operation = Some(operation.to_owned());
        let failure = failure(kind);
        passes.memory.record(Outcome::Failed { operation, binding: name("d4"), failure }, passes.now);
    };
    let id = passes.look(&scene([])).memory.operations[0].id.clone();
    failed(&mut passes, &id, FailureKind::Quota { limit_is_zero: false, fits: None });
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").used().offline()]));
    assert_eq!(reimaged(&plan), [("a", Cause::Used)]);
    let id = plan.memory.operations[0].id.clone();
    failed(&mut passes, &id, FailureKind::Invalid);
    passes.memory.backoffs.clear();
    passes.wait(seconds(5));
    let plan = passes.look(&scene([machine("a").used().offline()]).queued(1));
    assert_eq!((grown(&plan), held(&plan)), (1, [HoldReason::WriteRefused].into()));
}

#[test]
fn a_refused_growth_is_decided_anew() {
    let mut passes = Passes::of(&crate::support::elastic(1, 25));
    let plan = passes.look(&scene([]));
    let operation = Some(plan.memory.operations[0].id.clone());
    passes.memory.record(Outcome::Refused { operation }, passes.now);
    assert_eq!((passes.memory.operations.len(), passes.memory.step.clone()), (0, None));
}

#[test]
fn only_the_members_that_azure_took_are_on_their_way() {
    let mut passes = Passes::of(&pool());
    let used = || scene([machine("a").used().offline(), machine("b").used().offline()]);
    let plan = passes.look(&used());
    let operation = plan.memory.operations[0].id.clone();
    let covered = vec![machine("a").vm.vm_id];
    passes
        .memory
        .record(Outcome::InFlight { operation, url: Some("https://azure/1".into()), covered }, passes.now);
    assert!(passes.memory.operations[0].kind.covers(&machine("a").vm.vm_id));
    passes.wait(seconds(40));
    let plan = passes.look(&scene([machine("a"), machine("b").used().offline()]));
    assert_eq!(reimaged(&plan), [("b", Cause::Used)]);
}

#[test]
fn held_removals_are_summed_up() {
    let passes = Passes::of(&standby(0));
    let machines = ["a", "b", "c", "d", "e"].map(|name| machine(name).off());
    let used = ["f", "g"].map(|name| machine(name).used().offline());
    let mut seen = scene(machines.into_iter().chain(used)).seen(passes.now);
    lose(&mut seen.jobs);
    let plan = decide(&passes.pool, &seen, &passes.memory, passes.now);
    assert!(deleted(&plan).is_empty());
    let holding = plan.conditions.iter().find(|condition| condition.kind == "Holding").unwrap();
    assert_eq!(
        holding.message,
        "agents and jobs cannot be read (Unreachable), so nothing is created, reimaged or deleted; wanted: delete 5 \
         agents (deleting unhealthy machine: it was stopped or evicted); recycle 2 used agents"
    );
}
