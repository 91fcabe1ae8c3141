//! Generates what is generated: `crds/`, the chart's copies of it, and the API reference.

mod markdown;
mod yaml;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

/// A file that is generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// Where it stands, relative to the root of the repository.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// Everything that is generated, in memory.
///
/// # Errors
/// If a definition cannot be written as YAML.
pub fn generate() -> anyhow::Result<Vec<Generated>> {
    let crds = poolkeeper_api::crd::all();
    let mut files = Vec::new();
    for crd in &crds {
        let plural = &crd.spec.names.plural;
        files.push(Generated { path: format!("crds/{plural}.yaml").into(), text: yaml::plain(crd)? });
        files.push(Generated {
            path: format!("charts/poolkeeper/templates/crds/{plural}.yaml").into(),
            text: yaml::template(&kept_by_helm(crd))?,
        });
    }
    files.push(Generated { path: "docs/api-reference.md".into(), text: markdown::reference(&crds)? });
    Ok(files)
}

/// Helm must not delete a definition, and with it every object, when the chart is uninstalled.
fn kept_by_helm(crd: &CustomResourceDefinition) -> CustomResourceDefinition {
    let mut crd = crd.clone();
    crd.metadata
        .annotations
        .get_or_insert_default()
        .insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    crd
}

/// Writes `files` below `root`.
///
/// # Errors
/// If a folder or file cannot be written.
pub fn write(root: &Path, files: &[Generated]) -> anyhow::Result<()> {
    for file in files {
        let path = root.join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        }
        fs::write(&path, &file.text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// The paths of `files` that differ below `root`, or are missing there.
///
/// # Errors
/// If a file cannot be read.
pub fn stale(root: &Path, files: &[Generated]) -> anyhow::Result<Vec<PathBuf>> {
    let mut stale = Vec::new();
    for file in files {
        let committed = match fs::read_to_string(root.join(&file.path)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("read {}", file.path.display())),
        };
        if committed.as_deref() != Some(file.text.as_str()) {
            stale.push(file.path.clone());
        }
    }
    Ok(stale)
}

/// The root of the repository that this program was built from.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
