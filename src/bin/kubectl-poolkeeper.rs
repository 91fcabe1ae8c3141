//! The kubectl plugin: on the PATH, `kubectl poolkeeper agents linux-build` runs it.

use std::process::ExitCode;

use clap::Parser;
use poolkeeper::cli::{self, Command};

/// Explains Azure DevOps agent pools that poolkeeper runs: every agent and VM, every waiting job, every deed.
#[derive(Parser)]
#[command(name = "kubectl-poolkeeper", bin_name = "kubectl poolkeeper", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run(Args::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("poolkeeper: {}", poolkeeper::chain(&error));
            ExitCode::FAILURE
        }
    }
}
