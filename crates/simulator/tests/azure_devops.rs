//! Azure DevOps' own limits and refusals: parallel jobs, usage, tokens that end, pools that it sizes itself.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_simulator::{
    WorldSpec,
    spec::{Distribution, PoolSpec, RateLimitMode, RateLimitSpec, Run},
    world::{JobSpec, OtherAgent, PoolRef},
};
use reqwest::{Method, redirect::Policy};
use rstest::rstest;
use serde_json::json;
use support::{
    Bench,
    face::{Answer, Face, PAT, POOL},
    round_figures, running,
};

const POOLS: &str = "/fabrikam/_apis/distributedtask/pools";

#[rstest]
#[case::forbidden("forbidden", 403, "application/json; charset=utf-8")]
#[case::unauthorized("unauthorized", 401, "application/json; charset=utf-8")]
#[case::redirect("redirect", 302, "text/html; charset=utf-8")]
#[case::delayed("delayed", 200, "application/json; charset=utf-8")]
#[tokio::test]
async fn each_fault_has_its_answer(#[case] fault: &str, #[case] status: u16, #[case] kind: &str) {
    let face = Face::new(round_figures()).await;
    face.control(Method::POST, "faults", json!({"azureDevOps": fault, "for": "5m"})).await;
    let http = reqwest::Client::builder().redirect(Policy::none()).build().unwrap();
    let call = http.get(format!("{}{POOLS}", face.base)).basic_auth("", Some(PAT));
    let answer = Answer::of(call.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.header("content-type")), (status, kind), "{}", answer.text);
    match fault {
        "redirect" => {
            let page = Answer::of(http.get(answer.header("location")).send().await.unwrap()).await;
            assert!(page.status == 200 && page.text.contains("Sign In"), "{}", page.text);
        }
        "delayed" => {
            assert_eq!((answer.header("retry-after"), answer.header("x-ratelimit-delay")), ("30", "30.000"));
            assert_eq!(answer.body["count"], 1);
        }
        "unauthorized" => assert!(answer.header("www-authenticate").starts_with("Bearer")),
        _ => assert_eq!(answer.body["typeKey"], "AccessDeniedException"),
    }
    face.pass(301);
    let answer = face.devops_get(POOLS).await;
    assert_eq!((answer.status, answer.header("retry-after")), (200, ""));
}

fn limited(mode: RateLimitMode) -> WorldSpec {
    let mut spec = round_figures();
    spec.organizations[0].rate_limit = Some(RateLimitSpec { tstu: 4, mode });
    spec
}

#[tokio::test]
async fn usage_is_told_then_delayed_then_refused() {
    let face = Face::new(limited(RateLimitMode::Enforced)).await;
    let mut seen = Vec::new();
    for _ in 0..9 {
        let answer = face.devops_get(POOLS).await;
        let [left, wait] =
            ["x-ratelimit-remaining", "retry-after"].map(|name| answer.header(name).to_owned());
        seen.push((answer.status, left, wait));
        if answer.status == 429 {
            assert!(answer.body["message"].as_str().unwrap().starts_with("TF400733: "));
            let reset: i64 = answer.header("x-ratelimit-reset").parse().unwrap();
            assert!((295..=300).contains(&(reset - Timestamp::now().as_second())));
        }
    }
    let seen: Vec<_> =
        seen.iter().map(|(status, left, wait)| (*status, left.as_str(), wait.as_str())).collect();
    let (quiet, over) = ((200, "", ""), |wait| (200, "0", wait));
    assert_eq!(seen[..8], [quiet, quiet, quiet, over(""), over("8"), over("15"), over("23"), over("30")]);
    assert_eq!((seen[8].0, seen[8].1), (429, "0"));
    let wait: i64 = seen[8].2.parse().unwrap();
    face.pass(wait);
    assert_eq!(face.devops_get(POOLS).await.status, 200);
}

#[tokio::test]
async fn usage_may_be_reported_only() {
    let face = Face::new(limited(RateLimitMode::Reported)).await;
    for _ in 0..12 {
        assert_eq!(face.devops_get(POOLS).await.status, 200);
    }
    assert_eq!(face.devops_get(POOLS).await.header("x-ratelimit-delay"), "30.000");
}

#[tokio::test]
async fn a_personal_access_token_ends_and_is_renewed() {
    let mut spec = round_figures();
    spec.organizations[0].tokens[0].expires = Some(Timestamp::now() + SignedDuration::from_mins(10));
    let face = Face::new(spec).await;
    assert_eq!(face.devops_get(POOLS).await.status, 200);
    face.pass(601);
    assert_eq!(face.devops_get(POOLS).await.status, 203);
    let rotated =
        face.control(Method::POST, "secrets", json!({"organization": "fabrikam", "token": "second"})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    assert_eq!(face.devops_get(POOLS).await.status, 203, "the old one");
    let call = face.http.get(format!("{}{POOLS}", face.base)).basic_auth("", Some("second"));
    assert_eq!(call.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn elastic_pools_are_those_with_the_option() {
    let mut spec = running(2, Run::Continuous);
    spec.organizations[0].pools[0].options = "elasticPool, preserveAgentOnJobFailure".into();
    let other = PoolSpec {
        id: 45,
        name: "other".into(),
        options: "none".into(),
        ..spec.organizations[0].pools[0].clone()
    };
    spec.organizations[0].pools.push(other);
    let face = Face::new(spec).await;
    let elastic = "/fabrikam/_apis/distributedtask/elasticpools";
    let list = face.devops_get(elastic).await;
    assert_eq!((&list.body["count"], &list.body["value"][0]["poolId"]), (&json!(1), &json!(44)));
    let one = face.devops_get(&format!("{elastic}/44")).await;
    assert_eq!(one.body, list.body["value"][0]);
    assert_eq!((&one.body["state"], &one.body["desiredSize"]), (&json!("online"), &json!(2)));
    assert_eq!(face.devops_get(&format!("{elastic}/45")).await.status, 404);
    assert_eq!(face.devops_get(POOL).await.body["options"], "elasticPool, preserveAgentOnJobFailure");
}

fn parallel(vms: u32, jobs: u32) -> Bench {
    let mut spec = running(vms, Run::Continuous);
    spec.organizations[0].parallel_jobs = Some(jobs);
    let pool = PoolSpec { id: 45, name: "other".into(), ..spec.organizations[0].pools[0].clone() };
    spec.organizations[0].pools.push(pool);
    Bench::new(spec)
}

fn running_in(bench: &Bench, pool: PoolRef) -> Vec<u64> {
    let pool = bench.world.pool(pool).unwrap();
    pool.open_requests().filter(|job| !job.is_waiting()).map(|job| job.id).collect()
}

#[test]
fn parallel_jobs_bound_what_runs_over_all_pools() {
    let mut bench = parallel(3, 2);
    let other = bench.world.find_pool("fabrikam", "other").unwrap();
    let agent = OtherAgent {
        name: "own-agent".into(),
        version: "4.261.0".into(),
        capabilities: [].into(),
        user_capabilities: [].into(),
        runs: true,
    };
    bench.world.add_agent(other, agent).unwrap();
    bench.pass(10);
    let first = bench.queue(2, 100);
    let elsewhere = bench.world.queue_jobs(other, JobSpec::new(Distribution::seconds(50)), None).unwrap();
    let last = bench.queue(1, 100);
    assert_eq!(running_in(&bench, bench.pool), first, "the rest waits, with agents free");
    assert_eq!((running_in(&bench, other), bench.idle()), (Vec::new(), 1));
    // 2 s to start, 100 s to run: both end, and both jobs that wait begin, the older one first.
    bench.pass(103);
    assert_eq!((running_in(&bench, other), running_in(&bench, bench.pool)), (elsewhere, last));
    bench.pass(103);
    assert_eq!(bench.world.tally().finished, 4);
}

#[test]
fn the_longest_waiting_job_gets_the_parallel_job_in_whichever_pool() {
    let mut bench = parallel(2, 1);
    let other = bench.world.find_pool("fabrikam", "other").unwrap();
    let agent = OtherAgent {
        name: "own-agent".into(),
        version: "4.261.0".into(),
        capabilities: [].into(),
        user_capabilities: [].into(),
        runs: true,
    };
    bench.world.add_agent(other, agent).unwrap();
    bench.pass(10);
    let first = bench.queue(1, 100);
    let elsewhere = bench.world.queue_jobs(other, JobSpec::new(Distribution::seconds(100)), None).unwrap();
    let last = bench.queue(1, 100);
    assert_eq!(running_in(&bench, bench.pool), first);
    bench.pass(103);
    assert_eq!((running_in(&bench, other), running_in(&bench, bench.pool)), (elsewhere, Vec::new()));
    // A cancelled job gives its parallel job back; maintenance needs none.
    let agent = bench.world.pool(bench.pool).unwrap().agents().next().unwrap().id;
    let maintenance = JobSpec { maintenance_of: Some(agent), ..JobSpec::new(Distribution::seconds(500)) };
    let maintenance = bench.world.queue_jobs(bench.pool, maintenance, None).unwrap();
    assert_eq!(running_in(&bench, bench.pool), maintenance);
    bench.world.cancel_job(other, running_in(&bench, other)[0]).unwrap();
    assert_eq!(running_in(&bench, bench.pool), [last, maintenance].concat());
}

#[rstest]
#[case("  parallelJobs: 0\n", "organizations[0].parallelJobs: must be at least 1")]
#[case("  rateLimit: {tstu: 0}\n", "organizations[0].rateLimit.tstu: must be at least 1")]
#[case("  rateLimit: {mode: Strict}\n", "organizations[0].rateLimit")]
fn limits_are_checked(#[case] written: &str, #[case] said: &str) {
    let text = include_str!("../../../examples/simulator/world.yaml");
    let text = text.replace("- name: fabrikam\n", &format!("- name: fabrikam\n{written}"));
    let error = WorldSpec::parse(&text).unwrap_err().to_string();
    assert!(error.starts_with(said), "{error}");
}
