//! What a scale set has to be, and what it better were. The rules are those of Azure DevOps' own scale set agents:
//! <https://learn.microsoft.com/azure/devops/pipelines/agents/scale-set-agents>.

use kube::ResourceExt;
use poolkeeper_api::{
    AgentPool, ScaleSetBinding,
    agent_pool::{LifecycleType, Recycle},
    scale_set_binding::{OperatingSystem, Requirement},
};
use poolkeeper_azure::{
    Caching, OperatingSystem as Runs, OrchestrationMode, ScaleSet, ScaleSetId, UpgradeMode,
};
use poolkeeper_policy::BindingReason;

use super::{Fault, surroundings::Surroundings};

/// Azure's limit for a scale set with a single placement group.
const SINGLE_GROUP_LIMIT: u32 = 100;

/// A binding, its pool, its scale set, and what lies around that.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) binding: &'a ScaleSetBinding,
    pub(super) pool: Option<&'a AgentPool>,
    pub(super) set: &'a ScaleSet,
    pub(super) around: &'a Surroundings,
}

impl Subject<'_> {
    /// The most VMs that the set may ever hold.
    fn most(&self) -> u32 {
        let most = self.binding.spec.max_agents.or(self.pool.map(|pool| pool.spec.max_agents));
        most.and_then(|most| u32::try_from(most).ok()).unwrap_or(0)
    }

    fn is_flexible(&self) -> bool {
        self.set.orchestration_mode == Some(OrchestrationMode::Flexible)
    }

    /// `-g group -n name` of the set.
    fn target(&self) -> String {
        let id: Option<ScaleSetId> = self.binding.spec.scale_set.resource_id.parse().ok();
        id.map_or_else(String::new, |id| format!("-g {} -n {}", id.resource_group(), id.name()))
    }

    fn update(&self, setting: &str) -> String {
        format!("az vmss update {} --set {setting}", self.target())
    }
}

/// One row, before it is written down.
struct Row {
    name: &'static str,
    advice: bool,
    /// Why it is not met, and the command that mends it.
    unmet: Option<(String, String)>,
}

impl Row {
    fn new(name: &'static str, unmet: Option<(&str, String)>) -> Self {
        let unmet = unmet.map(|(message, command)| (message.to_owned(), command));
        Self { name, advice: false, unmet }
    }

    fn advice(self, advice: bool) -> Self {
        Self { advice, ..self }
    }
}

impl From<Row> for Requirement {
    fn from(Row { name, advice, unmet }: Row) -> Self {
        let met = unmet.is_none();
        let (message, command) = unmet.unwrap_or_default();
        Self { name: name.to_owned(), met, advice, message, command }
    }
}

/// The rows of status, each with the command that mends it.
pub(super) fn rows(subject: Subject<'_>) -> Vec<Requirement> {
    let Subject { set, around, .. } = subject;
    let required = [autoscale(subject), overprovision(subject), upgrade_policy(subject), protection(subject)];
    let disk = set.profile.as_ref().map(|profile| &profile.os_disk);
    let ephemeral = disk.is_some_and(|disk| disk.ephemeral && disk.caching == Some(Caching::ReadOnly));
    let advised = [
        Row::new(
            "SinglePlacementGroupOff",
            (set.single_placement_group != Some(false)).then(|| {
                (
                    "with a single placement group a scale set holds at most 100 VMs",
                    subject.update("singlePlacementGroup=false"),
                )
            }),
        )
        .advice(subject.most() <= SINGLE_GROUP_LIMIT),
        Row::new(
            "FaultDomainCountOne",
            (set.fault_domains != Some(1)).then(|| {
                (
                    "with one fault domain Azure spreads VMs best; fixed when the set is created",
                    "az vmss create … --platform-fault-domain-count 1".to_owned(),
                )
            }),
        )
        .advice(true),
        Row::new(
            "EphemeralOSDisk",
            (!ephemeral).then(|| {
                (
                    "reimaging is faster on an ephemeral disk",
                    "az vmss create … --ephemeral-os-disk true --os-disk-caching ReadOnly".to_owned(),
                )
            }),
        )
        .advice(true),
    ];
    let mut rows: Vec<Requirement> = required.into_iter().chain(advised).map(Requirement::from).collect();
    if let Some(space) = around.subnet.known() {
        rows.push(subnet(subject, space.free).into());
    }
    rows
}

fn autoscale(subject: Subject<'_>) -> Row {
    let name = "AutoscaleOff";
    let id = subject.binding.spec.scale_set.resource_id.parse::<ScaleSetId>();
    let group = id.map_or_else(|_| String::new(), |id| id.resource_group().to_owned());
    match subject.around.autoscale.known() {
        Some(settings) => Row::new(
            name,
            settings.first().map(|setting| {
                let command = format!("az monitor autoscale delete -g {group} -n {setting}");
                ("two would size the scale set, and autoscale deletes VMs under running jobs", command)
            }),
        ),
        None => unread(name),
    }
}

/// Unknown is not met; why is said by a condition of its own.
fn unread(name: &'static str) -> Row {
    Row {
        name,
        advice: false,
        unmet: Some(("not known: it could not be read yet".to_owned(), String::new())),
    }
}

fn overprovision(subject: Subject<'_>) -> Row {
    let set = subject.set;
    let met = set.overprovision == Some(false) || (subject.is_flexible() && set.overprovision.is_none());
    Row::new(
        "OverprovisionOff",
        (!met).then(|| {
            (
                "Azure would create more VMs than asked for, and delete some of them again",
                subject.update("overprovision=false"),
            )
        }),
    )
}

fn upgrade_policy(subject: Subject<'_>) -> Row {
    let set = subject.set;
    let met = set.upgrade_mode == Some(UpgradeMode::Manual)
        || (subject.is_flexible() && set.upgrade_mode.is_none());
    Row::new(
        "UpgradePolicyManual",
        (!met).then(|| {
            (
                "Azure would reimage VMs under running jobs when the model changes",
                subject.update("upgradePolicy.mode=Manual"),
            )
        }),
    )
}

fn protection(subject: Subject<'_>) -> Row {
    let name = "NoInstanceProtection";
    match subject.around.protected.known() {
        Some(protected) => Row::new(
            name,
            protected.first().map(|instance| {
                let command = format!(
                    "az vmss update {} --instance-id {instance} --protect-from-scale-in false \
                     --protect-from-scale-set-actions false",
                    subject.target()
                );
                ("a protected instance can neither be reimaged nor make room", command)
            }),
        ),
        None => unread(name),
    }
}

fn subnet(subject: Subject<'_>, free: u64) -> Row {
    let capacity = subject.set.sku.as_ref().and_then(|sku| sku.capacity).unwrap_or(0);
    let more = u64::from(subject.most().saturating_sub(capacity));
    let id = subject.set.profile.as_ref().and_then(|profile| profile.subnet.as_ref());
    let id = id.map_or_else(String::new, ToString::to_string);
    let short = free < more;
    let unmet = short.then(|| {
        let message = format!("{free} addresses are free, and maxAgents may add {more} VMs");
        (message, format!("az network vnet subnet update --ids {id} --address-prefixes …"))
    });
    Row { name: "SubnetLargeEnough", advice: true, unmet }
}

/// What keeps the set from being used: first what cannot be mended by a row's command.
pub(super) fn first_fault(subject: Subject<'_>) -> Option<Fault> {
    let Subject { binding, pool, set, .. } = subject;
    if let Some(other @ OrchestrationMode::Other(_)) = &set.orchestration_mode {
        return Some(Fault {
            reason: BindingReason::UnsupportedSystem,
            message: format!(
                "the scale set's orchestration mode is {}; bind a scale set of Uniform or Flexible orchestration",
                other.as_str()
            ),
        });
    }
    let disk = set.profile.as_ref().map(|profile| &profile.os_disk);
    let runs = disk.and_then(|disk| disk.operating_system.as_ref());
    let mismatch = match (binding.spec.operating_system, runs) {
        (OperatingSystem::Linux, Some(Runs::Windows)) | (OperatingSystem::Windows, Some(Runs::Linux)) => true,
        (OperatingSystem::Linux | OperatingSystem::Windows, _) => false,
    };
    if mismatch {
        return Some(Fault {
            reason: BindingReason::OperatingSystemMismatch,
            message: format!(
                "the scale set runs {}: set operatingSystem of {} to that",
                runs.map_or("another system", Runs::as_str),
                binding.name_any()
            ),
        });
    }
    if subject.is_flexible() && pool.is_some_and(reimages) && !disk.is_some_and(|disk| disk.ephemeral) {
        return Some(Fault {
            reason: BindingReason::ReimageNeedsEphemeralDisk,
            message: "Azure reimages VMs of Flexible orchestration only on ephemeral disks: set \
                      lifecycle.stateless.recycle of the pool to Replace, or create the scale set with \
                      --ephemeral-os-disk true"
                .to_owned(),
        });
    }
    if let Some(fault) = subject.around.fault() {
        return Some(fault.clone());
    }
    let unmet = unmet(&rows(subject));
    unmet.map(|message| Fault { reason: BindingReason::RequirementsUnmet, message })
}

fn reimages(pool: &AgentPool) -> bool {
    let lifecycle = &pool.spec.lifecycle;
    let recycle = lifecycle.stateless.as_ref().map_or(Recycle::Reimage, |stateless| stateless.recycle);
    lifecycle.type_ == LifecycleType::Stateless && recycle == Recycle::Reimage
}

/// The required rows that are not met, each with its command; `None` if all are.
pub(super) fn unmet(rows: &[Requirement]) -> Option<String> {
    let required = rows.iter().filter(|row| !row.met && !row.advice && !row.command.is_empty());
    let unmet: Vec<String> = required.map(|row| format!("{}: {}", row.name, row.command)).collect();
    (!unmet.is_empty()).then(|| unmet.join("; "))
}
