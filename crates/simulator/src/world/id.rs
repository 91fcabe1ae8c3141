//! Handles of the things in a world.

/// A scale set of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SetRef(pub(crate) usize);

/// An agent pool of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PoolRef {
    pub(crate) organization: usize,
    pub(crate) pool: usize,
}

/// A VM: `serial` tells it from an earlier one with the same instance id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmRef {
    pub(crate) set: SetRef,
    pub(crate) instance: u64,
    pub(crate) serial: u64,
}

/// An agent record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentRef {
    pub(crate) pool: PoolRef,
    pub(crate) id: u64,
}
