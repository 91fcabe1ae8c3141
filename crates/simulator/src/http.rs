//! The HTTP face: Azure Resource Manager, Entra, the instance metadata service, Azure DevOps, and the control API.

mod arm;
mod call;
mod control;
mod devops;
mod entra;
mod facts;
mod metadata;
mod reply;
mod wire;

use std::{
    future::Future,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify};

use crate::{Clock, World};
use call::Call;
use reply::Reply;

/// What the faces share: the world, and the tokens that were issued.
struct Site {
    world: World,
    tokens: entra::Tokens,
    usage: devops::Usage,
    troubles: wire::Troubles,
    clock: Clock,
}

/// Whose answer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Service {
    Azure,
    #[serde(rename = "azureDevOps")]
    AzureDevOps,
    Entra,
    Metadata,
}

/// A world behind its faces.
#[derive(Clone)]
pub struct Simulator {
    site: Arc<Mutex<Site>>,
    clock: Clock,
    /// Wakes the pump when a call may have brought the next event forward.
    changed: Arc<Notify>,
}

/// More than any body of these APIs.
const LARGEST_BODY: usize = 4 << 20;

impl Simulator {
    /// Puts a world behind its faces; its time is the clock's from now on.
    pub fn new(world: World, clock: Clock) -> Self {
        let (tokens, usage) = (entra::Tokens::default(), devops::Usage::default());
        let site = Site { world, tokens, usage, troubles: wire::Troubles::default(), clock };
        Self { site: Arc::new(Mutex::new(site)), clock, changed: Arc::new(Notify::new()) }
    }

    /// Serves until `shutdown` resolves.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let router = Router::new().fallback(answer).with_state(self.clone());
        let pump = tokio::spawn(self.pump());
        let served = axum::serve(listener, router).with_graceful_shutdown(shutdown).await;
        pump.abort();
        served
    }

    /// Looks at the world, or changes it, at the clock's time.
    pub fn with_world<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let value = look(&mut self.at_now().world);
        self.changed.notify_one();
        value
    }

    /// Lets events happen when they are due, also while nobody calls.
    async fn pump(self) {
        loop {
            let (now, next) = {
                let site = self.at_now();
                (site.world.now(), site.world.next_event())
            };
            match next {
                None => self.changed.notified().await,
                Some(next) => {
                    let sleep = tokio::time::sleep(self.clock.wall_until(now, next));
                    tokio::select! {
                        () = sleep => {}
                        () = self.changed.notified() => {}
                    }
                }
            }
        }
    }

    fn at_now(&self) -> MutexGuard<'_, Site> {
        let mut site = self.site.lock().unwrap_or_else(PoisonError::into_inner);
        let before = site.world.journal().written();
        site.world.advance(self.clock.now());
        for entry in site.world.journal().since(before) {
            tracing::debug!(seq = entry.seq, "{entry}");
        }
        site
    }
}

async fn answer(State(simulator): State<Simulator>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LARGEST_BODY).await else {
        return Reply::empty(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    };
    let mut call = Call::new(&parts, body);
    let reply = {
        let mut site = simulator.at_now();
        match facts::before(&site.world, &mut call) {
            Some(reply) => reply,
            None => {
                let reply = route(&mut site, &call);
                facts::after(&mut site.world, &call, reply)
            }
        }
    };
    simulator.changed.notify_one();
    tracing::debug!(method = %parts.method, path = parts.uri.path(), status = reply.status.as_u16());
    // Wall time: a slow answer is to meet the client's own timeout.
    if let Some(late) = reply.late {
        tokio::time::sleep(late).await;
    }
    reply.into_response()
}

fn route(site: &mut Site, call: &Call) -> Reply {
    let lower = call.lower();
    let service = match lower.as_slice() {
        ["_sim", rest @ ..] => return control::answer(site, call, rest),
        ["_signin"] => return devops::sign_in(),
        ["metadata", ..] => Service::Metadata,
        ["subscriptions", ..] => Service::Azure,
        [_, "_apis", ..] => Service::AzureDevOps,
        [_, "oauth2", "v2.0", "token"]
        | [_, "v2.0", ".well-known", "openid-configuration"]
        | [_, "discovery", "instance"]
        | [_, "discovery", "v2.0", "keys"] => Service::Entra,
        _ => {
            return Reply::json(
                StatusCode::NOT_FOUND,
                &json!({"message": "no such path: use /subscriptions/…, /{tenant}/oauth2/v2.0/token, /metadata/…, /{organization}/_apis/… or /_sim/…"}),
            );
        }
    };
    let troubles = site.troubles.of(service, call, &site.world);
    if let Some(reply) = wire::instead(&troubles) {
        return reply;
    }
    let reply = match service {
        Service::Azure => arm::answer(site, call),
        Service::AzureDevOps => devops::answer(site, call),
        Service::Entra => entra::answer(site, call),
        Service::Metadata => metadata::answer(site, call),
    };
    wire::spoil(reply, &troubles)
}
