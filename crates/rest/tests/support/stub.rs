//! A scripted HTTP server on loopback, shared by the tests of the REST clients.
#![allow(dead_code, reason = "each test file uses a part")]

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::Response;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinHandle;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let url = poolkeeper_rest::Url::parse(&format!("http://x{}", self.uri)).unwrap();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// An answer to give.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// JSON with a status.
#[allow(clippy::needless_pass_by_value, reason = "reads better with json!")]
pub(crate) fn json(status: u16, body: serde_json::Value) -> Scripted {
    text(status, "application/json; charset=utf-8", &body.to_string())
}

/// Any text with a status.
pub(crate) fn text(status: u16, content_type: &str, body: &str) -> Scripted {
    Scripted { status, headers: vec![("content-type".into(), content_type.into())], body: body.into() }
}

/// A status without a body.
pub(crate) fn empty(status: u16) -> Scripted {
    Scripted { status, headers: Vec::new(), body: Vec::new() }
}

impl Scripted {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Scripted>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// Gives its scripted answers in turn, and keeps what it was asked. Stops when dropped.
pub(crate) struct Stub {
    pub(crate) url: String,
    shared: Shared,
    server: JoinHandle<()>,
}

impl Stub {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared::default();
        let app = Router::new().fallback(answer).with_state(shared.clone());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, shared, server }
    }

    /// A server that has these answers.
    pub(crate) async fn with(script: impl IntoIterator<Item = Scripted>) -> Self {
        let stub = Self::start().await;
        stub.shared.script.lock().unwrap().extend(script);
        stub
    }

    pub(crate) fn then(&self, answer: Scripted) {
        self.shared.script.lock().unwrap().push_back(answer);
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:?}");
        seen[0].clone()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    shared.seen.lock().unwrap().push(Seen { method, uri, headers, body });
    let scripted = shared.script.lock().unwrap().pop_front();
    let Scripted { status, headers, body } =
        scripted.unwrap_or_else(|| text(500, "text/plain", "not scripted"));
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(Body::from(body)).unwrap()
}

/// Answers one connection with these very bytes, then closes it.
pub(crate) async fn raw(bytes: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = connection.read(&mut chunk).await.unwrap();
            request.extend_from_slice(&chunk[..read]);
        }
        connection.write_all(bytes.as_bytes()).await.unwrap();
    });
    (url, server)
}

/// A port that is taken but not listened on, for as long as the socket is kept.
pub(crate) fn closed() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}
