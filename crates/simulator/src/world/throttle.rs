//! Azure's limits of calls, as token buckets.
//!
//! Figures: <https://learn.microsoft.com/azure/virtual-machines/compute-throttling-limits>, and for the front door
//! <https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Call, SetRef, World};
use crate::spec::Throttling;

/// A bucket: calls that come back to it in a minute, and the most that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Size {
    per_minute: u32,
    bucket: u32,
}

/// What bounds a class of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its name in headers.
    pub(crate) name: &'static str,
    resource: Option<Size>,
    subscription: Size,
}

/// The front door's buckets, for each client of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    Reads,
    Writes,
    Deletes,
}

impl Door {
    fn size(self) -> Size {
        match self {
            // 25 a second
            Self::Reads => Size { per_minute: 1500, bucket: 250 },
            // 10 a second
            Self::Writes | Self::Deletes => Size { per_minute: 600, bucket: 200 },
        }
    }

    /// The name of its header.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Reads => "x-ms-ratelimit-remaining-subscription-reads",
            Self::Writes => "x-ms-ratelimit-remaining-subscription-writes",
            Self::Deletes => "x-ms-ratelimit-remaining-subscription-deletes",
        }
    }
}

impl Call {
    /// What bounds the calls of this class.
    pub(crate) fn limit(self) -> Option<Limit> {
        let (name, resource, subscription) = match self {
            Self::ScaleSetGet => ("LowCostGetVMScaleSet", Some((12, 36)), (800, 2400)),
            Self::InstanceList => ("HighCostGetVMScaleSet", Some((10, 30)), (360, 1080)),
            Self::ScaleSetUpdate => ("UpdateVMScaleSet", Some((4, 12)), (500, 1500)),
            Self::InstanceDelete => ("DeleteVMScaleSet", Some((4, 12)), (175, 525)),
            Self::InstanceGet => ("GetVMScaleSetVM", Some((12, 36)), (2000, 6000)),
            Self::InstanceUpdate => ("UpdateVMScaleSetVM", Some((4, 12)), (500, 1500)),
            Self::MachineList => ("HighCostGet", None, (300, 900)),
            Self::MachineGet => ("LowCostGet", Some((12, 36)), (8000, 24_000)),
            Self::MachineUpdate => ("UpdateVM", Some((4, 12)), (500, 1500)),
            Self::MachineDelete => ("DeleteVM", Some((4, 12)), (500, 1500)),
            Self::OperationGet => ("GetOperation", Some((15, 45)), (5000, 15_000)),
            Self::SurroundingsGet
            | Self::AzureOther
            | Self::Token
            | Self::PoolGet
            | Self::AgentGet
            | Self::RequestGet
            | Self::AgentWrite
            | Self::DevOpsOther => return None,
        };
        let size = |(per_minute, bucket)| Size { per_minute, bucket };
        Some(Limit { name, resource: resource.map(size), subscription: size(subscription) })
    }
}

/// Whose bucket it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Of a class, for a resource by its id.
    Resource(&'static str, String),
    /// Of a class, for a subscription in a region.
    Subscription(&'static str, String),
    /// Of the front door, for a subscription and a client.
    Door(Door, String, usize),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    size: Size,
    /// What is left, in 60,000ths of calls.
    left: u64,
    at: Timestamp,
}

/// All buckets that have been used lately.
#[derive(Debug, Clone)]
pub(super) struct Meter {
    throttling: Throttling,
    buckets: BTreeMap<Key, Bucket>,
}

/// One call, and where it counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Charge<'a> {
    pub(crate) call: Call,
    pub(crate) set: Option<SetRef>,
    /// The id of what is called: a scale set, an instance, an operation.
    pub(crate) resource: &'a str,
    pub(crate) subscription: &'a str,
    pub(crate) client: usize,
    pub(crate) door: Door,
}

/// What is left after a call, or how long to wait.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) resource: Option<u32>,
    pub(crate) subscription: Option<u32>,
    pub(crate) door: u32,
    /// Seconds until the emptiest bucket has a call again, and which that is.
    pub(crate) wait: Option<(i64, Empty)>,
}

/// A bucket without a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Empty {
    Resource,
    Subscription,
    Door,
}

/// One call. A minute has as many milliseconds, so that a millisecond brings as many of these as a minute brings calls.
const CALL: u64 = 60_000;

/// Above so many buckets the full ones are forgotten.
const KEPT: usize = 4096;

impl Meter {
    pub(super) fn new(throttling: Throttling) -> Self {
        Self { throttling, buckets: BTreeMap::new() }
    }

    fn charge(&mut self, now: Timestamp, charge: &Charge<'_>, location: &str) -> Left {
        let limit = charge.call.limit();
        let subscription = charge.subscription.to_ascii_lowercase();
        let resource = limit.and_then(|limit| {
            let key = Key::Resource(limit.name, charge.resource.to_ascii_lowercase());
            Some((key, limit.resource?))
        });
        let region = format!("{subscription}/{}", location.to_ascii_lowercase());
        let whole = limit.map(|limit| (Key::Subscription(limit.name, region), limit.subscription));
        let door = Some((Key::Door(charge.door, subscription, charge.client), charge.door.size()));
        self.forget(now);
        let mut all = [resource, whole, door];
        let waits = all.each_mut().map(|slot| {
            let (key, size) = slot.as_ref()?;
            let bucket = self.buckets.entry(key.clone()).or_insert_with(|| Bucket::full(*size, now));
            bucket.fill(now);
            bucket.wait()
        });
        let wait = waits
            .iter()
            .zip([Empty::Resource, Empty::Subscription, Empty::Door])
            .filter_map(|(wait, empty)| wait.map(|wait| (wait, empty)))
            .max()
            .filter(|_| self.throttling == Throttling::Enforced);
        let [resource, whole, door] = all.map(|slot| {
            let bucket = self.buckets.get_mut(&slot?.0)?;
            if wait.is_none() {
                bucket.left = bucket.left.saturating_sub(CALL);
            }
            u32::try_from(bucket.left / CALL).ok()
        });
        Left { resource, subscription: whole, door: door.unwrap_or_default(), wait }
    }

    fn forget(&mut self, now: Timestamp) {
        if self.buckets.len() > KEPT {
            self.buckets.retain(|_, bucket| {
                bucket.fill(now);
                bucket.left < bucket.size.most()
            });
        }
    }
}

impl Size {
    fn most(self) -> u64 {
        u64::from(self.bucket) * CALL
    }
}

impl Bucket {
    fn full(size: Size, now: Timestamp) -> Self {
        Self { size, left: size.most(), at: now }
    }

    fn fill(&mut self, now: Timestamp) {
        let passed = u64::try_from(now.duration_since(self.at).as_millis()).unwrap_or_default();
        let back = passed.saturating_mul(u64::from(self.size.per_minute));
        self.left = self.left.saturating_add(back).min(self.size.most());
        self.at = self.at.max(now);
    }

    /// Seconds until a call is left; none if one is.
    fn wait(&self) -> Option<i64> {
        let missing = CALL.checked_sub(self.left).filter(|missing| *missing > 0)?;
        let seconds = missing.div_ceil(u64::from(self.size.per_minute) * 1000);
        Some(i64::try_from(seconds).unwrap_or(i64::MAX).max(1))
    }
}

impl World {
    /// Counts a call of Azure, and takes it from its buckets. Where limits are enforced, a call that finds one empty
    /// takes nothing, and is to be refused.
    pub(crate) fn charge(&mut self, charge: &Charge<'_>) -> Left {
        let now = self.now;
        let set = charge.set.and_then(|set| Some((set, std::sync::Arc::clone(&self.sets.get(set.0)?.name))));
        self.tally.call(now, charge.call, set, Some(charge.subscription));
        let location = charge.set.and_then(|set| self.sets.get(set.0)).map_or("", |set| &set.spec.location);
        let left = self.meter.charge(now, charge, location);
        if left.wait.is_some() {
            self.tally.throttled(charge.call);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(throttling: Throttling) -> impl FnMut(i64, &str) -> Left {
        let mut meter = Meter::new(throttling);
        move |second, resource| {
            let charge = Charge {
                call: Call::ScaleSetUpdate,
                set: None,
                resource,
                subscription: "s",
                client: 0,
                door: Door::Writes,
            };
            meter.charge(Timestamp::from_second(second).unwrap(), &charge, "westeurope")
        }
    }

    #[test]
    fn a_bucket_of_12_takes_12_calls_and_then_4_a_minute() {
        let mut call = meter(Throttling::Enforced);
        for left in (0..12).rev() {
            assert_eq!(call(0, "x").resource, Some(left));
        }
        assert_eq!(call(0, "x").wait, Some((15, Empty::Resource)), "one comes back in 15 s");
        assert_eq!(call(0, "y").subscription, Some(1500 - 13), "refused calls are free, others' count");
        assert_eq!(call(14, "x").wait, Some((1, Empty::Resource)));
        assert_eq!(call(15, "x").wait, None);
        assert_eq!(call(16, "x").wait, Some((14, Empty::Resource)));
    }

    #[test]
    fn reported_limits_refuse_nothing() {
        let mut call = meter(Throttling::Reported);
        let last = (0..20).map(|_| call(0, "x")).last().unwrap();
        assert_eq!((last.resource, last.wait), (Some(0), None));
    }
}
