//! What is explored: the pool, the bounds and the rules of the world.

use jiff::SignedDuration;
use poolkeeper_policy::{
    Basis, Binding, BindingName, Existing, Image, Lifecycle, Mode, Pool, Recycle, Sampling, ScaleOut,
    Standby, Verbs, mutant::Mutant,
};

use crate::age::Age;

/// What may go wrong, besides what always may: VMs that never start, jobs that come at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The operator ends, and starts with what is in the status.
    Crash,
    /// The status is emptied.
    StatusWiped,
    /// A source cannot be read in a pass.
    Unread,
    /// A call fails, or its answer is lost.
    CallFails,
    /// An agent loses its session.
    AgentOffline,
    /// A person disables or enables an agent.
    Person,
    /// A VM disappears, and perhaps another one takes its place.
    Evicted,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Crash,
        Self::StatusWiped,
        Self::Unread,
        Self::CallFails,
        Self::AgentOffline,
        Self::Person,
        Self::Evicted,
    ];
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Variant {
    /// For the report.
    pub name: &'static str,
    /// Of the agents.
    pub lifecycle: Lifecycle,
    /// Each VM has operations of its own.
    pub flexible: bool,
    /// The maximum, at most [`PLACES`](crate::PLACES).
    pub max_agents: usize,
    /// Idle agents that stand by.
    pub standby: u32,
    /// VMs that are kept for investigation.
    pub save: u32,
    /// Jobs at a time; a job that has ended may come again.
    pub jobs: u8,
    /// How many faults happen on the way to a state.
    pub faults: u8,
    /// Which ones.
    pub kinds: Vec<Fault>,
    /// An agent may register between the last list of agents and the deletion of its VM, and a VM may be replaced
    /// between its last reading and its deletion: the window that remains of rule 3.
    pub window: bool,
    /// Azure DevOps refuses to delete the record of an agent with a job, as it does. A world without that shows what
    /// the steps before are worth; there, no agent is enabled or comes online between its reading and the deletion
    /// of its record, and whom a person disables has settled.
    pub refuses_deletion: bool,
    /// An agent may settle, and the next write may come, while a pass is on its way.
    pub slow_passes: bool,
    /// Planted in policy.
    pub mutant: Option<Mutant>,
    /// One of so many states is followed on, without further faults, until everything is as wanted; 0: none.
    pub follow_one_of: u64,
}

/// Every timeout is between the two ticks of [`Tick`](crate::Tick).
const TIMEOUT: SignedDuration = SignedDuration::from_mins(10);

pub(crate) fn binding() -> BindingName {
    BindingName("b".to_owned())
}

impl Variant {
    /// Three VMs, two jobs, one agent stands by, every fault may happen, one on the way to a state.
    #[must_use]
    pub fn new(name: &'static str, lifecycle: Lifecycle) -> Self {
        Self {
            name,
            lifecycle,
            flexible: false,
            max_agents: 3,
            standby: 1,
            save: 0,
            jobs: 2,
            faults: 1,
            kinds: Fault::ALL.to_vec(),
            window: true,
            refuses_deletion: true,
            slow_passes: false,
            mutant: None,
            follow_one_of: 0,
        }
    }

    /// Stateless agents whose VMs are reimaged.
    #[must_use]
    pub fn reimage() -> Self {
        Self::new("stateless, Reimage", Lifecycle::Stateless(Recycle::Reimage))
    }

    /// Stateless agents whose VMs are replaced.
    #[must_use]
    pub fn replace() -> Self {
        Self::new("stateless, Replace", Lifecycle::Stateless(Recycle::Replace))
    }

    /// Agents that live on after a job, up to a lifetime.
    #[must_use]
    pub fn stateful() -> Self {
        Self::new("stateful", Lifecycle::Stateful { max_lifetime: TIMEOUT })
    }

    pub(crate) fn stateless(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Stateless(_))
    }

    /// Only a lifetime asks how old a VM is.
    pub(crate) fn newborn(&self) -> Age {
        if self.stateless() { Age::Old } else { Age::Recent }
    }

    pub(crate) fn allows(&self, fault: Fault) -> bool {
        self.kinds.contains(&fault)
    }

    pub(crate) fn pool(&self) -> Pool {
        Pool {
            name: "p".to_owned(),
            mode: Mode::Active,
            deletion: None,
            max_agents: u32::try_from(self.max_agents).unwrap_or(u32::MAX),
            images: vec![Image::default()],
            bindings: vec![Binding {
                name: binding(),
                image: 0,
                priority: 0,
                max_agents: None,
                draining: false,
                existing: Existing::Adopt,
                claimed_at: None,
            }],
            standby: Standby { agents: self.standby, basis: Basis::Idle, schedule: None, forecast: None },
            ignore_demands: Default::default(),
            scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
            idle_delay: TIMEOUT,
            lifecycle: self.lifecycle,
            save_for_investigation: self.save,
            max_failed_starts: 3,
            placeholders: false,
            verbs: Verbs::default(),
            start_timeout: TIMEOUT,
        }
    }
}
