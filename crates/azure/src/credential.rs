//! Tokens of Entra ID, by way of `azure_identity`, which caches them until five minutes before they expire.

mod account;
mod assertion;
pub(crate) mod transport;

use crate::cloud::Cloud;
use account::{Account, NoToken, Recipe};
use assertion::Assertion;
use azure_core::error::ErrorKind;
use jiff::Timestamp;
use poolkeeper_rest::{Http, ServiceError};
use secrecy::SecretString;
use std::path::PathBuf;
use transport::TransportError;

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
pub struct Credential(Kind);

#[derive(Debug)]
enum Kind {
    Account(Box<Account>),
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
        let (tenant, client) = (tenant.to_owned(), client.to_owned());
        Self::account(http, cloud, Recipe::ClientSecret { tenant, client, secret: secret.clone() })
    }

    /// A service principal with a certificate: the certificate, with its chain after it or without, and its RSA key
    /// (PKCS#8 or PKCS#1), both as PEM. One text that holds both may be given twice.
    ///
    /// # Errors
    /// [`CredentialError::Setup`] where an argument is empty or malformed, the key is encrypted, not RSA or of another
    /// certificate, or the certificate is not valid now.
    pub fn client_certificate(
        http: &Http,
        cloud: &Cloud,
        tenant: &str,
        client: &str,
        certificate_pem: &str,
        key_pem: &SecretString,
    ) -> Result<Self, CredentialError> {
        let now = Timestamp::now();
        let assertion = Assertion::new(cloud.authority(), tenant, client, certificate_pem, key_pem, now)
            .map_err(|error| CredentialError::Setup { reason: error.to_string() })?;
        let (tenant, client) = (tenant.to_owned(), client.to_owned());
        Self::account(http, cloud, Recipe::ClientCertificate { tenant, client, assertion })
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
        Self::account(http, cloud, Recipe::Workload(identity))
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
        Self::account(http, cloud, Recipe::Managed { client: client.map(str::to_owned) })
    }

    /// A token that is there already. It is never renewed.
    pub fn fixed(token: SecretString) -> Self {
        Self(Kind::Fixed(token))
    }

    /// A token for `scope`, from the cache while it lasts.
    ///
    /// # Errors
    /// [`CredentialError::Rejected`] or [`CredentialError::Unreachable`]; after [`Credential::drop_token`] also
    /// [`CredentialError::Setup`], where a file is no longer there.
    pub async fn token(&self, scope: &str) -> Result<Token, CredentialError> {
        let account = match &self.0 {
            Kind::Account(account) => account,
            Kind::Fixed(token) => return Ok(Token { secret: token.clone(), expires: None }),
        };
        let token = account.token(scope).await.map_err(|error| match error {
            NoToken::Setup(error) => error,
            NoToken::Request(error) => refused(&error),
        })?;
        Ok(Token {
            secret: SecretString::from(token.token.secret().to_owned()),
            expires: Timestamp::from_second(token.expires_on.unix_timestamp()).ok(),
        })
    }

    /// Forgets all tokens, so that the next call signs in anew: for one that was refused before its time (revoked, or
    /// cut short by a policy). [`ScaleSets`](crate::ScaleSets) does so by itself after a 401. A fixed token stays. The
    /// metadata service keeps a cache of its own, so that a managed identity may get the same token again.
    pub fn drop_token(&self) {
        match &self.0 {
            Kind::Account(account) => account.forget(),
            Kind::Fixed(_) => {}
        }
    }

    fn account(http: &Http, cloud: &Cloud, recipe: Recipe) -> Result<Self, CredentialError> {
        Ok(Self(Kind::Account(Box::new(Account::new(http, cloud, recipe)?))))
    }
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

/// What becomes of an answer to a token request; for fuzzing.
pub(crate) fn read_token_answer(status: u16, body: &[u8]) -> Result<(), CredentialError> {
    transport::check("login.microsoftonline.com", status, body)
        .map_err(|error| refused(&azure_core::Error::new(ErrorKind::Other, error)))
}

/// Reads a text as a certificate and as its key; for fuzzing.
pub(crate) fn parse_certificate(pem: &str) -> Result<(), CredentialError> {
    let authority = poolkeeper_rest::Url::parse("https://login.microsoftonline.com");
    let authority = authority.map_err(|error| CredentialError::Setup { reason: error.to_string() })?;
    Assertion::new(&authority, "tenant", "client", pem, &SecretString::from(pem), Timestamp::UNIX_EPOCH)
        .map(drop)
        .map_err(|error| CredentialError::Setup { reason: error.to_string() })
}
