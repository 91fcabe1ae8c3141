//! Tokens that are revoked, and secrets that are rotated.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, find_organization, read};
use crate::{
    http::{Call, Site},
    spec::Secret,
    world::World,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tokens {
    revoke: bool,
}

/// Every token that Entra has issued so far is refused from now on.
pub(super) fn tokens(site: &mut Site, call: &Call) -> Result<Value, Refusal> {
    let Tokens { revoke } = read(call)?;
    if !revoke {
        return Err(Refusal("the one thing to be done with tokens is {\"revoke\": true}".into()));
    }
    Ok(json!({"revoked": site.tokens.revoke()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Secrets {
    #[serde(rename = "clientID")]
    client: Option<String>,
    secret: Option<Secret>,
    organization: Option<String>,
    token: Option<Secret>,
}

/// A new client secret, or a new personal access token; the old ones stop working.
pub(super) fn secrets(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    match read(call)? {
        Secrets { client: Some(client), secret: Some(secret), organization: None, token: None } => {
            let known = world.rotate_client_secret(&client, secret);
            known.then(|| json!({})).ok_or_else(|| Refusal(format!("no client {client}")))
        }
        Secrets { client: None, secret: None, organization, token: Some(token) } => {
            let index = find_organization(world, organization.as_deref())?;
            world.rotate_token(index, token);
            Ok(json!({}))
        }
        _ => Err(Refusal("give clientID and secret, or organization and token".into())),
    }
}
