//! One bucket: the calls that it gave, and the slots that it has promised.

use crate::shares::Part;

/// An instant or a span, in milliseconds.
pub(crate) type Millis = i64;

pub(crate) const MINUTE: Millis = 60_000;

/// How late holders may come back and all find room: slots are promised for this much more than a minute.
const PUNCTUAL: Millis = 5_000;

/// Shared buckets give at most a twelfth in this time, so that the many do not all come at once.
const SPREAD: Millis = 5_000;

/// Calls, at most so many a minute.
#[derive(Debug)]
pub(crate) struct Bucket {
    most: u32,
    is_spread: bool,
    keep: Millis,
    slowed: Option<Millis>,
    highest: u32,
    /// When it gave, in order.
    given: Vec<Millis>,
    /// When it gave and when it has promised to, in order.
    slots: Vec<Millis>,
}

impl Bucket {
    /// A full bucket of `most` calls a minute, which knows the calls of the last `keep`.
    pub(crate) fn new(most: u32, is_spread: bool, keep: Millis) -> Self {
        let keep = keep.max(MINUTE + PUNCTUAL);
        let (given, slots) = (Vec::new(), Vec::new());
        Self { most: most.max(1), is_spread, keep, slowed: None, highest: 0, given, slots }
    }

    /// Calls a minute that it may give now.
    pub(crate) fn most(&self) -> u32 {
        if self.slowed.is_some() { (self.most / 2).max(1) } else { self.most }
    }

    /// Halves what it gives as of `since`, or no longer.
    pub(crate) fn slow(&mut self, since: Option<Millis>) {
        self.slowed = since;
    }

    /// The most that it gave in any minute.
    pub(crate) fn highest(&self) -> u32 {
        self.highest
    }

    /// Whether nothing happened for so long that it can be forgotten.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        let last = self.slots.last().copied().max(self.slowed);
        last.is_none_or(|last| last < now - self.keep)
    }

    /// Calls given in the `span` before `now`.
    pub(crate) fn given(&self, span: Millis, now: Millis) -> u32 {
        u32::try_from(self.given_since(now - span).len()).unwrap_or(u32::MAX)
    }

    fn given_since(&self, start: Millis) -> &[Millis] {
        self.given.get(before(&self.given, start)..).unwrap_or_default()
    }

    /// The first instant at or after `from` where a newcomer takes nothing that is promised.
    pub(crate) fn free_from(&self, from: Millis, part: Part) -> Millis {
        let most = part.of(self.most());
        let mut at = from;
        loop {
            let before = at;
            at = self.past_full(at, most, MINUTE + PUNCTUAL);
            if self.is_spread && part != Part::AtOnce {
                at = self.past_full(at, most.div_ceil(12), SPREAD);
            }
            if at == before {
                return at;
            }
        }
    }

    /// The first instant at or after `at` that lies in no `window` with `most` slots.
    fn past_full(&self, mut at: Millis, most: u32, window: Millis) -> Millis {
        let near = self.slots.get(before(&self.slots, at - window)..).unwrap_or_default();
        for full in near.windows(usize::try_from(most).unwrap_or(usize::MAX).max(1)) {
            let (Some(first), Some(last)) = (full.first(), full.last()) else { break };
            if last - window > at {
                break;
            }
            if last - first <= window && at <= first + window {
                at = first + window + 1;
            }
        }
        at
    }

    /// The first instant from `now` on where one call more than was really given keeps to the minute.
    pub(crate) fn room_from(&self, now: Millis) -> Millis {
        let given = self.given_since(now - MINUTE);
        let most = usize::try_from(self.most()).unwrap_or(usize::MAX);
        let first = given.len().checked_sub(most).and_then(|surplus| given.get(surplus));
        first.map_or(now, |first| first + MINUTE + 1)
    }

    /// Gives a call.
    pub(crate) fn give(&mut self, now: Millis) {
        for times in [&mut self.given, &mut self.slots] {
            insert(times, now);
            times.drain(..before(times, now - self.keep));
        }
        self.highest = self.highest.max(self.given(MINUTE, now));
    }

    /// Promises a slot.
    pub(crate) fn promise(&mut self, at: Millis) {
        insert(&mut self.slots, at);
    }

    /// Takes back a promise.
    pub(crate) fn withdraw(&mut self, at: Millis) {
        let index = before(&self.slots, at);
        if self.slots.get(index) == Some(&at) {
            self.slots.remove(index);
        }
    }
}

/// How many of `times` lie before `at`.
fn before(times: &[Millis], at: Millis) -> usize {
    times.partition_point(|time| *time < at)
}

fn insert(times: &mut Vec<Millis>, at: Millis) {
    let index = times.partition_point(|time| *time <= at);
    times.insert(index, at);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks at each instant; a refused one is dropped.
    fn served(bucket: &mut Bucket, instants: impl IntoIterator<Item = Millis>) -> Vec<Millis> {
        let mut served = Vec::new();
        for now in instants {
            if bucket.free_from(now, Part::Whole) == now {
                bucket.give(now);
                served.push(now);
            }
        }
        served
    }

    #[test]
    fn all_may_go_at_once_and_then_a_minute_later() {
        let mut bucket = Bucket::new(3, false, 0);
        assert_eq!(served(&mut bucket, [0, 0, 0, 0, 60_000, 65_000, 65_001]), [0, 0, 0, 65_001]);
        assert_eq!(bucket.highest(), 3);
    }

    #[test]
    fn a_shared_one_gives_a_twelfth_in_five_seconds() {
        let mut bucket = Bucket::new(24, true, 0);
        assert_eq!(served(&mut bucket, [0, 0, 0, 5_000, 5_001, 5_001, 5_001]), [0, 0, 5_001, 5_001]);
    }

    #[test]
    fn promises_count_for_newcomers_until_they_are_taken_back() {
        let mut bucket = Bucket::new(1, false, 0);
        bucket.promise(30_000);
        // Before it, and after it, a minute must be clear.
        assert_eq!(bucket.free_from(-35_001, Part::Whole), -35_001);
        assert_eq!(bucket.free_from(0, Part::Whole), 95_001);
        assert_eq!(bucket.room_from(0), 0, "nothing was given");
        bucket.withdraw(30_000);
        assert_eq!(bucket.free_from(0, Part::Whole), 0);
        assert!(bucket.is_idle(0));
    }

    #[test]
    fn a_slowed_one_gives_half() {
        let mut bucket = Bucket::new(7, false, 0);
        bucket.slow(Some(0));
        assert_eq!(served(&mut bucket, [0; 9]).len(), 3);
        assert_eq!(bucket.room_from(1), 60_001);
        bucket.slow(None);
        assert_eq!(served(&mut bucket, [1; 9]).len(), 4);
    }
}
