//! What was done to each pool's agents and VMs, and what went wrong, for `poolkeeper diagnostics`.
//!
//! The journal of a pool is the ConfigMap `<pool>-journal` beside it, which goes with the pool. It is history only:
//! nothing is decided by it, and losing it costs nothing else. Passes note their rows in memory; the journal is written
//! in the background, at most every 10 seconds and only when there is something new.

mod pass;
mod row;

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use jiff::SignedDuration;
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{Client, Resource as _, ResourceExt};
use poolkeeper_api::AgentPool;
use poolkeeper_clock::Clock;
use tokio::sync::Notify;

pub(crate) use pass::{Changed, Did, Pass};
pub use row::Row;

use crate::{
    metrics::Metrics,
    owned_map::{OwnedMap, OwnedMapError},
};

/// The field of the ConfigMap.
const FIELD: &str = "journal.jsonl";
/// Each journal is written at most once in it, by the operator's clock.
const PACE: SignedDuration = SignedDuration::from_secs(10);
/// Also at the highest speed of a scaled clock.
const SHORTEST: Duration = Duration::from_millis(100);
/// Journals that are written at once.
const PARALLEL: usize = 8;

/// The ConfigMap of a pool's journal.
#[must_use]
pub fn name(pool: &str) -> String {
    format!("{pool}-journal")
}

/// The rows of a journal, oldest first, and how many of its lines cannot be read.
#[must_use]
pub fn rows(map: &ConfigMap) -> (Vec<Row>, usize) {
    let text = map.data.as_ref().and_then(|data| data.get(FIELD));
    text.map(|text| row::parse(text)).unwrap_or_default()
}

type Key = (String, String);

/// The journals of all pools; clones share them.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    kube: Client,
    metrics: Metrics,
    clock: Clock,
    pools: Mutex<HashMap<Key, Pages>>,
    /// There are rows to be written.
    news: Notify,
    /// One flush at a time.
    flushing: tokio::sync::Mutex<()>,
}

/// What is not written yet of one pool.
struct Pages {
    owner: OwnerReference,
    rows: Vec<Row>,
    /// What was wrong at the last pass.
    wrong: pass::Wrong,
    /// Why the last write failed, so that it is logged once.
    complaint: Option<String>,
}

/// Why a journal was not written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Map(#[from] OwnedMapError),
    #[error("a row is not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Journal {
    /// Nothing noted yet.
    #[must_use]
    pub fn new(kube: Client, metrics: Metrics, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            kube,
            metrics,
            clock,
            pools: Mutex::default(),
            news: Notify::new(),
            flushing: tokio::sync::Mutex::default(),
        }))
    }

    /// Notes what a pass has done and what went wrong; it is written a little later.
    pub(crate) fn note(&self, pass: &Pass<'_>) {
        let Some(owner) = pass.pool.owner_ref(&()) else { return };
        let key = (pass.pool.namespace().unwrap_or_default(), pass.pool.name_any());
        let mut pools = self.pools();
        let anew = |pool: &AgentPool| Pages {
            owner: owner.clone(),
            rows: Vec::new(),
            wrong: pass::wrong_before(pool),
            complaint: None,
        };
        let pages = pools.entry(key).or_insert_with(|| anew(pass.pool));
        if pages.owner.uid != owner.uid {
            *pages = anew(pass.pool);
        }
        let wrong = pass::wrong_now(&pass.plan.conditions);
        let rows = pass::rows(pass, &pages.wrong, &wrong);
        pages.wrong = wrong;
        if !rows.is_empty() {
            row::add(&mut pages.rows, rows);
            self.0.news.notify_one();
        }
    }

    /// The pool is gone, and its journal with it.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        self.pools().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// Writes what is noted, for as long as the operator runs.
    pub async fn keep(&self) -> Infallible {
        loop {
            self.0.news.notified().await;
            self.flush().await;
            let now = self.0.clock.now();
            let next = now.checked_add(PACE).unwrap_or(now);
            tokio::time::sleep(self.0.clock.wall_until(now, next).max(SHORTEST)).await;
        }
    }

    /// Writes what is noted, once. What cannot be written is logged, and tried again with the next flush.
    pub async fn flush(&self) {
        let _one = self.0.flushing.lock().await;
        let noted: Vec<(Key, OwnerReference, Vec<Row>)> = {
            let mut pools = self.pools();
            let noted = pools.iter_mut().filter(|(_, pages)| !pages.rows.is_empty());
            noted
                .map(|(key, pages)| (key.clone(), pages.owner.clone(), std::mem::take(&mut pages.rows)))
                .collect()
        };
        stream::iter(noted)
            .for_each_concurrent(PARALLEL, async |(key, owner, rows)| {
                let written = self.write(&key, &owner, &rows).await;
                self.close(&key, &owner, rows, written);
            })
            .await;
    }

    /// The journal is read anew each time: it may have been deleted, or be somebody else's by now.
    async fn write(
        &self,
        (namespace, pool): &Key,
        owner: &OwnerReference,
        rows: &[Row],
    ) -> Result<(), Unwritten> {
        let map = OwnedMap { namespace, pool, name: name(pool), owner, field: FIELD };
        let present = map.read(&self.0.kube).await?;
        let (mut journal, dropped) = present.as_ref().map(self::rows).unwrap_or_default();
        if dropped > 0 {
            let name = map.name.as_str();
            tracing::warn!(namespace, name, dropped, "lines of a journal that cannot be read are dropped");
        }
        row::add(&mut journal, rows.iter().cloned());
        map.write(&self.0.kube, &self.0.metrics, present.as_ref(), &row::text(&journal)?).await?;
        Ok(())
    }

    /// Puts back what was not written.
    fn close(
        &self,
        (namespace, pool): &Key,
        owner: &OwnerReference,
        mut rows: Vec<Row>,
        written: Result<(), Unwritten>,
    ) {
        let mut pools = self.pools();
        // A pool that has gone meanwhile needs no journal.
        let pages = pools.get_mut(&(namespace.clone(), pool.clone()));
        let Some(pages) = pages.filter(|pages| pages.owner.uid == owner.uid) else { return };
        let Err(why) = written else {
            pages.complaint = None;
            return;
        };
        let newer = std::mem::take(&mut pages.rows);
        row::add(&mut rows, newer);
        let excess = rows.len().saturating_sub(row::ROWS);
        rows.drain(..excess);
        pages.rows = rows;
        let words = why.to_string();
        if pages.complaint.as_ref() != Some(&words) {
            tracing::warn!(
                namespace,
                name = name(pool),
                error = words,
                "the journal of a pool was not written; it is tried again"
            );
            pages.complaint = Some(words);
        }
        self.0.news.notify_one();
    }

    /// A panic elsewhere leaves nothing half done in the map.
    fn pools(&self) -> MutexGuard<'_, HashMap<Key, Pages>> {
        self.0.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
