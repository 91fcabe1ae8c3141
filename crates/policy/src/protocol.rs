//! The calls that carry out a deed, in their order, with the checks between them: the one place of rule 3 (a running
//! job is never killed by us). Who makes the calls, the operator over HTTP or a simulation in virtual time, only passes
//! answers on.
//!
//! To end the life of an agent: the scale set must be ours; the agent is read again (no request assigned, disabled or
//! offline) and its record deleted, which Azure DevOps refuses while a job runs; the agents are listed again, and a name
//! that is back keeps its VM; the name of a VM without an agent is reserved by a disabled record, so that an agent that
//! starts late gets no job (until a reimage is accepted, or the VM is gone); the instance is read again and must still be the same VM; only then is the VM deleted or
//! reimaged. What remains is the time of those last two calls, for a VM whose agent registers anew in just that moment
//! although its record was deleted, or whose reservation the service refuses.

mod record;
mod removal;
mod set;

use std::collections::BTreeMap;

pub(crate) use record::RESERVED;
pub use record::{RecordCause, RecordChange, Register};

use crate::{
    failure::Failure,
    mutant::{self, Mutant},
    outcome::{Outcome, Part},
    plan::{Action, Member, Removal},
    snapshot::{AgentId, InstanceId, VmId},
};

/// One call to a cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Read the scale set: whether it may be written to, and its capacity.
    ReadSet,
    /// Raise its capacity, if nothing has changed since `ReadSet` (If-Match).
    Raise {
        /// The new capacity.
        to: u32,
    },
    /// Note in its tags which VMs are saved, if nothing has changed since `ReadSet` (If-Match).
    Mark {
        /// VMs that are saved from now on.
        add: Vec<VmId>,
        /// VMs that are gone.
        remove: Vec<VmId>,
    },
    /// Read one instance.
    ReadInstance(InstanceId),
    /// Uniform: delete or reimage these by their ids, as one operation.
    RemoveAll(Removal, Vec<Member>),
    /// Flexible: delete or reimage this one.
    RemoveOne(Removal, Member),
    /// Read one agent with its assigned request.
    ReadAgent(AgentId),
    /// Let the agent take no further job.
    Disable(AgentId),
    /// Delete the agent's record.
    DeleteAgent(AgentId),
    /// List the pool's agents.
    ListAgents,
    /// Register a disabled agent of this name, if there is none: whoever registers under it later takes no job.
    Reserve(Register),
    /// Delete a record that was registered by `Reserve`.
    Release(AgentId),
    /// Register an agent that never comes online.
    Register(Register),
    /// Give a placeholder's record these user capabilities.
    Describe(AgentId, Register),
    /// Put these in the place of all user capabilities of an agent.
    Label(AgentId, BTreeMap<String, String>),
}

impl Call {
    /// Whether it changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        match self {
            Self::ReadSet | Self::ReadInstance(_) | Self::ReadAgent(_) | Self::ListAgents => false,
            Self::Raise { .. }
            | Self::Mark { .. }
            | Self::RemoveAll(..)
            | Self::RemoveOne(..)
            | Self::Disable(_)
            | Self::DeleteAgent(_)
            | Self::Reserve(_)
            | Self::Release(_)
            | Self::Register(_)
            | Self::Describe(..)
            | Self::Label(..) => true,
        }
    }
}

/// What a cloud answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To `ReadSet`.
    Set(SetNow),
    /// To `ReadAgent`; none: there is no such record.
    Agent(Option<AgentNow>),
    /// To `ListAgents`: their names.
    Names(Vec<String>),
    /// To `ReadInstance`: its VM id; none: there is no such instance, or it has no id yet.
    Instance(Option<VmId>),
    /// The write is done; a record that is gone already is deleted too.
    Done,
    /// To `Reserve`, where it is done and the record's id is known.
    Reserved(AgentId),
    /// The operation was accepted; Azure reports at the URL, if it gave one.
    Accepted(Option<String>),
    /// To `DeleteAgent`: a job runs.
    StillRunning,
    /// To `Raise` and `Mark`: somebody else has changed the scale set meanwhile. To `Reserve`: there is such an agent.
    Changed,
    /// The call failed.
    Failed(Failure),
}

/// A scale set right before a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetNow {
    /// Why it may not be written to: the claim is not ours, or VMs are managed in another way than decided upon.
    pub refused: Option<String>,
    /// Its capacity.
    pub capacity: Option<u32>,
    /// Each VM has operations of its own.
    pub flexible: bool,
}

/// An agent right before a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentNow {
    /// Its name.
    pub name: String,
    /// Takes new jobs.
    pub enabled: bool,
    /// Has a session.
    pub online: bool,
    /// A request is assigned to it.
    pub assigned: bool,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Make these calls, in any order or at once, and answer each in its place.
    Calls(Vec<Call>),
    /// It is over.
    End(End),
}

/// How a deed has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// For the memory.
    pub outcome: Outcome,
    /// Why a precondition did not hold, for the person.
    pub refused: Option<String>,
}

/// A deed on its way.
#[derive(Clone, Debug)]
pub struct Protocol(State);

#[derive(Clone, Debug)]
enum State {
    Set(set::Change),
    Disable(set::Disabling),
    Remove(removal::Removing),
}

impl Protocol {
    /// Begins to carry out an action; the first call of [`Protocol::next`] takes no answers.
    #[must_use]
    pub fn new(action: &Action) -> Self {
        Self(match action.clone() {
            Action::Grow { operation, binding, target, capacity, .. } => {
                State::Set(set::Change::grow(operation, binding, target, capacity))
            }
            Action::Save { binding, members } => State::Set(set::Change::save(binding, members)),
            Action::Unmark { binding, vms } => State::Set(set::Change::unmark(binding, vms)),
            Action::Disable { binding, member } => State::Disable(set::Disabling::new(binding, member)),
            Action::Remove { operation, binding, removal, members } => {
                State::Remove(removal::Removing::new(operation, binding, removal, members))
            }
        })
    }

    /// Takes the answers to the last calls, one for each in the same order, and says what comes next.
    pub fn next(&mut self, answers: Vec<Answer>) -> Next {
        match &mut self.0 {
            State::Set(change) => change.next(answers),
            State::Disable(disabling) => disabling.next(answers),
            State::Remove(removing) => removing.next(answers),
        }
    }
}

/// Words for an answer that does not belong to its call; nothing is done then.
const MISPLACED: &str = "an answer does not belong to its call";

fn refused(operation: Option<String>, why: impl Into<String>) -> Next {
    Next::End(End { outcome: Outcome::Refused { operation }, refused: Some(why.into()) })
}

fn done() -> Next {
    Next::End(End { outcome: Outcome::Done, refused: None })
}

fn failed(operation: Option<String>, binding: crate::pool::BindingName, failure: Failure) -> Next {
    Next::End(End { outcome: Outcome::Failed { operation, binding, failure }, refused: None })
}

fn in_flight(operation: String, url: Option<String>, covered: Vec<VmId>) -> Next {
    let url = Some(url.unwrap_or_default());
    Next::End(End { outcome: Outcome::InFlight { operation, url, covered }, refused: None })
}

fn one(call: Call) -> Next {
    Next::Calls(vec![call])
}

/// The only answer.
fn only(answers: Vec<Answer>) -> Option<Answer> {
    answers.into_iter().next()
}
