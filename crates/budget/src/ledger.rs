//! All buckets, and who holds which slot.

use crate::bucket::{Bucket, MINUTE, Millis};
use crate::call::{Call, OrganizationCall, Place, Scope, Target};
use crate::limits::Policy;
use crate::organization::{self, Pace};
use crate::shares::Share;
use std::collections::{BTreeMap, HashMap};

/// Who holds a slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Azure(Call, Target),
    Organization { name: String, call: OrganizationCall, caller: String },
}

/// The call has to wait, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) until: Millis,
    pub(crate) place: Place,
    /// The place was throttled by the service.
    pub(crate) throttled: bool,
}

/// A slot that nobody takes up in this time after its instant lapses.
const HELD: Millis = MINUTE;

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) buckets: BTreeMap<(Policy, Place), Bucket>,
    /// The most that any bucket of those that each set, machine or operation has for its own ever gave in a minute.
    pub(crate) highest: BTreeMap<(Policy, Scope), u32>,
    pub(crate) paces: BTreeMap<Place, Pace>,
    pub(crate) organization_calls: u32,
    holds: HashMap<Holder, Refusal>,
    paused: BTreeMap<Place, Millis>,
    /// Regions of scale sets, both in lower case.
    locations: HashMap<String, String>,
    tidied: Millis,
}

impl Ledger {
    pub(crate) fn new(organization_calls: u32) -> Self {
        Self {
            buckets: BTreeMap::new(),
            highest: BTreeMap::new(),
            paces: BTreeMap::new(),
            organization_calls: organization_calls.max(1),
            holds: HashMap::new(),
            paused: BTreeMap::new(),
            locations: HashMap::new(),
            tidied: Millis::MIN,
        }
    }

    pub(crate) fn note_location(&mut self, set: &str, location: &str) {
        self.locations.insert(set.to_ascii_lowercase(), location.to_ascii_lowercase());
    }

    /// The same target with its region, where that is known.
    pub(crate) fn located(&self, who: &Target) -> Target {
        let known = || self.locations.get(&who.set.to_ascii_lowercase()).cloned();
        Target { location: who.location.clone().or_else(known), ..who.clone() }
    }

    /// Takes from all `shares`, unless one of `places` is throttled or a share has none left.
    pub(crate) fn take(
        &mut self,
        holder: Holder,
        shares: &[Share],
        places: &[Place],
        now: Millis,
    ) -> Result<(), Refusal> {
        self.tidy(now);
        let paused = places.iter().filter_map(|place| Some((*self.paused.get(place)?, place))).max();
        let (from, pause) = match paused {
            Some((until, place)) if until > now => (until, Some(place)),
            Some(_) | None => (now, None),
        };
        let held = self.holds.remove(&holder);
        if let Some(hold) = &held {
            if now < hold.until && from <= hold.until {
                self.holds.insert(holder, hold.clone());
                return Err(hold.clone());
            }
            for share in shares {
                self.bucket(share).withdraw(hold.until);
            }
        }
        let is_in_turn = held.is_some_and(|hold| now - hold.until <= HELD) && pause.is_none();
        let (at, cause) = if is_in_turn { self.room(shares, now) } else { self.free(shares, from) };
        match cause.or(pause) {
            None => {
                for share in shares {
                    self.give(share, now);
                }
                Ok(())
            }
            Some(place) => {
                let refusal = Refusal { until: at, place: place.clone(), throttled: pause.is_some() };
                for share in shares {
                    self.bucket(share).promise(at);
                }
                self.holds.insert(holder, refusal.clone());
                Err(refusal)
            }
        }
    }

    /// When a newcomer finds a free slot in all shares, and who delayed it the longest.
    fn free<'a>(&mut self, shares: &'a [Share], from: Millis) -> (Millis, Option<&'a Place>) {
        let (mut at, mut cause) = (from, None);
        loop {
            let before = at;
            for share in shares {
                let bucket = self.bucket(share);
                let next = bucket.free_from(at, share.part);
                if next > at {
                    (at, cause) = (next, Some(&share.place));
                }
            }
            if at == before {
                return (at, cause);
            }
        }
    }

    /// When the holder of a slot finds room, and who delayed it. Its slot was promised out of its part; what others were
    /// promised since out of theirs is no longer its concern.
    fn room<'a>(&mut self, shares: &'a [Share], now: Millis) -> (Millis, Option<&'a Place>) {
        let rooms = shares.iter().map(|share| (self.bucket(share).room_from(now), &share.place));
        rooms.max().filter(|(at, _)| *at > now).map_or((now, None), |(at, place)| (at, Some(place)))
    }

    fn give(&mut self, share: &Share, now: Millis) {
        let bucket = self.bucket(share);
        bucket.give(now);
        let highest = bucket.highest();
        if share.place.shared_by_many().is_none() {
            let known = self.highest.entry((share.policy, share.place.scope())).or_default();
            *known = highest.max(*known);
        }
    }

    pub(crate) fn bucket(&mut self, share: &Share) -> &mut Bucket {
        self.buckets.entry((share.policy, share.place.clone())).or_insert_with(|| match share.place {
            Place::Organization(_) => Bucket::new(share.limit.per_minute, true, organization::WINDOW),
            Place::Region { .. } | Place::Subscription(_) => Bucket::new(ours(share), true, 0),
            Place::Operation(_) | Place::Machine { .. } | Place::Set(_) => Bucket::new(ours(share), false, 0),
        })
    }

    /// Makes everything of `place` wait.
    pub(crate) fn pause(&mut self, place: Place, until: Millis) {
        let known = self.paused.entry(place).or_insert(until);
        *known = until.max(*known);
    }

    /// Slows a bucket down where the service has less left than our own calls explain.
    pub(crate) fn note_remaining(&mut self, share: &Share, left: u32, now: Millis) {
        let limit = share.limit;
        // What we took longer ago has been refilled since.
        let refill = MINUTE * Millis::from(limit.size) / Millis::from(limit.per_minute.max(1));
        let bucket = self.bucket(share);
        let by_us = bucket.given(refill.min(MINUTE), now);
        let is_low = left < limit.size / 4 && limit.size - left > by_us;
        bucket.slow(is_low.then_some(now));
    }

    /// Forgets what no longer matters, now and then.
    fn tidy(&mut self, now: Millis) {
        if now.saturating_sub(self.tidied) < MINUTE / 6 {
            return;
        }
        self.tidied = now;
        self.holds.retain(|_, hold| now - hold.until <= HELD);
        self.paused.retain(|_, until| *until > now);
        self.paces.retain(|_, pace| pace.until > now);
        self.buckets.retain(|(_, place), bucket| place.shared_by_many().is_some() || !bucket.is_idle(now));
    }
}

/// Calls a minute that we allow ourselves: three quarters of what is documented.
fn ours(share: &Share) -> u32 {
    share.limit.per_minute * 3 / 4
}
