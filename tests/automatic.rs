//! Automatic standby with the whole operator: what it rests on, where that is kept, and what a broken history costs.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{Api, Resource as _, api::PostParams};
use poolkeeper_harness::eventually;
use poolkeeper_policy::{Forecast, History, Preference};
use serde_json::{Value, json};
use support::{PATIENCE, Scenarios, Site, Stage};

const SITES: [&str; 3] = ["learned", "broken", "filled"];
/// As many as an hour has in three weeks.
const SAMPLES: i32 = 36;

#[tokio::test]
async fn standby_is_learned() -> Result<()> {
    let stage = Stage::start(&SITES).await?;
    let operator = stage.operator(&SITES).await?;
    let mut scenarios = Scenarios::default();
    scenarios.add("three weeks of history set the standby", learned(stage.site("learned")));
    scenarios.add("a history that cannot be read is set aside", broken(stage.site("broken")));
    scenarios.add("finished jobs fill a new history", filled(stage.site("filled")));
    let mut result = scenarios.run().await;
    if result.is_ok() {
        ensure!(operator.stop().await?.success(), "SIGTERM is a good end");
        let operator = stage.operator(&SITES).await?;
        result = survives(stage.site("learned")).await;
        if result.is_err() {
            println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
        }
    }
    result
}

fn maps(site: Site<'_>) -> Api<ConfigMap> {
    Api::namespaced(site.stage.admin.clone(), site.name)
}

/// A paused pool, so that its history can be laid beside it before anybody asks for it.
async fn prepare(site: Site<'_>, history: &str) -> Result<()> {
    site.apply(&json!({"mode": "Paused", "standby": {"agents": 0}})).await?;
    let owner = site.pool().await?.owner_ref(&()).context("no uid")?;
    let map: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": format!("{}-history", site.name), "ownerReferences": [owner]},
        "data": {"history": history},
    }))?;
    maps(site).create(&PostParams::default(), &map).await?;
    Ok(())
}

async fn follow(site: Site<'_>, automatic: Value, agents: i32) -> Result<()> {
    let schedule = json!({
        "apiVersion": "poolkeeper.dev/v1alpha1", "kind": "StandbySchedule",
        "metadata": {"name": "learned", "namespace": site.name},
        "spec": {"timeZone": "Europe/Stockholm", "automatic": automatic},
    });
    site.stage.namespace(site.name).await?;
    site.stage.control_plane.apply(&schedule.to_string()).await?;
    site.apply(&json!({"mode": "Active", "standby": {"agents": agents, "scheduleRef": {"name": "learned"}}}))
        .await
}

/// Every bucket of the last three weeks had so many sessions.
fn three_weeks(sessions: u32) -> String {
    let (mut history, now) = (History::default(), Timestamp::now());
    for bucket in (0..6048).rev() {
        history.record(now - SignedDuration::from_mins(5 * bucket), sessions);
    }
    history.encode()
}

async fn kept(site: Site<'_>, name: &str) -> Result<String> {
    let map = maps(site).get_opt(name).await?.with_context(|| format!("no ConfigMap {name}"))?;
    let text = map.data.and_then(|mut data| data.remove("history")).context("no field")?;
    ensure!(text.len() < 32 * 1024, "{} bytes", text.len());
    Ok(text)
}

async fn learned(site: Site<'_>) -> Result<()> {
    prepare(site, &three_weeks(3)).await?;
    follow(site, json!({"preference": "Balanced", "maxAgents": 2}), 1).await?;
    site.pool_says("HistorySufficient=True/EnoughHistory: 21 days").await?;
    // Never more than the schedule lets it ask for.
    site.settles_at(2, 0).await?;
    site.pool_says("StandbyMet=True/Met").await?;
    let pool = site
        .pool_with("history sets the standby", |pool| {
            let standby = pool.status.as_ref().and_then(|status| status.standby.as_ref());
            standby.is_some_and(|standby| (standby.wanted, standby.source.as_str()) == (2, "Automatic"))
        })
        .await?;
    let status = pool.status.context("no status")?;
    let automatic = status.automatic.context("no automatic")?;
    ensure!(
        (automatic.days_seen, automatic.basis.as_str(), automatic.hours.len()) == (21, "History", 7),
        "{automatic:?}"
    );
    let all =
        |hours: &[i32], least: i32, most: i32| hours.iter().all(|figure| (least..=most).contains(figure));
    for day in &automatic.hours {
        ensure!(day.agents.len() == 24 && all(&day.agents, 2, 2), "{day:?}");
        // The bucket at either end is cut by the hour.
        ensure!(day.samples.len() == 24 && all(&day.samples, SAMPLES - 13, SAMPLES + 12), "{day:?}");
    }
    let size = kept(site, "learned-history").await?.len();
    println!("history of three weeks: {size} bytes");

    // Without a bound of its own, what history says.
    follow(site, json!({"preference": "BestPerformance"}), 1).await?;
    site.settles_at(3, 0).await?;
    // The constant is larger: it wins, and says so.
    follow(site, json!({}), 4).await?;
    site.pool_with("the constant sets the standby", |pool| {
        let standby = pool.status.as_ref().and_then(|status| status.standby.as_ref());
        standby.is_some_and(|standby| (standby.wanted, standby.source.as_str()) == (4, "Constant"))
    })
    .await?;
    follow(site, json!({}), 0).await?;
    site.pool_with("history sets it again", |pool| {
        let standby = pool.status.as_ref().and_then(|status| status.standby.as_ref());
        standby.is_some_and(|standby| (standby.wanted, standby.source.as_str()) == (3, "Automatic"))
    })
    .await?;
    Ok(())
}

/// Another operator goes on with it.
async fn survives(site: Site<'_>) -> Result<()> {
    let now = Timestamp::now();
    site.pool_says("HistorySufficient=True/EnoughHistory: 21 days").await?;
    let history = History::decode(&kept(site, "learned-history").await?)?;
    ensure!(history.days_seen(now) == 21 && history.samples() > 6_000, "{} samples", history.samples());
    Ok(())
}

async fn broken(site: Site<'_>) -> Result<()> {
    let text = format!("{}?", three_weeks(3));
    prepare(site, &text).await?;
    follow(site, json!({}), 1).await?;
    site.pool_says("HistorySufficient=False/HistoryUnreadable").await?;
    // Nothing is lost, and the constant holds.
    site.settles_at(1, 0).await?;
    ensure!(kept(site, "broken-history-unreadable").await? == text, "it was not kept as it was");
    let events: Api<Event> = Api::namespaced(site.stage.admin.clone(), site.name);
    eventually("the event", PATIENCE, async || {
        let found = events.list(&Default::default()).await?;
        let told = found.items.iter().find(|event| event.reason.as_deref() == Some("HistoryUnreadable"));
        Ok(told.map(|_| ()))
    })
    .await?;
    site.queue_job(5).await?;
    eventually("a new history is written", PATIENCE, async || {
        let text = kept(site, "broken-history").await?;
        History::decode(&text)?;
        Ok(Some(()))
    })
    .await
}

async fn filled(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 2}})).await?;
    site.settles_at(2, 0).await?;
    let end = async |jobs: u64| {
        let what = format!("{jobs} jobs have ended");
        eventually(&what, PATIENCE, async || Ok((site.ledger().await?.succeeded() == jobs).then_some(())))
            .await
    };
    // The history begins with the first one that is known to have ended.
    site.queue_job(1).await?;
    end(1).await?;
    site.queue_job(20).await?;
    end(2).await?;
    follow(site, json!({}), 2).await?;
    site.pool_says("HistorySufficient=False/Learning").await?;
    eventually("the finished jobs are in the history", PATIENCE, async || {
        let history = History::decode(&kept(site, "filled-history").await?)?;
        // No job was there since the history is asked for.
        let now = site.stage.clouds.now().await?;
        let forecast = Forecast::new(&history, Preference::BestPerformance, TimeZone::UTC, None, now);
        ensure!(forecast.highest() == 1, "{} in {} samples", forecast.highest(), history.samples());
        Ok(Some(()))
    })
    .await?;
    site.pool_with("the status says what it rests on", |pool| {
        let automatic = pool.status.as_ref().and_then(|status| status.automatic.as_ref());
        automatic.is_some_and(|automatic| automatic.basis == "Fallback" && automatic.samples >= 1)
    })
    .await?;
    Ok(())
}
