//! `make limits`: 300 scale sets under one subscription against Azure's limits of calls, and a storm of 429 on one of
//! them.

mod calls;
mod fleet;
mod load;
mod record;
mod report;
mod run;

use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;
use poolkeeper_harness::stage::{Stage, interrupted};

use report::Report;
use run::Run;

/// Measures calls a minute against Azure's documented limits, with the real operator, a real API server and simulated
/// clouds that enforce the limits.
///
/// 10 pools with 30 scale sets each, half of which get jobs. After a calm part, Azure answers every call of one scale
/// set with 429. Succeeds only if no limit is used beyond 75 %, no call is refused but in that storm, and no job is
/// killed.
#[derive(Debug, Parser)]
#[command(name = "limits", version)]
struct Arguments {
    /// Simulated minutes of the calm, and of the storm.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=600))]
    minutes: i64,
    /// Simulated minutes with jobs before the calm.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(i64).range(0..=600))]
    warm_up: i64,
    /// Simulated seconds between two jobs of one image, in the mean.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(i64).range(30..=3600))]
    every: i64,
    /// Simulated seconds per second.
    #[arg(long, env = "SPEED", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=200))]
    speed: u32,
}

/// Every run has the same jobs.
const SEED: u64 = 1;

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run(Arguments::parse()) => result,
        () = interrupted() => Err(anyhow!("interrupted; nothing is left running")),
    };
    match result {
        Ok(faults) if faults.is_empty() => ExitCode::SUCCESS,
        Ok(faults) => {
            eprintln!("limits: {}", faults.join("; "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("limits: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is wrong.
async fn run(arguments: Arguments) -> Result<Vec<String>> {
    let Arguments { minutes, warm_up, every, speed } = arguments;
    let say = |line: &str| println!("{line}");
    let stage = Stage::start_with(fleet::world()?, &fleet::values(), SEED, speed, say).await?;
    let mut run = Run::new(stage, speed, say);
    let report: Result<Report> = run.play(minutes, warm_up, every).await;
    let faults = match &report {
        Ok(report) => {
            println!("\n{report}");
            report.faults()
        }
        Err(_) => Vec::new(),
    };
    if (report.is_err() || !faults.is_empty())
        && let Ok(folder) = run.stage().keep_logs().await
    {
        println!("logs: {}", folder.display());
    }
    report.map(|_| faults)
}
