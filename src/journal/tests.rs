use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use jiff::Timestamp;
use kube::Config;
use poolkeeper_budget::Budgets;
use poolkeeper_rest::CallLog;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;

/// An API server that has one ConfigMap, or none.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Held>>);

#[derive(Default)]
struct Held {
    map: Option<Value>,
    /// Writes that are refused first.
    refuses: u32,
    reads: u32,
    writes: u32,
}

impl Server {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap()
    }

    /// Reads and writes so far.
    fn calls(&self) -> (u32, u32) {
        let held = self.held();
        (held.reads, held.writes)
    }

    fn rows(&self) -> Vec<String> {
        let map = self.held().map.clone().unwrap_or_default();
        let (rows, _) = rows(&serde_json::from_value(map).unwrap());
        rows.into_iter().map(|row| row.message).collect()
    }
}

fn refusal(code: StatusCode, message: &str) -> Response {
    let reason = code.canonical_reason().unwrap_or_default().replace(' ', "");
    let body = json!({
        "kind": "Status", "status": "Failure", "code": code.as_u16(), "reason": reason, "message": message,
    });
    (code, Json(body)).into_response()
}

async fn read(State(server): State<Server>) -> Response {
    let mut held = server.held();
    held.reads += 1;
    held.map
        .clone()
        .map_or_else(|| refusal(StatusCode::NOT_FOUND, "not found"), |map| Json(map).into_response())
}

async fn write(State(server): State<Server>, body: String) -> Response {
    let mut held = server.held();
    held.writes += 1;
    if held.refuses > 0 {
        held.refuses -= 1;
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "etcd is away");
    }
    let mut map: Value = serde_json::from_str(&body).unwrap();
    let version = held.map.as_ref().map(|map| map["metadata"]["resourceVersion"].clone());
    if version.is_some_and(|version| version != map["metadata"]["resourceVersion"]) {
        return refusal(StatusCode::CONFLICT, "another version");
    }
    map["metadata"]["resourceVersion"] = held.writes.to_string().into();
    held.map = Some(map.clone());
    Json(map).into_response()
}

fn owner() -> OwnerReference {
    OwnerReference {
        kind: "AgentPool".into(),
        name: "build".into(),
        uid: "7".into(),
        ..OwnerReference::default()
    }
}

async fn start(server: &Server) -> Journal {
    let _present = rustls::crypto::ring::default_provider().install_default();
    let path = "/api/v1/namespaces/ci/configmaps/build-journal";
    let router = Router::new().route(path, get(read).patch(write)).with_state(server.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    let clock = Clock::REAL;
    let metrics = Metrics::new(CallLog::default(), Budgets::default(), clock);
    Journal::new(Client::try_from(config).unwrap(), metrics, clock)
}

fn note(journal: &Journal, message: &str) {
    let key = ("ci".to_owned(), "build".to_owned());
    let pages = Pages { owner: owner(), rows: Vec::new(), wrong: pass::Wrong::new(), complaint: None };
    let row = Row { message: message.into(), ..Row::new(Timestamp::UNIX_EPOCH, "Create") };
    journal.pools().entry(key).or_insert(pages).rows.push(row);
}

#[tokio::test]
async fn what_is_new_is_added_and_nothing_is_written_without_it() {
    let server = Server::default();
    let journal = start(&server).await;
    journal.flush().await;
    assert_eq!(server.calls(), (0, 0));
    note(&journal, "one");
    journal.flush().await;
    note(&journal, "two");
    journal.flush().await;
    journal.flush().await;
    assert_eq!((server.calls(), server.rows()), ((2, 2), vec!["one".to_owned(), "two".to_owned()]));
}

#[tokio::test]
async fn what_was_not_written_is_tried_again_in_order() {
    let server = Server::default();
    server.held().refuses = 1;
    let journal = start(&server).await;
    note(&journal, "one");
    journal.flush().await;
    assert_eq!(server.held().map, None);
    note(&journal, "two");
    journal.flush().await;
    assert_eq!(server.rows(), ["one", "two"]);
}

#[tokio::test]
async fn a_map_of_somebody_else_is_read_and_left_alone() {
    let theirs = json!({
        "metadata": {"name": "build-journal", "ownerReferences": [{"kind": "AgentPool", "name": "build", "uid": "6",
            "apiVersion": "poolkeeper.dev/v1alpha1"}]},
        "data": {"journal.jsonl": "theirs"},
    });
    let server = Server::default();
    server.held().map = Some(theirs.clone());
    let journal = start(&server).await;
    note(&journal, "one");
    journal.flush().await;
    assert_eq!(server.calls(), (1, 0));
    // Once it is gone, nothing is lost.
    server.held().map = None;
    journal.flush().await;
    assert_eq!(server.rows(), ["one"]);
}

#[tokio::test]
async fn a_pool_that_is_gone_needs_no_journal() {
    let server = Server::default();
    let journal = start(&server).await;
    note(&journal, "one");
    journal.forget("ci", "build");
    journal.flush().await;
    assert_eq!(server.calls(), (0, 0));
}

#[tokio::test]
async fn lines_that_cannot_be_read_are_dropped() {
    let server = Server::default();
    let journal = start(&server).await;
    note(&journal, "one");
    journal.flush().await;
    if let Some(map) = &mut server.held().map {
        map["data"][FIELD] = format!("???\n{}", map["data"][FIELD].as_str().unwrap()).into();
    }
    note(&journal, "two");
    journal.flush().await;
    assert_eq!(server.rows(), ["one", "two"]);
    assert!(!server.held().map.as_ref().unwrap()["data"][FIELD].as_str().unwrap().contains("???"));
}
