//! Random worlds one after the other until so many jobs have run; exits with 1 where one was killed, a machine was
//! lost, or there were more than the maximum.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Instant,
};

use clap::Parser;
use poolkeeper_proof::{Show, Sums, Verdict};

/// Jobs of a short world.
const SHORT: u32 = 60;
/// So many jobs lie between two lines.
const PROGRESS: u64 = 100_000;

/// Simulated jobs under random faults, with a scheduler that assigns at the worst moment.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Args {
    /// So many jobs, at least.
    #[arg(long, env = "JOBS", default_value_t = 1_000_000)]
    jobs: u64,
    /// The first seed; each world has its own.
    #[arg(long, env = "SEED", default_value_t = 1)]
    seed: u64,
    /// Jobs of one world.
    #[arg(long, default_value_t = 2_000)]
    each: u32,
    /// After these, so many worlds of 60 jobs: in a short life its beginning and its end weigh more.
    #[arg(long, env = "WORLDS", default_value_t = 0)]
    worlds: u64,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Stops at the first finding.
    #[arg(long)]
    first: bool,
    /// Prints everything that happens.
    #[arg(long)]
    trace: bool,
}

/// When it is enough.
#[derive(Clone, Copy)]
enum Goal {
    Jobs(u64),
    Worlds(u64),
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let began = Instant::now();
    let (mut sums, mut worlds) = play(&args, args.each, Goal::Jobs(args.jobs), began)?;
    let stops = args.first && !sums.findings.is_empty();
    if args.worlds > 0 && !stops {
        let (more, short) = play(&args, SHORT, Goal::Worlds(args.worlds), began)?;
        sums.add(more);
        worlds += short;
    }
    report(&sums, worlds, began.elapsed().as_secs_f64());
    Ok(if sums.verdict == Verdict::default() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One world after the other, with `each` jobs; what they come to, and how many they were.
fn play(args: &Args, each: u32, goal: Goal, began: Instant) -> anyhow::Result<(Sums, u64)> {
    let (next, done, stopped) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let work = || -> anyhow::Result<Sums> {
        let mut sums = Sums::default();
        loop {
            let world = next.fetch_add(1, Ordering::Relaxed);
            let enough = match goal {
                Goal::Jobs(jobs) => done.load(Ordering::Relaxed) >= jobs,
                Goal::Worlds(worlds) => world >= worlds,
            };
            if enough || stopped.load(Ordering::Relaxed) {
                next.fetch_sub(1, Ordering::Relaxed);
                return Ok(sums);
            }
            let played = Show { trace: args.trace, ..Show::full(args.seed + world, each) }.play()?;
            let before = done.fetch_add(played.finished, Ordering::Relaxed);
            for finding in &played.findings {
                println!("{finding}");
            }
            if args.first && !played.findings.is_empty() {
                stopped.store(true, Ordering::Relaxed);
            }
            if (before + played.finished) / PROGRESS > before / PROGRESS {
                println!(
                    "{} jobs in worlds of {each}, {:.0} s",
                    before + played.finished,
                    began.elapsed().as_secs_f64()
                );
            }
            sums.add(played);
        }
    };
    let mut sums = Sums::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..args.threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            match worker.join() {
                Ok(played) => sums.add(played?),
                Err(_) => anyhow::bail!("a world has panicked"),
            }
        }
        Ok(())
    })?;
    Ok((sums, next.into_inner()))
}

fn report(sums: &Sums, worlds: u64, seconds: f64) {
    let faults: Vec<String> =
        sums.faults.iter().map(|(hazard, count)| format!("{hazard:?} {count}")).collect();
    println!("faults: {}", faults.join(", "));
    let days = sums.time.as_secs() / 86_400;
    println!(
        "{worlds} worlds, {days} simulated days, {} passes, {} crashes, {seconds:.0} s",
        sums.passes, sums.crashes
    );
    println!(
        "{} destructive calls accepted, {} jobs given to just the agent that a deed was about, {} jobs lost to evictions, restarts and persons",
        sums.destructive, sums.hits, sums.lost_to_others
    );
    println!(
        "the remaining window (an agent registers between the last list and the end of its VM) was open {} times, {} times with a job",
        sums.window_open, sums.window_jobs
    );
    println!("{} records are left of VMs that went without us", sums.ghosts);
    let Verdict { killed, leaked, over, mistaken } = sums.verdict;
    if mistaken > 0 {
        println!("{mistaken} calls took another VM than was meant");
    }
    println!("jobs {}, killed {killed}, leaked {leaked}, over maximum {over}", sums.finished);
}
