//! A run: its pace, its findings, and what it has to put back.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use crate::{
    CallError, Outcome, Report,
    call::{Call, Seen, Service},
    fact::{Fact, On, Part, TRIED},
    finding::Findings,
    guard::Start,
    machines::{Listing, Site},
};

/// Before a write: three a minute. Azure: four a minute for each scale set.
pub(crate) const BEFORE_WRITE: Duration = Duration::from_secs(20);
/// Before a list of instances: six a minute. Azure: ten a minute for each scale set.
pub(crate) const BEFORE_LIST: Duration = Duration::from_secs(10);
/// Before each page of a list.
pub(crate) const BEFORE_PAGE: Duration = Duration::from_secs(1);
/// Before a poll: four a minute. Azure: fifteen a minute for each operation.
pub(crate) const BEFORE_POLL: Duration = Duration::from_secs(15);
/// Before any other read. Azure: twelve a minute for each scale set, in a bucket of 36.
pub(crate) const BEFORE_READ: Duration = Duration::from_secs(3);
/// Before a call of Azure DevOps.
pub(crate) const BEFORE_DEVOPS: Duration = Duration::from_secs(2);
/// For calls whose answer depends on being made at once.
pub(crate) const AT_ONCE: Duration = Duration::ZERO;

/// How often a throttled call is made again, and the longest wait that is accepted each time.
const RETRIES: u32 = 3;
const LONGEST_RETRY_AFTER: u64 = 300;
const DEFAULT_RETRY_AFTER: u64 = 60;

/// Lets time pass.
pub async fn pause(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub(crate) struct Trial<W> {
    pub(crate) site: Site,
    pub(crate) start: Start,
    pub(crate) findings: Findings,
    /// The name of this run's agents, and the beginning of each.
    pub(crate) marker: String,
    /// The computer names of this run's VMs, whose agents go with them.
    pub(crate) names: BTreeSet<String>,
    /// An operation that has ended.
    pub(crate) ended: Option<String>,
    wait: W,
    say: fn(&str),
}

impl<W: AsyncFn(Duration)> Trial<W> {
    pub(crate) fn new(site: Site, start: Start, say: fn(&str), wait: W) -> Self {
        // Names of earlier runs, should one have been cut off, differ.
        let marker = format!("poolkeeper-verify-{:x}", start.at.as_millisecond());
        let (findings, names) = (Findings::default(), BTreeSet::new());
        Self { site, start, findings, marker, names, ended: None, wait, say }
    }

    /// Every part; one that cannot go on does not keep the others from being tried.
    pub(crate) async fn all(&mut self) {
        let mode = if self.start.set.flexible { On::Flexible } else { On::Uniform };
        for fact in TRIED.iter().filter(|fact| fact.on != On::Both && fact.on != mode) {
            let other = if self.start.set.flexible { "Uniform" } else { "Flexible" };
            self.not_tried(*fact, format!("holds for {other} sets only"));
        }
        self.links(&Listing { vms: Vec::new(), links: self.start.links.clone() });
        let done = self.reads().await;
        self.close(Part::Reads, done);
        let done = self.agents().await;
        self.close(Part::Agents, done);
        let done = self.tags().await;
        self.close(Part::Tags, done);
        let done = self.instances().await;
        self.close(Part::Instances, done);
    }

    fn close(&mut self, part: Part, done: Result<(), CallError>) {
        let why = match done {
            Ok(()) => "this run had no occasion".to_owned(),
            Err(error) => chain(&error),
        };
        for finding in self.findings.close(Some(part), &why) {
            (self.say)(&finding.to_string());
        }
    }

    /// As expected, or not: then `seen` says what is different.
    pub(crate) fn judge(&mut self, fact: Fact, met: bool, seen: impl Into<String>) {
        let seen = if met { String::new() } else { seen.into() };
        self.judge_noting(fact, met, seen);
    }

    /// As expected, or not; `seen` says more than the expectation in either case.
    pub(crate) fn judge_noting(&mut self, fact: Fact, met: bool, seen: impl Into<String>) {
        let seen = seen.into();
        self.note(fact, if met { Outcome::AsExpected { seen } } else { Outcome::Differs { seen } });
    }

    pub(crate) fn not_tried(&mut self, fact: Fact, why: impl Into<String>) {
        self.note(fact, Outcome::NotTried { why: why.into() });
    }

    fn note(&mut self, fact: Fact, outcome: Outcome) {
        if let Some(finding) = self.findings.note(fact, outcome) {
            (self.say)(&finding.to_string());
        }
    }

    /// Waits `before`, and calls Azure.
    pub(crate) async fn azure(&self, before: Duration, call: Call) -> Result<Seen, CallError> {
        self.send(&self.site.azure, before, call).await
    }

    /// Waits a little, and calls Azure DevOps.
    pub(crate) async fn devops(&self, call: Call) -> Result<Seen, CallError> {
        self.send(&self.site.devops, BEFORE_DEVOPS, call).await
    }

    /// A throttled call says nothing about a fact. It is made again when the service allows it, unless it was to be made
    /// at once.
    async fn send(&self, service: &Service, before: Duration, call: Call) -> Result<Seen, CallError> {
        let mut wait = before;
        for _ in 0..=RETRIES {
            (self.wait)(wait).await;
            let seen = service.send(call.clone()).await?;
            if !matches!(seen.status, 429 | 503) {
                return Ok(seen);
            }
            if before == AT_ONCE {
                return Err(CallError::Answer {
                    what: "a call that was to be made at once",
                    seen: seen.full(),
                });
            }
            let asked = seen.header("retry-after").and_then(|after| after.parse().ok());
            wait = Duration::from_secs(asked.unwrap_or(DEFAULT_RETRY_AFTER).min(LONGEST_RETRY_AFTER));
        }
        Err(CallError::Answer { what: "a call", seen: "429 or 503 each time".to_owned() })
    }

    /// Lets time pass.
    pub(crate) async fn wait(&self, duration: Duration) {
        (self.wait)(duration).await;
    }

    pub(crate) fn report(self, stopped: bool, unrestored: Vec<String>) -> Report {
        let Self { site, start, mut findings, say, .. } = self;
        for finding in findings.close(None, "the run was stopped before") {
            say(&finding.to_string());
        }
        for what in &unrestored {
            say(&format!("not put back: {what}"));
        }
        Report {
            began: start.at,
            ended: Timestamp::now(),
            scale_set: site.set.to_string(),
            flexible: start.set.flexible,
            location: start.set.location,
            refused: None,
            stopped,
            unrestored,
            findings: findings.sorted(),
        }
    }
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let levels = std::iter::successors(Some(error), |error| error.source());
    levels.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
