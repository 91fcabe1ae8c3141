//! What befalls machines past the operator: evictions, reboots, people, bad images, deletions of everything.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::{
    spec::{DeleteWhileRunning, Facts, InstanceIdReuse, Orchestration, Run},
    world::{
        AzureError, By, EvictionPolicy, KilledBy, Kind, OperationStatus, Power, PowerAction, Provisioning,
        ScaleSetChange, StartFails, StartFailure,
    },
};
use rstest::rstest;
use support::{Bench, round_figures, running};

fn capacity(capacity: u32) -> ScaleSetChange {
    ScaleSetChange { capacity: Some(capacity), ..ScaleSetChange::default() }
}

#[test]
fn an_evicted_vm_stays_without_a_host_and_its_job_is_nobodys_fault_but_azures() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    bench.queue(1, 3600);
    bench.pass(10);
    bench.world.evict(bench.set, 0, EvictionPolicy::Deallocate).unwrap();
    bench.pass(30);
    let set = bench.world.set(bench.set).unwrap();
    let instance = set.instance(0).unwrap();
    assert_eq!((instance.power, instance.provisioning), (Power::Deallocated, Provisioning::Succeeded));
    assert_eq!((set.capacity, set.members()), (1, 1));
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Eviction, 1)].into());
    assert!(!bench.world.pool(bench.pool).unwrap().agent(1).unwrap().online);
    bench.world.power(bench.set, Some(&[0]), PowerAction::Start).unwrap();
    bench.pass(100);
    assert!(bench.world.pool(bench.pool).unwrap().agent(1).unwrap().online);
}

#[rstest]
#[case(true, 1)]
#[case(false, 2)]
fn an_evicted_vm_that_goes_lowers_the_capacity_or_not(#[case] lowers: bool, #[case] left: u32) {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.world.set_facts(Facts { eviction_lowers_capacity: lowers, ..Facts::default() });
    bench.world.evict(bench.set, 1, EvictionPolicy::Delete).unwrap();
    let twice = bench.world.evict(bench.set, 1, EvictionPolicy::Delete).unwrap_err();
    assert!(matches!(twice, AzureError::MarkedForDeletion(_)), "{twice}");
    bench.pass(30);
    let set = bench.world.set(bench.set).unwrap();
    assert_eq!((set.capacity, set.members(), set.listed()), (left, 1, 1));
    // The same figure asks for the one that is missing.
    bench.world.patch_scale_set(bench.set, capacity(2)).unwrap();
    bench.pass(60);
    assert_eq!(bench.world.set(bench.set).unwrap().members(), 2);
}

#[test]
fn a_vm_that_is_evicted_on_its_way_fails_its_operation() {
    let mut bench = Bench::new(round_figures());
    let operation = bench.world.patch_scale_set(bench.set, capacity(1)).unwrap();
    bench.world.evict(bench.set, 0, EvictionPolicy::Delete).unwrap();
    bench.pass(200);
    assert_eq!(bench.world.operation(operation).unwrap().status, OperationStatus::Failed);
    assert_eq!((bench.count(Kind::VmRunning), bench.instance_ids().len()), (0, 0));
}

#[rstest]
#[case(Run::Continuous, true)]
#[case(Run::Once, false)]
fn the_agent_of_a_machine_that_restarts_comes_back_unless_it_takes_one_job(
    #[case] run: Run,
    #[case] returns: bool,
) {
    let mut bench = Bench::new(running(1, run));
    bench.queue(1, 3600);
    bench.pass(10);
    bench.world.reboot(bench.set, 0).unwrap();
    let agent = |bench: &Bench| bench.world.pool(bench.pool).unwrap().agent(1).cloned().unwrap();
    assert!(!agent(&bench).online, "it says good-bye");
    bench.pass(29);
    assert!(!agent(&bench).online);
    bench.pass(62);
    assert_eq!(agent(&bench).online, returns);
    assert_eq!(bench.world.set(bench.set).unwrap().instance(0).unwrap().power, Power::Running);
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Reboot, 1)].into());
    assert_eq!((bench.count(Kind::AgentRegistered), bench.count(Kind::VmRunning)), (1, 1));
}

#[test]
fn an_agent_does_not_return_to_a_machine_that_was_reimaged_or_under_a_record_that_was_deleted() {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.world.reboot(bench.set, 0).unwrap();
    bench.world.reboot(bench.set, 1).unwrap();
    bench.world.reimage_instances(bench.set, Some(&[0])).unwrap();
    bench.world.delete_agent(bench.pool, 2).unwrap();
    bench.pass(300);
    assert_eq!(bench.count(Kind::AgentOnline), 2 + 1, "at the start, and after the reimage");
    assert!(bench.world.pool(bench.pool).unwrap().agent(2).is_none());
}

#[test]
fn what_a_person_does_is_not_put_down_to_the_operator() {
    let mut bench = Bench::new(running(3, Run::Continuous));
    bench.queue(3, 3600);
    bench.pass(10);
    bench.world.by_hand(bench.set, By::Power(PowerAction::Deallocate, &[0])).unwrap();
    bench.world.by_hand(bench.set, By::Deleting(&[1])).unwrap();
    bench.pass(100);
    bench.world.by_hand(bench.set, By::Capacity(1)).unwrap();
    bench.pass(100);
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Person, 3)].into());
    assert_eq!((bench.instance_ids(), bench.world.set(bench.set).unwrap().capacity), (vec![0], 1));
}

#[rstest]
#[case(StartFails::Extension, Some("Microsoft.Azure.DevOps.Pipelines.Agent"), Provisioning::Failed)]
#[case(StartFails::Script, Some("CustomScript"), Provisioning::Failed)]
#[case(StartFails::Silent, None, Provisioning::Succeeded)]
#[case(StartFails::Creation, None, Provisioning::Failed)]
fn a_bad_image_fails_its_vms_until_it_is_good(
    #[case] kind: StartFails,
    #[case] extension: Option<&str>,
    #[case] provisioning: Provisioning,
    #[values(Orchestration::Uniform, Orchestration::Flexible)] orchestration: Orchestration,
) {
    let mut spec = round_figures();
    spec.scale_sets[0].orchestration = orchestration;
    let mut bench = Bench::new(spec);
    bench.world.set_start_failure(bench.set, Some(StartFailure::new(kind, 1)));
    let operation = bench.world.patch_scale_set(bench.set, capacity(1)).unwrap();
    bench.pass(600);
    let set = bench.world.set(bench.set).unwrap();
    let instance = set.instance(0).unwrap();
    assert_eq!((instance.provisioning, set.failed_extension(instance)), (provisioning, extension));
    assert_eq!(instance.failure.is_some(), provisioning == Provisioning::Failed);
    assert_eq!(instance.power == Power::Running, kind != StartFails::Creation);
    let failed = bench.world.operation(operation).unwrap().status == OperationStatus::Failed;
    assert_eq!(failed, provisioning == Provisioning::Failed);
    assert_eq!((bench.count(Kind::AgentRegistered), set.capacity), (0, 1));

    bench.world.set_start_failure(bench.set, None);
    bench.world.patch_scale_set(bench.set, capacity(2)).unwrap();
    bench.pass(600);
    assert_eq!(bench.idle(), 1, "the one that failed stays as it is");
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(30);
    assert_eq!(bench.instance_ids(), [1]);
}

#[test]
fn every_second_vm_fails_and_a_reimage_draws_anew() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    bench.world.set_start_failure(bench.set, Some(StartFailure::new(StartFails::Silent, 2)));
    bench.world.patch_scale_set(bench.set, capacity(5)).unwrap();
    bench.pass(600);
    assert_eq!(bench.idle(), 1 + 2);
    bench.world.set_start_failure(bench.set, None);
    let silent: Vec<u64> = {
        let pool = bench.world.pool(bench.pool).unwrap();
        let instances = bench.world.set(bench.set).unwrap().instances();
        instances.filter(|vm| pool.agent_named(&vm.computer_name).is_none()).map(|vm| vm.id).collect()
    };
    assert_eq!(silent, [2, 4]);
    bench.world.reimage_instances(bench.set, Some(&silent)).unwrap();
    bench.pass(600);
    assert_eq!(bench.idle(), 5);
}

#[test]
fn a_scale_set_that_is_deleted_takes_all_with_it() {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.queue(1, 3600);
    bench.pass(10);
    let operation = bench.world.patch_scale_set(bench.set, capacity(4)).unwrap();
    let id = bench.world.set(bench.set).unwrap().spec.resource_id.clone();
    bench.world.vanish_set(bench.set);
    assert!(bench.world.find_set(&id).is_none() && bench.world.set(bench.set).is_none());
    assert_eq!(bench.world.sets().count(), 0);
    assert_eq!(bench.world.patch_scale_set(bench.set, capacity(1)).unwrap_err(), AzureError::NotFound);
    assert_eq!(bench.world.operation(operation).unwrap().status, OperationStatus::Canceled);
    bench.pass(3600);
    let pool = bench.world.pool(bench.pool).unwrap();
    assert_eq!(pool.agents().map(|agent| agent.online).collect::<Vec<_>>(), [false, false]);
    assert_eq!((bench.world.tally().vms, bench.count(Kind::VmDeleted)), (0, 4));
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Vanished, 1)].into());
}

#[test]
fn an_organization_that_is_deleted_is_not_found() {
    let mut bench = Bench::new(running(1, Run::Continuous));
    bench.world.vanish_organization(0);
    assert!(bench.world.find_pool("fabrikam", "linux-build").is_none());
    assert!(bench.world.organizations().all(poolkeeper_simulator::world::Organization::is_gone));
}

#[rstest]
#[case(DeleteWhileRunning::Refused, false)]
#[case(DeleteWhileRunning::Allowed, true)]
fn a_record_may_go_from_under_its_job(#[case] fact: DeleteWhileRunning, #[case] goes: bool) {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.world.set_facts(Facts { agent_delete_while_running: fact, ..Facts::default() });
    bench.queue(2, 600);
    bench.pass(10);
    for agent in [1, 2] {
        assert_eq!(bench.world.delete_agent(bench.pool, agent).is_ok(), goes);
    }
    if !goes {
        return;
    }
    assert_eq!(bench.world.tally().killed, 0, "the jobs run on");
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    assert_eq!(bench.world.tally().killed_by, [(KilledBy::Delete, 1)].into());
    bench.pass(700);
    bench.world.delete_instances(bench.set, &[1]).unwrap();
    assert_eq!((bench.world.tally().finished, bench.world.tally().killed), (1, 1));
}

#[rstest]
#[case(InstanceIdReuse::Never, 2)]
#[case(InstanceIdReuse::Lowest, 0)]
fn a_new_instance_has_a_new_id_or_the_lowest_that_is_free(#[case] fact: InstanceIdReuse, #[case] id: u64) {
    let mut bench = Bench::new(running(2, Run::Continuous));
    bench.world.set_facts(Facts { instance_id_reuse: fact, ..Facts::default() });
    bench.world.delete_instances(bench.set, &[0]).unwrap();
    bench.pass(30);
    bench.world.patch_scale_set(bench.set, capacity(2)).unwrap();
    bench.pass(10);
    let found = bench.world.set(bench.set).unwrap().instance(id).unwrap();
    assert_eq!(found.computer_name.as_ref(), format!("linux-d400000{id}"));
    assert_eq!(bench.instance_ids().len(), 2);
}

#[test]
fn a_clone_goes_its_own_way_and_would_have_gone_the_same() {
    let mut bench = Bench::new(running(3, Run::Once));
    bench.queue(2, 60);
    bench.pass(30);
    let mut other = bench.world.clone();
    let before = other.journal().written();
    bench.pass(600);
    assert!(bench.world.journal().written() > before);
    assert_eq!(other.journal().written(), before);
    other.advance(bench.world.now());
    let text = |world: &poolkeeper_simulator::World| -> Vec<String> {
        world.journal().entries().map(ToString::to_string).collect()
    };
    assert_eq!(text(&other), text(&bench.world));
}

#[test]
fn after_the_last_number_that_there_is_nothing_has_changed() {
    let bench = Bench::new(running(1, Run::Once));
    assert_eq!(bench.world.journal().since(u64::MAX).count(), 0);
    assert!(bench.world.journal().since(0).count() > 0);
}
