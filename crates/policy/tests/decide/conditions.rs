//! What the pool's conditions say.

use poolkeeper_policy::{
    DeletionPolicy, FailureKind, Memory, Mode, OperationProgress, Plan, PoolReason, Seen, Snapshot, Truth,
    Why, decide,
};
use rstest::rstest;

use crate::support::{
    Passes, Scene, first_look, machine, minutes, pool, scene,
    scene::{failure, lose},
    seconds, standby,
};

/// Status and reason of a condition, if it is there.
fn condition(plan: &Plan, kind: &str) -> Option<(Truth, PoolReason)> {
    let found = plan.conditions.iter().find(|condition| condition.kind == kind)?;
    Some((found.truth, found.reason))
}

const TRUE: fn(PoolReason) -> Option<(Truth, PoolReason)> = |reason| Some((Truth::True, reason));
const FALSE: fn(PoolReason) -> Option<(Truth, PoolReason)> = |reason| Some((Truth::False, reason));

#[test]
fn a_pool_becomes_ready_when_its_standby_was_met_once_and_stays_so() {
    let mut passes = Passes::of(&standby(1));
    let plan = passes.look(&scene([]));
    assert_eq!(condition(&plan, "Ready"), FALSE(PoolReason::FillingStandby));
    assert_eq!(condition(&plan, "Reconciling"), TRUE(PoolReason::FillingStandby));
    assert_eq!(condition(&plan, "StandbyMet"), FALSE(PoolReason::Starting));
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").idle()]));
    assert_eq!(condition(&plan, "Ready"), TRUE(PoolReason::Managed));
    passes.wait(seconds(10));
    let plan = passes.look(&scene([machine("a").busy()]));
    assert_eq!(condition(&plan, "Ready"), TRUE(PoolReason::Managed));
    assert_eq!(condition(&plan, "Reconciling"), None);
    assert_eq!(condition(&plan, "StandbyMet"), FALSE(PoolReason::Starting));
}

#[rstest]
#[case::nothing_is_wanted(Mode::Active, PoolReason::Managed)]
#[case::observing(Mode::Observe, PoolReason::Observing)]
#[case::paused(Mode::Paused, PoolReason::Paused)]
fn a_pool_is_ready(#[case] mode: Mode, #[case] reason: PoolReason) {
    let mut pool = pool();
    pool.mode = mode;
    let plan = first_look(&pool, &scene([]));
    assert_eq!(condition(&plan, "Ready"), TRUE(reason));
    let negative = ["Stalled", "Reconciling", "CapacityLimited", "Holding", "UnroutableJob"];
    assert!(negative.iter().all(|kind| condition(&plan, kind).is_none()));
}

#[rstest]
#[case::at_the_maximum(4, scene(["a", "b", "c", "d"].map(|name| machine(name).busy())), PoolReason::AtMaximum)]
#[case::all_bindings_blocked(1, scene([]).blocked("d4", false), PoolReason::BindingsBlocked)]
fn more_is_wanted_than_can_be_had(#[case] agents: u32, #[case] scene: Scene, #[case] reason: PoolReason) {
    let plan = first_look(&standby(agents), &scene);
    assert_eq!(condition(&plan, "CapacityLimited"), TRUE(reason));
}

#[test]
fn a_quota_that_is_used_up_is_told_in_azures_words() {
    let mut passes = Passes::of(&standby(1));
    let _ = passes.look(&scene([]));
    passes.accepted();
    let operation = passes.memory.operations[0].id.clone();
    passes.wait(seconds(10));
    let failed = scene([]).operation(
        &operation,
        OperationProgress::Failed(failure(FailureKind::Quota { limit_is_zero: false, fits: None })),
    );
    let plan = passes.look(&failed);
    assert_eq!(condition(&plan, "CapacityLimited"), TRUE(PoolReason::QuotaExceeded));
    assert_eq!(condition(&plan, "StandbyMet"), FALSE(PoolReason::CapacityLimited));
    let told = plan.conditions.iter().find(|condition| condition.kind == "CapacityLimited").unwrap();
    assert_eq!(told.message, "Azure says no; tried again at 08:10:10Z");
}

fn missing(reason: PoolReason) -> Snapshot {
    let mut seen = scene([machine("a").idle()]).seen(crate::support::monday());
    seen.jobs = Seen::Missing { why: Why { reason, message: "replace the token".into() }, last: None };
    seen
}

#[rstest]
#[case::wrong_token(PoolReason::CredentialsRejected, FALSE(PoolReason::CredentialsRejected), true)]
#[case::not_allowed(PoolReason::PermissionDenied, FALSE(PoolReason::PermissionDenied), true)]
#[case::no_secret(PoolReason::SecretNotFound, Some((Truth::Unknown, PoolReason::NotObserved)), true)]
#[case::no_such_pool(PoolReason::PoolNotFound, TRUE(PoolReason::Reachable), true)]
#[case::down(PoolReason::Unreachable, FALSE(PoolReason::Unreachable), false)]
#[case::throttled(PoolReason::Throttled, FALSE(PoolReason::Throttled), false)]
fn an_organization_that_cannot_be_read(
    #[case] reason: PoolReason,
    #[case] reachable: Option<(Truth, PoolReason)>,
    #[case] stalls: bool,
) {
    let plan = decide(&standby(1), &missing(reason), &Memory::default(), crate::support::monday());
    assert_eq!(condition(&plan, "OrganizationReachable"), reachable);
    assert_eq!(condition(&plan, "Stalled"), if stalls { TRUE(reason) } else { None });
    assert_eq!(condition(&plan, "Holding"), TRUE(PoolReason::SourceMissing));
    assert_eq!(condition(&plan, "StandbyMet").unwrap().0, Truth::Unknown);
}

#[test]
fn a_pool_without_a_usable_binding_stalls_after_ten_minutes() {
    let mut pool = standby(1);
    pool.bindings.clear();
    for scene in [Scene::default(), scene([]).blocked("d4", true)] {
        let mut passes = Passes::of(&pool);
        let plan = passes.watch(&scene, minutes(9));
        assert_eq!(condition(&plan, "Reconciling"), TRUE(PoolReason::WaitingForBinding));
        let plan = passes.watch(&scene, minutes(1));
        assert_eq!(condition(&plan, "Stalled"), TRUE(PoolReason::NoBinding));
        assert_eq!(condition(&plan, "Ready"), FALSE(PoolReason::NoBinding));
    }
}

#[rstest]
#[case::by_the_organization(|seen: &mut Snapshot| {
    lose(&mut seen.jobs);
    if let Seen::Missing { why, .. } = &mut seen.jobs {
        why.reason = PoolReason::CredentialsRejected;
    }
})]
#[case::by_a_scale_set(|seen: &mut Snapshot| {
    *seen = scene([machine("a").idle()]).blocked("d4", false).seen(crate::support::monday());
})]
fn a_drain_that_is_blocked_tells_the_way_out(#[case] block: fn(&mut Snapshot)) {
    let mut pool = standby(1);
    pool.deletion = Some(DeletionPolicy::Drain);
    let mut seen = scene([machine("a").idle()]).seen(crate::support::monday());
    block(&mut seen);
    let plan = decide(&pool, &seen, &Memory::default(), crate::support::monday());
    let stalled = plan.conditions.iter().find(|condition| condition.kind == "Stalled").unwrap();
    assert_eq!((stalled.reason, plan.actions.len(), plan.drained), (PoolReason::BlockedDrain, 0, false));
    let command =
        "kubectl patch agentpool linux-build --type=merge -p '{\"spec\":{\"deletionPolicy\":\"Orphan\"}}'";
    assert!(stalled.message.ends_with(command), "{}", stalled.message);
}
