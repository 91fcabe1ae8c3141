//! The arguments, as kubectl has them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::SignedDuration;

/// What to look at.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// List every VM and agent of a pool: its state, since when, and why it is still here.
    Agents(Agents),
    /// Say in sentences why no VM starts, why a VM is still here, or why a job waits.
    Explain(Explain),
    /// List what was done to a pool's VMs and agents, and what went wrong, with time, reason and outcome.
    Diagnostics(Diagnostics),
}

/// Which pool, and where.
#[derive(Args, Clone, Debug)]
pub struct Place {
    /// Name of the AgentPool.
    #[arg(value_name = "POOL")]
    pub pool: String,
    /// Its namespace; default: that of the context.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// How to print the answer; default: for people.
    #[arg(short, long, value_enum, default_value_t = Output::Table, hide_default_value = true)]
    pub output: Output,
    /// The kubeconfig to use; default: as kubectl, KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; default: the current one.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
}

/// Where the operator is.
#[derive(Args, Clone, Debug)]
pub struct Operator {
    /// Its address, such as http://127.0.0.1:8080 after kubectl port-forward; default: its pod, through the API server.
    #[arg(long, value_name = "URL", conflicts_with = "operator_namespace")]
    pub operator: Option<String>,
    /// The namespace of its pod; default: it is searched for in all.
    #[arg(long, value_name = "NAMESPACE")]
    pub operator_namespace: Option<String>,
}

/// Arguments of `agents`.
#[derive(Args, Clone, Debug)]
pub struct Agents {
    /// Which pool.
    #[command(flatten)]
    pub at: Place,
    /// Where the operator is.
    #[command(flatten)]
    pub operator: Operator,
}

/// Arguments of `explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// Which pool.
    #[command(flatten)]
    pub at: Place,
    /// Where the operator is.
    #[command(flatten)]
    pub operator: Operator,
    /// Only this job request of the agent pool.
    #[arg(long, value_name = "N", conflicts_with = "vm")]
    pub job: Option<i64>,
    /// Only this VM: its computer name, its id or the first 8 characters of it, or its instance id.
    #[arg(long, value_name = "ID|NAME")]
    pub vm: Option<String>,
}

/// Arguments of `diagnostics`.
#[derive(Args, Clone, Debug)]
pub struct Diagnostics {
    /// Which pool.
    #[command(flatten)]
    pub at: Place,
    /// Only what is newer, such as 90s, 30m or 2h.
    #[arg(long, value_name = "DURATION", value_parser = since)]
    pub since: Option<SignedDuration>,
}

/// How to print an answer.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For programs.
    Json,
    /// For people.
    Table,
}

fn since(text: &str) -> Result<SignedDuration, String> {
    let form = || "write it like 90s, 30m or 2h".to_owned();
    let duration: SignedDuration = text.parse().map_err(|_| form())?;
    if duration.is_positive() { Ok(duration) } else { Err(form()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser, Debug)]
    struct Program {
        #[command(subcommand)]
        command: Command,
    }

    fn parse(line: &str) -> Result<Command, String> {
        let words = std::iter::once("poolkeeper").chain(line.split(' '));
        Program::try_parse_from(words).map(|program| program.command).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_are_as_kubectls() {
        let Ok(Command::Agents(args)) = parse("agents linux-build -n ci -o json --context prod") else {
            panic!("not agents")
        };
        assert_eq!((args.at.pool.as_str(), args.at.namespace.as_deref()), ("linux-build", Some("ci")));
        assert_eq!((args.at.output, args.at.context.as_deref()), (Output::Json, Some("prod")));
        let Ok(Command::Explain(args)) = parse("explain linux-build --vm linux-d4000001") else {
            panic!("not explain")
        };
        assert_eq!((args.at.namespace, args.vm.as_deref(), args.job), (None, Some("linux-d4000001"), None));
        let Ok(Command::Diagnostics(args)) = parse("diagnostics linux-build --since 2h30m") else {
            panic!("not diagnostics")
        };
        assert_eq!((args.since, args.at.output), (Some(SignedDuration::from_mins(150)), Output::Table));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_mend() {
        assert!(parse("explain linux-build --job 5 --vm x").unwrap_err().contains("cannot be used with"));
        assert!(parse("explain linux-build --job five").unwrap_err().contains("invalid value 'five'"));
        for since in ["-2h", "0s", "yesterday"] {
            let said = parse(&format!("diagnostics linux-build --since={since}")).unwrap_err();
            assert!(said.contains("write it like 90s, 30m or 2h"), "{said}");
        }
        assert!(parse("agents").unwrap_err().contains("<POOL>"));
        assert!(parse("agents linux-build -o yaml").unwrap_err().contains("[possible values: json, table]"));
    }
}
