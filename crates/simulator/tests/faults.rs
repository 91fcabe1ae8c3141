//! What a client sees of each fault of Azure, in both orchestrations.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::{
    WorldSpec,
    spec::{Orchestration, Run},
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    face::{Answer, Face, SET},
    running,
};

use Orchestration::{Flexible, Uniform};

/// Two VMs that run.
fn two(orchestration: Orchestration) -> WorldSpec {
    let mut spec = running(2, Run::Continuous);
    spec.scale_sets[0].orchestration = orchestration;
    spec.scale_sets[0].model.ephemeral_os_disk = true;
    spec
}

struct Scene {
    face: Face,
    orchestration: Orchestration,
}

impl Scene {
    async fn new(orchestration: Orchestration, fault: Value) -> Self {
        let scene = Self { face: Face::new(two(orchestration)).await, orchestration };
        scene.fault(fault).await;
        scene
    }

    async fn fault(&self, fault: Value) {
        let answer = self.face.control(Method::POST, "faults", fault).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    async fn clear(&self) {
        let answer = self.face.control(Method::DELETE, "faults?scaleSet=linux-d4", Value::Null).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    async fn list(&self) -> Answer {
        match self.orchestration {
            Uniform => self.face.get(&format!("{SET}/virtualMachines?$expand=instanceView")).await,
            Flexible => self.face.get(&by_filter()).await,
        }
    }

    async fn grow(&self, capacity: u32) -> Answer {
        self.face.patch(SET, json!({"sku": {"capacity": capacity}})).await
    }

    /// Deletes the first VM.
    async fn delete(&self) -> Answer {
        let id = self.first().await;
        self.face.post(&format!("{SET}/delete"), json!({"instanceIds": [id]})).await
    }

    /// The id of the first VM, whatever the client may see.
    async fn first(&self) -> String {
        let world = self.face.control(Method::GET, "world", Value::Null).await;
        let vm = &world.body["scaleSets"][0]["instances"][0];
        match self.orchestration {
            Uniform => vm["instanceID"].to_string(),
            Flexible => vm["name"].as_str().unwrap().to_owned(),
        }
    }

    async fn states(&self) -> Vec<String> {
        let list = self.list().await;
        let vms = list.body["value"].as_array().unwrap().clone();
        vms.iter().map(|vm| vm["properties"]["provisioningState"].as_str().unwrap().to_owned()).collect()
    }

    async fn poll(&self, started: &Answer) -> Answer {
        self.face.get(started.header("azure-asyncoperation")).await
    }
}

fn by_filter() -> String {
    let vms = SET.rsplit_once("/virtualMachineScaleSets/").unwrap().0;
    format!("{vms}/virtualMachines?$filter='virtualMachineScaleSet/id'%20eq%20'{SET}'&$expand=instanceView")
}

fn count(states: &[String], wanted: &str) -> usize {
    states.iter().filter(|state| *state == wanted).count()
}

#[rstest]
#[case::forbidden("forbidden", 403, "AuthorizationFailed")]
#[case::unavailable("unavailable", 503, "ServiceUnavailable")]
#[case::throttle("throttle", 429, "OperationNotAllowed")]
#[case::subscription("throttleSubscription", 429, "SubscriptionRequestsThrottled")]
#[tokio::test]
async fn every_call_is_refused(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
    #[case] kind: &str,
    #[case] status: u16,
    #[case] code: &str,
) {
    let scene = Scene::new(orchestration, json!({"scaleSet": "linux-d4", "azure": kind})).await;
    let get = scene.face.get(SET).await;
    for answer in [get, scene.list().await, scene.grow(3).await, scene.delete().await] {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (status, &json!(code)), "{}", answer.text);
        assert_eq!(answer.header("retry-after") == "30", status == 429);
    }
    scene.clear().await;
    assert_eq!((scene.face.get(SET).await.status, scene.list().await.status), (200, 200));
}

#[tokio::test]
async fn a_throttled_subscription_is_throttled_for_every_set_and_a_throttled_set_for_itself() {
    let mut spec = two(Uniform);
    let mut other = spec.scale_sets[0].clone();
    other.resource_id = SET.replace("linux-d4", "linux-d8");
    spec.scale_sets.push(other);
    let face = Face::new(spec).await;
    let neighbour = SET.replace("linux-d4", "linux-d8");
    for (kind, status) in [("throttle", 200), ("throttleSubscription", 429)] {
        let fault = json!({"scaleSet": "linux-d4", "azure": kind});
        face.control(Method::POST, "faults", fault).await;
        assert_eq!((face.get(SET).await.status, face.get(&neighbour).await.status), (429, status));
    }
    let rest = face.control(Method::DELETE, "faults?scaleSet=linux-d8", Value::Null).await;
    assert_eq!((rest.status, face.get(SET).await.status), (200, 429), "the other set's faults stay");
}

#[rstest]
#[tokio::test]
async fn a_set_that_is_gone_is_not_found(#[values(Uniform, Flexible)] orchestration: Orchestration) {
    let scene = Scene::new(orchestration, json!({"azure": "notFound"})).await;
    for answer in [scene.face.get(SET).await, scene.grow(3).await, scene.delete().await] {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (404, &json!("ResourceNotFound")));
    }
    let list = scene.list().await;
    match orchestration {
        Uniform => assert_eq!(list.status, 404),
        Flexible => assert_eq!((list.status, &list.body["value"]), (200, &json!([]))),
    }
}

#[rstest]
#[tokio::test]
async fn a_conflict_stops_writes_and_no_reads(#[values(Uniform, Flexible)] orchestration: Orchestration) {
    let scene = Scene::new(orchestration, json!({"azure": "conflict"})).await;
    for answer in [scene.grow(3).await, scene.delete().await] {
        assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("Conflict")));
    }
    assert_eq!((scene.face.get(SET).await.status, scene.states().await.len()), (200, 2));
    assert_eq!(scene.face.get(SET).await.body["sku"]["capacity"], 2);
}

/// Each want of machines, in the call and in the operation, with 3 of 8 allowed.
#[rstest]
#[case::quota("quota", 409, "OperationNotAllowed", "exceeding approved linux-d4 Family Cores quota")]
#[case::allocation("allocationFailed", 409, "AllocationFailed", "sufficient capacity")]
#[case::zone("zonalAllocationFailed", 409, "ZonalAllocationFailed", "Standard_D4ds_v5 in zone 1")]
#[case::constraints("overconstrained", 409, "OverconstrainedAllocationRequest", "too restrictive")]
#[case::size("skuNotAvailable", 409, "SkuNotAvailable", "not available in location 'westeurope'")]
#[case::subnet("subnetFull", 400, "SubnetIsFull", "does not have enough capacity")]
#[tokio::test]
async fn machines_are_wanting(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
    #[values("call", "operation")] stage: &str,
    #[case] kind: &str,
    #[case] status: u16,
    #[case] code: &str,
    #[case] words: &str,
) {
    let scene = Scene::new(orchestration, json!({"azure": kind, "in": stage, "allows": 3})).await;
    let asked = scene.grow(2 + 8).await;
    if stage == "call" {
        assert_eq!((asked.status, &asked.body["error"]["code"]), (status, &json!(code)), "{}", asked.text);
        assert!(asked.body["error"]["message"].as_str().unwrap().contains(words), "{}", asked.text);
        assert_eq!(scene.states().await.len(), 2, "nothing has changed");
        assert_eq!(scene.grow(2 + 3).await.status, 200, "three are allowed");
        assert_ne!(scene.grow(2 + 4).await.status, 200, "and not one more");
    } else {
        assert_eq!(asked.status, 200, "{}", asked.text);
        scene.face.pass(120);
        let operation = scene.poll(&asked).await;
        assert_eq!(operation.body["status"], "Failed");
        assert_eq!(operation.body["error"]["code"], code);
        assert!(operation.body["error"]["message"].as_str().unwrap().contains(words), "{}", operation.text);
        assert_eq!(scene.face.get(asked.header("location")).await.status, 409);
        let states = scene.states().await;
        assert_eq!(count(&states, "Succeeded"), 2 + 3, "three came: {states:?}");
        assert_eq!(count(&states, "Failed"), states.len() - 5);
        assert!(states.len() < 10, "some are not listed at all: {states:?}");
        assert_eq!(scene.face.get(SET).await.body["sku"]["capacity"], 10, "it stays as asked");
    }
    scene.clear().await;
    scene.face.pass(120);
    let again = scene.grow(9).await;
    assert_eq!(again.status, 200, "{}", again.text);
    scene.face.pass(120);
    assert_eq!(scene.poll(&again).await.body["status"], "Succeeded");
}

#[rstest]
#[tokio::test]
async fn a_preempted_operation_is_canceled_and_its_vms_go_on(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
) {
    let scene = Scene::new(orchestration, json!({"azure": "preempted"})).await;
    for vms in [3, 2] {
        let write = if vms == 3 { scene.grow(3).await } else { scene.delete().await };
        assert!(matches!(write.status, 200 | 202), "{}", write.text);
        assert_eq!(scene.poll(&write).await.body["status"], "InProgress");
        scene.face.pass(11);
        let over = scene.poll(&write).await;
        assert_eq!(over.body["status"], "Canceled");
        assert_eq!(over.body["error"]["code"], "OperationPreempted");
        scene.face.pass(60);
        assert_eq!(scene.states().await, vec!["Succeeded"; vms]);
        assert_eq!(scene.face.get(SET).await.body["sku"]["capacity"], vms);
    }
}

#[rstest]
#[tokio::test]
async fn an_operation_that_never_ends_ends_once_the_fault_is_over(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
) {
    let scene = Scene::new(orchestration, json!({"azure": "neverEnds"})).await;
    let growth = scene.grow(3).await;
    scene.face.pass(36_000);
    assert_eq!(scene.poll(&growth).await.body["status"], "InProgress");
    assert_eq!(count(&scene.states().await, "Creating"), 1);
    let deletion = scene.delete().await;
    match orchestration {
        Uniform => assert_eq!(deletion.status, 409, "one at a time, and the first has not ended"),
        Flexible => {
            scene.face.pass(36_000);
            assert_eq!(scene.poll(&deletion).await.body["status"], "InProgress");
            assert_eq!(count(&scene.states().await, "Deleting"), 1);
        }
    }
    scene.clear().await;
    scene.face.pass(61);
    assert_eq!(scene.poll(&growth).await.body["status"], "Succeeded");
    let left = if orchestration == Flexible { 2 } else { 3 };
    assert_eq!(scene.states().await, vec!["Succeeded"; left]);
}

#[rstest]
#[tokio::test]
async fn operations_that_were_held_go_on_when_the_fault_runs_out(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
) {
    let scene = Scene::new(orchestration, json!({"azure": "neverEnds", "for": "PT10M"})).await;
    let tags = scene.face.patch(SET, json!({"tags": {"a": "b"}})).await;
    let growth = scene.grow(3).await;
    assert_eq!((tags.status, growth.status), (200, 200));
    scene.face.pass(599);
    assert_eq!(scene.poll(&tags).await.body["status"], "InProgress");
    scene.face.pass(2);
    assert_eq!(scene.poll(&tags).await.body["status"], "Succeeded");
    assert_eq!(scene.poll(&growth).await.body["status"], "InProgress");
    scene.face.pass(60);
    assert_eq!(scene.poll(&growth).await.body["status"], "Succeeded");
}

#[rstest]
#[tokio::test]
async fn a_failed_extension_leaves_a_vm_that_runs_without_an_agent(
    #[values(Uniform, Flexible)] orchestration: Orchestration,
) {
    let scene = Scene::new(orchestration, json!({"azure": "extensionFails"})).await;
    let growth = scene.grow(3).await;
    scene.face.pass(3600);
    let operation = scene.poll(&growth).await;
    assert_eq!(operation.body["status"], "Failed");
    assert_eq!(operation.body["error"]["code"], "VMExtensionProvisioningError");
    let list = scene.list().await;
    let vms = list.body["value"].as_array().unwrap();
    let failed = vms.iter().find(|vm| vm["properties"]["provisioningState"] == "Failed").unwrap();
    let view = &failed["properties"]["instanceView"];
    assert_eq!(view["statuses"][1]["code"], "PowerState/running");
    let status = &view["extensions"][0]["statuses"][0];
    assert_eq!(status["code"], "ProvisioningState/failed");
    assert!(status["message"].as_str().unwrap().contains("Enable failed"), "{status}");
    let agents = scene.face.devops_get(&format!("{}/agents", support::face::POOL)).await;
    assert_eq!(agents.body["count"], 2, "no agent has come");
}
