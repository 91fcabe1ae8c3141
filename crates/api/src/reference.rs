//! References to objects of the same namespace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Another object of poolkeeper, by name, in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalReference {
    /// Name of the object in the same namespace. A missing object is a condition, not a refusal.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// A Secret of the same namespace, and which of its keys to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// Name of the Secret in the same namespace. A missing Secret is reported as SecretNotFound.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret. Absent: `token` for a personal access token; for a service principal `clientSecret`,
    /// else `tls.crt` and `tls.key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
}

/// One key of a Secret of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyReference {
    /// Name of the Secret in the same namespace. A missing Secret is reported as SecretNotFound.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
