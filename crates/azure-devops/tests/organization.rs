//! The Azure DevOps client against a real server.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;

use jiff::SignedDuration;
use poolkeeper_azure_devops::{
    AgentId, AgentStatus, Authorization, JobState, Organization, PoolId, Removal, RequestId,
};
use poolkeeper_rest::{CallLog, Class, Error, Http, Limits, Method, Operation, Service, Url};
use rstest::rstest;
use serde_json::{Value, json};
use stub::{Scripted, Stub, closed, empty, raw, text};

const PAT: &str = "p4t-that-nobody-may-see";
const POOL: PoolId = PoolId(44);
const AGENT: AgentId = AgentId(11733);

fn organization_at(url: &str, limits: Limits) -> (Organization, CallLog) {
    let calls = CallLog::default();
    let url = Url::parse(&format!("{url}/fabrikam")).unwrap();
    let http = Http::new(limits).unwrap();
    (Organization::new(http, url, Authorization::Pat(PAT.into()), calls.clone()).unwrap(), calls)
}

fn organization(stub: &Stub) -> Organization {
    organization_at(&stub.url, Limits::default()).0
}

#[allow(clippy::needless_pass_by_value, reason = "reads better with json!")]
fn list(values: Value) -> Scripted {
    stub::json(200, json!({"count": values.as_array().unwrap().len(), "value": values}))
}

fn failure(status: u16, key: &str, message: &str) -> Scripted {
    stub::json(
        status,
        json!({"$id": "1", "innerException": null, "message": message, "typeName": "Ns.Type, Assembly",
        "typeKey": key, "errorCode": 0, "eventId": 3000}),
    )
}

fn agent() -> Value {
    json!({
        "_links": {}, "id": 11733, "name": "agent000007", "version": "4.250.0", "osDescription": "Linux", "enabled": true,
        "status": "online", "provisioningState": "Provisioned", "maxParallelism": 1,
        "createdOn": "2026-01-01T00:00:00.123Z", "statusChangedOn": "0001-01-01T00:00:00",
        "systemCapabilities": {"Agent.ComputerName": "agent000007", "EMPTY": null}, "userCapabilities": {"gpu": "true"},
        "assignedRequest": job(), "lastCompletedRequest": {"requestId": 890600, "result": "succeeded"},
        "pendingUpdate": {"currentState": "downloading"}})
}

fn job() -> Value {
    json!({
        "requestId": 890663, "queueTime": "2022-09-28T11:20:22.4633333Z", "assignTime": "2022-09-28T11:20:24Z",
        "receiveTime": "2022-09-28T11:20:25Z", "lockedUntil": "2022-09-28T11:30:25Z", "serviceOwner": "g", "hostId": "g",
        "scopeId": "project", "planType": "Build", "planId": "g", "jobId": "job", "jobName": "Job 1",
        "demands": ["dotnet60", "Agent.Version -gtVersion 2.182.1"],
        "reservedAgent": {"id": 11733, "name": "agent000007", "version": "4.250.0", "enabled": true, "status": "online"},
        "matchedAgents": [{"id": 1755, "name": "placeholder", "status": "offline"}], "matchesAllAgentsInPool": false,
        "definition": {"_links": {}, "id": 4869, "name": "base - main"}, "owner": {"id": 673584, "name": "20220928.2"},
        "data": {"ParallelismTag": "Private"}, "poolId": 44, "queueId": 12, "priority": 0})
}

#[tokio::test]
async fn a_pool_is_found_by_its_whole_name_in_any_case() {
    let pools = json!([
        {"id": 1, "name": "linux-builds", "poolType": "automation", "options": "none"},
        {"id": 2, "name": "Linux-Build", "poolType": "deployment"},
        {"id": 44, "name": "Linux-Build", "size": 3, "isHosted": false, "poolType": "automation",
            "options": "elasticPool, singleUseAgents"}]);
    let stub = Stub::with([list(pools), list(json!([]))]).await;
    let organization = organization(&stub);
    let pool = organization.pool_by_name("linux-build").await.unwrap().value.unwrap();
    assert_eq!((pool.id, pool.size, pool.is_hosted), (POOL, 3, false));
    assert!(pool.options.elastic_pool && pool.options.single_use_agents);
    assert_eq!(organization.pool_by_name("a&b").await.unwrap().value, None);

    let seen = stub.seen();
    assert_eq!(seen[0].uri.path(), "/fabrikam/_apis/distributedtask/pools");
    assert_eq!(seen[0].query("api-version").as_deref(), Some("7.1"));
    assert_eq!(seen[1].query("poolName").as_deref(), Some("a&b"));
    assert_eq!(seen[0].header("authorization"), "Basic OnA0dC10aGF0LW5vYm9keS1tYXktc2Vl");
    assert_eq!(seen[0].header("x-tfs-fedauthredirect"), "Suppress");
}

#[tokio::test]
async fn a_pool_is_read_by_its_number() {
    let missing = failure(404, "TaskAgentPoolNotFoundException", "No agent pool found with identifier 45.");
    let stub = Stub::with([stub::json(200, json!({"id": 44, "name": "linux"})), missing]).await;
    let organization = organization(&stub);
    assert_eq!(organization.pool(POOL).await.unwrap().value.name, "linux");
    let error = organization.pool(PoolId(45)).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::NotFound, Some("TaskAgentPoolNotFoundException")));
    assert_eq!(stub.seen()[1].uri.path(), "/fabrikam/_apis/distributedtask/pools/45");
}

#[tokio::test]
async fn agents_come_with_their_jobs_and_a_wait_is_passed_on() {
    let other = json!({"id": 2, "name": "placeholder", "enabled": false, "status": "Offline"});
    let stub = Stub::with([list(json!([agent(), other])).with("retry-after", "5")]).await;
    let (organization, calls) = organization_at(&stub.url, Limits::default());
    let answer = organization.agents(POOL).await.unwrap();
    assert_eq!(answer.retry_after, Some(SignedDuration::from_secs(5)));
    let [agent, other] = answer.value.as_slice() else { panic!() };
    assert_eq!((agent.id, agent.name.as_str(), agent.enabled), (AGENT, "agent000007", true));
    assert_eq!((&agent.status, &other.status), (&AgentStatus::Online, &AgentStatus::Offline));
    assert_eq!(
        (agent.created_on, agent.status_changed_on),
        (Some("2026-01-01T00:00:00.123Z".parse().unwrap()), None)
    );
    assert_eq!(
        (agent.system_capabilities["EMPTY"].as_str(), agent.user_capabilities["gpu"].as_str()),
        ("", "true")
    );
    assert_eq!(agent.assigned_request.as_ref().unwrap().request_id, RequestId(890_663));
    assert_eq!(agent.last_completed_request.as_ref().unwrap().state(), JobState::Finished);
    assert!(agent.updating && !other.updating);
    assert!(other.assigned_request.is_none() && !other.enabled);

    let seen = stub.only();
    for include in ["includeCapabilities", "includeAssignedRequest", "includeLastCompletedRequest"] {
        assert_eq!(seen.query(include).as_deref(), Some("true"));
    }
    assert_eq!(
        calls.counts().map(|row| (row.operation, row.count)).collect::<Vec<_>>(),
        [(Operation::List, 1)]
    );
}

#[tokio::test]
async fn agents_by_name_are_those_of_the_whole_name() {
    let longer = json!({"id": 2, "name": "agent0000070", "enabled": true, "status": "online"});
    let stub = Stub::with([list(json!([agent(), longer]))]).await;
    let agents = organization(&stub).agents_by_name(POOL, "AGENT000007").await.unwrap().value;
    assert_eq!(agents.iter().map(|agent| agent.id).collect::<Vec<_>>(), [AGENT]);
    let seen = stub.only();
    assert_eq!(seen.query("agentName").as_deref(), Some("AGENT000007"));
    assert_eq!(seen.query("includeAssignedRequest").as_deref(), Some("true"));
}

#[tokio::test]
async fn an_agent_is_there_or_gone_or_unknown() {
    let gone =
        failure(404, "TaskAgentNotFoundException", "No agent found for pool 44 with identifier 11733.");
    let hidden = failure(404, "TaskAgentPoolNotFoundException", "No agent pool found with identifier 44.");
    let page = text(404, "text/html", "<html>not here</html>");
    let stub = Stub::with([stub::json(200, agent()), gone, hidden, page]).await;
    let organization = organization(&stub);
    assert_eq!(organization.agent(POOL, AGENT).await.unwrap().value.unwrap().id, AGENT);
    assert_eq!(organization.agent(POOL, AGENT).await.unwrap().value, None);
    for _ in 0..2 {
        assert_eq!(organization.agent(POOL, AGENT).await.unwrap_err().class(), Class::NotFound);
    }
    assert_eq!(stub.seen()[0].query("includeAssignedRequest").as_deref(), Some("true"));
}

#[tokio::test]
async fn an_agent_is_disabled_on_the_server() {
    let mut disabled = agent();
    disabled["enabled"] = json!(false);
    let stub = Stub::with([stub::json(200, disabled)]).await;
    assert!(!organization(&stub).disable_agent(POOL, AGENT).await.unwrap().value.enabled);
    let seen = stub.only();
    assert_eq!((seen.method.clone(), seen.json()), (Method::PATCH, json!({"id": 11733, "enabled": false})));
    assert_eq!(seen.uri.path(), "/fabrikam/_apis/distributedtask/pools/44/agents/11733");
}

#[rstest]
#[case(empty(204), Ok(Removal::Deleted))]
#[case(empty(200), Ok(Removal::Deleted))]
#[case(failure(400, "TaskAgentJobStillRunningException", "is running a job"), Ok(Removal::StillRunning))]
#[case(failure(404, "TaskAgentNotFoundException", "No agent found"), Ok(Removal::Gone))]
#[case(failure(404, "TaskAgentPoolNotFoundException", "No agent pool found"), Err(Class::NotFound))]
#[case(text(404, "text/html", "<html>"), Err(Class::NotFound))]
#[case(failure(400, "VssPropertyValidationException", "bad"), Err(Class::Invalid))]
#[case(failure(403, "AccessDeniedException", "no right"), Err(Class::Forbidden))]
#[case(text(203, "text/html", "<html>Sign in"), Err(Class::Unauthenticated))]
#[case(empty(503), Err(Class::Server))]
#[tokio::test]
async fn a_removal_has_three_outcomes_and_else_fails(
    #[case] answer: Scripted,
    #[case] expected: Result<Removal, Class>,
) {
    let stub = Stub::with([answer]).await;
    let (organization, calls) = organization_at(&stub.url, Limits::default());
    let removal = organization.delete_agent(POOL, AGENT).await;
    assert_eq!(removal.map(|answer| answer.value).map_err(|error| error.class()), expected);
    assert_eq!(stub.only().method, Method::DELETE);
    assert_eq!(calls.writes(Service::AzureDevOps), 1);
}

#[tokio::test]
async fn job_requests_are_the_unfinished_ones() {
    let queued = json!({"requestId": 2, "queueTime": "2026-01-01T00:00:00Z", "planType": "PoolMaintenance", "demands": null});
    let stub = Stub::with([list(json!([job(), queued]))]).await;
    let jobs = organization(&stub).job_requests(POOL).await.unwrap().value;
    let [running, queued] = jobs.as_slice() else { panic!() };
    assert_eq!((running.state(), queued.state()), (JobState::Received, JobState::Queued));
    assert!(!running.is_maintenance() && queued.is_maintenance());
    assert_eq!(running.demands, ["dotnet60", "Agent.Version -gtVersion 2.182.1"]);
    assert_eq!(running.reserved_agent.as_ref().unwrap().id, AGENT);
    assert_eq!(running.matched_agents.as_ref().unwrap()[0].id, AgentId(1755));
    assert_eq!((running.matches_all_agents_in_pool, &queued.matched_agents), (Some(false), &None));
    assert_eq!(running.definition.as_ref().unwrap().name.as_deref(), Some("base - main"));
    assert_eq!(running.owner.as_ref().unwrap().id, 673_584);
    assert_eq!((running.job_name.as_deref(), running.pool_id), (Some("Job 1"), Some(POOL)));
    assert_eq!(running.locked_until, Some("2022-09-28T11:30:25Z".parse().unwrap()));

    let seen = stub.only();
    assert_eq!(seen.uri.path(), "/fabrikam/_apis/distributedtask/pools/44/jobrequests");
    assert_eq!(seen.query("completedRequestCount").as_deref(), Some("0"));
    assert_eq!(seen.query("api-version").as_deref(), Some("7.2-preview.1"));
    assert_eq!(seen.query("$top"), None);
}

/// The five reads, each of which an empty or absent answer must not pass for "nothing there".
async fn read_all(stub: &Stub, answer: &Scripted) -> Vec<Error> {
    for _ in 0..5 {
        stub.then(answer.clone());
    }
    let organization = organization(stub);
    vec![
        organization.pool_by_name("linux").await.unwrap_err(),
        organization.agents(POOL).await.unwrap_err(),
        organization.agents_by_name(POOL, "a").await.unwrap_err(),
        organization.agent(POOL, AGENT).await.unwrap_err(),
        organization.job_requests(POOL).await.unwrap_err(),
    ]
}

#[rstest]
#[case(text(203, "text/html; charset=utf-8", "<html>Sign in</html>"), Class::Unauthenticated)]
#[case(text(200, "text/html", "<html>Sign in</html>"), Class::Unauthenticated)]
#[case(empty(302).with("location", "https://login.contoso.com"), Class::Unauthenticated)]
#[case(empty(401), Class::Unauthenticated)]
#[case(failure(403, "AccessDeniedException", "no right"), Class::Forbidden)]
#[case(empty(429).with("retry-after", "30"), Class::Throttled)]
#[case(empty(503), Class::Server)]
#[case(empty(200), Class::Unexpected)]
#[case(empty(204), Class::Unexpected)]
#[case(text(200, "text/plain", "{}"), Class::Unexpected)]
#[case(stub::json(200, json!({})), Class::Unexpected)]
#[case(stub::json(200, json!([])), Class::Unexpected)]
#[case(stub::json(200, json!({"count": 1, "value": []})), Class::Unexpected)]
#[case(stub::json(200, json!({"count": 0})), Class::Unexpected)]
#[case(stub::json(200, json!({"value": []})), Class::Unexpected)]
#[case(stub::json(200, json!({"count": 0, "value": null})), Class::Unexpected)]
#[tokio::test]
async fn no_bad_answer_passes_for_nothing(#[case] answer: Scripted, #[case] class: Class) {
    let stub = Stub::start().await;
    for error in read_all(&stub, &answer).await {
        assert_eq!(error.class(), class, "{error}");
        assert!(!format!("{error} {error:?}").contains(PAT));
    }
}

#[tokio::test]
async fn what_breaks_off_or_never_ends_is_an_error() {
    let (url, _server) =
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"count\":0,")
            .await;
    let broken = organization_at(&url, Limits::default()).0.agents(POOL).await.unwrap_err();
    assert_eq!(broken.class(), Class::Unreachable);
    let stub = Stub::with([list(json!([agent(), agent()]))]).await;
    let limits = Limits { body: 500, ..Limits::default() };
    let large = organization_at(&stub.url, limits).0.agents(POOL).await.unwrap_err();
    assert_eq!(large.class(), Class::Unexpected);
    let (url, _taken) = closed();
    let down = organization_at(&url, Limits::default()).0.agents(POOL).await.unwrap_err();
    assert_eq!(down.class(), Class::Unreachable);
}

#[tokio::test]
async fn an_agent_of_which_too_little_is_known_is_an_error_with_its_place() {
    let stub = Stub::with([list(json!([agent(), {"id": 2, "name": "x", "status": "online"}]))]).await;
    let error = organization(&stub).agents(POOL).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    assert!(error.to_string().contains("at value[1]: missing field `enabled`"), "{error}");
}

#[tokio::test]
async fn a_token_of_entra_id_is_a_bearer_and_shows_nowhere() {
    let stub = Stub::with([list(json!([]))]).await;
    let organization = organization(&stub).with_authorization(Authorization::Bearer("b34r3r".into()));
    organization.agents(POOL).await.unwrap();
    assert_eq!(stub.only().header("authorization"), "Bearer b34r3r");
    let shown = format!("{organization:?}");
    assert!(!shown.contains("b34r3r") && !shown.contains(PAT), "{shown}");
}
