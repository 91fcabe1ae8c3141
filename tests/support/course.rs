//! The steps at which a pool settles, from the simulator's journal.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use poolkeeper_harness::{
    eventually,
    ledger::{Counts, Ledger},
    worked_example::{IdleBusy, Steps, words},
};

use super::{PATIENCE, Site};

/// A pool's course, compared with the expected steps as they come.
pub(crate) struct Course<'a> {
    pub(crate) site: Site<'a>,
    ledger: Ledger,
    steps: Steps,
}

impl<'a> Course<'a> {
    /// Before the pool is applied, with the standby and the maximum that it will have.
    pub(crate) fn new(site: Site<'a>, expected: &'static [IdleBusy], standby: u32, most: u32) -> Self {
        let mut steps = Steps::new(expected, most);
        steps.observe(Timestamp::UNIX_EPOCH, &Counts::default());
        steps.want(standby);
        Self { site, ledger: Ledger::default(), steps }
    }

    /// Waits until the pool has settled so many times, the empty start included; fails at once on another step.
    pub(crate) async fn reaches(&mut self, steps: usize) -> Result<()> {
        let what =
            format!("{}: {}", self.site.name, words(self.steps.expected().iter().take(steps).copied()));
        let reached = eventually(&what, PATIENCE, async || {
            let mut entries = self.site.stage.clouds.journal(self.ledger.last_read()).await?;
            entries.retain(|entry| entry.place == self.site.name);
            self.ledger.read(&entries, |at, counts| _ = self.steps.observe(at, counts));
            if !self.steps.on_course() || self.steps.seen().len() >= steps {
                return Ok(Some(()));
            }
            anyhow::bail!("{}, now {:?}", self.steps, self.ledger.counts())
        })
        .await;
        ensure!(self.steps.on_course(), "{what}: another course: {}", self.steps);
        reached
    }

    /// When, in simulated time, a step was reached; the empty start is step 0.
    pub(crate) fn reached_at(&self, step: usize) -> Result<Timestamp> {
        let reached = self.steps.seen().get(step);
        reached.map(|step| step.at).with_context(|| format!("{}: no step {step}", self.site.name))
    }

    /// What has happened up to the last step.
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.ledger
    }
}
