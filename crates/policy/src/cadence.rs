//! When each source is read next.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    instance::after,
    memory::Memory,
    plan::Action,
    pool::{BindingName, Pool, Sampling, ScaleOut},
    snapshot::{SetView, Snapshot},
};

/// Azure allows 10 lists a minute per scale set; 6 leave room for other readers.
const LIST_MOVING: SignedDuration = SignedDuration::from_secs(10);
const LIST_QUIET: SignedDuration = SignedDuration::from_mins(5);
const SET: SignedDuration = SignedDuration::from_mins(1);
const JOBS_MOVING: SignedDuration = SignedDuration::from_secs(10);
const JOBS_QUIET: SignedDuration = SignedDuration::from_mins(1);
/// A source that cannot be read is asked again this often.
const RETRY: SignedDuration = SignedDuration::from_secs(30);
/// Every wake-up is at least this far away, so that nothing can spin.
const SHORTEST_SLEEP: SignedDuration = SignedDuration::from_secs(1);
/// Whatever the plan, the pool is looked at again within this time.
pub(crate) const LONGEST_SLEEP: SignedDuration = SignedDuration::from_mins(5);

/// The scale sets on which something is on its way.
pub(crate) fn moving(
    memory: &Memory,
    instances: &[crate::Instance],
    actions: &[Action],
    also: impl IntoIterator<Item = BindingName>,
) -> BTreeSet<BindingName> {
    let mut moving: BTreeSet<BindingName> = also.into_iter().collect();
    let operations = memory.operations.iter().map(|operation| &operation.binding);
    for binding in operations.chain(actions.iter().map(Action::binding)) {
        moving.insert(binding.clone());
    }
    for of_one_set in instances.chunk_by(|a, b| a.binding == b.binding) {
        if let Some(found) = of_one_set.iter().find(|instance| instance.state.is_moving()) {
            moving.insert(found.binding.clone());
        }
    }
    moving
}

/// When jobs and agents are read next: now and the interval that shall lie between two reads.
pub(crate) fn jobs(
    pool: &Pool,
    seen: &Snapshot,
    quiet_since: Timestamp,
    sample_at: Option<Timestamp>,
    now: Timestamp,
) -> Timestamp {
    let decaying = now.duration_since(quiet_since).clamp(JOBS_MOVING, JOBS_QUIET);
    let interval = match pool.scale_out {
        ScaleOut::Exact { sampling: Sampling::Every(interval) } => interval,
        // Steps are decided at the sample; what an agent does in between is followed meanwhile.
        ScaleOut::Exact { sampling: Sampling::Decaying } | ScaleOut::ElasticPool { .. } => decaying,
    };
    if seen.jobs.why().is_some() || seen.agents.why().is_some() {
        return after(now, interval.max(RETRY));
    }
    // A sample is decided on what has just been read; the interval counts from the last read.
    let read_at = seen.jobs.fresh_at().unwrap_or(now);
    let to_sample = sample_at.map_or(interval, |at| at.duration_since(read_at).max(SHORTEST_SLEEP));
    after(now, interval.min(to_sample))
}

/// When a scale set and its instances are read next.
pub(crate) fn set(
    binding: &BindingName,
    view: &SetView,
    memory: &Memory,
    moving: bool,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    // Its own controller reads a blocked one, and tells when it is free.
    let retry = if view.blocked.is_some() { LIST_QUIET } else { RETRY };
    let next = |seen: Option<Timestamp>, interval| seen.map_or(after(now, retry), |at| after(at, interval));
    let list_interval = if moving || !memory.is_settled(binding, now) { LIST_MOVING } else { LIST_QUIET };
    (next(view.scale_set.fresh_at(), SET), next(view.instances.fresh_at(), list_interval))
}

/// The earliest of the times that is after now; never in the past, and never far away.
pub(crate) fn wakeup(times: impl IntoIterator<Item = Timestamp>, now: Timestamp) -> Timestamp {
    let (soonest, latest) = (after(now, SHORTEST_SLEEP), after(now, LONGEST_SLEEP));
    times.into_iter().min().unwrap_or(latest).clamp(soonest, latest)
}
