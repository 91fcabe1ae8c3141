//! The report: for the terminal, and to be attached to an issue.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{Finding, Outcome, Refusal, fact::OPEN, trial::chain};

/// What came of a run. Holds no credential.
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) began: Timestamp,
    pub(crate) ended: Timestamp,
    pub(crate) scale_set: String,
    pub(crate) flexible: bool,
    pub(crate) location: String,
    pub(crate) refused: Option<String>,
    pub(crate) stopped: bool,
    pub(crate) unrestored: Vec<String>,
    pub(crate) findings: Vec<Finding>,
}

impl Report {
    /// The report of a run that did not take place.
    pub fn refused(scale_set: impl Into<String>, refusal: &Refusal) -> Self {
        let now = Timestamp::now();
        Self {
            began: now,
            ended: now,
            scale_set: scale_set.into(),
            flexible: false,
            location: String::new(),
            refused: Some(chain(refusal)),
            stopped: false,
            unrestored: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Every fact and its outcome, in the order of [`crate::fact::TRIED`]; none after a refusal.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// What could not be put back, each in a sentence.
    pub fn unrestored(&self) -> &[String] {
        &self.unrestored
    }

    /// The program's exit code: 0 where everything that was tried is as expected, 1 where something differs, 2 where
    /// the run did not take place, was stopped, or could not put everything back.
    pub fn exit_code(&self) -> u8 {
        let differs = |finding: &Finding| matches!(finding.outcome, Outcome::Differs { .. });
        if self.refused.is_some() || self.stopped || !self.unrestored.is_empty() {
            2
        } else {
            u8::from(self.findings.iter().any(differs))
        }
    }

    /// The end of the terminal's output, in a line.
    pub fn summary(&self) -> String {
        if let Some(why) = &self.refused {
            return format!("nothing was tried: {why}");
        }
        let (as_expected, differs, not_tried) = self.counts();
        let stopped = if self.stopped { "stopped early: " } else { "" };
        let restored = match self.unrestored.len() {
            0 => "everything was put back",
            _ => "not everything could be put back",
        };
        format!("{stopped}{as_expected} as expected, {differs} differ, {not_tried} not tried; {restored}")
    }

    fn counts(&self) -> (usize, usize, usize) {
        self.findings.iter().fold((0, 0, 0), |(met, differs, untried), finding| match finding.outcome {
            Outcome::AsExpected { .. } => (met + 1, differs, untried),
            Outcome::Differs { .. } => (met, differs + 1, untried),
            Outcome::NotTried { .. } => (met, differs, untried + 1),
        })
    }

    /// The report as Markdown, with all of it as JSON at the end. Ids are shortened to their first eight characters.
    pub fn markdown(&self) -> String {
        let mut text = String::from("# poolkeeper verify\n\n");
        let mode = if self.flexible { "Flexible" } else { "Uniform" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "- version: {}", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(text, "- from {:.0} to {:.0}", self.began, self.ended);
        let _ = writeln!(text, "- scale set: {} ({mode}, {})", self.scale_set, self.location);
        let _ = writeln!(text, "- result: {}\n", self.summary());
        for what in &self.unrestored {
            let _ = writeln!(text, "**Not put back:** {what}\n");
        }
        text.push_str("| fact | expected | outcome | how | source |\n|---|---|---|---|---|\n");
        for Finding { fact, outcome } in &self.findings {
            let outcome = match outcome {
                Outcome::AsExpected { seen } if seen.is_empty() => "as expected".to_owned(),
                Outcome::AsExpected { seen } => format!("as expected: {seen}"),
                Outcome::Differs { seen } => format!("**differs**: {seen}"),
                Outcome::NotTried { why } => format!("not tried: {why}"),
            };
            let cells = [fact.id, fact.expect, &outcome, fact.how, fact.source].map(cell);
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        text.push_str("\nWhat no run can tell:\n\n");
        for open in OPEN {
            let _ = writeln!(text, "- {}: {}; {}", open.id, open.what, open.why);
        }
        let data = serde_json::to_string_pretty(&self.json()).unwrap_or_default();
        let _ = write!(text, "\n```json\n{data}\n```\n");
        shortened(&text)
    }

    fn json(&self) -> Value {
        let facts: Vec<Value> = self
            .findings
            .iter()
            .map(|Finding { fact, outcome }| {
                let (outcome, field, text) = match outcome {
                    Outcome::AsExpected { seen } => ("asExpected", "seen", seen),
                    Outcome::Differs { seen } => ("differs", "seen", seen),
                    Outcome::NotTried { why } => ("notTried", "why", why),
                };
                json!({"id": fact.id, "expected": fact.expect, "outcome": outcome, field: text})
            })
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "began": self.began,
            "ended": self.ended,
            "scaleSet": self.scale_set,
            "orchestration": if self.flexible { "Flexible" } else { "Uniform" },
            "location": self.location,
            "refused": self.refused,
            "stopped": self.stopped,
            "unrestored": self.unrestored,
            "exitCode": self.exit_code(),
            "facts": facts,
            "open": OPEN.iter().map(|open| open.id).collect::<Vec<_>>(),
        })
    }
}

/// Fit for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// `text` with every GUID cut to its first eight characters.
fn shortened(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let guid = rest.get(..GUID.len()).is_some_and(is_guid);
        if guid {
            short.extend([rest.get(..8).unwrap_or_default(), "…"]);
            rest = rest.get(GUID.len()..).unwrap_or_default();
        } else {
            short.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    short
}

const GUID: &str = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

fn is_guid(text: &str) -> bool {
    text.bytes().zip(GUID.bytes()).all(|(byte, form)| match form {
        b'-' => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_are_shortened_wherever_they_are() {
        let text =
            "/subscriptions/00000000-1111-2222-3333-444444444444/x, é 00000000-1111-2222-3333-44444444444";
        assert_eq!(shortened(text), "/subscriptions/00000000…/x, é 00000000-1111-2222-3333-44444444444");
        assert_eq!(shortened("AAAAAAAA-1111-2222-3333-444444444444"), "AAAAAAAA…");
    }

    #[test]
    fn cells_stay_in_their_row() {
        assert_eq!(cell("a|b\nc"), "a\\|b c");
    }
}
