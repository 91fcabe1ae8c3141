//! The program `poolkeeper`: see `poolkeeper --help`.

use std::process::ExitCode;

use clap::Parser;
use poolkeeper::{
    args::{Args, Command},
    telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            // The whole chain, once: whoever starts the program reads this and little else.
            eprintln!("poolkeeper: {}", poolkeeper::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Crds => {
            print!("{}", poolkeeper::crds());
            Ok(ExitCode::SUCCESS)
        }
        Command::Ask(command) => Ok(poolkeeper::cli::run(command).await.map(|()| ExitCode::SUCCESS)?),
        Command::Verify(args) => poolkeeper::verify::run(args).await.map(ExitCode::from),
        Command::Run(run) => {
            telemetry::init(run.log_format)?;
            poolkeeper::run(run).await.map(|()| ExitCode::SUCCESS)
        }
    }
}
