//! What became of the jobs, and what it cost.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Replay;
use crate::control::Tally;
use crate::ledger::{Ledger, VmTime};

/// What a replay has measured. Times are simulated unless they say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Jobs that were to run.
    pub jobs: usize,
    /// Jobs that ran to their end.
    pub finished: u64,
    /// Jobs whose machine was taken away.
    pub killed: u64,
    /// From queue to assignment.
    pub waits: Waits,
    /// VM time, in all and by what it was good for.
    pub vm_time: VmTime,
    /// The most VMs at one time.
    pub peak_vms: u32,
    /// Calls to both clouds.
    pub calls: Vec<CallRate>,
    /// From the start to the end of what was measured.
    pub span: SignedDuration,
    /// Wall time, the first standby included.
    pub wall: Duration,
    /// What the operator needed, where the system tells.
    pub operator: Option<OperatorUsage>,
}

/// How long jobs waited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waits {
    /// The mean.
    pub mean: SignedDuration,
    /// The median.
    pub p50: SignedDuration,
    /// The 95th percentile.
    pub p95: SignedDuration,
    /// The 99th percentile.
    pub p99: SignedDuration,
    /// The longest.
    pub max: SignedDuration,
}

/// Calls of one class.
#[derive(Debug, Clone, PartialEq)]
pub struct CallRate {
    /// Azure, Entra or Azure DevOps.
    pub service: &'static str,
    /// The class, as the simulator names it.
    pub call: String,
    /// Since the start.
    pub total: u64,
    /// The mean of a simulated minute.
    pub mean_per_minute: f64,
    /// The most in one simulated minute, the time before the start included.
    pub max_per_minute: u32,
}

/// What the operator's process has used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorUsage {
    /// CPU time, user and system, since its start.
    pub cpu: Duration,
    /// The most memory that it held.
    pub peak_rss_bytes: u64,
}

impl Report {
    pub(super) fn new(
        replay: &Replay,
        ledger: &Ledger,
        start: Timestamp,
        end: Timestamp,
        (before, after): (&Tally, &Tally),
        wall: Duration,
        operator: Option<OperatorUsage>,
    ) -> Self {
        let span = end.duration_since(start);
        Self {
            jobs: replay.jobs.len(),
            finished: ledger.succeeded(),
            killed: ledger.killed(),
            waits: Waits::of(ledger.waits()),
            vm_time: ledger.vm_time(),
            peak_vms: ledger.peak(),
            calls: rates(before, after, span),
            span,
            wall,
            operator,
        }
    }

    /// Whether all jobs have finished, and none was killed.
    #[must_use]
    pub fn passed(&self) -> bool {
        u64::try_from(self.jobs) == Ok(self.finished) && self.killed == 0
    }
}

impl Waits {
    /// In any order; zero if there are none.
    #[must_use]
    pub fn of(waits: &[SignedDuration]) -> Self {
        let mut sorted = waits.to_vec();
        sorted.sort_unstable();
        let sum = sorted.iter().fold(SignedDuration::ZERO, |sum, wait| sum.saturating_add(*wait));
        let count = i32::try_from(sorted.len()).unwrap_or(i32::MAX).max(1);
        let at = |percent| percentile(&sorted, percent).unwrap_or_default();
        Self { mean: sum / count, p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }
}

/// The smallest value that at least `percent` of the values do not exceed (nearest rank). `sorted` is ascending.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let rank = (sorted.len() * percent.min(100)).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

fn rates(before: &Tally, after: &Tally, span: SignedDuration) -> Vec<CallRate> {
    let minutes = (span.as_secs_f64() / 60.0).max(1.0);
    let mut rates: Vec<CallRate> = after
        .calls
        .iter()
        .map(|(call, count)| {
            let total = count.total.saturating_sub(before.calls.get(call).map_or(0, |before| before.total));
            CallRate {
                service: service(call),
                call: call.clone(),
                total,
                mean_per_minute: total as f64 / minutes,
                max_per_minute: count.max_per_minute,
            }
        })
        .collect();
    rates.sort_by(|one, other| (one.service, &one.call).cmp(&(other.service, &other.call)));
    rates
}

/// Which service a class of the simulator's calls belongs to.
#[must_use]
pub fn service(call: &str) -> &'static str {
    match call {
        "token" => "Entra",
        "poolGet" | "agentGet" | "requestGet" | "agentWrite" | "devOpsOther" => "Azure DevOps",
        _ => "Azure",
    }
}

impl OperatorUsage {
    /// From `/proc`; none on systems without it.
    #[must_use]
    pub fn of_process(id: u32) -> Option<Self> {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}")).ok();
        Some(Self { cpu: cpu(&read("stat")?)?, peak_rss_bytes: peak_rss(&read("status")?)? })
    }
}

/// `utime` and `stime` of proc(5), fields 14 and 15, in ticks of 10 ms on every Linux that Rust runs on.
fn cpu(stat: &str) -> Option<Duration> {
    // The second field may have blanks and brackets itself.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 10))
}

fn peak_rss(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, finished, killed, waits, vm_time, peak_vms, calls, span, wall, operator } = self;
        let seconds = |duration: SignedDuration| duration.as_secs_f64();
        let hours = |duration: SignedDuration| duration.as_secs_f64() / 3600.0;
        writeln!(f, "jobs      {jobs}, finished {finished}, killed {killed}")?;
        let Waits { mean, p50, p95, p99, max } = *waits;
        writeln!(
            f,
            "waits     mean {:.1} s, p50 {:.1} s, p95 {:.1} s, p99 {:.1} s, max {:.1} s",
            seconds(mean),
            seconds(p50),
            seconds(p95),
            seconds(p99),
            seconds(max)
        )?;
        let rest = vm_time.total - vm_time.busy - vm_time.idle;
        writeln!(
            f,
            "VM-hours  {:.1}: {:.1} busy, {:.1} idle, {:.1} starting, recycling or leaving; at most {peak_vms} VMs",
            hours(vm_time.total),
            hours(vm_time.busy),
            hours(vm_time.idle),
            hours(rest)
        )?;
        writeln!(f, "calls a simulated minute      mean    max   total")?;
        for CallRate { service, call, total, mean_per_minute, max_per_minute } in calls {
            writeln!(f, "  {service:<12} {call:<15}{mean_per_minute:>6.2} {max_per_minute:>6} {total:>7}")?;
        }
        if let Some(OperatorUsage { cpu, peak_rss_bytes }) = operator {
            let megabytes = *peak_rss_bytes as f64 / 1e6;
            writeln!(f, "operator  {:.1} s of CPU, at most {megabytes:.0} MB", cpu.as_secs_f64())?;
        }
        write!(f, "time      {:.1} simulated hours in {:.0} s", hours(*span), wall.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::control::CallCount;

    #[test]
    fn percentiles_are_values_that_came() {
        let values: Vec<u32> = (1..=200).collect();
        let at = |percent| percentile(&values, percent);
        assert_eq!(
            (at(0), at(50), at(95), at(99), at(100)),
            (Some(1), Some(100), Some(190), Some(198), Some(200))
        );
        assert_eq!(percentile(&[7], 50), Some(7));
        assert_eq!(percentile::<u32>(&[], 50), None);
    }

    #[test]
    fn waits_may_come_in_any_order() {
        let seconds = SignedDuration::from_secs;
        let waits = Waits::of(&[seconds(30), seconds(0), seconds(60)]);
        assert_eq!((waits.mean, waits.p50, waits.max), (seconds(30), seconds(30), seconds(60)));
        assert_eq!(Waits::of(&[]), Waits::default());
    }

    #[test]
    fn calls_before_the_start_do_not_count() {
        let tally = |total| Tally {
            calls: BTreeMap::from([(
                "instanceList".into(),
                CallCount { total, max_per_minute: 6, ..CallCount::default() },
            )]),
        };
        let rates = rates(&tally(20), &tally(80), SignedDuration::from_mins(60));
        let expected = CallRate {
            service: "Azure",
            call: "instanceList".into(),
            total: 60,
            mean_per_minute: 1.0,
            max_per_minute: 6,
        };
        assert_eq!(rates, [expected]);
    }

    #[test]
    fn a_process_is_read_from_proc() {
        let stat = "42 (pool (keeper)) S 1 1 1 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 8 0 1 2 3";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
        assert_eq!(peak_rss("Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t 1 kB\n"), Some(2 << 20));
        assert_eq!(cpu("42 (x"), None);
    }

    #[test]
    fn a_report_passes_only_if_every_job_finished() {
        let replay = Replay::synthetic_hour(1, 0);
        let start = Timestamp::UNIX_EPOCH;
        let tally = Tally::default();
        let report =
            Report::new(&replay, &Ledger::default(), start, start, (&tally, &tally), Duration::ZERO, None);
        assert!(report.passed());
        assert!(!Report { jobs: 1, ..report.clone() }.passed());
        assert!(!Report { killed: 1, ..report }.passed());
    }
}
