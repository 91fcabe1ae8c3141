//! How long a decision takes, for pools of 10 to 10,000 VMs with as many waiting jobs.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::{
    collections::{BTreeMap, BTreeSet},
    hint::black_box,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, AgentId, Basis, Binding, BindingName, Demand, Existing, Image, InstanceId, JobRequest, Lifecycle,
    Memory, Mode, Orchestration, Pool, Power, Provisioning, Recycle, RequestId, Sampling, ScaleOut, ScaleSet,
    Seen, SetView, Snapshot, Standby, Verbs, Vm, VmId, decide,
};

fn pool(vms: u32) -> Pool {
    let binding = |name: &str, image| Binding {
        name: BindingName(name.to_owned()),
        image,
        priority: 0,
        max_agents: None,
        draining: false,
        existing: Existing::Adopt,
        claimed_at: None,
    };
    let image = |name: &str| Image { name: name.to_owned(), ..Image::default() };
    Pool {
        name: "linux-build".to_owned(),
        mode: Mode::Active,
        deletion: None,
        max_agents: vms * 2,
        images: vec![image("ubuntu"), image("windows")],
        bindings: vec![binding("linux-build-d4", 0), binding("windows-build-d4", 1)],
        standby: Standby { agents: vms / 10, basis: Basis::Idle, schedule: None, forecast: None },
        ignore_demands: BTreeSet::new(),
        scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
        idle_delay: SignedDuration::from_mins(30),
        lifecycle: Lifecycle::Stateless(Recycle::Reimage),
        save_for_investigation: 0,
        max_failed_starts: 3,
        placeholders: false,
        verbs: Verbs::default(),
        start_timeout: SignedDuration::from_mins(10),
    }
}

/// What an agent reports about its machine.
fn capabilities() -> BTreeMap<String, String> {
    (0..60).map(|number| (format!("capability.{number}"), format!("/opt/tool/{number}"))).collect()
}

/// A third each is busy, idle and starting; half of the jobs ask for a capability.
fn snapshot(count: u32, now: Timestamp) -> Snapshot {
    let (mut jobs, mut agents) = (Vec::new(), Vec::new());
    let (mut linux, mut windows) = (Vec::new(), Vec::new());
    for number in 0..count {
        let id = i64::from(number);
        let name = format!("{}{number:06}", if number % 2 == 0 { "linux-d4" } else { "win-d4" });
        let list = if number % 2 == 0 { &mut linux } else { &mut windows };
        list.push(Vm {
            // In no order, as Azure's are.
            vm_id: VmId(format!("{:08x}-7f3f-4c0e-8d54-{number:012x}", number.wrapping_mul(2_654_435_761))),
            instance_id: InstanceId(number.to_string()),
            computer_name: name.clone(),
            provisioning: Provisioning::Succeeded,
            power: Power::On,
            created_at: Some(now - SignedDuration::from_mins(40)),
            failure: None,
        });
        let state = (number / 2) % 3;
        if state < 2 {
            agents.push(Agent {
                id: AgentId(id),
                name,
                enabled: true,
                online: true,
                updating: false,
                created_at: Some(now - SignedDuration::from_mins(37)),
                status_changed_at: Some(now - SignedDuration::from_mins(37)),
                assigned: (state == 0).then_some(RequestId(id)),
                maintained: false,
                last_finished_at: None,
                capabilities: capabilities(),
                user_capabilities: BTreeMap::new(),
            });
        }
        let job = |id, agent, demands| JobRequest {
            id: RequestId(id),
            queued_at: Some(now),
            assigned_at: None,
            agent,
            demands,
            maintenance: false,
            definition: Some("nightly".to_owned()),
        };
        if state == 0 {
            jobs.push(job(id, Some(AgentId(id)), Vec::new()));
        }
        let demands = if number % 2 == 0 { Vec::new() } else { vec![Demand::parse("capability.7")] };
        jobs.push(job(1_000_000 + id, None, demands));
    }
    let set = |vms: Vec<Vm>| SetView {
        blocked: None,
        scale_set: Seen::Fresh {
            value: ScaleSet {
                capacity: u32::try_from(vms.len()).unwrap(),
                computer_name_prefix: "linux-d4".to_owned(),
                orchestration: Orchestration::Uniform,
                saved: BTreeMap::new(),
            },
            at: now,
        },
        instances: Seen::Fresh { value: vms, at: now },
        headroom: None,
    };
    Snapshot {
        jobs: Seen::Fresh { value: jobs, at: now },
        agents: Seen::Fresh { value: agents, at: now },
        sets: BTreeMap::from([
            (BindingName("linux-build-d4".to_owned()), set(linux)),
            (BindingName("windows-build-d4".to_owned()), set(windows)),
        ]),
        operations: BTreeMap::new(),
        parallel_jobs: None,
    }
}

fn decisions(criterion: &mut Criterion) {
    let now: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
    let mut group = criterion.benchmark_group("decide");
    for count in [10, 100, 1_000, 10_000] {
        let (pool, seen) = (pool(count), snapshot(count, now));
        // The second pass, so that there is a memory to carry on.
        let memory = decide(&pool, &seen, &Memory::default(), now).memory;
        let later = now + SignedDuration::from_secs(10);
        group.throughput(Throughput::Elements(u64::from(count)));
        group.bench_with_input(BenchmarkId::from_parameter(count), &count, |bench, _| {
            bench.iter(|| black_box(decide(black_box(&pool), black_box(&seen), black_box(&memory), later)));
        });
    }
    group.finish();
}

criterion_group!(benches, decisions);
criterion_main!(benches);
