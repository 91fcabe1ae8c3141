//! What everybody can see, read once for all rows: objects, events, metrics, the world and its journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use k8s_openapi::{api::events::v1::Event, apimachinery::pkg::apis::meta::v1::Condition};
use kube::{Api, ResourceExt};
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::{
    Operator,
    ledger::{Entry, Ledger},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::watch, time::MissedTickBehavior};

use crate::{
    sites::NAMESPACE,
    support::{Stage, Truth},
};

/// How often all is read: what is read is much, and two cores are few.
const PACE: Duration = Duration::from_millis(400);
/// What only a call of ours brings about.
const WRITES: [&str; 6] =
    ["CapacityChanged", "VmCreating", "VmReimaging", "VmDeleting", "AgentDisabled", "AgentDeleted"];
/// Writes that bring a pool further: tags only renew a claim.
const DEEDS: [&str; 5] = ["VmCreating", "VmReimaging", "VmDeleting", "AgentDisabled", "AgentDeleted"];

/// A change of the world.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    place: String,
    kind: String,
    pub(crate) text: String,
}

impl Line {
    /// One of the two clouds was written to.
    pub(crate) fn is_write(&self) -> bool {
        WRITES.contains(&self.kind.as_str())
    }

    pub(crate) fn is_claim(&self) -> bool {
        self.kind == "TagsChanged"
    }

    pub(crate) fn is_new_vm(&self) -> bool {
        self.kind == "VmCreating"
    }

    /// A pool got on.
    pub(crate) fn is_deed(&self) -> bool {
        DEEDS.contains(&self.kind.as_str())
    }
}

/// All that was seen last.
#[derive(Default)]
pub(crate) struct View {
    pub(crate) now: Timestamp,
    /// The last change of the world.
    pub(crate) seq: u64,
    pools: BTreeMap<String, AgentPool>,
    bindings: BTreeMap<String, ScaleSetBinding>,
    world: Value,
    lines: BTreeMap<String, Vec<Line>>,
    ledgers: BTreeMap<String, Ledger>,
    /// Name of the object, and reason.
    events: BTreeSet<(String, String)>,
    metrics: String,
}

impl View {
    pub(crate) fn pool(&self, name: &str) -> Option<&AgentPool> {
        self.pools.get(name)
    }

    /// Conditions of the object of this kind and name.
    pub(crate) fn conditions(&self, kind: &str, name: &str) -> Vec<&Condition> {
        match kind {
            "AgentPool" => self
                .pools
                .get(name)
                .and_then(|pool| pool.status.as_ref())
                .map_or_else(Vec::new, |status| status.conditions.iter().collect()),
            _ => self
                .bindings
                .get(name)
                .and_then(|binding| binding.status.as_ref())
                .map_or_else(Vec::new, |status| status.conditions.iter().collect()),
        }
    }

    pub(crate) fn is_gone(&self, name: &str) -> bool {
        !self.pools.contains_key(name) && !self.bindings.contains_key(name)
    }

    pub(crate) fn truth(&self, name: &str) -> Result<Truth> {
        Truth::of(&self.world, name)
    }

    /// What has happened at a site after this change.
    pub(crate) fn since(&self, name: &str, seq: u64) -> impl Iterator<Item = &Line> {
        self.lines.get(name).into_iter().flatten().filter(move |line| line.seq > seq)
    }

    pub(crate) fn ledger(&self, name: &str) -> Option<&Ledger> {
        self.ledgers.get(name)
    }

    pub(crate) fn has_event(&self, name: &str, reason: &str) -> bool {
        self.events.contains(&(name.to_owned(), reason.to_owned()))
    }

    /// Whether a family has counted something with this label: `poolkeeper_failures_total kind="Quota"`.
    pub(crate) fn counted(&self, metric: &str) -> bool {
        let (family, label) = metric.split_once(' ').unwrap_or((metric, ""));
        let samples = self.metrics.lines().filter(|line| line.starts_with(family) && line.contains(label));
        let values = samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.into_iter().any(|value| value > 0.0)
    }
}

/// Reads all until it is dropped.
pub(crate) async fn look(stage: &Stage, operator: &Operator, seen: &watch::Sender<View>) -> Result<()> {
    let pools: Api<AgentPool> = Api::namespaced(stage.admin.clone(), NAMESPACE);
    let bindings: Api<ScaleSetBinding> = Api::namespaced(stage.admin.clone(), NAMESPACE);
    let events: Api<Event> = Api::namespaced(stage.admin.clone(), NAMESPACE);
    let mut paced = tokio::time::interval(PACE);
    paced.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        paced.tick().await;
        let seq = seen.borrow().seq;
        let (pools, bindings) =
            (pools.list(&Default::default()).await?, bindings.list(&Default::default()).await?);
        let (events, metrics) = (events.list(&Default::default()).await?, operator.metrics().await?);
        // The journal first: what it tells is in the world then.
        let journal = stage.clouds.get(&format!("journal?since={seq}")).await?["entries"].take();
        let world = stage.clouds.get("world").await?;
        let lines: Vec<Line> = serde_json::from_value(journal.clone())?;
        let entries: Vec<Entry> = serde_json::from_value(journal)?;
        let now: Timestamp = serde_json::from_value(world["now"].clone())?;
        seen.send_modify(|view| {
            view.now = now;
            view.seq = lines.last().map_or(seq, |line| line.seq);
            view.pools = pools.into_iter().map(|pool| (pool.name_any(), pool)).collect();
            view.bindings = bindings.into_iter().map(|binding| (binding.name_any(), binding)).collect();
            view.world = world;
            view.metrics = metrics;
            let reason = |event: Event| Some((event.regarding?.name?, event.reason?));
            view.events = events.into_iter().filter_map(reason).collect();
            for (line, entry) in lines.into_iter().zip(entries) {
                view.ledgers.entry(line.place.clone()).or_default().read(&[entry], |_, _| {});
                view.lines.entry(line.place.clone()).or_default().push(line);
            }
        });
    }
}

/// Waits until a view is as wanted, and returns what was found in it; `Err` says what is missing.
pub(crate) async fn until<T>(
    seen: &watch::Receiver<View>,
    what: &str,
    patience: Duration,
    fits: impl Fn(&View) -> Result<T>,
) -> Result<T> {
    let mut seen = seen.clone();
    let mut missing = None;
    let found = tokio::time::timeout(patience, async {
        loop {
            match fits(&seen.borrow_and_update()) {
                Ok(found) => return Ok(found),
                Err(error) => missing = Some(error),
            }
            if seen.changed().await.is_err() {
                bail!("nobody looks any more");
            }
        }
    })
    .await;
    match found {
        Ok(found) => found,
        Err(_elapsed) => {
            let missing = missing.context("nothing was seen")?;
            Err(missing.context(format!("{what}: not within {} s; last seen", patience.as_secs())))
        }
    }
}
