//! The policy runs a pool in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Basis, Binding, BindingName, Existing, Image, Lifecycle, Memory, Mode, Pool, Recycle, Sampling, ScaleOut,
    Seen, Standby, Verbs, decide,
};
use poolkeeper_simulator::{
    in_process::View,
    spec::{Distribution, Orchestration, Run},
    world::{AzureFault, DevOpsFault, Fault, JobSpec, Kind},
};
use rstest::rstest;
use support::{Bench, example};

const STATEFUL: Lifecycle = Lifecycle::Stateful { max_lifetime: SignedDuration::from_hours(7 * 24) };

fn pool(lifecycle: Lifecycle, standby: u32) -> Pool {
    Pool {
        name: "linux-build".into(),
        mode: Mode::Active,
        deletion: None,
        max_agents: 20,
        images: vec![Image::default()],
        bindings: vec![Binding {
            name: BindingName("d4".into()),
            image: 0,
            priority: 0,
            max_agents: None,
            draining: false,
            existing: Existing::Adopt,
            claimed_at: None,
        }],
        standby: Standby { agents: standby, basis: Basis::Idle, schedule: None, forecast: None },
        ignore_demands: [].into(),
        scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
        idle_delay: SignedDuration::from_mins(30),
        lifecycle,
        save_for_investigation: 0,
        max_failed_starts: 3,
        placeholders: false,
        verbs: Verbs::default(),
        start_timeout: SignedDuration::from_mins(10),
    }
}

struct Operator {
    bench: Bench,
    view: View,
    pool: Pool,
    memory: Memory,
}

impl Operator {
    fn new(run: Run, pool: Pool, seed: u64) -> Self {
        Self::orchestrated(Orchestration::Uniform, run, pool, seed)
    }

    fn orchestrated(orchestration: Orchestration, run: Run, pool: Pool, seed: u64) -> Self {
        let mut spec = example();
        spec.scale_sets[0].orchestration = orchestration;
        spec.scale_sets[0].model.ephemeral_os_disk = true;
        spec.scale_sets[0].agents.as_mut().unwrap().run = run;
        let bench = Bench::seeded(spec, seed);
        let bindings = BTreeMap::from([(BindingName("d4".into()), bench.set)]);
        let view = View { pool: bench.pool, bindings };
        Self { bench, view, pool, memory: Memory::default() }
    }

    /// Decides and acts whenever the policy wants to, until then; the number of actions.
    fn run(&mut self, duration: SignedDuration) -> usize {
        let end: Timestamp = self.bench.world.now() + duration;
        let mut actions = 0;
        while self.bench.world.now() < end {
            let now = self.bench.world.now();
            let seen = self.view.snapshot(&self.bench.world, &self.memory);
            let plan = decide(&self.pool, &seen, &self.memory, now);
            self.memory = plan.memory;
            actions += plan.actions.len();
            for action in &plan.actions {
                let outcome = self.view.apply(&mut self.bench.world, action);
                self.memory.record(outcome, now);
            }
            self.bench.world.advance(plan.next_wakeup.min(end));
        }
        actions
    }
}

#[rstest]
#[case::reimage(Run::Once, Lifecycle::Stateless(Recycle::Reimage))]
#[case::replace(Run::Once, Lifecycle::Stateless(Recycle::Replace))]
#[case::stateful(Run::Continuous, STATEFUL)]
fn a_morning_of_jobs_ends_without_a_killed_one(
    #[case] run: Run,
    #[case] lifecycle: Lifecycle,
    #[values(Orchestration::Uniform, Orchestration::Flexible)] orchestration: Orchestration,
    #[values(1, 2, 3)] seed: u64,
) {
    let mut operator = Operator::orchestrated(orchestration, run, pool(lifecycle, 2), seed);
    operator.run(SignedDuration::from_mins(15));
    assert_eq!(operator.bench.idle(), 2, "standby is there");
    for minute in 0..120 {
        let at = operator.bench.world.now() + SignedDuration::from_mins(minute);
        let duration = Distribution::LogNormal { median: SignedDuration::from_mins(8), sigma: 0.6 };
        let demands = vec!["docker".to_owned()];
        let job = JobSpec { demands, ..JobSpec::new(duration) };
        operator.bench.world.queue_jobs(operator.bench.pool, job, Some(at)).unwrap();
    }
    operator.run(SignedDuration::from_hours(6));
    let tally = operator.bench.world.tally();
    assert_eq!((tally.finished, tally.killed), (120, 0));
    assert!(tally.max_vms <= 20, "{} VMs", tally.max_vms);
    assert_eq!(operator.bench.idle(), 2, "back to the standby");
    assert_eq!(operator.run(SignedDuration::from_hours(1)), 0, "nothing changes, nothing is done");
}

#[test]
fn one_job_starts_one_vm_and_none_stays() {
    let mut operator = Operator::new(Run::Once, pool(Lifecycle::Stateless(Recycle::Reimage), 0), 1);
    assert_eq!(operator.run(SignedDuration::from_mins(5)), 0);
    operator.bench.queue(1, 600);
    operator.run(SignedDuration::from_hours(2));
    let tally = operator.bench.world.tally();
    assert_eq!((tally.finished, tally.killed, tally.max_vms, tally.vms), (1, 0, 1, 0));
    assert_eq!(operator.bench.world.pool(operator.bench.pool).unwrap().agents().count(), 0);
}

#[test]
fn faults_make_sources_missing_and_nothing_is_removed() {
    let mut operator = Operator::new(Run::Continuous, pool(STATEFUL, 3), 1);
    operator.run(SignedDuration::from_mins(15));
    operator.pool.standby.agents = 0;
    let until = operator.bench.world.now() + SignedDuration::from_hours(2);
    let organization = Fault::DevOps(0, DevOpsFault::SignIn);
    operator.bench.world.set_fault(organization, Some(until));
    let seen = operator.view.snapshot(&operator.bench.world, &operator.memory);
    assert!(matches!(seen.jobs, Seen::Missing { .. }) && matches!(seen.agents, Seen::Missing { .. }));
    operator.run(SignedDuration::from_hours(2));
    assert_eq!(operator.bench.count(Kind::VmDeleting), 0);
    let until = operator.bench.world.now() + SignedDuration::from_hours(2);
    operator
        .bench
        .world
        .set_fault(Fault::Azure(operator.bench.set, AzureFault::Unavailable.into()), Some(until));
    operator.run(SignedDuration::from_hours(2));
    assert_eq!(operator.bench.count(Kind::VmDeleting), 0);
    operator.run(SignedDuration::from_hours(2));
    assert_eq!(operator.bench.count(Kind::VmDeleted), 3, "once all is read again");
}
