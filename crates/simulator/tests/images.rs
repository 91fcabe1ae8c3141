//! Several images in one pool: Azure DevOps hands jobs out by what agents carry, and the policy sees to it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use poolkeeper_policy::{
    Basis, Binding, BindingName, Existing, Image, Lifecycle, Memory, Mode, Pool, RecordChange, Recycle,
    Sampling, ScaleOut, Standby, Verbs, decide,
};
use poolkeeper_simulator::{
    in_process::View,
    spec::{Distribution, Run},
    world::JobSpec,
};
use rstest::rstest;
use support::{Bench, example};

/// `ubuntu`, also called `linux`, of version 1.2.3. Its agents report nothing of that themselves.
fn pool(lifecycle: Lifecycle) -> Pool {
    let version = [("imageversionoverride".to_owned(), "1.2.3".to_owned())];
    Pool {
        name: "linux-build".into(),
        mode: Mode::Active,
        deletion: None,
        max_agents: 20,
        images: vec![Image {
            name: "ubuntu".into(),
            aliases: vec!["linux".into()],
            capabilities: version.into(),
            ..Image::default()
        }],
        bindings: vec![Binding {
            name: BindingName("d4".into()),
            image: 0,
            priority: 0,
            max_agents: None,
            draining: false,
            existing: Existing::Adopt,
            claimed_at: None,
        }],
        standby: Standby { agents: 0, basis: Basis::Idle, schedule: None, forecast: None },
        ignore_demands: [].into(),
        scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
        idle_delay: SignedDuration::from_mins(30),
        lifecycle,
        save_for_investigation: 0,
        max_failed_starts: 3,
        placeholders: true,
        verbs: Verbs::default(),
        start_timeout: SignedDuration::from_mins(10),
    }
}

struct Operator {
    bench: Bench,
    view: View,
    pool: Pool,
    memory: Memory,
    labels: usize,
}

impl Operator {
    fn new(run: Run, pool: Pool) -> Self {
        let mut spec = example();
        let agents = spec.scale_sets[0].agents.as_mut().unwrap();
        agents.run = run;
        agents.capabilities.remove("ImageOverride");
        let bench = Bench::new(spec);
        let bindings = BTreeMap::from([(BindingName("d4".into()), bench.set)]);
        let view = View { pool: bench.pool, bindings };
        Self { bench, view, pool, memory: Memory::default(), labels: 0 }
    }

    fn run(&mut self, minutes: i64) {
        let end = self.bench.world.now() + SignedDuration::from_mins(minutes);
        while self.bench.world.now() < end {
            let now = self.bench.world.now();
            let seen = self.view.snapshot(&self.bench.world, &self.memory);
            let plan = decide(&self.pool, &seen, &self.memory, now);
            self.memory = plan.memory;
            for action in &plan.actions {
                let outcome = self.view.apply(&mut self.bench.world, action);
                self.memory.record(outcome, now);
            }
            for change in &plan.records {
                self.labels += usize::from(matches!(change, RecordChange::Label { .. }));
                self.view.change(&mut self.bench.world, change).unwrap();
            }
            self.bench.world.advance(plan.next_wakeup.min(end));
        }
    }

    fn queue(&mut self, demands: &[&str]) {
        let demands = demands.iter().map(|demand| (*demand).to_owned()).collect();
        let job = JobSpec { demands, ..JobSpec::new(Distribution::seconds(300)) };
        self.bench.world.queue_jobs(self.bench.pool, job, None).unwrap();
    }
}

#[rstest]
#[case::stateless(Run::Once, Lifecycle::Stateless(Recycle::Reimage))]
#[case::stateful(Run::Continuous, Lifecycle::Stateful { max_lifetime: SignedDuration::from_hours(7 * 24) })]
fn jobs_run_by_name_alias_and_version(#[case] run: Run, #[case] lifecycle: Lifecycle) {
    let mut operator = Operator::new(run, pool(lifecycle));
    operator.run(2);
    let asked = [
        "ImageOverride -equals Ubuntu",
        "ImageOverride -equals LINUX",
        "ImageVersionOverride -equals 1.2.3",
        "Agent.Version -gtVersion 4.1.0",
        "IMAGEOVERRIDE",
    ];
    for (finished, demand) in (1..).zip(&asked) {
        operator.queue(&[demand]);
        operator.run(30);
        let tally = operator.bench.world.tally();
        assert_eq!((tally.finished, tally.cancelled, tally.killed), (finished, 0, 0), "{demand}");
    }
    // All at once too.
    for demand in &asked {
        operator.queue(&["docker", demand]);
    }
    operator.run(60);
    let tally = operator.bench.world.tally();
    assert_eq!((tally.finished, tally.cancelled, tally.killed), (10, 0, 0));
    // Nothing changes, nothing is written.
    operator.run(120);
    let labels = operator.labels;
    operator.run(600);
    assert_eq!(operator.labels, labels);
    assert_eq!(operator.bench.world.pool(operator.bench.pool).unwrap().agents().count(), 2, "placeholders");
}
