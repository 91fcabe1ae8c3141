//! Why each pool is as it is, kept from its last pass for `poolkeeper agents` and `poolkeeper explain`.

mod view;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use poolkeeper_clock::Clock;
use poolkeeper_policy::{Decision, Explanation};

pub use view::{AgentView, DecisionView, JobView, PoolView, RecordView};

/// The explanation of each pool's last pass, in memory only; clones share it.
#[derive(Clone)]
pub struct Explanations {
    clock: Clock,
    pools: Arc<Mutex<Pools>>,
}

/// By namespace and name.
type Pools = HashMap<(String, String), Arc<Kept>>;

struct Kept {
    made_at: Timestamp,
    decision: Decision,
    explanation: Explanation,
}

impl Explanations {
    /// None yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, pools: Arc::default() }
    }

    /// Keeps the explanation of a pass in the place of the one before.
    pub fn note(
        &self,
        namespace: &str,
        name: &str,
        explanation: Explanation,
        decision: &Decision,
        made_at: Timestamp,
    ) {
        let kept = Kept { made_at, decision: decision.clone(), explanation };
        self.pools().insert((namespace.to_owned(), name.to_owned()), Arc::new(kept));
    }

    /// The pool is gone.
    pub(crate) fn forget(&self, namespace: &str, name: &str) {
        self.pools().remove(&(namespace.to_owned(), name.to_owned()));
    }

    /// The last pass over a pool, if there was one since the start.
    #[must_use]
    pub fn view(&self, namespace: &str, name: &str) -> Option<PoolView> {
        let kept = self.pools().get(&(namespace.to_owned(), name.to_owned())).cloned()?;
        let Kept { made_at, decision, explanation } = kept.as_ref();
        Some(PoolView {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            now: self.clock.now(),
            made_at: *made_at,
            decision: DecisionView {
                desired: decision.desired,
                limited_by: decision.limited_by.as_str().to_owned(),
                sum: decision.message.clone(),
                why: explanation.decision.clone(),
            },
            agents: explanation.instances.iter().map(AgentView::from).collect(),
            jobs: explanation.jobs.iter().map(JobView::from).collect(),
            records: explanation.records.iter().map(RecordView::from).collect(),
        })
    }

    /// A panic elsewhere leaves nothing half done in the map.
    fn pools(&self) -> MutexGuard<'_, Pools> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
