use super::{MachinePriority, ProvisioningState};
use crate::id::{IdError, InstanceId, VmId};
use jiff::Timestamp;
use poolkeeper_rest::open_enum;
use serde::Deserialize;

open_enum! {
    /// Whether a VM runs.
    pub enum PowerState {
        /// On its way up.
        Starting = "starting",
        /// Up.
        Running = "running",
        /// On its way down.
        Stopping = "stopping",
        /// Down, and still paid for.
        Stopped = "stopped",
        /// Giving its host back.
        Deallocating = "deallocating",
        /// Down; only its disks are paid for. It counts in the capacity still.
        Deallocated = "deallocated",
    }
}

/// An instance of a scale set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Instance {
    /// Its id within the set, which may be given again after its deletion.
    pub id: InstanceId,
    /// Its machine, which is never given again. Absent until Azure has made it.
    pub vm_id: Option<VmId>,
    /// The resource's name, such as `agents_7`.
    pub name: Option<String>,
    /// The name that the machine and, by default, its agent go by.
    pub computer_name: Option<String>,
    /// How the latest operation on it went.
    pub provisioning_state: Option<ProvisioningState>,
    /// Whether it runs; absent where Azure does not say.
    pub power: Option<PowerState>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Whether it has the set's latest model.
    pub latest_model: Option<bool>,
    /// What it is protected from.
    pub protection: Protection,
    /// The image version that it was made from.
    pub image_version: Option<String>,
    /// What is paid for; absent is Regular.
    pub priority: Option<MachinePriority>,
    /// The availability zones that it lies in: one, or none where the region or the set has none.
    pub zones: Vec<String>,
    /// What went wrong with the machine, then with its extensions.
    pub failures: Vec<Failure>,
}

/// A VM, perhaps of a scale set with Flexible orchestration. It has no instance id but its name.
#[derive(Debug, Deserialize)]
#[serde(try_from = "WireMachine")]
pub(crate) struct Machine {
    /// The scale set that it is of, as Azure writes it.
    pub(crate) scale_set: Option<String>,
    pub(crate) instance: Instance,
}

/// What an instance is protected from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Protection {
    /// From a lowered capacity. A deletion by id goes through still.
    #[serde(rename = "protectFromScaleIn")]
    pub scale_in: bool,
    /// From operations on the set, such as a reimage.
    #[serde(rename = "protectFromScaleSetActions")]
    pub actions: bool,
}

/// Something that went wrong with an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub source: FailureSource,
    /// What kind of extension it is, publisher first, such as `Microsoft.Azure.Extensions.CustomScript`; none for the
    /// machine itself.
    pub extension_type: Option<String>,
    /// Azure's code, such as `AllocationFailed`.
    pub code: Option<String>,
    /// Azure's message, on one line, at most 300 characters.
    pub message: Option<String>,
}

/// What failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureSource {
    /// The machine itself.
    Machine,
    /// The extension of this name.
    Extension(String),
}

/// At what a new VM failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// Azure could not make the machine.
    Creation,
    /// An extension failed, such as the one that installs an agent.
    Extension,
    /// A custom script failed: what its owner wrote, or what that downloads.
    Script,
}

impl Failure {
    /// At what it failed.
    ///
    /// Types of the script: `Microsoft.Azure.Extensions.CustomScript` of Linux,
    /// `Microsoft.Compute.CustomScriptExtension` of Windows. A machine whose code begins with `VMExtension` is there,
    /// and one of its extensions failed.
    pub fn kind(&self) -> FailureKind {
        match &self.source {
            FailureSource::Machine if self.is_of_extension() => FailureKind::Extension,
            FailureSource::Machine => FailureKind::Creation,
            FailureSource::Extension(name) => {
                let kind = self.extension_type.as_ref().unwrap_or(name);
                let kind = kind.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
                match kind.as_str() {
                    "customscript" | "customscriptextension" | "customscriptforlinux" => FailureKind::Script,
                    _ => FailureKind::Extension,
                }
            }
        }
    }

    /// Whether the machine says no more than that one of its extensions failed.
    fn is_of_extension(&self) -> bool {
        self.code.as_deref().and_then(|code| code.get(..11)).is_some_and(|head| head == "VMExtension")
    }
}

impl Instance {
    /// What went wrong, by the failure that says most: an extension's own where the machine only names it.
    pub fn failure(&self) -> Option<&Failure> {
        let own = |failure: &&Failure| !matches!(failure.source, FailureSource::Machine);
        match self.failures.first() {
            Some(first) if first.is_of_extension() => self.failures.iter().find(own).or(Some(first)),
            first => first,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    instance_id: InstanceId,
    name: Option<String>,
    zones: Option<Vec<String>>,
    properties: Properties,
}

#[derive(Deserialize)]
struct WireMachine {
    name: String,
    zones: Option<Vec<String>>,
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    vm_id: Option<VmId>,
    virtual_machine_scale_set: Option<Reference>,
    priority: Option<MachinePriority>,
    provisioning_state: Option<ProvisioningState>,
    time_created: Option<Timestamp>,
    latest_model_applied: Option<bool>,
    protection_policy: Option<Protection>,
    os_profile: Option<OsProfile>,
    storage_profile: Option<StorageProfile>,
    instance_view: Option<InstanceView>,
}

#[derive(Deserialize)]
struct Reference {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OsProfile {
    computer_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageProfile {
    image_reference: Option<super::ImageReference>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct InstanceView {
    computer_name: Option<String>,
    statuses: Option<Vec<Status>>,
    extensions: Option<Vec<Extension>>,
}

#[derive(Deserialize)]
struct Extension {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    statuses: Option<Vec<Status>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    code: Option<String>,
    level: Option<String>,
    display_status: Option<String>,
    message: Option<String>,
}

impl Status {
    /// The rest of a code such as `PowerState/running` under `head`.
    fn under(&self, head: &str) -> Option<&str> {
        let (start, rest) = self.code.as_deref()?.split_once('/')?;
        start.eq_ignore_ascii_case(head).then_some(rest)
    }

    /// Codes such as `ProvisioningState/failed/AllocationFailed`, and whatever Azure marks as an error.
    fn failure(&self, source: FailureSource) -> Option<Failure> {
        let (state, code) = match self.under("ProvisioningState").unwrap_or_default().split_once('/') {
            Some((state, code)) => (state, Some(code)),
            None => (self.under("ProvisioningState").unwrap_or_default(), None),
        };
        let failed = state.eq_ignore_ascii_case("failed")
            || self.level.as_deref().is_some_and(|level| level.eq_ignore_ascii_case("Error"));
        failed.then(|| {
            let message = self.message.clone().or_else(|| self.display_status.clone());
            let said = poolkeeper_rest::ServiceError::new(code.map(str::to_owned), message);
            Failure { source, extension_type: None, code: said.code, message: said.message }
        })
    }
}

impl From<Wire> for Instance {
    fn from(wire: Wire) -> Self {
        let properties = wire.properties;
        let view = properties.instance_view.unwrap_or_default();
        let statuses = view.statuses.unwrap_or_default();
        let extensions = view.extensions.unwrap_or_default();
        let of_machine = statuses.iter().filter_map(|status| status.failure(FailureSource::Machine));
        let of_extensions = extensions.iter().flat_map(|extension| {
            let name = extension.name.clone().unwrap_or_default();
            let statuses = extension.statuses.iter().flatten();
            statuses.filter_map(move |status| {
                let failure = status.failure(FailureSource::Extension(name.clone()))?;
                Some(Failure { extension_type: extension.kind.clone(), ..failure })
            })
        });
        Self {
            id: wire.instance_id,
            vm_id: properties.vm_id,
            name: wire.name,
            priority: properties.priority,
            zones: wire.zones.unwrap_or_default(),
            computer_name: properties.os_profile.and_then(|os| os.computer_name).or(view.computer_name),
            provisioning_state: properties.provisioning_state,
            power: statuses.iter().find_map(|status| status.under("PowerState")).map(PowerState::from),
            created: properties.time_created,
            latest_model: properties.latest_model_applied,
            protection: properties.protection_policy.unwrap_or_default(),
            image_version: properties
                .storage_profile
                .and_then(|storage| storage.image_reference)
                .and_then(|image| image.exact_version),
            failures: of_machine.chain(of_extensions).collect(),
        }
    }
}

impl TryFrom<WireMachine> for Machine {
    type Error = IdError;

    fn try_from(wire: WireMachine) -> Result<Self, IdError> {
        let WireMachine { name, zones, mut properties } = wire;
        let scale_set = properties.virtual_machine_scale_set.take().and_then(|set| set.id);
        let wire = Wire { instance_id: name.parse()?, name: Some(name), zones, properties };
        Ok(Self { scale_set, instance: wire.into() })
    }
}
