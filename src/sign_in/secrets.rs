//! Reads Secrets by name.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use poolkeeper_api::reference::SecretReference;
use secrecy::SecretString;

use super::SignInError;
use crate::kubernetes;

/// All bindings of a pool often name one Secret: one read serves a pass over them, and a rotated Secret is seen no later
/// than this.
const FRESH: Duration = Duration::from_secs(1);

/// The Secrets that were read a moment ago.
#[derive(Default)]
pub(super) struct Secrets(Mutex<HashMap<(String, String), (Instant, Secret)>>);

impl Secrets {
    /// The text under the reference's key, or under `default_key` where it names none.
    pub(super) async fn value(
        &self,
        kube: &kube::Client,
        namespace: &str,
        reference: &SecretReference,
        default_key: &str,
    ) -> Result<SecretString, SignInError> {
        let name = reference.name.clone();
        let key = reference.key.clone().unwrap_or_else(|| default_key.to_owned());
        let Some(found) = self.read(kube, namespace, &name).await? else {
            return Err(SignInError::SecretMissing { name, key });
        };
        let value = found.data.and_then(|data| data.get(&key).map(|bytes| bytes.0.clone()));
        match value.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.trim().is_empty()) {
            Some(text) => Ok(SecretString::from(text)),
            None => Err(SignInError::KeyMissing { name, key }),
        }
    }

    async fn read(
        &self,
        kube: &kube::Client,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Secret>, SignInError> {
        let place = (namespace.to_owned(), name.to_owned());
        if let Some((_, secret)) = self.recent().get(&place).filter(|(at, _)| at.elapsed() < FRESH) {
            return Ok(Some(secret.clone()));
        }
        let secrets: Api<Secret> = Api::namespaced(kube.clone(), namespace);
        let found = kubernetes::within(kubernetes::PATIENCE, secrets.get_opt(name)).await;
        let found =
            found.map_err(|source| SignInError::SecretUnreadable { name: name.to_owned(), source })?;
        let mut recent = self.recent();
        recent.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some(secret) = &found {
            recent.insert(place, (Instant::now(), secret.clone()));
        }
        Ok(found)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), (Instant, Secret)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
