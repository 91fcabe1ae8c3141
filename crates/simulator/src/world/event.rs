//! What will happen, in the order of time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    OperationError,
    id::{AgentRef, PoolRef, VmRef},
    request::JobSpec,
};

/// Something that becomes due. `epoch` and `session` tell a stale event from a live one.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    VmRunning { vm: VmRef, epoch: u32 },
    VmFailed { vm: VmRef, epoch: u32, error: Box<OperationError> },
    VmStopped { vm: VmRef, epoch: u32 },
    VmGone { vm: VmRef },
    AgentRegisters { vm: VmRef, epoch: u32 },
    AgentOnline { agent: AgentRef, session: u64 },
    AgentOffline { agent: AgentRef, session: u64 },
    AgentReturns { agent: AgentRef, vm: VmRef, epoch: u32 },
    JobsArrive { pool: PoolRef, job: Box<JobSpec> },
    JobReceived { pool: PoolRef, request: u64 },
    JobFinished { pool: PoolRef, request: u64 },
    LockExpired { pool: PoolRef, request: u64 },
    OperationCut { operation: Uuid },
    FaultEnds,
}

/// The queue: by time, then in the order of scheduling.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Scheduled>>,
    sequence: u64,
}

#[derive(Debug, Clone)]
struct Scheduled {
    at: Timestamp,
    sequence: u64,
    event: Event,
}

impl Queue {
    pub(crate) fn push(&mut self, at: Timestamp, event: Event) {
        self.sequence += 1;
        self.heap.push(Reverse(Scheduled { at, sequence: self.sequence, event }));
    }

    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.heap.peek().map(|Reverse(first)| first.at)
    }

    pub(crate) fn pop_due(&mut self, to: Timestamp) -> Option<(Timestamp, Event)> {
        if self.next_at()? > to {
            return None;
        }
        self.heap.pop().map(|Reverse(first)| (first.at, first.event))
    }
}

impl Scheduled {
    fn key(&self) -> (Timestamp, u64) {
        (self.at, self.sequence)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// The instant `delay` after `at`, never beyond what a timestamp can hold.
pub(crate) fn after(at: Timestamp, delay: SignedDuration) -> Timestamp {
    at.checked_add(delay).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::id::SetRef;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_scheduling() {
        let mut queue = Queue::default();
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let vm = |instance| VmRef { set: SetRef(0), instance, serial: 0 };
        for instance in 0..20_u64 {
            let seconds = if instance == 19 { 1 } else { 2 };
            queue.push(at(seconds), Event::VmGone { vm: vm(instance) });
        }
        let mut order = Vec::new();
        while let Some((_, event)) = queue.pop_due(at(2)) {
            let Event::VmGone { vm } = event else { panic!("only these") };
            order.push(vm.instance);
        }
        let expected: Vec<u64> = std::iter::once(19).chain(0..19).collect();
        assert_eq!(order, expected);
    }
}
