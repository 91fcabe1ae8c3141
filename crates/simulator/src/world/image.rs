//! Images that do not start as they should.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Instance, Kind, OperationError, ScaleSet, SetRef, World, journal::Parts};

/// How the start of a VM fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartFails {
    /// The extension that installs the agent fails.
    Extension,
    /// The custom script fails.
    Script,
    /// All is well in Azure's eyes, and no agent ever registers.
    Silent,
    /// Azure gives up on the machine.
    Creation,
    /// The set's first extension fails, whatever it is.
    #[serde(skip)]
    First,
}

/// How VMs that are created or reimaged from now on fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartFailure {
    /// How.
    pub kind: StartFails,
    /// Every so manieth VM, at least 1: with 1 all of them.
    pub of: u32,
    started: u32,
}

impl StartFailure {
    /// Every VM, or every so manieth, fails.
    pub fn new(kind: StartFails, of: u32) -> Self {
        Self { kind, of: of.max(1), started: 0 }
    }

    /// How the next VM fails, if it does.
    pub(crate) fn next(&mut self) -> Option<StartFails> {
        self.started = (self.started + 1) % self.of;
        (self.started == 0).then_some(self.kind)
    }
}

/// The extension by which Azure DevOps puts its agent on a VM.
const AGENT: &str = "Microsoft.Azure.DevOps.Pipelines.Agent";
/// The extension that runs a script of the image's owner.
const SCRIPT: &str = "CustomScript";

impl ScaleSet {
    /// The extension that fails: one of the set's own where it has one of that kind.
    pub(crate) fn failing_extension(&self, kind: StartFails) -> Arc<str> {
        let is_script = |name: &&String| name.starts_with(SCRIPT);
        let names = || self.spec.model.extensions.iter();
        let found = match kind {
            StartFails::Script => names().find(is_script).map_or(SCRIPT, String::as_str),
            StartFails::Extension => names().find(|name| !is_script(name)).map_or(AGENT, String::as_str),
            StartFails::First | StartFails::Silent | StartFails::Creation => self.extension(),
        };
        Arc::from(found)
    }
}

impl Instance {
    /// What Azure says of a machine whose system never came up.
    pub(crate) fn creation_failure(&self) -> OperationError {
        let message = format!(
            "OS Provisioning for VM '{}' did not finish in the allotted time. The VM may still finish provisioning successfully. Please check provisioning state later.",
            self.name
        );
        OperationError::new("OSProvisioningTimedOut", &message)
    }
}

impl World {
    /// Lets the VMs of a scale set that are created or reimaged from now on fail to start, or start well again. Those
    /// that have failed stay as they are.
    pub fn set_start_failure(&mut self, set: SetRef, failure: Option<StartFailure>) {
        let Some(found) = self.sets.get_mut(set.0) else { return };
        found.start_failure = failure;
        let detail = match failure {
            Some(StartFailure { kind, of: 1, .. }) => format!("image: {kind:?} of every VM"),
            Some(StartFailure { kind, of, .. }) => format!("image: {kind:?} of every VM of {of}"),
            None => "image: good".to_owned(),
        };
        self.write_set(
            set,
            Kind::FaultChanged,
            Parts { detail: Some(Arc::from(detail)), ..Parts::default() },
        );
    }
}
