//! Entra's token endpoint.

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{Call, Reply, Site};
use crate::world;

/// Tokens that were issued, each to a client by its index in the world file. They stay valid until the process ends:
/// clients judge the expiry by the wall clock, which a scaled world does not follow.
#[derive(Default)]
pub(super) struct Tokens {
    issued: BTreeMap<String, usize>,
}

impl Tokens {
    fn issue(&mut self, client: usize) -> String {
        let number = self.issued.len() as u64;
        let token =
            format!("simulated.{}", Uuid::from_u64_pair(0x7000_0000_0000_4000 + client as u64, number));
        self.issued.insert(token.clone(), client);
        token
    }

    /// The client that a bearer token was issued to.
    pub(super) fn client(&self, call: &Call) -> Option<usize> {
        let token = call.header("authorization")?.strip_prefix("Bearer ")?;
        self.issued.get(token).copied()
    }
}

/// Entra says so in seconds of the wall clock.
const LIFETIME: u32 = 3599;

pub(super) fn answer(site: &mut Site, call: &Call) -> Reply {
    site.world.count_call(world::Call::Token);
    if call.method != Method::POST {
        return Reply::empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let form = call.form();
    let field = |name: &str| form.get(name).map_or("", String::as_str);
    if field("grant_type") != "client_credentials" {
        return refuse(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type.",
        );
    }
    let (tenant, client_id) = (call.segment(0), field("client_id"));
    let known = site.world.clients().iter().position(|client| {
        client.client_id.eq_ignore_ascii_case(client_id) && client.tenant_id.eq_ignore_ascii_case(tenant)
    });
    let Some(index) = known else {
        let message =
            format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", 700_016, &message);
    };
    if !site.world.clients().get(index).is_some_and(|client| client.secret.is(field("client_secret"))) {
        let message = format!("Invalid client secret provided for app '{client_id}'.");
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", 7_000_215, &message);
    }
    let token = site.tokens.issue(index);
    Reply::json(
        StatusCode::OK,
        &json!({
            "token_type": "Bearer",
            "expires_in": LIFETIME,
            "ext_expires_in": LIFETIME,
            "access_token": token,
        }),
    )
}

fn refuse(status: StatusCode, error: &str, code: u32, message: &str) -> Reply {
    Reply::json(
        status,
        &json!({
            "error": error,
            "error_description": format!("AADSTS{code}: {message}"),
            "error_codes": [code],
        }),
    )
}
