//! The command `poolkeeper verify`, as a person runs it. What it tries is tested in its own crate.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::process::Output;

use anyhow::Result;
use poolkeeper_harness::{Binaries, Simulator, World};
use tokio::process::Command;

const WORLD: &str = "
clients:
- tenantID: 00000000-0000-0000-0000-00000000000a
  clientID: 00000000-0000-0000-0000-00000000000b
  secret: planted-client-secret
  subscriptions: [00000000-1111-2222-3333-444444444444]
scaleSets:
- resourceID: /subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux
organizations:
- name: fabrikam
  tokens: [{value: planted-token}]
  pools: [{id: 1, name: linux}]
";

async fn verify(simulator: &Simulator, environment: &[(&str, &str)], further: &[&str]) -> Result<Output> {
    let folder = simulator.directory();
    let url = simulator.url();
    let config = format!(
        "azure: {{cloud: Custom, resourceManager: \"{url}\", authority: \"{url}\"}}\nazureDevOps: {{hosts: [\"{}\"]}}\n",
        url.trim_start_matches("http://")
    );
    let config_file = folder.path().join("verify.yaml");
    std::fs::write(&config_file, config)?;
    let id = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux";
    let mut command = Command::new(env!("CARGO_BIN_EXE_poolkeeper"));
    command
        .args(["verify", "--scale-set", id, "--organization", &format!("{url}/fabrikam"), "--pool", "linux"])
        .arg("--config")
        .arg(&config_file)
        .arg("--report")
        .arg(folder.path().join("report.md"))
        .args(further)
        .env_clear()
        .envs(environment.iter().copied());
    Ok(command.output().await?)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn a_set_that_is_no_scratch_set_is_refused_and_the_report_has_no_secret() -> Result<()> {
    let simulator = Simulator::start(&Binaries::find()?, World::Text(WORLD), 1, None).await?;
    let credentials = [
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-00000000000a"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000000b"),
        ("AZURE_CLIENT_SECRET", "planted-client-secret"),
        ("AZURE_DEVOPS_EXT_PAT", "planted-token"),
    ];
    let output = verify(&simulator, &credentials, &["--yes"]).await?;
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("poolkeeper-verify"), "the tag to set is named: {said}");
    let report = std::fs::read_to_string(simulator.directory().path().join("report.md"))?;
    for text in [&said, &report] {
        assert!(!text.contains("planted-"), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn without_a_credential_it_says_which_variables_to_set() -> Result<()> {
    let simulator = Simulator::start(&Binaries::find()?, World::Text(WORLD), 1, None).await?;
    let output = verify(&simulator, &[], &["--yes"]).await?;
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains("AZURE_ACCESS_TOKEN") && said.contains("AZURE_DEVOPS_EXT_PAT"), "{said}");
    Ok(())
}
