//! What every pass works with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use poolkeeper_azure::ScaleSet;
use poolkeeper_clock::Clock;

use crate::{
    config::Config,
    controllers::{Stores, agent_pool::PoolCache, scale_set_binding::BindingCache},
    events::Events,
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
}

type Key = (String, String);

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
        self.metrics.forget_pool(namespace, name);
    }

    pub(crate) fn forget_binding(&self, namespace: &str, name: &str) {
        self.caches.bindings.forget(namespace, name);
        self.forget_seen_set(namespace, name);
    }

    /// Notes a scale set that a pool's pass has read.
    pub(crate) fn note_set(&self, namespace: &str, binding: &str, set: &ScaleSet, at: Timestamp) {
        lock(&self.caches.sets).insert((namespace.to_owned(), binding.to_owned()), (set.clone(), at));
    }

    pub(crate) fn seen_set(&self, namespace: &str, binding: &str) -> Option<(ScaleSet, Timestamp)> {
        lock(&self.caches.sets).get(&(namespace.to_owned(), binding.to_owned())).cloned()
    }

    pub(crate) fn forget_seen_set(&self, namespace: &str, binding: &str) {
        lock(&self.caches.sets).remove(&(namespace.to_owned(), binding.to_owned()));
    }
}
