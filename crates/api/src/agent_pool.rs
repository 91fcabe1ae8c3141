//! AgentPool: what an Azure DevOps pool should be, and which images it offers.

mod image;
mod lifecycle;
mod maintenance;
mod rollout;
mod scaling;
mod standby;
mod status;

pub use image::{Capability, Image};
pub use lifecycle::{Lifecycle, LifecycleType, Recycle, Stateful, Stateless, Unhealthy};
pub use maintenance::{Maintenance, MaintenancePolicy};
pub use rollout::{IdleFirst, Rollout, RolloutStrategy, RolloutWindow};
pub use scaling::{ElasticPool, PlaceholderAgents, Routing, ScaleIn, ScaleOut, ScaleOutStrategy};
pub use standby::{Standby, StandbyBasis};
pub use status::{
    AgentPoolStatus, AutomaticHistory, BindingSummary, Decision, FollowedSchedule, GhostAgent, HistoryDay,
    JobCounts, Operation, OperationInstance, OperationKind, RecentAction, SavedAgent, ScaleInMemory,
    StaircaseStep, StandbyStatus, StepMemory, UnroutableJob,
};

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{DeletionPolicy, credentials::OrganizationCredentials, rules};

/// What a person wants of an Azure DevOps agent pool. Only `organization.url`, `poolName` and `maxAgents` are
/// required.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "poolkeeper.dev",
    version = "v1alpha1",
    kind = "AgentPool",
    plural = "agentpools",
    shortname = "agp",
    category = "poolkeeper",
    namespaced,
    status = "AgentPoolStatus",
    derive = "PartialEq",
    doc = "An Azure DevOps agent pool that poolkeeper runs: its images, its standby, and the life of its agents.",
    validation = rules::name_fits_a_label(),
    scale(
        spec_replicas_path = ".spec.standby.agents",
        status_replicas_path = ".status.standby.current",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "in control of the pool"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#),
    printcolumn(
        name = "Queued",
        type_ = "integer",
        json_path = ".status.jobs.queued",
        description = "jobs that wait for an agent"
    ),
    printcolumn(name = "Busy", type_ = "integer", json_path = ".status.agents.busy", description = "agents with a job"),
    printcolumn(
        name = "Idle",
        type_ = "integer",
        json_path = ".status.agents.idle",
        description = "agents online, without a job"
    ),
    printcolumn(
        name = "Starting",
        type_ = "integer",
        json_path = ".status.agents.starting",
        description = "VMs on their way"
    ),
    printcolumn(
        name = "Standby",
        type_ = "integer",
        json_path = ".status.standby.wanted",
        description = "agents wanted on standby now"
    ),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.maxAgents", description = "most VMs"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode", priority = 1),
    printcolumn(
        name = "Pool",
        type_ = "string",
        json_path = ".spec.poolName",
        description = "pool in Azure DevOps",
        priority = 1
    ),
    printcolumn(name = "Schedule", type_ = "string", json_path = ".spec.standby.scheduleRef.name", priority = 1),
    printcolumn(
        name = "Limited By",
        type_ = "string",
        json_path = ".status.decision.limitedBy",
        description = "what kept the last decision from more",
        priority = 1
    ),
    printcolumn(
        name = "Next Change",
        type_ = "string",
        json_path = ".status.standby.nextChange.at",
        description = "next change of standby",
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
#[x_kube(validation = Rule::new("self.standby.agents <= self.maxAgents")
    .message("standby.agents must not be above maxAgents; lower it, or raise maxAgents")
    .field_path(".standby.agents"))]
#[x_kube(validation = Rule::new("self.unhealthy.saveForInvestigation <= self.maxAgents")
    .message("unhealthy.saveForInvestigation must not be above maxAgents")
    .field_path(".unhealthy.saveForInvestigation"))]
#[x_kube(validation = Rule::new(
    "!has(self.maintenance) || self.maintenance.policy != 'Enabled' || self.lifecycle.type == 'Stateful'")
    .message("maintenance runs only on agents that live on; set lifecycle.type Stateful, or maintenance.policy Auto")
    .field_path(".maintenance.policy"))]
#[x_kube(validation = Rule::new(
    "!has(self.scaleIn) || !has(self.scaleIn.idleDelay) || !has(self.lifecycle.stateful) || !has(self.lifecycle.stateful.gracePeriod)")
    .message("gracePeriod takes the place of idleDelay; keep one of the two")
    .field_path(".scaleIn.idleDelay"))]
pub struct AgentPoolSpec {
    /// The Azure DevOps organization, and how to sign in to it.
    pub organization: Organization,
    /// Name of the pool in Azure DevOps, 1 to 256 characters. Must exist there (else PoolNotFound), is never created
    /// or deleted, and cannot be changed here.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = (
        r"self.matches('^[^\\pC\\s]([^\\pC]*[^\\pC\\s])?$')",
        "poolName must not begin or end with a blank nor hold control characters",
    ))]
    #[x_kube(validation = rules::immutable("poolName", "pool"))]
    pub pool_name: String,
    /// Active (default): agents are created and removed; Observe: decides and explains, but writes to no cloud;
    /// Paused: reads only.
    #[serde(default)]
    pub mode: Mode,
    /// Most VMs of all bindings together, 1 to 10000: failed, saved and deleting ones too, until they are gone.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_agents: i32,
    /// Images in order: the first is for jobs that name none. Absent: one image, unnamed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    #[x_kube(validation = rules::standby_shares_add_up())]
    #[x_kube(validation = rules::image_names_are_unique())]
    pub images: Vec<Image>,
    /// How many agents stand by.
    #[serde(default)]
    pub standby: Standby,
    /// Which jobs reach which agents.
    #[serde(default)]
    pub routing: Routing,
    /// How agents are added.
    #[serde(default)]
    pub scale_out: ScaleOut,
    /// How agents that are too many are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<ScaleIn>,
    /// What becomes of an agent after a job.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// When a VM counts as failed, and what becomes of it.
    #[serde(default)]
    pub unhealthy: Unhealthy,
    /// How a new image reaches VMs that exist.
    #[serde(default)]
    pub rollout: Rollout,
    /// Azure DevOps' maintenance job of the pool. Absent or in part: the defaults of its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// What deletion of this object does. Drain (default): jobs end, then agents and VMs go; Orphan: leave VMs and
    /// agents as they are, which also holds for its bindings.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// An Azure DevOps organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Organization {
    /// Address, such as `https://dev.azure.com/fabrikam`; http only to localhost. A host that the operator's
    /// configuration does not list is HostNotAllowed. Cannot be changed.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::organization_url())]
    #[x_kube(validation = rules::immutable("url", "pool"))]
    pub url: String,
    /// How to sign in to Azure DevOps. Default: WorkloadIdentity.
    #[serde(default)]
    pub credentials: OrganizationCredentials,
}

/// How far poolkeeper goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Creates and removes agents.
    #[default]
    Active,
    /// Decides and explains, writes to no cloud.
    Observe,
    /// Reads only.
    Paused,
}
