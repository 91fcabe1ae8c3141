//! Long-running operations of Azure.

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
}

impl OperationKind {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Reimage => "reimage",
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
    pub message: &'static str,
    /// The instance id.
    pub target: Option<u64>,
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
}
