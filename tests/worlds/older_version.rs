//! Objects that an older definition of their kinds let in, and today's does not.

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use poolkeeper_harness::eventually;
use serde_json::{Value, json};

use crate::{
    cases::Case,
    list,
    support::{PATIENCE, Stage},
};

/// Lets the API server take what an older definition took, until the definitions are put back.
pub(crate) async fn store(stage: &Stage, cases: &[Case]) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.admin.clone());
    let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let fields = [
        ("agentpools.poolkeeper.dev", format!("{spec}/lifecycle/properties/stateless/properties/recycle")),
        ("scalesetbindings.poolkeeper.dev", format!("{spec}/priority")),
    ];
    let mut real = Vec::new();
    for (name, field) in &fields {
        let definition = serde_json::to_value(definitions.get(name).await?)?;
        real.push(definition.pointer(field).with_context(|| format!("{name} has no {field}"))?.clone());
        replace(&definitions, name, field, &json!({"x-kubernetes-preserve-unknown-fields": true})).await?;
    }
    let manifests = list(cases.iter().flat_map(|case| &case.wrong));
    eventually("the looser definitions take the objects", PATIENCE, async || {
        stage.control_plane.apply(&manifests).await.map(Some)
    })
    .await?;
    for ((name, field), real) in fields.iter().zip(&real) {
        replace(&definitions, name, field, real).await?;
    }
    eventually("the definitions refuse the objects again", PATIENCE, async || {
        for case in cases {
            for mut manifest in
                case.wrong.clone().into_iter().filter(|manifest| manifest["kind"] == case.kind)
            {
                manifest["metadata"]["name"] = json!("probe");
                let text = manifest.to_string();
                let directory = stage.control_plane.directory();
                let file = directory.path().join("probe.json");
                std::fs::write(&file, text)?;
                let file = file.to_string_lossy().into_owned();
                let arguments = ["create", "--dry-run=server", "--filename", &file];
                let output = stage.control_plane.kubectl(&arguments).await?;
                ensure!(!output.status.success(), "{} is still taken", case.name);
            }
        }
        Ok(Some(()))
    })
    .await
}

async fn replace(
    definitions: &Api<CustomResourceDefinition>,
    name: &str,
    field: &str,
    value: &Value,
) -> Result<()> {
    let patch = serde_json::from_value(json!([{"op": "replace", "path": field, "value": value}]))?;
    definitions.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    Ok(())
}
