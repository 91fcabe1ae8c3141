//! `poolkeeper-simulator`: a world of scale sets, agents and jobs behind the REST faces of both clouds.

use std::{
    io::{Write, stderr, stdout},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, Result, bail};
use clap::Parser;
use poolkeeper_simulator::{Clock, Simulator, World, WorldSpec};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tracing_subscriber::EnvFilter;

/// Simulates Azure scale sets and Azure DevOps agent pools over HTTP.
#[derive(Debug, Parser)]
#[command(name = "poolkeeper-simulator", version)]
struct Arguments {
    /// The world file (YAML).
    #[arg(long, value_name = "FILE")]
    world: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The seed of every random choice.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A clock that runs faster since a shared instant: origin=2026-01-01T00:00:00Z,scale=60. Only on loopback.
    #[arg(long)]
    sim_clock: Option<Clock>,
    /// What to log, such as info or debug.
    #[arg(long, env = "POOLKEEPER_SIMULATOR_LOG", default_value = "info")]
    log: EnvFilter,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().json().with_writer(stderr).with_env_filter(arguments.log.clone()).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One sentence for people, beside the JSON log.
            let _ = writeln!(stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments { world: file, listen, seed, sim_clock, log: _ } = arguments;
    let clock = sim_clock.unwrap_or(Clock::REAL);
    if clock.is_scaled() && !listen.ip().is_loopback() {
        bail!("a scaled clock is for tests on one machine: --listen must be a loopback address");
    }
    let text = tokio::fs::read_to_string(&file).await.with_context(|| file.display().to_string())?;
    let spec = WorldSpec::parse(&text).with_context(|| file.display().to_string())?;
    let world = World::new(spec, seed, clock.now()).with_context(|| file.display().to_string())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    writeln!(stdout(), "listening on http://{address}")?;
    stdout().flush()?;
    tracing::info!(%address, seed, "listening");
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Simulator::new(world, clock).serve(listener, shutdown).await?;
    Ok(())
}
