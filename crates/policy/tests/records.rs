//! Placeholders are kept, ghosts go, foreign agents are left alone.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "decide/support/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of decisions")]
mod scene;
#[path = "explain/support.rs"]
#[allow(dead_code, reason = "shared with the tests of explanations")]
mod support;

use std::collections::BTreeMap;

use jiff::Timestamp;
use poolkeeper_policy::{
    Action, Agent, AgentId, BindingName, DeletionPolicy, Failure, FailureKind, Mode, Plan, Pool, RecordCause,
    RecordChange, Register,
};
use rstest::rstest;
use scene::{Machine, Scene, agent, lose, machine, scene};
use support::{Passes, minutes, pool, seconds, with_windows};

/// A Monday morning.
fn monday() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

fn kept(standby: u32) -> Pool {
    Pool { placeholders: true, ..pool(standby) }
}

fn registered(plan: &Plan) -> Vec<&Register> {
    let register = |change: &'_ RecordChange| matches!(change, RecordChange::Register(_));
    plan.records.iter().filter(|change| register(change)).map(record).collect()
}

fn record(change: &RecordChange) -> &Register {
    match change {
        RecordChange::Register(register) | RecordChange::Describe { as_: register, .. } => register,
        RecordChange::Forget { name, .. } => panic!("{name} goes"),
        RecordChange::Label { name, .. } => panic!("{name} is labelled"),
    }
}

fn forgotten(plan: &Plan) -> Vec<(&str, RecordCause)> {
    let forget = |change: &'_ RecordChange| match change {
        RecordChange::Forget { name, cause, .. } => Some((name.clone(), *cause)),
        RecordChange::Register(_) | RecordChange::Describe { .. } | RecordChange::Label { .. } => None,
    };
    let names = plan.records.iter().filter(|change| forget(change).is_some());
    names
        .map(|change| match change {
            RecordChange::Forget { name, cause, .. } => (name.as_str(), *cause),
            RecordChange::Register(_) | RecordChange::Describe { .. } | RecordChange::Label { .. } => {
                unreachable!()
            }
        })
        .collect()
}

/// What Azure DevOps has afterwards.
fn apply(scene: &mut Scene, plan: &Plan) {
    let capabilities = |register: &Register| -> BTreeMap<String, String> {
        register.capabilities.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect()
    };
    for change in &plan.records {
        match change {
            RecordChange::Register(register) => scene.agents.push(Agent {
                online: false,
                capabilities: capabilities(register),
                ..agent(&register.name)
            }),
            RecordChange::Describe { agent, as_ } => {
                let found = scene.agents.iter_mut().find(|other| other.id == *agent).unwrap();
                found.capabilities = capabilities(as_);
            }
            RecordChange::Label { name, .. } => panic!("{name} is labelled"),
            RecordChange::Forget { agent, .. } => scene.agents.retain(|other| other.id != *agent),
        }
    }
}

fn reports(machine: Machine, capabilities: &[(&str, &str)]) -> Machine {
    let capabilities = capabilities.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    machine.agent(|agent| agent.capabilities = capabilities.collect())
}

/// An offline agent that nobody has used for two hours.
fn abandoned(name: &str) -> Agent {
    let long_ago = monday().checked_sub(minutes(120)).ok();
    Agent { online: false, created_at: long_ago, status_changed_at: long_ago, ..agent(name) }
}

#[test]
fn each_image_that_a_binding_serves_has_a_placeholder_and_then_nothing_changes() {
    let mut pool = with_windows(kept(0));
    pool.images.push(support::image("unserved"));
    pool.images[0].capabilities = BTreeMap::from([("docker".to_owned(), "true".to_owned())]);
    let mut passes = Passes::of(pool);
    let mut scene = scene([]).set("win");
    let plan = passes.look(&scene);
    let names: Vec<&str> = registered(&plan).iter().map(|register| register.name.as_str()).collect();
    assert_eq!(names, ["poolkeeper-linux-build-ubuntu", "poolkeeper-linux-build-windows"]);
    let offered = &registered(&plan)[0].capabilities;
    for (name, value) in [
        ("ImageOverride", "ubuntu"),
        ("docker", "true"),
        ("poolkeeper.placeholder", "linux-build"),
        ("Agent.Version", "99.0.0"),
    ] {
        assert_eq!(offered.get(name).map(String::as_str), Some(value), "{name}");
    }
    apply(&mut scene, &plan);
    passes.wait(minutes(1));
    let plan = passes.look(&scene);
    assert_eq!(plan.records, []);
    assert_eq!(plan.counts.foreign, 0, "placeholders are not foreign");
    let before = passes.memory.clone();
    assert_eq!(passes.look(&scene).memory, before, "nothing moves");
}

#[test]
fn a_constant_standby_needs_none_unless_its_image_has_a_name() {
    assert_eq!(Passes::of(kept(1)).look(&scene([])).records, []);
    // An agent has the name of its image only once it is labelled.
    let mut two_images = with_windows(kept(1));
    two_images.standby.agents = 2;
    assert_eq!(registered(&Passes::of(two_images).look(&scene([]).set("win"))).len(), 2);
}

/// Azure DevOps refuses at once a job whose demands no record meets, so an alias cannot wait for an agent that gets it.
#[test]
fn each_alias_has_a_placeholder_of_its_own() {
    let mut pool = with_windows(kept(2));
    pool.images[0].aliases = ["linux", "Ubuntu", "ubuntu/latest"].map(str::to_owned).to_vec();
    let mut passes = Passes::of(pool);
    let mut scene = scene([]).set("win");
    let plan = passes.look(&scene);
    let names: Vec<(&str, &str)> = registered(&plan)
        .iter()
        .map(|register| (register.name.as_str(), register.capabilities["ImageOverride"].as_str()))
        .collect();
    // Case does not count, and the name of an agent has no slash.
    let hashed = names[2].0;
    assert_eq!(
        names,
        [
            ("poolkeeper-linux-build-ubuntu", "ubuntu"),
            ("poolkeeper-linux-build-linux", "linux"),
            (hashed, "ubuntu/latest"),
            ("poolkeeper-linux-build-windows", "windows"),
        ]
    );
    let start = "poolkeeper-linux-build-ubuntu-latest-";
    assert!(hashed.starts_with(start) && hashed.len() == start.len() + 8, "{hashed}");
    apply(&mut scene, &plan);
    passes.wait(minutes(1));
    let plan = passes.look(&scene);
    assert_eq!((plan.records.as_slice(), plan.counts.foreign), ([].as_slice(), 0));
    // What one of them remembers is what its image offers.
    scene.agents[1].capabilities.insert("gpu".to_owned(), "true".to_owned());
    let plan = passes.look(&scene.clone().job_that_demands(&["gpu", "ImageOverride -equals LINUX"]));
    assert_eq!((plan.unroutable.as_slice(), plan.jobs.queued), ([].as_slice(), 1));
    // An alias that is gone takes its record away, and a pool all of them.
    passes.pool.images[0].aliases.truncate(2);
    assert_eq!(forgotten(&passes.look(&scene)), [(hashed, RecordCause::Placeholder)]);
    (passes.pool.deletion, passes.pool.standby.agents) = (Some(DeletionPolicy::Drain), 0);
    passes.memory.operations.clear();
    assert_eq!(forgotten(&passes.look(&scene)).len(), 4);
}

/// Managed DevOps Pools, scaling: ImageVersionOverride.
#[test]
fn a_placeholder_offers_the_version_that_its_image_declares() {
    let mut pool = with_windows(kept(0));
    let version = |version: &str| [("imageversionoverride".to_owned(), version.to_owned())].into();
    pool.images[1].capabilities = version("1.2.3");
    let mut passes = Passes::of(pool);
    let mut scene = scene([]).set("win");
    let plan = passes.look(&scene);
    assert_eq!(registered(&plan)[0].capabilities.get("imageversionoverride"), None);
    assert_eq!(registered(&plan)[1].capabilities["imageversionoverride"], "1.2.3");
    apply(&mut scene, &plan);
    for (declared, expected) in [(version("1.2.4"), Some("1.2.4")), (BTreeMap::new(), None)] {
        passes.pool.images[1].capabilities = declared;
        passes.wait(minutes(10));
        let plan = passes.look(&scene);
        let [change @ RecordChange::Describe { .. }] = plan.records.as_slice() else {
            panic!("{:?}", plan.records)
        };
        assert_eq!(record(change).capabilities.get("imageversionoverride").map(String::as_str), expected);
        apply(&mut scene, &plan);
    }
}

#[test]
fn long_names_stay_apart() {
    let mut pool = with_windows(kept(0));
    pool.name = "p".repeat(63);
    let plan = Passes::of(pool).look(&scene([]).set("win"));
    let names: Vec<&String> = registered(&plan).iter().map(|register| &register.name).collect();
    assert_eq!(names.iter().map(|name| name.len()).collect::<Vec<_>>(), [64, 64]);
    assert_ne!(names[0], names[1]);
}

#[test]
fn what_agents_offer_is_learned_and_kept_while_none_is_there() {
    let mut passes = Passes::of(kept(0));
    let mut empty = scene([]);
    let plan = passes.look(&empty);
    apply(&mut empty, &plan);

    let offered = |name: &str, ip: &str| {
        let home = format!("/agents/{}", name.to_uppercase());
        reports(
            machine(name).idle(),
            &[
                ("java", "/opt/java"),
                ("ip", ip),
                ("agent.name", name),
                ("home", &home),
                ("agent.version", "4.1.0"),
            ],
        )
    };
    let mut two =
        Scene { machines: vec![offered("a", "10.0.0.4"), offered("b", "10.0.0.5")], ..empty.clone() };
    passes.wait(minutes(1));
    let plan = passes.look(&two);
    let [change @ RecordChange::Describe { .. }] = plan.records.as_slice() else {
        panic!("{:?}", plan.records)
    };
    let learned = &record(change).capabilities;
    assert_eq!(learned.get("java").map(String::as_str), Some("/opt/java"));
    assert_eq!(learned.get("Agent.Version").map(String::as_str), Some("99.0.0"), "any version is met");
    for of_one_machine in ["ip", "agent.name", "home", "agent.version"] {
        assert_eq!(learned.get(of_one_machine), None, "{of_one_machine}");
    }
    apply(&mut two, &plan);
    passes.wait(minutes(1));
    assert_eq!(passes.look(&two).records, [], "told once");

    // Another value is followed, though not at every look.
    two.machines = vec![reports(machine("c").idle(), &[("java", "/opt/java2")])];
    passes.wait(minutes(1));
    assert_eq!(passes.look(&two).records, []);
    passes.wait(minutes(10));
    let plan = passes.look(&two);
    assert_eq!(record(&plan.records[0]).capabilities.get("java").map(String::as_str), Some("/opt/java2"));
    apply(&mut two, &plan);

    // Without agents nothing is forgotten, and a job that asks for it has its VM.
    let waiting = Scene { machines: Vec::new(), ..two }.job_that_demands(&["java"]);
    passes.wait(minutes(20));
    let plan = passes.look(&waiting);
    assert_eq!((plan.records.as_slice(), plan.unroutable.as_slice()), ([].as_slice(), [].as_slice()));
    assert!(
        plan.actions.iter().any(|action| matches!(action, Action::Grow { by: 1, .. })),
        "{:?}",
        plan.actions
    );
}

#[test]
fn placeholders_that_are_not_needed_go_and_those_of_others_stay() {
    let mut passes = Passes::of(with_windows(kept(0)));
    let mut scene = scene([]).set("win");
    let plan = passes.look(&scene);
    apply(&mut scene, &plan);
    scene.agents.push(Agent {
        capabilities: BTreeMap::from([("poolkeeper.placeholder".to_owned(), "other".to_owned())]),
        ..abandoned("d4000007")
    });
    passes.pool.images.truncate(1);
    passes.pool.bindings.truncate(1);
    let gone = [("poolkeeper-linux-build-windows", RecordCause::Placeholder)];
    assert_eq!(forgotten(&passes.look(&scene)), gone);
    passes.pool.placeholders = false;
    let names: Vec<&str> = scene.agents.iter().take(2).map(|agent| agent.name.as_str()).collect();
    let plan = passes.look(&scene);
    let mut found: Vec<&str> = forgotten(&plan).into_iter().map(|(name, _)| name).collect();
    found.sort_unstable();
    assert_eq!(found, names);
}

#[test]
fn a_placeholder_is_the_last_that_goes_with_its_pool() {
    let mut passes = Passes::of(kept(0));
    let mut scene = scene([machine("a").idle()]);
    let plan = passes.look(&scene);
    apply(&mut scene, &plan);
    passes.pool.deletion = Some(DeletionPolicy::Drain);
    let plan = passes.look(&scene);
    assert_eq!(plan.records, [], "a job may still wait for agents that are there");
    scene.machines.clear();
    passes.memory.operations.clear();
    passes.wait(seconds(10));
    let plan = passes.look(&scene);
    assert_eq!(forgotten(&plan), [("poolkeeper-linux-build-default", RecordCause::Placeholder)]);
    assert!(!plan.drained, "its placeholder is still there");
    apply(&mut scene, &plan);
    passes.wait(seconds(10));
    let plan = passes.look(&scene);
    assert_eq!((plan.records.as_slice(), plan.drained), ([].as_slice(), true));
}

#[test]
fn somebody_elses_agent_of_that_name_is_left_alone() {
    let scene = scene([]).foreign(agent("poolkeeper-linux-build-default"));
    let plan = Passes::of(kept(0)).look(&scene);
    assert_eq!((plan.records.as_slice(), plan.counts.foreign), ([].as_slice(), 1));
}

#[test]
fn the_record_of_an_evicted_vm_goes_once_two_reads_say_that_it_is_gone() {
    let mut passes = Passes::of(pool(0));
    passes.pass(&scene([machine("spot-x").idle()]));
    let evicted = scene([]).foreign(Agent { online: false, ..agent("spot-x") });
    passes.wait(seconds(10));
    assert_eq!(forgotten(&passes.look(&evicted)), []);
    passes.wait(seconds(140));
    assert_eq!(forgotten(&passes.look(&evicted)), []);
    passes.wait(seconds(20));
    let plan = passes.look(&evicted);
    assert_eq!(forgotten(&plan), [("spot-x", RecordCause::Ghost)]);
    assert_eq!(plan.counts.foreign, 0);
    // A VM of that name is back.
    assert_eq!(forgotten(&passes.look(&scene([machine("SPOT-X")]).foreign(evicted.agents[0].clone()))), []);
}

#[rstest]
#[case::counter("d400001c", true)]
#[case::upper_case("D400001C", true)]
#[case::a_word("d4server", false)]
#[case::too_long("d40000001", false)]
#[case::another_prefix("e400001c", false)]
#[case::no_ascii("d4000é1", false)]
fn a_restarted_operator_knows_a_ghost_by_its_counter(#[case] name: &str, #[case] goes: bool) {
    let left = scene([]).foreign(abandoned(name));
    let plan = Passes::of(pool(0)).look(&left);
    assert_eq!(!forgotten(&plan).is_empty(), goes);
    assert_eq!(plan.counts.foreign, u32::from(!goes));
    assert_eq!(forgotten(&Passes::of(pool(0)).look(&left.flexible("d4"))), [], "those end at random");
}

#[rstest]
#[case::online(|agent: &mut Agent| agent.online = true)]
#[case::updating(|agent: &mut Agent| agent.updating = true)]
#[case::young(|agent: &mut Agent| agent.created_at = Some(monday()))]
#[case::just_offline(|agent: &mut Agent| agent.status_changed_at = Some(monday()))]
#[case::of_unknown_age(|agent: &mut Agent| agent.created_at = None)]
#[case::just_used(|agent: &mut Agent| agent.last_finished_at = Some(monday()))]
#[case::with_a_job(|agent: &mut Agent| agent.assigned = Some(poolkeeper_policy::RequestId(9)))]
fn who_may_be_in_use_is_no_ghost(#[case] change: fn(&mut Agent)) {
    let mut left = abandoned("d400001c");
    change(&mut left);
    assert_eq!(Passes::of(pool(0)).look(&scene([]).foreign(left)).records, []);
}

#[rstest]
#[case::nothing(|_: &mut Passes, _: &mut Scene| {}, true)]
#[case::capacity_differs(|_: &mut Passes, scene: &mut Scene| *scene = scene.clone().capacity("d4", 1), false)]
#[case::blocked(|_: &mut Passes, scene: &mut Scene| *scene = scene.clone().blocked("d4", false), false)]
#[case::not_listed(|passes: &mut Passes, _: &mut Scene| passes.pool.bindings.push(support::binding("e4")), false)]
#[case::observe(|passes: &mut Passes, _: &mut Scene| passes.pool.mode = Mode::Observe, false)]
#[case::paused(|passes: &mut Passes, _: &mut Scene| passes.pool.mode = Mode::Paused, false)]
#[case::grows(|passes: &mut Passes, _: &mut Scene| passes.pool.standby.agents = 1, false)]
#[case::orphaned(|passes: &mut Passes, _: &mut Scene| passes.pool.deletion = Some(DeletionPolicy::Orphan), false)]
#[case::stories_differ(
    |_: &mut Passes, scene: &mut Scene| scene.agents.push(Agent { assigned: Some(poolkeeper_policy::RequestId(9)), ..agent("x") }),
    false
)]
fn a_ghost_goes_only_where_everything_says_so(
    #[case] change: fn(&mut Passes, &mut Scene),
    #[case] goes: bool,
) {
    let mut passes = Passes::of(pool(0));
    let mut left = scene([]).foreign(abandoned("d400001c"));
    change(&mut passes, &mut left);
    assert_eq!(!forgotten(&passes.look(&left)).is_empty(), goes);
}

/// Azure may count an evicted VM for good.
#[test]
fn a_capacity_that_is_wrong_for_long_keeps_no_ghost() {
    let mut passes = Passes::of(pool(0));
    passes.pool.mode = Mode::Paused;
    passes.pool.deletion = Some(DeletionPolicy::Drain);
    let left = scene([]).foreign(abandoned("d400001c")).capacity("d4", 1);
    for _ in 0..30 {
        assert_eq!(forgotten(&passes.look(&left)), []);
        passes.wait(seconds(10));
    }
    assert_eq!(forgotten(&passes.look(&left)), [("d400001c", RecordCause::Ghost)]);
}

/// Its VM is gone, and Azure DevOps ends its job when the lock is over; a restarted operator knows it by its name alone.
#[test]
fn a_drain_waits_for_the_job_of_a_vm_that_is_gone() {
    let mut passes = Passes::of(pool(0));
    passes.pool.deletion = Some(DeletionPolicy::Drain);
    let busy = Agent { assigned: Some(poolkeeper_policy::RequestId(9)), ..abandoned("d400001c") };
    let mut left = scene([]).foreign(busy);
    left.jobs.push(poolkeeper_policy::JobRequest { agent: Some(left.agents[0].id), ..scene::job(9) });
    let plan = passes.look(&left);
    assert_eq!((forgotten(&plan), plan.drained), (vec![], false));
    let over = scene([]).foreign(abandoned("d400001c"));
    passes.wait(seconds(10));
    let plan = passes.look(&over);
    assert_eq!((forgotten(&plan), plan.drained), (vec![("d400001c", RecordCause::Ghost)], false));
    passes.wait(seconds(10));
    assert!(passes.look(&scene([])).drained);
}

#[test]
fn missing_and_old_sources_take_no_record_away() {
    let left = scene([]).foreign(abandoned("d400001c"));
    let mut seen = left.seen(monday());
    lose(&mut seen.jobs);
    assert_eq!(Passes::of(pool(0)).look_at(&seen).records, []);
    let mut seen = left.seen(monday());
    lose(&mut seen.sets.get_mut(&name("d4")).unwrap().instances);
    assert_eq!(Passes::of(pool(0)).look_at(&seen).records, []);
    // An old list is read again soon.
    let mut passes = Passes::of(pool(0));
    let mut seen = left.seen(monday());
    passes.wait(seconds(60));
    let now = left.seen(passes.now);
    (seen.jobs, seen.agents) = (now.jobs, now.agents);
    let plan = passes.look_at(&seen);
    assert_eq!(plan.records, []);
    assert!(plan.bindings[&name("d4")].list_at <= passes.now);
}

#[test]
fn twenty_ghosts_go_at_a_time() {
    let left = (0..30).fold(scene([]), |scene, number| {
        scene.foreign(Agent { id: AgentId(number), ..abandoned(&format!("d40000{number:02}")) })
    });
    assert_eq!(Passes::of(pool(0)).look(&left).records.len(), 20);
}

#[test]
fn a_failed_change_is_not_tried_at_every_look() {
    let mut passes = Passes::of(kept(0));
    assert_eq!(passes.look(&scene([])).records.len(), 1);
    let refused = Failure { kind: FailureKind::Refused, message: "403".to_owned(), retry_after: None };
    passes.memory.record_change_failed(refused, passes.now);
    passes.wait(seconds(50));
    assert_eq!(passes.look(&scene([])).records, []);
    passes.wait(seconds(10));
    assert_eq!(passes.look(&scene([])).records.len(), 1);
}
