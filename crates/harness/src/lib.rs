//! The local stage of tests and demo: control plane, simulator, chart, operator.
//!
//! Everything is real except the clouds: an API server with RBAC, the chart installed by Helm, and the operator as a
//! process that has nothing but the chart's `ServiceAccount`. Dropping a part of the stage ends its process and removes
//! its files; after a panic the files stay, and their folder is printed.
//!
//! ```no_run
//! # async fn stage() -> anyhow::Result<()> {
//! use poolkeeper_harness::{Binaries, ControlPlane, Operator, Simulator, Tools, World};
//!
//! let binaries = Binaries::find()?;
//! let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
//! let simulator = Simulator::start(&binaries, World::Text("{}"), 1, None).await?;
//! let values = poolkeeper_harness::values_for(&simulator)?;
//! control_plane.install_chart("poolkeeper", &values).await?;
//! let identity = control_plane.service_account_kubeconfig("poolkeeper", "poolkeeper").await?;
//! let configuration = control_plane.operator_configuration("poolkeeper").await?;
//! let operator = Operator::start(&binaries, &identity, &configuration, None, &[]).await?;
//! operator.wait_ready().await?;
//! # Ok(())
//! # }
//! ```

mod chart;
pub mod control;
mod control_plane;
mod directory;
pub mod ledger;
mod operator;
mod process;
pub mod quickstart;
pub mod replay;
mod simulator;
pub mod stage;
pub mod table;
mod tools;
pub mod trace;
mod waiting;
pub mod worked_example;

pub use chart::{RELEASE, values_for};
pub use control_plane::ControlPlane;
pub use directory::Directory;
pub use operator::Operator;
pub use simulator::{Simulator, World};
pub use tools::{Binaries, Tools};
pub use waiting::eventually;

/// The root of the work tree, where chart, examples and tools are.
fn repository() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// reqwest and kube are built without a TLS provider of their own; a second call changes nothing.
fn install_tls_provider() {
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
