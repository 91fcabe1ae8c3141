//! The controllers: what is watched, who is woken, and how passes run.

pub(crate) mod agent_pool;
mod backoff;
mod invalid_object;
mod relations;
pub(crate) mod scale_set_binding;
pub mod standby_schedule;
mod stores;
mod watch;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    FutureExt, StreamExt,
    channel::mpsc::UnboundedReceiver,
    future::{BoxFuture, Shared},
    stream,
};
use jiff::Timestamp;
use kube::{
    Resource,
    runtime::{
        controller::{Action, Config, applier},
        reflector::{ObjectRef, Store},
    },
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument;

pub use stores::{Guarded, Stores, Writers};

use crate::{
    context::Context,
    http::{self, Health},
    kubernetes,
    metrics::Outcome,
};
use backoff::Backoff;
use relations::Managed;
use stores::Set;
use watch::{Queue, Queues};

/// Ends when the operator is to stop.
pub type Shutdown = Shared<BoxFuture<'static, ()>>;

/// Passes over objects of one kind at a time: most wait for a cloud, and none may block the others.
const CONCURRENCY: u16 = 16;
/// The watch is mostly some milliseconds behind a write.
const CATCH_UP: Duration = Duration::from_millis(200);
/// No object is left alone for longer.
const LONGEST: Duration = Duration::from_hours(1);
/// A timer may fire a little early; waiting again for less than this would be a loop.
const SHORTEST: Duration = Duration::from_millis(10);

/// Why a pass could not publish what it found. It is repeated with a growing wait.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server refused a write or a read, or did not answer.
    #[error("the API server: {}", kubernetes::words(.0))]
    Kubernetes(#[from] kube::Error),
}

/// The next pass at `then`, an instant of the operator's clock; at most an hour from now.
#[must_use]
pub fn wake_at(ctx: &Context, now: Timestamp, then: Timestamp) -> Action {
    Action::requeue(ctx.clock.wall_until(now, then).clamp(SHORTEST, LONGEST))
}

/// Runs all controllers until `shutdown`, and then until their passes have ended.
///
/// # Errors
/// If one of them panics.
pub async fn run(
    ctx: Arc<Context>,
    writers: Vec<Writers>,
    health: Health,
    shutdown: Shutdown,
) -> Result<(), JoinError> {
    let mut tasks = JoinSet::new();
    for Writers { set, pools, bindings, schedules } in writers {
        let (pool_queue, pool_wakes) = Queue::<AgentPool>::new();
        let (binding_queue, binding_wakes) = Queue::<ScaleSetBinding>::new();
        let (schedule_queue, schedule_wakes) = Queue::<StandbySchedule>::new();
        let queues = Queues { pools: pool_queue, bindings: binding_queue, schedules: schedule_queue };

        tasks.spawn(drive(ctx.clone(), set.clone(), set.pools.clone(), pool_wakes, shutdown.clone()));
        tasks.spawn(drive(ctx.clone(), set.clone(), set.bindings.clone(), binding_wakes, shutdown.clone()));
        tasks.spawn(drive(ctx.clone(), set.clone(), set.schedules.clone(), schedule_wakes, shutdown.clone()));

        health.wait(&watch::gate::<AgentPool>(&set), "not read yet");
        health.wait(&watch::gate::<ScaleSetBinding>(&set), "not read yet");
        health.wait(&watch::gate::<StandbySchedule>(&set), "not read yet");
        let watches = (queues, health.clone(), shutdown.clone());
        let (queues, health, shutdown) = watches.clone();
        tasks.spawn(watch::watch(ctx.clone(), set.clone(), pools, queues, health, shutdown));
        let (queues, health, shutdown) = watches.clone();
        tasks.spawn(watch::watch(ctx.clone(), set.clone(), bindings, queues, health, shutdown));
        let (queues, health, shutdown) = watches;
        tasks.spawn(watch::watch(ctx.clone(), set, schedules, queues, health, shutdown));
    }
    health.open(http::CONTROLLERS);
    while let Some(ended) = tasks.join_next().await {
        ended?;
    }
    Ok(())
}

/// Runs the passes that are asked for, until nobody can ask any more and those that run have ended.
async fn drive<K: Managed>(
    ctx: Arc<Context>,
    set: Set,
    store: Store<Guarded<K>>,
    wakes: UnboundedReceiver<ObjectRef<Guarded<K>>>,
    shutdown: Shutdown,
) {
    let queue = async move {
        tokio::select! {
            () = set.wait_until_ready() => wakes.map(Ok::<_, Infallible>).left_stream(),
            // The operator stopped before it knew enough.
            () = shutdown => stream::empty().right_stream(),
        }
    };
    let backoff = Arc::new(Backoff::default());
    let good = backoff.clone();
    let passes = applier(
        move |object, ctx| pass::<K>(object, ctx, good.clone()).boxed(),
        move |object: Arc<Guarded<K>>, _: &Error, _: Arc<Context>| {
            Action::requeue(backoff.failed(object.meta().uid.as_deref().unwrap_or_default()))
        },
        ctx,
        store,
        queue.flatten_stream(),
        Config::default().concurrency(CONCURRENCY),
    );
    passes
        .for_each(async |ended| match ended {
            // A failed pass has been logged with its object, and an object that is gone needs none.
            Ok(_) | Err(_) => {}
        })
        .await;
}

/// One pass over one object, counted and logged.
async fn pass<K: Managed>(
    object: Arc<Guarded<K>>,
    ctx: Arc<Context>,
    backoff: Arc<Backoff>,
) -> Result<Action, Error> {
    let meta = object.meta();
    if ctx.stores.is_behind(meta) {
        return Ok(Action::requeue(CATCH_UP));
    }
    let (namespace, name) = (meta.namespace.as_deref(), meta.name.as_deref());
    let span = tracing::info_span!("pass", controller = K::CONTROLLER, namespace, name);
    let started = Instant::now();
    let (result, good) = match &object.0 {
        Ok(object) => (object.pass(&ctx).instrument(span.clone()).await, Outcome::Done),
        Err(invalid) => {
            let report = invalid_object::report::<K>(&ctx, invalid);
            (report.instrument(span.clone()).await, Outcome::Invalid)
        }
    };
    let outcome = match &result {
        Ok(_) => {
            backoff.reset(meta.uid.as_deref().unwrap_or_default());
            good
        }
        Err(error) => {
            let _in_span = span.enter();
            tracing::warn!(%error, "the pass failed; it is repeated");
            Outcome::Failed
        }
    };
    ctx.metrics.pass(K::CONTROLLER, outcome, started.elapsed());
    result
}
