//! A real API server, or the cluster that the user names instead.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::process::Process;
use crate::{Directory, Tools, install_tls_provider};

/// Three seconds are usual; the program itself gives up after two minutes.
const READY_TIMEOUT: Duration = Duration::from_secs(150);

/// The API server, with an administrator's access.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: first the process, then its files.
    process: Option<Process>,
    pub(crate) directory: Directory,
    kubeconfig: PathBuf,
    pub(crate) tools: Tools,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver and waits until they are ready; with [`Tools::existing_cluster`], starts nothing.
    ///
    /// # Errors
    /// If the process ends, or is not ready in time; the message has the end of its output.
    pub async fn start(tools: &Tools) -> Result<Self> {
        let directory = Directory::create()?;
        let (process, kubeconfig) = match &tools.existing_cluster {
            Some(kubeconfig) => (None, kubeconfig.clone()),
            None => {
                let mut command = std::process::Command::new(&tools.control_plane);
                command.arg("--dir").arg(directory.path().join("cp"));
                let log = directory.path().join("control-plane.log");
                let mut process = Process::start("control-plane", &mut command, &log)?;
                let kubeconfig = process.wait_for_line("ready /…", READY_TIMEOUT, ready).await?;
                (Some(process), PathBuf::from(kubeconfig))
            }
        };
        Ok(Self { process, directory, kubeconfig, tools: tools.clone() })
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A private folder that goes with the control plane.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The process id, unless the cluster existed before.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// A client with the administrator's rights.
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn client(&self) -> Result<Client> {
        client_of(&self.kubeconfig).await
    }

    /// A client with the rights of another kubeconfig, such as that of [`Self::service_account_kubeconfig`].
    ///
    /// # Errors
    /// If the kubeconfig cannot be used.
    pub async fn client_with(&self, kubeconfig: &Path) -> Result<Client> {
        client_of(kubeconfig).await
    }

    /// Runs kubectl as administrator; its exit code is in the output.
    ///
    /// # Errors
    /// If kubectl cannot be started.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with_input(arguments, "").await
    }

    /// `kubectl apply` of manifests, with the strict validation of kubectl.
    ///
    /// # Errors
    /// If the API server refuses one; the message is kubectl's.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        succeeded("kubectl apply", &self.kubectl_with_input(&["apply", "--filename", "-"], manifests).await?)
    }

    async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let mut command = Command::new(&self.tools.kubectl);
        command
            .args(arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.directory.path().join("kube"));
        run(&mut command, input).await
    }
}

/// The API server's own log has lines with the same word.
fn ready(line: &str) -> Option<String> {
    line.strip_prefix("ready ").filter(|path| path.starts_with('/')).map(str::to_owned)
}

async fn client_of(kubeconfig: &Path) -> Result<Client> {
    install_tls_provider();
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Runs a program to its end, with `input` on its stdin.
pub(crate) async fn run(command: &mut Command, input: &str) -> Result<Output> {
    let program = command.as_std().get_program().display().to_string();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A program that ends without reading closes the pipe; its exit code then says more.
            let _closed = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    output.with_context(|| format!("cannot run {program}"))
}

pub(crate) fn succeeded(what: &str, output: &Output) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{what}: {}: {}", output.status, said.trim());
    Ok(())
}
