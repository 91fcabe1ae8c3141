//! /livez, /readyz, /metrics and /pools.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{explanation::Explanations, metrics::Metrics};

/// What the operator still waits for before it works; clones share it.
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

/// The first gate: nobody is to take an operator for ready that has not begun.
pub(crate) const CONTROLLERS: &str = "the controllers";

impl Default for Health {
    fn default() -> Self {
        let health = Self(Arc::default());
        health.wait(CONTROLLERS, "not started yet");
        health
    }
}

impl Health {
    /// Waits for `gate`, and why.
    pub fn wait(&self, gate: &str, why: &str) {
        self.gates().insert(gate.to_owned(), why.to_owned());
    }

    /// As [`wait`](Self::wait), unless the gate has opened: once seen, the objects stay known while the API server is
    /// away.
    pub fn still_waits(&self, gate: &str, why: &str) {
        if let Some(reason) = self.gates().get_mut(gate) {
            why.clone_into(reason);
        }
    }

    /// No longer waits for `gate`.
    pub fn open(&self, gate: &str) {
        self.gates().remove(gate);
    }

    /// What it waits for, a line each; empty once it works.
    #[must_use]
    pub fn waits_for(&self) -> Vec<String> {
        self.gates().iter().map(|(gate, why)| format!("{gate}: {why}")).collect()
    }

    fn gates(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until `shutdown` ends.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    explanations: Explanations,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready).with_state(health))
        .route("/metrics", get(open_metrics).with_state(metrics))
        .route("/pools/{namespace}/{name}", get(explained).with_state(explanations));
    axum::serve(listener, router).with_graceful_shutdown(shutdown).await
}

async fn ready(State(health): State<Health>) -> (StatusCode, String) {
    let waits = health.waits_for();
    if waits.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for\n{}\n", waits.join("\n")))
}

async fn open_metrics(State(metrics): State<Metrics>) -> Response {
    const TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Reason of the answer about a pool that had no pass since the start: the API server's own 404 has another.
pub(crate) const NOT_SEEN: &str = "PoolNotSeen";

/// A failure has the form of the API server's own, through which it is mostly asked.
async fn explained(
    State(explanations): State<Explanations>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let fresh = [(header::CACHE_CONTROL, "no-store")];
    if let Some(view) = explanations.view(&namespace, &name) {
        return (fresh, Json(view)).into_response();
    }
    let status = json!({
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": NOT_SEEN,
        "code": 404,
        "message": format!(
            "AgentPool {name} in namespace {namespace} has had no pass since the start of the operator; try again in a \
             minute, and see whether the name is right"
        ),
    });
    (StatusCode::NOT_FOUND, fresh, Json(status)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_names_what_is_waited_for_and_stays_once_reached() {
        let health = Health::default();
        let now = async |health: &Health| ready(State(health.clone())).await;
        assert_eq!(now(&health).await.0, StatusCode::SERVICE_UNAVAILABLE);
        health.wait("the list of agentpools", "not read yet");
        health.open(CONTROLLERS);
        health.still_waits("the list of agentpools", "forbidden");
        let expected = "waiting for\nthe list of agentpools: forbidden\n".to_owned();
        assert_eq!(now(&health).await, (StatusCode::SERVICE_UNAVAILABLE, expected));
        health.open("the list of agentpools");
        health.still_waits("the list of agentpools", "the API server is away");
        assert_eq!(now(&health).await, (StatusCode::OK, "ok\n".to_owned()));
    }
}
