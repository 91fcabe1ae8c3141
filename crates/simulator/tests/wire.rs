//! Answers that go wrong on their way: what arrives, and that the operator's clients call each an error.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_azure::{Cloud, Credential, CredentialError, ScaleSets};
use poolkeeper_azure_devops::{AgentStatus, Authorization, Organization, PoolId};
use poolkeeper_rest::{CallLog, Class, Http, Limits, Url};
use poolkeeper_simulator::spec::Run;
use reqwest::{Method, Response, redirect::Policy};
use rstest::rstest;
use secrecy::SecretString;
use serde_json::{Value, json};
use support::{
    face::{Answer, CLIENT, Face, PAT, POOL, SECRET, SET, TENANT},
    round_figures, running,
};

const SCOPE: &str = "https://management.azure.com/.default";

async fn fault(face: &Face, fault: Value) {
    let answer = face.control(Method::POST, "faults", fault).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// A call of Azure DevOps that follows no redirects and never waits long.
async fn agents(face: &Face) -> Result<Response, reqwest::Error> {
    let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let url = format!("{}{POOL}/agents", face.base);
    http.get(url).basic_auth("", Some(PAT)).timeout(Duration::from_secs(20)).send().await
}

async fn spoiled(kind: &str) -> (Face, Result<Response, reqwest::Error>) {
    let face = Face::new(running(2, Run::Continuous)).await;
    fault(&face, json!({"wire": kind, "service": "azureDevOps"})).await;
    let answer = agents(&face).await;
    (face, answer)
}

#[tokio::test]
async fn html_comes_with_200() {
    let (_face, answer) = spoiled("html").await;
    let answer = Answer::of(answer.unwrap()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(answer.text.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn a_redirect_leads_where_the_fault_says() {
    let (face, answer) = spoiled("redirect").await;
    let answer = Answer::of(answer.unwrap()).await;
    assert_eq!((answer.status, answer.header("location")), (302, "http://127.0.0.1:9/"));
    let there = "http://127.0.0.1:10/there";
    fault(&face, json!({"wire": "redirect", "service": "azureDevOps", "location": there})).await;
    assert_eq!(Answer::of(agents(&face).await.unwrap()).await.header("location"), there);
}

#[tokio::test]
async fn half_an_answer_says_that_it_is_whole_and_breaks_off() {
    let (face, answer) = spoiled("truncated").await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.status(), 200);
    let announced = usize::try_from(answer.content_length().unwrap()).unwrap();
    let mut read = Vec::new();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => read.extend_from_slice(&chunk),
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(broken.is_some(), "it breaks off");
    assert_eq!(read.len(), announced / 2);
    assert!(read.starts_with(b"{\"count\":2"), "{}", String::from_utf8_lossy(&read));
    face.control(Method::DELETE, "faults", Value::Null).await;
    assert_eq!(Answer::of(agents(&face).await.unwrap()).await.text.len(), announced);
}

#[tokio::test]
async fn a_huge_answer_has_no_end_in_sight() {
    let (_face, answer) = spoiled("huge").await;
    let mut answer = answer.unwrap();
    assert_eq!(answer.content_length(), None);
    let mut read = 0;
    while read < 32 << 20 {
        read += answer.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn json_may_say_that_it_is_text() {
    let (_face, answer) = spoiled("wrongType").await;
    let answer = Answer::of(answer.unwrap()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"));
    assert_eq!(answer.body["count"], 2);
}

#[tokio::test]
async fn an_empty_answer_is_200() {
    let (_face, answer) = spoiled("empty").await;
    let answer = Answer::of(answer.unwrap()).await;
    assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (200, "", ""));
}

#[tokio::test]
async fn a_closed_connection_gives_no_answer_though_the_call_was_heard() {
    let face = Face::new(running(1, Run::Continuous)).await;
    fault(&face, json!({"wire": "closed", "service": "azureDevOps"})).await;
    let patch =
        face.devops(Method::PATCH, &format!("{POOL}/agents/1")).json(&json!({"id": 1, "enabled": false}));
    let error = patch.send().await.unwrap_err();
    assert!(error.is_request() && !error.is_connect() && !error.is_timeout(), "{error:?}");
    face.control(Method::DELETE, "faults", Value::Null).await;
    assert_eq!(face.devops_get(&format!("{POOL}/agents/1")).await.body["enabled"], false);
}

#[rstest]
#[case(json!({"wire": "slow", "service": "azureDevOps", "seconds": 3600}))]
#[case(json!({"azureDevOps": "slow", "seconds": 3600}))]
#[tokio::test]
async fn a_slow_answer_keeps_a_client_waiting_and_others_not(#[case] slow: Value) {
    let face = Face::new(round_figures()).await;
    fault(&face, slow).await;
    let call = face.devops(Method::GET, POOL).timeout(Duration::from_millis(200));
    assert!(call.send().await.unwrap_err().is_timeout());
    assert_eq!(face.get(SET).await.status, 200);
}

#[tokio::test]
async fn states_may_be_unheard_of() {
    let face = Face::new(running(1, Run::Continuous)).await;
    for service in ["azureDevOps", "azure"] {
        fault(&face, json!({"wire": "unknownEnums", "service": service})).await;
    }
    assert_eq!(face.devops_get(&format!("{POOL}/agents")).await.body["value"][0]["status"], "unheardOf");
    assert_eq!(face.devops_get(POOL).await.body["options"], "unheardOf");
    let vms = face.get(&format!("{SET}/virtualMachines?$expand=instanceView")).await;
    let vm = &vms.body["value"][0]["properties"];
    assert_eq!(vm["provisioningState"], "unheardOf");
    assert_eq!(vm["instanceView"]["statuses"][1]["code"], "PowerState/unheardOf");
    let listed = clients(&face).1.agents(PoolId(44)).await.unwrap().value;
    assert!(
        !matches!(listed[0].status, AgentStatus::Online | AgentStatus::Offline),
        "{:?}",
        listed[0].status
    );
}

#[tokio::test]
async fn clocks_may_differ_by_an_hour() {
    let face = Face::new(running(1, Run::Continuous)).await;
    let time = |answer: &Answer| -> Timestamp { answer.body["createdOn"].as_str().unwrap().parse().unwrap() };
    let path = format!("{POOL}/agents/1");
    let before = time(&face.devops_get(&path).await);
    fault(&face, json!({"wire": "skew", "service": "azureDevOps"})).await;
    let skewed = face.devops_get(&path).await;
    assert_eq!(time(&skewed).duration_since(before), SignedDuration::from_hours(1));
    let dates: Vec<_> = skewed.headers.get_all("date").iter().collect();
    assert_eq!(dates.len(), 1, "{dates:?}");
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(skewed.header("date")).unwrap();
    let ahead = date.duration_since(Timestamp::now());
    assert!(ahead > SignedDuration::from_mins(59) && ahead <= SignedDuration::from_hours(1), "{ahead}");
}

fn clients(face: &Face) -> (ScaleSets, Organization) {
    let http = Http::new(Limits { total: Duration::from_secs(20), ..Limits::default() }).unwrap();
    let cloud = Cloud::custom(&face.base, &face.base, SCOPE).unwrap();
    let secret = SecretString::from(SECRET.to_owned());
    let credential = Credential::client_secret(&http, &cloud, TENANT, CLIENT, &secret).unwrap();
    let azure = ScaleSets::new(http.clone(), &cloud, Arc::new(credential), CallLog::default()).unwrap();
    let url = Url::parse(&format!("{}/fabrikam", face.base)).unwrap();
    let token = Authorization::Pat(SecretString::from(PAT.to_owned()));
    (azure, Organization::new(http, url, token, CallLog::default()).unwrap())
}

#[rstest]
#[case::html("html", &[Class::Unauthenticated, Class::Unexpected])]
#[case::truncated("truncated", &[Class::Unreachable])]
#[case::huge("huge", &[Class::Unexpected])]
#[case::wrong_type("wrongType", &[Class::Unexpected])]
#[case::redirect("redirect", &[Class::Unauthenticated, Class::Unexpected])]
#[case::empty("empty", &[Class::Unexpected])]
#[case::closed("closed", &[Class::Unreachable])]
#[tokio::test]
async fn the_operators_clients_call_it_an_error_and_recover(#[case] kind: &str, #[case] classes: &[Class]) {
    let face = Face::new(running(1, Run::Continuous)).await;
    let (azure, devops) = clients(&face);
    let set = SET.parse().unwrap();
    // Signs in first: this is not about the token.
    azure.get(&set).await.unwrap();
    for service in ["azure", "azureDevOps"] {
        fault(&face, json!({"wire": kind, "service": service, "for": "5m"})).await;
    }
    let seen = [
        azure.get(&set).await.unwrap_err().class(),
        devops.agents(PoolId(44)).await.unwrap_err().class(),
        devops.job_requests(PoolId(44)).await.unwrap_err().class(),
    ];
    assert!(seen.iter().all(|class| classes.contains(class)), "{seen:?}");
    face.pass(301);
    azure.get(&set).await.unwrap();
    assert_eq!(devops.agents(PoolId(44)).await.unwrap().value.len(), 1);
}

#[rstest]
#[case("entra", "html")]
#[case("entra", "truncated")]
#[case("entra", "wrongType")]
#[case("entra", "empty")]
#[case("entra", "closed")]
#[case("entra", "redirect")]
#[case("metadata", "html")]
#[case("metadata", "truncated")]
#[case("metadata", "closed")]
#[tokio::test]
async fn without_a_token_in_the_answer_there_is_none(#[case] service: &str, #[case] kind: &str) {
    let mut spec = round_figures();
    spec.managed_identities = vec![CLIENT.into()];
    let face = Face::new(spec).await;
    let http = Http::new(Limits { total: Duration::from_secs(20), ..Limits::default() }).unwrap();
    let cloud = Cloud::custom(&face.base, &face.base, SCOPE).unwrap().with_metadata(&face.base).unwrap();
    let secret = SecretString::from(SECRET.to_owned());
    let credential = match service {
        "entra" => Credential::client_secret(&http, &cloud, TENANT, CLIENT, &secret).unwrap(),
        _ => Credential::managed_identity(&http, &cloud, None).unwrap(),
    };
    fault(&face, json!({"wire": kind, "service": service})).await;
    // A token is one by whatever content type it comes.
    if kind != "wrongType" {
        let error = credential.token(SCOPE).await.unwrap_err();
        assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
    }
    face.control(Method::DELETE, "faults", Value::Null).await;
    assert!(credential.token(SCOPE).await.is_ok());
}

#[tokio::test]
async fn a_fault_may_be_limited_to_a_scale_set_or_an_organisation() {
    let mut spec = running(1, Run::Continuous);
    let mut set = spec.scale_sets[0].clone();
    set.resource_id = set.resource_id.replace("linux-d4", "linux-d8");
    spec.scale_sets.push(set);
    let mut organization = spec.organizations[0].clone();
    organization.name = "contoso".into();
    spec.organizations.push(organization);
    let face = Face::new(spec).await;
    fault(&face, json!({"wire": "empty", "service": "azure", "scaleSet": "linux-d8"})).await;
    fault(&face, json!({"wire": "empty", "service": "azureDevOps", "organization": "contoso"})).await;
    let other = SET.replace("linux-d4", "linux-d8");
    assert!(!face.get(SET).await.text.is_empty());
    for path in [other.clone(), format!("{other}/virtualMachines")] {
        assert!(face.get(&path).await.text.is_empty(), "{path}");
    }
    // Its operations too.
    face.control(Method::DELETE, "faults", Value::Null).await;
    let started = face.patch(&other, json!({"sku": {"capacity": 2}})).await;
    fault(&face, json!({"wire": "empty", "service": "azure", "scaleSet": "linux-d8"})).await;
    fault(&face, json!({"wire": "empty", "service": "azureDevOps", "organization": "contoso"})).await;
    assert!(face.get(started.header("azure-asyncoperation")).await.text.is_empty());
    let pools = "_apis/distributedtask/pools";
    assert_eq!(face.devops_get(&format!("/fabrikam/{pools}")).await.body["count"], 1);
    assert!(face.devops_get(&format!("/contoso/{pools}")).await.text.is_empty());
}

#[rstest]
#[case(json!({"wire": "html"}), "needs a service")]
#[case(json!({"wire": "html", "service": "entra", "organization": "fabrikam"}), "scaleSet limits")]
#[case(json!({"wire": "html", "service": "azure", "scaleSet": "other"}), "no scale set other")]
#[case(json!({"wire": "html", "service": "azure", "entra": "reject"}), "give one of")]
#[case(json!({"service": "azure"}), "give one of")]
#[case(json!({"wire": "loud", "service": "azure"}), "unknown variant `loud`")]
#[tokio::test]
async fn what_cannot_go_wrong_is_refused(#[case] body: Value, #[case] said: &str) {
    let face = Face::new(round_figures()).await;
    let answer = face.control(Method::POST, "faults", body).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["message"].as_str().unwrap().contains(said), "{}", answer.text);
}
