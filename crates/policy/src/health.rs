//! The pool's conditions as plain data. Negative ones exist only while true.

use jiff::{SignedDuration, Timestamp};

use crate::{
    demand::UnroutableJob,
    instance::{Counts, after},
    memory::Memory,
    notices::LongJob,
    placement::Shortage,
    plan::{Hold, HoldReason, LimitedBy},
    pool::{Binding, DeletionPolicy, Mode, Pool},
    reason::PoolReason,
    schedule::Level,
    snapshot::{Snapshot, Why},
    target::Target,
};

/// So long a pool may be without a usable binding before a person must look.
const BINDING_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type, such as `Ready`.
    pub kind: &'static str,
    /// Its status.
    pub truth: Truth,
    /// From the closed list.
    pub reason: PoolReason,
    /// For the person, with the mend.
    pub message: String,
}

/// Status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows.
    Unknown,
}

/// What the conditions are made from.
pub(crate) struct Findings<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) seen: &'a Snapshot,
    pub(crate) memory: &'a Memory,
    pub(crate) target: &'a Target,
    pub(crate) counts: &'a Counts,
    pub(crate) standby: &'a Level,
    pub(crate) holds: &'a [Hold],
    pub(crate) homeless: u32,
    /// Why they found no place, if a scale set said so.
    pub(crate) limit: Option<&'a Shortage>,
    pub(crate) limited_by: LimitedBy,
    pub(crate) unroutable: &'a [UnroutableJob],
    pub(crate) long_jobs: &'a [LongJob],
    pub(crate) now: Timestamp,
}

fn condition(kind: &'static str, truth: Truth, reason: PoolReason, message: impl Into<String>) -> Condition {
    Condition { kind, truth, reason, message: message.into() }
}

/// All conditions of the pool.
pub(crate) fn conditions(findings: &Findings<'_>) -> Vec<Condition> {
    let stalled = stalled(findings);
    let reconciling = if stalled.is_none() { reconciling(findings) } else { None };
    let mut conditions = vec![ready(findings, stalled.as_ref(), reconciling.as_ref())];
    conditions.extend(stalled);
    conditions.extend(reconciling);
    conditions.push(organization(findings));
    conditions.push(standby_condition(findings));
    conditions.extend(capacity_limited(findings));
    conditions.extend(holding(findings));
    conditions.extend(unroutable(findings));
    conditions.extend(job_over_two_days(findings));
    conditions
}

fn source(findings: &Findings<'_>) -> Option<Why> {
    findings.seen.jobs.why().or(findings.seen.agents.why()).cloned()
}

/// A person must act: another try would fail the same way.
fn needs_a_person(reason: PoolReason) -> bool {
    use PoolReason as R;
    matches!(
        reason,
        R::InvalidSpec
            | R::SecretNotFound
            | R::CredentialsRejected
            | R::PermissionDenied
            | R::HostNotAllowed
            | R::IdentityNotAllowed
            | R::PoolNotFound
            | R::PoolManagedElsewhere
            | R::DuplicatePool
    )
}

fn stalled(findings: &Findings<'_>) -> Option<Condition> {
    let stall = |reason, message: String| condition("Stalled", Truth::True, reason, message);
    let drains = findings.pool.deletion == Some(DeletionPolicy::Drain);
    let name = &findings.pool.name;
    let blocked_drain = |why: &str| {
        let way_out = "to delete without draining: kubectl patch agentpool";
        let patch = "--type=merge -p '{\"spec\":{\"deletionPolicy\":\"Orphan\"}}'";
        stall(PoolReason::BlockedDrain, format!("{why}; {way_out} {name} {patch}"))
    };
    match source(findings).filter(|why| needs_a_person(why.reason)) {
        Some(why) if drains => return Some(blocked_drain(&why.message)),
        Some(why) => return Some(stall(why.reason, why.message)),
        None => {}
    }
    if drains {
        let stalled = |binding: &Binding| {
            let set = findings.seen.sets.get(&binding.name)?;
            set.blocked.as_ref().filter(|blocked| !blocked.pending)
        };
        let blocked = findings.pool.bindings.iter().find_map(stalled)?;
        return Some(blocked_drain(&blocked.message));
    }
    let since = findings.memory.unbound_since?;
    (findings.pool.deletion.is_none() && findings.now >= after(since, BINDING_PATIENCE)).then(|| {
        stall(
            PoolReason::NoBinding,
            "no ScaleSetBinding serves this pool: create one with poolRef.name of this pool, or mend the ones there".into(),
        )
    })
}

fn usable_binding(findings: &Findings<'_>) -> bool {
    findings.memory.unbound_since.is_none()
}

fn reconciling(findings: &Findings<'_>) -> Option<Condition> {
    let going = |reason, message: &str| Some(condition("Reconciling", Truth::True, reason, message));
    if findings.pool.deletion.is_some() {
        return going(PoolReason::Draining, "being deleted: jobs finish, then agents and VMs go");
    }
    if findings.pool.mode != Mode::Active || findings.memory.standby_was_met {
        return None;
    }
    let read = findings.seen.jobs.latest().is_some() && findings.seen.agents.latest().is_some();
    if !read {
        return going(
            PoolReason::NewGeneration,
            "the new specification takes effect with the first full read",
        );
    }
    if !usable_binding(findings) {
        return going(PoolReason::WaitingForBinding, "no ScaleSetBinding of this pool is ready yet");
    }
    (!standby_met(findings)).then(|| {
        condition(
            "Reconciling",
            Truth::True,
            PoolReason::FillingStandby,
            "the first agents on standby are starting",
        )
    })
}

fn ready(findings: &Findings<'_>, stalled: Option<&Condition>, reconciling: Option<&Condition>) -> Condition {
    if let Some(blocking) = stalled.or(reconciling) {
        return condition("Ready", Truth::False, blocking.reason, blocking.message.clone());
    }
    match findings.pool.mode {
        Mode::Paused => condition("Ready", Truth::True, PoolReason::Paused, "paused as asked: reads only"),
        Mode::Observe => {
            condition("Ready", Truth::True, PoolReason::Observing, "decides and explains, writes to no cloud")
        }
        Mode::Active => {
            let wanted = findings.target.missing.iter().any(|missing| *missing > 0);
            if wanted && !usable_binding(findings) {
                condition(
                    "Ready",
                    Truth::False,
                    PoolReason::Unavailable,
                    "VMs are wanted, and no binding can give one",
                )
            } else {
                condition("Ready", Truth::True, PoolReason::Managed, "in control of the pool")
            }
        }
    }
}

fn organization(findings: &Findings<'_>) -> Condition {
    let kind = "OrganizationReachable";
    match source(findings) {
        None => condition(kind, Truth::True, PoolReason::Reachable, ""),
        Some(why) if why.reason == PoolReason::NotObserved => {
            condition(kind, Truth::Unknown, PoolReason::NotObserved, "not read yet")
        }
        Some(why) => {
            use PoolReason as R;
            let reason = match why.reason {
                R::CredentialsRejected | R::PermissionDenied | R::Throttled | R::UnexpectedAnswer => {
                    why.reason
                }
                // The read did not even begin, or the answer was about one pool.
                R::SecretNotFound
                | R::HostNotAllowed
                | R::IdentityNotAllowed
                | R::InvalidSpec
                | R::DuplicatePool => {
                    return condition(kind, Truth::Unknown, R::NotObserved, why.message);
                }
                R::PoolNotFound | R::PoolManagedElsewhere => {
                    return condition(kind, Truth::True, R::Reachable, "");
                }
                _ => R::Unreachable,
            };
            condition(kind, Truth::False, reason, why.message)
        }
    }
}

/// Enough agents stand by.
pub(crate) fn standby_met(findings: &Findings<'_>) -> bool {
    let seen = findings.seen;
    if seen.jobs.fresh_at().is_none() || seen.agents.fresh_at().is_none() {
        return false;
    }
    findings.target.needs.iter().all(|need| need.met(findings.pool.standby.basis))
}

fn standby_condition(findings: &Findings<'_>) -> Condition {
    let kind = "StandbyMet";
    let read = findings.seen.jobs.fresh_at().is_some() && findings.seen.agents.fresh_at().is_some();
    if !read {
        let never = findings.seen.agents.latest().is_none()
            && source(findings).is_none_or(|why| why.reason == PoolReason::NotObserved);
        let reason = if never { PoolReason::NotObserved } else { PoolReason::NotReadable };
        return condition(kind, Truth::Unknown, reason, "");
    }
    if standby_met(findings) || findings.standby.agents == 0 {
        return condition(kind, Truth::True, PoolReason::Met, "");
    }
    let coming = findings.target.needs.iter().any(|need| need.coming > 0);
    let full = findings.counts.total() >= findings.pool.max_agents;
    match (no_room(findings), full) {
        (Some(_), _) => condition(kind, Truth::False, PoolReason::CapacityLimited, "see CapacityLimited"),
        (None, true) if !coming => {
            condition(kind, Truth::False, PoolReason::AtMaximum, "all agents of maxAgents are in use")
        }
        (None, _) => condition(kind, Truth::False, PoolReason::Starting, "agents are on their way"),
    }
}

/// More is wanted than the scale sets give now: the reason, and what they said.
fn no_room(findings: &Findings<'_>) -> Option<(PoolReason, String)> {
    let limited_by = findings.limit.map_or(LimitedBy::BindingMaximum, Shortage::limited_by);
    if findings.homeless == 0 || findings.limited_by != limited_by {
        return None;
    }
    let full = "no binding of the image has room: raise a binding's maxAgents, or mend the blocked ones";
    Some(match findings.limit {
        None => (PoolReason::BindingsBlocked, full.to_owned()),
        Some(shortage) => shortage.told(),
    })
}

fn capacity_limited(findings: &Findings<'_>) -> Option<Condition> {
    let (reason, message) = match (no_room(findings), findings.limited_by) {
        (Some(told), _) => told,
        (None, LimitedBy::MaxAgents) => (
            PoolReason::AtMaximum,
            "more agents are wanted than maxAgents allows: raise it, or wait".to_owned(),
        ),
        (None, LimitedBy::SavedAgents) => (
            PoolReason::AtMaximum,
            format!(
                "more agents are wanted than maxAgents allows, of which {} are saved for investigation: release them \
                 with kubectl annotate agentpool {} poolkeeper.dev/release-saved=<vmID>, or raise it",
                findings.counts.saved, findings.pool.name
            ),
        ),
        (None, LimitedBy::ParallelJobs) => (
            PoolReason::ParallelJobs,
            "jobs wait because the organisation's parallel jobs are all in use: buy more, or wait".to_owned(),
        ),
        (
            None,
            LimitedBy::Nothing
            | LimitedBy::BindingMaximum
            | LimitedBy::Increment
            | LimitedBy::Quota
            | LimitedBy::Allocation
            | LimitedBy::Subnet
            | LimitedBy::Throttling
            | LimitedBy::FailedStarts
            | LimitedBy::Hold
            | LimitedBy::Mode,
        ) => return None,
    };
    Some(condition("CapacityLimited", Truth::True, reason, message))
}

fn holding(findings: &Findings<'_>) -> Option<Condition> {
    let hold = findings
        .holds
        .iter()
        .filter(|hold| hold.reason != HoldReason::Paused)
        .min_by_key(|hold| hold.reason)?;
    let reason = match hold.reason {
        HoldReason::SourceMissing => PoolReason::SourceMissing,
        HoldReason::SourcePartial => PoolReason::SourcePartial,
        HoldReason::ClaimLost => PoolReason::ClaimLost,
        HoldReason::Conflict => PoolReason::Conflict,
        HoldReason::WriteRefused | HoldReason::Paused => PoolReason::WriteRefused,
    };
    let same: Vec<&Hold> = findings.holds.iter().filter(|other| other.reason == hold.reason).collect();
    let wanted = crate::words::wanted(same.iter().filter_map(|hold| hold.wanted.as_ref()));
    let message =
        if wanted.is_empty() { hold.message.clone() } else { format!("{}; wanted: {wanted}", hold.message) };
    Some(condition("Holding", Truth::True, reason, message))
}

fn unroutable(findings: &Findings<'_>) -> Option<Condition> {
    let first = findings.unroutable.first()?;
    let pipeline = first.definition.as_deref().unwrap_or("unknown");
    let demands = first.demands.join(", ");
    let message = format!(
        "job request {} of pipeline {pipeline} demands {demands}, which no image of this pool offers: {}",
        first.request,
        first.remedy()
    );
    Some(condition("UnroutableJob", Truth::True, first.reason, message))
}

fn job_over_two_days(findings: &Findings<'_>) -> Option<Condition> {
    let LongJob { request, name, since } = findings.long_jobs.first()?;
    let since = since.strftime("%Y-%m-%dT%H:%M:%SZ");
    let others = match findings.long_jobs.len() {
        0 | 1 => String::new(),
        count => format!(", and {} more such jobs", count - 1),
    };
    let message = format!(
        "job request {request} has run on agent {name}, which is past maxAgentLifetime, since {since}{others}: it is \
         never ended; cancel it in Azure DevOps if it hangs"
    );
    Some(condition("JobOverTwoDays", Truth::True, PoolReason::StillRunning, message))
}
