//! Failed starts in a row: a bad image is tried with one VM at a time.

use poolkeeper_policy::{
    BindingReason, Cause, FailedStarts, LimitedBy, Memory, Notice, Pool, PoolReason, Provisioning, State,
    Truth, VmFailure, VmFailureKind,
};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, WEEK, binding, condition, deleted, growths, machine, minutes, name, pool, scene,
    seconds, standby, stateful, states,
};

fn count(passes: &Passes) -> u32 {
    passes.memory.failed_starts.get(&name("d4")).map_or(0, |starts| starts.count)
}

fn failing(count: u32) -> Memory {
    let message = "apt-get ended with 100".to_owned();
    let starts = FailedStarts { count, reason: BindingReason::ScriptFailed, message };
    Memory { failed_starts: [(name("d4"), starts)].into(), ..Memory::default() }
}

fn says(machine: Machine, kind: VmFailureKind) -> Machine {
    machine.vm(|vm| vm.failure = Some(VmFailure { kind, message: "it broke".to_owned() }))
}

fn creation_failed(name: &str) -> Machine {
    machine(name).provisioning(Provisioning::Failed).off()
}

fn creating(name: &str) -> Machine {
    machine(name).provisioning(Provisioning::Creating)
}

#[rstest]
#[case::nobody_says_why(machine("a"), BindingReason::FailedToStart, "not online 10m after its start")]
#[case::the_extension(
    says(machine("a"), VmFailureKind::Extension),
    BindingReason::ExtensionFailed,
    "it broke"
)]
#[case::the_script(says(machine("a"), VmFailureKind::Script), BindingReason::ScriptFailed, "it broke")]
fn a_late_one_is_a_failed_start(#[case] late: Machine, #[case] reason: BindingReason, #[case] message: &str) {
    let mut passes = Passes::of(&pool());
    let plan = passes.watch(&scene([late.clone()]), minutes(10) - seconds(10));
    assert_eq!((count(&passes), plan.bindings[&name("d4")].failed_starts.is_none()), (0, true));
    passes.wait(seconds(10));
    let plan = passes.look(&scene([late.clone()]));
    let starts = FailedStarts { count: 1, reason, message: message.to_owned() };
    assert_eq!(plan.bindings[&name("d4")].failed_starts, Some(starts));
    let told = Notice::FailedToStart {
        name: "a".to_owned(),
        binding: name("d4"),
        message: message.to_owned(),
        saved: false,
    };
    assert_eq!(plan.notices, [told]);
    // Once, however long it is still there.
    let plan = passes.watch(&scene([late]), minutes(2));
    assert_eq!((count(&passes), plan.notices.len()), (1, 0));
}

#[test]
fn a_failed_creation_counts_and_is_no_late_one() {
    let mut passes = Passes::of(&pool());
    let _ = passes.look(&scene([creating("a"), creating("b")]));
    passes.wait(seconds(10));
    let broken = [says(creation_failed("a"), VmFailureKind::Creation), creation_failed("b")];
    let plan = passes.look(&scene(broken));
    let starts = plan.bindings[&name("d4")].failed_starts.clone().unwrap();
    assert_eq!((starts.count, starts.reason), (2, BindingReason::CreationFailed));
    assert_eq!((deleted(&plan)[0], plan.notices.len()), (("a", Cause::CreationFailed), 0));
}

#[rstest]
#[case::one_that_was_created_just_now(5, 1)]
#[case::an_old_one_of_a_list_that_was_missing(60, 0)]
fn one_that_was_never_seen_before(#[case] age: i64, #[case] expected: u32) {
    let mut passes = Passes::of(&pool());
    let _ = passes.look(&scene([]));
    passes.wait(seconds(10));
    let created_at = passes.now.checked_sub(minutes(age)).unwrap();
    let _ = passes.look(&scene([creation_failed("a").vm(|vm| vm.created_at = Some(created_at))]));
    assert_eq!(count(&passes), expected);
}

#[test]
fn nothing_is_counted_at_the_first_look_after_a_restart() {
    let mut passes = Passes::of(&pool());
    passes.memory = failing(2);
    let now = passes.now;
    let young = |machine: Machine| machine.vm(|vm| vm.created_at = Some(now));
    let _ = passes.look(&scene([young(creation_failed("a")), young(machine("b").idle())]));
    assert_eq!(count(&passes), 2);
}

#[rstest]
#[case::its_agent_comes_online(machine("a").idle(), 0)]
#[case::its_agent_is_busy_at_once(machine("a").busy(), 0)]
#[case::it_still_starts(machine("a"), 2)]
#[case::it_was_stopped(machine("a").off(), 2)]
#[case::it_fails_too(creation_failed("a"), 3)]
fn failures_count_in_a_row(#[case] then: Machine, #[case] expected: u32) {
    let mut passes = Passes::of(&pool());
    passes.memory = failing(2);
    let _ = passes.look(&scene([creating("a")]));
    passes.wait(seconds(10));
    let _ = passes.look(&scene([then]));
    assert_eq!(count(&passes), expected);
}

#[test]
fn who_goes_offline_has_started() {
    let mut pool = pool();
    pool.lifecycle = stateful(WEEK);
    let mut passes = Passes::of(&pool);
    let _ = passes.look(&scene([machine("a").idle()]));
    let plan = passes.watch(&scene([machine("a").offline()]), minutes(6));
    assert_eq!((states(&plan), count(&passes)), (vec![State::WentOffline], 0));
}

/// Four on standby, on `d4` and then on `spot`.
fn spilling() -> Pool {
    let mut pool = standby(4);
    (pool.max_agents, pool.bindings[0].priority) = (40, 10);
    pool.bindings.push(binding("spot"));
    pool
}

#[rstest]
#[case::a_healthy_image(2, scene([]), &[("d4", 4)])]
#[case::one_try(3, scene([]), &[("d4", 1)])]
#[case::and_after_that_one_more(7, scene([]), &[("d4", 1)])]
#[case::one_is_created(3, scene([creating("a")]), &[])]
#[case::one_starts(3, scene([machine("a")]), &[])]
#[case::one_is_recycled(3, scene([machine("a").provisioning(Provisioning::Updating)]), &[])]
#[case::those_that_run_do_not_count(3, scene([machine("a").busy(), machine("b").idle()]), &[("d4", 1)])]
fn a_bad_image_is_tried_with_one_vm_at_a_time(
    #[case] failed: u32,
    #[case] scene: Scene,
    #[case] expected: &[(&str, u32)],
    #[values(false, true)] spills: bool,
) {
    let mut pool = spilling();
    let mut scene = scene.set("spot");
    if !spills {
        pool.bindings.pop();
        scene.sets.pop();
    }
    let mut passes = Passes::of(&pool);
    passes.memory = failing(failed);
    let plan = passes.look(&scene);
    let tried: Vec<_> = growths(&plan).into_iter().filter(|(binding, _)| *binding == "d4").collect();
    assert_eq!(tried, expected);
    // The next binding of the image takes the rest.
    let have =
        scene.machines.iter().filter(|machine| machine.agent.as_ref().is_none_or(|a| a.assigned.is_none()));
    let missing = 4 - u32::try_from(have.count()).unwrap() - tried.iter().map(|(_, by)| by).sum::<u32>();
    let rest: Vec<_> = growths(&plan).into_iter().filter(|(binding, _)| *binding == "spot").collect();
    assert_eq!(rest, if spills && missing > 0 { vec![("spot", missing)] } else { vec![] });
    let limited = !spills && missing > 0;
    let limit = if limited { LimitedBy::FailedStarts } else { LimitedBy::Nothing };
    assert_eq!(plan.decision.limited_by, limit);
    let told = condition(&plan, "CapacityLimited");
    assert_eq!(told.is_some(), limited);
    if let Some((truth, reason, message)) = told {
        assert_eq!((truth, reason), (Truth::True, PoolReason::FailedStarts));
        let count = format!("binding d4: {failed} starts");
        assert!(message.starts_with(&count) && message.ends_with("apt-get ended with 100"), "{message}");
    }
}

#[test]
fn a_start_that_succeeds_ends_it() {
    let mut passes = Passes::of(&standby(4));
    passes.memory = failing(3);
    let _ = passes.look(&scene([]));
    passes.accepted();
    passes.wait(seconds(10));
    let _ = passes.look(&scene([creating("a")]));
    passes.wait(minutes(3));
    passes.memory.operations.clear();
    let plan = passes.look(&scene([machine("a").idle()]));
    assert_eq!((growths(&plan), count(&passes)), (vec![("d4", 3)], 0));
}
