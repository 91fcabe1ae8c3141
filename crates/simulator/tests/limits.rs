//! What bounds scale sets: quotas, subnets, limits of calls; and what surrounds them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::{
    WorldSpec,
    spec::{Denied, Orchestration, QuotaSpec, Run, SubnetSpec, Throttling},
};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    face::{Answer, Face, SET},
    round_figures, running,
};

const SUBSCRIPTION: &str = "/subscriptions/00000000-1111-2222-3333-444444444444";
const NETWORK: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/agents";

fn usages() -> String {
    format!("{SUBSCRIPTION}/providers/Microsoft.Compute/locations/westeurope/usages")
}

fn capacity(capacity: u32) -> Value {
    json!({"sku": {"capacity": capacity}})
}

async fn usage(face: &Face, name: &str) -> (u64, u64) {
    let answer = face.get(&usages()).await;
    let rows = answer.body["value"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"]["value"] == name).unwrap();
    (row["currentValue"].as_u64().unwrap(), row["limit"].as_u64().unwrap())
}

fn figure(refused: &Answer, label: &str) -> u64 {
    let message = refused.body["error"]["message"].as_str().unwrap();
    let rest = message.split_once(label).unwrap().1;
    rest.split_once([',', ')', '.']).unwrap().0.trim().parse().unwrap()
}

/// `(limit, usage, required)` of a refusal for want of quota.
fn said(refused: &Answer) -> (u64, u64, u64) {
    assert_eq!((refused.status, &refused.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
    (
        figure(refused, "Current Limit:"),
        figure(refused, "Current Usage:"),
        figure(refused, "Additional Required:"),
    )
}

async fn control(face: &Face, path: &str, body: Value) {
    let answer = face.control(Method::POST, path, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

fn with_region_quota(cores: u32) -> WorldSpec {
    let mut spec = running(2, Run::Continuous);
    let subscription_id = SUBSCRIPTION.trim_start_matches("/subscriptions/").to_owned();
    spec.quotas = vec![QuotaSpec { subscription_id, location: "westeurope".into(), cores }];
    let mut other = spec.scale_sets[0].clone();
    other.resource_id = SET.replace("linux-d4", "linux-d8");
    other.sku = "Standard_D8ds_v5".into();
    other.capacity = 1;
    other.quota = None;
    spec.scale_sets.push(other);
    spec
}

#[tokio::test]
async fn a_regions_quota_is_in_cores_over_all_its_sets() {
    let face = Face::new(with_region_quota(20)).await;
    assert_eq!(usage(&face, "cores").await, (2 * 4 + 8, 20));
    let refused = face.patch(SET, capacity(4)).await;
    assert_eq!(said(&refused), (20, 16, 8));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("Total Regional Cores quota"));
    assert_eq!(face.patch(SET, capacity(3)).await.status, 200);
    assert_eq!(usage(&face, "cores").await, (20, 20));
    assert_eq!(usage(&face, "virtualMachines").await.0, 4);
    control(&face, "quota", json!({"location": "westeurope", "cores": 24})).await;
    assert_eq!((usage(&face, "cores").await, face.patch(SET, capacity(4)).await.status), ((20, 24), 200));
    control(&face, "quota", json!({"location": "westeurope", "vms": 7})).await;
    assert_eq!(usage(&face, "cores").await, (24, 28), "the first set's VMs have 4 cores");
    control(&face, "quota", json!({})).await;
    assert_eq!(face.patch(SET, capacity(50)).await.status, 200, "it is lifted");
}

#[tokio::test]
async fn a_sets_own_quota_and_the_usages_agree() {
    let face = Face::new(running(2, Run::Continuous)).await;
    assert_eq!(usage(&face, "linux-d4Family").await, (8, 400));
    control(&face, "quota", json!({"scaleSet": "linux-d4", "vms": 5})).await;
    assert_eq!(usage(&face, "linux-d4Family").await, (8, 20));
    let refused = face.patch(SET, capacity(8)).await;
    assert_eq!(said(&refused), (20, 8, 24));
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("linux-d4 Family Cores quota"));
    assert_eq!(face.patch(SET, capacity(5)).await.status, 200);
    let both = face.control(Method::POST, "quota", json!({"vms": 1, "cores": 4})).await;
    assert_eq!(both.status, 400);
}

#[rstest]
#[case(0)]
#[case(3)]
#[tokio::test]
async fn a_quota_fault_and_the_usages_agree(#[case] allows: u32) {
    let face = Face::new(running(2, Run::Continuous)).await;
    control(&face, "faults", json!({"azure": "quota", "allows": allows})).await;
    let (used, limit) = usage(&face, "linux-d4Family").await;
    assert_eq!((used, limit), (8, 8 + 4 * u64::from(allows)));
    assert_eq!(said(&face.patch(SET, capacity(10)).await), (limit, used, 32));
    assert_eq!(face.patch(SET, capacity(2 + allows)).await.status, 200);
    assert_eq!(usage(&face, "linux-d4Family").await.0, limit);
}

#[tokio::test]
async fn a_subnet_bounds_its_sets_and_says_what_is_left() {
    let mut spec = running(2, Run::Continuous);
    let id = format!("{NETWORK}/subnets/agents");
    spec.scale_sets[0].subnet = Some(SubnetSpec { id: id.clone(), addresses: 11, used: 5 });
    let face = Face::new(spec).await;
    let nic = "/properties/virtualMachineProfile/networkProfile/networkInterfaceConfigurations/0";
    let set = face.get(SET).await;
    let subnet = format!("{nic}/properties/ipConfigurations/0/properties/subnet/id");
    assert_eq!(set.body.pointer(&subnet), Some(&json!(id)));
    let space = async || {
        let answer = face.get(&format!("{NETWORK}/usages")).await;
        let row = answer.body["value"][0].clone();
        assert_eq!((&row["id"], &row["name"]["value"]), (&json!(id), &json!("SubnetSpace")));
        (row["currentValue"].clone(), row["limit"].clone())
    };
    assert_eq!(space().await, (json!(7), json!(11)));
    let refused = face.patch(SET, capacity(7)).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (400, &json!("SubnetIsFull")));
    assert_eq!(face.patch(SET, capacity(6)).await.status, 200);
    assert_eq!(space().await, (json!(11), json!(11)));
}

#[tokio::test]
async fn what_a_client_is_denied_is_forbidden() {
    let autoscale =
        format!("{SUBSCRIPTION}/resourceGroups/agents/providers/Microsoft.Insights/autoscalesettings");
    let network = format!("{NETWORK}/usages");
    let all =
        [(Denied::Autoscale, autoscale.clone()), (Denied::Network, network), (Denied::Usages, usages())];
    for (denied, path) in all {
        let mut spec = round_figures();
        spec.scale_sets[0].autoscale = true;
        assert_eq!(Face::new(spec.clone()).await.get(&path).await.status, 200);
        spec.clients[0].denied = vec![denied];
        let refused = Face::new(spec).await.get(&path).await;
        assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!("AuthorizationFailed")));
    }
    let mut spec = round_figures();
    let face = Face::new(spec.clone()).await;
    assert_eq!(face.get(&autoscale).await.body["value"], json!([]));
    spec.scale_sets[0].autoscale = true;
    let list = Face::new(spec).await.get(&autoscale).await;
    let setting = &list.body["value"][0]["properties"];
    assert_eq!((&setting["enabled"], &setting["targetResourceUri"]), (&json!(true), &json!(SET)));
}

async fn throttled_world() -> Face {
    let mut spec = round_figures();
    spec.throttling = Throttling::Enforced;
    let mut other = spec.scale_sets[0].clone();
    other.resource_id = SET.replace("linux-d4", "linux-d8");
    spec.scale_sets.push(other);
    Face::new(spec).await
}

#[tokio::test]
async fn enforced_limits_answer_429_for_that_set_alone() {
    let face = throttled_world().await;
    let write = async |set: &str| face.patch(set, json!({"tags": {"a": "b"}})).await;
    for left in (0..12).rev() {
        let answer = write(SET).await;
        assert_eq!(answer.status, 200);
        let remaining = answer.header("x-ms-ratelimit-remaining-resource");
        let resource = format!("Microsoft.Compute/UpdateVMScaleSetResource;{left}");
        assert!(remaining.starts_with(&resource), "{remaining}");
        // This one fills up again while the test runs: 500 a minute.
        let (_, whole) = remaining.split_once("UpdateVMScaleSetSubscriptionMaximum;").unwrap();
        assert!((1488..1500).contains(&whole.parse::<u32>().unwrap()), "{remaining}");
        assert!(!answer.header("x-ms-ratelimit-remaining-subscription-writes").is_empty());
    }
    let refused = write(SET).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (429, &json!("OperationNotAllowed")));
    let detail = &refused.body["error"]["details"][0];
    assert_eq!(detail["target"], "UpdateVMScaleSetResource");
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=15).contains(&wait), "one comes back in 15 s: {wait}");
    let neighbour = SET.replace("linux-d4", "linux-d8");
    assert_eq!((write(&neighbour).await.status, face.get(SET).await.status), (200, 200));
    face.pass(wait);
    assert_eq!((write(SET).await.status, write(SET).await.status), (200, 429));
    let tally = face.control(Method::GET, "tally", Value::Null).await;
    let updates = &tally.body["calls"]["scaleSetUpdate"];
    assert_eq!((&updates["total"], &updates["throttled"]), (&json!(16), &json!(2)));
}

#[tokio::test]
async fn the_front_door_counts_every_read() {
    let face = throttled_world().await;
    let mut refused = None;
    // It takes 250 at once, and 25 more in each second that the test needs for that.
    for n in 0..20_000 {
        // Sets that are not there have buckets of their own: only the door is in the way.
        let answer = face.get(&SET.replace("linux-d4", &format!("none-{n}"))).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!(refused.body["error"]["code"], "SubscriptionRequestsThrottled");
    assert_eq!(refused.header("retry-after"), "1");
}

#[tokio::test]
async fn the_tally_knows_the_busiest_minute_of_each_class() {
    let mut spec = round_figures();
    spec.scale_sets[0].orchestration = Orchestration::Flexible;
    let mut other = spec.scale_sets[0].clone();
    other.resource_id = SET.replace("linux-d4", "linux-d8");
    spec.scale_sets.push(other);
    let face = Face::new(spec).await;
    // From the beginning of a minute on.
    let second = face.simulator.with_world(|world| world.now().as_second().rem_euclid(60));
    face.pass(60 - second);
    for n in 0..7 {
        let set = if n < 5 { SET.to_owned() } else { SET.replace("linux-d4", "linux-d8") };
        assert_eq!(face.get(&set).await.status, 200);
    }
    face.pass(120);
    assert_eq!(face.get(SET).await.status, 200);
    let tally = face.control(Method::GET, "tally", Value::Null).await;
    let reads = &tally.body["calls"]["scaleSetGet"];
    assert_eq!(reads["total"], 8);
    let busiest = json!({"total": 7, "subscription": 7, "scaleSet": 5, "of": "linux-d4"});
    assert_eq!(reads["busiestMinute"], busiest);
}
