//! Scale sets of a world file, and what bounds them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Distribution;
use crate::world::EvictionPolicy;

/// A virtual machine scale set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleSetSpec {
    /// `/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/…`
    #[serde(rename = "resourceID")]
    pub resource_id: String,
    /// Whether its VMs are instances of the set or VMs of the resource group.
    #[serde(default)]
    pub orchestration: Orchestration,
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
    /// A quota of its own: so many VMs. Unlimited unless given.
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
    /// Whether an autoscale setting targets it.
    #[serde(default)]
    pub autoscale: bool,
    /// The first so many of its VMs are protected from scale-in.
    #[serde(default)]
    pub protected: u32,
    /// Where its VMs have their addresses; none shows unless given.
    pub subnet: Option<SubnetSpec>,
    /// How its VMs become agents; without it they stay plain VMs.
    pub agents: Option<AgentSpec>,
    /// How long its machines take.
    #[serde(default)]
    pub timings: MachineTimings,
}

/// `properties.orchestrationMode`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Orchestration {
    /// Numbered instances, which the set keeps to itself.
    #[default]
    Uniform,
    /// VMs of the resource group, each with operations of its own.
    Flexible,
}

impl Orchestration {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uniform => "Uniform",
            Self::Flexible => "Flexible",
        }
    }
}

/// The part of a scale set's model that an agent pool has requirements on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ModelSpec {
    /// `properties.overprovision`; unless given false, and left out of a Flexible set.
    pub overprovision: Option<bool>,
    /// `properties.upgradePolicy.mode`: Manual, Automatic or Rolling; unless given Manual, and left out of a Flexible
    /// set.
    pub upgrade_policy: Option<String>,
    /// `properties.singlePlacementGroup`: true limits the set to 100 VMs.
    pub single_placement_group: bool,
    /// `properties.platformFaultDomainCount`
    pub platform_fault_domain_count: u32,
    /// `virtualMachineProfile.priority`: Regular or Spot.
    pub priority: String,
    /// `virtualMachineProfile.evictionPolicy`: what becomes of a Spot VM that Azure takes back.
    pub eviction_policy: EvictionPolicy,
    /// `osDisk.diffDiskSettings.option: Local`
    #[serde(rename = "ephemeralOSDisk")]
    pub ephemeral_os_disk: bool,
    /// `osDisk.caching`: None, ReadOnly or ReadWrite.
    #[serde(rename = "osDiskCaching")]
    pub os_disk_caching: String,
    /// `osDisk.osType`: Linux or Windows.
    pub os_type: String,
    /// The id of the image version.
    pub image: String,
    /// The names of its extensions.
    pub extensions: Vec<String>,
}

impl Default for ModelSpec {
    fn default() -> Self {
        Self {
            overprovision: None,
            upgrade_policy: None,
            single_placement_group: false,
            platform_fault_domain_count: 1,
            priority: "Regular".into(),
            eviction_policy: EvictionPolicy::Deallocate,
            ephemeral_os_disk: false,
            os_disk_caching: "ReadOnly".into(),
            os_type: "Linux".into(),
            image: "ubuntu-22.04/1.0.0".into(),
            extensions: Vec::new(),
        }
    }
}

/// The subnet of a scale set. Every VM that is listed takes one address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubnetSpec {
    /// `/subscriptions/…/resourceGroups/…/providers/Microsoft.Network/virtualNetworks/…/subnets/…`
    pub id: String,
    /// Addresses that it has.
    pub addresses: u32,
    /// Addresses that others use.
    #[serde(default)]
    pub used: u32,
}

/// A quota of cores, `Total Regional Cores`, over all scale sets of a subscription in a region.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuotaSpec {
    /// The subscription.
    #[serde(rename = "subscriptionID")]
    pub subscription_id: String,
    /// The region.
    #[serde(default = "default_location")]
    pub location: String,
    /// The most cores.
    pub cores: u32,
}

/// What becomes of Azure's limits of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Throttling {
    /// Headers say what is left; nothing is refused.
    #[default]
    Reported,
    /// A call above a limit gets 429.
    Enforced,
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

fn default_location() -> String {
    "westeurope".into()
}

fn default_sku() -> String {
    "Standard_D4ds_v5".into()
}

fn default_version() -> String {
    "4.261.0".into()
}
