//! What holds in every world, whatever its callers do.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail")]

mod support;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use poolkeeper_simulator::{
    spec::{Distribution, Orchestration, Run},
    world::{AzureFault, Fault, Instance, JobSpec, Kind, Provisioning, ScaleSetChange},
};
use proptest::prelude::*;
use support::{Bench, running};

#[derive(Debug, Clone)]
enum Deed {
    Pass(i64),
    Queue { count: u32, seconds: i64, docker: bool },
    Capacity(u32),
    Delete(Vec<prop::sample::Index>),
    Reimage(Vec<prop::sample::Index>),
    Enable(prop::sample::Index, bool),
    DeleteAgent(prop::sample::Index),
    Cancel(prop::sample::Index),
    FailAllocations,
}

fn deed() -> impl Strategy<Value = Deed> {
    let some = || prop::collection::vec(any::<prop::sample::Index>(), 1..4);
    prop_oneof![
        6 => (1_i64..400).prop_map(Deed::Pass),
        4 => (1_u32..5, 10_i64..1500, any::<bool>())
            .prop_map(|(count, seconds, docker)| Deed::Queue { count, seconds, docker }),
        2 => (0_u32..9).prop_map(Deed::Capacity),
        2 => some().prop_map(Deed::Delete),
        2 => some().prop_map(Deed::Reimage),
        2 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(agent, on)| Deed::Enable(agent, on)),
        2 => any::<prop::sample::Index>().prop_map(Deed::DeleteAgent),
        1 => any::<prop::sample::Index>().prop_map(Deed::Cancel),
        1 => Just(Deed::FailAllocations),
    ]
}

/// A world, and how many jobs its callers must have killed.
struct Model {
    bench: Bench,
    killed: u64,
    allocation_failed: bool,
}

impl Model {
    fn jobs_on(&self, instances: &[u64]) -> u64 {
        let (set, pool) =
            (self.bench.world.set(self.bench.set).unwrap(), self.bench.world.pool(self.bench.pool).unwrap());
        let busy = instances.iter().filter(|id| {
            let name = &set.instance(**id).unwrap().computer_name;
            let request = pool.agent_named(name).and_then(|agent| agent.request);
            request.is_some_and(|request| pool.open(request).unwrap().killed.is_none())
        });
        busy.count() as u64
    }

    fn pick(&self, indices: &[prop::sample::Index]) -> Vec<u64> {
        let ids = self.bench.instance_ids();
        if ids.is_empty() {
            return Vec::new();
        }
        let mut picked: Vec<u64> = indices.iter().map(|index| *index.get(&ids)).collect();
        picked.sort_unstable();
        picked.dedup();
        picked
    }

    fn agents(&self) -> Vec<u64> {
        self.bench.world.pool(self.bench.pool).unwrap().agents().map(|agent| agent.id).collect()
    }

    fn play(&mut self, deed: &Deed) {
        let (set, pool) = (self.bench.set, self.bench.pool);
        match deed {
            Deed::Pass(seconds) => self.bench.pass(*seconds),
            Deed::Queue { count, seconds, docker } => {
                let demands = if *docker { vec!["docker".to_owned()] } else { Vec::new() };
                let job = JobSpec { demands, count: *count, ..JobSpec::new(Distribution::seconds(*seconds)) };
                self.bench.world.queue_jobs(pool, job, None).unwrap();
            }
            Deed::Capacity(capacity) => {
                let found = self.bench.world.set(set).unwrap();
                let stays = |vm: &&Instance| vm.provisioning != Provisioning::Deleting;
                let victims: Vec<u64> = found.instances().filter(stays).map(|vm| vm.id).collect();
                let surplus = found.members().saturating_sub(*capacity) as usize;
                let victims = &victims[victims.len() - surplus.min(victims.len())..];
                let doomed = self.jobs_on(victims);
                let change = ScaleSetChange { capacity: Some(*capacity), ..ScaleSetChange::default() };
                if self.bench.world.patch_scale_set(set, change).is_ok() {
                    self.killed += doomed;
                }
            }
            Deed::Delete(indices) => {
                let ids = self.pick(indices);
                let doomed = self.jobs_on(&ids);
                if self.bench.world.delete_instances(set, &ids).is_ok() {
                    self.killed += doomed;
                }
            }
            Deed::Reimage(indices) => {
                let ids = self.pick(indices);
                let doomed = self.jobs_on(&ids);
                if self.bench.world.reimage_instances(set, Some(&ids)).is_ok() {
                    self.killed += doomed;
                }
            }
            Deed::Enable(index, enabled) => {
                let agents = self.agents();
                if !agents.is_empty() {
                    self.bench.world.set_agent_enabled(pool, *index.get(&agents), *enabled).unwrap();
                }
            }
            Deed::DeleteAgent(index) => {
                let agents = self.agents();
                if !agents.is_empty() {
                    let agent = *index.get(&agents);
                    let found = self.bench.world.pool(pool).unwrap();
                    let busy = found.agent(agent).unwrap().request.is_some();
                    assert_eq!(self.bench.world.delete_agent(pool, agent).is_err(), busy);
                }
            }
            Deed::Cancel(index) => {
                let found = self.bench.world.pool(pool).unwrap();
                let open: Vec<u64> = found.open_requests().map(|request| request.id).collect();
                if !open.is_empty() {
                    self.bench.world.cancel_job(pool, *index.get(&open)).unwrap();
                }
            }
            Deed::FailAllocations => {
                self.allocation_failed = true;
                let until = self.bench.world.now() + SignedDuration::from_mins(5);
                let fault = Fault::Azure(set, AzureFault::AllocationFailed.into());
                self.bench.world.set_fault(fault, Some(until));
            }
        }
        // What follows at once, such as a dead agent going offline.
        self.bench.pass(0);
    }

    fn check(&self) {
        let (set, pool) =
            (self.bench.world.set(self.bench.set).unwrap(), self.bench.world.pool(self.bench.pool).unwrap());
        if !self.allocation_failed {
            assert_eq!(set.capacity, set.members(), "capacity counts the members");
        }
        let mut holders = BTreeMap::new();
        for agent in pool.agents() {
            if let Some(request) = agent.request {
                assert_eq!(holders.insert(request, agent.id), None, "one job on two agents");
            }
        }
        for request in pool.open_requests() {
            let agent = request.agent.as_ref().map(|(id, _)| *id);
            assert_eq!(holders.remove(&request.id), agent, "request {} and its agent agree", request.id);
            if request.is_waiting() {
                let free = pool.matching_agents(request).find(|agent| agent.is_free());
                assert!(free.is_none(), "request {} waits beside a free agent", request.id);
            }
        }
        assert_eq!(holders, BTreeMap::new(), "an agent has a job that is over");
        let tally = self.bench.world.tally();
        assert_eq!(tally.killed, self.killed, "killed jobs are those whose machine was taken");
        assert_eq!(tally.killed_by.values().sum::<u64>(), tally.killed);
        let open = pool.open_requests().filter(|request| request.killed.is_none()).count() as u64;
        assert_eq!(tally.queued, tally.finished + tally.cancelled + tally.killed + open);
        assert_eq!(tally.vms as usize, self.bench.instance_ids().len());
    }
}

fn jobs_per_registration(bench: &Bench) -> Vec<u32> {
    let mut counts: Vec<u32> = Vec::new();
    let mut current: BTreeMap<String, usize> = BTreeMap::new();
    for entry in bench.world.journal().entries() {
        let Some(agent) = entry.agent.as_deref() else { continue };
        match entry.kind {
            Kind::AgentRegistered => {
                current.insert(agent.to_owned(), counts.len());
                counts.push(0);
            }
            Kind::JobAssigned => counts[current[agent]] += 1,
            _ => {}
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn jobs_agents_and_machines_stay_consistent(
        seed in any::<u64>(),
        reuse in any::<bool>(),
        once in any::<bool>(),
        flexible in any::<bool>(),
        deeds in prop::collection::vec(deed(), 1..80),
    ) {
        let mut spec = running(3, if once { Run::Once } else { Run::Continuous });
        spec.scale_sets[0].reuse_instance_ids = reuse;
        spec.scale_sets[0].model.ephemeral_os_disk = true;
        if flexible {
            spec.scale_sets[0].orchestration = Orchestration::Flexible;
        }
        let mut model = Model { bench: Bench::seeded(spec, seed), killed: 0, allocation_failed: false };
        model.check();
        for deed in &deeds {
            model.play(deed);
            model.check();
        }
        if once {
            prop_assert!(jobs_per_registration(&model.bench).iter().all(|jobs| *jobs <= 1));
        }
    }

    #[test]
    fn every_job_ends_once_there_are_machines(
        seed in any::<u64>(),
        deeds in prop::collection::vec(deed(), 1..40),
    ) {
        let mut model =
            Model { bench: Bench::seeded(running(2, Run::Continuous), seed), killed: 0, allocation_failed: false };
        for deed in &deeds {
            model.play(deed);
        }
        let (set, pool) = (model.bench.set, model.bench.pool);
        model.bench.pass(3600);
        model.bench.world.clear_faults();
        let members = model.bench.world.set(set).unwrap().members();
        let change = ScaleSetChange { capacity: Some(members + 1), ..ScaleSetChange::default() };
        model.bench.world.patch_scale_set(set, change).unwrap();
        model.bench.pass(600);
        for agent in model.agents() {
            model.bench.world.set_agent_enabled(pool, agent, true).unwrap();
        }
        model.bench.pass(200_000);
        prop_assert_eq!(model.bench.world.pool(pool).unwrap().open_requests().count(), 0);
        model.check();
    }

    #[test]
    fn the_same_deeds_give_the_same_journal(
        seed in any::<u64>(),
        deeds in prop::collection::vec(deed(), 1..60),
    ) {
        let play = || {
            let bench = Bench::seeded(support::example(), seed);
            let mut model = Model { bench, killed: 0, allocation_failed: false };
            for deed in &deeds {
                model.play(deed);
            }
            model.bench.record()
        };
        prop_assert_eq!(play(), play());
    }
}
