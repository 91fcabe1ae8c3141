//! What there is at the start: a world and a pool that fit each other.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Basis, Binding, BindingName, Existing, Image, Lifecycle, Mode, Pool, Recycle, Sampling, ScaleOut,
    Standby, Verbs,
};
use poolkeeper_simulator::{
    World, WorldSpec,
    in_process::View,
    spec::{
        AgentSpec, Distribution, Facts, InstanceIdReuse, MachineTimings, ModelSpec, Orchestration,
        OrganizationSpec, PoolSpec, Run, ScaleSetSpec, ServiceTimings, Throttling, UnmatchedJobs,
    },
};
use rand::{RngExt, rngs::StdRng};

/// Stateful agents that may become a week old.
pub const STATEFUL: Lifecycle = Lifecycle::Stateful { max_lifetime: SignedDuration::from_hours(7 * 24) };
/// Names of agents that are not ours begin so.
pub(crate) const FOREIGN: &str = "somebody";

/// When every world begins: a Monday.
pub fn start() -> Timestamp {
    Timestamp::from_second(1_767_600_000).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A world and a pool in it.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The world's file.
    pub spec: WorldSpec,
    /// The checked specification of the pool.
    pub pool: Pool,
}

impl Scene {
    /// One scale set and a pool of at most ten agents, with times that do not vary.
    pub fn plain(orchestration: Orchestration, lifecycle: Lifecycle) -> Self {
        let timings = MachineTimings {
            create: Distribution::seconds(60),
            register: Distribution::seconds(30),
            reimage: Distribution::seconds(40),
            delete: Distribution::seconds(20),
        };
        let service = ServiceTimings {
            online: Distribution::seconds(5),
            offline: Distribution::seconds(10),
            receive: Distribution::seconds(2),
        };
        let sets = vec![scale_set("d4", orchestration, timings, lifecycle)];
        Self { spec: world(sets, service), pool: pool(10, lifecycle, vec![binding("d4", 0)]) }
    }

    /// Anything that a pool may be.
    pub fn random(rng: &mut StdRng) -> Self {
        let recycle = if rng.random_bool(0.5) { Recycle::Reimage } else { Recycle::Replace };
        let lifetime = SignedDuration::from_hours(rng.random_range(2..48));
        let lifecycle = if rng.random_bool(0.6) {
            Lifecycle::Stateless(recycle)
        } else {
            Lifecycle::Stateful { max_lifetime: lifetime }
        };
        let sets = if rng.random_bool(0.3) { 2 } else { 1 };
        let names = ["d4", "d8"];
        let mut spec_sets = Vec::new();
        let mut bindings = Vec::new();
        for name in names.iter().take(sets) {
            let orchestration =
                if rng.random_bool(0.4) { Orchestration::Flexible } else { Orchestration::Uniform };
            let varied = |median: i64, sigma: f64| Distribution::LogNormal {
                median: SignedDuration::from_secs(median),
                sigma,
            };
            let timings = MachineTimings {
                create: varied(rng.random_range(40..240), 0.4),
                // Some agents come later than anybody waits for them.
                register: varied(rng.random_range(20..120), rng.random_range(0.2..1.2)),
                reimage: varied(rng.random_range(30..120), 0.4),
                delete: varied(rng.random_range(10..90), 0.4),
            };
            let mut set = scale_set(name, orchestration, timings, lifecycle);
            set.reuse_instance_ids = rng.random_bool(0.3);
            spec_sets.push(set);
            let mut bound = binding(name, rng.random_range(0..2));
            bound.max_agents = rng.random_bool(0.2).then(|| rng.random_range(3..20));
            bindings.push(bound);
        }
        let uniform = |from, to| Distribution::Uniform {
            from: SignedDuration::from_secs(from),
            to: SignedDuration::from_secs(to),
        };
        let service =
            ServiceTimings { online: uniform(2, 8), offline: uniform(5, 60), receive: uniform(1, 10) };
        let mut pool = pool(rng.random_range(2..30), lifecycle, bindings);
        let most = pool.max_agents;
        pool.standby.agents = rng.random_range(0..=most / 2);
        pool.standby.basis = if rng.random_bool(0.3) { Basis::Total } else { Basis::Idle };
        if rng.random_bool(0.2) {
            pool.scale_out = ScaleOut::ElasticPool {
                increment_percent: rng.random_range(10..60),
                step_timeout: SignedDuration::from_mins(20),
                sample_interval: SignedDuration::from_mins(5),
            };
        }
        pool.idle_delay = SignedDuration::from_mins(rng.random_range(2..40));
        pool.start_timeout = SignedDuration::from_mins(rng.random_range(6..15));
        pool.save_for_investigation = rng.random_range(0..3_u32).min(most.saturating_sub(1));
        pool.max_failed_starts = rng.random_range(2..6);
        pool.placeholders = rng.random_bool(0.5);
        let mut spec = world(spec_sets, service);
        if rng.random_bool(0.3) {
            spec.facts.instance_id_reuse = InstanceIdReuse::Lowest;
        }
        spec.facts.eviction_lowers_capacity = rng.random_bool(0.5);
        spec.facts.reimage_keeps_time_created = rng.random_bool(0.8);
        Self { spec, pool }
    }

    /// The world, and what the operator of the pool sees of it.
    ///
    /// # Errors
    /// When the world's file is wrong.
    pub fn open(&self, seed: u64) -> anyhow::Result<(World, View)> {
        let world = World::new(self.spec.clone(), seed, start())?;
        let pool = world.find_pool("fabrikam", "build").context("the world has the pool")?;
        let sets: BTreeMap<BindingName, _> =
            world.sets().map(|(set, found)| (BindingName(found.name().to_owned()), set)).collect();
        Ok((world, View { pool, bindings: sets }))
    }
}

fn binding(name: &str, priority: i32) -> Binding {
    Binding {
        name: BindingName(name.to_owned()),
        image: 0,
        priority,
        max_agents: None,
        draining: false,
        existing: Existing::Adopt,
        claimed_at: "2026-01-05T00:00:00Z".parse().ok(),
    }
}

fn pool(max_agents: u32, lifecycle: Lifecycle, bindings: Vec<Binding>) -> Pool {
    Pool {
        name: "build".to_owned(),
        mode: Mode::Active,
        deletion: None,
        max_agents,
        images: vec![Image::default()],
        bindings,
        standby: Standby { agents: 2, basis: Basis::Idle, schedule: None, forecast: None },
        ignore_demands: [].into(),
        scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
        idle_delay: SignedDuration::from_mins(10),
        lifecycle,
        save_for_investigation: 0,
        max_failed_starts: 3,
        placeholders: false,
        verbs: Verbs::default(),
        start_timeout: SignedDuration::from_mins(10),
    }
}

fn scale_set(
    name: &str,
    orchestration: Orchestration,
    timings: MachineTimings,
    lifecycle: Lifecycle,
) -> ScaleSetSpec {
    let run = match lifecycle {
        Lifecycle::Stateless(_) => Run::Once,
        Lifecycle::Stateful { .. } => Run::Continuous,
    };
    ScaleSetSpec {
        resource_id: format!(
            "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
        ),
        orchestration,
        location: "westeurope".to_owned(),
        sku: "Standard_D4ds_v5".to_owned(),
        computer_name_prefix: Some(format!("{name}-")),
        capacity: 0,
        quota: None,
        tags: BTreeMap::new(),
        reuse_instance_ids: false,
        model: ModelSpec { ephemeral_os_disk: true, ..ModelSpec::default() },
        autoscale: false,
        protected: 0,
        subnet: None,
        agents: Some(AgentSpec {
            organization: "fabrikam".to_owned(),
            pool: "build".to_owned(),
            run,
            capabilities: BTreeMap::from([("Agent.OS".to_owned(), "Linux".to_owned())]),
            version: "4.261.0".to_owned(),
        }),
        timings,
    }
}

fn world(scale_sets: Vec<ScaleSetSpec>, timings: ServiceTimings) -> WorldSpec {
    let pool = |id, name: &str| PoolSpec {
        id,
        name: name.to_owned(),
        options: "none".to_owned(),
        unmatched_jobs: UnmatchedJobs::Wait,
    };
    WorldSpec {
        clients: Vec::new(),
        managed_identities: Vec::new(),
        token_lifetime: 3599,
        scale_sets,
        organizations: vec![OrganizationSpec {
            name: "fabrikam".to_owned(),
            tokens: Vec::new(),
            members: Vec::new(),
            // The second one is a stranger's.
            pools: vec![pool(44, "build"), pool(45, "other")],
            parallel_jobs: None,
            rate_limit: None,
            timings,
        }],
        paging: Default::default(),
        quotas: Vec::new(),
        throttling: Throttling::Reported,
        facts: Facts::default(),
    }
}
