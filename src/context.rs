//! What every pass works with.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use poolkeeper_azure::{Instance, ScaleSet, Usage};
use poolkeeper_clock::Clock;
use poolkeeper_policy::{FailedStarts, Limit, Measured, Want, fair_shares};

use crate::{
    config::{self, Config},
    controllers::{Stores, agent_pool::PoolCache, scale_set_binding::BindingCache},
    events::Events,
    explanation::Explanations,
    journal::Journal,
    metrics::Metrics,
    sign_in::SignIn,
};

/// What every pass works with.
pub struct Context {
    /// The API server, as the operator's ServiceAccount.
    pub kube: kube::Client,
    /// The only source of time.
    pub clock: Clock,
    /// The operator's configuration.
    pub config: Config,
    /// First part of the uid of kube-system: what tells this cluster's claims from another's.
    pub cluster: String,
    /// Figures for a scraper.
    pub metrics: Metrics,
    /// Events on our objects.
    pub events: Events,
    /// What the watches have seen.
    pub stores: Stores,
    /// The way into both clouds.
    pub sign_in: SignIn,
    /// What passes have read; never a truth.
    pub caches: Caches,
    /// Why each pool is as it is, for people.
    pub explanations: Explanations,
    /// What was done and what went wrong, for people.
    pub journal: Journal,
}

type Key = (String, String);

/// How the starts of a binding's image go.
#[derive(Clone, Debug)]
pub(crate) struct Starts {
    /// Failed ones in a row, if the last one failed.
    pub(crate) failed: Option<FailedStarts>,
    /// So many make the image unhealthy.
    pub(crate) most: u32,
    /// How long they take, once one was measured.
    pub(crate) times: Option<Measured>,
}

/// One cache per object, which only that object's pass locks.
struct PerObject<T>(Mutex<HashMap<Key, Arc<tokio::sync::Mutex<T>>>>);

impl<T> Default for PerObject<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Default> PerObject<T> {
    fn of(&self, namespace: &str, name: &str) -> Arc<tokio::sync::Mutex<T>> {
        lock(&self.0).entry((namespace.to_owned(), name.to_owned())).or_default().clone()
    }

    fn forget(&self, namespace: &str, name: &str) {
        lock(&self.0).remove(&(namespace.to_owned(), name.to_owned()));
    }
}

/// What passes have read, by object.
#[derive(Default)]
pub struct Caches {
    pools: PerObject<PoolCache>,
    bindings: PerObject<BindingCache>,
    /// Scale sets as the pools' passes have read them, by binding, for the bindings' status.
    sets: Mutex<HashMap<Key, (ScaleSet, Timestamp)>>,
    /// Instances as the bindings' passes have listed them, for the pools': a list costs one of ten a minute.
    instances: Mutex<HashMap<Key, (Vec<Instance>, Timestamp)>>,
    /// Quotas in use, by subscription and region.
    usages: Mutex<HashMap<Key, (Vec<Usage>, Timestamp)>>,
    /// Running and queued jobs of each pool, by the organisation's URL.
    demands: Mutex<HashMap<String, BTreeMap<Key, Want>>>,
    /// What keeps bindings from growing, as their pools have found, for the bindings' status.
    limits: Mutex<HashMap<Key, Limit>>,
    /// How starts go, as the pools have seen them, for the bindings' status.
    starts: Mutex<HashMap<Key, Starts>>,
}

/// A panic of another pass leaves nothing half done in these maps.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    pub(crate) fn pool_cache(&self, namespace: &str, name: &str) -> Arc<tokio::sync::Mutex<PoolCache>> {
        self.caches.pools.of(namespace, name)
    }

    pub(crate) fn binding_cache(&self, namespace: &str, name: &str) -> Arc<tokio::sync::Mutex<BindingCache>> {
        self.caches.bindings.of(namespace, name)
    }

    /// The pool is gone: so are its figures and caches.
    pub(crate) fn forget_pool(&self, namespace: &str, name: &str) {
        self.caches.pools.forget(namespace, name);
        let key = (namespace.to_owned(), name.to_owned());
        for wants in lock(&self.caches.demands).values_mut() {
            wants.remove(&key);
        }
        self.metrics.forget_pool(namespace, name);
        self.explanations.forget(namespace, name);
        self.journal.forget(namespace, name);
        self.sign_in.forget_pool(namespace, name);
    }

    pub(crate) fn forget_binding(&self, namespace: &str, name: &str) {
        self.caches.bindings.forget(namespace, name);
        self.note_limit(namespace, name, None);
        lock(&self.caches.starts).remove(&(namespace.to_owned(), name.to_owned()));
        self.take_instances(namespace, name);
        self.sign_in.forget_binding(namespace, name);
        self.forget_seen_set(namespace, name);
    }

    /// Notes a scale set that a pool's pass has read.
    pub(crate) fn note_set(&self, namespace: &str, binding: &str, set: &ScaleSet, at: Timestamp) {
        lock(&self.caches.sets).insert((namespace.to_owned(), binding.to_owned()), (set.clone(), at));
    }

    pub(crate) fn seen_set(&self, namespace: &str, binding: &str) -> Option<(ScaleSet, Timestamp)> {
        lock(&self.caches.sets).get(&(namespace.to_owned(), binding.to_owned())).cloned()
    }

    /// Hands on what a binding's pass has listed.
    pub(crate) fn note_instances(
        &self,
        namespace: &str,
        binding: &str,
        listed: Vec<Instance>,
        at: Timestamp,
    ) {
        lock(&self.caches.instances).insert((namespace.to_owned(), binding.to_owned()), (listed, at));
    }

    /// Takes what a binding's pass has listed, once.
    pub(crate) fn take_instances(
        &self,
        namespace: &str,
        binding: &str,
    ) -> Option<(Vec<Instance>, Timestamp)> {
        lock(&self.caches.instances).remove(&(namespace.to_owned(), binding.to_owned()))
    }

    pub(crate) fn usages(&self, subscription: &str, location: &str) -> Option<(Vec<Usage>, Timestamp)> {
        lock(&self.caches.usages).get(&(subscription.to_owned(), location.to_owned())).cloned()
    }

    /// Notes the quotas of a subscription and region that a pool's pass has read.
    pub(crate) fn note_usages(&self, subscription: &str, location: &str, usages: &[Usage], at: Timestamp) {
        let key = (subscription.to_owned(), location.to_owned());
        lock(&self.caches.usages).insert(key, (usages.to_vec(), at));
    }

    /// A pool's fair part of its organisation's parallel jobs, where the configuration says how many there are.
    pub(crate) fn parallel_jobs(&self, url: &str, namespace: &str, pool: &str, want: Want) -> Option<u32> {
        let total = self.config.parallel_jobs(url)?;
        let key = (namespace.to_owned(), pool.to_owned());
        let mut demands = lock(&self.caches.demands);
        let wants = demands.entry(config::organization(url)).or_default();
        wants.insert(key.clone(), want);
        fair_shares(total, wants).get(&key).copied()
    }

    /// Notes what keeps a binding from growing, or that nothing does.
    pub(crate) fn note_limit(&self, namespace: &str, binding: &str, limit: Option<&Limit>) {
        let key = (namespace.to_owned(), binding.to_owned());
        let mut limits = lock(&self.caches.limits);
        match limit {
            Some(limit) => _ = limits.insert(key, limit.clone()),
            None => _ = limits.remove(&key),
        }
    }

    pub(crate) fn limit(&self, namespace: &str, binding: &str) -> Option<Limit> {
        lock(&self.caches.limits).get(&(namespace.to_owned(), binding.to_owned())).cloned()
    }

    /// Notes how the starts of a binding's image go.
    pub(crate) fn note_starts(&self, namespace: &str, binding: &str, starts: Starts) {
        let key = (namespace.to_owned(), binding.to_owned());
        lock(&self.caches.starts).insert(key, starts);
    }

    pub(crate) fn starts(&self, namespace: &str, binding: &str) -> Option<Starts> {
        lock(&self.caches.starts).get(&(namespace.to_owned(), binding.to_owned())).cloned()
    }

    pub(crate) fn forget_seen_set(&self, namespace: &str, binding: &str) {
        lock(&self.caches.sets).remove(&(namespace.to_owned(), binding.to_owned()));
    }
}
