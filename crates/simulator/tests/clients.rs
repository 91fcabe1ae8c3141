//! The operator's own clients against the HTTP face.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::sync::Arc;

use poolkeeper_azure::{
    Cloud, Credential, Fault, InstanceId, InstanceIds, OperationStatus, OrchestrationMode, PowerState,
    ProvisioningState, ScaleSetId, ScaleSets, Sku, Started, fault,
};
use poolkeeper_azure_devops::{AgentId, AgentStatus, Authorization, JobState, Organization, PoolId, Removal};
use poolkeeper_rest::{CallLog, Class, Http, Limits, Url};
use poolkeeper_simulator::{
    WorldSpec,
    spec::{Orchestration, Run, SubnetSpec},
};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::json;
use support::{
    face::{CLIENT, Face, PAT, SECRET, SET, TENANT},
    round_figures, running,
};

const SUBNET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/agents/subnets/agents";

struct Clients {
    face: Face,
    azure: ScaleSets,
    devops: Organization,
    set: ScaleSetId,
    pool: PoolId,
}

impl Clients {
    async fn new(spec: WorldSpec) -> Self {
        Self::with_secrets(spec, SECRET, PAT).await
    }

    async fn with_secrets(spec: WorldSpec, secret: &str, token: &str) -> Self {
        let face = Face::new(spec).await;
        let http = Http::new(Limits::default()).unwrap();
        let cloud = Cloud::custom(&face.base, &face.base, "https://management.azure.com/.default").unwrap();
        let secret = SecretString::from(secret.to_owned());
        let credential = Credential::client_secret(&http, &cloud, TENANT, CLIENT, &secret).unwrap();
        let azure = ScaleSets::new(http.clone(), &cloud, Arc::new(credential), CallLog::default()).unwrap();
        let url = Url::parse(&format!("{}/fabrikam", face.base)).unwrap();
        let token = Authorization::Pat(SecretString::from(token.to_owned()));
        let devops = Organization::new(http, url, token, CallLog::default()).unwrap();
        Self { face, azure, devops, set: SET.parse().unwrap(), pool: PoolId(44) }
    }

    async fn grow(&self, capacity: u32) -> Started {
        let sku = Sku { name: "Standard_D4ds_v5".into(), tier: Some("Standard".into()), capacity: None };
        self.azure.set_capacity(&self.set, &sku, capacity, None).await.unwrap()
    }

    async fn status(&self, started: &Started) -> OperationStatus {
        self.azure.operation(started.operation.as_ref().unwrap()).await.unwrap().value
    }

    async fn fault(&self, fault: serde_json::Value) {
        let answer = self.face.control(Method::POST, "faults", fault).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
}

fn ids(ids: &[&str]) -> InstanceIds {
    ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<InstanceId>>().try_into().unwrap()
}

#[tokio::test]
async fn a_set_grows_and_its_pages_are_followed() {
    let mut spec = round_figures();
    spec.paging.instances = 2;
    let clients = Clients::new(spec).await;
    let started = clients.grow(5).await;
    assert_eq!(clients.status(&started).await, OperationStatus::InProgress);
    let listed = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().all(|vm| vm.provisioning_state == Some(ProvisioningState::Creating)));
    clients.face.pass(100);
    assert_eq!(clients.status(&started).await, OperationStatus::Succeeded);
    let listed = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    assert!(listed.iter().all(|vm| vm.power == Some(PowerState::Running) && vm.vm_id.is_some()));
    assert_eq!(listed[4].computer_name.as_deref(), Some("linux-d4000004"));
    assert_eq!(clients.devops.agents(clients.pool).await.unwrap().value.len(), 5);
}

#[tokio::test]
async fn an_agent_is_drained_and_its_vm_deleted() {
    let clients = Clients::new(running(2, Run::Continuous)).await;
    let pool = clients.devops.pool_by_name("linux-build").await.unwrap().value.unwrap();
    assert_eq!(pool.id, clients.pool);
    assert!(!pool.options.elastic_pool);
    let request = clients.face.queue(1, "20m").await[0];
    let agents = clients.devops.agents(pool.id).await.unwrap().value;
    let busy = agents.iter().find(|agent| agent.assigned_request.is_some()).unwrap();
    let requests = clients.devops.job_requests(pool.id).await.unwrap().value;
    assert_eq!(requests[0].request_id.0, request);
    assert_eq!(requests[0].reserved_agent.as_ref().unwrap().id, busy.id);
    assert_eq!(requests[0].state(), JobState::Assigned);
    assert!(!clients.devops.disable_agent(pool.id, busy.id).await.unwrap().value.enabled);
    assert_eq!(clients.devops.delete_agent(pool.id, busy.id).await.unwrap().value, Removal::StillRunning);
    clients.face.pass(1300);
    assert_eq!(clients.devops.delete_agent(pool.id, busy.id).await.unwrap().value, Removal::Deleted);
    assert_eq!(clients.devops.delete_agent(pool.id, busy.id).await.unwrap().value, Removal::Gone);
    let name = busy.name.clone();
    let listed = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    let vm = listed.iter().find(|vm| vm.computer_name.as_ref() == Some(&name)).unwrap();
    let started = clients.azure.delete_instances(&clients.set, &ids(&[vm.id.as_str()])).await.unwrap();
    let conflict = clients.azure.delete_instances(&clients.set, &ids(&["0", "1"])).await.unwrap_err();
    assert_eq!(conflict.class(), Class::Conflict);
    clients.face.pass(30);
    assert_eq!(clients.status(&started).await, OperationStatus::Succeeded);
    let set = clients.azure.get(&clients.set).await.unwrap().value;
    assert_eq!(set.sku.unwrap().capacity, Some(1));
    assert_eq!(clients.face.simulator.with_world(|world| world.tally().killed), 0);
}

#[tokio::test]
async fn a_used_agent_comes_back_after_its_reimage() {
    let clients = Clients::new(running(1, Run::Once)).await;
    clients.face.queue(1, "1m").await;
    clients.face.pass(100);
    let agent = clients.devops.agent(clients.pool, AgentId(1)).await.unwrap().value.unwrap();
    assert_eq!(agent.status, AgentStatus::Offline);
    assert!(agent.last_completed_request.is_some());
    let before = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    clients.azure.reimage_instances(&clients.set, &ids(&["0"])).await.unwrap();
    clients.face.pass(100);
    let after = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    assert_eq!(before[0].vm_id, after[0].vm_id);
    let agent = clients.devops.agent(clients.pool, AgentId(1)).await.unwrap().value.unwrap();
    assert_eq!(agent.status, AgentStatus::Online);
    assert_eq!(agent.system_capabilities["docker"], "true");
}

#[tokio::test]
async fn a_claim_is_written_once_per_version() {
    let clients = Clients::new(round_figures()).await;
    let read = clients.azure.get(&clients.set).await.unwrap();
    let tags = [("owner".to_owned(), "poolkeeper".to_owned())].into();
    let etag = read.etag.as_deref();
    clients.azure.replace_tags(&clients.set, &tags, etag).await.unwrap();
    let late = clients.azure.replace_tags(&clients.set, &tags, etag).await.unwrap_err();
    assert_eq!(late.class(), Class::Precondition);
    assert_eq!(clients.azure.get(&clients.set).await.unwrap().value.tags, tags);
}

#[tokio::test]
async fn each_refusal_has_its_class() {
    let clients = Clients::new(round_figures()).await;
    let devops = async || clients.devops.agents(clients.pool).await.unwrap_err().class();
    let azure = async || clients.azure.get(&clients.set).await.unwrap_err().class();
    let cases = [
        (json!({"azureDevOps": "signIn", "for": "1m"}), Some(Class::Unauthenticated), None),
        (json!({"azureDevOps": "throttle", "for": "1m"}), Some(Class::Throttled), None),
        (json!({"azureDevOps": "unavailable", "for": "1m"}), Some(Class::Server), None),
        (json!({"azure": "forbidden", "for": "1m"}), None, Some(Class::Forbidden)),
        (json!({"azure": "throttle", "for": "1m"}), None, Some(Class::Throttled)),
        (json!({"azure": "unavailable", "for": "1m"}), None, Some(Class::Server)),
    ];
    for (fault, wanted_devops, wanted_azure) in cases {
        clients.fault(fault).await;
        if let Some(wanted) = wanted_devops {
            assert_eq!(devops().await, wanted);
        }
        if let Some(wanted) = wanted_azure {
            assert_eq!(azure().await, wanted);
        }
        clients.face.pass(61);
    }
    let other = SET.replace("linux-d4", "linux-d8").parse().unwrap();
    assert_eq!(clients.azure.get(&other).await.unwrap_err().class(), Class::NotFound);
    assert_eq!(clients.devops.agents(PoolId(45)).await.unwrap_err().class(), Class::NotFound);
    let sku = Sku { name: "Standard_D4ds_v5".into(), tier: None, capacity: None };
    let quota = clients.azure.set_capacity(&clients.set, &sku, 101, None).await.unwrap_err();
    assert_eq!(quota.class(), Class::Quota);
}

#[tokio::test]
async fn failed_allocation_shows_in_the_operation_and_the_instances() {
    let clients = Clients::new(round_figures()).await;
    clients.fault(json!({"azure": "allocationFailed", "for": "1h"})).await;
    let started = clients.grow(8).await;
    clients.face.pass(120);
    let OperationStatus::Failed(error) = clients.status(&started).await else { panic!("it failed") };
    assert_eq!(error.fault, Fault::Allocation);
    let listed = clients.azure.list_instances(&clients.set, &OrchestrationMode::Uniform).await.unwrap().value;
    assert!(!listed.is_empty() && listed.len() < 8);
    assert!(listed.iter().all(|vm| vm.provisioning_state == Some(ProvisioningState::Failed)));
}

#[tokio::test]
async fn wrong_secrets_are_refused() {
    let clients = Clients::with_secrets(round_figures(), "wrong", "wrong").await;
    let azure = clients.azure.get(&clients.set).await.unwrap_err();
    assert_eq!((azure.class(), fault::of(&azure)), (Class::Unauthenticated, Fault::Other));
    let devops = clients.devops.pool(clients.pool).await.unwrap_err();
    assert_eq!(devops.class(), Class::Unauthenticated);
}

#[tokio::test]
async fn a_flexible_sets_vms_are_listed_deleted_and_reimaged_one_by_one() {
    let mut spec = running(3, Run::Continuous);
    spec.paging.instances = 2;
    let set = &mut spec.scale_sets[0];
    set.orchestration = Orchestration::Flexible;
    set.model.ephemeral_os_disk = true;
    set.autoscale = true;
    set.subnet = Some(SubnetSpec { id: SUBNET.to_owned(), addresses: 250, used: 7 });
    let clients = Clients::new(spec).await;
    let read = clients.azure.get(&clients.set).await.unwrap().value;
    assert_eq!(read.orchestration_mode, Some(OrchestrationMode::Flexible));
    let mode = OrchestrationMode::Flexible;
    let listed = clients.azure.list_instances(&clients.set, &mode).await.unwrap().value;
    assert_eq!(listed.len(), 3);
    assert!(listed.iter().all(|vm| vm.power == Some(PowerState::Running) && vm.vm_id.is_some()));
    let (first, second) = (&listed[0].id, &listed[1].id);
    let deletion = clients.azure.delete_machine(&clients.set, first).await.unwrap();
    let again = clients.azure.delete_machine(&clients.set, first).await.unwrap_err();
    assert_eq!(fault::of(&again), Fault::MarkedForDeletion);
    let reimage = clients.azure.reimage_machine(&clients.set, second).await.unwrap();
    let growth = clients.grow(4).await;
    let one = clients.azure.get_instance(&clients.set, &mode, second).await.unwrap().value;
    assert_eq!(one.provisioning_state, Some(ProvisioningState::Updating));
    clients.face.pass(61);
    for started in [&deletion, &reimage, &growth] {
        assert_eq!(clients.status(started).await, OperationStatus::Succeeded);
    }
    let listed = clients.azure.list_instances(&clients.set, &mode).await.unwrap().value;
    assert!(listed.len() == 4 && listed.iter().all(|vm| vm.id != *first));
    let usages = clients.azure.usages(clients.set.subscription(), "westeurope").await.unwrap().value;
    let cores = usages.iter().find(|usage| usage.name == "cores").unwrap();
    assert_eq!(cores.current, 16);
    let space = clients.azure.subnet_space(&SUBNET.parse().unwrap()).await.unwrap().value.unwrap();
    assert_eq!((space.used, space.limit), (11, 250));
    assert_eq!(clients.azure.autoscale_settings(&clients.set).await.unwrap().value.len(), 1);
}
