//! The scale set and its VMs, in both orchestration modes.

use std::collections::BTreeMap;

use poolkeeper_azure::{API_VERSION, ScaleSetId};
use poolkeeper_rest::Method;
use serde_json::{Value, json};

use crate::{
    CallError,
    call::{Call, Seen, Service},
};

const VERSION: (&str, &str) = ("api-version", API_VERSION);

/// More pages than two VMs can have; bounds a list whose links never end.
const MAX_PAGES: usize = 10;

/// Both clouds, and the scale set.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) azure: Service,
    pub(crate) devops: Service,
    pub(crate) set: ScaleSetId,
}

/// What a run needs of the scale set.
#[derive(Clone, Debug)]
pub(crate) struct SetView {
    pub(crate) flexible: bool,
    pub(crate) ephemeral: bool,
    pub(crate) location: String,
    pub(crate) prefix: String,
    pub(crate) provisioning: String,
    pub(crate) sku: Value,
    pub(crate) capacity: u64,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) etag: Option<String>,
}

impl SetView {
    pub(crate) fn of(seen: &Seen) -> Self {
        let text = |pointer| seen.text(pointer).unwrap_or_default().to_owned();
        let tags = seen.json.pointer("/tags").and_then(Value::as_object);
        let tags = tags.into_iter().flatten();
        Self {
            flexible: text("/properties/orchestrationMode").eq_ignore_ascii_case("flexible"),
            ephemeral: text(
                "/properties/virtualMachineProfile/storageProfile/osDisk/diffDiskSettings/option",
            )
            .eq_ignore_ascii_case("local"),
            location: text("/location"),
            prefix: text("/properties/virtualMachineProfile/osProfile/computerNamePrefix"),
            provisioning: text("/properties/provisioningState"),
            sku: seen.json.pointer("/sku").cloned().unwrap_or(Value::Null),
            capacity: seen.json.pointer("/sku/capacity").and_then(Value::as_u64).unwrap_or(u64::MAX),
            tags: tags.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect(),
            etag: seen.text("/etag").or_else(|| seen.header("etag")).map(str::to_owned),
        }
    }
}

/// A VM of the scale set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Vm {
    /// The instance id; a Flexible VM's name.
    pub(crate) id: String,
    pub(crate) vm_id: String,
    pub(crate) computer_name: String,
    pub(crate) state: String,
    pub(crate) created: String,
}

impl Vm {
    pub(crate) fn of(value: &Value) -> Option<Self> {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        Some(Self {
            id: text("/instanceId").or_else(|| text("/name"))?.to_owned(),
            vm_id: text("/properties/vmId").unwrap_or_default().to_owned(),
            computer_name: text("/properties/osProfile/computerName").unwrap_or_default().to_owned(),
            state: text("/properties/provisioningState").unwrap_or_default().to_owned(),
            created: text("/properties/timeCreated").unwrap_or_default().to_owned(),
        })
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.state.eq_ignore_ascii_case("deleting")
    }
}

/// All VMs, and the links between the pages that they came on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) vms: Vec<Vm>,
    pub(crate) links: Vec<String>,
}

impl Site {
    /// A call of the scale set, or of what is below it.
    pub(crate) fn of_set(&self, method: Method, below: &str) -> Call {
        self.azure.call(method, &format!("{}/{below}", self.set.as_str()), &[VERSION])
    }

    /// A call of an instance, or of what is below it.
    pub(crate) fn of_vm(&self, method: Method, flexible: bool, id: &str, below: &str) -> Call {
        if flexible {
            let path = format!("{}/{id}/{below}", self.machines());
            return self.azure.call(method, &path, &[VERSION]);
        }
        self.of_set(method, &format!("virtualMachines/{id}/{below}"))
    }

    /// A Flexible set's VMs are the resource group's.
    fn machines(&self) -> String {
        let (subscription, group) = (self.set.subscription(), self.set.resource_group());
        format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachines"
        )
    }

    pub(crate) fn delete(&self, flexible: bool, id: &str) -> Call {
        if flexible {
            return self.of_vm(Method::DELETE, flexible, id, "");
        }
        self.of_set(Method::POST, "delete").json(json!({"instanceIds": [id]}))
    }

    pub(crate) fn reimage(&self, flexible: bool, id: &str) -> Call {
        if flexible {
            return self.of_vm(Method::POST, flexible, id, "reimage");
        }
        self.of_set(Method::POST, "reimage").json(json!({"instanceIds": [id]}))
    }

    /// The first page of the set's VMs. `quoted` writes the left side of a Flexible set's filter as Microsoft's
    /// clients do.
    pub(crate) fn list_call(&self, flexible: bool, quoted: bool) -> Call {
        if !flexible {
            let path = format!("{}/virtualMachines", self.set.as_str());
            return self.azure.call(Method::GET, &path, &[("$expand", "instanceView"), VERSION]);
        }
        let left = if quoted { "'virtualMachineScaleSet/id'" } else { "virtualMachineScaleSet/id" };
        let filter = format!("{left} eq '{}'", self.set.as_str());
        let query = [("$filter", filter.as_str()), ("$expand", "instanceView"), VERSION];
        self.azure.call(Method::GET, &self.machines(), &query)
    }

    /// All VMs of the set, whatever host its links name; `send` makes the calls.
    pub(crate) async fn list(
        &self,
        flexible: bool,
        send: impl AsyncFn(Call) -> Result<Seen, CallError>,
    ) -> Result<Listing, CallError> {
        let mut seen = send(self.list_call(flexible, true)).await?;
        if flexible && !seen.is_success() {
            seen = send(self.list_call(flexible, false)).await?;
        }
        let mut listing = Listing::default();
        for _ in 0..MAX_PAGES {
            seen = seen.must("the list of instances")?;
            let Some(page) = seen.list() else { break };
            listing.vms.extend(page.iter().filter(|vm| !flexible || self.is_member(vm)).filter_map(Vm::of));
            let Some(link) = seen.text("/nextLink").map(str::to_owned) else { return Ok(listing) };
            let next = self.azure.follow_here(&link);
            listing.links.push(link);
            let Some(next) = next else { break };
            seen = send(next).await?;
        }
        Err(CallError::Answer { what: "the list of instances", seen: "as no list that ends".to_owned() })
    }

    fn is_member(&self, vm: &Value) -> bool {
        let set = vm.pointer("/properties/virtualMachineScaleSet/id").and_then(Value::as_str);
        set.is_some_and(|set| set.eq_ignore_ascii_case(self.set.as_str()))
    }

    /// A call of the organisation's agent pools.
    pub(crate) fn of_pools(&self, method: Method, below: &str, query: &[(&str, &str)]) -> Call {
        let query = [query, &[("api-version", "7.1")]].concat();
        self.devops.call(method, &format!("_apis/distributedtask/pools/{below}"), &query)
    }

    /// All agents of a pool, with what they can show.
    pub(crate) fn all_agents(&self, pool: u64) -> Call {
        let query = [
            ("includeCapabilities", "true"),
            ("includeAssignedRequest", "true"),
            ("includeLastCompletedRequest", "true"),
        ];
        self.of_pools(Method::GET, &format!("{pool}/agents"), &query)
    }

    /// The pool's job requests, as poolkeeper asks for them but for the version.
    pub(crate) fn job_requests(&self, pool: u64, unfinished: bool, version: &str) -> Call {
        let path = format!("_apis/distributedtask/pools/{pool}/jobrequests");
        let version = ("api-version", version);
        if unfinished {
            return self.devops.call(Method::GET, &path, &[("completedRequestCount", "0"), version]);
        }
        self.devops.call(Method::GET, &path, &[version])
    }
}
