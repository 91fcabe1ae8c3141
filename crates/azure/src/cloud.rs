use poolkeeper_rest::{SetupError, Url, is_loopback};

/// Where one of Azure's clouds is: its Resource Manager, its sign-in, and the scope of tokens for the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloud {
    resource_manager: Url,
    authority: Url,
    scope: String,
    metadata: Url,
}

/// The metadata service of every Azure VM, reachable from that VM alone:
/// <https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service>.
pub(crate) const METADATA: &str = "http://169.254.169.254/";

impl Cloud {
    /// Azure.
    ///
    /// # Errors
    /// None: these addresses are right.
    pub fn public() -> Result<Self, SetupError> {
        Self::known("https://management.azure.com", "https://login.microsoftonline.com")
    }

    /// Azure Government.
    ///
    /// # Errors
    /// None: these addresses are right.
    pub fn government() -> Result<Self, SetupError> {
        Self::known("https://management.usgovcloudapi.net", "https://login.microsoftonline.us")
    }

    /// Azure in China.
    ///
    /// # Errors
    /// None: these addresses are right.
    pub fn china() -> Result<Self, SetupError> {
        Self::known("https://management.chinacloudapi.cn", "https://login.chinacloudapi.cn")
    }

    /// Another cloud, or a simulator on this machine, which may take plain HTTP. `authority` is without a path.
    ///
    /// # Errors
    /// [`SetupError`] where an address is neither https nor on this machine.
    pub fn custom(resource_manager: &str, authority: &str, scope: &str) -> Result<Self, SetupError> {
        Ok(Self {
            resource_manager: secure(resource_manager)?,
            authority: secure(authority)?,
            scope: scope.to_owned(),
            metadata: parsed(METADATA)?,
        })
    }

    /// The same cloud with a simulator on this machine in the place of the metadata service.
    ///
    /// # Errors
    /// [`SetupError`] where the address is not on this machine.
    pub fn with_metadata(self, metadata: &str) -> Result<Self, SetupError> {
        let metadata = parsed(metadata)?;
        if is_loopback(&metadata) { Ok(Self { metadata, ..self }) } else { Err(insecure(&metadata)) }
    }

    /// The address of Azure Resource Manager.
    pub fn resource_manager(&self) -> &Url {
        &self.resource_manager
    }

    /// The address of Entra ID.
    pub fn authority(&self) -> &Url {
        &self.authority
    }

    /// The scope of tokens for Resource Manager.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The metadata service, which gives managed identities their tokens.
    pub fn metadata(&self) -> &Url {
        &self.metadata
    }

    fn known(resource_manager: &str, authority: &str) -> Result<Self, SetupError> {
        Self::custom(resource_manager, authority, &format!("{resource_manager}/.default"))
    }
}

fn secure(text: &str) -> Result<Url, SetupError> {
    let url = parsed(text)?;
    let is_secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if is_secure { Ok(url) } else { Err(insecure(&url)) }
}

fn insecure(url: &Url) -> SetupError {
    SetupError::Insecure {
        scheme: url.scheme().to_owned(),
        host: url.host_str().unwrap_or_default().to_owned(),
    }
}

fn parsed(text: &str) -> Result<Url, SetupError> {
    Url::parse(text).map_err(|_| SetupError::Url { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_differ_in_address_and_scope() {
        let clouds = [Cloud::public().unwrap(), Cloud::government().unwrap(), Cloud::china().unwrap()];
        let scopes: Vec<_> = clouds.iter().map(Cloud::scope).collect();
        assert_eq!(
            scopes,
            [
                "https://management.azure.com/.default",
                "https://management.usgovcloudapi.net/.default",
                "https://management.chinacloudapi.cn/.default"
            ]
        );
        let simulator = Cloud::custom("http://127.0.0.1:1/", "http://localhost:2", "s").unwrap();
        assert_eq!(simulator.metadata().as_str(), METADATA);
        assert!(
            Cloud::custom("http://management.azure.com", "https://login.microsoftonline.com", "s").is_err()
        );
        assert!(
            Cloud::custom("https://management.azure.com", "http://login.microsoftonline.com", "s").is_err()
        );
    }
}
