//! What a pool's passes have read: a cache that a restart empties, never a truth.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_azure::{Fault, Quota};
use poolkeeper_policy::{Agent, BindingName, JobRequest, Memory, Plan, Seen, Vm, Why};
use poolkeeper_rest::Error;

use super::{failure, history::HistoryCache};

/// A source with its last good answer, and why it is missing since, if it is.
#[derive(Debug)]
pub(crate) struct Source<T> {
    last: Option<(T, Timestamp)>,
    why: Option<Why>,
    /// When it was last read, or tried.
    tried_at: Timestamp,
    /// When it is read next.
    pub(crate) due: Timestamp,
    /// Our own budget of calls lets it be read no earlier.
    not_before: Timestamp,
}

/// Instances are listed every 10 s while something moves: a list of the binding's controller stands in for one.
const HANDED_ON: SignedDuration = SignedDuration::from_secs(10);

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self {
            last: None,
            why: None,
            tried_at: Timestamp::MIN,
            due: Timestamp::MIN,
            not_before: Timestamp::MIN,
        }
    }
}

impl<T: Clone> Source<T> {
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.due <= now && self.not_before <= now
    }

    /// Takes up a call. One that was kept back has told nothing: what was seen last still holds, and the call is made
    /// as soon as the budget lets it.
    pub(crate) fn take_call<U>(
        &mut self,
        call: Result<U, Error>,
        value: impl FnOnce(U) -> T,
        why: impl FnOnce(&Error) -> Why,
        now: Timestamp,
    ) {
        match call {
            Ok(read) => self.take(Ok(value(read)), now),
            Err(error) if error.is_kept_back() => self.keep_back(&error, now),
            Err(error) => self.take(Err(why(&error)), now),
        }
    }

    /// Takes up what another pass has read at `at`, in the place of a read of our own.
    pub(crate) fn hand_on(&mut self, value: T, at: Timestamp, now: Timestamp) {
        let is_newer = self.last.as_ref().is_none_or(|(_, last)| *last < at);
        if is_newer && now.duration_since(at) <= HANDED_ON {
            self.last = Some((value, at));
            self.why = None;
            self.not_before = self.not_before.max(now.checked_add(HANDED_ON).unwrap_or(now));
        }
    }

    /// The call may be made once its wait is over.
    pub(crate) fn keep_back(&mut self, error: &Error, now: Timestamp) {
        let wait = error.retry_after().unwrap_or_default();
        self.not_before = now.checked_add(wait).unwrap_or(Timestamp::MAX);
    }

    /// Takes up a read.
    pub(crate) fn take(&mut self, read: Result<T, Why>, now: Timestamp) {
        self.tried_at = now;
        match read {
            Ok(value) => {
                self.last = Some((value, now));
                self.why = None;
            }
            Err(why) => self.why = Some(why),
        }
    }

    pub(crate) fn latest(&self) -> Option<&T> {
        self.last.as_ref().map(|(value, _)| value)
    }

    /// Plans the next read, `interval` after the last one: passes in between do not put it off. One that was never tried
    /// counts from now, or passes would follow each other without a pause.
    fn read_after(&mut self, interval: SignedDuration, now: Timestamp) {
        let last = if self.tried_at == Timestamp::MIN { now } else { self.tried_at };
        self.due = last.checked_add(interval).unwrap_or(Timestamp::MAX).max(self.not_before);
    }

    /// Plans the next read at `at`, which counts from the last good answer, or from now where there is none.
    fn plan(&mut self, at: Timestamp, now: Timestamp) {
        match &self.why {
            None if self.last.is_some() => self.due = at.max(self.not_before),
            None | Some(_) => self.read_after(at.duration_since(now), now),
        }
    }

    /// For policy, in its own types.
    pub(crate) fn seen<U>(&self, convert: impl Fn(&T) -> U, unread: impl FnOnce() -> Why) -> Seen<U> {
        match (&self.last, &self.why) {
            (Some((value, at)), None) => Seen::Fresh { value: convert(value), at: *at },
            (last, why) => Seen::Missing {
                why: why.clone().unwrap_or_else(unread),
                last: last.as_ref().map(|(value, at)| (convert(value), *at)),
            },
        }
    }
}

/// Nobody changes it often, and it runs once a day.
const MAINTENANCE_LOOK: SignedDuration = SignedDuration::from_mins(10);

/// A scale set as read.
#[derive(Debug, Default)]
pub(crate) struct SetCache {
    pub(crate) scale_set: Source<poolkeeper_azure::ScaleSet>,
    pub(crate) instances: Source<Vec<Vm>>,
    /// The quota that a growth was refused for, and the cores of one VM.
    pub(crate) quota: Option<(Quota, u64)>,
    /// When Azure said that it does not exist; asked while it is to be drained only.
    pub(crate) gone_at: Option<Timestamp>,
    /// The binding could not be used in the last pass, so that the set was not read.
    pub(crate) blocked: bool,
}

/// Everything that the passes of one pool keep.
#[derive(Debug, Default)]
pub(crate) struct PoolCache {
    /// Of the object that it belongs to: another object of the same name starts anew.
    pub(crate) uid: Option<String>,
    /// Absent until the first pass has loaded it from the status.
    pub(crate) memory: Option<Memory>,
    pub(crate) generation: Option<i64>,
    pub(crate) pool_id: Source<poolkeeper_azure_devops::PoolId>,
    pub(crate) jobs: Source<Vec<JobRequest>>,
    pub(crate) agents: Source<Vec<Agent>>,
    pub(crate) sets: BTreeMap<String, SetCache>,
    /// When each operation is asked about next, by id.
    pub(crate) polls: BTreeMap<String, Timestamp>,
    pub(crate) status_written_at: Option<Timestamp>,
    /// What automatic standby rests on.
    pub(crate) history: HistoryCache,
    /// When the pool's maintenance definition was last looked at.
    pub(crate) maintained_at: Option<Timestamp>,
}

impl PoolCache {
    /// Whether the maintenance definition is looked at in this pass; if so, this pass counts.
    pub(crate) fn is_maintenance_due(&mut self, now: Timestamp) -> bool {
        let due = self.maintained_at.is_none_or(|at| now.duration_since(at) >= MAINTENANCE_LOOK);
        if due {
            self.maintained_at = Some(now);
        }
        due
    }

    /// Keeps what Azure said of a quota, so that its relief can be seen.
    pub(crate) fn note_quota(&mut self, binding: &BindingName, fault: &Fault, missing: u32) {
        let Fault::Quota(quota) = fault else { return };
        if let (Some(set), Some(cores)) =
            (self.sets.get_mut(&binding.0), failure::cores_per_vm(quota, missing))
        {
            set.quota = Some((quota.clone(), cores));
        }
    }

    /// When each source is read next, as the plan says; never earlier than the service asked for. Returns the first.
    pub(crate) fn schedule(
        &mut self,
        plan: &Plan,
        not_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let interval = plan.read_jobs_at.duration_since(now);
        self.jobs.read_after(interval, now);
        self.jobs.due = self.jobs.due.max(not_before.unwrap_or(Timestamp::MIN));
        let mut first = self.jobs.due;
        for (name, binding) in &plan.bindings {
            let Some(set) = self.sets.get_mut(&name.0) else { continue };
            set.scale_set.plan(binding.read_set_at, now);
            set.instances.plan(binding.list_at, now);
            first = first.min(set.scale_set.due).min(set.instances.due);
        }
        first
    }
}
