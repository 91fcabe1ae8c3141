//! What the operator counts: docs/metrics.md has the list, and a test compares it.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use poolkeeper_budget::{Budgets, Usage};
use poolkeeper_clock::Clock;
use poolkeeper_policy::{Counts, JobCounts};
use poolkeeper_rest::CallLog;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

/// Seconds. A pass without a call takes milliseconds, one with calls about a second; 120 is a client's longest wait.
const PASS_BUCKETS: [f64; 11] = [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 120.0];

const AGENT_STATES: [&str; 8] =
    ["busy", "idle", "starting", "recycling", "draining", "unhealthy", "saved", "foreign"];
const JOB_STATES: [&str; 3] = ["queued", "running", "unroutable"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    namespace: String,
    pool: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    namespace: String,
    pool: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ActionLabels {
    action: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Cow<'static, str>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To its end; what it found is in the status.
    Done,
    /// The API server did not take what was found; the pass is repeated.
    Failed,
    /// The object cannot be read; nothing was decided.
    Invalid,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }
}

/// All metrics; clones share them. Labels come from closed lists, but for namespace and name of a pool, whose series
/// go with the pool.
#[derive(Clone, Debug)]
pub struct Metrics {
    calls: CallLog,
    registry: Arc<Registry>,
    agents: Family<StateLabels, Gauge>,
    jobs: Family<StateLabels, Gauge>,
    standby_wanted: Family<PoolLabels, Gauge>,
    actions: Family<ActionLabels, Counter>,
    holds: Family<ReasonLabels, Counter>,
    failures: Family<KindLabels, Counter>,
    pass_duration: Family<ControllerLabels, Histogram, fn() -> Histogram>,
    passes: Family<PassLabels, Counter>,
    last_pass: Family<ControllerLabels, Gauge<f64, AtomicU64>>,
    api_writes: Family<KindLabels, Counter>,
}

impl Metrics {
    /// Registers everything; calls to the clouds are read from `calls` when they are asked for.
    #[must_use]
    pub fn new(calls: CallLog, budgets: Budgets, clock: Clock) -> Self {
        let mut registry = Registry::default();
        let pass_duration: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(PASS_BUCKETS));
        let metrics = Self {
            agents: register(&mut registry, "poolkeeper_agents", "Agents of a pool by state"),
            jobs: register(
                &mut registry,
                "poolkeeper_jobs",
                "Unfinished jobs of a pool by what becomes of them",
            ),
            standby_wanted: register(&mut registry, "poolkeeper_standby_wanted", "Agents wanted on standby"),
            actions: register(&mut registry, "poolkeeper_actions", "Actions by result"),
            holds: register(
                &mut registry,
                "poolkeeper_holds",
                "Decisions that were not carried out, by reason",
            ),
            failures: register(
                &mut registry,
                "poolkeeper_failures",
                "Writes to the clouds that failed, at once or in their operation, by kind",
            ),
            passes: register(&mut registry, "poolkeeper_passes", "Passes over an object by outcome"),
            last_pass: register(
                &mut registry,
                "poolkeeper_last_pass_timestamp_seconds",
                "When a controller last ended a pass that did not fail",
            ),
            api_writes: register(
                &mut registry,
                "poolkeeper_api_writes",
                "Writes to the Kubernetes API by kind",
            ),
            pass_duration: pass_duration.clone(),
            calls: calls.clone(),
            registry: Arc::default(),
        };
        registry.register(
            "poolkeeper_pass_duration_seconds",
            "How long a pass over an object took",
            pass_duration,
        );
        registry.register_collector(Box::new(CloudCalls(calls)));
        registry.register_collector(Box::new(CallBudgets { budgets, clock }));
        Self { registry: Arc::new(registry), ..metrics }
    }

    /// The log that every client of a cloud counts its calls in.
    #[must_use]
    pub fn calls(&self) -> CallLog {
        self.calls.clone()
    }

    /// What a pass found in a pool.
    pub fn pool(&self, namespace: &str, name: &str, agents: &Counts, jobs: &JobCounts, standby_wanted: u32) {
        let Counts { busy, idle, starting, recycling, draining, unhealthy, saved, foreign } = *agents;
        let counts = [busy, idle, starting, recycling, draining, unhealthy, saved, foreign];
        for (state, count) in AGENT_STATES.into_iter().zip(counts) {
            self.agents.get_or_create(&states(namespace, name, state)).set(count.into());
        }
        let JobCounts { queued, running, unroutable } = *jobs;
        for (state, count) in JOB_STATES.into_iter().zip([queued, running, unroutable]) {
            self.jobs.get_or_create(&states(namespace, name, state)).set(count.into());
        }
        let labels = PoolLabels { namespace: namespace.to_owned(), pool: name.to_owned() };
        self.standby_wanted.get_or_create(&labels).set(standby_wanted.into());
    }

    /// Drops the series of a pool that is gone.
    pub fn forget_pool(&self, namespace: &str, name: &str) {
        for state in AGENT_STATES {
            self.agents.remove(&states(namespace, name, state));
        }
        for state in JOB_STATES {
            self.jobs.remove(&states(namespace, name, state));
        }
        self.standby_wanted.remove(&PoolLabels { namespace: namespace.to_owned(), pool: name.to_owned() });
    }

    /// An action and what became of it, both from closed lists.
    pub fn action(&self, action: &'static str, result: &'static str) {
        self.actions.get_or_create(&ActionLabels { action, result }).inc();
    }

    /// A decision that was not carried out, with the reason of the condition `Holding`.
    pub fn hold(&self, reason: &'static str) {
        self.holds.get_or_create(&ReasonLabels { reason }).inc();
    }

    /// A write to a cloud failed, by the kind of a closed list.
    pub fn failure(&self, kind: &'static str) {
        self.failures.get_or_create(&KindLabels { kind: kind.into() }).inc();
    }

    /// A pass over one object has ended.
    pub fn pass(&self, controller: &'static str, outcome: Outcome, took: Duration) {
        let labels = ControllerLabels { controller };
        self.pass_duration.get_or_create(&labels).observe(took.as_secs_f64());
        self.passes.get_or_create(&PassLabels { controller, outcome: outcome.as_str() }).inc();
        match outcome {
            // Wall time, also with a faster clock: alerts compare it with Prometheus' own time.
            Outcome::Done | Outcome::Invalid => {
                let now = Clock::REAL.now().as_duration().as_secs_f64();
                self.last_pass.get_or_create(&labels).set(now);
            }
            Outcome::Failed => {}
        }
    }

    /// An object of this kind was written to the API server, or was meant to.
    pub fn api_write(&self, kind: impl Into<Cow<'static, str>>) {
        self.api_writes.get_or_create(&KindLabels { kind: kind.into() }).inc();
    }

    /// Everything as OpenMetrics text.
    ///
    /// # Errors
    /// Never in practice: text is written to memory.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

fn register<M: Metric + Default + Clone>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn states(namespace: &str, pool: &str, state: &'static str) -> StateLabels {
    StateLabels { namespace: namespace.to_owned(), pool: pool.to_owned(), state }
}

/// The calls to the clouds, counted by their clients.
#[derive(Debug)]
struct CloudCalls(CallLog);

impl Collector for CloudCalls {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls to Azure and Azure DevOps by how they ended";
        let mut family =
            encoder.encode_descriptor("poolkeeper_cloud_calls", help, None, MetricType::Counter)?;
        for row in self.0.counts() {
            let labels = [
                ("service", row.service.as_str()),
                ("operation", row.operation.as_str()),
                ("class", row.class.map_or("ok", |class| class.as_str())),
            ];
            family
                .encode_family(&labels)?
                .encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(&row.count, None)?;
        }
        Ok(())
    }
}

/// What the budgets of calls have given.
#[derive(Debug)]
struct CallBudgets {
    budgets: Budgets,
    clock: Clock,
}

impl Collector for CallBudgets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let rows = self.budgets.usage(self.clock.now());
        let used = |row: &Usage| row.used;
        let highest = |row: &Usage| row.highest;
        let limit = |row: &Usage| row.limit;
        let families = [
            ("poolkeeper_calls_per_minute", "Calls in the last 60 s", used as fn(&Usage) -> u32),
            ("poolkeeper_calls_per_minute_highest", "Most calls in any 60 s since the start", highest),
            ("poolkeeper_calls_per_minute_limit", "What the service allows", limit),
        ];
        for (name, help, figure) in families {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for row in &rows {
                let labels = [("bucket", row.bucket), ("owner", row.owner.as_deref().unwrap_or_default())];
                family.encode_family(&labels)?.encode_gauge(&i64::from(figure(row)))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
