//! The life of an agent beside its jobs: agents that are saved, images that fail, placeholders, ghosts, evictions,
//! maintenance, lifetimes.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

#[path = "life/machines.rs"]
mod machines;
#[path = "life/saved.rs"]
mod saved;
mod support;
#[path = "worlds/life.rs"]
mod table;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, ResourceExt, api::ListParams};
use poolkeeper_harness::{Operator, eventually, ledger::Kind};
use serde_json::{Value, json};
use support::{PATIENCE, SPEED, Scenarios, Site, Stage, conditions};

/// What the first operator serves.
const SITES: [&str; 10] =
    ["kept", "sick", "empty", "ghost", "evicted", "disabled", "crowd", "aged", "reused", "graceful"];
/// Has an operator of its own, which is started again.
const SAVED: &str = "saved";
/// Agents that maintenance befalls at once.
const CROWD: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_life_of_an_agent() -> Result<()> {
    let stage = Stage::with_world(&table::world(&SITES, SAVED)?, SPEED).await?;
    let mut operator = stage.operator(&SITES).await?;
    let site = |name| stage.site(name);
    let mut scenarios = Scenarios::default();
    scenarios.add("an agent that fails to start is saved", saved::saved(site(SAVED)));
    scenarios.add("an agent is saved on demand", saved::kept(site("kept")));
    scenarios.add("a bad image is named, tried one at a time, and used again", sick(site("sick")));
    scenarios.add("a placeholder lets jobs wait for an empty pool", machines::empty(site("empty")));
    scenarios.add("ghosts go, foreign agents stay", machines::ghost(site("ghost")));
    scenarios.add("what is evicted or rebooted is replaced", machines::evicted(site("evicted")));
    scenarios.add("whom a person disables ends its job and goes", machines::disabled(site("disabled")));
    scenarios.add("maintenance starts no VM", crowd(site("crowd")));
    scenarios.add("an old agent goes, after its job", aged(site("aged")));
    scenarios.add("a second job on one machine is told", reused(site("reused")));
    scenarios.add("a grace period takes the place of the idle delay", graceful(site("graceful")));
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result?;
    sound(&mut operator)
}

fn sound(operator: &mut Operator) -> Result<()> {
    ensure!(operator.exited()?.is_none(), "the operator has ended by itself");
    let log = std::fs::read_to_string(operator.log())?;
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// Every VM that starts from now on fails so; with `null` they are well again.
async fn image(site: Site<'_>, fails: Value) -> Result<()> {
    let body = json!({"scaleSet": site.name, "startFails": fails, "of": "every"});
    site.stage.clouds.post("image", &body).await.map(drop)
}

/// Waits until the operator has looked at the pool once more: it has echoed the annotation.
async fn looked_again(site: Site<'_>) -> Result<()> {
    let at = site.stage.clock.now().to_string();
    annotate(site, &format!("reconcile={at}")).await?;
    site.pool_with("the pool is looked at", |pool| {
        pool.status.as_ref().and_then(|status| status.last_handled_reconcile.as_ref()) == Some(&at)
    })
    .await
    .map(drop)
}

async fn annotate(site: Site<'_>, annotation: &str) -> Result<()> {
    let annotation = format!("poolkeeper.dev/{annotation}");
    site.kubectl(&["annotate", "agentpool", site.name, "--overwrite", &annotation]).await.map(drop)
}

/// Waits until the operator has carried out an annotation: it is gone.
async fn carried_out(site: Site<'_>, annotation: &str) -> Result<()> {
    let key = format!("poolkeeper.dev/{annotation}");
    site.pool_with(&format!("{annotation} is carried out"), |pool| !pool.annotations().contains_key(&key))
        .await
        .map(drop)
}

/// When something happened, in simulated time.
async fn times(site: Site<'_>, kind: Kind) -> Result<Vec<(Timestamp, String)>> {
    let journal = site.journal().await?;
    let found = journal.into_iter().filter(|entry| entry.kind == kind);
    Ok(found.map(|entry| (entry.at, entry.agent.unwrap_or_default())).collect())
}

async fn has_event(site: Site<'_>, reason: &str) -> Result<()> {
    let events: Api<Event> = Api::namespaced(site.stage.admin.clone(), site.name);
    eventually(&format!("{}: event {reason}", site.name), PATIENCE, async || {
        let all = events.list(&ListParams::default()).await?;
        let reasons: Vec<&str> = all.iter().filter_map(|event| event.reason.as_deref()).collect();
        ensure!(reasons.contains(&reason), "{reasons:?}");
        Ok(Some(()))
    })
    .await
}

/// VMs that are on their way, at their most since an instant.
async fn most_at_once(site: Site<'_>, since: Timestamp) -> Result<usize> {
    let mut coming: Vec<String> = Vec::new();
    let mut most = 0;
    for entry in site.journal().await? {
        let name = entry.agent.unwrap_or_default();
        match entry.kind {
            Kind::VmCreating => coming.push(name),
            Kind::VmFailed | Kind::VmDeleting | Kind::VmDeleted => coming.retain(|vm| *vm != name),
            _ => {}
        }
        if entry.at >= since && entry.kind == Kind::VmCreating {
            most = most.max(coming.len());
        }
    }
    Ok(most)
}

async fn sick(site: Site<'_>) -> Result<()> {
    image(site, json!("extension")).await?;
    let spec = json!({
        "maxAgents": 4, "standby": {"agents": 3},
        "unhealthy": {"startTimeout": "5m", "maxFailedStarts": 2},
    });
    site.apply(&spec).await?;
    site.binding_says("ImageUnhealthy=True/ExtensionFailed: ").await?;
    site.binding_says("Ready=False/FailedStarts").await?;
    site.pool_says("CapacityLimited=True/FailedStarts").await?;
    let said = site.binding().await?.status.map(|status| conditions(&status.conditions)).unwrap_or_default();
    let unhealthy = said.iter().find(|condition| condition.starts_with("ImageUnhealthy"));
    // The simulator's words, as Azure would give those of the extension.
    ensure!(unhealthy.is_some_and(|it| it.contains("xtension")), "{said:#?}");
    // The three of the first growth are gone, and from then on there is one at most.
    site.truth_with("what has failed is gone", |truth| truth.vms.len() <= 1).await?;
    let since = site.stage.clouds.now().await?;
    eventually("it is tried again", PATIENCE, async || {
        let tried = times(site, Kind::VmCreating).await?;
        let again = tried.iter().filter(|(at, _)| *at >= since).count();
        ensure!(again >= 2, "{again} tries since {since}");
        Ok(Some(()))
    })
    .await?;
    let most = most_at_once(site, since).await?;
    ensure!(most == 1, "{most} VMs of a bad image at one time");

    image(site, Value::Null).await?;
    site.settles_at(3, 0).await?;
    eventually("nothing is said of the image any more", PATIENCE, async || {
        let status = site.binding().await?.status.unwrap_or_default();
        let said = conditions(&status.conditions);
        let bad = said.iter().any(|it| it.starts_with("ImageUnhealthy") || it.starts_with("Ready=False"));
        ensure!(!bad && status.failed_starts.unwrap_or(0) == 0, "{:?}, {said:#?}", status.failed_starts);
        Ok(Some(()))
    })
    .await?;
    site.pool_says("Ready=True/Managed").await
}

async fn crowd(site: Site<'_>) -> Result<()> {
    let spec = json!({
        "standby": {"agents": CROWD}, "maxAgents": CROWD + 10,
        "lifecycle": {"type": "Stateful", "stateless": null},
    });
    site.apply(&spec).await?;
    site.settles_at(CROWD, 0).await?;
    let created = times(site, Kind::VmCreating).await?.len();
    let began = site.stage.clouds.post("maintenance", &json!({"pool": site.name, "minutes": 10})).await?;
    let requests = began["requests"].as_array().map_or(0, Vec::len) as u64;
    ensure!(requests == CROWD, "maintenance of {requests} agents: {began}");
    site.truth_with("maintenance runs on all", |truth| truth.busy == CROWD).await?;
    // The operator has seen it, and has counted none of it as a job.
    looked_again(site).await?;
    let jobs = site.pool().await?.status.and_then(|status| status.jobs).unwrap_or_default();
    ensure!(jobs.queued == 0, "maintenance counts as a waiting job: {jobs:?}");
    site.truth_with("maintenance is over", |truth| truth.busy == 0 && truth.idle == CROWD).await?;
    let truth = site.truth().await?;
    let now = times(site, Kind::VmCreating).await?.len();
    ensure!((now, truth.capacity) == (created, CROWD), "{now} VMs created, {created} before: {truth:#?}");
    ensure!(site.ledger().await?.killed() == 0, "maintenance was interrupted");
    Ok(())
}

async fn aged(site: Site<'_>) -> Result<()> {
    let stateful = json!({"maxAgentLifetime": "12m"});
    let lifecycle = json!({"type": "Stateful", "stateless": null, "stateful": stateful});
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 3, "lifecycle": lifecycle})).await?;
    let first = site.settles_at(1, 0).await?.agents[0].clone();
    // Its job is longer than what is left of its life.
    site.queue_job(25).await?;
    let gone = site.truth_with("the first one is gone", |truth| !truth.vms.contains(&first)).await?;
    ensure!(!gone.agents.contains(&first), "{gone:#?}");
    site.every_job_succeeded(1).await?;
    // One without a job goes by its age alone.
    let next = site.truth_with("another one stands by", |truth| truth.idle == 1).await?.agents;
    site.truth_with("it is replaced too", |truth| {
        truth.idle == 1 && truth.agents.iter().all(|agent| !next.contains(agent))
    })
    .await?;
    let (online, deleting) = (times(site, Kind::VmCreating).await?, times(site, Kind::VmDeleting).await?);
    for (deleted, name) in &deleting {
        let created = online.iter().find(|(_, vm)| vm == name).context("deleted, and never created")?.0;
        let age = deleted.duration_since(created);
        ensure!(age >= SignedDuration::from_mins(12), "{name} went at the age of {age:#}");
    }
    Ok(())
}

/// The image does not let its agent go after one job.
async fn reused(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 0}, "maxAgents": 1})).await?;
    for _ in 0..2 {
        site.queue_job(3).await?;
    }
    has_event(site, "AgentReused").await?;
    eventually("both jobs have ended", PATIENCE, async || {
        let ledger = site.ledger().await?;
        ensure!(ledger.ended() == 2, "{}", ledger.ended());
        Ok(Some(()))
    })
    .await?;
    site.every_job_succeeded(2).await
}

async fn graceful(site: Site<'_>) -> Result<()> {
    let grace = SignedDuration::from_mins(6);
    let stateful = json!({"gracePeriod": "6m"});
    let lifecycle = json!({"type": "Stateful", "stateless": null, "stateful": stateful});
    site.apply(&json!({"standby": {"agents": 0}, "maxAgents": 2, "lifecycle": lifecycle})).await?;
    site.queue_job(4).await?;
    site.truth_with("the job runs", |truth| truth.busy == 1).await?;
    site.truth_with("the agent is gone", |truth| truth.vms.is_empty() && truth.waiting == 0).await?;
    site.every_job_succeeded(1).await?;
    let free = times(site, Kind::JobFinished).await?.pop().context("no job")?.0;
    let gone = times(site, Kind::VmDeleting).await?.pop().context("no deletion")?.0;
    let stayed = gone.duration_since(free);
    ensure!(stayed >= grace, "it went {stayed:#} after its job");
    // Half an hour is the default idle delay.
    ensure!(stayed < SignedDuration::from_mins(25), "it stayed {stayed:#} after its job");
    Ok(())
}
