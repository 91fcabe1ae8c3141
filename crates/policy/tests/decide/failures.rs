//! What each kind of failure costs, and whom.

use jiff::SignedDuration;
use poolkeeper_policy::{
    BindingReason, Failure, FailureKind, LimitedBy, Mode, OperationKind, OperationProgress, Outcome, Plan,
    Pool, PoolReason, Provisioning,
};
use rstest::rstest;

use crate::support::{
    Passes, binding, deleted, grown, growths, held, machine, minutes, name, pool, reimaged, scene,
    scene::failure, seconds, standby,
};

const QUOTA: FailureKind = FailureKind::Quota { limit_is_zero: false, fits: None };

fn quota(fits: u32) -> FailureKind {
    FailureKind::Quota { limit_is_zero: false, fits: Some(fits) }
}

/// Up to 20 agents: `spot` before `d4`.
fn two_sets() -> Pool {
    let mut pool = pool();
    pool.max_agents = 20;
    pool.bindings.push(poolkeeper_policy::Binding { priority: 10, ..binding("spot") });
    pool
}

/// Every growth that was just decided fails.
fn fail(passes: &mut Passes, plan: &Plan, failure: &Failure) {
    for operation in &plan.memory.operations {
        let OperationKind::Create { .. } = operation.kind else { continue };
        let (operation, binding) = (Some(operation.id.clone()), operation.binding.clone());
        passes.memory.record(Outcome::Failed { operation, binding, failure: failure.clone() }, passes.now);
    }
}

fn capacity_limited(plan: &Plan) -> Option<(PoolReason, &str)> {
    let found = plan.conditions.iter().find(|condition| condition.kind == "CapacityLimited")?;
    Some((found.reason, &found.message))
}

#[rstest]
#[case::quota(QUOTA, vec![600, 600, 600])]
#[case::no_quota(FailureKind::Quota { limit_is_zero: true, fits: None }, vec![3_600, 3_600])]
#[case::allocation(FailureKind::Allocation, vec![300, 600, 1_200, 2_400, 3_600, 3_600])]
#[case::size(FailureKind::SkuUnavailable, vec![3_600, 3_600])]
#[case::subnet(FailureKind::SubnetFull, vec![600, 600])]
#[case::throttled(FailureKind::Throttled, vec![60, 60])]
#[case::conflict(FailureKind::Conflict, vec![10, 20, 40, 80, 120, 120])]
#[case::refused(FailureKind::Refused, vec![60, 120, 240, 480, 600, 600])]
#[case::unreachable(FailureKind::Unreachable, vec![10, 20, 40, 80, 160, 300, 300])]
#[case::invalid(FailureKind::Invalid, vec![10, 20, 40, 80, 160, 300, 300])]
#[case::preempted(FailureKind::Preempted, vec![0, 0])]
fn each_kind_waits_in_its_own_way(#[case] kind: FailureKind, #[case] expected: Vec<i64>) {
    let mut passes = Passes::of(&standby(1));
    let mut waits = Vec::new();
    for _ in &expected {
        let plan = passes.look(&scene([]));
        assert_eq!(grown(&plan), 1);
        fail(&mut passes, &plan, &failure(kind));
        let until = passes.memory.backoffs.get(&name("d4")).map_or(passes.now, |backoff| backoff.until);
        waits.push(until.duration_since(passes.now).as_secs());
        passes.now = until.max(passes.now.checked_add(SignedDuration::from_secs(1)).unwrap());
    }
    assert_eq!(waits, expected);
}

#[rstest]
#[case::being_kept_back_is_no_failure(
    &[(FailureKind::Allocation, 300), (FailureKind::Throttled, 7), (FailureKind::Throttled, 7), (FailureKind::Allocation, 600)],
)]
#[case::another_cause_begins_anew(
    &[(FailureKind::Invalid, 10), (FailureKind::Invalid, 20), (FailureKind::Allocation, 300), (FailureKind::Conflict, 10)],
)]
#[case::passing_failures_count_together(
    &[(FailureKind::Conflict, 10), (FailureKind::Unreachable, 20), (FailureKind::Invalid, 40)],
)]
fn failures_of_several_kinds(#[case] expected: &[(FailureKind, i64)]) {
    let mut passes = Passes::of(&standby(1));
    let mut waits = Vec::new();
    for (kind, _) in expected {
        let retry_after = (*kind == FailureKind::Throttled).then(|| seconds(7));
        let failure = &Failure { retry_after, ..failure(*kind) };
        let plan = passes.look(&scene([]));
        assert_eq!(grown(&plan), 1);
        fail(&mut passes, &plan, failure);
        let until = passes.memory.backoffs[&name("d4")].until;
        waits.push((*kind, until.duration_since(passes.now).as_secs()));
        passes.now = until;
    }
    assert_eq!(waits, expected);
}

#[test]
fn what_fits_into_the_quota_is_asked_for_at_once() {
    let mut pool = pool();
    pool.max_agents = 20;
    let mut passes = Passes::of(&pool);
    let waiting = scene([]).queued(8);
    let plan = passes.look(&waiting);
    assert_eq!(grown(&plan), 8);
    fail(&mut passes, &plan, &failure(quota(3)));
    passes.wait(seconds(1));
    let plan = passes.look(&waiting);
    assert_eq!((grown(&plan), plan.decision.limited_by), (3, LimitedBy::Quota));
    let told = "Azure says no; tried again at 08:10:00Z";
    assert_eq!(capacity_limited(&plan), Some((PoolReason::QuotaExceeded, told)));
    // The three come, and say nothing about the rest.
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(60));
    let three =
        scene(["a", "b", "c"].map(|name| machine(name).provisioning(Provisioning::Creating))).queued(8);
    let plan = passes.look(&three.clone().operation(&operation, OperationProgress::Succeeded));
    assert_eq!((grown(&plan), capacity_limited(&plan)), (0, Some((PoolReason::QuotaExceeded, told))));
    assert_eq!(plan.bindings[&name("d4")].limit.as_ref().unwrap().kind, quota(0));
    passes.wait(minutes(9));
    assert_eq!(grown(&passes.look(&three)), 5);
}

#[test]
fn what_does_not_fit_goes_to_the_next_scale_set_at_once() {
    let mut passes = Passes::of(&two_sets());
    let waiting = scene([]).set("spot").queued(8);
    let plan = passes.look(&waiting);
    assert_eq!(growths(&plan), [("spot", 8)]);
    fail(&mut passes, &plan, &failure(quota(3)));
    passes.wait(seconds(1));
    let plan = passes.look(&waiting);
    assert_eq!((growths(&plan), held(&plan).len()), (vec![("spot", 3), ("d4", 5)], 0));
    assert_eq!(capacity_limited(&plan), None);
}

#[rstest]
#[case::quota(QUOTA, BindingReason::QuotaExceeded)]
#[case::allocation(FailureKind::Allocation, BindingReason::AllocationFailed)]
#[case::size(FailureKind::SkuUnavailable, BindingReason::SKUUnavailable)]
#[case::subnet(FailureKind::SubnetFull, BindingReason::SubnetFull)]
#[case::throttled(FailureKind::Throttled, BindingReason::Throttled)]
#[case::refused(FailureKind::Refused, BindingReason::PermissionDenied)]
fn a_binding_that_fails_says_so_and_delays_no_other(
    #[case] kind: FailureKind,
    #[case] reason: BindingReason,
) {
    let mut passes = Passes::of(&two_sets());
    let waiting = scene([]).set("spot").queued(2);
    let plan = passes.look(&waiting);
    fail(&mut passes, &plan, &failure(kind));
    let until = passes.memory.backoffs[&name("spot")].until;
    passes.wait(seconds(1));
    let plan = passes.look(&waiting);
    assert_eq!((growths(&plan), plan.decision.limited_by), (vec![("d4", 2)], LimitedBy::Nothing));
    let limit = plan.bindings[&name("spot")].limit.clone().unwrap();
    assert_eq!(
        (limit.kind.binding_reason(), limit.message.as_str(), limit.until),
        (reason, "Azure says no", until)
    );
    assert_eq!(plan.bindings[&name("d4")].limit, None);
}

#[rstest]
#[case::quota(QUOTA, PoolReason::QuotaExceeded, LimitedBy::Quota)]
#[case::allocation(FailureKind::Allocation, PoolReason::AllocationFailed, LimitedBy::Allocation)]
#[case::size(FailureKind::SkuUnavailable, PoolReason::SKUUnavailable, LimitedBy::Allocation)]
#[case::subnet(FailureKind::SubnetFull, PoolReason::SubnetFull, LimitedBy::Subnet)]
#[case::throttled(FailureKind::Throttled, PoolReason::Throttled, LimitedBy::Throttling)]
#[case::refused(FailureKind::Refused, PoolReason::BindingsBlocked, LimitedBy::Hold)]
fn a_pool_without_room_says_why(
    #[case] kind: FailureKind,
    #[case] reason: PoolReason,
    #[case] limited_by: LimitedBy,
) {
    let mut passes = Passes::of(&standby(1));
    let plan = passes.look(&scene([]));
    fail(&mut passes, &plan, &failure(kind));
    passes.wait(seconds(1));
    let plan = passes.look(&scene([]));
    assert_eq!((grown(&plan), plan.decision.limited_by), (0, limited_by));
    let (told, message) = capacity_limited(&plan).unwrap();
    assert_eq!(told, reason);
    assert!(message.starts_with("Azure says no; tried again at 0"), "{message}");
}

#[test]
fn the_quotas_headroom_counts_instead_of_the_time() {
    let mut pool = pool();
    pool.max_agents = 20;
    let mut passes = Passes::of(&pool);
    let waiting = scene([]).queued(8);
    for _ in 0..2 {
        let plan = passes.look(&waiting);
        fail(&mut passes, &plan, &failure(QUOTA));
        passes.wait(minutes(10));
    }
    // The time is over, and there is still nothing to be had.
    let plan = passes.look(&waiting.clone().headroom("d4", 0));
    assert_eq!((grown(&plan), plan.decision.limited_by), (0, LimitedBy::Quota));
    assert_eq!(passes.memory.backoffs[&name("d4")].failures, 2);
    let plan = passes.look(&waiting);
    assert_eq!(grown(&plan), 8);
    fail(&mut passes, &plan, &failure(QUOTA));
    passes.wait(seconds(10));
    assert_eq!(grown(&passes.look(&waiting)), 0);
    let plan = passes.look(&waiting.clone().headroom("d4", 2));
    assert_eq!((grown(&plan), plan.decision.limited_by), (2, LimitedBy::Quota));
    assert_eq!((passes.memory.backoffs[&name("d4")].failures, &plan.bindings[&name("d4")].limit), (0, &None));
    passes.memory.operations.clear();
    assert_eq!(grown(&passes.look(&waiting.headroom("d4", 50))), 8);
}

#[test]
fn a_headroom_that_was_wrong_is_not_believed_for_a_minute() {
    let mut pool = pool();
    pool.max_agents = 20;
    let mut passes = Passes::of(&pool);
    let waiting = scene([]).queued(8).headroom("d4", 50);
    let mut tries = Vec::new();
    for _ in 0..24 {
        let plan = passes.look(&waiting);
        if grown(&plan) > 0 {
            tries.push(passes.now.duration_since(crate::support::monday()).as_secs());
            fail(&mut passes, &plan, &failure(QUOTA));
        }
        passes.wait(seconds(10));
    }
    assert_eq!(tries, [0, 10, 70, 130, 190]);
}

#[test]
fn a_preempted_growth_is_asked_for_again_at_once() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.look(&scene([]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let progress = OperationProgress::Failed(failure(FailureKind::Preempted));
    let plan = passes.look(&scene([]).operation(&operation, progress));
    assert_eq!((grown(&plan), plan.memory.backoffs.len()), (1, 0));
}

#[test]
fn what_a_failed_growth_has_left_out_is_not_waited_for() {
    let mut passes = Passes::of(&standby(2));
    let _ = passes.look(&scene([]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    // One of two has come; Azure keeps the capacity that was asked for.
    let partly = || scene([machine("a").idle()]).capacity("d4", 2);
    let failed = OperationProgress::Failed(failure(FailureKind::Invalid));
    assert_eq!(grown(&passes.look(&partly().operation(&operation, failed))), 0);
    passes.wait(seconds(10));
    assert_eq!(grown(&passes.look(&partly())), 1, "the back-off is over, and nothing else is to come");
}

/// Operation, kind and count of what was lost.
fn lost(plan: &Plan) -> Vec<(&str, &OperationKind)> {
    plan.lost.iter().map(|lost| (lost.operation.as_str(), &lost.kind)).collect()
}

#[test]
fn a_growth_that_never_ends_is_lost_once_and_made_again() {
    let mut passes = Passes::of(&standby(2));
    let _ = passes.look(&scene([]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    let stuck = || scene([]).capacity("d4", 2).operation(&operation, OperationProgress::InProgress);
    passes.wait(seconds(10));
    let plan = passes.watch(&stuck(), minutes(9));
    assert_eq!((grown(&plan), lost(&plan)), (0, vec![]));
    passes.wait(seconds(50));
    let plan = passes.look(&stuck());
    let count = OperationKind::Create { count: 2, target: 2 };
    assert_eq!((grown(&plan), lost(&plan)), (2, vec![(operation.as_str(), &count)]));
    assert_eq!(plan.lost[0].since, crate::support::monday());
    assert_eq!(
        plan.lost[0].message,
        "the creation of 2 on d4, begun at 08:00:00Z, has not ended in time: given up"
    );
    passes.wait(seconds(10));
    assert_eq!(lost(&passes.look(&stuck())), []);
}

#[test]
fn a_deletion_that_never_ends_is_lost_once() {
    let mut passes = Passes::of(&pool());
    assert_eq!(deleted(&passes.look(&scene([machine("a").off()]))).len(), 1);
    passes.accepted();
    let leaving = scene([machine("a").provisioning(Provisioning::Deleting)]);
    let plan = passes.watch(&leaving, seconds(19 * 60 + 50));
    assert_eq!(lost(&plan), []);
    passes.wait(seconds(10));
    assert_eq!(passes.look(&leaving).lost.len(), 1);
    passes.wait(seconds(10));
    assert_eq!(passes.look(&leaving).lost.len(), 0);
}

#[test]
fn a_reimage_that_never_ends_is_lost_once_however_long_its_vm_stays() {
    let mut passes = Passes::of(&pool());
    assert_eq!(reimaged(&passes.look(&scene([machine("a").used().offline()]))).len(), 1);
    passes.accepted();
    passes.pool.mode = Mode::Paused;
    let mut told = 0;
    for _ in 0..120 {
        passes.wait(seconds(10));
        told += passes.look(&scene([machine("a").provisioning(Provisioning::Updating)])).lost.len();
    }
    assert_eq!(told, 1);
}

/// `a` and `b` are reimaged together, and Azure reports a failure because of one of them.
fn reimaged_together(kind: FailureKind) -> (Passes, crate::support::Scene) {
    let mut passes = Passes::of(&pool());
    let used = scene([machine("a").used().offline(), machine("b").used().offline()]);
    assert_eq!(reimaged(&passes.look(&used)).len(), 2);
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let failed = OperationProgress::Failed(failure(kind));
    (passes, scene([machine("a"), machine("b")]).operation(&operation, failed))
}

#[test]
fn a_start_that_fails_after_a_reimage_takes_no_other_vm_with_it() {
    let (mut passes, scene) = reimaged_together(FailureKind::StartFailed);
    let plan = passes.watch(&scene, minutes(9));
    assert_eq!((reimaged(&plan), deleted(&plan), plan.memory.removal_backoffs.len()), (vec![], vec![], 0));
    // One comes online in time; the other goes like any that does not start.
    let late = crate::support::Scene { machines: vec![machine("a").idle(), machine("b")], ..scene };
    passes.wait(minutes(1));
    let plan = passes.look(&late);
    assert_eq!(deleted(&plan), [("b", poolkeeper_policy::Cause::FailedToStart)]);
}

#[test]
fn a_reimage_that_was_not_carried_out_is_tried_again() {
    let (mut passes, scene) = reimaged_together(FailureKind::Preempted);
    assert_eq!(reimaged(&passes.look(&scene)).len(), 0, "writes to a scale set keep their distance");
    passes.wait(seconds(20));
    assert_eq!(reimaged(&passes.look(&scene)).len(), 2);
}

#[test]
fn an_image_that_does_not_start_makes_no_growth_wait() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.look(&scene([]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let failed = OperationProgress::Failed(failure(FailureKind::StartFailed));
    let one = scene([machine("a")]).queued(1).operation(&operation, failed);
    let plan = passes.look(&one);
    assert_eq!((grown(&plan), plan.memory.backoffs.len()), (1, 0));
}

/// Azure has failed after it had made VMs that the list does not show yet.
#[test]
fn what_a_failed_growth_may_have_made_counts_for_a_minute() {
    let mut pool = two_sets();
    (pool.max_agents, pool.standby.agents) = (2, 2);
    let mut passes = Passes::of(&pool);
    let both = || scene([]).set("spot");
    assert_eq!(growths(&passes.look(&both())), [("spot", 2)]);
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let failed = OperationProgress::Failed(failure(FailureKind::Allocation));
    let short = || both().capacity("spot", 2);
    assert_eq!(growths(&passes.look(&short().operation(&operation, failed))), []);
    passes.wait(seconds(40));
    assert_eq!(growths(&passes.look(&short())), []);
    passes.wait(seconds(20));
    assert_eq!(growths(&passes.look(&short())), [("d4", 2)]);
}
