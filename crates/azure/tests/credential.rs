//! Credentials against a real token endpoint on plain HTTP: what is asked, what is cached, and how each failure reads.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;

use poolkeeper_azure::{Cloud, Credential, CredentialError, WorkloadIdentity};
use poolkeeper_rest::{Http, Limits};
use rstest::rstest;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use std::collections::HashMap;
use std::time::Duration;
use stub::{Scripted, Seen, Stub, closed, empty, text};

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
const SECRET: &str = "s3cret-of-the-principal";
const TOKEN: &str = "eyJ0-the-access-token";
const SCOPE: &str = "https://management.azure.com/.default";

fn http() -> Http {
    Http::new(Limits { total: Duration::from_secs(5), ..Limits::default() }).unwrap()
}

fn cloud(url: &str) -> Cloud {
    Cloud::custom(url, url, SCOPE).unwrap().with_metadata(url).unwrap()
}

fn principal(url: &str) -> Credential {
    let secret = SecretString::from(format!("{SECRET}\n"));
    Credential::client_secret(&http(), &cloud(url), TENANT, CLIENT, &secret).unwrap()
}

fn granted() -> Scripted {
    stub::json(
        200,
        json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN}),
    )
}

fn form(seen: &Seen) -> HashMap<String, String> {
    let query = std::str::from_utf8(&seen.body).unwrap();
    let url = poolkeeper_rest::Url::parse(&format!("http://x/?{query}")).unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn a_service_principal_gets_a_token_over_loopback_http_and_keeps_it() {
    let entra = Stub::with([granted()]).await;
    let credential = principal(&entra.url);
    for _ in 0..2 {
        let token = credential.token(SCOPE).await.unwrap();
        assert_eq!(token.secret.expose_secret(), TOKEN);
        assert!(token.expires.unwrap() > jiff::Timestamp::now() + jiff::SignedDuration::from_mins(50));
        assert!(!format!("{token:?} {credential:?}").contains(TOKEN));
    }
    let seen = entra.only();
    assert_eq!(seen.uri.path(), format!("/{TENANT}/oauth2/v2.0/token"));
    let form = form(&seen);
    assert_eq!((form["client_id"].as_str(), form["client_secret"].as_str()), (CLIENT, SECRET));
    assert_eq!((form["grant_type"].as_str(), form["scope"].as_str()), ("client_credentials", SCOPE));
    assert!(!format!("{credential:?}").contains(SECRET));
}

#[tokio::test]
async fn a_workload_identity_shows_the_token_of_its_service_account() {
    let entra = Stub::with([granted()]).await;
    let file = std::env::temp_dir().join(format!("poolkeeper-federated-{}", std::process::id()));
    std::fs::write(&file, "t0k3n-of-the-account").unwrap();
    let identity = WorkloadIdentity {
        tenant: Some(TENANT.into()),
        client: Some(CLIENT.into()),
        token_file: Some(file.clone()),
    };
    let credential = Credential::workload_identity(&http(), &cloud(&entra.url), identity).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(credential.token(SCOPE).await.unwrap().secret.expose_secret(), TOKEN);
    let form = form(&entra.only());
    assert_eq!(form["client_assertion"], "t0k3n-of-the-account");
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!format!("{credential:?}").contains("t0k3n-of"));
}

#[tokio::test]
async fn a_managed_identity_asks_the_metadata_service() {
    let answer = stub::json(
        200,
        json!({"access_token": TOKEN, "expires_on": "4102444800", "token_type": "Bearer", "resource": "r"}),
    );
    let metadata = Stub::with([answer]).await;
    let credential = Credential::managed_identity(&http(), &cloud(&metadata.url), Some(CLIENT)).unwrap();
    let token = credential.token(SCOPE).await.unwrap();
    assert_eq!(token.secret.expose_secret(), TOKEN);
    assert_eq!(token.expires, Some("2100-01-01T00:00:00Z".parse().unwrap()));
    let seen = metadata.only();
    assert_eq!(seen.uri.path(), "/metadata/identity/oauth2/token");
    assert_eq!(seen.query("resource").as_deref(), Some("https://management.azure.com"));
    assert_eq!((seen.query("client_id").as_deref(), seen.header("metadata")), (Some(CLIENT), "true"));
}

#[tokio::test]
async fn a_refusal_names_its_code_and_the_first_of_its_text() {
    let refusal = json!({"error": "invalid_client", "error_codes": [7000215],
        "error_description": "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1"});
    let entra = Stub::with([stub::json(401, refusal)]).await;
    let error = principal(&entra.url).token(SCOPE).await.unwrap_err();
    let CredentialError::Rejected { code, reason } = &error else { panic!("{error:?}") };
    assert_eq!(code.as_deref(), Some("AADSTS7000215"));
    assert_eq!(reason, "AADSTS7000215: Invalid client secret provided. Trace ID: 1");
    assert_eq!(entra.seen().len(), 1, "asked once, never again by itself");
    assert!(!format!("{error:?} {error}").contains(SECRET));
}

#[rstest]
#[case(text(200, "text/html", "<html>portal</html>"))]
#[case(text(403, "text/html", "<html>proxy</html>"))]
#[case(stub::json(429, json!({"error_codes": [1], "error_description": "slow down"})).with("retry-after", "1"))]
#[case(stub::json(503, json!({"error_codes": [1], "error_description": "later"})))]
#[case(stub::json(200, json!({"token": "of another shape"})))]
#[case(empty(302).with("location", "http://127.0.0.1:1/"))]
#[tokio::test]
async fn what_says_nothing_about_the_credential_is_unreachable(#[case] answer: Scripted) {
    let entra = Stub::with([answer]).await;
    let error = principal(&entra.url).token(SCOPE).await.unwrap_err();
    assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
    assert_eq!(entra.seen().len(), 1);
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_says_so() {
    let (url, _taken) = closed();
    let error = principal(&url).token(SCOPE).await.unwrap_err();
    assert!(
        error.to_string().starts_with(
            "no token could be had: no connection to 127.0.0.1; check the address and the network: "
        ),
        "{error}"
    );
    assert!(!error.to_string().contains("http"), "{error}");
}

#[tokio::test]
async fn waiting_for_the_metadata_service_has_an_end() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let http = Http::new(Limits { total: Duration::from_millis(50), ..Limits::default() }).unwrap();
    let credential = Credential::managed_identity(&http, &cloud(&url), None).unwrap();
    let error = credential.token(SCOPE).await.unwrap_err();
    assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
}

#[tokio::test]
async fn the_metadata_service_is_asked_once_whatever_it_answers() {
    let refusal = json!({"error": "invalid_request", "error_description": "Identity not found"});
    let metadata = Stub::with([empty(404), empty(500), stub::json(400, refusal)]).await;
    let credential = Credential::managed_identity(&http(), &cloud(&metadata.url), None).unwrap();
    for asked in 1..=2 {
        let error = credential.token(SCOPE).await.unwrap_err();
        assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
        assert_eq!(metadata.seen().len(), asked);
    }
    let error = credential.token(SCOPE).await.unwrap_err();
    let rejected = CredentialError::Rejected {
        code: Some("invalid_request".into()),
        reason: "Identity not found".into(),
    };
    assert_eq!(error, rejected);
    assert_eq!(error.to_string(), "the credential was refused (invalid_request): Identity not found");
}

#[test]
fn what_is_missing_is_told_at_once() {
    let cloud = cloud("http://127.0.0.1:1");
    let missing = WorkloadIdentity {
        tenant: Some(TENANT.into()),
        client: Some(CLIENT.into()),
        token_file: Some("/nowhere/token".into()),
    };
    let error = Credential::workload_identity(&http(), &cloud, missing).unwrap_err();
    assert!(
        matches!(&error, CredentialError::Setup { reason } if reason.contains("/nowhere/token")),
        "{error}"
    );
    let error =
        Credential::client_secret(&http(), &cloud, TENANT, CLIENT, &SecretString::from("")).unwrap_err();
    assert!(matches!(error, CredentialError::Setup { .. }), "{error}");
}
