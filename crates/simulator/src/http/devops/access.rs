//! Who calls, what they may see, and what goes wrong before they are heard.

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};

use super::{Call, Reply, Site, error};
use crate::{
    spec::{OrganizationSpec, TokenSpec},
    world::DevOpsFault,
};

const SIGN_IN: &str = "<!DOCTYPE html>\r\n<html><head><title>Azure DevOps Services | Sign In</title></head><body>Sign in</body></html>";
/// Seconds that a throttled client is asked to wait.
pub(super) const THROTTLED_FOR: &str = "30";

/// Who calls, and what is withheld from them.
pub(super) struct Caller {
    pub(super) organization: usize,
    pub(super) identity: Identity,
    forbidden_pools: Vec<u32>,
}

/// A caller whose usage is counted, by its index in the world file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Identity {
    Client(usize),
    Token(usize),
}

impl Caller {
    pub(super) fn sees(&self, pool: u32) -> bool {
        !self.forbidden_pools.contains(&pool)
    }
}

/// A personal access token of the organisation, or an Entra token of a member.
pub(super) fn authenticate(site: &Site, call: &Call, organization: usize) -> Result<Caller, Reply> {
    let Some(known) = site.world.organizations().nth(organization) else {
        return Err(Reply::empty(StatusCode::NOT_FOUND));
    };
    if call.bearer().is_some() {
        let client = site.tokens.devops_client(call);
        let client =
            client.filter(|client| is_member(&known.spec, site, *client)).ok_or_else(unauthorized)?;
        return Ok(Caller { organization, identity: Identity::Client(client), forbidden_pools: Vec::new() });
    }
    let page = || Reply::html(StatusCode::NON_AUTHORITATIVE_INFORMATION, SIGN_IN);
    let offered = password(call).ok_or_else(page)?;
    let now = site.world.now();
    let is_it = |token: &TokenSpec| token.value.is(&offered) && token.expires.is_none_or(|end| now < end);
    let found = known.spec.tokens.iter().enumerate().find(|(_, token)| is_it(token));
    let (index, token) = found.ok_or_else(page)?;
    let forbidden_pools = token.forbidden_pools.clone();
    Ok(Caller { organization, identity: Identity::Token(index), forbidden_pools })
}

fn is_member(spec: &OrganizationSpec, site: &Site, client: usize) -> bool {
    site.world
        .clients()
        .get(client)
        .is_some_and(|client| spec.members.iter().any(|id| id.eq_ignore_ascii_case(&client.client_id)))
}

fn password(call: &Call) -> Option<String> {
    let offered = call.header("authorization")?.strip_prefix("Basic ")?;
    let decoded = STANDARD_NO_PAD.decode(offered.trim().trim_end_matches('=')).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    decoded.split_once(':').map(|(_, password)| password.to_owned())
}

fn unauthorized() -> Reply {
    let message = "TF400813: The user is not authorized to access this resource.";
    let reply = error(StatusCode::UNAUTHORIZED, "UnauthorizedRequestException", message);
    reply.header("www-authenticate", "Bearer").header("www-authenticate", "Basic realm=\"Azure DevOps\"")
}

/// The page that a redirect to sign-in leads to.
pub(in crate::http) fn sign_in() -> Reply {
    Reply::html(StatusCode::OK, SIGN_IN)
}

pub(super) fn faulty(fault: DevOpsFault, call: &Call) -> Reply {
    match fault {
        DevOpsFault::SignIn => Reply::html(StatusCode::NON_AUTHORITATIVE_INFORMATION, SIGN_IN),
        DevOpsFault::Throttle => throttled(THROTTLED_FOR.to_owned())
            .header("x-ratelimit-resource", "Concurrency")
            .header("x-ratelimit-remaining", "0"),
        DevOpsFault::Unavailable => {
            Reply::html(StatusCode::SERVICE_UNAVAILABLE, "<html><body>Service unavailable</body></html>")
        }
        DevOpsFault::Forbidden => {
            let message = "Access denied: the identity needs View permissions to perform the action.";
            error(StatusCode::FORBIDDEN, "AccessDeniedException", message)
        }
        DevOpsFault::Unauthorized => unauthorized(),
        DevOpsFault::Redirect => {
            Reply::html(StatusCode::FOUND, SIGN_IN).header("location", format!("{}/_signin", call.base))
        }
    }
}

pub(super) fn throttled(seconds: String) -> Reply {
    let message = "TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource 'Concurrency' in namespace 'User'.";
    error(StatusCode::TOO_MANY_REQUESTS, "RequestBlockedException", message).header("retry-after", seconds)
}
