//! The three definitions on a real API server: what it accepts, what it refuses, and in which words.

#![allow(clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Client, Error,
    api::{DeleteParams, PostParams, Request},
    core::Status,
};
use poolkeeper_harness::{ControlPlane, Tools};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{merge, said};

/// Requests at the same time; the API server has two cores as well.
const PARALLEL: usize = 4;
/// What ends a name that is to be as long as it may be.
const FILL: &str = "-x23456789";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    base: String,
    #[serde(default = "nothing")]
    patch: Value,
    update_from: Option<Value>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Expect {
    Accepted(Accepted),
    Refused { field: String, message: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Accepted {
    Accepted,
}

fn nothing() -> Value {
    json!({})
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Starts the control plane with the definitions of `crds/`.
async fn with_definitions() -> Result<ControlPlane> {
    let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
    let folder = repository().join("crds");
    let apply = ["apply", "--server-side", "--filename", &folder.to_string_lossy()];
    said("kubectl apply", &control_plane.kubectl(&apply).await?)?;
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    said("kubectl wait", &control_plane.kubectl(&wait).await?)?;
    Ok(control_plane)
}

fn collection(object: &Value) -> Result<Request> {
    let plural = match object["kind"].as_str() {
        Some("AgentPool") => "agentpools",
        Some("StandbySchedule") => "standbyschedules",
        Some("ScaleSetBinding") => "scalesetbindings",
        other => bail!("no kind of ours: {other:?}"),
    };
    Ok(Request::new(format!("/apis/poolkeeper.dev/v1alpha1/namespaces/default/{plural}")))
}

fn name(object: &Value) -> Result<&str> {
    object["metadata"]["name"].as_str().context("no name")
}

/// Sends an object with strict validation: a new one, or one that replaces the stored one of its name.
async fn send(
    client: &Client,
    object: &Value,
    replaces: bool,
    dry_run: bool,
) -> Result<Result<Value, Status>> {
    let parameters = PostParams { dry_run, field_manager: Some("test".to_owned()) };
    let (collection, body) = (collection(object)?, serde_json::to_vec(object)?);
    let mut request = if replaces {
        collection.replace(name(object)?, &parameters, body)?
    } else {
        collection.create(&parameters, body)?
    };
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse()?;
    match client.request(request).await {
        Ok(stored) => Ok(Ok(stored)),
        Err(Error::Api(status)) => Ok(Err(*status)),
        Err(error) => Err(error.into()),
    }
}

/// What became of a case: the whole refusal, or a deviation from what is expected.
enum Finding {
    AsExpected(Option<String>),
    Deviation(String),
}

async fn run(
    client: &Client,
    bases: &BTreeMap<String, Value>,
    number: usize,
    case: &Case,
) -> Result<Finding> {
    let base = bases.get(&case.base).with_context(|| format!("no base {}", case.base))?;
    let object = |patch: &Value| {
        let mut object = base.clone();
        object["metadata"]["name"] = json!(format!("case-{number}"));
        merge(&mut object, patch);
        object
    };
    let mut wanted = object(&case.patch);
    let answer = match &case.update_from {
        None => send(client, &wanted, false, true).await?,
        Some(before) => match send(client, &object(before), false, false).await? {
            Err(status) => bail!("update_from is refused: {}", status.message),
            Ok(stored) => {
                wanted["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
                let answer = send(client, &wanted, true, true).await?;
                let delete = collection(&stored)?.delete(name(&stored)?, &DeleteParams::default())?;
                client.request::<Value>(delete).await?;
                answer
            }
        },
    };
    Ok(match (answer, &case.expect) {
        (Ok(_), Expect::Accepted(Accepted::Accepted)) => Finding::AsExpected(None),
        (Ok(_), Expect::Refused { field, message }) => {
            Finding::Deviation(format!("accepted; to be refused at {field}: {message}"))
        }
        (Err(status), Expect::Accepted(Accepted::Accepted)) => {
            Finding::Deviation(format!("refused: {}", status.message))
        }
        (Err(status), Expect::Refused { field, message }) => {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            let fits =
                causes.into_iter().any(|cause| &cause.field == field && cause.message.contains(message));
            if fits {
                Finding::AsExpected(Some(status.message))
            } else {
                let wanted = format!("to be refused at {field}: {message}");
                Finding::Deviation(format!("{wanted}\n    refused otherwise: {}", status.message))
            }
        }
    })
}

/// The message of every CEL rule of a schema.
fn rule_messages(schema: &Value, found: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            let rules = members.get("x-kubernetes-validations").and_then(Value::as_array);
            let messages = rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
            found.extend(messages.map(str::to_owned));
            members.values().for_each(|member| rule_messages(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| rule_messages(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn the_api_server_accepts_and_refuses_as_the_cases_say() -> Result<()> {
    let control_plane = with_definitions().await?;
    let client = control_plane.client().await?;
    every_case(&client).await?;
    unknown_fields_are_named(&client).await?;
    the_largest_objects_are_accepted(&client).await?;
    the_examples_are_accepted(&control_plane).await
}

async fn every_case(client: &Client) -> Result<()> {
    let bases = serde_yaml::from_str(include_str!("crd/bases.yaml"))?;
    let cases: Vec<Case> = serde_yaml::from_str(include_str!("crd/cases.yaml"))?;
    let findings: Vec<(&Case, Finding)> = stream::iter(cases.iter().enumerate())
        .map(async |(number, case)| {
            let finding = run(client, &bases, number, case).await;
            anyhow::Ok((case, finding.with_context(|| case.name.clone())?))
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;

    let (mut refusals, mut deviations) = (Vec::new(), Vec::new());
    for (case, finding) in findings {
        match finding {
            Finding::AsExpected(refusal) => refusals.extend(refusal),
            Finding::Deviation(what) => deviations.push(format!("{}: {what}", case.name)),
        }
    }
    // A rule that no case has met would not be missed.
    let mut messages = Vec::new();
    for file in std::fs::read_dir(repository().join("crds"))? {
        rule_messages(&serde_yaml::from_str(&std::fs::read_to_string(file?.path())?)?, &mut messages);
    }
    ensure!(messages.len() >= 70, "only {} rules were found in crds/", messages.len());
    messages.sort();
    messages.dedup();
    messages.retain(|message| !refusals.iter().any(|refusal| refusal.contains(message.as_str())));
    deviations.extend(messages.iter().map(|message| format!("no case was refused with: {message}")));
    ensure!(deviations.is_empty(), "{} deviations:\n{}", deviations.len(), deviations.join("\n"));
    println!("{} cases are as they should be, {} of them refusals", cases.len(), refusals.len());
    Ok(())
}

/// In all three kinds, at the top and deep inside, and in what replaces a stored object too.
async fn unknown_fields_are_named(client: &Client) -> Result<()> {
    let bases: BTreeMap<String, Value> = serde_yaml::from_str(include_str!("crd/bases.yaml"))?;
    let mut deviations = Vec::new();
    for (base, patch, field) in [
        ("minimal-pool", json!({"spec": {"maxAgent": 1}}), "spec.maxAgent"),
        ("minimal-pool", json!({"spec": {"standby": {"agnets": 1}}}), "spec.standby.agnets"),
        ("full-pool", json!({"spec": {"images": [{"name": "x", "alias": "y"}]}}), "spec.images[0].alias"),
        ("minimal-schedule", json!({"spec": {"timezone": "UTC"}}), "spec.timezone"),
        ("minimal-binding", json!({"spec": {"scaleSet": {"id": "x"}}}), "spec.scaleSet.id"),
        ("minimal-binding", json!({"metadata": {"label": {}}}), "metadata.label"),
    ] {
        let stored = bases.get(base).context("no such base")?;
        let mut object = stored.clone();
        merge(&mut object, &patch);
        for replaces in [false, true] {
            if replaces {
                let made = send(client, stored, false, false).await?;
                let made = made.map_err(|status| anyhow::anyhow!(status.message))?;
                object["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
            }
            let wanted = format!("unknown field \"{field}\"");
            match send(client, &object, replaces, true).await? {
                Err(status) if status.message.contains(&wanted) => {}
                Err(status) => deviations.push(format!("{wanted}: refused otherwise: {}", status.message)),
                Ok(_) => deviations.push(format!("{wanted}: accepted, replaces: {replaces}")),
            }
        }
        let delete = collection(stored)?.delete(name(stored)?, &DeleteParams::default())?;
        client.request::<Value>(delete).await?;
    }
    ensure!(deviations.is_empty(), "{}", deviations.join("\n"));
    Ok(())
}

/// A name of this length that begins with a letter and is like no other number's.
fn long(number: usize, length: usize) -> String {
    let start = format!("n{number:04}");
    let fill = FILL.chars().cycle().take(length.saturating_sub(start.len()));
    start.chars().chain(fill).collect()
}

/// Every list and name at its limit: the rules stay within the cost that the API server allows a request.
async fn the_largest_objects_are_accepted(client: &Client) -> Result<()> {
    let bases: BTreeMap<String, Value> = serde_yaml::from_str(include_str!("crd/bases.yaml"))?;
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let capabilities =
        || (0..64).map(|n| json!({"name": long(n, 256), "value": "v".repeat(1_024)})).collect::<Vec<_>>();
    let image = |image: usize| {
        let aliases: Vec<_> = (1..9).map(|alias| long(image * 100 + alias, 128)).collect();
        let percent = if image == 0 { json!("40") } else { json!(4) };
        json!({"name": long(image * 100, 128), "aliases": aliases, "standbyPercent": percent,
            "capabilities": capabilities()})
    };
    let windows: Vec<_> = (0..14)
        .map(|n| json!({"name": long(n, 63), "days": days, "start": "20:00", "end": "05:00"}))
        .collect();
    let pool = json!({"metadata": {"name": long(0, 63)}, "spec": {
        "maxAgents": 10_000, "standby": {"agents": 10_000}, "unhealthy": {"saveForInvestigation": 100},
        "images": (0..16).map(image).collect::<Vec<_>>(),
        "routing": {"ignoreDemands": (0..64).map(|n| long(n, 256)).collect::<Vec<_>>()},
        "rollout": {"idleFirst": {"windows": windows}},
    }});

    // 64 periods of half an hour, an hour apart, in a zone with one of the longest names; as many days as fit.
    let zone = "America/Argentina/ComodRivadavia";
    let period = |n: usize| {
        let day = days.get(n / 12).copied().unwrap_or_default();
        let (start, end) = (format!("{:02}:00", n % 12 * 2), format!("{:02}:30", n % 12 * 2));
        json!({"name": long(n, 63), "startDay": day, "start": start, "endDay": day, "end": end, "agents": 10_000,
            "timeZone": zone})
    };
    let exception = |n: usize| {
        let date = format!("{}-{:02}-{:02}", 2030 + n / 28, n / 28 + 1, n % 28 + 1);
        json!({"name": long(n, 63), "from": date, "to": date, "agents": 10_000, "start": "00:00", "end": "24:00"})
    };
    let boost = |n: usize| {
        let year = 2030 + n;
        json!({"name": long(n, 63), "from": format!("{year}-01-01T00:00:00Z"),
            "until": format!("{year}-01-31T00:00:00Z"), "agents": 10_000})
    };
    let schedule = json!({"metadata": {"name": long(1, 63)}, "spec": {
        "timeZone": zone,
        "manual": {"periods": (0..64).map(period).collect::<Vec<_>>()},
        "exceptions": (0..128).map(exception).collect::<Vec<_>>(),
        "boosts": (0..64).map(boost).collect::<Vec<_>>(),
    }});

    let variable = |n: usize| {
        let name = format!("VSTS_AGENT_INPUT_{}", long(n, 111).replace('-', "_"));
        if n.is_multiple_of(2) {
            json!({"name": name, "value": "v".repeat(1_024)})
        } else {
            json!({"name": name, "valueFrom": {"secretKeyRef": {"name": long(n, 253), "key": long(n, 253)}}})
        }
    };
    let id = format!(
        "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/{}/providers/Microsoft.Compute/\
         virtualMachineScaleSets/{}",
        long(0, 90),
        long(0, 64)
    );
    let binding = json!({"metadata": {"name": long(2, 63)}, "spec": {
        "poolRef": {"name": long(0, 63)}, "scaleSet": {"resourceID": id}, "imageName": long(0, 128),
        "takeOverFrom": long(0, 256), "maxAgents": 1_000, "priority": 1_000,
        "agentBootstrap": {"managed": {
            "afterExtensions": (0..8).map(|n| long(n, 80)).collect::<Vec<_>>(),
            "env": (0..32).map(variable).collect::<Vec<_>>(),
        }},
    }});

    for (base, patch) in [("full-pool", pool), ("full-schedule", schedule), ("full-binding", binding)] {
        let mut object = bases.get(base).context("no such base")?.clone();
        merge(&mut object, &patch);
        for replaces in [false, true] {
            let stored = send(client, &object, replaces, false).await?;
            let stored =
                stored.map_err(|status| anyhow::anyhow!("the largest {base}: {}", status.message))?;
            object["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
            object["metadata"]["labels"] = json!({"again": "yes"});
        }
    }
    // One item more is one too many, so these were the limits.
    for (base, list, items) in [
        ("full-pool", "images", (0..17).map(|n| json!({"name": long(n, 9)})).collect::<Vec<_>>()),
        ("full-schedule", "exceptions", (0..129).map(exception).collect()),
        ("full-schedule", "boosts", (0..65).map(boost).collect()),
    ] {
        let (mut object, limit) = (bases.get(base).context("no such base")?.clone(), items.len() - 1);
        object["spec"][list] = Value::from(items);
        match send(client, &object, false, true).await? {
            Err(status) => {
                let says = format!("spec.{list}: Too many: {}: must have at most {limit} items", limit + 1);
                ensure!(status.message.contains(&says), "{}", status.message);
            }
            Ok(_) => bail!("{} {list} are accepted", limit + 1),
        }
    }
    Ok(())
}

/// All YAML below `examples/` that kubectl would apply.
async fn the_examples_are_accepted(control_plane: &ControlPlane) -> Result<()> {
    let (mut folders, mut manifests) = (vec![repository().join("examples")], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                let documents: Vec<Value> = serde_yaml::from_multiple(&std::fs::read_to_string(&path)?)?;
                if documents.iter().any(|document| document["apiVersion"] == "poolkeeper.dev/v1alpha1") {
                    manifests.push(path);
                }
            }
        }
    }
    ensure!(manifests.len() >= 3, "examples/ has only {manifests:?}");
    for manifest in manifests {
        let file = manifest.to_string_lossy();
        for how in [&["--server-side"][..], &[]] {
            let mut arguments = vec!["apply", "--dry-run=server", "--validate=strict", "--filename", &file];
            arguments.extend(how);
            said(&file, &control_plane.kubectl(&arguments).await?)?;
        }
    }
    Ok(())
}
