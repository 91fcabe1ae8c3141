//! The claim on a scale set: tags that say who writes to it, so that two never do.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp, civil::DateTime, fmt::strtime, tz::TimeZone};

/// Who holds the scale set.
pub(crate) const OWNER_TAG: &str = "poolkeeper-owner";
/// When the holder last said so, RFC 3339 in UTC.
pub(crate) const RENEWED_TAG: &str = "poolkeeper-renewed-at";
/// When the holder took the scale set, RFC 3339 in UTC: what was there before is older.
pub(crate) const CLAIMED_TAG: &str = "poolkeeper-claimed-at";
/// A claim is renewed this often.
pub(crate) const RENEWAL: SignedDuration = SignedDuration::from_mins(30);
/// A claim that nobody renewed for four renewals is over.
const LAPSE: SignedDuration = SignedDuration::from_hours(2);
/// Azure DevOps renews its own every 2 hours, so one late renewal is no release.
const ELASTIC_LAPSE: SignedDuration = SignedDuration::from_hours(4);
/// The tags of Azure DevOps' own scale set pools; both spellings are in use, in any case.
const ELASTIC_TAGS: [&str; 2] = ["_azuredevopselasticpool", "__azuredevopselasticpool"];

/// Who holds a scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Nobody, or one whose claim has lapsed.
    Free,
    /// We do.
    Ours { since: Option<Timestamp>, renewed_at: Timestamp },
    /// Somebody else, with the sentence for the person.
    Foreign { message: String, found: String },
}

impl Claim {
    /// Why nothing may be written to the scale set; a claim of ours that has lapsed is anybody's, and renewed first.
    pub(crate) fn writable(&self, now: Timestamp) -> Result<(), String> {
        match self {
            Self::Ours { renewed_at, .. } if now.duration_since(*renewed_at) < LAPSE => Ok(()),
            Self::Ours { .. } => Err("the claim on the scale set has lapsed; it is renewed first".to_owned()),
            Self::Free => Err("the claim on the scale set is gone; it is taken again".to_owned()),
            Self::Foreign { message, .. } => Err(message.clone()),
        }
    }
}

/// Who we are on a scale set's tags.
pub(crate) fn owner(cluster: &str, namespace: &str, pool: &str) -> String {
    format!("poolkeeper/{cluster}/{namespace}/{pool}")
}

/// Reads the claim from the tags of a scale set.
pub(crate) fn judge(
    tags: &BTreeMap<String, String>,
    us: &str,
    take_over_from: Option<&str>,
    now: Timestamp,
) -> Claim {
    if let Some(foreign) = elastic(tags, take_over_from, now) {
        return foreign;
    }
    let Some((_, holder)) = tag(tags, OWNER_TAG) else { return Claim::Free };
    let renewed_at = tag(tags, RENEWED_TAG).and_then(|(_, text)| text.parse::<Timestamp>().ok());
    if holder == us {
        return Claim::Ours {
            since: since(tags, us),
            renewed_at: renewed_at.unwrap_or(Timestamp::UNIX_EPOCH),
        };
    }
    // An unreadable time counts as fresh: unknown is not over.
    match renewed_at {
        Some(renewed) if now.duration_since(renewed) >= LAPSE => Claim::Free,
        renewed => {
            let pool = holder.rsplit('/').next().unwrap_or(holder);
            let since = renewed.map_or_else(
                || "renewed at an unreadable time".to_owned(),
                |renewed| {
                    format!("last renewed {}, lapses at {}", clock(renewed), clock(later(renewed, LAPSE)))
                },
            );
            Claim::Foreign {
                message: format!(
                    "This virtual machine scale set is already in use by pool {pool}: delete its binding there \
                     ({holder}); its claim, {since}"
                ),
                found: format!("tag {OWNER_TAG}: {holder}"),
            }
        }
    }
}

/// Whether our claim is among the tags, whoever else's is too.
pub(crate) fn is_ours(tags: &BTreeMap<String, String>, us: &str) -> bool {
    tag(tags, OWNER_TAG).is_some_and(|(_, holder)| holder == us)
}

/// Since when we hold the scale set, as its tags say.
pub(crate) fn since(tags: &BTreeMap<String, String>, us: &str) -> Option<Timestamp> {
    let (_, text) = tag(tags, CLAIMED_TAG).filter(|_| is_ours(tags, us))?;
    text.parse().ok()
}

/// The tags with our claim in them; a renewal keeps since when it is ours.
pub(crate) fn claimed(tags: &BTreeMap<String, String>, us: &str, now: Timestamp) -> BTreeMap<String, String> {
    let since = since(tags, us);
    // Whole seconds are enough for hours.
    let stamp = |time: Timestamp| time.round(jiff::Unit::Second).unwrap_or(time).to_string();
    let mut tags = released(tags);
    tags.insert(OWNER_TAG.to_owned(), us.to_owned());
    tags.insert(RENEWED_TAG.to_owned(), stamp(now));
    tags.insert(CLAIMED_TAG.to_owned(), stamp(since.unwrap_or(now)));
    tags
}

/// The tags without a claim of ours.
pub(crate) fn released(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let ours =
        |name: &str| [OWNER_TAG, RENEWED_TAG, CLAIMED_TAG].iter().any(|tag| name.eq_ignore_ascii_case(tag));
    tags.iter().filter(|(name, _)| !ours(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A fresh claim of Azure DevOps' own scale set agents, in either spelling of its tags.
fn elastic(tags: &BTreeMap<String, String>, take_over_from: Option<&str>, now: Timestamp) -> Option<Claim> {
    ELASTIC_TAGS.iter().find_map(|spelling| {
        let (name, pool) = tag(tags, spelling)?;
        let taken_over = take_over_from.is_some_and(|from| from.eq_ignore_ascii_case(pool));
        let lapse = if taken_over { LAPSE } else { ELASTIC_LAPSE };
        // An unreadable or missing time counts as fresh: unknown is not over.
        let renewed = tag(tags, &format!("{spelling}timestamp")).and_then(|(_, text)| instant(text));
        if renewed.is_some_and(|renewed| now.duration_since(renewed) >= lapse) {
            return None;
        }
        let since = renewed.map_or_else(
            || "renewed at an unreadable time".to_owned(),
            |renewed| format!("last renewed {}, lapses at {}", clock(renewed), clock(later(renewed, lapse))),
        );
        Some(Claim::Foreign {
            message: format!(
                "This virtual machine scale set is already in use by pool {pool}: delete that pool; its claim, {since}, \
                 or name it in takeOverFrom"
            ),
            found: format!("tag {name}: {pool}"),
        })
    })
}

/// Tag names are compared without regard to case, as Azure does.
fn tag<'a>(tags: &'a BTreeMap<String, String>, wanted: &str) -> Option<(&'a str, &'a str)> {
    let found = tags.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    Some((found.0.as_str(), found.1.as_str()))
}

/// RFC 3339, or the American form that .NET prints; UTC where no zone is given.
fn instant(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let civil = text.parse::<DateTime>().ok().or_else(|| {
        ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S"]
            .iter()
            .find_map(|format| strtime::parse(format, text).ok()?.to_datetime().ok())
    })?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

fn later(time: Timestamp, span: SignedDuration) -> Timestamp {
    time.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn clock(time: Timestamp) -> String {
    time.strftime("%H:%MZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: &str = "poolkeeper/6f0e/ci/linux";

    fn tags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn is_foreign(claim: &Claim) -> bool {
        matches!(claim, Claim::Foreign { .. })
    }

    #[test]
    fn a_claim_of_ours_is_found_and_keeps_other_tags() {
        let now = at("2026-11-23T08:30:00.25Z");
        let claimed = claimed(&tags(&[("team", "ci")]), US, now);
        let since = Some(at("2026-11-23T08:30:00Z"));
        let ours = |renewed_at| Claim::Ours { since, renewed_at: at(renewed_at) };
        assert_eq!(judge(&claimed, US, None, now), ours("2026-11-23T08:30:00Z"));
        assert_eq!(released(&claimed), tags(&[("team", "ci")]));

        let later = at("2026-11-23T09:00:00Z");
        let renewed = super::claimed(&claimed, US, later);
        assert_eq!(judge(&renewed, US, None, later), ours("2026-11-23T09:00:00Z"));
        let another = super::claimed(&renewed, "poolkeeper/6f0e/ci/win", later);
        let Claim::Ours { since, .. } = judge(&another, "poolkeeper/6f0e/ci/win", None, later) else {
            panic!("taken")
        };
        assert_eq!(since, Some(later), "another holder starts anew");
    }

    #[test]
    fn only_a_fresh_claim_of_ours_lets_us_write() {
        let now = at("2026-11-23T08:30:00Z");
        let tags = claimed(&BTreeMap::new(), US, now);
        let writable = |at: &str| judge(&tags, US, None, at.parse().unwrap()).writable(at.parse().unwrap());
        assert_eq!(writable("2026-11-23T10:29:59Z"), Ok(()));
        assert!(writable("2026-11-23T10:30:00Z").unwrap_err().contains("lapsed"));
        assert!(judge(&tags, "poolkeeper/6f0e/ci/win", None, now).writable(now).is_err());
        assert!(Claim::Free.writable(now).is_err());
    }

    #[test]
    fn another_operators_claim_holds_for_two_hours_and_for_ever_if_its_time_is_unreadable() {
        let theirs =
            tags(&[("Poolkeeper-Owner", "poolkeeper/aaaa/ci/win"), (RENEWED_TAG, "2026-11-23T06:10:00Z")]);
        assert!(is_foreign(&judge(&theirs, US, None, at("2026-11-23T08:09:59Z"))));
        assert_eq!(judge(&theirs, US, None, at("2026-11-23T08:10:00Z")), Claim::Free);
        let unreadable = tags(&[(OWNER_TAG, "poolkeeper/aaaa/ci/win"), (RENEWED_TAG, "yesterday")]);
        assert!(is_foreign(&judge(&unreadable, US, None, at("2030-01-01T00:00:00Z"))));
    }

    #[test]
    fn azure_devops_own_claim_lapses_after_four_hours_or_two_where_it_is_taken_over() {
        for name in ["_AzureDevOpsElasticPool", "__azuredevopselasticpool"] {
            for stamp in ["2026-11-23T06:10:00Z", "11/23/2026 06:10:00", "11/23/2026 6:10:00 AM"] {
                let theirs = tags(&[(name, "linux-old"), (&format!("{name}TimeStamp"), stamp)]);
                let judged = |take_over: Option<&str>, time| judge(&theirs, US, take_over, at(time));
                assert!(is_foreign(&judged(None, "2026-11-23T10:09:00Z")), "{name} {stamp}");
                assert_eq!(judged(None, "2026-11-23T10:10:00Z"), Claim::Free, "{name} {stamp}");
                assert!(is_foreign(&judged(Some("other"), "2026-11-23T08:10:00Z")));
                assert_eq!(judged(Some("Linux-Old"), "2026-11-23T08:10:00Z"), Claim::Free);
            }
        }
        // Both spellings: the fresh one holds.
        let both = tags(&[
            ("_AzureDevOpsElasticPool", "old"),
            ("_AzureDevOpsElasticPoolTimeStamp", "2026-11-22T06:10:00Z"),
            ("__AzureDevOpsElasticPool", "new"),
            ("__AzureDevOpsElasticPoolTimeStamp", "2026-11-23T06:10:00Z"),
        ]);
        let Claim::Foreign { found, .. } = judge(&both, US, None, at("2026-11-23T07:00:00Z")) else {
            panic!("the second is fresh")
        };
        assert_eq!(found, "tag __AzureDevOpsElasticPool: new");
        let Claim::Foreign { message, found } = judge(
            &tags(&[("_AzureDevOpsElasticPool", "linux-old"), ("_AzureDevOpsElasticPoolTimeStamp", "?")]),
            US,
            None,
            at("2030-01-01T00:00:00Z"),
        ) else {
            panic!("an unreadable time is fresh")
        };
        assert!(
            message.starts_with("This virtual machine scale set is already in use by pool linux-old"),
            "{message}"
        );
        assert_eq!(found, "tag _AzureDevOpsElasticPool: linux-old");
    }
}
