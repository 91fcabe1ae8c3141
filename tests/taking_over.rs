//! What is there before a pool, and what is shared with others: VMs that are adopted or replaced, a scale set that is
//! taken over from Azure DevOps' own pool, and the parallel jobs of an organisation.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use poolkeeper_harness::eventually;
use serde_json::{Value, json};
use support::{PATIENCE, SPEED, Scenarios, Site, Stage, world};

const SITES: [&str; 6] = ["adopted", "replaced", "taken", "blocked", "share-a", "share-b"];
/// Of the organisation, shared by two pools.
const PARALLEL_JOBS: u32 = 4;

#[tokio::test]
async fn what_is_there_before() -> Result<()> {
    let stage = Stage::with_world(&before()?, SPEED).await?;
    let url = stage.simulator.url().to_owned();
    let jobs = json!([{"organization": format!("{url}/fabrikam"), "jobs": PARALLEL_JOBS}]);
    let change = json!({"azureDevOps": {"parallelJobs": jobs}});
    let operator = stage.operator_with(&SITES, &url, &change).await?;

    let mut scenarios = Scenarios::default();
    scenarios.add("VMs whose agents are in the pool are adopted", adopted(stage.site("adopted")));
    scenarios.add("Replace tells who goes, and lets a job finish", replaced(stage.site("replaced")));
    scenarios.add("takeOverFrom lets a claim lapse after two hours", taken(stage.site("taken")));
    scenarios.add("a fresh claim of Azure DevOps blocks", blocked(stage.site("blocked")));
    scenarios.add(
        "parallel jobs are shared, and no VMs are made for more",
        shared(stage.site("share-a"), stage.site("share-b")),
    );
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
    let since = |hours: i64| {
        let stamp = Timestamp::now() - SignedDuration::from_hours(hours) - SignedDuration::from_mins(5);
        json!({"__AzureDevOpsElasticPool": "linux-old", "__AzureDevOpsElasticPoolTimeStamp": stamp.to_string()})
    };
    for set in world["scaleSets"].as_array_mut().context("no scale sets")? {
        match set["computerNamePrefix"].as_str() {
            Some("adopted" | "replaced") => set["capacity"] = json!(2),
            Some("taken" | "blocked") => set["tags"] = since(2),
            Some(_) | None => {}
        }
    }
    world["organizations"][0]["parallelJobs"] = json!(PARALLEL_JOBS);
    Ok(world)
}

async fn adopted(site: Site<'_>) -> Result<()> {
    let before = site.truth().await?;
    site.apply(&json!({})).await?;
    site.pool_says("Ready=True/Managed").await?;
    site.pool_says("StandbyMet=True/Met").await?;
    let after = site.settles_at(2, 0).await?;
    ensure!(after.vms == before.vms, "{:?} became {:?}", before.vms, after.vms);
    ensure!(site.ledger().await?.peak() == 2, "no VM was made beside them");
    site.queue_job(2).await?;
    all_done(site, 1).await
}

/// Waits for the jobs to end, all of them well.
async fn all_done(site: Site<'_>, jobs: u64) -> Result<()> {
    let what = format!("{}: {jobs} jobs have ended", site.name);
    eventually(&what, PATIENCE, async || {
        let ledger = site.ledger().await?;
        Ok((ledger.succeeded() + ledger.killed() >= jobs).then_some(()))
    })
    .await?;
    site.every_job_succeeded(jobs).await
}

async fn replaced(site: Site<'_>) -> Result<()> {
    let before = site.truth().await?;
    site.queue_job(15).await?;
    site.truth_with("the job runs", |truth| truth.busy == 1).await?;
    site.apply_with(&json!({}), &json!({"existingInstances": "Replace"})).await?;
    let events: Api<Event> = Api::namespaced(site.stage.admin.clone(), site.name);
    let told = eventually("the event that lists them", PATIENCE, async || {
        let events = events.list(&Default::default()).await?;
        let mut notes =
            events.items.into_iter().filter(|event| event.reason.as_deref() == Some("ReplacingExisting"));
        Ok(notes.next().and_then(|event| event.note))
    })
    .await?;
    ensure!(told.contains("replaced000000") && told.contains("replaced000001"), "{told}");
    let after = site
        .truth_with("others are there", |truth| {
            truth.idle == 2 && truth.busy == 0 && before.vms.iter().all(|vm| !truth.vms.contains(vm))
        })
        .await?;
    ensure!(after.vms.len() == 2, "{:?}", after.vms);
    all_done(site, 1).await
}

async fn taken(site: Site<'_>) -> Result<()> {
    site.apply_with(&json!({}), &json!({"takeOverFrom": "Linux-Old"})).await?;
    site.binding_says("Claimed=True/Claimed").await?;
    site.settles_at(2, 0).await?;
    let started = site.pool().await?.metadata.creation_timestamp.context("no creation")?.0;
    let took = Timestamp::now().duration_since(started).as_secs();
    ensure!(took < 90, "{took} s: it waited for the four hours");
    Ok(())
}

async fn blocked(site: Site<'_>) -> Result<()> {
    site.apply(&json!({})).await?;
    site.binding_says("Stalled=True/ScaleSetInUse").await?;
    let words = site.binding().await?.status.context("no status")?;
    let stalled = words.conditions.into_iter().find(|condition| condition.type_ == "Stalled");
    let message = stalled.context("not stalled")?.message;
    let begin = "This virtual machine scale set is already in use by pool linux-old";
    ensure!(message.starts_with(begin), "{message}");
    ensure!(site.truth().await?.capacity == 0, "nothing is written to it");
    Ok(())
}

/// Six jobs in each of two pools, of which four can run.
async fn shared(one: Site<'_>, other: Site<'_>) -> Result<()> {
    let none = json!({"standby": {"agents": 0}, "maxAgents": 10, "scaleIn": {"idleDelay": "2m"}});
    for site in [one, other] {
        site.apply(&none).await?;
        site.pool_says("Ready=True/Managed").await?;
    }
    for site in [one, other] {
        for _ in 0..6 {
            site.queue_job(10).await?;
        }
    }
    for site in [one, other] {
        site.pool_says("CapacityLimited=True/ParallelJobs").await?;
        let limited = |pool: &poolkeeper_api::AgentPool| {
            let decision = pool.status.as_ref().and_then(|status| status.decision.as_ref());
            decision.is_some_and(|decision| decision.limited_by == "ParallelJobs")
        };
        site.pool_with("limitedBy ParallelJobs", limited).await?;
    }
    for site in [one, other] {
        all_done(site, 6).await?;
        let peak = site.ledger().await?.peak();
        println!("{}: at most {peak} VMs for 6 jobs", site.name);
        // A machine that is being reimaged after its job stands beside the next one.
        ensure!(peak <= 6, "{}: {peak} VMs", site.name);
    }
    Ok(())
}
