//! `poolkeeper adopt`: takes a pool over that runs in mode Observe, step by step; nothing is written before every check
//! has passed and `--yes` is given.

use std::time::Duration;

use jiff::SignedDuration;
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, agent_pool::Mode, scale_set_binding::ExistingInstances};
use serde_json::json;

use super::{Error, args::Adopt, cluster::Cluster, operator};
use crate::{
    explanation::{AgentView, PoolView},
    kubernetes,
};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Quiet pools are looked at once a minute.
const STALE: SignedDuration = SignedDuration::from_mins(5);
/// Field manager of the one field that is written.
const MANAGER: &str = "poolkeeper-adopt";

/// One check of the take-over.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    passed: bool,
    words: String,
}

fn ok(words: impl Into<String>) -> Step {
    Step { passed: true, words: words.into() }
}

fn no(words: impl Into<String>) -> Step {
    Step { passed: false, words: words.into() }
}

/// Walks through the take-over, and prints each step as it goes.
pub(super) async fn run(args: &Adopt) -> Result<(), Error> {
    let cluster = Cluster::connect(&args.at).await?;
    let pools: Api<AgentPool> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let bindings: Api<ScaleSetBinding> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let (pool, of_pool) = read(&pools, &bindings, args, &cluster).await?;
    let before = operator::view(&args.at, &args.operator).await?;
    let mut steps = vec![observed(&pool), recent(&before)];
    steps.extend(of_pool.iter().map(usable));
    if of_pool.is_empty() {
        steps.push(no(format!("no ScaleSetBinding has poolRef {}: apply one", args.at.pool)));
    }
    steps.extend(known(&before, &of_pool, args.accept_unknown));
    super::print(&steps.iter().map(line).collect::<String>())?;
    let failed = steps.iter().filter(|step| !step.passed).count();
    if failed > 0 {
        return Err(Error::NotAdopted(format!("{failed} checks have failed; nothing was written")));
    }
    if !args.yes {
        return super::print("all checks have passed, and nothing was written: --yes sets mode Active\n");
    }
    // Only what was checked is changed: an edit in between is a conflict.
    let patch = json!({
        "metadata": {"resourceVersion": pool.resource_version()},
        "spec": {"mode": "Active"},
    });
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    kubernetes::read(pools.patch(&args.at.pool, &params, &Patch::Merge(&patch)))
        .await
        .map_err(|error| failed_to("set mode Active", &error))?;
    super::print("done     mode is Active; where the manifest is in Git, set it there too\n")?;
    wait(&pools, &bindings, args, &cluster, &before).await
}

/// Waits until the scale sets are claimed, and says what has become of each agent.
async fn wait(
    pools: &Api<AgentPool>,
    bindings: &Api<ScaleSetBinding>,
    args: &Adopt,
    cluster: &Cluster,
    before: &PoolView,
) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + args.timeout.unsigned_abs();
    loop {
        let (pool, of_pool) = read(pools, bindings, args, cluster).await?;
        let mut missing: Vec<String> = of_pool
            .iter()
            .filter(|binding| !is(&binding_conditions(binding), "Claimed", "True"))
            .map(|binding| format!("binding {} has not claimed its scale set", binding.name_any()))
            .collect();
        let managed = pool_condition(&pool, "Ready")
            .is_some_and(|(status, reason, _)| status == "True" && reason == "Managed");
        if !managed {
            let (_, reason, message) = pool_condition(&pool, "Ready").unwrap_or_default();
            missing.push(format!("the pool is not managed yet ({reason}: {message})"));
        }
        if missing.is_empty() {
            let after = operator::view(&args.at, &args.operator).await?;
            return super::print(&adopted(before, &after));
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(Error::NotAdopted(format!(
                "{}; back again: kubectl patch agentpool {} --type=merge -p '{{\"spec\":{{\"mode\":\"Observe\"}}}}'",
                missing.join("; "),
                args.at.pool
            )));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn read(
    pools: &Api<AgentPool>,
    bindings: &Api<ScaleSetBinding>,
    args: &Adopt,
    cluster: &Cluster,
) -> Result<(AgentPool, Vec<ScaleSetBinding>), Error> {
    let name = &args.at.pool;
    let pool = kubernetes::read(pools.get_opt(name))
        .await
        .map_err(|error| failed_to("read the AgentPool", &error))?;
    let pool =
        pool.ok_or_else(|| Error::NoPool { namespace: cluster.namespace.clone(), name: name.clone() })?;
    let all = kubernetes::read(bindings.list(&ListParams::default()))
        .await
        .map_err(|error| failed_to("list ScaleSetBindings", &error))?;
    let of_pool = all.items.into_iter().filter(|binding| &binding.spec.pool_ref.name == name).collect();
    Ok((pool, of_pool))
}

fn failed_to(what: &str, error: &kube::Error) -> Error {
    Error::Failed { what: what.to_owned(), message: kubernetes::words(error) }
}

type Said = (String, String, String);

fn pool_condition(pool: &AgentPool, kind: &str) -> Option<Said> {
    let conditions = pool.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((found.status.clone(), found.reason.clone(), found.message.clone()))
}

fn binding_conditions(binding: &ScaleSetBinding) -> Vec<(String, Said)> {
    let conditions = binding.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions
        .iter()
        .map(|said| (said.type_.clone(), (said.status.clone(), said.reason.clone(), said.message.clone())))
        .collect()
}

fn is(conditions: &[(String, Said)], kind: &str, status: &str) -> bool {
    conditions.iter().any(|(found, said)| found == kind && said.0 == status)
}

/// It decides and writes nothing yet, about this generation of the spec.
fn observed(pool: &AgentPool) -> Step {
    let name = pool.name_any();
    let current =
        pool.status.as_ref().and_then(|status| status.observed_generation) == pool.metadata.generation;
    match (pool.spec.mode, pool_condition(pool, "Ready")) {
        (Mode::Active, _) => no(format!("AgentPool {name} has mode Active: there is nothing to take over")),
        (Mode::Paused, _) => {
            no(format!("AgentPool {name} has mode Paused: set Observe, and look at what it would do"))
        }
        (Mode::Observe, Some((status, reason, _)))
            if status == "True" && reason == "Observing" && current =>
        {
            match unread(pool) {
                None => ok(format!("AgentPool {name} is observed, and both clouds can be read")),
                Some(why) => no(format!("AgentPool {name}: {why}")),
            }
        }
        (Mode::Observe, Some((_, reason, message))) => no(format!("AgentPool {name}: {reason}: {message}")),
        (Mode::Observe, None) => {
            no(format!("AgentPool {name} was not looked at yet: is the operator running?"))
        }
    }
}

/// An old look says nothing about agents that came since.
fn recent(view: &PoolView) -> Step {
    let age = view.now.duration_since(view.made_at);
    if age <= STALE {
        ok("the operator has just looked at it")
    } else {
        no(format!("the operator looked at it {} s ago: see why it does not any more", age.as_secs()))
    }
}

/// What could not be read looks like nothing: no agents, no VMs.
fn unread(pool: &AgentPool) -> Option<String> {
    let (_, reason, message) = pool_condition(pool, "OrganizationReachable")
        .filter(|(status, _, _)| status != "True")
        .or_else(|| pool_condition(pool, "Holding").filter(|(status, _, _)| status == "True"))
        .or_else(|| {
            let missing = pool_condition(pool, "OrganizationReachable").is_none();
            missing.then(|| (String::new(), "NotObserved".to_owned(), "nothing was read yet".to_owned()))
        })?;
    Some(format!("{reason}: {message}"))
}

/// The scale set meets the requirements, and nobody else holds it.
fn usable(binding: &ScaleSetBinding) -> Step {
    let (name, conditions) = (binding.name_any(), binding_conditions(binding));
    let said = |kind: &str| conditions.iter().find(|(found, _)| found == kind).map(|(_, said)| said.clone());
    if let Some((_, reason, message)) = said("Stalled") {
        return no(format!("binding {name}: {reason}: {message}"));
    }
    // Beside another manager the requirements are not looked at.
    if let Some((_, _, message)) = said("Claimed").filter(|(_, reason, _)| reason == "ScaleSetInUse") {
        return no(format!(
            "binding {name}: its scale set has another manager ({message}); turn that one off, and wait until its claim \
             lapses"
        ));
    }
    for (kind, what) in
        [("ScaleSetReachable", "its scale set cannot be read"), ("RequirementsMet", "requirements")]
    {
        match said(kind) {
            Some((status, _, _)) if status == "True" => {}
            Some((_, reason, message)) => return no(format!("binding {name}: {what}: {reason}: {message}")),
            None => return no(format!("binding {name} was not looked at yet")),
        }
    }
    ok(format!("binding {name}: nobody else manages its scale set, and the requirements are met"))
}

/// Which VMs are adopted. One without an agent in the pool may run a job of another pool, and would be replaced after
/// `startTimeout`.
fn known(view: &PoolView, bindings: &[ScaleSetBinding], accept_unknown: bool) -> Vec<Step> {
    let (agents, unknown): (Vec<&AgentView>, Vec<&AgentView>) =
        view.agents.iter().partition(|agent| agent.agent.is_some());
    let busy = agents.iter().filter(|agent| agent.job.is_some()).count();
    let mut steps =
        vec![ok(format!("{} VMs have agents in the pool and are adopted, {busy} with a job", agents.len()))];
    if !unknown.is_empty() {
        let names = unknown.iter().map(|agent| agent.name.as_str()).collect::<Vec<_>>().join(", ");
        let words = format!(
            "{} VMs have no agent in this pool, and are replaced after startTimeout ({names}): jobs of another pool on \
             them would be lost",
            unknown.len()
        );
        steps.push(if accept_unknown {
            ok(words)
        } else {
            no(format!("{words}; drain that pool first, or give --accept-unknown"))
        });
    }
    for binding in
        bindings.iter().filter(|binding| binding.spec.existing_instances == ExistingInstances::Replace)
    {
        let name = binding.name_any();
        steps.push(ok(format!(
            "binding {name} has existingInstances Replace: its idle VMs go, the others after their job"
        )));
    }
    steps
}

fn line(step: &Step) -> String {
    format!("{}  {}\n", if step.passed { "passed " } else { "FAILED " }, step.words)
}

/// What has become of those that were there.
fn adopted(before: &PoolView, after: &PoolView) -> String {
    let mut text = String::new();
    let (mut kept, mut gone) = (0, 0);
    for agent in before.agents.iter().filter(|agent| agent.agent.is_some()) {
        let now = after.agents.iter().find(|other| other.vm_id == agent.vm_id && other.agent == agent.agent);
        if now.is_some() {
            kept += 1;
        } else {
            gone += 1;
            text.push_str(&format!(
                "note     {} has gone meanwhile: poolkeeper diagnostics says why\n",
                agent.name
            ));
        }
    }
    text.push_str(&format!("done     {kept} agents are adopted as they are, {gone} have gone meanwhile\n"));
    text
}

#[cfg(test)]
mod tests;
