//! Whether a used-up quota has room again: read while a growth waits for it, so that nobody waits longer than a sample.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_azure::Usage;
use poolkeeper_policy::{BindingName, FailureKind};

use super::{cache::PoolCache, observe::SetHandle};
use crate::context::Context;

/// One answer serves all pools of a subscription and region.
const FRESH: SignedDuration = SignedDuration::from_secs(9);

/// How many more VMs the quota allows that refused this binding's growth; `None` where no growth waits for one, or it
/// cannot be known.
pub(super) async fn headroom(
    ctx: &Context,
    cache: &PoolCache,
    binding: &BindingName,
    handle: &SetHandle,
    now: Timestamp,
) -> Option<u32> {
    let waits = cache.memory.as_ref()?.backoffs.get(binding)?;
    if !matches!(waits.kind, FailureKind::Quota { .. }) {
        return None;
    }
    let set = cache.sets.get(&binding.0)?;
    let (quota, cores) = set.quota.as_ref()?;
    let location = set.scale_set.latest()?.location.clone()?;
    let usages = usages(ctx, handle, &location, now).await?;
    let name = quota.name.as_deref().unwrap_or("cores");
    room(&usages, name, *cores)
}

async fn usages(ctx: &Context, handle: &SetHandle, location: &str, now: Timestamp) -> Option<Vec<Usage>> {
    let subscription = handle.id.subscription();
    if let Some((usages, at)) = ctx.usages(subscription, location)
        && now.duration_since(at) <= FRESH
    {
        return Some(usages);
    }
    match handle.client.usages(subscription, location).await {
        Ok(answer) => {
            ctx.note_usages(subscription, location, &answer.value, now);
            Some(answer.value)
        }
        Err(error) => {
            // Then the back-off ends by time.
            tracing::debug!(error = crate::chain(&error), "the quota's usage cannot be read");
            None
        }
    }
}

/// VMs of so many cores that fit the named quota, and the region's in any case.
fn room(usages: &[Usage], name: &str, cores: u64) -> Option<u32> {
    // Without a limit there is always room.
    let left = |usage: &Usage| usage.limit.unwrap_or(u64::MAX).saturating_sub(usage.current) / cores.max(1);
    let named = usages.iter().find(|usage| is(usage, name));
    let regional = usages.iter().find(|usage| usage.name.eq_ignore_ascii_case("cores"));
    let least = named.into_iter().chain(regional).map(left).min()?;
    Some(u32::try_from(least).unwrap_or(u32::MAX))
}

/// Errors and usages name the same quota differently: `standardDSv5 Family Cores` and `standardDSv5Family`, `Total
/// Regional Cores` and `cores` or `Total Regional vCPUs`.
fn is(usage: &Usage, name: &str) -> bool {
    let plain = |text: &str| {
        let text: String =
            text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let text = text.strip_suffix("cores").or(text.strip_suffix("vcpus")).unwrap_or(&text);
        text.to_owned()
    };
    let wanted = plain(name);
    let localized = usage.localized_name.as_deref();
    wanted == plain(&usage.name) || localized.is_some_and(|localized| wanted == plain(localized))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(name: &str, localized_name: &str, current: u64, limit: u64) -> Usage {
        Usage { name: name.into(), localized_name: Some(localized_name.into()), current, limit: Some(limit) }
    }

    #[test]
    fn the_quota_of_the_error_and_the_region_are_found() {
        let usages = [
            usage("cores", "Total Regional vCPUs", 88, 100),
            usage("standardDSv5Family", "Standard DSv5 Family vCPUs", 92, 100),
            usage("lowPriorityCores", "Total Regional Low-priority vCPUs", 0, 3),
        ];
        assert_eq!(room(&usages, "Total Regional Cores", 4), Some(3));
        assert_eq!(room(&usages, "standardDSv5 Family Cores", 4), Some(2));
        assert_eq!(room(&usages, "LowPriorityCores", 4), Some(0));
        assert_eq!(room(&usages, "another", 4), Some(3), "the region holds in any case");
        assert_eq!(room(&[], "cores", 4), None);
    }
}
