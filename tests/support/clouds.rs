//! The simulated world itself, past both clouds' faces.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use poolkeeper_harness::{Simulator, ledger::Entry};
use serde_json::{Value, json};

/// A local server that has not answered by then never will.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A client of the simulator's control API.
pub(crate) struct Clouds {
    http: reqwest::Client,
    url: String,
}

/// A scale set and the agent pool of the same name, as they really are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Truth {
    pub(crate) capacity: u64,
    pub(crate) tags: BTreeMap<String, String>,
    /// Computer names of its VMs, those that are being deleted included.
    pub(crate) vms: Vec<String>,
    /// Names of the agents that have a record.
    pub(crate) agents: Vec<String>,
    /// Names of those of them that are disabled.
    pub(crate) disabled: Vec<String>,
    /// Agents online and enabled, without a job.
    pub(crate) idle: u64,
    pub(crate) busy: u64,
    /// Jobs that no agent has.
    pub(crate) waiting: u64,
}

impl Clouds {
    pub(crate) fn new(simulator: &Simulator) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
        Ok(Self { http, url: format!("{}/_sim", simulator.url()) })
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}/{path}", self.url)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.http.post(format!("{}/{path}", self.url)).json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the simulator refuses {path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The simulated time.
    pub(crate) async fn now(&self) -> Result<Timestamp> {
        Ok(serde_json::from_value(self.get("clock").await?["now"].clone())?)
    }

    /// Queues a job in the example's organisation; its request id.
    pub(crate) async fn queue_job(&self, pool: &str, duration: SignedDuration) -> Result<u64> {
        let seconds = format!("{}s", duration.as_secs());
        let job = json!({"organization": "fabrikam", "pool": pool, "duration": seconds});
        let answer = self.post("jobs", &job).await?;
        answer["requests"][0].as_u64().context("the simulator queued no job")
    }

    /// Lets something fail until [`Self::end_faults`], such as `{"scaleSet": "linux-d4", "azure": "forbidden"}`.
    pub(crate) async fn fault(&self, fault: &Value) -> Result<()> {
        self.post("faults", fault).await.map(drop)
    }

    /// Ends all faults.
    pub(crate) async fn end_faults(&self) -> Result<()> {
        self.http.delete(format!("{}/faults", self.url)).send().await?.error_for_status()?;
        Ok(())
    }

    /// Calls of both clouds since the start of the world: of one class, such as `instanceDelete`, or of all.
    pub(crate) async fn calls(&self, class: Option<&str>) -> Result<u64> {
        let tally = self.get("tally").await?;
        let calls = tally["calls"].as_object().context("the tally has no calls")?;
        let of = |name: &String| class.is_none_or(|class| class == name);
        Ok(calls.iter().filter(|(name, _)| of(name)).filter_map(|(_, count)| count["total"].as_u64()).sum())
    }

    /// Every change after number `since`, oldest first.
    pub(crate) async fn journal(&self, since: u64) -> Result<Vec<Entry>> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let read = all.last().map_or(since, |entry| entry.seq);
            let page = self.get(&format!("journal?since={read}")).await?;
            let entries: Vec<Entry> = serde_json::from_value(page["entries"].clone())?;
            let end = entries.last().map_or(read, |entry| entry.seq);
            all.extend(entries);
            if page["written"].as_u64().is_none_or(|written| end >= written) || end == read {
                return Ok(all);
            }
        }
    }

    /// The scale set and the agent pool of this name.
    pub(crate) async fn truth(&self, name: &str) -> Result<Truth> {
        Truth::of(&self.get("world").await?, name)
    }
}

impl Truth {
    /// The scale set and the agent pool of this name, in the answer of `GET /_sim/world`.
    pub(crate) fn of(world: &Value, name: &str) -> Result<Self> {
        let named =
            |list: &Value| list.as_array().into_iter().flatten().find(|item| item["name"] == name).cloned();
        // One that was deleted is not listed.
        let none = || json!({"capacity": 0, "tags": {}, "instances": []});
        let set = named(&world["scaleSets"]).unwrap_or_else(none);
        let pools = world["organizations"].as_array().into_iter().flatten();
        let pool = pools.filter_map(|organization| named(&organization["pools"])).next();
        let pool = pool.with_context(|| format!("no agent pool {name}"))?;
        let names = |list: &Value, key: &str, keep: &dyn Fn(&Value) -> bool| -> Vec<String> {
            let kept = list.as_array().into_iter().flatten().filter(|item| keep(item));
            kept.filter_map(|item| item[key].as_str().map(str::to_owned)).collect()
        };
        let count = |key: &str| pool["counts"][key].as_u64().context("no counts");
        Ok(Self {
            capacity: set["capacity"].as_u64().context("no capacity")?,
            tags: serde_json::from_value(set["tags"].clone())?,
            vms: names(&set["instances"], "computerName", &|_| true),
            agents: names(&pool["agents"], "name", &|_| true),
            disabled: names(&pool["agents"], "name", &|agent| agent["enabled"] == false),
            idle: count("idle")?,
            busy: count("busy")?,
            waiting: count("waiting")?,
        })
    }
}
