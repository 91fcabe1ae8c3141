//! `poolkeeper verify`: tries on a scratch scale set and pool what no documentation says.

use std::{
    io::{BufRead, IsTerminal, Write},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use poolkeeper_azure::{Credential, ScaleSetId, WorkloadIdentity};
use poolkeeper_rest::{Http, Limits, Url};
use poolkeeper_verify::{Access, Identity, Options};
use secrecy::SecretString;

use crate::{args::Verify, config::Config};

/// Tries all facts, prints what it finds, writes the report, and returns the exit code: 0 all as expected, 1 something
/// differs, 2 could not run, or not to its end.
///
/// # Errors
/// If an argument, the configuration or a credential cannot be used, or the report not be written.
pub async fn run(args: Verify) -> anyhow::Result<u8> {
    let config = match &args.config {
        Some(file) => Config::load(file)?,
        None => Config::default(),
    };
    let scale_set: ScaleSetId = args.scale_set.parse().context("--scale-set")?;
    let organization = Url::parse(&args.organization)
        .with_context(|| format!("--organization {:?} is no address", args.organization))?;
    let cloud = config.cloud().context("azure: the addresses of the configuration are not usable")?;
    let http = Http::new(Limits::default()).context("cannot make an HTTP client")?;
    let azure = Arc::new(credential(&http, &cloud)?);
    let azure_devops = match variable("AZURE_DEVOPS_EXT_PAT") {
        Some(token) => Identity::Pat(SecretString::from(token)),
        None => Identity::Entra(azure.clone()),
    };
    let access = Access { http, cloud, azure, azure_devops };
    let options = Options { scale_set, organization, pool: args.pool };
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    let yes = args.yes;
    let say = |line: &str| println!("{line}");
    let report = poolkeeper_verify::run(options, &access, |plan| yes || agrees(plan), say, stop).await;
    println!("{}", report.summary());
    let file = args.report.unwrap_or_else(|| PathBuf::from("poolkeeper-verify.md"));
    std::fs::write(&file, report.markdown()).with_context(|| format!("cannot write {}", file.display()))?;
    println!("the report is in {}; it holds no secrets, and can be attached to an issue", file.display());
    Ok(report.exit_code())
}

/// The variables that Microsoft's own tools read. Secrets are no arguments: every user of a machine sees those.
fn credential(http: &Http, cloud: &poolkeeper_azure::Cloud) -> anyhow::Result<Credential> {
    if let Some(token) = variable("AZURE_ACCESS_TOKEN") {
        return Ok(Credential::fixed(SecretString::from(token)));
    }
    let (tenant, client) = (variable("AZURE_TENANT_ID"), variable("AZURE_CLIENT_ID"));
    let principal = tenant.as_deref().zip(client.as_deref());
    if let (Some((tenant, client)), Some(secret)) = (principal, variable("AZURE_CLIENT_SECRET")) {
        let secret = SecretString::from(secret);
        return Credential::client_secret(http, cloud, tenant, client, &secret)
            .context("AZURE_CLIENT_SECRET");
    }
    if let (Some((tenant, client)), Some(file)) = (principal, variable("AZURE_CLIENT_CERTIFICATE_PATH")) {
        let pem = std::fs::read_to_string(&file).with_context(|| format!("cannot read {file}"))?;
        let key = SecretString::from(pem.clone());
        return Credential::client_certificate(http, cloud, tenant, client, &pem, &key)
            .context("AZURE_CLIENT_CERTIFICATE_PATH");
    }
    if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        let identity = WorkloadIdentity { tenant, client, token_file: None };
        return Credential::workload_identity(http, cloud, identity).context("AZURE_FEDERATED_TOKEN_FILE");
    }
    anyhow::bail!(
        "no credential for Azure: set AZURE_ACCESS_TOKEN (az account get-access-token --query accessToken -o tsv), or \
         AZURE_TENANT_ID and AZURE_CLIENT_ID with AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH; and \
         AZURE_DEVOPS_EXT_PAT for Azure DevOps, unless the same identity is a member there"
    )
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Shows what will be done, and asks. Where nobody can answer, the answer is no.
fn agrees(plan: &str) -> bool {
    println!("{plan}");
    if !std::io::stdin().is_terminal() {
        println!("nobody is there to answer: run it with --yes");
        return false;
    }
    print!("Type yes to go on: ");
    let mut answer = String::new();
    let asked = std::io::stdout().flush().and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    asked.is_ok() && answer.trim() == "yes"
}
