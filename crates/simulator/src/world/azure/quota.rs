//! Quotas of cores, of a subscription in a region and of single scale sets, and the space of subnets.

use super::{AzureError, QuotaExceeded};
use crate::world::{AzureFault, ScaleSet, SetRef, Stage, World};

/// The use of a quota, as Azure lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// `name.value`
    pub name: String,
    /// `name.localizedValue`
    pub title: String,
    /// What is in use.
    pub used: u32,
    /// The most.
    pub limit: u32,
}

/// A subnet's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetUsage {
    /// The subnet.
    pub id: String,
    /// Addresses in use.
    pub used: u32,
    /// Addresses that there are.
    pub limit: u32,
}

/// More than any world has: what an unlimited quota shows.
const UNLIMITED: u32 = 1_000_000;

/// VMs of a region that Azure allows a subscription unless it is raised.
const MOST_VMS: u32 = 25_000;

impl World {
    /// Sets or lifts a region's quota of cores.
    pub fn set_region_quota(&mut self, subscription: &str, location: &str, cores: Option<u32>) {
        let place = (subscription.to_ascii_lowercase(), location.to_ascii_lowercase());
        match cores {
            Some(cores) => {
                self.quotas.insert(place, cores);
            }
            None => {
                self.quotas.remove(&place);
            }
        }
    }

    /// The world file counts a scale set's own quota in VMs.
    pub(in crate::world) fn start_quota(&mut self, set: SetRef) {
        if let Some(found) = self.sets.get_mut(set.0) {
            found.quota = found.spec.quota.map(|vms| vms.saturating_mul(found.cores_per_vm()));
        }
    }

    /// Sets or lifts a scale set's own quota of cores.
    pub fn set_quota(&mut self, set: SetRef, cores: Option<u32>) {
        if let Some(found) = self.sets.get_mut(set.0) {
            found.quota = cores;
        }
    }

    /// The quotas of a subscription in a region: its cores and VMs, and a row for each scale set with a quota of its
    /// own.
    pub fn usages(&self, subscription: &str, location: &str) -> Vec<Usage> {
        let vms = self.sets_in(subscription, location).map(|(_, set)| set.listed()).sum();
        let mut rows = vec![
            Usage {
                name: "cores".into(),
                title: "Total Regional vCPUs".into(),
                used: self.region_cores(subscription, location),
                limit: self.region_quota(subscription, location).unwrap_or(UNLIMITED),
            },
            Usage {
                name: "virtualMachines".into(),
                title: "Virtual Machines".into(),
                used: vms,
                limit: MOST_VMS,
            },
        ];
        rows.extend(self.sets_in(subscription, location).filter_map(|(reference, set)| {
            Some(Usage {
                name: format!("{}Family", set.name()),
                title: format!("{} Family vCPUs", set.name()),
                used: set.cores(),
                limit: self.own_quota(reference)?,
            })
        }));
        rows
    }

    /// VMs that quotas still allow a scale set; none where nothing bounds it.
    pub fn headroom(&self, set: SetRef) -> Option<u32> {
        let per_vm = self.sets.get(set.0)?.cores_per_vm();
        let fault = self.shortages(set, Stage::Call).find(|shortage| shortage.kind == AzureFault::Quota);
        let free = |quota: QuotaExceeded| quota.limit.saturating_sub(quota.usage).checked_div(per_vm);
        let quotas = self.quotas_of(set).into_iter().filter_map(free);
        quotas.chain(fault.map(|shortage| shortage.room)).min()
    }

    /// The subnets of a virtual network that scale sets of the world lie in.
    pub fn subnet_usages(&self, network: &str) -> Vec<SubnetUsage> {
        let mut rows: Vec<SubnetUsage> = Vec::new();
        let prefix = format!("{}/subnets/", network.to_ascii_lowercase());
        for set in &self.sets {
            let Some(subnet) = &set.spec.subnet else { continue };
            let known = rows.iter().any(|row| row.id.eq_ignore_ascii_case(&subnet.id));
            if !known && subnet.id.to_ascii_lowercase().starts_with(&prefix) {
                rows.push(self.subnet_usage(set).unwrap_or_else(|| SubnetUsage {
                    id: subnet.id.clone(),
                    used: subnet.used,
                    limit: subnet.addresses,
                }));
            }
        }
        rows
    }

    /// Whether quotas, subnet and faults that show in the call let so many more VMs come.
    pub(super) fn check_room(&self, set: SetRef, more: u32) -> Result<(), AzureError> {
        let found = self.sets.get(set.0).ok_or(AzureError::NotFound)?;
        if let Some(shortage) = self.shortages(set, Stage::Call).find(|shortage| shortage.room < more) {
            return Err(self.say(set, shortage.kind, more));
        }
        for quota in self.quotas_of(set) {
            let required = found.cores_per_vm().saturating_mul(more);
            if quota.usage.saturating_add(required) > quota.limit {
                return Err(QuotaExceeded { required, ..quota }.into());
            }
        }
        match self.subnet_usage(found) {
            Some(subnet) if subnet.used.saturating_add(more) > subnet.limit => {
                Err(self.say(set, AzureFault::SubnetFull, more))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Wants of machines at a stage.
    pub(super) fn shortages(&self, set: SetRef, stage: Stage) -> impl Iterator<Item = Shortage> {
        let listed = self.sets.get(set.0).map_or(0, ScaleSet::listed);
        self.faults.azure(set, self.now).filter_map(move |trouble| {
            let shows = trouble.stage.filter(|_| trouble.kind.usual_stage().is_some());
            (shows.or(trouble.kind.usual_stage()) == Some(stage)).then(|| Shortage {
                kind: trouble.kind,
                // A quota fault carries the number of VMs that it bounds the set to.
                room: if trouble.kind == AzureFault::Quota {
                    trouble.allows.saturating_sub(listed)
                } else {
                    trouble.allows
                },
            })
        })
    }

    /// What Azure says about a want of machines.
    pub(super) fn say(&self, set: SetRef, kind: AzureFault, more: u32) -> AzureError {
        let Some(found) = self.sets.get(set.0) else { return AzureError::NotFound };
        match kind.shortage(&found.sku, &found.spec.location, more) {
            Some(error) => AzureError::Shortage(error),
            None => QuotaExceeded {
                required: found.cores_per_vm().saturating_mul(more),
                ..self.own_quota_of(set, found)
            }
            .into(),
        }
    }

    fn quotas_of(&self, set: SetRef) -> Vec<QuotaExceeded> {
        let Some(found) = self.sets.get(set.0) else { return Vec::new() };
        let (subscription, location) = (&found.address.subscription, &found.spec.location);
        let mut all = Vec::new();
        if found.quota.is_some() {
            all.push(QuotaExceeded {
                limit: found.quota.unwrap_or(UNLIMITED),
                ..self.own_quota_of(set, found)
            });
        }
        if let Some(limit) = self.region_quota(subscription, location) {
            all.push(QuotaExceeded {
                name: "Total Regional Cores".into(),
                location: location.clone(),
                limit,
                usage: self.region_cores(subscription, location),
                required: 0,
            });
        }
        all
    }

    /// A scale set's own quota, as if its size were a family of its own.
    fn own_quota_of(&self, set: SetRef, found: &ScaleSet) -> QuotaExceeded {
        QuotaExceeded {
            name: format!("{} Family Cores", found.name()),
            location: found.spec.location.clone(),
            limit: self.own_quota(set).unwrap_or(UNLIMITED),
            usage: found.cores(),
            required: 0,
        }
    }

    /// The cores that a scale set may have by its own quota, or by a fault.
    fn own_quota(&self, set: SetRef) -> Option<u32> {
        let found = self.sets.get(set.0)?;
        let fault = self.faults.azure(set, self.now).find(|trouble| trouble.kind == AzureFault::Quota);
        let fault = fault.map(|trouble| trouble.allows.saturating_mul(found.cores_per_vm()));
        [found.quota, fault].into_iter().flatten().min()
    }

    fn region_quota(&self, subscription: &str, location: &str) -> Option<u32> {
        self.quotas.get(&(subscription.to_ascii_lowercase(), location.to_ascii_lowercase())).copied()
    }

    fn region_cores(&self, subscription: &str, location: &str) -> u32 {
        self.sets_in(subscription, location).map(|(_, set)| set.cores()).sum()
    }

    pub(crate) fn sets_in(
        &self,
        subscription: &str,
        location: &str,
    ) -> impl Iterator<Item = (SetRef, &ScaleSet)> {
        self.sets().filter(move |(_, set)| {
            set.address.subscription.eq_ignore_ascii_case(subscription)
                && set.spec.location.eq_ignore_ascii_case(location)
        })
    }

    fn subnet_usage(&self, set: &ScaleSet) -> Option<SubnetUsage> {
        let subnet = set.spec.subnet.as_ref()?;
        let same = |other: &&ScaleSet| {
            other.spec.subnet.as_ref().is_some_and(|other| other.id.eq_ignore_ascii_case(&subnet.id))
        };
        let vms: u32 = self.sets.iter().filter(same).map(ScaleSet::listed).sum();
        Some(SubnetUsage { id: subnet.id.clone(), used: subnet.used + vms, limit: subnet.addresses })
    }
}

/// A want of machines, and how many still come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shortage {
    pub(super) kind: AzureFault,
    pub(super) room: u32,
}
