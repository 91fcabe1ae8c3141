//! The operator is killed at the N-th write of a script that grows, runs jobs, recycles, scales in, drains and deletes;
//! started again, it comes to the same end. Ten N, spread over the whole script; the in-process world takes all of them.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use poolkeeper_harness::{eventually, replay::next};
use serde_json::json;
use support::{Door, Moment, PATIENCE, Scenarios, Site, Stage, Truth, world};

/// Slower than elsewhere, since ten operators share the machine.
const SPEED: u32 = 30;
/// Every script has at least so many writes.
const WRITES: u64 = 23;
/// Of the sample of N.
const SEED: u64 = 5;
/// A site for each N: every other one of Flexible orchestration.
const SITES: [&str; 10] = [
    "crash-a", "crash-b", "crash-c", "crash-d", "crash-e", "crash-f", "crash-g", "crash-h", "crash-i",
    "crash-j",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_at_any_write_changes_nothing_about_the_end() -> Result<()> {
    let mut world = world(&SITES)?;
    let sets = world["scaleSets"].as_array_mut().context("no scale sets")?;
    for set in sets.iter_mut().skip(1).step_by(2) {
        set["orchestration"] = json!("Flexible");
        set["model"] = json!({"ephemeralOSDisk": true});
    }
    let stage = Stage::with_world(&world, SPEED).await?;
    let mut scenarios = Scenarios::default();
    for (name, (number, moment)) in SITES.into_iter().zip(sample()) {
        let site = stage.site(name);
        scenarios.add(name, async move {
            let result = crashed(site, number, moment).await;
            result.with_context(|| format!("killed {moment:?} write {number}"))
        });
    }
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[]).await?.display());
    }
    result
}

/// One N out of each tenth of the script, and before or after the write by turns, so that both orchestrations have both.
fn sample() -> impl Iterator<Item = (u64, Moment)> {
    let tenths = SITES.len() as u64;
    let mut state = SEED;
    (0..tenths).map(move |tenth| {
        let (from, to) = (tenth * WRITES / tenths, (tenth + 1) * WRITES / tenths);
        let number = 1 + from + next(&mut state) % (to - from).max(1);
        (number, if tenth % 4 < 2 { Moment::Before } else { Moment::After })
    })
}

/// The script, with an operator that dies at that write and is started again.
async fn crashed(site: Site<'_>, number: u64, moment: Moment) -> Result<()> {
    let (stage, door) = (site.stage, Door::open(site.stage).await?);
    let first = stage.operator_at(&[site.name], &door.url).await?;
    let kill = door.kill_at(number, moment, first);
    let keeper = async {
        kill.await?;
        stage.operator_at(&[site.name], &door.url).await
    };
    let script = async {
        script(site, &door).await?;
        let writes = door.writes();
        ensure!(writes >= number, "the script has {writes} writes only");
        Ok(writes)
    };
    let (mut last, writes) = tokio::try_join!(keeper, script)?;
    println!("{}: killed {moment:?} write {number} of {writes}", site.name);
    ensure!(last.exited()?.is_none(), "the operator has ended by itself");
    let log = std::fs::read_to_string(last.log())?;
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// Whether the scale set carries a claim.
fn claimed(truth: &Truth) -> bool {
    truth.tags.keys().any(|tag| tag.starts_with("poolkeeper-"))
}

async fn script(site: Site<'_>, door: &Door) -> Result<()> {
    let url = format!("{}/fabrikam", door.url);
    let spec = json!({
        "organization": {"url": url}, "standby": {"agents": 2}, "maxAgents": 4, "scaleIn": {"idleDelay": "3m"},
    });
    site.apply(&spec).await?;
    site.settles_at(2, 0).await?;
    let created = vms_created(site).await?;
    ensure!(created == 2, "{created} VMs were created for a standby of 2");

    // Both idle agents get a job, the third one waits for a VM; each machine is recycled, and the excess goes.
    for _ in 0..3 {
        site.queue_job(4).await?;
    }
    jobs_have_ended(site, 3).await?;
    site.settles_at(2, 0).await?;

    // It is drained in the middle of a job.
    site.queue_job(8).await?;
    site.truth_with("a busy agent", |truth| truth.busy == 1).await?;
    site.delete_pool().await?;
    site.pool_is_gone().await?;
    site.truth_with("the claim is gone", |truth| !claimed(truth)).await?;
    let left = site.truth().await?;
    ensure!(left.vms.is_empty() && left.agents.is_empty() && left.capacity == 0, "left behind: {left:#?}");
    site.every_job_succeeded(4).await?;
    let (peak, created) = (site.ledger().await?.peak(), vms_created(site).await?);
    ensure!(peak <= 4, "{peak} VMs at one time");
    ensure!(created <= 5, "{created} VMs were created, where 2, 2 and 1 were wanted");
    site.delete_binding().await?;
    site.binding_is_gone().await
}

async fn vms_created(site: Site<'_>) -> Result<usize> {
    let journal = site.journal().await?;
    Ok(journal.iter().filter(|entry| entry.text.contains("VM is being created")).count())
}

async fn jobs_have_ended(site: Site<'_>, jobs: u64) -> Result<()> {
    eventually(&format!("{}: {jobs} jobs have ended", site.name), PATIENCE, async || {
        let ledger = site.ledger().await?;
        ensure!(ledger.ended() == jobs, "{} of {jobs}", ledger.ended());
        Ok(Some(()))
    })
    .await
}
