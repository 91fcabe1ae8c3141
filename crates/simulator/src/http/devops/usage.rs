//! How much each identity has used of an organisation, and what it is told.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::{
    Reply,
    access::{Identity, throttled},
};
use crate::spec::{RateLimitMode, RateLimitSpec};

/// Azure DevOps counts over a sliding window of five minutes.
const WINDOW: SignedDuration = SignedDuration::from_mins(5);
/// The longest delay of a call (Azure DevOps: 30 s).
const LONGEST_DELAY: f64 = 30.0;

/// The calls of the window, by organisation and identity.
#[derive(Debug, Default)]
pub(in crate::http) struct Usage {
    calls: BTreeMap<(usize, Identity), VecDeque<Timestamp>>,
}

type Headers = Vec<(&'static str, String)>;

impl Usage {
    /// Counts a call. The answer is what its headers say, or 429.
    ///
    /// Azure DevOps says nothing while there is plenty, delays above the limit, and refuses when that does not help.
    /// From which usage on it does which is not documented: here three quarters, the limit, and twice the limit.
    pub(super) fn take(
        &mut self,
        limit: &RateLimitSpec,
        organization: usize,
        identity: Identity,
        now: Timestamp,
    ) -> Result<Headers, Reply> {
        let calls = self.calls.entry((organization, identity)).or_default();
        while calls.front().is_some_and(|at| end(*at) <= now) {
            calls.pop_front();
        }
        let most = usize::try_from(limit.tstu).unwrap_or(usize::MAX);
        let blocked = limit.mode == RateLimitMode::Enforced && calls.len() >= most.saturating_mul(2);
        if blocked {
            // Until the usage is back at the limit.
            let over = calls.get(calls.len() - most).copied().map_or(now, end);
            let wait = over.duration_since(now).as_secs() + 1;
            let refused = throttled(wait.to_string());
            return Err(headers(calls, most, None)
                .into_iter()
                .fold(refused, |reply, (n, v)| reply.header(n, v)));
        }
        calls.push_back(now);
        if calls.len() * 4 <= most * 3 {
            return Ok(Vec::new());
        }
        let over = calls.len().saturating_sub(most);
        let delay = (over > 0).then(|| (over as f64 / most as f64 * LONGEST_DELAY).min(LONGEST_DELAY));
        Ok(headers(calls, most, delay))
    }
}

fn end(call: Timestamp) -> Timestamp {
    call.checked_add(WINDOW).unwrap_or(Timestamp::MAX)
}

fn headers(calls: &VecDeque<Timestamp>, most: usize, delay: Option<f64>) -> Headers {
    let mut headers = vec![
        ("x-ratelimit-resource", "Concurrency".to_owned()),
        ("x-ratelimit-limit", most.to_string()),
        ("x-ratelimit-remaining", most.saturating_sub(calls.len()).to_string()),
    ];
    // When nothing of it would be left if no more calls came.
    if let Some(last) = calls.back() {
        headers.push(("x-ratelimit-reset", end(*last).as_second().to_string()));
    }
    if let Some(delay) = delay {
        headers.push(("x-ratelimit-delay", format!("{delay:.3}")));
        headers.push(("retry-after", format!("{}", delay.ceil())));
    }
    headers
}
