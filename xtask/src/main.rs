//! `cargo xtask gen` writes what is generated; `cargo xtask check` fails where a committed file differs.

use anyhow::bail;
use clap::{Parser, Subcommand};

/// Generates crds/, the chart's copies of it, and docs/api-reference.md.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write every generated file.
    Gen,
    /// Fail, naming the files that differ from what would be generated.
    Check,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let root = xtask::repository();
    let files = xtask::generate()?;
    match args.command {
        Command::Gen => xtask::write(&root, &files),
        Command::Check => {
            let stale = xtask::stale(&root, &files)?;
            if stale.is_empty() {
                return Ok(());
            }
            let names: Vec<_> = stale.iter().map(|path| path.display().to_string()).collect();
            bail!("not as generated: {}; run `cargo xtask gen`", names.join(", "))
        }
    }
}
