//! While nothing changes, the operator writes nothing and reads little; while VMs come and go, it lists no more than
//! Azure lets it.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};
use poolkeeper_harness::{Operator, eventually};
use serde_json::json;

use support::{PATIENCE, Stage};

const SITE: &str = "quiet";
/// Simulated. Reads of Azure DevOps decay over the first minute, a scale set's instances are last listed for a change
/// ten seconds after it.
const SETTLED: SignedDuration = SignedDuration::from_mins(6);
/// Simulated; ends before the claim is renewed, 30 minutes after the start.
const WATCHED: SignedDuration = SignedDuration::from_mins(10);
/// Every class of calls that changes something.
const WRITES: [&str; 5] = ["scaleSetUpdate", "instanceDelete", "agentWrite", "azureOther", "devOpsOther"];

/// What there was to see at one moment.
struct Look {
    at: Timestamp,
    /// Calls of both clouds by class.
    calls: BTreeMap<String, u64>,
    /// The journal's length: every change of the world.
    changes: usize,
    /// `poolkeeper_api_writes_total`.
    api_writes: f64,
    /// Versions by kind, namespace and name of everything that the operator may write.
    versions: BTreeMap<(String, String, String), String>,
}

async fn look(stage: &Stage, operator: &Operator) -> Result<Look> {
    let tally = stage.clouds.get("tally").await?;
    let calls = tally["calls"].as_object().context("no calls")?;
    let metrics = operator.metrics().await?;
    let writes = metrics.lines().filter(|line| line.starts_with("poolkeeper_api_writes_total"));
    let event = ApiResource::erase::<k8s_openapi::api::events::v1::Event>(&());
    let map = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
    let secret = ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
    let kinds = [
        ApiResource::erase::<AgentPool>(&()),
        ApiResource::erase::<ScaleSetBinding>(&()),
        ApiResource::erase::<StandbySchedule>(&()),
        event,
        map,
        secret,
    ];
    let mut versions = BTreeMap::new();
    for kind in kinds {
        let api: Api<DynamicObject> = Api::all_with(stage.admin.clone(), &kind);
        for object in api.list(&Default::default()).await? {
            let key = (kind.kind.clone(), object.namespace().unwrap_or_default(), object.name_any());
            versions.insert(key, object.resource_version().unwrap_or_default());
        }
    }
    Ok(Look {
        at: serde_json::from_value(tally["now"].clone())?,
        calls: calls
            .iter()
            .map(|(class, count)| (class.clone(), count["total"].as_u64().unwrap_or(0)))
            .collect(),
        changes: stage.clouds.journal(0).await?.len(),
        api_writes: writes.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum(),
        versions,
    })
}

/// Waits until the simulated time is `then`.
async fn until(stage: &Stage, then: Timestamp) -> Result<()> {
    let wall = stage.wall(then.duration_since(stage.clouds.now().await?)).mul_f32(3.0) + PATIENCE;
    eventually(&format!("it is {then}"), wall, async || Ok((stage.clouds.now().await? >= then).then_some(())))
        .await
}

#[tokio::test]
async fn a_constant_world_is_quiet_and_a_moving_one_keeps_to_its_budget() -> Result<()> {
    let stage = Stage::start(&[SITE]).await?;
    let operator = stage.operator(&[]).await?;
    let result = course(&stage, &operator).await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result
}

async fn course(stage: &Stage, operator: &Operator) -> Result<()> {
    let site = stage.site(SITE);
    let spec = json!({"standby": {"agents": 3}, "maxAgents": 6, "scaleIn": {"idleDelay": "1m"}});
    site.apply(&spec).await?;
    site.pool_says("Ready=True/Managed").await?;
    site.settles_at(3, 0).await?;
    let settled = stage.clouds.now().await?.checked_add(SETTLED)?;
    until(stage, settled).await?;

    let before = look(stage, operator).await?;
    until(stage, before.at.checked_add(WATCHED)?).await?;
    let after = look(stage, operator).await?;
    let minutes = after.at.duration_since(before.at).as_secs_f64() / 60.0;
    let delta = |class: &str| {
        let total = |look: &Look| look.calls.get(class).copied().unwrap_or(0);
        total(&after) - total(&before)
    };
    let (gets, lists) = (delta("scaleSetGet"), delta("instanceList"));
    let cloud_writes: u64 = WRITES.iter().map(|class| delta(class)).sum();
    let changed: Vec<_> =
        after.versions.iter().filter(|(key, version)| before.versions.get(*key) != Some(version)).collect();
    let events = |look: &Look| look.versions.keys().filter(|(kind, ..)| kind == "Event").count();
    println!(
        "quiet 10 min: {} writes to the API server, {cloud_writes} to the clouds; {gets} scale-set reads and {lists} instance \
         lists, {} reads of jobs, {} of agents, {} of pools, {} tokens, in {minutes:.1} simulated minutes",
        after.api_writes - before.api_writes,
        delta("requestGet"),
        delta("agentGet"),
        delta("poolGet"),
        delta("token"),
    );
    ensure!(
        changed.is_empty() && after.versions.len() == before.versions.len(),
        "objects were written: {changed:#?}"
    );
    ensure!(events(&after) == events(&before), "{} events, then {}", events(&before), events(&after));
    ensure!(after.api_writes == before.api_writes, "{} writes, then {}", before.api_writes, after.api_writes);
    ensure!(before.api_writes > 0.0, "the metric of writes counts nothing");
    ensure!(cloud_writes == 0 && after.changes == before.changes, "{cloud_writes} writes to the clouds");
    ensure!((gets as f64 - minutes).abs() <= 1.0, "{gets} reads of the scale set in {minutes:.1} minutes");
    ensure!((2..=3).contains(&lists), "{lists} instance lists in {minutes:.1} minutes");
    ensure!(delta("requestGet") >= 9, "jobs are not looked at any more");

    // Growth, jobs, reimages and a drain: the set moves all the time.
    site.kubectl(&["scale", "agentpool", SITE, "--replicas=6"]).await?;
    site.settles_at(6, 0).await?;
    for _ in 0..6 {
        site.queue_job(2).await?;
    }
    site.truth_with("all jobs run", |truth| truth.busy > 0 && truth.waiting == 0).await?;
    site.kubectl(&["scale", "agentpool", SITE, "--replicas=0"]).await?;
    site.settles_at(0, 0).await?;
    site.every_job_succeeded(6).await?;
    let tally = stage.clouds.get("tally").await?;
    let most = |class: &str| tally["calls"][class]["maxPerMinute"].as_u64().unwrap_or(0);
    println!(
        "a moving set: at most {} instance lists, {} scale-set reads, {} reads of jobs, {} polls of operations a minute",
        most("instanceList"),
        most("scaleSetGet"),
        most("requestGet"),
        most("operationGet"),
    );
    // Six at its pace; one that a busy machine sends late makes a seventh in its minute, and the budget gives no more: 7
    // are 75 % of Azure's 10, rounded down.
    ensure!((1..=7).contains(&most("instanceList")), "{} instance lists in one minute", most("instanceList"));
    Ok(())
}
