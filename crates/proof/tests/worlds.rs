//! Random worlds by seed: all lifecycles and orchestrations, all faults, crashes, and a scheduler that means harm.
#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use poolkeeper_proof::{Show, Sums, Verdict};

/// Jobs of one world.
const JOBS: u32 = 60;

#[test]
fn no_job_is_killed_and_no_machine_lost_in_any_of_many_worlds() {
    let worlds = std::env::var("WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000_u64);
    let next = AtomicU64::new(1);
    let work = || {
        let mut sums = Sums::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > worlds {
                return sums;
            }
            sums.add(Show::full(seed, JOBS).play().unwrap());
        }
    };
    let mut sums = Sums::default();
    thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().for_each(|worker| sums.add(worker.join().unwrap()));
    });
    println!(
        "{worlds} worlds: {} jobs, {} faults, {} crashes, {} simulated days, window open {} times, {} with a job",
        sums.finished,
        sums.faults.values().sum::<u64>(),
        sums.crashes,
        sums.time.as_secs() / 86_400,
        sums.window_open,
        sums.window_jobs
    );
    let repeat = format!(
        "repeat one with: cargo run -p poolkeeper-proof --bin soak -- --jobs 1 --each {JOBS} --threads 1 --trace --seed N"
    );
    assert_eq!(sums.verdict, Verdict::default(), "{}\n{repeat}", sums.findings.join("\n"));
}
