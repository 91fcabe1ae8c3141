//! One pool with its scale set, all of the same name, in a namespace of that name.

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt, api::DeleteParams};
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::{
    eventually,
    ledger::{Entry, Ledger},
    quickstart::{ExampleWorld, Quickstart},
};
use serde_json::{Value, json};

use super::{PATIENCE, Stage, Truth, merge, said};

/// Its AgentPool, ScaleSetBinding, agent pool, scale set and namespace have this name.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) stage: &'a Stage,
    pub(crate) name: &'static str,
}

impl Site<'_> {
    /// `examples/quickstart` under the names of this site, with the simulator's address and tokens; the patches are
    /// merged into the specs of pool and binding. One JSON list of manifests.
    pub(crate) fn manifests(&self, pool: &Value, binding: &Value) -> Result<Value> {
        let world = ExampleWorld::read()?;
        let quickstart = Quickstart::read(&self.stage.simulator, &world, &json!({}))?;
        let mut list: Value = serde_json::from_str(&quickstart.text())?;
        let items = list["items"].as_array_mut().context("the quickstart is no list")?;
        for item in items {
            item["metadata"]["namespace"] = json!(self.name);
            match item["kind"].as_str() {
                Some("AgentPool") => {
                    item["metadata"]["name"] = json!(self.name);
                    item["spec"]["poolName"] = json!(self.name);
                    merge(&mut item["spec"], pool);
                }
                Some("ScaleSetBinding") => {
                    let id = item["spec"]["scaleSet"]["resourceID"].as_str().context("no resourceID")?;
                    let folder = id.rsplit_once('/').context("no path")?.0;
                    item["spec"]["scaleSet"]["resourceID"] = json!(format!("{folder}/{}", self.name));
                    item["metadata"]["name"] = json!(self.name);
                    item["spec"]["poolRef"]["name"] = json!(self.name);
                    merge(&mut item["spec"], binding);
                }
                Some(_) | None => {}
            }
        }
        Ok(list)
    }

    /// Applies [`Self::manifests`], with a patch of the pool's spec.
    pub(crate) async fn apply(&self, pool: &Value) -> Result<()> {
        self.apply_with(pool, &json!({})).await
    }

    /// Applies [`Self::manifests`].
    pub(crate) async fn apply_with(&self, pool: &Value, binding: &Value) -> Result<()> {
        self.stage.namespace(self.name).await?;
        self.stage.control_plane.apply(&self.manifests(pool, binding)?.to_string()).await
    }

    /// Runs kubectl in the site's namespace and returns its output.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", self.name];
        all.extend(arguments);
        self.stage.kubectl(&all).await
    }

    /// Runs kubectl in the site's namespace; it must fail, and what it wrote to stderr is returned.
    pub(crate) async fn kubectl_fails(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", self.name];
        all.extend(arguments);
        let output = self.stage.control_plane.kubectl(&all).await?;
        ensure!(!output.status.success(), "kubectl {}: it did not fail", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    pub(crate) fn pools(&self) -> Api<AgentPool> {
        Api::namespaced(self.stage.admin.clone(), self.name)
    }

    pub(crate) fn bindings(&self) -> Api<ScaleSetBinding> {
        Api::namespaced(self.stage.admin.clone(), self.name)
    }

    pub(crate) async fn pool(&self) -> Result<AgentPool> {
        Ok(self.pools().get(self.name).await?)
    }

    pub(crate) async fn binding(&self) -> Result<ScaleSetBinding> {
        Ok(self.bindings().get(self.name).await?)
    }

    /// Asks for the pool's deletion, and does not wait for it.
    pub(crate) async fn delete_pool(&self) -> Result<()> {
        self.pools().delete(self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Asks for the binding's deletion, and does not wait for it.
    pub(crate) async fn delete_binding(&self) -> Result<()> {
        self.bindings().delete(self.name, &DeleteParams::default()).await?;
        Ok(())
    }

    /// Waits until the pool has a condition that begins so: `Ready=True/Managed: in control`.
    pub(crate) async fn pool_says(&self, wanted: &str) -> Result<()> {
        self.pool_with(&format!("pool {} says {wanted}", self.name), |pool| {
            let found = words(pool.status.iter().flat_map(|status| &status.conditions));
            found.iter().any(|condition| condition.starts_with(wanted))
        })
        .await
        .map(drop)
    }

    /// Waits until the binding has a condition that begins so: `Claimed=True/Claimed`.
    pub(crate) async fn binding_says(&self, wanted: &str) -> Result<()> {
        let what = format!("binding {} says {wanted}", self.name);
        eventually(&what, PATIENCE, async || {
            let binding = self.binding().await?;
            let found = words(binding.status.iter().flat_map(|status| &status.conditions));
            let fits = found.iter().any(|condition| condition.starts_with(wanted));
            ensure!(fits, "{found:#?}");
            Ok(Some(()))
        })
        .await
    }

    /// Waits until the pool is as wanted, and returns it.
    pub(crate) async fn pool_with(&self, what: &str, fits: impl Fn(&AgentPool) -> bool) -> Result<AgentPool> {
        eventually(what, PATIENCE, async || {
            let pool = self.pool().await?;
            ensure!(
                fits(&pool),
                "{}",
                serde_json::to_string_pretty(&json!({"spec": pool.spec, "status": pool.status}))?
            );
            Ok(Some(pool))
        })
        .await
    }

    /// Waits until its AgentPool is gone.
    pub(crate) async fn pool_is_gone(&self) -> Result<()> {
        eventually(&format!("pool {} is gone", self.name), PATIENCE, async || {
            match self.pools().get_opt(self.name).await? {
                None => Ok(Some(())),
                Some(pool) => anyhow::bail!("finalizers {:?}, {:?}", pool.finalizers(), pool.status),
            }
        })
        .await
    }

    pub(crate) async fn binding_is_gone(&self) -> Result<()> {
        eventually(&format!("binding {} is gone", self.name), PATIENCE, async || {
            match self.bindings().get_opt(self.name).await? {
                None => Ok(Some(())),
                Some(binding) => anyhow::bail!("finalizers {:?}, {:?}", binding.finalizers(), binding.status),
            }
        })
        .await
    }

    /// Queues a job; its request id.
    pub(crate) async fn queue_job(&self, minutes: i64) -> Result<u64> {
        self.stage.clouds.queue_job(self.name, SignedDuration::from_mins(minutes)).await
    }

    /// Scale set and agent pool as they really are.
    pub(crate) async fn truth(&self) -> Result<Truth> {
        self.stage.clouds.truth(self.name).await
    }

    /// Waits until the world is as wanted, and returns it.
    pub(crate) async fn truth_with(&self, what: &str, fits: impl Fn(&Truth) -> bool) -> Result<Truth> {
        eventually(&format!("{}: {what}", self.name), PATIENCE, async || {
            let truth = self.truth().await?;
            ensure!(fits(&truth), "{truth:#?}");
            Ok(Some(truth))
        })
        .await
    }

    /// Waits for so many idle and busy agents, and no VM beside theirs.
    pub(crate) async fn settles_at(&self, idle: u64, busy: u64) -> Result<Truth> {
        self.truth_with(&format!("{idle} idle and {busy} busy agents"), |truth| {
            let vms = u64::try_from(truth.vms.len()).unwrap_or(u64::MAX);
            (truth.idle, truth.busy, vms, truth.capacity) == (idle, busy, idle + busy, idle + busy)
        })
        .await
    }

    /// What has happened to this scale set and agent pool, oldest first.
    pub(crate) async fn journal(&self) -> Result<Vec<Entry>> {
        let mut all = self.stage.clouds.journal(0).await?;
        all.retain(|entry| entry.place == self.name);
        Ok(all)
    }

    /// What has happened, added up.
    pub(crate) async fn ledger(&self) -> Result<Ledger> {
        let mut ledger = Ledger::default();
        ledger.read(&self.journal().await?, |_, _| {});
        Ok(ledger)
    }

    /// Fails unless every job of the site has run to its end.
    pub(crate) async fn every_job_succeeded(&self, jobs: u64) -> Result<()> {
        let ledger = self.ledger().await?;
        let found = (ledger.queued(), ledger.succeeded(), ledger.killed());
        ensure!(found == (jobs, jobs, 0), "{}: queued, succeeded, killed: {found:?}", self.name);
        Ok(())
    }
}

/// `type=status/reason: message` of each condition.
pub(crate) fn words<'a>(conditions: impl IntoIterator<Item = &'a Condition>) -> Vec<String> {
    let words = |c: &Condition| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message);
    conditions.into_iter().map(words).collect()
}
