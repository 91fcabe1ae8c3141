//! The operator as a process, with the rights of a kubeconfig only.

use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use poolkeeper_clock::Clock;

use crate::process::Process;
use crate::{Binaries, Directory, eventually, install_tls_provider};

const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Kubernetes' own `terminationGracePeriodSeconds`.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// One running operator.
#[derive(Debug)]
pub struct Operator {
    // Dropped in this order: first the process, then its files.
    process: Process,
    #[expect(dead_code, reason = "holds the log until the process is gone")]
    directory: Directory,
    url: String,
    http: reqwest::Client,
}

impl Operator {
    /// Starts it, and waits until it serves its probes; [`Self::wait_ready`] waits for more.
    ///
    /// # Errors
    /// If it refuses its configuration, or does not listen in time; the message has its output.
    pub async fn start(
        binaries: &Binaries,
        kubeconfig: &Path,
        configuration: &Path,
        clock: Option<Clock>,
        arguments: &[&str],
    ) -> Result<Self> {
        install_tls_provider();
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let directory = Directory::create()?;
        let mut command = Command::new(&binaries.operator);
        command
            .arg("run")
            .arg("--config")
            .arg(configuration)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments);
        if let Some(clock) = clock {
            command.args(["--sim-clock", &clock.to_string()]);
        }
        // Nothing but the kubeconfig may give it rights, neither of a cluster nor of a cloud.
        command.env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AZURE_"))
        {
            command.env_remove(name);
        }
        let mut process = Process::start("poolkeeper", &mut command, &directory.path().join("operator.log"))?;
        let url = process.wait_for_listener(READY_TIMEOUT).await?;
        Ok(Self { process, directory, url, http })
    }

    /// `http://127.0.0.1:<port>` of probes and metrics.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its output.
    #[must_use]
    pub fn log(&self) -> &Path {
        self.process.log()
    }

    /// The process id.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until `/readyz` answers with success.
    ///
    /// # Errors
    /// If it does not in time; the message has its last answer and the end of its output.
    pub async fn wait_ready(&self) -> Result<()> {
        let url = format!("{}/readyz", self.url());
        let ready = eventually("the operator is ready", READY_TIMEOUT, async || {
            let answer = self.http.get(&url).send().await?;
            let status = answer.status();
            if status.is_success() {
                return Ok(Some(()));
            }
            bail!("{status}: {}", answer.text().await?)
        });
        ready.await.with_context(|| format!("the operator's output:\n{}", self.process.tail()))
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// If it does not answer with success.
    pub async fn metrics(&self) -> Result<String> {
        let answer = self.http.get(format!("{}/metrics", self.url())).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Whether it has ended by itself, and how.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.process.exited()
    }

    /// Ends it as Kubernetes does: SIGTERM, then the grace period.
    ///
    /// # Errors
    /// If it is still there afterwards.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.process.stop(STOP_TIMEOUT).await
    }

    /// Ends it as a crash does, with no chance to tidy up.
    pub fn kill(mut self) {
        self.crash();
    }

    /// The same, with its output still to be read.
    pub fn crash(&mut self) {
        self.process.kill();
    }
}
