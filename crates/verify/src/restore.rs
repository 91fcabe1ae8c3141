//! Puts everything back, whatever the run did before it ended.

use std::time::Duration;

use poolkeeper_rest::Method;
use serde_json::{Value, json};

use crate::{
    CallError,
    instances::new,
    reads::text,
    trial::{BEFORE_LIST, BEFORE_POLL, BEFORE_WRITE, Trial, chain},
};

/// Rounds until VMs of this run must be gone: about half an hour.
const ROUNDS: u32 = 60;

/// The version of the tags interface: <https://learn.microsoft.com/rest/api/resources/tags>.
const TAGS_VERSION: (&str, &str) = ("api-version", "2022-09-01");

impl<W: AsyncFn(Duration)> Trial<W> {
    /// What could not be put back, each in a sentence; nothing where all was.
    pub(crate) async fn restore(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        if let Err(error) = self.restore_instances().await {
            left.push(format!("instances and capacity: {}", chain(&error)));
        }
        if let Err(error) = self.restore_tags().await {
            left.push(format!("tags: {}", chain(&error)));
        }
        if let Err(error) = self.restore_agents().await {
            left.push(format!("agents: {}", chain(&error)));
        }
        left
    }

    /// The set is a scratch set: an instance that was not there before is this run's.
    async fn restore_instances(&mut self) -> Result<(), CallError> {
        let flexible = self.start.set.flexible;
        let before = self.start.vms.clone();
        for _ in 0..ROUNDS {
            let now = self.list(BEFORE_LIST).await?.vms;
            let listed = now.len();
            let extra = new(&before, now);
            if extra.is_empty() {
                if listed != before.len() {
                    let seen = "without one that was there before".to_owned();
                    return Err(CallError::Answer { what: "the list of instances", seen });
                }
                if self.set().await?.capacity == self.start.set.capacity {
                    return Ok(());
                }
                self.level().await?;
                continue;
            }
            self.names.extend(extra.iter().map(|vm| vm.computer_name.clone()));
            for vm in extra.iter().filter(|vm| !vm.is_leaving()) {
                self.release(&vm.computer_name).await?;
                let seen = self.azure(BEFORE_WRITE, self.site.delete(flexible, &vm.id)).await?;
                if seen.is_success() {
                    // Whether it fails shows in the next list.
                    let _ended = self.settle(&seen).await;
                }
            }
            self.wait(BEFORE_POLL).await;
        }
        Err(CallError::Answer {
            what: "the list of instances",
            seen: "still with VMs of this run".to_owned(),
        })
    }

    async fn restore_tags(&mut self) -> Result<(), CallError> {
        let wanted = self.start.set.tags.clone();
        if self.set().await?.tags == wanted {
            return Ok(());
        }
        let seen = self.patch(json!({"tags": wanted}), None).await?.must("PATCH of the tags")?;
        self.settle(&seen).await?;
        let now = self.set().await?.tags;
        let extra: Vec<_> = now.iter().filter(|(name, _)| !wanted.contains_key(*name)).collect();
        if !extra.is_empty() {
            // Tags that a PATCH of the set merges are deleted by name.
            let tags: serde_json::Map<String, Value> =
                extra.into_iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            let path = format!("{}/providers/Microsoft.Resources/tags/default", self.site.set.as_str());
            let body = json!({"operation": "Delete", "properties": {"tags": tags}});
            let call = self.site.azure.call(Method::PATCH, &path, &[TAGS_VERSION]).json(body);
            let seen = self.azure(BEFORE_WRITE, call).await?.must("deletion of the tags")?;
            if seen.header("azure-asyncoperation").is_some() {
                self.settle(&seen).await?;
            }
        }
        if self.set().await?.tags == wanted {
            return Ok(());
        }
        let seen = "with other tags than before; remove poolkeeper-verify-* but poolkeeper-verify".to_owned();
        Err(CallError::Answer { what: "GET of the scale set", seen })
    }

    /// Agents of this run, and of VMs of this run.
    async fn restore_agents(&mut self) -> Result<(), CallError> {
        let pool = self.start.pool;
        for _ in 0..2 {
            let call = self.site.all_agents(pool);
            let all = self.devops(call).await?.must("the list of agents")?;
            let mine: Vec<u64> = all
                .list()
                .into_iter()
                .flatten()
                .filter(|agent| {
                    let name = text(agent, "/name");
                    name.to_lowercase().starts_with(&self.marker)
                        || self.names.iter().any(|computer| computer.eq_ignore_ascii_case(name))
                })
                .filter_map(|agent| agent.pointer("/id").and_then(Value::as_u64))
                .filter(|id| !self.start.agents.contains(id))
                .collect();
            if mine.is_empty() {
                return Ok(());
            }
            for id in mine {
                let path = format!("{pool}/agents/{id}");
                let seen = self.devops(self.site.of_pools(Method::DELETE, &path, &[])).await?;
                if seen.status != 404 {
                    seen.must("DELETE of an agent")?;
                }
            }
        }
        let seen = format!("with agents of this run; delete those that begin with {}", self.marker);
        Err(CallError::Answer { what: "the list of agents", seen })
    }
}
