//! Control plane, simulator, chart and operators.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use poolkeeper_clock::Clock;
use poolkeeper_harness::{
    Binaries, ControlPlane, Operator, RELEASE, Simulator, Tools, World, quickstart::ExampleWorld, values_for,
};
use serde_json::{Value, json};

use super::{Clouds, Site, said};

/// Simulated seconds per second.
pub(crate) const SPEED: u32 = 60;
/// Where the chart is installed.
const OPERATOR_NAMESPACE: &str = "poolkeeper";

/// Everything but the operators. Dropping it ends everything.
pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) control_plane: Arc<ControlPlane>,
    /// With the administrator's rights.
    pub(crate) admin: Client,
    pub(crate) clouds: Clouds,
    pub(crate) clock: Clock,
    binaries: Binaries,
    /// A kubeconfig of the chart's `ServiceAccount`.
    identity: PathBuf,
    /// As the chart made it.
    configuration: Value,
}

impl Stage {
    /// Starts control plane and simulator and installs the chart. The world has a scale set and an agent pool of each
    /// of these names, otherwise as in `examples/simulator/world.yaml`.
    pub(crate) async fn start(sites: &[&str]) -> Result<Self> {
        Self::with_world(&world(sites)?, SPEED).await
    }

    /// The same with any world, and at any speed.
    pub(crate) async fn with_world(world: &Value, speed: u32) -> Result<Self> {
        let binaries = Binaries::find()?;
        let control_plane = Arc::new(ControlPlane::start(&Tools::ensure().await?).await?);
        let clock = Clock::new(Timestamp::now(), f64::from(speed));
        let simulator = Simulator::start(&binaries, World::Text(&world.to_string()), 1, Some(clock)).await?;
        control_plane.install_chart(OPERATOR_NAMESPACE, &values_for(&simulator)?).await?;
        let (admin, clouds) = (control_plane.client().await?, Clouds::new(&simulator)?);
        let identity = control_plane.service_account_kubeconfig(OPERATOR_NAMESPACE, RELEASE).await?;
        let chart = control_plane.operator_configuration(OPERATOR_NAMESPACE).await?;
        let configuration = serde_yaml::from_str(&std::fs::read_to_string(&chart)?)?;
        Ok(Self { simulator, control_plane, admin, clouds, clock, binaries, identity, configuration })
    }

    /// The same API server and chart, and clouds of their own, whose time is `begin` now. Operators that are started
    /// from it live in that time too.
    pub(crate) async fn beside(&self, world: &Value, begin: Timestamp) -> Result<Self> {
        let clock = beginning(begin, f64::from(SPEED))?;
        let simulator =
            Simulator::start(&self.binaries, World::Text(&world.to_string()), 1, Some(clock)).await?;
        Ok(Self {
            clouds: Clouds::new(&simulator)?,
            simulator,
            control_plane: Arc::clone(&self.control_plane),
            admin: self.admin.clone(),
            clock,
            binaries: self.binaries.clone(),
            identity: self.identity.clone(),
            configuration: self.configuration.clone(),
        })
    }

    /// Starts an operator as the chart's `ServiceAccount`, with the chart's configuration; it watches only these
    /// namespaces, unless none is given. The namespaces are made if they are missing.
    pub(crate) async fn operator(&self, namespaces: &[&str]) -> Result<Operator> {
        self.operator_at(namespaces, self.simulator.url()).await
    }

    /// The same with both clouds at another address.
    pub(crate) async fn operator_at(&self, namespaces: &[&str], url: &str) -> Result<Operator> {
        self.operator_with(namespaces, url, &json!({})).await
    }

    /// The same with a patch of the configuration.
    pub(crate) async fn operator_with(
        &self,
        namespaces: &[&str],
        url: &str,
        change: &Value,
    ) -> Result<Operator> {
        for namespace in namespaces {
            self.namespace(namespace).await?;
        }
        let mut configuration = self.configuration.clone();
        configuration["watchNamespaces"] = json!(namespaces);
        configuration["azure"]["resourceManager"] = json!(url);
        configuration["azure"]["authority"] = json!(url);
        configuration["azureDevOps"]["hosts"] = json!([url.trim_start_matches("http://")]);
        super::merge(&mut configuration, change);
        let folder = poolkeeper_harness::Directory::create()?;
        let file = folder.write("config.yaml", configuration.to_string().as_bytes())?;
        // It reads its configuration once, at the start.
        let operator = Operator::start(&self.binaries, &self.identity, &file, Some(self.clock), &[]).await?;
        operator.wait_ready().await?;
        Ok(operator)
    }

    /// Makes a namespace, unless it is there.
    pub(crate) async fn namespace(&self, name: &str) -> Result<()> {
        let manifest = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        self.control_plane.apply(&manifest.to_string()).await
    }

    /// One of the names that the stage was started with.
    pub(crate) fn site(&self, name: &'static str) -> Site<'_> {
        Site { stage: self, name }
    }

    /// Runs kubectl as administrator and returns its output.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.control_plane.kubectl(arguments).await?;
        said(&format!("kubectl {}", arguments.join(" ")), &output)
    }

    /// How long so much simulated time takes.
    pub(crate) fn wall(&self, simulated: jiff::SignedDuration) -> Duration {
        let now = self.clock.now();
        self.clock.wall_until(now, now + simulated)
    }

    /// Copies logs, objects and the simulator's journal into a folder that stays, for a look after a failure.
    pub(crate) async fn keep_logs(&self, operators: &[&Operator]) -> Result<std::path::PathBuf> {
        // Stages of one test have the same process, and simulators at different ports.
        let port = self.simulator.url().rsplit(':').next().unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("poolkeeper-failed-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for (number, operator) in operators.iter().enumerate() {
            std::fs::copy(operator.log(), folder.join(format!("operator-{number}.log")))?;
        }
        std::fs::copy(self.simulator.log(), folder.join("simulator.log"))?;
        let journal = self.clouds.journal(0).await?;
        let journal: String = journal.iter().map(|entry| format!("{}\n", entry.text)).collect();
        std::fs::write(folder.join("journal.txt"), journal)?;
        let objects = ["get", "poolkeeper,events.events.k8s.io", "--all-namespaces", "--output=yaml"];
        std::fs::write(folder.join("objects.yaml"), self.kubectl(&objects).await?)?;
        Ok(folder)
    }
}

/// A clock that shows `begin` now. It shows the wall clock's time at its origin, and from there it runs `speed` times as
/// fast; so the origin lies as far back as it takes to gain what `begin` is ahead.
fn beginning(begin: Timestamp, speed: f64) -> Result<Clock> {
    let now = Timestamp::now();
    let ahead = begin.duration_since(now).as_secs_f64();
    let since_origin = SignedDuration::try_from_secs_f64(ahead / (speed - 1.0))?;
    Ok(Clock::new(now.checked_sub(since_origin)?, speed))
}

/// `examples/simulator/world.yaml` with these scale sets and agent pools instead of its own.
pub(crate) fn world(sites: &[&str]) -> Result<Value> {
    let mut world: Value = serde_json::from_str(&ExampleWorld::read()?.text())?;
    let set = world.pointer("/scaleSets/0").context("the example world has no scale set")?.clone();
    let id =
        set["resourceID"].as_str().and_then(|id| id.rsplit_once('/')).context("no resourceID")?.0.to_owned();
    let named = |name: &&str| {
        let mut set = set.clone();
        set["resourceID"] = json!(format!("{id}/{name}"));
        set["computerNamePrefix"] = json!(name);
        set["agents"]["pool"] = json!(name);
        set
    };
    world["scaleSets"] = sites.iter().map(named).collect();
    let pools = (44..).zip(sites).map(|(id, name)| json!({"id": id, "name": name}));
    *world.pointer_mut("/organizations/0/pools").context("the example world has no pools")? = pools.collect();
    Ok(world)
}
