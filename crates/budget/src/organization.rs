//! The budget of an Azure DevOps organization.

use crate::bucket::{MINUTE, Millis};
use crate::call::{OrganizationCall, Place};
use crate::ledger::{Holder, Ledger, Refusal};
use crate::limits::{Limit, Policy};
use crate::shares::{Part, Share};

/// Azure DevOps sums the cost of calls over five minutes.
pub(crate) const WINDOW: Millis = 5 * MINUTE;

/// How many reads a minute last until the reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    reads: u32,
    pub(crate) until: Millis,
}

impl Ledger {
    pub(crate) fn take_organization(
        &mut self,
        name: &str,
        call: OrganizationCall,
        caller: &str,
        now: Millis,
    ) -> Result<(), Refusal> {
        let place = Place::organization(name);
        let pace = self.paces.get(&place).filter(|pace| pace.until > now);
        let part = match (call, pace) {
            (OrganizationCall::Read, Some(pace)) => Part::AtMost(pace.reads),
            (OrganizationCall::Read | OrganizationCall::Write, _) => Part::NineTenths,
            (OrganizationCall::Delete, _) => Part::AtOnce,
        };
        let share = self.organization_share(place.clone(), part);
        let holder =
            Holder::Organization { name: name.to_ascii_lowercase(), call, caller: caller.to_owned() };
        self.take(holder, &[share], &[place], now)
    }

    pub(crate) fn note_rate_limit(
        &mut self,
        name: &str,
        limit: u32,
        remaining: u32,
        reset: Millis,
        now: Millis,
    ) {
        let place = Place::organization(name);
        if remaining >= limit / 4 || reset <= now {
            self.paces.remove(&place);
            return;
        }
        let share = self.organization_share(place.clone(), Part::Whole);
        let calls = u64::from(self.bucket(&share).given(WINDOW, now).max(1));
        let spent = u64::from(limit.saturating_sub(remaining).max(1));
        let affordable = u64::from(remaining) * calls / spent;
        let left = u64::try_from(reset - now).unwrap_or(1).max(1);
        let reads = u32::try_from(affordable.saturating_mul(60_000) / left).unwrap_or(u32::MAX);
        self.paces.insert(place, Pace { reads, until: reset });
    }

    fn organization_share(&self, place: Place, part: Part) -> Share {
        let limit = Limit { per_minute: self.organization_calls, size: self.organization_calls };
        Share { policy: Policy::OrganizationCall, place, part, limit }
    }
}
