//! Each fault of the clouds, in both orchestrations: it is said with its mend, destroys nothing, concerns no other pool,
//! and the pool goes on as soon as it is over.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

#[path = "worlds/fault_sites.rs"]
mod sites;
mod support;
#[path = "worlds/faults.rs"]
mod table;
#[path = "worlds/fault_view.rs"]
mod view;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::{Operator, ledger::Ledger};
use serde_json::{Value, json};
use tokio::sync::watch;

use sites::{NAMESPACE, Site};
use support::{PATIENCE, Stage, Truth, merge};
use table::{Next, Place, Row, Shows, While};
use view::{View, until};

/// Simulated seconds per second: what the operator needs in real time is small beside the samples.
const SPEED: u32 = 20;
/// Rows at one time; as many as two cores keep up with at that speed.
const AT_ONCE: usize = 12;
/// An hour's back-off, and what comes after it.
const LONG_PATIENCE: Duration = Duration::from_secs(400);
/// Simulated: the longest sample, a Retry-After of the simulator, and five seconds of real time on a busy machine.
const SAMPLE: i64 = 60 + 30 + 5 * SPEED as i64;
/// Jobs of the healthy pool before anything goes wrong.
const ROUNDS: usize = 3;

/// All that the rows share.
struct Scene<'a> {
    stage: &'a Stage,
    seen: watch::Receiver<View>,
    host: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_is_named_destroys_nothing_and_ends() -> Result<()> {
    let rows =
        [table::of_azure(), table::of_azure_devops(), table::of_the_wire(), table::of_entra()].concat();
    let only = std::env::var("FAULTS").unwrap_or_default();
    let wanted = |(row, _): &(Row, Site)| only.is_empty() || only.split(',').any(|name| name == row.name);
    let rows: Vec<(Row, Site)> = sites::of_rows(rows).into_iter().filter(wanted).collect();
    let healthy = sites::healthy();
    let world = sites::world(rows.iter().map(|(_, site)| site).chain([&healthy]));
    let stage = Stage::with_world(&world, SPEED).await?;
    let operator = stage.operator(&[]).await?;
    let (looked, seen) = watch::channel(View::default());
    let host = stage.simulator.url().trim_start_matches("http://").to_owned();
    let scene = Scene { stage: &stage, seen, host };
    let mut result = tokio::select! {
        result = course(&scene, &rows, &healthy) => result,
        stopped = view::look(&stage, &operator, &looked) => stopped.context("nobody looks"),
    };
    if let (Ok(()), Some(panic)) = (&result, panic_in(&operator)?) {
        result = Err(anyhow::anyhow!("the operator has panicked: {panic}"));
    }
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result
}

fn panic_in(operator: &Operator) -> Result<Option<String>> {
    let log = std::fs::read_to_string(operator.log())?;
    Ok(log.lines().find(|line| line.contains("panicked")).map(str::to_owned))
}

async fn course(scene: &Scene<'_>, rows: &[(Row, Site)], healthy: &Site) -> Result<()> {
    apply(scene, &sites::shared()).await?;
    apply(scene, &healthy.manifests(scene.stage.simulator.url(), 1, 4)).await?;
    settled(scene, healthy, 1, PATIENCE).await?;
    let done = AtomicBool::new(false);
    let before = delays(scene, healthy, |rounds| rounds < ROUNDS).await?;

    let (apart, together): (Vec<_>, Vec<_>) =
        rows.iter().partition(|(row, _)| row.place == Place::Everywhere);
    let failed = AtomicUsize::new(0);
    let report = async |row: &Row, site: &Site| match run(scene, row, site).await {
        Ok(figures) => println!("{figures}"),
        Err(error) => {
            failed.fetch_add(1, Ordering::Relaxed);
            println!("{:<24} {:<9} FAILED: {error:#}", row.name, site.mode.orchestration());
        }
    };
    let started = Instant::now();
    println!(
        "{:<24} {:<17} said after | limited by, event | next deed after relief, all well after",
        "fault", "mode"
    );
    let all = async {
        stream::iter(&together).for_each_concurrent(AT_ONCE, |(row, site)| report(row, site)).await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), during) =
        tokio::join!(all, delays(scene, healthy, |rounds| rounds == 0 || !done.load(Ordering::Relaxed)));
    let during = during?;
    for (row, site) in apart {
        report(row, site).await;
    }
    let (usual, then) = (median(&before), median(&during));
    println!(
        "{} rows in {:.0} s; a job of the healthy pool that needs a new VM waits {usual:.0} simulated s before ({} jobs), \
         {then:.0} s during the faults ({} jobs)",
        rows.len(),
        started.elapsed().as_secs_f64(),
        before.len(),
        during.len(),
    );
    let failed = failed.load(Ordering::Relaxed);
    ensure!(failed == 0, "{failed} of {} rows failed", rows.len());
    // How long they wait is printed, not judged: at this speed a busy machine's second is half a minute.
    ensure!(!during.is_empty(), "the healthy pool has run no job during the faults");
    Ok(())
}

fn median(delays: &[f64]) -> f64 {
    let mut sorted = delays.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Two jobs at a time, of which one needs a VM that is not there: how long that one waits.
async fn delays(scene: &Scene<'_>, site: &Site, goes_on: impl Fn(usize) -> bool) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    while goes_on(delays.len()) {
        settled(scene, site, 1, PATIENCE).await?;
        let before = ledger(scene, site, Ledger::succeeded)?;
        queue(scene, site, 2, 1).await?;
        let longest = until(&scene.seen, "the healthy pool's jobs end", PATIENCE, |view| {
            let ledger = view.ledger(&site.name).context("no jobs")?;
            ensure!(ledger.succeeded() == before + 2, "{} jobs of {}", ledger.succeeded(), before + 2);
            ledger.waits().iter().rev().take(2).max().copied().context("no waits")
        });
        delays.push(longest.await?.as_secs_f64());
    }
    Ok(delays)
}

fn ledger<T>(scene: &Scene<'_>, site: &Site, read: impl Fn(&Ledger) -> T) -> Result<T> {
    let view = scene.seen.borrow();
    view.ledger(&site.name).map(read).with_context(|| format!("nothing has happened at {}", site.name))
}

async fn apply(scene: &Scene<'_>, manifests: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    scene.stage.control_plane.apply(&list.to_string()).await
}

async fn queue(scene: &Scene<'_>, site: &Site, jobs: u64, minutes: u32) -> Result<()> {
    let seconds = format!("{}s", minutes * 60);
    let body = json!({"organization": site.name, "pool": site.name, "duration": seconds, "count": jobs});
    scene.stage.clouds.post("jobs", &body).await.map(drop)
}

/// Waits until so many agents are idle, and nobody else is there.
async fn settled(scene: &Scene<'_>, site: &Site, idle: u64, patience: Duration) -> Result<()> {
    let what = format!("{idle} agents of {} stand by", site.name);
    until(&scene.seen, &what, patience, |view| {
        let truth = view.truth(&site.name)?;
        let Truth { vms, capacity, .. } = &truth;
        let all = [vms.len() as u64, *capacity, truth.idle];
        ensure!(all == [idle; 3] && truth.disabled.is_empty(), "{truth:?}");
        ensure!(site.may_leave_records || truth.agents.len() == vms.len(), "{truth:?}");
        clean(view, site)
    })
    .await
}

/// In control, and nothing to complain about.
fn clean(view: &View, site: &Site) -> Result<()> {
    for (kind, ready) in [("AgentPool", "Managed"), ("ScaleSetBinding", "Bound")] {
        let all = view.conditions(kind, &site.name);
        for condition in &all {
            let negative =
                ["Stalled", "Reconciling", "CapacityLimited", "Holding"].contains(&&*condition.type_);
            let bad = negative || condition.status == "False";
            ensure!(!bad, "{kind}: {}", words(condition));
        }
        let is_ready = all.iter().any(|condition| condition.type_ == "Ready" && condition.reason == ready);
        ensure!(is_ready, "{kind} is not ready: {all:?}");
    }
    Ok(())
}

fn words(condition: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> String {
    let c = condition;
    format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message)
}

/// One row from a pool's first agent to its end.
async fn run(scene: &Scene<'_>, row: &Row, site: &Site) -> Result<String> {
    let demand = &row.demand;
    let name = &site.name;
    let manifests = site.manifests(scene.stage.simulator.url(), demand.standby.0, demand.most);
    apply(scene, &manifests).await?;
    settled(scene, site, demand.standby.0, PATIENCE).await.context("before the fault")?;

    let (seq, from) = mark(scene).await?;
    let vms = scene.seen.borrow().truth(name)?.vms;
    set(scene, row, site, None).await?;
    queue(scene, site, demand.jobs, demand.job_minutes).await?;
    let more = json!({"spec": {"standby": {"agents": demand.standby.1}}});
    let pools: Api<AgentPool> = Api::namespaced(scene.stage.admin.clone(), NAMESPACE);
    pools.patch(name, &PatchParams::default(), &Patch::Merge(more)).await?;

    let lasted = lasts(scene, row, site, seq, from, &vms).await.context("while it lasts")?;

    let (seq, relieved) = mark(scene).await?;
    set(scene, row, site, Some("0s")).await?;
    settled(scene, site, demand.standby.1, LONG_PATIENCE).await.context("after it")?;
    let view_now = scene.seen.borrow().now;
    let succeeded = ledger(scene, site, |ledger| (ledger.queued(), ledger.succeeded(), ledger.killed()))?;
    ensure!(succeeded == (demand.jobs, demand.jobs, 0), "queued, succeeded, killed: {succeeded:?}");
    let next = next_deed(&scene.seen.borrow(), row, site, seq, relieved);
    let late = check(row, next)?;

    let params = DeleteParams::default();
    pools.delete(name, &params).await?;
    let bindings: Api<ScaleSetBinding> = Api::namespaced(scene.stage.admin.clone(), NAMESPACE);
    bindings.delete(name, &params).await?;
    gone(scene, site).await.context("after its end")?;
    let mode = format!("{} {}", site.mode.orchestration(), site.mode.recycle());
    let well = view_now.duration_since(relieved).as_secs_f64().max(0.0);
    let next = next.map_or("-".to_owned(), |next| format!("{next:.0} s"));
    Ok(format!("{:<24} {mode:<17} {lasted} | {next}{late}, {well:.0} s", row.name))
}

/// The last change, and the time.
async fn mark(scene: &Scene<'_>) -> Result<(u64, Timestamp)> {
    let journal = scene.stage.clouds.get(&format!("journal?since={}", u32::MAX)).await?;
    let seq = journal["written"].as_u64().context("no journal")?;
    Ok((seq, scene.stage.clouds.now().await?))
}

/// Begins a fault, or ends it by one that lasts no time.
async fn set(scene: &Scene<'_>, row: &Row, site: &Site, lasts: Option<&str>) -> Result<()> {
    if let Some(fault) = &row.fault {
        let place = match row.place {
            Place::ScaleSet => json!({"scaleSet": site.name, "for": lasts}),
            Place::Organization => json!({"organization": site.name, "for": lasts}),
            Place::Everywhere => json!({"for": lasts}),
        };
        let mut body = fault.clone();
        merge(&mut body, &place);
        scene.stage.clouds.fault(&body).await?;
    }
    if row.place == Place::Everywhere && lasts.is_none() {
        scene.stage.clouds.post("tokens", &json!({"revoke": true})).await?;
    }
    Ok(())
}

/// What the row says of the time of the fault, in words.
async fn lasts(
    scene: &Scene<'_>,
    row: &Row,
    site: &Site,
    seq: u64,
    from: Timestamp,
    vms: &[String],
) -> Result<String> {
    if row.lasts == While::Works {
        settled(scene, site, row.demand.standby.1, PATIENCE).await?;
        let succeeded = ledger(scene, site, Ledger::succeeded)?;
        ensure!(succeeded == row.demand.jobs, "{succeeded} jobs of {} have ended", row.demand.jobs);
        return Ok("goes on".to_owned());
    }
    if row.lasts == While::Slows {
        until(&scene.seen, "all jobs end", PATIENCE, |view| {
            let succeeded = view.ledger(&site.name).map_or(0, Ledger::succeeded);
            ensure!(succeeded == row.demand.jobs, "{succeeded} jobs of {} have ended", row.demand.jobs);
            Ok(())
        })
        .await?;
        return Ok("goes on, slower".to_owned());
    }
    let said =
        until(&scene.seen, "it is said", PATIENCE, |view| said(scene, view, row, site).map(|()| view.now));
    let said = said.await?.duration_since(from).as_secs_f64();
    if let While::Watched(minutes) = row.lasts {
        let end = from.checked_add(SignedDuration::from_mins(minutes))?;
        until(&scene.seen, "it is watched", PATIENCE, |view| {
            ensure!(view.now >= end, "{} of {end}", view.now);
            Ok(())
        })
        .await?;
    }
    let view = scene.seen.borrow();
    if row.lasts != While::Limited {
        // A claim is renewed whatever Azure DevOps says.
        let counts =
            |line: &&view::Line| line.is_write() || (row.place == Place::ScaleSet && line.is_claim());
        let writes: Vec<&str> =
            view.since(&site.name, seq).filter(counts).map(|line| line.text.as_str()).collect();
        ensure!(writes.is_empty(), "written while nothing could be known: {writes:#?}");
        let tried = tried(&view, site, from);
        ensure!(tried.is_empty(), "tried while nothing could be known: {tried:#?}");
        let left = view.truth(&site.name)?.vms;
        ensure!(left == vms, "VMs were {vms:?}, and are {left:?}");
        self::said(scene, &view, row, site).context("later")?;
    }
    Ok(format!("{said:>4.0} s | {} {}", row.limited_by.unwrap_or("-"), row.event.unwrap_or("-")))
}

/// Writes that were tried since then; one that was refused by our own last look was none.
fn tried(view: &View, site: &Site, from: Timestamp) -> Vec<String> {
    let status = view.pool(&site.name).and_then(|pool| pool.status.as_ref());
    let actions = status.into_iter().flat_map(|status| &status.recent_actions);
    let since =
        actions.filter(|action| action.at.0 > from && ["Done", "InFlight"].contains(&&*action.result));
    since.map(|action| format!("{action:?}")).collect()
}

/// Fails with what is missing of the words about a fault.
fn said(scene: &Scene<'_>, view: &View, row: &Row, site: &Site) -> Result<()> {
    for Shows { kind, begins, says } in &row.shows {
        let all: Vec<String> = view.conditions(kind, &site.name).into_iter().map(words).collect();
        let says: Vec<String> = says.iter().map(|says| says.replace("HOST", &scene.host)).collect();
        let fits = |condition: &&String| {
            condition.starts_with(begins) && says.iter().all(|says| condition.contains(says.as_str()))
        };
        ensure!(all.iter().any(|condition| fits(&condition)), "{begins} with {says:?} is not said: {all:#?}");
    }
    let decision = view.pool(&site.name).and_then(|pool| pool.status.as_ref()?.decision.as_ref());
    let limited_by = decision.map(|decision| decision.limited_by.as_str());
    if let Some(expected) = row.limited_by {
        ensure!(limited_by == Some(expected), "limitedBy is {limited_by:?}, not {expected}");
    }
    if let Some(event) = row.event {
        ensure!(view.has_event(&site.name, event), "no event {event}");
    }
    if let Some(metric) = row.metric {
        ensure!(view.counted(metric), "{metric} is not counted");
    }
    if let Some(busy) = row.demand.busy {
        let truth = view.truth(&site.name)?;
        let found = (truth.busy, truth.waiting);
        ensure!(found == (busy, row.demand.jobs - busy), "busy and waiting: {found:?}");
    }
    Ok(())
}

/// Simulated seconds from the relief to the next deed: where growth was limited, to the next new VM.
fn next_deed(view: &View, row: &Row, site: &Site, seq: u64, relieved: Timestamp) -> Option<f64> {
    if row.next == Next::Any {
        return None;
    }
    let fits =
        |line: &&view::Line| if row.lasts == While::Limited { line.is_new_vm() } else { line.is_deed() };
    let deed = view.since(&site.name, seq).find(fits)?;
    Some(deed.at.duration_since(relieved).as_secs_f64())
}

/// A deed must come; that it came late is said, and not judged, as the machine may have been busy.
fn check(row: &Row, next: Option<f64>) -> Result<String> {
    let most = match row.next {
        Next::Sample => SAMPLE,
        Next::BackOff(seconds) => seconds + SAMPLE,
        Next::Any => return Ok(String::new()),
    };
    match next {
        Some(next) if next <= most as f64 => Ok(String::new()),
        Some(_) => Ok(format!(" (late: more than {most} s)")),
        None => bail!("no deed came after the relief"),
    }
}

/// Nothing is left behind.
async fn gone(scene: &Scene<'_>, site: &Site) -> Result<()> {
    until(&scene.seen, "its objects are gone", PATIENCE, |view| {
        ensure!(view.is_gone(&site.name), "{:?}", view.pool(&site.name).map(|pool| &pool.status));
        let Truth { vms, agents, tags, .. } = view.truth(&site.name)?;
        let left = vms.len() + tags.len() + if site.may_leave_records { 0 } else { agents.len() };
        ensure!(left == 0, "left: {vms:?} {agents:?} {tags:?}");
        Ok(())
    })
    .await
}
