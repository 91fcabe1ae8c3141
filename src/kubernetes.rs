//! Writes to the API server.

use std::{fmt::Debug, time::Duration};

use k8s_openapi::{NamespaceResourceScope, api::core::v1::ObjectReference};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::{ApiResource, DeserializeGuard, DynamicObject, ObjectMeta},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::context::Context;

/// Field manager of everything that the operator applies, and its name in events.
pub const MANAGER: &str = "poolkeeper";
/// The API server answers within milliseconds, or is in trouble; a pass must not wait for it for long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// A kind that lives in a namespace.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static
{
}

/// No answer in time.
#[derive(Debug, thiserror::Error)]
#[error("the API server gave no answer within {} s", .0.as_secs())]
struct NoAnswer(Duration);

/// The call's own result, or an error after `patience`.
pub(crate) async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    match tokio::time::timeout(patience, call).await {
        Ok(result) => result,
        Err(_elapsed) => Err(kube::Error::Service(NoAnswer(patience).into())),
    }
}

/// A read, within the time that a pass has for it.
pub(crate) async fn read<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    within(PATIENCE, call).await
}

/// Applies the whole status of an object, as its one writer. An object that is gone, or another one of the same name,
/// is left alone.
///
/// # Errors
/// If the API server refuses it, or does not answer within 15 s.
pub async fn apply_status<K: Kind>(
    ctx: &Context,
    object: &K,
    status: &impl Serialize,
) -> Result<(), kube::Error> {
    apply_status_of::<K>(ctx, object.meta(), status).await
}

/// As [`apply_status`], for an object of which only the metadata can be read.
pub(crate) async fn apply_status_of<K: Kind>(
    ctx: &Context,
    meta: &ObjectMeta,
    status: &impl Serialize,
) -> Result<(), kube::Error> {
    let (name, namespace) =
        (meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        // The uid is a precondition: what was found of an object says nothing about its successor.
        "metadata": {"name": name, "namespace": namespace, "uid": meta.uid},
        "status": status,
    });
    let api: Api<DynamicObject> =
        Api::namespaced_with(ctx.kube.clone(), namespace, &ApiResource::erase::<K>(&()));
    let merge = || async {
        ctx.metrics.api_write(K::kind(&()));
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        within(PATIENCE, api.patch_status(name, &params, &Patch::Merge(&patch))).await
    };
    ctx.metrics.api_write(K::kind(&()));
    let params = PatchParams::apply(MANAGER).force();
    let written = match within(PATIENCE, api.patch_status(name, &params, &Patch::Apply(&patch))).await {
        // Nothing can be applied to an object that does not fit its definition; its status can be replaced.
        Err(kube::Error::Api(refusal)) if refusal.code == 500 => merge().await,
        // What was once replaced has two owners, and an apply takes it from one of them only.
        Ok(applied) if conditions(&applied.data) > conditions(&patch) => merge().await,
        other => other,
    };
    match written {
        Ok(object) => {
            ctx.stores.wrote(&object.metadata);
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

fn conditions(object: &serde_json::Value) -> usize {
    object.pointer("/status/conditions").and_then(serde_json::Value::as_array).map_or(0, Vec::len)
}

/// Adds a finalizer; does nothing where it is already.
///
/// # Errors
/// If the object has changed since it was read (409), or the API server does not answer within 15 s. Nothing may be
/// written to a cloud then.
pub async fn add_finalizer<K: Kind>(ctx: &Context, object: &K, finalizer: &str) -> Result<(), kube::Error> {
    if object.finalizers().iter().any(|present| present == finalizer) {
        return Ok(());
    }
    let mut finalizers = object.finalizers().to_vec();
    finalizers.push(finalizer.to_owned());
    write_finalizers(ctx, object, finalizers).await
}

/// Removes a finalizer; does nothing where there is none, or no object any more.
///
/// # Errors
/// If the object has changed since it was read (409), or the API server does not answer within 15 s.
pub async fn remove_finalizer<K: Kind>(
    ctx: &Context,
    object: &K,
    finalizer: &str,
) -> Result<(), kube::Error> {
    let rest: Vec<String> =
        object.finalizers().iter().filter(|present| *present != finalizer).cloned().collect();
    if rest.len() == object.finalizers().len() {
        return Ok(());
    }
    match write_finalizers(ctx, object, rest).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        result => result,
    }
}

async fn write_finalizers<K: Kind>(
    ctx: &Context,
    object: &K,
    finalizers: Vec<String>,
) -> Result<(), kube::Error> {
    let api: Api<DeserializeGuard<K>> =
        Api::namespaced(ctx.kube.clone(), &object.namespace().unwrap_or_default());
    // The list is replaced whole, so it must be the list that was read.
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": object.resource_version(), "uid": object.uid()}
    });
    ctx.metrics.api_write(K::kind(&()));
    let (name, params) = (object.name_any(), PatchParams::default());
    let written = within(PATIENCE, api.patch(&name, &params, &Patch::Merge(&patch))).await?;
    ctx.stores.wrote(written.meta());
    Ok(())
}

/// Sets some annotations of an object, and removes those that are null, if nobody else has changed it meanwhile.
///
/// # Errors
/// If the object has changed since it was read (409), or the API server does not answer within 15 s.
pub(crate) async fn annotate<K: Kind>(
    ctx: &Context,
    object: &K,
    annotations: serde_json::Map<String, serde_json::Value>,
) -> Result<(), kube::Error> {
    let api: Api<DeserializeGuard<K>> =
        Api::namespaced(ctx.kube.clone(), &object.namespace().unwrap_or_default());
    let patch = json!({
        "metadata": {"annotations": annotations, "uid": object.uid()}
    });
    ctx.metrics.api_write(K::kind(&()));
    let params = PatchParams::default();
    match within(PATIENCE, api.patch(&object.name_any(), &params, &Patch::Merge(&patch))).await {
        Ok(written) => {
            ctx.stores.wrote(written.meta());
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error),
    }
}

/// A reference to an object, for events.
#[must_use]
pub fn object_reference<K: Resource<DynamicType = ()>>(object: &K) -> ObjectReference {
    // With a version, each version of an object would count as another one.
    ObjectReference { resource_version: None, ..object.object_ref(&()) }
}

/// An error of the API server in one line.
#[must_use]
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Service(cause) => cause.to_string(),
        other => other.to_string(),
    }
}
