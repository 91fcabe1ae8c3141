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

/// All bindings of a pool often name one Secret: one read serves a pass over them. A pass takes seconds at most.
const FRESH: Duration = Duration::from_secs(5);

/// The Secrets that were read a moment ago.
#[derive(Default)]
pub(super) struct Secrets(Mutex<Recent>);

#[derive(Default)]
struct Recent {
    /// By namespace and name, with the time at which the read began.
    read: HashMap<(String, String), (Instant, Secret)>,
    /// When the last pass over an object of a namespace began: what was read before no longer counts.
    passes: HashMap<String, Instant>,
}

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

    /// A pass begins. It never acts on a Secret that was replaced before that.
    pub(super) fn begin_pass(&self, namespace: &str) {
        self.recent().passes.insert(namespace.to_owned(), Instant::now());
    }

    async fn read(
        &self,
        kube: &kube::Client,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Secret>, SignInError> {
        let place = (namespace.to_owned(), name.to_owned());
        let began = Instant::now();
        if let Some(secret) = self.recent().get(&place) {
            return Ok(Some(secret));
        }
        let secrets: Api<Secret> = Api::namespaced(kube.clone(), namespace);
        let found = kubernetes::within(kubernetes::PATIENCE, secrets.get_opt(name)).await;
        let found =
            found.map_err(|source| SignInError::SecretUnreadable { name: name.to_owned(), source })?;
        let mut recent = self.recent();
        recent.read.retain(|_, (at, _)| at.elapsed() < FRESH);
        if let Some(secret) = &found {
            recent.read.insert(place, (began, secret.clone()));
        }
        Ok(found)
    }

    fn recent(&self) -> std::sync::MutexGuard<'_, Recent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recent {
    fn get(&self, place: &(String, String)) -> Option<Secret> {
        let (at, secret) = self.read.get(place)?;
        let of_this_pass = self.passes.get(&place.0).is_none_or(|began| at >= began);
        (of_this_pass && at.elapsed() < FRESH).then(|| secret.clone())
    }
}
