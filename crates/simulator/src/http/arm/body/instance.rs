//! Instances of Uniform sets and VMs of Flexible ones on the wire.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::os_disk;
use crate::world::{Instance, OperationError, Power, Provisioning, ScaleSet};

/// An instance of a scale set.
pub(in crate::http::arm) fn instance(
    set: &ScaleSet,
    instance: &Instance,
    expand: bool,
    now: Timestamp,
) -> Value {
    let id = set.instance_id(instance);
    let Instance { protection, .. } = instance;
    let mut value = json!({
        "id": format!("{}/virtualMachines/{id}", set.spec.resource_id),
        "name": instance.name,
        "instanceId": id,
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "location": set.spec.location,
        "tags": set.tags,
        "sku": {"name": set.sku, "tier": "Standard"},
        "properties": {
            "latestModelApplied": true,
            "modelDefinitionApplied": "VirtualMachineScaleSet",
            "vmId": instance.vm_id.to_string(),
            "provisioningState": instance.provisioning.name(),
            "timeCreated": instance.created_at,
            "hardwareProfile": {},
            "storageProfile": {"imageReference": {"id": set.spec.model.image}, "osDisk": os_disk(set)},
            "osProfile": {"computerName": instance.computer_name},
            "protectionPolicy": {
                "protectFromScaleIn": protection.scale_in,
                "protectFromScaleSetActions": protection.actions,
            },
        },
    });
    add_view(&mut value, set, instance, expand, now);
    value
}

/// A VM of a resource group.
pub(in crate::http::arm) fn machine(
    set: &ScaleSet,
    instance: &Instance,
    expand: bool,
    now: Timestamp,
) -> Value {
    let id = machine_id(set, instance);
    let mut value = json!({
        "id": id,
        "name": instance.name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": set.spec.location,
        "tags": set.tags,
        "properties": {
            "virtualMachineScaleSet": {"id": set.spec.resource_id},
            "vmId": instance.vm_id.to_string(),
            "provisioningState": instance.provisioning.name(),
            "priority": set.spec.model.priority,
            "timeCreated": instance.created_at,
            "hardwareProfile": {"vmSize": set.sku},
            "storageProfile": {
                "imageReference": {"id": set.spec.model.image},
                "osDisk": os_disk(set),
                "dataDisks": [],
            },
            "osProfile": {"computerName": instance.computer_name, "adminUsername": "azureuser"},
            "networkProfile": {"networkInterfaces": [{"id": network_interface(set, instance)}]},
        },
    });
    add_view(&mut value, set, instance, expand, now);
    value
}

fn machine_id(set: &ScaleSet, instance: &Instance) -> String {
    let address = &set.address;
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/virtualMachines/{}",
        address.subscription, address.resource_group, instance.name
    )
}

fn network_interface(set: &ScaleSet, instance: &Instance) -> String {
    let address = &set.address;
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/networkInterfaces/{}-nic",
        address.subscription, address.resource_group, instance.name
    )
}

fn add_view(value: &mut Value, set: &ScaleSet, instance: &Instance, expand: bool, now: Timestamp) {
    let parent = value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let extensions: Vec<Value> = extension_views(set, instance)
        .iter()
        .map(|view| {
            let name = view.get("name").and_then(Value::as_str).unwrap_or_default();
            json!({"id": format!("{parent}/extensions/{name}"), "name": name})
        })
        .collect();
    if let Some(value) = value.as_object_mut().filter(|_| !extensions.is_empty()) {
        value.insert("resources".into(), Value::Array(extensions));
    }
    if expand && let Some(properties) = value.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("instanceView".into(), instance_view(set, instance, now));
    }
}

/// What runs of an instance.
pub(in crate::http::arm) fn instance_view(set: &ScaleSet, instance: &Instance, now: Timestamp) -> Value {
    let state = instance.provisioning.name().to_lowercase();
    let failure = instance.failure.as_ref().filter(|_| instance.provisioning == Provisioning::Failed);
    let mut provisioning = json!({
        "code": match failure {
            Some(OperationError { code, .. }) => format!("ProvisioningState/{state}/{code}"),
            None => format!("ProvisioningState/{state}"),
        },
        "level": if failure.is_some() { "Error" } else { "Info" },
        "displayStatus": format!("Provisioning {state}"),
        "time": instance.created_at,
    });
    if let (Some(status), Some(failure)) = (provisioning.as_object_mut(), failure) {
        status.insert("message".into(), json!(failure.message));
    }
    let runs = instance.power == Power::Running;
    let (agent, ready) = if runs {
        ("ProvisioningState/succeeded", "Ready")
    } else {
        ("ProvisioningState/Unavailable", "Not Ready")
    };
    json!({
        "computerName": instance.computer_name,
        "platformFaultDomain": 0,
        "vmAgent": {"vmAgentVersion": if runs { "2.9" } else { "Unknown" }, "statuses": [
            {"code": agent, "level": "Info", "displayStatus": ready, "time": now},
        ]},
        "extensions": extension_views(set, instance),
        "statuses": [
            provisioning,
            {"code": format!("PowerState/{}", instance.power.name()), "level": "Info",
             "displayStatus": format!("VM {}", instance.power.name())},
        ],
    })
}

/// The extensions of an instance, and how they went.
pub(in crate::http::arm) fn extension_views(set: &ScaleSet, instance: &Instance) -> Vec<Value> {
    let failure = instance.extension_failure();
    let mut names: Vec<&str> = set.spec.model.extensions.iter().map(String::as_str).collect();
    let failed = set.failed_extension(instance);
    names.extend(failed.filter(|failed| !names.contains(failed)));
    names
        .into_iter()
        .map(|name| {
            let (state, level, message) = match failure {
                Some(error) if Some(name) == failed => ("failed", "Error", error.message.as_ref()),
                Some(_) => ("transitioning", "Info", "Waits for another extension."),
                None if instance.power == Power::Running => ("succeeded", "Info", "Enable succeeded."),
                None => ("transitioning", "Info", "Waits for the VM."),
            };
            json!({
                "name": name,
                "type": extension_type(name),
                "typeHandlerVersion": "2.1",
                "statuses": [{
                    "code": format!("ProvisioningState/{state}"),
                    "level": level,
                    "displayStatus": format!("Provisioning {state}"),
                    "message": message,
                }],
            })
        })
        .collect()
}

/// The agent's extension is of another publisher than its name says.
fn extension_type(name: &str) -> String {
    match name {
        "Microsoft.Azure.DevOps.Pipelines.Agent" => {
            "Microsoft.VisualStudio.Services.TeamServicesAgentLinux".into()
        }
        name => format!("Microsoft.Azure.Extensions.{name}"),
    }
}
