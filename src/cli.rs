//! `poolkeeper agents`, `explain`, `diagnostics`, `import` and `schedule`, also as the kubectl plugin
//! `kubectl poolkeeper`.

mod adopt;
mod agents;
mod args;
mod cluster;
mod diagnostics;
mod explain;
mod import;
mod operator;
mod preview;
mod table;

pub use args::{Command, Output, Place};
pub use import::ReadError;
pub use preview::PreviewError;

use cluster::Cluster;

/// Why a command could not answer; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No way to a cluster.
    #[error("found no usable kubeconfig: {0}; set KUBECONFIG, or give --kubeconfig and --context")]
    Kubeconfig(String),
    /// An address that is none.
    #[error("--operator {0:?} is no address; write it like http://127.0.0.1:8080")]
    Address(String),
    /// A name that no object can have.
    #[error(
        "{0:?} cannot be the name of an AgentPool or a namespace: lower-case letters, digits, '-' and '.' only"
    )]
    Name(String),
    /// The API server refuses something.
    #[error("the API server does not let you {what}: {message}; {mend}")]
    Forbidden {
        /// The verb and the resource.
        what: String,
        /// In the API server's words.
        message: String,
        /// What to do.
        mend: &'static str,
    },
    /// The API server, or the operator, does not answer as it should.
    #[error("cannot {what}: {message}")]
    Failed {
        /// What was tried.
        what: String,
        /// In the other side's words.
        message: String,
    },
    /// Nobody to ask.
    #[error(
        "no running pod has the label app.kubernetes.io/name=poolkeeper in {0}; name the operator's namespace with \
         --operator-namespace, or its address with --operator"
    )]
    NoOperator(String),
    /// No such pool in the cluster.
    #[error(
        "there is no AgentPool {name} in namespace {namespace}; kubectl get agentpools -A lists all, -n chooses"
    )]
    NoPool {
        /// Where it was looked for.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The operator has not looked at the pool.
    #[error(
        "the operator has not looked at AgentPool {name} in namespace {namespace} since its start; try again in a \
         minute, and see whether the name is right and its watchNamespaces include {namespace}"
    )]
    NotSeen {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// `--vm` names nothing of the pool.
    #[error("pool {pool} has no VM {vm:?}; poolkeeper agents {pool} lists names, ids and instance ids")]
    NoVm {
        /// What was asked for.
        vm: String,
        /// Of which pool.
        pool: String,
    },
    /// `--vm` names several VMs of the pool.
    #[error("{vm:?} is the name or the beginning of the id of several VMs: {found}; give a whole id")]
    SeveralVms {
        /// What was asked for.
        vm: String,
        /// Their ids.
        found: String,
    },
    /// `--job` is no unfinished job.
    #[error(
        "pool {pool} has no unfinished job {job}; poolkeeper explain {pool} -o json lists those that it has"
    )]
    NoJob {
        /// What was asked for.
        job: i64,
        /// Of which pool.
        pool: String,
    },
    /// The take-over has not come to its end.
    #[error("the pool is not taken over: {0}")]
    NotAdopted(String),
    /// The ConfigMap is somebody else's.
    #[error("the ConfigMap {0} is no journal of this pool; rename or delete it, and the operator begins one")]
    NoJournal(String),
    /// A file that cannot be read.
    #[error("cannot read {file}")]
    File {
        /// Its name; `-` is stdin.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The definition of another manager's pool cannot be turned into manifests.
    #[error(transparent)]
    Import(#[from] poolkeeper_import::ImportError),
    /// The pool of another manager cannot be read.
    #[error(transparent)]
    Read(#[from] import::ReadError),
    /// A schedule that cannot be shown.
    #[error(transparent)]
    Preview(#[from] preview::PreviewError),
    /// Nothing could be printed.
    #[error("cannot write to stdout: {0}")]
    Stdout(#[from] std::io::Error),
    /// It could not be made into JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Answers a command on stdout.
///
/// # Errors
/// If the cluster, the operator or the pool cannot be found or read.
pub async fn run(command: Command) -> Result<(), Error> {
    // Before the first client. Fails only if there is one already.
    let _present = rustls::crypto::ring::default_provider().install_default();
    let text = match command {
        Command::Agents(args) => {
            let view = operator::view(&args.at, &args.operator).await?;
            match args.at.output {
                Output::Json => json(&view)?,
                Output::Table => agents::text(&view, width()),
            }
        }
        Command::Explain(args) => {
            let view = operator::view(&args.at, &args.operator).await?;
            explain::text(&view, args.job, args.vm.as_deref(), args.at.output, width())?
        }
        Command::Adopt(args) => return adopt::run(&args).await,
        Command::Import(args) => import::text(&args.from).await?,
        Command::Schedule(args) => preview::text(&args.command, width())?,
        Command::Diagnostics(args) => {
            let cluster = Cluster::connect(&args.at).await?;
            let rows = diagnostics::read(&cluster, &args.at.pool).await?;
            let rows = diagnostics::newer(rows, args.since, jiff::Timestamp::now());
            match args.at.output {
                Output::Json => json(&rows)?,
                Output::Table => diagnostics::text(&rows, width()),
            }
        }
    };
    print(&text)
}

fn json(value: &impl serde::Serialize) -> Result<String, Error> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// The text of a file; `-` is stdin.
fn input(file: &std::path::Path) -> Result<String, Error> {
    let read = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin().lock())
    } else {
        std::fs::read_to_string(file)
    };
    read.map_err(|source| Error::File { file: file.display().to_string(), source })
}

/// A reader that has seen enough, such as `head`, is no error.
fn print(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Columns of the terminal; `None` for a file or a program, which gets every line whole.
fn width() -> Option<usize> {
    use std::io::IsTerminal as _;
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    std::io::stdout().is_terminal().then(|| columns.unwrap_or(120).max(80))
}
