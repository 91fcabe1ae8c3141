use super::{IdError, is_guid};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

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

/// `folded` has these segments, after a first slash, and no more.
fn fits(folded: &str, parts: &[Part]) -> bool {
    let mut segments = folded.split('/');
    segments.next() == Some("")
        && parts.iter().all(|part| segments.next().is_some_and(|segment| part.fits(segment)))
        && segments.next().is_none()
}

macro_rules! resource_id {
    ($(#[$meta:meta])* $name:ident, $error:ident, [$($part:expr),+ $(,)?]) => {
        $(#[$meta])*
        #[derive(Clone, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            text: String,
            folded: String,
        }

        impl $name {
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

            /// Whether `text` is this id, in any case.
            pub(crate) fn is(&self, text: &str) -> bool {
                text.trim_end_matches('/').to_lowercase() == self.folded
            }

            /// The path segments, to be escaped one by one.
            pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
                self.text.split('/').skip(1)
            }

            fn segment(&self, index: usize) -> &str {
                self.segments().nth(index).unwrap_or_default()
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                let folded = text.to_lowercase();
                if fits(&folded, &[$($part),+]) {
                    Ok(Self { text: text.to_owned(), folded })
                } else {
                    Err(IdError::$error(text.to_owned()))
                }
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.folded == other.folded
            }
        }

        impl Eq for $name {}

        impl Hash for $name {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.folded.hash(state);
            }
        }

        impl PartialOrd for $name {
            fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
                Some(self.cmp(other))
            }
        }

        impl Ord for $name {
            fn cmp(&self, other: &Self) -> std::cmp::Ordering {
                self.folded.cmp(&other.folded)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.text
            }
        }
    };
}

resource_id! {
    /// The resource id of a scale set. Azure's ids do not differ by case, and neither do these; the text is kept as
    /// given.
    ScaleSetId,
    ScaleSet,
    [
        Fixed("subscriptions"),
        Guid,
        Fixed("resourcegroups"),
        Name(90),
        Fixed("providers"),
        Fixed("microsoft.compute"),
        Fixed("virtualmachinescalesets"),
        Name(64),
    ]
}

impl ScaleSetId {
    /// The scale set's name.
    pub fn name(&self) -> &str {
        self.segment(7)
    }
}

resource_id! {
    /// The resource id of a subnet, without regard to case; the text is kept as given.
    SubnetId,
    Subnet,
    [
        Fixed("subscriptions"),
        Guid,
        Fixed("resourcegroups"),
        Name(90),
        Fixed("providers"),
        Fixed("microsoft.network"),
        Fixed("virtualnetworks"),
        Name(64),
        Fixed("subnets"),
        Name(80),
    ]
}

impl SubnetId {
    /// The virtual network's name.
    pub fn network(&self) -> &str {
        self.segment(7)
    }

    /// The subnet's name.
    pub fn name(&self) -> &str {
        self.segment(9)
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

    const SUBNET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/network/providers/Microsoft.Network/virtualNetworks/agents/subnets/linux";

    #[test]
    fn a_subnet_id_ignores_case_and_keeps_its_text() {
        let id: SubnetId = SUBNET.parse().unwrap();
        assert_eq!(id, SUBNET.to_lowercase().parse().unwrap());
        assert!(id.is(&SUBNET.to_uppercase()) && !id.is(ID));
        assert_eq!((id.as_str(), id.network(), id.name()), (SUBNET, "agents", "linux"));
    }

    #[rstest]
    #[case("")]
    #[case(ID)]
    #[case(&SUBNET.replace("/subnets/linux", ""))]
    #[case(&SUBNET.replace("linux", ".."))]
    #[case(&SUBNET.replace("linux", &"x".repeat(81)))]
    #[case(&format!("{SUBNET}/x"))]
    fn other_texts_are_no_subnet_id(#[case] text: &str) {
        assert_eq!(text.parse::<SubnetId>(), Err(IdError::Subnet(text.to_owned())));
    }
}
