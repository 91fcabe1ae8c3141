//! What came of each fact.

use crate::fact::{Fact, Part, TRIED};

/// How a fact turned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As poolkeeper expects.
    AsExpected {
        /// What was seen, where it says more than the expectation.
        seen: String,
    },
    /// Otherwise.
    Differs {
        /// What was seen.
        seen: String,
    },
    /// It could not be tried.
    NotTried {
        /// Why.
        why: String,
    },
}

/// A fact and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The fact.
    pub fact: Fact,
    /// Its outcome.
    pub outcome: Outcome,
}

/// In a line.
impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fact { id, expect, .. } = self.fact;
        match &self.outcome {
            Outcome::AsExpected { seen } if seen.is_empty() => write!(f, "{id}: as expected"),
            Outcome::AsExpected { seen } => write!(f, "{id}: as expected ({seen})"),
            Outcome::Differs { seen } => write!(f, "{id}: differs: expected {expect}, seen {seen}"),
            Outcome::NotTried { why } => write!(f, "{id}: not tried: {why}"),
        }
    }
}

/// Outcomes so far. A fact that is tried more than once is as expected only if it always was.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Notes an outcome; answers with the finding if it is news.
    pub(crate) fn note(&mut self, fact: Fact, outcome: Outcome) -> Option<Finding> {
        let finding = Finding { fact, outcome };
        let Some(known) = self.0.iter_mut().find(|known| known.fact.id == fact.id) else {
            self.0.push(finding.clone());
            return Some(finding);
        };
        let news = matches!(
            (&known.outcome, &finding.outcome),
            (Outcome::AsExpected { .. }, Outcome::Differs { .. })
                | (Outcome::NotTried { .. }, Outcome::AsExpected { .. } | Outcome::Differs { .. })
        );
        news.then(|| {
            known.clone_from(&finding);
            finding
        })
    }

    /// What has no outcome yet in a part (in all of them) was not tried.
    pub(crate) fn close(&mut self, part: Option<Part>, why: &str) -> Vec<Finding> {
        let mut closed = Vec::new();
        for fact in TRIED.iter().filter(|fact| part.is_none_or(|part| part == fact.part)) {
            if !self.0.iter().any(|known| known.fact.id == fact.id) {
                closed.push(Finding { fact: *fact, outcome: Outcome::NotTried { why: why.to_owned() } });
            }
        }
        self.0.extend(closed.iter().cloned());
        closed
    }

    /// In the order of the table.
    pub(crate) fn sorted(self) -> Vec<Finding> {
        let Self(mut all) = self;
        all.sort_by_key(|finding| TRIED.iter().position(|fact| fact.id == finding.fact.id));
        all
    }
}
