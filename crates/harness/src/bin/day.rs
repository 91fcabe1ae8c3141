//! `make day`: one day of a job trace through the real operator, at 200 times the speed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use jiff::SignedDuration;
use jiff::civil::Date;
use poolkeeper_harness::replay::{Replay, Report};
use poolkeeper_harness::stage::{Stage, interrupted};
use poolkeeper_harness::trace;

/// Replays one day of a job trace against simulated clouds, with the real operator and a real API server.
///
/// The pool has strategy Exact, and reimages its agents after each job. Succeeds only if every job finished and none
/// was killed.
#[derive(Debug, Parser)]
#[command(name = "day", version)]
struct Arguments {
    /// The trace: CSV, plain or with gzip, with the columns arrival_unix_s and duration_s, and pool where --pool is
    /// used.
    trace: PathBuf,
    /// The day, in UTC; the first whole one from Monday to Friday unless given.
    #[arg(long, env = "DAY", value_parser = day)]
    day: Option<Date>,
    /// The jobs of this pool alone.
    #[arg(long, env = "POOL")]
    pool: Option<String>,
    /// Idle agents that stand by.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=10_000))]
    standby: u32,
    /// The most VMs.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    max_agents: u32,
    /// Simulated seconds per second.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    speed: u32,
    /// The seed of the simulator.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Jobs that come in the evening end in the night.
const GRACE: SignedDuration = SignedDuration::from_hours(12);

#[tokio::main]
async fn main() -> ExitCode {
    let result = tokio::select! {
        result = run(Arguments::parse()) => result,
        () = interrupted() => Err(anyhow::anyhow!("interrupted; nothing is left running")),
    };
    match result {
        Ok(report) if report.passed() => ExitCode::SUCCESS,
        Ok(Report { jobs, finished, killed, .. }) => {
            eprintln!("day: of {jobs} jobs {finished} finished and {killed} were killed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("day: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<Report> {
    let Arguments { trace: path, day, pool, standby, max_agents, speed, seed } = arguments;
    ensure!(
        standby <= max_agents,
        "--standby must not be above --max-agents; lower it, or raise --max-agents"
    );
    let pool = pool.filter(|pool| !pool.is_empty());
    let jobs = trace::of_pool(trace::read(&path)?, pool.as_deref())?;
    let day = day
        .or_else(|| trace::first_weekday(&jobs))
        .context("the trace has no whole day from Monday to Friday; name one with --day")?;
    let jobs = trace::of_day(&jobs, day);
    ensure!(!jobs.is_empty(), "the trace has no jobs on {day}; name another day with --day");
    let weekday = day.strftime("%A");
    println!("{weekday} {day}: {} jobs; standby {standby}, at most {max_agents} agents", jobs.len());
    let length = SignedDuration::from_hours(24);
    let replay = Replay { jobs, length, grace: GRACE, speed, standby, max_agents, seed };
    let say = |line: &str| println!("{line}");
    let mut stage = replay.stage(say).await?;
    let report = replay.run(&mut stage, say).await;
    match &report {
        Ok(report) if report.passed() => println!("\n{report}"),
        Ok(report) => println!("\n{report}\nlogs      {}", logs(&stage).await),
        Err(_) => eprintln!("logs: {}", logs(&stage).await),
    }
    report
}

async fn logs(stage: &Stage) -> String {
    stage.keep_logs().await.map_or_else(|error| format!("{error:#}"), |folder| folder.display().to_string())
}

fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write the day like 2026-03-27".to_owned())
}
