//! `make demo`: from nothing to a pool at work, and the worked example of Azure's documentation under both strategies
//! and on both kinds of scale sets.

mod course;
mod show;
mod summary;
mod track;
mod words;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use poolkeeper_harness::quickstart::ExampleWorld;
use poolkeeper_harness::stage::{Stage, interrupted};
use poolkeeper_harness::table::Screen;

use course::Act;
use show::Show;

/// Shows poolkeeper at work, against a real API server and simulated clouds; nothing is left running.
///
/// A pool of at most four agents, two of which stand by, gets one job of 20 minutes. Succeeds only if each pool settles
/// at exactly the expected steps and no job is killed.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// Which strategies to show.
    #[arg(long, env = "ACT", value_enum, default_value_t = Strategies::Both)]
    act: Strategies,
    /// Simulated seconds per second.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    speed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Strategies {
    /// Azure DevOps' own: steps of a percentage of the maximum, sampled every five minutes.
    Elastic,
    /// poolkeeper's default: what is missing, at once. On a Uniform and a Flexible scale set at the same time.
    Exact,
    /// One after the other.
    Both,
}

/// Every run takes the same course.
const SEED: u64 = 1;

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

async fn run(Arguments { act, speed }: Arguments) -> Result<()> {
    let began = Instant::now();
    let acts: &[Act] = match act {
        Strategies::Elastic => &[Act::ELASTIC_POOL],
        Strategies::Exact => &[Act::EXACT],
        Strategies::Both => &[Act::ELASTIC_POOL, Act::EXACT],
    };
    let mut screen = Screen::new();
    let world = ExampleWorld::read()?.with_flexible()?;
    let stage = Stage::start(world, SEED, speed, |line| screen.line(line)).await?;
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
