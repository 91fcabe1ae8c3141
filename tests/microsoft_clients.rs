//! Microsoft's own clients try the simulator: what they stumble over is a defect of it.
//!
//! The programs are in `tests/clients`. Each has a simulator of its own, a thousand times as fast, and prints a line for
//! each of its steps.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
    time::Instant,
};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::Timestamp;
use poolkeeper_clock::Clock;
use poolkeeper_harness::{Binaries, Simulator, World, eventually};
use serde_json::{Value, json};
use support::{Clouds, PATIENCE};
use tokio::process::Command;

/// Simulated seconds per second: a VM takes a tenth of a second.
const SPEED: u32 = 1000;
/// Longer than any test.
const NEVER: &str = "10000h";

/// What `tests/clients/world.yaml` says.
const WORLD: [(&str, &str); 7] = [
    ("TENANT", "00000000-0000-0000-0000-00000000000a"),
    ("CLIENT_ID", "00000000-0000-0000-0000-00000000000b"),
    ("CLIENT_SECRET", "simulated-client-secret"),
    ("SUBSCRIPTION", "00000000-1111-2222-3333-444444444444"),
    ("ORGANIZATION", "fabrikam"),
    ("LATE_ORGANIZATION", "contoso"),
    ("PAT", "simulated-token"),
];

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where the clients are installed, which takes a minute once.
fn installed() -> Result<&'static Path> {
    static FOLDER: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
        let script = sources().join("setup.sh");
        let output = std::process::Command::new(&script)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run {}: {error}", script.display()))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() { Ok(PathBuf::from(out.trim())) } else { Err(err.trim().to_owned()) }
    });
    FOLDER.as_deref().map_err(|error| anyhow!("the clients are not installed:\n{error}"))
}

/// A simulator and its control API.
async fn start() -> Result<(Simulator, Clouds)> {
    // reqwest is built without a TLS provider of its own; a second call changes nothing.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
    let clock = Clock::new(Timestamp::now(), f64::from(SPEED));
    let world = sources().join("world.yaml");
    let simulator = Simulator::start(&Binaries::find()?, World::File(&world), 1, Some(clock)).await?;
    let clouds = Clouds::new(&simulator)?;
    Ok((simulator, clouds))
}

/// Runs one of the programs against a simulator; all of its steps have to come out.
async fn run(simulator: &Simulator, program: &Path, arguments: &[&Path]) -> Result<()> {
    let started = Instant::now();
    let ran = Command::new(program)
        .args(arguments)
        .env("SIMULATOR", simulator.url())
        .env("SPEED", SPEED.to_string())
        .env("FLEXIBLE", "1")
        .envs(WORLD)
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1")
        .env("NODE_PATH", installed()?.join("node_modules"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AZURE_DEVOPS_CACHE_DIR", simulator.directory().path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, ran)
        .await
        .with_context(|| format!("{} does not end", program.display()))?
        .with_context(|| format!("cannot run {}", program.display()))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{out}{} steps in {:.1} s", out.lines().count(), started.elapsed().as_secs_f64());
    let failed: Vec<&str> = out.lines().filter(|line| !line.starts_with("ok ")).collect();
    ensure!(failed.is_empty(), "{}", failed.join("\n"));
    let ended = output.status.success() && out.lines().count() > 0;
    ensure!(ended, "{} ends early with {}: {err}", program.display(), output.status);
    Ok(())
}

async fn compute(program: &Path, arguments: &[&Path]) -> Result<()> {
    let (simulator, _clouds) = start().await?;
    run(&simulator, program, arguments).await
}

/// With a job in every state: finished, running and queued in one pool, assigned in another.
async fn azure_devops(program: &Path, arguments: &[&Path]) -> Result<()> {
    let (simulator, clouds) = start().await?;
    queue(&clouds, "fabrikam", "linux-build", &json!({"duration": "1s"})).await?;
    reached(&clouds, "linux-build", &[]).await?;
    queue(&clouds, "fabrikam", "linux-build", &json!({"duration": NEVER})).await?;
    reached(&clouds, "linux-build", &["running"]).await?;
    queue(&clouds, "fabrikam", "linux-build", &json!({"duration": NEVER, "demands": ["gpu"]})).await?;
    reached(&clouds, "linux-build", &["queued", "running"]).await?;
    queue(&clouds, "contoso", "late-build", &json!({"duration": NEVER})).await?;
    reached(&clouds, "late-build", &["assigned"]).await?;
    run(&simulator, program, arguments).await
}

async fn queue(clouds: &Clouds, organization: &str, pool: &str, job: &Value) -> Result<()> {
    let mut job = job.clone();
    support::merge(&mut job, &json!({"organization": organization, "pool": pool}));
    clouds.post("jobs", &job).await.map(drop)
}

/// Waits until the open job requests of a pool are in exactly these states.
async fn reached(clouds: &Clouds, pool: &str, states: &[&str]) -> Result<()> {
    let wanted: BTreeSet<&str> = states.iter().copied().collect();
    eventually("the job requests are in their states", PATIENCE, async || {
        let world = clouds.get("world").await?;
        let pools = world["organizations"].as_array().into_iter().flatten();
        let mut pools = pools.filter_map(|organization| organization["pools"].as_array()).flatten();
        let found = pools.find(|found| found["name"] == pool).context("no such pool")?;
        let jobs = found["jobs"].as_array().context("no jobs")?;
        let state = |job: &Value| match (job["assignTime"].is_null(), job["receiveTime"].is_null()) {
            (true, _) => "queued",
            (false, true) => "assigned",
            (false, false) => "running",
        };
        let seen: BTreeSet<&str> = jobs.iter().map(state).collect();
        Ok((seen == wanted).then_some(()))
    })
    .await
}

fn go(program: &str) -> Result<PathBuf> {
    Ok(installed()?.join("go_programs").join(program))
}

/// The machine's, or the one that was installed because it has none.
fn node() -> Result<PathBuf> {
    let own = installed()?.join("runtime/bin/node");
    Ok(if own.exists() { own } else { PathBuf::from("node") })
}

fn python() -> Result<PathBuf> {
    Ok(installed()?.join("python/bin/python"))
}

#[tokio::test]
async fn go_armcompute() -> Result<()> {
    compute(&go("compute")?, &[]).await
}

#[tokio::test]
async fn python_azure_mgmt_compute() -> Result<()> {
    compute(&python()?, &[&sources().join("python/compute.py")]).await
}

#[tokio::test]
async fn go_azure_devops() -> Result<()> {
    azure_devops(&go("devops")?, &[]).await
}

#[tokio::test]
async fn python_azure_devops() -> Result<()> {
    azure_devops(&python()?, &[&sources().join("python/devops.py")]).await
}

#[tokio::test]
async fn node_azure_devops() -> Result<()> {
    azure_devops(&node()?, &[&sources().join("node/devops.js")]).await
}
