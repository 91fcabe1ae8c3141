//! How poolkeeper signs in to Azure DevOps and to Azure.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{reference::SecretReference, rules};

/// Kinds of credentials for Azure DevOps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OrganizationCredentialsType {
    /// The operator's federated identity, where its configuration allows this namespace and host.
    #[default]
    WorkloadIdentity,
    /// The operator's managed identity, where its configuration allows this namespace and host.
    ManagedIdentity,
    /// An app registration with a client secret or certificate in a Secret.
    ServicePrincipal,
    /// A personal access token in a Secret.
    PersonalAccessToken,
}

/// Credentials for Azure DevOps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::secret_belongs_to_type())]
#[x_kube(validation = rules::service_principal_is_named())]
#[x_kube(validation = (
    "self.type != 'PersonalAccessToken' || (!has(self.tenantID) && !has(self.clientID))",
    "type PersonalAccessToken takes neither tenantID nor clientID; remove them",
))]
pub struct OrganizationCredentials {
    /// WorkloadIdentity (default) and ManagedIdentity use the operator's own identity, where its configuration
    /// lists this namespace and host (else IdentityNotAllowed); ServicePrincipal and PersonalAccessToken read a Secret.
    #[serde(default, rename = "type")]
    pub type_: OrganizationCredentialsType,
    /// Microsoft Entra tenant, a GUID. Needed by ServicePrincipal; for an identity the operator's own by default.
    #[serde(rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = rules::GUID))]
    pub tenant_id: Option<String>,
    /// Client (application) id, a GUID. Needed by ServicePrincipal; for an identity the operator's own by default.
    #[serde(rename = "clientID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = rules::GUID))]
    pub client_id: Option<String>,
    /// Secret with the token, client secret or certificate; only, and always, with ServicePrincipal or
    /// PersonalAccessToken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}

/// Kinds of credentials for Azure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AzureCredentialsType {
    /// The operator's federated identity, where its configuration allows this namespace and scale set.
    #[default]
    WorkloadIdentity,
    /// The operator's managed identity, where its configuration allows this namespace and scale set.
    ManagedIdentity,
    /// An app registration with a client secret or certificate in a Secret.
    ServicePrincipal,
}

/// Credentials for Azure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::secret_belongs_to_type())]
#[x_kube(validation = rules::service_principal_is_named())]
pub struct AzureCredentials {
    /// WorkloadIdentity (default) and ManagedIdentity use the operator's own identity, where its configuration
    /// lists this namespace and scale set (else IdentityNotAllowed); ServicePrincipal reads a Secret.
    #[serde(default, rename = "type")]
    pub type_: AzureCredentialsType,
    /// Microsoft Entra tenant, a GUID. Needed by ServicePrincipal; for an identity the operator's own by default.
    #[serde(rename = "tenantID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = rules::GUID))]
    pub tenant_id: Option<String>,
    /// Client (application) id, a GUID. Needed by ServicePrincipal; for an identity the operator's own by default.
    #[serde(rename = "clientID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 36), regex(pattern = rules::GUID))]
    pub client_id: Option<String>,
    /// Secret with the client secret or certificate; only, and always, with ServicePrincipal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
}
