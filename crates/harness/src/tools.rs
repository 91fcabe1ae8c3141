//! The programs that the stage runs: those made from Go, and our own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use crate::repository;

/// The programs made from Go, and the cluster that may take the place of one of them.
#[derive(Debug, Clone)]
pub struct Tools {
    /// etcd and kube-apiserver in one process; unused with `existing_cluster`.
    pub control_plane: PathBuf,
    /// From `KUBEBUILDER_ASSETS`, if it is there.
    pub kubectl: PathBuf,
    /// Helm 4.
    pub helm: PathBuf,
    /// From `POOLKEEPER_KUBECONFIG`: an administrator's kubeconfig of a cluster to use instead of starting one.
    pub existing_cluster: Option<PathBuf>,
}

impl Tools {
    /// Finds the tools in their cache, and builds those that are missing, which takes minutes and prints progress.
    ///
    /// # Errors
    /// If a tool has to be built and Go is missing or fails.
    pub async fn ensure() -> Result<Self> {
        let script = repository().join("tests/control-plane/build.sh");
        let output = Command::new(&script)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run {}", script.display()))?;
        ensure!(output.status.success(), "the tools could not be built; `make tools` says why");
        let folder = PathBuf::from(String::from_utf8(output.stdout)?.trim());
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join("kubectl"));
        Ok(Self {
            control_plane: folder.join("control-plane"),
            kubectl: assets.filter(|kubectl| kubectl.is_file()).unwrap_or_else(|| folder.join("kubectl")),
            helm: folder.join("helm"),
            existing_cluster: std::env::var_os("POOLKEEPER_KUBECONFIG")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
        })
    }
}

/// Our own programs, as cargo built them.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// `poolkeeper`.
    pub operator: PathBuf,
    /// `poolkeeper-simulator`.
    pub simulator: PathBuf,
}

impl Binaries {
    /// Looks in `POOLKEEPER_BIN_DIR`, else beside the running program and its test folder (`target/<profile>`).
    ///
    /// # Errors
    /// If one is missing; the message has the command that builds it.
    pub fn find() -> Result<Self> {
        let folders: Vec<PathBuf> = match std::env::var_os("POOLKEEPER_BIN_DIR") {
            Some(folder) => vec![folder.into()],
            // A test is in target/<profile>/deps, a program in target/<profile>.
            None => std::env::current_exe()?.ancestors().skip(1).take(2).map(Path::to_owned).collect(),
        };
        Ok(Self {
            operator: find(&folders, "poolkeeper", "poolkeeper")?,
            simulator: find(&folders, "poolkeeper-simulator", "poolkeeper-simulator")?,
        })
    }
}

fn find(folders: &[PathBuf], package: &str, name: &str) -> Result<PathBuf> {
    let Some(path) = folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) else {
        let release = folders.iter().any(|folder| folder.ends_with("release"));
        let profile = if release { " --release" } else { "" };
        let searched =
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
        bail!("{name} is not in {searched}; build it: cargo build{profile} --package {package} --bin {name}");
    };
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Directory;

    #[test]
    fn a_missing_binary_is_an_error_with_the_command_that_builds_it() {
        let folder = Directory::create().unwrap();
        let release = folder.path().join("release");
        let error = find(&[release], "poolkeeper", "poolkeeper").unwrap_err().to_string();
        assert!(error.ends_with("cargo build --release --package poolkeeper --bin poolkeeper"), "{error}");
    }

    #[test]
    fn the_first_folder_that_has_it_wins() {
        let (first, second) = (Directory::create().unwrap(), Directory::create().unwrap());
        second.write("poolkeeper", b"").unwrap();
        let folders = [first.path().to_owned(), second.path().to_owned()];
        assert_eq!(find(&folders, "poolkeeper", "poolkeeper").unwrap(), second.path().join("poolkeeper"));
    }
}
