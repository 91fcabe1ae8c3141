use std::collections::BTreeSet;

use poolkeeper_policy::{
    self as policy, AgentId, BindingName, Cause, Existing, InstanceId, Lifecycle, Lost, Member, PoolReason,
    Recycle, RequestId, Sampling, ScaleOut, Seen, SetView, Standby, Why,
};

use super::*;

fn now() -> Timestamp {
    "2026-11-22T08:30:00.5Z".parse().unwrap()
}

fn d4() -> BindingName {
    BindingName("linux-d4".into())
}

/// A pool with one scale set, of which nothing could be read.
struct Scene {
    pool: AgentPool,
    memory: Memory,
    seen: Snapshot,
    plan: Plan,
}

impl Scene {
    fn new() -> Self {
        let pool = policy::Pool {
            name: "linux-build".into(),
            mode: policy::Mode::Active,
            deletion: None,
            max_agents: 4,
            images: vec![policy::Image::default()],
            bindings: vec![policy::Binding {
                name: d4(),
                image: 0,
                priority: 0,
                max_agents: None,
                draining: false,
                existing: Existing::Adopt,
                claimed_at: None,
            }],
            standby: Standby { agents: 2, basis: policy::Basis::Idle, schedule: None, forecast: None },
            ignore_demands: BTreeSet::new(),
            scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
            idle_delay: SignedDuration::from_mins(30),
            lifecycle: Lifecycle::Stateless(Recycle::Reimage),
            save_for_investigation: 0,
            max_failed_starts: 3,
            placeholders: false,
            verbs: policy::Verbs::default(),
            start_timeout: SignedDuration::from_mins(10),
        };
        let why = Why { reason: PoolReason::Unreachable, message: "no answer".into() };
        let set = SetView {
            blocked: None,
            scale_set: Seen::Missing { why: why.clone(), last: None },
            instances: Seen::Missing { why: why.clone(), last: None },
            headroom: None,
        };
        let seen = Snapshot {
            jobs: Seen::Missing { why: why.clone(), last: None },
            agents: Seen::Missing { why, last: None },
            sets: BTreeMap::from([(d4(), set)]),
            operations: BTreeMap::new(),
            parallel_jobs: None,
        };
        let mut plan = policy::decide(&pool, &seen, &Memory::default(), now());
        plan.conditions.clear();
        let pool = serde_json::from_value(serde_json::json!({
            "metadata": {"name": "linux-build", "namespace": "ci", "uid": "7"},
            "spec": {
                "organization": {
                    "url": "https://dev.azure.com/fabrikam",
                    "credentials": {"secretRef": {"name": "azure-devops", "key": "token"}},
                },
                "poolName": "linux-build",
                "maxAgents": 4,
            },
        }));
        Self { pool: pool.unwrap(), memory: Memory::default(), seen, plan }
    }

    fn rows(&self, deeds: Vec<Did<'_>>) -> Vec<Row> {
        let Self { pool, memory, seen, plan } = self;
        let changes = Vec::new();
        let pass = Pass { pool, memory, seen, plan, deeds, changes, now: now() };
        rows(&pass, &Wrong::new(), &Wrong::new())
    }

    fn remember(&mut self, id: &str, kind: OperationKind) {
        let started_at = now().checked_sub(SignedDuration::from_secs(110)).unwrap();
        let operation = Operation {
            id: id.into(),
            binding: d4(),
            kind,
            started_at,
            deadline: Timestamp::MAX,
            url: Some("https://management.azure.com/operations/1".into()),
        };
        self.memory.operations.push(operation);
    }
}

fn vm(name: &str) -> VmId {
    VmId(format!("vm-{name}"))
}

fn member(name: &str, cause: Cause) -> Member {
    Member {
        vm_id: vm(name),
        instance_id: InstanceId("1".into()),
        computer_name: name.into(),
        agent: Some(AgentId(1)),
        cause,
    }
}

#[test]
fn a_deed_is_a_row_with_reason_outcome_and_operation() {
    let scene = Scene::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    let remove = Action::Remove {
        operation: "delete-1".into(),
        binding: d4(),
        removal: Removal::Delete,
        members: names.iter().map(|name| member(name, Cause::Excess)).collect(),
    };
    let failure = Failure { kind: FailureKind::Conflict, message: "busy".into(), retry_after: None };
    let failed = Outcome::Failed { operation: Some("delete-1".into()), binding: d4(), failure };
    let disable = Action::Disable { binding: d4(), member: member("a", Cause::Used) };
    let rows = scene.rows(vec![
        Did { action: &remove, outcome: &failed, message: "delete a, b, c: busy" },
        Did { action: &disable, outcome: &Outcome::Done, message: "disable a" },
    ]);
    let expected = [
        r#"{"at":"2026-11-22T08:30:00Z","action":"Delete","binding":"linux-d4","count":6,"names":["a","b","c","d","e"],"reason":"idle beyond what is wanted","result":"Failed","operation":"delete-1","message":"delete a, b, c: busy","error":"Conflict"}"#,
        r#"{"at":"2026-11-22T08:30:00Z","action":"Disable","binding":"linux-d4","count":1,"names":["a"],"reason":"has run its job","result":"Done","message":"disable a"}"#,
    ];
    let found: Vec<String> = rows.iter().map(|row| serde_json::to_string(row).unwrap()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_growth_has_the_sum_that_asked_for_it() {
    let mut scene = Scene::new();
    scene.plan.decision.desired = 3;
    scene.plan.decision.message = "1 busy + 0 queued + 2 standby = 3 of at most 4".into();
    let grow = Action::Grow { operation: "create-1".into(), binding: d4(), by: 1, target: 3, capacity: 2 };
    let in_flight = Outcome::InFlight { operation: "create-1".into(), url: None, covered: Vec::new() };
    let rows = scene.rows(vec![Did { action: &grow, outcome: &in_flight, message: "create 1 on linux-d4" }]);
    let row = &rows[0];
    assert_eq!((row.action.as_str(), row.count, row.result.as_str()), ("Create", 1, "InFlight"));
    assert_eq!(row.reason, "3 agents wanted");
    assert_eq!(row.message, "create 1 on linux-d4; 1 busy + 0 queued + 2 standby = 3 of at most 4");
}

#[test]
fn an_operation_ends_once_for_each_vm() {
    let mut scene = Scene::new();
    scene.remember("create-1", OperationKind::Create { count: 2, target: 2 });
    scene.remember("reimage-1", OperationKind::Reimage(vec![vm("a"), vm("b"), vm("c")]));
    scene.remember("delete-1", OperationKind::Delete(vec![vm("d")]));
    // Of the reimage one VM is left, the deletion goes on.
    scene.plan.memory.operations = scene.memory.operations.clone();
    scene.plan.memory.operations.remove(0);
    scene.plan.memory.operations[0].kind = OperationKind::Reimage(vec![vm("b")]);
    let told = |row: &Row| (row.action.clone(), row.count, row.result.clone(), row.message.clone());
    let rows: Vec<_> = scene.rows(Vec::new()).iter().map(told).collect();
    let over =
        |action: &str, count, message: &str| (action.into(), count, "Succeeded".into(), message.into());
    assert_eq!(
        rows,
        [
            over("Create", 2, "create 2 on linux-d4: over after 1m 50s"),
            over("Reimage", 2, "reimage 2 on linux-d4: over after 1m 50s"),
        ]
    );
}

#[test]
fn an_operation_that_fails_or_is_given_up_is_no_success() {
    let mut scene = Scene::new();
    scene.remember("create-1", OperationKind::Create { count: 2, target: 2 });
    scene.remember("delete-1", OperationKind::Delete(vec![vm("d")]));
    let failure = Failure { kind: FailureKind::Allocation, message: "none there".into(), retry_after: None };
    scene.seen.operations.insert("create-1".into(), OperationProgress::Failed(failure));
    let kind = OperationKind::Delete(vec![vm("d")]);
    let message = "given up".to_owned();
    scene.plan.lost = vec![Lost { operation: "delete-1".into(), binding: d4(), kind, since: now(), message }];
    let rows = scene.rows(Vec::new());
    let told: Vec<_> = rows.iter().map(|row| (row.result.as_str(), row.error.as_deref())).collect();
    assert_eq!(told, [("Failed", Some("Allocation")), ("NeverEnded", Some("NeverEnded"))]);

    // Nobody knows how those of a scale set end that has left the pool.
    scene.seen.operations.clear();
    scene.plan.lost.clear();
    scene.plan.bindings.clear();
    assert_eq!(scene.rows(Vec::new()), []);
}

#[test]
fn what_goes_wrong_has_a_row_when_it_begins_and_one_when_it_ends() {
    let scene = Scene::new();
    let held = |reason| Condition { kind: "Holding", truth: Truth::True, reason, message: "held".into() };
    let fine = Condition {
        kind: "OrganizationReachable",
        truth: Truth::True,
        reason: PoolReason::Reachable,
        message: String::new(),
    };
    let before = wrong_now(&[held(PoolReason::SourceMissing), fine.clone()]);
    let after = wrong_now(&[held(PoolReason::Conflict), Condition { truth: Truth::False, ..fine }]);
    let Scene { pool, memory, seen, plan } = &scene;
    let pass = Pass { pool, memory, seen, plan, deeds: Vec::new(), changes: Vec::new(), now: now() };
    let told: Vec<_> = rows(&pass, &before, &after).into_iter().map(|row| (row.reason, row.result)).collect();
    let row = |reason: &str, result: &str| (reason.to_owned(), result.to_owned());
    assert_eq!(
        told,
        [
            row("Holding=SourceMissing", "Ended"),
            row("Holding=Conflict", "Began"),
            row("OrganizationReachable=Reachable", "Began"),
        ]
    );
    assert_eq!(rows(&pass, &after, &after), []);
}

#[test]
fn a_notice_is_a_row() {
    let mut scene = Scene::new();
    scene.plan.notices =
        vec![Notice::AgentReused { name: "a".into(), binding: d4(), request: RequestId(41) }];
    let rows = scene.rows(Vec::new());
    assert_eq!((rows[0].action.as_str(), rows[0].reason.as_str()), ("Notice", "AgentReused"));
    assert_eq!(rows[0].message, "agent a was given job request 41 before its machine was new");
}
