//! Mistakes that only another object, a cloud or a look at the stored object can show: each is said with its mend,
//! nothing is written for it, no other pool notices, and the pool goes to work as soon as the cause is gone.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

#[path = "worlds/bad_input.rs"]
mod cases;
#[path = "worlds/older_version.rs"]
mod older_version;
#[path = "worlds/requirements.rs"]
mod requirements;
mod support;
#[path = "worlds/world.rs"]
mod world;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::events::v1::Event;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding, StandbySchedule};
use poolkeeper_harness::{Operator, eventually};
use serde_json::{Value, json};

use cases::Case;
use support::{PATIENCE, SPEED, Stage, merge};

/// Simulated; twice as long as a pool may be without a binding before it says so.
const WATCHED: SignedDuration = SignedDuration::from_mins(20);
/// A stalled pool is tried again every 30 s at most, and a try takes at most three calls: two of them to Azure DevOps or
/// Azure, one for a token.
const CALLS_PER_MINUTE: f64 = 6.0;
/// A pool with its binding: each is woken by the other's news, and otherwise by its own tries.
const PASSES_PER_MINUTE: f64 = 10.0;
const NAMESPACE: &str = "ci";

/// All objects of the three kinds: conditions by kind and name, as `status/reason: message`, by their types.
type Said = BTreeMap<(String, String), BTreeMap<String, String>>;

async fn said(stage: &Stage) -> Result<Said> {
    let mut all = Said::new();
    for kind in kinds() {
        let api: Api<DynamicObject> = Api::namespaced_with(stage.admin.clone(), NAMESPACE, &kind);
        for object in api.list(&Default::default()).await? {
            let listed = object.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let text = |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
            let words = |c: &Value| {
                (
                    text(c, "type"),
                    format!("{}/{}: {}", text(c, "status"), text(c, "reason"), text(c, "message")),
                )
            };
            all.insert((kind.kind.clone(), object.name_any()), listed.iter().map(words).collect());
        }
    }
    Ok(all)
}

fn kinds() -> [ApiResource; 3] {
    [
        ApiResource::erase::<AgentPool>(&()),
        ApiResource::erase::<ScaleSetBinding>(&()),
        ApiResource::erase::<StandbySchedule>(&()),
    ]
}

fn condition<'a>(said: &'a Said, kind: &str, name: &str, condition: &str) -> &'a str {
    let found = said.get(&(kind.to_owned(), name.to_owned())).and_then(|all| all.get(condition));
    found.map_or("", String::as_str)
}

/// What is missing of the words about a mistake.
fn unsaid(case: &Case, said: &Said) -> Option<String> {
    let stalled = condition(said, case.kind, case.name, "Stalled");
    let expected = format!("True/{}: ", case.reason);
    let missing: Vec<_> = case.says.iter().filter(|words| !stalled.contains(*words)).collect();
    if !stalled.starts_with(&expected) || !missing.is_empty() {
        let all = said.get(&(case.kind.to_owned(), case.name.to_owned()));
        return Some(format!("{}: expected Stalled={expected}… with {missing:?}, found {all:#?}", case.name));
    }
    // Ready has reason and message of Stalled, word for word.
    let ready = condition(said, case.kind, case.name, "Ready");
    let same = ready.strip_prefix("False") == stalled.strip_prefix("True");
    (!same).then(|| format!("{}: Ready is {ready:?} and Stalled is {stalled:?}", case.name))
}

/// Scale set and agent pool of a case without the claim, which a binding without a mistake may hold meanwhile.
async fn world_of(stage: &Stage, cases: &[Case]) -> Result<BTreeMap<&'static str, Value>> {
    let world = stage.clouds.get("world").await?;
    let named = |list: &Value, name: &str| {
        list.as_array().into_iter().flatten().find(|item| item["name"] == name).cloned().unwrap_or_default()
    };
    let of_case = |case: &Case| {
        let mut set = named(&world["scaleSets"], case.name);
        // The set of the second binding is the first one's, which renews its claim.
        if case.kind == "AgentPool" || case.name == "bound-twice" {
            merge(
                &mut set,
                &json!({"etag": null, "tags": {
                    "poolkeeper-owner": null, "poolkeeper-claimed-at": null, "poolkeeper-renewed-at": null,
                }}),
            );
        }
        // Operations on tags end too.
        merge(&mut set, &json!({"provisioningState": null}));
        let pool = named(&world["organizations"][0]["pools"], case.name);
        (case.name, json!({"scaleSet": set, "pool": pool}))
    };
    Ok(cases.iter().map(of_case).collect())
}

/// The sum of a metric's samples.
async fn sum(operator: &Operator, sample: &str) -> Result<f64> {
    let text = operator.metrics().await?;
    let values =
        text.lines().filter(|line| line.starts_with(sample)).filter_map(|line| line.rsplit_once(' '));
    Ok(values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
}

/// Manifests for `kubectl apply`.
fn list<'a>(items: impl IntoIterator<Item = &'a Value>) -> String {
    json!({"apiVersion": "v1", "kind": "List", "items": items.into_iter().collect::<Vec<_>>()}).to_string()
}

/// A listener of somebody who would like to have a token.
async fn trap() -> Result<(String, tokio::sync::mpsc::UnboundedReceiver<String>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/fabrikam", listener.local_addr()?);
    let (caught, seen) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((_, from)) = listener.accept().await {
            let _nobody_looks = caught.send(from.to_string());
        }
    });
    Ok((url, seen))
}

/// Takes the foreign claim off, as Azure DevOps does when its pool is deleted.
async fn release_foreign_claim(stage: &Stage, name: &str) -> Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let (url, form) = world::token_request(stage.simulator.url());
    let answer: Value = http.post(url).form(&form).send().await?.error_for_status()?.json().await?;
    let token = answer["access_token"].as_str().context("no token")?;
    let set = format!("{}{}?api-version=2025-04-01", stage.simulator.url(), world::resource_id(name));
    let tags = json!({"tags": {"team": "ci"}});
    http.patch(set).bearer_auth(token).json(&tags).send().await?.error_for_status()?;
    Ok(())
}

async fn mend(stage: &Stage, case: &Case) -> Result<()> {
    for object in case.mend.delete {
        stage.kubectl(&["--namespace", NAMESPACE, "delete", object, "--timeout=60s"]).await?;
    }
    if case.mend.release {
        release_foreign_claim(stage, case.name).await?;
    }
    if !case.mend.apply.is_empty() {
        stage.control_plane.apply(&list(&case.mend.apply)).await?;
    }
    Ok(())
}

/// What still keeps a mended case from working.
fn unmended(case: &Case, said: &Said) -> Option<String> {
    let ready = |kind, expected| {
        let found = condition(said, kind, case.name, "Ready");
        (!found.starts_with(expected)).then(|| format!("{kind} {}: Ready={found}", case.name))
    };
    ready("AgentPool", "True/Managed").or_else(|| ready("ScaleSetBinding", "True/Bound")).or_else(|| {
        let stalled = condition(said, case.kind, case.name, "Stalled");
        (!stalled.is_empty()).then(|| format!("{}: Stalled={stalled}", case.name))
    })
}

/// Waits until nothing is left to say; the simulated time that it took.
async fn until_none(
    stage: &Stage,
    what: &str,
    cases: &[Case],
    left: impl Fn(&Case, &Said) -> Option<String>,
) -> Result<SignedDuration> {
    let from = stage.clouds.now().await?;
    eventually(what, PATIENCE, async || {
        let said = said(stage).await?;
        let left: Vec<String> = cases.iter().filter_map(|case| left(case, &said)).collect();
        ensure!(left.is_empty(), "{} of {}:\n{}", left.len(), cases.len(), left.join("\n"));
        Ok(Some(()))
    })
    .await?;
    Ok(stage.clouds.now().await?.duration_since(from))
}

/// Calls per class since the start of the world.
async fn calls(stage: &Stage) -> Result<BTreeMap<String, u64>> {
    let tally = stage.clouds.get("tally").await?;
    let calls = tally["calls"].as_object().context("no calls")?;
    Ok(calls.iter().map(|(class, count)| (class.clone(), count["total"].as_u64().unwrap_or(0))).collect())
}

/// Everything that the operator has shown to anybody.
async fn shown(stage: &Stage, operator: &Operator) -> Result<Vec<(&'static str, String)>> {
    let objects = ["get", "poolkeeper,events.events.k8s.io,configmaps", "--all-namespaces", "--output=yaml"];
    Ok(vec![
        ("the log", std::fs::read_to_string(operator.log())?),
        ("objects and events", stage.kubectl(&objects).await?),
        ("the metrics", operator.metrics().await?),
    ])
}

fn leaks(shown: &[(&'static str, String)]) -> Vec<String> {
    let mut secrets: Vec<String> = [
        world::TOKEN,
        world::NARROW_TOKEN,
        world::WRONG_TOKEN,
        world::CLIENT_SECRET,
        world::OTHER_CLIENT_SECRET,
        world::WRONG_CLIENT_SECRET,
        // How the simulator's bearer tokens begin, and the headers that carry tokens.
        "simulated.7",
        "Bearer ",
        "Basic ",
    ]
    .map(str::to_owned)
    .to_vec();
    // Tokens in base64, alone and with the colon of a basic authorization, begin so.
    secrets.extend(["OnBhdC", "cGF0L"].map(str::to_owned));
    let found = |(place, text): &(&str, String)| -> Vec<String> {
        secrets
            .iter()
            .filter(|secret| text.contains(*secret))
            .map(|secret| format!("{secret} in {place}"))
            .collect()
    };
    shown.iter().flat_map(found).collect()
}

#[tokio::test]
async fn mistakes_are_named_harm_nobody_and_can_be_mended() -> Result<()> {
    let (elsewhere, mut caught) = trap().await?;
    // The names first: the world has to be there before its address is known.
    let names = |all: &[Case]| all.iter().map(|case| case.name).collect::<Vec<_>>();
    let all = |url: &str| {
        [
            cases::of_pools(url, &elsewhere),
            cases::of_bindings(url),
            requirements::cases(url),
            cases::of_an_older_version(url),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
    };
    let spec = world::world(&names(&all("http://localhost/fabrikam")), &Timestamp::now().to_string());
    let stage = Stage::with_world(&spec, SPEED).await?;
    let mut operator = None;
    let result = course(&stage, &mut operator, &all, &mut caught).await;
    if result.is_err() {
        let operators: Vec<&Operator> = operator.iter().collect();
        println!("logs: {}", stage.keep_logs(&operators).await?.display());
    }
    result
}

async fn course(
    stage: &Stage,
    running: &mut Option<Operator>,
    all: &dyn Fn(&str) -> Vec<Case>,
    caught: &mut tokio::sync::mpsc::UnboundedReceiver<String>,
) -> Result<()> {
    let mut wrong = Vec::new();
    let cases = all(&format!("{}/fabrikam", stage.simulator.url()));
    let (new, old) = cases.split_at(cases.partition_point(|case| !case.name.starts_with("old-")));
    let mut before = world_of(stage, old).await?;
    let first = world::first(&format!("{}/fabrikam", stage.simulator.url()));
    stage.control_plane.apply(&list(&first)).await?;
    older_version::store(stage, old).await?;
    let operator = &mut *running.insert(stage.operator(&[]).await?);
    let (pools, bindings) = (["healthy", "token-expired"], ["healthy", "token-expired", "first-of-set"]);
    eventually("the first pools are ready", PATIENCE, async || {
        let said = said(stage).await?;
        for (kind, names) in [("AgentPool", &pools[..]), ("ScaleSetBinding", &bindings[..])] {
            for name in names {
                let ready = condition(&said, kind, name, "Ready");
                ensure!(ready.starts_with("True/"), "{kind} {name}: {ready}");
            }
        }
        Ok(Some(()))
    })
    .await?;
    before.extend(world_of(stage, new).await?);

    // Each mistake is said.
    stage.control_plane.apply(&list(new.iter().flat_map(|case| &case.wrong))).await?;
    match until_none(stage, "every mistake is named", &cases, unsaid).await {
        Ok(took) => println!("{} mistakes named within {:.0} simulated s", cases.len(), took.as_secs_f64()),
        Err(error) => wrong.push(format!("{error:#}")),
    }

    // Watched for a while, with a job at the healthy pool.
    let job = SignedDuration::from_mins(5);
    stage.clouds.queue_job("healthy", job).await?;
    let (calls_before, started) = (calls(stage).await?, stage.clouds.now().await?);
    let passes_before = sum(operator, "poolkeeper_passes_total").await?;
    let writes_before = sum(operator, "poolkeeper_api_writes_total").await?;
    let wall = stage.wall(WATCHED) * 3 + PATIENCE;
    eventually("so much simulated time has passed", wall, async || {
        Ok((stage.clouds.now().await? >= started.checked_add(WATCHED)?).then_some(()))
    })
    .await?;
    let minutes = stage.clouds.now().await?.duration_since(started).as_secs_f64() / 60.0;
    let calls_after = calls(stage).await?;
    let passes =
        (sum(operator, "poolkeeper_passes_total").await? - passes_before) / minutes / cases.len() as f64;
    let per_minute: BTreeMap<&str, f64> = calls_after
        .iter()
        .map(|(class, total)| {
            (class.as_str(), (total - calls_before.get(class).unwrap_or(&0)) as f64 / minutes)
        })
        .collect();
    let each = per_minute.values().sum::<f64>() / cases.len() as f64;
    println!(
        "{minutes:.1} minutes, {} stalled pools and 3 others: {each:.2} calls and {passes:.2} passes a minute per stalled \
         pool; in all {per_minute:.1?} a minute, {} writes to the API server",
        cases.len(),
        sum(operator, "poolkeeper_api_writes_total").await? - writes_before,
    );
    if each > CALLS_PER_MINUTE || passes > PASSES_PER_MINUTE {
        wrong
            .push(format!("a retry storm: {each:.2} calls and {passes:.2} passes a minute per stalled pool"));
    }
    let after = world_of(stage, &cases).await?;
    for (name, was) in &before {
        if after.get(name) != Some(was) {
            wrong.push(format!("{name}: written to: {was} is now {:?}", after.get(name)));
        }
    }
    let now = said(stage).await?;
    wrong.extend(cases.iter().filter_map(|case| unsaid(case, &now)).map(|text| format!("later {text}")));
    // A pool without a usable binding says so in the end; where the pool is missing there is none to say it.
    for case in cases.iter().filter(|case| case.kind == "ScaleSetBinding" && case.name != "pool-missing") {
        let stalled = condition(&now, "AgentPool", case.name, "Stalled");
        if !stalled.starts_with("True/NoBinding") {
            let ready = condition(&now, "AgentPool", case.name, "Ready");
            wrong
                .push(format!("pool of {}: Stalled is {stalled:?}, not NoBinding; Ready={ready}", case.name));
        }
    }
    for (schedule, expected) in
        [("schedule-overlaps", "False/PeriodsOverlap"), ("schedule-too-high", "True/Valid")]
    {
        let ready = condition(&now, "StandbySchedule", schedule, "Ready");
        if !ready.starts_with(expected) {
            wrong.push(format!("schedule {schedule}: Ready={ready}"));
        }
    }
    let figures = Api::<AgentPool>::namespaced(stage.admin.clone(), NAMESPACE).get("token-expired").await?;
    let figures = figures.status.and_then(|status| status.agents).unwrap_or_default();
    if (figures.idle, figures.total) != (1, 1) {
        wrong.push(format!("token-expired: figures do not stay as last seen: {figures:?}"));
    }
    if let Ok(from) = caught.try_recv() {
        wrong.push(format!("a host that is not allowed was connected to, from {from}"));
    }

    // An event says it too, once.
    let events: Api<Event> = Api::namespaced(stage.admin.clone(), NAMESPACE);
    let events = events.list(&Default::default()).await?;
    for case in &cases {
        let about = |event: &&Event| {
            let object = event.regarding.as_ref();
            object
                .is_some_and(|o| o.name.as_deref() == Some(case.name) && o.kind.as_deref() == Some(case.kind))
                && event.reason.as_deref() == Some(case.reason)
        };
        let count = events.iter().filter(about).count();
        if !(1..=2).contains(&count) {
            wrong.push(format!("{}: {count} events with reason {}", case.name, case.reason));
        }
    }

    // The others went on.
    let healthy = stage.clouds.truth("healthy").await?;
    let tally = stage.clouds.get("tally").await?;
    if tally["jobs"]["finished"] != 1 || tally["jobs"]["killed"] != 0 {
        wrong.push(format!("healthy: jobs {}, {healthy:?}", tally["jobs"]));
    }

    // All causes go, and all pools work.
    for case in &cases {
        if let Err(error) = mend(stage, case).await {
            wrong.push(format!("{} could not be mended: {error:#}", case.name));
        }
    }
    match until_none(stage, "every mended pool is ready", &cases, unmended).await {
        Ok(took) => println!("all ready {:.0} simulated s after the last mend", took.as_secs_f64()),
        Err(error) => wrong.push(format!("{error:#}")),
    }
    for case in &cases {
        let truth = stage.clouds.truth(case.name).await?;
        if truth.vms.len() != 1 || truth.capacity != 1 {
            wrong.push(format!("{}: no agent stands by after the mend: {truth:?}", case.name));
        }
    }

    if let Some(status) = operator.exited()? {
        bail!("the operator has ended by itself: {status}; so far:\n{}", wrong.join("\n"));
    }
    let shown = shown(stage, operator).await?;
    wrong.extend(leaks(&shown).into_iter().map(|leak| format!("a secret is shown: {leak}")));
    wrong.extend(
        shown
            .iter()
            .filter(|(_, text)| text.contains("panicked"))
            .map(|(place, _)| format!("a panic: {place}")),
    );
    ensure!(wrong.is_empty(), "{} things are wrong:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}
