//! The definitions of the three kinds, as the API server takes them.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt;

use crate::{AgentPool, ScaleSetBinding, StandbySchedule};

/// The definitions of AgentPool, StandbySchedule and ScaleSetBinding.
#[must_use]
pub fn all() -> Vec<CustomResourceDefinition> {
    [AgentPool::crd(), StandbySchedule::crd(), ScaleSetBinding::crd()].map(finish).into()
}

/// What the derive cannot say.
fn finish(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) else {
            continue;
        };
        walk(root, &mut |schema| {
            // `null` would be stored, and then be neither absent nor a value.
            schema.nullable = None;
            schema.title = None;
            // A paragraph of the source is one line of `kubectl explain`.
            if let Some(text) = &mut schema.description {
                *text =
                    text.split("\n\n").map(|part| part.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
        });
        if let Some(properties) = &mut root.properties {
            properties.insert("metadata".to_owned(), metadata());
            if let Some(spec) = properties.get_mut("spec") {
                spec.description = Some("What is wanted.".to_owned());
            }
            if let Some(status) = properties.get_mut("status") {
                status.description = Some("What is, as poolkeeper last saw it.".to_owned());
                // The server must not add to what the status's one writer applies.
                walk(status, &mut |schema| schema.default = None);
            }
        }
    }
    crd
}

/// A rule can name `metadata.name` as its field only if the schema does.
fn metadata() -> JSONSchemaProps {
    let of_type =
        |type_: &str| JSONSchemaProps { type_: Some(type_.to_owned()), ..JSONSchemaProps::default() };
    let name = BTreeMap::from([("name".to_owned(), of_type("string"))]);
    JSONSchemaProps { properties: Some(name), ..of_type("object") }
}

/// Calls `change` on a schema and on every schema inside it.
fn walk(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    change(schema);
    for property in schema.properties.iter_mut().flat_map(|properties| properties.values_mut()) {
        walk(property, change);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => walk(items, change),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(|item| walk(item, change)),
        None => {}
    }
}
