//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use poolkeeper_clock::Clock;

use crate::cli;

/// Runs Azure DevOps agent pools on Azure VM scale sets, declared in Kubernetes.
#[derive(Parser, Clone, Debug)]
#[command(name = "poolkeeper", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Run the operator until SIGTERM or SIGINT.
    Run(Run),
    /// Try on a scratch scale set and a scratch agent pool of yours what no documentation says, clean up, and write a
    /// report. Signs in with AZURE_ACCESS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET; and with
    /// AZURE_DEVOPS_EXT_PAT. Exit code: 0 all as expected, 1 something differs, 2 could not run.
    Verify(Verify),
    /// Print the definitions of AgentPool, StandbySchedule and ScaleSetBinding, for `kubectl apply --server-side -f -`.
    Crds,
    /// What a pool's agents and VMs do, and why.
    #[command(flatten)]
    Ask(cli::Command),
}

/// How to run the operator.
#[derive(clap::Args, Clone, Debug)]
pub struct Run {
    /// The operator's configuration, a YAML file; the chart makes one.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Where to serve /livez, /readyz, /metrics and /pools; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// A faster clock, shared with the simulator: origin=2026-01-01T00:00:00Z,scale=60. Refused unless every service
    /// that the configuration names is on this machine.
    #[arg(long, value_name = "CLOCK")]
    pub sim_clock: Option<Clock>,
    /// How to write the log, to stderr. RUST_LOG chooses what is logged.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What to try facts on.
#[derive(clap::Args, Clone, Debug)]
pub struct Verify {
    /// Resource id of the scale set; it must carry the tag poolkeeper-verify=scratch and hold at most 2 VMs.
    #[arg(long, value_name = "ID")]
    pub scale_set: String,
    /// The organization, such as `https://dev.azure.com/fabrikam`.
    #[arg(long, value_name = "URL")]
    pub organization: String,
    /// Name of the agent pool; it must hold at most 2 agents and no unfinished job.
    #[arg(long, value_name = "NAME")]
    pub pool: String,
    /// The operator's configuration, for clouds other than Public.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to write the report; default: poolkeeper-verify.md.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
    /// Do not ask before the first write.
    #[arg(long)]
    pub yes: bool,
}

/// How to write the log.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_charts_arguments_are_taken() {
        let args = Args::parse_from(["poolkeeper", "run", "--config", "/c.yaml", "--listen", "0.0.0.0:8080"])
            .command;
        let Command::Run(run) = args else { panic!("not run") };
        assert_eq!((run.listen.port(), run.sim_clock, run.log_format), (8080, None, LogFormat::Text));
    }

    #[test]
    fn the_commands_of_the_plugin_are_commands_of_the_program() {
        let args = Args::parse_from(["poolkeeper", "explain", "linux-build", "--job", "41"]).command;
        let Command::Ask(cli::Command::Explain(explain)) = args else { panic!("not explain") };
        assert_eq!((explain.at.pool.as_str(), explain.job), ("linux-build", Some(41)));
    }

    #[test]
    fn a_bad_clock_is_refused_with_the_form() {
        let error =
            Args::try_parse_from(["poolkeeper", "run", "--config", "c", "--sim-clock", "60"]).unwrap_err();
        assert!(error.to_string().contains("origin=2026-01-01T00:00:00Z,scale=60"), "{error}");
    }
}
