//! The end: what was thrown, and what was lost.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, bail};

use super::fault::Fault;
use super::scene::Scene;
use super::score::{Jobs, Left};
use super::{EXAMPLES, ORCHESTRATIONS};
use crate::course::MOST;
use crate::words::clock;

/// Columns of a line.
const WIDTH: usize = 118;
/// Of which so many are for a line's name.
const NAME: usize = 14;

/// The sums.
pub(crate) struct Report {
    lines: Vec<String>,
    /// Each is our fault, or that of this program.
    wrong: Vec<String>,
}

impl Report {
    /// `played`: why the course was not played to its end.
    pub(crate) async fn of(scene: &mut Scene, played: Result<()>, began: Instant) -> Self {
        let mut report = Self { lines: vec![String::new(), "== summary".to_owned()], wrong: Vec::new() };
        report.wrong.extend(played.err().map(|error| format!("{error:#}")));
        report.thrown(&scene.thrown, scene.missed);
        report.jobs(&scene.jobs());
        let peaks: Vec<(&str, u32)> = ORCHESTRATIONS
            .into_iter()
            .zip(&scene.pools)
            .map(|(name, pool)| (name, pool.score.peak()))
            .collect();
        match scene.left().await {
            Ok(left) => report.machines(&left, &peaks, scene.brought()),
            Err(error) => report.wrong.push(format!("the world cannot be read: {error:#}")),
        }
        for ((name, example), pool) in ORCHESTRATIONS.into_iter().zip(EXAMPLES).zip(&scene.pools) {
            let shown = pool.conditions.join(", ");
            report.fact(name, &format!("{}: {shown}", example.pool));
        }
        match scene.stage.panic_of_operator() {
            Ok(None) => {}
            Ok(Some(line)) => report.wrong.push(format!("the operator has panicked: {line}")),
            Err(error) => report.wrong.push(format!("the operator's output cannot be read: {error:#}")),
        }
        let simulated = clock(scene.now.duration_since(scene.began));
        report.fact("time", &format!("{simulated} simulated, {} s in all", began.elapsed().as_secs()));
        let lost = report.wrong.is_empty();
        report.fact("lost", if lost { "nothing" } else { "see below" });
        report
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.clone()
    }

    pub(crate) fn verdict(&self) -> Result<()> {
        if self.wrong.is_empty() {
            return Ok(());
        }
        bail!("{}", self.wrong.join("; "))
    }

    /// A name and its text, broken into lines at blanks.
    fn fact(&mut self, name: &str, text: &str) {
        let mut line = format!("{name:<NAME$}");
        for word in text.split(' ') {
            if line.len() + 1 + word.len() > WIDTH && line.len() > NAME + 1 {
                self.lines.push(std::mem::replace(&mut line, " ".repeat(NAME)));
            }
            line.push(' ');
            line.push_str(word);
        }
        self.lines.push(line);
    }

    fn thrown(&mut self, thrown: &BTreeMap<Fault, u32>, missed: u32) {
        let kills = thrown.get(&Fault::Kill).copied().unwrap_or_default();
        let faults = thrown.values().sum::<u32>() - kills;
        let kinds = thrown.len() - usize::from(kills > 0);
        self.fact(
            "thrown",
            &format!(
                "{faults} faults of {kinds} kinds, {kills} kills of the operator; {missed} more met nothing"
            ),
        );
        let mut groups: BTreeMap<&str, BTreeMap<String, u32>> = BTreeMap::new();
        for (fault, count) in thrown {
            *groups.entry(fault.group()).or_default().entry(fault.name()).or_default() += count;
        }
        for (group, kinds) in groups {
            let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            self.fact(&format!("  {group}"), &kinds.join(", "));
        }
    }

    fn jobs(&mut self, jobs: &Jobs) {
        let Jobs { queued, succeeded, ended, .. } = *jobs;
        let (ours, others, failed) = (jobs.killed_by_us(), jobs.lost_to_others(), jobs.failed());
        self.fact("jobs", &format!("{queued} queued, {succeeded} finished, {ours} killed by poolkeeper"));
        if others > 0 {
            let causes: Vec<String> =
                jobs.worlds.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
            self.fact("", &format!("{others} lost with machines that others took: {}", causes.join(", ")));
        }
        if ours > 0 {
            self.wrong.push(format!("poolkeeper has killed {ours} jobs: {:?}", jobs.ours));
        }
        if failed > 0 {
            self.wrong.push(format!("{failed} jobs ended otherwise: {:?}", jobs.failed));
        }
        if ended < queued {
            self.wrong.push(format!("{} jobs have not ended", queued - ended));
        }
    }

    fn machines(&mut self, left: &Left, peaks: &[(&str, u32)], brought: u32) {
        let Left { vms, records, foreign } = left;
        let most: Vec<String> = peaks.iter().map(|(name, peak)| format!("{name} {peak}")).collect();
        self.fact("VMs", &format!("{} leaked; at most {} of {MOST}", vms.len(), most.join(", ")));
        self.fact(
            "records",
            &format!("{} leaked; agents of others left alone: {foreign} of {brought}", records.len()),
        );
        if !vms.is_empty() {
            self.wrong.push(format!("VMs leaked: {}", vms.join(", ")));
        }
        if !records.is_empty() {
            self.wrong.push(format!("agent records leaked: {}", records.join(", ")));
        }
        if u32::try_from(*foreign) != Ok(brought) {
            self.wrong.push(format!("{foreign} of {brought} agents of others are there"));
        }
        for (name, peak) in peaks.iter().filter(|(_, peak)| *peak > MOST) {
            self.wrong.push(format!("{name}: {peak} VMs at one time, above the maximum of {MOST}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Report {
        Report { lines: Vec::new(), wrong: Vec::new() }
    }

    #[test]
    fn a_job_lost_to_others_is_named_and_no_fault_of_ours() {
        let mut report = empty();
        let worlds = BTreeMap::from([("eviction".to_owned(), 2)]);
        report.jobs(&Jobs { queued: 9, succeeded: 7, ended: 9, worlds, ..Jobs::default() });
        assert!(report.verdict().is_ok());
        assert!(report.lines.iter().any(|line| line.contains("2 lost") && line.contains("eviction 2")));
    }

    #[test]
    fn whatever_is_ours_fails() {
        let ours = BTreeMap::from([("POST delete".to_owned(), 1)]);
        let jobs = |change: fn(&mut Jobs)| {
            let mut report = empty();
            let mut jobs = Jobs { queued: 9, succeeded: 9, ended: 9, ..Jobs::default() };
            change(&mut jobs);
            report.jobs(&jobs);
            report.verdict().is_err()
        };
        assert!(!jobs(|_| {}));
        assert!(jobs(|jobs| jobs.ended = 8));
        assert!(jobs(|jobs| jobs.failed = BTreeMap::from([("failed".to_owned(), 1)])));
        let mut report = empty();
        report.jobs(&Jobs { queued: 1, ended: 1, ours, ..Jobs::default() });
        assert!(report.verdict().is_err());

        let machines = |left: Left, peak, brought| {
            let mut report = empty();
            report.machines(&left, &[("Uniform", peak)], brought);
            report.verdict().is_err()
        };
        assert!(!machines(Left { foreign: 2, ..Left::default() }, MOST, 2));
        assert!(machines(Left { foreign: 1, ..Left::default() }, MOST, 2));
        assert!(machines(Left::default(), MOST + 1, 0));
        assert!(machines(Left { vms: vec!["vm".into()], ..Left::default() }, 1, 0));
        assert!(machines(Left { records: vec!["vm".into()], ..Left::default() }, 1, 0));
    }
}
