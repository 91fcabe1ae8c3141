//! Several images in one pool: which jobs each serves, what its agents carry, and where they come from.

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
    Action, Agent, AgentId, BindingName, DeletionPolicy, Failure, FailureKind, Image, Lifecycle, Mode,
    OperationKind, Outcome, Plan, Pool, PoolReason, RecordChange,
};
use rstest::rstest;
use scene::{Machine, Scene, agent, machine, scene};
use support::{Passes, binding, image, minutes, pool, seconds, with_windows};

/// A Monday morning.
fn monday() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

fn capabilities(all: &[(&str, &str)]) -> BTreeMap<String, String> {
    all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn growths(plan: &Plan) -> Vec<(&str, u32)> {
    let growth = |action: &'_ Action| match action {
        Action::Grow { by, .. } => Some(*by),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    };
    plan.actions.iter().filter_map(|action| Some((action.binding().0.as_str(), growth(action)?))).collect()
}

/// Where the only job goes, or why nowhere; and the words of the condition.
fn routed(pool: &Pool, scene: &Scene) -> (Result<String, PoolReason>, String) {
    let plan = Passes::of(pool.clone()).look(scene);
    let condition = plan.conditions.iter().find(|condition| condition.kind == "UnroutableJob");
    let to = match plan.unroutable.as_slice() {
        [] => Ok(growths(&plan).iter().map(|(binding, _)| *binding).collect()),
        [job, ..] => Err(job.reason),
    };
    (to, condition.map(|condition| condition.message.clone()).unwrap_or_default())
}

// ---- demands ----

/// `ubuntu` on `d4`, and `next`, which is version 1.2.3 of it, on `win`.
fn with_a_version(standby: u32) -> Pool {
    let mut pool = with_windows(pool(standby));
    pool.max_agents = 40;
    pool.images[1] = image("next");
    pool.images[1].capabilities = capabilities(&[("imageversionoverride", "1.2.3"), ("gpu", "true")]);
    pool
}

/// Managed DevOps Pools, scaling: ImageVersionOverride.
#[rstest]
#[case::the_image_of_that_version(&["ImageVersionOverride -equals 1.2.3"], Ok("win"))]
#[case::without_regard_to_case(&["IMAGEVERSIONOVERRIDE -EQUALS 1.2.3"], Ok("win"))]
#[case::that_there_is_one(&["ImageVersionOverride"], Ok("win"))]
#[case::at_least(&["ImageVersionOverride -gtVersion 1.2"], Ok("win"))]
#[case::and_its_name(&["ImageVersionOverride -equals 1.2.3", "ImageOverride -equals Next"], Ok("win"))]
#[case::all_its_other_demands_too(&["ImageVersionOverride -equals 1.2.3", "npm"], Err(PoolReason::DemandNotMet))]
#[case::not_another_image(
    &["ImageVersionOverride -equals 1.2.3", "ImageOverride -equals ubuntu"],
    Err(PoolReason::NoSuchImage)
)]
#[case::nobody_has_it(&["ImageVersionOverride -equals 9.9.9"], Err(PoolReason::DemandNotMet))]
#[case::a_job_without_it_goes_to_the_first(&[], Ok("d4"))]
#[case::or_to_the_first_that_meets_it(&["gpu"], Ok("win"))]
fn an_image_version(#[case] demands: &[&str], #[case] expected: Result<&str, PoolReason>) {
    // An agent's own word does not count: it may be a label of an earlier declaration.
    let old = machine("a").busy().agent(|agent| {
        agent.capabilities.insert("imageversionoverride".to_owned(), "9.9.9".to_owned());
    });
    let (to, words) = routed(&with_a_version(0), &scene([old]).set("win").job_that_demands(demands));
    assert_eq!(to, expected.map(str::to_owned));
    if demands.contains(&"ImageVersionOverride -equals 9.9.9") {
        assert!(words.contains("name ImageVersionOverride, and the version as value"), "{words}");
    }
}

/// Managed DevOps Pools, scaling: standby agents are of the versions that the pool has; others start on demand.
#[rstest]
#[case::equal_shares([None, None], [false, true], [4, 0])]
#[case::the_first_has_a_version([None, None], [true, false], [0, 4])]
#[case::a_person_says_otherwise([Some(50), Some(50)], [false, true], [2, 2])]
#[case::nobody_has_one([None, None], [false, false], [2, 2])]
#[case::everybody_has_one([None, None], [true, true], [2, 2])]
fn an_image_of_a_version_has_no_standby(
    #[case] percent: [Option<u32>; 2],
    #[case] versions: [bool; 2],
    #[case] expected: [u32; 2],
) {
    let mut pool = with_a_version(4);
    for ((image, percent), version) in pool.images.iter_mut().zip(percent).zip(versions) {
        image.standby_percent = percent;
        let version: &[_] = if version { &[("imageversionoverride", "1.2.3")] } else { &[] };
        image.capabilities = capabilities(version);
    }
    let plan = Passes::of(pool).look(&scene([]).set("win"));
    let expected: Vec<_> = ["d4", "win"].into_iter().zip(expected).filter(|(_, by)| *by > 0).collect();
    assert_eq!(growths(&plan), expected);
}

#[test]
fn the_only_image_has_standby_whatever_its_version() {
    let mut pool = pool(2);
    pool.images[0] =
        Image { capabilities: capabilities(&[("imageversionoverride", "1")]), ..image("ubuntu") };
    assert_eq!(growths(&Passes::of(pool).look(&scene([]))), [("d4", 2)]);
}

/// Idle agents of another image do not keep a VM of that version from being started.
#[test]
fn a_version_is_started_on_demand() {
    let idle = scene([machine("a").idle(), machine("b").idle()]).set("win");
    let waiting = idle.job_that_demands(&["ImageVersionOverride -equals 1.2.3"]);
    assert_eq!(growths(&Passes::of(with_a_version(2)).look(&waiting)), [("win", 1)]);
}

/// Managed DevOps Pools, scaling: Agent.Version. Agents update themselves, and never go back.
#[rstest]
#[case::none_was_seen(None, None, "Agent.Version -equals 3.1.0", true)]
#[case::it_was_seen(Some("4.261.0"), None, "AGENT.VERSION -equals 4.261.0", true)]
#[case::another_was_seen(Some("4.261.0"), None, "Agent.Version -equals 3.1.0", false)]
#[case::it_was_there_once(None, Some("4.261.0"), "Agent.Version -equals 4.261.0", true)]
#[case::another_was_there_once(None, Some("4.261.0"), "Agent.Version -equals 3.1.0", false)]
#[case::what_is_there_counts(Some("4.262.0"), Some("3.1.0"), "Agent.Version -equals 3.1.0", false)]
#[case::at_least(Some("4.261.0"), Some("4.261.0"), "Agent.Version -gtVersion 99.1", true)]
#[case::that_there_is_one(Some("4.261.0"), None, "Agent.Version", true)]
fn an_agents_version(
    #[case] here: Option<&str>,
    #[case] before: Option<&str>,
    #[case] demand: &str,
    #[case] runs: bool,
) {
    let machines = here.map(|version| {
        machine("a").busy().agent(|agent| {
            agent.capabilities.insert("agent.version".to_owned(), version.to_owned());
        })
    });
    let mut scene = scene(machines).job_that_demands(&[demand]);
    if let Some(version) = before {
        let capabilities = capabilities(&[
            ("poolkeeper.placeholder", "linux-build"),
            ("poolkeeper.agentversion", version),
            ("agent.version", "99.0.0"),
        ]);
        let placeholder = agent("poolkeeper-linux-build-default");
        scene = scene.foreign(Agent { online: false, capabilities, ..placeholder });
    }
    let (to, words) = routed(&Pool { placeholders: true, ..pool(0) }, &scene);
    assert_eq!(to.is_ok(), runs, "{words}");
    if !runs {
        assert!(words.contains("no agent of that version was seen"), "{words}");
    }
}

/// So that a job for another version does not start a VM in vain whenever the pool has become empty.
#[test]
fn a_placeholder_remembers_the_newest_agent_of_its_image() {
    let of = |name: &str, version: &str| {
        let all = capabilities(&[("agent.name", name), ("agent.version", version)]);
        machine(name).idle().agent(|agent| agent.capabilities = all)
    };
    let mut passes = Passes::of(Pool { placeholders: true, ..pool(0) });
    let seen = scene([of("a", "4.99.1"), of("b", "4.261.0")]);
    let plan = passes.look(&seen);
    let [RecordChange::Register(register)] = plan.records.as_slice() else { panic!("{:?}", plan.records) };
    assert_eq!(register.capabilities["poolkeeper.agentversion"], "4.261.0");
    assert_eq!(register.capabilities["Agent.Version"], "99.0.0");
}

/// Managed DevOps Pools, demands: names and values are compared without regard to case.
#[rstest]
#[case::of_the_system(&["AGENT.OS -equals linux"], true)]
#[case::of_a_user(&["gpu"], true)]
#[case::by_value(&["GPU -equals NVIDIA A100"], true)]
#[case::part_of_a_value(&["gpu -equals nvidia"], false)]
#[case::an_empty_value_is_there(&["plain"], true)]
#[case::but_is_no_other(&["plain -equals true"], false)]
#[case::all_of_them(&["gpu", "Agent.OS", "cuda"], false)]
#[case::but_the_ignored(&["gpu", "NPM -equals 10"], true)]
fn capabilities_of_system_and_user(#[case] demands: &[&str], #[case] runs: bool) {
    let mut pool = pool(0);
    pool.ignore_demands = ["npm".to_owned()].into();
    let reports = machine("a").busy().agent(|agent| {
        agent.capabilities = capabilities(&[("agent.os", "Linux"), ("gpu", "Nvidia A100"), ("plain", "")]);
        agent.user_capabilities = capabilities(&[("GPU", "Nvidia A100"), ("plain", "")]);
    });
    assert_eq!(routed(&pool, &scene([reports]).job_that_demands(demands)).0.is_ok(), runs);
}

/// Its agents carry no name of ours, but may report one.
#[rstest]
#[case::nobody_says_so(None, "ImageOverride -equals ubuntu", false)]
#[case::nobody_says_anything(None, "ImageOverride", false)]
#[case::an_agent_does(Some("Ubuntu"), "ImageOverride -equals ubuntu", true)]
#[case::it_says_something_else(Some("windows"), "ImageOverride -equals ubuntu", false)]
fn an_unnamed_image(#[case] reported: Option<&str>, #[case] demand: &str, #[case] runs: bool) {
    let reports = machine("a").busy().agent(|agent| {
        let reported = reported.map(|name| ("imageoverride".to_owned(), name.to_owned()));
        agent.capabilities.extend(reported);
    });
    assert_eq!(routed(&pool(0), &scene([reports]).job_that_demands(&[demand])).0.is_ok(), runs);
}

// ---- what agents carry ----

/// Two stateful images, `ubuntu` with two aliases.
fn labelling() -> Pool {
    let mut pool = with_windows(pool(0));
    pool.max_agents = 100;
    pool.lifecycle = Lifecycle::Stateful { max_lifetime: minutes(7 * 24 * 60) };
    pool.images[0].aliases = ["linux", "lts"].map(str::to_owned).to_vec();
    pool
}

/// An idle agent of ours that says of itself what each does.
fn ours(name: &str) -> Machine {
    machine(name).idle().agent(|agent| agent.capabilities = capabilities(&[("agent.name", name)]))
}

/// It carries this name as user capability.
fn carries(machine: Machine, image: &str) -> Machine {
    machine.agent(|agent| {
        agent.capabilities.insert("imageoverride".to_owned(), image.to_owned());
        agent.user_capabilities.insert("ImageOverride".to_owned(), image.to_owned());
    })
}

fn labels(plan: &Plan) -> Vec<(&str, &str)> {
    let label = |change: &'_ RecordChange| match change {
        RecordChange::Label { name, image, .. } => Some((name.clone(), image.clone())),
        RecordChange::Register(_) | RecordChange::Describe { .. } | RecordChange::Forget { .. } => None,
    };
    let labels = plan.records.iter().filter(|change| label(change).is_some());
    labels
        .map(|change| match change {
            RecordChange::Label { name, image, .. } => (name.as_str(), image.as_str()),
            RecordChange::Register(_) | RecordChange::Describe { .. } | RecordChange::Forget { .. } => {
                unreachable!()
            }
        })
        .collect()
}

/// What Azure DevOps has afterwards.
fn apply(scene: &mut Scene, plan: &Plan) {
    for change in &plan.records {
        let RecordChange::Label { agent, capabilities, .. } = change else { panic!("{change:?}") };
        let agents = scene.machines.iter_mut().filter_map(|machine| machine.agent.as_mut());
        let found = agents.into_iter().find(|other| other.id == *agent).unwrap();
        found.user_capabilities = capabilities.clone();
        let lower = capabilities.iter().map(|(name, value)| (name.to_lowercase(), value.clone()));
        found.capabilities.extend(lower);
    }
}

#[rstest]
#[case::without_a_name(ours("a"), Some("ubuntu"))]
#[case::of_another_image(ours("a").on("win"), Some("windows"))]
#[case::with_a_name_of_no_image(carries(ours("a"), "debian"), Some("ubuntu"))]
#[case::with_the_name_of_another_image(carries(ours("a"), "windows"), Some("ubuntu"))]
#[case::with_its_name_in_another_case(carries(ours("a"), "Ubuntu"), None)]
#[case::that_reports_it_itself(
    ours("a").agent(|agent| drop(agent.capabilities.insert("imageoverride".to_owned(), "ubuntu".to_owned()))),
    None
)]
#[case::at_a_job(ours("a").busy(), Some("ubuntu"))]
#[case::at_a_job_that_asked_for_an_alias(carries(ours("a"), "lts").busy(), None)]
#[case::with_an_alias_that_nobody_asks_for(carries(ours("a"), "LTS"), Some("ubuntu"))]
#[case::disabled(ours("a").disabled(), None)]
#[case::whose_vm_was_stopped(ours("a").off(), None)]
#[case::of_which_nothing_is_listed(machine("a").idle(), None)]
fn an_agent_gets_the_name_of_its_image(#[case] machine: Machine, #[case] expected: Option<&str>) {
    let plan = Passes::of(labelling()).look(&scene([machine]).set("win"));
    assert_eq!(labels(&plan), expected.map(|name| ("a", name)).into_iter().collect::<Vec<_>>());
}

#[rstest]
#[case::nothing(|_: &mut Pool, _: &mut Scene| {}, true)]
#[case::its_image_is_unnamed(|pool: &mut Pool, _: &mut Scene| pool.images[0].name.clear(), false)]
#[case::observe(|pool: &mut Pool, _: &mut Scene| pool.mode = Mode::Observe, false)]
#[case::paused(|pool: &mut Pool, _: &mut Scene| pool.mode = Mode::Paused, false)]
#[case::being_deleted(|pool: &mut Pool, _: &mut Scene| pool.deletion = Some(DeletionPolicy::Drain), false)]
#[case::cordoned(|pool: &mut Pool, _: &mut Scene| pool.bindings[0].max_agents = Some(0), false)]
#[case::asked_to_leave(|pool: &mut Pool, _: &mut Scene| pool.verbs.drain.all = true, false)]
#[case::saved(|_: &mut Pool, scene: &mut Scene| *scene = scene.clone().saved("d4", "vm-a"), false)]
#[case::foreign(|_: &mut Pool, scene: &mut Scene| {
    let stranger = scene.machines.remove(0).agent.unwrap();
    scene.agents.push(stranger);
}, false)]
#[case::of_a_vm_whose_name_another_has(|_: &mut Pool, scene: &mut Scene| {
    scene.machines.push(machine("a").on("win"));
}, false)]
fn only_agents_that_may_get_a_job_are_labelled(
    #[case] change: fn(&mut Pool, &mut Scene),
    #[case] labelled: bool,
) {
    let (mut pool, mut scene) = (labelling(), scene([ours("a")]).set("win"));
    change(&mut pool, &mut scene);
    let plan = Passes::of(pool).look(&scene);
    assert_eq!(labels(&plan).len(), usize::from(labelled), "{:?}", plan.records);
}

/// It is gone after its only job.
#[test]
fn a_stateless_agent_at_its_job_is_not_labelled() {
    let mut stateless = labelling();
    stateless.lifecycle = pool(0).lifecycle;
    let plan = Passes::of(stateless).look(&scene([ours("a").busy(), ours("b")]).set("win"));
    assert_eq!(labels(&plan), [("b", "ubuntu")]);
}

#[test]
fn what_others_have_said_of_an_agent_is_written_again() {
    let mut pool = labelling();
    pool.images[0].capabilities = capabilities(&[("imageversionoverride", "1.2.3")]);
    let said = [("gpu", "true"), ("Agent.Note", "rack 7"), ("IMAGEOVERRIDE", "debian")];
    let machine = ours("a").agent(|agent| {
        agent.user_capabilities = capabilities(&said);
        let lower = said.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        agent.capabilities.extend(lower);
    });
    let plan = Passes::of(pool).look(&scene([machine]).set("win"));
    let [RecordChange::Label { capabilities: written, .. }] = plan.records.as_slice() else {
        panic!("{:?}", plan.records)
    };
    let expected = [
        ("Agent.Note", "rack 7"),
        ("ImageOverride", "ubuntu"),
        ("ImageVersionOverride", "1.2.3"),
        ("gpu", "true"),
    ];
    assert_eq!(*written, capabilities(&expected));
}

/// Managed DevOps Pools, images: aliases.
#[test]
fn as_many_idle_agents_get_an_alias_as_jobs_wait_for_it() {
    let mut passes = Passes::of(labelling());
    let mut idle = scene(["a", "b", "c"].map(|name| carries(ours(name), "ubuntu"))).set("win");
    assert_eq!(labels(&passes.look(&idle)), []);
    let asks = ["ImageOverride -equals LINUX"];
    let mut waiting = idle.clone().job_that_demands(&asks).job_that_demands(&asks);
    let plan = passes.look(&waiting);
    assert_eq!(labels(&plan), [("a", "linux"), ("b", "linux")]);
    apply(&mut waiting, &plan);
    passes.wait(seconds(10));
    assert_eq!(labels(&passes.look(&waiting)), [], "and then nothing changes");
    // They keep it while they run, and are called as before when they are idle again.
    apply(&mut idle, &plan);
    let mut busy = idle.clone();
    busy.machines[0] = busy.machines[0].clone().busy();
    passes.wait(seconds(10));
    let plan = passes.look(&busy.job_that_demands(&asks));
    assert_eq!(labels(&plan), []);
    passes.wait(seconds(10));
    assert_eq!(labels(&passes.look(&idle)), [("a", "ubuntu"), ("b", "ubuntu")]);
}

#[rstest]
#[case::the_older_job_first(&["ubuntu"], &["lts", "linux"], &[("a", "lts")])]
#[case::one_that_fits_already_is_left(&["linux"], &["ubuntu", "linux"], &[])]
#[case::two_jobs_draw_no_agent_to_and_fro(&["ubuntu"], &["linux", "ubuntu"], &[])]
#[case::each_job_has_its_own(&["lts", "ubuntu"], &["linux", "linux", "linux"], &[("a", "linux"), ("b", "linux")])]
#[case::a_name_is_asked_for_too(&["lts"], &["ubuntu"], &[("a", "ubuntu")])]
#[case::of_another_image(&["ubuntu"], &["windows"], &[])]
#[case::of_no_image(&["ubuntu"], &["debian"], &[])]
fn jobs_that_wait_share_the_idle_agents(
    #[case] agents: &[&str],
    #[case] jobs: &[&str],
    #[case] expected: &[(&str, &str)],
) {
    let machines = agents.iter().zip(["a", "b", "c"]).map(|(image, name)| carries(ours(name), image));
    let scene = jobs.iter().fold(scene(machines).set("win"), |scene, wanted| {
        scene.job_that_demands(&[&format!("ImageOverride -equals {wanted}")])
    });
    assert_eq!(labels(&Passes::of(labelling()).look(&scene)), expected);
}

/// The service may not keep it, and its list may be old.
#[test]
fn the_same_label_is_not_written_at_every_look() {
    let mut passes = Passes::of(labelling());
    let idle = scene([ours("a")]).set("win");
    assert_eq!(labels(&passes.look(&idle)), [("a", "ubuntu")]);
    passes.wait(seconds(10));
    assert_eq!(labels(&passes.look(&idle)), []);
    // Another one is another matter.
    let asks = idle.clone().job_that_demands(&["ImageOverride -equals lts"]);
    assert_eq!(labels(&passes.look(&asks)), [("a", "lts")]);
    passes.wait(minutes(10));
    assert_eq!(labels(&passes.look(&asks)), [("a", "lts")]);
}

#[test]
fn labels_are_bounded_and_jobs_that_wait_come_first() {
    let mut passes = Passes::of(labelling());
    let machine =
        |number: i64| ours(&format!("agent{number:02}")).agent(|agent| agent.id = AgentId(1_000 + number));
    let mut all =
        scene((0..60).map(|number| if number < 55 { machine(number).busy() } else { machine(number) }))
            .set("win")
            .job_that_demands(&["ImageOverride -equals lts"]);
    let plan = passes.look(&all);
    let first = labels(&plan);
    assert_eq!(
        (first.len(), first[0], first[1], first[5]),
        (50, ("agent55", "lts"), ("agent56", "ubuntu"), ("agent00", "ubuntu"))
    );
    apply(&mut all, &plan);
    passes.wait(seconds(10));
    assert_eq!(labels(&passes.look(&all)).len(), 10);
}

#[test]
fn a_label_that_fails_waits_and_is_tried_again() {
    let mut passes = Passes::of(labelling());
    let idle = scene([ours("a")]).set("win");
    assert_eq!(labels(&passes.look(&idle)).len(), 1);
    let refused = Failure { kind: FailureKind::Refused, message: "403".to_owned(), retry_after: None };
    passes.memory.record_change_failed(refused, passes.now);
    passes.wait(seconds(50));
    assert_eq!(labels(&passes.look(&idle)), []);
    passes.wait(seconds(10));
    assert_eq!(labels(&passes.look(&idle)).len(), 1);
}

#[test]
fn unread_jobs_or_agents_label_nobody() {
    let idle = scene([ours("a")]).set("win");
    let mut seen = idle.seen(monday());
    scene::lose(&mut seen.jobs);
    assert_eq!(labels(&Passes::of(labelling()).look_at(&seen)), []);
    let mut seen = idle.seen(monday());
    scene::lose(&mut seen.agents);
    assert_eq!(labels(&Passes::of(labelling()).look_at(&seen)), []);
}

// ---- where agents come from ----

/// Managed DevOps Pools, scaling: jobs that name no image go to the first.
#[rstest]
#[case::no_demand(&[], "d4")]
#[case::what_the_first_has(&["git"], "d4")]
#[case::what_only_the_second_has(&["msbuild"], "win")]
#[case::the_version_of_the_agent(&["Agent.Version -gtVersion 4.1"], "d4")]
fn a_job_that_names_no_image_goes_to_the_first_that_meets_it(
    #[case] demands: &[&str],
    #[case] expected: &str,
) {
    let mut pool = with_windows(pool(0));
    pool.images[0].capabilities = capabilities(&[("git", "2")]);
    pool.images[1].capabilities = capabilities(&[("git", "2"), ("msbuild", "17")]);
    // Though the other one has idle agents.
    let scene = scene([machine("w").on("win").idle()]).job_that_demands(demands).job_that_demands(demands);
    let plan = Passes::of(pool).look(&scene);
    let by = if expected == "d4" { 2 } else { 1 };
    assert_eq!(growths(&plan), [(expected, by)]);
}

/// `spot` before `d4` for `ubuntu`, and `win` for `windows`.
fn spilling() -> Pool {
    let mut pool = with_windows(pool(0));
    pool.max_agents = 20;
    pool.bindings.push(poolkeeper_policy::Binding { priority: 10, max_agents: Some(3), ..binding("spot") });
    pool
}

fn two_jobs() -> Scene {
    scene([]).set("spot").set("win").queued(2)
}

/// Within an image by priority and back; the other image is never touched.
#[rstest]
#[case::quota(FailureKind::Quota { limit_is_zero: false, fits: None }, 10)]
#[case::allocation(FailureKind::Allocation, 5)]
#[case::subnet(FailureKind::SubnetFull, 10)]
#[case::size(FailureKind::SkuUnavailable, 60)]
fn a_binding_that_azure_refuses_is_passed_over_until_it_recovers(
    #[case] kind: FailureKind,
    #[case] minutes_until: i64,
) {
    let mut passes = Passes::of(spilling());
    let plan = passes.look(&two_jobs());
    assert_eq!(growths(&plan), [("spot", 2)]);
    for operation in &plan.memory.operations {
        let OperationKind::Create { .. } = operation.kind else { continue };
        let failure = Failure { kind, message: "no".to_owned(), retry_after: None };
        let (operation, binding) = (Some(operation.id.clone()), operation.binding.clone());
        passes.memory.record(Outcome::Failed { operation, binding, failure }, passes.now);
    }
    passes.wait(minutes(minutes_until) - seconds(1));
    assert_eq!(growths(&passes.look(&two_jobs())), [("d4", 2)]);
    passes.memory.operations.clear();
    passes.wait(seconds(1));
    assert_eq!(growths(&passes.look(&two_jobs())), [("spot", 2)]);
}

/// The same for what is seen of it, without a refusal: before, meanwhile, and when it is over.
#[rstest]
#[case::full(
    |scene: Scene| Scene {
        machines: ["a", "b", "c"].map(|name| machine(name).on("spot").busy()).to_vec(),
        ..scene
    },
    &[("d4", 2)]
)]
#[case::nearly_full(
    |scene: Scene| Scene {
        machines: ["a", "b"].map(|name| machine(name).on("spot").busy()).to_vec(),
        ..scene
    },
    &[("spot", 1), ("d4", 1)]
)]
#[case::blocked(|scene: Scene| scene.blocked("spot", false), &[("d4", 2)])]
#[case::not_ready(|scene: Scene| scene.blocked("spot", true), &[("d4", 2)])]
fn a_binding_without_room_is_passed_over_until_it_has_some(
    #[case] change: fn(Scene) -> Scene,
    #[case] meanwhile: &[(&str, u32)],
) {
    let mut passes = Passes::of(spilling());
    for (scene, expected) in [
        (two_jobs(), [("spot", 2)].as_slice()),
        (change(two_jobs()), meanwhile),
        (two_jobs(), &[("spot", 2)]),
    ] {
        assert_eq!(growths(&passes.look(&scene)), expected);
        passes.memory.operations.clear();
        passes.wait(seconds(10));
    }
}

/// Its image does not start: one VM at a time is tried there, and it is used again as soon as one comes online.
#[test]
fn an_unhealthy_binding_is_tried_and_used_again_when_a_start_succeeds() {
    let mut passes = Passes::of(spilling());
    let starts = poolkeeper_policy::FailedStarts {
        count: 3,
        reason: poolkeeper_policy::BindingReason::FailedToStart,
        message: "not online in time".to_owned(),
    };
    passes.memory.failed_starts = [(name("spot"), starts)].into();
    assert_eq!(growths(&passes.look(&two_jobs())), [("spot", 1), ("d4", 1)]);
    passes.memory.operations.clear();
    passes.wait(seconds(10));
    let now = passes.now;
    let tried = || machine("a").on("spot").vm(|vm| vm.created_at = Some(now));
    let _ = passes.look(&Scene { machines: vec![tried()], ..two_jobs() });
    passes.memory.operations.clear();
    passes.wait(minutes(2));
    let since = passes.now;
    let online = tried().agent(|agent| {
        (agent.created_at, agent.status_changed_at) = (Some(since), Some(since));
    });
    let plan = passes.look(&Scene { machines: vec![online.busy()], ..two_jobs() });
    assert_eq!((growths(&plan), passes.memory.failed_starts.len()), (vec![("spot", 2)], 0));
}

/// What one image lacks is not made up for by the bindings of another.
#[test]
fn no_image_spills_over_to_another() {
    let asks = ["ImageOverride -equals windows"];
    let scene = scene([]).set("spot").set("win").blocked("win", false).job_that_demands(&asks);
    let plan = Passes::of(spilling()).look(&scene);
    assert_eq!(growths(&plan), []);
    let limited = plan.conditions.iter().find(|condition| condition.kind == "CapacityLimited").unwrap();
    assert_eq!(limited.reason, PoolReason::BindingsBlocked);
}
