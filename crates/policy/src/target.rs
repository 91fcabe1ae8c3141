//! How many agents are wanted, and of which image.

use std::{cmp::Reverse, collections::BTreeMap};

use jiff::Timestamp;

use crate::{
    demand::IMAGE_VERSION_OVERRIDE,
    instance::{Instance, State},
    pace::Pace,
    plan::LimitedBy,
    pool::{Basis, Binding, BindingName, Image, Lifecycle, Pool, Recycle, ScaleOut},
    standby::Share,
};

/// What an image has and needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) busy: u32,
    pub(crate) idle: u32,
    /// Starting, recycling, and ordered but not yet seen in a list.
    pub(crate) coming: u32,
    /// Those of `coming` that are in pool maintenance.
    pub(crate) maintained: u32,
    pub(crate) queued: u32,
    /// Its share of the standby of now.
    pub(crate) standby: u32,
    /// How many more are wanted for what comes within its lead time.
    pub(crate) ahead: u32,
}

impl Need {
    /// Free ones, for now and for what comes.
    fn kept(self) -> u32 {
        self.standby.saturating_add(self.ahead)
    }

    fn have(self) -> u32 {
        self.busy.saturating_add(self.idle).saturating_add(self.coming)
    }

    fn desired(self, basis: Basis) -> u32 {
        let demand = self.busy.saturating_add(self.queued);
        match basis {
            Basis::Idle => demand.saturating_add(self.kept()),
            Basis::Total => demand.max(self.kept()),
        }
    }

    /// One in maintenance takes a place on standby, and no waiting job.
    fn lacking(self, basis: Basis) -> u32 {
        let free = self.idle.saturating_add(self.coming).saturating_sub(self.maintained);
        let for_jobs = self.queued.saturating_sub(free);
        self.desired(basis).saturating_sub(self.have()).max(for_jobs)
    }

    /// Enough of this image's agents stand by: those of now, also while others start for what comes.
    pub(crate) fn met(self, basis: Basis) -> bool {
        match basis {
            Basis::Idle => self.idle >= self.standby,
            Basis::Total => self.idle.saturating_add(self.busy) >= self.standby,
        }
    }

    /// `ElasticPool` grows: too few idle ones, or jobs wait and none is idle.
    fn short(self, basis: Basis) -> bool {
        match basis {
            Basis::Idle => {
                self.idle.saturating_add(self.maintained) < self.kept() || (self.queued > 0 && self.idle == 0)
            }
            Basis::Total => self.lacking(basis) > 0,
        }
    }
}

/// The sizing of one pass.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) needs: Vec<Need>,
    /// Wanted agents, at most the maximum.
    pub(crate) desired: u32,
    /// Missing agents per image, at most what the maximum leaves.
    pub(crate) missing: Vec<u32>,
    /// Idle agents beyond what is wanted, per image.
    pub(crate) surplus: Vec<u32>,
    pub(crate) limited_by: LimitedBy,
}

impl Target {
    /// A figure over all images.
    pub(crate) fn total(&self, figure: fn(&Need) -> u32) -> u32 {
        total(self.needs.iter().map(figure))
    }
}

/// A sum that cannot overflow.
pub(crate) fn total(figures: impl IntoIterator<Item = u32>) -> u32 {
    figures.into_iter().fold(0, u32::saturating_add)
}

/// Shares of the standby by largest remainder, ties to the earlier image.
///
/// Equal shares pass over images of a version: those are started on demand, as with Managed DevOps Pools, unless there is
/// nothing else.
pub(crate) fn shares(pool: &Pool, standby: u32) -> Vec<u32> {
    let on_demand = |image: &&Image| image.capabilities.contains_key(IMAGE_VERSION_OVERRIDE);
    let others = pool.images.iter().filter(|image| !on_demand(image)).count();
    let weight = |image: &Image| match image.standby_percent {
        Some(percent) => u64::from(percent),
        None => u64::from(others == 0 || !on_demand(&image)),
    };
    let whole = if pool.images.iter().all(|image| image.standby_percent.is_none()) {
        pool.images.iter().map(weight).sum::<u64>().max(1)
    } else {
        100
    };
    let parts: Vec<(u64, u64)> = pool
        .images
        .iter()
        .map(|image| {
            let part = u64::from(standby) * weight(image);
            (part / whole, part % whole)
        })
        .collect();
    let given: u64 = parts.iter().map(|(floor, _)| floor).sum();
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by_key(|index| (Reverse(parts.get(*index).map_or(0, |part| part.1)), *index));
    let left = usize::try_from(u64::from(standby).saturating_sub(given)).unwrap_or(0);
    let extra: Vec<usize> = order.into_iter().take(left).collect();
    let share = |(index, (floor, _)): (usize, &(u64, u64))| {
        u32::try_from(floor + u64::from(extra.contains(&index))).unwrap_or(u32::MAX)
    };
    parts.iter().enumerate().map(share).collect()
}

/// What each image has and needs.
pub(crate) fn needs(
    pool: &Pool,
    instances: &[Instance],
    queued: &[u32],
    shares: &[Share],
    ordered: &BTreeMap<BindingName, u32>,
    now: Timestamp,
) -> Vec<Need> {
    let mut needs: Vec<Need> = queued
        .iter()
        .zip(shares)
        .map(|(queued, Share { standby, ahead })| Need {
            queued: *queued,
            standby: *standby,
            ahead: *ahead,
            ..Need::default()
        })
        .collect();
    let bindings: BTreeMap<&BindingName, &Binding> =
        pool.bindings.iter().map(|binding| (&binding.name, binding)).collect();
    for instance in instances {
        let Some(binding) = bindings.get(&instance.binding) else { continue };
        let Some(need) = needs.get_mut(binding.image) else { continue };
        // Agents that leave finish their job, and are no capacity for others.
        let stays = !binding.cordoned() && instance.stays();
        let counter = match instance.state {
            // It is free again soon, and nobody is needed in its place.
            State::Busy if instance.maintenance => {
                let maintained = u32::from(stays);
                need.maintained = need.maintained.saturating_add(maintained);
                need.coming = need.coming.saturating_add(maintained);
                continue;
            }
            State::Busy => &mut need.busy,
            State::Idle if stays => &mut need.idle,
            State::Creating | State::Starting | State::Recycling if stays => &mut need.coming,
            State::Used if stays && returns(pool, instance, now) => &mut need.coming,
            State::Idle
            | State::Creating
            | State::Starting
            | State::Recycling
            | State::Used
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Saved
            | State::Deleting => continue,
        };
        *counter = counter.saturating_add(1);
    }
    for (name, ordered) in ordered {
        let image = bindings.get(name).map(|binding| binding.image);
        if let Some(need) = image.and_then(|image| needs.get_mut(image)) {
            need.coming = need.coming.saturating_add(*ordered);
        }
    }
    needs
}

/// A used agent is capacity on its way if its VM is reimaged, for as long as a start may take.
fn returns(pool: &Pool, instance: &Instance, now: Timestamp) -> bool {
    pool.lifecycle == Lifecycle::Stateless(Recycle::Reimage)
        && instance.deadline.is_none_or(|deadline| now < deadline)
}

/// How many agents are wanted and missing, where `vms` of the maximum are taken, `saved` ones among them.
pub(crate) fn target(pool: &Pool, needs: Vec<Need>, vms: u32, saved: u32, pace: Pace) -> Target {
    let basis = pool.standby.basis;
    let wanted = total(needs.iter().map(|need| need.desired(basis)));
    let have = total(needs.iter().map(|need| need.have()));
    let room = pool.max_agents.saturating_sub(vms);
    let (desired, missing, limited_by) = match pool.scale_out {
        ScaleOut::Exact { .. } => {
            let lacking: Vec<u32> = needs.iter().map(|need| need.lacking(basis)).collect();
            let missing = cap(&lacking, room);
            let short = wanted > pool.max_agents || lacking != missing;
            let without = pool.max_agents.saturating_sub(vms.saturating_sub(saved));
            let fits = wanted <= pool.max_agents && total(lacking.iter().copied()) <= without;
            let limited_by = match (short, fits) {
                (true, true) => LimitedBy::SavedAgents,
                (true, false) => LimitedBy::MaxAgents,
                (false, _) => LimitedBy::Nothing,
            };
            (wanted.min(pool.max_agents), missing, limited_by)
        }
        ScaleOut::ElasticPool { increment_percent, .. } => {
            let short = needs.iter().any(|need| need.short(basis));
            let increment = pool.max_agents.saturating_mul(increment_percent).div_ceil(100);
            let step = if short && pace.decides { increment.min(room) } else { 0 };
            let more = wanted > have.saturating_add(increment);
            let limited_by = match (short, pace.growing || more) {
                (true, _) if room == 0 && saved > 0 => LimitedBy::SavedAgents,
                (true, _) if room == 0 => LimitedBy::MaxAgents,
                (true, true) => LimitedBy::Increment,
                (true, false) | (false, _) => LimitedBy::Nothing,
            };
            (have.saturating_add(step).min(pool.max_agents), spread(&needs, basis, step), limited_by)
        }
    };
    let surplus = surplus(pool, &needs, have);
    Target { needs, desired, missing, surplus, limited_by }
}

/// Idle agents beyond what is wanted, per image.
fn surplus(pool: &Pool, needs: &[Need], have: u32) -> Vec<u32> {
    let basis = pool.standby.basis;
    let stepwise = matches!(pool.scale_out, ScaleOut::ElasticPool { .. });
    let beyond = |need: &Need| {
        // One that is merely on its way takes nobody's place yet.
        let ready = match basis {
            Basis::Idle => need.idle.saturating_sub(need.kept()),
            Basis::Total => need.idle.saturating_add(need.busy).saturating_sub(need.kept()).min(need.idle),
        };
        match basis {
            // Azure DevOps' own rule compares idle agents alone.
            Basis::Idle if stepwise => ready.saturating_sub(need.queued),
            Basis::Idle | Basis::Total => need.have().saturating_sub(need.desired(basis)).min(ready),
        }
    };
    let mut surplus: Vec<u32> = needs.iter().map(beyond).collect();
    // What is above the maximum is in excess too, whatever is wanted; the last image gives first.
    let mut above = have.saturating_sub(pool.max_agents).saturating_sub(total(surplus.iter().copied()));
    for (surplus, need) in surplus.iter_mut().zip(needs).rev() {
        let more = need.idle.saturating_sub(*surplus).min(above);
        *surplus = surplus.saturating_add(more);
        above -= more;
    }
    surplus
}

/// Gives to each image in order, until the room is used up.
fn cap(wanted: &[u32], room: u32) -> Vec<u32> {
    let mut left = room;
    let give = |wanted: &u32| {
        let given = (*wanted).min(left);
        left -= given;
        given
    };
    wanted.iter().map(give).collect()
}

/// One step's VMs go to the images that are short; what they do not lack goes to the first of them.
fn spread(needs: &[Need], basis: Basis, step: u32) -> Vec<u32> {
    let lacking: Vec<u32> =
        needs.iter().map(|need| if need.short(basis) { need.lacking(basis) } else { 0 }).collect();
    let mut given = cap(&lacking, step);
    let rest = step.saturating_sub(total(given.iter().copied()));
    let first = needs.iter().position(|need| need.short(basis));
    if let Some(given) = first.and_then(|first| given.get_mut(first)) {
        *given = given.saturating_add(rest);
    }
    given
}
