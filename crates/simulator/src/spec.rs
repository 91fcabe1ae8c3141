//! What a world consists of: the world file.

mod check;
mod distribution;
mod facts;
mod file;
mod identity;
mod key;
mod scale_set;

use serde::Deserialize;

pub(crate) use check::SetAddress;
pub use check::SpecError;
pub use distribution::{Distribution, DistributionError};
pub use facts::{BadToken, DeleteWhileRunning, Facts, InstanceIdReuse, TagsPatch};
pub use identity::{ClientSecret, ClientSpec, FederatedSpec, Secret, Secrets};
pub(crate) use key::{Algorithm, Key};
pub use scale_set::{
    AgentSpec, MachineTimings, ModelSpec, Orchestration, QuotaSpec, Run, ScaleSetSpec, SubnetSpec, Throttling,
};

/// A whole world: who may call, scale sets, organisations.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldSpec {
    /// The service principals that Entra knows.
    #[serde(default)]
    pub clients: Vec<ClientSpec>,
    /// Client ids of those that the metadata service gives tokens of; the first is the default.
    #[serde(default)]
    pub managed_identities: Vec<String>,
    /// Seconds of wall time that a token of Entra is valid.
    #[serde(default = "default_token_lifetime")]
    pub token_lifetime: u32,
    /// The virtual machine scale sets.
    pub scale_sets: Vec<ScaleSetSpec>,
    /// The Azure DevOps organisations.
    pub organizations: Vec<OrganizationSpec>,
    /// Page sizes of the REST faces.
    #[serde(default)]
    pub paging: PagingSpec,
    /// Quotas of subscriptions in regions.
    #[serde(default)]
    pub quotas: Vec<QuotaSpec>,
    /// What becomes of Azure's limits of calls.
    #[serde(default)]
    pub throttling: Throttling,
    /// How the clouds behave where nobody outside them can be sure.
    #[serde(default)]
    pub facts: Facts,
}

/// Something that a client may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Denied {
    /// Autoscale settings.
    Autoscale,
    /// The space of virtual networks.
    Network,
    /// The usage of quotas.
    Usages,
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
    /// Self-hosted parallel jobs: so many run at a time over all pools, others wait without an agent. Unlimited unless
    /// given.
    pub parallel_jobs: Option<u32>,
    /// How much each identity may use; unlimited unless given.
    pub rate_limit: Option<RateLimitSpec>,
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
    /// When it stops working, in simulated time.
    pub expires: Option<jiff::Timestamp>,
}

/// How much an identity may use of an organisation within five minutes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateLimitSpec {
    /// Azure DevOps throughput units (Azure DevOps: 200). Here every call uses one; the service publishes no prices.
    #[serde(default = "default_tstu")]
    pub tstu: u32,
    /// Whether calls are refused in the end.
    #[serde(default)]
    pub mode: RateLimitMode,
}

/// Whether calls above the limit are refused in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum RateLimitMode {
    /// Above the limit answers name a delay; above twice the limit they are 429.
    #[default]
    Enforced,
    /// Headers only.
    Reported,
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

/// Entra: an hour less a second, as long as no policy says otherwise.
fn default_token_lifetime() -> u32 {
    3599
}

/// Azure DevOps: 200 throughput units in five minutes for each identity.
fn default_tstu() -> u32 {
    200
}

fn default_options() -> String {
    "none".into()
}
