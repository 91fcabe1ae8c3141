//! Who calls, and where.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poolkeeper_azure::{Cloud, Credential};
use poolkeeper_azure_devops::SCOPE;
use poolkeeper_rest::Http;
use secrecy::{ExposeSecret as _, SecretString};

use crate::CallError;

/// Whom we are to Azure DevOps.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A personal access token with the scope Agent Pools (Read & manage).
    Pat(SecretString),
    /// A service principal or managed identity that is a member of the organisation.
    Entra(Arc<Credential>),
}

/// The connections and credentials of a run.
#[derive(Clone, Debug)]
pub struct Access {
    /// The connections; they follow no redirect.
    pub http: Http,
    /// Where Azure Resource Manager is.
    pub cloud: Cloud,
    /// Whom we are to Azure: Virtual Machine Contributor on the scale set's resource group.
    pub azure: Arc<Credential>,
    /// Whom we are to Azure DevOps: administrator of the pool.
    pub azure_devops: Identity,
}

/// A header's value and the secrets in it.
#[derive(Clone)]
pub(crate) struct Authorization {
    pub(crate) header: SecretString,
    pub(crate) secrets: Vec<SecretString>,
}

impl Authorization {
    fn bearer(token: &SecretString) -> Self {
        let header = SecretString::from(format!("Bearer {}", token.expose_secret()));
        Self { header, secrets: vec![token.clone()] }
    }

    /// A personal access token, as the password of an empty user.
    pub(crate) fn pat(token: &SecretString) -> Self {
        let token = SecretString::from(token.expose_secret().trim());
        let sent = SecretString::from(STANDARD.encode(format!(":{}", token.expose_secret())));
        let header = SecretString::from(format!("Basic {}", sent.expose_secret()));
        Self { header, secrets: vec![token, sent] }
    }

    /// A token that nobody issued.
    pub(crate) fn false_bearer() -> Self {
        Self::bearer(&SecretString::from("poolkeeper-verify.no.token"))
    }

    /// A token that nobody issued.
    pub(crate) fn false_pat() -> Self {
        Self::pat(&SecretString::from("poolkeeper-verify-no-token"))
    }
}

/// One of the two clouds' credentials.
#[derive(Clone, Debug)]
pub(crate) enum Signer {
    Pat(SecretString),
    Entra { credential: Arc<Credential>, scope: String },
}

impl Signer {
    pub(crate) fn azure(access: &Access) -> Self {
        Self::Entra { credential: access.azure.clone(), scope: access.cloud.scope().to_owned() }
    }

    pub(crate) fn azure_devops(access: &Access) -> Self {
        match &access.azure_devops {
            Identity::Pat(token) => Self::Pat(token.clone()),
            Identity::Entra(credential) => {
                Self::Entra { credential: credential.clone(), scope: SCOPE.to_owned() }
            }
        }
    }

    pub(crate) async fn sign(&self) -> Result<Authorization, CallError> {
        match self {
            Self::Pat(token) => Ok(Authorization::pat(token)),
            Self::Entra { credential, scope } => {
                let token = credential.token(scope).await.map_err(CallError::Credential)?;
                Ok(Authorization::bearer(&token.secret))
            }
        }
    }
}
