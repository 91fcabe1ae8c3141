//! The simulator's control API: queue jobs, and look at the world itself, past both clouds' faces.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
    /// `sku.capacity`
    pub capacity: u32,
    /// The tags, the claim among them.
    pub tags: BTreeMap<String, String>,
    /// Its VMs.
    instances: Vec<Value>,
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
        let seconds = format!("{}s", duration.as_secs());
        let job = json!({"pool": pool, "duration": seconds, "at": at});
        let answer = self.http.post(format!("{}/jobs", self.url)).json(&job).send().await?;
        let (status, said) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the simulator refuses a job: {status}: {said}");
        Ok(())
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
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct World {
            scale_sets: Vec<ScaleSetTruth>,
        }
        let world: World = self.get("world").await?;
        world.scale_sets.into_iter().next().context("the simulated world has no scale set")
    }

    /// The simulator's own sums.
    ///
    /// # Errors
    /// If the simulator does not answer.
    pub async fn tally(&self) -> Result<Tally> {
        self.get("tally").await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.http.get(format!("{}/{path}", self.url)).send().await?.error_for_status()?;
        answer.json().await.with_context(|| format!("the simulator's answer to GET {path}"))
    }
}
