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
    /// Take over a pool that runs in mode Observe: check each step, then set mode Active and adopt the live agents.
    Adopt(Adopt),
    /// Print manifests for a pool that another manager runs; what has no equal becomes comments. Changes nothing.
    Import(Import),
    /// Look at a StandbySchedule before it is applied.
    Schedule(Schedule),
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

/// Arguments of `adopt`.
#[derive(Args, Clone, Debug)]
pub struct Adopt {
    /// Which pool.
    #[command(flatten)]
    pub at: Place,
    /// Where the operator is.
    #[command(flatten)]
    pub operator: Operator,
    /// Go on once all checks have passed; without it nothing is written.
    #[arg(long)]
    pub yes: bool,
    /// VMs without an agent in the pool may be replaced: no job of another pool runs on them.
    #[arg(long)]
    pub accept_unknown: bool,
    /// How long the take-over may take, such as 90s or 10m.
    #[arg(long, value_name = "DURATION", value_parser = since, default_value = "10m")]
    pub timeout: SignedDuration,
}

/// Arguments of `import`.
#[derive(Args, Clone, Debug)]
pub struct Import {
    /// Whose pool it is.
    #[command(subcommand)]
    pub from: ImportFrom,
}

/// Whose pool it is.
#[derive(Subcommand, Clone, Debug)]
pub enum ImportFrom {
    /// An elastic pool of Azure DevOps (scale set agents), read with the token in AZURE_DEVOPS_EXT_PAT (scope Agent
    /// Pools, Read), or from a file.
    ElasticPool(ImportElasticPool),
    /// A pool of Managed DevOps Pools: JSON of Azure Resource Manager, a template with one such pool, or JSON of az mdp.
    ManagedPool(ImportManagedPool),
}

/// Names in the manifests.
#[derive(Args, Clone, Debug)]
pub struct ManifestNames {
    /// Name of the AgentPool, and the beginning of the other names; default: from the pool's name.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Namespace of all; default: none is written.
    #[arg(short, long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
}

/// Arguments of `import elastic-pool`.
#[derive(Args, Clone, Debug)]
pub struct ImportElasticPool {
    /// The organization, such as https://dev.azure.com/fabrikam.
    #[arg(long, value_name = "URL")]
    pub organization: String,
    /// Name of the pool in Azure DevOps.
    #[arg(long, value_name = "NAME")]
    pub pool: String,
    /// Read its JSON here, as the REST API answers it, instead of asking Azure DevOps; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Names in the manifests.
    #[command(flatten)]
    pub names: ManifestNames,
}

/// Arguments of `import managed-pool`.
#[derive(Args, Clone, Debug)]
pub struct ImportManagedPool {
    /// Its JSON; - is stdin.
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Name of the pool in Azure DevOps; default: its alias there, or the resource's name.
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// The organization, where the JSON names none.
    #[arg(long, value_name = "URL")]
    pub organization: Option<String>,
    /// Names in the manifests.
    #[command(flatten)]
    pub names: ManifestNames,
}

/// Arguments of `schedule`.
#[derive(Args, Clone, Debug)]
pub struct Schedule {
    /// What to do with it.
    #[command(subcommand)]
    pub command: ScheduleCommand,
}

/// What to do with a schedule.
#[derive(Subcommand, Clone, Debug)]
pub enum ScheduleCommand {
    /// Print every change of standby over some days.
    Preview(Preview),
}

/// Arguments of `schedule preview`.
#[derive(Args, Clone, Debug)]
pub struct Preview {
    /// Manifests of which one is a StandbySchedule; - is stdin.
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    /// Which StandbySchedule, where there are several.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The first day, such as 2026-11-23.
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub from: jiff::civil::Date,
    /// How many days, 1 to 366.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=366))]
    pub days: u16,
    /// The zone in which days begin and times are shown, an IANA name; default: the schedule's.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    pub zone: Option<jiff::tz::TimeZone>,
    /// How to print the answer; default: for people.
    #[arg(short, long, value_enum, default_value_t = Output::Table, hide_default_value = true)]
    pub output: Output,
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

fn date(text: &str) -> Result<jiff::civil::Date, String> {
    let date = text.parse::<jiff::civil::Date>().ok().filter(|date| date.to_string() == text);
    date.filter(|date| (1970..=9000).contains(&date.year()))
        .ok_or_else(|| "write it like 2026-11-23".to_owned())
}

fn zone(name: &str) -> Result<jiff::tz::TimeZone, String> {
    let known = jiff::tz::TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    known.ok_or_else(|| "give an IANA name such as Europe/Stockholm or UTC".to_owned())
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
    fn other_managers_and_schedules() {
        let Ok(Command::Import(import)) = parse(
            "import elastic-pool --organization https://dev.azure.com/fabrikam --pool linux --name west -n ci",
        ) else {
            panic!("not import")
        };
        let ImportFrom::ElasticPool(args) = import.from else { panic!("not elastic-pool") };
        assert_eq!((args.pool.as_str(), args.file), ("linux", None));
        assert_eq!((args.names.name.as_deref(), args.names.namespace.as_deref()), (Some("west"), Some("ci")));
        assert!(parse("import elastic-pool --file x").unwrap_err().contains("--organization <URL>"));
        assert!(parse("import managed-pool").unwrap_err().contains("--file <FILE>"));
        let Ok(Command::Schedule(schedule)) =
            parse("schedule preview -f - --from 2026-11-23 --days 7 --zone Asia/Tokyo -o json")
        else {
            panic!("not schedule")
        };
        let ScheduleCommand::Preview(args) = schedule.command;
        assert_eq!((args.from, args.days, args.output), (jiff::civil::date(2026, 11, 23), 7, Output::Json));
        assert_eq!(args.zone.unwrap().iana_name(), Some("Asia/Tokyo"));
        for (from, days, zone, words) in [
            ("2026-11-31", "7", "UTC", "write it like 2026-11-23"),
            ("2026-11-23T00:00", "7", "UTC", "write it like 2026-11-23"),
            ("2026-11-23", "0", "UTC", "is not in 1..=366"),
            ("2026-11-23", "367", "UTC", "is not in 1..=366"),
            ("2026-11-23", "7", "Mars/Olympus", "give an IANA name"),
        ] {
            let line = format!("schedule preview -f x --from {from} --days {days} --zone {zone}");
            let said = parse(&line).unwrap_err();
            assert!(said.contains(words), "{line}: {said}");
        }
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
