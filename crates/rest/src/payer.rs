//! Whose budget of calls a client draws on: asked before each call, told after it.

use crate::allowance::{RateLimit, Remaining};
use crate::calls::Operation;
use crate::client::Request;
use crate::error::{Class, Error};
use crate::reply::Reply;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_budget::{Budgets, Call, OrganizationCall, Scope, Target};
use poolkeeper_clock::Clock;
use reqwest::{Method, Url};
use std::sync::Arc;

/// What Azure's budgets charge for a call; none for one that they do not count.
pub type Charge = fn(&Method, &Url) -> Option<(Call, Target)>;

/// Who has to wait after a refusal for too many calls.
pub type Throttled = fn(&Error) -> Scope;

/// Whose budget of calls a client draws on. A call that has none left is not sent: its error is
/// [`kept back`](Error::is_kept_back), and says when it may be made.
#[derive(Clone, Debug)]
pub struct Payer {
    budgets: Budgets,
    clock: Clock,
    account: Account,
}

#[derive(Clone, Debug)]
enum Account {
    Azure { charge: Charge, throttled: Throttled },
    Organization { name: Arc<str>, caller: Arc<str> },
}

/// A 429 without `Retry-After` is waited for this long: Azure's buckets fill up within a minute.
const WAIT: SignedDuration = SignedDuration::from_secs(60);

impl Payer {
    /// Draws on Azure's budgets.
    pub fn azure(budgets: Budgets, clock: Clock, charge: Charge, throttled: Throttled) -> Self {
        Self { budgets, clock, account: Account::Azure { charge, throttled } }
    }

    /// Draws on the budget of an Azure DevOps organisation; `caller` tells apart who waits for a slot.
    pub fn organization(budgets: Budgets, clock: Clock, name: &str, caller: &str) -> Self {
        Self { budgets, clock, account: Account::Organization { name: name.into(), caller: caller.into() } }
    }

    pub(crate) fn admit(&self, request: &Request) -> Result<(), Error> {
        let now = self.clock.now();
        let taken = match &self.account {
            Account::Azure { charge, .. } => match charge(request.method(), request.url()) {
                Some((call, who)) => self.budgets.take(call, &who, now),
                None => Ok(()),
            },
            Account::Organization { name, caller } => {
                let call = match request.operation() {
                    Operation::Get | Operation::List | Operation::Poll => OrganizationCall::Read,
                    Operation::Update => OrganizationCall::Write,
                    Operation::Delete => OrganizationCall::Delete,
                };
                let caller = format!("{caller} {} {}", request.method(), request.url().path());
                self.budgets.take_organization(name, call, &caller, now)
            }
        };
        taken.map_err(|wait| {
            let (error, left) = (request.error(Class::Throttled), wait.until.duration_since(now));
            // What the service itself has refused is refused, also before it is asked again.
            if wait.throttled { error.throttled(left) } else { error.kept_back(left) }
        })
    }

    pub(crate) fn settle(&self, request: &Request, answer: &Result<Reply, Error>) {
        let now = self.clock.now();
        let (remaining, rate_limit, retry_after) = match answer {
            Ok(reply) => (reply.remaining(), reply.rate_limit(), reply.retry_after()),
            Err(error) => (error.remaining().to_vec(), error.rate_limit().cloned(), error.retry_after()),
        };
        let refused = answer.as_ref().err().filter(|error| error.class() == Class::Throttled);
        match &self.account {
            Account::Azure { charge, throttled } => {
                let Some((call, who)) = charge(request.method(), request.url()) else { return };
                for Remaining { policy, left } in remaining {
                    self.budgets.note_remaining(call, &who, &policy, left, now);
                }
                if let Some(error) = refused {
                    let wait = retry_after.unwrap_or(WAIT);
                    self.budgets.note_throttled(throttled(error), &who, wait, now);
                }
            }
            Account::Organization { name, .. } => {
                if let Some(RateLimit { limit: Some(limit), remaining: Some(left), reset, .. }) = rate_limit {
                    let count = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
                    let reset = self.on_our_clock(reset, now);
                    self.budgets.note_rate_limit(name, count(limit), count(left), reset, now);
                }
                // A delayed answer with `Retry-After` slows sampling down, and stops nobody in the middle of a removal.
                if refused.is_some() {
                    self.budgets.note_organization_throttled(name, retry_after.unwrap_or(WAIT), now);
                }
            }
        }
    }

    /// When the budget is whole again; five minutes where it is not said, or is not to be believed.
    fn on_our_clock(&self, reset: Option<Timestamp>, now: Timestamp) -> Timestamp {
        const WINDOW: SignedDuration = SignedDuration::from_mins(5);
        let latest = now.checked_add(WINDOW).unwrap_or(Timestamp::MAX);
        reset.filter(|reset| *reset > now && *reset <= latest).unwrap_or(latest)
    }
}
