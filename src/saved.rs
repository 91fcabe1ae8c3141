//! Which VMs are saved for investigation: tags of their scale set say so, and survive whatever happens to a status.

use std::collections::BTreeMap;

use jiff::Timestamp;
use poolkeeper_policy::{SavedMark, VmId};

/// `poolkeeper-saved-<vmId>`: when it was saved, RFC 3339 in UTC.
const PREFIX: &str = "poolkeeper-saved-";

fn vm(tag: &str) -> Option<VmId> {
    let (prefix, vm) = tag.split_at_checked(PREFIX.len())?;
    (prefix.eq_ignore_ascii_case(PREFIX) && !vm.is_empty()).then(|| VmId(vm.to_owned()))
}

/// The saved VMs.
pub(crate) fn marks(tags: &BTreeMap<String, String>) -> BTreeMap<VmId, SavedMark> {
    tags.iter().filter_map(|(tag, at)| Some((vm(tag)?, SavedMark { at: at.parse().ok() }))).collect()
}

/// The tags with some VMs marked and some no more; a mark that is there keeps its time.
pub(crate) fn marked(
    tags: &BTreeMap<String, String>,
    add: &[VmId],
    remove: &[VmId],
    now: Timestamp,
) -> BTreeMap<String, String> {
    let mut tags = without(tags, |vm| remove.contains(vm));
    let known = marks(&tags);
    let at = now.round(jiff::Unit::Second).unwrap_or(now).to_string();
    let new = add.iter().filter(|vm| !known.contains_key(vm));
    tags.extend(new.map(|vm| (format!("{PREFIX}{vm}"), at.clone())));
    tags
}

/// The tags without any mark.
pub(crate) fn unmarked(tags: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    without(tags, |_| true)
}

fn without(tags: &BTreeMap<String, String>, drops: impl Fn(&VmId) -> bool) -> BTreeMap<String, String> {
    let stays = |tag: &str| vm(tag).is_none_or(|vm| !drops(&vm));
    tags.iter().filter(|(tag, _)| stays(tag)).map(|(tag, value)| (tag.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_and_go_and_leave_other_tags_alone() {
        let now: Timestamp = "2026-11-23T08:30:00.5Z".parse().unwrap();
        let later: Timestamp = "2026-11-23T09:30:00Z".parse().unwrap();
        let tags = BTreeMap::from([("team".to_owned(), "ci".to_owned())]);
        let (a, b) = (VmId("a".into()), VmId("b".into()));
        let both = marked(&tags, &[a.clone(), b.clone()], &[], now);
        assert_eq!(both["poolkeeper-saved-a"], "2026-11-23T08:30:01Z");
        // A mark that is there keeps its time, in any case of its name.
        let again = marked(&both, std::slice::from_ref(&a), std::slice::from_ref(&b), later);
        assert_eq!(marks(&again).into_keys().collect::<Vec<_>>(), [a]);
        assert_eq!(again["poolkeeper-saved-a"], "2026-11-23T08:30:01Z");
        assert_eq!(unmarked(&again), tags);
        let odd = BTreeMap::from([("Poolkeeper-Saved-x".to_owned(), "never".to_owned())]);
        assert_eq!(marks(&odd)[&VmId("x".into())], SavedMark { at: None });
    }
}
