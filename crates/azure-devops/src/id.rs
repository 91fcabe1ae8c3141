use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number_id {
    ($(#[$meta:meta])* $name:ident($number:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $number);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id! {
    /// The number of an agent pool within its organisation.
    PoolId(u32)
}

number_id! {
    /// The number of an agent within its pool.
    AgentId(u32)
}

number_id! {
    /// The number of a job request within its organisation.
    RequestId(u64)
}

number_id! {
    /// The number of a maintenance definition within its pool.
    MaintenanceId(u32)
}
