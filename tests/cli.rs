//! `poolkeeper agents`, `explain` and `diagnostics`, and the same as a kubectl plugin, beside a pool at work.
#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::{
    net::{IpAddr, UdpSocket},
    path::{Path, PathBuf},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use poolkeeper_harness::{Operator, Tools, eventually};
use serde_json::{Value, json};
use support::{PATIENCE, Scenarios, Site, Stage};
use tokio::{
    net::{TcpListener, TcpStream},
    process::Command,
    task::{JoinHandle, JoinSet},
};

/// A pool at work, and one whose journal's name somebody else has taken.
const SITES: [&str; 2] = ["work", "taken"];
const PROGRAM: &str = env!("CARGO_BIN_EXE_poolkeeper");
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-poolkeeper");

#[tokio::test]
async fn a_person_asks_what_agents_do_and_why() -> Result<()> {
    let stage = Stage::start(&SITES).await?;
    let operator = stage.operator(&SITES).await?;
    let mut scenarios = Scenarios::default();
    scenarios.add("a pool at work", works(stage.site("work"), &operator));
    scenarios.add("a name that is taken", is_taken(stage.site("taken"), &operator));
    let mut result = scenarios.run().await;
    if result.is_ok() {
        result = through_the_api_server(stage.site("work"), &operator).await;
    }
    if result.is_err() {
        println!("logs: {}", stage.keep_logs(&[&operator]).await?.display());
    }
    result
}

/// Runs a program with a kubeconfig.
async fn run(program: &Path, kubeconfig: &Path, path: Option<&Path>, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(program);
    command.args(arguments).env("KUBECONFIG", kubeconfig).env_remove("KUBERNETES_SERVICE_HOST");
    if let Some(path) = path {
        let all = std::env::var_os("PATH").unwrap_or_default();
        let paths = std::iter::once(path.to_owned()).chain(std::env::split_paths(&all));
        command.env("PATH", std::env::join_paths(paths)?);
    }
    Ok(command.kill_on_drop(true).output().await?)
}

/// What the program prints, as an administrator of the cluster.
async fn ask(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let output = run(PROGRAM.as_ref(), stage.control_plane.kubeconfig(), None, arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What the program says when it cannot answer; it prints nothing then.
async fn fails(kubeconfig: &Path, arguments: &[&str]) -> Result<String> {
    let output = run(PROGRAM.as_ref(), kubeconfig, None, arguments).await?;
    ensure!(output.status.code() == Some(1), "{arguments:?}: {}", output.status);
    ensure!(output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    Ok(String::from_utf8(output.stderr)?.trim().to_owned())
}

/// Waits until the answer has all of these words.
async fn says(stage: &Stage, arguments: &[&str], words: &[&str]) -> Result<String> {
    eventually(&format!("{arguments:?}: {words:?}"), PATIENCE, async || {
        let text = ask(stage, arguments).await?;
        ensure!(words.iter().all(|word| text.contains(word)), "{text}");
        Ok(Some(text))
    })
    .await
}

fn rows(text: &str) -> Result<Vec<Value>> {
    Ok(serde_json::from_str(text)?)
}

async fn works(site: Site<'_>, operator: &Operator) -> Result<()> {
    let (stage, at) = (site.stage, operator.url());
    let agents = ["agents", "work", "-n", "work", "--operator", at];
    let explain = ["explain", "work", "-n", "work", "--operator", at];
    let diagnostics = ["diagnostics", "work", "-n", "work", "-o", "json"];
    site.apply(&json!({"standby": {"agents": 1}, "maxAgents": 2, "scaleIn": {"idleDelay": "2m"}})).await?;
    let truth = site.settles_at(1, 0).await?;
    let name = truth.vms.first().context("no VM")?.as_str();

    // The standby: one free agent, and why it is kept.
    let text = says(stage, &agents, &[name, "Idle"]).await?;
    ensure!(text.starts_with("NAME "), "{text}");
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(header == ["NAME", "VM", "INSTANCE", "BINDING", "STATE", "SINCE", "JOB", "WHY"], "{header:?}");
    let view: Value = serde_json::from_str(&ask(stage, &[&agents[..], &["-o", "json"]].concat()).await?)?;
    let vm = view["agents"][0]["vmID"].as_str().context("no vmID")?.to_owned();
    ensure!(view["agents"][0]["why"].as_str().is_some_and(|why| !why.is_empty()), "no why: {view:#}");
    ensure!(!view["decision"]["why"].as_str().unwrap_or_default().is_empty(), "no decision: {view:#}");
    let instance = view["agents"][0]["instanceID"].as_str().context("no instanceID")?;
    // The VM by each of its names.
    for called in [name, vm.as_str(), &vm[..8], instance] {
        let text = ask(stage, &[&explain[..], &["--vm", called]].concat()).await?;
        ensure!(
            text.contains(name) && text.contains(&vm) && text.contains("State: Idle"),
            "{called}: {text}"
        );
    }
    says(stage, &explain, &["No job waits.", "Every VM is idle or busy.", "Nothing limits it"]).await?;

    // A job: who runs it, and who waits while the pool is full.
    let first = site.queue_job(30).await?.to_string();
    says(stage, &agents, &["Busy", &first]).await?;
    let text = says(stage, &[&explain[..], &["--job", &first]].concat(), &[&first, "runs"]).await?;
    ensure!(text.contains(name), "{text}");
    site.queue_job(30).await?;
    let third = site.queue_job(1).await?.to_string();
    let text = says(stage, &explain, &["Jobs that wait:", &third, "Limited by: MaxAgents"]).await?;
    let why = ask(stage, &[&explain[..], &["--job", &third]].concat()).await?;
    ensure!(why.contains(&third) && why.lines().count() > 1, "{text}\n{why}");

    // What is no job, VM or pool.
    let admin = stage.control_plane.kubeconfig();
    let said = fails(admin, &[&explain[..], &["--vm", "nobody"]].concat()).await?;
    ensure!(said.contains("pool work has no VM \"nobody\"; poolkeeper agents work lists"), "{said}");
    let said = fails(admin, &[&explain[..], &["--job", "999999"]].concat()).await?;
    ensure!(said.contains("pool work has no unfinished job 999999"), "{said}");
    let said = fails(admin, &["agents", "nobody", "-n", "work", "--operator", at]).await?;
    ensure!(said.contains("has not looked at AgentPool nobody in namespace work"), "{said}");
    let said = fails(admin, &["diagnostics", "nobody", "-n", "work"]).await?;
    ensure!(said.contains("there is no AgentPool nobody in namespace work"), "{said}");
    let said = fails(admin, &["agents", "work", "-n", "work"]).await?;
    ensure!(said.contains("no running pod") && said.contains("--operator"), "{said}");
    let said = fails(admin, &["agents", "work", "--operator", "http://127.0.0.1:1"]).await?;
    ensure!(said.contains("cannot ask the operator at http://127.0.0.1:1"), "{said}");

    // Empty again, and every deed is told with its operation's end.
    site.truth_with("no job is left", |truth| (truth.waiting, truth.busy) == (0, 0)).await?;
    site.every_job_succeeded(3).await?;
    site.kubectl(&["scale", "agentpool", "work", "--replicas=0"]).await?;
    site.settles_at(0, 0).await?;
    eventually("every deed is told", PATIENCE, async || {
        let found = rows(&ask(stage, &diagnostics).await?)?;
        let has = |action: &str, result: &str| {
            found
                .iter()
                .any(|row| row["action"] == action && row["result"] == result && row["binding"] == "work")
        };
        for action in ["Create", "Reimage", "Delete"] {
            ensure!(has(action, "InFlight") && has(action, "Succeeded"), "{action}: {found:#?}");
        }
        ensure!(has("Disable", "Done"), "Disable: {found:#?}");
        Ok(Some(()))
    })
    .await?;
    let found = rows(&ask(stage, &diagnostics).await?)?;
    let reimage = found.iter().find(|row| row["action"] == "Reimage" && row["result"] == "InFlight");
    let reimage = reimage.context("no reimage")?;
    ensure!(reimage["reason"] == "has run its job", "{reimage}");
    ensure!(reimage["operation"].is_string() && !reimage["names"][0].is_null(), "{reimage}");
    let text = ask(stage, &["diagnostics", "work", "-n", "work"]).await?;
    let header: Vec<&str> = text.lines().next().unwrap_or_default().split_whitespace().collect();
    ensure!(header == ["AT", "ACTION", "BINDING", "COUNT", "REASON", "RESULT", "MESSAGE"], "{header:?}");
    ensure!(text.lines().count() == found.len() + 1, "{text}");

    // An error, with its kind, and that it is over.
    site.stage.clouds.fault(&json!({"scaleSet": "work", "azure": "allocationFailed"})).await?;
    site.kubectl(&["scale", "agentpool", "work", "--replicas=1"]).await?;
    let error = async |result: &str, reason: &str| {
        eventually(&format!("{reason} {result}"), PATIENCE, async || {
            let found = rows(&ask(stage, &diagnostics).await?)?;
            let told = found.iter().any(|row| row["result"] == result && row["reason"] == reason);
            ensure!(told, "{found:#?}");
            Ok(Some(found))
        })
        .await
    };
    let found = error("Began", "CapacityLimited=AllocationFailed").await?;
    ensure!(found.iter().any(|row| row["error"] == "Allocation" && row["result"] == "Failed"), "{found:#?}");
    site.stage.clouds.end_faults().await?;
    error("Ended", "CapacityLimited=AllocationFailed").await?;
    site.settles_at(1, 0).await?;

    // The journal goes with the pool, and says whose it is.
    let maps: Api<ConfigMap> = Api::namespaced(stage.admin.clone(), "work");
    let map = maps.get("work-journal").await?;
    let owner = map.owner_references().first().context("no owner")?;
    ensure!((owner.kind.as_str(), Some(&owner.uid)) == ("AgentPool", site.pool().await?.uid().as_ref()));
    ensure!(map.labels().get("poolkeeper.dev/pool").map(String::as_str) == Some("work"));
    Ok(())
}

async fn is_taken(site: Site<'_>, operator: &Operator) -> Result<()> {
    let stage = site.stage;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "taken-journal", "namespace": "taken"}, "data": {"notes": "of somebody"},
    });
    stage.namespace("taken").await?;
    stage.control_plane.apply(&theirs.to_string()).await?;
    let maps: Api<ConfigMap> = Api::namespaced(stage.admin.clone(), "taken");
    let before = maps.get("taken-journal").await?.resource_version();
    site.apply(&json!({"standby": {"agents": 1}})).await?;
    site.settles_at(1, 0).await?;
    eventually("the operator warns", PATIENCE, async || {
        let log = std::fs::read_to_string(operator.log())?;
        let warned = log.lines().any(|line| line.contains("taken-journal") && line.contains("left alone"));
        Ok(warned.then_some(()))
    })
    .await?;
    ensure!(maps.get("taken-journal").await?.resource_version() == before, "it was written to");
    let said = fails(stage.control_plane.kubeconfig(), &["diagnostics", "taken", "-n", "taken"]).await?;
    ensure!(said.contains("the ConfigMap taken/taken-journal is no journal of this pool"), "{said}");
    Ok(())
}

/// An address of this machine that an API server lets through to: it refuses loopback ones. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket
        .local_addr()
        .ok()
        .map(|address| address.ip())
        .filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

/// What the operator's pod would answer, at an address that is none of loopback.
async fn forward(ip: IpAddr, operator: &Operator) -> Result<(u16, JoinHandle<()>)> {
    let listener = TcpListener::bind((ip, 0)).await?;
    let port = listener.local_addr()?.port();
    let to = operator.url().trim_start_matches("http://").to_owned();
    let serving = tokio::spawn(async move {
        // They end with this task.
        let mut open = JoinSet::new();
        while let Ok((mut from, _)) = listener.accept().await {
            let to = to.clone();
            open.spawn(async move {
                if let Ok(mut to) = TcpStream::connect(to).await {
                    let _ended = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    Ok((port, serving))
}

/// A pod as the chart's Deployment makes it; there is no kubelet, so its status is written here.
async fn pod(stage: &Stage, ip: IpAddr, port: u16) -> Result<()> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": "poolkeeper-0", "namespace": "poolkeeper", "labels": {"app.kubernetes.io/name": "poolkeeper"},
        },
        "spec": {
            "serviceAccountName": "poolkeeper", "automountServiceAccountToken": false,
            "containers": [{
                "name": "poolkeeper", "image": "poolkeeper:test",
                "ports": [{"name": "metrics", "containerPort": 9}, {"name": "http", "containerPort": port}],
            }],
        },
    });
    stage.control_plane.apply(&pod.to_string()).await?;
    let pods: Api<Pod> = Api::namespaced(stage.admin.clone(), "poolkeeper");
    let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}});
    pods.patch_status("poolkeeper-0", &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(())
}

/// The Role of docs/cli.md, for the ServiceAccount `reader` of the pool's namespace.
const ROLE: &str = include_str!("../docs/cli.md");

fn role() -> Result<String> {
    let yaml = ROLE.split_once("```yaml\n").and_then(|(_, rest)| rest.split_once("```"));
    Ok(yaml.context("docs/cli.md has no Role")?.0.to_owned())
}

async fn through_the_api_server(site: Site<'_>, operator: &Operator) -> Result<()> {
    let stage = site.stage;
    let admin = stage.control_plane.kubeconfig();
    let Some(ip) = own_address() else {
        println!(
            "this machine has no address but loopback ones, to which no API server passes calls on: left out"
        );
        return Ok(());
    };
    let (port, serving) = forward(ip, operator).await?;
    pod(stage, ip, port).await?;
    let text = ask(stage, &["agents", "work", "-n", "work"]).await?;
    ensure!(text.starts_with("NAME "), "{text}");
    let said = fails(admin, &["agents", "nobody", "-n", "work"]).await?;
    ensure!(said.contains("there is no AgentPool nobody in namespace work"), "{said}");

    // As a plugin, found by kubectl on the PATH.
    let kubectl: PathBuf = Tools::ensure().await?.kubectl;
    let folder = Path::new(PLUGIN).parent().context("no folder")?;
    let arguments = ["poolkeeper", "explain", "work", "-n", "work"];
    let plugin = support::said("the plugin", &run(&kubectl, admin, Some(folder), &arguments).await?)?;
    ensure!(plugin.contains("as seen"), "{plugin}");
    let arguments = ["poolkeeper", "agents", "work", "-n", "work", "--job", "1"];
    let output = run(&kubectl, admin, Some(folder), &arguments).await?;
    let usage = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(!output.status.success() && usage.contains("Usage: kubectl poolkeeper agents"), "{usage}");

    // With no rights at all, and with those that the documentation names.
    let account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader", "namespace": "work"},
    });
    stage.control_plane.apply(&account.to_string()).await?;
    let reader = stage.control_plane.service_account_kubeconfig("work", "reader").await?;
    let said = fails(&reader, &["agents", "work"]).await?;
    ensure!(said.contains("does not let you list pods") && said.contains("--operator-namespace"), "{said}");
    let said = fails(&reader, &["diagnostics", "work"]).await?;
    ensure!(said.contains("you need `get` on configmaps"), "{said}");
    stage.control_plane.apply(&role()?).await?;
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "reader", "namespace": "poolkeeper"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "poolkeeper-ask"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "work"}],
    });
    stage.control_plane.apply(&binding.to_string()).await?;
    // The namespace of its context is the pool's. The authorizer learns of a binding a moment later.
    eventually("the documented rights are enough", PATIENCE, async || {
        let output =
            run(PROGRAM.as_ref(), &reader, None, &["agents", "work", "--operator-namespace", "poolkeeper"]);
        let text = support::said("agents", &output.await?)?;
        ensure!(text.starts_with("NAME "), "{text}");
        Ok(Some(()))
    })
    .await?;

    // The pod is there, and nobody answers.
    serving.abort();
    let said = fails(admin, &["agents", "work", "-n", "work"]).await?;
    ensure!(said.contains("cannot ask the operator's pod poolkeeper/poolkeeper-0"), "{said}");
    Ok(())
}
