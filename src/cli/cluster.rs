//! The way to the API server, as kubectl finds it.

use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use poolkeeper_api::AgentPool;

use super::{Error, Place};
use crate::kubernetes;

/// A cluster, and the namespace to look in.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Cluster {
    /// By kubeconfig and context; inside of a pod by its ServiceAccount.
    pub(super) async fn connect(at: &Place) -> Result<Self, Error> {
        check_name(&at.pool)?;
        let unusable = |error: &dyn std::error::Error| Error::Kubeconfig(crate::chain(error));
        let mut config = config(at).await?;
        // A refused call shall be heard of at once.
        config.default_retry = false;
        let namespace = at.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        check_name(&namespace)?;
        let client = Client::try_from(config).map_err(|error| unusable(&error))?;
        Ok(Self { client, namespace })
    }

    /// Whether there is such a pool; `None` where one may not see that.
    pub(super) async fn has_pool(&self, name: &str) -> Option<bool> {
        let pools: Api<AgentPool> = Api::namespaced(self.client.clone(), &self.namespace);
        match kubernetes::read(pools.get_metadata_opt(name)).await {
            Ok(found) => Some(found.is_some()),
            Err(_) => None,
        }
    }
}

async fn config(at: &Place) -> Result<Config, Error> {
    let options = KubeConfigOptions { context: at.context.clone(), ..KubeConfigOptions::default() };
    let unusable = |error: &dyn std::error::Error| Error::Kubeconfig(crate::chain(error));
    if let Some(file) = &at.kubeconfig {
        let kubeconfig = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| unusable(&error));
    }
    match Config::from_kubeconfig(&options).await {
        Ok(config) => Ok(config),
        Err(error) if at.context.is_some() => Err(unusable(&error)),
        Err(error) => Config::incluster().map_err(|_| unusable(&error)),
    }
}

/// The namespace that a kubeconfig's context names, where there is one.
pub(super) async fn namespace(at: &Place) -> Result<String, Error> {
    check_name(&at.pool)?;
    let namespace = match &at.namespace {
        Some(namespace) => namespace.clone(),
        None if at.kubeconfig.is_some() || at.context.is_some() => config(at).await?.default_namespace,
        None => config(at).await.map_or_else(|_| "default".to_owned(), |config| config.default_namespace),
    };
    check_name(&namespace)?;
    Ok(namespace)
}

/// It becomes a part of paths.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-".contains(letter);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::Name(name.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        assert!(check_name("linux-build.d4").is_ok());
        for name in ["", "..", "a/b", "agp/linux-build", "Linux", "a?b", "a%2e"] {
            assert!(matches!(check_name(name), Err(Error::Name(_))), "{name}");
        }
    }
}
