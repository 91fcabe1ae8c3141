//! An agent pool: agents, job requests, and the indices that make assignment cheap.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use rand::{RngExt, rngs::Xoshiro256PlusPlus};

use super::{
    agent::Agent,
    demand::{Catalogue, ClassId, DemandsId},
    maintenance::Maintenance,
    request::JobRequest,
};
use crate::spec::PoolSpec;

/// Finished requests that a pool still lists.
const FINISHED_KEPT: usize = 500;

/// An agent pool.
#[derive(Debug, Clone)]
pub struct Pool {
    /// What the world file says.
    pub spec: PoolSpec,
    pub(crate) name: Arc<str>,
    pub(crate) catalogue: Catalogue,
    agents: BTreeMap<u64, Agent>,
    by_name: HashMap<String, u64>,
    open: BTreeMap<u64, JobRequest>,
    finished: VecDeque<JobRequest>,
    waiting: BTreeMap<DemandsId, BTreeSet<u64>>,
    bound: BTreeMap<u64, BTreeSet<u64>>,
    free: BTreeMap<ClassId, Roster>,
    free_class: HashMap<u64, ClassId>,
    pub(crate) maintenance: Maintenance,
}

/// A set of agents that can be drawn from at random in constant time.
#[derive(Debug, Clone, Default)]
struct Roster {
    ids: Vec<u64>,
    places: HashMap<u64, usize>,
}

impl Roster {
    fn insert(&mut self, id: u64) {
        if !self.places.contains_key(&id) {
            self.places.insert(id, self.ids.len());
            self.ids.push(id);
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(place) = self.places.remove(&id) {
            self.ids.swap_remove(place);
            if let Some(moved) = self.ids.get(place) {
                self.places.insert(*moved, place);
            }
        }
    }
}

impl Pool {
    pub(crate) fn new(spec: PoolSpec) -> Self {
        Self {
            name: Arc::from(spec.name.as_str()),
            spec,
            catalogue: Catalogue::default(),
            agents: BTreeMap::new(),
            by_name: HashMap::new(),
            open: BTreeMap::new(),
            finished: VecDeque::new(),
            waiting: BTreeMap::new(),
            bound: BTreeMap::new(),
            free: BTreeMap::new(),
            free_class: HashMap::new(),
            maintenance: Maintenance::default(),
        }
    }

    /// The agents by id.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// One agent.
    pub fn agent(&self, id: u64) -> Option<&Agent> {
        self.agents.get(&id)
    }

    /// The agent of that name; case does not count.
    pub fn agent_named(&self, name: &str) -> Option<&Agent> {
        self.by_name.get(&name.to_lowercase()).and_then(|id| self.agents.get(id))
    }

    /// Job requests that have not ended, by id.
    pub fn open_requests(&self) -> impl DoubleEndedIterator<Item = &JobRequest> {
        self.open.values()
    }

    /// The last job requests that have ended, in the order of their end.
    pub fn finished_requests(&self) -> impl DoubleEndedIterator<Item = &JobRequest> {
        self.finished.iter()
    }

    /// One job request that has not ended.
    pub fn open(&self, id: u64) -> Option<&JobRequest> {
        self.open.get(&id)
    }

    /// One job request, open or lately ended.
    pub fn request(&self, id: u64) -> Option<&JobRequest> {
        self.open.get(&id).or_else(|| self.finished.iter().rev().find(|request| request.id == id))
    }

    /// What a job demands.
    pub fn demands(&self, request: &JobRequest) -> &[String] {
        self.catalogue.texts(request.demands)
    }

    /// The registered agents, online or not, that meet a job's demands.
    pub fn matching_agents(&self, request: &JobRequest) -> impl Iterator<Item = &Agent> {
        self.agents
            .values()
            .filter(|agent| self.catalogue.agent_meets(agent.class, &agent.name, request.demands))
    }

    pub(crate) fn agent_mut(&mut self, id: u64) -> Option<&mut Agent> {
        self.agents.get_mut(&id)
    }

    pub(crate) fn insert_agent(&mut self, mut agent: Agent) {
        agent.classify(&mut self.catalogue);
        self.by_name.insert(agent.name.to_lowercase(), agent.id);
        self.agents.insert(agent.id, agent);
    }

    pub(crate) fn remove_agent(&mut self, id: u64) -> Option<Agent> {
        let agent = self.agents.remove(&id)?;
        self.by_name.remove(&agent.name.to_lowercase());
        self.refresh(id);
        Some(agent)
    }

    /// Job requests that are bound to this agent and wait.
    pub(crate) fn bound_to(&self, agent: u64) -> Vec<u64> {
        self.bound.get(&agent).map_or_else(Vec::new, |ids| ids.iter().copied().collect())
    }

    /// Brings the index of free agents up to date with one agent. To be called after every change of an agent.
    pub(crate) fn refresh(&mut self, id: u64) {
        let class = self.agents.get(&id).filter(|agent| agent.is_free()).map(|agent| agent.class);
        let known = self.free_class.get(&id).copied();
        if class == known {
            return;
        }
        if let Some(roster) = known.and_then(|known| self.free.get_mut(&known)) {
            roster.remove(id);
            self.free_class.remove(&id);
        }
        if let Some(class) = class {
            self.free.entry(class).or_default().insert(id);
            self.free_class.insert(id, class);
        }
    }

    /// Recomputes what an agent offers, after a change of its capabilities.
    pub(crate) fn reclassify(&mut self, id: u64) {
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.classify(&mut self.catalogue);
        }
        self.refresh(id);
    }

    pub(crate) fn insert_request(&mut self, request: JobRequest) {
        match request.maintenance_of {
            Some(agent) => self.bound.entry(agent).or_default().insert(request.id),
            None => self.waiting.entry(request.demands).or_default().insert(request.id),
        };
        self.open.insert(request.id, request);
    }

    pub(crate) fn request_mut(&mut self, id: u64) -> Option<&mut JobRequest> {
        self.open.get_mut(&id)
    }

    /// Takes a request out of the waiting ones, because it is assigned or has ended.
    pub(crate) fn stop_waiting(&mut self, id: u64) {
        let Some(request) = self.open.get(&id) else { return };
        match request.maintenance_of {
            Some(agent) => {
                if let Some(ids) = self.bound.get_mut(&agent) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.bound.remove(&agent);
                    }
                }
            }
            None => {
                if let Some(ids) = self.waiting.get_mut(&request.demands) {
                    ids.remove(&id);
                    if ids.is_empty() {
                        self.waiting.remove(&request.demands);
                    }
                }
            }
        }
    }

    /// Moves a request to the finished ones.
    pub(crate) fn close_request(&mut self, id: u64) -> Option<JobRequest> {
        self.stop_waiting(id);
        let request = self.open.remove(&id)?;
        if self.finished.len() == FINISHED_KEPT {
            self.finished.pop_front();
        }
        self.finished.push_back(request.clone());
        Some(request)
    }

    /// The longest-waiting request that this agent can take; only maintenance of it unless `may_start` a job.
    pub(crate) fn next_request_for(&mut self, agent: u64, may_start: bool) -> Option<u64> {
        let Self { agents, catalogue, waiting, bound, .. } = self;
        let agent = agents.get(&agent).filter(|agent| agent.is_free())?;
        let own = bound.get(&agent.id).and_then(BTreeSet::first).copied();
        if !may_start {
            return own;
        }
        let mut best = own;
        for (demands, ids) in waiting {
            let Some(first) = ids.first().copied() else { continue };
            if best.is_none_or(|best| first < best)
                && catalogue.class_meets(agent.class, *demands)
                && (!catalogue.is_personal(*demands)
                    || catalogue.agent_meets(agent.class, &agent.name, *demands))
            {
                best = Some(first);
            }
        }
        best
    }

    /// A free agent for a request, chosen at random as the service's choice looks from outside.
    pub(crate) fn choose_agent(&mut self, request: u64, rng: &mut Xoshiro256PlusPlus) -> Option<u64> {
        let Self { agents, catalogue, free, open, .. } = self;
        let request = open.get(&request)?;
        if let Some(agent) = request.maintenance_of {
            return agents.get(&agent).filter(|agent| agent.is_free()).map(|agent| agent.id);
        }
        let demands = request.demands;
        let classes: Vec<&Roster> = free
            .iter()
            .filter(|(class, _)| catalogue.class_meets(**class, demands))
            .map(|(_, roster)| roster)
            .collect();
        if catalogue.is_personal(demands) {
            return classes
                .iter()
                .flat_map(|roster| roster.ids.iter())
                .filter_map(|id| agents.get(id))
                .find(|agent| catalogue.agent_meets(agent.class, &agent.name, demands))
                .map(|agent| agent.id);
        }
        let total: usize = classes.iter().map(|roster| roster.ids.len()).sum();
        if total == 0 {
            return None;
        }
        let mut drawn = rng.random_range(0..total);
        for roster in classes {
            if let Some(id) = roster.ids.get(drawn) {
                return Some(*id);
            }
            drawn -= roster.ids.len();
        }
        None
    }

    /// Whether any registered agent, online or not, could ever run the request.
    pub(crate) fn is_runnable(&self, request: u64) -> bool {
        self.open.get(&request).is_some_and(|request| self.matching_agents(request).next().is_some())
    }
}
