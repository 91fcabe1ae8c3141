//! The instances of a scale set. With Uniform orchestration they are below the set, and are changed many at once; with
//! Flexible orchestration each is a VM of its own, known by its name.

use crate::id::{InstanceId, InstanceIds, ScaleSetId};
use crate::model::{Instance, Machine, OrchestrationMode};
use crate::operation::Started;
use crate::scale_sets::{API_VERSION, ScaleSets};
use poolkeeper_rest::{Answer, Class, Error, Method, Operation, Reply, Request, Url};
use serde_json::json;
use std::collections::HashSet;

const EXPAND: (&str, &str) = ("$expand", "instanceView");

impl ScaleSets {
    /// Reads all instances with their states. One failed page fails the whole list.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Unexpected`] where a page leads to another origin, or `mode` is not known.
    pub async fn list_instances(
        &self,
        id: &ScaleSetId,
        mode: &OrchestrationMode,
    ) -> Result<Answer<Vec<Instance>>, Error> {
        let instances: Answer<Vec<Instance>> = match mode {
            OrchestrationMode::Uniform => self.pages(self.url(id, &["virtualMachines"], &[EXPAND])).await?,
            OrchestrationMode::Flexible => {
                let filter = format!("'virtualMachineScaleSet/id' eq '{id}'");
                let url = self.machine_url(id, None, &[("$filter", &filter), EXPAND]);
                let machines: Answer<Vec<Machine>> = self.pages(url).await?;
                machines.map(|machines| members(machines, id).collect())
            }
            OrchestrationMode::Other(mode) => return Err(unknown(self.url(id, &[], &[]), mode)),
        };
        // An instance may move to a later page while the list is read.
        let mut known = HashSet::new();
        Ok(instances.map(|mut instances| {
            instances.retain(|instance| known.insert(instance.id.clone()));
            instances
        }))
    }

    /// Reads one instance with its state.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] also where the VM of this name is not of this set,
    /// [`Class::Unexpected`] where `mode` is not known.
    pub async fn get_instance(
        &self,
        id: &ScaleSetId,
        mode: &OrchestrationMode,
        instance: &InstanceId,
    ) -> Result<Answer<Instance>, Error> {
        match mode {
            OrchestrationMode::Uniform => {
                let url = self.url(id, &["virtualMachines", instance.as_str()], &[EXPAND]);
                self.send(Request::new(Method::GET, url, Operation::Get), Reply::json).await
            }
            OrchestrationMode::Flexible => {
                let url = self.machine_url(id, Some(instance), &[EXPAND]);
                let request = Request::new(Method::GET, url, Operation::Get);
                let foreign = request.error(Class::NotFound).because("the VM is not of this scale set");
                let answer: Answer<Machine> = self.send(request, Reply::json).await?;
                if is_member(&answer.value, id) {
                    Ok(answer.map(|machine| machine.instance))
                } else {
                    Err(foreign)
                }
            }
            OrchestrationMode::Other(mode) => Err(unknown(self.url(id, &[], &[]), mode)),
        }
    }

    /// Deletes instances (Uniform orchestration); the capacity falls with them.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Conflict`] while another deletion or change of capacity runs.
    pub async fn delete_instances(&self, id: &ScaleSetId, instances: &InstanceIds) -> Result<Started, Error> {
        self.act(id, "delete", instances, Operation::Delete).await
    }

    /// Puts the system disks of instances back to their image (Uniform orchestration).
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn reimage_instances(
        &self,
        id: &ScaleSetId,
        instances: &InstanceIds,
    ) -> Result<Started, Error> {
        self.act(id, "reimage", instances, Operation::Update).await
    }

    /// Deletes one VM (Flexible orchestration), which lies in the resource group of its set. Nothing here checks that
    /// it is of the set: read it first.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn delete_machine(&self, id: &ScaleSetId, machine: &InstanceId) -> Result<Started, Error> {
        let url = self.machine_url(id, Some(machine), &[]);
        self.start(Request::new(Method::DELETE, url, Operation::Delete)).await
    }

    /// Puts the system disk of one VM back to its image (Flexible orchestration). Azure does so for ephemeral disks
    /// only. As with [`ScaleSets::delete_machine`], nothing checks that the VM is of the set.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn reimage_machine(&self, id: &ScaleSetId, machine: &InstanceId) -> Result<Started, Error> {
        let mut url = self.machine_url(id, Some(machine), &[]);
        // http and https addresses always have path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.push("reimage");
        }
        self.start(Request::new(Method::POST, url, Operation::Update).json(json!({}))).await
    }

    async fn act(
        &self,
        id: &ScaleSetId,
        action: &str,
        instances: &InstanceIds,
        operation: Operation,
    ) -> Result<Started, Error> {
        let ids: Vec<&str> = instances.as_slice().iter().map(InstanceId::as_str).collect();
        let request = Request::new(Method::POST, self.url(id, &[action], &[]), operation)
            .json(json!({ "instanceIds": ids }));
        self.start(request).await
    }

    /// The VMs of the set's resource group, or one of them.
    fn machine_url(&self, id: &ScaleSetId, machine: Option<&InstanceId>, query: &[(&str, &str)]) -> Url {
        let group = ["subscriptions", id.subscription(), "resourceGroups", id.resource_group()];
        let below = ["providers", "Microsoft.Compute", "virtualMachines"];
        let segments = group.into_iter().chain(below).chain(machine.map(InstanceId::as_str));
        let query: Vec<_> = [("api-version", API_VERSION)].into_iter().chain(query.iter().copied()).collect();
        self.client.url(segments, &query)
    }
}

/// Without those of another set, and those that do not say of which they are: what may not be ours is not touched.
pub(crate) fn members(machines: Vec<Machine>, id: &ScaleSetId) -> impl Iterator<Item = Instance> {
    machines.into_iter().filter(|machine| is_member(machine, id)).map(|machine| machine.instance)
}

fn is_member(machine: &Machine, id: &ScaleSetId) -> bool {
    machine.scale_set.as_deref().is_some_and(|set| id.is(set))
}

fn unknown(url: Url, mode: &str) -> Error {
    Request::new(Method::GET, url, Operation::Get).error(Class::Unexpected).because(format!(
        "the orchestration mode {mode:?} is not known here; use a scale set with Uniform or Flexible orchestration, or \
         a newer poolkeeper"
    ))
}
