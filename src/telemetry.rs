//! The log.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use crate::args::LogFormat;

/// kube logs each step of its machinery at info.
const DEFAULT: &str = "info,kube=warn";

/// Starts the log, to stderr: stdout is for what other programs read. `RUST_LOG` takes the place of the default filter.
///
/// # Errors
/// If `RUST_LOG` is no filter, or a log was started before.
pub fn init(format: LogFormat) -> anyhow::Result<()> {
    let text = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|text| !text.is_empty());
    let filter = EnvFilter::try_new(text.as_deref().unwrap_or(DEFAULT))
        .context("RUST_LOG is no filter; write it like info,poolkeeper=debug")?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let started = match format {
        LogFormat::Json => log.json().flatten_event(true).try_init(),
        LogFormat::Text => log.try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
}
