use super::ProvisioningState;
use crate::id::SubnetId;
use poolkeeper_rest::open_enum;
use serde::Deserialize;
use std::collections::BTreeMap;

open_enum! {
    /// Who manages the instances.
    pub enum OrchestrationMode {
        /// The scale set, from one model.
        Uniform = "Uniform",
        /// Each is a VM of its own.
        Flexible = "Flexible",
    }
}

open_enum! {
    /// How a changed model reaches instances.
    pub enum UpgradeMode {
        /// When told.
        Manual = "Manual",
        /// At once, all of them.
        Automatic = "Automatic",
        /// In batches.
        Rolling = "Rolling",
    }
}

open_enum! {
    /// What is paid for.
    pub enum MachinePriority {
        /// A machine that stays.
        Regular = "Regular",
        /// The former name of Spot.
        Low = "Low",
        /// A machine that Azure may take back.
        Spot = "Spot",
    }
}

open_enum! {
    /// The operating system of an image.
    pub enum OperatingSystem {
        /// Linux.
        Linux = "Linux",
        /// Windows.
        Windows = "Windows",
    }
}

open_enum! {
    /// Caching of the system disk. An ephemeral disk needs `ReadOnly`.
    pub enum Caching {
        /// None.
        None = "None",
        /// Reads.
        ReadOnly = "ReadOnly",
        /// Reads and writes.
        ReadWrite = "ReadWrite",
    }
}

open_enum! {
    /// Where an ephemeral system disk lies (`diffDiskSettings.placement`).
    pub enum DiskPlacement {
        /// On the cache.
        CacheDisk = "CacheDisk",
        /// On the temporary disk.
        ResourceDisk = "ResourceDisk",
        /// On a local NVMe disk.
        NvmeDisk = "NvmeDisk",
    }
}

/// A scale set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct ScaleSet {
    /// Its name.
    pub name: Option<String>,
    /// Its region, such as `westeurope`.
    pub location: Option<String>,
    /// Its version for `If-Match`, if the service gave one.
    pub etag: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its size and capacity; a Flexible set may have none.
    pub sku: Option<Sku>,
    /// How the latest operation on it went.
    pub provisioning_state: Option<ProvisioningState>,
    /// Who manages its instances.
    pub orchestration_mode: Option<OrchestrationMode>,
    /// Whether Azure makes more VMs than asked for and removes some.
    pub overprovision: Option<bool>,
    /// How a changed model reaches instances.
    pub upgrade_mode: Option<UpgradeMode>,
    /// Whether it is limited to one placement group, and so to 100 VMs.
    pub single_placement_group: Option<bool>,
    /// Over how many fault domains it spreads.
    pub fault_domains: Option<u32>,
    /// What its instances are made of; a Flexible set may have none.
    pub profile: Option<MachineProfile>,
}

/// A size, and how many.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Sku {
    /// The size, such as `Standard_D4ds_v5`.
    pub name: String,
    /// Usually `Standard`.
    pub tier: Option<String>,
    /// How many instances Azure aims at. It may differ from how many there are.
    pub capacity: Option<u32>,
}

/// What instances are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineProfile {
    /// What is paid for; absent is Regular.
    pub priority: Option<MachinePriority>,
    /// The beginning of the instances' computer names.
    pub computer_name_prefix: Option<String>,
    /// The system disk.
    pub os_disk: OsDisk,
    /// The image.
    pub image: Option<ImageReference>,
    /// Where the first network interface of an instance has its addresses.
    pub subnet: Option<SubnetId>,
    /// The names of the extensions.
    pub extensions: Vec<String>,
}

/// A system disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsDisk {
    /// The system on it, if the model says.
    pub operating_system: Option<OperatingSystem>,
    /// Its caching.
    pub caching: Option<Caching>,
    /// Whether it is ephemeral: local, and lost with its host.
    pub ephemeral: bool,
    /// Where an ephemeral disk lies, if the model says.
    pub placement: Option<DiskPlacement>,
}

/// An image, by id or by its place in the marketplace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageReference {
    /// The resource id of an image or gallery version.
    pub id: Option<String>,
    /// The id of an image in a gallery shared with us.
    pub shared_gallery_image_id: Option<String>,
    /// The id of an image in a community gallery.
    pub community_gallery_image_id: Option<String>,
    /// The marketplace publisher.
    pub publisher: Option<String>,
    /// The marketplace offer.
    pub offer: Option<String>,
    /// The marketplace plan.
    pub sku: Option<String>,
    /// The version asked for; `latest` is possible.
    pub version: Option<String>,
    /// The version that was taken.
    pub exact_version: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    name: Option<String>,
    location: Option<String>,
    etag: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    sku: Option<Sku>,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    provisioning_state: Option<ProvisioningState>,
    orchestration_mode: Option<OrchestrationMode>,
    overprovision: Option<bool>,
    upgrade_policy: Option<UpgradePolicy>,
    single_placement_group: Option<bool>,
    platform_fault_domain_count: Option<u32>,
    virtual_machine_profile: Option<Profile>,
}

#[derive(Deserialize)]
struct UpgradePolicy {
    mode: Option<UpgradeMode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Profile {
    priority: Option<MachinePriority>,
    os_profile: Option<OsProfile>,
    storage_profile: Option<StorageProfile>,
    network_profile: Option<NetworkProfile>,
    extension_profile: Option<ExtensionProfile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NetworkProfile {
    network_interface_configurations: Option<Vec<Interface>>,
}

#[derive(Deserialize)]
struct Interface {
    properties: Option<InterfaceProperties>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InterfaceProperties {
    primary: Option<bool>,
    ip_configurations: Option<Vec<Address>>,
}

#[derive(Deserialize)]
struct Address {
    properties: Option<AddressProperties>,
}

#[derive(Deserialize)]
struct AddressProperties {
    primary: Option<bool>,
    subnet: Option<Subnet>,
}

#[derive(Deserialize)]
struct Subnet {
    id: Option<String>,
}

#[derive(Deserialize)]
struct ExtensionProfile {
    extensions: Option<Vec<Extension>>,
}

#[derive(Deserialize)]
struct Extension {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OsProfile {
    computer_name_prefix: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct StorageProfile {
    image_reference: Option<ImageReference>,
    os_disk: Option<WireDisk>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct WireDisk {
    os_type: Option<OperatingSystem>,
    caching: Option<Caching>,
    diff_disk_settings: Option<DiffDisk>,
}

#[derive(Deserialize)]
struct DiffDisk {
    option: Option<String>,
    placement: Option<DiskPlacement>,
}

impl From<Wire> for ScaleSet {
    fn from(wire: Wire) -> Self {
        let properties = wire.properties;
        Self {
            name: wire.name,
            location: wire.location,
            etag: wire.etag,
            tags: wire.tags.unwrap_or_default(),
            sku: wire.sku,
            provisioning_state: properties.provisioning_state,
            orchestration_mode: properties.orchestration_mode,
            overprovision: properties.overprovision,
            upgrade_mode: properties.upgrade_policy.and_then(|policy| policy.mode),
            single_placement_group: properties.single_placement_group,
            fault_domains: properties.platform_fault_domain_count,
            profile: properties.virtual_machine_profile.map(MachineProfile::from),
        }
    }
}

impl From<Profile> for MachineProfile {
    fn from(profile: Profile) -> Self {
        let storage = profile.storage_profile.unwrap_or_default();
        let disk = storage.os_disk.unwrap_or_default();
        let local = disk.diff_disk_settings;
        Self {
            priority: profile.priority,
            computer_name_prefix: profile.os_profile.and_then(|os| os.computer_name_prefix),
            os_disk: OsDisk {
                operating_system: disk.os_type,
                caching: disk.caching,
                ephemeral: local
                    .as_ref()
                    .and_then(|local| local.option.as_deref())
                    .is_some_and(|option| option.eq_ignore_ascii_case("Local")),
                placement: local.and_then(|local| local.placement),
            },
            image: storage.image_reference,
            subnet: profile.network_profile.and_then(NetworkProfile::subnet),
            extensions: profile
                .extension_profile
                .and_then(|profile| profile.extensions)
                .unwrap_or_default()
                .into_iter()
                .filter_map(|extension| extension.name)
                .collect(),
        }
    }
}

impl NetworkProfile {
    /// That of the primary configuration of the primary interface; of the first one where none is marked, as with one
    /// alone.
    fn subnet(self) -> Option<SubnetId> {
        let interfaces = self.network_interface_configurations.unwrap_or_default().into_iter();
        let interfaces: Vec<_> = interfaces.filter_map(|interface| interface.properties).collect();
        let addresses = primary(interfaces, |interface| interface.primary)?.ip_configurations?;
        let addresses: Vec<_> = addresses.into_iter().filter_map(|address| address.properties).collect();
        primary(addresses, |address| address.primary)?.subnet?.id?.parse().ok()
    }
}

fn primary<T>(mut all: Vec<T>, is_primary: impl Fn(&T) -> Option<bool>) -> Option<T> {
    let at = all.iter().position(|one| is_primary(one) == Some(true)).unwrap_or(0);
    (at < all.len()).then(|| all.swap_remove(at))
}
