//! The table: each fault with what is held and what is said while it lasts, and where a phase says more.

use poolkeeper_policy::{
    HoldReason,
    PoolReason::{self, *},
    Truth::{False, True, Unknown},
};
use poolkeeper_proof::Blind;
use poolkeeper_simulator::world::{AzureFault, DevOpsFault};

use super::bench::{Phase, Said};

/// How a fault is made.
#[derive(Clone, Debug)]
pub(crate) enum Ill {
    DevOps(DevOpsFault),
    Azure(AzureFault),
    Blind(Blind),
}

/// One fault.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) ill: Ill,
    pub(crate) hold: Option<HoldReason>,
    /// Conditions of these kinds are just so in every pass; the others are those of the phase.
    pub(crate) says: Vec<Said>,
    /// Conditions in place of those of the same kind while the pool is being deleted.
    pub(crate) drains: Vec<Said>,
}

/// What some faults say in some phases besides.
pub(crate) struct Besides {
    pub(crate) rows: &'static [&'static str],
    pub(crate) phases: &'static [Phase],
    pub(crate) says: Vec<Said>,
    pub(crate) events: Vec<&'static str>,
    pub(crate) why: &'static str,
}

const HOLDING: Said = ("Holding", True, SourceMissing);

/// Agents and jobs cannot be read, and a person must act.
fn stalled(why: PoolReason) -> Vec<Said> {
    let mut says = vec![("Ready", False, why), ("Stalled", True, why)];
    says.extend(unread(why));
    says
}

/// The same while the pool is being deleted: there is a way out.
fn blocked() -> Vec<Said> {
    vec![("Ready", False, BlockedDrain), ("Stalled", True, BlockedDrain)]
}

/// Agents and jobs cannot be read, which may pass.
fn unread(why: PoolReason) -> Vec<Said> {
    vec![("OrganizationReachable", False, why), ("StandbyMet", Unknown, NotReadable), HOLDING]
}

/// The faults.
#[rustfmt::skip]
pub(crate) fn rows() -> Vec<Row> {
    use AzureFault as Az;
    use DevOpsFault as Do;
    let missing = Some(HoldReason::SourceMissing);
    let blind = Blind::default;
    let row = |name, ill, hold, says, drains| Row { name, ill, hold, says, drains };
    vec![
        row("sign-in page",      Ill::DevOps(Do::SignIn),             missing, stalled(CredentialsRejected), blocked()),
        row("Azure DevOps 302",  Ill::DevOps(Do::Redirect),           missing, stalled(CredentialsRejected), blocked()),
        row("Azure DevOps 401",  Ill::DevOps(Do::Unauthorized),       missing, stalled(CredentialsRejected), blocked()),
        row("Azure DevOps 403",  Ill::DevOps(Do::Forbidden),          missing, stalled(PermissionDenied),    blocked()),
        row("Azure DevOps 429",  Ill::DevOps(Do::Throttle),           missing, unread(Throttled),            vec![]),
        row("Azure DevOps 503",  Ill::DevOps(Do::Unavailable),        missing, unread(Unreachable),          vec![]),
        // What is wrong with a scale set is a condition of its binding; the pool says that it holds.
        row("Azure 403",         Ill::Azure(Az::Forbidden),            missing, vec![HOLDING],                vec![]),
        row("Azure 503",         Ill::Azure(Az::Unavailable),          missing, vec![HOLDING],                vec![]),
        row("Azure 429",         Ill::Azure(Az::Throttle),             missing, vec![HOLDING],                vec![]),
        row("subscription 429",  Ill::Azure(Az::ThrottleSubscription), missing, vec![HOLDING],                vec![]),
        row("jobs missing",      Ill::Blind(Blind { jobs: true, ..blind() }),      missing, unread(Unreachable), vec![]),
        row("agents missing",    Ill::Blind(Blind { agents: true, ..blind() }),    missing, unread(Unreachable), vec![]),
        row("instances missing", Ill::Blind(Blind { instances: true, ..blind() }), missing, vec![HOLDING],       vec![]),
        row("scale set missing", Ill::Blind(Blind { sets: true, ..blind() }),      missing, vec![HOLDING],       vec![]),
        // Answers that are whole, and old: nothing is refused, so nothing is held, and no deed finds them fresh enough.
        row("old answers",       Ill::Blind(Blind { repeated: true, ..blind() }),  None,    vec![],              vec![]),
    ]
}

/// Where a phase says more, and why it may. All of it must be said.
#[rustfmt::skip]
pub(crate) fn besides() -> Vec<Besides> {
    use Phase::{Busy, Growing, Recycling};
    let capacity = vec![("CapacityLimited", True, BindingsBlocked), ("StandbyMet", False, CapacityLimited)];
    let starts = vec![("CapacityLimited", True, FailedStarts), ("StandbyMet", False, CapacityLimited)];
    let besides = |rows, phases, says, events, why| Besides { rows, phases, says, events, why };
    vec![
        besides(&["Azure 403"], &[Busy], capacity, vec!["Refused", "BindingsBlocked"],
            "growth for the new job is refused before the scale set is read; that counts as no room for a minute"),
        besides(&["Azure 503"], &[Busy], vec![], vec!["Unreachable"],
            "growth for the new job fails before the scale set is read"),
        besides(&["Azure 429", "subscription 429"], &[Busy], vec![], vec!["Throttled"],
            "growth for the new job fails before the scale set is read"),
        besides(&["old answers"], &[Growing], vec![], vec!["FailedToStart"; 2],
            "in the last answers two agents have not come, and by the clock they are late"),
        besides(&["old answers"], &[Recycling], starts, [vec!["FailedToStart"; 4], vec!["FailedStarts"]].concat(),
            "in the last answers four agents have not come, and three that are late are a bad image"),
    ]
}

impl Besides {
    pub(crate) fn is_about(&self, row: &Row, phase: Phase) -> bool {
        self.rows.contains(&row.name) && self.phases.contains(&phase)
    }
}

impl Row {
    /// What is said in this phase in every pass.
    pub(crate) fn says_in(&self, phase: Phase) -> Vec<Said> {
        let instead = if phase == Phase::PoolDeleted { self.drains.as_slice() } else { &[] };
        let replaced = |said: &&Said| !instead.iter().any(|other| other.0 == said.0);
        self.says.iter().filter(replaced).chain(instead).copied().collect()
    }
}

impl Phase {
    /// What is said when all has come to rest.
    pub(crate) fn rest(self) -> Vec<Said> {
        let reachable = ("OrganizationReachable", True, Reachable);
        let met = ("StandbyMet", True, Met);
        match self {
            Self::PoolDeleted => {
                vec![("Ready", False, Draining), ("Reconciling", True, Draining), reachable, met]
            }
            Self::Growing | Self::Idle | Self::Busy | Self::Recycling | Self::Settling | Self::Deleting => {
                vec![("Ready", True, Managed), reachable, met]
            }
        }
    }
}
