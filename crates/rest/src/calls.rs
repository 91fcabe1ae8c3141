use crate::error::Class;
use crate::service::Service;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a call costs in the service's budgets: Azure counts reads, lists, writes, deletes and operation polls apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// One object.
    Get,
    /// A page of a list.
    List,
    /// The state of a long-running operation.
    Poll,
    /// A change.
    Update,
    /// A removal.
    Delete,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::List, Self::Poll, Self::Update, Self::Delete];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Poll => "poll",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Whether the call changes something.
    pub fn is_write(self) -> bool {
        match self {
            Self::Get | Self::List | Self::Poll => false,
            Self::Update | Self::Delete => true,
        }
    }
}

/// How many calls of one kind ended in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// The service called.
    pub service: Service,
    /// What the call was.
    pub operation: Operation,
    /// How it ended: `None` is success.
    pub class: Option<Class>,
    /// Calls since the log was made.
    pub count: u64,
}

/// Counts calls for metrics; clones share the counters. Calls refused before they were sent are not counted.
#[derive(Clone, Debug)]
pub struct CallLog(Arc<[AtomicU64]>);

const RESULTS: usize = Class::ALL.len() + 1;
const KINDS: usize = Service::ALL.len() * Operation::ALL.len();

impl Default for CallLog {
    fn default() -> Self {
        Self((0..KINDS * RESULTS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl CallLog {
    pub(crate) fn add(&self, service: Service, operation: Operation, class: Option<Class>) {
        let position = rows().position(|row| row == (service, operation, class));
        if let Some(counter) = position.and_then(|at| self.0.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Every kind of call that happened at least once, in a fixed order.
    pub fn counts(&self) -> impl Iterator<Item = Calls> + '_ {
        rows().zip(self.0.iter()).filter_map(|((service, operation, class), counter)| {
            let count = counter.load(Ordering::Relaxed);
            (count > 0).then_some(Calls { service, operation, class, count })
        })
    }

    /// Calls to `service` that changed something, or were meant to.
    pub fn writes(&self, service: Service) -> u64 {
        self.counts()
            .filter(|row| row.service == service && row.operation.is_write())
            .map(|row| row.count)
            .sum()
    }

    /// Calls to `service` that only read.
    pub fn reads(&self, service: Service) -> u64 {
        self.counts()
            .filter(|row| row.service == service && !row.operation.is_write())
            .map(|row| row.count)
            .sum()
    }
}

/// One row per counter. Walking these few rows costs nothing next to a request.
fn rows() -> impl Iterator<Item = (Service, Operation, Option<Class>)> {
    Service::ALL.into_iter().flat_map(|service| {
        Operation::ALL.into_iter().flat_map(move |operation| {
            std::iter::once(None)
                .chain(Class::ALL.into_iter().map(Some))
                .map(move |class| (service, operation, class))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_its_own_counter() {
        let log = CallLog::default();
        assert_eq!(rows().count(), log.0.len());
        let shared = log.clone();
        for (service, operation, class) in rows() {
            shared.add(service, operation, class);
        }
        shared.add(Service::AzureDevOps, Operation::Delete, Some(Class::Throttled));
        assert_eq!(log.counts().count(), log.0.len());
        assert_eq!(log.counts().filter(|row| row.count == 2).count(), 1);
        assert_eq!(log.writes(Service::AzureDevOps), 2 * RESULTS as u64 + 1);
        assert_eq!(log.reads(Service::ResourceManager), 3 * RESULTS as u64);
    }
}
