//! How the operations that Azure runs for us stand.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_azure::{Fault, OperationStatus, OperationUrl};
use poolkeeper_policy::{BindingName, OperationKind, OperationProgress};
use poolkeeper_rest::Class;

use super::{cache::PoolCache, failure, observe::SetHandle};

/// How the operations on their way stand. One that is not asked about, or cannot be read, is not known to have ended.
pub(super) async fn observe(
    cache: &mut PoolCache,
    sets: &BTreeMap<BindingName, SetHandle>,
    now: Timestamp,
) -> BTreeMap<String, OperationProgress> {
    let operations = cache.memory.as_ref().map(|memory| memory.operations.clone()).unwrap_or_default();
    cache.polls.retain(|id, _| operations.iter().any(|operation| &operation.id == id));
    let mut progress = BTreeMap::new();
    for operation in operations {
        let due = cache.polls.get(&operation.id).is_none_or(|due| *due <= now);
        let url = operation.url.as_deref().and_then(|url| url.parse::<OperationUrl>().ok());
        let (true, Some(url), Some(set)) = (due, url, sets.get(&operation.binding)) else { continue };
        let answer = set.client.operation(&url).await;
        let asked = match &answer {
            Ok(answer) => answer.retry_after,
            Err(error) => error.retry_after(),
        };
        let wait = match &answer {
            // Nothing was asked: our own budget of calls says when it may be.
            Err(error) if error.is_kept_back() => asked.unwrap_or_default(),
            Ok(_) | Err(_) => asked.unwrap_or_default().max(poll_interval(&operation.kind)),
        };
        cache.polls.insert(operation.id.clone(), now.checked_add(wait).unwrap_or(Timestamp::MAX));
        let state = match answer.map(|answer| answer.value) {
            Ok(OperationStatus::InProgress) => OperationProgress::InProgress,
            Ok(OperationStatus::Succeeded) => OperationProgress::Succeeded,
            // A later operation took its place, and says how it ends.
            Ok(OperationStatus::Failed(error) | OperationStatus::Canceled(error))
                if error.fault == Fault::Preempted =>
            {
                OperationProgress::Succeeded
            }
            Ok(OperationStatus::Failed(error) | OperationStatus::Canceled(error)) => {
                let missing = match &operation.kind {
                    OperationKind::Create { count, .. } => *count,
                    OperationKind::Delete(_) | OperationKind::Reimage(_) => 0,
                };
                cache.note_quota(&operation.binding, &error.fault, missing);
                OperationProgress::Failed(failure::of_operation(&error, missing))
            }
            // Azure forgets an operation some time after its end.
            Err(error) if error.class() == Class::NotFound => OperationProgress::Succeeded,
            Err(error) if error.is_kept_back() => continue,
            Err(error) => {
                let error = crate::chain(&error);
                tracing::warn!(operation = operation.id, error, "an operation cannot be read");
                continue;
            }
        };
        progress.insert(operation.id, state);
    }
    progress
}

/// Azure refills 15 polls a minute. A growth or deletion that ends makes way for the next write; the end of a reimage
/// shows in its agent, so only its failure is asked for.
fn poll_interval(kind: &OperationKind) -> SignedDuration {
    match kind {
        OperationKind::Create { .. } | OperationKind::Delete(_) => SignedDuration::from_secs(10),
        OperationKind::Reimage(_) => SignedDuration::from_mins(1),
    }
}
