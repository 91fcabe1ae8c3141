//! The objects of the three kinds, as last watched.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use kube::{
    Resource, ResourceExt,
    core::{DeserializeGuard, ObjectMeta},
    runtime::reflector::{ObjectRef, Store, store::Writer},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};
use tokio::sync::watch;

use crate::kubernetes::Kind;

/// An object as watched: one that this version cannot read has its metadata only.
pub type Guarded<K> = DeserializeGuard<K>;

/// What is watched, for reading; clones share it. Passes begin once all three kinds of their namespace were listed.
#[derive(Clone, Debug)]
pub struct Stores {
    /// One for each watched namespace, or one for all.
    sets: Arc<[Set]>,
    /// The versions that we wrote and have not yet seen, by uid.
    written: Arc<Mutex<HashMap<String, (u64, Instant)>>>,
}

/// The three kinds of one namespace, or of all.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    pub(crate) namespace: Option<String>,
    pub(crate) pools: Store<Guarded<AgentPool>>,
    pub(crate) bindings: Store<Guarded<ScaleSetBinding>>,
    pub(crate) schedules: Store<Guarded<StandbySchedule>>,
    /// The kinds that were listed. A store's own wait wakes only the last of several waiters.
    listed: watch::Sender<BTreeSet<&'static str>>,
}

/// A watch that has not shown a write by then never will: the API server's own data was restored from a backup.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// How many kinds there are.
const KINDS: usize = 3;

/// The other end of a `Set`, for its watches.
#[derive(Debug)]
pub struct Writers {
    pub(crate) set: Set,
    pub(crate) pools: Writer<Guarded<AgentPool>>,
    pub(crate) bindings: Writer<Guarded<ScaleSetBinding>>,
    pub(crate) schedules: Writer<Guarded<StandbySchedule>>,
}

impl Writers {
    pub(crate) fn new(namespace: Option<String>) -> Self {
        let (pools, bindings, schedules) = (Writer::new(()), Writer::new(()), Writer::new(()));
        let set = Set {
            namespace,
            pools: pools.as_reader(),
            bindings: bindings.as_reader(),
            schedules: schedules.as_reader(),
            listed: watch::Sender::default(),
        };
        Self { set, pools, bindings, schedules }
    }
}

impl Set {
    /// Unknown is not zero: without its bindings listed, a pool would look as if it had none.
    pub(crate) async fn wait_until_ready(&self) {
        // Fails only without a sender, and the set holds one.
        let mut listed = self.listed.subscribe();
        let _listed = listed.wait_for(|kinds| kinds.len() == KINDS).await;
    }

    /// Notes that a kind was listed.
    pub(crate) fn listed<K: Kind>(&self) {
        self.listed.send_modify(|kinds| {
            kinds.insert(std::any::type_name::<K>());
        });
    }
}

impl Stores {
    /// Empty stores for these namespaces, or for all if there are none, and what fills them.
    #[must_use]
    pub fn new(namespaces: &[String]) -> (Self, Vec<Writers>) {
        let writers: Vec<Writers> = if namespaces.is_empty() {
            vec![Writers::new(None)]
        } else {
            namespaces.iter().map(|namespace| Writers::new(Some(namespace.clone()))).collect()
        };
        let sets = writers.iter().map(|writer| writer.set.clone()).collect();
        (Self { sets, written: Arc::default() }, writers)
    }

    /// The pools that can be read and are wanted, of all watched namespaces, by namespace and name. Only these are
    /// copied: whoever looks for one among hundreds must not copy them all.
    #[must_use]
    pub fn pools(&self, wanted: impl Fn(&AgentPool) -> bool) -> Vec<Arc<AgentPool>> {
        sorted(self.sets.iter().flat_map(|set| readable(&set.pools, &wanted)).collect())
    }

    /// The pools of a namespace that can be read, by name.
    #[must_use]
    pub fn pools_in(&self, namespace: &str) -> Vec<Arc<AgentPool>> {
        self.set(namespace).map(|set| in_namespace(&set.pools, namespace)).unwrap_or_default()
    }

    /// A pool, if it is there and can be read.
    #[must_use]
    pub fn pool(&self, namespace: &str, name: &str) -> Option<Arc<AgentPool>> {
        find(&self.set(namespace)?.pools, namespace, name)?.ok()
    }

    /// The bindings of a pool that can be read, by name.
    #[must_use]
    pub fn bindings_of(&self, namespace: &str, pool: &str) -> Vec<Arc<ScaleSetBinding>> {
        let of_pool = |binding: &ScaleSetBinding| {
            binding.spec.pool_ref.name == pool && binding.namespace().as_deref() == Some(namespace)
        };
        self.set(namespace).map(|set| sorted(readable(&set.bindings, of_pool))).unwrap_or_default()
    }

    /// Looks at all bindings that can be read, of all watched namespaces, in no order, and copies none.
    pub(crate) fn visit_bindings(&self, mut visit: impl FnMut(&ScaleSetBinding)) {
        for set in &*self.sets {
            for binding in set.bindings.state() {
                if let Ok(binding) = &binding.0 {
                    visit(binding);
                }
            }
        }
    }

    /// Names of the namespace's bindings that this version cannot read: whose they are is unknown.
    #[must_use]
    pub fn unreadable_bindings_in(&self, namespace: &str) -> Vec<String> {
        let Some(set) = self.set(namespace) else { return Vec::new() };
        let all = set.bindings.state();
        let bad = all
            .iter()
            .filter(|binding| binding.0.is_err() && binding.namespace().as_deref() == Some(namespace));
        let mut names: Vec<String> = bad.map(|binding| binding.name_any()).collect();
        names.sort_unstable();
        names
    }

    /// A schedule, if it is there: `Err` with the words of the problem if this version cannot read it.
    #[must_use]
    pub fn schedule(&self, namespace: &str, name: &str) -> Option<Result<Arc<StandbySchedule>, String>> {
        find(&self.set(namespace)?.schedules, namespace, name)
    }

    /// Notes the version of an object that was just written.
    pub(crate) fn wrote(&self, meta: &ObjectMeta) {
        if let (Some(uid), Some(version)) = (&meta.uid, version(meta)) {
            let mut written = self.written();
            let newest = written.get(uid).map_or(version, |(newest, _)| version.max(*newest));
            written.insert(uid.clone(), (newest, Instant::now()));
        }
    }

    /// Whether the object is older than what we wrote last. A pass over it would start from a status that it has
    /// already replaced, and might do again what is done.
    pub(crate) fn is_behind(&self, meta: &ObjectMeta) -> bool {
        let (Some(uid), Some(seen)) = (&meta.uid, version(meta)) else { return false };
        let mut written = self.written();
        match written.get(uid) {
            Some((newest, at)) if seen < *newest && at.elapsed() < CAUGHT_UP => true,
            Some(_) => {
                written.remove(uid);
                false
            }
            None => false,
        }
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, meta: &ObjectMeta) {
        if let Some(uid) = &meta.uid {
            self.written().remove(uid);
        }
    }

    fn set(&self, namespace: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.namespace.as_deref().is_none_or(|own| own == namespace))
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashMap<String, (u64, Instant)>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Versions are numbers that grow (Kubernetes 1.35 says so for custom resources too); any other server never defers.
fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref()?.parse().ok()
}

fn readable<K: Kind>(store: &Store<Guarded<K>>, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
    let all = store.state();
    let good = all.iter().filter_map(|object| object.0.as_ref().ok());
    good.filter(|object| wanted(object)).cloned().map(Arc::new).collect()
}

fn in_namespace<K: Kind>(store: &Store<Guarded<K>>, namespace: &str) -> Vec<Arc<K>> {
    sorted(readable(store, |object| object.namespace().as_deref() == Some(namespace)))
}

fn find<K: Kind>(store: &Store<Guarded<K>>, namespace: &str, name: &str) -> Option<Result<Arc<K>, String>> {
    let object = store.get(&ObjectRef::new(name).within(namespace))?;
    Some(object.0.as_ref().map(|object| Arc::new(object.clone())).map_err(|invalid| invalid.error.clone()))
}

fn sorted<K: Resource>(mut objects: Vec<Arc<K>>) -> Vec<Arc<K>> {
    objects.sort_by_cached_key(|object| (object.meta().namespace.clone(), object.meta().name.clone()));
    objects
}
