//! What a scale set has to be, and what it better were, from its model alone.

use kube::ResourceExt;
use poolkeeper_api::{
    ScaleSetBinding,
    scale_set_binding::{OperatingSystem, Requirement},
};
use poolkeeper_azure::{OperatingSystem as Runs, OrchestrationMode, ScaleSet, ScaleSetId, UpgradeMode};
use poolkeeper_policy::BindingReason;

use super::Fault;

/// Azure's limit for a scale set with a single placement group.
const SINGLE_GROUP_LIMIT: u32 = 100;

/// The rows of status, each with the command that mends it.
pub(super) fn rows(binding: &ScaleSetBinding, set: &ScaleSet) -> Vec<Requirement> {
    let id: Option<ScaleSetId> = binding.spec.scale_set.resource_id.parse().ok();
    let target = id.map_or_else(String::new, |id| format!("-g {} -n {}", id.resource_group(), id.name()));
    let update = |setting: &str| format!("az vmss update {target} --set {setting}");
    let most = binding.spec.max_agents.and_then(|most| u32::try_from(most).ok());
    let large = most.is_some_and(|most| most > SINGLE_GROUP_LIMIT);
    let disk = set.profile.as_ref().map(|profile| &profile.os_disk);
    let row = |name: &str, met: bool, advice: bool, message: &str, command: String| Requirement {
        name: name.to_owned(),
        met,
        advice,
        message: if met { String::new() } else { message.to_owned() },
        command: if met { String::new() } else { command },
    };
    vec![
        row(
            "OverprovisionOff",
            set.overprovision == Some(false),
            false,
            "Azure would create more VMs than asked for, and delete some of them again",
            update("overprovision=false"),
        ),
        row(
            "UpgradePolicyManual",
            set.upgrade_mode == Some(UpgradeMode::Manual),
            false,
            "Azure would reimage VMs under running jobs when the model changes",
            update("upgradePolicy.mode=Manual"),
        ),
        row(
            "SinglePlacementGroupOff",
            set.single_placement_group == Some(false),
            !large,
            "with a single placement group a scale set holds at most 100 VMs",
            update("singlePlacementGroup=false"),
        ),
        row(
            "FaultDomainCountOne",
            set.fault_domains == Some(1),
            true,
            "with one fault domain Azure spreads VMs best; fixed when the set is created",
            "az vmss create … --platform-fault-domain-count 1".to_owned(),
        ),
        row(
            "EphemeralOSDisk",
            disk.is_some_and(|disk| disk.ephemeral),
            true,
            "reimaging is faster on an ephemeral disk",
            "az vmss create … --ephemeral-os-disk true --os-disk-caching ReadOnly".to_owned(),
        ),
    ]
}

/// What keeps the set from being used, besides the rows.
pub(super) fn first_fault(binding: &ScaleSetBinding, set: &ScaleSet) -> Option<Fault> {
    if set.orchestration_mode == Some(OrchestrationMode::Flexible) {
        return Some(Fault {
            reason: BindingReason::UnsupportedSystem,
            message: "this version runs scale sets of Uniform orchestration only: bind one of those"
                .to_owned(),
        });
    }
    let runs = set.profile.as_ref().and_then(|profile| profile.os_disk.operating_system.as_ref());
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
    let unmet = unmet(&rows(binding, set));
    unmet.map(|message| Fault { reason: BindingReason::RequirementsUnmet, message })
}

/// The required rows that are not met, each with its command; `None` if all are.
pub(super) fn unmet(rows: &[Requirement]) -> Option<String> {
    let required = rows.iter().filter(|row| !row.met && !row.advice);
    let unmet: Vec<String> = required.map(|row| format!("{}: {}", row.name, row.command)).collect();
    (!unmet.is_empty()).then(|| unmet.join("; "))
}
