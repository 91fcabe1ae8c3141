//! ConfigMaps that belong to a pool and go with it: what is learned or noted, never a truth.

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use poolkeeper_api::POOL_LABEL;
use serde_json::json;

use crate::{
    kubernetes::{self, MANAGER},
    metrics::Metrics,
};

/// Why a ConfigMap was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnedMapError {
    #[error("{}", kubernetes::words(.0))]
    Kube(#[from] kube::Error),
    #[error("the ConfigMap is not owned by the pool: it is left alone; rename or delete it")]
    Foreign,
}

/// One ConfigMap of one pool, with one field.
#[derive(Debug)]
pub(crate) struct OwnedMap<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) pool: &'a str,
    pub(crate) name: String,
    pub(crate) owner: &'a OwnerReference,
    /// The only field of its data.
    pub(crate) field: &'a str,
}

impl OwnedMap<'_> {
    /// What is there now; `None` if there is none.
    ///
    /// # Errors
    /// If the API server does not answer, or another object owns it.
    pub(crate) async fn read(&self, kube: &Client) -> Result<Option<ConfigMap>, OwnedMapError> {
        let present = kubernetes::read(self.api(kube).get_opt(&self.name)).await?;
        match present {
            Some(map) if map.owner_references().iter().all(|other| other.uid != self.owner.uid) => {
                Err(OwnedMapError::Foreign)
            }
            present => Ok(present),
        }
    }

    /// The text of its field.
    pub(crate) fn text<'m>(&self, map: &'m ConfigMap) -> Option<&'m str> {
        map.data.as_ref()?.get(self.field).map(String::as_str)
    }

    /// Writes the text in the place of what was read, which is a precondition: a ConfigMap that somebody has made or
    /// changed meanwhile is looked at first.
    ///
    /// # Errors
    /// If the API server refuses it, or does not answer.
    pub(crate) async fn write(
        &self,
        kube: &Client,
        metrics: &Metrics,
        present: Option<&ConfigMap>,
        text: &str,
    ) -> Result<ConfigMap, OwnedMapError> {
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "labels": {POOL_LABEL: self.pool, "app.kubernetes.io/managed-by": MANAGER},
            "ownerReferences": [self.owner],
        });
        let params = PatchParams::apply(MANAGER);
        let params = match present.and_then(ResourceExt::resource_version) {
            Some(version) => {
                if let Some(metadata) = metadata.as_object_mut() {
                    metadata.insert("resourceVersion".to_owned(), version.into());
                }
                params.force()
            }
            None => params,
        };
        let data = json!({ self.field: text });
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data});
        metrics.api_write("ConfigMap");
        Ok(kubernetes::read(self.api(kube).patch(&self.name, &params, &Patch::Apply(&map))).await?)
    }

    fn api(&self, kube: &Client) -> Api<ConfigMap> {
        Api::namespaced(kube.clone(), self.namespace)
    }
}
