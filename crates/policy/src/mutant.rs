//! Faults that tests plant on purpose, to show that they would notice. Without the feature `mutants` none can be planted.

/// A safety step that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// An agent is not read again before its record is deleted.
    SkipReread,
    /// An agent is not disabled before it is removed.
    SkipDisable,
    /// A disabled agent does not settle.
    SkipSettle,
    /// The agents are not listed again before a VM without an agent is deleted.
    SkipRelist,
    /// An instance is not read again before it is deleted.
    SkipInstance,
    /// A list that is missing is taken for an empty one.
    MissingIsEmpty,
    /// The intent of a removal is not stored before the deed.
    LoseIntent,
    /// A foreign claim is not looked at before a write.
    SkipClaim,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::SkipReread,
        Self::SkipDisable,
        Self::SkipSettle,
        Self::SkipRelist,
        Self::SkipInstance,
        Self::MissingIsEmpty,
        Self::LoseIntent,
        Self::SkipClaim,
    ];
}

#[cfg(feature = "mutants")]
mod planted {
    use std::cell::Cell;

    use super::Mutant;

    thread_local! {
        static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
    }

    /// Plants a mutant on this thread, or removes it.
    pub fn plant(mutant: Option<Mutant>) {
        PLANTED.set(mutant);
    }

    /// Whether this mutant is planted on this thread.
    #[must_use]
    pub fn is(mutant: Mutant) -> bool {
        PLANTED.get() == Some(mutant)
    }
}

#[cfg(feature = "mutants")]
pub use planted::{is, plant};

/// Whether this mutant is planted: never, in a build without them.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn is(_: Mutant) -> bool {
    false
}
