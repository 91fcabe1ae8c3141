//! A door between an operator and the clouds, at which it can be killed in the middle of a call.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use poolkeeper_harness::Operator;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{PATIENCE, Stage};

/// No body of either cloud is larger here.
const LARGEST: usize = 16 << 20;

/// A call that changes something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Write {
    Capacity,
    DisableAgent,
    DeleteAgent,
    Reimage,
    DeleteVms,
}

/// When the operator dies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Moment {
    /// The cloud never hears of the call.
    Before,
    /// The cloud has done it, and the operator never hears of that.
    After,
}

impl Write {
    fn is(self, method: &Method, path: &str, body: &[u8]) -> bool {
        let says = |word: &str| String::from_utf8_lossy(body).contains(word);
        match self {
            Self::Capacity => {
                method == Method::PATCH && path.contains("/virtualMachineScaleSets/") && says("\"sku\"")
            }
            Self::DisableAgent => method == Method::PATCH && path.contains("/agents/") && says("\"enabled\""),
            Self::DeleteAgent => method == Method::DELETE && path.contains("/agents/"),
            Self::Reimage => method == Method::POST && path.ends_with("/reimage"),
            Self::DeleteVms => method == Method::POST && path.ends_with("/delete"),
        }
    }
}

/// Both clouds at an address of its own. Dropping it closes it.
pub(crate) struct Door {
    pub(crate) url: String,
    inside: Arc<Inside>,
    serving: JoinHandle<()>,
}

struct Inside {
    http: reqwest::Client,
    simulator: String,
    trap: Mutex<Option<Trap>>,
    /// Writes to either cloud that have come to the door.
    writes: AtomicU64,
}

/// At which call the operator dies.
enum At {
    Next(Write),
    /// Counted from 1.
    Number(u64),
}

impl At {
    /// `number`: of this call, if it is a write.
    fn is(&self, number: Option<u64>, method: &Method, path: &str, body: &[u8]) -> bool {
        match self {
            Self::Next(write) => write.is(method, path, body),
            Self::Number(wanted) => number == Some(*wanted),
        }
    }
}

/// Whether a call changes something; to ask for a token does not.
fn is_write(method: &Method, path: &str) -> bool {
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    !reads && !path.contains("/oauth2/")
}

struct Trap {
    at: At,
    moment: Moment,
    process: u32,
    sprung: oneshot::Sender<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Door {
    /// Opens it.
    pub(crate) async fn open(stage: &Stage) -> Result<Self> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let simulator = stage.simulator.url().to_owned();
        let inside = Arc::new(Inside { http, simulator, trap: Mutex::default(), writes: AtomicU64::new(0) });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(pass).with_state(Arc::clone(&inside));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                println!("the door is closed: {error}");
            }
        });
        Ok(Self { url, inside, serving })
    }

    /// Kills the operator at the next call of this sort, and waits until that has happened.
    pub(crate) async fn kill(&self, operator: Operator, write: Write, moment: Moment) -> Result<()> {
        let dead = self.set(At::Next(write), moment, &operator);
        let waited = tokio::time::timeout(PATIENCE, dead).await;
        // It is dead already; this reaps it.
        operator.kill();
        waited.with_context(|| format!("no call {write:?} to be killed at"))??;
        Ok(())
    }

    /// Kills the operator at the write of this number, counted from 1 since the door was opened. Resolves when that has
    /// happened, however long it takes.
    pub(crate) fn kill_at(
        &self,
        number: u64,
        moment: Moment,
        operator: Operator,
    ) -> impl Future<Output = Result<()>> {
        let dead = self.set(At::Number(number), moment, &operator);
        async move {
            dead.await?;
            // It is dead already; this reaps it.
            operator.kill();
            Ok(())
        }
    }

    /// Writes that have come to the door so far.
    pub(crate) fn writes(&self) -> u64 {
        self.inside.writes.load(Ordering::Relaxed)
    }

    fn set(&self, at: At, moment: Moment, operator: &Operator) -> oneshot::Receiver<()> {
        let (sprung, dead) = oneshot::channel();
        *self.inside.trap() = Some(Trap { at, moment, process: operator.process_id(), sprung });
        dead
    }
}

impl Inside {
    fn trap(&self) -> std::sync::MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn pass(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (method, path) = (&parts.method, parts.uri.path());
    let number = is_write(method, path).then(|| inside.writes.fetch_add(1, Ordering::Relaxed) + 1);
    let trap = inside.trap().take_if(|trap| trap.at.is(number, method, path, &body));
    let before = trap.as_ref().is_some_and(|trap| trap.moment == Moment::Before);
    let answer = if before {
        StatusCode::SERVICE_UNAVAILABLE.into_response()
    } else {
        let url = format!("{}{}", inside.simulator, parts.uri);
        forward(&inside.http, parts.method, url, parts.headers, body).await.unwrap_or_else(|error| {
            println!("a call was not passed on: {error:#}");
            StatusCode::BAD_GATEWAY.into_response()
        })
    };
    let Some(trap) = trap else { return answer };
    match end(trap.process) {
        Ok(()) => _ = trap.sprung.send(()),
        Err(error) => println!("the operator lives on: {error:#}"),
    }
    // Nobody is there to hear an answer.
    std::future::pending().await
}

/// With the caller's own `Host`, so that the addresses in an answer lead through this door again.
async fn forward(
    http: &reqwest::Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response> {
    let answer = http.request(method, url).headers(end_to_end(headers)).body(body).send().await?;
    let (status, headers) = (answer.status(), end_to_end(answer.headers().clone()));
    let mut response = Response::new(Body::from(answer.bytes().await?));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Without those that belong to one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// SIGKILL.
fn end(process: u32) -> Result<()> {
    let done =
        std::process::Command::new("sh").args(["-c", "kill -KILL \"$0\"", &process.to_string()]).status()?;
    ensure!(done.success(), "kill: {done}");
    Ok(())
}
