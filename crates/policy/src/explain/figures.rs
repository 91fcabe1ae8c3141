//! Each image in figures, as the sizing saw it.

use crate::target::Target;

/// What an image has and needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImagePlan {
    /// Agents that run a job.
    pub busy: u32,
    /// Free agents.
    pub idle: u32,
    /// Starting, recycling, in pool maintenance, and ordered but in no list yet.
    pub coming: u32,
    /// Those of `coming` that are in pool maintenance: they take no job soon.
    pub maintained: u32,
    /// Jobs that wait for an agent of it.
    pub queued: u32,
    /// Its share of the standby.
    pub standby: u32,
    /// How many more are wanted for what comes within its lead time.
    pub ahead: u32,
    /// Agents missing, at most what the maximum leaves.
    pub missing: u32,
    /// Idle agents beyond what is wanted.
    pub surplus: u32,
}

/// In the order of the pool's images.
pub(crate) fn of(target: &Target) -> Vec<ImagePlan> {
    let figures = |(image, need): (usize, &crate::target::Need)| ImagePlan {
        busy: need.busy,
        idle: need.idle,
        coming: need.coming,
        maintained: need.maintained,
        queued: need.queued,
        standby: need.standby,
        ahead: need.ahead,
        missing: target.missing.get(image).copied().unwrap_or(0),
        surplus: target.surplus.get(image).copied().unwrap_or(0),
    };
    target.needs.iter().enumerate().map(figures).collect()
}
