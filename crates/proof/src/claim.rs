//! The claim on a scale set, by the operator's rules: tags that say who writes to it and since when, written with
//! compare-and-swap, renewed every 30 minutes and over after 2 hours.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

const OWNER_TAG: &str = "poolkeeper-owner";
const RENEWED_TAG: &str = "poolkeeper-renewed-at";
const RENEWAL: SignedDuration = SignedDuration::from_mins(30);
const LAPSE: SignedDuration = SignedDuration::from_hours(2);

/// Who holds a scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    Free,
    Ours { renewed_at: Timestamp },
    Foreign(String),
}

impl Claim {
    pub(crate) fn judge(tags: &BTreeMap<String, String>, us: &str, now: Timestamp) -> Self {
        let Some(holder) = tags.get(OWNER_TAG) else { return Self::Free };
        let renewed_at: Option<Timestamp> = tags.get(RENEWED_TAG).and_then(|text| text.parse().ok());
        if holder == us {
            return Self::Ours { renewed_at: renewed_at.unwrap_or(Timestamp::UNIX_EPOCH) };
        }
        match renewed_at {
            Some(renewed_at) if now.duration_since(renewed_at) >= LAPSE => Self::Free,
            // An unreadable time counts as fresh: unknown is not over.
            Some(_) | None => Self::Foreign(format!("the scale set is in use by {holder}")),
        }
    }

    /// Why nothing may be written.
    pub(crate) fn refused(&self, now: Timestamp) -> Option<String> {
        match self {
            Self::Ours { renewed_at } if now.duration_since(*renewed_at) < LAPSE => None,
            Self::Ours { .. } => Some("the claim on the scale set has lapsed".to_owned()),
            Self::Free => Some("the claim on the scale set is gone".to_owned()),
            Self::Foreign(message) => Some(message.clone()),
        }
    }

    /// Whether it is to be written now.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        match self {
            Self::Free => true,
            Self::Ours { renewed_at } => now.duration_since(*renewed_at) >= RENEWAL,
            Self::Foreign(_) => false,
        }
    }
}

/// The tags with our claim in them.
pub(crate) fn claimed(tags: &BTreeMap<String, String>, us: &str, now: Timestamp) -> BTreeMap<String, String> {
    let mut tags = released(tags);
    tags.insert(OWNER_TAG.to_owned(), us.to_owned());
    tags.insert(RENEWED_TAG.to_owned(), now.to_string());
    tags
}

/// The tags without a claim.
pub(crate) fn released(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut tags = tags.clone();
    tags.remove(OWNER_TAG);
    tags.remove(RENEWED_TAG);
    tags
}
