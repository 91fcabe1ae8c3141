//! What a read that failed means, with the mend.

use poolkeeper_api::{AgentPool, credentials::OrganizationCredentialsType};
use poolkeeper_azure_devops::{Agent, AgentStatus};
use poolkeeper_policy::{PoolReason, Why};
use poolkeeper_rest::{Class, Error};

/// A failed call to Azure DevOps.
pub(super) fn devops(pool: &AgentPool, error: &Error) -> Why {
    let credentials = &pool.spec.organization.credentials;
    let secret = credentials.secret_ref.as_ref().map_or("", |secret| secret.name.as_str());
    let key = credentials.secret_ref.as_ref().and_then(|secret| secret.key.as_deref());
    // Who is refused, and what a person does about it.
    let (who, renew) = match credentials.type_ {
        OrganizationCredentialsType::PersonalAccessToken => (
            format!("the token in Secret {secret}, key {}", key.unwrap_or("token")),
            "is wrong or expired; replace it",
        ),
        OrganizationCredentialsType::ServicePrincipal => (
            format!("the service principal of Secret {secret}"),
            "is not let in; add it to the organization, or mend tenantID, clientID and the Secret",
        ),
        OrganizationCredentialsType::WorkloadIdentity | OrganizationCredentialsType::ManagedIdentity => {
            ("the operator's own identity".to_owned(), "is not let in; add it to the organization as a user")
        }
    };
    let (reason, mend) = match error.class() {
        Class::Unauthenticated => (PoolReason::CredentialsRejected, format!("{who}, {renew}")),
        Class::Forbidden => (
            PoolReason::PermissionDenied,
            format!(
                "{who}, may not do this: give it Agent Pools (read and manage), and the pool's administrator role"
            ),
        ),
        Class::NotFound => (PoolReason::PoolNotFound, "mend organization.url, or the pool".to_owned()),
        Class::Throttled => {
            (PoolReason::Throttled, "Azure DevOps asks for fewer calls; tried again later".to_owned())
        }
        Class::Server | Class::Unreachable => (PoolReason::Unreachable, "tried again".to_owned()),
        Class::Conflict
        | Class::Precondition
        | Class::Quota
        | Class::Allocation
        | Class::Invalid
        | Class::Unexpected => (PoolReason::UnexpectedAnswer, "tried again".to_owned()),
    };
    Why { reason, message: format!("{}: {mend}", crate::chain(error)) }
}

/// A failed call to Azure.
pub(super) fn azure(error: &Error) -> Why {
    let reason = match error.class() {
        Class::Unauthenticated => PoolReason::CredentialsRejected,
        Class::Forbidden => PoolReason::PermissionDenied,
        Class::Throttled => PoolReason::Throttled,
        Class::NotFound | Class::Server | Class::Unreachable => PoolReason::Unreachable,
        Class::Conflict
        | Class::Precondition
        | Class::Quota
        | Class::Allocation
        | Class::Invalid
        | Class::Unexpected => PoolReason::UnexpectedAnswer,
    };
    Why { reason, message: crate::chain(error) }
}

/// Azure says that the scale set, or its resource group, does not exist. A subscription that is not found may be one that
/// the credential sees no more, and a page is no answer at all.
pub(crate) fn is_gone(error: &Error) -> bool {
    let code = error.code().unwrap_or_default();
    let told = ["ResourceNotFound", "ParentResourceNotFound", "ResourceGroupNotFound", "NotFound"];
    error.class() == Class::NotFound && told.iter().any(|told| told.eq_ignore_ascii_case(code))
}

/// Whether an agent of an unknown status takes jobs is unknown, and unknown is not offline.
pub(super) fn unheard_of(pool: &AgentPool, agents: &[Agent]) -> Option<Why> {
    let other = |agent: &Agent| match &agent.status {
        AgentStatus::Online | AgentStatus::Offline => None,
        AgentStatus::Other(status) => Some((agent.name.clone(), status.clone())),
    };
    let (name, status) = agents.iter().find_map(other)?;
    let url = &pool.spec.organization.url;
    let message =
        format!("{url} says that agent {name} is {status}, which this version does not know: tried again");
    Some(Why { reason: PoolReason::UnexpectedAnswer, message })
}
