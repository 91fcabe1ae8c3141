//! The operator's configuration: a YAML file, read once and strictly at the start.

mod check;

use std::path::{Path, PathBuf};

use poolkeeper_clock::Clock;
use poolkeeper_rest::SetupError;
use serde::Deserialize;

/// What the operator may reach, and what its own identity may serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    azure: Azure,
    #[serde(rename = "azureDevOps")]
    azure_devops: AzureDevOps,
    own_identity: OwnIdentity,
    watch_namespaces: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct Azure {
    cloud: Cloud,
    resource_manager: Option<String>,
    authority: Option<String>,
    audience: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum Cloud {
    #[default]
    Public,
    Government,
    China,
    Custom,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct AzureDevOps {
    hosts: Vec<String>,
    calls_per_minute: Option<u32>,
    parallel_jobs: Vec<ParallelJobs>,
}

/// The parallel jobs that an organisation has bought.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ParallelJobs {
    organization: String,
    jobs: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct OwnIdentity {
    namespaces: Vec<String>,
    scale_set_prefixes: Vec<String>,
}

/// An organisation's URL as it is compared.
pub(crate) fn organization(url: &str) -> String {
    url.trim_end_matches('/').to_ascii_lowercase()
}

/// Why the operator does not start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}; name a file that can be read with --config", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is no YAML, or has other fields.
    #[error("{}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, what and what else would be right.
        message: String,
    },
    /// A field cannot be used.
    #[error("{field}: {mend}")]
    Field {
        /// Its path, such as `azureDevOps.hosts[0]`.
        field: String,
        /// What is wrong, and what to write.
        mend: String,
    },
    /// A faster clock with real clouds.
    #[error(
        "--sim-clock: a faster clock is for the simulator only, and {field} {address:?} is not on this machine; leave \
         --sim-clock out, or let every address of the configuration be on 127.0.0.1"
    )]
    ScaledClock {
        /// The field that names another machine.
        field: String,
        /// The address there.
        address: String,
    },
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, is no YAML, has an unknown field, or a field that cannot be used.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        // Without the snippet: the error is one line of a log.
        let options = serde_yaml::options! { with_snippet: false };
        let config: Self = serde_yaml::from_str_with_options(&text, options)
            .map_err(|error| ConfigError::Syntax { path: path.to_owned(), message: error.to_string() })?;
        config.checked()
    }

    /// Where Azure Resource Manager is, without a slash at the end.
    #[must_use]
    pub fn resource_manager(&self) -> &str {
        match self.azure.cloud {
            Cloud::Public => "https://management.azure.com",
            Cloud::Government => "https://management.usgovcloudapi.net",
            Cloud::China => "https://management.chinacloudapi.cn",
            Cloud::Custom => self.azure.resource_manager.as_deref().unwrap_or_default(),
        }
    }

    /// Where Entra ID gives tokens, without a slash at the end.
    #[must_use]
    pub fn authority(&self) -> &str {
        match self.azure.cloud {
            Cloud::Public => "https://login.microsoftonline.com",
            Cloud::Government => "https://login.microsoftonline.us",
            Cloud::China => "https://login.chinacloudapi.cn",
            Cloud::Custom => self.azure.authority.as_deref().unwrap_or_default(),
        }
    }

    /// The cloud of these addresses, for the clients. Where all of a Custom cloud is on this machine, so is the metadata
    /// service of VMs: the simulator's.
    ///
    /// # Errors
    /// None: the addresses have been checked.
    pub fn cloud(&self) -> Result<poolkeeper_azure::Cloud, SetupError> {
        match self.azure.cloud {
            Cloud::Public => poolkeeper_azure::Cloud::public(),
            Cloud::Government => poolkeeper_azure::Cloud::government(),
            Cloud::China => poolkeeper_azure::Cloud::china(),
            Cloud::Custom => {
                let audience = self.azure.audience.as_deref().unwrap_or(self.resource_manager());
                let scope = format!("{}/.default", audience.trim_end_matches('/'));
                let cloud =
                    poolkeeper_azure::Cloud::custom(self.resource_manager(), self.authority(), &scope)?;
                if self.only_loopback() { cloud.with_metadata(self.authority()) } else { Ok(cloud) }
            }
        }
    }

    /// The namespaces to watch; empty for all.
    #[must_use]
    pub fn watch_namespaces(&self) -> &[String] {
        &self.watch_namespaces
    }

    /// The parallel jobs of the organisation at `url`, where the configuration says how many there are.
    #[must_use]
    pub fn parallel_jobs(&self, url: &str) -> Option<u32> {
        let url = organization(url);
        self.azure_devops.parallel_jobs.iter().find(|known| known.organization == url).map(|known| known.jobs)
    }

    /// Calls a minute to one organisation, at most. Azure DevOps limits the use of its resources, not calls, and says
    /// in headers what is left; this keeps us far from it.
    #[must_use]
    pub fn calls_per_minute(&self) -> u32 {
        self.azure_devops.calls_per_minute.unwrap_or(poolkeeper_budget::ORGANIZATION_CALLS)
    }

    /// Whether a token may go to an organisation at `host`, or `host:port` where its URL names one.
    #[must_use]
    pub fn host_allowed(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        self.azure_devops.hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
            Some(domain) => host
                .strip_suffix(domain)
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|name| !name.is_empty()),
            None => *allowed == host,
        })
    }

    /// Whether pools of a namespace may sign in with the operator's own identity.
    #[must_use]
    pub fn identity_allowed_for_namespace(&self, namespace: &str) -> bool {
        self.own_identity.namespaces.iter().any(|allowed| allowed == namespace)
    }

    /// Whether a binding of a namespace may manage this scale set with the operator's own identity. A prefix holds up
    /// to the end of one of its path's segments, whatever the case: `…/resourceGroups/agents` says nothing about
    /// `…/resourceGroups/agents-prod`.
    #[must_use]
    pub fn identity_allowed_for_scale_set(&self, namespace: &str, resource_id: &str) -> bool {
        self.identity_allowed_for_namespace(namespace)
            && check::is_plain_id(resource_id)
            && self.own_identity.scale_set_prefixes.iter().any(|prefix| {
                let id = resource_id.to_ascii_lowercase();
                id.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
    }

    /// Whether every service that it names is on this machine.
    #[must_use]
    pub fn only_loopback(&self) -> bool {
        self.elsewhere().is_none()
    }

    /// The clock to run by.
    ///
    /// # Errors
    /// If the clock is faster than the wall clock, and a service is not on this machine: real VMs do not start faster.
    pub fn clock(&self, wanted: Option<Clock>) -> Result<Clock, ConfigError> {
        let clock = wanted.unwrap_or(Clock::REAL);
        match self.elsewhere().filter(|_| clock.is_scaled()) {
            None => Ok(clock),
            Some((field, address)) => Err(ConfigError::ScaledClock { field, address }),
        }
    }
}

#[cfg(test)]
mod tests;
