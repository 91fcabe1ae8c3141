//! Answers that Azure DevOps gives to a bad token, and answers that it never gives: each a typed error that names the host
//! and the mend, never an empty list, never a token for another host.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;
#[path = "../../rest/tests/support/tls.rs"]
mod tls;

use poolkeeper_azure_devops::{
    AgentId, AgentStatus, Authorization, JobResult, JobState, Maintenance, MaintenanceDays,
    MaintenanceDefinition, MaintenanceId, NewAgent, Organization, PoolId,
};
use poolkeeper_rest::{CallLog, Class, Error, Http, Limits, Url};
use rstest::rstest;
use serde_json::json;
use std::collections::BTreeMap;
use stub::{Scripted, Stub, empty, raw, text};

const PAT: &str = "p4t-that-nobody-may-see";
const POOL: PoolId = PoolId(44);
const AGENT: AgentId = AgentId(7);
const SIGN_IN: &str =
    "answered with its sign-in page; the token is wrong, expired, or of another organization";
const CHECK: &str = "check the address, and any proxy on the way";

fn organization(url: &str, limits: Limits) -> Organization {
    let url = Url::parse(&format!("{url}/fabrikam")).unwrap();
    let token = Authorization::Pat(PAT.into());
    Organization::new(Http::new(limits).unwrap(), url, token, CallLog::default()).unwrap()
}

async fn call_all(organization: &Organization) -> Vec<Error> {
    vec![
        organization.pool_by_name("linux").await.unwrap_err(),
        organization.pool(POOL).await.unwrap_err(),
        organization.agents(POOL).await.unwrap_err(),
        organization.agents_by_name(POOL, "a").await.unwrap_err(),
        organization.agent(POOL, AGENT).await.unwrap_err(),
        organization.disable_agent(POOL, AGENT).await.unwrap_err(),
        organization.job_requests(POOL).await.unwrap_err(),
        organization.register_agent(POOL, &new_agent()).await.unwrap_err(),
        organization.maintenance_definitions(POOL).await.unwrap_err(),
        organization.create_maintenance_definition(POOL, &maintenance()).await.unwrap_err(),
        organization.update_maintenance_definition(POOL, &definition()).await.unwrap_err(),
    ]
}

const CALLS: usize = 11;

fn new_agent() -> NewAgent {
    NewAgent {
        name: "a".into(),
        version: "4.0.0".into(),
        os_description: "none".into(),
        enabled: true,
        system_capabilities: BTreeMap::new(),
        user_capabilities: BTreeMap::new(),
    }
}

fn maintenance() -> Maintenance {
    Maintenance {
        enabled: true,
        job_timeout_minutes: 60,
        max_concurrent_percent: 25,
        unused_days: 30,
        history_records: 10,
        days: MaintenanceDays::ALL,
        start_hours: 3,
        start_minutes: 0,
        time_zone: "UTC".into(),
    }
}

fn definition() -> MaintenanceDefinition {
    MaintenanceDefinition { id: MaintenanceId(4), maintenance: maintenance(), schedule_job: None }
}

#[rstest]
#[case::sign_in(
    text(203, "text/html; charset=utf-8", "<html>Sign in</html>"),
    Class::Unauthenticated,
    SIGN_IN
)]
#[case::sign_in_as_json(
    text(203, "application/json", "{\"count\":0,\"value\":[]}"),
    Class::Unauthenticated,
    SIGN_IN
)]
#[case::sign_in_as_success(text(200, "text/html", "<html>Sign in</html>"), Class::Unauthenticated, SIGN_IN)]
#[case::page_of_agent(
    text(404, "text/html", "<html>no</html>"),
    Class::NotFound,
    "answered with a web page; {}"
)]
#[case::page_of_gateway(
    text(502, "text/html", "<html>gateway</html>"),
    Class::Server,
    "answered with a web page; {}"
)]
#[case::page_of_proxy(
    text(407, "text/html", "<html>proxy</html>"),
    Class::Invalid,
    "answered with a web page; {}"
)]
#[case::kind(
    text(200, "text/plain", "{}"),
    Class::Unexpected,
    "answered with text/plain instead of JSON; {}"
)]
#[case::empty(empty(200), Class::Unexpected, "answered with an empty body instead of JSON; {}")]
#[case::cut(
    text(200, "application/json", r#"{"count":1,"value":[{"id":1"#),
    Class::Unexpected,
    "JSON that is cut off"
)]
#[case::no_json(text(200, "application/json", "<html>"), Class::Unexpected, "unexpected JSON, at the body")]
#[case::shape(stub::json(200, json!([])), Class::Unexpected, "unexpected JSON, at the body")]
#[tokio::test]
async fn azure_devops_answers_badly(#[case] answer: Scripted, #[case] class: Class, #[case] said: &str) {
    let stub = Stub::with(std::iter::repeat_n(answer, CALLS)).await;
    for error in call_all(&organization(&stub.url, Limits::default())).await {
        check(&error, class, &stub.url, &said.replace("{}", CHECK));
    }
}

fn check(error: &Error, class: Class, url: &str, said: &str) {
    assert_eq!(error.class(), class, "{error}");
    let host = url.split("//").nth(1).unwrap();
    assert!(error.reason().unwrap().starts_with(host) && error.host() == Some(host), "{error}");
    assert!(error.reason().unwrap().contains(said), "{error}");
    assert!(!format!("{error} {error:?}").contains(PAT));
}

#[rstest]
#[case(301, Class::Unexpected, "redirects to 127.0.0.1, which is not followed; correct the address")]
#[case(302, Class::Unauthenticated, SIGN_IN)]
#[case(303, Class::Unauthenticated, SIGN_IN)]
#[case(307, Class::Unexpected, "redirects to 127.0.0.1, which is not followed; correct the address")]
#[tokio::test]
async fn azure_devops_redirects_and_the_target_hears_nothing(
    #[case] status: u16,
    #[case] class: Class,
    #[case] said: &str,
) {
    let elsewhere = Stub::start().await;
    let answer = empty(status).with("location", &format!("{}/_signin", elsewhere.url));
    let stub = Stub::with(std::iter::repeat_n(answer, CALLS + 1)).await;
    let organization = organization(&stub.url, Limits::default());
    for error in call_all(&organization).await {
        check(&error, class, &stub.url, said);
    }
    assert_eq!(organization.delete_agent(POOL, AGENT).await.unwrap_err().class(), class);
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn azure_devops_sends_too_much_or_too_little() {
    let agents: Vec<_> =
        (0..100).map(|id| json!({"id": id, "name": "a", "enabled": true, "status": "online"})).collect();
    let stub = Stub::with([stub::json(200, json!({"count": 100, "value": agents}))]).await;
    let limits = Limits { body: 1000, ..Limits::default() };
    let error = organization(&stub.url, limits).agents(POOL).await.unwrap_err();
    check(&error, Class::Unexpected, &stub.url, "the body is larger than 1000 bytes");
    let (url, _server) =
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"count\":0,")
            .await;
    let error = organization(&url, Limits::default()).agents(POOL).await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    assert!(error.to_string().ends_with("answer broke off"), "{error}");
}

#[tokio::test]
async fn words_that_are_new_are_kept() {
    let job = json!({"requestId": 1, "result": "vanished", "planType": "Novel", "status": 9});
    let agents = json!([
        {"id": 7, "name": "a", "enabled": true, "status": "hibernating", "lastCompletedRequest": job},
        {"id": 8, "name": "b", "enabled": true, "status": 3}]);
    let pools = json!([
        {"id": 1, "name": "linux", "poolType": 2}, {"id": 2, "name": "linux", "poolType": "novel"},
        {"id": 44, "name": "linux", "poolType": 1, "options": "novel"}]);
    let stub = Stub::with([
        stub::json(200, json!({"count": 2, "value": agents})),
        stub::json(200, json!({"count": 3, "value": pools})),
    ])
    .await;
    let organization = organization(&stub.url, Limits::default());
    let agents = organization.agents(POOL).await.unwrap().value;
    assert_eq!(agents[0].status, AgentStatus::Other("hibernating".into()));
    assert_eq!(agents[1].status, AgentStatus::Other("3".into()));
    let job = agents[0].last_completed_request.as_ref().unwrap();
    assert_eq!((&job.result, job.state()), (&Some(JobResult::Other("vanished".into())), JobState::Finished));
    let pool = organization.pool_by_name("linux").await.unwrap().value.unwrap();
    assert_eq!((pool.id, pool.options.other.as_slice()), (POOL, &["novel".to_owned()][..]));
}

#[tokio::test]
async fn capabilities_are_not_taken_for_written_unless_the_service_says_so() {
    let stub = Stub::with([
        text(203, "text/html", "<html>Sign in</html>"),
        text(404, "text/html", "<html>no</html>"),
        text(200, "text/plain", "{}"),
        empty(200),
        text(200, "application/json", "{\"id\":"),
    ])
    .await;
    let organization = organization(&stub.url, Limits::default());
    let all = BTreeMap::from([("docker".to_owned(), "true".to_owned())]);
    for class in
        [Class::Unauthenticated, Class::NotFound, Class::Unexpected, Class::Unexpected, Class::Unexpected]
    {
        let error = organization.set_user_capabilities(POOL, AGENT, &all).await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
    }
}

#[tokio::test]
async fn what_is_left_of_the_budget_comes_with_every_answer() {
    let told = |answer: Scripted| {
        answer
            .with("x-ratelimit-remaining", "40")
            .with("x-ratelimit-limit", "200")
            .with("x-ratelimit-delay", "1.5")
    };
    let stub = Stub::with([
        told(stub::json(200, json!({"count": 0, "value": []}))),
        told(empty(204)),
        told(stub::json(404, json!({"typeKey": "TaskAgentNotFoundException", "message": "m"}))),
        told(empty(429)),
        stub::json(200, json!({"count": 0, "value": []})).with("x-ratelimit-remaining", "soon"),
    ])
    .await;
    let organization = organization(&stub.url, Limits::default());
    let limits = [
        organization.agents(POOL).await.unwrap().rate_limit,
        organization.delete_agent(POOL, AGENT).await.unwrap().rate_limit,
        organization.agent(POOL, AGENT).await.unwrap().rate_limit,
        organization.agents(POOL).await.unwrap_err().rate_limit().cloned(),
    ];
    for limit in limits {
        let limit = limit.unwrap();
        assert_eq!(
            (limit.remaining, limit.limit, limit.delay.unwrap().as_millis()),
            (Some(40), Some(200), 1500)
        );
    }
    assert_eq!(organization.agents(POOL).await.unwrap().rate_limit, None);
}

#[tokio::test]
async fn azure_devops_with_a_certificate_that_nobody_trusts_hears_nothing() {
    let server = tls::untrusted().await;
    let error = organization(&server.url, Limits::default()).agents(POOL).await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    let host = server.url.trim_start_matches("https://");
    let said = format!("the certificate of {host} is not trusted; add its authority to the trusted ones");
    assert!(error.reason().unwrap().starts_with(&said), "{error}");
    assert!(!server.was_spoken_to().await);
}
