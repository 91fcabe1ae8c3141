//! The world: what there is, and what becomes of it in time.

mod agent;
mod azure;
mod demand;
mod devops;
mod disaster;
mod event;
mod fault;
mod id;
mod identity;
mod image;
mod jobs;
mod journal;
mod machine;
mod maintenance;
mod operation;
mod pool;
mod request;
mod scale_set;
mod tally;
mod throttle;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use jiff::Timestamp;
use rand::{RngExt, SeedableRng, rngs::Xoshiro256PlusPlus};
use uuid::Uuid;

pub use agent::{Agent, Completed};
pub use azure::{AzureError, QuotaExceeded, ScaleSetChange, SubnetUsage, Usage};
pub use devops::{DevOpsError, OtherAgent};
pub use disaster::{By, EvictionPolicy};
pub use fault::{AzureFault, AzureTrouble, DevOpsFault, Fault, Stage};
pub use id::{AgentRef, PoolRef, SetRef, VmRef};
pub use image::{StartFails, StartFailure};
pub use journal::{Entry, Journal, Kind};
pub use maintenance::{MaintenanceDefinition, MaintenanceError};
pub use operation::{Operation, OperationError, OperationKind, OperationStatus, PowerAction};
pub use pool::Pool;
pub use request::{JobRequest, JobResult, JobSpec};
pub(crate) use scale_set::EXTENSION_FAILED;
pub use scale_set::{Instance, Power, Protection, Provisioning, ScaleSet};
pub use tally::{Busiest, Call, CallCount, KilledBy, Tally, Waits};
pub(crate) use throttle::{Charge, Door, Empty};

use crate::spec::{OrganizationSpec, Run, SetAddress, SpecError, WorldSpec};
use event::{Event, Queue};
use fault::Faults;
use journal::Parts;

/// An Azure DevOps organisation.
#[derive(Debug, Clone)]
pub struct Organization {
    /// What the world file says.
    pub spec: OrganizationSpec,
    pools: Vec<Pool>,
    next_agent: u64,
    next_request: u64,
    /// Jobs that have an agent, maintenance apart: what parallel jobs are counted by.
    running: u32,
    gone: bool,
}

impl Organization {
    /// Whether it was deleted.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Its pools, in the order of the world file.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter()
    }
}

/// How the VMs of a scale set become agents.
#[derive(Debug, Clone)]
struct Bootstrap {
    pool: PoolRef,
    once: bool,
    version: Arc<str>,
    capabilities: Arc<BTreeMap<String, String>>,
}

/// A deterministic world. A clone goes its own way from where it was made.
#[derive(Debug, Clone)]
pub struct World {
    now: Timestamp,
    rng: Xoshiro256PlusPlus,
    queue: Queue,
    clients: Vec<crate::spec::ClientSpec>,
    managed_identities: Vec<String>,
    token_lifetime: u32,
    paging: crate::spec::PagingSpec,
    facts: crate::spec::Facts,
    sets: Vec<ScaleSet>,
    bootstraps: Vec<Option<Bootstrap>>,
    organizations: Vec<Organization>,
    operations: BTreeMap<Uuid, Operation>,
    /// Those that have ended, the oldest first.
    ended: VecDeque<Uuid>,
    faults: Faults,
    journal: Journal,
    tally: Tally,
    /// Cores by subscription and region, in lower case.
    quotas: BTreeMap<(String, String), u32>,
    meter: throttle::Meter,
    held: Vec<azure::Held>,
    serials: u64,
    vms: u32,
}

impl World {
    /// A world that begins at `start`. VMs that the file says are there already run, with their agents online.
    ///
    /// # Errors
    /// The first field of `spec` that is wrong.
    pub fn new(spec: WorldSpec, seed: u64, start: Timestamp) -> Result<Self, SpecError> {
        spec.check()?;
        let WorldSpec {
            clients,
            managed_identities,
            token_lifetime,
            scale_sets,
            organizations,
            paging,
            quotas,
            throttling,
            facts,
        } = spec;
        let mut world = Self {
            now: start,
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            queue: Queue::default(),
            clients,
            managed_identities,
            token_lifetime,
            paging,
            facts,
            sets: Vec::new(),
            bootstraps: Vec::new(),
            organizations: Vec::new(),
            operations: BTreeMap::new(),
            ended: VecDeque::new(),
            faults: Faults::default(),
            journal: Journal::default(),
            tally: Tally::new(start),
            quotas: BTreeMap::new(),
            meter: throttle::Meter::new(throttling),
            held: Vec::new(),
            serials: 0,
            vms: 0,
        };
        for quota in quotas {
            world.set_region_quota(&quota.subscription_id, &quota.location, Some(quota.cores));
        }
        for spec in organizations {
            let pools = spec.pools.iter().cloned().map(Pool::new).collect();
            world.organizations.push(Organization {
                spec,
                pools,
                next_agent: 1,
                next_request: 1,
                running: 0,
                gone: false,
            });
        }
        for spec in scale_sets {
            let bootstrap = spec.agents.as_ref().and_then(|agents| {
                Some(Bootstrap {
                    pool: world.find_pool(&agents.organization, &agents.pool)?,
                    once: agents.run == Run::Once,
                    version: Arc::from(agents.version.as_str()),
                    capabilities: Arc::new(agents.capabilities.clone()),
                })
            });
            let Some(address) = SetAddress::parse(&spec.resource_id) else { continue };
            let set = SetRef(world.sets.len());
            let running = spec.capacity;
            let unique_id = world.guid();
            world.bootstraps.push(bootstrap);
            world.sets.push(ScaleSet {
                capacity: running,
                sku: spec.sku.clone(),
                tags: spec.tags.clone(),
                provisioning: "Succeeded",
                unique_id,
                created_at: start,
                quota: None,
                name: Arc::from(address.name.as_str()),
                address,
                version: 1,
                instances: BTreeMap::new(),
                next_id: 0,
                growing: None,
                deleting: None,
                leaving: 0,
                placed: 0,
                start_failure: None,
                gone: false,
                spec,
            });
            world.start_quota(set);
            for _ in 0..running {
                world.place_running_vm(set);
            }
        }
        Ok(world)
    }

    /// Lets everything happen that is due until `to`.
    pub fn advance(&mut self, to: Timestamp) {
        while let Some((at, event)) = self.queue.pop_due(to) {
            self.now = at;
            match event {
                Event::VmRunning { vm, epoch } => self.vm_running(vm, epoch),
                Event::VmFailed { vm, epoch, error } => self.vm_failed(vm, epoch, *error),
                Event::VmStopped { vm, epoch } => self.vm_stopped(vm, epoch),
                Event::VmGone { vm } => self.vm_gone(vm),
                Event::AgentRegisters { vm, epoch } => self.agent_registers(vm, epoch),
                Event::AgentOnline { agent, session } => self.agent_online(agent, session),
                Event::AgentOffline { agent, session } => self.agent_offline(agent, session),
                Event::AgentReturns { agent, vm, epoch } => self.agent_returns(agent, vm, epoch),
                Event::JobsArrive { pool, job } => {
                    self.jobs_arrive(pool, &job);
                }
                Event::JobReceived { pool, request } => self.job_received(pool, request),
                Event::JobFinished { pool, request } => self.job_finished(pool, request),
                Event::LockExpired { pool, request } => self.lock_expired(pool, request),
                Event::OperationCut { operation } => self.operation_cut(operation),
                Event::FaultEnds => self.release(),
            }
        }
        self.now = self.now.max(to);
    }

    /// When something is due next.
    pub fn next_event(&self) -> Option<Timestamp> {
        self.queue.next_at()
    }

    /// The world's time: the latest that it was advanced to.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Page sizes.
    pub fn paging(&self) -> &crate::spec::PagingSpec {
        &self.paging
    }

    /// How the clouds behave where nobody outside them can be sure.
    pub fn facts(&self) -> &crate::spec::Facts {
        &self.facts
    }

    /// Lets the clouds behave otherwise from now on.
    pub fn set_facts(&mut self, facts: crate::spec::Facts) {
        self.facts = facts;
    }

    /// The scale sets, in the order of the world file; not those that were deleted.
    pub fn sets(&self) -> impl Iterator<Item = (SetRef, &ScaleSet)> {
        let all = self.sets.iter().enumerate().map(|(index, set)| (SetRef(index), set));
        all.filter(|(_, set)| !set.gone)
    }

    /// A scale set; none once it was deleted.
    pub fn set(&self, set: SetRef) -> Option<&ScaleSet> {
        self.sets.get(set.0).filter(|set| !set.gone)
    }

    /// The scale set with this resource id; case does not count.
    pub fn find_set(&self, resource_id: &str) -> Option<SetRef> {
        let resource_id = resource_id.trim_end_matches('/');
        let is_it = |set: &ScaleSet| !set.gone && set.spec.resource_id.eq_ignore_ascii_case(resource_id);
        self.sets.iter().position(is_it).map(SetRef)
    }

    /// The organisations, in the order of the world file, those that were deleted among them.
    pub fn organizations(&self) -> impl Iterator<Item = &Organization> {
        self.organizations.iter()
    }

    /// The index of an organisation that is still there; case does not count.
    pub(crate) fn find_organization(&self, name: &str) -> Option<usize> {
        self.organizations.iter().position(|known| !known.gone && known.spec.name.eq_ignore_ascii_case(name))
    }

    /// The pool of that name, or with that id, in an organisation.
    pub fn find_pool(&self, organization: &str, pool: &str) -> Option<PoolRef> {
        let organization = self.find_organization(organization)?;
        let id = pool.parse::<u32>().ok();
        let pool = self
            .organizations
            .get(organization)?
            .pools
            .iter()
            .position(|known| Some(known.spec.id) == id || known.spec.name.eq_ignore_ascii_case(pool))?;
        Some(PoolRef { organization, pool })
    }

    /// An agent pool.
    pub fn pool(&self, pool: PoolRef) -> Option<&Pool> {
        self.organizations.get(pool.organization)?.pools.get(pool.pool)
    }

    /// A long-running operation of Azure.
    pub fn operation(&self, id: Uuid) -> Option<&Operation> {
        self.operations.get(&id)
    }

    /// Every change so far.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Sums over everything so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Counts a REST call.
    pub fn count_call(&mut self, call: Call) {
        self.tally.call(self.now, call, None, None);
    }

    fn guid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    fn serial(&mut self) -> u64 {
        self.serials += 1;
        self.serials
    }

    fn pool_mut(&mut self, pool: PoolRef) -> Option<&mut Pool> {
        self.organizations.get_mut(pool.organization)?.pools.get_mut(pool.pool)
    }

    fn write_set(&mut self, set: SetRef, kind: Kind, parts: Parts) {
        if let Some(set) = self.sets.get(set.0) {
            self.journal.write(self.now, kind, &set.name, parts);
        }
    }

    fn write_pool(&mut self, pool: PoolRef, kind: Kind, parts: Parts) {
        let found = self.organizations.get(pool.organization).and_then(|known| known.pools.get(pool.pool));
        if let Some(found) = found {
            self.journal.write(self.now, kind, &found.name, parts);
        }
    }
}
