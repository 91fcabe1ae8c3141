//! What happens, as it happens: all courses of an act at once.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::quickstart::NAMESPACE;
use poolkeeper_harness::stage::Stage;
use poolkeeper_harness::table::Screen;

use crate::course::{Course, Cue, JOB};
use crate::track::{Line, Track};
use crate::words::{clock, row};

/// Often enough to look alive; the journal loses nothing in between.
const LOOK: Duration = Duration::from_millis(100);
/// What the operator's claim on a scale set looks like.
const CLAIM_TAG: &str = "poolkeeper";

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
    title: String,
    /// The number of the last change in the simulator's journal that was read.
    read: u64,
    tracks: Vec<Track>,
    /// The first track of this act.
    first: usize,
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
            title: String::new(),
            read: 0,
            tracks: Vec::new(),
            first: 0,
        })
    }

    /// An act begins; its times count from now on.
    pub(crate) async fn begin(&mut self, title: String, courses: &[Course]) -> Result<()> {
        self.now = self.stage.control.now().await?;
        self.title = title;
        self.first = self.tracks.len();
        self.tracks.extend(courses.iter().map(|course| Track::new(*course, self.now)));
        // The world before the pools exist is the first step.
        self.look().await
    }

    /// From now on each pool of this act wants so many idle agents.
    pub(crate) fn pools_exist(&mut self, standby: u32) {
        for track in self.tracks.iter_mut().skip(self.first) {
            track.pool_exists(standby);
        }
    }

    /// The courses of this act.
    pub(crate) fn current(&self) -> impl Iterator<Item = &Track> {
        self.tracks.iter().skip(self.first)
    }

    /// The courses of all acts so far.
    pub(crate) fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    /// Jobs whose machine was taken away.
    pub(crate) fn killed(&self) -> u64 {
        self.tracks.iter().map(|track| track.jobs().1).sum()
    }

    /// Jobs that ran to their end.
    pub(crate) fn finished(&self) -> u64 {
        self.tracks.iter().map(|track| track.jobs().0).sum()
    }

    /// A line with the time.
    pub(crate) fn note(&mut self, text: &str) {
        let line = format!("{}  {text}", clock(self.since_start(self.now)));
        self.screen.line(&line);
    }

    /// Waits until every course of this act has been played to its end.
    pub(crate) async fn until_played(&mut self) -> Result<()> {
        loop {
            self.look().await?;
            let mut is_played = true;
            for index in self.first..self.tracks.len() {
                is_played &= self.advance(index).await?;
            }
            if is_played {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether that course has been played.
    async fn advance(&mut self, index: usize) -> Result<bool> {
        let Some(track) = self.tracks.get_mut(index) else { return Ok(true) };
        let (example, orchestration) = (track.course.example, track.course.orchestration);
        let cue = track.cue();
        match cue {
            None => {
                track.advance(self.now, None)?;
                return Ok(true);
            }
            Some(Cue::Step { .. }) => track.advance(self.now, None)?,
            Some(Cue::Published) => {
                let binding = self.bindings.get_opt(example.binding).await?;
                track.advance(self.now, binding.as_ref())?;
            }
            Some(Cue::Job) => {
                self.stage.control.queue_job(example.pool, JOB, None).await?;
                track.advance(self.now, None)?;
                self.note(&format!("{orchestration:<8}  one job of {} minutes is queued", JOB.as_mins()));
            }
        }
        Ok(false)
    }

    /// Waits until nothing is left of the pools of this act.
    pub(crate) async fn until_drained(&mut self, within: SignedDuration) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let sets = self.stage.control.scale_sets().await?;
            let mut left = Vec::new();
            for track in self.current() {
                let example = track.course.example;
                let Some(set) = sets.iter().find(|set| set.name == example.scale_set) else { continue };
                let claimed = set.tags.keys().any(|tag| tag.starts_with(CLAIM_TAG));
                if track.pool_is_there || set.vms() > 0 || set.capacity > 0 || claimed {
                    left.push(format!(
                        "AgentPool {} {}, {} VMs, capacity {}, claim {}",
                        example.pool,
                        if track.pool_is_there { "still there" } else { "gone" },
                        set.vms(),
                        set.capacity,
                        if claimed { "still there" } else { "released" },
                    ));
                }
            }
            if left.is_empty() {
                return Ok(());
            }
            if self.now >= deadline {
                bail!("not drained within {} simulated minutes: {}", within.as_mins(), left.join("; "));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Takes up what has changed, and shows it.
    async fn look(&mut self) -> Result<()> {
        self.stage.check_operator()?;
        // The time first: everything up to it is then in the journal.
        self.now = self.stage.control.now().await?;
        let entries = self.stage.control.journal(self.read).await?;
        self.read = entries.last().map_or(self.read, |entry| entry.seq);
        let is_live = self.screen.is_live();
        let mut lines: Vec<(&'static str, Line)> = Vec::new();
        for track in self.tracks.iter_mut().skip(self.first) {
            let pool = self.pools.get_opt(track.course.example.pool).await?;
            let seen = track.read(&entries, self.now, is_live);
            let said = track.take(pool, self.now, is_live);
            lines.extend(seen.into_iter().chain(said).map(|line| (track.course.orchestration, line)));
        }
        // What the API server says came later, of times that may be earlier.
        lines.sort_by_key(|(_, line)| line.at);
        for (of, Line { at, source, text }) in lines {
            let at = clock(self.since_start(at));
            self.screen.line(&format!("{at}  {of:<8}  {source:<6}  {text}"));
        }
        let rows = self.rows();
        self.screen.table(rows);
        Ok(())
    }

    /// Since the act began.
    fn since_start(&self, at: Timestamp) -> SignedDuration {
        at.duration_since(self.current().next().map_or(self.started, |track| track.began))
    }

    fn rows(&self) -> Vec<String> {
        let mut rows = vec![
            String::new(),
            format!(
                "{}   simulated {}   {} times as fast, {} s so far",
                self.title,
                clock(self.since_start(self.now)),
                self.speed,
                self.wall.elapsed().as_secs()
            ),
            row(
                "",
                &["idle", "busy", "starting", "recycling", "leaving", "queued", "running"].map(str::to_owned),
            ),
        ];
        for track in self.current() {
            rows.extend(track.rows(|at| clock(self.since_start(at))));
        }
        rows
    }
}
