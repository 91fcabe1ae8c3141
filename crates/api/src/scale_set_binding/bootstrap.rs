//! How a VM becomes an agent.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{reference::SecretKeyReference, rules};

/// How a VM becomes an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = (
    "!has(self.managed) || self.type == 'Managed'",
    "agentBootstrap.managed needs type Managed; set it, or remove managed",
))]
pub struct AgentBootstrap {
    /// Managed (default): poolkeeper installs the agent extension; External: the image registers itself.
    #[serde(default, rename = "type")]
    pub type_: AgentBootstrapType,
    /// Only with type Managed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed: Option<ManagedBootstrap>,
}

/// Who makes an agent of a VM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AgentBootstrapType {
    /// poolkeeper, with the agent extension.
    #[default]
    Managed,
    /// The image itself.
    External,
}

/// Settings of the agent extension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManagedBootstrap {
    /// Version of the agent: Latest (default), or one such as 4.261.0.
    #[serde(default = "latest")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = (
        "self == 'Latest' || self.matches('^[0-9]+[.][0-9]+[.][0-9]+$')",
        "agentVersion must be Latest or a version such as 4.261.0",
    ))]
    pub agent_version: String,
    /// Service (default), or Interactive: the agent runs in a desktop session (Windows Server only).
    #[serde(default)]
    pub logon: Logon,
    /// Names of extensions of the scale set that run before the agent's. Absent: every Custom Script Extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 80)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub after_extensions: Option<Vec<String>>,
    /// Variables for the agent's configuration; those that poolkeeper sets are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,
}

impl Default for ManagedBootstrap {
    fn default() -> Self {
        Self { agent_version: latest(), logon: Logon::default(), after_extensions: None, env: Vec::new() }
    }
}

fn latest() -> String {
    "Latest".to_owned()
}

/// How the agent runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Logon {
    /// As a service.
    #[default]
    Service,
    /// In a desktop session.
    Interactive,
}

/// A variable for the agent's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::variable_is_not_ours())]
#[x_kube(validation = ("has(self.value) != has(self.valueFrom)", "give either value or valueFrom"))]
#[x_kube(validation = (
    "self.name.upperAscii() != 'VSTS_AGENT_INPUT_PROXYPASSWORD' || has(self.valueFrom)",
    "a password must come from a Secret; use valueFrom.secretKeyRef",
))]
pub struct EnvVar {
    /// Name of the variable, such as VSTS_AGENT_INPUT_WORK.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Its value. Either this or valueFrom.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub value: Option<String>,
    /// Where its value is read. Either this or value; a password needs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvSource>,
}

/// Where a value is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvSource {
    /// A key of a Secret in the same namespace.
    pub secret_key_ref: SecretKeyReference,
}
