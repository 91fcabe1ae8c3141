//! An operator and clouds whose time is the hour that a test is about.

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use poolkeeper_harness::{Operator, eventually};
use serde_json::json;

use super::{PATIENCE, Site, Stage, world};

/// Simulated time from the start of an hour to its edge: 30 s, in which an operator starts and its pools settle.
const BEFORE: SignedDuration = SignedDuration::from_mins(30);

/// Clouds around one instant, and an operator that serves their sites.
pub(crate) struct Hour {
    pub(crate) stage: Stage,
    pub(crate) operator: Operator,
    /// The instant.
    pub(crate) edge: Timestamp,
}

impl Hour {
    /// Begins [`BEFORE`] an edge, with a scale set and an agent pool of each of these names; VMs start within a minute.
    pub(crate) async fn start(base: &Stage, edge: &str, sites: &[&str]) -> Result<Self> {
        let edge: Timestamp = edge.parse()?;
        let mut world = world(sites)?;
        for set in world["scaleSets"].as_array_mut().into_iter().flatten() {
            set["timings"] = json!({"create": "30s", "register": "15s", "reimage": "30s", "delete": "20s"});
        }
        let stage = base.beside(&world, edge.checked_sub(BEFORE)?).await?;
        let operator = stage.operator(sites).await?;
        Ok(Self { stage, operator, edge })
    }

    pub(crate) fn site(&self, name: &'static str) -> Site<'_> {
        self.stage.site(name)
    }

    /// What was just seen was seen before the edge.
    pub(crate) async fn is_before(&self) -> Result<()> {
        let now = self.stage.clouds.now().await?;
        ensure!(now < self.edge, "too slow a machine: {now} is after {}, the edge", self.edge);
        Ok(())
    }

    /// Waits for the edge.
    pub(crate) async fn comes(&self) -> Result<()> {
        self.comes_to(self.edge).await
    }

    /// Waits for a later instant.
    pub(crate) async fn comes_to(&self, then: Timestamp) -> Result<()> {
        eventually(&format!("it is {then}"), PATIENCE, async || {
            let now = self.stage.clouds.now().await?;
            ensure!(now >= then, "it is {now}");
            Ok(Some(()))
        })
        .await
    }
}
