//! Manifests of poolkeeper from the pools of other managers: an elastic pool of Azure DevOps ([`elastic_pool`]), or a
//! pool of Managed DevOps Pools ([`managed_pool`]). No IO: JSON goes in, YAML comes out.
//!
//! What has no equal here becomes a comment beside the field that comes nearest, and nothing is dropped in silence. No
//! Secret is written. Every pool is written with `mode: Observe`, so that applying the output changes nothing in Azure
//! or Azure DevOps.

mod elastic;
mod error;
mod managed;
mod manifest;
mod name;
mod read;
mod week;
mod zone;

pub use error::ImportError;
pub use manifest::Manifests;

use serde_json::Value;

/// What a person adds to the definition of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `metadata.name` of the AgentPool, and the beginning of the other names. Absent: from the pool's name.
    pub name: Option<String>,
    /// `metadata.namespace` of everything. Absent: left out.
    pub namespace: Option<String>,
    /// Address of the organization, such as `https://dev.azure.com/fabrikam`, where the definition does not have it.
    pub organization: Option<String>,
    /// Name of the pool in Azure DevOps, where the definition does not have it.
    pub pool: Option<String>,
}

/// Reads JSON as tools of Azure write it, with or without a byte order mark.
///
/// # Errors
/// If it is not JSON.
pub fn json(text: &str) -> Result<Value, ImportError> {
    serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(ImportError::Json)
}

/// Manifests from an elastic pool: the JSON of Azure DevOps' REST API (`elasticpools/{poolId}`), alone, in a list of
/// one, or under `elasticPool` beside the pool's own JSON under `agentPool`.
///
/// # Errors
/// The first field that is missing, or that no manifest can hold, with the mend.
pub fn elastic_pool(json: &Value, options: &Options) -> Result<Manifests, ImportError> {
    elastic::manifests(json, options)
}

/// Manifests from a pool of Managed DevOps Pools: the JSON of Azure Resource Manager, a template with one such pool,
/// what `az mdp pool show` prints, or the profiles as `az mdp pool create` takes them.
///
/// # Errors
/// The first field that is missing, or that no manifest can hold, with the mend.
pub fn managed_pool(json: &Value, options: &Options) -> Result<Manifests, ImportError> {
    managed::manifests(json, options)
}
