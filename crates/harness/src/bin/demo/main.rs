//! `make demo`: from nothing to a pool at work, and the worked example of Azure's documentation under both strategies.

mod course;
mod show;
mod summary;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clap::{Parser, ValueEnum};
use poolkeeper_harness::quickstart::ExampleWorld;
use poolkeeper_harness::stage::{Stage, interrupted};
use poolkeeper_harness::table::Screen;

use course::Course;
use show::Show;

/// Shows poolkeeper at work, against a real API server and simulated clouds; nothing is left running.
///
/// A pool of at most four agents, two of which stand by, gets one job of 20 minutes. Succeeds only if the pool settles
/// at exactly the expected steps and no job is killed.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Arguments {
    /// Which strategies to show.
    #[arg(long, env = "ACT", value_enum, default_value_t = Act::Both)]
    act: Act,
    /// Simulated seconds per second.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=300))]
    speed: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Act {
    /// Azure DevOps' own: steps of a percentage of the maximum, sampled every five minutes.
    Elastic,
    /// poolkeeper's default: what is missing, at once.
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
    let courses: &[Course] = match act {
        Act::Elastic => &[Course::ELASTIC_POOL],
        Act::Exact => &[Course::EXACT],
        Act::Both => &[Course::ELASTIC_POOL, Course::EXACT],
    };
    let mut screen = Screen::new();
    let stage = Stage::start(ExampleWorld::read()?, SEED, speed, |line| screen.line(line)).await?;
    let mut show = Show::new(stage, screen, speed).await?;
    let played = course::play(&mut show, courses).await;
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
