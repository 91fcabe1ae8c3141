//! Time as the model has it: how long ago something was, in few classes, so that the number of states is finite.
//!
//! `now` is always the same moment. A tick makes things older: a short one only what something is decided by within a
//! minute, which is a settle and the spacing of writes; a long one everything. So what lasts minutes never ends by
//! waiting seconds often enough, and nobody counts how often somebody waited.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{Backoff, Memory, Operation, OperationKind, Stair, Staircase};

/// A settle, in seconds: as long as policy lets a disabled agent settle, and as its longest spacing of writes.
const SETTLED: i64 = 30;
/// Past every timeout, in seconds: the longest one is that of an unused agent record, an hour.
const OVER: i64 = 65 * 60;

/// The moment that is always now.
pub(crate) fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 50)
}

/// How long ago something of the world was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    /// No timeout is over.
    Recent,
    /// Every timeout is over.
    Old,
}

impl Age {
    /// The moment.
    pub(crate) fn at(self) -> Timestamp {
        match self {
            Self::Recent => now(),
            Self::Old => now() - SignedDuration::from_secs(OVER),
        }
    }

    /// The same after a tick.
    pub(crate) fn after(self, tick: Tick) -> Self {
        match tick {
            Tick::Settle => self,
            Tick::Over => Self::Old,
        }
    }
}

/// How far time moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tick {
    /// Agents have settled, and the next write may come.
    Settle,
    /// Every timeout is over: starts, idle delay, lifetime, operations.
    Over,
}

impl Tick {
    fn older(self, at: Timestamp) -> Timestamp {
        let seconds = match self {
            Self::Settle => SETTLED,
            Self::Over => OVER,
        };
        let age = now().duration_since(at).as_secs() + seconds;
        let age = match age {
            OVER.. => OVER,
            SETTLED.. => SETTLED,
            _ => age,
        };
        now() - SignedDuration::from_secs(age)
    }
}

/// The memory after a tick.
pub(crate) fn after(memory: &Memory, tick: Tick) -> Memory {
    let mut memory = memory.clone();
    let older = |at: &mut Timestamp| *at = tick.older(*at);
    for operation in &mut memory.operations {
        let Operation { started_at, deadline, kind, .. } = operation;
        if matches!((&*kind, tick), (OperationKind::Create { .. }, Tick::Settle)) {
            continue;
        }
        let lasts = deadline.duration_since(*started_at);
        older(started_at);
        *deadline = *started_at + lasts;
    }
    memory.disabled.values_mut().for_each(older);
    let wait = |backoff: &mut Backoff| {
        older(&mut backoff.until);
        older(&mut backoff.believes_from);
    };
    memory.backoffs.values_mut().for_each(wait);
    memory.removal_backoffs.values_mut().for_each(wait);
    memory.vm_backoffs.values_mut().for_each(wait);
    if tick == Tick::Settle {
        return memory;
    }
    let stairs = memory.staircase.stairs().iter();
    let stairs = stairs.map(|stair| Stair { since: tick.older(stair.since), agents: stair.agents });
    memory.staircase = Staircase::from_stairs(stairs);
    memory.sightings.values_mut().for_each(|sighting| older(&mut sighting.since));
    memory.differs_since.values_mut().for_each(older);
    memory.failed_growths.values_mut().for_each(|(until, _)| older(until));
    memory.readable_since.iter_mut().for_each(older);
    memory.unread_since.iter_mut().for_each(older);
    memory
}
