//! What can be wrong with a stored history.

use thiserror::Error;

/// Why a text is no history that this version reads.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HistoryError {
    /// It does not have the form `version:checksum:length:body`.
    #[error("it does not begin with version, checksum and length; set it aside, and history is built anew")]
    Form,
    /// Another version has written it.
    #[error(
        "it is of version {found}, and this version reads {read}; set it aside, and history is built anew"
    )]
    Version {
        /// As it stands there.
        found: u32,
        /// Of this version.
        read: u32,
    },
    /// Its end is missing.
    #[error("{missing} of its {length} characters are missing; set it aside, and history is built anew")]
    Truncated {
        /// As it says itself.
        length: usize,
        /// How many are not there.
        missing: usize,
    },
    /// Something follows its end.
    #[error("it goes on behind its end, {length} characters; set it aside, and history is built anew")]
    Overlong {
        /// As it says itself.
        length: usize,
    },
    /// It was changed after it was written.
    #[error("its checksum does not fit; set it aside, and history is built anew")]
    Checksum,
    /// It has characters or numbers that are never written.
    #[error("its body cannot be read; set it aside, and history is built anew")]
    Body,
    /// It begins before 1970, or ends after 9000.
    #[error("its dates are out of bounds; set it aside, and history is built anew")]
    Date,
    /// It is longer than three weeks.
    #[error("it has more than {most} periods of 5 minutes; set it aside, and history is built anew")]
    TooMany {
        /// How many it may have.
        most: usize,
    },
}
