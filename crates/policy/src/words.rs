//! Decisions in words.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    explain::time,
    plan::{Action, Cause, Removal},
    pool::{Basis, Pool, ScaleOut},
    standby::Outlook,
    target::Target,
};

/// The sizing as a sum, such as `8 busy + 1 queued + 6 standby = 15 of at most 40`. What is started for a later change
/// stands beside the standby of now: `0 standby + 4 ahead of 08:00Z`.
///
/// `beyond` jobs wait for a parallel job and are not in the sum.
pub(crate) fn decision(
    pool: &Pool,
    target: &Target,
    outlook: &Outlook,
    beyond: u32,
    held: bool,
    now: Timestamp,
) -> String {
    if pool.deletion.is_some() {
        return "the pool is being deleted: jobs finish, then agents and VMs go".to_owned();
    }
    let busy = target.total(|need| need.busy);
    let idle = target.total(|need| need.idle);
    let queued = target.total(|need| need.queued);
    let (desired, most) = (target.desired, pool.max_agents);
    let standby = match outlook.ahead_of {
        Some(change) => {
            let (agents, ahead) = (outlook.level.agents, outlook.ahead());
            format!("{agents} standby + {ahead} ahead of {}", time::at(change, now))
        }
        None => format!("{} standby", outlook.level.agents),
    };
    if held {
        let coming = target.total(|need| need.coming);
        return format!("held at {}", busy.saturating_add(idle).saturating_add(coming));
    }
    let sum = match (pool.scale_out, pool.standby.basis) {
        (ScaleOut::Exact { .. }, Basis::Idle) => {
            format!("{busy} busy + {queued} queued + {standby} = {desired} of at most {most}")
        }
        (ScaleOut::Exact { .. }, Basis::Total) => {
            format!("the larger of {standby} and {busy} busy + {queued} queued = {desired} of at most {most}")
        }
        (ScaleOut::ElasticPool { increment_percent, .. }, Basis::Idle | Basis::Total) => {
            let step = pool.max_agents.saturating_mul(increment_percent).div_ceil(100);
            format!(
                "{idle} idle of {standby}, {busy} busy, {queued} queued: {desired} of at most {most} in steps of {step}"
            )
        }
    };
    match beyond {
        0 => sum,
        1 => format!("{sum}; 1 more job waits for a parallel job"),
        more => format!("{sum}; {more} more jobs wait for parallel jobs"),
    }
}

/// Held actions in words, such as `delete 2 idle agents`: summed up by cause, so that the length has a bound.
pub(crate) fn wanted<'a>(actions: impl Iterator<Item = &'a Action>) -> String {
    let mut grown = 0_u32;
    let mut saved = 0_usize;
    let mut leaving: BTreeMap<(Removal, Cause), usize> = BTreeMap::new();
    for action in actions {
        match action {
            Action::Grow { by, .. } => grown = grown.saturating_add(*by),
            Action::Disable { member, .. } => {
                *leaving.entry((Removal::Delete, member.cause)).or_default() += 1;
            }
            Action::Remove { removal, members, .. } => {
                for member in members {
                    *leaving.entry((*removal, member.cause)).or_default() += 1;
                }
            }
            Action::Save { members, .. } => saved += members.len(),
            Action::Unmark { .. } => {}
        }
    }
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let growth = (grown > 0).then(|| format!("create {grown} VM{}", if grown == 1 { "" } else { "s" }));
    let removals = leaving.into_iter().map(|((removal, cause), count)| match cause {
        Cause::Excess => format!("delete {count} idle agent{}", plural(count)),
        Cause::Used => format!("recycle {count} used agent{}", plural(count)),
        Cause::Disabled
        | Cause::FailedToStart
        | Cause::CreationFailed
        | Cause::WentOffline
        | Cause::Stopped
        | Cause::BindingLeaves
        | Cause::PoolDeleted
        | Cause::Existing
        | Cause::Lifetime
        | Cause::Asked
        | Cause::Released => {
            format!("{} {count} agent{} ({})", removal.verb(), plural(count), cause.words())
        }
    });
    let saves = (saved > 0).then(|| format!("save {saved} agent{} for investigation", plural(saved)));
    growth.into_iter().chain(removals).chain(saves).collect::<Vec<_>>().join("; ")
}

impl Removal {
    pub(crate) fn verb(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Reimage => "reimage",
        }
    }
}

impl Action {
    /// What it does, in words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Grow { binding, by, capacity, target, .. } => {
                format!("create {by} on {binding} (capacity {capacity} to {target})")
            }
            Self::Disable { member, .. } => {
                format!("disable agent {} ({})", member.computer_name, member.cause.words())
            }
            Self::Remove { binding, removal, members, .. } => {
                let verb = removal.verb();
                let names: Vec<&str> =
                    members.iter().take(3).map(|member| member.computer_name.as_str()).collect();
                let more = members.len().saturating_sub(names.len());
                let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
                let cause = members.first().map_or("", |member| member.cause.words());
                format!("{verb} {}{rest} on {binding} ({cause})", names.join(", "))
            }
            Self::Save { binding, members } => {
                let names: Vec<&str> = members.iter().map(|member| member.computer_name.as_str()).collect();
                let cause = members.first().map_or("", |member| member.cause.words());
                format!("save {} on {binding} for investigation ({cause})", names.join(", "))
            }
            Self::Unmark { binding, vms } => {
                format!("forget {} saved VMs of {binding} that are gone", vms.len())
            }
        }
    }
}
