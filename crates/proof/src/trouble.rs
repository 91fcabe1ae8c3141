//! What goes wrong, at random, and how often each kind did.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_simulator::{
    in_process::View,
    world::{
        AzureFault, By, DevOpsFault, EvictionPolicy, Fault, PowerAction, SetRef, StartFails, StartFailure,
    },
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{Blind, Operator, Stage};

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hazard {
    /// Azure DevOps answers nothing of use.
    DevOps,
    /// Azure answers nothing of use for a scale set.
    AzureUnread,
    /// Azure refuses writes, or has no machines.
    AzureRefuses,
    /// Operations do not end, or end badly.
    Operations,
    /// Some lists are missing for the operator.
    Missing,
    /// Old answers come again with their old time.
    Repeated,
    /// Old copies of the instances look new.
    Lagging,
    /// The API server takes no status.
    Status,
    /// VMs fail to start.
    Image,
    /// Azure takes a VM back.
    Eviction,
    /// A VM restarts by itself.
    Reboot,
    /// A person deletes a VM.
    PersonDeletes,
    /// A person stops a VM.
    PersonStops,
    /// A person raises the capacity.
    PersonGrows,
    /// A person lowers the capacity.
    PersonShrinks,
    /// A person disables an agent, or enables it again.
    PersonToggles,
    /// A person deletes the record of an agent without a job.
    PersonForgets,
    /// The operator is stopped at one of its next writes.
    Crash,
    /// The status is wiped while the operator is down.
    Wipe,
}

impl Hazard {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::DevOps,
        Self::AzureUnread,
        Self::AzureRefuses,
        Self::Operations,
        Self::Missing,
        Self::Repeated,
        Self::Lagging,
        Self::Status,
        Self::Image,
        Self::Eviction,
        Self::Reboot,
        Self::PersonDeletes,
        Self::PersonStops,
        Self::PersonGrows,
        Self::PersonShrinks,
        Self::PersonToggles,
        Self::PersonForgets,
        Self::Crash,
        Self::Wipe,
    ];
}

/// Strikes at random.
#[derive(Debug)]
pub struct Trouble {
    rng: StdRng,
    /// What may go wrong.
    kinds: Vec<Hazard>,
    mean: SignedDuration,
    /// When it strikes next.
    pub next: Timestamp,
    blind_until: Timestamp,
    image_until: Timestamp,
    quiet_from: Timestamp,
    /// How often, by kind.
    pub counts: BTreeMap<Hazard, u64>,
}

/// After the end of a fault the operator may still be waiting for the end of a backoff.
const CONVALESCENCE: SignedDuration = SignedDuration::from_mins(30);

impl Trouble {
    /// Strikes with these kinds, so often on average, from `now` on.
    pub fn new(seed: u64, kinds: &[Hazard], mean: SignedDuration, now: Timestamp) -> Self {
        let mut trouble = Self {
            rng: StdRng::seed_from_u64(seed),
            kinds: kinds.to_vec(),
            mean,
            next: Timestamp::MAX,
            blind_until: now,
            image_until: now,
            quiet_from: now,
            counts: BTreeMap::new(),
        };
        if !trouble.kinds.is_empty() {
            trouble.plan(now);
        }
        trouble
    }

    fn plan(&mut self, now: Timestamp) {
        let mean = self.mean.as_secs().max(2);
        let wait = self.rng.random_range(1..mean.saturating_mul(2));
        self.next = after(now, wait);
    }

    /// Nothing stands in the operator's way now, and has not for a while.
    pub fn is_calm(&self, now: Timestamp) -> bool {
        now >= self.quiet_from.checked_add(CONVALESCENCE).unwrap_or(Timestamp::MAX)
    }

    /// What is over ends; what is due strikes.
    pub fn strike(&mut self, stage: &mut Stage, operator: &mut Operator) {
        let now = stage.world.now();
        if now >= self.blind_until && stage.blind != Blind::default() {
            stage.blind = Blind::default();
        }
        if now >= self.image_until {
            for set in operator.view.bindings.values() {
                stage.world.set_start_failure(*set, None);
            }
            self.image_until = Timestamp::MAX;
        }
        if let Some(at) = stage.raised_by_others {
            // Nobody can know of them while the scale sets cannot be read.
            let reads = |name| operator.view.set_view(&stage.world, name).instances.fresh_at().is_some();
            if stage.blind != Blind::default() || !operator.view.bindings.keys().all(reads) {
                stage.raised_by_others = Some(now);
            } else if now.duration_since(at) > SignedDuration::from_mins(10) {
                stage.raised_by_others = None;
            }
        }
        if now < self.next {
            return;
        }
        self.plan(now);
        let Some(hazard) = pick(&mut self.rng, &self.kinds) else { return };
        if self.happens(hazard, stage, operator, now) {
            if stage.trace {
                println!(
                    "    {now} {hazard:?}; blind until {}, quiet from {}",
                    self.blind_until, self.quiet_from
                );
            }
            *self.counts.entry(hazard).or_default() += 1;
        }
    }

    /// Everything is well from now on.
    pub fn end(&mut self, stage: &mut Stage, view: &View) {
        self.next = Timestamp::MAX;
        stage.blind = Blind::default();
        stage.world.clear_faults();
        for set in view.bindings.values() {
            stage.world.set_start_failure(*set, None);
        }
        self.quiet_from = self.quiet_from.min(stage.world.now());
    }

    fn happens(
        &mut self,
        hazard: Hazard,
        stage: &mut Stage,
        operator: &mut Operator,
        now: Timestamp,
    ) -> bool {
        let sets: Vec<SetRef> = operator.view.bindings.values().copied().collect();
        let Some(set) = pick(&mut self.rng, &sets) else { return false };
        let length = if self.rng.random_bool(0.7) { 30..600 } else { 600..5400 };
        let until = after(now, self.rng.random_range(length));
        let mut blind = Blind::default();
        match hazard {
            Hazard::DevOps => {
                use DevOpsFault::{Forbidden, Redirect, SignIn, Throttle, Unauthorized, Unavailable};
                let all = [SignIn, Throttle, Unavailable, Forbidden, Unauthorized, Redirect];
                let Some(kind) = pick(&mut self.rng, &all) else { return false };
                stage.world.set_fault(Fault::DevOps(0, kind), Some(until));
            }
            Hazard::AzureUnread => {
                use AzureFault::{Forbidden, NotFound, Throttle, ThrottleSubscription, Unavailable};
                return self.azure(
                    stage,
                    set,
                    &[Forbidden, NotFound, Unavailable, Throttle, ThrottleSubscription],
                    until,
                );
            }
            Hazard::AzureRefuses => {
                use AzureFault::{
                    AllocationFailed, Conflict, Overconstrained, Quota, SkuNotAvailable, SubnetFull,
                    ZonalAllocationFailed,
                };
                let all = [
                    Conflict,
                    Quota,
                    AllocationFailed,
                    ZonalAllocationFailed,
                    Overconstrained,
                    SkuNotAvailable,
                    SubnetFull,
                ];
                return self.azure(stage, set, &all, until);
            }
            Hazard::Operations => {
                return self.azure(stage, set, &[AzureFault::Preempted, AzureFault::NeverEnds], until);
            }
            Hazard::Missing => {
                blind.jobs = self.rng.random_bool(0.4);
                blind.agents = self.rng.random_bool(0.4);
                blind.instances = self.rng.random_bool(0.4);
                blind.sets = self.rng.random_bool(0.4);
            }
            Hazard::Repeated => blind.repeated = true,
            Hazard::Lagging => blind.lagging = true,
            Hazard::Status => blind.status = true,
            Hazard::Image => {
                let kinds =
                    [StartFails::Extension, StartFails::Script, StartFails::Silent, StartFails::Creation];
                let Some(kind) = pick(&mut self.rng, &kinds) else { return false };
                let of = self.rng.random_range(1..4);
                stage.world.set_start_failure(set, Some(StartFailure::new(kind, of)));
                self.image_until = until;
                self.disturb(until);
            }
            Hazard::Eviction => {
                let policy = if self.rng.random_bool(0.5) {
                    EvictionPolicy::Delete
                } else {
                    EvictionPolicy::Deallocate
                };
                let id = stage.world.any_instance(set);
                return id.is_some_and(|id| stage.world.evict(set, id, policy).is_ok());
            }
            Hazard::Reboot => {
                let id = stage.world.any_instance(set);
                return id.is_some_and(|id| stage.world.reboot(set, id).is_ok());
            }
            Hazard::PersonDeletes => {
                let id = stage.world.any_instance(set);
                return id.is_some_and(|id| stage.world.by_hand(set, By::Deleting(&[id])).is_ok());
            }
            Hazard::PersonStops => {
                let id = stage.world.any_instance(set);
                let deed = |id: &[u64], stage: &mut Stage| {
                    stage.world.by_hand(set, By::Power(PowerAction::Deallocate, id)).is_ok()
                };
                return id.is_some_and(|id| deed(&[id], stage));
            }
            Hazard::PersonGrows => {
                let Some(found) = stage.world.set(set) else { return false };
                let capacity = found.capacity.saturating_add(self.rng.random_range(1..4));
                stage.raised_by_others = Some(now);
                return stage.world.by_hand(set, By::Capacity(capacity)).is_ok();
            }
            Hazard::PersonShrinks => {
                let Some(found) = stage.world.set(set) else { return false };
                let capacity = found.capacity.saturating_sub(self.rng.random_range(1..3));
                // Azure makes the VMs that the capacity counted and that were not there.
                if capacity > found.members() {
                    stage.raised_by_others = Some(now);
                }
                return stage.world.by_hand(set, By::Capacity(capacity)).is_ok();
            }
            Hazard::PersonToggles => {
                let Some(agent) = self.agent(stage, &operator.view) else { return false };
                let enabled = self.rng.random_bool(0.5);
                return stage.world.set_agent_enabled(operator.view.pool, agent, enabled).is_ok();
            }
            Hazard::PersonForgets => {
                let Some(agent) = self.agent(stage, &operator.view) else { return false };
                return stage.world.delete_agent(operator.view.pool, agent).is_ok();
            }
            Hazard::Crash | Hazard::Wipe => {
                if hazard == Hazard::Wipe {
                    operator.status = crate::Status::default();
                    operator.restart(now);
                }
                let at = operator.writes + self.rng.random_range(1..6);
                operator.crash = Some(crate::Crash { at, before: self.rng.random_bool(0.5) });
            }
        }
        if blind != Blind::default() {
            // An old copy is a matter of seconds, a missing answer of any length.
            let until = if blind.lagging { after(now, self.rng.random_range(10..60)) } else { until };
            stage.blind = blind;
            self.blind_until = until;
        }
        self.disturb(until);
        true
    }

    fn azure(&mut self, stage: &mut Stage, set: SetRef, kinds: &[AzureFault], until: Timestamp) -> bool {
        let Some(kind) = pick(&mut self.rng, kinds) else { return false };
        stage.world.set_fault(Fault::Azure(set, kind.into()), Some(until));
        self.disturb(until);
        true
    }

    fn agent(&mut self, stage: &Stage, view: &View) -> Option<u64> {
        let agents: Vec<u64> = stage.world.pool(view.pool)?.agents().map(|agent| agent.id).collect();
        pick(&mut self.rng, &agents)
    }

    fn disturb(&mut self, until: Timestamp) {
        self.quiet_from = self.quiet_from.max(until);
    }

    /// When it has something to do next.
    pub fn due(&self) -> Timestamp {
        self.next
    }
}

fn pick<T: Copy>(rng: &mut StdRng, from: &[T]) -> Option<T> {
    if from.is_empty() {
        return None;
    }
    from.get(rng.random_range(0..from.len())).copied()
}

fn after(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}
