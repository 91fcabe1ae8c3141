//! What survives an operator: the durable part of its memory, as the API server stores it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use poolkeeper_policy::{
    BindingName, FailedStarts, Memory, Operation, OperationKind, Stair, Staircase, Step,
};

/// What is kept in the status of the pool and its bindings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// Intents and operations on their way.
    pub operations: Vec<Operation>,
    /// Since when how many idle agents have been in excess.
    pub staircase: Vec<Stair>,
    /// The last step of strategy `ElasticPool`.
    pub step: Option<Step>,
    /// Standby was met once.
    pub standby_was_met: bool,
    /// Failed starts in a row.
    pub failed_starts: BTreeMap<BindingName, FailedStarts>,
    /// VMs of each scale set when it was last listed.
    pub members: BTreeMap<BindingName, u32>,
}

impl Status {
    /// The durable part of a memory.
    pub fn of(memory: &Memory) -> Self {
        let operation = |operation: &Operation| Operation {
            started_at: seconds(operation.started_at),
            deadline: seconds(operation.deadline),
            // The members that a growth was to reach are not stored: the capacity says them.
            kind: match &operation.kind {
                OperationKind::Create { count, .. } => OperationKind::Create { count: *count, target: 0 },
                other => other.clone(),
            },
            ..operation.clone()
        };
        let stair = |stair: &Stair| Stair { since: seconds(stair.since), ..*stair };
        Self {
            operations: memory.operations.iter().map(operation).collect(),
            staircase: memory.staircase.stairs().iter().map(stair).collect(),
            step: memory.step.clone().map(|step| Step { started_at: seconds(step.started_at), ..step }),
            standby_was_met: memory.standby_was_met,
            failed_starts: memory.failed_starts.clone(),
            members: memory.members.clone(),
        }
    }

    /// What a restarted operator begins with.
    pub fn load(&self) -> Memory {
        Memory {
            operations: self.operations.clone(),
            staircase: Staircase::from_stairs(self.staircase.iter().copied()),
            step: self.step.clone(),
            standby_was_met: self.standby_was_met,
            failed_starts: self.failed_starts.clone(),
            members: self.members.clone(),
            ..Memory::default()
        }
    }
}

/// The API server stores whole seconds.
fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
