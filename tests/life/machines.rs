//! Machines that go by themselves or through others, what they leave behind, and agents that no machine stands behind.

use anyhow::{Context, Result, ensure};
use poolkeeper_harness::{
    eventually,
    ledger::{Entry, Kind},
};
use serde_json::{Value, json};

use crate::{
    looked_again,
    support::{PATIENCE, Site},
    times,
};

pub(crate) async fn ghost(site: Site<'_>) -> Result<()> {
    let foreign = "somebody-elses";
    let other = json!({"pool": site.name, "name": foreign, "runs": false});
    site.stage.clouds.post("agents", &other).await?;
    site.apply(&json!({"standby": {"agents": 1}})).await?;
    let first = site.truth_with("an agent stands by", |truth| truth.idle == 1).await?;
    let lost = first.vms.first().cloned().context("no VM")?;
    let evict = json!({"scaleSet": site.name, "policy": "Delete"});
    site.stage.clouds.post("evict", &evict).await?;
    let truth = site
        .truth_with("another agent stands by, and the ghost is gone", |truth| {
            truth.idle == 1 && truth.vms.len() == 1 && !truth.agents.contains(&lost)
        })
        .await?;
    ensure!(truth.agents.iter().any(|agent| agent == foreign) && truth.agents.len() == 2, "{truth:#?}");
    site.pool_with("the foreign agent is shown", |pool| {
        let agents = pool.status.as_ref().and_then(|status| status.agents.as_ref());
        agents.is_some_and(|agents| agents.foreign == 1 && agents.total == 1)
    })
    .await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    let left = site.truth().await?;
    ensure!(left.vms.is_empty() && left.agents == [foreign] && left.disabled.is_empty(), "{left:#?}");
    Ok(())
}

/// A spot VM that goes leaves its record, one that is deallocated is listed on, one that reboots has no agent any more.
pub(crate) async fn evicted(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 2, "scaleIn": {"idleDelay": "1m"}})).await?;
    let calls = [
        ("evict", json!({"scaleSet": site.name, "policy": "Deallocate"})),
        ("evict", json!({"scaleSet": site.name, "policy": "Delete"})),
        ("reboot", json!({"scaleSet": site.name})),
        ("manual", json!({"scaleSet": site.name, "do": "deallocate"})),
        ("manual", json!({"scaleSet": site.name, "do": "delete"})),
    ];
    for (path, mut body) in calls {
        let lost = site.settles_at(1, 0).await?.vms[0].clone();
        body["instance"] = instance(site, &lost).await?;
        site.stage.clouds.post(path, &body).await?;
        let what = format!("{lost} is replaced after {path} {body}");
        let truth = site
            .truth_with(&what, |truth| {
                let counts = (truth.idle, truth.vms.len(), truth.agents.len());
                counts == (1, 1, 1) && !truth.vms.contains(&lost) && !truth.agents.contains(&lost)
            })
            .await?;
        ensure!(truth.disabled.is_empty(), "{truth:#?}");
    }
    site.pool_says("Ready=True/Managed").await?;
    // A job that goes with its machine is lost to the eviction, and the next one runs.
    site.queue_job(10).await?;
    let busy = site.truth_with("an agent is busy", |truth| truth.busy == 1).await?;
    let assigned = times(site, Kind::JobAssigned).await?.pop().context("not assigned")?.1;
    ensure!(busy.vms.contains(&assigned), "{assigned} has no VM");
    let body =
        json!({"scaleSet": site.name, "policy": "Delete", "instance": instance(site, &assigned).await?});
    site.stage.clouds.post("evict", &body).await?;
    site.queue_job(2).await?;
    eventually("the lost job and the next one have ended", PATIENCE, async || {
        let ledger = site.ledger().await?;
        ensure!((ledger.ended(), ledger.succeeded()) == (2, 1), "{} {}", ledger.ended(), ledger.succeeded());
        Ok(Some(()))
    })
    .await?;
    let journal = site.journal().await?;
    let killed: Vec<_> = journal.iter().filter(|entry| entry.kind == Kind::JobKilled).collect();
    let by_eviction = |entry: &&Entry| entry.detail.as_deref() == Some("spot eviction");
    ensure!(killed.len() == 1 && killed.iter().all(by_eviction), "{killed:#?}");
    site.truth_with("all is as before", |truth| {
        (truth.idle, truth.busy, truth.vms.len(), truth.agents.len()) == (1, 0, 1, 1)
    })
    .await
    .map(drop)
}

/// What the control API calls the instance of this computer.
async fn instance(site: Site<'_>, computer: &str) -> Result<Value> {
    let world = site.stage.clouds.get("world").await?;
    let sets = world["scaleSets"].as_array().into_iter().flatten();
    let instances = sets.filter_map(|set| set["instances"].as_array()).flatten();
    let found = instances.into_iter().find(|instance| instance["computerName"] == computer);
    Ok(found.with_context(|| format!("no instance {computer}"))?["instanceID"].clone())
}

pub(crate) async fn disabled(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 3})).await?;
    let agent = site.settles_at(1, 0).await?.agents[0].clone();
    site.queue_job(8).await?;
    site.truth_with("it is busy", |truth| truth.busy == 1).await?;
    let disable = json!({"pool": site.name, "name": agent, "enabled": false});
    site.stage.clouds.post("agents", &disable).await?;
    // Its record goes after the job; the VM with it, or it becomes a new machine.
    eventually("the record of the disabled agent is deleted", PATIENCE, async || {
        let deleted = times(site, Kind::AgentDeleted).await?;
        Ok(deleted.iter().any(|(_, name)| *name == agent).then_some(()))
    })
    .await?;
    site.every_job_succeeded(1).await?;
    let idle = site.settles_at(1, 0).await?.agents[0].clone();
    let disable = json!({"pool": site.name, "name": idle, "enabled": false});
    site.stage.clouds.post("agents", &disable).await?;
    site.truth_with("the idle one is replaced", |truth| {
        !truth.agents.contains(&idle) && (truth.idle, truth.vms.len(), truth.agents.len()) == (1, 1, 1)
    })
    .await
    .map(drop)
}

/// Azure DevOps refuses at once a job that no agent record could run.
pub(crate) async fn empty(site: Site<'_>) -> Result<()> {
    let images = json!([{"name": "ubuntu-22.04", "capabilities": [{"name": "docker", "value": "true"}]}]);
    site.apply(&json!({"standby": {"agents": 0}, "images": images, "scaleIn": {"idleDelay": "1m"}})).await?;
    site.pool_says("Ready=True/Managed").await?;
    let truth = site.truth_with("a placeholder is there", |truth| truth.agents.len() == 1).await?;
    ensure!(truth.vms.is_empty() && truth.idle == 0, "{truth:#?}");
    let placeholder = truth.agents[0].clone();
    let demands = ["docker", "ImageOverride -equals ubuntu-22.04"];
    let job = json!({"pool": site.name, "duration": "4m", "demands": demands});
    site.stage.clouds.post("jobs", &job).await?;
    // It stays when its image has an agent, and when that one is gone again.
    site.truth_with("the job runs", |truth| truth.busy == 1).await?;
    ensure!(site.truth().await?.agents.contains(&placeholder), "the placeholder is gone");
    let truth = site.truth_with("the pool is empty again", |truth| truth.vms.is_empty()).await?;
    site.every_job_succeeded(1).await?;
    ensure!(truth.agents == [placeholder.clone()], "{truth:#?}");
    looked_again(site).await?;
    ensure!(site.truth().await?.agents == [placeholder], "the placeholder was taken for a ghost");
    let agents = site.pool().await?.status.and_then(|status| status.agents).unwrap_or_default();
    ensure!((agents.total, agents.foreign) == (0, 0), "the placeholder is counted: {agents:?}");
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    let left = site.truth().await?;
    ensure!(left.agents.is_empty(), "left behind: {left:#?}");
    Ok(())
}
