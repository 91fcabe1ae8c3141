//! Runs against a world in which every fact is as expected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use jiff::SignedDuration;
use poolkeeper_simulator::{
    WorldSpec,
    world::{AzureFault, Call, DevOpsFault, Fault, Kind},
};
use poolkeeper_verify::fact::TRIED;
use rstest::rstest;
use support::{
    Bench, PAT, SECRET, SUBSCRIPTION, Snapshot, as_expected, differing, ephemeral, flexible, lines,
    not_tried, uniform,
};

const FLEXIBLE_ONLY: [&str; 4] =
    ["delete-in-parallel", "flexible-filter-quoted", "flexible-filter-plain", "flexible-reimage"];
const UNIFORM_ONLY: [&str; 4] =
    ["instance-ids-grow", "computer-name", "delete-unknown-instance", "delete-in-flight"];

fn sorted(ids: impl IntoIterator<Item = &'static str>) -> BTreeSet<&'static str> {
    ids.into_iter().collect()
}

/// Everything that a kind of scale set can show is tried and as expected; nothing is left behind.
#[rstest]
#[case::uniform(uniform(), &FLEXIBLE_ONLY, &[])]
#[case::flexible(flexible(), &UNIFORM_ONLY, &["reimage-keeps-identity", "reimage-time-created"])]
#[case::ephemeral(ephemeral(), &UNIFORM_ONLY, &["flexible-reimage"])]
#[tokio::test]
async fn all_facts_are_as_expected(
    #[case] spec: WorldSpec,
    #[case] others: &'static [&'static str],
    #[case] untried: &'static [&'static str],
) {
    let bench = Bench::new(spec).await;
    let before = bench.snapshot();
    let report = bench.run().await;
    assert_eq!(differing(&report), Vec::<&str>::new(), "{}", lines(&report));
    let expected = sorted(others.iter().chain(untried).copied());
    assert_eq!(sorted(not_tried(&report)), expected, "{}", lines(&report));
    assert_eq!(report.findings().len(), TRIED.len());
    assert_eq!((report.exit_code(), report.unrestored()), (0, &[][..]));
    assert_eq!(bench.snapshot(), before);
}

/// A set with one VM has room for one more: what needs two is not tried, and the VM that was there stays.
#[rstest]
#[case::uniform(uniform(), "delete-in-flight")]
#[case::flexible(flexible(), "delete-in-parallel")]
#[tokio::test]
async fn a_vm_that_was_there_stays(#[case] mut spec: WorldSpec, #[case] untried: &str) {
    spec.scale_sets[0].capacity = 1;
    let bench = Bench::new(spec).await;
    let before = bench.snapshot();
    let report = bench.run().await;
    assert_eq!(differing(&report), Vec::<&str>::new(), "{}", lines(&report));
    assert!(not_tried(&report).contains(&untried), "{}", lines(&report));
    assert_eq!(bench.snapshot(), before);
}

#[tokio::test]
async fn a_full_set_gets_no_vm() {
    let mut spec = uniform();
    spec.scale_sets[0].capacity = 2;
    spec.scale_sets[0].agents = None;
    let bench = Bench::new(spec).await;
    let before = bench.snapshot();
    let report = bench.run().await;
    assert_eq!((differing(&report).len(), report.exit_code()), (0, 0), "{}", lines(&report));
    assert!(
        lines(&report).contains("computer-name: not tried: the list of instances was answered with 2 VMs")
    );
    assert!(as_expected(&report).contains(&"agent-delete-offline"));
    assert_eq!(bench.snapshot(), before);
}

/// Azure's limits are enforced in this world, with bursts; the minute is what a run may not come near.
#[rstest]
#[case(uniform())]
#[case(flexible())]
#[tokio::test]
async fn a_run_is_gentle(#[case] spec: WorldSpec) {
    let bench = Bench::new(spec).await;
    bench.run().await;
    bench.simulator.with_world(|world| {
        let tally = world.tally();
        assert_eq!(tally.max_vms, 2);
        for (call, count) in tally.calls() {
            assert_eq!(count.throttled, 0, "{call:?}");
        }
        let busiest = |call| tally.busiest(call).scale_set;
        assert!(busiest(Call::ScaleSetUpdate) > 0);
        assert!(busiest(Call::ScaleSetUpdate) <= 4, "{}", busiest(Call::ScaleSetUpdate));
        assert!(busiest(Call::InstanceDelete) <= 4, "{}", busiest(Call::InstanceDelete));
        assert!(busiest(Call::InstanceList) <= 10, "{}", busiest(Call::InstanceList));
        assert!(busiest(Call::OperationGet) <= 15, "{}", busiest(Call::OperationGet));
    });
}

/// Ctrl-C, wherever it comes.
#[rstest]
#[case(uniform())]
#[case(ephemeral())]
#[tokio::test]
async fn a_stopped_run_puts_everything_back(#[case] spec: WorldSpec) {
    let mut at = 1;
    loop {
        let bench = Bench::new(spec.clone()).await;
        let before = bench.snapshot();
        let report = bench.run_until(at).await;
        assert_eq!(report.unrestored(), &[] as &[String], "stopped at wait {at}");
        assert_eq!(bench.snapshot(), before, "stopped at wait {at}");
        if report.exit_code() != 2 {
            break;
        }
        assert!(report.summary().starts_with("stopped early: "), "{}", report.summary());
        at += 3;
    }
    assert!(at > 60, "the run ended at wait {at}");
}

/// Ctrl-C while a call is on its way: it has been carried out, and its answer is never read.
#[rstest]
#[case("capacity", |at: &Snapshot| at.capacity > 0)]
#[case("tags", |at: &Snapshot| at.tags.len() > 2)]
#[case("agents", |at: &Snapshot| at.agents.len() > 1)]
#[tokio::test]
async fn a_run_that_is_stopped_within_a_call(#[case] what: &str, #[case] changed: fn(&Snapshot) -> bool) {
    for spec in [uniform(), flexible()] {
        let bench = Bench::new(spec).await;
        let before = bench.snapshot();
        let stop = async {
            while !changed(&bench.snapshot()) {
                tokio::task::yield_now().await;
            }
        };
        let wait = async |duration| bench.pass(duration);
        let report = bench.prepare().await.unwrap().run(|_| {}, wait, stop).await;
        assert!(report.summary().starts_with("stopped early: "), "{what}: {}", report.summary());
        assert_eq!(report.unrestored(), &[] as &[String], "{what}");
        assert_eq!(bench.snapshot(), before, "{what}");
    }
}

/// Throttled calls are made again when they may be, and are no finding.
#[tokio::test]
async fn throttling_is_no_finding() {
    let bench = Bench::new(uniform()).await;
    let before = bench.snapshot();
    let (waits, listed) = (AtomicU32::new(0), Cell::new(false));
    let wait = async |duration| {
        bench.pass(duration);
        let count = waits.fetch_add(1, Ordering::Relaxed);
        bench.simulator.with_world(|world| {
            let until = world.now().checked_add(SignedDuration::from_secs(40)).ok();
            match count {
                2 => world.set_fault(Fault::Azure(bench.set, AzureFault::Throttle.into()), until),
                20 => world.set_fault(Fault::DevOps(0, DevOpsFault::Throttle), until),
                60.. if world.set(bench.set).is_some_and(|set| set.listed() == 1) && !listed.get() => {
                    listed.set(true);
                    world.set_fault(Fault::Azure(bench.set, AzureFault::Unavailable.into()), until);
                }
                _ => {}
            }
        });
    };
    let report = bench.prepare().await.unwrap().run(|_| {}, wait, std::future::pending()).await;
    assert_eq!(differing(&report), Vec::<&str>::new(), "{}", lines(&report));
    assert_eq!(sorted(not_tried(&report)), sorted(FLEXIBLE_ONLY), "{}", lines(&report));
    assert_eq!(bench.snapshot(), before);
    bench.simulator.with_world(|world| {
        let faults = world.journal().entries().filter(|entry| entry.kind == Kind::FaultChanged).count();
        assert_eq!(faults, 3);
    });
}

/// A part that cannot go on says why, and the others are tried all the same.
#[rstest]
#[case(AzureFault::AllocationFailed, "AllocationFailed")]
#[case(AzureFault::Quota, "409 OperationNotAllowed")]
#[tokio::test]
async fn a_shortage_ends_one_part(#[case] fault: AzureFault, #[case] why: &str) {
    let bench = Bench::new(uniform()).await;
    let before = bench.snapshot();
    bench.simulator.with_world(|world| world.set_fault(Fault::Azure(bench.set, fault.into()), None));
    let report = bench.run().await;
    let text = lines(&report);
    let line = text.lines().find(|line| line.starts_with("reimage-keeps-identity: not tried:"));
    assert!(line.is_some_and(|line| line.contains(why)), "{text}");
    assert!(as_expected(&report).contains(&"tags-patch-replaces"), "{text}");
    assert_eq!(report.unrestored(), &[] as &[String]);
    assert_eq!(bench.snapshot(), before);
}

/// What cannot be put back is said, and shows in the exit code.
#[tokio::test]
async fn what_is_left_is_said() {
    let bench = Bench::new(uniform()).await;
    let spoil = |_: &str| {};
    let wait = async |duration| {
        bench.pass(duration);
        bench.simulator.with_world(|world| {
            let grown = world.set(bench.set).is_some_and(|set| set.instances().next().is_some());
            if grown {
                world.set_fault(Fault::Azure(bench.set, AzureFault::Conflict.into()), None);
            }
        });
    };
    let report = bench.prepare().await.unwrap().run(spoil, wait, std::future::pending()).await;
    assert_eq!(report.exit_code(), 2);
    let left = report.unrestored();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("instances and capacity: the list of instances"), "{left:?}");
    assert!(report.markdown().contains("**Not put back:** instances and capacity"));
    assert!(report.summary().ends_with("not everything could be put back"));
}

/// Fit to be attached to an issue.
#[tokio::test]
async fn a_report_holds_everything_but_secrets() {
    let bench = Bench::new(uniform()).await;
    bench.plant(r#"{"patchStatus": 202}"#).await;
    let report = bench.run().await;
    let text = report.markdown();
    for secret in [SUBSCRIPTION, SECRET, PAT, "simulated."] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    assert!(text.contains("/subscriptions/00000000…/resourceGroups/trials"), "{text}");
    assert!(text.contains("| **differs**: 202 |"), "{text}");
    let data = text.split("```json").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["exitCode"], 1);
    assert_eq!(data["orchestration"], "Uniform");
    let facts = data["facts"].as_array().unwrap();
    assert_eq!(facts.len(), TRIED.len());
    for fact in facts {
        assert!(text.contains(&format!("| {} |", fact["id"].as_str().unwrap())));
    }
    let differs = facts.iter().find(|fact| fact["outcome"] == "differs").unwrap();
    assert_eq!((&differs["id"], &differs["seen"]), (&"patch-answer".into(), &"202".into()));
    assert!(text.contains("\n- spot-delete: "));
}
