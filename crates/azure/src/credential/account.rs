use super::assertion::Assertion;
use super::transport::Transport;
use super::{CredentialError, WorkloadIdentity, short, texts};
use crate::cloud::Cloud;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential};
use azure_core::http::{ClientOptions, RetryOptions, Transport as AzureTransport};
use azure_identity::{
    ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use poolkeeper_rest::Http;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An account, and what `azure_identity` made of it. Its cache cannot be emptied, only dropped as a whole and made
/// again.
#[derive(Debug)]
pub(super) struct Account {
    http: Http,
    cloud: Cloud,
    recipe: Recipe,
    source: Mutex<Option<Source>>,
}

#[derive(Debug)]
pub(super) enum Recipe {
    ClientSecret { tenant: String, client: String, secret: SecretString },
    ClientCertificate { tenant: String, client: String, assertion: Assertion },
    Workload(WorkloadIdentity),
    Managed { client: Option<String> },
}

#[derive(Clone, Debug)]
enum Source {
    ClientSecret(Arc<ClientSecretCredential>),
    ClientCertificate(Arc<ClientAssertionCredential<Assertion>>),
    Workload(Arc<WorkloadIdentityCredential>),
    Managed(Arc<ManagedIdentityCredential>),
}

/// Why there is no token: the account cannot be set up, or its request failed.
pub(super) enum NoToken {
    Setup(CredentialError),
    Request(azure_core::Error),
}

impl Account {
    pub(super) fn new(http: &Http, cloud: &Cloud, recipe: Recipe) -> Result<Self, CredentialError> {
        let source = Mutex::new(Some(recipe.source(http, cloud)?));
        Ok(Self { http: http.clone(), cloud: cloud.clone(), recipe, source })
    }

    pub(super) async fn token(&self, scope: &str) -> Result<AccessToken, NoToken> {
        let scopes = [scope];
        let token = match self.source().map_err(NoToken::Setup)? {
            Source::ClientSecret(credential) => credential.get_token(&scopes, None).await,
            Source::ClientCertificate(credential) => credential.get_token(&scopes, None).await,
            Source::Workload(credential) => credential.get_token(&scopes, None).await,
            Source::Managed(credential) => credential.get_token(&scopes, None).await,
        };
        token.map_err(NoToken::Request)
    }

    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    fn source(&self) -> Result<Source, CredentialError> {
        let mut source = self.lock();
        if let Some(source) = &*source {
            return Ok(source.clone());
        }
        let made = self.recipe.source(&self.http, &self.cloud)?;
        *source = Some(made.clone());
        Ok(made)
    }

    fn lock(&self) -> MutexGuard<'_, Option<Source>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recipe {
    fn source(&self, http: &Http, cloud: &Cloud) -> Result<Source, CredentialError> {
        let source = match self {
            Self::ClientSecret { tenant, client, secret } => {
                let options = ClientSecretCredentialOptions { client_options: entra_options(http, cloud) };
                let secret = Secret::new(secret.expose_secret().trim().to_owned());
                ClientSecretCredential::new(tenant, client.clone(), secret, Some(options))
                    .map(Source::ClientSecret)
            }
            Self::ClientCertificate { tenant, client, assertion } => {
                let options = ClientAssertionCredentialOptions { client_options: entra_options(http, cloud) };
                let (tenant, client) = (tenant.clone(), client.clone());
                ClientAssertionCredential::new(tenant, client, assertion.clone(), Some(options))
                    .map(Source::ClientCertificate)
            }
            Self::Workload(identity) => {
                let options = WorkloadIdentityCredentialOptions {
                    credential_options: ClientAssertionCredentialOptions {
                        client_options: entra_options(http, cloud),
                    },
                    tenant_id: identity.tenant.clone(),
                    client_id: identity.client.clone(),
                    token_file_path: identity.token_file.clone(),
                };
                WorkloadIdentityCredential::new(Some(options)).map(Source::Workload)
            }
            Self::Managed { client } => {
                let options = ManagedIdentityCredentialOptions {
                    user_assigned_id: client.clone().map(UserAssignedId::ClientId),
                    client_options: client_options(Transport::to_metadata(http, cloud)),
                };
                ManagedIdentityCredential::new(Some(options)).map(Source::Managed)
            }
        };
        source.map_err(|error| CredentialError::Setup { reason: short(&texts(&super::levels(&error))) })
    }
}

/// `azure_identity` takes https authorities only; the transport knows where a simulator on this machine really is.
fn entra_options(http: &Http, cloud: &Cloud) -> ClientOptions {
    let transport = Transport::to_authority(http, cloud);
    let mut custom = CustomConfiguration::default();
    custom.authority_host = transport.announced().to_owned();
    ClientOptions { cloud: Some(Arc::new(CloudConfiguration::Custom(custom))), ..client_options(transport) }
}

fn client_options(transport: Transport) -> ClientOptions {
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(AzureTransport::new(Arc::new(transport))),
        ..ClientOptions::default()
    }
}
