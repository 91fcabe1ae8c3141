//! One watch for each kind: it fills the store, and then wakes what the change concerns.
//!
//! kube's `Controller` would watch each related kind once more, and could start a pass before the store of that kind
//! has the change. Here a store has it before anybody is woken, and a list that is read again wakes only what differs.

use std::{pin::pin, sync::Arc};

use futures::{StreamExt, channel::mpsc};
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher::{self, Event},
    },
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};

use super::{
    Managed, Shutdown,
    stores::{Guarded, Set},
};
use crate::{context::Context, http::Health, kubernetes, kubernetes::Kind};

/// An object before and after; one of the two may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Change<K: 'static> {
    pub(crate) old: Option<Arc<Guarded<K>>>,
    pub(crate) new: Option<Arc<Guarded<K>>>,
}

impl<K: Kind> Change<K> {
    /// The object as far as it can be read, the newer one if there are two.
    pub(crate) fn object(&self) -> Option<&K> {
        self.new.iter().chain(&self.old).find_map(|object| object.0.as_ref().ok())
    }

    /// The newer one's metadata.
    pub(crate) fn meta(&self) -> Option<&kube::core::ObjectMeta> {
        self.new.as_deref().or(self.old.as_deref()).map(Resource::meta)
    }

    /// Whether more than a status or an annotation changed.
    pub(crate) fn is_of_the_spec(&self) -> bool {
        let generation =
            |object: &Option<Arc<Guarded<K>>>| object.as_deref().and_then(|object| object.meta().generation);
        generation(&self.old) != generation(&self.new)
    }
}

/// Where the passes of a [`Set`] are asked for.
#[derive(Clone, Debug)]
pub(crate) struct Queues {
    pub(crate) pools: Queue<AgentPool>,
    pub(crate) bindings: Queue<ScaleSetBinding>,
    pub(crate) schedules: Queue<StandbySchedule>,
}

/// Asks for passes over objects of one kind. Those that wait already are not asked for twice.
#[derive(Clone, Debug)]
pub(crate) struct Queue<K: Kind>(mpsc::UnboundedSender<ObjectRef<Guarded<K>>>);

impl<K: Kind> Queue<K> {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<ObjectRef<Guarded<K>>>) {
        let (sender, receiver) = mpsc::unbounded();
        (Self(sender), receiver)
    }

    pub(crate) fn wake(&self, namespace: &str, name: &str) {
        // Fails only while the operator stops, and then no pass is to begin.
        let _stopping = self.0.unbounded_send(ObjectRef::new(name).within(namespace));
    }

    pub(crate) fn wake_all(&self, store: &Store<Guarded<K>>, namespace: &str) {
        for object in store.state().iter().filter(|object| object.namespace().as_deref() == Some(namespace)) {
            self.wake(namespace, &object.name_any());
        }
    }
}

/// Watches one kind until `shutdown`.
pub(super) async fn watch<K: Managed>(
    ctx: Arc<Context>,
    set: Set,
    mut writer: Writer<Guarded<K>>,
    queues: Queues,
    health: Health,
    shutdown: Shutdown,
) {
    let api: Api<Guarded<K>> = match &set.namespace {
        None => Api::all(ctx.kube.clone()),
        Some(namespace) => Api::namespaced(ctx.kube.clone(), namespace),
    };
    let gate = gate::<K>(&set);
    let store = writer.as_reader();
    let events = watcher::watcher(api, watcher::Config::default()).default_backoff();
    let mut events = pin!(events.take_until(shutdown));
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                let listed = matches!(event, Event::InitDone);
                for change in absorb(&mut writer, &store, &event) {
                    spread(&ctx, &set, &queues, &change);
                }
                if listed {
                    set.listed::<K>();
                    health.open(&gate);
                }
            }
            Err(error) => {
                let why = words::<K>(&error);
                tracing::warn!(kind = %K::kind(&()), error = why, "the watch failed; it is tried again");
                health.still_waits(&gate, &why);
            }
        }
    }
}

/// What the operator waits for until this kind was listed once.
pub(super) fn gate<K: Managed>(set: &Set) -> String {
    match &set.namespace {
        None => format!("the list of {}", K::plural(&())),
        Some(namespace) => format!("the list of {} in namespace {namespace}", K::plural(&())),
    }
}

/// Takes an event into the store; the changes that it makes there. A list that is read again makes changes only where
/// it differs from the store, what is missing from it included.
fn absorb<K: Kind>(
    writer: &mut Writer<Guarded<K>>,
    store: &Store<Guarded<K>>,
    event: &Event<Guarded<K>>,
) -> Vec<Change<K>> {
    let known = |object: &Guarded<K>| store.get(&ObjectRef::from_obj(object));
    match event {
        Event::Init | Event::InitApply(_) => {
            writer.apply_watcher_event(event);
            Vec::new()
        }
        Event::Apply(object) => {
            let old = known(object);
            writer.apply_watcher_event(event);
            vec![Change { old, new: known(object) }]
        }
        Event::Delete(object) => {
            let old = known(object).unwrap_or_else(|| Arc::new(object.clone()));
            writer.apply_watcher_event(event);
            vec![Change { old: Some(old), new: None }]
        }
        Event::InitDone => {
            let before = store.state();
            let before_of = |object: &Guarded<K>| before.iter().find(|old| same_object(old, object)).cloned();
            writer.apply_watcher_event(event);
            let after = store.state();
            let kept = after.iter().map(|new| Change { old: before_of(new), new: Some(new.clone()) });
            let kept = kept.filter(|change| version(change.old.as_deref()) != version(change.new.as_deref()));
            let gone = before.iter().filter(|old| known(old).is_none());
            kept.chain(gone.map(|old| Change { old: Some(old.clone()), new: None })).collect()
        }
    }
}

fn same_object<K: Kind>(a: &Guarded<K>, b: &Guarded<K>) -> bool {
    (&a.meta().namespace, &a.meta().name) == (&b.meta().namespace, &b.meta().name)
}

fn version<K: Kind>(object: Option<&Guarded<K>>) -> Option<(Option<&str>, Option<&str>)> {
    object.map(|object| (object.meta().uid.as_deref(), object.meta().resource_version.as_deref()))
}

/// Wakes the object itself and what refers to it.
fn spread<K: Managed>(ctx: &Context, set: &Set, queues: &Queues, change: &Change<K>) {
    let Some(meta) = change.meta() else { return };
    let (namespace, name) =
        (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    if change.new.is_none() {
        ctx.stores.forget(meta);
        K::forget(ctx, namespace, name);
    } else {
        K::queue(queues).wake(namespace, name);
    }
    K::wake_others(change, namespace, set, queues);
}

fn words<K: Managed>(error: &watcher::Error) -> String {
    let cause = match error {
        watcher::Error::InitialListFailed(cause)
        | watcher::Error::WatchStartFailed(cause)
        | watcher::Error::WatchFailed(cause) => cause,
        watcher::Error::WatchError(status) => return status.message.clone(),
        watcher::Error::NoResourceVersion => return error.to_string(),
    };
    match cause {
        kube::Error::Api(status) if status.code == 404 => format!(
            "the API server does not know {}.{}: install the chart's CRDs, or run `poolkeeper crds | kubectl apply \
             --server-side -f -`",
            K::plural(&()),
            K::group(&())
        ),
        other => kubernetes::words(other),
    }
}

#[cfg(test)]
mod tests;
