//! Moving in without a killed job: beside the old manager in mode Observe, then `poolkeeper adopt`.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::process::Output;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use poolkeeper_harness::{Operator, eventually};
use serde_json::{Value, json};
use support::{PATIENCE, SPEED, Scenarios, Site, Stage, world};
use tokio::process::Command;

const SITES: [&str; 3] = ["beside", "live", "strangers"];

#[tokio::test]
async fn moving_in() -> Result<()> {
    let stage = Stage::with_world(&before()?, SPEED).await?;
    let operator = stage.operator(&SITES).await?;
    let mut scenarios = Scenarios::default();
    scenarios.add("beside Azure DevOps' own manager", beside(stage.site("beside"), &operator));
    scenarios.add("live agents are adopted, and a job finishes", live(stage.site("live"), &operator));
    scenarios.add("VMs of another pool stop it", strangers(stage.site("strangers"), &operator));
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result?;
    ensure!(operator.stop().await?.success(), "SIGTERM is a good end");
    Ok(())
}

fn before() -> Result<Value> {
    let mut world = world(&SITES)?;
    let stamp = Timestamp::now() + SignedDuration::from_hours(24);
    for set in world["scaleSets"].as_array_mut().context("no scale sets")? {
        set["capacity"] = json!(2);
        match set["computerNamePrefix"].as_str() {
            Some("beside") => {
                set["tags"] = json!({
                    "__AzureDevOpsElasticPool": "beside", "__AzureDevOpsElasticPoolTimeStamp": stamp.to_string(),
                });
            }
            // Its VMs work for another pool.
            Some("strangers") => set["agents"]["pool"] = json!("beside"),
            Some(_) | None => {}
        }
    }
    let pools =
        world.pointer_mut("/organizations/0/pools").and_then(Value::as_array_mut).context("no pools")?;
    for pool in pools.iter_mut().filter(|pool| pool["name"] == "beside") {
        pool["options"] = json!("elasticPool");
    }
    Ok(world)
}

/// `poolkeeper adopt` about a site's pool.
async fn adopt(site: Site<'_>, operator: &Operator, more: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolkeeper"));
    command.args(["adopt", site.name, "-n", site.name, "--operator", operator.url()]).args(more);
    command.env("KUBECONFIG", site.stage.control_plane.kubeconfig()).env_remove("KUBERNETES_SERVICE_HOST");
    Ok(command.kill_on_drop(true).output().await?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Waits for a pool that decides and writes nothing.
async fn observes(site: Site<'_>) -> Result<()> {
    site.pool_says("Ready=True/Observing").await?;
    site.binding_says("Ready=True/Observing").await
}

/// Nothing of ours is in the cluster's objects nor in the clouds.
async fn left_no_trace(site: Site<'_>) -> Result<()> {
    let (pool, binding) = (site.pool().await?, site.binding().await?);
    ensure!(pool.finalizers().is_empty() && binding.finalizers().is_empty(), "a finalizer");
    let tags = site.truth().await?.tags;
    let ours = tags.keys().find(|tag| tag.to_lowercase().starts_with("poolkeeper"));
    ensure!(ours.is_none(), "a tag: {ours:?}");
    Ok(())
}

async fn beside(site: Site<'_>, operator: &Operator) -> Result<()> {
    let before = site.truth().await?;
    site.apply(&json!({"mode": "Observe", "standby": {"agents": 3}})).await?;
    observes(site).await?;
    site.binding_says("Claimed=False/ScaleSetInUse").await?;
    eventually("it says what it would have done", PATIENCE, async || {
        let status = site.pool().await?.status.context("no status")?;
        let wished = status.recent_actions.iter().find(|action| action.result == "Observed");
        Ok(wished.map(|_| ()))
    })
    .await?;
    let output = adopt(site, operator, &["--yes"]).await?;
    let text = said(&output);
    ensure!(output.status.code() == Some(1), "{text}");
    ensure!(
        text.contains("its scale set has another manager") && text.contains("nothing was written"),
        "{text}"
    );
    left_no_trace(site).await?;
    let after = site.truth().await?;
    ensure!(after.vms == before.vms && after.capacity == before.capacity, "{before:?} became {after:?}");
    // Taking such a pool over is refused by the operator too.
    site.apply(&json!({"standby": {"agents": 3}})).await?;
    site.pool_says("Stalled=True/PoolManagedElsewhere").await
}

async fn live(site: Site<'_>, operator: &Operator) -> Result<()> {
    site.truth_with("two agents are there", |truth| truth.idle == 2).await?;
    site.apply(&json!({"mode": "Observe", "standby": {"agents": 1}})).await?;
    observes(site).await?;
    site.queue_job(25).await?;
    let before = site.truth_with("the job runs", |truth| truth.busy == 1).await?;
    let passes = async || {
        let output = adopt(site, operator, &[]).await?;
        ensure!(output.status.success(), "{}", said(&output));
        Ok(Some(said(&output)))
    };
    let text = eventually("all checks pass", PATIENCE, passes).await?;
    ensure!(text.contains("2 VMs have agents in the pool") && text.contains("nothing was written"), "{text}");
    left_no_trace(site).await?;
    let output = adopt(site, operator, &["--yes"]).await?;
    let text = said(&output);
    ensure!(output.status.success(), "{text}");
    ensure!(text.contains("2 agents are adopted as they are, 0 have gone meanwhile"), "{text}");
    site.binding_says("Claimed=True/Claimed").await?;
    let after = site.truth().await?;
    ensure!(before.vms.iter().all(|vm| after.vms.contains(vm)), "{before:?} became {after:?}");
    eventually("the job ends", PATIENCE, async || Ok((site.ledger().await?.succeeded() == 1).then_some(())))
        .await?;
    site.every_job_succeeded(1).await?;
    let output = adopt(site, operator, &[]).await?;
    ensure!(said(&output).contains("nothing to take over"), "{}", said(&output));
    Ok(())
}

async fn strangers(site: Site<'_>, operator: &Operator) -> Result<()> {
    site.apply(&json!({"mode": "Observe", "standby": {"agents": 1}})).await?;
    observes(site).await?;
    eventually("its VMs are seen to have no agents in the pool", PATIENCE, async || {
        let output = adopt(site, operator, &[]).await?;
        let text = said(&output);
        ensure!(
            output.status.code() == Some(1) && text.contains("2 VMs have no agent in this pool"),
            "{text}"
        );
        Ok(Some(()))
    })
    .await?;
    let output = adopt(site, operator, &["--accept-unknown"]).await?;
    ensure!(output.status.success(), "{}", said(&output));
    left_no_trace(site).await
}
