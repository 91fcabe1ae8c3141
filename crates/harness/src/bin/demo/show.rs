//! What happens, as it happens: the world as it is, and what the API server says of it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use kube::api::ListParams;
use poolkeeper_api::agent_pool::RecentAction;
use poolkeeper_api::status::AgentCounts;
use poolkeeper_api::{AgentPool, AgentPoolStatus, ScaleSetBinding};
use poolkeeper_harness::ledger::{Counts, Ledger};
use poolkeeper_harness::quickstart::{NAMESPACE, POOL};
use poolkeeper_harness::stage::Stage;
use poolkeeper_harness::table::Screen;
use poolkeeper_harness::worked_example::{IdleBusy, Step, Steps, words};

use crate::course::{Course, MOST};

/// Often enough to look alive; the journal loses nothing in between.
const LOOK: Duration = Duration::from_millis(100);
/// What the operator's claim on a scale set looks like.
const CLAIM_TAG: &str = "poolkeeper";

/// One act as it was seen.
pub(crate) struct Played {
    pub(crate) course: Course,
    pub(crate) began: Timestamp,
    pub(crate) steps: Vec<Step>,
}

/// The stage and its audience.
pub(crate) struct Show {
    pub(crate) stage: Stage,
    pub(crate) screen: Screen,
    pub(crate) started: Timestamp,
    pub(crate) now: Timestamp,
    pools: Api<AgentPool>,
    bindings: Api<ScaleSetBinding>,
    speed: u32,
    wall: Instant,
    ledger: Ledger,
    title: String,
    begun: Vec<(Course, Timestamp, Steps)>,
    pool_is_there: bool,
    status: Option<AgentPoolStatus>,
    told: Told,
    /// To be printed at the end of this look.
    lines: Vec<(Timestamp, String)>,
}

/// What was printed last, so that a line means a change.
#[derive(Default)]
struct Told {
    world: String,
    status: String,
    actions: Vec<RecentAction>,
}

impl Show {
    pub(crate) async fn new(stage: Stage, screen: Screen, speed: u32) -> Result<Self> {
        let client = stage.control_plane.client().await?;
        let (pools, bindings) =
            (Api::namespaced(client.clone(), NAMESPACE), Api::namespaced(client, NAMESPACE));
        let now = stage.control.now().await?;
        Ok(Self {
            stage,
            screen,
            started: now,
            now,
            pools,
            bindings,
            speed,
            wall: Instant::now(),
            ledger: Ledger::default(),
            title: String::new(),
            begun: Vec::new(),
            pool_is_there: false,
            status: None,
            told: Told::default(),
            lines: Vec::new(),
        })
    }

    /// An act begins; its times count from now on.
    pub(crate) async fn begin(&mut self, title: String, course: Course) -> Result<()> {
        self.now = self.stage.control.now().await?;
        self.title = title;
        self.begun.push((course, self.now, Steps::new(course.expected, MOST)));
        self.told = Told::default();
        // The world before the pool exists is the first step.
        self.look().await
    }

    /// From now on the pool wants so many idle agents.
    pub(crate) fn pool_exists(&mut self, standby: u32) {
        if let Some((_, _, steps)) = self.begun.last_mut() {
            steps.want(standby);
        }
    }

    /// Jobs whose machine was taken away.
    pub(crate) fn killed(&self) -> u64 {
        self.ledger.killed()
    }

    /// Jobs that ran to their end.
    pub(crate) fn finished(&self) -> u64 {
        self.ledger.succeeded()
    }

    /// The acts so far.
    pub(crate) fn played(&self) -> Vec<Played> {
        let played = |(course, began, steps): &(Course, Timestamp, Steps)| Played {
            course: *course,
            began: *began,
            steps: steps.seen().to_vec(),
        };
        self.begun.iter().map(played).collect()
    }

    /// A line with the time.
    pub(crate) fn note(&mut self, text: &str) {
        let line = format!("{}  {text}", clock(self.since(self.now)));
        self.screen.line(&line);
    }

    /// Waits for the next of the expected steps.
    pub(crate) async fn until_step(
        &mut self,
        number: usize,
        wanted: IdleBusy,
        within: SignedDuration,
    ) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let Some((course, _, steps)) = self.begun.last() else { bail!("no act has begun") };
            let strategy = course.strategy;
            if !steps.on_course() {
                bail!("{strategy}: expected the steps {}, but saw {steps}", words(steps.expected().to_vec()));
            }
            if steps.seen().len() >= number {
                return Ok(());
            }
            if self.now >= deadline {
                let (wanted, minutes) = (words([wanted]), within.as_mins());
                bail!(
                    "{strategy}: {wanted} was not reached within {minutes} simulated minutes; {}",
                    world(self.ledger.counts())
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nothing is left of the pool.
    pub(crate) async fn until_drained(&mut self, within: SignedDuration) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let set = self.stage.control.scale_set().await?;
            let claimed = set.tags.keys().any(|tag| tag.starts_with(CLAIM_TAG));
            if !self.pool_is_there && set.vms() == 0 && set.capacity == 0 && !claimed {
                return Ok(());
            }
            if self.now >= deadline {
                bail!(
                    "the pool was not drained within {} simulated minutes: AgentPool {}, {} VMs, capacity {}, claim {}",
                    within.as_mins(),
                    if self.pool_is_there { "still there" } else { "gone" },
                    set.vms(),
                    set.capacity,
                    if claimed { "still there" } else { "released" },
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the API server says what is true.
    pub(crate) async fn until_published(&mut self, within: SignedDuration) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let truth = self.ledger.counts();
            let bindings = self.bindings.list(&ListParams::default()).await?;
            let published: Vec<AgentCounts> = [self.status.as_ref().and_then(|status| status.agents.clone())]
                .into_iter()
                .chain(bindings.into_iter().map(|binding| binding.status.and_then(|status| status.agents)))
                .map(Option::unwrap_or_default)
                .collect();
            if published.iter().all(|agents| agrees(agents, truth)) {
                return Ok(());
            }
            if self.now >= deadline {
                let minutes = within.as_mins();
                bail!("{} is not published within {minutes} simulated minutes: {published:?}", world(truth));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes up what has changed, and shows it.
    async fn look(&mut self) -> Result<()> {
        self.stage.check_operator()?;
        // The time first: everything up to it is then in the journal.
        self.now = self.stage.control.now().await?;
        let entries = self.stage.control.journal(self.ledger.last_read()).await?;
        let mut changes: Vec<(Timestamp, Counts)> = Vec::new();
        self.ledger.read(&entries, |at, counts| changes.push((at, *counts)));
        if changes.is_empty() {
            changes.push((self.now, *self.ledger.counts()));
        }
        for (at, counts) in changes {
            self.tell_world(at, &counts);
            let step = self.begun.last_mut().and_then(|(_, _, steps)| steps.observe(at, &counts));
            if let Some(step) = step {
                let settled = words([step.agents]);
                self.line(at, "step", &format!("settled at {settled} (idle/busy)"));
            }
        }
        let pool = self.pools.get_opt(POOL).await?;
        self.pool_is_there = pool.is_some();
        self.status = pool.and_then(|pool| pool.status);
        self.tell_status();
        // What the API server says came later, of times that may be earlier.
        self.lines.sort_by_key(|(at, _)| *at);
        for (_, line) in std::mem::take(&mut self.lines) {
            self.screen.line(&line);
        }
        let rows = self.rows();
        self.screen.table(rows);
        Ok(())
    }

    fn tell_world(&mut self, at: Timestamp, counts: &Counts) {
        let text = world(counts);
        if !self.screen.is_live() && text != self.told.world {
            self.line(at, "world", &text);
            self.told.world = text;
        }
    }

    fn tell_status(&mut self) {
        let Some(status) = self.status.take() else { return };
        let mut new: Vec<RecentAction> = status.recent_actions.clone();
        new.retain(|action| !self.told.actions.contains(action));
        // Newest first in the status.
        for action in new.iter().rev() {
            self.line(action.at.0, "action", &action_words(action));
        }
        self.told.actions.clone_from(&status.recent_actions);
        let text = status_words(&status);
        if !self.screen.is_live() && !text.is_empty() && text != self.told.status {
            self.line(self.now, "status", &text);
            self.told.status = text;
        }
        self.status = Some(status);
    }

    fn line(&mut self, at: Timestamp, source: &str, text: &str) {
        self.lines.push((at, format!("{}  {source:<7} {text}", clock(self.since(at)))));
    }

    fn since(&self, at: Timestamp) -> SignedDuration {
        self.begun.last().map_or(SignedDuration::ZERO, |(_, began, _)| at.duration_since(*began))
    }

    fn rows(&self) -> Vec<String> {
        let Counts { busy, idle, starting, recycling, draining, deleting, failed: _, vms: _, queued } =
            *self.ledger.counts();
        let mut rows = vec![
            String::new(),
            format!(
                "{}   simulated {}   {} times as fast, {} s so far",
                self.title,
                clock(self.since(self.now)),
                self.speed,
                self.wall.elapsed().as_secs()
            ),
            row(
                "",
                &["idle", "busy", "starting", "recycling", "leaving", "queued", "running"].map(str::to_owned),
            ),
            row(
                "world (simulator)",
                &[idle, busy, starting, recycling, draining + deleting, queued, busy]
                    .map(|count| count.to_string()),
            ),
        ];
        if let Some(AgentPoolStatus { agents, jobs, decision, recent_actions, .. }) = &self.status {
            let (agents, jobs) = (agents.clone().unwrap_or_default(), jobs.clone().unwrap_or_default());
            rows.push(row(
                "status (API server)",
                &[
                    agents.idle,
                    agents.busy,
                    agents.starting,
                    agents.recycling,
                    agents.draining,
                    jobs.queued,
                    jobs.running,
                ]
                .map(|count| count.to_string()),
            ));
            if let Some(decision) = decision {
                rows.push(format!("decision  {} ({})", decision.message, decision.limited_by));
            }
            if let Some(action) = recent_actions.first() {
                rows.push(format!("action    {} {}", clock(self.since(action.at.0)), action_words(action)));
            }
        }
        if let Some((course, _, steps)) = self.begun.last() {
            rows.push(format!("steps     {steps} of {}", words(course.expected.iter().copied())));
        }
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

fn row(name: &str, cells: &[String; 7]) -> String {
    cells.iter().fold(format!("{name:<20}"), |row, cell| format!("{row}{cell:>10}"))
}

fn world(counts: &Counts) -> String {
    let Counts { busy, idle, starting, recycling, draining, deleting, failed, vms: _, queued } = *counts;
    let mut text = format!("{idle} idle, {busy} busy, {starting} starting, {recycling} recycling");
    for (count, what) in
        [(draining, "draining"), (deleting, "being deleted"), (failed, "failed"), (queued, "jobs waiting")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

fn status_words(status: &AgentPoolStatus) -> String {
    let mut parts = Vec::new();
    if let Some(agents) = &status.agents {
        parts.push(format!(
            "{} idle, {} busy, {} starting, {} recycling, {} draining",
            agents.idle, agents.busy, agents.starting, agents.recycling, agents.draining
        ));
    }
    if let Some(jobs) = &status.jobs {
        parts.push(format!("jobs {} queued, {} running", jobs.queued, jobs.running));
    }
    if let Some(decision) = &status.decision {
        parts.push(format!("wants {}: {}", decision.desired, decision.message));
        if decision.limited_by != "Nothing" {
            parts.push(format!("limited by {}", decision.limited_by));
        }
    }
    let failing = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Stalled" || condition.type_ == "Holding");
    parts.extend(
        failing.map(|condition| format!("{} ({}): {}", condition.type_, condition.reason, condition.message)),
    );
    parts.join("; ")
}

fn action_words(action: &RecentAction) -> String {
    let RecentAction { at: _, action, binding, count, result, message } = action;
    format!("{action} {count} on {binding}, {result}: {message}")
}

/// `h:mm:ss`
pub(crate) fn clock(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(SignedDuration::from_secs(3 * 3600 + 62)), "3:01:02");
        assert_eq!(clock(SignedDuration::from_secs(-1)), "0:00:00");
    }

    #[test]
    fn a_status_agrees_only_if_every_count_does() {
        let truth = Counts { idle: 2, busy: 1, vms: 3, ..Counts::default() };
        let published = AgentCounts { idle: 2, busy: 1, total: 3, ..AgentCounts::default() };
        assert!(agrees(&published, &truth));
        assert!(!agrees(&AgentCounts { total: 4, ..published.clone() }, &truth));
        assert!(!agrees(&AgentCounts { recycling: 1, ..published }, &truth));
    }

    #[test]
    fn the_world_names_only_what_is_there() {
        let counts = Counts { idle: 2, deleting: 1, ..Counts::default() };
        assert_eq!(world(&counts), "2 idle, 0 busy, 0 starting, 0 recycling, 1 being deleted");
    }
}
