//! Entra: its token endpoint, and what Microsoft's identity libraries ask before they use it.

mod assertion;
mod tokens;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{Call, Reply, Service, Site, wire::Trouble};
use crate::{spec::ClientSpec, world};
pub(super) use tokens::{Audience, Tokens};

/// The kind of assertion that stands for a client secret (RFC 7523).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    match call.lower().as_slice() {
        [_, "oauth2", ..] if call.method == Method::POST => token(site, call).unwrap_or_else(Reply::from),
        [_, "v2.0", ..] if call.method == Method::GET => configuration(site, call, call.segment(0)),
        [_, "discovery", "instance"] if call.method == Method::GET => instance(call),
        // Access tokens are opaque here: nobody can check a signature.
        [_, "discovery", ..] if call.method == Method::GET => {
            Reply::json(StatusCode::OK, &json!({"keys": []}))
        }
        _ => Reply::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

fn token(site: &mut Site, call: &Call) -> Result<Reply, Refusal> {
    site.world.count_call(world::Call::Token);
    let now = site.world.now();
    if site.troubles.has(Service::Entra, &Trouble::Unavailable, now) {
        return Err(Refusal::new(90_033, "A transient error has occurred. Please try again."));
    }
    if site.troubles.has(Service::Entra, &Trouble::Throttle, now) {
        return Err(Refusal::new(90_055, "There are too many incoming requests."));
    }
    let form = call.form();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if field("grant_type") != "client_credentials" {
        return Err(Refusal::new(70_003, "The app requested an unsupported grant type."));
    }
    let (tenant, client_id) = (call.segment(0), field("client_id"));
    if !is_tenant(site, tenant) {
        let message =
            format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Err(Refusal::new(90_002, &message));
    }
    let clients = site.world.clients();
    let known = clients.iter().enumerate().find(|(_, client)| {
        client.client_id.eq_ignore_ascii_case(client_id) && client.tenant_id.eq_ignore_ascii_case(tenant)
    });
    let Some((index, client)) = known else {
        let message =
            format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
        return Err(Refusal::new(700_016, &message));
    };
    if site.troubles.has(Service::Entra, &Trouble::Reject, now) {
        return Err(Refusal::new(7_000_112, &format!("Application '{client_id}' is disabled.")));
    }
    authenticate(client, &form, call, now)?;
    let audience = audience(field("scope"), call, tenant)?;
    let lifetime = site.world.token_lifetime();
    let token = site.tokens.issue(index, audience, Timestamp::now(), lifetime);
    let said = json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token,
    });
    Ok(Reply::json(StatusCode::OK, &said))
}

/// By secret, whose end is in simulated time, or by an assertion, whose times are those of the wall clock.
fn authenticate(
    client: &ClientSpec,
    form: &BTreeMap<String, String>,
    call: &Call,
    now: Timestamp,
) -> Result<(), Refusal> {
    if let Some(assertion) = form.get("client_assertion") {
        if form.get("client_assertion_type").is_none_or(|kind| kind != JWT_BEARER) {
            let message = "The request body must contain the following parameter: 'client_assertion_type'.";
            return Err(Refusal::new(900_144, message));
        }
        return assertion::check(assertion, client, call, Timestamp::now());
    }
    let Some(secret) = form.get("client_secret") else {
        let message =
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(Refusal::new(7_000_218, message));
    };
    let id = &client.client_id;
    match client.secret.find(secret) {
        Some(known) if known.expires.is_some_and(|expires| expires <= now) => {
            let message = format!("The provided client secret keys for app '{id}' are expired.");
            Err(Refusal::new(7_000_222, &message))
        }
        Some(_) => Ok(()),
        None => {
            let message = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{id}'."
            );
            Err(Refusal::new(7_000_215, &message))
        }
    }
}

fn audience(scope: &str, call: &Call, tenant: &str) -> Result<Audience, Refusal> {
    let Some(resource) = scope.split(' ').find_map(|scope| scope.strip_suffix("/.default")) else {
        let message = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(Refusal::new(1_002_012, &message));
    };
    Audience::of(resource, call).ok_or_else(|| {
        let message =
            format!("The resource principal named {resource} was not found in the tenant named {tenant}.");
        Refusal::new(500_011, &message)
    })
}

fn is_tenant(site: &Site, tenant: &str) -> bool {
    site.world.clients().iter().any(|client| client.tenant_id.eq_ignore_ascii_case(tenant))
}

fn configuration(site: &Site, call: &Call, tenant: &str) -> Reply {
    if !is_tenant(site, tenant) && !matches!(tenant, "common" | "organizations") {
        let message =
            format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
        return Reply::from(Refusal::new(90_002, &message));
    }
    let root = format!("{}/{tenant}", call.base);
    let said = json!({
        "token_endpoint": format!("{root}/oauth2/v2.0/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "jwks_uri": format!("{root}/discovery/v2.0/keys"),
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": format!("{root}/v2.0"),
        "authorization_endpoint": format!("{root}/oauth2/v2.0/authorize"),
        "device_authorization_endpoint": format!("{root}/oauth2/v2.0/devicecode"),
        "tenant_region_scope": "EU",
        "cloud_instance_name": "microsoftonline.com",
    });
    Reply::json(StatusCode::OK, &said)
}

/// Which hosts are one and the same Entra: only the one that was asked.
fn instance(call: &Call) -> Reply {
    let authority = call.parameter("authorization_endpoint").unwrap_or_default();
    let tenant = authority.split('/').nth(3).filter(|tenant| !tenant.is_empty()).unwrap_or("common");
    let host = call.header("host").unwrap_or("localhost");
    let said = json!({
        "tenant_discovery_endpoint": format!("{}/{tenant}/v2.0/.well-known/openid-configuration", call.base),
        "api-version": call.parameter("api-version").unwrap_or("1.1"),
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    });
    Reply::json(StatusCode::OK, &said)
}

/// Why there is no token: the number of Entra's error, and its text.
struct Refusal {
    code: u32,
    message: String,
}

impl Refusal {
    fn new(code: u32, message: &str) -> Self {
        Self { code, message: message.to_owned() }
    }

    /// Status and OAuth error of the codes, as Entra pairs them.
    fn class(&self) -> (StatusCode, &'static str) {
        match self.code {
            90_033 => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            90_055 => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
            70_003 => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
            70_021 | 50_027 | 90_002 | 900_144 => (StatusCode::BAD_REQUEST, "invalid_request"),
            700_016 => (StatusCode::BAD_REQUEST, "unauthorized_client"),
            1_002_012 => (StatusCode::BAD_REQUEST, "invalid_scope"),
            500_011 => (StatusCode::BAD_REQUEST, "invalid_resource"),
            7_000_112 => (StatusCode::UNAUTHORIZED, "unauthorized_client"),
            _ => (StatusCode::UNAUTHORIZED, "invalid_client"),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let (status, error) = refusal.class();
        let Refusal { code, message } = refusal;
        let now = Timestamp::now();
        let trace = Uuid::from_u64_pair(u64::from(code), now.as_nanosecond() as u64);
        let time = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let said = json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {message}\r\nTrace ID: {trace}\r\nCorrelation ID: {trace}\r\nTimestamp: {time}"),
            "error_codes": [code],
            "timestamp": time,
            "trace_id": trace.to_string(),
            "correlation_id": trace.to_string(),
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        });
        let reply = Self::json(status, &said);
        if status == StatusCode::TOO_MANY_REQUESTS { reply.header("retry-after", "30") } else { reply }
    }
}
