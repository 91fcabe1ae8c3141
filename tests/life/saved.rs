//! Agents that are saved for investigation, because they failed to start or because a person asks for it.

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use poolkeeper_api::agent_pool::SavedAgent;
use poolkeeper_harness::{eventually, ledger::Kind};
use serde_json::{Value, json};

use crate::{
    annotate, carried_out, image, looked_again, sound,
    support::{PATIENCE, Site, Truth},
    times,
};

async fn saved_agents(site: Site<'_>) -> Result<Vec<SavedAgent>> {
    Ok(site.pool().await?.status.map(|status| status.saved_agents).unwrap_or_default())
}

/// Waits for the one saved agent.
async fn one_saved(site: Site<'_>) -> Result<SavedAgent> {
    eventually(&format!("{}: an agent is saved", site.name), PATIENCE, async || {
        let saved = saved_agents(site).await?;
        ensure!(saved.len() == 1, "{saved:#?}");
        Ok(saved.into_iter().next())
    })
    .await
}

/// The tags that mark saved VMs.
fn marks(truth: &Truth) -> Vec<&str> {
    truth.tags.keys().filter_map(|tag| tag.strip_prefix("poolkeeper-saved-")).collect()
}

pub(crate) async fn saved(site: Site<'_>) -> Result<()> {
    let stage = site.stage;
    let first = stage.operator(&[site.name]).await?;
    image(site, json!("silent")).await?;
    let spec = json!({
        "maxAgents": 2, "standby": {"agents": 2},
        "unhealthy": {"startTimeout": "6m", "saveForInvestigation": 1, "maxFailedStarts": 100},
    });
    site.apply(&spec).await?;
    let saved = one_saved(site).await?;
    ensure!(saved.reason == "FailedToStart" && saved.binding == site.name, "{saved:?}");
    let truth = site.truth().await?;
    ensure!(truth.vms.contains(&saved.name), "{saved:?} is none of {:?}", truth.vms);
    ensure!(marks(&truth) == [saved.vm_id.as_str()], "{:?} do not mark {}", truth.tags, saved.vm_id);

    // The second one is not saved, and the one that is counts against the maximum.
    let other = |(_, name): &(Timestamp, String)| *name != saved.name;
    eventually("the second VM is deleted", PATIENCE, async || {
        let deleted = times(site, Kind::VmDeleted).await?;
        ensure!(deleted.iter().any(other), "{deleted:?}");
        Ok(Some(()))
    })
    .await?;
    image(site, Value::Null).await?;
    let limited = "it is limited by the saved agent";
    let is_limited = |pool: &poolkeeper_api::AgentPool| {
        let status = pool.status.as_ref();
        status.and_then(|status| status.decision.as_ref()).is_some_and(|it| it.limited_by == "SavedAgents")
    };
    site.pool_with(limited, is_limited).await?;
    site.truth_with("one agent stands by beside it", |truth| (truth.idle, truth.vms.len()) == (1, 2)).await?;
    ensure!(site.ledger().await?.peak() == 2, "more VMs than the maximum");

    // A new operator, with a wiped status, knows it all the same.
    ensure!(first.stop().await?.success(), "SIGTERM is a good end");
    let wipe = r#"{"status":null}"#;
    site.kubectl(&["patch", "agentpool", site.name, "--subresource=status", "--type=merge", "-p", wipe])
        .await?;
    ensure!(saved_agents(site).await?.is_empty(), "the status was not wiped");
    let mut second = stage.operator(&[site.name]).await?;
    let again = one_saved(site).await?;
    ensure!((&again.vm_id, &again.name) == (&saved.vm_id, &saved.name), "{again:?} was {saved:?}");
    looked_again(site).await?;
    ensure!(site.truth().await?.vms.contains(&saved.name), "it was deleted after the restart");

    annotate(site, &format!("release-saved={}", saved.vm_id)).await?;
    carried_out(site, "release-saved").await?;
    let truth = site.settles_at(2, 0).await?;
    ensure!(!truth.vms.contains(&saved.name) && marks(&truth).is_empty(), "{truth:#?}");
    site.truth_with("no record is left of those that failed", |truth| truth.agents.len() == 2).await?;
    site.pool_with("no saved agent is listed", |pool| {
        pool.status.as_ref().is_some_and(|status| status.saved_agents.is_empty())
    })
    .await?;
    let failed = times(site, Kind::VmDeleted).await?;
    ensure!(failed.iter().filter(|(_, name)| *name == saved.name).count() == 1, "{failed:?}");
    sound(&mut second)
}

/// A busy agent ends its job first; then it gets no other, and is there until it is released, whatever the standby.
pub(crate) async fn kept(site: Site<'_>) -> Result<()> {
    let spec = json!({"maxAgents": 3, "standby": {"agents": 1}, "unhealthy": {"saveForInvestigation": 1}});
    site.apply(&spec).await?;
    let agent = site.settles_at(1, 0).await?.agents.first().cloned().context("no agent")?;
    annotate(site, &format!("save={agent}")).await?;
    let saved = one_saved(site).await?;
    ensure!(saved.name == agent, "{saved:?} is not {agent}");
    carried_out(site, "save").await?;
    let truth = site.truth_with("another one stands by", |truth| truth.idle == 1).await?;
    ensure!(truth.disabled == [agent.clone()] && marks(&truth) == [saved.vm_id.as_str()], "{truth:#?}");
    site.queue_job(3).await?;
    site.truth_with("the job is taken", |truth| truth.busy == 1).await?;
    let assigned = times(site, Kind::JobAssigned).await?;
    ensure!(assigned.iter().all(|(_, name)| *name != agent), "the saved agent has got a job");
    annotate(site, &format!("release-saved={agent}")).await?;
    carried_out(site, "release-saved").await?;
    let truth = site.settles_at(1, 0).await?;
    ensure!(!truth.vms.contains(&agent) && !truth.agents.contains(&agent), "{truth:#?}");
    site.every_job_succeeded(1).await
}
