//! What is on the wire: status codes, headers, envelopes, as the clouds answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use poolkeeper_simulator::spec::{Run, Secret, TokenSpec};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use support::{
    face::{Answer, Face, POOL, SET},
    round_figures, running,
};

fn capacity(capacity: u32) -> Value {
    json!({"sku": {"name": "Standard_D4ds_v5", "capacity": capacity}})
}

fn ids(ids: &[&str]) -> Value {
    json!({"instanceIds": ids})
}

#[tokio::test]
async fn growth_answers_200_with_both_polling_headers() {
    let face = Face::new(round_figures()).await;
    let answer = face.patch(SET, capacity(2)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["properties"]["provisioningState"], "Updating");
    assert_eq!(answer.body["sku"]["capacity"], 2);
    assert_eq!(answer.header("retry-after"), "10");
    let (operation, result) = (answer.header("azure-asyncoperation"), answer.header("location"));
    let polled = face.get(operation).await;
    assert_eq!((polled.status, &polled.body["status"]), (200, &json!("InProgress")));
    assert_eq!(face.get(result).await.status, 202);
    face.pass(61);
    let polled = face.get(operation).await;
    assert_eq!(polled.body["status"], "Succeeded");
    assert!(polled.body["endTime"].is_string());
    assert_eq!(face.get(result).await.status, 204);
    assert_eq!(face.get(SET).await.body["properties"]["provisioningState"], "Succeeded");
}

#[tokio::test]
async fn a_list_comes_in_pages_with_absolute_links() {
    let mut spec = running(5, Run::Continuous);
    spec.paging.instances = 2;
    let face = Face::new(spec).await;
    let mut next = Some(format!("{SET}/virtualMachines?$expand=instanceView"));
    let mut pages = Vec::new();
    while let Some(link) = next {
        let page = face.get(&link).await;
        assert_eq!(page.status, 200);
        pages.push(page.body["value"].as_array().unwrap().clone());
        next = page.body["nextLink"].as_str().map(str::to_owned);
        assert!(next.as_ref().is_none_or(|next| next.starts_with(&face.base)));
    }
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
    let last = &pages[2][0];
    assert_eq!(last["instanceId"], "4");
    assert_eq!(last["properties"]["osProfile"]["computerName"], "linux-d4000004");
    let codes: Vec<&Value> = last["properties"]["instanceView"]["statuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| &s["code"])
        .collect();
    assert_eq!(codes, ["ProvisioningState/succeeded", "PowerState/running"]);
    let plain = face.get(&format!("{SET}/virtualMachines/4")).await;
    assert_eq!(plain.body["properties"]["vmId"], last["properties"]["vmId"]);
    assert!(plain.body["properties"]["instanceView"].is_null(), "only where it is asked for");
}

#[tokio::test]
async fn deletion_lowers_the_capacity_and_a_parallel_one_conflicts() {
    let face = Face::new(running(3, Run::Continuous)).await;
    let answer = face.post(&format!("{SET}/delete"), ids(&["1"])).await;
    assert_eq!((answer.status, answer.text.as_str()), (202, ""));
    assert!(answer.header("azure-asyncoperation").starts_with(&face.base));
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 2);
    for (path, body) in [("/delete", ids(&["2"])), ("", capacity(3))] {
        let method = if path.is_empty() { Method::PATCH } else { Method::POST };
        let call = face.azure(method, &format!("{SET}{path}")).json(&body);
        let answer = Answer::of(call.send().await.unwrap()).await;
        assert_eq!((answer.status, &answer.body["error"]["code"]), (409, &json!("Conflict")));
    }
    let again = face.post(&format!("{SET}/delete"), ids(&["1"])).await;
    assert_eq!((again.status, &again.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
    assert!(again.body["error"]["message"].as_str().unwrap().contains("marked for deletion"));
}

#[rstest]
#[case::none(json!({}))]
#[case::empty(json!({"instanceIds": []}))]
#[case::unknown(json!({"instanceIds": ["7"]}))]
#[case::word(json!({"instanceIds": ["first"]}))]
#[tokio::test]
async fn deletion_needs_ids_of_instances_that_are_there(#[case] body: Value) {
    let face = Face::new(running(1, Run::Continuous)).await;
    let answer = face.post(&format!("{SET}/delete"), body).await;
    assert_eq!((answer.status, &answer.body["error"]["code"]), (400, &json!("InvalidParameter")));
    assert_eq!(face.get(SET).await.body["sku"]["capacity"], 1);
}

#[tokio::test]
async fn a_reimage_without_ids_takes_every_vm() {
    let face = Face::new(running(3, Run::Continuous)).await;
    let answer = face.post(&format!("{SET}/reimage"), json!({})).await;
    assert_eq!(answer.status, 202);
    let list = face.get(&format!("{SET}/virtualMachines")).await;
    let states: Vec<&Value> = list.body["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vm| &vm["properties"]["provisioningState"])
        .collect();
    assert_eq!(states, ["Updating"; 3]);
}

#[tokio::test]
async fn paths_are_read_without_regard_to_case_and_any_version_will_do() {
    let face = Face::new(running(1, Run::Continuous)).await;
    let shouting = SET.to_uppercase();
    let answer = face.get(&format!("{shouting}?api-version=2019-03-01")).await;
    assert_eq!((answer.status, &answer.body["name"]), (200, &json!("linux-d4")));
    let call = face.http.get(format!("{}{SET}", face.base)).bearer_auth("none");
    assert_eq!(Answer::of(call.send().await.unwrap()).await.status, 401);
}

#[tokio::test]
async fn writes_honour_if_match() {
    let face = Face::new(round_figures()).await;
    let etag = face.get(SET).await.body["etag"].as_str().unwrap().to_owned();
    let write = |owner: &str, etag: &str| {
        face.azure(Method::PATCH, SET).header("if-match", etag).json(&json!({"tags": {"owner": owner}}))
    };
    let first = Answer::of(write("a", &etag).send().await.unwrap()).await;
    assert_eq!((first.status, &first.body["tags"]), (200, &json!({"owner": "a"})));
    assert_ne!(first.body["etag"], etag);
    let second = Answer::of(write("b", &etag).send().await.unwrap()).await;
    assert_eq!((second.status, &second.body["error"]["code"]), (412, &json!("PreconditionFailed")));
}

#[tokio::test]
async fn azure_refuses_strangers() {
    let mut spec = round_figures();
    spec.clients[0].subscriptions.clear();
    let face = Face::new(spec).await;
    let refused = face.get(SET).await;
    assert_eq!((refused.status, &refused.body["error"]["code"]), (403, &json!("AuthorizationFailed")));
    let call = face.http.get(format!("{}{SET}?api-version=2025-04-01", face.base));
    let unknown = Answer::of(call.send().await.unwrap()).await;
    assert_eq!((unknown.status, &unknown.body["error"]["code"]), (401, &json!("InvalidAuthenticationToken")));
    let wrong = face.sign_in("wrong").await;
    assert_eq!((wrong.status, &wrong.body["error"]), (401, &json!("invalid_client")));
    assert!(wrong.body["error_description"].as_str().unwrap().starts_with("AADSTS7000215"));
    assert!(!wrong.text.contains("wrong"), "a secret is never echoed");
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let face = Face::new(round_figures()).await;
    let set = face.get(&SET.replace("linux-d4", "linux-d8")).await;
    assert_eq!((set.status, &set.body["error"]["code"]), (404, &json!("ResourceNotFound")));
    assert_eq!(face.get(&format!("{SET}/virtualMachines/3")).await.status, 404);
    assert!(!set.header("x-ms-request-id").is_empty());
    let agent = face.devops_get(&format!("{POOL}/agents/7")).await;
    assert_eq!((agent.status, &agent.body["typeKey"]), (404, &json!("TaskAgentNotFoundException")));
    assert_eq!(agent.body["message"], "No agent found for pool 44 with identifier 7.");
    assert_eq!(face.devops_get("/fabrikam/_apis/distributedtask/pools/45").await.status, 404);
    assert_eq!(face.devops_get("/contoso/_apis/distributedtask/pools").await.status, 404);
}

#[tokio::test]
async fn a_wrong_token_gets_the_sign_in_page() {
    let face = Face::new(round_figures()).await;
    let url = format!("{}/fabrikam/_apis/distributedtask/pools", face.base);
    for call in [face.http.get(&url), face.http.get(&url).basic_auth("", Some("expired"))] {
        let answer = Answer::of(call.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.header("content-type")), (203, "text/html; charset=utf-8"));
    }
    assert_eq!(face.devops_get("/fabrikam/_apis/distributedtask/pools").await.status, 200);
}

#[tokio::test]
async fn a_token_without_rights_on_a_pool_gets_403() {
    let mut spec = round_figures();
    spec.organizations[0].tokens =
        vec![TokenSpec { value: Secret::new(support::face::PAT), forbidden_pools: vec![44], expires: None }];
    let face = Face::new(spec).await;
    assert_eq!(face.devops_get(&format!("{POOL}/agents")).await.status, 403);
    let list = face.devops_get("/fabrikam/_apis/distributedtask/pools").await;
    assert_eq!(list.body["count"], 0);
}

#[tokio::test]
async fn pools_are_found_by_name() {
    let face = Face::new(round_figures()).await;
    let found = face.devops_get("/fabrikam/_apis/distributedtask/pools?poolName=LINUX-build").await;
    assert_eq!(found.body["value"][0]["id"], 44);
    assert_eq!(found.body["value"][0]["options"], "none");
    let none = face.devops_get("/fabrikam/_apis/distributedtask/pools?poolName=windows").await;
    assert_eq!(none.body, json!({"count": 0, "value": []}));
    let options = face.devops(Method::OPTIONS, "/fabrikam/_apis").send().await.unwrap();
    let options = Answer::of(options).await;
    let names: Vec<&Value> =
        options.body["value"].as_array().unwrap().iter().map(|location| &location["resourceName"]).collect();
    for wanted in ["pools", "agents", "jobrequests", "elasticpools", "ResourceAreas"] {
        assert!(names.contains(&&json!(wanted)), "{wanted} is not in {names:?}");
    }
}

#[tokio::test]
async fn an_agent_shows_its_job_only_when_asked() {
    let face = Face::new(running(1, Run::Continuous)).await;
    let requests = face.queue(1, "20m").await;
    let plain = face.devops_get(&format!("{POOL}/agents")).await;
    let agent = &plain.body["value"][0];
    assert!(agent["assignedRequest"].is_null() && agent["systemCapabilities"].is_null());
    let all = "includeAssignedRequest=true&includeCapabilities=true&includeLastCompletedRequest=true";
    let full = face.devops_get(&format!("{POOL}/agents?{all}")).await;
    let agent = &full.body["value"][0];
    assert_eq!(agent["assignedRequest"]["requestId"], requests[0]);
    assert_eq!(agent["systemCapabilities"]["Agent.Name"], "linux-d4000000");
    assert_eq!(agent["systemCapabilities"]["docker"], "true");
    face.pass(1300);
    let full = face.devops_get(&format!("{POOL}/agents/1?{all}")).await;
    assert!(full.body["assignedRequest"].is_null());
    assert_eq!(full.body["lastCompletedRequest"]["result"], "succeeded");
}

#[tokio::test]
async fn a_busy_agent_is_disabled_but_not_deleted() {
    let face = Face::new(running(1, Run::Continuous)).await;
    face.queue(1, "20m").await;
    let agent = format!("{POOL}/agents/1");
    let patch = face.devops(Method::PATCH, &agent).json(&json!({"id": 1, "enabled": false}));
    let patched = Answer::of(patch.send().await.unwrap()).await;
    assert_eq!((patched.status, &patched.body["enabled"]), (200, &json!(false)));
    let refused = Answer::of(face.devops(Method::DELETE, &agent).send().await.unwrap()).await;
    assert_eq!(
        (refused.status, &refused.body["typeKey"]),
        (400, &json!("TaskAgentJobStillRunningException"))
    );
    face.pass(1300);
    let deleted = Answer::of(face.devops(Method::DELETE, &agent).send().await.unwrap()).await;
    assert_eq!(deleted.status, 204);
    assert_eq!(face.devops_get(&agent).await.status, 404);
}

#[tokio::test]
async fn job_requests_tell_waiting_running_and_finished_apart() {
    let face = Face::new(running(1, Run::Continuous)).await;
    face.queue(1, "5s").await;
    face.pass(60);
    let [running, waiting] = face.queue(2, "20m").await[..] else { panic!("two jobs") };
    face.pass(60);
    let open = face.devops_get(&format!("{POOL}/jobrequests?completedRequestCount=0")).await;
    let by_id = |answer: &Answer, id: u64| {
        let all = answer.body["value"].as_array().unwrap();
        all.iter().find(|request| request["requestId"] == id).cloned().unwrap()
    };
    assert_eq!(open.body["count"], 2);
    let running = by_id(&open, running);
    assert_eq!(running["reservedAgent"]["name"], "linux-d4000000");
    assert!(running["receiveTime"].is_string() && running["lockedUntil"].is_string());
    let waiting = by_id(&open, waiting);
    assert!(waiting["assignTime"].is_null() && waiting["result"].is_null());
    assert_eq!(waiting["demands"], json!(["docker"]));
    assert_eq!(waiting["matchedAgents"][0]["id"], 1);
    let newest = face.devops_get(&format!("{POOL}/jobrequests?$top=2")).await;
    assert_eq!(newest.body["value"][0]["requestId"], waiting["requestId"]);
    assert!(newest.body["value"][0]["matchedAgents"].is_null(), "$top drops them");
    assert_eq!(newest.header("x-ms-continuationtoken"), running["requestId"].to_string());
    let all = face.devops_get(&format!("{POOL}/jobrequests")).await;
    assert_eq!(by_id(&all, 1)["result"], "succeeded");
}

#[rstest]
#[case::sign_in(json!({"organization": "fabrikam", "azureDevOps": "signIn"}), 203, 200)]
#[case::throttled(json!({"azureDevOps": "throttle"}), 429, 200)]
#[case::down(json!({"azureDevOps": "unavailable"}), 503, 200)]
#[case::forbidden(json!({"scaleSet": "linux-d4", "azure": "forbidden"}), 200, 403)]
#[case::azure_throttled(json!({"azure": "throttle"}), 200, 429)]
#[case::azure_down(json!({"azure": "unavailable"}), 200, 503)]
#[tokio::test]
async fn faults_begin_and_end(#[case] mut fault: Value, #[case] devops: u16, #[case] azure: u16) {
    let face = Face::new(running(1, Run::Continuous)).await;
    fault["for"] = json!("5m");
    let set = face.control(Method::POST, "faults", fault).await;
    assert_eq!(set.status, 200, "{}", set.text);
    let agents = format!("{POOL}/agents");
    let answers = (face.devops_get(&agents).await, face.get(SET).await);
    assert_eq!((answers.0.status, answers.1.status), (devops, azure));
    for answer in [answers.0, answers.1] {
        assert_eq!(answer.status == 429, answer.header("retry-after") == "30");
    }
    face.pass(301);
    assert_eq!((face.devops_get(&agents).await.status, face.get(SET).await.status), (200, 200));
}

#[tokio::test]
async fn want_of_quota_and_of_capacity_look_as_in_azure() {
    let face = Face::new(round_figures()).await;
    let quota = face.patch(SET, capacity(101)).await;
    assert_eq!((quota.status, &quota.body["error"]["code"]), (409, &json!("OperationNotAllowed")));
    assert!(quota.body["error"]["message"].as_str().unwrap().contains("quota"));
    face.control(Method::POST, "faults", json!({"azure": "allocationFailed", "for": "1h"})).await;
    let accepted = face.patch(SET, capacity(6)).await;
    assert_eq!(accepted.status, 200, "the failure shows in the operation");
    face.pass(120);
    let operation = face.get(accepted.header("azure-asyncoperation")).await;
    assert_eq!(operation.body["status"], "Failed");
    assert_eq!(operation.body["error"]["code"], "AllocationFailed");
}

#[tokio::test]
async fn the_control_api_shows_what_happens() {
    let face = Face::new(running(1, Run::Continuous)).await;
    let before = face.control(Method::GET, "journal", Value::Null).await.body["written"].as_u64().unwrap();
    face.queue(2, "10m").await;
    let added = json!({"pool": "44", "name": "own-agent", "capabilities": {"docker": "true"}});
    assert_eq!(face.control(Method::POST, "agents", added).await.status, 200);
    face.pass(30);
    let world = face.control(Method::GET, "world", Value::Null).await;
    let pool = &world.body["organizations"][0]["pools"][0];
    assert_eq!(pool["counts"], json!({"idle": 0, "busy": 2, "waiting": 0}));
    assert_eq!(world.body["scaleSets"][0]["instances"][0]["computerName"], "linux-d4000000");
    let disable = json!({"pool": "linux-build", "name": "own-agent", "enabled": false});
    face.control(Method::POST, "agents", disable).await;
    let cancel = json!({"pool": "linux-build", "request": 2});
    assert_eq!(face.control(Method::POST, "cancel", cancel).await.status, 200);
    let journal = face.control(Method::GET, &format!("journal?since={before}"), Value::Null).await;
    let kinds: Vec<&str> = journal.body["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.starts_with(&["JobQueued", "JobAssigned", "JobQueued", "AgentRegistered"]), "{kinds:?}");
    assert!(kinds.ends_with(&["AgentDisabled", "JobFinished"]), "{kinds:?}");
    let tally = face.control(Method::GET, "tally", Value::Null).await;
    assert_eq!(tally.body["jobs"]["cancelled"], 1);
    assert_eq!(tally.body["calls"]["token"]["total"], 1);
    let clock = face.control(Method::GET, "clock", Value::Null).await;
    assert_eq!(clock.body["scaled"], false);
}

#[rstest]
#[case(json!({"pool": "linux-build"}), "duration")]
#[case(json!({"pool": "linux-build", "duration": "soon"}), "not a duration")]
#[case(json!({"pool": "windows", "duration": "1m"}), "no pool windows")]
#[case(json!({"pool": "linux-build", "duration": "1m", "demand": "docker"}), "demand")]
#[tokio::test]
async fn the_control_api_says_what_is_wrong(#[case] body: Value, #[case] words: &str) {
    let face = Face::new(round_figures()).await;
    let answer = face.control(Method::POST, "jobs", body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["message"].as_str().unwrap().contains(words), "{}", answer.text);
}
