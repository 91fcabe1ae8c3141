//! Strategy `ElasticPool`: samples, steps, and scale-in in one go.

use poolkeeper_policy::{Cause, Image, LimitedBy, Memory, OperationProgress, Provisioning};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, binding, deleted, disabled, elastic, first_look, grown, growths, machine,
    minutes, scene, seconds,
};

fn idle(names: &[&str]) -> Vec<Machine> {
    names.iter().map(|name| machine(name).idle()).collect()
}

#[rstest]
#[case::one_increment_though_one_is_missing(1, 50, scene([]), 2)]
#[case::an_increment_is_rounded_up(2, 30, scene([]), 2)]
#[case::at_least_one(1, 1, scene([]), 1)]
#[case::never_above_the_maximum(4, 50, scene(idle(&["a", "b", "c"])), 1)]
#[case::nothing_while_enough_are_idle(2, 50, scene(idle(&["a", "b"])), 0)]
#[case::jobs_that_an_idle_agent_can_take(1, 50, scene(idle(&["a"])).queued(3), 0)]
#[case::jobs_and_nobody_is_idle(0, 50, scene([machine("a").busy()]).queued(1), 2)]
#[case::no_jobs_and_nobody_is_wanted(0, 50, scene([machine("a").busy()]), 0)]
fn a_step_is(#[case] standby: u32, #[case] percent: u32, #[case] scene: Scene, #[case] expected: u32) {
    assert_eq!(grown(&first_look(&elastic(standby, percent), &scene)), expected);
}

#[test]
fn it_decides_every_five_minutes() {
    let mut passes = Passes::of(&elastic(1, 50));
    let enough = scene(idle(&["a"]));
    assert_eq!(grown(&passes.look(&enough)), 0);
    let short = scene([machine("a").busy()]);
    passes.wait(seconds(10));
    assert_eq!(grown(&passes.watch(&short, minutes(4))), 0);
    passes.wait(seconds(50));
    assert_eq!(grown(&passes.look(&short)), 2);
}

#[test]
fn only_what_has_just_been_read_is_a_sample() {
    let passes = Passes::of(&elastic(1, 50));
    let read_at = passes.now.checked_sub(minutes(1)).unwrap();
    let plan = poolkeeper_policy::decide(&passes.pool, &scene([]).seen(read_at), &passes.memory, passes.now);
    assert_eq!((grown(&plan), plan.memory.sampled_at), (0, None));
    assert!(plan.read_jobs_at.duration_since(passes.now) <= seconds(10));
}

#[rstest]
#[case::while_they_boot(scene([machine("a"), machine("b")]), 1, 0)]
#[case::while_azure_makes_them(scene([machine("a").provisioning(Provisioning::Creating)]).capacity("d4", 2), 1, 0)]
#[case::once_they_are_busy(scene([machine("a").busy(), machine("b").busy()]), 1, 2)]
#[case::once_they_have_failed(scene([machine("a").off(), machine("b").busy()]), 1, 2)]
#[case::once_they_were_not_online_in_time(scene([machine("a"), machine("b")]), 3, 2)]
fn the_next_step_comes(#[case] after: Scene, #[case] samples: i64, #[case] expected: u32) {
    let mut passes = Passes::of(&elastic(2, 50));
    assert_eq!(grown(&passes.look(&scene([]))), 2);
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    let mut grown_since = 0;
    for _ in 0..samples * 5 {
        passes.wait(minutes(1));
        let plan = passes.look(&after.clone().operation(&operation, OperationProgress::Succeeded));
        grown_since += grown(&plan);
        if grown_since > 0 {
            break;
        }
    }
    assert_eq!(grown_since, expected);
}

#[test]
fn a_lost_memory_makes_no_second_step_while_the_first_boots() {
    let mut passes = Passes::of(&elastic(2, 50));
    let plan = passes.look(&scene([machine("a"), machine("b")]));
    assert_eq!((grown(&plan), plan.memory.step), (0, None));
    passes.memory = Memory::default();
    assert_eq!(grown(&passes.look(&scene([machine("a"), machine("b")]))), 0);
}

#[test]
fn an_intent_that_azure_never_confirmed_is_no_step() {
    let mut passes = Passes::of(&elastic(2, 50));
    let plan = passes.look(&scene([]));
    passes.memory =
        Memory { operations: plan.memory.operations, step: plan.memory.step, ..Memory::default() };
    passes.wait(seconds(10));
    assert_eq!(grown(&passes.look(&scene([]))), 2);
}

#[test]
fn it_scales_in_to_the_standby_in_one_go_at_a_sample() {
    let mut passes = Passes::of(&elastic(1, 50));
    let _ = passes.watch(&scene(idle(&["a", "b"])), minutes(28));
    // More became idle only now; all but the standby go.
    let more = scene(idle(&["a", "b", "c", "d"]));
    assert!(passes.watch(&more, minutes(1)).actions.is_empty());
    let plan = passes.watch(&more, minutes(1));
    assert_eq!(disabled(&plan), [("a", Cause::Excess), ("b", Cause::Excess), ("c", Cause::Excess)]);
}

#[test]
fn unhealthy_machines_go_after_the_step() {
    let mut passes = Passes::of(&elastic(1, 25));
    let plan = passes.look(&scene([machine("a").off()]));
    assert_eq!((grown(&plan), deleted(&plan)), (1, vec![]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(minutes(2));
    let boots = scene([machine("a").off(), machine("b")]);
    let boots = boots.operation(&operation, OperationProgress::Succeeded);
    assert!(passes.look(&boots).actions.is_empty());
    passes.wait(minutes(2));
    let online = scene([machine("a").off(), machine("b").idle()]);
    assert_eq!(deleted(&passes.look(&online)), [("a", Cause::Stopped)]);
}

#[test]
fn a_used_agent_is_disabled_also_during_a_step() {
    let mut passes = Passes::of(&elastic(1, 25));
    assert_eq!(grown(&passes.look(&scene([machine("a").busy()]))), 1);
    passes.accepted();
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").used(), machine("b")]));
    assert_eq!(disabled(&plan), [("a", Cause::Used)]);
}

#[test]
fn a_step_goes_to_the_image_that_is_short() {
    let mut pool = elastic(0, 50);
    pool.images = ["ubuntu", "windows"].map(|name| Image { name: name.into(), ..Image::default() }).to_vec();
    pool.bindings.push(poolkeeper_policy::Binding { image: 1, ..binding("win") });
    // That the other image has an idle agent is of no use to this job.
    let waiting = scene(idle(&["a"])).set("win").job_that_demands(&["ImageOverride -equals windows"]);
    let plan = first_look(&pool, &waiting);
    assert_eq!((growths(&plan), plan.decision.limited_by), (vec![("win", 2)], LimitedBy::Nothing));
}
