//! What happens in the world, in virtual time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use jiff::SignedDuration;
use poolkeeper_simulator::{
    spec::{Distribution, Run, UnmatchedJobs},
    world::{
        AzureError, AzureFault, DevOpsError, Fault, JobResult, JobSpec, KilledBy, Kind, OperationStatus,
        OtherAgent, Power, Provisioning, ScaleSetChange,
    },
};
use rstest::rstest;
use support::{Bench, example, round_figures, running, start};

fn capacity(capacity: u32) -> ScaleSetChange {
    ScaleSetChange { capacity: Some(capacity), ..ScaleSetChange::default() }
}

#[test]
fn a_new_vm_is_listed_at_once_then_runs_registers_and_comes_online() {
    let mut bench = Bench::new(round_figures());
    let operation = bench.world.patch_scale_set(bench.set, capacity(1)).unwrap();
    let listed = |bench: &Bench| {
        let set = bench.world.set(bench.set).unwrap();
        set.instances().map(|instance| (instance.provisioning, instance.power)).collect::<Vec<_>>()
    };
    assert_eq!(listed(&bench), [(Provisioning::Creating, Power::Starting)]);
    bench.pass(59);
    assert_eq!(bench.world.operation(operation).unwrap().status, OperationStatus::InProgress);
    bench.pass(1);
    assert_eq!(listed(&bench), [(Provisioning::Succeeded, Power::Running)]);
    assert_eq!(bench.world.operation(operation).unwrap().status, OperationStatus::Succeeded);
    bench.pass(30);
    let agent = bench.world.pool(bench.pool).unwrap().agent_named("linux-d4000000").unwrap();
    assert!(!agent.online && agent.enabled);
    bench.pass(5);
    assert_eq!(bench.idle(), 1);
}

#[test]
fn the_default_start_takes_a_median_of_about_three_and_a_half_minutes() {
    let mut bench = Bench::new(example());
    bench.world.patch_scale_set(bench.set, capacity(100)).unwrap();
    bench.pass(3600);
    let mut starts: Vec<i64> = bench
        .world
        .journal()
        .entries()
        .filter(|entry| entry.kind == Kind::AgentOnline)
        .map(|entry| entry.at.duration_since(start()).as_secs())
        .collect();
    starts.sort_unstable();
    assert_eq!(starts.len(), 100);
    assert!((190..235).contains(&starts[50]), "median {} s", starts[50]);
    assert!((260..420).contains(&starts[95]), "95th percentile {} s", starts[95]);
}

#[test]
fn a_job_is_assigned_received_and_finished() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let request = bench.queue(1, 600)[0];
    let pool = |bench: &Bench| bench.world.pool(bench.pool).unwrap().request(request).cloned().unwrap();
    assert_eq!(pool(&bench).assigned_at, Some(start()));
    assert_eq!(pool(&bench).received_at, None);
    bench.pass(2 + 599);
    assert_eq!(pool(&bench).received_at, Some(start() + SignedDuration::from_secs(2)));
    assert_eq!(pool(&bench).result, None);
    bench.pass(1);
    assert_eq!(pool(&bench).result, Some(JobResult::Succeeded));
    assert_eq!(bench.idle(), 1);
    assert_eq!((bench.world.tally().finished, bench.world.tally().killed), (1, 0));
}

#[test]
fn a_once_agent_runs_one_job_and_stays_registered_offline() {
    let mut bench = Bench::new(running(1, Run::Once));
    bench.queue(2, 60);
    bench.pass(3600);
    let pool = bench.world.pool(bench.pool).unwrap();
    let agent = pool.agents().next().unwrap();
    assert!(!agent.online && agent.enabled && agent.request.is_none());
    assert_eq!(pool.open_requests().filter(|request| request.is_waiting()).count(), 1);
    assert_eq!(bench.world.tally().finished, 1);
}

#[test]
fn a_reimaged_vm_keeps_its_ids_and_takes_over_its_record() {
    let mut bench = Bench::new(running(1, Run::Once));
    bench.queue(1, 60);
    bench.pass(100);
    let before = bench.world.set(bench.set).unwrap().instances().next().unwrap().clone();
    bench.world.reimage_instances(bench.set, Some(&[before.id])).unwrap();
    bench.pass(40 + 30 + 5);
    let after = bench.world.set(bench.set).unwrap().instances().next().unwrap();
    assert_eq!(
        (after.id, after.vm_id, &after.computer_name),
        (before.id, before.vm_id, &before.computer_name)
    );
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.agents().map(|agent| (agent.id, agent.online)).collect::<Vec<_>>(), [(1, true)]);
    assert_eq!(bench.last(Kind::AgentRegistered).detail.as_deref(), Some("replaced the record"));
    assert_eq!(bench.world.tally().killed, 0);
}

#[rstest]
#[case::delete(KilledBy::Delete)]
#[case::reimage(KilledBy::Reimage)]
#[case::capacity(KilledBy::Capacity)]
fn a_vm_taken_from_under_its_job_abandons_the_job_after_ten_minutes(#[case] by: KilledBy) {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let request = bench.queue(1, 3600)[0];
    bench.pass(2 + 150);
    let (set, ids) = (bench.set, bench.instance_ids());
    match by {
        KilledBy::Delete => bench.world.delete_instances(set, &ids).unwrap(),
        KilledBy::Reimage => bench.world.reimage_instances(set, None).unwrap(),
        KilledBy::Capacity => bench.world.patch_scale_set(set, capacity(0)).unwrap(),
        KilledBy::Power
        | KilledBy::Replaced
        | KilledBy::Eviction
        | KilledBy::Reboot
        | KilledBy::Person
        | KilledBy::Vanished => unreachable!("not a case"),
    };
    assert_eq!(bench.world.tally().killed_by, [(by, 1)].into());
    // The agent renewed last after two minutes, which locks the job for ten more.
    bench.pass(-30 + 600 - 1);
    let agent = bench.world.pool(bench.pool).unwrap().agent(1).unwrap();
    assert_eq!(agent.request, Some(request), "the job stays with its agent while it is locked");
    bench.pass(1);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.request(request).unwrap().result, Some(JobResult::Abandoned));
    assert_eq!(pool.agent(1).unwrap().request, None);
    assert_eq!((bench.world.tally().finished, bench.world.tally().killed), (0, 1));
}

#[test]
fn an_agent_with_a_job_cannot_be_deleted_and_a_disabled_one_finishes_it() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    bench.queue(2, 60);
    bench.world.set_agent_enabled(bench.pool, 1, false).unwrap();
    let refused = bench.world.delete_agent(bench.pool, 1).unwrap_err();
    assert!(matches!(refused, DevOpsError::JobStillRunning { .. }), "{refused}");
    bench.pass(62);
    assert_eq!(bench.world.tally().finished, 1);
    assert_eq!(bench.idle(), 0, "a disabled agent takes no other job");
    bench.world.delete_agent(bench.pool, 1).unwrap();
    bench.pass(3600);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.agents().count(), 0, "the process does not come back by itself");
    assert_eq!(bench.instance_ids().len(), 1, "its VM stays");
    let instance = bench.instance_ids()[0];
    bench.world.delete_instances(bench.set, &[instance]).unwrap();
    assert_eq!(bench.world.tally().killed, 0);
}

#[test]
fn a_dead_agent_can_still_be_given_a_job_until_it_is_noticed() {
    let mut spec = running(1, Run::Continuous);
    spec.organizations[0].timings.offline = Distribution::seconds(30);
    let mut bench = Bench::new(spec);
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(10);
    bench.queue(2, 60);
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Delete, 1)].into());
    bench.pass(30);
    assert!(!bench.world.pool(bench.pool).unwrap().agent(1).unwrap().online);
    bench.pass(600);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.open_requests().count(), 1, "the other job waits");
}

#[test]
fn only_agents_that_meet_the_demands_get_a_job() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let other = |name: &str, capabilities: &[(&str, &str)]| OtherAgent {
        name: name.into(),
        version: "4.100.0".into(),
        capabilities: capabilities.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        user_capabilities: [].into(),
        runs: true,
    };
    bench.world.add_agent(bench.pool, other("gpu-1", &[("GPU", "A100")])).unwrap();
    bench.pass(60);
    let assigned = |bench: &mut Bench, demands: &[&str]| {
        let demands = demands.iter().map(|demand| (*demand).to_owned()).collect();
        let job = JobSpec { demands, ..JobSpec::new(Distribution::seconds(60)) };
        let request = bench.world.queue_jobs(bench.pool, job, None).unwrap()[0];
        let pool = bench.world.pool(bench.pool).unwrap();
        let agent = pool.request(request).unwrap().agent.as_ref().map(|(_, name)| name.to_string());
        bench.world.cancel_job(bench.pool, request).unwrap();
        agent
    };
    let (gpu, linux) = (Some("gpu-1".to_owned()), Some("linux-d4000000".to_owned()));
    assert_eq!(assigned(&mut bench, &["gpu"]), gpu);
    assert_eq!(assigned(&mut bench, &["gpu -equals a100"]), gpu);
    assert_eq!(assigned(&mut bench, &["gpu -equals H100"]), None);
    assert_eq!(assigned(&mut bench, &["Agent.Version -gtVersion 4.100.0", "gpu"]), gpu);
    assert_eq!(assigned(&mut bench, &["Agent.Version -gtVersion 4.100.1"]), linux);
    assert_eq!(assigned(&mut bench, &["Agent.Name -equals GPU-1"]), gpu);
    assert_eq!(assigned(&mut bench, &["Agent.Name -equals gpu-1", "docker"]), None);
}

#[test]
fn a_job_whose_agent_dies_first_is_never_received() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let request = bench.queue(1, 60)[0];
    bench.pass(1);
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(599);
    let pool = bench.world.pool(bench.pool).unwrap();
    let abandoned = pool.request(request).unwrap();
    assert_eq!((abandoned.received_at, abandoned.result), (None, Some(JobResult::Abandoned)));
    assert_eq!(abandoned.finished_at, Some(start() + SignedDuration::from_mins(10)));
}

#[test]
fn waiting_jobs_go_in_the_order_of_their_arrival_whatever_they_demand() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let mut requests = Vec::new();
    for demands in [vec!["docker"], vec![], vec!["docker"], vec!["Agent.OS"], vec![]] {
        let demands = demands.into_iter().map(str::to_owned).collect();
        let job = JobSpec { demands, ..JobSpec::new(Distribution::seconds(60)) };
        requests.extend(bench.world.queue_jobs(bench.pool, job, None).unwrap());
    }
    bench.pass(3600);
    let finished: Vec<u64> = bench
        .world
        .journal()
        .entries()
        .filter(|entry| entry.kind == Kind::JobFinished)
        .filter_map(|entry| entry.request)
        .collect();
    assert_eq!(finished, requests);
}

#[test]
fn a_job_that_nothing_registered_could_run_waits_or_fails_as_the_pool_says() {
    let mut spec = round_figures();
    spec.organizations[0].pools[0].unmatched_jobs = UnmatchedJobs::Fail;
    let mut bench = Bench::new(spec);
    let request = bench.queue(1, 60)[0];
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.request(request).unwrap().result, Some(JobResult::Failed));
    let placeholder = OtherAgent {
        name: "placeholder".into(),
        version: "4.261.0".into(),
        capabilities: [].into(),
        user_capabilities: [].into(),
        runs: false,
    };
    bench.world.add_agent(bench.pool, placeholder).unwrap();
    let request = bench.queue(1, 60)[0];
    bench.pass(3600);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert!(pool.open(request).unwrap().is_waiting(), "an offline record keeps it waiting");
}

#[test]
fn maintenance_runs_on_its_agent_only() {
    let mut bench = Bench::new(running(3, Run::Continuous));
    let job = JobSpec { maintenance_of: Some(2), ..JobSpec::new(Distribution::seconds(60)) };
    let request = bench.world.queue_jobs(bench.pool, job.clone(), None).unwrap()[0];
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.open(request).unwrap().agent.as_ref().map(|(id, _)| *id), Some(2));
    let next = bench.world.queue_jobs(bench.pool, job, None).unwrap()[0];
    assert!(bench.world.pool(bench.pool).unwrap().open(next).unwrap().is_waiting());
    assert_eq!(bench.idle(), 2);
}

#[test]
fn deletion_lowers_the_capacity_and_excludes_other_writes() {
    let mut bench = Bench::new(running(4, Run::Continuous));
    let set = bench.set;
    let deletion = bench.world.delete_instances(set, &[1, 2]).unwrap();
    assert_eq!(bench.world.set(set).unwrap().capacity, 2);
    assert_eq!(bench.instance_ids(), [0, 1, 2, 3], "listed until they are gone");
    assert_eq!(bench.world.delete_instances(set, &[1]), Err(AzureError::MarkedForDeletion("1".into())));
    assert_eq!(bench.world.delete_instances(set, &[3]), Err(AzureError::Conflict));
    assert_eq!(bench.world.patch_scale_set(set, capacity(3)), Err(AzureError::Conflict));
    assert_eq!(
        bench.world.reimage_instances(set, Some(&[2])),
        Err(AzureError::MarkedForDeletion("2".into()))
    );
    bench.world.reimage_instances(set, Some(&[3])).unwrap();
    bench.pass(20);
    assert_eq!(bench.world.operation(deletion).unwrap().status, OperationStatus::Succeeded);
    assert_eq!(bench.instance_ids(), [0, 3]);
    bench.world.patch_scale_set(set, capacity(3)).unwrap();
    assert_eq!(bench.instance_ids(), [0, 3, 4], "ids go up");
    assert_eq!(bench.world.delete_instances(set, &[9]), Err(AzureError::UnknownInstance("9".into())));
    assert_eq!(bench.world.delete_instances(set, &[]), Err(AzureError::NoInstances));
}

#[test]
fn freed_ids_come_again_where_the_world_says_so() {
    let mut spec = running(2, Run::Continuous);
    spec.scale_sets[0].reuse_instance_ids = true;
    let mut bench = Bench::new(spec);
    let old = bench.world.set(bench.set).unwrap().instance(0).unwrap().vm_id;
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(60);
    bench.world.patch_scale_set(bench.set, capacity(2)).unwrap();
    bench.pass(200);
    assert_eq!(bench.instance_ids(), [0, 1]);
    assert_ne!(bench.world.set(bench.set).unwrap().instance(0).unwrap().vm_id, old);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.agents().count(), 2, "the new VM took over the stale record");
}

#[test]
fn a_newer_capacity_write_takes_over_an_older_one() {
    let mut bench = Bench::new(round_figures());
    let first = bench.world.patch_scale_set(bench.set, capacity(1)).unwrap();
    bench.pass(30);
    let second = bench.world.patch_scale_set(bench.set, capacity(3)).unwrap();
    let older = bench.world.operation(first).unwrap();
    assert_eq!(older.status, OperationStatus::Canceled);
    assert_eq!(older.error.as_ref().unwrap().code, "OperationPreempted");
    bench.pass(60);
    assert_eq!(bench.world.operation(second).unwrap().status, OperationStatus::Succeeded);
    bench.pass(60);
    assert_eq!(bench.idle(), 3);
}

#[test]
fn writes_honour_the_etag_and_replace_all_tags() {
    let mut bench = Bench::new(round_figures());
    let etag = bench.world.set(bench.set).unwrap().etag();
    let tags = |value: &str, etag: &str| ScaleSetChange {
        tags: Some([("owner".to_owned(), value.to_owned())].into()),
        if_match: Some(etag.to_owned()),
        ..ScaleSetChange::default()
    };
    bench.world.patch_scale_set(bench.set, tags("first", &etag)).unwrap();
    let late = bench.world.patch_scale_set(bench.set, tags("second", &etag)).unwrap_err();
    assert!(matches!(late, AzureError::PreconditionFailed { .. }), "{late}");
    assert_eq!(bench.world.set(bench.set).unwrap().tags["owner"], "first");
}

#[test]
fn quota_refuses_and_failed_allocation_leaves_failed_members() {
    let mut bench = Bench::new(round_figures());
    let set = bench.set;
    let refused = bench.world.patch_scale_set(set, capacity(101)).unwrap_err();
    let AzureError::Quota(quota) = refused else { panic!("{refused}") };
    assert_eq!((quota.limit, quota.usage, quota.required), (400, 0, 404), "in cores, 4 for each VM");
    let until = start() + SignedDuration::from_mins(5);
    bench.world.set_fault(Fault::Azure(set, AzureFault::AllocationFailed.into()), Some(until));
    let operation = bench.world.patch_scale_set(set, capacity(10)).unwrap();
    bench.pass(300);
    let operation = bench.world.operation(operation).unwrap();
    assert_eq!(operation.status, OperationStatus::Failed);
    assert_eq!(operation.error.as_ref().unwrap().code, "AllocationFailed");
    let found = bench.world.set(set).unwrap();
    assert_eq!(found.capacity, 10, "Azure keeps the capacity that was asked for");
    assert!(found.instances().all(|instance| instance.provisioning == Provisioning::Failed));
    let failed = found.members();
    assert!((1..10).contains(&failed), "some are listed as failed, some are not listed: {failed}");
    bench.world.patch_scale_set(set, capacity(10)).unwrap();
    bench.pass(200);
    assert_eq!(bench.world.set(set).unwrap().members(), 10, "writing it again asks for the missing ones");
    assert_eq!(bench.idle(), 10 - failed as usize);
}

#[test]
fn jobs_can_be_queued_for_later() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    let at = start() + SignedDuration::from_mins(10);
    let job = JobSpec::new(Distribution::seconds(60));
    assert_eq!(bench.world.queue_jobs(bench.pool, job, Some(at)).unwrap(), [0_u64; 0]);
    assert_eq!(bench.world.next_event(), Some(at));
    bench.pass(600);
    assert_eq!(bench.last(Kind::JobAssigned).at, at);
}

#[test]
fn the_tally_sums_waits_and_vm_hours() {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.queue(3, 58);
    bench.pass(3600);
    let waits = bench.world.tally().waits();
    assert_eq!((waits.count, waits.p50_s, waits.max_s), (3, 0.0, 60.0));
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(3600);
    let hours = bench.world.tally().vm_time_at(bench.world.now());
    assert_eq!(hours, SignedDuration::from_secs(2 * 3600 + 3600 + 20));
    assert_eq!(bench.world.tally().max_vms, 2);
}

#[test]
fn the_same_seed_gives_the_same_journal_in_steps_of_any_size() {
    let play = |seed: u64, step: i64| {
        let mut spec = example();
        spec.scale_sets[0].capacity = 3;
        spec.scale_sets[0].agents.as_mut().unwrap().run = Run::Continuous;
        let mut bench = Bench::seeded(spec, seed);
        for hour in 0..4 {
            let demands = vec!["docker".to_owned()];
            let duration = Distribution::LogNormal { median: SignedDuration::from_mins(12), sigma: 0.8 };
            let job = JobSpec { demands, count: 20, ..JobSpec::new(duration) };
            bench.world.queue_jobs(bench.pool, job, None).unwrap();
            bench.world.patch_scale_set(bench.set, capacity(6 + 2 * hour)).unwrap();
            for _ in 0..3600 / step {
                bench.pass(step);
            }
        }
        bench.record()
    };
    let record = play(7, 3600);
    assert!(record.len() > 300, "{}", record.len());
    assert_eq!(record, play(7, 3600));
    assert_eq!(record, play(7, 10));
    assert_ne!(record, play(8, 3600));
}
