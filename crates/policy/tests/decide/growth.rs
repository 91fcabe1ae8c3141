//! How many agents are wanted, and where the missing ones are created.

use poolkeeper_policy::{
    Action, Basis, Binding, FailureKind, Image, LimitedBy, OperationProgress, Pool, Provisioning,
};
use rstest::rstest;

use crate::support::{
    Machine, Passes, Scene, binding, first_look, grown, growths, held, machine, minutes, pool, scene,
    scene::{agent, failure, job},
    seconds, standby,
};

#[rstest]
#[case::the_standby(2, scene([]), 2)]
#[case::a_waiting_job(0, scene([]).queued(1), 1)]
#[case::a_waiting_job_besides_the_standby(2, scene([]).queued(1), 3)]
#[case::nothing_when_enough_is_idle(1, scene([machine("a").idle()]), 0)]
#[case::another_for_each_busy_one(1, scene([machine("a").busy()]), 1)]
#[case::nothing_when_one_is_on_its_way(0, scene([machine("a").provisioning(Provisioning::Creating)]).queued(1), 0)]
#[case::nothing_when_one_boots(0, scene([machine("a")]).queued(1), 0)]
#[case::nothing_while_a_used_one_comes_back(1, scene([machine("a").used().offline()]), 0)]
#[case::one_for_a_machine_that_failed(
    1,
    scene([machine("a").provisioning(Provisioning::Failed).off()]),
    1
)]
#[case::one_for_a_machine_that_was_evicted(1, scene([machine("a").off()]), 1)]
#[case::one_for_an_agent_that_a_person_has_disabled(1, scene([machine("a").disabled()]), 1)]
#[case::nothing_beside_a_deletion(
    1,
    scene([machine("a").provisioning(Provisioning::Deleting)]),
    0
)]
#[case::never_more_than_the_maximum(3, scene([]).queued(9), 4)]
#[case::busy_ones_count_towards_the_maximum(
    2,
    scene([machine("a").busy(), machine("b").busy(), machine("c").busy()]),
    1
)]
#[case::an_offline_agent_with_a_request_is_busy(0, scene([machine("a").busy().offline()]).queued(1), 1)]
fn exact_creates(#[case] standby_agents: u32, #[case] scene: Scene, #[case] expected: u32) {
    assert_eq!(grown(&first_look(&standby(standby_agents), &scene)), expected);
}

#[test]
fn machines_of_every_kind_count_towards_the_maximum_until_they_are_gone() {
    let machines = [
        machine("failed").provisioning(Provisioning::Failed).off(),
        machine("stopped").off(),
        machine("deleting").provisioning(Provisioning::Deleting),
        machine("lost").disabled(),
    ];
    let mut capacity_of_staying = scene(machines).queued(3).capacity("d4", 3);
    capacity_of_staying.agents.push(agent("somebody-elses"));
    let plan = first_look(&pool(), &capacity_of_staying);
    assert_eq!((grown(&plan), plan.decision.limited_by), (0, LimitedBy::MaxAgents));
}

#[rstest]
#[case::a_total_of_standby(3, scene([machine("a").busy(), machine("b").idle()]), 1)]
#[case::enough_when_all_are_busy(2, scene([machine("a").busy(), machine("b").busy()]), 0)]
#[case::jobs_above_it(2, scene([machine("a").busy(), machine("b").busy()]).queued(1), 1)]
fn a_total_counts_busy_ones_too(#[case] total: u32, #[case] scene: Scene, #[case] expected: u32) {
    let mut pool = standby(total);
    pool.standby.basis = Basis::Total;
    assert_eq!(grown(&first_look(&pool, &scene)), expected);
}

#[test]
fn maintenance_of_20_agents_starts_no_vm() {
    let mut maintained = scene([machine("a").busy()]);
    maintained.jobs.extend((1..=20).map(|id| {
        let mut request = job(id);
        request.maintenance = true;
        request
    }));
    let plan = first_look(&pool(), &maintained);
    assert_eq!((grown(&plan), plan.jobs.queued), (0, 0));
}

#[test]
fn a_job_that_was_assigned_between_the_two_reads_counts_once() {
    // The jobs were read first: the request still waits there.
    let assigned = scene([machine("a").agent(|agent| agent.assigned = Some(job(1).id))]).queued(1);
    let plan = first_look(&pool(), &assigned);
    assert_eq!((grown(&plan), plan.jobs.queued, plan.jobs.running), (0, 0, 1));
}

#[test]
fn agents_on_no_vm_of_the_pool_are_counted_and_left_alone() {
    let mut elsewhere = agent("build-server");
    elsewhere.enabled = false;
    let plan = first_look(&standby(1), &scene([]).foreign(elsewhere));
    assert_eq!((grown(&plan), plan.counts.foreign, plan.actions.len()), (1, 1, 1));
}

#[test]
fn an_accepted_growth_counts_once_until_azure_lists_it() {
    let mut passes = Passes::of(&standby(3));
    let plan = passes.look(&scene([]));
    let [Action::Grow { operation, target: 3, capacity: 0, .. }] = plan.actions.as_slice() else {
        panic!("{:?}", plan.actions);
    };
    passes.accepted();
    passes.wait(seconds(10));
    // Neither capacity nor list show it, also when Azure already says that it is done.
    assert_eq!(grown(&passes.look(&scene([]))), 0);
    let done = scene([]).operation(operation, OperationProgress::Succeeded);
    assert_eq!(grown(&passes.look(&done)), 0);
    // One more job: Azure is asked when it lists the first three.
    passes.wait(seconds(10));
    let partly = scene([machine("a"), machine("b")]).capacity("d4", 3).queued(1);
    assert_eq!(grown(&passes.look(&partly)), 0);
    let listed = scene([machine("a"), machine("b"), machine("c")]).queued(1);
    assert_eq!(growths(&passes.look(&listed)), [("d4", 1)]);
}

#[test]
fn a_growth_that_azure_never_confirmed_is_asked_for_again() {
    let mut passes = Passes::of(&standby(1));
    assert_eq!(grown(&passes.look(&scene([]))), 1);
    passes.wait(seconds(10));
    assert_eq!(grown(&passes.look(&scene([]))), 1);
}

#[test]
fn a_growth_never_waits_for_a_reimage() {
    let mut passes = Passes::of(&pool());
    let used = scene([machine("a").used().offline()]);
    let _ = passes.look(&used);
    passes.accepted();
    passes.wait(seconds(10));
    assert_eq!(passes.memory.operations.len(), 1);
    assert_eq!(grown(&passes.look(&scene([machine("a")]).queued(3))), 2);
}

/// `spot` before `d4`, both for the same image.
fn two_sets() -> Pool {
    let mut pool = pool();
    pool.bindings.push(Binding { priority: 10, max_agents: Some(2), ..binding("spot") });
    pool
}

#[rstest]
#[case::by_priority(scene([]).set("spot").queued(2), vec![("spot", 2)])]
#[case::over_a_full_one(scene([]).set("spot").queued(3), vec![("spot", 2), ("d4", 1)])]
#[case::over_one_that_fills_up(scene([machine("a").on("spot").busy()]).queued(2), vec![("spot", 1), ("d4", 1)])]
#[case::failed_ones_fill_it_too(
    scene([machine("a").on("spot").off(), machine("b").on("spot").provisioning(Provisioning::Deleting)])
        .queued(1),
    vec![("d4", 1)]
)]
#[case::over_a_blocked_one(scene([]).set("spot").blocked("spot", false).queued(1), vec![("d4", 1)])]
#[case::over_one_that_is_not_ready(scene([]).set("spot").blocked("spot", true).queued(1), vec![("d4", 1)])]
#[case::over_one_that_nobody_has_seen(scene([]).queued(1), vec![("d4", 1)])]
fn a_scale_set_spills_over(#[case] scene: Scene, #[case] expected: Vec<(&str, u32)>) {
    assert_eq!(growths(&first_look(&two_sets(), &scene)), expected);
}

#[test]
fn equal_priorities_go_by_name_and_a_cordoned_one_gets_nothing() {
    let mut pool = two_sets();
    pool.bindings[1].priority = 0;
    pool.bindings.push(Binding { max_agents: Some(0), priority: 99, ..binding("cordoned") });
    let plan = first_look(&pool, &scene([]).set("spot").set("cordoned").queued(4));
    assert_eq!(growths(&plan), [("d4", 4)]);
}

#[test]
fn an_order_that_is_not_listed_yet_fills_its_scale_set() {
    let mut passes = Passes::of(&two_sets());
    assert_eq!(growths(&passes.look(&scene([]).set("spot").queued(2))), [("spot", 2)]);
    passes.accepted();
    passes.wait(seconds(10));
    let third = scene([]).set("spot").capacity("spot", 2).queued(3);
    assert_eq!(growths(&passes.look(&third)), [("d4", 1)]);
}

#[rstest]
#[case::quota(FailureKind::Quota { limit_is_zero: false, fits: None }, 10)]
#[case::quota_of_which_nothing_fits(FailureKind::Quota { limit_is_zero: false, fits: Some(0) }, 10)]
#[case::no_quota_at_all(FailureKind::Quota { limit_is_zero: true, fits: None }, 60)]
#[case::subnet(FailureKind::SubnetFull, 10)]
#[case::no_machines_left(FailureKind::Allocation, 5)]
#[case::not_offered(FailureKind::SkuUnavailable, 60)]
#[case::throttled(FailureKind::Throttled, 1)]
#[case::refused(FailureKind::Refused, 1)]
fn a_scale_set_without_room_is_passed_over_for_so_many_minutes(#[case] kind: FailureKind, #[case] wait: i64) {
    let mut passes = Passes::of(&two_sets());
    let scene = scene([]).set("spot").queued(1);
    let plan = passes.look(&scene);
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    let failed = scene.clone().operation(&operation, OperationProgress::Failed(failure(kind)));
    passes.wait(seconds(10));
    assert_eq!((growths(&plan), growths(&passes.look(&failed))), (vec![("spot", 1)], vec![("d4", 1)]));
    passes.memory.operations.clear();
    passes.wait(minutes(wait) - seconds(10));
    assert_eq!(growths(&passes.look(&scene)), [("d4", 1)]);
    passes.memory.operations.clear();
    passes.wait(seconds(10));
    assert_eq!(growths(&passes.look(&scene)), [("spot", 1)]);
}

#[test]
fn another_failure_is_tried_again_before_a_dearer_scale_set_takes_over() {
    let mut passes = Passes::of(&two_sets());
    let scene = scene([]).set("spot").queued(1);
    let mut placed = Vec::new();
    for _ in 0..60 {
        let plan = passes.look(&scene);
        placed.extend(growths(&plan).into_iter().map(|(binding, _)| binding.to_owned()));
        for operation in plan.memory.operations.iter().map(|operation| operation.id.clone()) {
            let binding = plan.actions[0].binding().clone();
            let failure = failure(FailureKind::Invalid);
            let operation = Some(operation);
            passes
                .memory
                .record(poolkeeper_policy::Outcome::Failed { operation, binding, failure }, passes.now);
        }
        passes.wait(seconds(10));
        if placed.len() == 4 {
            break;
        }
    }
    assert_eq!(placed, ["spot", "spot", "spot", "d4"]);
}

#[test]
fn a_newer_growth_that_takes_the_place_of_an_older_one_is_no_failure() {
    let mut passes = Passes::of(&pool());
    let _ = passes.look(&scene([]).queued(1));
    passes.accepted();
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").provisioning(Provisioning::Creating)]).queued(2));
    assert_eq!(grown(&plan), 1);
    passes.accepted();
    passes.wait(seconds(10));
    let first = passes.memory.operations[0].id.clone();
    let replaced = scene([machine("a"), machine("b"), machine("c")])
        .queued(4)
        .operation(&first, OperationProgress::Failed(failure(FailureKind::Invalid)));
    let plan = passes.look(&replaced);
    assert_eq!((grown(&plan), held(&plan).len(), plan.memory.backoffs.len()), (1, 0, 0));
}

/// Two images, each with its own scale set.
fn two_images(standby_agents: u32, percent: [Option<u32>; 2]) -> Pool {
    let mut pool = standby(standby_agents);
    pool.max_agents = 20;
    let image =
        |name: &str, standby_percent| Image { name: name.into(), standby_percent, ..Image::default() };
    pool.images = vec![image("ubuntu", percent[0]), image("windows", percent[1])];
    pool.bindings.push(Binding { image: 1, ..binding("win") });
    pool
}

#[rstest]
#[case::equal_shares(6, [None, None], [3, 3])]
#[case::a_tie_to_the_earlier_image(5, [None, None], [3, 2])]
#[case::by_percent(10, [Some(70), Some(30)], [7, 3])]
#[case::the_largest_remainder(3, [Some(30), Some(70)], [1, 2])]
#[case::all_to_one(3, [Some(0), Some(100)], [0, 3])]
fn standby_is_shared_between_images(
    #[case] agents: u32,
    #[case] percent: [Option<u32>; 2],
    #[case] expected: [u32; 2],
) {
    let plan = first_look(&two_images(agents, percent), &scene([]).set("win"));
    let expected: Vec<(&str, u32)> =
        ["d4", "win"].into_iter().zip(expected).filter(|(_, by)| *by > 0).collect();
    assert_eq!(growths(&plan), expected);
}

#[test]
fn one_images_idle_agents_do_not_serve_anothers_jobs() {
    let idle: [Machine; 2] = [machine("a").idle(), machine("b").idle()];
    let waiting = scene(idle).set("win").job_that_demands(&["ImageOverride -equals windows"]);
    assert_eq!(growths(&first_look(&two_images(0, [None, None]), &waiting)), [("win", 1)]);
}
