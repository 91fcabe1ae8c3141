mod resource;

pub use resource::{ScaleSetId, SubnetId};

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Why a text is not the id that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the resource id of a scale set.
    #[error(
        "{0:?} is not the id of a virtual machine scale set; write /subscriptions/<guid>/resourceGroups/<name>/\
         providers/Microsoft.Compute/virtualMachineScaleSets/<name>"
    )]
    ScaleSet(String),
    /// Not the resource id of a subnet.
    #[error(
        "{0:?} is not the id of a subnet; write /subscriptions/<guid>/resourceGroups/<name>/\
         providers/Microsoft.Network/virtualNetworks/<name>/subnets/<name>"
    )]
    Subnet(String),
    /// Not an instance id. Azure reads `*` as every instance, so only names and numbers pass.
    #[error("{0:?} is not an instance id; it must be a number, or a VM's name")]
    Instance(String),
    /// Not the id of a VM.
    #[error("{0:?} is not a vmId; it must be a GUID")]
    Vm(String),
    /// No instance at all, which Azure would read as every instance.
    #[error("no instance is named; name at least one")]
    NoInstances,
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

macro_rules! text_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.to_owned().try_into()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// The id of an instance within its scale set: a decimal number, with Flexible orchestration the VM's name.
    ///
    /// Azure may give a number again after a deletion; only with the [`VmId`] it names one machine.
    InstanceId
}

text_id! {
    /// The GUID of a VM, in lower case. It is never given twice.
    VmId
}

impl TryFrom<String> for InstanceId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        // 64 characters: the longest name of a Linux VM. A name of dots alone would change the path of a URL.
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && text.bytes().any(|b| b != b'.');
        if fits { Ok(Self(text)) } else { Err(IdError::Instance(text)) }
    }
}

impl TryFrom<String> for VmId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        if is_guid(&text) { Ok(Self(text.to_ascii_lowercase())) } else { Err(IdError::Vm(text)) }
    }
}

/// At least one instance. Azure reads a missing list as every instance of the set, which this type cannot say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceIds(Vec<InstanceId>);

impl InstanceIds {
    /// `first`, and more.
    pub fn new(first: InstanceId, rest: impl IntoIterator<Item = InstanceId>) -> Self {
        Self(std::iter::once(first).chain(rest).collect())
    }

    /// The ids, never empty.
    pub fn as_slice(&self) -> &[InstanceId] {
        &self.0
    }
}

impl TryFrom<Vec<InstanceId>> for InstanceIds {
    type Error = IdError;

    fn try_from(ids: Vec<InstanceId>) -> Result<Self, IdError> {
        if ids.is_empty() { Err(IdError::NoInstances) } else { Ok(Self(ids)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_ids_have_no_way_to_say_all() {
        assert_eq!(InstanceIds::try_from(Vec::new()), Err(IdError::NoInstances));
        for text in ["", "*", "1,2", "../3", "7 ", ".", "..", "a*", "vm%2a", "a\0", "é"] {
            assert_eq!(text.parse::<InstanceId>(), Err(IdError::Instance(text.to_owned())));
        }
        assert_eq!("7".parse::<InstanceId>().unwrap().as_str(), "7");
        assert_eq!("agents.prod-1_a1b2".parse::<InstanceId>().unwrap().as_str(), "agents.prod-1_a1b2");
        assert_eq!("set_a1b2c3d4".parse::<InstanceId>().unwrap().as_str(), "set_a1b2c3d4");
    }

    #[test]
    fn a_vm_id_is_a_guid_in_any_case() {
        let id = |text: &str| text.parse::<VmId>();
        assert_eq!(id("5D0C1C52-7F3F-4C0E-8D54-0F6F1D1F9A11"), id("5d0c1c52-7f3f-4c0e-8d54-0f6f1d1f9a11"));
        assert!(id("5d0c1c52").is_err());
    }
}
