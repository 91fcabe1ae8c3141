//! Every way to sign in, with the whole operator: each brings an agent, none leads a token elsewhere, rotated secrets
//! and revoked tokens are taken up without a restart, and mistakes are named without showing a secret.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may panic")]

#[path = "worlds/credentials_servers.rs"]
mod servers;
mod support;
#[path = "worlds/credentials.rs"]
mod world;

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt, path::PathBuf, sync::atomic::Ordering};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::{Secret, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_clock::Clock;
use poolkeeper_harness::{
    Binaries, ControlPlane, Directory, Operator, Simulator, Tools, World, eventually, ledger::Kind,
    values_for,
};
use serde_json::{Value, json};

use servers::{Planter, redirect, sum, trap, untrusted};
use support::{Clouds, PATIENCE, merge, said};
use world::{Addresses, Keys, WAYS, Wanted};

const NAMESPACE: &str = "poolkeeper";
/// Simulated seconds per second: a stalled pool is tried once a second.
const SPEED: u32 = 30;
/// Entra's own lifetime of a token. All three are in seconds of wall time.
const HOUR: u32 = 3599;
/// A token that is in its last five minutes at once, and never kept.
const BRIEF: u32 = 5;
/// A token that comes into its last five minutes, when it is renewed, after four seconds.
const RENEWED: u32 = 304;
/// Wall time, in which brief tokens end four times and others are renewed five times.
const LIFETIMES: i64 = 20;

/// Simulated; a pool is looked up every ten minutes.
const LOOKUPS: SignedDuration = SignedDuration::from_mins(12);

/// Everything but the operators.
struct Scene {
    control_plane: ControlPlane,
    admin: Client,
    clouds: Clouds,
    clock: Clock,
    simulators: [Simulator; 3],
    /// With an operator that has the environment of a workload identity.
    binaries: Binaries,
    identity: PathBuf,
    configuration: Value,
    token: String,
    folder: Directory,
}

impl Scene {
    async fn set() -> Result<Self> {
        let mut binaries = Binaries::find()?;
        let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
        let discovery = ["get", "--raw", "/.well-known/openid-configuration"];
        let discovery = said("kubectl get --raw", &control_plane.kubectl(&discovery).await?)?;
        let discovery: Value = serde_json::from_str(&discovery)?;
        let issuer = discovery["issuer"].as_str().context("no issuer")?;
        let clock = Clock::new(Timestamp::now(), f64::from(SPEED));
        let main = &[world::OWN, world::VISITORS, world::UNTRUSTED][..];
        let worlds = [(main, HOUR), (&[world::BRIEF], BRIEF), (&[world::RENEWED], RENEWED)];
        let worlds =
            worlds.map(|(namespaces, lifetime)| world::world(namespaces, issuer, lifetime).to_string());
        let start =
            async |n: usize| Simulator::start(&binaries, World::Text(&worlds[n]), 1, Some(clock)).await;
        let simulators = [start(0).await?, start(1).await?, start(2).await?];
        let mut values = values_for(&simulators[0])?;
        values["ownIdentity"] = world::own_identity();
        control_plane.install_chart(NAMESPACE, &values).await?;
        let (admin, clouds) = (control_plane.client().await?, Clouds::new(&simulators[0])?);
        let identity =
            control_plane.service_account_kubeconfig(NAMESPACE, poolkeeper_harness::RELEASE).await?;
        let chart = control_plane.operator_configuration(NAMESPACE).await?;
        let configuration = serde_yaml::from_str(&std::fs::read_to_string(&chart)?)?;

        // As the webhook of workload identity and the kubelet do it.
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), NAMESPACE);
        let spec = TokenRequestSpec {
            audiences: vec!["api://AzureADTokenExchange".to_owned()],
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts
            .create_token_request(poolkeeper_harness::RELEASE, &PostParams::default(), &request)
            .await?;
        let token = answer.status.context("no token")?.token;
        let folder = Directory::create()?;
        let file = folder.write("token", token.as_bytes())?;
        let script = format!(
            "#!/bin/sh\nAZURE_TENANT_ID={} AZURE_CLIENT_ID={} AZURE_FEDERATED_TOKEN_FILE={} RUST_LOG=debug exec {} \"$@\"\n",
            world::TENANT,
            world::OPERATOR,
            file.display(),
            binaries.operator.display(),
        );
        binaries.operator = folder.write("operator.sh", script.as_bytes())?;
        std::fs::set_permissions(&binaries.operator, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self {
            control_plane,
            admin,
            clouds,
            clock,
            simulators,
            binaries,
            identity,
            configuration,
            token,
            folder,
        })
    }

    /// An operator for some namespaces, with another configuration of the clouds.
    async fn operator(&self, namespaces: &[&str], clouds: &Value) -> Result<Operator> {
        let mut configuration = self.configuration.clone();
        merge(&mut configuration, clouds);
        configuration["watchNamespaces"] = json!(namespaces);
        let name = format!("{}.yaml", namespaces.join("-"));
        let file = self.folder.write(&name, configuration.to_string().as_bytes())?;
        let operator = Operator::start(&self.binaries, &self.identity, &file, Some(self.clock), &[]).await?;
        operator.wait_ready().await?;
        Ok(operator)
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        said(&format!("kubectl {}", arguments.join(" ")), &self.control_plane.kubectl(arguments).await?)
    }

    /// Conditions by kind and name.
    async fn conditions(&self) -> Result<Said> {
        let mut all = Said::new();
        for pool in Api::<AgentPool>::all(self.admin.clone()).list(&Default::default()).await? {
            all.insert(("AgentPool", pool.name_any()), pool.status.unwrap_or_default().conditions);
        }
        for binding in Api::<ScaleSetBinding>::all(self.admin.clone()).list(&Default::default()).await? {
            all.insert(
                ("ScaleSetBinding", binding.name_any()),
                binding.status.unwrap_or_default().conditions,
            );
        }
        Ok(all)
    }

    /// Waits until all of it is said.
    async fn says(&self, what: &str, wanted: &[Wanted]) -> Result<Said> {
        eventually(what, PATIENCE, async || {
            let said = self.conditions().await?;
            let left: Vec<String> = wanted.iter().filter_map(|wanted| unsaid(wanted, &said)).collect();
            ensure!(left.is_empty(), "{} of {}:\n{}", left.len(), wanted.len(), left.join("\n"));
            Ok(Some(said))
        })
        .await
    }

    /// Gives a Secret other keys in the place of its own, waits until its site works, and says how long each cloud took.
    async fn replace(&self, secrets: &[(&'static str, Keys)]) -> Result<()> {
        let (before, mut changed) = (self.conditions().await?, Vec::new());
        for (name, keys) in secrets {
            let keys: BTreeMap<_, _> = keys.iter().copied().collect();
            let patch = Patch::Merge(json!({"data": null, "stringData": keys}));
            changed.push((*name, self.clouds.now().await?));
            Api::<Secret>::namespaced(self.admin.clone(), world::OWN)
                .patch(name, &PatchParams::default(), &patch)
                .await?;
        }
        let names: Vec<&str> = changed.iter().map(|(name, _)| *name).collect();
        let said = self.says("the sites work with their new Secrets", &world::ready(&names)).await?;
        for (name, from) in changed {
            let after = |kind, condition| {
                let at = |said: &Said| {
                    let read = said[&(kind, name.to_owned())].iter().find(|found| found.type_ == condition);
                    read.map(|read| read.last_transition_time.0)
                };
                // A pass that had begun already may have read the new Secret.
                let took = at(&said).map(|at| at.duration_since(from).as_secs().max(0));
                let took = took.filter(|_| at(&said) != at(&before));
                took.map_or("undisturbed".to_owned(), |took| format!("{took} s"))
            };
            let azure = after("ScaleSetBinding", "ScaleSetReachable");
            let devops = after("AgentPool", "OrganizationReachable");
            println!(
                "{name}: from the new Secret to the next read, simulated: Azure {azure}, Azure DevOps {devops}"
            );
        }
        Ok(())
    }
}

type Said = BTreeMap<(&'static str, String), Vec<Condition>>;

/// Where what was wanted is not said, what is said instead.
fn unsaid(wanted: &Wanted, said: &Said) -> Option<String> {
    let Wanted { kind, name, begins, says } = wanted;
    let found = said.get(&(kind, (*name).to_owned())).map(Vec::as_slice).unwrap_or_default();
    let words = |c: &Condition| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message);
    let fits = |text: &String| {
        text.starts_with(&format!("{begins}: ")) && says.iter().all(|part| text.contains(part))
    };
    let words: Vec<String> = found.iter().map(words).collect();
    (!words.iter().any(fits))
        .then(|| format!("{kind} {name}: wanted {begins} with {says:?}, found {words:#?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_works_and_no_token_goes_astray() -> Result<()> {
    let scene = Scene::set().await?;
    let mut operators = Vec::new();
    let result = course(&scene, &mut operators).await;
    if result.is_err() {
        for (n, operator) in operators.iter().enumerate() {
            let kept = std::env::temp_dir().join(format!("poolkeeper-credentials-{n}.log"));
            std::fs::copy(operator.log(), &kept)?;
            println!("log: {}", kept.display());
        }
    }
    result
}

async fn course(scene: &Scene, operators: &mut Vec<Operator>) -> Result<()> {
    let (elsewhere, caught) = trap().await?;
    let (distrusted, trusting) = untrusted()?;
    let [simulator, brief, renewed] = scene.simulators.each_ref().map(|simulator| simulator.url().to_owned());
    let (planted, planter) = Planter::start(&simulator, &format!("http://{elsewhere}")).await?;
    let host = |url: &str| url.trim_start_matches("http://").to_owned();
    let public = "https://management.azure.com";
    let clouds = |manager: &str, authority: &str, audience: Option<&str>| {
        let azure = json!({"resourceManager": manager, "authority": authority, "audience": audience});
        json!({"azure": azure, "azureDevOps": {"hosts": [host(authority), distrusted.to_string()]}})
    };

    // Every site, and what it comes to.
    for fault in [
        json!({"wire": "redirect", "service": "azure", "scaleSet": "redirected-set"}),
        json!({"wire": "redirect", "service": "azureDevOps", "organization": "contoso"}),
    ] {
        redirect(&scene.clouds, fault, elsewhere).await?;
    }
    let namespaces = [world::OWN, world::VISITORS, world::UNTRUSTED];
    let mut at = Addresses {
        simulator: simulator.clone(),
        elsewhere: format!("http://{elsewhere}"),
        untrusted: format!("https://{distrusted}"),
    };
    scene.control_plane.apply(&world::manifests(&namespaces, &at).to_string()).await?;
    for (namespace, url) in [(world::BRIEF, &brief), (world::RENEWED, &renewed)] {
        at.simulator.clone_from(url);
        scene.control_plane.apply(&world::manifests(&[namespace], &at).to_string()).await?;
        operators.push(scene.operator(&[namespace], &clouds(url, url, None)).await?);
    }
    let ours = [world::OWN, world::VISITORS];
    operators.push(scene.operator(&ours, &clouds(&planted, &simulator, Some(public))).await?);
    let distrusted = clouds(&format!("https://{distrusted}"), &simulator, Some(public));
    operators.push(scene.operator(&[world::UNTRUSTED], &distrusted).await?);

    let rotated = ["rotated-token", "rotated-secret", "rotated-certificate"];
    let brief = ["brief-secret", "brief-workload", "brief-managed"];
    let renewed = ["renewed-secret", "renewed-workload", "renewed-managed"];
    let working = [&WAYS[..], &rotated, &brief, &renewed, &["planted-operation"]].concat();
    let all = [world::ready(&working), world::refused(), world::mistaken(), world::untrusted()].concat();
    scene.says("every site says how it stands", &all).await?;
    let since = scene.clouds.now().await?;
    let (links, written) = (planter.links.load(Ordering::SeqCst), planter.operations.load(Ordering::SeqCst));
    println!("{} sites; {links} planted links, {written} planted operations", world::sites().len());
    ensure!(links > 0 && written > 0, "nothing was planted");
    for way in WAYS {
        let truth = scene.clouds.truth(way).await?;
        ensure!((truth.capacity, truth.idle) == (1, 1), "{way}: {truth:?}");
    }

    // Rotation: Entra and Azure DevOps first, the Secret after.
    scene.clouds.post("secrets", &json!({"organization": "rotating", "token": world::NEXT_TOKEN})).await?;
    let secret = json!({"clientID": world::ROTATING, "secret": world::NEXT_SECRET});
    scene.clouds.post("secrets", &secret).await?;
    // A certificate cannot be taken from its client here, so the Secret has one for a while that Entra does not know.
    let pair: BTreeMap<_, _> = world::first_pair().into_iter().collect();
    let patch = Patch::Merge(json!({"stringData": pair}));
    let secrets: Api<Secret> = Api::namespaced(scene.admin.clone(), world::OWN);
    secrets.patch("rotated-certificate", &PatchParams::default(), &patch).await?;
    // Tokens end again and again, until every sort of call has met one.
    let until = scene.clouds.now().await?.checked_add(LOOKUPS)?;
    eventually("every sort of call has met a token that had ended", PATIENCE, async || {
        scene.clouds.post("tokens", &json!({"revoke": true})).await?;
        Ok((scene.clouds.now().await? >= until).then_some(()))
    })
    .await?;

    // Then they are renewed by themselves: a job at each of the others leads to one more VM.
    let revoked = scene.clouds.now().await?;
    let mark = scene.clouds.journal(0).await?.last().map_or(0, |entry| entry.seq);
    for way in WAYS {
        let job = json!({"organization": "fabrikam", "pool": way, "duration": "1h"});
        scene.clouds.post("jobs", &job).await?;
    }
    let grown = eventually("every way in grows after its tokens were revoked", PATIENCE, async || {
        let journal = scene.clouds.journal(mark).await?;
        let grown = WAYS.map(|way| {
            let created = journal.iter().find(|entry| entry.place == way && entry.kind == Kind::VmCreating);
            created.map(|entry| (way, entry.at.duration_since(revoked).as_secs()))
        });
        let said = scene.conditions().await?;
        let left: Vec<String> = world::ready(&WAYS).iter().filter_map(|way| unsaid(way, &said)).collect();
        ensure!(grown.iter().all(Option::is_some), "{grown:?}, {left:#?}");
        Ok(Some(grown))
    })
    .await?;
    println!(
        "from the end of all tokens to the next growth, simulated seconds: {:?}",
        grown.map(Option::unwrap)
    );
    let rejected = "Stalled=True/CredentialsRejected";
    let refused = [
        vec![world::of_pool("rotated-token", rejected, &["Secret rotated-token", "replace it"])],
        world::twice("rotated-secret", rejected, &["AADSTS7000215"]),
        world::twice("rotated-certificate", rejected, &["AADSTS700027"]),
    ];
    scene.says("what was rotated is refused", &refused.concat()).await?;
    let next = [
        vec![("token", world::NEXT_TOKEN)],
        vec![("clientSecret", world::NEXT_SECRET)],
        world::second_pair(),
    ];
    scene.replace(&rotated.into_iter().zip(next).collect::<Vec<_>>()).await?;
    scene.replace(&world::mended()).await?;

    // Token requests that are led elsewhere, and the way back from all redirects.
    for service in ["entra", "metadata"] {
        redirect(&scene.clouds, json!({"wire": "redirect", "service": service}), elsewhere).await?;
    }
    scene.clouds.post("tokens", &json!({"revoke": true})).await?;
    let lost = "OrganizationReachable=False/Unreachable";
    let lost = WAYS[1..].iter().map(|way| world::of_pool(way, lost, &["redirect"])).collect::<Vec<_>>();
    scene.says("redirected token requests are told", &lost).await?;
    let redirected = ["redirected-set", "redirected-organization"];
    scene.clouds.end_faults().await?;
    let from = scene.clouds.now().await?;
    scene.says("all is well without redirects", &world::ready(&[&working[..], &redirected].concat())).await?;
    let took = scene.clouds.now().await?.duration_since(from).as_secs();
    println!("all ready {took} simulated s after the last redirect");

    // Several lifetimes of tokens.
    let until = since.checked_add(SignedDuration::from_secs(LIFETIMES * i64::from(SPEED)))?;
    let passed = async || Ok((scene.clouds.now().await? >= until).then_some(()));
    eventually("several lifetimes have passed", PATIENCE, passed).await?;
    for (n, lifetime) in [BRIEF, RENEWED].into_iter().enumerate() {
        let metrics = operators[n].metrics().await?;
        let tokens = Clouds::new(&scene.simulators[n + 1])?.calls(Some("token")).await?;
        let calls = |class| sum(&metrics, &["poolkeeper_cloud_calls", class]);
        let (good, refused) = (calls("class=\"ok\""), calls("class=\"unauthenticated\""));
        println!("tokens of {lifetime} s: {tokens} issued, {good} good calls, {refused} refused");
        // Four kinds of tokens are in use at the least, and each was renewed.
        ensure!(refused == 0 && good > 100 && tokens >= 12, "tokens of {lifetime} s");
    }

    // Nobody has been where nobody may go, and nothing was shown.
    ensure!(
        caught.load(Ordering::SeqCst) == 0,
        "{} connections to a host that is not listed",
        caught.load(Ordering::SeqCst)
    );
    ensure!(trusting.load(Ordering::SeqCst) == 0, "a certificate was trusted");
    let mut shown = vec![
        scene.kubectl(&["get", "poolkeeper,events.events.k8s.io,configmaps", "-A", "-o", "yaml"]).await?,
    ];
    for operator in operators.iter_mut() {
        ensure!(operator.exited()?.is_none(), "an operator has ended by itself");
        shown.push(operator.metrics().await?);
        shown.push(std::fs::read_to_string(operator.log())?);
    }
    let federated = scene.token.split('.').collect::<Vec<_>>();
    let leaks = world::secrets().into_iter().chain(federated[1..].iter().copied()).chain(["panicked"]);
    let leaks: Vec<&str> = leaks.filter(|secret| shown.iter().any(|text| text.contains(secret))).collect();
    println!(
        "{} kB of logs, objects, events and metrics searched",
        shown.iter().map(String::len).sum::<usize>() / 1024
    );
    ensure!(leaks.is_empty(), "shown: {leaks:?}");
    // The trap would have told.
    tokio::net::TcpStream::connect(elsewhere).await?;
    eventually("the trap works", PATIENCE, async || Ok((caught.load(Ordering::SeqCst) == 1).then_some(())))
        .await
}
