//! Sums over everything that has happened.

use std::{collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Classes of REST calls, along the clouds' own throttling groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Azure: a scale set is read.
    ScaleSetGet,
    /// Azure: instances are listed.
    InstanceList,
    /// Azure: one instance is read.
    InstanceGet,
    /// Azure: the scale set is written, or instances are reimaged.
    ScaleSetUpdate,
    /// Azure: instances are deleted.
    InstanceDelete,
    /// Azure: an operation is polled.
    OperationGet,
    /// Azure: anything else.
    AzureOther,
    /// Entra: a token is asked for.
    Token,
    /// Azure DevOps: pools are read.
    PoolGet,
    /// Azure DevOps: agents are read.
    AgentGet,
    /// Azure DevOps: job requests are read.
    RequestGet,
    /// Azure DevOps: an agent is written or deleted.
    AgentWrite,
    /// Azure DevOps: anything else.
    DevOpsOther,
}

/// The call that took the machine from under a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum KilledBy {
    /// Instances were deleted by id.
    #[serde(rename = "POST delete")]
    Delete,
    /// Instances were reimaged.
    #[serde(rename = "POST reimage")]
    Reimage,
    /// The capacity was lowered, and the platform chose its victims.
    #[serde(rename = "PATCH sku.capacity")]
    Capacity,
    /// Another machine took over the agent's record.
    #[serde(rename = "PUT agent")]
    Replaced,
}

impl KilledBy {
    /// The call in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "POST delete",
            Self::Reimage => "POST reimage",
            Self::Capacity => "PATCH sku.capacity",
            Self::Replaced => "PUT agent",
        }
    }
}

impl fmt::Display for KilledBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Sums since the start of the world.
#[derive(Debug, Clone)]
pub struct Tally {
    /// When the world began.
    pub started: Timestamp,
    /// Jobs queued, maintenance included.
    pub queued: u64,
    /// Jobs that ran to their end.
    pub finished: u64,
    /// Jobs cancelled, or refused because no agent could ever run them.
    pub cancelled: u64,
    /// Jobs whose machine was taken away.
    pub killed: u64,
    /// The same, by the call that did it.
    pub killed_by: BTreeMap<KilledBy, u64>,
    /// The most VMs at one time, over all scale sets.
    pub max_vms: u32,
    /// VMs now.
    pub vms: u32,
    waits: Vec<u32>,
    vm_time: SignedDuration,
    counted_to: Timestamp,
    calls: BTreeMap<Call, CallCount>,
}

/// How often a class of calls came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCount {
    /// Since the start.
    pub total: u64,
    /// The most in one minute of the clock.
    pub max_per_minute: u32,
    #[serde(skip)]
    minute: i64,
    #[serde(skip)]
    in_minute: u32,
}

/// How long jobs waited from queue to assignment, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waits {
    /// Jobs that were assigned.
    pub count: usize,
    /// The mean.
    pub mean_s: f64,
    /// The median.
    pub p50_s: f64,
    /// The 95th percentile.
    pub p95_s: f64,
    /// The longest.
    pub max_s: f64,
}

impl Tally {
    pub(crate) fn new(started: Timestamp) -> Self {
        Self {
            started,
            queued: 0,
            finished: 0,
            cancelled: 0,
            killed: 0,
            killed_by: BTreeMap::new(),
            max_vms: 0,
            vms: 0,
            waits: Vec::new(),
            vm_time: SignedDuration::ZERO,
            counted_to: started,
            calls: BTreeMap::new(),
        }
    }

    pub(crate) fn count_vms(&mut self, now: Timestamp, vms: u32) {
        self.vm_time = self.vm_time_at(now);
        self.counted_to = now;
        self.vms = vms;
        self.max_vms = self.max_vms.max(vms);
    }

    pub(crate) fn wait(&mut self, wait: SignedDuration) {
        self.waits.push(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
    }

    pub(crate) fn kill(&mut self, by: KilledBy) {
        self.killed += 1;
        *self.killed_by.entry(by).or_default() += 1;
    }

    pub(crate) fn call(&mut self, now: Timestamp, call: Call) {
        let count = self.calls.entry(call).or_default();
        let minute = now.as_second().div_euclid(60);
        if count.minute != minute {
            (count.minute, count.in_minute) = (minute, 0);
        }
        count.total += 1;
        count.in_minute += 1;
        count.max_per_minute = count.max_per_minute.max(count.in_minute);
    }

    /// Time of VMs from creation until they are gone, all added up, until `now`.
    pub fn vm_time_at(&self, now: Timestamp) -> SignedDuration {
        let vms = i32::try_from(self.vms).unwrap_or(i32::MAX);
        self.vm_time.saturating_add(now.duration_since(self.counted_to) * vms)
    }

    /// The REST calls by class.
    pub fn calls(&self) -> &BTreeMap<Call, CallCount> {
        &self.calls
    }

    /// Calls of a class in the current minute.
    pub fn calls_in_minute(&self, now: Timestamp, call: Call) -> u32 {
        let minute = now.as_second().div_euclid(60);
        self.calls.get(&call).filter(|count| count.minute == minute).map_or(0, |count| count.in_minute)
    }

    /// How long jobs have waited.
    pub fn waits(&self) -> Waits {
        let mut sorted = self.waits.clone();
        sorted.sort_unstable();
        let count = sorted.len();
        let seconds = |index: usize| sorted.get(index).map_or(0.0, |ms| f64::from(*ms) / 1000.0);
        let rank = |percent: usize| (count * percent).div_ceil(100).saturating_sub(1);
        let sum: f64 = sorted.iter().map(|ms| f64::from(*ms) / 1000.0).sum();
        Waits {
            count,
            mean_s: if count == 0 { 0.0 } else { sum / count as f64 },
            p50_s: seconds(rank(50)),
            p95_s: seconds(rank(95)),
            max_s: seconds(count.saturating_sub(1)),
        }
    }
}
