//! The third act: the quickstart on both kinds of scale sets, while everything goes wrong that the simulator can let go
//! wrong, and the operator is killed again and again.

mod fault;
mod report;
mod scene;
mod score;
mod script;

use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::SignedDuration;
use poolkeeper_harness::quickstart::{Example, FLEXIBLE, QUICKSTART};
use poolkeeper_harness::stage::Stage;
use poolkeeper_harness::table::Screen;
use serde_json::json;

use crate::words::names;
use report::Report;
use scene::Scene;

/// Both, at the same time.
const EXAMPLES: [Example; 2] = [QUICKSTART, FLEXIBLE];
/// What the lines of each begin with.
const ORCHESTRATIONS: [&str; 2] = ["Uniform", "Flexible"];
/// The first standby.
const FIRST: SignedDuration = SignedDuration::from_mins(45);
/// Everything is well again: an hour's back-off of a growth, a job's lock, and a VM's start.
const RECOVERY: SignedDuration = SignedDuration::from_mins(150);
/// Nothing is left of two pools without jobs.
const DRAIN: SignedDuration = SignedDuration::from_mins(60);
/// Shorter than the default, so that the end is seen.
const IDLE_DELAY: &str = "5m";

/// How it is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chaos {
    pub(crate) seed: u64,
    pub(crate) speed: u32,
    /// Wall time of the faults.
    pub(crate) length: Duration,
}

/// Plays it, and prints what was thrown and what was lost; fails if anything was lost by our fault.
pub(crate) async fn play(stage: Stage, screen: Screen, chaos: Chaos, began: Instant) -> Result<()> {
    let mut scene = Scene::new(stage, screen, chaos).await?;
    let played = course(&mut scene, chaos).await;
    scene.screen.clear();
    let report = Report::of(&mut scene, played, began).await;
    for line in report.lines() {
        scene.screen.line(&line);
    }
    let result = report.verdict();
    if result.is_err()
        && let Ok(folder) = scene.stage.keep_logs().await
    {
        scene.screen.line(&format!("logs: {}", folder.display()));
    }
    result
}

async fn course(scene: &mut Scene, chaos: Chaos) -> Result<()> {
    let Chaos { seed, speed, length } = chaos;
    scene.screen.line("");
    scene
        .screen
        .line(&format!("== chaos: {} s of faults at {speed} times the speed, seed {seed}", length.as_secs()));
    let spec = json!({"scaleIn": {"idleDelay": IDLE_DELAY}});
    let (_, said) = scene.stage.apply_examples(&EXAMPLES, &spec).await?;
    let folders = names(EXAMPLES.map(|example| example.folder), "/ -f examples/");
    scene
        .screen
        .line(&format!("$ kubectl apply -f examples/{folders}/     (scaleIn.idleDelay {IDLE_DELAY})"));
    scene.screen.line(&said);
    scene.until_well(FIRST).await?;

    scene.note("step", "both pools stand by: the faults begin");
    scene.storm(&script::throws(seed, length, EXAMPLES.len()), length).await?;
    scene.calm().await?;
    scene.note("step", "the faults are over: now everything must become well by itself");
    scene.until_well(RECOVERY).await?;
    scene.keep_conditions();

    let pools = EXAMPLES.map(|example| example.pool);
    scene.screen.line(&format!("$ kubectl delete agentpool {}", pools.join(" ")));
    let delete = ["delete", "agentpool", "--wait=false"].into_iter().chain(pools).collect::<Vec<_>>();
    let said = scene.stage.kubectl(&delete).await?;
    scene.screen.line(&said);
    scene.until_empty(DRAIN).await
}
