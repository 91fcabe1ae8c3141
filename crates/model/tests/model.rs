//! Every interleaving of the loop within bounds: `MODEL_SECONDS` for each of the larger worlds, `MODEL_FAULTS` on the
//! way to a state, `MODEL_THREADS`.

use std::{str::FromStr, time::Duration};

use poolkeeper_model::{Bounds, Fault, Report, Variant, explore};

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn bounds(depth: Option<usize>) -> Bounds {
    let time = Duration::from_secs(setting("MODEL_SECONDS", 10));
    Bounds { depth, time: Some(time), threads: setting("MODEL_THREADS", 2), deep: false }
}

/// A world that is small enough to be explored whole.
fn whole(variant: Variant) -> Report {
    let report = holds(variant, Bounds { time: Some(Duration::from_secs(120)), ..bounds(None) });
    assert!(report.complete, "{report}");
    report
}

fn lifecycles() -> [Variant; 3] {
    [Variant::reimage(), Variant::replace(), Variant::stateful()]
}

fn holds(variant: Variant, bounds: Bounds) -> Report {
    let report = explore(variant, bounds);
    println!("{report}");
    assert!(report.found.is_empty(), "{report}");
    report
}

/// One VM and one job, with a fault of every kind: whole.
#[test]
fn one_vm_with_every_fault() {
    for variant in lifecycles() {
        let faults = setting("MODEL_FAULTS", 1);
        let variant = Variant { max_agents: 1, jobs: 1, faults, follow_one_of: 20, ..variant };
        let report = whole(variant);
        assert!(
            report.open > 0 && report.lost > 0,
            "the window is there, and jobs are lost through it: {report}"
        );
        assert!(report.followed > 0, "{report}");
    }
}

/// Nobody registers in the window that remains: nothing is lost at all.
#[test]
fn without_the_window_nothing_is_lost() {
    for variant in lifecycles() {
        let variant = Variant { max_agents: 1, jobs: 1, window: false, ..variant };
        let report = whole(variant);
        assert_eq!((report.open, report.lost), (0, 0), "{report}");
    }
}

/// Three VMs and two jobs: everything that is near the start, as far as the bounds let it.
#[test]
fn three_vms_and_two_jobs() {
    for variant in lifecycles() {
        let variant = Variant { faults: setting("MODEL_FAULTS", 1), follow_one_of: 200, ..variant };
        holds(variant, bounds(None));
    }
}

/// Three VMs and two jobs: some of what is far from the start, through the removal of several agents.
#[test]
fn three_vms_and_two_jobs_far_from_the_start() {
    for variant in lifecycles() {
        let variant = Variant { faults: setting("MODEL_FAULTS", 1), follow_one_of: 200, ..variant };
        let depth = Some(setting("MODEL_DEPTH", 60));
        holds(variant, Bounds { deep: true, ..bounds(depth) });
    }
}

/// Two VMs and one job without a fault.
#[test]
fn two_vms_and_one_job() {
    for variant in lifecycles() {
        let variant = Variant { max_agents: 2, jobs: 1, faults: 0, follow_one_of: 500, ..variant };
        holds(variant, bounds(None));
    }
}

/// Two VMs that have operations of their own, and a crash.
#[test]
fn two_vms_of_a_flexible_scale_set() {
    for variant in lifecycles() {
        let variant =
            Variant { max_agents: 2, jobs: 1, flexible: true, kinds: vec![Fault::Crash], ..variant };
        holds(variant, bounds(None));
    }
}
