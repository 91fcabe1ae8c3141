//! One course as it is seen: the world of its scale set, and what the API server says of its pool.

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use poolkeeper_api::agent_pool::RecentAction;
use poolkeeper_api::status::AgentCounts;
use poolkeeper_api::{AgentPool, AgentPoolStatus, ScaleSetBinding};
use poolkeeper_harness::ledger::{Counts, Entry, Ledger};
use poolkeeper_harness::worked_example::{Step, Steps, words};

use crate::course::{CUES, Course, Cue, MOST};
use crate::words::{action_words, row, status_words, world};

/// Statuses follow at most every 30 s, and a scale set is listed every 5 minutes when quiet.
const PUBLISHED: SignedDuration = SignedDuration::from_mins(15);

/// A line of a course: when, from where, what.
pub(crate) struct Line {
    pub(crate) at: Timestamp,
    pub(crate) source: &'static str,
    pub(crate) text: String,
}

/// One course.
pub(crate) struct Track {
    pub(crate) course: Course,
    pub(crate) began: Timestamp,
    pub(crate) pool_is_there: bool,
    ledger: Ledger,
    steps: Steps,
    /// The next of [`CUES`], and since when it is waited for.
    cue: (usize, Timestamp),
    status: Option<AgentPoolStatus>,
    told: Told,
}

/// What was printed last, so that a line means a change.
#[derive(Default)]
struct Told {
    world: String,
    status: String,
    actions: Vec<RecentAction>,
}

impl Track {
    pub(crate) fn new(course: Course, now: Timestamp) -> Self {
        Self {
            course,
            began: now,
            pool_is_there: false,
            ledger: Ledger::default(),
            steps: Steps::new(course.expected, MOST),
            cue: (0, now),
            status: None,
            told: Told::default(),
        }
    }

    /// From now on the pool wants so many idle agents.
    pub(crate) fn pool_exists(&mut self, standby: u32) {
        self.steps.want(standby);
    }

    /// Jobs that ran to their end, and jobs whose machine was taken away.
    pub(crate) fn jobs(&self) -> (u64, u64) {
        (self.ledger.succeeded(), self.ledger.killed())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        self.steps.seen()
    }

    /// Takes up what has happened to its scale set and its pool.
    pub(crate) fn read(&mut self, entries: &[Entry], now: Timestamp, is_live: bool) -> Vec<Line> {
        let example = self.course.example;
        let own: Vec<Entry> = entries
            .iter()
            .filter(|entry| entry.place == example.scale_set || entry.place == example.pool)
            .cloned()
            .collect();
        let mut changes: Vec<(Timestamp, Counts)> = Vec::new();
        self.ledger.read(&own, |at, counts| changes.push((at, *counts)));
        if changes.is_empty() {
            changes.push((now, *self.ledger.counts()));
        }
        let mut lines = Vec::new();
        for (at, counts) in changes {
            let text = world(&counts);
            if !is_live && text != self.told.world {
                self.told.world.clone_from(&text);
                lines.push(Line { at, source: "world", text });
            }
            if let Some(step) = self.steps.observe(at, &counts) {
                let text = format!("settled at {} (idle/busy)", words([step.agents]));
                lines.push(Line { at, source: "step", text });
            }
        }
        lines
    }

    /// Takes up what the API server says of its pool.
    pub(crate) fn take(&mut self, pool: Option<AgentPool>, now: Timestamp, is_live: bool) -> Vec<Line> {
        self.pool_is_there = pool.is_some();
        let Some(status) = pool.and_then(|pool| pool.status) else { return Vec::new() };
        // Newest first in the status.
        let new = status.recent_actions.iter().rev().filter(|action| !self.told.actions.contains(action));
        let mut lines: Vec<Line> = new
            .map(|action| Line { at: action.at.0, source: "action", text: action_words(action) })
            .collect();
        self.told.actions.clone_from(&status.recent_actions);
        let text = status_words(&status);
        if !is_live && !text.is_empty() && text != self.told.status {
            self.told.status.clone_from(&text);
            lines.push(Line { at: now, source: "status", text });
        }
        self.status = Some(status);
        lines
    }

    /// What it waits for; none once it has been played.
    pub(crate) fn cue(&self) -> Option<Cue> {
        CUES.get(self.cue.0).copied()
    }

    /// Goes on to the next cue where this one is met. `binding` is that of its pool, where it has been read.
    pub(crate) fn advance(&mut self, now: Timestamp, binding: Option<&ScaleSetBinding>) -> Result<()> {
        let Course { orchestration, strategy, .. } = self.course;
        if !self.steps.on_course() {
            let expected = words(self.steps.expected().to_vec());
            bail!("{strategy}, {orchestration}: expected the steps {expected}, but saw {}", self.steps);
        }
        let Some(cue) = self.cue() else { return Ok(()) };
        let (is_met, within) = match cue {
            Cue::Step { number, within } => {
                (self.steps.seen().len() >= number, SignedDuration::from_mins(within))
            }
            Cue::Published => (self.is_published(binding), PUBLISHED),
            Cue::Job => (true, SignedDuration::ZERO),
        };
        if is_met {
            self.cue = (self.cue.0 + 1, now);
            return Ok(());
        }
        if now >= self.cue.1.checked_add(within)? {
            let truth = world(self.ledger.counts());
            let minutes = within.as_mins();
            let status = self.status.as_ref().map(status_words).unwrap_or_default();
            match cue {
                Cue::Step { number, .. } => {
                    let wanted = words(self.steps.expected().get(number.saturating_sub(1)).copied());
                    bail!(
                        "{strategy}, {orchestration}: {wanted} was not reached within {minutes} simulated minutes; {truth}; {status}"
                    )
                }
                Cue::Published | Cue::Job => {
                    bail!(
                        "{strategy}, {orchestration}: {truth} is not published within {minutes} simulated minutes; {status}"
                    )
                }
            }
        }
        Ok(())
    }

    /// Whether pool and binding say what is true.
    fn is_published(&self, binding: Option<&ScaleSetBinding>) -> bool {
        let pool = self.status.as_ref().and_then(|status| status.agents.clone());
        let binding = binding.and_then(|binding| binding.status.as_ref()?.agents.clone());
        let truth = self.ledger.counts();
        [pool, binding].into_iter().all(|published| agrees(&published.unwrap_or_default(), truth))
    }

    /// Its part of the table.
    pub(crate) fn rows(&self, since_start: impl Fn(Timestamp) -> String) -> Vec<String> {
        let Counts { busy, idle, starting, recycling, draining, deleting, failed: _, vms: _, queued } =
            *self.ledger.counts();
        let cells = [idle, busy, starting, recycling, draining + deleting, queued, busy];
        let name = self.course.orchestration;
        let mut rows = vec![row(&format!("{name}: world"), &cells.map(|count| count.to_string()))];
        if let Some(AgentPoolStatus { agents, jobs, decision, recent_actions, .. }) = &self.status {
            let (agents, jobs) = (agents.clone().unwrap_or_default(), jobs.clone().unwrap_or_default());
            let AgentCounts { busy, idle, starting, recycling, draining, .. } = agents;
            let cells = [idle, busy, starting, recycling, draining, jobs.queued, jobs.running];
            rows.push(row("  status", &cells.map(|count| count.to_string())));
            rows.extend(
                decision
                    .as_ref()
                    .map(|decision| format!("  decision  {} ({})", decision.message, decision.limited_by)),
            );
            rows.extend(
                recent_actions.first().map(|action| {
                    format!("  action    {} {}", since_start(action.at.0), action_words(action))
                }),
            );
        }
        rows.push(format!("  steps     {} of {}", self.steps, words(self.course.expected.iter().copied())));
        rows
    }
}

/// Whether counts of a status are those of the world.
fn agrees(published: &AgentCounts, truth: &Counts) -> bool {
    let AgentCounts { busy, idle, starting, recycling, draining: _, unhealthy, saved: _, foreign: _, total } =
        *published;
    let published = [busy, idle, starting, recycling, unhealthy, total];
    let truth = [truth.busy, truth.idle, truth.starting, truth.recycling, truth.failed, truth.vms];
    published.into_iter().zip(truth).all(|(published, truth)| u32::try_from(published) == Ok(truth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_agrees_only_if_every_count_does() {
        let truth = Counts { idle: 2, busy: 1, vms: 3, ..Counts::default() };
        let published = AgentCounts { idle: 2, busy: 1, total: 3, ..AgentCounts::default() };
        assert!(agrees(&published, &truth));
        assert!(!agrees(&AgentCounts { total: 4, ..published.clone() }, &truth));
        assert!(!agrees(&AgentCounts { recycling: 1, ..published }, &truth));
    }
}
