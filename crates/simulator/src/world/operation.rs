//! Long-running operations of Azure.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::id::SetRef;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// A write of capacity or tags.
    Update,
    /// A deletion of instances.
    Delete,
    /// A reimage of instances.
    Reimage,
    /// A change of what runs.
    Power(PowerAction),
    /// Instances get the latest model.
    Upgrade,
    /// A change of one instance's protection.
    Protect,
}

/// A change of what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerAction {
    /// Stops it and gives its host back.
    Deallocate,
    /// Stops it; it is paid for still.
    PowerOff,
    /// Starts it.
    Start,
    /// Stops and starts it.
    Restart,
}

impl PowerAction {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deallocate => "deallocate",
            Self::PowerOff => "poweroff",
            Self::Start => "start",
            Self::Restart => "restart",
        }
    }
}

impl OperationKind {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Reimage => "reimage",
            Self::Power(action) => action.name(),
            Self::Upgrade => "manualupgrade",
            Self::Protect => "protection",
        }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationStatus {
    /// It runs.
    InProgress,
    /// It did all of it.
    Succeeded,
    /// It did not do all of it.
    Failed,
    /// A newer operation has taken over.
    Canceled,
}

impl OperationStatus {
    /// The word of the REST API.
    pub fn name(self) -> &'static str {
        match self {
            Self::InProgress => "InProgress",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::Canceled => "Canceled",
        }
    }
}

/// Why an operation did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationError {
    /// Azure's code.
    pub code: &'static str,
    /// What has happened.
    pub message: Arc<str>,
    /// The instance id.
    pub target: Option<Arc<str>>,
}

/// A long-running operation.
#[derive(Debug, Clone)]
pub struct Operation {
    /// Its id.
    pub id: Uuid,
    /// The scale set.
    pub set: SetRef,
    /// What it does.
    pub kind: OperationKind,
    /// How far it is.
    pub status: OperationStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it did not succeed.
    pub error: Option<OperationError>,
    /// Instances that it still waits for.
    pub(crate) pending: usize,
    /// It will end Canceled, because Azure says that something newer has taken over.
    pub(crate) preempted: bool,
    /// It does not end before its fault is over.
    pub(crate) held: bool,
}

impl OperationError {
    pub(crate) fn new(code: &'static str, message: &str) -> Self {
        Self { code, message: Arc::from(message), target: None }
    }

    pub(crate) fn preempted() -> Self {
        Self::new("OperationPreempted", "Operation execution has been preempted by a more recent operation.")
    }
}
