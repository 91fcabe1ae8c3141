//! The JSON of Azure Resource Manager.

mod instance;
mod operation;

use serde_json::{Map, Value, json};

use crate::world::{ScaleSet, Usage, World};
pub(super) use instance::{extension_views, instance, instance_view, machine};
pub(super) use operation::{operation, operation_error, operation_path};

pub(super) fn scale_set(set: &ScaleSet) -> Value {
    let model = &set.spec.model;
    let prefix = set.spec.computer_name_prefix.as_deref().unwrap_or(set.name());
    let extensions: Vec<Value> = model.extensions.iter().map(|name| extension(name)).collect();
    let mut properties = json!({
        "provisioningState": set.provisioning,
        "orchestrationMode": set.spec.orchestration.name(),
        "singlePlacementGroup": model.single_placement_group,
        "platformFaultDomainCount": model.platform_fault_domain_count,
        "uniqueId": set.unique_id.to_string(),
        "timeCreated": set.created_at,
        "virtualMachineProfile": {
            "priority": model.priority,
            "osProfile": {"computerNamePrefix": prefix, "adminUsername": "azureuser"},
            "storageProfile": {"imageReference": {"id": model.image}, "osDisk": os_disk(set)},
            "networkProfile": network_profile(set),
            "extensionProfile": {"extensions": extensions},
        },
    });
    if model.priority == "Spot"
        && let Some(profile) = properties.pointer_mut("/virtualMachineProfile").and_then(Value::as_object_mut)
    {
        profile.insert("evictionPolicy".into(), json!(model.eviction_policy));
    }
    if let Some(properties) = properties.as_object_mut() {
        // A Flexible set may leave these out; a Uniform one always has them.
        let unless_flexible = |value: Value| (!set.is_flexible()).then_some(value);
        let policy = model.upgrade_policy.as_ref().map(|mode| json!(mode));
        let overprovision = model.overprovision.map(Value::Bool);
        put(properties, "overprovision", overprovision.or_else(|| unless_flexible(json!(false))));
        let mode = policy.or_else(|| unless_flexible(json!("Manual")));
        put(properties, "upgradePolicy", mode.map(|mode| json!({"mode": mode})));
    }
    json!({
        "id": set.spec.resource_id,
        "name": set.name(),
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": set.spec.location,
        "etag": set.etag(),
        "tags": set.tags,
        "sku": {"name": set.sku, "tier": "Standard", "capacity": set.capacity},
        "properties": properties,
    })
}

fn put(properties: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        properties.insert(name.to_owned(), value);
    }
}

fn os_disk(set: &ScaleSet) -> Value {
    let model = &set.spec.model;
    let mut disk =
        json!({"osType": model.os_type, "createOption": "FromImage", "caching": model.os_disk_caching});
    if let Some(disk) = disk.as_object_mut().filter(|_| model.ephemeral_os_disk) {
        disk.insert("diffDiskSettings".into(), json!({"option": "Local"}));
    }
    disk
}

fn network_profile(set: &ScaleSet) -> Value {
    let subnet = set.spec.subnet.as_ref().map(|subnet| json!({"id": subnet.id}));
    let address = match subnet {
        Some(subnet) => json!({"primary": true, "subnet": subnet}),
        None => json!({"primary": true}),
    };
    json!({"networkInterfaceConfigurations": [{"name": "nic", "properties": {
        "primary": true,
        "ipConfigurations": [{"name": "ip", "properties": address}],
    }}]})
}

pub(super) fn extension(name: &str) -> Value {
    // What the name stands for is not the simulator's matter; Azure shows these fields of every extension.
    json!({"name": name, "properties": {
        "publisher": "Microsoft.Azure.Extensions", "type": name, "typeHandlerVersion": "2.1",
        "autoUpgradeMinorVersion": true, "provisioningState": "Succeeded", "settings": {},
    }})
}

/// Instances of a scale set by the state of their last operation.
pub(super) fn set_view(set: &ScaleSet) -> Value {
    let mut counts: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    for instance in set.instances() {
        *counts
            .entry(format!("ProvisioningState/{}", instance.provisioning.name().to_lowercase()))
            .or_default() += 1;
    }
    let summary: Vec<Value> =
        counts.iter().map(|(code, count)| json!({"code": code, "count": count})).collect();
    let state = set.provisioning;
    json!({
        "virtualMachine": {"statusesSummary": summary},
        "statuses": [{
            "code": format!("ProvisioningState/{}", state.to_lowercase()),
            "level": if state == "Failed" { "Error" } else { "Info" },
            "displayStatus": format!("Provisioning {}", state.to_lowercase()),
        }],
    })
}

pub(super) fn skus(set: &ScaleSet) -> Value {
    json!({"value": [{
        "resourceType": "Microsoft.Compute/virtualMachineScaleSets",
        "sku": {"name": set.sku, "tier": "Standard"},
        "capacity": {"minimum": 0, "maximum": set.spec.largest(), "defaultCapacity": 1, "scaleType": "Automatic"},
    }]})
}

pub(super) fn usages(world: &World, subscription: &str, location: &str) -> Value {
    let rows: Vec<Value> = world
        .usages(subscription, location)
        .into_iter()
        .map(|Usage { name, title, used, limit }| {
            json!({
                "unit": "Count",
                "currentValue": used,
                "limit": limit,
                "name": {"value": name, "localizedValue": title},
            })
        })
        .collect();
    json!({"value": rows})
}
