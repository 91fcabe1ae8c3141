//! One operator in virtual time, with what a real one holds: a status that survives it, and a memory that does not.

mod deed;
mod sight;
mod status;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Action, Answer, BindingName, Call, Memory, Outcome, Plan, Pool, decide,
    mutant::{self, Mutant},
};
use poolkeeper_simulator::{
    in_process::{Etag, View},
    world::ScaleSetChange,
};

use self::sight::Eyes;
pub use self::status::Status;
use crate::{
    Moment, Stage,
    claim::{Claim, claimed, released},
};

/// Statuses are written at most this often where only times have changed.
const STATUS_SPACING: SignedDuration = SignedDuration::from_secs(30);

/// When an operator is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crash {
    /// At its N-th write, counted from 1.
    pub at: u64,
    /// Before the write, or after it and before its answer is known.
    pub before: bool,
}

/// The operator was stopped in the middle of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashed;

/// What a pass has come to.
#[derive(Debug)]
pub struct Pass {
    /// What was decided.
    pub plan: Plan,
    /// What was done, with what became of it.
    pub deeds: Vec<(Action, Outcome)>,
}

/// One operator with one pool.
#[derive(Debug)]
pub struct Operator {
    /// The checked specification.
    pub pool: Pool,
    /// Its scale sets and its agent pool.
    pub view: View,
    /// Who it is in the tags of its scale sets.
    pub owner: String,
    /// What survives it.
    pub status: Status,
    /// When its next pass is due.
    pub wake: Timestamp,
    /// Writes so far, to clouds, tags and status.
    pub writes: u64,
    /// Where it is stopped.
    pub crash: Option<Crash>,
    /// The finalizer is gone, and the claims with it.
    pub drained: bool,
    finalized: bool,
    memory: Option<Memory>,
    eyes: Eyes,
    written_at: Option<Timestamp>,
}

impl Operator {
    /// A new one, which begins at once.
    pub fn new(pool: &Pool, view: View, owner: &str, now: Timestamp) -> Self {
        Self {
            pool: pool.clone(),
            view,
            owner: owner.to_owned(),
            status: Status::default(),
            wake: now,
            writes: 0,
            crash: None,
            drained: false,
            finalized: false,
            memory: None,
            eyes: Eyes::default(),
            written_at: None,
        }
    }

    /// Its memory, if it has one now.
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// Starts anew: what is not in the status is lost.
    pub fn restart(&mut self, now: Timestamp) {
        self.memory = None;
        self.eyes = Eyes::default();
        self.written_at = None;
        self.wake = now;
    }

    /// The specification has changed: what held it up is tried at once.
    pub fn respecify(&mut self, now: Timestamp) {
        if let Some(memory) = &mut self.memory {
            memory.standby_was_met = false;
            memory.backoffs.clear();
            memory.removal_backoffs.clear();
            memory.sampled_at = None;
        }
        self.eyes.jobs_due(now);
        self.wake = now;
    }

    /// Observes, decides, stores its intents, acts, and writes its status; nothing of it once its pool is gone.
    ///
    /// # Errors
    /// It was stopped in between.
    pub fn pass(&mut self, stage: &mut Stage) -> Result<Option<Pass>, Crashed> {
        let pass = match self.finalized {
            true => self.release(stage).map(|()| None),
            false => self.try_pass(stage).map(Some),
        };
        if pass.is_err() {
            self.crash = None;
            self.restart(stage.world.now());
        }
        pass
    }

    fn try_pass(&mut self, stage: &mut Stage) -> Result<Pass, Crashed> {
        let now = stage.world.now();
        let memory = self.memory.clone().unwrap_or_else(|| self.status.load());
        let blocked = self.claim(stage, now)?;
        let seen = self.eyes.look(stage, &self.view, &memory, &blocked, now);
        let mut plan = decide(&self.pool, &seen, &memory, now);
        if stage.trace {
            trace(&plan, now);
        }
        let mut deeds = Vec::new();
        let removes = plan.actions.iter().any(|action| matches!(action, Action::Remove { .. }));
        if removes && !mutant::is(Mutant::LoseIntent) && !self.store(stage, &plan.memory)? {
            // Without the intent nothing is done; the memory stays as it was.
            self.wake = self.later(now, SignedDuration::from_secs(10));
            return Ok(Pass { plan, deeds });
        }
        for action in plan.actions.clone() {
            let outcome = self.deed(stage, &action)?;
            plan.memory.record(outcome.clone(), now);
            deeds.push((action, outcome));
        }
        for change in plan.records.clone() {
            if let Some(failure) = self.change(stage, &change)? {
                plan.memory.record_change_failed(failure, now);
            }
        }
        self.wake = self.eyes.schedule(&plan, now);
        let urgent = self.status.operations != Status::of(&plan.memory).operations;
        let due = self.written_at.is_none_or(|at| now.duration_since(at) >= STATUS_SPACING);
        if (urgent || due) && self.status != Status::of(&plan.memory) {
            self.store(stage, &plan.memory)?;
        }
        self.memory = Some(plan.memory.clone());
        if plan.drained {
            self.begin_write()?;
            self.finalized = true;
            self.end_write()?;
            self.release(stage)?;
        }
        Ok(Pass { plan, deeds })
    }

    fn later(&self, now: Timestamp, duration: SignedDuration) -> Timestamp {
        now.checked_add(duration).unwrap_or(Timestamp::MAX)
    }

    /// Counts a write that comes now, and stops before it if it is to be the last.
    fn begin_write(&mut self) -> Result<(), Crashed> {
        self.writes += 1;
        let stops = self.crash.is_some_and(|crash| crash.before && crash.at == self.writes);
        if stops { Err(Crashed) } else { Ok(()) }
    }

    /// Stops after a write if it was to be the last.
    fn end_write(&self) -> Result<(), Crashed> {
        let stops = self.crash.is_some_and(|crash| !crash.before && crash.at == self.writes);
        if stops { Err(Crashed) } else { Ok(()) }
    }

    /// Writes the status; whether it is written.
    fn store(&mut self, stage: &mut Stage, memory: &Memory) -> Result<bool, Crashed> {
        self.begin_write()?;
        stage.take_time();
        if stage.blind.status {
            return Ok(false);
        }
        self.status = Status::of(memory);
        self.written_at = Some(stage.world.now());
        self.end_write()?;
        Ok(true)
    }

    /// Claims what is free, renews what is ours, and says what cannot be written to, by binding.
    fn claim(
        &mut self,
        stage: &mut Stage,
        now: Timestamp,
    ) -> Result<BTreeMap<BindingName, Option<String>>, Crashed> {
        let mut blocked = BTreeMap::new();
        for (binding, set) in self.view.bindings.clone() {
            if mutant::is(Mutant::SkipClaim) {
                blocked.insert(binding, None);
                continue;
            }
            let Answer::Set(_) =
                self.view.call(&mut stage.world, &binding, &Call::ReadSet, &mut Etag::default())
            else {
                // Nothing is known; what is read of it is missing too.
                blocked.insert(binding, None);
                continue;
            };
            let Some(found) = stage.world.set(set) else { continue };
            let (tags, etag) = (found.tags.clone(), found.etag());
            let mut claim = Claim::judge(&tags, &self.owner, now);
            let deleted = self.pool.deletion.is_some() && claim == Claim::Free;
            if claim.is_due(now) && !deleted {
                self.begin_write()?;
                stage.take_time();
                let change = ScaleSetChange {
                    tags: Some(claimed(&tags, &self.owner, now)),
                    if_match: Some(etag),
                    ..ScaleSetChange::default()
                };
                if stage.world.patch_scale_set(set, change).is_ok() {
                    claim = Claim::Ours { renewed_at: now };
                }
                self.end_write()?;
            }
            blocked.insert(binding, claim.refused(now));
        }
        Ok(blocked)
    }

    /// The pool is gone; its claims go too.
    fn release(&mut self, stage: &mut Stage) -> Result<(), Crashed> {
        for set in self.view.bindings.clone().into_values() {
            let Some(found) = stage.world.set(set) else { continue };
            let tags = found.tags.clone();
            if matches!(Claim::judge(&tags, &self.owner, stage.world.now()), Claim::Ours { .. }) {
                self.begin_write()?;
                let change = ScaleSetChange { tags: Some(released(&tags)), ..ScaleSetChange::default() };
                let _ = stage.world.patch_scale_set(set, change);
                self.end_write()?;
            }
        }
        self.drained = true;
        self.wake = Timestamp::MAX;
        Ok(())
    }

    /// One call of a deed, with its crash points.
    fn call(
        &mut self,
        stage: &mut Stage,
        binding: Option<&BindingName>,
        moment: Moment<'_>,
        etag: &mut Etag,
    ) -> Result<Answer, Crashed> {
        let writes = moment.next.is_write();
        if writes {
            self.begin_write()?;
        }
        let mut answer = stage.call((&self.view, self.pool.max_agents), binding, moment, etag);
        if writes {
            self.end_write()?;
        }
        if let (Answer::Set(now), Some(binding)) = (&mut answer, binding)
            && !mutant::is(Mutant::SkipClaim)
            && let Some(found) = self.view.bindings.get(binding).and_then(|set| stage.world.set(*set))
        {
            let time = stage.world.now();
            now.refused = Claim::judge(&found.tags, &self.owner, time).refused(time);
        }
        Ok(answer)
    }
}

fn trace(plan: &Plan, now: Timestamp) {
    println!("  {now} {:?} {}", plan.counts, plan.decision.message);
    for action in &plan.actions {
        println!("   do {action:?}");
    }
    for change in &plan.records {
        println!("   record {change:?}");
    }
    for hold in &plan.holds {
        println!("   hold {:?}: {}", hold.reason, hold.message);
    }
}
