//! The JSON of Azure Resource Manager.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::world::{Instance, Operation, Power, Provisioning, ScaleSet, SetRef, World};

pub(super) fn scale_set(world: &World, set: SetRef) -> Value {
    let Some(set) = world.set(set) else { return Value::Null };
    let model = &set.spec.model;
    let mut os_disk = json!({"osType": model.os_type, "createOption": "FromImage", "caching": "ReadOnly"});
    if model.ephemeral_os_disk
        && let Some(os_disk) = os_disk.as_object_mut()
    {
        os_disk.insert("diffDiskSettings".into(), json!({"option": "Local"}));
    }
    let prefix = set.spec.computer_name_prefix.as_deref().unwrap_or(set.name());
    json!({
        "id": set.spec.resource_id,
        "name": set.name(),
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": set.spec.location,
        "etag": set.etag(),
        "tags": set.tags,
        "sku": {"name": set.sku, "tier": "Standard", "capacity": set.capacity},
        "properties": {
            "provisioningState": set.provisioning,
            "orchestrationMode": "Uniform",
            "overprovision": model.overprovision,
            "singlePlacementGroup": model.single_placement_group,
            "platformFaultDomainCount": model.platform_fault_domain_count,
            "uniqueId": set.unique_id.to_string(),
            "timeCreated": set.created_at,
            "upgradePolicy": {"mode": model.upgrade_policy},
            "virtualMachineProfile": {
                "priority": model.priority,
                "osProfile": {"computerNamePrefix": prefix, "adminUsername": "azureuser"},
                "storageProfile": {"imageReference": {"id": model.image}, "osDisk": os_disk},
                "extensionProfile": {"extensions": []},
            },
        },
    })
}

pub(super) fn instance(set: &ScaleSet, instance: &Instance, expand: bool, now: Timestamp) -> Value {
    let mut value = json!({
        "id": format!("{}/virtualMachines/{}", set.spec.resource_id, instance.id),
        "name": format!("{}_{}", set.name(), instance.id),
        "instanceId": instance.id.to_string(),
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
            "storageProfile": {"imageReference": {"id": set.spec.model.image}},
            "osProfile": {"computerName": instance.computer_name},
            "protectionPolicy": {"protectFromScaleIn": false, "protectFromScaleSetActions": false},
        },
    });
    if expand && let Some(properties) = value.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("instanceView".into(), instance_view(instance, now));
    }
    value
}

fn instance_view(instance: &Instance, now: Timestamp) -> Value {
    let state = instance.provisioning.name().to_lowercase();
    let code = match (instance.provisioning, instance.failure) {
        (Provisioning::Failed, Some(failure)) => format!("ProvisioningState/{state}/{failure}"),
        (
            Provisioning::Creating
            | Provisioning::Updating
            | Provisioning::Succeeded
            | Provisioning::Failed
            | Provisioning::Deleting,
            _,
        ) => format!("ProvisioningState/{state}"),
    };
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
        "statuses": [
            {"code": code, "level": if instance.failure.is_some() { "Error" } else { "Info" },
             "displayStatus": format!("Provisioning {state}"), "time": instance.created_at},
            {"code": format!("PowerState/{}", instance.power.name()), "level": "Info",
             "displayStatus": format!("VM {}", instance.power.name())},
        ],
    })
}

pub(super) fn operation_path(world: &World, operation: &Operation) -> String {
    let (subscription, location) = world
        .set(operation.set)
        .map(|set| (set.address.subscription.as_str(), set.spec.location.as_str()))
        .unwrap_or_default();
    format!(
        "/subscriptions/{subscription}/providers/Microsoft.Compute/locations/{location}/operations/{}",
        operation.id
    )
}

pub(super) fn operation(operation: &Operation) -> Value {
    let mut value = json!({
        "startTime": operation.started_at,
        "status": operation.status.name(),
        "name": operation.id.to_string(),
    });
    if let Some(value) = value.as_object_mut() {
        if let Some(ended) = operation.ended_at {
            value.insert("endTime".into(), json!(ended));
        }
        if operation.error.is_some() && operation.ended_at.is_some() {
            value.insert("error".into(), operation_error(operation));
        }
    }
    value
}

pub(super) fn operation_error(operation: &Operation) -> Value {
    operation.error.as_ref().map_or(Value::Null, |error| {
        json!({
            "code": error.code,
            "message": error.message,
            "target": error.target.map(|target| target.to_string()),
        })
    })
}

/// One row per scale set with a quota, counted in VMs.
pub(super) fn usages(world: &World, subscription: &str, location: &str) -> Value {
    let rows: Vec<Value> = world
        .sets()
        .filter(|(_, set)| set.address.subscription.eq_ignore_ascii_case(subscription))
        .filter(|(_, set)| set.spec.location.eq_ignore_ascii_case(location))
        .filter_map(|(_, set)| {
            Some(json!({
                "unit": "Count",
                "currentValue": set.members(),
                "limit": set.spec.quota?,
                "name": {"value": set.name(), "localizedValue": format!("VMs of {}", set.name())},
            }))
        })
        .collect();
    json!({"value": rows})
}
