//! The world of the faults: each row and mode has a pool, a scale set, a subscription and an organisation of its own.

use serde_json::{Value, json};

use crate::table::{Place, Row};

const TOKEN: &str = "pat-52d0c9e7";
const CLIENT_SECRET: &str = "client-secret-98e4f1b0";
const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const NAMESPACE: &str = "ci";

/// Who manages the VMs, and what becomes of one that has run its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Uniform,
    FlexibleReimage,
    FlexibleReplace,
}

impl Mode {
    pub(crate) fn orchestration(self) -> &'static str {
        match self {
            Self::Uniform => "Uniform",
            Self::FlexibleReimage | Self::FlexibleReplace => "Flexible",
        }
    }

    pub(crate) fn recycle(self) -> &'static str {
        match self {
            Self::Uniform | Self::FlexibleReimage => "Reimage",
            Self::FlexibleReplace => "Replace",
        }
    }
}

/// One row in one mode, or a pool without a fault.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    /// Of its AgentPool, binding, scale set, organisation, and pool there.
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) may_leave_records: bool,
    number: usize,
}

impl Site {
    fn subscription(&self) -> String {
        format!("00000000-1111-2222-3333-{:012}", self.number)
    }

    fn resource_id(&self) -> String {
        let Self { name, .. } = self;
        let subscription = self.subscription();
        format!(
            "/subscriptions/{subscription}/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
        )
    }

    /// AgentPool and ScaleSetBinding.
    pub(crate) fn manifests(&self, simulator: &str, standby: u64, most: u32) -> [Value; 2] {
        let Self { name, mode, .. } = self;
        let object = |kind: &str, spec: &Value| {
            let metadata = json!({"name": name, "namespace": NAMESPACE});
            json!({"apiVersion": "poolkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
        };
        let pool = json!({
            "organization": {
                "url": format!("{simulator}/{name}"),
                "credentials": {"type": "PersonalAccessToken", "secretRef": {"name": "azure-devops"}},
            },
            "poolName": name, "maxAgents": most, "standby": {"agents": standby},
            "scaleIn": {"idleDelay": "0s"},
            "lifecycle": {"stateless": {"recycle": mode.recycle()}},
            // All records are agents of VMs.
            "routing": {"placeholderAgents": "Never"},
        });
        let credentials = json!({
            "type": "ServicePrincipal", "tenantID": TENANT, "clientID": CLIENT, "secretRef": {"name": "azure"},
        });
        let binding = json!({
            "poolRef": {"name": name}, "scaleSet": {"resourceID": self.resource_id()},
            "credentials": credentials, "agentBootstrap": {"type": "External"},
        });
        [object("AgentPool", &pool), object("ScaleSetBinding", &binding)]
    }
}

/// A site for each row and orchestration; on Flexible every other row replaces its VMs.
pub(crate) fn of_rows(rows: Vec<Row>) -> Vec<(Row, Site)> {
    let flexible = [Mode::FlexibleReimage, Mode::FlexibleReplace];
    let both = |(index, row): (usize, Row)| {
        let site = |mode: Mode, offset| Site {
            name: format!("{}-{}", row.name, mode.orchestration().to_lowercase()),
            mode,
            may_leave_records: row.may_leave_records,
            number: 2 * index + offset,
        };
        let other = flexible.get(index % 2).copied().unwrap_or(Mode::Uniform);
        let modes = match row.place {
            Place::ScaleSet | Place::Organization => vec![site(Mode::Uniform, 1), site(other, 2)],
            Place::Everywhere => vec![site(other, 2)],
        };
        modes.into_iter().map(move |site| (row.clone(), site)).collect::<Vec<_>>()
    };
    rows.into_iter().enumerate().flat_map(both).collect()
}

/// The pool that nothing is wrong with.
pub(crate) fn healthy() -> Site {
    Site { name: "healthy".into(), mode: Mode::Uniform, may_leave_records: false, number: 0 }
}

/// Namespace and Secrets.
pub(crate) fn shared() -> Vec<Value> {
    let secret = |name: &str, key: &str, value: &str| {
        let metadata = json!({"name": name, "namespace": NAMESPACE});
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {key: value}})
    };
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
        secret("azure-devops", "token", TOKEN),
        secret("azure", "clientSecret", CLIENT_SECRET),
    ]
}

/// VMs start in half a minute, so that a row does not take long.
pub(crate) fn world<'a>(sites: impl Iterator<Item = &'a Site> + Clone) -> Value {
    let set = |site: &Site| {
        json!({
            "resourceID": site.resource_id(), "orchestration": site.mode.orchestration(),
            "computerNamePrefix": format!("{}-", site.name), "model": {"ephemeralOSDisk": true},
            "timings": {"create": "20s", "register": "5s", "reimage": "20s", "delete": "10s"},
            "agents": {"organization": site.name, "pool": site.name, "run": "Once"},
        })
    };
    let organization = |site: &Site| {
        let timings = json!({"online": "3s", "offline": "10s", "receive": "2s"});
        let pools = json!([{"id": 44, "name": site.name}]);
        json!({"name": site.name, "tokens": [{"value": TOKEN}], "pools": pools, "timings": timings})
    };
    let subscriptions: Vec<String> = sites.clone().map(Site::subscription).collect();
    json!({
        "clients": [
            {"tenantID": TENANT, "clientID": CLIENT, "secret": CLIENT_SECRET, "subscriptions": subscriptions},
        ],
        "scaleSets": sites.clone().map(set).collect::<Vec<_>>(),
        "organizations": sites.map(organization).collect::<Vec<_>>(),
    })
}
