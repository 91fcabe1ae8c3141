//! Flexible orchestration: VMs of the resource group, each with operations of its own.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::{
    WorldSpec,
    spec::{Orchestration, Run},
    world::{AzureError, OperationStatus, ScaleSetChange},
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    Bench,
    face::{Answer, Face, POOL, SET},
    running,
};

const VMS: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachines";

fn flexible(vms: u32) -> WorldSpec {
    let mut spec = running(vms, Run::Continuous);
    spec.scale_sets[0].orchestration = Orchestration::Flexible;
    spec
}

fn capacity(capacity: u32) -> ScaleSetChange {
    ScaleSetChange { capacity: Some(capacity), ..ScaleSetChange::default() }
}

async fn names(face: &Face) -> Vec<String> {
    let list = face.get(&format!("{VMS}?$filter='virtualMachineScaleSet/id' eq '{SET}'")).await;
    assert_eq!(list.status, 200, "{}", list.text);
    let vms = list.body["value"].as_array().unwrap().clone();
    vms.iter().map(|vm| vm["name"].as_str().unwrap().to_owned()).collect()
}

async fn call(face: &Face, method: Method, path: &str) -> Answer {
    Answer::of(face.azure(method, &format!("{VMS}/{path}")).send().await.unwrap()).await
}

#[rstest]
#[case::quoted(format!("'virtualMachineScaleSet/id' eq '{SET}'"))]
#[case::plain(format!("virtualMachineScaleSet/id eq '{}'", SET.to_uppercase()))]
#[tokio::test]
async fn vms_are_found_by_their_set(#[case] filter: String) {
    let mut spec = flexible(3);
    let mut other = spec.scale_sets[0].clone();
    other.resource_id = SET.replace("linux-d4", "linux-d8");
    other.computer_name_prefix = Some("linux-d8".into());
    spec.scale_sets.push(other);
    let face = Face::new(spec).await;
    let list = face.get(&format!("{VMS}?$filter={filter}&$expand=instanceView")).await;
    let vms = list.body["value"].as_array().unwrap();
    assert_eq!(vms.len(), 3, "{}", list.text);
    for vm in vms {
        let (name, properties) = (vm["name"].as_str().unwrap(), &vm["properties"]);
        assert_eq!(vm["id"], format!("{VMS}/{name}"));
        assert_eq!(vm["type"], "Microsoft.Compute/virtualMachines");
        let ending = name.strip_prefix("linux-d4_").unwrap();
        assert!(ending.len() == 8 && ending.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
        let computer = properties["osProfile"]["computerName"].as_str().unwrap();
        assert_eq!(computer.strip_prefix("linux-d4").unwrap().len(), 6, "{computer}");
        assert_eq!(properties["virtualMachineScaleSet"]["id"], SET);
        assert_eq!(properties["instanceView"]["statuses"][1]["code"], "PowerState/running");
        assert!(properties["vmId"].is_string() && vm["instanceId"].is_null());
        let one = face.get(&format!("{VMS}/{}", name.to_uppercase())).await;
        assert_eq!(one.body["properties"]["vmId"], properties["vmId"]);
        assert!(one.body["properties"]["instanceView"].is_null());
        let view = face.get(&format!("{VMS}/{name}/instanceView")).await;
        assert_eq!(view.body["computerName"], computer);
        let agents = face.devops_get(&format!("{POOL}/agents?agentName={computer}")).await;
        assert_eq!(agents.body["count"], 1, "its agent has the computer's name");
    }
    assert_eq!(
        face.get(VMS).await.body["value"].as_array().unwrap().len(),
        6,
        "without a filter all of them"
    );
    assert_eq!(face.get(&format!("{SET}/virtualMachines")).await.body["value"], json!([]));
    assert_eq!(face.get(SET).await.body["properties"]["orchestrationMode"], "Flexible");
}

#[tokio::test]
async fn a_list_needs_a_filter_that_it_knows_and_comes_in_pages() {
    let mut spec = flexible(5);
    spec.paging.instances = 2;
    let face = Face::new(spec).await;
    for query in ["$expand=instanceView", "$filter=name eq 'x'"] {
        let refused = face.get(&format!("{VMS}?{query}")).await;
        assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("InvalidParameter")));
    }
    let filtered = format!("{VMS}?$filter='virtualMachineScaleSet/id' eq '{SET}'&$expand=instanceView");
    for first in [filtered, VMS.to_owned()] {
        let (mut next, mut seen) = (Some(first.clone()), Vec::new());
        while let Some(link) = next {
            let page = face.get(&link).await;
            assert_eq!(page.status, 200, "{}", page.text);
            let vms = page.body["value"].as_array().unwrap();
            assert!(vms.iter().all(|vm| vm["properties"]["instanceView"].is_null() == (first == VMS)));
            seen.extend(vms.iter().map(|vm| vm["name"].to_string()));
            next = page.body["nextLink"].as_str().map(str::to_owned);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }
}

#[tokio::test]
async fn each_vm_is_deleted_by_itself_and_the_set_grows_beside_it() {
    let face = Face::new(flexible(3)).await;
    let [first, second, third] = &names(&face).await[..] else { panic!("three VMs") };
    let one = call(&face, Method::DELETE, first).await;
    assert_eq!((one.status, one.text.as_str()), (202, ""));
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 2);
    let again = call(&face, Method::DELETE, first).await;
    assert_eq!((again.status, &again.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
    assert!(again.body["error"]["message"].as_str().unwrap().contains("marked for deletion"));
    let two = face.post(&format!("{SET}/delete"), json!({"instanceIds": [second]})).await;
    assert_eq!(two.status, 202, "another one goes beside it: {}", two.text);
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 1);
    let growth = face.patch(SET, json!({"sku": {"capacity": 3}})).await;
    assert_eq!(growth.status, 200, "and so does a growth: {}", growth.text);
    assert_eq!(names(&face).await.len(), 5, "two go, one stays, two come");
    face.pass(21);
    for deletion in [&one, &two] {
        assert_eq!(face.get(deletion.header("azure-asyncoperation")).await.body["status"], "Succeeded");
        assert_eq!(face.get(deletion.header("location")).await.status, 204);
    }
    assert_eq!(face.get(growth.header("azure-asyncoperation")).await.body["status"], "InProgress");
    face.pass(40);
    assert_eq!(face.get(growth.header("azure-asyncoperation")).await.body["status"], "Succeeded");
    let left = names(&face).await;
    assert!(left.len() == 3 && left.contains(third));
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 3);
    assert_eq!(call(&face, Method::DELETE, first).await.status, 204, "there is nothing to do");
    assert_eq!(call(&face, Method::GET, first).await.body["error"]["code"], "ResourceNotFound");
    let unknown = face.post(&format!("{SET}/delete"), json!({"instanceIds": [first]})).await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (400, &json!("InvalidParameter")));
}

#[tokio::test]
async fn only_an_ephemeral_disk_is_reimaged() {
    let face = Face::new(flexible(1)).await;
    let name = names(&face).await.remove(0);
    let refused = call(&face, Method::POST, &format!("{name}/reimage")).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
    let mut spec = flexible(2);
    spec.scale_sets[0].model.ephemeral_os_disk = true;
    let face = Face::new(spec).await;
    let [name, other] = &names(&face).await[..] else { panic!("two VMs") };
    let before = call(&face, Method::GET, name).await;
    let started = call(&face, Method::POST, &format!("{name}/reimage")).await;
    assert_eq!(started.status, 202, "{}", started.text);
    assert_eq!(call(&face, Method::POST, &format!("{name}/reimage")).await.status, 409, "it is at it");
    assert_eq!(call(&face, Method::POST, &format!("{other}/reimage")).await.status, 202, "the other is not");
    face.pass(41);
    assert_eq!(face.get(started.header("azure-asyncoperation")).await.body["status"], "Succeeded");
    let after = call(&face, Method::GET, name).await;
    for field in ["/name", "/properties/vmId", "/properties/osProfile/computerName"] {
        assert_eq!(before.body.pointer(field), after.body.pointer(field));
    }
    let of_set = face.post(&format!("{SET}/reimage"), json!({"instanceIds": [name]})).await;
    assert_eq!((of_set.status, &of_set.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
}

#[test]
fn in_the_world_each_vm_has_its_own_operation() {
    let mut bench = Bench::new(flexible(3));
    let set = bench.set;
    let one = bench.world.delete_instances(set, &[0]).unwrap();
    let two = bench.world.delete_instances(set, &[1]).unwrap();
    assert!(matches!(bench.world.delete_instances(set, &[0]), Err(AzureError::MarkedForDeletion(_))));
    assert!(matches!(bench.world.reimage_instances(set, Some(&[2])), Err(AzureError::NotEphemeral(_))));
    assert_eq!(bench.world.set(set).unwrap().capacity, 1);
    let growth = bench.world.patch_scale_set(set, capacity(4)).unwrap();
    assert_eq!(bench.world.set(set).unwrap().members(), 4, "the leaving ones do not count");
    bench.pass(20);
    let status = |bench: &Bench, id| bench.world.operation(id).unwrap().status;
    assert_eq!(
        (status(&bench, one), status(&bench, two)),
        (OperationStatus::Succeeded, OperationStatus::Succeeded)
    );
    bench.pass(60);
    assert_eq!(status(&bench, growth), OperationStatus::Succeeded);
    bench.pass(60);
    assert_eq!(bench.idle(), 4);
    let names = |bench: &Bench| {
        let set = bench.world.set(bench.set).unwrap();
        set.instances().map(|vm| (vm.name.clone(), vm.computer_name.clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&Bench::new(flexible(9))),
        names(&Bench::new(flexible(9))),
        "the seed decides the names"
    );
    assert_ne!(names(&Bench::new(flexible(9))), names(&Bench::seeded(flexible(9), 2)));
}

#[tokio::test]
async fn a_deallocated_vm_is_listed_and_counts_without_its_agent() {
    for orchestration in [Orchestration::Uniform, Orchestration::Flexible] {
        let mut spec = running(1, Run::Continuous);
        spec.scale_sets[0].orchestration = orchestration;
        let face = Face::new(spec).await;
        let (stop, start, view) = match orchestration {
            Orchestration::Uniform => {
                let vm = format!("{SET}/virtualMachines/0");
                (format!("{SET}/deallocate"), format!("{vm}/start"), format!("{vm}/instanceView"))
            }
            Orchestration::Flexible => {
                let vm = format!("{VMS}/{}", names(&face).await[0]);
                (format!("{vm}/deallocate"), format!("{vm}/start"), format!("{vm}/instanceView"))
            }
        };
        let online =
            async || face.devops_get(&format!("{POOL}/agents")).await.body["value"][0]["status"].clone();
        let power = async || face.get(&view).await.body["statuses"][1]["code"].clone();
        let stopped = face.post(&stop, json!({})).await;
        assert_eq!((stopped.status, power().await), (202, json!("PowerState/deallocating")));
        face.pass(21);
        assert_eq!(face.get(stopped.header("azure-asyncoperation")).await.body["status"], "Succeeded");
        assert_eq!((power().await, online().await), (json!("PowerState/deallocated"), json!("offline")));
        assert_eq!(face.get(SET).await.body["sku"]["capacity"], 1);
        assert_eq!(face.post(&start, Value::Null).await.status, 202);
        face.pass(120);
        assert_eq!((power().await, online().await), (json!("PowerState/running"), json!("online")));
    }
}
