//! The whole loop: pools are applied to a real API server, and their agents stand by, run jobs, and go.
//!
//! Chart, operators and clients are real; scale sets, agents and jobs are the simulator's, 60 times as fast. Each
//! scenario has a namespace, a pool and a scale set of its own, and all run at the same time.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Result, ensure};
use jiff::{SignedDuration, Timestamp};
use poolkeeper_api::FINALIZER;
use poolkeeper_harness::worked_example::{ELASTIC_POOL, EXACT, IdleBusy};
use serde_json::json;
use support::{Course, Door, Moment, SPEED, Scenarios, Site, Stage, Write, world};

/// What the first operator serves.
const SITES: [&str; 9] =
    ["exact", "elastic", "zero", "drained", "stateful", "orphaned", "unbound", "allowed", "forbidden"];
/// Each has an operator of its own, which is killed at these calls, one after the other, and started again.
const KILLED: [(&str, [(Write, Moment); 3]); 3] = [
    (
        "killed-early",
        [
            (Write::Capacity, Moment::Before),
            (Write::DeleteAgent, Moment::Before),
            (Write::DisableAgent, Moment::Before),
        ],
    ),
    (
        "killed-between",
        [
            (Write::Capacity, Moment::After),
            (Write::DeleteAgent, Moment::After),
            (Write::DeleteVms, Moment::Before),
        ],
    ),
    (
        "killed-late",
        [
            (Write::Capacity, Moment::After),
            (Write::Reimage, Moment::After),
            (Write::DeleteVms, Moment::After),
        ],
    ),
];
/// Long enough to be seen, and shorter than the default.
const IDLE_DELAY: SignedDuration = SignedDuration::from_mins(10);

#[tokio::test]
async fn the_loop() -> Result<()> {
    let mut world = world(&[&SITES[..], &KILLED.map(|(name, _)| name)].concat())?;
    let sets = world["scaleSets"].as_array_mut().into_iter().flatten();
    for set in sets.filter(|set| set["computerNamePrefix"] == "stateful") {
        set["agents"]["run"] = json!("Continuous");
    }
    let stage = Stage::with_world(&world, SPEED).await?;
    let mut operator = stage.operator(&SITES).await?;

    let mut scenarios = Scenarios::default();
    scenarios.add("Exact: 2/0, 2/1, 3/0, 2/0", exact(stage.site("exact")));
    scenarios.add("ElasticPool: 2/0, 3/1, 4/0, 2/0", elastic(stage.site("elastic")));
    scenarios.add("without standby a job starts one VM, and none stays", zero(stage.site("zero")));
    scenarios.add("a deleted pool drains", drained(stage.site("drained")));
    scenarios.add("a deleted pool takes no more jobs", stateful(stage.site("stateful")));
    scenarios.add("a deleted pool with Orphan leaves its VMs", orphaned(stage.site("orphaned")));
    scenarios.add("a deleted binding drains", unbound(stage.site("unbound")));
    let (allowed, forbidden) = (stage.site("allowed"), stage.site("forbidden"));
    scenarios.add("a forbidden scale set is its pool's own trouble", beside(allowed, forbidden));
    for (name, kills) in KILLED {
        scenarios.add(name, killed(stage.site(name), kills));
    }
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result?;
    ensure!(operator.exited()?.is_none(), "the operator has ended by itself");
    let log = std::fs::read_to_string(operator.log())?;
    ensure!(!log.contains("panicked"), "{log}");
    ensure!(operator.stop().await?.success(), "SIGTERM is a good end");
    Ok(())
}

fn idle_delay() -> serde_json::Value {
    json!({"idleDelay": format!("{}m", IDLE_DELAY.as_mins())})
}

/// The simulated time of the first, or last, change of the site in these words.
async fn when(site: Site<'_>, words: &str, last: bool) -> Result<Timestamp> {
    let journal = site.journal().await?;
    let mut found = journal.iter().filter(|entry| entry.text.contains(words)).map(|entry| entry.at);
    let found = if last { found.next_back() } else { found.next() };
    found.ok_or_else(|| anyhow::anyhow!("{}: {words}: never", site.name))
}

/// Agents that are more than enough go once they have been so for `idleDelay`, and not sooner.
async fn nobody_went_early(course: &Course<'_>, free: usize) -> Result<()> {
    let gone = when(course.site, "VM is being deleted", false).await?;
    let stayed = gone.duration_since(course.reached_at(free)?);
    ensure!(stayed >= IDLE_DELAY, "{}: an agent went after {stayed:#}", course.site.name);
    Ok(())
}

async fn exact(site: Site<'_>) -> Result<()> {
    let mut course = Course::new(site, EXACT, 2, 4);
    site.apply(&json!({"scaleIn": idle_delay()})).await?;
    course.reaches(2).await?;
    site.pool_says("Ready=True/Managed: in control of pool exact").await?;
    site.pool_says("StandbyMet=True/Met").await?;
    site.binding_says("Ready=True/Bound").await?;
    site.queue_job(20).await?;
    course.reaches(EXACT.len()).await?;
    ensure!(course.ledger().peak() == 3, "{} VMs at one time", course.ledger().peak());
    nobody_went_early(&course, 3).await?;
    site.every_job_succeeded(1).await
}

async fn elastic(site: Site<'_>) -> Result<()> {
    let mut course = Course::new(site, ELASTIC_POOL, 2, 4);
    let scale_out = json!({"strategy": "ElasticPool", "elasticPool": {"incrementPercent": 50}});
    site.apply(&json!({"scaleOut": scale_out})).await?;
    course.reaches(2).await?;
    site.queue_job(20).await?;
    course.reaches(ELASTIC_POOL.len()).await?;
    site.every_job_succeeded(1).await
}

async fn zero(site: Site<'_>) -> Result<()> {
    const COURSE: &[IdleBusy] = &[(0, 0), (0, 1), (1, 0), (0, 0)];
    let mut course = Course::new(site, COURSE, 0, 4);
    site.apply(&json!({"standby": {"agents": 0}, "scaleIn": idle_delay()})).await?;
    site.pool_says("Ready=True/Managed").await?;
    ensure!(site.truth().await?.vms.is_empty(), "nothing is wanted, and there is a VM");
    site.queue_job(8).await?;
    course.reaches(COURSE.len()).await?;
    ensure!(course.ledger().peak() == 1, "{} VMs for one job", course.ledger().peak());
    nobody_went_early(&course, 2).await?;
    site.settles_at(0, 0).await?;
    site.every_job_succeeded(1).await
}

/// Whether the scale set carries a claim, ours or anybody's.
fn claimed(truth: &support::Truth) -> bool {
    truth.tags.keys().any(|tag| tag.starts_with("poolkeeper-"))
}

/// One idle agent, and one with a job of so many minutes.
async fn at_work(site: Site<'_>, spec: &serde_json::Value, minutes: i64) -> Result<()> {
    site.apply(spec).await?;
    site.settles_at(1, 0).await?;
    site.queue_job(minutes).await?;
    let truth = site.settles_at(1, 1).await?;
    ensure!(claimed(&truth), "not claimed: {:?}", truth.tags);
    Ok(())
}

async fn drained(site: Site<'_>) -> Result<()> {
    at_work(site, &json!({"standby": {"agents": 1}}), 25).await?;
    site.delete_pool().await?;
    site.pool_says("Ready=False/Draining").await?;
    // The idle one goes, the one with the job stays, and so does the object.
    site.settles_at(0, 1).await?;
    site.truth_with("the busy agent gets no further job", |truth| truth.disabled.len() == 1).await?;
    let deleted = site.pool().await?;
    ensure!(deleted.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER));
    ensure!(site.truth().await?.busy == 1, "the job is over: nothing was waited for");

    site.pool_is_gone().await?;
    let left = site.truth().await?;
    ensure!(left.vms.is_empty() && left.agents.is_empty() && left.capacity == 0, "left behind: {left:#?}");
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    site.every_job_succeeded(1).await?;
    site.binding_says("Stalled=True/PoolNotFound").await?;
    site.delete_binding().await?;
    site.binding_is_gone().await
}

/// An agent that would take one job after the other is kept from the next one.
async fn stateful(site: Site<'_>) -> Result<()> {
    let lifecycle = json!({"type": "Stateful", "stateless": null});
    site.apply(&json!({"standby": {"agents": 0}, "maxAgents": 1, "lifecycle": lifecycle})).await?;
    for _ in 0..4 {
        site.queue_job(8).await?;
    }
    site.settles_at(0, 1).await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    let (left, ledger) = (site.truth().await?, site.ledger().await?);
    ensure!(left.vms.is_empty() && left.agents.is_empty() && left.capacity == 0, "left behind: {left:#?}");
    ensure!((ledger.killed(), left.busy) == (0, 0), "killed: {}, {left:#?}", ledger.killed());
    // The one that it ran, and at most the one that it was given before it was kept from more.
    ensure!(left.waiting >= 2, "{} of 4 jobs were run by a pool that goes", ledger.succeeded());
    Ok(())
}

async fn orphaned(site: Site<'_>) -> Result<()> {
    at_work(site, &json!({"standby": {"agents": 1}, "deletionPolicy": "Orphan"}), 25).await?;
    let before = site.truth().await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    ensure!(site.truth().await?.busy == 1, "it waited for the job");
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    let released = when(site, "tags written", true).await?;
    site.truth_with("the job is over", |truth| truth.busy == 0).await?;
    site.every_job_succeeded(1).await?;
    let after = site.truth().await?;
    ensure!(
        (&after.vms, &after.agents, after.capacity) == (&before.vms, &before.agents, before.capacity),
        "not left as it was: {before:#?} became {after:#?}"
    );
    ensure!(after.disabled.is_empty(), "disabled: {:?}", after.disabled);
    ensure!(when(site, "tags written", true).await? == released, "somebody claims it again");
    Ok(())
}

async fn unbound(site: Site<'_>) -> Result<()> {
    at_work(site, &json!({"standby": {"agents": 1}}), 25).await?;
    site.delete_binding().await?;
    site.binding_says("Ready=False/Draining").await?;
    site.settles_at(0, 1).await?;
    site.truth_with("the busy agent gets no further job", |truth| truth.disabled.len() == 1).await?;
    ensure!(site.bindings().get_opt(site.name).await?.is_some(), "gone before its job");
    site.binding_is_gone().await?;
    let left = site.truth().await?;
    ensure!(left.vms.is_empty() && left.agents.is_empty() && left.capacity == 0, "left behind: {left:#?}");
    ensure!(!claimed(&left), "still claimed: {:?}", left.tags);
    site.every_job_succeeded(1).await?;
    // The pool is still there, and goes without a scale set at once.
    ensure!(site.pool().await?.metadata.deletion_timestamp.is_none());
    site.delete_pool().await?;
    site.pool_is_gone().await
}

async fn beside(allowed: Site<'_>, forbidden: Site<'_>) -> Result<()> {
    let clouds = &allowed.stage.clouds;
    clouds.fault(&json!({"scaleSet": forbidden.name, "azure": "forbidden"})).await?;
    let course = async {
        let mut course = Course::new(allowed, EXACT, 2, 4);
        allowed.apply(&json!({"scaleIn": idle_delay()})).await?;
        course.reaches(2).await?;
        allowed.queue_job(15).await?;
        course.reaches(4).await
    };
    let trouble = async {
        forbidden.apply(&json!({})).await?;
        forbidden.binding_says("Stalled=True/PermissionDenied").await?;
        forbidden.pool_says("Ready=False/").await
    };
    tokio::try_join!(course, trouble)?;
    allowed.pool_says("Ready=True/Managed").await?;
    let journal = forbidden.journal().await?;
    let writes: Vec<_> = journal.iter().filter(|entry| !entry.text.contains("fault")).collect();
    ensure!(writes.is_empty(), "it was written to: {writes:#?}");

    clouds.end_faults().await?;
    forbidden.settles_at(2, 0).await?;
    forbidden.binding_says("Ready=True/Bound").await?;
    forbidden.pool_says("Ready=True/Managed").await?;
    allowed.every_job_succeeded(1).await
}

/// The worked example with an operator that is killed while it calls for VMs, while it recycles one, and while it
/// takes one away.
async fn killed(site: Site<'_>, [grow, recycle, delete]: [(Write, Moment); 3]) -> Result<()> {
    let (stage, door) = (site.stage, Door::open(site.stage).await?);
    let operator = async || stage.operator_at(&[site.name], &door.url).await;
    let mut course = Course::new(site, EXACT, 2, 4);
    let first = operator().await?;
    let url = format!("{}/fabrikam", door.url);
    site.apply(&json!({"organization": {"url": url}, "scaleIn": idle_delay()})).await?;
    door.kill(first, grow.0, grow.1).await?;

    let second = operator().await?;
    course.reaches(2).await?;
    site.queue_job(20).await?;
    course.reaches(3).await?;
    door.kill(second, recycle.0, recycle.1).await?;

    let third = operator().await?;
    course.reaches(4).await?;
    door.kill(third, delete.0, delete.1).await?;

    let mut last = operator().await?;
    let result = course.reaches(EXACT.len()).await;
    if result.is_err() {
        println!("{}: logs: {}", site.name, stage.keep_logs(&[&last]).await?.display());
    }
    result?;
    // Capacity that was called for twice would have been a fourth VM, or one that was deleted and created again.
    ensure!(course.ledger().peak() == 3, "{} VMs at one time", course.ledger().peak());
    let journal = site.journal().await?;
    let created = journal.iter().filter(|entry| entry.text.contains("VM is being created")).count();
    ensure!(created == 3, "{created} VMs were created");
    site.settles_at(2, 0).await?;
    // The record that held a deleted VM's name goes once the VM is in no list.
    site.truth_with("no other record", |truth| truth.agents.len() == 2 && truth.disabled.is_empty()).await?;
    site.pool_says("Ready=True/Managed").await?;
    site.every_job_succeeded(1).await?;
    ensure!(last.exited()?.is_none(), "the operator has ended by itself");
    Ok(())
}
