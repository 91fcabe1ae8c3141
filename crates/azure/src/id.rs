use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
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
    /// Not an instance id. Azure reads `*` as every instance, so only names and numbers pass.
    #[error("{0:?} is not an instance id; it must be a number, or a VM name")]
    Instance(String),
    /// Not the id of a VM.
    #[error("{0:?} is not a vmId; it must be a GUID")]
    Vm(String),
    /// No instance at all, which Azure would read as every instance.
    #[error("no instance is named; name at least one")]
    NoInstances,
}

/// The resource id of a scale set. Azure's ids do not differ by case, and neither do these; the text is kept as given.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScaleSetId {
    text: String,
    folded: String,
}

impl ScaleSetId {
    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The subscription's GUID.
    pub fn subscription(&self) -> &str {
        self.segment(1)
    }

    /// The resource group's name.
    pub fn resource_group(&self) -> &str {
        self.segment(3)
    }

    /// The scale set's name.
    pub fn name(&self) -> &str {
        self.segment(7)
    }

    /// The path segments, to be escaped one by one.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').skip(1)
    }

    fn segment(&self, index: usize) -> &str {
        self.segments().nth(index).unwrap_or_default()
    }
}

impl FromStr for ScaleSetId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let folded = text.to_lowercase();
        let mut segments = folded.split('/');
        let fits = [
            Fixed(""),
            Fixed("subscriptions"),
            Guid,
            Fixed("resourcegroups"),
            Name(90),
            Fixed("providers"),
            Fixed("microsoft.compute"),
            Fixed("virtualmachinescalesets"),
            Name(64),
        ]
        .into_iter()
        .all(|part| segments.next().is_some_and(|segment| part.fits(segment)));
        if fits && segments.next().is_none() {
            Ok(Self { text: text.to_owned(), folded })
        } else {
            Err(IdError::ScaleSet(text.to_owned()))
        }
    }
}

enum Part {
    Fixed(&'static str),
    Guid,
    /// A name of at most so many characters.
    Name(usize),
}
use Part::{Fixed, Guid, Name};

impl Part {
    fn fits(&self, segment: &str) -> bool {
        match self {
            Fixed(text) => segment == *text,
            Guid => is_guid(segment),
            // Resource groups may hold letters of any script; nothing that could change the meaning of a URL path.
            Name(longest) => {
                (1..=*longest).contains(&segment.chars().count())
                    && segment.chars().all(|c| c.is_alphanumeric() || "-_.()".contains(c))
                    && segment.chars().any(|c| c != '.')
            }
        }
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl PartialEq for ScaleSetId {
    fn eq(&self, other: &Self) -> bool {
        self.folded == other.folded
    }
}

impl Eq for ScaleSetId {}

impl Hash for ScaleSetId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded.hash(state);
    }
}

impl PartialOrd for ScaleSetId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ScaleSetId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded.cmp(&other.folded)
    }
}

impl fmt::Display for ScaleSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ScaleSetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for ScaleSetId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ScaleSetId> for String {
    fn from(id: ScaleSetId) -> Self {
        id.text
    }
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
        // 64 characters: the longest name of a Linux VM.
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
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
    use rstest::rstest;

    const ID: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux-d4";

    #[test]
    fn a_scale_set_id_ignores_case_and_keeps_its_text() {
        let id: ScaleSetId = ID.parse().unwrap();
        let upper: ScaleSetId = ID.to_uppercase().parse().unwrap();
        assert_eq!(id, upper);
        assert_eq!(std::collections::HashSet::from([id.clone(), upper.clone()]).len(), 1);
        assert_eq!((id.as_str(), upper.name()), (ID, "LINUX-D4"));
        assert_eq!(id.subscription(), "00000000-1111-2222-3333-444444444444");
        assert_eq!(id.resource_group(), "agents");
    }

    #[rstest]
    #[case("")]
    #[case("/subscriptions/x/resourceGroups/a/providers/Microsoft.Compute/virtualMachineScaleSets/b")]
    #[case(&ID.replace("virtualMachineScaleSets", "virtualMachines"))]
    #[case(&ID.replace("linux-d4", ""))]
    #[case(&ID.replace("linux-d4", ".."))]
    #[case(&ID.replace("linux-d4", "a?b"))]
    #[case(&ID.replace("linux-d4", "a%2fb"))]
    #[case(&ID.replace("linux-d4", &"x".repeat(65)))]
    #[case(&format!("{ID}/"))]
    #[case(&format!("{ID}/virtualMachines/1"))]
    #[case(&format!("https://management.azure.com{ID}"))]
    fn other_texts_are_no_scale_set_id(#[case] text: &str) {
        assert!(text.parse::<ScaleSetId>().is_err());
    }

    #[test]
    fn instance_ids_have_no_way_to_say_all() {
        assert_eq!(InstanceIds::try_from(Vec::new()), Err(IdError::NoInstances));
        for text in ["", "*", "1,2", "../3", "7 "] {
            assert_eq!(text.parse::<InstanceId>(), Err(IdError::Instance(text.to_owned())));
        }
        assert_eq!("7".parse::<InstanceId>().unwrap().as_str(), "7");
        assert_eq!("set_a1b2c3d4".parse::<InstanceId>().unwrap().as_str(), "set_a1b2c3d4");
    }

    #[test]
    fn a_vm_id_is_a_guid_in_any_case() {
        let id = |text: &str| text.parse::<VmId>();
        assert_eq!(id("5D0C1C52-7F3F-4C0E-8D54-0F6F1D1F9A11"), id("5d0c1c52-7f3f-4c0e-8d54-0f6f1d1f9a11"));
        assert!(id("5d0c1c52").is_err());
    }
}
