//! Flexible scale sets: each VM has operations of its own.

use poolkeeper_policy::{
    Action, Cause, FailureKind, HoldReason, OperationKind, OperationProgress, Outcome, Part, Plan,
    Provisioning, VmId,
};
use rstest::rstest;

use crate::support::{
    Passes, Scene, deleted, disabled, elastic, first_look, grown, held, machine, minutes, pool, reimaged,
    scene, scene::failure, seconds, standby,
};

fn vm(name: &str) -> VmId {
    machine(name).vm.vm_id
}

fn part(name: &str) -> Part {
    Part { vm: vm(name), url: Some(format!("https://azure/{name}")) }
}

/// The only removal's operation.
fn removal(plan: &Plan) -> String {
    let id = |action: &Action| match action {
        Action::Remove { operation, .. } => Some(operation.clone()),
        Action::Grow { .. } | Action::Disable { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    };
    plan.actions.iter().find_map(id).unwrap()
}

fn either(scene: Scene, flexible: bool) -> Scene {
    if flexible { scene.flexible("d4") } else { scene }
}

#[rstest]
#[case::its_capacity_counts_it_till_the_end(1, 2)]
#[case::its_capacity_counts_it_no_more(0, 1)]
fn a_growth_runs_beside_a_deletion(#[case] capacity: u32, #[case] raised: u32) {
    let leaving = || scene([machine("a").provisioning(Provisioning::Deleting)]).queued(1);
    let plan = first_look(&pool(), &leaving().capacity("d4", capacity).flexible("d4"));
    let [Action::Grow { by: 1, target, .. }] = plan.actions.as_slice() else {
        panic!("{:?} {:?}", plan.actions, plan.holds);
    };
    assert_eq!((*target, held(&plan).len()), (raised, 0));
    // The one that goes is not waited for.
    assert_eq!(plan.memory.operations[0].kind, OperationKind::Create { count: 1, target: 1 });
    assert_eq!(grown(&first_look(&pool(), &leaving().capacity("d4", capacity))), 0);
}

#[rstest]
#[case::flexible(true, vec![("a", Cause::Stopped)])]
#[case::uniform(false, vec![])]
fn a_deletion_runs_beside_a_growth(#[case] flexible: bool, #[case] expected: Vec<(&str, Cause)>) {
    let plan = first_look(&pool(), &either(scene([machine("a").off()]).queued(1), flexible));
    assert_eq!((grown(&plan), deleted(&plan)), (1, expected));
}

#[test]
fn steps_are_made_one_at_a_time_even_so() {
    let plan = first_look(&elastic(1, 25), &scene([machine("a").off()]).flexible("d4"));
    assert_eq!((grown(&plan), deleted(&plan).len()), (1, 0));
}

#[rstest]
#[case::flexible(true, vec![("b", Cause::Used)])]
#[case::uniform(false, vec![])]
fn removals_run_beside_each_other(#[case] flexible: bool, #[case] expected: Vec<(&str, Cause)>) {
    let mut passes = Passes::of(&pool());
    let first = [machine("a").used().offline(), machine("b").busy()];
    assert_eq!(reimaged(&passes.look(&either(scene(first), flexible))), [("a", Cause::Used)]);
    passes.accepted();
    passes.wait(seconds(10));
    let second = [machine("a"), machine("b").used().offline()];
    assert_eq!(reimaged(&passes.look(&either(scene(second), flexible))), expected);
}

#[test]
fn an_agent_is_disabled_beside_a_growth_of_another_image() {
    let mut pool = standby(0);
    pool.idle_delay = seconds(0);
    pool.images.push(poolkeeper_policy::Image { name: "windows".into(), ..Default::default() });
    pool.bindings.push(poolkeeper_policy::Binding { image: 1, ..crate::support::binding("win") });
    let scene = scene([machine("a").idle()]).set("win").job_that_demands(&["ImageOverride -equals windows"]);
    let plan = first_look(&pool, &scene.clone().flexible("d4"));
    assert_eq!((grown(&plan), disabled(&plan)), (1, vec![("a", Cause::Excess)]));
    assert_eq!(disabled(&first_look(&pool, &scene)), []);
}

#[test]
fn one_removal_becomes_one_operation_per_vm() {
    let mut passes = Passes::of(&pool());
    let used = || ["a", "b", "c", "d"].map(|name| machine(name).used().offline());
    let plan = passes.look(&scene(used()).flexible("d4"));
    let operation = removal(&plan);
    let failed = (vec![vm("b")], failure(FailureKind::Conflict));
    let parts = vec![part("a"), Part { vm: vm("c"), url: None }];
    passes
        .memory
        .record(Outcome::Split { operation: operation.clone(), parts, failure: Some(failed) }, passes.now);
    let remembered: Vec<(String, Vec<VmId>, Option<&str>)> = passes
        .memory
        .operations
        .iter()
        .map(|other| (other.id.clone(), other.kind.vms().to_vec(), other.url.as_deref()))
        .collect();
    // The precondition of the fourth did not hold: it is decided anew.
    assert_eq!(
        remembered,
        [
            (format!("{operation}/vm-a"), vec![vm("a")], Some("https://azure/a")),
            (format!("{operation}/vm-c"), vec![vm("c")], Some("")),
            (operation, vec![vm("b")], None),
        ]
    );
    // The one that failed waits, alone.
    passes.wait(seconds(5));
    let next =
        || scene([machine("a"), machine("b"), machine("c"), machine("d").used().offline()]).flexible("d4");
    let plan = passes.look(&next());
    assert_eq!(reimaged(&plan), [("d", Cause::Used)]);
    assert_eq!(held(&plan), [HoldReason::Conflict].into());
    assert_eq!(plan.next_wakeup.duration_since(passes.now), seconds(5));
    let of_d = Outcome::Split { operation: removal(&plan), parts: vec![part("d")], failure: None };
    passes.memory.record(of_d, passes.now);
    passes.wait(seconds(5));
    let plan = passes.look(&next());
    assert_eq!((reimaged(&plan), held(&plan).len()), (vec![("b", Cause::Used)], 0));
    let of_b = plan.memory.operations.iter().filter(|other| other.kind.covers(&vm("b")));
    assert_eq!(of_b.count(), 1);
}

#[test]
fn what_the_service_says_to_everybody_holds_for_all() {
    let mut passes = Passes::of(&pool());
    let used = |names: &[&str]| scene(names.iter().map(|name| machine(name).used().offline())).flexible("d4");
    let operation = removal(&passes.look(&used(&["a", "b"])));
    let failed = (vec![vm("b")], failure(FailureKind::Throttled));
    passes
        .memory
        .record(Outcome::Split { operation, parts: vec![part("a")], failure: Some(failed) }, passes.now);
    passes.wait(seconds(30));
    let plan =
        passes.look(&scene([machine("a"), machine("b"), machine("c").used().offline()]).flexible("d4"));
    assert_eq!((reimaged(&plan).len(), held(&plan)), (0, [HoldReason::WriteRefused].into()));
}

#[test]
fn an_operation_that_fails_delays_no_other_vm() {
    let mut passes = Passes::of(&pool());
    let off = |names: &[&str]| scene(names.iter().map(|name| machine(name).off())).flexible("d4");
    let operation = removal(&passes.look(&off(&["a", "b"])));
    let parts = vec![part("a"), part("b")];
    passes.memory.record(Outcome::Split { operation: operation.clone(), parts, failure: None }, passes.now);
    passes.wait(seconds(10));
    let progress = OperationProgress::Failed(failure(FailureKind::Conflict));
    let failed = off(&["a", "b", "c"]).operation(&format!("{operation}/vm-a"), progress);
    let plan = passes.look(&failed);
    assert_eq!(deleted(&plan), [("c", Cause::Stopped)]);
    assert_eq!(held(&plan), [HoldReason::Conflict].into());
}

#[test]
fn what_goes_beside_a_growth_is_not_waited_for() {
    let mut passes = Passes::of(&standby(2));
    let plan = passes.look(&scene([machine("a").idle(), machine("b").off()]).flexible("d4"));
    assert_eq!((grown(&plan), deleted(&plan)), (1, vec![("b", Cause::Stopped)]));
    passes.accepted();
    passes.wait(seconds(10));
    // The new one is not listed yet, the old one still is.
    let lagging = scene([machine("a").idle(), machine("b").off()]).capacity("d4", 3).flexible("d4");
    let plan = passes.look(&lagging);
    assert_eq!((grown(&plan), deleted(&plan).len(), held(&plan).len()), (0, 0, 0));
    let create = |kind: &OperationKind| matches!(kind, OperationKind::Create { target: 2, .. });
    assert!(plan.memory.operations.iter().any(|other| create(&other.kind)), "{:?}", plan.memory.operations);
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").idle(), machine("c").busy()]).flexible("d4"));
    assert_eq!(grown(&plan), 1);
}

#[test]
fn a_deletion_that_is_tried_again_is_taken_from_the_growth_once() {
    let mut passes = Passes::of(&standby(2));
    let both = || scene([machine("a").idle(), machine("b").off()]).flexible("d4");
    let plan = passes.look(&both());
    assert_eq!((grown(&plan), deleted(&plan).len()), (1, 1));
    let create = passes.memory.operations.iter_mut().find(|other| other.kind.vms().is_empty()).unwrap();
    create.url = Some("https://azure/create".to_owned());
    let failed = Some((vec![vm("b")], failure(FailureKind::Conflict)));
    passes
        .memory
        .record(Outcome::Split { operation: removal(&plan), parts: Vec::new(), failure: failed }, passes.now);
    passes.wait(seconds(10));
    let plan = passes.look(&both().capacity("d4", 3));
    assert_eq!(deleted(&plan).len(), 1);
    let targets = plan.memory.operations.iter().filter_map(|other| match other.kind {
        OperationKind::Create { target, .. } => Some(target),
        OperationKind::Delete(_) | OperationKind::Reimage(_) => None,
    });
    assert_eq!(targets.collect::<Vec<_>>(), [2]);
}

/// A growth that failed has left its capacity behind; what is asked for next are the same VMs, not more.
#[test]
fn a_capacity_that_was_never_filled_leaves_room_for_itself() {
    let mut pool = standby(2);
    pool.max_agents = 4;
    let mut passes = Passes::of(&pool);
    let short = scene([machine("a").idle()]).flexible("d4").capacity("d4", 4);
    let plan = passes.watch(&short, minutes(5));
    let [Action::Grow { by: 1, target: 4, capacity: 4, .. }] = plan.actions.as_slice() else {
        panic!("{:?} {:?}", plan.actions, plan.holds);
    };
}
