//! Standby by schedule, with the whole operator: the examples of Managed DevOps Pools by name, and what happens to a pool
//! whose schedule is deleted or no longer fits.
//!
//! What a schedule means shows at its edges. So there are four hours of one week in New York, each with an operator and
//! clouds of its own that begin some minutes before an edge and run 60 times as fast, and one API server for all. Every
//! scenario has a namespace, a pool, a scale set and a schedule of its own, and all run at the same time.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use kube::Api;
use poolkeeper_api::{AgentPool, StandbySchedule};
use poolkeeper_harness::eventually;
use serde_json::{Value, json};
use support::{Hour, PATIENCE, SPEED, Scenarios, Site, Stage, cells, conditions, merge, world};

/// Every pool's, but one's.
const MOST: u64 = 4;

#[tokio::test]
async fn pools_stand_by_as_their_schedules_say() -> Result<()> {
    let base = Stage::with_world(&world(&[])?, SPEED).await?;
    // Eastern standard time is five hours behind UTC. 2026-11-23 is a Monday.
    let (midnight, five, nine, evening) = tokio::try_join!(
        Hour::start(&base, "2026-11-23T05:00:00Z", &["early", "weekend", "always", "off"]),
        Hour::start(&base, "2026-11-23T10:00:00Z", &["early-ends", "deleted"]),
        Hour::start(&base, "2026-11-23T14:00:00Z", &["office", "edited", "large", "small"]),
        Hour::start(&base, "2026-11-27T22:00:00Z", &["office-closes", "always-friday", "released"]),
    )?;
    let hours = [&midnight, &five, &nine, &evening];

    let mut scenarios = Scenarios::default();
    scenarios.add("one agent from Monday 00:00 EST", one_agent_from_monday_midnight(&midnight));
    scenarios.add("one agent until Monday 05:00 EST", one_agent_until_five(&five));
    scenarios.add("no agents at the weekend", none_at_the_weekend(&midnight));
    scenarios.add("four agents from the morning on", four_in_office_hours(&nine));
    scenarios.add("no agents in the evening", none_in_the_evening(&evening));
    scenarios.add("all week, Sunday night", all_week(&midnight, "always"));
    scenarios.add("all week, Friday evening", all_week(&evening, "always-friday"));
    scenarios.add("Off", off(&midnight));
    scenarios.add("a schedule in use is deleted", deleted(&five));
    scenarios.add("a schedule is edited to overlap", edited(&nine));
    scenarios.add("a count above one pool's maximum", above_one_maximum(&nine));
    scenarios.add("an exception, and a boost within it", exception_and_boost(&evening));
    let result = scenarios.run().await;
    for hour in hours.into_iter().filter(|_| result.is_err()) {
        println!("logs: {}", hour.stage.keep_logs(&[&hour.operator]).await?.display());
    }
    result?;
    for hour in [midnight, five, nine, evening] {
        let log = std::fs::read_to_string(hour.operator.log())?;
        ensure!(!log.contains("panicked"), "{log}");
        ensure!(hour.operator.stop().await?.success(), "SIGTERM is a good end");
    }
    Ok(())
}

/// One agent on Monday mornings (Managed DevOps Pools, scaling: the example of periods from scratch).
fn monday_morning() -> Value {
    let early = json!({"name": "early", "startDay": "Monday", "start": "00:00", "end": "05:00", "agents": 1});
    json!({"type": "Periods", "periods": [early]})
}

/// Agents in office hours, and none at nights and weekends (Managed DevOps Pools, scaling: the example of weekdays).
fn office_hours(agents: u64) -> Value {
    json!({"type": "Weekdays", "weekdays": {"start": "09:00", "end": "17:00", "agents": agents}})
}

fn every_hour(agents: u64) -> Value {
    json!({"type": "AllWeek", "allWeek": {"agents": agents}})
}

async fn one_agent_from_monday_midnight(hour: &Hour) -> Result<()> {
    let site = hour.site("early");
    follow(site, &json!({"manual": monday_morning()})).await?;
    week(site, &["Monday 00:00 to Monday 05:00: 1 early"]).await?;
    stands_by(site, "0 Off 1 2026-11-23T05:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "1 Manual 0 2026-11-23T10:00:00Z").await?;
    began_no_earlier(hour, "early").await
}

async fn one_agent_until_five(hour: &Hour) -> Result<()> {
    let site = hour.site("early-ends");
    follow(site, &json!({"manual": monday_morning()})).await?;
    stands_by(site, "1 Manual 0 2026-11-23T10:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    // Nothing until next Monday.
    stands_by(site, "0 Off 1 2026-11-30T05:00:00Z").await
}

async fn none_at_the_weekend(hour: &Hour) -> Result<()> {
    let site = hour.site("weekend");
    follow(site, &json!({"manual": office_hours(4)})).await?;
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday"];
    let rows = days.map(|day| format!("{day} 09:00 to {day} 17:00: 4 "));
    week(site, &rows.each_ref().map(String::as_str)).await?;
    // Sunday 23:30, and Monday 00:00.
    stands_by(site, "0 Off 4 2026-11-23T14:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "0 Off 4 2026-11-23T14:00:00Z").await?;
    ensure!(site.ledger().await?.peak() == 0, "there was a VM");
    Ok(())
}

async fn four_in_office_hours(hour: &Hour) -> Result<()> {
    let site = hour.site("office");
    follow(site, &json!({"manual": office_hours(4)})).await?;
    // Monday 08:30, and 09:00.
    stands_by(site, "0 Off 4 2026-11-23T14:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "4 Manual 0 2026-11-23T22:00:00Z").await?;
    began_no_earlier(hour, "office").await
}

async fn none_in_the_evening(hour: &Hour) -> Result<()> {
    let site = hour.site("office-closes");
    follow(site, &json!({"manual": office_hours(4)})).await?;
    // Friday 16:30, and 17:00: then the weekend comes.
    stands_by(site, "4 Manual 0 2026-11-27T22:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "0 Off 4 2026-11-30T14:00:00Z").await
}

async fn all_week(hour: &Hour, name: &'static str) -> Result<()> {
    let site = hour.site(name);
    follow(site, &json!({"manual": every_hour(2)})).await?;
    week(site, &["Monday 00:00 to Sunday 24:00: 2 "]).await?;
    stands_by(site, "2 Manual - -").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "2 Manual - -").await?;
    ensure!(site.ledger().await?.peak() == 2, "more or fewer VMs between");
    Ok(())
}

/// Nothing is set: nobody stands by, and a job starts an agent.
async fn off(hour: &Hour) -> Result<()> {
    let site = hour.site("off");
    site.apply(&json!({"standby": {"agents": 0}, "scaleIn": {"idleDelay": "0s"}})).await?;
    pool_stands_by(site, "0 Off - -").await?;
    site.queue_job(3).await?;
    eventually("the job has run", PATIENCE, async || {
        site.every_job_succeeded(1).await?;
        Ok(Some(()))
    })
    .await?;
    pool_stands_by(site, "0 Off - -").await?;
    ensure!(site.ledger().await?.peak() == 1, "more than one VM for one job");
    Ok(())
}

/// The pool goes on with the last valid schedule, through a change of hours.
async fn deleted(hour: &Hour) -> Result<()> {
    let site = hour.site("deleted");
    let night = json!({"name": "night", "startDay": "Monday", "start": "00:00", "end": "05:00", "agents": 2});
    let rest =
        json!({"name": "rest", "startDay": "Monday", "start": "05:00", "until": "NextPeriod", "agents": 1});
    let plan = json!({"manual": {"type": "Periods", "periods": [night, rest]}});
    follow(site, &plan).await?;
    week(site, &["Monday 00:00 to Monday 05:00: 2 night", "Monday 05:00 to Sunday 24:00: 1 rest"]).await?;
    stands_by(site, "2 Manual 1 2026-11-23T10:00:00Z").await?;
    site.kubectl(&["delete", "standbyschedule", "deleted"]).await?;
    let missing = "ScheduleNotFound: StandbySchedule deleted does not exist in this namespace: create it, or remove \
                   standby.scheduleRef";
    site.pool_says(&format!("Stalled=True/{missing}")).await?;
    let goes_on = format!("StandbyResolved=False/{missing}; the last valid schedule is followed");
    site.pool_says(&goes_on).await?;
    pool_stands_by(site, "2 Manual 1 2026-11-23T10:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    pool_stands_by(site, "1 Manual 2 2026-11-30T05:00:00Z").await?;
    site.pool_says(&goes_on).await?;

    // It is back.
    schedule(site, &plan).await?;
    site.pool_says("StandbyResolved=True/Resolved").await?;
    site.pool_says("Ready=True/Managed").await
}

/// An overlap across zones, which the API server does not see: the schedule stalls, and the pool goes on.
async fn edited(hour: &Hour) -> Result<()> {
    let site = hour.site("edited");
    let period = |name: &str, start: &str, end: &str, agents: u64| json!({"name": name, "startDay": "Monday", "start": start, "end": end, "agents": agents});
    let mut periods = vec![period("night", "00:00", "09:00", 1), period("day", "09:00", "17:00", 3)];
    let plan = |periods: &[Value]| json!({"manual": {"type": "Periods", "periods": periods}});
    let valid = plan(&periods);
    follow(site, &valid).await?;
    stands_by(site, "1 Manual 3 2026-11-23T14:00:00Z").await?;
    let mut london = period("london", "13:00", "15:00", 2);
    london["timeZone"] = json!("Europe/London");
    periods.push(london);
    schedule(site, &plan(&periods)).await?;
    let overlap = "periods night and london (Europe/London) overlap from Monday 2026-11-23 08:00 on, when \
                   America/New_York is on standard time and Europe/London is on standard time: shorten one";
    schedule_says(site, &format!("Stalled=True/PeriodsOverlap: {overlap}")).await?;
    schedule_says(site, &format!("Ready=False/PeriodsOverlap: {overlap}")).await?;
    schedule_shows(site, "- - - -").await?;
    let invalid = format!("ScheduleInvalid: StandbySchedule edited: {overlap}");
    site.pool_says(&format!("Stalled=True/{invalid}")).await?;
    site.pool_says(&format!("StandbyResolved=False/{invalid}; the last valid schedule is followed")).await?;
    hour.is_before().await?;
    hour.comes().await?;
    pool_stands_by(site, "3 Manual 0 2026-11-23T22:00:00Z").await?;

    schedule(site, &valid).await?;
    stands_by(site, "3 Manual 0 2026-11-23T22:00:00Z").await?;
    site.pool_says("Ready=True/Managed").await
}

/// Two pools follow one schedule, and its count is above the maximum of one of them.
async fn above_one_maximum(hour: &Hour) -> Result<()> {
    let (site, small) = (hour.site("large"), hour.site("small"));
    follow(site, &json!({"manual": office_hours(2)})).await?;
    let mut manifests = small.manifests(&pool("large", 2), &json!({}))?;
    for item in manifests["items"].as_array_mut().context("no list")? {
        item["metadata"]["namespace"] = json!("large");
    }
    site.stage.control_plane.apply(&manifests.to_string()).await?;
    let pools: Api<AgentPool> = Api::namespaced(site.stage.admin.clone(), "large");
    let small_says = async |wanted: String| {
        eventually(&format!("pool small says {wanted}"), PATIENCE, async || {
            let found = conditions(pools.get("small").await?.status.iter().flat_map(|s| &s.conditions));
            ensure!(found.iter().any(|condition| condition.starts_with(&wanted)), "{found:#?}");
            Ok(Some(()))
        })
        .await
    };
    small_says("StandbyResolved=True/Resolved".to_owned()).await?;
    schedule_says(site, "Ready=True/Valid: used by large, small").await?;

    schedule(site, &json!({"manual": office_hours(4)})).await?;
    let above = "ScheduleAboveMaximum: weekdays of StandbySchedule large asks for 4 agents, and maxAgents is 2: lower \
                 it, or raise maxAgents";
    small_says(format!("Stalled=True/{above}")).await?;
    small_says(format!("StandbyResolved=False/{above}; the last valid schedule is followed")).await?;
    // The schedule is not at fault, and the other pool follows it.
    schedule_says(site, "Ready=True/Valid: used by large, small").await?;
    stands_by(site, "0 Off 4 2026-11-23T14:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "4 Manual 0 2026-11-23T22:00:00Z").await?;
    site.pool_says("Ready=True/Managed").await?;
    // It follows what it could follow last.
    small.settles_at(2, 0).await?;
    small_says(format!("Stalled=True/{above}")).await
}

/// On the day after Thanksgiving nobody stands by, but for a release.
async fn exception_and_boost(hour: &Hour) -> Result<()> {
    let site = hour.site("released");
    let holiday = json!({"name": "holiday", "from": "2026-11-26", "to": "2026-11-27", "agents": 0});
    let release = json!({
        "name": "release", "from": "2026-11-27T17:00:00-05:00", "until": "2026-11-27T22:15:00Z", "agents": 3,
    });
    follow(site, &json!({"manual": every_hour(1), "exceptions": [holiday], "boosts": [release]})).await?;
    // The week knows no dates.
    week(site, &["Monday 00:00 to Sunday 24:00: 1 "]).await?;
    stands_by(site, "0 Exception 3 2026-11-27T22:00:00Z").await?;
    hour.is_before().await?;
    hour.comes().await?;
    stands_by(site, "3 Boost 0 2026-11-27T22:15:00Z").await?;
    began_no_earlier(hour, "released").await?;
    // Until Saturday's first minute.
    hour.comes_to("2026-11-27T22:15:00Z".parse()?).await?;
    stands_by(site, "0 Exception 1 2026-11-28T05:00:00Z").await?;
    schedule_says(site, "Ready=True/Valid: used by released; past: boost release").await
}

/// A pool that follows a schedule to the minute: neither starts ahead of an hour nor idles after it.
fn pool(schedule: &str, most: u64) -> Value {
    json!({
        "maxAgents": most, "scaleIn": {"idleDelay": "0s"},
        "standby": {"agents": 0, "scheduleRef": {"name": schedule}, "leadTime": "0s"},
    })
}

/// Applies the site's schedule, in Eastern Time, and a pool that follows it.
async fn follow(site: Site<'_>, spec: &Value) -> Result<()> {
    schedule(site, spec).await?;
    site.apply(&pool(site.name, MOST)).await
}

async fn schedule(site: Site<'_>, spec: &Value) -> Result<()> {
    let mut object = json!({
        "apiVersion": "poolkeeper.dev/v1alpha1", "kind": "StandbySchedule",
        "metadata": {"name": site.name, "namespace": site.name}, "spec": {"timeZone": "America/New_York"},
    });
    merge(&mut object["spec"], spec);
    site.stage.control_plane.apply(&object.to_string()).await
}

/// Waits for schedule and pool to stand at `NOW SOURCE NEXT AT`, and for so many agents.
async fn stands_by(site: Site<'_>, row: &str) -> Result<()> {
    schedule_shows(site, row).await?;
    pool_stands_by(site, row).await
}

/// Waits for these cells of `kubectl get standbyschedules`.
async fn schedule_shows(site: Site<'_>, row: &str) -> Result<()> {
    eventually(&format!("schedule {} shows {row}", site.name), PATIENCE, async || {
        let table = site.kubectl(&["get", "standbyschedules", site.name]).await?;
        let found = cells(&table, &["NOW", "SOURCE", "NEXT", "AT"])?;
        ensure!(found == row, "{found}");
        Ok(Some(()))
    })
    .await
}

/// Waits for the pool's agents, and for its status to say the same in its own words.
async fn pool_stands_by(site: Site<'_>, row: &str) -> Result<()> {
    let agents: u64 = row.split(' ').next().unwrap_or_default().parse()?;
    site.settles_at(agents, 0).await?;
    let words = format!("0 busy + 0 queued + {agents} standby = {agents} of at most {MOST}");
    let pool = site
        .pool_with(&format!("pool {} stands by: {row}", site.name), |pool| {
            let Some((standby, decision)) =
                pool.status.as_ref().and_then(|s| s.standby.as_ref().zip(s.decision.as_ref()))
            else {
                return false;
            };
            let next = standby.next_change.as_ref();
            let next =
                next.map_or_else(|| "- -".to_owned(), |change| format!("{} {}", change.agents, change.at.0));
            let found = format!("{} {} {next}", standby.wanted, standby.source);
            found == row && i64::from(standby.current) == agents.cast_signed() && decision.message == words
        })
        .await?;
    let met = conditions(pool.status.iter().flat_map(|status| &status.conditions));
    ensure!(met.iter().any(|condition| condition.starts_with("StandbyMet=True/Met")), "{met:#?}");
    Ok(())
}

async fn status(site: Site<'_>) -> Result<poolkeeper_api::StandbyScheduleStatus> {
    let schedules: Api<StandbySchedule> = Api::namespaced(site.stage.admin.clone(), site.name);
    schedules.get(site.name).await?.status.context("no status yet")
}

async fn schedule_says(site: Site<'_>, wanted: &str) -> Result<()> {
    eventually(&format!("schedule {} says {wanted}", site.name), PATIENCE, async || {
        let found = conditions(&status(site).await?.conditions);
        ensure!(found.iter().any(|condition| condition == wanted), "{found:#?}");
        Ok(Some(()))
    })
    .await
}

/// Waits for the rows of the expanded week.
async fn week(site: Site<'_>, wanted: &[&str]) -> Result<()> {
    eventually(&format!("the week of schedule {}", site.name), PATIENCE, async || {
        let rows = status(site).await?.week;
        let words =
            rows.iter().map(|row| format!("{} to {}: {} {}", row.start, row.end, row.agents, row.period));
        let found: Vec<String> = words.collect();
        ensure!(found == wanted, "{found:?}");
        Ok(Some(()))
    })
    .await
}

/// No VM was made before the edge.
async fn began_no_earlier(hour: &Hour, name: &'static str) -> Result<()> {
    let journal = hour.site(name).journal().await?;
    let first = journal.iter().find(|entry| entry.text.contains("VM")).context("no VM")?;
    ensure!(first.at >= hour.edge, "{name}: {} at {}, and the edge is {}", first.text, first.at, hour.edge);
    Ok(())
}
