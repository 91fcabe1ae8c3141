//! What was used, for metrics.

use crate::bucket::{MINUTE, Millis};
use crate::call::Scope;
use crate::ledger::Ledger;
use crate::limits::Policy;
use std::collections::BTreeMap;

/// What was used of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose limit it is.
    pub scope: Scope,
    /// The subscription and region (`subscription/region`), the subscription or the organization. None where each set,
    /// machine or operation has a bucket of its own: then the row is that of the busiest.
    pub owner: Option<String>,
    /// What the bucket counts, as `scale-set-list`.
    pub bucket: &'static str,
    /// The documented limit (of an organization: the configured one), in calls a minute.
    pub limit: u32,
    /// Calls in the last 60 s.
    pub used: u32,
    /// The most calls in any 60 s since the start.
    pub highest: u32,
}

impl Ledger {
    pub(crate) fn usage(&self, now: Millis) -> Vec<Usage> {
        let unused = |policy: Policy, scope, owner: Option<String>, highest| {
            let row = policy.row();
            let documented = if owner.is_some() { row.all } else { row.each };
            let limit = documented.map_or(self.organization_calls, |limit| limit.per_minute);
            Usage { scope, owner, bucket: row.name, limit, used: 0, highest }
        };
        // The buckets of single sets, machines and operations come and go; their rows stay.
        let mut rows: BTreeMap<(Policy, Scope, Option<String>), Usage> = self
            .highest
            .iter()
            .map(|((policy, scope), highest)| {
                ((*policy, *scope, None), unused(*policy, *scope, None, *highest))
            })
            .collect();
        for ((policy, place), bucket) in &self.buckets {
            let (scope, owner) = (place.scope(), place.shared_by_many());
            let usage = rows
                .entry((*policy, scope, owner.clone()))
                .or_insert_with(|| unused(*policy, scope, owner, bucket.highest()));
            usage.used = usage.used.max(bucket.given(MINUTE, now));
        }
        rows.into_values().collect()
    }
}
