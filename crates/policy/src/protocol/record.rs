//! Changes of agent records: placeholders, what VMs have left behind, and what agents say of their image.

use std::collections::BTreeMap;

use super::{Answer, Call, MISPLACED, Next, done, one, refused};
use crate::{failure::Failure, snapshot::AgentId};

/// An agent record that is made without an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// Its name in the pool.
    pub name: String,
    /// What it offers, so that Azure DevOps lets jobs wait that ask for it.
    pub capabilities: BTreeMap<String, String>,
}

/// The capability of a record that holds the name of a VM on its way out.
pub(crate) const RESERVED: &str = "poolkeeper.reserved";

impl Register {
    /// Holds a name, and is known again by whoever tidies up.
    pub(super) fn reservation(name: &str) -> Self {
        let capabilities = BTreeMap::from([(RESERVED.to_owned(), "true".to_owned())]);
        Self { name: name.to_owned(), capabilities }
    }
}

/// A change of one agent record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordChange {
    /// A placeholder is missing.
    Register(Register),
    /// A placeholder does not offer what its image offers.
    Describe {
        /// The placeholder.
        agent: AgentId,
        /// What it shall offer.
        as_: Register,
    },
    /// An agent of ours does not carry the name by which jobs ask for its image.
    Label {
        /// The agent.
        agent: AgentId,
        /// Its name.
        name: String,
        /// The name or alias of its image that it carries from now on.
        image: String,
        /// All its user capabilities, those of others included: a write replaces them.
        capabilities: BTreeMap<String, String>,
    },
    /// The record goes.
    Forget {
        /// The record.
        agent: AgentId,
        /// Its name, which must still be the same.
        name: String,
        /// Why.
        cause: RecordCause,
    },
}

/// Why an agent record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RecordCause {
    /// Its VM is gone.
    Ghost,
    /// A placeholder that is not needed, or whose pool is deleted.
    Placeholder,
}

impl RecordCause {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Ghost => "its VM is gone",
            Self::Placeholder => "the placeholder is not needed any more",
        }
    }
}

impl RecordChange {
    /// What it does, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Register(placeholder) => format!("register placeholder agent {}", placeholder.name),
            Self::Describe { as_, .. } => format!("update the capabilities of placeholder {}", as_.name),
            Self::Label { name, image, .. } => format!("label agent {name} as ImageOverride {image}"),
            Self::Forget { name, cause, .. } => format!("delete agent record {name} ({})", cause.words()),
        }
    }

    /// What is called first.
    #[must_use]
    pub fn begin(&self) -> Call {
        match self {
            Self::Register(placeholder) => Call::Register(placeholder.clone()),
            Self::Describe { agent, as_ } => Call::Describe(*agent, as_.clone()),
            Self::Label { agent, capabilities, .. } => Call::Label(*agent, capabilities.clone()),
            Self::Forget { agent, .. } => Call::ReadAgent(*agent),
        }
    }

    /// What comes after an answer.
    ///
    /// # Errors
    /// The failure of the call.
    pub fn next(&self, answer: Answer) -> Result<Next, Failure> {
        Ok(match (self, answer) {
            (_, Answer::Failed(failure)) => return Err(failure),
            (_, Answer::Done) => done(),
            (Self::Forget { .. }, Answer::Agent(None)) => done(),
            (Self::Forget { agent, name, .. }, Answer::Agent(Some(now))) => {
                if now.assigned || now.online || !now.name.eq_ignore_ascii_case(name) {
                    refused(None, "it is in use")
                } else {
                    one(Call::DeleteAgent(*agent))
                }
            }
            (Self::Forget { .. }, Answer::StillRunning) => refused(None, "it runs a job"),
            (_, _) => refused(None, MISPLACED),
        })
    }
}
