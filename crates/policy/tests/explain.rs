//! Why no VM starts, why a VM is still here, why a job waits: situations, decided and explained.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "decide/support/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of decisions")]
mod scene;
#[path = "explain/support.rs"]
#[allow(dead_code, reason = "shared with the tests of records")]
mod support;

use jiff::Timestamp;
use poolkeeper_policy::{
    Agent, BindingName, BindingReason, DeletionPolicy, Explanation, FailedStarts, Failure, FailureKind,
    Lifecycle, Mode, Outcome, Pool, Power, Provisioning, RecordKind, RequestId, SavedMark, ScaleOut, Seen,
    VmFailure, VmFailureKind, VmId,
};
use rstest::rstest;
use scene::{Scene, agent, job, lose, lose_all, machine, scene};
use support::{Passes, minutes, pool, seconds, with_windows};

/// A Monday morning.
fn monday() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

fn first_look(pool: Pool, scene: &Scene) -> Explanation {
    Passes::of(pool).explain(scene)
}

fn why_vm(explanation: &Explanation, id: &str) -> String {
    explanation.instance(id).unwrap().why.clone()
}

fn why_job(explanation: &Explanation, id: i64) -> String {
    explanation.job(RequestId(id)).unwrap().why.clone()
}

/// The growth of `d4` has just failed.
fn grown_in_vain(pool: Pool, kind: FailureKind) -> Passes {
    let mut passes = Passes::of(pool);
    let plan = passes.look(&scene([]));
    let operation = plan.memory.operations.first().map(|operation| operation.id.clone());
    let failure = Failure { kind, message: "Azure says no".to_owned(), retry_after: None };
    passes.memory.record(Outcome::Failed { operation, binding: name("d4"), failure }, passes.now);
    passes.wait(seconds(10));
    passes
}

// ---- why no VM starts ----

#[test]
fn nothing_is_missing() {
    let found = first_look(pool(1), &scene([machine("a").idle()]));
    assert_eq!(
        found.decision,
        "Wanted: 0 busy + 0 queued + 1 standby = 1 of at most 4; standby 1 is the pool's constant. Nothing is missing."
    );
    let off = first_look(pool(0), &scene([]));
    assert!(off.decision.contains("no standby is set. Nothing is missing."), "{}", off.decision);
}

#[test]
fn what_is_created_now_is_said() {
    let found = first_look(pool(2), &scene([machine("a").idle()]));
    let created = "1 agent is missing: create 1 on d4 (capacity 1 to 2).";
    assert!(found.decision.ends_with(created), "{}", found.decision);
}

#[rstest]
#[case::maximum(|pool: &mut Pool| pool.max_agents = 2, 0, "maxAgents 2 keeps it from more (2 VMs): raise it, or wait.")]
#[case::observe(|pool: &mut Pool| pool.mode = Mode::Observe, 0,
    "mode Observe: nothing is written; with mode Active it would create 2 on d4 (capacity 2 to 4).")]
#[case::paused(|pool: &mut Pool| pool.mode = Mode::Paused, 0, "the pool is paused: nothing is written until")]
#[case::no_binding(|pool: &mut Pool| pool.bindings.clear(), 0,
    "no binding serves this pool: create a ScaleSetBinding with poolRef.name linux-build.")]
#[case::binding_maximum(|pool: &mut Pool| pool.bindings[0].max_agents = Some(2), 0,
    "binding d4 is at its maxAgents 2: raise it.")]
#[case::cordoned(|pool: &mut Pool| pool.bindings[0].max_agents = Some(0), 0,
    "binding d4 is cordoned: raise its maxAgents above 0.")]
#[case::blocked(|_: &mut Pool| {}, 1, "binding d4 cannot be used: claimed by another operator")]
#[case::pending(|_: &mut Pool| {}, 2, "binding d4 is not ready yet: claimed by another operator.")]
#[case::deleted(|pool: &mut Pool| pool.deletion = Some(DeletionPolicy::Drain), 0,
    "the pool is being deleted: jobs finish, then agents and VMs go.")]
#[case::orphaned(|pool: &mut Pool| pool.deletion = Some(DeletionPolicy::Orphan), 0, "VMs and agents are left as they are.")]
fn why_no_vm_starts(#[case] change: fn(&mut Pool), #[case] blocked: u8, #[case] expected: &str) {
    let mut pool = pool(4);
    change(&mut pool);
    let mut seen = scene([machine("a").idle(), machine("b").idle()]);
    if blocked > 0 {
        seen = seen.blocked("d4", blocked == 2);
    }
    let decision = first_look(pool, &seen).decision.to_lowercase();
    assert!(decision.contains(&expected.to_lowercase()), "{decision}");
}

#[rstest]
#[case::quota(FailureKind::Quota { limit_is_zero: false, fits: None },
    "Binding d4: Azure says no (tried again at 08:10Z): ask Azure for more quota, or add a binding of another size or region.")]
#[case::allocation(
    FailureKind::Allocation,
    "tried again at 08:05Z): add a binding of another size or region, or wait."
)]
#[case::subnet(FailureKind::SubnetFull, "enlarge the subnet, or add a binding in another one.")]
#[case::throttling(FailureKind::Throttled, "tried again at 08:01Z): it goes on by itself.")]
#[case::refused(
    FailureKind::Refused,
    "tried again at 08:01Z): mend what it says; it is tried again by itself."
)]
#[case::conflict(FailureKind::Conflict, "Held: binding d4: Azure says no; it is tried again by itself.")]
fn what_azure_says_is_repeated(#[case] kind: FailureKind, #[case] expected: &str) {
    let mut passes = grown_in_vain(pool(1), kind);
    if kind == FailureKind::Conflict {
        // Within its wait of 10 s.
        passes.now = passes.now.checked_sub(seconds(5)).unwrap();
    }
    let found = passes.explain(&scene([]).queued(1));
    assert!(found.decision.contains(expected), "{}", found.decision);
    if kind != FailureKind::Conflict {
        assert!(why_job(&found, 1).contains("Azure says no"), "{}", why_job(&found, 1));
    }
}

#[test]
fn failed_starts_say_how() {
    let mut passes = Passes::of(pool(2));
    passes.pass(&scene([]));
    passes.memory.operations.clear();
    let starts =
        FailedStarts { count: 3, reason: BindingReason::ScriptFailed, message: "exit code 1".to_owned() };
    passes.memory.failed_starts.insert(name("d4"), starts);
    passes.memory.quiet_since = Some(passes.now);
    passes.wait(seconds(10));
    let starting = machine("a").vm(|vm| vm.created_at = Some(monday()));
    let found = passes.explain(&scene([starting]));
    let expected = "3 starts in a row failed on d4 (ScriptFailed: exit code 1), so one VM at a time is tried";
    assert!(found.decision.contains(expected), "{}", found.decision);
}

#[test]
fn a_step_of_elastic_pool_says_when_the_next_one_comes() {
    let mut pool = pool(4);
    pool.scale_out = ScaleOut::ElasticPool {
        increment_percent: 25,
        step_timeout: minutes(20),
        sample_interval: minutes(5),
    };
    let mut passes = Passes::of(pool);
    passes.pass(&scene([]));
    passes.accepted();
    passes.wait(minutes(5));
    let coming = machine("a").provisioning(Provisioning::Creating).vm(|vm| vm.created_at = Some(monday()));
    let found = passes.explain(&scene([coming]));
    let expected = "steps of 1, decided every 5m: the step of 08:00Z is on its way, and the next comes when its VMs \
                    are online, or at 08:20Z.";
    assert!(found.decision.contains(expected), "{}", found.decision);
}

#[test]
fn a_missing_source_is_named_with_its_age() {
    let mut passes = Passes::of(pool(1));
    let idle = scene([machine("a").idle()]);
    let mut seen = idle.seen(passes.now);
    lose(&mut seen.agents);
    passes.wait(minutes(4));
    let found = passes.explain_at(&seen);
    let age = "Agents were last read 4m ago (the connection was reset).";
    assert!(found.decision.contains(age), "{}", found.decision);
    assert!(
        found.decision.contains("Held: agents and jobs cannot be read (Unreachable)"),
        "{}",
        found.decision
    );
    assert!(why_vm(&found, "a").contains("held: agents and jobs cannot be read"), "{}", why_vm(&found, "a"));
    lose_all(&mut seen.agents);
    let found = passes.explain_at(&seen);
    assert!(found.decision.contains("What is missing is not known."), "{}", found.decision);
    assert!(found.decision.contains("Agents have not been read"), "{}", found.decision);
}

// ---- why a VM is still here ----

#[test]
fn kept_by_standby_or_gone_after_the_idle_delay() {
    let mut passes = Passes::of(pool(1));
    let idle = scene([
        machine("a").idle_since(monday().checked_sub(minutes(5)).unwrap()),
        machine("b").idle_since(monday().checked_sub(minutes(1)).unwrap()),
    ]);
    passes.pass(&idle);
    passes.wait(minutes(12));
    let found = passes.explain(&idle);
    assert_eq!(
        why_vm(&found, "a"),
        "idle since 07:55Z, beyond what is wanted for 12m of 30m idleDelay; goes at 08:30Z unless it is wanted"
    );
    assert_eq!(why_vm(&found, "b"), "idle since 07:59Z; kept: standby wants 1 and 2 are idle");
    passes.wait(minutes(18));
    let found = passes.explain(&idle);
    assert_eq!(
        why_vm(&found, "vm-a"),
        "idle since 07:55Z; disabled now because it is idle beyond what is wanted"
    );
}

#[test]
fn a_disabled_agent_settles_before_it_goes() {
    let mut passes = Passes::of(pool(0));
    let idle = scene([machine("a").idle().disabled()]);
    let why = why_vm(&passes.explain(&idle), "a");
    assert_eq!(
        why,
        "disabled, and without a job; settles until 08:00:30Z, so that a job given to it just before would show"
    );
    passes.wait(seconds(30));
    let why = why_vm(&passes.explain(&idle), "a");
    assert_eq!(why, "disabled, and without a job; deleted now because its agent is disabled");
}

#[test]
fn a_busy_one_says_what_comes_after_its_job() {
    let busy = || scene([machine("a").busy()]);
    let request = i64::from(b'a');
    let found = first_look(pool(0), &busy());
    assert_eq!(why_vm(&found, "a"), format!("its job {request} runs; then it is reimaged"));
    assert_eq!(found.instance("a").unwrap().job, Some(RequestId(request)));
    let mut stateful = pool(0);
    stateful.lifecycle = Lifecycle::Stateful { max_lifetime: minutes(10_000) };
    assert!(why_vm(&first_look(stateful, &busy()), "a").ends_with("it stays for the next one"));
    let disabled = scene([machine("a").busy().disabled()]);
    let why = why_vm(&first_look(pool(0), &disabled), "a");
    assert_eq!(why, format!("its job {request} runs; it leaves after it because its agent is disabled"));
    let mut deleted = pool(0);
    deleted.deletion = Some(DeletionPolicy::Drain);
    let why = why_vm(&first_look(deleted, &disabled), "a");
    assert!(why.ends_with("it leaves after it because the pool is being deleted"), "{why}");
    let offline = scene([machine("a").busy().offline()]);
    let why = why_vm(&first_look(pool(0), &offline), "a");
    assert!(
        why.contains("its agent is offline: nothing is touched until Azure DevOps ends the job"),
        "{why}"
    );
}

#[test]
fn a_used_one_is_reimaged_or_says_what_it_waits_for() {
    let used = scene([machine("a").used().offline()]);
    let why = why_vm(&first_look(pool(0), &used), "a");
    assert!(why.ends_with("; reimaged now because it has run its job"), "{why}");
    let mut observing = pool(0);
    observing.mode = Mode::Observe;
    let why = why_vm(&first_look(observing, &used), "a");
    assert!(why.ends_with("; mode Observe: would be reimaged because it has run its job"), "{why}");
    let mut paused = pool(0);
    paused.mode = Mode::Paused;
    let why = why_vm(&first_look(paused, &used), "a");
    assert!(why.contains("; held: the pool is paused"), "{why}");
    let why = why_vm(&first_look(pool(0), &used.blocked("d4", false)), "a");
    assert!(why.contains("; held: binding d4 cannot be written to: claimed by another operator"), "{why}");
}

#[test]
fn one_that_starts_says_until_when() {
    let starting = machine("a").vm(|vm| vm.created_at = Some(monday()));
    let found = first_look(pool(1), &scene([starting]));
    assert_eq!(why_vm(&found, "a"), "starting; given up at 08:10Z unless it is online");
    let creating = machine("a").provisioning(Provisioning::Creating).vm(|vm| vm.created_at = Some(monday()));
    let found = first_look(pool(1), &scene([creating]));
    assert_eq!(why_vm(&found, "a"), "Azure creates it; given up at 08:10Z unless it is online");
}

#[test]
fn failed_ones_say_how_and_what_comes_next() {
    let failed = machine("a").provisioning(Provisioning::Failed).vm(|vm| {
        vm.power = Power::Off;
        vm.failure = Some(VmFailure { kind: VmFailureKind::Creation, message: "no disk".to_owned() });
    });
    let why = why_vm(&first_look(pool(0), &scene([failed])), "a");
    assert_eq!(why, "Azure could not create it (no disk); deleted now because its creation failed");
    let stopped = scene([machine("a").off()]);
    let why = why_vm(&first_look(pool(0), &stopped), "a");
    assert_eq!(why, "stopped, deallocated or evicted; deleted now because it was stopped or evicted");
    let mut passes = Passes::of(pool(0));
    let never = scene([machine("a")]);
    passes.watch(&never, minutes(10));
    let why = why_vm(&passes.explain(&never), "a");
    assert!(why.starts_with("failed to start: not online within 10m"), "{why}");
    let going = scene([machine("a").provisioning(Provisioning::Deleting)]);
    let found = first_look(pool(0), &going);
    assert_eq!(found.instance("a").unwrap().since, None, "nobody saw it begin");
}

#[test]
fn a_saved_one_says_how_it_is_released() {
    let kept = scene([machine("a").offline()]);
    let mut seen = kept.seen(monday());
    let Seen::Fresh { value: set, .. } = &mut seen.sets.get_mut(&name("d4")).unwrap().scale_set else {
        panic!()
    };
    set.saved.insert(VmId("vm-a".to_owned()), SavedMark { at: Some(monday()) });
    let mut passes = Passes::of(pool(0));
    let why = why_vm(&passes.explain_at(&seen), "a");
    assert!(
        why.ends_with("kubectl annotate agentpool linux-build poolkeeper.dev/release-saved=vm-a"),
        "{why}"
    );
    passes.pool.max_agents = 1;
    passes.pool.standby.agents = 1;
    let decision = passes.explain_at(&seen).decision;
    assert!(decision.contains("1 of it are saved for investigation: release them"), "{decision}");
}

#[test]
fn one_that_waits_for_its_turn_says_behind_what() {
    let mut passes = Passes::of(pool(0));
    let two = scene([machine("a").idle().disabled(), machine("b").idle()]);
    passes.pass(&two.clone().queued(4));
    passes.accepted();
    passes.wait(seconds(40));
    let why = why_vm(&passes.explain(&two.clone().queued(4).capacity("d4", 4)), "a");
    assert!(why.contains("its turn comes after the creation of VMs on d4 that was begun at 08:00Z"), "{why}");
}

// ---- why a job waits ----

#[test]
fn a_job_that_waits_is_told_what_comes() {
    let found = first_look(pool(0), &scene([machine("a").idle()]).queued(2));
    assert_eq!(why_job(&found, 1), "waits for Azure DevOps to hand it out: 1 agent of its image is idle");
    assert_eq!(why_job(&found, 2), "waits: a VM is created for it now; none is wanted on standby");
    let starting = machine("a").vm(|vm| vm.created_at = Some(monday()));
    let mut full = pool(0);
    full.max_agents = 1;
    let found = first_look(full, &scene([starting]).queued(2));
    assert_eq!(
        why_job(&found, 1),
        "waits: 1 agent is starting, the first is expected by 08:10Z at the latest; none is wanted on standby"
    );
    assert!(
        why_job(&found, 2).starts_with("waits: maxAgents 1 keeps it from more"),
        "{}",
        why_job(&found, 2)
    );
}

#[test]
fn a_job_that_nobody_can_run_says_what_it_lacks() {
    let jobs = scene([]).job_that_demands(&["docker"]).job_that_demands(&["ImageOverride -equals plan9"]);
    let found = first_look(pool(0), &jobs);
    assert!(
        why_job(&found, 1).starts_with("waits: no image offers docker: add it"),
        "{}",
        why_job(&found, 1)
    );
    assert!(
        why_job(&found, 2).starts_with("waits: no image is what it asks for (imageoverride -equals plan9)")
    );
    assert_eq!(found.job(RequestId(1)).unwrap().demands, ["docker"]);
}

#[test]
fn a_job_of_an_image_without_room_names_it() {
    let mut pool = with_windows(pool(0));
    pool.bindings[1].max_agents = Some(0);
    let jobs = scene([]).set("win").job_that_demands(&["ImageOverride -equals windows"]);
    let found = first_look(pool, &jobs);
    assert_eq!(
        why_job(&found, 1),
        "waits: its image windows has no binding with room (binding win is cordoned: raise its maxAgents above 0)"
    );
    assert_eq!(found.job(RequestId(1)).unwrap().image.as_deref(), Some("windows"));
}

#[test]
fn jobs_that_wait_for_other_reasons() {
    let found = first_look(pool(0), &scene([machine("a").busy()]).queued(1).parallel_jobs(1));
    assert_eq!(why_job(&found, 1), "waits for a parallel job: this pool's share, 1, is in use");
    let mut paused = pool(0);
    paused.mode = Mode::Paused;
    let found = first_look(paused, &scene([]).queued(1));
    assert!(why_job(&found, 1).starts_with("waits: the pool is paused"), "{}", why_job(&found, 1));
    let mut deleted = pool(0);
    deleted.deletion = Some(DeletionPolicy::Drain);
    let found = first_look(deleted, &scene([]).queued(1));
    assert!(why_job(&found, 1).starts_with("waits: the pool is being deleted"), "{}", why_job(&found, 1));
    let mut lost = scene([]).queued(1).seen(monday());
    lose(&mut lost.agents);
    let found = Passes::of(pool(0)).explain_at(&lost);
    assert!(
        why_job(&found, 1).starts_with("waits: held: agents and jobs cannot be read"),
        "{}",
        why_job(&found, 1)
    );
}

#[test]
fn a_job_that_runs_says_where() {
    let request = i64::from(b'a');
    let found = first_look(pool(0), &scene([machine("a").busy()]));
    assert_eq!(why_job(&found, request), "runs on a of d4");
    let found = first_look(pool(0), &scene([machine("a").busy().offline()]));
    assert!(why_job(&found, request).starts_with("given to a of d4, whose agent is offline"));
    let mut elsewhere = scene([]).foreign(Agent { assigned: Some(RequestId(7)), ..agent("desk") });
    elsewhere.jobs.push(poolkeeper_policy::JobRequest {
        agent: Some(agent("desk").id),
        assigned_at: Some(monday()),
        ..job(7)
    });
    let found = first_look(pool(0), &elsewhere);
    assert_eq!(why_job(&found, 7), "runs on agent desk since 08:00Z, which is on none of this pool's VMs");
}

// ---- agent records without a VM ----

#[test]
fn records_without_a_vm_are_told_apart() {
    let mut passes = Passes::of(pool(0));
    passes.pass(&scene([machine("spot-x").idle()]));
    passes.wait(minutes(3));
    let mark = [("poolkeeper.placeholder".to_owned(), "linux-build".to_owned())].into();
    let left = scene([])
        .foreign(agent("desk"))
        .foreign(Agent { online: false, ..agent("spot-x") })
        .foreign(Agent { online: false, capabilities: mark, ..agent("poolkeeper-linux-build-default") });
    passes.pass(&left);
    passes.wait(minutes(3));
    let found = passes.explain(&left);
    let lines: Vec<(&str, RecordKind, &str)> =
        found.records.iter().map(|line| (line.name.as_str(), line.kind, line.why.as_str())).collect();
    assert_eq!(
        lines,
        [
            ("desk", RecordKind::Foreign, "on none of this pool's VMs: left alone"),
            (
                "poolkeeper-linux-build-default",
                RecordKind::Placeholder,
                "the placeholder is not needed any more: its record is deleted now"
            ),
            ("spot-x", RecordKind::Ghost, "its VM is gone: its record is deleted now"),
        ]
    );
}
