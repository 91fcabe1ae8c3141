//! Service principals with a certificate: the signed statement, and every pair that is of no use.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/stub.rs"]
mod stub;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use poolkeeper_azure::{Cloud, Credential, CredentialError};
use poolkeeper_rest::{Http, Limits};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rstest::rstest;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use stub::Stub;

const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
const PKCS8: &str = include_str!("keys/rsa.pkcs8.pem");
const PKCS1: &str = include_str!("keys/rsa.pkcs1.pem");
const OTHER: &str = include_str!("keys/other.pkcs8.pem");
const SMALL: &str = include_str!("keys/small.pkcs8.pem");
const ENCRYPTED: &str = include_str!("keys/encrypted.pkcs8.pem");

fn rsa() -> KeyPair {
    KeyPair::from_pkcs8_pem_and_sign_algo(PKCS8, &PKCS_RSA_SHA256).unwrap()
}

/// A certificate of this key, valid from the beginning of one year to that of another.
fn certificate(key: &KeyPair, from: i32, to: i32) -> String {
    let mut params = CertificateParams::new(vec!["agents.fabrikam.com".to_owned()]).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
    params.self_signed(key).unwrap().pem()
}

fn valid() -> String {
    certificate(&rsa(), 2020, 2120)
}

fn credential(url: &str, certificate: &str, key: &str) -> Result<Credential, CredentialError> {
    let cloud = Cloud::custom(url, url, "scope").unwrap();
    let http = Http::new(Limits::default()).unwrap();
    Credential::client_certificate(&http, &cloud, TENANT, CLIENT, certificate, &SecretString::from(key))
}

#[rstest]
#[case::pkcs8(PKCS8)]
#[case::pkcs1(PKCS1)]
#[tokio::test]
async fn a_certificate_signs_a_statement_in_the_place_of_a_secret(#[case] key: &str) {
    let granted =
        || stub::json(200, json!({"token_type": "Bearer", "expires_in": 3599, "access_token": "t"}));
    let entra = Stub::with([granted(), granted()]).await;
    let chain = format!("{}{}", valid(), certificate(&KeyPair::generate().unwrap(), 2020, 2120));
    let credential = credential(&entra.url, &chain, key).unwrap();
    let begin = jiff::Timestamp::now().as_second();
    assert_eq!(credential.token("scope").await.unwrap().secret.expose_secret(), "t");
    credential.drop_token();
    credential.token("scope").await.unwrap();

    let mut ids = HashSet::new();
    for seen in entra.seen() {
        assert_eq!(seen.uri.path(), format!("/{TENANT}/oauth2/v2.0/token"));
        let query = std::str::from_utf8(&seen.body).unwrap();
        let url = poolkeeper_rest::Url::parse(&format!("http://x/?{query}")).unwrap();
        let form: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        assert!(!form.contains_key("client_secret"));
        let statement = &form["client_assertion"];
        let (signed, signature) = statement.rsplit_once('.').unwrap();
        let der = pem_bytes(&valid());
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let public = UnparsedPublicKey::new(
            &RSA_PKCS1_2048_8192_SHA256,
            parsed.public_key().subject_public_key.data.as_ref(),
        );
        public.verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let part =
            |text: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap() };
        let (header, claims) = signed.split_once('.').unwrap();
        let (header, claims) = (part(header), part(claims));
        let thumbprint =
            URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &pem_bytes(&chain)));
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "x5t#S256": thumbprint}));
        assert_eq!(claims["aud"], format!("{}/{TENANT}/oauth2/v2.0/token", entra.url));
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some(CLIENT), Some(CLIENT)));
        let (from, to) = (claims["nbf"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert!(from >= begin && to - from == 600, "{claims}");
        ids.insert(claims["jti"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 2, "each statement has its own id");
}

fn pem_bytes(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject as _;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[rstest]
#[case::no_certificate("", PKCS8, "the certificate is not PEM; give the text that begins with")]
#[case::broken_certificate(
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    PKCS8,
    "the certificate is not PEM"
)]
#[case::key_as_certificate(PKCS8, PKCS8, "the certificate is not PEM")]
#[case::no_key(&valid(), "", "the key is not PEM; give the text that begins with")]
#[case::broken_key(&valid(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "the key is not an RSA key")]
#[case::cut_key(&valid(), &PKCS8[..400], "the key is not PEM")]
#[case::encrypted(&valid(), ENCRYPTED, "the key is encrypted; give it decrypted")]
#[case::elliptic(&elliptic().0, &elliptic().1, "the key is not an RSA key of 2048 to 4096 bits")]
#[case::small(&valid(), SMALL, "the key is not an RSA key of 2048 to 4096 bits")]
#[case::other(&valid(), OTHER, "the key is not the one of the certificate")]
#[case::expired(&certificate(&rsa(), 2019, 2020), PKCS8, "the certificate expired at 2020-01-01T00:00:00Z; put a new one")]
#[case::future(&certificate(&rsa(), 2119, 2120), PKCS8, "the certificate is not valid before 2119-01-01T00:00:00Z")]
fn a_pair_of_no_use_is_told_at_once_without_its_key(
    #[case] certificate: &str,
    #[case] key: &str,
    #[case] said: &str,
) {
    let error = credential("http://127.0.0.1:1", certificate, key).unwrap_err();
    let CredentialError::Setup { reason } = &error else { panic!("{error:?}") };
    assert!(reason.starts_with(said), "{reason}");
    let shown = format!("{error} {error:?}");
    assert!(key.lines().filter(|line| line.len() == 64).all(|line| !shown.contains(line)), "{shown}");
}

fn elliptic() -> (String, String) {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    (certificate(&key, 2020, 2120), key.serialize_pem())
}

#[test]
fn one_text_with_both_may_be_given_twice_and_shows_nowhere() {
    let both = format!("{PKCS8}{}", valid());
    let shown = format!("{:?}", credential("http://127.0.0.1:1", &both, &both).unwrap());
    assert!(PKCS8.lines().all(|line| !shown.contains(line)), "{shown}");
}
