//! What is thrown, and what is seen of it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use kube::Api;
use poolkeeper_api::{AgentPool, ScaleSetBinding};
use poolkeeper_harness::control::WorldTruth;
use poolkeeper_harness::quickstart::NAMESPACE;
use poolkeeper_harness::stage::Stage;
use poolkeeper_harness::table::Screen;
use serde_json::Value;

use super::fault::{FOREIGN, Fault, Person};
use super::score::{Jobs, Left, Score};
use super::script::{self, Throw};
use super::{Chaos, EXAMPLES, ORCHESTRATIONS};
use crate::course::{MOST, STANDBY};
use crate::words::{clock, row, world};

/// Often enough to look alive; the journal loses nothing in between.
const LOOK: Duration = Duration::from_millis(100);
/// Between two lines about the state of things, where no table is drawn.
const SAID: Duration = Duration::from_secs(15);

/// One pool as it is seen.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) score: Score,
    pub(crate) object: Option<AgentPool>,
    pub(crate) binding: Option<ScaleSetBinding>,
    /// What both said when all was well.
    pub(crate) conditions: Vec<String>,
}

/// The stage, and what has happened on it.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) screen: Screen,
    pub(crate) chaos: Chaos,
    pub(crate) pools: [Pool; EXAMPLES.len()],
    pub(crate) thrown: BTreeMap<Fault, u32>,
    /// Throws that found nothing that they could befall.
    pub(crate) missed: u32,
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
    agent_pools: Api<AgentPool>,
    bindings: Api<ScaleSetBinding>,
    read: u64,
    said: Instant,
    /// Calls that end a fault, each at its time.
    ends: Vec<(Timestamp, &'static str, Value)>,
}

impl Scene {
    pub(crate) async fn new(stage: Stage, screen: Screen, chaos: Chaos) -> Result<Self> {
        let client = stage.control_plane.client().await?;
        let now = stage.control.now().await?;
        Ok(Self {
            agent_pools: Api::namespaced(client.clone(), NAMESPACE),
            bindings: Api::namespaced(client, NAMESPACE),
            stage,
            screen,
            chaos,
            pools: Default::default(),
            thrown: BTreeMap::new(),
            missed: 0,
            began: now,
            now,
            read: 0,
            said: Instant::now(),
            ends: Vec::new(),
        })
    }

    /// A line with the time.
    pub(crate) fn note(&mut self, source: &str, text: &str) {
        let at = clock(self.now.duration_since(self.began));
        self.screen.line(&format!("{at}  {source:<6}  {text}"));
    }

    /// Jobs of both pools.
    pub(crate) fn jobs(&self) -> Jobs {
        let mut sum = Jobs::default();
        for pool in &self.pools {
            sum.add(&pool.score.jobs());
        }
        sum
    }

    /// Throws everything at its time, while jobs come.
    pub(crate) async fn storm(&mut self, throws: &[Throw], length: Duration) -> Result<()> {
        let (start, simulated) = (Instant::now(), self.now);
        let length_simulated = SignedDuration::try_from(length)? * i32::try_from(self.chaos.speed)?;
        for job in script::jobs(self.chaos.seed, length_simulated, EXAMPLES.len()) {
            let pool = EXAMPLES.get(job.pool).context("no such pool")?.pool;
            self.stage.control.queue_job(pool, job.lasts, Some(simulated.checked_add(job.at)?)).await?;
        }
        let mut next = throws.iter().peekable();
        while start.elapsed() < length {
            self.look().await?;
            while let Some(throw) = next.next_if(|throw| throw.at <= start.elapsed()) {
                self.throw(throw).await?;
            }
            self.end_what_is_over().await?;
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    async fn throw(&mut self, throw: &Throw) -> Result<()> {
        let Throw { fault, pool, pick, lasts, .. } = *throw;
        let (name, group) = (fault.name(), fault.group());
        if fault == Fault::Kill {
            self.stage.crash_operator().await?;
            *self.thrown.entry(fault).or_default() += 1;
            self.note("thrown", "the operator is killed, and started again");
            return Ok(());
        }
        let (example, orchestration) =
            EXAMPLES.get(pool).zip(ORCHESTRATIONS.get(pool)).context("no such pool")?;
        let truth = self.stage.control.world().await?;
        let set = truth.scale_set(example.scale_set).context("no scale set")?;
        let whose = if fault.is_of_one_pool() { orchestration } else { "both" };
        let Some(call) = fault.call(set, example.pool, usize::try_from(MOST)?, pick, lasts) else {
            self.missed += 1;
            return Ok(());
        };
        if let Err(error) = self.stage.control.command(call.path, &call.body).await {
            // A machine may have gone since it was looked for; anything else would be a mistake of this program.
            ensure!(!fault.lasts() && fault != Fault::Revoked, "{fault:?}: {error:#}");
            self.missed += 1;
            self.note("missed", &format!("{whose:<8}  {group}: {name}: {error:#}"));
            return Ok(());
        }
        *self.thrown.entry(fault).or_default() += 1;
        if let Some(end) = call.end {
            self.ends.push((self.now.checked_add(lasts)?, call.path, end));
        }
        let how_long = if fault.lasts() { format!(", for {} s", lasts.as_secs()) } else { String::new() };
        self.note("thrown", &format!("{whose:<8}  {group}: {name}{how_long}"));
        Ok(())
    }

    async fn end_what_is_over(&mut self) -> Result<()> {
        let now = self.now;
        for (_, path, body) in self.ends.extract_if(.., |(at, ..)| *at <= now) {
            self.stage.control.command(path, &body).await?;
        }
        Ok(())
    }

    /// Ends every fault.
    pub(crate) async fn calm(&mut self) -> Result<()> {
        self.stage.control.end_faults().await?;
        for (_, path, body) in std::mem::take(&mut self.ends) {
            self.stage.control.command(path, &body).await?;
        }
        Ok(())
    }

    /// Waits until nothing is wrong, nothing moves, and the standby is there.
    pub(crate) async fn until_well(&mut self, within: SignedDuration) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let truth = self.stage.control.world().await?;
            let wrong: Vec<String> =
                (0..EXAMPLES.len()).flat_map(|index| self.wrong(index, &truth)).collect();
            if wrong.is_empty() {
                return Ok(());
            }
            if self.now >= deadline {
                bail!("not well within {} simulated minutes: {}", within.as_mins(), wrong.join("; "));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// What is not as it should be with one pool.
    fn wrong(&self, index: usize, truth: &WorldTruth) -> Vec<String> {
        let mut wrong = Vec::new();
        let Some(((example, name), pool)) = EXAMPLES.iter().zip(ORCHESTRATIONS).zip(&self.pools).nth(index)
        else {
            return wrong;
        };
        let counts = pool.score.counts();
        let open = truth.pool(example.pool).map_or(0, |pool| pool.jobs.len());
        if open > 0 {
            wrong.push(format!("{name}: {open} jobs have not ended"));
        }
        let vms = truth.scale_set(example.scale_set).map(|set| (set.vms(), set.capacity));
        let standby = usize::try_from(STANDBY).ok().zip(Some(STANDBY));
        if vms != standby || counts.idle != STANDBY {
            wrong.push(format!("{name}: {}, VMs and capacity {vms:?}", world(counts)));
        }
        wrong.extend(pool.not_well().into_iter().map(|condition| format!("{name}: {condition}")));
        wrong
    }

    /// Waits until nothing is left of the pools.
    pub(crate) async fn until_empty(&mut self, within: SignedDuration) -> Result<()> {
        let deadline = self.now.checked_add(within)?;
        loop {
            self.look().await?;
            let left = self.left().await?;
            let objects = self.pools.iter().filter(|pool| pool.object.is_some()).count();
            if objects == 0 && left.vms.is_empty() && left.records.is_empty() {
                return Ok(());
            }
            if self.now >= deadline {
                bail!("not empty within {} simulated minutes: {objects} objects, {left:?}", within.as_mins());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// VMs and records that are there.
    pub(crate) async fn left(&self) -> Result<Left> {
        let truth = self.stage.control.world().await?;
        let mut left = Left::default();
        for example in EXAMPLES {
            let vms = truth.scale_set(example.scale_set).into_iter().flat_map(|set| &set.instances);
            left.vms.extend(vms.map(|vm| vm.computer_name.clone()));
            let agents = truth.pool(example.pool).into_iter().flat_map(|pool| &pool.agents);
            for agent in agents {
                if agent.name.starts_with(FOREIGN) {
                    left.foreign += 1;
                } else {
                    left.records.push(agent.name.clone());
                }
            }
        }
        Ok(left)
    }

    /// How many agents were brought by others.
    pub(crate) fn brought(&self) -> u32 {
        self.thrown.get(&Fault::Person(Person::BringsAgent)).copied().unwrap_or_default()
    }

    /// Keeps what is said now for the report.
    pub(crate) fn keep_conditions(&mut self) {
        for pool in &mut self.pools {
            pool.conditions = pool.all_conditions();
        }
    }

    /// Takes up what has changed, and shows it.
    async fn look(&mut self) -> Result<()> {
        self.stage.check_operator()?;
        // The time first: everything up to it is then in the journal.
        self.now = self.stage.control.now().await?;
        let entries = self.stage.control.journal(self.read).await?;
        self.read = entries.last().map_or(self.read, |entry| entry.seq);
        for (example, pool) in EXAMPLES.iter().zip(&mut self.pools) {
            let mut own = entries.clone();
            own.retain(|entry| entry.place == example.scale_set || entry.place == example.pool);
            pool.score.read(&own);
            pool.object = self.agent_pools.get_opt(example.pool).await?;
            pool.binding = self.bindings.get_opt(example.binding).await?;
        }
        self.show();
        Ok(())
    }

    fn show(&mut self) {
        if self.screen.is_live() {
            let rows = self.rows();
            self.screen.table(rows);
        } else if self.said.elapsed() >= SAID {
            self.said = Instant::now();
            for index in 0..self.pools.len() {
                let Some((pool, name)) = self.pools.get(index).zip(ORCHESTRATIONS.get(index)) else {
                    continue;
                };
                let text = format!("{name:<8}  {}; {}", world(pool.score.counts()), pool.says());
                self.note("status", &text);
            }
        }
    }

    fn rows(&self) -> Vec<String> {
        let Jobs { queued, succeeded, .. } = self.jobs();
        let kills = self.thrown.get(&Fault::Kill).copied().unwrap_or_default();
        let faults = self.thrown.values().sum::<u32>() - kills;
        let mut rows = vec![
            String::new(),
            format!(
                "chaos, seed {}   simulated {}   {faults} faults and {kills} kills thrown   jobs: {queued} queued, {succeeded} \
                 finished, {} killed by poolkeeper",
                self.chaos.seed,
                clock(self.now.duration_since(self.began)),
                self.jobs().killed_by_us(),
            ),
            row(
                "",
                &["idle", "busy", "starting", "recycling", "leaving", "failed", "waiting"].map(str::to_owned),
            ),
        ];
        for (pool, name) in self.pools.iter().zip(ORCHESTRATIONS) {
            let counts = pool.score.counts();
            let cells = [
                counts.idle,
                counts.busy,
                counts.starting,
                counts.recycling,
                counts.draining + counts.deleting,
                counts.failed,
                counts.queued,
            ];
            rows.push(row(name, &cells.map(|count| count.to_string())));
            rows.push(format!("  {}", pool.says()));
        }
        rows
    }
}

impl Pool {
    /// `type=status/reason` of both objects.
    fn all_conditions(&self) -> Vec<String> {
        let pool = self.object.iter().filter_map(|pool| pool.status.as_ref()).flat_map(|s| &s.conditions);
        let binding =
            self.binding.iter().filter_map(|binding| binding.status.as_ref()).flat_map(|s| &s.conditions);
        let both = pool.map(|condition| ("AgentPool", condition));
        let both = both.chain(binding.map(|condition| ("ScaleSetBinding", condition)));
        both.map(|(kind, c)| format!("{kind} {}={}/{}", c.type_, c.status, c.reason)).collect()
    }

    /// Conditions that there would not be if all were well, or that are missing.
    fn not_well(&self) -> Vec<String> {
        const WANTED: [&str; 3] = [
            "AgentPool Ready=True/Managed",
            "AgentPool StandbyMet=True/Met",
            "ScaleSetBinding Ready=True/Bound",
        ];
        let all = self.all_conditions();
        let missing = WANTED.iter().filter(|wanted| !all.iter().any(|one| one == *wanted));
        let mut wrong: Vec<String> = missing.map(|wanted| format!("no {wanted}")).collect();
        wrong.extend(all.into_iter().filter(|one| is_bad(one)));
        wrong
    }

    /// What is wrong, in few words.
    fn says(&self) -> String {
        let bad: Vec<String> = self.all_conditions().into_iter().filter(|one| is_bad(one)).collect();
        if bad.is_empty() { "nothing to complain about".to_owned() } else { bad.join(", ") }
    }
}

/// Negative conditions are there only while they are true.
fn is_bad(condition: &str) -> bool {
    const NEGATIVE: [&str; 7] = [
        "Stalled=",
        "Reconciling=",
        "CapacityLimited=",
        "Holding=",
        "UnroutableJob=",
        "ImageUnhealthy=",
        "JobOverTwoDays=",
    ];
    condition.contains("=False/") || NEGATIVE.iter().any(|negative| condition.contains(negative))
}
