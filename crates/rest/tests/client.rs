//! The shared client against a real server: every way in which a call can fail, and what it says then.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "support/stub.rs"]
mod stub;
#[path = "support/tls.rs"]
mod tls;

use jiff::SignedDuration;
use poolkeeper_rest::{
    Answer, Authorization, CallLog, Class, Client, Error, Http, Limits, Method, Operation, Request, Service,
    Url,
};
use rstest::rstest;
use serde_json::{Value, json};
use std::error::Error as _;
use std::time::Duration;
use stub::{Scripted, Stub, closed, empty, raw, text};

const TOKEN: &str = "t0k3n-that-nobody-may-see";

fn bearer() -> Authorization {
    Authorization::Bearer(TOKEN.into())
}

fn client(service: Service, url: &str, limits: Limits) -> (Client, CallLog) {
    let calls = CallLog::default();
    let base = Url::parse(url).unwrap();
    (Client::new(Http::new(limits).unwrap(), service, base, calls.clone()).unwrap(), calls)
}

async fn get_from(service: Service, url: &str, limits: Limits) -> Result<Answer<Value>, Error> {
    let (client, _) = client(service, url, limits);
    let request = Request::new(Method::GET, client.url(["things"], &[("secret", "q")]), Operation::Get);
    let result = client.json(request, &bearer()).await;
    if let Err(error) = &result {
        assert_silent(error);
    }
    result
}

async fn get(service: Service, answer: Scripted) -> Result<Answer<Value>, Error> {
    get_from(service, &Stub::with([answer]).await.url, Limits::default()).await
}

/// Neither the error nor anything below it shows the token or the query.
fn assert_silent(error: &Error) {
    let mut shown = format!("{error} {error:?}");
    let mut below = error.source();
    while let Some(source) = below {
        shown.push_str(&format!(" {source} {source:?}"));
        below = source.source();
    }
    assert!(!shown.contains(TOKEN) && !shown.contains("secret=q"), "{shown}");
}

#[rstest]
#[case(400, Class::Invalid)]
#[case(401, Class::Unauthenticated)]
#[case(403, Class::Forbidden)]
#[case(404, Class::NotFound)]
#[case(408, Class::Server)]
#[case(409, Class::Conflict)]
#[case(410, Class::NotFound)]
#[case(412, Class::Precondition)]
#[case(422, Class::Invalid)]
#[case(429, Class::Throttled)]
#[case(500, Class::Server)]
#[case(503, Class::Server)]
#[tokio::test]
async fn a_status_has_a_class(
    #[case] status: u16,
    #[case] class: Class,
    #[values(Service::ResourceManager, Service::AzureDevOps)] service: Service,
) {
    // A page of a gateway in between says nothing about our credential.
    let error = get(service, text(status, "text/html", "<html>")).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (class, Some(status)));
    assert_eq!((error.code(), error.message()), (None, None));
}

#[rstest]
#[case(text(203, "text/html; charset=utf-8", "<html>Sign in</html>"))]
#[case(text(203, "application/json", "{}"))]
#[case(text(200, "text/html", "<html>Sign in</html>"))]
#[case(empty(302).with("location", "https://login.contoso.com/"))]
#[tokio::test]
async fn a_sign_in_page_of_azure_devops_is_a_refused_credential(#[case] answer: Scripted) {
    let error = get(Service::AzureDevOps, answer).await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthenticated);
    assert!(error.to_string().contains("sign-in page"), "{error}");
}

#[tokio::test]
async fn a_page_from_resource_manager_is_unexpected() {
    let error = get(Service::ResourceManager, text(200, "text/html", "<html>")).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    let end = " answered with text/html instead of JSON; check the address, and any proxy on the way";
    assert!(error.to_string().ends_with(end), "{error}");
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn redirects_are_not_followed(#[case] status: u16) {
    let elsewhere = Stub::with([stub::json(200, json!({}))]).await;
    let answer = empty(status).with("location", &elsewhere.url);
    let error = get(Service::ResourceManager, answer).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    let reason = "redirects to 127.0.0.1, which is not followed; correct the address";
    assert!(error.reason().unwrap().ends_with(reason), "{error}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn another_origin_gets_nothing() {
    let elsewhere = Stub::with([stub::json(200, json!({}))]).await;
    let home = Stub::start().await;
    let (client, calls) = client(Service::ResourceManager, &home.url, Limits::default());
    let request =
        Request::new(Method::GET, Url::parse(&format!("{}/x?p=1", elsewhere.url)).unwrap(), Operation::List);
    let error = client.json::<Value>(request, &bearer()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Unexpected, None));
    assert!(error.to_string().contains("another origin"), "{error}");
    assert!(elsewhere.seen().is_empty() && home.seen().is_empty());
    assert_eq!(calls.counts().count(), 0);
}

#[tokio::test]
async fn retry_after_comes_with_success_and_failure() {
    let slow = stub::json(200, json!({"a": 1})).with("retry-after", "7").with("etag", "\"3\"");
    let answer = get(Service::AzureDevOps, slow).await.unwrap();
    assert_eq!(
        answer,
        Answer {
            value: json!({"a": 1}),
            retry_after: Some(SignedDuration::from_secs(7)),
            etag: Some("\"3\"".into()),
            ..Answer::new(Value::Null)
        }
    );
    let throttled = stub::json(429, json!({"error": {"code": "OperationNotAllowed", "message": "too many"}}))
        .with("retry-after", "61")
        .with("x-ms-request-id", "r-1");
    let error = get(Service::ResourceManager, throttled).await.unwrap_err();
    assert_eq!(error.class(), Class::Throttled);
    assert_eq!(error.retry_after(), Some(SignedDuration::from_secs(61)));
    assert_eq!((error.code(), error.message()), (Some("OperationNotAllowed"), Some("too many")));
    assert_eq!(error.request_id(), Some("r-1"));
    let shown = error.to_string();
    assert!(shown.starts_with("GET 127.0.0.1:"), "{shown}");
    assert!(shown.ends_with("/things: 429 OperationNotAllowed: too many"), "{shown}");
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{\"count\":0,")]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n"
)]
#[case("")]
#[tokio::test]
async fn an_answer_that_breaks_off_is_unreachable(#[case] bytes: &'static str) {
    let (url, _server) = raw(bytes).await;
    assert_eq!(
        get_from(Service::AzureDevOps, &url, Limits::default()).await.unwrap_err().class(),
        Class::Unreachable
    );
}

#[tokio::test]
async fn json_cut_at_a_value_is_unexpected() {
    let error = get(Service::AzureDevOps, text(200, "application/json", r#"{"value":[{"id":1},{"#))
        .await
        .unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Unexpected, Some(200)));
    assert!(error.to_string().contains("at value[1]"), "{error}");
}

#[rstest]
#[case("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n")]
#[case(
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n9\r\n[1,2,3,4,\r\n9\r\n5,6,7,8,9\r\n0\r\n\r\n"
)]
#[tokio::test]
async fn a_body_past_the_bound_is_unexpected(#[case] bytes: &'static str) {
    let (url, _server) = raw(bytes).await;
    let error =
        get_from(Service::AzureDevOps, &url, Limits { body: 16, ..Limits::default() }).await.unwrap_err();
    assert_eq!(error.class(), Class::Unexpected);
    assert!(error.to_string().contains("larger than 16 bytes"), "{error}");
}

#[rstest]
#[case(text(200, "text/plain", "{}"))]
#[case(empty(200))]
#[case(empty(204))]
#[case(text(200, "application/json", "null garbage"))]
#[tokio::test]
async fn what_is_not_json_is_unexpected(#[case] answer: Scripted) {
    assert_eq!(get(Service::AzureDevOps, answer).await.unwrap_err().class(), Class::Unexpected);
}

#[tokio::test]
async fn a_closed_port_and_a_silent_server_are_unreachable() {
    let (url, _taken) = closed();
    let error = get_from(Service::AzureDevOps, &url, Limits::default()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Unreachable, None));
    // The system accepts the connection; nobody ever reads it.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = Limits { total: Duration::from_millis(50), ..Limits::default() };
    let error = get_from(Service::AzureDevOps, &format!("http://{}", silent.local_addr().unwrap()), limits)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    assert!(error.to_string().contains("no answer in time"), "{error}");
}

#[tokio::test]
async fn a_token_that_a_service_echoes_is_removed_even_where_it_is_cut() {
    let message = format!("{} {TOKEN}", "x".repeat(290));
    let answer = stub::json(401, json!({"typeKey": TOKEN, "message": message}));
    let error = get(Service::AzureDevOps, answer).await.unwrap_err();
    assert_eq!(error.code(), Some("[redacted]"));
    assert!(!error.message().unwrap().contains("t0k"), "{error}");
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_is_refused_before_the_call() {
    let stub = Stub::start().await;
    let (client, _) = client(Service::AzureDevOps, &stub.url, Limits::default());
    let request = Request::new(Method::GET, client.url(["x"], &[]), Operation::Get);
    let error = client.json::<Value>(request, &Authorization::Bearer("two\nlines".into())).await.unwrap_err();
    assert_eq!(error.class(), Class::Unauthenticated);
    assert!(!format!("{error:?}").contains("lines"));
    assert!(stub.seen().is_empty());
}

#[tokio::test]
async fn what_is_sent() {
    let stub = Stub::with([stub::json(200, json!({}))]).await;
    let (client, calls) = client(Service::AzureDevOps, &format!("{}/fabrikam/", stub.url), Limits::default());
    let client = client.header("x-tfs-fedauthredirect", "Suppress");
    let request =
        Request::new(Method::PATCH, client.url(["a b", "..", "c/d"], &[("q", "1&2")]), Operation::Update)
            .json(json!({"n": 1}))
            .if_match(Some("\"7\""));
    client.json::<Value>(request, &bearer()).await.unwrap();
    let seen = stub.only();
    assert_eq!(seen.method, Method::PATCH);
    assert_eq!(seen.uri, "/fabrikam/a%20b/c%2Fd?q=1%262");
    assert_eq!(seen.header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(seen.header("if-match"), "\"7\"");
    assert_eq!(seen.header("x-tfs-fedauthredirect"), "Suppress");
    assert_eq!(seen.header("user-agent"), concat!("poolkeeper/", env!("CARGO_PKG_VERSION")));
    assert_eq!(seen.json(), json!({"n": 1}));
    assert_eq!((calls.writes(Service::AzureDevOps), calls.reads(Service::AzureDevOps)), (1, 0));
    assert!(!format!("{client:?}").contains(TOKEN));
}

#[tokio::test]
async fn a_call_is_counted_once_with_its_outcome() {
    let stub = Stub::with([stub::json(200, json!({})), text(200, "text/plain", "x"), empty(429)]).await;
    let (client, calls) = client(Service::ResourceManager, &stub.url, Limits::default());
    for _ in 0..3 {
        let request = Request::new(Method::GET, client.url(["x"], &[]), Operation::List);
        let _ = client.json::<Value>(request, &bearer()).await;
    }
    let counted: Vec<_> = calls.counts().map(|row| (row.operation, row.class, row.count)).collect();
    let list = Operation::List;
    assert_eq!(
        counted,
        [(list, None, 1), (list, Some(Class::Throttled), 1), (list, Some(Class::Unexpected), 1)]
    );
    assert_eq!(calls.reads(Service::ResourceManager), 3);
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_ends_the_call_before_the_token() {
    let server = tls::untrusted().await;
    let error = get_from(Service::AzureDevOps, &server.url, Limits::default()).await.unwrap_err();
    assert_eq!((error.class(), error.status()), (Class::Unreachable, None));
    let host = server.url.trim_start_matches("https://");
    let reason = format!("the certificate of {host} is not trusted; add its authority to the trusted ones");
    assert!(error.reason().unwrap().starts_with(&reason), "{error}");
    assert_eq!(error.host(), Some(host));
    assert!(!server.was_spoken_to().await);
}

#[tokio::test]
async fn budgets_come_with_success_and_failure() {
    let told = |answer: Scripted| {
        answer
            .with("x-ms-ratelimit-remaining-resource", "Microsoft.Compute/GetVMScaleSet3Min;7")
            .with("x-ms-ratelimit-remaining-resource", "broken")
            .with("x-ratelimit-remaining", "40")
            .with("x-ratelimit-limit", "200")
    };
    let answer = get(Service::ResourceManager, told(stub::json(200, json!({})))).await.unwrap();
    let error = get(Service::AzureDevOps, told(empty(429))).await.unwrap_err();
    assert_eq!(answer.remaining.len(), 1);
    assert_eq!(
        (answer.remaining[0].policy.as_str(), answer.remaining[0].left),
        ("Microsoft.Compute/GetVMScaleSet3Min", 7)
    );
    assert_eq!(error.remaining(), answer.remaining);
    assert_eq!(answer.rate_limit.as_ref().unwrap().remaining, Some(40));
    assert_eq!(error.rate_limit(), answer.rate_limit.as_ref());
    assert_eq!(error.into_answer(()).rate_limit, answer.rate_limit);
}
