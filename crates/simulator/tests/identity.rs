//! Who gets a token, of Entra and of the metadata service, and what it is good for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::path::PathBuf;

use jiff::Timestamp;
use poolkeeper_azure::{Cloud, Credential, CredentialError, WorkloadIdentity};
use poolkeeper_rest::{Http, Limits};
use poolkeeper_simulator::{WorldSpec, spec::FederatedSpec};
use reqwest::Method;
use rstest::rstest;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use support::{
    face::{Answer, CLIENT, Face, POOL, SECRET, SET, TENANT},
    jwt::{self, CLIENT_KEY, OTHER_KEY},
    round_figures,
};

const AZURE: &str = "https://management.azure.com/.default";
const AZURE_DEVOPS: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";
const OTHER_TENANT: &str = "00000000-0000-0000-0000-00000000000c";

/// The example, whose one client has `written` in the place of its secret's line, and is a member of fabrikam.
fn world(written: &str) -> WorldSpec {
    let text = include_str!("../../../examples/simulator/world.yaml");
    let line = "  secret: simulated-client-secret\n";
    assert!(text.contains(line));
    let mut spec = WorldSpec::parse(&text.replace(line, written)).unwrap();
    spec.organizations[0].members.push(CLIENT.into());
    spec
}

fn with_certificates() -> WorldSpec {
    let mut spec = round_figures();
    let certificates = [include_str!("keys/client.crt"), include_str!("keys/ended.crt")];
    spec.clients[0].certificates = certificates.map(str::to_owned).to_vec();
    spec
}

/// As older libraries name a certificate.
fn by_sha1(certificate: &str) -> Value {
    json!({"x5t#S256": null, "x5t": jwt::sha1(certificate)})
}

fn authority(tenant: &str) -> String {
    format!("https://login.microsoftonline.com/{tenant}/v2.0")
}

async fn ask(face: &Face, tenant: &str, fields: &[(&str, &str)]) -> Answer {
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", CLIENT), ("scope", AZURE)];
    for (name, value) in fields {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    let url = format!("{}/{tenant}/oauth2/v2.0/token", face.base);
    Answer::of(face.http.post(url).form(&form).send().await.unwrap()).await
}

async fn assert_with(face: &Face, assertion: &str) -> Answer {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    ask(face, TENANT, &[("client_assertion_type", kind), ("client_assertion", assertion)]).await
}

fn refused(answer: &Answer, code: u32) {
    let said = answer.body["error_description"].as_str().unwrap_or_default();
    assert!(said.starts_with(&format!("AADSTS{code}: ")), "wanted {code}: {}", answer.text);
    assert_eq!(answer.body["error_codes"], json!([code]));
    assert!((400..500).contains(&answer.status));
}

fn cloud(face: &Face) -> Cloud {
    Cloud::custom(&face.base, &face.base, AZURE).unwrap().with_metadata(&face.base).unwrap()
}

fn http() -> Http {
    Http::new(Limits::default()).unwrap()
}

fn principal(face: &Face, secret: &str) -> Credential {
    let secret = SecretString::from(secret.to_owned());
    Credential::client_secret(&http(), &cloud(face), TENANT, CLIENT, &secret).unwrap()
}

async fn code(credential: &Credential) -> String {
    match credential.token(AZURE).await.unwrap_err() {
        CredentialError::Rejected { code, .. } => code.unwrap(),
        error @ (CredentialError::Setup { .. } | CredentialError::Unreachable { .. }) => panic!("{error:?}"),
    }
}

#[rstest]
#[case::tenant(OTHER_TENANT, &[("client_secret", SECRET)], 90_002)]
#[case::client(TENANT, &[("client_id", OTHER_TENANT), ("client_secret", SECRET)], 700_016)]
#[case::wrong(TENANT, &[("client_secret", "wrong")], 7_000_215)]
#[case::expired(TENANT, &[("client_secret", "old")], 7_000_222)]
#[case::nothing(TENANT, &[], 7_000_218)]
#[case::grant(TENANT, &[("grant_type", "password"), ("client_secret", SECRET)], 70_003)]
#[case::scope(TENANT, &[("scope", "https://management.azure.com/user"), ("client_secret", SECRET)], 1_002_012)]
#[case::resource(TENANT, &[("scope", "https://contoso.com/.default"), ("client_secret", SECRET)], 500_011)]
#[case::kind(TENANT, &[("client_assertion", "a.b.c")], 900_144)]
#[tokio::test]
async fn entra_says_by_number_what_is_wrong(
    #[case] tenant: &str,
    #[case] fields: &[(&str, &str)],
    #[case] wanted: u32,
) {
    let secrets = format!("  secret: [{SECRET}, {{value: old, expires: 2020-01-01T00:00:00Z}}]\n");
    let face = Face::new(world(&secrets)).await;
    refused(&ask(&face, tenant, fields).await, wanted);
}

#[tokio::test]
async fn two_secrets_work_side_by_side_until_they_are_rotated() {
    let face = Face::new(world(&format!("  secret: [{SECRET}, {{value: second}}]\n"))).await;
    for secret in [SECRET, "second"] {
        assert!(principal(&face, secret).token(AZURE).await.is_ok());
    }
    let rotated = face.control(Method::POST, "secrets", json!({"clientID": CLIENT, "secret": "third"})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    for secret in [SECRET, "second"] {
        assert_eq!(code(&principal(&face, secret)).await, "AADSTS7000215");
    }
    assert!(principal(&face, "third").token(AZURE).await.is_ok());
    let unknown = json!({"clientID": OTHER_TENANT, "secret": "third"});
    assert_eq!(face.control(Method::POST, "secrets", unknown).await.status, 400);
}

/// Changes of the header and the claims of a good assertion.
#[rstest]
#[case::sha256("RS256", CLIENT_KEY, json!({}), json!({}), None)]
#[case::sha1("PS256", CLIENT_KEY, by_sha1(include_str!("keys/client.crt")), json!({}), None)]
#[case::authority("RS256", CLIENT_KEY, json!({}), json!({"aud": authority(TENANT)}), None)]
#[case::unregistered("RS256", CLIENT_KEY, json!({"x5t#S256": "AAAA"}), json!({}), Some(700_027))]
#[case::without_name("RS256", CLIENT_KEY, json!({"x5t#S256": null}), json!({}), Some(700_027))]
#[case::other_key("RS256", OTHER_KEY, json!({}), json!({}), Some(700_027))]
#[case::algorithm("RS256", CLIENT_KEY, json!({"alg": "none"}), json!({}), Some(700_027))]
#[case::ended_certificate("RS256", CLIENT_KEY, by_sha1(include_str!("keys/ended.crt")), json!({}), Some(1_000_502))]
#[case::host("RS256", CLIENT_KEY, json!({}), json!({"aud": format!("https://fabrikam.com/{TENANT}/v2.0")}), Some(700_023))]
#[case::tenant("RS256", CLIENT_KEY, json!({}), json!({"aud": authority(OTHER_TENANT)}), Some(700_023))]
#[case::subject("RS256", CLIENT_KEY, json!({}), json!({"sub": OTHER_TENANT}), Some(700_021))]
#[case::issuer("RS256", CLIENT_KEY, json!({}), json!({"iss": OTHER_TENANT}), Some(70_021))]
#[case::ended("RS256", CLIENT_KEY, json!({}), json!({"exp": 1_600_000_000}), Some(700_024))]
#[case::early("RS256", CLIENT_KEY, json!({}), json!({"nbf": 4_000_000_000_u64}), Some(700_024))]
#[tokio::test]
async fn a_certificate_signs_for_a_secret(
    #[case] algorithm: &str,
    #[case] key: &str,
    #[case] in_header: Value,
    #[case] in_claims: Value,
    #[case] wanted: Option<u32>,
) {
    let face = Face::new(with_certificates()).await;
    let name = jwt::sha256(include_str!("keys/client.crt"));
    let mut header = json!({"typ": "JWT", "alg": algorithm, "x5t#S256": name});
    let now = Timestamp::now().as_second();
    let mut claims = json!({
        "aud": format!("{}/{TENANT}/oauth2/v2.0/token", face.base),
        "iss": CLIENT, "sub": CLIENT, "jti": "1", "nbf": now, "exp": now + 600,
    });
    for (part, changes) in [(&mut header, in_header), (&mut claims, in_claims)] {
        part.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    }
    let answer = assert_with(&face, &jwt::signed(&header, &claims, algorithm, key)).await;
    match wanted {
        None => assert_eq!(answer.status, 200, "{}", answer.text),
        Some(code) => refused(&answer, code),
    }
}

#[tokio::test]
async fn what_is_no_token_is_malformed() {
    let face = Face::new(with_certificates()).await;
    for text in ["", "abc", "a.b.c", "e30.e30.e30"] {
        refused(&assert_with(&face, text).await, 50_027);
    }
}

const ISSUER: &str = "https://oidc.fabrikam.com/cluster/";
const SUBJECT: &str = "system:serviceaccount:poolkeeper:poolkeeper";
const EXCHANGE: &str = "api://AzureADTokenExchange";

/// A token of the cluster, in a file, until the test ends.
struct TokenFile(PathBuf);

impl TokenFile {
    fn new(name: &str, token: &str) -> Self {
        let path = std::env::temp_dir().join(format!("poolkeeper-{name}-{}", std::process::id()));
        std::fs::write(&path, token).unwrap();
        Self(path)
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn claims(subject: &str, audience: &Value) -> Value {
    json!({"iss": ISSUER, "sub": subject, "aud": audience, "exp": Timestamp::now().as_second() + 3600})
}

#[rstest]
#[case::trusted("trusted", false, claims(SUBJECT, &json!([EXCHANGE])), CLIENT_KEY, None)]
#[case::unchecked("unchecked", false, claims(SUBJECT, &json!(EXCHANGE)), OTHER_KEY, None)]
#[case::checked("checked", true, claims(SUBJECT, &json!([EXCHANGE])), CLIENT_KEY, None)]
#[case::forged("forged", true, claims(SUBJECT, &json!([EXCHANGE])), OTHER_KEY, Some("AADSTS700027"))]
#[case::case("case", false, claims(&SUBJECT.to_uppercase(), &json!([EXCHANGE])), CLIENT_KEY, Some("AADSTS70021"))]
#[case::audience("audience", false, claims(SUBJECT, &json!(["kubernetes"])), CLIENT_KEY, Some("AADSTS70021"))]
#[tokio::test]
async fn a_workload_identity_is_trusted_by_issuer_subject_and_audience(
    #[case] name: &str,
    #[case] with_keys: bool,
    #[case] claims: Value,
    #[case] key: &str,
    #[case] wanted: Option<&str>,
) {
    let mut spec = round_figures();
    spec.clients[0].federated = vec![FederatedSpec {
        issuer: ISSUER.into(),
        subject: SUBJECT.into(),
        audience: EXCHANGE.into(),
        keys: with_keys.then(|| include_str!("keys/client.pub").to_owned()),
    }];
    let face = Face::new(spec).await;
    let token = jwt::signed(&json!({"alg": "RS256", "kid": "1"}), &claims, "RS256", key);
    let file = TokenFile::new(name, &token);
    let identity = WorkloadIdentity {
        tenant: Some(TENANT.into()),
        client: Some(CLIENT.into()),
        token_file: Some(file.0.clone()),
    };
    let credential = Credential::workload_identity(&http(), &cloud(&face), identity).unwrap();
    match wanted {
        None => assert!(credential.token(AZURE).await.is_ok()),
        Some(wanted) => assert_eq!(code(&credential).await, wanted),
    }
}

#[tokio::test]
async fn a_token_is_good_for_one_service_until_it_is_revoked() {
    let face = Face::new(world(&format!("  secret: {SECRET}\n"))).await;
    let credential = principal(&face, SECRET);
    let (azure, devops) =
        (credential.token(AZURE).await.unwrap(), credential.token(AZURE_DEVOPS).await.unwrap());
    let call = async |token: &SecretString, path: &str| {
        let call = face.http.get(format!("{}{path}?api-version=7.1", face.base));
        let answer = Answer::of(call.bearer_auth(token.expose_secret()).send().await.unwrap()).await;
        answer.status
    };
    let agents = format!("{POOL}/agents");
    assert_eq!((call(&azure.secret, SET).await, call(&azure.secret, &agents).await), (200, 401));
    assert_eq!((call(&devops.secret, SET).await, call(&devops.secret, &agents).await), (401, 200));
    let revoked = face.control(Method::POST, "tokens", json!({"revoke": true})).await;
    assert_eq!(revoked.body["revoked"], 3, "the face has one too");
    assert_eq!((call(&azure.secret, SET).await, call(&devops.secret, &agents).await), (401, 401));
    let renewed = principal(&face, SECRET).token(AZURE).await.unwrap();
    assert_eq!(call(&renewed.secret, SET).await, 200);
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    let mut spec = round_figures();
    spec.token_lifetime = 0;
    let face = Face::new(spec).await;
    assert_eq!(face.get(SET).await.status, 401);
    assert_eq!(face.sign_in(SECRET).await.body["expires_in"], 0);
}

#[tokio::test]
async fn who_is_no_member_of_the_organisation_gets_401() {
    let face = Face::new(round_figures()).await;
    let token = principal(&face, SECRET).token(AZURE_DEVOPS).await.unwrap();
    let call = face.http.get(format!("{}{POOL}", face.base)).bearer_auth(token.secret.expose_secret());
    let answer = Answer::of(call.send().await.unwrap()).await;
    assert_eq!(answer.status, 401);
    assert!(answer.body["message"].as_str().unwrap().starts_with("TF400813"));
}

#[rstest]
#[case::reject("reject", Some("AADSTS7000112"))]
#[case::unavailable("unavailable", None)]
#[case::throttle("throttle", None)]
#[tokio::test]
async fn entra_fails_and_recovers(#[case] fault: &str, #[case] wanted: Option<&str>) {
    let face = Face::new(round_figures()).await;
    let credential = principal(&face, SECRET);
    face.control(Method::POST, "faults", json!({"entra": fault, "for": "5m"})).await;
    match wanted {
        Some(wanted) => assert_eq!(code(&credential).await, wanted),
        None => {
            let error = credential.token(AZURE).await.unwrap_err();
            assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
        }
    }
    assert_eq!(face.get(SET).await.status, 200, "a token that is there goes on working");
    face.pass(301);
    assert!(credential.token(AZURE).await.is_ok());
}

fn managed() -> WorldSpec {
    let mut spec = round_figures();
    spec.managed_identities = vec![CLIENT.to_uppercase()];
    spec
}

#[rstest]
#[case::default(None)]
#[case::by_id(Some(CLIENT))]
#[tokio::test]
async fn a_managed_identity_gets_tokens_of_its_client(#[case] client: Option<&str>) {
    let face = Face::new(managed()).await;
    let credential = Credential::managed_identity(&http(), &cloud(&face), client).unwrap();
    for fault in ["unavailable", "throttle"] {
        face.control(Method::POST, "faults", json!({"metadata": fault})).await;
        let error = credential.token(AZURE).await.unwrap_err();
        assert!(matches!(error, CredentialError::Unreachable { .. }), "{error:?}");
        face.control(Method::DELETE, "faults", Value::Null).await;
    }
    let token = credential.token(AZURE).await.unwrap();
    let ends = token.expires.unwrap().duration_since(Timestamp::now()).as_secs();
    assert!((3590..=3600).contains(&ends), "{ends}");
    let call = face.http.get(format!("{}{SET}?api-version=2025-04-01", face.base));
    assert_eq!(call.bearer_auth(token.secret.expose_secret()).send().await.unwrap().status(), 200);
}

#[rstest]
#[case::good("?api-version=2018-02-01&resource=https://management.azure.com/", &[("metadata", "true")], 200, "")]
#[case::no_header("?api-version=2018-02-01&resource=https://management.azure.com/", &[], 400, "header")]
#[case::forwarded(
    "?api-version=2018-02-01&resource=https://management.azure.com/",
    &[("metadata", "true"), ("x-forwarded-for", "10.0.0.1")], 400, "X-Forwarded-For"
)]
#[case::version("?resource=https://management.azure.com/", &[("metadata", "true")], 400, "api-version")]
#[case::resource("?api-version=2018-02-01", &[("metadata", "true")], 400, "resource")]
#[case::audience("?api-version=2018-02-01&resource=https://contoso.com", &[("metadata", "true")], 400, "AADSTS500011")]
#[case::identity(
    "?api-version=2018-02-01&resource=https://management.azure.com&client_id=00000000-0000-0000-0000-00000000000c",
    &[("metadata", "true")], 400, "Identity not found"
)]
#[tokio::test]
async fn the_metadata_service_is_strict(
    #[case] query: &str,
    #[case] headers: &[(&str, &str)],
    #[case] status: u16,
    #[case] said: &str,
) {
    let face = Face::new(managed()).await;
    let url = format!("{}/metadata/identity/oauth2/token{query}", face.base);
    let call = headers.iter().fold(face.http.get(url), |call, (name, value)| call.header(*name, *value));
    let answer = Answer::of(call.send().await.unwrap()).await;
    assert_eq!(answer.status, status, "{}", answer.text);
    if status == 200 {
        assert!(["expires_in", "expires_on", "not_before"].iter().all(|name| answer.body[name].is_string()));
    } else {
        assert!(answer.body["error_description"].as_str().unwrap().contains(said), "{}", answer.text);
    }
}

#[tokio::test]
async fn libraries_find_their_way() {
    let face = Face::new(round_figures()).await;
    let get = async |path: &str| {
        Answer::of(face.http.get(format!("{}{path}", face.base)).send().await.unwrap()).await
    };
    let found = get(&format!("/{TENANT}/v2.0/.well-known/openid-configuration")).await;
    assert_eq!(found.body["token_endpoint"], format!("{}/{TENANT}/oauth2/v2.0/token", face.base));
    refused(&get(&format!("/{OTHER_TENANT}/v2.0/.well-known/openid-configuration")).await, 90_002);
    let authority = format!("https://127.0.0.1/{TENANT}/oauth2/v2.0/authorize");
    let found =
        get(&format!("/common/discovery/instance?api-version=1.1&authorization_endpoint={authority}")).await;
    let next = found.body["tenant_discovery_endpoint"].as_str().unwrap();
    assert_eq!(next, format!("{}/{TENANT}/v2.0/.well-known/openid-configuration", face.base));
    assert_eq!(found.body["metadata"][0]["aliases"][0], face.base.trim_start_matches("http://"));
}

#[rstest]
#[case("  certificates: [nothing]\n", "clients[0].certificates[0]: is not PEM")]
#[case("  federated: [{issuer: i, subject: s, keys: nothing}]\n", "clients[0].federated[0].keys: is not PEM")]
#[case("managedIdentities: [x]\n", "managedIdentities[0]: must be the clientID of one of clients")]
fn keys_and_identities_of_the_world_file_are_checked(#[case] written: &str, #[case] said: &str) {
    let text = include_str!("../../../examples/simulator/world.yaml");
    let at =
        if written.starts_with(' ') { "  secret: simulated-client-secret\n" } else { "organizations:\n" };
    let text = text.replacen(
        at,
        &if written.starts_with(' ') { format!("{at}{written}") } else { format!("{written}{at}") },
        1,
    );
    let error = WorldSpec::parse(&text).unwrap_err().to_string();
    assert!(error.starts_with(said), "{error}");
}
