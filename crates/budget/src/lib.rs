//! How many calls each service may be given, shared by all who call it.
//!
//! Ask [`Budgets::take`] before each call to Azure, and [`Budgets::take_organization`] before each call to Azure
//! DevOps. Both answer at once: go, or come back at an instant that is then yours. Nothing here waits, sends or reads
//! a clock.
//!
//! Three rules hold:
//! 1. No bucket gives more than 75 % of the documented limit in any minute; an organization's gives no more than its
//!    configured limit.
//! 2. Who is refused holds a slot. It keeps it for 60 s, so all are served in turn, and none starves. Back within 5 s
//!    of its instant, it goes through if the others are as punctual; back later, it goes through unless the minute is
//!    full, and else holds the first room there is.
//! 3. Deletions go first: other writes leave them the last tenth of what all scale sets share.

mod bucket;
mod call;
mod ledger;
mod limits;
mod organization;
mod shares;
mod usage;

pub use call::{Call, OrganizationCall, Scope, Target, Wait};
pub use usage::Usage;

use bucket::Millis;
use jiff::{SignedDuration, Timestamp};
use ledger::{Holder, Ledger, Refusal};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The budgets of all services, as of one process. Cheap to clone; all clones share one state.
#[derive(Clone, Debug)]
pub struct Budgets(Arc<Mutex<Ledger>>);

/// Calls a minute to one Azure DevOps organization, where not configured. Azure DevOps counts 200 units in five minutes
/// and does not say what a call costs (<https://learn.microsoft.com/azure/devops/integrate/concepts/rate-limits>), so
/// this only bounds the start; [`Budgets::note_rate_limit`] rules.
pub const ORGANIZATION_CALLS: u32 = 300;

impl Default for Budgets {
    fn default() -> Self {
        Self::new(ORGANIZATION_CALLS)
    }
}

impl Budgets {
    /// Full budgets, with at most `organization_calls` calls a minute to each Azure DevOps organization.
    pub fn new(organization_calls: u32) -> Self {
        Self(Arc::new(Mutex::new(Ledger::new(organization_calls))))
    }

    /// Takes one `call` of `who` out of every bucket that Azure counts it in.
    ///
    /// # Errors
    /// [`Wait`] where one of them has none left. Its slot is held for the same `call` of the same `who`.
    pub fn take(&self, call: Call, who: &Target, now: Timestamp) -> Result<(), Wait> {
        let mut ledger = self.ledger();
        let who = ledger.located(who);
        let (shares, places) = (shares::of(call, &who), who.places());
        ledger
            .take(Holder::Azure(call, who), &shares, &places, now.as_millisecond())
            .map_err(|refusal| wait(&refusal))
    }

    /// Takes one call of an Azure DevOps organization. `caller` tells apart who waits: the pool, and what it calls for.
    ///
    /// # Errors
    /// [`Wait`] where none is left. Its slot is held for the same `call` of the same `caller`.
    pub fn take_organization(
        &self,
        organization: &str,
        call: OrganizationCall,
        caller: &str,
        now: Timestamp,
    ) -> Result<(), Wait> {
        let now = now.as_millisecond();
        self.ledger().take_organization(organization, call, caller, now).map_err(|refusal| wait(&refusal))
    }

    /// Learns in which region a scale set is: calls about it that do not say so are charged there from now on.
    pub fn note_location(&self, set: &str, location: &str) {
        self.ledger().note_location(set, location);
    }

    /// Takes in what Azure answered to `call` about one bucket: `left` calls. `policy` is the name of a policy in
    /// `x-ms-ratelimit-remaining-resource` (as `Microsoft.Compute/GetVMScaleSetResource`), or the header
    /// `x-ms-ratelimit-remaining-subscription-reads`, `-writes` or `-deletes` itself.
    ///
    /// With less than a quarter left, and others than us to thank for it, that bucket gives half, until a later answer
    /// says otherwise. Policies of unknown size (those by 3, 5 and 30 minutes, those that count VMs) change nothing.
    pub fn note_remaining(&self, call: Call, who: &Target, policy: &str, left: u32, now: Timestamp) {
        let mut ledger = self.ledger();
        let who = ledger.located(who);
        if let Some(share) = shares::named(policy, shares::of(call, &who)) {
            ledger.note_remaining(&share, left, now.as_millisecond());
        }
    }

    /// Takes in a 429: everything of `scope` waits until `retry_after` (at most a day) has passed, and nothing else does.
    ///
    /// A subscription is throttled in the region that `who` names, or as a whole where it names none (the front door's
    /// `SubscriptionRequestsThrottled`). A machine or an operation that `who` does not name is its scale set.
    /// [`Scope::Organization`] changes nothing here: see [`Self::note_organization_throttled`].
    pub fn note_throttled(&self, scope: Scope, who: &Target, retry_after: SignedDuration, now: Timestamp) {
        if let Some(place) = who.place(scope) {
            self.ledger().pause(place, after(now, retry_after));
        }
    }

    /// Takes in a 429 of an Azure DevOps organization: all of it waits. A delayed answer is none: it only asks for
    /// slower sampling.
    pub fn note_organization_throttled(
        &self,
        organization: &str,
        retry_after: SignedDuration,
        now: Timestamp,
    ) {
        let place = call::Place::organization(organization);
        self.ledger().pause(place, after(now, retry_after));
    }

    /// Takes in `X-RateLimit-Limit`, `-Remaining` (in Azure DevOps' units) and `-Reset` of an organization. Below a
    /// quarter of the limit, reads slow down to the pace at which the rest lasts until `reset`, at what our calls of
    /// the last five minutes have cost; removals still go.
    pub fn note_rate_limit(
        &self,
        organization: &str,
        limit: u32,
        remaining: u32,
        reset: Timestamp,
        now: Timestamp,
    ) {
        let (reset, now) = (reset.as_millisecond(), now.as_millisecond());
        self.ledger().note_rate_limit(organization, limit, remaining, reset, now);
    }

    /// What was used of each bucket, in a stable order. What each set, machine or operation has for its own is one
    /// row: that of the busiest.
    pub fn usage(&self, now: Timestamp) -> Vec<Usage> {
        self.ledger().usage(now.as_millisecond())
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever asks for more is wrong, and would stop us for good.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_hours(24);

fn after(now: Timestamp, retry_after: SignedDuration) -> Millis {
    let pause = retry_after.clamp(SignedDuration::ZERO, LONGEST_PAUSE);
    now.as_millisecond() + Millis::try_from(pause.as_millis()).unwrap_or_default()
}

fn wait(refusal: &Refusal) -> Wait {
    let until = Timestamp::from_millisecond(refusal.until).unwrap_or(Timestamp::MAX);
    Wait { until, scope: refusal.place.scope(), throttled: refusal.throttled }
}
