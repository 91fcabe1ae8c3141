//! Ends that are not the usual one: what a deletion needs has gone first, or a scale set has two owners. Whatever may run
//! a job stays, the condition names the way out, and that very command works.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use poolkeeper_api::FINALIZER;
use poolkeeper_harness::eventually;
use serde_json::{Value, json};
use support::{PATIENCE, SPEED, Scenarios, Site, Stage, Truth, conditions, world};

/// What the first operator serves.
const SITES: [&str; 9] = [
    "secret-back",
    "secret-orphan",
    "azure-secret",
    "set-vanishes",
    "busy-set-vanishes",
    "organization-vanishes",
    "paused",
    "late-orphan",
    "shared",
];
/// Served by another operator; wants the scale set of `shared`.
const SECOND: &str = "second";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_end_has_a_way_out_and_loses_no_machine() -> Result<()> {
    let stage = Stage::with_world(&worlds()?, SPEED).await?;
    let mut operator = stage.operator(&SITES).await?;
    let mut other = stage.operator(&[SECOND]).await?;

    let site = |name| stage.site(name);
    let mut scenarios = Scenarios::default();
    scenarios.add("a Secret goes in mid-drain and comes back", secret_back(site("secret-back")));
    scenarios.add("a Secret goes in mid-drain for good", secret_orphan(site("secret-orphan")));
    scenarios.add("the Secret of Azure goes before a binding", azure_secret(site("azure-secret")));
    scenarios.add("a scale set is deleted under a pool", set_vanishes(site("set-vanishes")));
    scenarios.add("a scale set is deleted with a job on it", busy_set_vanishes(site("busy-set-vanishes")));
    scenarios.add("an organization vanishes", organization_vanishes(site("organization-vanishes")));
    scenarios.add("a paused pool is deleted", paused(site("paused")));
    scenarios.add("Orphan is set while a pool is being deleted", late_orphan(site("late-orphan")));
    scenarios.add("two operators want one scale set", two_operators(site("shared"), site(SECOND)));
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator, &other]).await?.display());
    }
    result?;
    for operator in [&mut operator, &mut other] {
        ensure!(operator.exited()?.is_none(), "an operator has ended by itself");
        let log = std::fs::read_to_string(operator.log())?;
        ensure!(!log.contains("panicked"), "{log}");
    }
    Ok(())
}

/// The pool of `organization-vanishes` is in an organisation of its own.
fn worlds() -> Result<Value> {
    let mut world = world(&[&SITES[..], &[SECOND]].concat())?;
    let own = "organization-vanishes";
    let fabrikam = world["organizations"][0].clone();
    let pools = fabrikam["pools"].as_array().context("no pools")?;
    let is_own = |pool: &&Value| pool["name"] == own;
    let (moved, kept): (Vec<&Value>, Vec<&Value>) = pools.iter().partition(is_own);
    let mut contoso = fabrikam.clone();
    contoso["name"] = json!("contoso");
    contoso["pools"] = json!(moved);
    let mut rest = fabrikam.clone();
    rest["pools"] = json!(kept);
    world["organizations"] = json!([rest, contoso]);
    for set in world["scaleSets"].as_array_mut().into_iter().flatten() {
        if set["computerNamePrefix"] == own {
            set["agents"]["organization"] = json!("contoso");
        }
    }
    Ok(world)
}

fn claimed(truth: &Truth) -> bool {
    truth.tags.keys().any(|tag| tag.starts_with("poolkeeper-"))
}

/// One idle agent, and one with a job of so many minutes.
async fn at_work(site: Site<'_>, minutes: i64) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 3})).await?;
    site.settles_at(1, 0).await?;
    site.queue_job(minutes).await?;
    let truth = site.settles_at(1, 1).await?;
    ensure!(claimed(&truth), "not claimed: {:?}", truth.tags);
    Ok(())
}

async fn delete_secret(site: Site<'_>, name: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(site.stage.admin.clone(), site.name);
    secrets.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// The command that a condition `Stalled=True/BlockedDrain` names, and what it says before.
async fn way_out(site: Site<'_>, kind: &str) -> Result<String> {
    let what = format!("{kind} {} says how to orphan it", site.name);
    eventually(&what, PATIENCE, async || {
        let said = match kind {
            "agentpool" => site.pool().await?.status.map(|status| conditions(&status.conditions)),
            _ => site.binding().await?.status.map(|status| conditions(&status.conditions)),
        };
        let said = said.unwrap_or_default();
        let blocked = said.iter().find(|condition| condition.starts_with("Stalled=True/BlockedDrain"));
        let command = blocked.and_then(|condition| condition.split_once("kubectl "));
        ensure!(command.is_some(), "{said:#?}");
        Ok(command.map(|(_, command)| command.to_owned()))
    })
    .await
}

/// Runs it as a person would, in the site's namespace.
async fn run(site: Site<'_>, command: &str) -> Result<()> {
    // The only quotes are those around the patch.
    let (words, patch) = command.split_once(" '").context("no patch")?;
    let patch = patch.trim_end().strip_suffix('\'').context("the patch has no end")?;
    let mut arguments: Vec<&str> = words.split_whitespace().collect();
    arguments.push(patch);
    site.kubectl(&arguments).await.map(drop)
}

/// Nothing is left behind.
async fn left_clean(site: Site<'_>) -> Result<()> {
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    let left = site.truth().await?;
    ensure!(left.vms.is_empty() && left.agents.is_empty() && left.capacity == 0, "left behind: {left:#?}");
    Ok(())
}

/// VMs and agents are those of before, and nobody is disabled who was not.
fn untouched(before: &Truth, after: &Truth) -> Result<()> {
    let of =
        |truth: &Truth| (truth.vms.clone(), truth.agents.clone(), truth.disabled.clone(), truth.capacity);
    ensure!(of(before) == of(after), "{before:#?} became {after:#?}");
    Ok(())
}

/// A pool in mid-drain: its busy agent is disabled and runs on.
async fn mid_drain(site: Site<'_>, minutes: i64) -> Result<Truth> {
    at_work(site, minutes).await?;
    site.delete_pool().await?;
    site.settles_at(0, 1).await?;
    site.truth_with("the busy agent gets no further job", |truth| truth.disabled.len() == 1).await
}

/// The Secret is gone, the pool says so, and its job comes to its end: the machine is still there.
async fn held_without_secret(site: Site<'_>) -> Result<String> {
    let before = mid_drain(site, 15).await?;
    delete_secret(site, "azure-devops").await?;
    let command = way_out(site, "agentpool").await?;
    site.truth_with("the job has ended", |truth| truth.busy == 0).await?;
    site.every_job_succeeded(1).await?;
    looked_again(site).await?;
    untouched(&before, &site.truth().await?)?;
    let pool = site.pool().await?;
    ensure!(pool.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER));
    Ok(command)
}

/// Waits until the operator has looked at the pool once more: it has echoed the annotation.
async fn looked_again(site: Site<'_>) -> Result<()> {
    let at = site.stage.clock.now().to_string();
    let annotation = format!("poolkeeper.dev/reconcile={at}");
    site.kubectl(&["annotate", "agentpool", site.name, "--overwrite", &annotation]).await?;
    site.pool_with("the pool is looked at", |pool| {
        pool.status.as_ref().and_then(|status| status.last_handled_reconcile.as_ref()) == Some(&at)
    })
    .await
    .map(drop)
}

async fn secret_back(site: Site<'_>) -> Result<()> {
    held_without_secret(site).await?;
    let manifests = site.manifests(&json!({}), &json!({}))?;
    let secrets: Vec<&Value> =
        manifests["items"].as_array().into_iter().flatten().filter(|item| item["kind"] == "Secret").collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": secrets});
    site.stage.control_plane.apply(&list.to_string()).await?;
    site.pool_is_gone().await?;
    left_clean(site).await
}

async fn secret_orphan(site: Site<'_>) -> Result<()> {
    let command = held_without_secret(site).await?;
    let before = site.truth().await?;
    run(site, &command).await?;
    site.pool_is_gone().await?;
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    untouched(&before, &site.truth().await?)
}

/// The binding is deleted without what it needs for Azure; its pool goes on being there.
async fn azure_secret(site: Site<'_>) -> Result<()> {
    at_work(site, 15).await?;
    delete_secret(site, "azure").await?;
    site.binding_says("Stalled=True/SecretNotFound").await?;
    let before = site.truth().await?;
    site.delete_binding().await?;
    let command = way_out(site, "scalesetbinding").await?;
    site.truth_with("the job has ended", |truth| truth.busy == 0).await?;
    site.every_job_succeeded(1).await?;
    let now = site.truth().await?;
    ensure!((&now.vms, now.capacity) == (&before.vms, before.capacity), "{before:#?} became {now:#?}");
    run(site, &command).await?;
    site.binding_is_gone().await?;
    let left = site.truth().await?;
    ensure!(left.vms == before.vms, "{before:#?} became {left:#?}");
    Ok(())
}

async fn set_vanishes(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 3})).await?;
    site.settles_at(1, 0).await?;
    site.stage.clouds.post("vanish", &json!({"scaleSet": site.name})).await?;
    site.binding_says("Stalled=True/ScaleSetNotFound").await?;
    site.pool_says("Ready=False/").await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    no_record_left(site).await?;
    site.delete_binding().await?;
    site.binding_is_gone().await
}

/// A scale set that ARM knows no more has no VM: the drain goes on without it.
async fn busy_set_vanishes(site: Site<'_>) -> Result<()> {
    mid_drain(site, 25).await?;
    site.stage.clouds.post("vanish", &json!({"scaleSet": site.name})).await?;
    site.pool_is_gone().await?;
    no_record_left(site).await?;
    let ledger = site.ledger().await?;
    let journal = site.journal().await?;
    let by_us = journal
        .iter()
        .filter(|entry| entry.text.contains("job killed"))
        .filter(|entry| entry.detail.as_deref() != Some("DELETE scale set"));
    ensure!((ledger.queued(), by_us.count()) == (1, 0), "killed: {}", ledger.killed());
    site.delete_binding().await?;
    site.binding_is_gone().await
}

/// Records of VMs that have gone with their scale set go too.
async fn no_record_left(site: Site<'_>) -> Result<()> {
    let left = site.truth().await?;
    ensure!(left.agents.is_empty() && left.vms.is_empty(), "left behind: {left:#?}");
    Ok(())
}

async fn organization_vanishes(site: Site<'_>) -> Result<()> {
    let url = format!("{}/contoso", site.stage.simulator.url());
    let spec = json!({"organization": {"url": url}, "standby": {"agents": 1}, "maxAgents": 3});
    site.apply(&spec).await?;
    site.settles_at(1, 0).await?;
    let job = json!({"organization": "contoso", "pool": site.name, "duration": "10m"});
    site.stage.clouds.post("jobs", &job).await?;
    let before = site.settles_at(1, 1).await?;
    site.stage.clouds.post("vanish", &json!({"organization": "contoso"})).await?;
    site.pool_says("Ready=False/").await?;
    site.pool_says("Holding=True/SourceMissing").await?;
    // Its job goes on for all that anybody can tell.
    site.delete_pool().await?;
    let command = way_out(site, "agentpool").await?;
    looked_again(site).await?;
    let now = site.stage.clouds.get("world").await?;
    let set = now["scaleSets"].as_array().into_iter().flatten().find(|set| set["name"] == site.name);
    let vms = set.and_then(|set| set["instances"].as_array()).map_or(0, Vec::len);
    ensure!(vms == before.vms.len(), "{vms} VMs of {}", before.vms.len());
    run(site, &command).await?;
    site.pool_is_gone().await?;
    site.delete_binding().await?;
    site.binding_is_gone().await
}

async fn paused(site: Site<'_>) -> Result<()> {
    at_work(site, 15).await?;
    site.kubectl(&["patch", "agentpool", site.name, "--type=merge", "-p", r#"{"spec":{"mode":"Paused"}}"#])
        .await?;
    site.pool_says("Ready=True/Paused").await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    left_clean(site).await?;
    site.every_job_succeeded(1).await
}

async fn late_orphan(site: Site<'_>) -> Result<()> {
    let before = mid_drain(site, 25).await?;
    let orphan = r#"{"spec":{"deletionPolicy":"Orphan"}}"#;
    site.kubectl(&["patch", "agentpool", site.name, "--type=merge", "-p", orphan]).await?;
    site.pool_is_gone().await?;
    let now = site.truth().await?;
    ensure!(now.busy == 1, "it waited for the job");
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    site.truth_with("the job has ended", |truth| truth.busy == 0).await?;
    site.every_job_succeeded(1).await?;
    untouched(&before, &site.truth().await?)
}

/// Each operator knows its own namespace only: what they have in common are the tags.
async fn two_operators(first: Site<'_>, second: Site<'_>) -> Result<()> {
    first.apply(&json!({"standby": {"agents": 1}, "maxAgents": 3})).await?;
    let before = first.settles_at(1, 0).await?;
    let id = first.binding().await?.spec.scale_set.resource_id;
    let other = json!({"scaleSet": {"resourceID": id}});
    second.apply_with(&json!({"standby": {"agents": 2}}), &other).await?;
    second
        .binding_says("Stalled=True/ScaleSetInUse: This virtual machine scale set is already in use")
        .await?;
    second.pool_says("Ready=False/").await?;
    // The first one goes on as before.
    first.queue_job(5).await?;
    first.settles_at(1, 1).await?;
    let now = first.truth_with("the job has ended", |truth| truth.busy == 0).await?;
    let owner = |truth: &Truth| truth.tags.get("poolkeeper-owner").cloned();
    ensure!(owner(&now) == owner(&before), "{:?} became {:?}", before.tags, now.tags);
    first.every_job_succeeded(1).await?;
    ensure!(first.ledger().await?.peak() <= 2, "more VMs than the first pool wants");

    // It gives the scale set back, and the second one gets it.
    second.delete_pool().await?;
    second.pool_is_gone().await?;
    ensure!(claimed(&first.truth().await?), "a pool that never had the scale set has taken its claim away");
    second.apply_with(&json!({"standby": {"agents": 0}}), &other).await?;
    first.delete_pool().await?;
    first.pool_is_gone().await?;
    second.binding_says("Ready=True/Bound").await?;
    let truth = first.truth().await?;
    ensure!(truth.vms.is_empty() && claimed(&truth), "{truth:#?}");
    second.delete_pool().await?;
    second.pool_is_gone().await?;
    first.truth_with("the claim is gone", |truth| !claimed(truth)).await.map(drop)
}
