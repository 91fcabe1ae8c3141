//! What a world consists of: the world file.

mod check;
mod distribution;
mod file;

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

pub(crate) use check::SetAddress;
pub use check::SpecError;
pub use distribution::{Distribution, DistributionError};

/// A whole world: who may call, scale sets, organisations.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldSpec {
    /// The service principals that Entra knows.
    #[serde(default)]
    pub clients: Vec<ClientSpec>,
    /// The virtual machine scale sets.
    pub scale_sets: Vec<ScaleSetSpec>,
    /// The Azure DevOps organisations.
    pub organizations: Vec<OrganizationSpec>,
    /// Page sizes of the REST faces.
    #[serde(default)]
    pub paging: PagingSpec,
}

/// A service principal.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientSpec {
    /// Its tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// Its client (application) id.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its client secret.
    pub secret: Secret,
    /// The subscriptions that it may read and write; others answer 403.
    #[serde(default)]
    pub subscriptions: Vec<String>,
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

/// A virtual machine scale set with Uniform orchestration.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleSetSpec {
    /// `/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/…`
    #[serde(rename = "resourceID")]
    pub resource_id: String,
    /// The region.
    #[serde(default = "default_location")]
    pub location: String,
    /// The VM size.
    #[serde(default = "default_sku")]
    pub sku: String,
    /// What computer names begin with; the scale set's name unless given.
    pub computer_name_prefix: Option<String>,
    /// VMs that run, with agents online, when the world starts.
    #[serde(default)]
    pub capacity: u32,
    /// The most VMs that the subscription's quota allows; unlimited unless given.
    pub quota: Option<u32>,
    /// The tags at the start.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Whether a deleted instance's id is given to a later one (Azure promises neither).
    #[serde(default, rename = "reuseInstanceIDs")]
    pub reuse_instance_ids: bool,
    /// The part of the model that an agent pool has requirements on.
    #[serde(default)]
    pub model: ModelSpec,
    /// How its VMs become agents; without it they stay plain VMs.
    pub agents: Option<AgentSpec>,
    /// How long its machines take.
    #[serde(default)]
    pub timings: MachineTimings,
}

/// The part of a scale set's model that an agent pool has requirements on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModelSpec {
    /// `properties.overprovision`
    pub overprovision: bool,
    /// `properties.upgradePolicy.mode`: Manual, Automatic or Rolling.
    pub upgrade_policy: String,
    /// `properties.singlePlacementGroup`: true limits the set to 100 VMs.
    pub single_placement_group: bool,
    /// `properties.platformFaultDomainCount`
    pub platform_fault_domain_count: u32,
    /// `virtualMachineProfile.priority`: Regular or Spot.
    pub priority: String,
    /// `osDisk.diffDiskSettings.option: Local`
    #[serde(rename = "ephemeralOSDisk")]
    pub ephemeral_os_disk: bool,
    /// `osDisk.osType`: Linux or Windows.
    pub os_type: String,
    /// The id of the image version.
    pub image: String,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            overprovision: false,
            upgrade_policy: "Manual".into(),
            single_placement_group: false,
            platform_fault_domain_count: 1,
            priority: "Regular".into(),
            ephemeral_os_disk: false,
            os_type: "Linux".into(),
            image: "ubuntu-22.04/1.0.0".into(),
        }
    }
}

/// How the VMs of a scale set become agents.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentSpec {
    /// The name of the organisation.
    pub organization: String,
    /// The name of the pool.
    pub pool: String,
    /// Whether an agent takes one job or many.
    #[serde(default)]
    pub run: Run,
    /// The capabilities that the image has beside the agent's own.
    #[serde(default)]
    pub capabilities: BTreeMap<String, String>,
    /// The agent's version.
    #[serde(default = "default_version")]
    pub version: String,
}

/// How many jobs an agent process takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Run {
    /// One job after another.
    #[default]
    Continuous,
    /// `--once`: one job, then the process leaves; its record stays, offline.
    Once,
}

/// How long machines take. The defaults put a new VM online after a median of about 210 s with a sigma of about
/// 0.25, as on-demand Linux VMs of a custom image are reported to start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MachineTimings {
    /// From the capacity write to the VM running.
    pub create: Distribution,
    /// From the VM running to the agent's registration.
    pub register: Distribution,
    /// From the reimage call to the VM running again.
    pub reimage: Distribution,
    /// From the delete call to the VM being gone.
    pub delete: Distribution,
}

impl Default for MachineTimings {
    fn default() -> Self {
        let log_normal = |median, sigma| Distribution::LogNormal {
            median: jiff::SignedDuration::from_secs(median),
            sigma,
        };
        Self {
            create: log_normal(150, 0.33),
            register: log_normal(55, 0.25),
            reimage: log_normal(75, 0.25),
            delete: log_normal(40, 0.25),
        }
    }
}

/// An Azure DevOps organisation.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrganizationSpec {
    /// The first segment of its URL.
    pub name: String,
    /// The personal access tokens that are valid here.
    #[serde(default)]
    pub tokens: Vec<TokenSpec>,
    /// Client ids of service principals that are members here.
    #[serde(default)]
    pub members: Vec<String>,
    /// Its agent pools.
    pub pools: Vec<PoolSpec>,
    /// How long the service and its agents take.
    #[serde(default)]
    pub timings: ServiceTimings,
}

/// A personal access token.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TokenSpec {
    /// The token.
    pub value: Secret,
    /// Ids of pools that this token may not see.
    #[serde(default)]
    pub forbidden_pools: Vec<u32>,
}

/// An agent pool.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSpec {
    /// Its id.
    pub id: u32,
    /// Its name.
    pub name: String,
    /// `options` as the service writes them: none, elasticPool, …
    #[serde(default = "default_options")]
    pub options: String,
    /// What happens to a job that no registered agent, online or not, could run.
    #[serde(default)]
    pub unmatched_jobs: UnmatchedJobs,
}

/// What happens to a job that no registered agent could run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum UnmatchedJobs {
    /// It waits.
    #[default]
    Wait,
    /// It fails at once, as in a pool without a placeholder agent.
    Fail,
}

/// How long the service and its agents take.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceTimings {
    /// From registration to online.
    pub online: Distribution,
    /// From the death of an agent process to its record being offline.
    pub offline: Distribution,
    /// From a job's assignment to the agent starting it.
    pub receive: Distribution,
}

impl Default for ServiceTimings {
    fn default() -> Self {
        let uniform = |from, to| Distribution::Uniform {
            from: jiff::SignedDuration::from_secs(from),
            to: jiff::SignedDuration::from_secs(to),
        };
        Self { online: uniform(2, 8), offline: uniform(5, 30), receive: uniform(1, 10) }
    }
}

/// Page sizes of the REST faces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PagingSpec {
    /// Instances on a page. Azure documents no figure; this one makes paging happen in larger sets.
    pub instances: usize,
}

impl Default for PagingSpec {
    fn default() -> Self {
        Self { instances: 100 }
    }
}

fn default_location() -> String {
    "westeurope".into()
}

fn default_sku() -> String {
    "Standard_D4ds_v5".into()
}

fn default_version() -> String {
    "4.261.0".into()
}

fn default_options() -> String {
    "none".into()
}
