//! Runs the checker, and says what it has covered.

use std::{
    fmt,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use stateright::{Checker, Model};

use crate::{
    model::{Loop, Step},
    variant::Variant,
};

/// How far the checker goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// At most so many steps from the start.
    pub depth: Option<usize>,
    /// At most so long.
    pub time: Option<Duration>,
    /// Threads; 0: one.
    pub threads: usize,
    /// Follows each way to its end, or `depth`, before the next: where not all states can be seen, those far from the
    /// start are.
    pub deep: bool,
}

/// What was covered and found.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the variant.
    pub name: &'static str,
    /// Different states.
    pub unique: usize,
    /// Steps taken, into known states too.
    pub total: usize,
    /// The longest way.
    pub depth: usize,
    /// Every reachable state was seen.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// States in which the window that remains of rule 3 is open.
    pub open: u64,
    /// Steps that lost a job through it.
    pub lost: u64,
    /// States that were followed until everything was as wanted.
    pub followed: u64,
    /// Properties that do not hold, each with the steps to a state that shows it.
    pub found: Vec<(&'static str, Vec<Step>)>,
}

/// Explores a variant.
#[must_use]
pub fn explore(variant: Variant, bounds: Bounds) -> Report {
    let name = variant.name;
    let started = Instant::now();
    let mut builder = Loop::new(variant).checker().threads(bounds.threads.max(1));
    if let Some(depth) = bounds.depth {
        builder = builder.target_max_depth(depth);
    }
    if let Some(time) = bounds.time {
        builder = builder.timeout(time);
    }
    if bounds.deep {
        report(name, bounds, started, &builder.spawn_dfs().join())
    } else {
        report(name, bounds, started, &builder.spawn_bfs().join())
    }
}

fn report(name: &'static str, bounds: Bounds, started: Instant, checker: &impl Checker<Loop>) -> Report {
    let (model, took) = (checker.model(), started.elapsed());
    let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (open, lost, followed) = (read(&model.open), read(&model.lost), read(&model.followed));
    let mut found: Vec<_> =
        checker.discoveries().into_iter().map(|(name, path)| (name, path.into_actions())).collect();
    found.sort_by_key(|(name, _)| *name);
    let depth = checker.max_depth();
    Report {
        name,
        unique: checker.unique_state_count(),
        total: checker.state_count(),
        depth,
        complete: bounds.depth.is_none_or(|most| depth < most) && bounds.time.is_none_or(|most| took < most),
        took,
        open,
        lost,
        followed,
        found,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, unique, total, depth, complete, took, open, lost, followed, found } = self;
        let whole = if *complete { "all states" } else { "as far as the bounds let it" };
        write!(
            f,
            "{name}: {unique} states, {total} steps, depth {depth}, {:.1} s ({whole}); window open in {open} states, \
             {lost} steps lose a job through it; {followed} states followed to the end",
            took.as_secs_f64()
        )?;
        for (property, steps) in found {
            write!(f, "\n  NOT: {property}; {} steps: {steps:?}", steps.len())?;
        }
        Ok(())
    }
}
