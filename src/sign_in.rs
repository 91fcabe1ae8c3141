//! Who we are to the clouds: reads Secrets, guards the operator's own identity, and keeps tokens while they last.

mod secrets;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, ScaleSetBinding,
    credentials::{AzureCredentialsType, OrganizationCredentialsType},
    reference::SecretReference,
};
use poolkeeper_azure::{Cloud, Credential, CredentialError, ScaleSets, WorkloadIdentity};
use poolkeeper_azure_devops::{Organization, SCOPE};
use poolkeeper_budget::Budgets;
use poolkeeper_clock::Clock;
use poolkeeper_policy::{BindingReason, PoolReason};
use poolkeeper_rest::{Authorization, CallLog, Http, SetupError, Url};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use self::secrets::Secrets;
use crate::config::Config;

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
}

impl SignInError {
    pub(crate) fn pool_reason(&self) -> PoolReason {
        match self {
            Self::SecretMissing { .. } | Self::KeyMissing { .. } => PoolReason::SecretNotFound,
            Self::SecretUnreadable { .. } => PoolReason::Unreachable,
            Self::HostNotAllowed { .. } => PoolReason::HostNotAllowed,
            Self::IdentityNotAllowed { .. } => PoolReason::IdentityNotAllowed,
            Self::Url { .. } | Self::Incomplete => PoolReason::InvalidSpec,
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
            Self::Url { .. } | Self::Incomplete => BindingReason::InvalidSpec,
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
    budgets: Budgets,
    clock: Clock,
    kept: Mutex<HashMap<String, Kept>>,
    secrets: Secrets,
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

/// What a service principal proves itself with.
enum Proof {
    Secret(SecretString),
    /// PEM, the certificate first.
    Certificate {
        certificate: SecretString,
        key: SecretString,
    },
}

impl SignIn {
    /// Prepares for the cloud of the configuration.
    ///
    /// # Errors
    /// [`SetupError`] where an address of the configuration is not usable.
    pub fn new(
        http: Http,
        config: Config,
        calls: CallLog,
        budgets: Budgets,
        clock: Clock,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            http,
            cloud: config.cloud()?,
            config,
            calls,
            budgets,
            clock,
            kept: Mutex::default(),
            secrets: Secrets::default(),
        })
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
            place: pool_place(&namespace, &pool.name_any()),
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
                Authorization::Pat(self.secrets.value(kube, &namespace, reference, "token").await?)
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
        let organization = Organization::new(self.http.clone(), url, authorization, self.calls.clone());
        let caller = format!("{namespace}/{}", pool.name_any());
        Ok(organization.map_err(bad_url)?.with_budgets(&self.budgets, self.clock, &caller))
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
            place: binding_place(&namespace, &binding.name_any()),
            type_,
            tenant: credentials.tenant_id.as_deref(),
            client: credentials.client_id.as_deref(),
            secret: credentials.secret_ref.as_ref(),
            namespace: &namespace,
        };
        let credential = self.credential(kube, principal).await?;
        // So that the first calls after a restart are charged to the right region.
        let facts = binding.status.as_ref().and_then(|status| status.scale_set.as_ref());
        if let Some(facts) = facts.filter(|facts| !facts.location.is_empty()) {
            self.budgets.note_location(&binding.spec.scale_set.resource_id, &facts.location);
        }
        // So that a wrong secret is said here, and not by the first call.
        credential.token(self.cloud.scope()).await.map_err(SignInError::Credential)?;
        let client = ScaleSets::new(self.http.clone(), &self.cloud, credential, self.calls.clone())
            .map_err(|source| SignInError::Url { url: self.cloud.resource_manager().to_string(), source })?;
        Ok(client.with_budgets(&self.budgets, self.clock))
    }

    /// A pass begins: it reads the namespace's Secrets anew, each once.
    pub(crate) fn begin_pass(&self, namespace: &str) {
        self.secrets.begin_pass(namespace);
    }

    /// Azure DevOps refused the pool's token: the next one is a new one.
    pub(crate) fn reject_token(&self, namespace: &str, pool: &str) {
        if let Some(kept) = self.kept().get(&pool_place(namespace, pool)) {
            kept.credential.drop_token();
        }
    }

    /// The pool is gone, and with it its credential.
    pub(crate) fn forget_pool(&self, namespace: &str, pool: &str) {
        self.kept().remove(&pool_place(namespace, pool));
    }

    /// The binding is gone, and with it its credential.
    pub(crate) fn forget_binding(&self, namespace: &str, binding: &str) {
        self.kept().remove(&binding_place(namespace, binding));
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
        let proof = match (&type_, reference) {
            (PrincipalType::ServicePrincipal, Some(reference)) => {
                Some(proof(&self.secrets, kube, namespace, reference).await?)
            }
            (PrincipalType::ServicePrincipal, None) => return Err(SignInError::Incomplete),
            (PrincipalType::WorkloadIdentity | PrincipalType::ManagedIdentity, _) => None,
        };
        let fingerprint = fingerprint(&type_, tenant, client, proof.as_ref());
        if let Some(kept) = self.kept().get(&place).filter(|kept| kept.fingerprint == fingerprint) {
            return Ok(kept.credential.clone());
        }
        let credential = match (type_, proof) {
            (PrincipalType::ServicePrincipal, Some(proof)) => {
                let (Some(tenant), Some(client)) = (tenant, client) else {
                    return Err(SignInError::Incomplete);
                };
                let (http, cloud) = (&self.http, &self.cloud);
                match proof {
                    Proof::Secret(secret) => Credential::client_secret(http, cloud, tenant, client, &secret),
                    Proof::Certificate { certificate, key } => Credential::client_certificate(
                        http,
                        cloud,
                        tenant,
                        client,
                        certificate.expose_secret(),
                        &key,
                    ),
                }
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

fn pool_place(namespace: &str, pool: &str) -> String {
    format!("agentpool/{namespace}/{pool}")
}

fn binding_place(namespace: &str, binding: &str) -> String {
    format!("scalesetbinding/{namespace}/{binding}")
}

/// Host and, where it is not the scheme's own, port.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The named key, or `clientSecret`, else `tls.crt` and `tls.key` as in a Secret of type `kubernetes.io/tls`.
async fn proof(
    secrets: &Secrets,
    kube: &kube::Client,
    namespace: &str,
    reference: &SecretReference,
) -> Result<Proof, SignInError> {
    let missing = match secrets.value(kube, namespace, reference, "clientSecret").await {
        Ok(secret) => return Ok(Proof::Secret(secret)),
        Err(error @ SignInError::KeyMissing { .. }) if reference.key.is_none() => error,
        Err(error) => return Err(error),
    };
    let part = async |key: &str| {
        let reference = SecretReference { key: Some(key.to_owned()), ..reference.clone() };
        secrets.value(kube, namespace, &reference, key).await
    };
    match part("tls.crt").await {
        Ok(certificate) => Ok(Proof::Certificate { certificate, key: part("tls.key").await? }),
        // Whoever has neither is told of the simpler one.
        Err(SignInError::KeyMissing { .. }) => Err(missing),
        Err(error) => Err(error),
    }
}

fn fingerprint(
    type_: &PrincipalType,
    tenant: Option<&str>,
    client: Option<&str>,
    proof: Option<&Proof>,
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
    match proof {
        None => {}
        Some(Proof::Secret(secret)) => hash.update(secret.expose_secret().as_bytes()),
        Some(Proof::Certificate { certificate, key }) => {
            for part in [certificate, key] {
                hash.update(part.expose_secret().as_bytes());
                hash.update([0]);
            }
        }
    }
    hash.finalize().into()
}
