//! Answers that no Azure gives, from Resource Manager and from Entra ID: each a typed error that names the host and the
//! mend, never an empty list, never a token for another host.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;
#[path = "support/client.rs"]
mod support;
#[path = "../../rest/tests/support/tls.rs"]
mod tls;

use poolkeeper_azure::{
    Cloud, Credential, CredentialError, InstanceIds,
    OrchestrationMode::{Flexible, Uniform},
    ScaleSets,
};
use poolkeeper_rest::{Class, Error, Http, Limits};
use rstest::rstest;
use secrecy::SecretString;
use serde_json::json;
use stub::{Scripted, Stub, empty, raw, text};
use support::{TOKEN, client, client_at, id};

const CHECK: &str = "check the address, and any proxy on the way";

/// All that is read, and all that is changed.
async fn call_all(client: &ScaleSets) -> Vec<Error> {
    let subnet = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/n/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
    let vm = "7".parse().unwrap();
    vec![
        client.get(&id()).await.unwrap_err(),
        client.list_instances(&id(), &Uniform).await.unwrap_err(),
        client.list_instances(&id(), &Flexible).await.unwrap_err(),
        client.get_instance(&id(), &Uniform, &vm).await.unwrap_err(),
        client.get_instance(&id(), &Flexible, &vm).await.unwrap_err(),
        client.autoscale_settings(&id()).await.unwrap_err(),
        client.usages(id().subscription(), "westeurope").await.unwrap_err(),
        client.subnet_space(&subnet.parse().unwrap()).await.unwrap_err(),
    ]
}

const CALLS: usize = 8;

#[rstest]
#[case::page(
    text(200, "text/html", "<html>portal</html>"),
    Class::Unexpected,
    "answered with text/html instead of JSON; {}"
)]
#[case::kind(
    text(200, "text/plain", "{}"),
    Class::Unexpected,
    "answered with text/plain instead of JSON; {}"
)]
#[case::empty(empty(200), Class::Unexpected, "answered with an empty body instead of JSON; {}")]
#[case::nothing(empty(204), Class::Unexpected, "answered with an empty body instead of JSON; {}")]
#[case::cut(text(200, "application/json", r#"{"value":[{"a":"b"#), Class::Unexpected, "JSON that is cut off")]
#[case::no_json(text(200, "application/json", "<html>"), Class::Unexpected, "unexpected JSON, at the body")]
#[case::shape(stub::json(200, json!([1])), Class::Unexpected, "unexpected JSON, at ")]
#[case::null(stub::json(200, json!({"value": null, "properties": null})), Class::Unexpected, "unexpected JSON, at ")]
#[case::error_page(
    text(502, "text/html", "<html>gateway</html>"),
    Class::Server,
    "answered with a web page; {}"
)]
#[case::refused_page(
    text(403, "text/html", "<html>proxy</html>"),
    Class::Forbidden,
    "answered with a web page; {}"
)]
#[tokio::test]
async fn resource_manager_answers_badly(#[case] answer: Scripted, #[case] class: Class, #[case] said: &str) {
    let arm = Stub::with(std::iter::repeat_n(answer, CALLS)).await;
    for error in call_all(&client(&arm)).await {
        check(&error, class, &arm.url, &said.replace("{}", CHECK));
    }
    assert_eq!(arm.seen().len(), CALLS, "nothing is tried again");
}

fn check(error: &Error, class: Class, url: &str, said: &str) {
    assert_eq!(error.class(), class, "{error}");
    let host = url.split("//").nth(1).unwrap();
    assert!(error.reason().unwrap().starts_with(host) && error.host() == Some(host), "{error}");
    assert!(error.reason().unwrap().contains(said), "{error}");
    assert!(!format!("{error} {error:?}").contains(TOKEN));
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn resource_manager_redirects_and_the_target_hears_nothing(#[case] status: u16) {
    let elsewhere = Stub::start().await;
    let answer = empty(status).with("location", &format!("{}/subscriptions", elsewhere.url));
    let arm = Stub::with(std::iter::repeat_n(answer, CALLS + 3)).await;
    let client = client(&arm);
    for error in call_all(&client).await {
        check(
            &error,
            Class::Unexpected,
            &arm.url,
            "redirects to 127.0.0.1, which is not followed; correct the address",
        );
    }
    let vm: poolkeeper_azure::InstanceId = "7".parse().unwrap();
    for changed in [
        client.delete_instances(&id(), &InstanceIds::new(vm.clone(), [])).await,
        client.delete_machine(&id(), &vm).await,
        client.reimage_machine(&id(), &vm).await,
    ] {
        assert_eq!(changed.unwrap_err().class(), Class::Unexpected);
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn resource_manager_sends_too_much_or_too_little() {
    let many: Vec<_> =
        (0..100).map(|number| json!({"instanceId": number.to_string(), "properties": {}})).collect();
    let arm = Stub::with([stub::json(200, json!({"value": many}))]).await;
    let limits = Limits { body: 1000, ..Limits::default() };
    let error = client_at(&arm.url, limits).list_instances(&id(), &Uniform).await.unwrap_err();
    check(&error, Class::Unexpected, &arm.url, "the body is larger than 1000 bytes");
    let (url, _server) =
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"value\":[")
            .await;
    let error = client_at(&url, Limits::default()).list_instances(&id(), &Uniform).await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    assert!(error.to_string().ends_with("answer broke off"), "{error}");
}

#[tokio::test]
async fn words_that_are_new_are_kept() {
    let body = json!({"instanceId": "7", "properties": {"provisioningState": "Pondering", "priority": 3,
        "instanceView": {"statuses": [{"code": "PowerState/hibernated"}]}}});
    let arm = Stub::with([stub::json(200, body)]).await;
    let instance = client(&arm).get_instance(&id(), &Uniform, &"7".parse().unwrap()).await.unwrap().value;
    assert_eq!(instance.provisioning_state.unwrap().as_str(), "Pondering");
    assert_eq!((instance.power.unwrap().as_str(), instance.priority.unwrap().as_str()), ("hibernated", "3"));
}

#[tokio::test]
async fn resource_manager_with_a_certificate_that_nobody_trusts_hears_nothing() {
    let server = tls::untrusted().await;
    let error = client_at(&server.url, Limits::default()).get(&id()).await.unwrap_err();
    assert_eq!(error.class(), Class::Unreachable);
    let host = server.url.trim_start_matches("https://");
    let said = format!("the certificate of {host} is not trusted; add its authority to the trusted ones");
    assert!(error.reason().unwrap().starts_with(&said), "{error}");
    assert!(!server.was_spoken_to().await);
}

const SECRET: &str = "s3cret-of-the-principal";

fn principal(url: &str, limits: Limits) -> Credential {
    let cloud = Cloud::custom(url, url, "scope").unwrap();
    let tenant = "00000000-0000-0000-0000-00000000000a";
    Credential::client_secret(&Http::new(limits).unwrap(), &cloud, tenant, "c", &SecretString::from(SECRET))
        .unwrap()
}

async fn sign_in(url: &str) -> String {
    let error = principal(url, Limits::default()).token("scope").await.unwrap_err();
    let CredentialError::Unreachable { reason } = &error else { panic!("{error:?}") };
    assert!(!format!("{error} {error:?}").contains(SECRET));
    assert!(reason.contains("127.0.0.1") && !reason.contains('\n'), "{reason}");
    reason.clone()
}

#[rstest]
#[case::page(
    text(200, "text/html", "<html>portal</html>"),
    "answered 200 with something else than a token; {}"
)]
#[case::empty(empty(200), "answered 200 with something else than a token; {}")]
#[case::cut(
    text(200, "application/json", r#"{"access_token":"ab"#),
    "answered 200 with something else than a token; {}"
)]
#[case::shape(stub::json(200, json!({"access_token": 7})), "with something else than a token; {}")]
#[case::no_token(stub::json(200, json!({"access_token": "", "expires_in": 3599})), "with something else than a token; {}")]
#[case::endless(stub::json(200, json!({"access_token": "t", "expires_in": i64::MAX})), "with something else than a token; {}")]
#[case::negative(stub::json(200, json!({"access_token": "t", "expires_in": i64::MIN})), "with something else than a token; {}")]
#[case::fraction(stub::json(200, json!({"access_token": "t", "expires_in": 1e300})), "with something else than a token; {}")]
#[case::huge(text(200, "application/json", &format!("\"{}\"", "x".repeat(2 << 20))), "could not be read; {}")]
#[case::refused_page(text(403, "text/html", "<html>proxy</html>"), "answered 403")]
#[case::gateway(text(502, "text/html", "<html>gateway</html>"), "answered 502")]
#[tokio::test]
async fn entra_answers_badly(#[case] answer: Scripted, #[case] said: &str) {
    let entra = Stub::with([answer]).await;
    let reason = sign_in(&entra.url).await;
    assert!(reason.contains(&said.replace("{}", CHECK)), "{reason}");
    assert_eq!(entra.seen().len(), 1);
}

#[rstest]
#[case(301)]
#[case(302)]
#[case(307)]
#[case(308)]
#[tokio::test]
async fn entra_redirects_and_the_target_hears_nothing(#[case] status: u16) {
    let elsewhere = Stub::start().await;
    let entra = Stub::with([empty(status).with("location", &elsewhere.url)]).await;
    let reason = sign_in(&entra.url).await;
    assert!(reason.contains("with a redirect, which is not followed; correct the address"), "{reason}");
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn entra_breaks_off() {
    let (url, _server) =
        raw("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{\"access").await;
    assert!(sign_in(&url).await.contains("could not be read"));
}

#[tokio::test]
async fn entra_with_a_certificate_that_nobody_trusts_hears_nothing() {
    let server = tls::untrusted().await;
    let reason = sign_in(&server.url).await;
    let said = "the certificate of 127.0.0.1 is not trusted; add its authority to the trusted ones";
    assert!(reason.starts_with(said), "{reason}");
    assert!(!server.was_spoken_to().await);
}
