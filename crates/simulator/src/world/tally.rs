//! Sums over everything that has happened.

use std::{collections::BTreeMap, fmt, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::id::SetRef;

/// Classes of REST calls, along the clouds' own throttling groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// Azure: a scale set is read.
    ScaleSetGet,
    /// Azure: instances, scale sets or their states are listed.
    InstanceList,
    /// Azure: one instance is read.
    InstanceGet,
    /// Azure: the scale set is written, or instances are reimaged, started or restarted.
    ScaleSetUpdate,
    /// Azure: instances are deleted, deallocated or stopped.
    InstanceDelete,
    /// Azure: one instance is written.
    InstanceUpdate,
    /// Azure: VMs are listed.
    MachineList,
    /// Azure: one VM is read.
    MachineGet,
    /// Azure: one VM is reimaged, started or restarted.
    MachineUpdate,
    /// Azure: one VM is deleted, deallocated or stopped.
    MachineDelete,
    /// Azure: an operation is polled.
    OperationGet,
    /// Azure: quotas, autoscale settings, networks or tags are read.
    SurroundingsGet,
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

/// What took the machine from under a job: a call, or the world itself.
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
    /// Instances were deallocated, stopped or restarted.
    #[serde(rename = "POST power")]
    Power,
    /// Another machine took over the agent's record.
    #[serde(rename = "PUT agent")]
    Replaced,
    /// Azure took a spot VM back.
    #[serde(rename = "spot eviction")]
    Eviction,
    /// The machine restarted by itself.
    #[serde(rename = "reboot")]
    Reboot,
    /// A person deleted, stopped or restarted it, or lowered the capacity.
    #[serde(rename = "a person")]
    Person,
    /// The scale set was deleted.
    #[serde(rename = "DELETE scale set")]
    Vanished,
}

impl KilledBy {
    /// The call in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Delete => "POST delete",
            Self::Reimage => "POST reimage",
            Self::Capacity => "PATCH sku.capacity",
            Self::Power => "POST power",
            Self::Replaced => "PUT agent",
            Self::Eviction => "spot eviction",
            Self::Reboot => "reboot",
            Self::Person => "a person",
            Self::Vanished => "DELETE scale set",
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
    scoped: BTreeMap<(Call, Scope), CallCount>,
}

/// How often a class of calls came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallCount {
    /// Since the start.
    pub total: u64,
    /// The most in one minute of the clock.
    pub max_per_minute: u32,
    /// Refused because a limit was reached.
    pub throttled: u64,
    #[serde(skip)]
    minute: i64,
    #[serde(skip)]
    in_minute: u32,
}

/// The most calls of a class in one minute of the clock, from where they are limited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Busiest {
    /// Over everything.
    pub total: u32,
    /// In the busiest subscription.
    pub subscription: u32,
    /// In the busiest scale set.
    pub scale_set: u32,
    /// That scale set's name.
    pub of: Option<Arc<str>>,
}

/// What calls are counted for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    Subscription(String),
    ScaleSet(SetRef, Arc<str>),
}

impl CallCount {
    fn add(&mut self, minute: i64) {
        if self.minute != minute {
            (self.minute, self.in_minute) = (minute, 0);
        }
        self.total += 1;
        self.in_minute += 1;
        self.max_per_minute = self.max_per_minute.max(self.in_minute);
    }
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
            scoped: BTreeMap::new(),
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

    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        call: Call,
        set: Option<(SetRef, Arc<str>)>,
        subscription: Option<&str>,
    ) {
        let minute = now.as_second().div_euclid(60);
        self.calls.entry(call).or_default().add(minute);
        let set = set.map(|(set, name)| Scope::ScaleSet(set, name));
        let subscription = subscription.map(|id| Scope::Subscription(id.to_ascii_lowercase()));
        for scope in [set, subscription].into_iter().flatten() {
            self.scoped.entry((call, scope)).or_default().add(minute);
        }
    }

    pub(crate) fn throttled(&mut self, call: Call) {
        self.calls.entry(call).or_default().throttled += 1;
    }

    /// The busiest minutes of a class of calls.
    pub fn busiest(&self, call: Call) -> Busiest {
        let total = self.calls.get(&call).map_or(0, |count| count.max_per_minute);
        let mut busiest = Busiest { total, ..Busiest::default() };
        for ((_, scope), count) in self.scoped.iter().filter(|((of, _), _)| *of == call) {
            let most = count.max_per_minute;
            match scope {
                Scope::Subscription(_) => busiest.subscription = busiest.subscription.max(most),
                Scope::ScaleSet(_, name) if most > busiest.scale_set => {
                    busiest.scale_set = most;
                    busiest.of = Some(Arc::clone(name));
                }
                Scope::ScaleSet(..) => {}
            }
        }
        busiest
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
