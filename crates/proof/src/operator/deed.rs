//! Deeds, call by call; between any two of them the world moves.

use poolkeeper_policy::{Action, Call, End, Failure, Member, Next, Outcome, Protocol, RecordChange};
use poolkeeper_simulator::in_process::Etag;

use super::{Crashed, Operator};
use crate::{Moment, Stage};

/// Calls about single agents or instances that the operator makes at once.
const PARALLEL: usize = 8;

impl Operator {
    /// Carries an action out.
    pub(super) fn deed(&mut self, stage: &mut Stage, action: &Action) -> Result<Outcome, Crashed> {
        let members: &[Member] = match action {
            Action::Remove { members, .. } | Action::Save { members, .. } => members,
            Action::Disable { member, .. } => std::slice::from_ref(member),
            Action::Grow { .. } | Action::Unmark { .. } => &[],
        };
        let (mut protocol, mut etag, mut listed) = (Protocol::new(action), Etag::default(), false);
        let mut answers = Vec::new();
        loop {
            let calls = match protocol.next(std::mem::take(&mut answers)) {
                Next::Calls(calls) => calls,
                Next::End(End { outcome, .. }) => return Ok(outcome),
            };
            for (place, next) in calls.iter().enumerate() {
                let beside = !place.is_multiple_of(PARALLEL);
                let moment = Moment { next, members, listed, beside };
                answers.push(self.call(stage, Some(action.binding()), moment, &mut etag)?);
                listed |= *next == Call::ListAgents;
            }
        }
    }

    /// Changes an agent record; what fails is tried again by a later pass, after a wait.
    pub(super) fn change(
        &mut self,
        stage: &mut Stage,
        change: &RecordChange,
    ) -> Result<Option<Failure>, Crashed> {
        let mut next = change.begin();
        loop {
            let moment = Moment { next: &next, members: &[], listed: false, beside: false };
            let answer = self.call(stage, None, moment, &mut Etag::default())?;
            match change.next(answer) {
                Ok(Next::Calls(calls)) => match calls.into_iter().next() {
                    Some(call) => next = call,
                    None => return Ok(None),
                },
                Ok(Next::End(_)) => return Ok(None),
                Err(failure) => return Ok(Some(failure)),
            }
        }
    }
}
