//! The simulator's control API: queue jobs, and look at the world itself, past both clouds' faces.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::ledger::Entry;
use crate::{Simulator, install_tls_provider};

/// A local server that has not answered by then never will.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client of the control API.
#[derive(Debug, Clone)]
pub struct Control {
    http: reqwest::Client,
    url: String,
}

/// A scale set as it really is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ScaleSetTruth {
    /// Its name.
    pub name: String,
    /// `sku.capacity`
    pub capacity: u32,
    /// The tags, the claim among them.
    pub tags: BTreeMap<String, String>,
    /// Its VMs.
    pub instances: Vec<InstanceTruth>,
}

/// A VM as it really is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTruth {
    /// What Azure calls it within its scale set.
    #[serde(rename = "instanceID")]
    pub instance_id: Value,
    /// The name of the computer, and of its agent.
    pub computer_name: String,
}

/// An agent pool as it really is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PoolTruth {
    /// Its name.
    pub name: String,
    /// Its agent records.
    pub agents: Vec<AgentTruth>,
    /// Job requests that have not ended.
    pub jobs: Vec<Value>,
}

/// An agent's record.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AgentTruth {
    /// The name of the agent.
    pub name: String,
    /// `online`, or `offline`.
    pub status: String,
    /// Takes jobs.
    pub enabled: bool,
    /// The job that it has.
    pub request: Option<u64>,
}

/// Both clouds as they really are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorldTruth {
    /// All scale sets.
    pub scale_sets: Vec<ScaleSetTruth>,
    /// All organisations.
    pub organizations: Vec<OrganizationTruth>,
}

/// An organisation as it really is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OrganizationTruth {
    /// All of its agent pools.
    pub pools: Vec<PoolTruth>,
}

impl WorldTruth {
    /// The agent pool of this name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&PoolTruth> {
        self.organizations.iter().flat_map(|organization| &organization.pools).find(|pool| pool.name == name)
    }

    /// The scale set of this name.
    #[must_use]
    pub fn scale_set(&self, name: &str) -> Option<&ScaleSetTruth> {
        self.scale_sets.iter().find(|set| set.name == name)
    }
}

impl ScaleSetTruth {
    /// VMs, those that are being deleted included.
    #[must_use]
    pub fn vms(&self) -> usize {
        self.instances.len()
    }
}

/// The simulator's own sums.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// Calls of both clouds by class.
    pub calls: BTreeMap<String, CallCount>,
}

/// How often calls of a class came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCount {
    /// Since the start of the world.
    pub total: u64,
    /// The most in one simulated minute.
    pub max_per_minute: u32,
    /// Refused because a limit was reached.
    #[serde(default)]
    pub throttled: u64,
    /// The most in one simulated minute, by where Azure counts them.
    #[serde(default)]
    pub busiest_minute: Busiest,
}

/// The most calls of a class in one simulated minute.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Busiest {
    /// In the busiest subscription.
    pub subscription: u32,
    /// In the busiest scale set.
    pub scale_set: u32,
}

/// A job to be queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// The name of the agent pool.
    pub pool: String,
    /// What it asks of an agent, in Azure DevOps' words.
    pub demands: Vec<String>,
    /// How long it runs.
    pub duration: SignedDuration,
    /// When it is queued, in simulated time; now unless given.
    pub at: Option<Timestamp>,
}

impl Control {
    /// A client for this simulator.
    ///
    /// # Errors
    /// If the client cannot be made.
    pub fn new(simulator: &Simulator) -> Result<Self> {
        install_tls_provider();
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, url: format!("{}/_sim", simulator.url()) })
    }

    /// The simulated time.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn now(&self) -> Result<Timestamp> {
        #[derive(Deserialize)]
        struct Clock {
            now: Timestamp,
        }
        Ok(self.get::<Clock>("clock").await?.now)
    }

    /// Queues a job, now or at a simulated time.
    ///
    /// # Errors
    /// If the simulator refuses it; the message is the simulator's.
    pub async fn queue_job(&self, pool: &str, duration: SignedDuration, at: Option<Timestamp>) -> Result<()> {
        self.queue(&Job { pool: pool.to_owned(), demands: Vec::new(), duration, at }).await
    }

    /// Queues a job.
    ///
    /// # Errors
    /// If the simulator refuses it; the message is the simulator's.
    pub async fn queue(&self, job: &Job) -> Result<()> {
        self.post("jobs", &json!(job)).await?;
        Ok(())
    }

    /// Lets something fail, as `docs/simulator.md` describes it. Until when, in simulated time, where it ends by itself.
    ///
    /// # Errors
    /// If the simulator refuses it; the message is the simulator's.
    pub async fn set_fault(&self, fault: &Value) -> Result<Option<Timestamp>> {
        #[derive(Deserialize)]
        struct Set {
            until: Option<Timestamp>,
        }
        let said = self.post("faults", fault).await?;
        Ok(serde_json::from_str::<Set>(&said).context("the simulator's answer to a fault")?.until)
    }

    /// Ends every fault that has no other end.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn end_faults(&self) -> Result<()> {
        self.http.delete(format!("{}/faults", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Any other call of the control API, such as `evict`.
    ///
    /// # Errors
    /// If the simulator refuses it; the message is the simulator's.
    pub async fn command(&self, path: &str, body: &Value) -> Result<()> {
        self.post(path, body).await.map(drop)
    }

    /// Every change after number `since`, oldest first, all of them.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn journal(&self, since: u64) -> Result<Vec<Entry>> {
        #[derive(Deserialize)]
        struct Page {
            written: u64,
            entries: Vec<Entry>,
        }
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let read = all.last().map_or(since, |entry| entry.seq);
            let page: Page = self.get(&format!("journal?since={read}")).await?;
            let end = page.entries.last().map_or(page.written, |entry| entry.seq);
            all.extend(page.entries);
            if end >= page.written {
                return Ok(all);
            }
        }
    }

    /// The only scale set of the world.
    ///
    /// # Errors
    /// If the simulator does not answer, or its world has none.
    pub async fn scale_set(&self) -> Result<ScaleSetTruth> {
        self.scale_sets().await?.into_iter().next().context("the simulated world has no scale set")
    }

    /// All scale sets of the world.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn scale_sets(&self) -> Result<Vec<ScaleSetTruth>> {
        Ok(self.world().await?.scale_sets)
    }

    /// Scale sets and agent pools.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn world(&self) -> Result<WorldTruth> {
        self.get("world").await
    }

    /// The simulator's own sums.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn tally(&self) -> Result<Tally> {
        self.get("tally").await
    }

    async fn post(&self, path: &str, body: &Value) -> Result<String> {
        let answer = self.http.post(format!("{}/{path}", self.url)).json(body).send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the simulator refuses POST {path}: {status}: {said}");
        Ok(said)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.http.get(format!("{}/{path}", self.url)).send().await?.error_for_status()?;
        answer.json().await.with_context(|| format!("the simulator's answer to GET {path}"))
    }
}
