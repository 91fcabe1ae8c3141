//! `make demo`: from nothing to a pool at work, and the worked example of Azure's documentation under both strategies
//! and on both kinds of scale sets; or both pools under random faults.

mod chaos;
mod course;
mod show;
mod summary;
mod track;
mod words;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use poolkeeper_harness::quickstart::ExampleWorld;
use poolkeeper_harness::stage::{Stage, interrupted};
use poolkeeper_harness::table::Screen;

use chaos::Chaos;
use course::Act;
use show::Show;

/// Shows poolkeeper at work, against a real API server and simulated clouds; nothing is left running.
///
/// A pool of at most four agents, two of which stand by, gets one job of 20 minutes. Succeeds only if each pool settles
/// at exactly the expected steps and no job is killed. With `--act chaos` both pools get jobs for three minutes while
/// everything goes wrong, and nothing may be lost.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// What to show.
    #[arg(long, env = "ACT", value_enum, default_value_t = Play::Both)]
    act: Play,
    /// Simulated seconds per second; unless given 60, and 40 for chaos.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=300))]
    speed: Option<u32>,
    /// Of the world's chances, and of the faults and jobs of chaos.
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
    /// How long chaos throws faults, in seconds.
    #[arg(long, env = "SECONDS_OF_FAULTS", default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Play {
    /// Azure DevOps' own: steps of a percentage of the maximum, sampled every five minutes.
    Elastic,
    /// poolkeeper's default: what is missing, at once. On a Uniform and a Flexible scale set at the same time.
    Exact,
    /// One after the other.
    Both,
    /// Both pools under random faults, with an operator that is killed every 20 s.
    Chaos,
}

/// Simulated seconds per second: a step of the worked example takes a minute at most.
const SPEED: u32 = 60;
/// Of chaos: a restart of the operator is then less than a sample.
const SPEED_OF_CHAOS: u32 = 40;

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run(Arguments::parse()) => result,
        () = interrupted() => Err(anyhow!("interrupted; nothing is left running")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { act, speed, seed, seconds }: Arguments) -> Result<()> {
    let began = Instant::now();
    let acts: &[Act] = match act {
        Play::Elastic => &[Act::ELASTIC_POOL],
        Play::Exact => &[Act::EXACT],
        Play::Both => &[Act::ELASTIC_POOL, Act::EXACT],
        Play::Chaos => &[],
    };
    let is_chaos = act == Play::Chaos;
    let speed = speed.unwrap_or(if is_chaos { SPEED_OF_CHAOS } else { SPEED });
    let mut screen = Screen::new();
    let world = ExampleWorld::read()?.with_flexible()?;
    let stage = Stage::start(world, seed, speed, |line| screen.line(line)).await?;
    if is_chaos {
        let chaos = Chaos { seed, speed, length: Duration::from_secs(seconds) };
        return chaos::play(stage, screen, chaos, began).await;
    }
    let mut show = Show::new(stage, screen, speed).await?;
    let played = course::play(&mut show, acts).await;
    show.screen.clear();
    let summed = summary::show(&mut show, began).await;
    let result = played.and(summed);
    if result.is_err()
        && let Ok(folder) = show.stage.keep_logs().await
    {
        show.screen.line(&format!("logs: {}", folder.display()));
    }
    result
}
