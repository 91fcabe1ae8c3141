//! Carries out a plan: writes only, and the reads that check a precondition right before the deed. Which calls in which
//! order is policy's protocol; here they are made.

mod caller;

use futures::future::join_all;
use poolkeeper_azure::Fault;
use poolkeeper_policy::{Action, End, Failure, Next, Outcome, Plan, Protocol, RecordChange};

use self::caller::Caller;
use super::observe::Clouds;

/// Agents that are labelled at once.
const LABELS: usize = 8;

/// What became of a plan.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) deeds: Vec<Deed>,
    pub(crate) changes: Vec<Changed>,
}

/// An action and what became of it.
#[derive(Debug)]
pub(crate) struct Deed {
    pub(crate) action: Action,
    pub(crate) outcome: Outcome,
    pub(crate) message: String,
    /// Azure's own words of a failure, for what sizing needs besides its kind.
    pub(crate) fault: Option<Fault>,
}

/// A change of a pool that is about no VM, and what became of it.
#[derive(Debug)]
pub(crate) struct Changed {
    /// In one word, for status and metrics.
    pub(crate) action: &'static str,
    /// In one word, for the event.
    pub(crate) event: &'static str,
    pub(crate) message: String,
    /// Whether it was done, or a precondition did not hold.
    pub(crate) outcome: Result<bool, Failure>,
}

impl Changed {
    /// What failed of a change of an agent record.
    pub(crate) fn record_failure(&self) -> Option<&Failure> {
        self.outcome.as_ref().err().filter(|_| self.action != super::maintenance::ACTION)
    }

    /// As it stands in status and metrics.
    pub(crate) fn result(&self) -> &'static str {
        match self.outcome {
            Ok(true) => "Done",
            Ok(false) => "Refused",
            Err(_) => "Failed",
        }
    }
}

impl Deed {
    /// As it stands in status and metrics.
    pub(crate) fn result(&self) -> &'static str {
        match self.outcome {
            Outcome::Done => "Done",
            Outcome::InFlight { .. } => "InFlight",
            Outcome::Split { failure: None, .. } => "InFlight",
            Outcome::Split { failure: Some(_), .. } => "Failed",
            Outcome::Refused { .. } => "Refused",
            Outcome::Failed { .. } => "Failed",
        }
    }

    pub(crate) fn failed(&self) -> bool {
        self.failure().is_some()
    }

    /// What failed, of the whole or of a part.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match &self.outcome {
            Outcome::Failed { failure, .. } | Outcome::Split { failure: Some((_, failure)), .. } => {
                Some(failure)
            }
            Outcome::Done
            | Outcome::InFlight { .. }
            | Outcome::Split { failure: None, .. }
            | Outcome::Refused { .. } => None,
        }
    }
}

/// Carries out the plan's actions in order, then its changes of records. Infallible: each has its own outcome.
pub(crate) async fn act(clouds: &Clouds, plan: &Plan, now: jiff::Timestamp) -> Report {
    let mut report = Report::default();
    for action in &plan.actions {
        let deed = carry_out(clouds, action, now).await;
        tracing::info!(action = super::publish::verb(action), binding = %action.binding(), result = deed.result(), "{}", deed.message);
        report.deeds.push(deed);
    }
    let (labels, records): (Vec<_>, Vec<_>) = plan.records.iter().partition(|change| is_label(change));
    for change in records {
        let changed = change_record(clouds, change, now).await;
        tracing::info!(action = changed.action, result = changed.result(), "{}", changed.message);
        report.changes.push(changed);
    }
    report.changes.extend(label(clouds, &labels, now).await);
    report
}

fn is_label(change: &RecordChange) -> bool {
    match change {
        RecordChange::Label { .. } => true,
        RecordChange::Register(_) | RecordChange::Describe { .. } | RecordChange::Forget { .. } => false,
    }
}

/// Every new agent is labelled, so only what went wrong is worth telling. What fails once fails for all: the rest waits.
async fn label(clouds: &Clouds, labels: &[&RecordChange], now: jiff::Timestamp) -> Option<Changed> {
    for some in labels.chunks(LABELS) {
        let changes: Vec<_> = some.iter().map(|change| change_record(clouds, change, now)).collect();
        let changed = join_all(changes).await;
        for changed in &changed {
            tracing::info!(action = changed.action, result = changed.result(), "{}", changed.message);
        }
        if let Some(failed) = changed.into_iter().find(|changed| changed.outcome.is_err()) {
            return Some(failed);
        }
    }
    None
}

async fn carry_out(clouds: &Clouds, action: &Action, now: jiff::Timestamp) -> Deed {
    let missing = match action {
        Action::Grow { by, .. } => *by,
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => 0,
    };
    let mut caller = Caller::new(clouds, clouds.sets.get(action.binding()), missing, now);
    let mut protocol = Protocol::new(action);
    let mut answers = Vec::new();
    let End { outcome, refused } = loop {
        match protocol.next(answers) {
            Next::Calls(calls) => answers = caller.call_all(calls).await,
            Next::End(end) => break end,
        }
    };
    let mut deed = Deed { action: action.clone(), outcome, message: action.words(), fault: caller.fault };
    if let Some(failure) = deed.failure() {
        deed.message = format!("{}: {}", deed.message, failure.message);
    } else if let Some(why) = refused {
        deed.message = format!("{}: not done, {why}", deed.message);
    }
    deed
}

async fn change_record(clouds: &Clouds, change: &RecordChange, now: jiff::Timestamp) -> Changed {
    let mut caller = Caller::new(clouds, None, 0, now);
    let mut calls = vec![change.begin()];
    let outcome = loop {
        let answer = caller.call_all(calls).await.into_iter().next();
        // One call has one answer.
        match answer.map(|answer| change.next(answer)) {
            None => break Ok((false, None)),
            Some(Err(failure)) => break Err(failure),
            Some(Ok(Next::Calls(next))) => calls = next,
            Some(Ok(Next::End(end))) => break Ok((end.refused.is_none(), end.refused)),
        }
    };
    let words = change.words();
    let (message, outcome) = match outcome {
        Ok((done, None)) => (words, Ok(done)),
        Ok((done, Some(why))) => (format!("{words}: not done, {why}"), Ok(done)),
        Err(failure) => (format!("{words}: {}", failure.message), Err(failure)),
    };
    let (action, event) = match change {
        RecordChange::Register(_) => ("Register", "Registering"),
        RecordChange::Describe { .. } => ("Describe", "Describing"),
        RecordChange::Label { .. } => ("Label", "Labelling"),
        RecordChange::Forget { .. } => ("Forget", "Forgetting"),
    };
    Changed { action, event, message, outcome }
}

/// One try to take a pool's placeholders away, for a pool that is let go without a look at anything else.
pub(crate) async fn forget_records(clouds: &Clouds, changes: &[RecordChange], now: jiff::Timestamp) {
    for change in changes {
        let changed = change_record(clouds, change, now).await;
        tracing::info!(action = changed.action, result = changed.result(), "{}", changed.message);
    }
}
