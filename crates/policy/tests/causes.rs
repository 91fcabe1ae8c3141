//! Why no agent stood by for a job: each cause of a slow start, named (Managed DevOps Pools, scaling: delays).

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "decide/support/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of decisions")]
mod scene;
#[path = "explain/support.rs"]
#[allow(dead_code, reason = "shared with the tests of explanations")]
mod support;

use jiff::{Timestamp, civil::Weekday};
use poolkeeper_policy::{
    BindingName, Measured, Pool, RequestId, StartTimes,
    schedule::{Draft, EndDraft, ManualDraft, PeriodDraft, Schedule},
};
use rstest::rstest;
use scene::{Scene, machine, scene};
use support::{Passes, minutes, pool, with_windows};

/// A Monday morning.
fn monday() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

/// Two agents on standby on Tuesdays from 07:00 to 19:00.
fn tuesdays(mut pool: Pool) -> Pool {
    let day = PeriodDraft {
        name: "tuesday".to_owned(),
        zone: None,
        start_day: Weekday::Tuesday,
        start: "07:00".to_owned(),
        end: EndDraft::At { day: None, time: "19:00".to_owned() },
        agents: 2,
    };
    let draft = Draft {
        zone: "UTC".to_owned(),
        manual: Some(ManualDraft::Periods(vec![day])),
        exceptions: Vec::new(),
        boosts: Vec::new(),
    };
    pool.standby.schedule = Some(Schedule::check(&draft, monday()).unwrap());
    pool
}

/// Ubuntu has all of the standby, windows none, and either is there on request.
fn shared_unequally(standby: u32, first: u32) -> Pool {
    let mut pool = with_windows(pool(standby));
    pool.images[0].standby_percent = Some(first);
    pool.images[1].standby_percent = Some(100 - first);
    pool
}

fn why(pool: Pool, scene: &Scene, job: i64) -> String {
    Passes::of(pool).explain(scene).job(RequestId(job)).unwrap().why.clone()
}

#[rstest]
#[case::more_jobs_than_agents_on_standby(
    pool(1),
    scene([machine("a").idle()]).queued(2),
    "more jobs came than the 1 agent on standby"
)]
#[case::outside_the_schedule(
    tuesdays(pool(0)),
    scene([]).queued(2),
    "it came outside the schedule: 2 agents from 2026-11-24 07:00Z on"
)]
#[case::none_on_standby(pool(0), scene([]).queued(2), "none is wanted on standby")]
#[case::the_first_image_for_want_of_another(
    shared_unequally(2, 0),
    scene([]).set("win").queued(2),
    "it names no image, so it goes to ubuntu, which has no share of the 2 agents on standby"
)]
#[case::an_image_without_a_share(
    shared_unequally(2, 100),
    scene([]).set("win").queued(1).job_that_demands(&["ImageOverride -equals windows"]),
    "image windows has no share of the 2 agents on standby"
)]
#[case::an_agent_version(
    pool(0),
    scene([]).queued(1).job_that_demands(&["Agent.Version -gtVersion 4.261.0"]),
    "it asks for an Agent.Version, which an agent may have to download before its first job"
)]
fn a_job_that_waits_for_a_start_is_told_why(#[case] pool: Pool, #[case] scene: Scene, #[case] cause: &str) {
    let why = why(pool, &scene, 2);
    assert!(why.starts_with("waits: ") && why.contains(&format!("; {cause}")), "{why}");
}

#[test]
fn an_image_version_is_never_on_standby() {
    let mut pool = with_windows(pool(2));
    pool.images[1].capabilities.insert("imageversionoverride".to_owned(), "1.2.3".to_owned());
    let jobs = scene([]).set("win").queued(1).job_that_demands(&["ImageVersionOverride -equals 1.2.3"]);
    let why = why(pool, &jobs, 2);
    assert!(why.contains("; agents of an ImageVersionOverride are started on demand"), "{why}");
}

#[test]
fn a_start_that_takes_longer_than_others_is_named() {
    let starting = machine("a").vm(|vm| vm.created_at = Some(monday()));
    let scene = scene([starting]).queued(1);
    let mut passes = Passes::of(pool(0));
    let measured = Measured { p50: minutes(2), p95: minutes(3), samples: 40 };
    passes.memory.start_times.insert(name("d4"), StartTimes::recalled(measured));
    passes.wait(minutes(3));
    let usual = passes.explain(&scene).job(RequestId(1)).unwrap().why.clone();
    assert!(!usual.contains("firewall"), "{usual}");
    passes.wait(minutes(1));
    let slow = passes.explain(&scene).job(RequestId(1)).unwrap().why.clone();
    assert!(slow.contains("starts for 4m, and 95 of 100 take at most 3m: a proxy"), "{slow}");
}

#[test]
fn a_job_that_an_agent_waits_for_has_no_cause() {
    let why = why(pool(1), &scene([machine("a").idle()]).queued(1), 1);
    assert_eq!(why, "waits for Azure DevOps to hand it out: 1 agent of its image is idle");
}
