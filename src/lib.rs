//! The poolkeeper operator. ARCHITECTURE.md says how its parts work together.

pub mod args;
mod claim;
pub mod cli;
pub mod conditions;
pub mod config;
pub mod context;
pub mod controllers;
pub mod events;
pub mod explanation;
pub mod http;
pub mod journal;
pub mod kubernetes;
pub mod metrics;
mod owned_map;
mod saved;
pub mod schedule;
mod sign_in;
pub mod telemetry;
pub mod verify;

use std::{future::pending, io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config as KubeConfig, ResourceExt};
use poolkeeper_budget::Budgets;
use poolkeeper_rest::{CallLog, Http, Limits};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use crate::{
    config::Config,
    context::{Caches, Context},
    controllers::{Shutdown, Stores},
    events::Events,
    explanation::Explanations,
    http::Health,
    journal::Journal,
    metrics::Metrics,
    sign_in::SignIn,
};

/// Kubernetes kills a pod after 30 s; what runs then is taken up again after the restart.
const GRACE: Duration = Duration::from_secs(25);

/// The definitions of the three kinds, as YAML documents.
#[must_use]
pub fn crds() -> String {
    [
        include_str!("../crds/agentpools.yaml"),
        include_str!("../crds/standbyschedules.yaml"),
        include_str!("../crds/scalesetbindings.yaml"),
    ]
    .join("---\n")
}

/// Runs the operator until SIGTERM or SIGINT.
///
/// # Errors
/// If the configuration cannot be used, the address is taken, or there is no way to an API server.
pub async fn run(args: args::Run) -> anyhow::Result<()> {
    // Before the first client: both TLS users take the process's provider. Fails only if there is one already.
    let _present = rustls::crypto::ring::default_provider().install_default();
    let config = Config::load(&args.config)?;
    let clock = config.clock(args.sim_clock)?;
    let shutdown = shutdown()?;
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", args.listen))?;
    announce(listener.local_addr()?)?;

    let kube = client().await?;
    let cluster = cluster(&kube).await?;
    let calls = CallLog::default();
    let budgets = Budgets::new(config.calls_per_minute());
    let metrics = Metrics::new(calls.clone(), budgets.clone(), clock);
    let http = Http::new(Limits::default()).context("cannot make an HTTP client")?;
    let sign_in = SignIn::new(http, config.clone(), calls, budgets, clock)
        .context("azure: the addresses of the configuration are not usable")?;
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| kubernetes::MANAGER.to_owned());
    let events = Events::new(kube.clone(), &instance, clock, metrics.clone());
    let (stores, writers) = Stores::new(config.watch_namespaces());
    let health = Health::default();
    let caches = Caches::default();
    let explanations = Explanations::new(clock);
    let journal = Journal::new(kube.clone(), metrics.clone(), clock);
    let (metrics_for_http, for_http) = (metrics.clone(), explanations.clone());
    let ctx = Arc::new(Context {
        kube,
        clock,
        config,
        cluster,
        metrics,
        events,
        stores,
        sign_in,
        caches,
        explanations,
        journal: journal.clone(),
    });

    // Probes are answered until the last pass has ended.
    let server = http::serve(listener, health.clone(), metrics_for_http, for_http, pending());
    let passes = async {
        let ended = controllers::run(ctx, writers, health, shutdown.clone()).await;
        journal.flush().await;
        ended
    };
    let late = async {
        shutdown.clone().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served.context("the HTTP server failed"),
        ended = passes => ended.context("a controller failed"),
        never = journal.keep() => match never {},
        () = late => {
            tracing::warn!("passes still ran after {} s; they are taken up again at the next start", GRACE.as_secs());
            Ok(())
        }
    }
}

/// On stdout: whoever starts the program with port 0 reads it there.
fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening on http://{address}")
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

async fn client() -> anyhow::Result<Client> {
    let mut config =
        KubeConfig::infer().await.context("found no API server; run in a cluster, or set KUBECONFIG")?;
    // kube would repeat a refused call 15 times with growing waits, out of sight. Watches and passes have their own.
    config.default_retry = false;
    Client::try_from(config).context("cannot make a client of the API server")
}

/// What tells this cluster's claims on scale sets from another's.
async fn cluster(kube: &Client) -> anyhow::Result<String> {
    let namespaces: Api<Namespace> = Api::all(kube.clone());
    let system = kubernetes::within(kubernetes::PATIENCE, namespaces.get("kube-system"));
    let system = system.await.map_err(|error| anyhow::anyhow!(kubernetes::words(&error)));
    let uid = system.context("cannot read the namespace kube-system, whose uid names this cluster")?.uid();
    let uid = uid.context("the namespace kube-system has no uid")?;
    Ok(uid.split('-').next().unwrap_or_default().to_owned())
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut level = error.source();
    while let Some(cause) = level {
        let cause_text = cause.to_string();
        // Some libraries repeat the cause in their own words.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        level = cause.source();
    }
    text
}

/// Ends at the first SIGTERM or SIGINT.
fn shutdown() -> anyhow::Result<Shutdown> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    let either = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: passes that run come to their end");
    };
    Ok(either.boxed().shared())
}
