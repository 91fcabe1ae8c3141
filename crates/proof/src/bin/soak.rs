//! Random worlds one after the other until so many jobs have run; exits with 1 where one was killed, a machine was
//! lost, or there were more than the maximum.

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Instant,
};

use clap::Parser;
use poolkeeper_proof::{Show, Sums, Verdict};

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

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let began = Instant::now();
    let (next, done) = (AtomicU64::new(args.seed), AtomicU64::new(0));
    let work = || -> anyhow::Result<Sums> {
        let mut sums = Sums::default();
        while done.load(Ordering::Relaxed) < args.jobs {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let played = Show { trace: args.trace, ..Show::full(seed, args.each) }.play()?;
            let before = done.fetch_add(played.finished, Ordering::Relaxed);
            for finding in &played.findings {
                println!("{finding}");
            }
            let stop = args.first && !played.findings.is_empty();
            if (before + played.finished) / 100_000 > before / 100_000 {
                println!("{} jobs, {:.0} s", before + played.finished, began.elapsed().as_secs_f64());
            }
            sums.add(played);
            if stop {
                done.store(args.jobs, Ordering::Relaxed);
            }
        }
        Ok(sums)
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
    report(&sums, next.into_inner() - args.seed, began.elapsed().as_secs_f64());
    Ok(if sums.verdict == Verdict::default() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
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
