//! Checks of a world that the file's types cannot express.

use std::collections::BTreeSet;

use super::{ClientSpec, Distribution, Key, OrganizationSpec, ScaleSetSpec, SubnetSpec, WorldSpec};

/// What is wrong in a world file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SpecError {
    /// The path of the field, such as `scaleSets[0].timings.create`.
    pub path: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

impl SpecError {
    pub(super) fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}

/// The parts of a scale set's resource id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SetAddress {
    pub(crate) subscription: String,
    pub(crate) resource_group: String,
    pub(crate) name: String,
}

impl SetAddress {
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let segments: Vec<&str> = id.strip_prefix('/')?.split('/').collect();
        let [subscriptions, subscription, groups, group, providers, provider, kind, name] =
            segments.as_slice()
        else {
            return None;
        };
        let fixed = [
            (subscriptions, "subscriptions"),
            (groups, "resourceGroups"),
            (providers, "providers"),
            (provider, "Microsoft.Compute"),
            (kind, "virtualMachineScaleSets"),
        ];
        let filled = [subscription, group, name].iter().all(|part| !part.is_empty());
        (filled && fixed.iter().all(|(found, wanted)| found.eq_ignore_ascii_case(wanted))).then(|| Self {
            subscription: (*subscription).to_owned(),
            resource_group: (*group).to_owned(),
            name: (*name).to_owned(),
        })
    }
}

impl WorldSpec {
    /// Checks what the types cannot: references, duplicates, bounds.
    ///
    /// # Errors
    /// The first field that is wrong, with its path.
    pub fn check(&self) -> Result<(), SpecError> {
        if self.paging.instances == 0 {
            return Err(SpecError::new("paging.instances", "must be at least 1"));
        }
        let mut clients = BTreeSet::new();
        for (n, client) in self.clients.iter().enumerate() {
            if !clients.insert(client.client_id.to_ascii_lowercase()) {
                return Err(SpecError::new(format!("clients[{n}].clientID"), "is given twice"));
            }
            check_client(client, &format!("clients[{n}]"))?;
        }
        for (n, id) in self.managed_identities.iter().enumerate() {
            if !clients.contains(&id.to_ascii_lowercase()) {
                let path = format!("managedIdentities[{n}]");
                return Err(SpecError::new(path, "must be the clientID of one of clients"));
            }
        }
        let mut organizations = BTreeSet::new();
        for (n, organization) in self.organizations.iter().enumerate() {
            let path = format!("organizations[{n}]");
            if organization.name.is_empty() || organization.name.contains('/') {
                return Err(SpecError::new(
                    format!("{path}.name"),
                    "must be one path segment, such as fabrikam",
                ));
            }
            if !organizations.insert(organization.name.to_ascii_lowercase()) {
                return Err(SpecError::new(format!("{path}.name"), "is given twice"));
            }
            check_organization(organization, &path)?;
        }
        let mut quotas = BTreeSet::new();
        for (n, quota) in self.quotas.iter().enumerate() {
            let place = (quota.subscription_id.to_ascii_lowercase(), quota.location.to_ascii_lowercase());
            if !quotas.insert(place) {
                return Err(SpecError::new(format!("quotas[{n}].location"), "is given twice"));
            }
        }
        let mut sets = BTreeSet::new();
        for (n, set) in self.scale_sets.iter().enumerate() {
            let path = format!("scaleSets[{n}]");
            if !sets.insert(set.resource_id.to_ascii_lowercase()) {
                return Err(SpecError::new(format!("{path}.resourceID"), "is given twice"));
            }
            self.check_set(set, &path)?;
        }
        Ok(())
    }

    fn check_set(&self, set: &ScaleSetSpec, path: &str) -> Result<(), SpecError> {
        if SetAddress::parse(&set.resource_id).is_none() {
            return Err(SpecError::new(
                format!("{path}.resourceID"),
                "must be /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachineScaleSets/<name>",
            ));
        }
        if let Some(quota) = set.quota.filter(|quota| set.capacity > *quota) {
            return Err(SpecError::new(
                format!("{path}.capacity"),
                format!("must not be above the quota of {quota}"),
            ));
        }
        if set.capacity > set.largest() {
            return Err(SpecError::new(
                format!("{path}.capacity"),
                format!("must be at most {}", set.largest()),
            ));
        }
        if let Some(subnet) = &set.subnet {
            check_subnet(subnet, set.capacity, &format!("{path}.subnet"))?;
        }
        let timings = &set.timings;
        check_distributions(
            &format!("{path}.timings"),
            [
                ("create", &timings.create),
                ("register", &timings.register),
                ("reimage", &timings.reimage),
                ("delete", &timings.delete),
            ],
        )?;
        let Some(agents) = &set.agents else { return Ok(()) };
        let Some(organization) =
            self.organizations.iter().find(|o| o.name.eq_ignore_ascii_case(&agents.organization))
        else {
            return Err(SpecError::new(
                format!("{path}.agents.organization"),
                format!("{} is not in organizations", agents.organization),
            ));
        };
        if !organization.pools.iter().any(|pool| pool.name.eq_ignore_ascii_case(&agents.pool)) {
            return Err(SpecError::new(
                format!("{path}.agents.pool"),
                format!("{} is not a pool of {}", agents.pool, organization.name),
            ));
        }
        Ok(())
    }
}

impl ScaleSetSpec {
    /// The most VMs that Azure allows in such a set: 100 in a single placement group, else 1,000.
    pub fn largest(&self) -> u32 {
        if self.model.single_placement_group { 100 } else { 1000 }
    }
}

fn check_subnet(subnet: &SubnetSpec, vms: u32, path: &str) -> Result<(), SpecError> {
    let segments: Vec<String> = subnet.id.split('/').map(str::to_lowercase).collect();
    let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_subnet = matches!(
        parts.as_slice(),
        [
            "",
            "subscriptions",
            _,
            "resourcegroups",
            _,
            "providers",
            "microsoft.network",
            "virtualnetworks",
            _,
            "subnets",
            _
        ]
    );
    if !is_subnet || parts.iter().skip(1).any(|part| part.is_empty()) {
        return Err(SpecError::new(
            format!("{path}.id"),
            "must be /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Network/virtualNetworks/<name>/subnets/<name>",
        ));
    }
    if subnet.used.saturating_add(vms) > subnet.addresses {
        return Err(SpecError::new(
            format!("{path}.addresses"),
            "must be enough for the used ones and the capacity",
        ));
    }
    Ok(())
}

fn check_client(client: &ClientSpec, path: &str) -> Result<(), SpecError> {
    for (n, certificate) in client.certificates.iter().enumerate() {
        Key::read(certificate)
            .map_err(|reason| SpecError::new(format!("{path}.certificates[{n}]"), reason))?;
    }
    for (n, federated) in client.federated.iter().enumerate() {
        let read = federated.keys.as_deref().map(Key::read).transpose();
        read.map_err(|reason| SpecError::new(format!("{path}.federated[{n}].keys"), reason))?;
    }
    Ok(())
}

fn check_organization(organization: &OrganizationSpec, path: &str) -> Result<(), SpecError> {
    if organization.parallel_jobs == Some(0) {
        return Err(SpecError::new(format!("{path}.parallelJobs"), "must be at least 1"));
    }
    if organization.rate_limit.as_ref().is_some_and(|limit| limit.tstu == 0) {
        return Err(SpecError::new(format!("{path}.rateLimit.tstu"), "must be at least 1"));
    }
    let (mut ids, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (n, pool) in organization.pools.iter().enumerate() {
        if !ids.insert(pool.id) {
            return Err(SpecError::new(format!("{path}.pools[{n}].id"), "is given twice"));
        }
        if !names.insert(pool.name.to_lowercase()) {
            return Err(SpecError::new(format!("{path}.pools[{n}].name"), "is given twice"));
        }
    }
    let timings = &organization.timings;
    check_distributions(
        &format!("{path}.timings"),
        [("online", &timings.online), ("offline", &timings.offline), ("receive", &timings.receive)],
    )
}

fn check_distributions<const N: usize>(
    path: &str,
    distributions: [(&str, &Distribution); N],
) -> Result<(), SpecError> {
    for (field, distribution) in distributions {
        distribution.check().map_err(|error| SpecError::new(format!("{path}.{field}"), error.to_string()))?;
    }
    Ok(())
}
