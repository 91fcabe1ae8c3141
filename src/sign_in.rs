//! Who we are to the clouds: reads Secrets, guards the operator's own identity, and keeps tokens while they last.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use poolkeeper_api::{
    AgentPool, ScaleSetBinding,
    credentials::{AzureCredentialsType, OrganizationCredentialsType},
    reference::SecretReference,
};
use poolkeeper_azure::{Cloud, Credential, CredentialError, ScaleSets, WorkloadIdentity};
use poolkeeper_azure_devops::{Organization, SCOPE};
use poolkeeper_policy::{BindingReason, PoolReason};
use poolkeeper_rest::{Authorization, CallLog, Http, SetupError, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::{config::Config, kubernetes};

/// Why there is no way to sign in. Each message names the mend, none a secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignInError {
    #[error("Secret {name} does not exist in this namespace: create it with key {key}")]
    SecretMissing { name: String, key: String },
    #[error("Secret {name} has no key {key}: add it, or name another in secretRef.key")]
    KeyMissing { name: String, key: String },
    #[error("the operator could not read Secret {name}")]
    SecretUnreadable {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error(
        "host {host} may not get a token: add it to azureDevOps.hosts in the operator's configuration, or mend the url"
    )]
    HostNotAllowed { host: String },
    #[error(
        "the operator's own identity may not serve this {what}: list it under ownIdentity in the operator's \
         configuration, or give credentials with a secretRef"
    )]
    IdentityNotAllowed { what: &'static str },
    #[error("organization.url {url} is not usable")]
    Url {
        url: String,
        #[source]
        source: SetupError,
    },
    #[error("the service principal needs tenantID and clientID")]
    Incomplete,
    #[error("signing in to Microsoft Entra failed: {0}")]
    Credential(#[source] CredentialError),
    #[error("a service principal's certificate is not supported yet: give a clientSecret")]
    Certificate,
}

impl SignInError {
    pub(crate) fn pool_reason(&self) -> PoolReason {
        match self {
            Self::SecretMissing { .. } | Self::KeyMissing { .. } => PoolReason::SecretNotFound,
            Self::SecretUnreadable { .. } => PoolReason::Unreachable,
            Self::HostNotAllowed { .. } => PoolReason::HostNotAllowed,
            Self::IdentityNotAllowed { .. } => PoolReason::IdentityNotAllowed,
            Self::Url { .. } | Self::Incomplete | Self::Certificate => PoolReason::InvalidSpec,
            Self::Credential(CredentialError::Rejected { .. } | CredentialError::Setup { .. }) => {
                PoolReason::CredentialsRejected
            }
            Self::Credential(CredentialError::Unreachable { .. }) => PoolReason::Unreachable,
        }
    }

    pub(crate) fn binding_reason(&self) -> BindingReason {
        match self {
            Self::SecretMissing { .. } | Self::KeyMissing { .. } => BindingReason::SecretNotFound,
            Self::SecretUnreadable { .. } => BindingReason::Unreachable,
            Self::HostNotAllowed { .. } => BindingReason::HostNotAllowed,
            Self::IdentityNotAllowed { .. } => BindingReason::IdentityNotAllowed,
            Self::Url { .. } | Self::Incomplete | Self::Certificate => BindingReason::InvalidSpec,
            Self::Credential(CredentialError::Rejected { .. } | CredentialError::Setup { .. }) => {
                BindingReason::CredentialsRejected
            }
            Self::Credential(CredentialError::Unreachable { .. }) => BindingReason::Unreachable,
        }
    }
}

/// Builds the clients of both clouds.
pub struct SignIn {
    http: Http,
    cloud: Cloud,
    config: Config,
    calls: CallLog,
    kept: Mutex<HashMap<String, Kept>>,
}

/// A credential and the fingerprint of what it was made from; another one takes its place when the Secret changes.
struct Kept {
    fingerprint: [u8; 32],
    credential: Arc<Credential>,
}

/// Who signs in, in the words that both kinds of credentials share.
struct Principal<'a> {
    /// The object, so that a changed Secret replaces its credential.
    place: String,
    type_: PrincipalType,
    tenant: Option<&'a str>,
    client: Option<&'a str>,
    secret: Option<&'a SecretReference>,
    namespace: &'a str,
}

enum PrincipalType {
    WorkloadIdentity,
    ManagedIdentity,
    ServicePrincipal,
}

impl SignIn {
    /// Prepares for the cloud of the configuration.
    ///
    /// # Errors
    /// [`SetupError`] where an address of the configuration is not usable.
    pub fn new(http: Http, config: Config, calls: CallLog) -> Result<Self, SetupError> {
        Ok(Self { http, cloud: config.cloud()?, config, calls, kept: Mutex::default() })
    }

    /// The pool's organization, signed in.
    pub(crate) async fn organization(
        &self,
        kube: &kube::Client,
        pool: &AgentPool,
    ) -> Result<Organization, SignInError> {
        let spec = &pool.spec.organization;
        let namespace = pool.namespace().unwrap_or_default();
        let bad_url = |source| SignInError::Url { url: spec.url.clone(), source };
        let url = Url::parse(&spec.url).map_err(|_| bad_url(SetupError::Url { text: spec.url.clone() }))?;
        let host = authority(&url);
        // Before anything is read or sent: no token at all goes to a host that is not listed.
        if !self.config.host_allowed(&host) {
            return Err(SignInError::HostNotAllowed { host });
        }
        let credentials = &spec.credentials;
        let principal = |type_| Principal {
            place: format!("agentpool/{namespace}/{}", pool.name_any()),
            type_,
            tenant: credentials.tenant_id.as_deref(),
            client: credentials.client_id.as_deref(),
            secret: credentials.secret_ref.as_ref(),
            namespace: &namespace,
        };
        let own = self.config.identity_allowed_for_namespace(&namespace);
        let authorization = match credentials.type_ {
            OrganizationCredentialsType::PersonalAccessToken => {
                let reference = credentials.secret_ref.as_ref().ok_or(SignInError::Incomplete)?;
                Authorization::Pat(secret(kube, &namespace, reference, "token").await?)
            }
            OrganizationCredentialsType::ServicePrincipal => {
                self.bearer(kube, principal(PrincipalType::ServicePrincipal), SCOPE).await?
            }
            OrganizationCredentialsType::WorkloadIdentity if own => {
                self.bearer(kube, principal(PrincipalType::WorkloadIdentity), SCOPE).await?
            }
            OrganizationCredentialsType::ManagedIdentity if own => {
                self.bearer(kube, principal(PrincipalType::ManagedIdentity), SCOPE).await?
            }
            OrganizationCredentialsType::WorkloadIdentity | OrganizationCredentialsType::ManagedIdentity => {
                return Err(SignInError::IdentityNotAllowed { what: "namespace" });
            }
        };
        Organization::new(self.http.clone(), url, authorization, self.calls.clone()).map_err(bad_url)
    }

    /// A client for the binding's scale set.
    pub(crate) async fn scale_sets(
        &self,
        kube: &kube::Client,
        binding: &ScaleSetBinding,
    ) -> Result<ScaleSets, SignInError> {
        let namespace = binding.namespace().unwrap_or_default();
        let credentials = &binding.spec.credentials;
        let own = self.config.identity_allowed_for_scale_set(&namespace, &binding.spec.scale_set.resource_id);
        let type_ = match credentials.type_ {
            AzureCredentialsType::ServicePrincipal => PrincipalType::ServicePrincipal,
            AzureCredentialsType::WorkloadIdentity if own => PrincipalType::WorkloadIdentity,
            AzureCredentialsType::ManagedIdentity if own => PrincipalType::ManagedIdentity,
            AzureCredentialsType::WorkloadIdentity | AzureCredentialsType::ManagedIdentity => {
                return Err(SignInError::IdentityNotAllowed { what: "scale set" });
            }
        };
        let principal = Principal {
            place: format!("scalesetbinding/{namespace}/{}", binding.name_any()),
            type_,
            tenant: credentials.tenant_id.as_deref(),
            client: credentials.client_id.as_deref(),
            secret: credentials.secret_ref.as_ref(),
            namespace: &namespace,
        };
        let credential = self.credential(kube, principal).await?;
        // So that a wrong secret is said here, and not by the first call.
        credential.token(self.cloud.scope()).await.map_err(SignInError::Credential)?;
        ScaleSets::new(self.http.clone(), &self.cloud, credential, self.calls.clone())
            .map_err(|source| SignInError::Url { url: self.cloud.resource_manager().to_string(), source })
    }

    async fn bearer(
        &self,
        kube: &kube::Client,
        principal: Principal<'_>,
        scope: &str,
    ) -> Result<Authorization, SignInError> {
        let credential = self.credential(kube, principal).await?;
        let token = credential.token(scope).await.map_err(SignInError::Credential)?;
        Ok(Authorization::Bearer(token.secret))
    }

    async fn credential(
        &self,
        kube: &kube::Client,
        principal: Principal<'_>,
    ) -> Result<Arc<Credential>, SignInError> {
        let Principal { place, type_, tenant, client, secret: reference, namespace } = principal;
        let secret = match (&type_, reference) {
            (PrincipalType::ServicePrincipal, Some(reference)) => {
                Some(service_principal_secret(kube, namespace, reference).await?)
            }
            (PrincipalType::ServicePrincipal, None) => return Err(SignInError::Incomplete),
            (PrincipalType::WorkloadIdentity | PrincipalType::ManagedIdentity, _) => None,
        };
        let fingerprint = fingerprint(&type_, tenant, client, secret.as_ref());
        if let Some(kept) = self.kept().get(&place).filter(|kept| kept.fingerprint == fingerprint) {
            return Ok(kept.credential.clone());
        }
        let credential = match (type_, secret) {
            (PrincipalType::ServicePrincipal, Some(secret)) => {
                let (Some(tenant), Some(client)) = (tenant, client) else {
                    return Err(SignInError::Incomplete);
                };
                Credential::client_secret(&self.http, &self.cloud, tenant, client, &secret)
            }
            (PrincipalType::ServicePrincipal, None) => return Err(SignInError::Incomplete),
            (PrincipalType::WorkloadIdentity, _) => {
                let identity = WorkloadIdentity {
                    tenant: tenant.map(str::to_owned),
                    client: client.map(str::to_owned),
                    token_file: None,
                };
                Credential::workload_identity(&self.http, &self.cloud, identity)
            }
            (PrincipalType::ManagedIdentity, _) => {
                Credential::managed_identity(&self.http, &self.cloud, client)
            }
        };
        let credential = Arc::new(credential.map_err(SignInError::Credential)?);
        self.kept().insert(place, Kept { fingerprint, credential: credential.clone() });
        Ok(credential)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        // A panic elsewhere cannot leave half a credential behind.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Host and, where it is not the scheme's own, port.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

async fn service_principal_secret(
    kube: &kube::Client,
    namespace: &str,
    reference: &SecretReference,
) -> Result<SecretString, SignInError> {
    match secret(kube, namespace, reference, "clientSecret").await {
        Err(SignInError::KeyMissing { .. }) if reference.key.is_none() => {
            let certificate = SecretReference { key: Some("tls.crt".to_owned()), ..reference.clone() };
            match secret(kube, namespace, &certificate, "tls.crt").await {
                Ok(_) => Err(SignInError::Certificate),
                Err(_) => {
                    Err(SignInError::KeyMissing { name: reference.name.clone(), key: "clientSecret".into() })
                }
            }
        }
        other => other,
    }
}

async fn secret(
    kube: &kube::Client,
    namespace: &str,
    reference: &SecretReference,
    default_key: &str,
) -> Result<SecretString, SignInError> {
    let name = reference.name.clone();
    let key = reference.key.clone().unwrap_or_else(|| default_key.to_owned());
    let secrets: Api<Secret> = Api::namespaced(kube.clone(), namespace);
    let found = kubernetes::within(kubernetes::PATIENCE, secrets.get_opt(&name)).await;
    let found = found.map_err(|source| SignInError::SecretUnreadable { name: name.clone(), source })?;
    let Some(found) = found else { return Err(SignInError::SecretMissing { name, key }) };
    let value = found.data.and_then(|data| data.get(&key).map(|bytes| bytes.0.clone()));
    match value.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.trim().is_empty()) {
        Some(text) => Ok(SecretString::from(text)),
        None => Err(SignInError::KeyMissing { name, key }),
    }
}

fn fingerprint(
    type_: &PrincipalType,
    tenant: Option<&str>,
    client: Option<&str>,
    secret: Option<&SecretString>,
) -> [u8; 32] {
    let kind: &[u8] = match type_ {
        PrincipalType::WorkloadIdentity => b"workload",
        PrincipalType::ManagedIdentity => b"managed",
        PrincipalType::ServicePrincipal => b"principal",
    };
    let mut hash = Sha256::new();
    for part in [kind, tenant.unwrap_or_default().as_bytes(), client.unwrap_or_default().as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    if let Some(secret) = secret {
        hash.update(secret.expose_secret().as_bytes());
    }
    hash.finalize().into()
}
