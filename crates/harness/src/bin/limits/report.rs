//! What has been measured, in words.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use poolkeeper_harness::replay::{OperatorUsage, percentile};

use crate::calls::Row;
use crate::fleet::{ALL_SETS, POOLS};

/// Times are simulated unless they say otherwise.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) rows: Vec<Row>,
    /// Calls that the simulator refused because a limit was reached, ever.
    pub(crate) over_a_limit: u64,
    /// Answers of 429 that the operator had: before the storm, and since.
    pub(crate) refused: [u64; 2],
    /// Scale sets with a VM on its way, in the mean: calm, and in the storm.
    pub(crate) moving: [f64; 2],
    /// Between two reads of a pool's jobs, in the mean: calm, and in the storm.
    pub(crate) sampled: [SignedDuration; 2],
    pub(crate) delays: Vec<Delays>,
    /// Jobs of calm or storm that had not started when the run ended.
    pub(crate) waiting: usize,
    pub(crate) killed: u64,
    /// From the end of the storm to the next write to its scale set that Azure accepted.
    pub(crate) relief: Option<SignedDuration>,
    pub(crate) storm: String,
    pub(crate) speed: u32,
    pub(crate) span: SignedDuration,
    /// Wall time.
    pub(crate) wall: Duration,
    pub(crate) operator: Option<OperatorUsage>,
}

/// Delays of some pools in one part of the run.
#[derive(Debug)]
pub(crate) struct Delays {
    pub(crate) name: &'static str,
    /// In any order.
    pub(crate) delays: Vec<SignedDuration>,
}

/// Of every limit that Azure documents, in percent.
const MOST: f64 = 75.0;
/// Reads of jobs are wanted every 10 s; where they come so much later, the machine is too slow, or the organisation's
/// budget too small.
const LATE: SignedDuration = SignedDuration::from_secs(12);

impl Report {
    /// What is wrong with it.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for row in self.rows.iter().filter(|row| row.is_documented() && row.share() > MOST) {
            let Row { bucket, of, .. } = row;
            faults.push(format!("{bucket} of {of} is above {MOST} % of its limit"));
        }
        if self.over_a_limit > 0 {
            faults.push(format!("{} calls were above a limit", self.over_a_limit));
        }
        let [calm, _] = self.refused;
        if calm > 0 {
            faults.push(format!("{calm} calls were answered with 429 before the storm"));
        }
        if self.killed > 0 {
            faults.push(format!("{} jobs were killed", self.killed));
        }
        if self.relief.is_none() {
            faults.push(format!("{} was not written to after the storm", self.storm));
        }
        faults
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [calm, storm] = self.moving;
        writeln!(
            f,
            "{ALL_SETS} scale sets of one subscription and region, {POOLS} pools; with a VM on its way: {calm:.0} in the mean, in \
             the storm {storm:.0}"
        )?;
        writeln!(f, "\ncalls in the highest minute                 limit  operator         simulator")?;
        for row in &self.rows {
            let share = |calls: Option<u32>| match calls {
                Some(calls) => {
                    format!("{calls:>5} {:>5.1} %", 100.0 * f64::from(calls) / f64::from(row.limit.max(1)))
                }
                None => format!("{:>5} {:>7}", "-", ""),
            };
            let (operator, simulator) = (share(row.operator), share(row.simulator));
            let note = if row.is_documented() { "" } else { "   (configured)" };
            writeln!(
                f,
                "  {:<18} {:<17} {:>10}   {operator}    {simulator}{note}",
                row.bucket, row.of, row.limit
            )?;
        }
        let [before, since] = self.refused;
        writeln!(
            f,
            "answers of 429: {before} before the storm, {since} in it; {} of them because of a limit",
            self.over_a_limit
        )?;
        writeln!(
            f,
            "\nfrom a job's queueing to its start, s            jobs    mean     p50     p95     max"
        )?;
        for Delays { name, delays } in &self.delays {
            let mut sorted = delays.clone();
            sorted.sort_unstable();
            let sum: f64 = sorted.iter().map(SignedDuration::as_secs_f64).sum();
            let mean = sum / sorted.len().max(1) as f64;
            let at = |percent| percentile(&sorted, percent).unwrap_or_default().as_secs_f64();
            let (p50, p95, max) = (at(50), at(95), at(100));
            writeln!(f, "  {name:<44} {:>6} {mean:>7.1} {p50:>7.1} {p95:>7.1} {max:>7.1}", sorted.len())?;
        }
        writeln!(f, "  not started: {}, killed: {}", self.waiting, self.killed)?;
        let relief = self.relief.map_or("none".to_owned(), |relief| format!("{:.0} s", relief.as_secs_f64()));
        writeln!(f, "\nfrom the end of the storm to the next write to {}: {relief}", self.storm)?;
        let [calm, storm] = self.sampled.map(|sampled| sampled.as_secs_f64());
        writeln!(f, "jobs of a pool were read every {calm:.1} s, in the storm {storm:.1} s (wanted: 10 s)")?;
        if self.sampled.iter().any(|sampled| *sampled > LATE) {
            let speed = self.speed;
            writeln!(
                f,
                "this machine may not carry {speed} times the speed: try --speed {}",
                (speed / 2).max(1)
            )?;
        }
        if let Some(OperatorUsage { cpu, peak_rss_bytes }) = self.operator {
            let cores = cpu.as_secs_f64() / self.wall.as_secs_f64().max(1.0);
            let megabytes = peak_rss_bytes as f64 / 1e6;
            writeln!(f, "operator: {cores:.2} cores in the mean, at most {megabytes:.0} MB")?;
        }
        let (minutes, wall) = (self.span.as_secs_f64() / 60.0, self.wall.as_secs());
        write!(f, "time: {minutes:.0} simulated minutes in {wall} s")
    }
}
