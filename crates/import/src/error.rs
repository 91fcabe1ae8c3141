//! What can be wrong with the definition of a pool.

/// Why no manifests can be made. `path` is where it stands in the definition, such as
/// `properties.agentProfile.kind`.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message of each variant says it, and the fields are its parts")]
pub enum ImportError {
    #[error("the definition is not JSON; save it as the service or az prints it")]
    Json(#[source] serde_json::Error),
    #[error("{path} is missing; {mend}")]
    Missing { path: String, mend: &'static str },
    #[error("{path} is {found}; it must be {expected}")]
    Type { path: String, found: String, expected: &'static str },
    #[error("{path} is {found}; it must be a whole number from {least} to {most}")]
    Range { path: String, found: String, least: u32, most: u32 },
    #[error(
        "{path} is the template expression {found}; write its value there, or save the pool as it is deployed \
         (az mdp pool show)"
    )]
    Expression { path: String, found: String },
    #[error("{path} holds {count} pools; save one alone")]
    SeveralPools { path: String, count: usize },
    #[error("{path} is GitHub; poolkeeper runs pools of Azure DevOps only")]
    GitHub { path: String },
    #[error(
        "{path}: no time zone of Windows or of the tz database is called {zone:?}; write an IANA name such as \
         Europe/Stockholm in its place"
    )]
    UnknownZone { path: String, zone: String },
    #[error("{path}: {found:?} is no time of day in whole minutes; write it like 09:30:00")]
    BadTime { path: String, found: String },
    #[error("{path} has {count} items; give one for the whole week, or seven from Sunday on")]
    BadWeek { path: String, count: usize },
    #[error("{path} makes {count} periods, and a StandbySchedule takes 64; merge times that differ little")]
    TooManyPeriods { path: String, count: usize },
    #[error("{path} has {count} entries, and an AgentPool takes {most}; split the pool")]
    TooMany { path: String, count: usize, most: usize },
    #[error("{path}: {name:?} leads to two images; every name and alias must lead to one")]
    ImageTwice { path: String, name: String },
    #[error(
        "{found:?} cannot be {what}: lower-case letters, digits and '-', at most 63, no '-' at either end"
    )]
    Name { what: &'static str, found: String },
}
