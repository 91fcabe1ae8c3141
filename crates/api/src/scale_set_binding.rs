//! ScaleSetBinding: which scale set serves one image of which pool, and how its VMs become agents.

mod bootstrap;
mod status;

pub use bootstrap::{AgentBootstrap, AgentBootstrapType, EnvSource, EnvVar, Logon, ManagedBootstrap};
pub use status::{
    BootstrapStatus, ClaimStatus, Requirement, ScaleSetBindingStatus, ScaleSetFacts, StartTimes,
};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, credentials::AzureCredentials, reference::LocalReference, rules};

/// What a person wants of a scale set. Only `poolRef` and `scaleSet.resourceID` are required.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "poolkeeper.dev",
    version = "v1alpha1",
    kind = "ScaleSetBinding",
    plural = "scalesetbindings",
    shortname = "ssb",
    category = "poolkeeper",
    namespaced,
    status = "ScaleSetBindingStatus",
    derive = "PartialEq",
    doc = "An Azure VM scale set that serves one image of an AgentPool, and how its VMs become agents.",
    validation = rules::name_fits_a_label(),
    printcolumn(name = "Pool", type_ = "string", json_path = ".spec.poolRef.name", description = "AgentPool it serves"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "may create agents now"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", description = "image that it serves"),
    printcolumn(name = "Busy", type_ = "integer", json_path = ".status.agents.busy", description = "agents with a job"),
    printcolumn(
        name = "Idle",
        type_ = "integer",
        json_path = ".status.agents.idle",
        description = "agents online, without a job"
    ),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.agents.total", description = "all its VMs"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1),
    printcolumn(name = "OS", type_ = "string", json_path = ".spec.operatingSystem", priority = 1),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.scaleSet.sku", priority = 1),
    printcolumn(name = "Location", type_ = "string", json_path = ".status.scaleSet.location", priority = 1),
    printcolumn(
        name = "VM Priority",
        type_ = "string",
        json_path = ".status.scaleSet.priority",
        description = "Regular, or Spot",
        priority = 1
    ),
    printcolumn(
        name = "Start P95",
        type_ = "string",
        json_path = ".status.startTime.p95",
        description = "95 of 100 VMs start within it",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "self.operatingSystem == 'Windows' || !has(self.agentBootstrap.managed) || self.agentBootstrap.managed.logon != 'Interactive'")
    .message("logon Interactive needs operatingSystem Windows (Windows Server); set it, or use logon Service")
    .field_path(".agentBootstrap.managed.logon"))]
pub struct ScaleSetBindingSpec {
    /// The AgentPool that it serves, in the same namespace. Missing: PoolNotFound. Cannot be changed.
    #[x_kube(validation = rules::immutable("poolRef", "binding"))]
    pub pool_ref: LocalReference,
    /// The scale set.
    pub scale_set: ScaleSet,
    /// How to sign in to Azure. Default: WorkloadIdentity.
    #[serde(default)]
    pub credentials: AzureCredentials,
    /// Linux (default) or Windows; must be what the scale set runs, else OperatingSystemMismatch.
    #[serde(default)]
    pub operating_system: OperatingSystem,
    /// Name of an image of the pool. Absent: its first. One that the pool does not list is ImageNotFound.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub image_name: Option<String>,
    /// Among the bindings of one image the highest is used first, then by name; 0 (default) to 1000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: i32,
    /// Most VMs of this scale set, 0 to 10000. Absent: the pool's maxAgents. 0 cordons: no new VMs, the present
    /// agents finish and go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_agents: Option<i32>,
    /// VMs that the scale set already has. Adopt (default): those whose agent is in the pool are kept; Replace: idle
    /// ones are recycled.
    #[serde(default)]
    pub existing_instances: ExistingInstances,
    /// Name of the Azure DevOps elastic pool that this binding replaces; its claim then lapses after two hours
    /// without renewal, not four.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub take_over_from: Option<String>,
    /// How a VM becomes an agent.
    #[serde(default)]
    pub agent_bootstrap: AgentBootstrap,
    /// What deletion of this object does. Drain (default): jobs end, then agents and VMs go; Orphan: leave VMs and
    /// agents as they are.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// An Azure VM scale set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleSet {
    /// Azure resource id:
    /// `/subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachineScaleSets/<name>`. Cannot
    /// be changed, but for upper and lower case.
    #[serde(rename = "resourceID")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::scale_set_id())]
    #[x_kube(validation = (
        "self.lowerAscii() == oldSelf.lowerAscii()",
        "scaleSet.resourceID cannot be changed; delete this binding and create another",
    ))]
    pub resource_id: String,
}

/// What the scale set runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperatingSystem {
    /// A Linux distribution.
    #[default]
    Linux,
    /// Windows Server, or a Windows client.
    Windows,
}

/// What becomes of VMs that the scale set already has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExistingInstances {
    /// Those whose agent is in the pool are kept.
    #[default]
    Adopt,
    /// Idle ones are recycled.
    Replace,
}
