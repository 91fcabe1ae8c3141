//! What a person sees and does with the real kubectl, and what is left when Helm takes the chart away.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use anyhow::{Context, Result, ensure};
use kube::{Resource, ResourceExt};
use poolkeeper_api::duration;
use poolkeeper_harness::eventually;
use serde_json::{Value, json};
use support::{PATIENCE, Scenarios, Site, Stage, merge};

/// Beside pools at work, one that is paused, one whose token is wrong, and one whose standby Git leaves out.
const SITES: [&str; 5] = ["build", "scaled", "nightly", "windows-ui", "git"];

const POOL_COLUMNS: &str = "NAME READY REASON QUEUED BUSY IDLE STARTING STANDBY MAX AGE";
const BINDING_COLUMNS: &str = "NAME POOL READY REASON IMAGE BUSY IDLE TOTAL AGE";
const SCHEDULE_COLUMNS: &str = "NAME READY REASON NOW SOURCE NEXT AT ZONE AGE";

#[tokio::test]
async fn kubectl_reads_and_writes_as_documented() -> Result<()> {
    let stage = Stage::start(&SITES).await?;
    let mut operator = stage.operator(&SITES).await?;
    let mut scenarios = Scenarios::default();
    scenarios.add("get, wait and describe", reads(stage.site("build")));
    scenarios.add("scale", scales(stage.site("scaled")));
    scenarios.add("pools that are not at work", idle_pools(stage.site("nightly"), stage.site("windows-ui")));
    scenarios.add("apply and diff", applies(stage.site("git")));
    scenarios.add("explain", explains(&stage));
    let result = scenarios.run().await;
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result?;
    ensure!(operator.exited()?.is_none(), "the operator has ended by itself");
    ensure!(operator.stop().await?.success(), "SIGTERM is a good end");
    uninstalls(&stage).await
}

/// The columns of a table, as `NAME READY …`, and the cells of its rows: kubectl aligns them with the header.
fn table(text: &str) -> Result<(String, Vec<Vec<String>>)> {
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let header: Vec<char> = lines.next().context("no table")?.chars().collect();
    // Names have single blanks inside, and columns are three apart.
    let begins = |at: &usize| match header.get(at.saturating_sub(2)..=*at) {
        Some([' ', ' ', begin]) => *begin != ' ',
        Some(_) | None => *at == 0,
    };
    let starts: Vec<usize> = (0..header.len()).filter(begins).collect();
    let cells = |line: &[char]| -> Vec<String> {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let cell = |(start, end): (usize, usize)| line.iter().take(end).skip(start).collect::<String>();
        starts.iter().copied().zip(ends).map(|span| cell(span).trim().to_owned()).collect()
    };
    let rows = lines.map(|line| cells(&line.chars().collect::<Vec<_>>()));
    Ok((cells(&header).join(" "), rows.collect()))
}

/// A table of one object, without its age.
async fn row(site: Site<'_>, arguments: &[&str], header: &str) -> Result<Vec<String>> {
    let text = site.kubectl(arguments).await?;
    let (found, mut rows) = table(&text)?;
    ensure!(found == header, "kubectl {}: {found}", arguments.join(" "));
    ensure!(rows.len() == 1, "kubectl {}: {text}", arguments.join(" "));
    let age = header.split(" AGE").next().map(|before| before.split(' ').count());
    let cells = rows.remove(0).into_iter().enumerate().filter(|(column, _)| Some(*column) != age);
    Ok(cells.map(|(_, cell)| cell).collect())
}

/// Waits until a table of one object shows these cells: the kinds' controllers write their statuses one after another.
async fn shows(site: Site<'_>, arguments: &[&str], header: &str, cells: &[&str]) -> Result<()> {
    eventually(&format!("the row of kubectl {}", arguments.join(" ")), PATIENCE, async || {
        let found = row(site, arguments, header).await?;
        ensure!(found == cells, "{found:?}");
        Ok(Some(()))
    })
    .await
}

/// A diff compares two answers of the API server: a status that is written between them shows up in it.
async fn nothing_differs(site: Site<'_>, arguments: &[&str]) -> Result<()> {
    eventually("kubectl diff shows nothing", PATIENCE, async || {
        let found = site.kubectl(arguments).await?;
        ensure!(found.is_empty(), "{found}");
        Ok(Some(()))
    })
    .await
}

async fn reads(site: Site<'_>) -> Result<()> {
    let always = json!({
        "apiVersion": "poolkeeper.dev/v1alpha1", "kind": "StandbySchedule",
        "metadata": {"name": "always", "namespace": site.name},
        "spec": {"manual": {"type": "AllWeek", "allWeek": {"agents": 1}}},
    });
    site.stage.namespace(site.name).await?;
    site.stage.control_plane.apply(&always.to_string()).await?;
    let pool = json!({"standby": {"scheduleRef": {"name": "always"}}, "images": [{"name": "ubuntu-22.04"}]});
    site.apply(&pool).await?;

    // Both wait from the first moment on.
    let (pool, binding) = tokio::join!(
        site.kubectl(&["wait", "agentpool/build", "--for=condition=Ready", "--timeout=100s"]),
        site.kubectl(&["wait", "scalesetbinding/build", "--for=condition=Ready", "--timeout=100s"]),
    );
    ensure!(pool? == "agentpool.poolkeeper.dev/build condition met");
    ensure!(binding? == "scalesetbinding.poolkeeper.dev/build condition met");
    site.kubectl(&["wait", "agentpool/build", "--for=condition=StandbyMet", "--timeout=100s"]).await?;
    site.settles_at(2, 0).await?;
    site.kubectl(&["wait", "agp/build", "--for=jsonpath={.status.agents.idle}=2", "--timeout=60s"]).await?;

    let pool = ["build", "True", "Managed", "0", "0", "2", "0", "2", "4"];
    for name in ["agentpools", "agentpool", "agp"] {
        shows(site, &["get", name], POOL_COLUMNS, &pool).await?;
    }
    let header = format!("{POOL_COLUMNS} MODE POOL SCHEDULE LIMITED BY NEXT CHANGE MESSAGE");
    let more = ["Active", "build", "always", "Nothing", "", "in control of pool build (id 44)"];
    shows(site, &["get", "agentpools", "-o", "wide"], &header, &[&pool[..], &more].concat()).await?;

    let binding = ["build", "build", "True", "Bound", "ubuntu-22.04", "0", "2", "2"];
    for name in ["scalesetbindings", "ssb"] {
        shows(site, &["get", name], BINDING_COLUMNS, &binding).await?;
    }
    let header = format!("{BINDING_COLUMNS} PRIORITY OS SIZE LOCATION VM PRIORITY START P95 MESSAGE");
    let more = ["0", "Linux", "Standard_D4ds_v5", "westeurope", "Regular"];
    eventually("the wide row of the binding", PATIENCE, async || {
        let mut found = row(site, &["get", "scalesetbindings", "-o", "wide"], &header).await?;
        // How long 95 of 100 starts took: those of its two VMs, whose agents are online.
        let start = duration::parse(&found.remove(binding.len() + more.len()))?.as_secs();
        ensure!((30..600).contains(&start), "{start} s");
        let cells = [&binding[..], &more, &["serves ubuntu-22.04 of pool build"]].concat();
        ensure!(found == cells, "{found:?}");
        Ok(Some(()))
    })
    .await?;

    let schedule = ["always", "True", "Valid", "1", "Manual", "", "", "UTC"];
    shows(site, &["get", "sbs", "always"], SCHEDULE_COLUMNS, &schedule).await?;
    let header = format!("{SCHEDULE_COLUMNS} MANUAL AUTOMATIC MESSAGE");
    row(site, &["get", "standbyschedules", "always", "-o", "wide"], &header).await?;

    // The category lists all three kinds, each with its own columns, and `all` none of them.
    let text = site.kubectl(&["get", "poolkeeper"]).await?;
    for header in [POOL_COLUMNS, BINDING_COLUMNS, SCHEDULE_COLUMNS] {
        let same = |line: &str| table(line).is_ok_and(|(found, _)| found == header);
        ensure!(text.lines().any(same), "no {header} in\n{text}");
    }
    for name in ["agentpool", "scalesetbinding", "standbyschedule"] {
        ensure!(text.contains(&format!("{name}.poolkeeper.dev/")), "no {name} in\n{text}");
    }
    ensure!(!site.kubectl(&["get", "all"]).await?.contains("poolkeeper"), "poolkeeper is in `all`");

    describes(site).await?;

    // A job from outside: its agent becomes busy, and free again.
    site.queue_job(10).await?;
    site.kubectl(&["wait", "agentpool/build", "--for=jsonpath={.status.agents.busy}=1", "--timeout=100s"])
        .await?;
    site.kubectl(&["wait", "agentpool/build", "--for=jsonpath={.status.agents.busy}=0", "--timeout=100s"])
        .await?;
    site.every_job_succeeded(1).await
}

async fn describes(site: Site<'_>) -> Result<()> {
    eventually("describe says what happens and why", PATIENCE, async || {
        let text = site.kubectl(&["describe", "agentpool", "build"]).await?;
        for words in [
            "in control of pool build (id 44)",
            "Type:                  StandbyMet",
            "Limited By:  Nothing",
            "0 busy + 0 queued + 2 standby = 2 of at most 4",
            "Recent Actions:",
            "Events:",
        ] {
            ensure!(text.contains(words), "no {words} in\n{text}");
        }
        let events = text.split_once("Events:").context("no events")?.1;
        let created = events.lines().any(|line| {
            let mut words = line.split_whitespace();
            words.next() == Some("Normal") && words.next() == Some("Creating")
        });
        ensure!(created, "no event that VMs are created:{events}");
        Ok(Some(()))
    })
    .await?;
    let text = site.kubectl(&["describe", "scalesetbinding", "build"]).await?;
    for words in ["serves ubuntu-22.04 of pool build", "Orchestration Mode", "Renewed At:"] {
        ensure!(text.contains(words), "no {words} in\n{text}");
    }
    Ok(())
}

async fn scales(site: Site<'_>) -> Result<()> {
    site.apply(&json!({"standby": {"agents": 1}, "scaleIn": {"idleDelay": "2m"}})).await?;
    site.settles_at(1, 0).await?;
    let said = site.kubectl(&["scale", "agentpool", "scaled", "--replicas=3"]).await?;
    ensure!(said == "agentpool.poolkeeper.dev/scaled scaled", "{said}");
    site.settles_at(3, 0).await?;
    let scale = "/apis/poolkeeper.dev/v1alpha1/namespaces/scaled/agentpools/scaled/scale";
    eventually("the scale has the count on standby", PATIENCE, async || {
        let scale: Value = serde_json::from_str(&site.kubectl(&["get", "--raw", scale]).await?)?;
        let found = (&scale["spec"]["replicas"], &scale["status"]["replicas"], &scale["status"]["selector"]);
        ensure!(found == (&json!(3), &json!(3), &json!("poolkeeper.dev/pool=scaled")), "{scale}");
        Ok(Some(()))
    })
    .await?;

    let refused = site.kubectl_fails(&["scale", "agentpool", "scaled", "--replicas=5"]).await?;
    let words = "standby.agents must not be above maxAgents; lower it, or raise maxAgents";
    ensure!(refused.contains(words), "{refused}");

    // Down again: those that are too many go after idleDelay, and nothing is ready or lost beside them.
    site.kubectl(&["scale", "agp/scaled", "--current-replicas=3", "--replicas=0"]).await?;
    site.settles_at(0, 0).await?;
    site.pool_says("Ready=True/Managed").await
}

async fn idle_pools(nightly: Site<'_>, windows: Site<'_>) -> Result<()> {
    nightly.apply(&json!({"mode": "Paused", "maxAgents": 20, "standby": {"agents": 0}})).await?;
    nightly.kubectl(&["wait", "agentpool/nightly", "--for=condition=Ready", "--timeout=100s"]).await?;
    let nightly_row = ["nightly", "True", "Paused", "0", "0", "0", "0", "0", "20"];
    shows(nightly, &["get", "agentpools"], POOL_COLUMNS, &nightly_row).await?;

    let mut manifests = windows.manifests(&json!({"maxAgents": 10}), &json!({}))?;
    for item in manifests["items"].as_array_mut().context("no list")? {
        if item["metadata"]["name"] == "azure-devops" {
            item["stringData"]["token"] = json!("expired");
        }
    }
    windows.stage.namespace(windows.name).await?;
    windows.stage.control_plane.apply(&manifests.to_string()).await?;
    // It was never read: no figure is given, rather than a nought that would be a guess.
    let windows_row = ["windows-ui", "False", "CredentialsRejected", "", "", "", "", "", "10"];
    shows(windows, &["get", "agentpools"], POOL_COLUMNS, &windows_row).await?;
    windows.kubectl(&["wait", "agentpool/windows-ui", "--for=condition=Stalled", "--timeout=100s"]).await?;
    // Both in one table, as the administrator of the cluster sees them.
    let all = windows.stage.kubectl(&["get", "poolkeeper", "--all-namespaces"]).await?;
    for name in ["agentpool.poolkeeper.dev/nightly", "agentpool.poolkeeper.dev/windows-ui"] {
        ensure!(all.contains(name), "no {name} in\n{all}");
    }
    Ok(())
}

/// Who wrote which field of an object, and when, apart from its status.
fn writes<K: Resource>(object: &K) -> Vec<Value> {
    let all = object.managed_fields().iter().filter(|fields| fields.subresource.as_deref() != Some("status"));
    all.map(|fields| json!(fields)).collect()
}

async fn applies(site: Site<'_>) -> Result<()> {
    let mut manifests = site.manifests(&json!({"standby": {"agents": 1}}), &json!({}))?;
    site.stage.namespace(site.name).await?;
    site.stage.control_plane.apply(&manifests.to_string()).await?;
    // Both have their finalizers then, the last that the operator writes beside a status.
    for object in ["agentpool/git", "scalesetbinding/git"] {
        site.kubectl(&["wait", object, "--for=condition=Ready", "--timeout=100s"]).await?;
    }

    // Without the Secrets: `stringData` is never read back, so kubectl cannot compare it.
    let items = manifests["items"].as_array_mut().context("no list")?;
    items.retain(|item| item["kind"] != "Secret");
    let ours = site.stage.control_plane.directory().write("git.json", manifests.to_string().as_bytes())?;
    let ours = ours.to_string_lossy();
    let before = (site.pool().await?, site.binding().await?);
    nothing_differs(site, &["diff", "--filename", &ours]).await?;
    let said = site.kubectl(&["apply", "--filename", &ours]).await?;
    ensure!(said.lines().count() == 3 && said.lines().all(|line| line.ends_with(" unchanged")), "{said}");
    let after = (site.pool().await?, site.binding().await?);
    ensure!(before.0.metadata.generation == after.0.metadata.generation);
    ensure!(before.1.metadata.generation == after.1.metadata.generation);
    ensure!(
        writes(&before.0) == writes(&after.0) && writes(&before.1) == writes(&after.1),
        "it was written to"
    );
    // The finalizer is all that the operator has written beside the status.
    let operator =
        before.0.managed_fields().iter().filter(|fields| fields.manager.as_deref() == Some("poolkeeper"));
    for fields in operator.filter(|fields| fields.subresource.is_none()) {
        let owned = json!(fields.fields_v1);
        ensure!(owned["f:spec"].is_null(), "the operator owns a spec: {owned}");
    }

    // Git leaves the count out: what was scaled survives every server-side apply.
    let mut pool: Value = manifests["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|item| item["kind"] == "AgentPool")
        .context("no pool")?
        .clone();
    merge(&mut pool, &json!({"metadata": {"name": "left-out"}, "spec": {"mode": "Paused", "standby": null}}));
    let folder = site.stage.control_plane.directory();
    let left_out = folder.write("left-out.json", pool.to_string().as_bytes())?;
    let left_out = left_out.to_string_lossy();
    let apply = ["apply", "--server-side", "--field-manager=git", "--filename", &left_out];
    site.kubectl(&apply).await?;
    site.kubectl(&["scale", "agentpool", "left-out", "--replicas=3"]).await?;
    site.kubectl(&apply).await?;
    let agents = ["get", "agentpool", "left-out", "--output=jsonpath={.spec.standby.agents}"];
    ensure!(site.kubectl(&agents).await? == "3", "an apply without the count has changed it");
    nothing_differs(site, &["diff", "--server-side", "--field-manager=git", "--filename", &left_out]).await?;

    // Git has it, and somebody scales: the conflict is reported, and force puts Git's value back.
    pool["spec"]["standby"] = json!({"agents": 2});
    let given = folder.write("given.json", pool.to_string().as_bytes())?;
    let given = given.to_string_lossy();
    let apply_given = ["apply", "--server-side", "--field-manager=git", "--filename", &given];
    site.kubectl(&[&apply_given[..], &["--force-conflicts"]].concat()).await?;
    ensure!(site.kubectl(&agents).await? == "2", "Git's value is not there");
    site.kubectl(&["scale", "agentpool", "left-out", "--replicas=3"]).await?;
    let conflict = site.kubectl_fails(&apply_given).await?;
    ensure!(conflict.contains("conflict") && conflict.contains(".spec.standby.agents"), "{conflict}");
    site.kubectl(&[&apply_given[..], &["--force-conflicts"]].concat()).await?;
    ensure!(site.kubectl(&agents).await? == "2", "Git's value is not back");
    // Taken out of Git: what somebody else has set stays, and what only Git has set goes.
    site.kubectl(&["scale", "agentpool", "left-out", "--replicas=3"]).await?;
    site.kubectl(&apply).await?;
    ensure!(site.kubectl(&agents).await? == "3", "what was scaled is gone with Git's value");
    site.kubectl(&[&apply_given[..], &["--force-conflicts"]].concat()).await?;
    site.kubectl(&apply).await?;
    ensure!(site.kubectl(&agents).await? == "0", "Git's value outlives Git");
    Ok(())
}

async fn explains(stage: &Stage) -> Result<()> {
    let text = stage.kubectl(&["explain", "agentpool.spec.standby.agents"]).await?;
    for words in ["FIELD: agents <integer>", "The constant number of agents", "what `kubectl scale` sets"] {
        ensure!(text.contains(words), "no {words} in\n{text}");
    }
    // Every field has a description.
    for kind in ["agentpool", "standbyschedule", "scalesetbinding"] {
        let text = stage.kubectl(&["explain", &format!("{kind}.spec"), "--recursive=false"]).await?;
        ensure!(!text.contains("<no description>"), "a field without words:\n{text}");
    }
    Ok(())
}

/// The objects of users outlive the chart, and meet it again.
async fn uninstalls(stage: &Stage) -> Result<()> {
    let definitions = ["get", "crd", "--output=name"];
    let pools = ["get", "poolkeeper", "--all-namespaces", "--output=name"];
    let before = (stage.kubectl(&definitions).await?, stage.kubectl(&pools).await?);
    ensure!(before.0.lines().count() == 3 && before.1.lines().count() >= 10, "{before:?}");
    stage.control_plane.uninstall_chart("poolkeeper").await?;
    let accounts =
        ["get", "serviceaccounts,clusterroles,configmaps,deployments", "--all-namespaces", "--output=name"];
    let left = stage.kubectl(&accounts).await?;
    ensure!(!left.contains("/poolkeeper"), "left behind:\n{left}");
    ensure!((stage.kubectl(&definitions).await?, stage.kubectl(&pools).await?) == before, "objects are lost");
    let values = poolkeeper_harness::values_for(&stage.simulator)?;
    stage.control_plane.install_chart("poolkeeper", &values).await?;
    ensure!(stage.kubectl(&pools).await? == before.1, "objects are lost with the second installation");
    Ok(())
}
