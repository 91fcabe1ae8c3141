//! Tokens of Entra ID, by way of `azure_identity`, which caches them until five minutes before they expire.

mod transport;

use crate::cloud::Cloud;
use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport as AzureTransport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use jiff::Timestamp;
use poolkeeper_rest::{Http, ServiceError};
use secrecy::{ExposeSecret as _, SecretString};
use std::path::PathBuf;
use std::sync::Arc;
use transport::{Transport, TransportError};

/// An access token.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub secret: SecretString,
    /// When it stops working; none for a fixed token.
    pub expires: Option<Timestamp>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The credential is incomplete, or its file is missing.
    #[error("the credential is not usable: {reason}")]
    Setup {
        /// What is missing.
        reason: String,
    },
    /// Entra ID, or the metadata service, refused it.
    #[error("the credential was refused{}: {reason}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Rejected {
        /// The code, such as `AADSTS7000215`.
        code: Option<String>,
        /// What was said, on one line, at most 300 characters.
        reason: String,
    },
    /// Entra ID, or the metadata service, gave no usable answer.
    #[error("no token could be had: {reason}")]
    Unreachable {
        /// How it failed.
        reason: String,
    },
}

/// What a workload identity may set; the rest comes from the environment that the AKS webhook fills.
#[derive(Clone, Debug, Default)]
pub struct WorkloadIdentity {
    /// The tenant's GUID; `AZURE_TENANT_ID` by default.
    pub tenant: Option<String>,
    /// The client's GUID; `AZURE_CLIENT_ID` by default.
    pub client: Option<String>,
    /// The file with the ServiceAccount's token; `AZURE_FEDERATED_TOKEN_FILE` by default.
    pub token_file: Option<PathBuf>,
}

/// Whom we are to Azure, and to Azure DevOps where it takes tokens of Entra ID.
#[derive(Debug)]
pub struct Credential(Source);

#[derive(Debug)]
enum Source {
    ClientSecret(Arc<ClientSecretCredential>),
    Workload(Arc<WorkloadIdentityCredential>),
    Managed(Arc<ManagedIdentityCredential>),
    Fixed(SecretString),
}

impl Credential {
    /// A service principal with a secret.
    ///
    /// # Errors
    /// [`CredentialError::Setup`] where an argument is empty or malformed.
    pub fn client_secret(
        http: &Http,
        cloud: &Cloud,
        tenant: &str,
        client: &str,
        secret: &SecretString,
    ) -> Result<Self, CredentialError> {
        let options = ClientSecretCredentialOptions { client_options: entra_options(http, cloud) };
        let secret = Secret::new(secret.expose_secret().trim().to_owned());
        let credential = ClientSecretCredential::new(tenant, client.to_owned(), secret, Some(options))
            .map_err(|e| setup(&e))?;
        Ok(Self(Source::ClientSecret(credential)))
    }

    /// A ServiceAccount that Entra ID trusts as `identity`. Reads its token's file, and again as it is renewed.
    ///
    /// # Errors
    /// [`CredentialError::Setup`] where something is given neither here nor by the environment, or the file is missing.
    pub fn workload_identity(
        http: &Http,
        cloud: &Cloud,
        identity: WorkloadIdentity,
    ) -> Result<Self, CredentialError> {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: entra_options(http, cloud),
            },
            tenant_id: identity.tenant,
            client_id: identity.client,
            token_file_path: identity.token_file,
        };
        let credential = WorkloadIdentityCredential::new(Some(options)).map_err(|e| setup(&e))?;
        Ok(Self(Source::Workload(credential)))
    }

    /// The identity of the VM that we run on; with `client` one of several that it has.
    ///
    /// # Errors
    /// [`CredentialError::Setup`] where the environment asks for a kind of managed identity that VMs do not have.
    pub fn managed_identity(
        http: &Http,
        cloud: &Cloud,
        client: Option<&str>,
    ) -> Result<Self, CredentialError> {
        let options = ManagedIdentityCredentialOptions {
            user_assigned_id: client.map(|client| UserAssignedId::ClientId(client.to_owned())),
            client_options: client_options(Transport::to_metadata(http, cloud)),
        };
        let credential = ManagedIdentityCredential::new(Some(options)).map_err(|e| setup(&e))?;
        Ok(Self(Source::Managed(credential)))
    }

    /// A token that is there already. It is never renewed.
    pub fn fixed(token: SecretString) -> Self {
        Self(Source::Fixed(token))
    }

    /// A token for `scope`, from the cache while it lasts.
    ///
    /// # Errors
    /// [`CredentialError::Rejected`] or [`CredentialError::Unreachable`].
    pub async fn token(&self, scope: &str) -> Result<Token, CredentialError> {
        let scopes = [scope];
        let request = match &self.0 {
            Source::ClientSecret(credential) => credential.get_token(&scopes, None),
            Source::Workload(credential) => credential.get_token(&scopes, None),
            Source::Managed(credential) => credential.get_token(&scopes, None),
            Source::Fixed(token) => return Ok(Token { secret: token.clone(), expires: None }),
        };
        let token = request.await.map_err(|error| refused(&error))?;
        // `azure_identity` reads an answer of another shape as an empty token.
        if token.token.secret().is_empty() {
            return Err(CredentialError::Unreachable { reason: "the answer holds no token".to_owned() });
        }
        Ok(Token {
            secret: SecretString::from(token.token.secret().to_owned()),
            expires: Timestamp::from_second(token.expires_on.unix_timestamp()).ok(),
        })
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

fn setup(error: &azure_core::Error) -> CredentialError {
    CredentialError::Setup { reason: short(&texts(&levels(error))) }
}

fn refused(error: &azure_core::Error) -> CredentialError {
    let levels = levels(error);
    let sent = levels.iter().find_map(|level| level.downcast_ref::<TransportError>());
    if let Some(TransportError::Rejected { code, reason }) = sent {
        let said = ServiceError::new(code.clone(), Some(reason.clone()));
        return CredentialError::Rejected { code: said.code, reason: said.message.unwrap_or_default() };
    }
    let undecoded = levels
        .iter()
        .filter_map(|level| level.downcast_ref::<azure_core::Error>())
        .any(|error| matches!(error.kind(), ErrorKind::DataConversion));
    if undecoded {
        // What it could not decode may be a token.
        return CredentialError::Unreachable { reason: "the answer is not what tokens come in".to_owned() };
    }
    // Without the outer levels of `azure_identity`, which repeat the inner ones, with links.
    let from = levels.iter().position(|level| level.is::<TransportError>()).unwrap_or(0);
    CredentialError::Unreachable { reason: short(&texts(levels.get(from..).unwrap_or_default())) }
}

type Level<'a> = &'a (dyn std::error::Error + 'static);

fn levels(error: &azure_core::Error) -> Vec<Level<'_>> {
    std::iter::successors(Some(error as Level<'_>), |error| error.source()).collect()
}

fn texts(levels: &[Level<'_>]) -> String {
    let mut texts: Vec<String> = levels.iter().map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}

fn short(text: &str) -> String {
    ServiceError::new(None, Some(text.to_owned())).message.unwrap_or_default()
}
