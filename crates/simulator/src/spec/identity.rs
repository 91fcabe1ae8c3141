//! Service principals and their credentials.

use std::fmt;

use jiff::Timestamp;
use serde::Deserialize;

use super::Denied;

/// A service principal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientSpec {
    /// Its tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// Its client (application) id.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its client secrets: one, or a list.
    #[serde(default)]
    pub secret: Secrets,
    /// Its certificates, in PEM, without their keys.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Whose tokens it trusts.
    #[serde(default)]
    pub federated: Vec<FederatedSpec>,
    /// The subscriptions that it may read and write; others answer 403.
    #[serde(default)]
    pub subscriptions: Vec<String>,
    /// What it may not read in them.
    #[serde(default)]
    pub denied: Vec<Denied>,
}

/// A federated identity credential: a token of another issuer, such as a Kubernetes cluster, stands for the client.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedSpec {
    /// `iss` of its token.
    pub issuer: String,
    /// `sub` of its token, such as `system:serviceaccount:poolkeeper:poolkeeper`.
    pub subject: String,
    /// `aud` of its token.
    #[serde(default = "default_audience")]
    pub audience: String,
    /// The issuer's public RSA keys, in PEM. Without them a token's signature is not looked at.
    pub keys: Option<String>,
}

fn default_audience() -> String {
    "api://AzureADTokenExchange".into()
}

/// A secret of the world file, kept out of every debug output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Whether `offered` is this secret.
    pub fn is(&self, offered: &str) -> bool {
        self.0 == offered
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A client secret.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenSecret")]
pub struct ClientSecret {
    /// The secret.
    pub value: Secret,
    /// When it stops working, in simulated time.
    pub expires: Option<Timestamp>,
}

/// The client secrets that are valid beside each other, as while one is rotated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenSecrets")]
pub struct Secrets(Vec<ClientSecret>);

impl Secrets {
    /// The secret that `offered` is.
    pub fn find(&self, offered: &str) -> Option<&ClientSecret> {
        self.0.iter().find(|known| known.value.is(offered))
    }
}

impl From<Secret> for Secrets {
    fn from(value: Secret) -> Self {
        Self(vec![ClientSecret { value, expires: None }])
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenSecret {
    Plain(Secret),
    Full {
        value: Secret,
        #[serde(default)]
        expires: Option<Timestamp>,
    },
}

impl From<WrittenSecret> for ClientSecret {
    fn from(written: WrittenSecret) -> Self {
        match written {
            WrittenSecret::Plain(value) => Self { value, expires: None },
            WrittenSecret::Full { value, expires } => Self { value, expires },
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenSecrets {
    One(ClientSecret),
    Many(Vec<ClientSecret>),
}

impl From<WrittenSecrets> for Secrets {
    fn from(written: WrittenSecrets) -> Self {
        Self(match written {
            WrittenSecrets::One(secret) => vec![secret],
            WrittenSecrets::Many(secrets) => secrets,
        })
    }
}
