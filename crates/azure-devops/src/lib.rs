//! A thin client of Azure DevOps for pools, agents, job requests and maintenance.
//!
//! One method is one call. Nothing retries or waits, and nothing reads a sign-in page, a cut list or another shape of
//! JSON as an empty list: those are errors. A successful answer may carry a wait, which the caller should respect.

#[doc(hidden)]
pub mod fuzzing;
mod id;
mod model;
mod organization;
mod zone;

pub use id::{AgentId, MaintenanceId, PoolId, RequestId};
pub use model::{
    Agent, AgentReference, AgentStatus, JobRequest, JobResult, JobState, Maintenance, MaintenanceDays,
    MaintenanceDefinition, NamedReference, NewAgent, Pool, PoolOptions,
};
pub use organization::{Organization, Registration, Removal};
pub use poolkeeper_rest::Authorization;
pub use zone::windows_zone;

/// The scope of Entra ID tokens for Azure DevOps, in every cloud:
/// <https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity>.
pub const SCOPE: &str = "499b84ac-1321-427f-aa17-267ca6975798/.default";
