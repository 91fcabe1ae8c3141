//! What the types of the configuration cannot say.

use poolkeeper_rest::{Url, is_loopback};

use super::{Cloud, Config, ConfigError};

impl Config {
    /// Checks what was read, and brings it into the form that the questions compare.
    pub(super) fn checked(mut self) -> Result<Self, ConfigError> {
        let custom = self.azure.cloud == Cloud::Custom;
        for (name, address) in
            [("resourceManager", &mut self.azure.resource_manager), ("authority", &mut self.azure.authority)]
        {
            let field = format!("azure.{name}");
            match (custom, address) {
                (true, Some(address)) => *address = endpoint(&field, address)?,
                (true, None) => {
                    return Err(bad(field, "is missing; cloud Custom needs it, such as https://example.net"));
                }
                (false, Some(_)) => {
                    return Err(bad(
                        field,
                        "is only for cloud Custom; remove it, or set azure.cloud: Custom",
                    ));
                }
                (false, None) => {}
            }
        }
        if let Some(audience) = &mut self.azure.audience {
            if !custom {
                return Err(bad(
                    "azure.audience".into(),
                    "is only for cloud Custom; remove it, or set azure.cloud: Custom",
                ));
            }
            *audience = endpoint("azure.audience", audience)?;
        }
        if self.azure_devops.calls_per_minute == Some(0) {
            return Err(bad("azureDevOps.callsPerMinute".into(), "must be at least 1"));
        }
        self.check_parallel_jobs()?;
        for (index, host) in self.azure_devops.hosts.iter_mut().enumerate() {
            *host = host.to_ascii_lowercase();
            if !is_host(host) {
                let mend = format!(
                    "{host:?} is no host; write a host such as dev.azure.com, host:port, or *.example.com, without https:// \
                     and path"
                );
                return Err(bad(format!("azureDevOps.hosts[{index}]"), &mend));
            }
        }
        for (index, prefix) in self.own_identity.scale_set_prefixes.iter_mut().enumerate() {
            let given = std::mem::take(prefix);
            *prefix = given.to_ascii_lowercase().trim_end_matches('/').to_owned();
            if !is_plain_id(prefix) || !prefix.starts_with("/subscriptions/") {
                let mend = format!(
                    "{given:?} is no beginning of a resource id; write it like \
                     /subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/"
                );
                return Err(bad(format!("ownIdentity.scaleSetPrefixes[{index}]"), &mend));
            }
        }
        namespaces("ownIdentity.namespaces", &self.own_identity.namespaces)?;
        namespaces("watchNamespaces", &self.watch_namespaces)?;
        Ok(self)
    }

    fn check_parallel_jobs(&mut self) -> Result<(), ConfigError> {
        let mut known = std::collections::BTreeSet::new();
        for (index, row) in self.azure_devops.parallel_jobs.iter_mut().enumerate() {
            let field = |name: &str| format!("azureDevOps.parallelJobs[{index}].{name}");
            row.organization = super::organization(&row.organization);
            let url = Url::parse(&row.organization).ok().filter(|url| url.host_str().is_some());
            if url.is_none() {
                let mend =
                    format!("{:?} is no address; write https://dev.azure.com/fabrikam", row.organization);
                return Err(bad(field("organization"), &mend));
            }
            if row.jobs == 0 {
                return Err(bad(
                    field("jobs"),
                    "must be at least 1; leave the organization out for no limit",
                ));
            }
            if !known.insert(row.organization.clone()) {
                return Err(bad(field("organization"), "is there twice; remove one"));
            }
        }
        Ok(())
    }

    /// The first field that names another machine, and what it names.
    pub(super) fn elsewhere(&self) -> Option<(String, String)> {
        let services =
            [("azure.resourceManager", self.resource_manager()), ("azure.authority", self.authority())];
        let services =
            services.into_iter().map(|(field, url)| (field.to_owned(), url.to_owned(), url.to_owned()));
        let hosts = self.azure_devops.hosts.iter().enumerate();
        let hosts = hosts.map(|(index, host)| {
            (format!("azureDevOps.hosts[{index}]"), host.clone(), format!("http://{host}"))
        });
        let mut others =
            services.chain(hosts).filter(|(_, _, url)| !Url::parse(url).is_ok_and(|url| is_loopback(&url)));
        others.next().map(|(field, address, _)| (field, address))
    }
}

/// A base that tokens may be sent to: https, or http on this machine.
fn endpoint(field: &str, text: &str) -> Result<String, ConfigError> {
    let form = |url: &Url| {
        (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
    };
    match Url::parse(text).ok().filter(form) {
        Some(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
        None => Err(bad(
            field.to_owned(),
            &format!("{text:?} is no address; write https://host, or http://127.0.0.1:port on this machine"),
        )),
    }
}

/// `host`, `host:port` or `*.domain`.
fn is_host(text: &str) -> bool {
    let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let domain = host.strip_prefix("*.").unwrap_or(host);
    // `*.com` would give tokens to anybody who registers a name.
    let wide_enough = domain == host || domain.contains('.');
    domain.split('.').all(label)
        && wide_enough
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// An id whose text is its meaning: nothing that a server might read as another path.
pub(super) fn is_plain_id(id: &str) -> bool {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '(' | ')'))
    };
    id.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment))
}

fn namespaces(field: &str, names: &[String]) -> Result<(), ConfigError> {
    for (index, name) in names.iter().enumerate() {
        let field = || format!("{field}[{index}]");
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let legal = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && ends(name.chars().next())
            && ends(name.chars().next_back())
            && name.len() <= 63;
        if !legal {
            let mend =
                format!("{name:?} is no name of a namespace; write lower-case letters, digits and hyphens");
            return Err(bad(field(), &mend));
        }
        // Two watches of one namespace would be two writers.
        if names.iter().take(index).any(|earlier| earlier == name) {
            return Err(bad(field(), &format!("{name:?} is there twice; remove one")));
        }
    }
    Ok(())
}

fn bad(field: String, mend: &str) -> ConfigError {
    ConfigError::Field { field, mend: mend.to_owned() }
}
