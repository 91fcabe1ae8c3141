//! The whole stage at once: control plane, simulated clouds, the installed chart, and the operator that it describes.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use poolkeeper_clock::Clock;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::control::Control;
use crate::control_plane::succeeded;
use crate::quickstart::{Example, ExampleWorld, NAMESPACE, QUICKSTART, Quickstart, merge};
use crate::{Binaries, ControlPlane, Operator, RELEASE, Simulator, Tools, World, values_for};

/// Where the chart is installed.
const OPERATOR_NAMESPACE: &str = "poolkeeper";

/// Everything that runs. Dropping it ends everything, the operator first.
#[derive(Debug)]
pub struct Stage {
    /// The operator, with the chart's rights and configuration.
    pub operator: Operator,
    /// Both clouds.
    pub simulator: Simulator,
    /// The API server.
    pub control_plane: ControlPlane,
    /// The world behind the clouds.
    pub control: Control,
    world: ExampleWorld,
    start: Start,
    /// Outputs of operators that were crashed, oldest first.
    crashed: Vec<PathBuf>,
}

/// How the operator is started.
#[derive(Debug)]
struct Start {
    binaries: Binaries,
    identity: PathBuf,
    configuration: PathBuf,
    clock: Clock,
}

impl Start {
    async fn operator(&self) -> Result<Operator> {
        let Self { binaries, identity, configuration, clock } = self;
        Operator::start(binaries, identity, configuration, Some(*clock), &[]).await
    }
}

impl Stage {
    /// Starts all of it, and says what it does.
    ///
    /// # Errors
    /// If a part does not start; the message has the end of its output.
    pub async fn start(world: ExampleWorld, seed: u64, speed: u32, say: impl FnMut(&str)) -> Result<Self> {
        Self::start_with(world, &json!({}), seed, speed, say).await
    }

    /// The same with values of one's own for the chart.
    ///
    /// # Errors
    /// If a part does not start; the message has the end of its output.
    pub async fn start_with(
        world: ExampleWorld,
        values: &Value,
        seed: u64,
        speed: u32,
        mut say: impl FnMut(&str),
    ) -> Result<Self> {
        let binaries = Binaries::find()?;
        say("control plane, kubectl and helm: looking for them, and building what is missing");
        let tools = Tools::ensure().await?;
        say("control plane: starting etcd and kube-apiserver");
        let control_plane = ControlPlane::start(&tools).await?;
        // One instant for both, so that their clocks agree.
        let clock = Clock::new(Timestamp::now(), f64::from(speed));
        let simulator = Simulator::start(&binaries, World::Text(&world.text()), seed, Some(clock)).await?;
        let url = simulator.url();
        say(&format!("simulator: Azure and Azure DevOps at {url}, {speed} times as fast, seed {seed}"));
        let mut all_values = values_for(&simulator)?;
        merge(&mut all_values, values);
        control_plane.install_chart(OPERATOR_NAMESPACE, &all_values).await?;
        say(&format!("chart: installed with helm as {RELEASE} in namespace {OPERATOR_NAMESPACE}"));
        let identity = control_plane.service_account_kubeconfig(OPERATOR_NAMESPACE, RELEASE).await?;
        let configuration = control_plane.operator_configuration(OPERATOR_NAMESPACE).await?;
        let start = Start { binaries, identity, configuration, clock };
        let operator = start.operator().await?;
        operator.wait_ready().await?;
        say("operator: runs as the chart's ServiceAccount, with the configuration of the chart's ConfigMap");
        let control = Control::new(&simulator)?;
        Ok(Self { operator, simulator, control_plane, control, world, start, crashed: Vec::new() })
    }

    /// Applies `examples/quickstart`, with `spec` merged into the spec of its AgentPool. Returns what was changed, and
    /// what kubectl said.
    ///
    /// # Errors
    /// If the API server refuses a manifest; the message is kubectl's.
    pub async fn apply_quickstart(&self, spec: &Value) -> Result<(Quickstart, String)> {
        self.apply_examples(&[QUICKSTART], spec).await
    }

    /// The same for several examples at once, with `spec` merged into the spec of each AgentPool.
    ///
    /// # Errors
    /// If the API server refuses a manifest; the message is kubectl's.
    pub async fn apply_examples(&self, examples: &[Example], spec: &Value) -> Result<(Quickstart, String)> {
        let quickstart = Quickstart::read_examples(examples, &self.simulator, &self.world, spec)?;
        let said = self.apply(&quickstart.text()).await?;
        Ok((quickstart, said))
    }

    /// `kubectl apply` of manifests in the namespace of the pool; what kubectl said.
    ///
    /// # Errors
    /// If the API server refuses a manifest; the message is kubectl's.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        // They may have the simulator's tokens: a file that goes when the stage does, and that only its user can read.
        let folder = self.simulator.directory();
        let path = folder.path().join("manifests.json");
        if path.exists() {
            std::fs::remove_file(&path)?;
        }
        folder.write("manifests.json", manifests.as_bytes())?;
        self.kubectl(&["apply", "--filename", &path.to_string_lossy()]).await
    }

    /// The world of the clouds, as it began.
    #[must_use]
    pub fn world(&self) -> &ExampleWorld {
        &self.world
    }

    /// Runs kubectl in the namespace of the pool, and returns its output.
    ///
    /// # Errors
    /// If kubectl fails; the message is kubectl's.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", NAMESPACE];
        all.extend(arguments);
        let output = self.control_plane.kubectl(&all).await?;
        succeeded(&format!("kubectl {}", arguments.join(" ")), &output)?;
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    /// Fails if the operator has ended by itself.
    ///
    /// # Errors
    /// With its exit status.
    pub fn check_operator(&mut self) -> Result<()> {
        let ended = self.operator.exited()?;
        ensure!(ended.is_none(), "the operator has ended by itself{}", status(ended));
        Ok(())
    }

    /// Ends the operator as a crash does, and starts it again with nothing in its memory.
    ///
    /// # Errors
    /// If it had ended by itself, or does not start again.
    pub async fn crash_operator(&mut self) -> Result<()> {
        self.check_operator()?;
        self.operator.crash();
        let log = self.control_plane.directory().path().join(format!("crashed-{}.log", self.crashed.len()));
        std::fs::copy(self.operator.log(), &log)?;
        self.crashed.push(log);
        self.operator = self.start.operator().await?;
        Ok(())
    }

    /// The first line of the operator's output, of crashed ones too, that tells of a panic.
    ///
    /// # Errors
    /// If an output cannot be read.
    pub fn panic_of_operator(&self) -> Result<Option<String>> {
        for log in self.crashed.iter().map(PathBuf::as_path).chain([self.operator.log()]) {
            let text = std::fs::read_to_string(log)?;
            if let Some(line) = text.lines().find(|line| line.contains("panicked")) {
                return Ok(Some(line.to_owned()));
            }
        }
        Ok(None)
    }

    /// Copies all logs, the simulator's journal and the objects into a new folder that stays. What cannot be read any
    /// more is left out.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub async fn keep_logs(&self) -> Result<PathBuf> {
        let folder = std::env::temp_dir().join(format!("poolkeeper-logs-{}", std::process::id()));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| folder.display().to_string())?;
        let control_plane = self.control_plane.directory().path().join("control-plane.log");
        let crashed = self.crashed.iter().map(PathBuf::as_path);
        for log in crashed.chain([self.operator.log(), self.simulator.log(), &control_plane]) {
            if let Some(name) = log.file_name() {
                let _missing = std::fs::copy(log, folder.join(name));
            }
        }
        if let Ok(journal) = self.control.journal(0).await {
            let text: String = journal.iter().map(|entry| format!("{}\n", entry.text)).collect();
            std::fs::write(folder.join("journal.txt"), text)?;
        }
        // No Secrets: only what poolkeeper itself publishes.
        if let Ok(objects) = self.kubectl(&["get", "poolkeeper,events.events.k8s.io", "--output=yaml"]).await
        {
            std::fs::write(folder.join("objects.yaml"), objects)?;
        }
        Ok(folder)
    }
}

/// Returns when somebody ends this program: with Ctrl-C, with SIGTERM, or by closing the terminal. Dropping the stage
/// then is what ends its processes.
pub async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => _ = signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

fn status(ended: Option<std::process::ExitStatus>) -> String {
    ended.map(|status| format!(" ({status})")).unwrap_or_default()
}
