use super::{JobRequest, moment};
use crate::id::AgentId;
use jiff::Timestamp;
use poolkeeper_rest::open_enum;
use serde::de::{Deserializer, IgnoredAny};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

open_enum! {
    /// Whether the server hears from an agent. An offline agent may still run its job.
    pub enum AgentStatus {
        /// It is listening.
        Online = "online",
        /// It is not.
        Offline = "offline",
    }
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its number within the pool. An agent that is registered again under its old name keeps it.
    pub id: AgentId,
    /// Its name; by default its machine's.
    pub name: String,
    /// The version of its software.
    #[serde(default)]
    pub version: Option<String>,
    /// Whether the server may give it jobs.
    pub enabled: bool,
    /// Whether the server hears from it.
    pub status: AgentStatus,
    /// When it was first registered.
    #[serde(default, deserialize_with = "moment")]
    pub created_on: Option<Timestamp>,
    /// When `status` last changed.
    #[serde(default, deserialize_with = "moment")]
    pub status_changed_on: Option<Timestamp>,
    /// What it found on its machine, the variables of its environment included.
    #[serde(default, deserialize_with = "capabilities")]
    pub system_capabilities: BTreeMap<String, String>,
    /// What people said of it.
    #[serde(default, deserialize_with = "capabilities")]
    pub user_capabilities: BTreeMap<String, String>,
    /// The job that it has. The answer to a change does not tell: read the agent for it.
    #[serde(default)]
    pub assigned_request: Option<JobRequest>,
    /// The job that it had last.
    #[serde(default)]
    pub last_completed_request: Option<JobRequest>,
    /// Whether it renews its own software, and may look offline meanwhile.
    #[serde(default, rename = "pendingUpdate", deserialize_with = "is_there")]
    pub updating: bool,
}

/// An agent record to be made by a call, without a process behind it: it stays offline.
///
/// No public key goes with it, so nobody can sign in as this agent and be handed its jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewAgent {
    /// Its name, unique in the pool without regard to case.
    pub name: String,
    /// The version that it shows; demands such as `Agent.Version -gtVersion` are met by it.
    pub version: String,
    /// What people read of it where other agents show their operating system.
    pub os_description: String,
    /// Whether the server may give it jobs. A disabled agent may not count for what a job demands.
    pub enabled: bool,
    /// What a machine would have found on itself.
    pub system_capabilities: BTreeMap<String, String>,
    /// What people say of it.
    pub user_capabilities: BTreeMap<String, String>,
}

fn is_there<'de, D: Deserializer<'de>>(input: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(input)?.is_some())
}

fn capabilities<'de, D: Deserializer<'de>>(input: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map = Option::<BTreeMap<String, Option<String>>>::deserialize(input)?.unwrap_or_default();
    Ok(map.into_iter().map(|(name, value)| (name, value.unwrap_or_default())).collect())
}
