//! A scratch set and a scratch pool in the simulator. Time passes when the run waits, and only then (and by the few
//! milliseconds that the calls take).
#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use poolkeeper_azure::{Cloud, Credential};
use poolkeeper_rest::{Http, Limits, Url};
use poolkeeper_simulator::{
    Clock, Simulator, World, WorldSpec,
    spec::{Distribution, Orchestration},
    world::{JobSpec, OtherAgent, PoolRef, SetRef},
};
use poolkeeper_verify::{Access, Finding, Identity, Options, Outcome, Prepared, Refusal, Report, prepare};
use tokio::{net::TcpListener, sync::Notify};

pub(crate) const SUBSCRIPTION: &str = "00000000-1111-2222-3333-444444444444";
pub(crate) const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
pub(crate) const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const SECRET: &str = "simulated-client-secret";
pub(crate) const PAT: &str = "simulated-token";
pub(crate) const POOL: &str = "scratch";

/// The least world. A deletion takes longer than the calls that are to meet it; one instance on a page makes paging
/// happen; limits are enforced, so that a run that is too fast is found out.
const WORLD: &str = "
clients:
- tenantID: 00000000-0000-0000-0000-00000000000a
  clientID: 00000000-0000-0000-0000-00000000000b
  secret: simulated-client-secret
  subscriptions: [00000000-1111-2222-3333-444444444444]
scaleSets:
- resourceID: /subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/trials/providers/Microsoft.Compute/virtualMachineScaleSets/scratch
  tags: {poolkeeper-verify: scratch, cost-centre: ci}
  computerNamePrefix: trial
  agents: {organization: fabrikam, pool: scratch, run: Continuous}
  timings: {create: 60s, register: 30s, reimage: 40s, delete: 120s}
organizations:
- name: fabrikam
  tokens: [{value: simulated-token}]
  pools: [{id: 44, name: scratch}, {id: 45, name: other}]
  timings: {online: 5s, offline: 10s, receive: 2s}
paging: {instances: 1}
quotas: [{subscriptionID: 00000000-1111-2222-3333-444444444444, location: westeurope, cores: 100}]
throttling: Enforced
";

pub(crate) fn uniform() -> WorldSpec {
    WorldSpec::parse(WORLD).unwrap()
}

pub(crate) fn flexible() -> WorldSpec {
    let mut spec = uniform();
    spec.scale_sets[0].orchestration = Orchestration::Flexible;
    spec
}

pub(crate) fn ephemeral() -> WorldSpec {
    let mut spec = flexible();
    spec.scale_sets[0].model.ephemeral_os_disk = true;
    spec
}

/// What there is, to be compared before and after.
#[derive(Debug, PartialEq)]
pub(crate) struct Snapshot {
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) capacity: u32,
    vms: Vec<String>,
    pub(crate) agents: Vec<String>,
}

pub(crate) struct Bench {
    pub(crate) simulator: Simulator,
    pub(crate) base: String,
    pub(crate) set: SetRef,
    pub(crate) pool: PoolRef,
    pub(crate) options: Options,
    pub(crate) access: Access,
}

impl Bench {
    pub(crate) async fn new(spec: WorldSpec) -> Self {
        let id = spec.scale_sets[0].resource_id.clone();
        let mut world = World::new(spec, 1, Timestamp::now()).unwrap();
        let set = world.sets().next().unwrap().0;
        let pool = world.find_pool("fabrikam", POOL).unwrap();
        let record = OtherAgent {
            name: "kept".into(),
            version: "4.261.0".into(),
            capabilities: BTreeMap::new(),
            user_capabilities: BTreeMap::new(),
            runs: false,
        };
        world.add_agent(pool, record).unwrap();
        // A job that has finished, for the pool to have a past.
        let jobs = world.queue_jobs(pool, JobSpec::new(Distribution::seconds(1)), None).unwrap();
        world.advance(world.now() + SignedDuration::from_secs(60));
        let _finished_or_not = world.cancel_job(pool, jobs[0]);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let simulator = Simulator::new(world, Clock::REAL);
        tokio::spawn(simulator.clone().serve(listener, std::future::pending()));

        let http = Http::new(Limits::default()).unwrap();
        let cloud = Cloud::custom(&base, &base, "https://management.azure.com/.default").unwrap();
        let azure = Credential::client_secret(&http, &cloud, TENANT, CLIENT, &SECRET.into()).unwrap();
        let azure_devops = Identity::Pat(PAT.into());
        let access = Access { http, cloud, azure: Arc::new(azure), azure_devops };
        let organization = Url::parse(&format!("{base}/fabrikam")).unwrap();
        let options = Options { scale_set: id.parse().unwrap(), organization, pool: POOL.to_owned() };
        Self { simulator, base, set, pool, options, access }
    }

    /// Plants what `facts` names, over the control API.
    pub(crate) async fn plant(&self, facts: &str) {
        let http = self.access.http.connections(&Url::parse(&self.base).unwrap()).clone();
        let answer = http.post(format!("{}/_sim/facts", self.base)).body(facts.to_owned()).send().await;
        let answer = answer.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{facts}: {}", answer.text().await.unwrap());
    }

    pub(crate) async fn prepare(&self) -> Result<Prepared, Refusal> {
        prepare(self.options.clone(), &self.access).await
    }

    pub(crate) async fn run(&self) -> Report {
        self.run_until(u32::MAX).await
    }

    /// A run that is stopped at its wait of that number.
    pub(crate) async fn run_until(&self, last: u32) -> Report {
        let (waits, stopped) = (AtomicU32::new(0), Notify::new());
        let wait = async |duration: Duration| {
            self.pass(duration);
            if waits.fetch_add(1, Ordering::Relaxed) + 1 == last {
                stopped.notify_one();
                // While the run listens this is where it ends; afterwards it goes on.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
        };
        self.prepare().await.unwrap().run(|_| {}, wait, stopped.notified()).await
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.simulator.with_world(|world| {
            world.advance(world.now() + SignedDuration::try_from(duration).unwrap());
        });
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.simulator.with_world(|world| {
            let set = world.set(self.set).unwrap();
            let vms = set.instances();
            Snapshot {
                tags: set.tags.clone(),
                capacity: set.capacity,
                vms: vms.map(|vm| format!("{} {} {}", vm.id, vm.vm_id, vm.provisioning.name())).collect(),
                agents: world
                    .pool(self.pool)
                    .unwrap()
                    .agents()
                    .map(|agent| {
                        let (id, name) = (agent.id, &agent.name);
                        format!(
                            "{id} {name} {} {} {:?}",
                            agent.enabled, agent.online, agent.user_capabilities
                        )
                    })
                    .collect(),
            }
        })
    }
}

pub(crate) fn differing(report: &Report) -> Vec<&'static str> {
    ids(report, |outcome| matches!(outcome, Outcome::Differs { .. }))
}

pub(crate) fn not_tried(report: &Report) -> Vec<&'static str> {
    ids(report, |outcome| matches!(outcome, Outcome::NotTried { .. }))
}

pub(crate) fn as_expected(report: &Report) -> Vec<&'static str> {
    ids(report, |outcome| matches!(outcome, Outcome::AsExpected { .. }))
}

fn ids(report: &Report, wanted: impl Fn(&Outcome) -> bool) -> Vec<&'static str> {
    report
        .findings()
        .iter()
        .filter(|finding| wanted(&finding.outcome))
        .map(|finding| finding.fact.id)
        .collect()
}

pub(crate) fn lines(report: &Report) -> String {
    report.findings().iter().map(Finding::to_string).collect::<Vec<_>>().join("\n")
}
