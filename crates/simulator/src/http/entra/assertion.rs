//! Client assertions: JSON web tokens that stand for a secret.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};

use super::Refusal;
use crate::{
    http::Call,
    spec::{Algorithm, ClientSpec, Key},
};

/// A JSON web token, taken apart.
struct Assertion<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Header,
    claims: Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    x5t: Option<String>,
    #[serde(rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audiences,
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Many(Vec<String>),
}

impl Audiences {
    fn any(&self, is: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::One(audience) => is(audience),
            Self::Many(audiences) => audiences.iter().any(|audience| is(audience)),
        }
    }
}

impl<'a> Assertion<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self { signed, signature: decode(signature)?, header: part(header)?, claims: part(claims)? })
    }

    fn is_signed_by(&self, key: &Key) -> bool {
        let algorithm = match self.header.alg.as_str() {
            "RS256" => Algorithm::Rs256,
            "PS256" => Algorithm::Ps256,
            _ => return false,
        };
        key.has_signed(algorithm, self.signed, &self.signature)
    }

    fn is_in_time(&self, now: Timestamp) -> bool {
        let now = now.as_second() as f64;
        now < self.claims.exp && self.claims.nbf.is_none_or(|from| from <= now)
    }
}

fn decode(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok()
}

fn part<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&decode(part)?).ok()
}

/// Whether an assertion stands for the client: its own, signed with a registered certificate, or one of an issuer that
/// it trusts.
pub(super) fn check(text: &str, client: &ClientSpec, call: &Call, now: Timestamp) -> Result<(), Refusal> {
    let Some(assertion) = Assertion::parse(text) else {
        return Err(Refusal::new(50_027, "JWT token is invalid or malformed."));
    };
    let own = |name: &str| name.eq_ignore_ascii_case(&client.client_id);
    if own(&assertion.claims.iss) {
        if !own(&assertion.claims.sub) {
            let message = "Client assertion application identifier doesn't match 'client_id' parameter.";
            return Err(Refusal::new(700_021, message));
        }
        certificate(&assertion, client, call, now)
    } else {
        federated(&assertion, client, now)
    }
}

fn certificate(
    assertion: &Assertion<'_>,
    client: &ClientSpec,
    call: &Call,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Header { x5t, x5t_s256, .. } = &assertion.header;
    // The world file was checked: what cannot be read is not there.
    let known = client.certificates.iter().filter_map(|pem| Key::read(pem).ok()).flatten();
    let Some(key) = known.into_iter().find(|key| key.has_thumbprint(x5t.as_deref(), x5t_s256.as_deref()))
    else {
        let message = "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]";
        return Err(Refusal::new(700_027, message));
    };
    if !assertion.is_signed_by(&key) {
        let message = "Client assertion contains an invalid signature. [Reason - The provided signature value did not match the expected signature value.]";
        return Err(Refusal::new(700_027, message));
    }
    if !key.is_valid_at(now) {
        let message = "The provided certificate is not within its specified validity period.";
        return Err(Refusal::new(1_000_502, message));
    }
    if !assertion.claims.aud.any(|audience| is_own(audience, call)) {
        let message = "Client assertion audience claim does not match Realm issuer.";
        return Err(Refusal::new(700_023, message));
    }
    in_time(assertion, now)
}

fn federated(assertion: &Assertion<'_>, client: &ClientSpec, now: Timestamp) -> Result<(), Refusal> {
    let Claims { iss, sub, aud, .. } = &assertion.claims;
    // Entra compares all three with regard to case.
    let found = client.federated.iter().find(|known| {
        known.issuer == *iss && known.subject == *sub && aud.any(|audience| audience == known.audience)
    });
    let Some(found) = found else {
        let message = format!(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{iss}'. Assertion Subject: '{sub}'."
        );
        return Err(Refusal::new(70_021, &message));
    };
    if let Some(keys) = &found.keys {
        let keys = Key::read(keys).unwrap_or_default();
        if !keys.iter().any(|key| assertion.is_signed_by(key)) {
            let message = "Client assertion contains an invalid signature.";
            return Err(Refusal::new(700_027, message));
        }
    }
    in_time(assertion, now)
}

fn in_time(assertion: &Assertion<'_>, now: Timestamp) -> Result<(), Refusal> {
    if assertion.is_in_time(now) {
        return Ok(());
    }
    Err(Refusal::new(700_024, "Client assertion is not within its valid time range."))
}

/// Hosts of Entra in Azure's clouds: a client that reaches the simulator by another name may still name these.
const HOSTS: [&str; 3] = ["login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn"];

/// Whether an audience is this token endpoint, or its tenant. Not by scheme: clients that insist on https reach the
/// simulator through a transport of their own.
fn is_own(audience: &str, call: &Call) -> bool {
    let Some((_, rest)) = audience.split_once("://") else { return false };
    let Some((host, path)) = rest.split_once('/') else { return false };
    let known = call.header("host").is_some_and(|own| own.eq_ignore_ascii_case(host))
        || HOSTS.iter().any(|known| known.eq_ignore_ascii_case(host));
    let path: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let (tenant, rest) = path.split_first().map_or(("", [].as_slice()), |(first, rest)| (*first, rest));
    known
        && tenant.eq_ignore_ascii_case(call.segment(0))
        && matches!(rest, ["oauth2", "v2.0", "token"] | ["oauth2", "token"] | ["v2.0"] | [])
}
