//! The standby of a pool: what holds, what comes next, and what must be started for it by now.

use jiff::{SignedDuration, Timestamp};

use crate::{
    cadence::LONGEST_SLEEP,
    instance::after,
    pool::{Pool, ScaleOut, Standby},
    schedule::{Change, Layers, Level},
    target,
};

/// A start that takes longer is none: Azure gives up on a VM long before.
const LONGEST_LEAD: SignedDuration = SignedDuration::from_hours(24);

impl Standby {
    /// What stands by at an instant: the largest of constant, schedule and forecast.
    ///
    /// While an exception holds, the forecast does not count; a boost raises whatever holds. Where two are equal the
    /// constant is the source, then the schedule, then the forecast.
    #[must_use]
    pub fn level(&self, at: Timestamp) -> Level {
        self.layers().level(at)
    }

    /// The first instant after `after` at which agents or source differ from those at `after`; `None` if never.
    #[must_use]
    pub fn next_change(&self, after: Timestamp) -> Option<Change> {
        self.layers().next_change(after)
    }

    /// Every change of agents, source or name after `after`, up to `until`, in order.
    #[must_use]
    pub fn changes(&self, after: Timestamp, until: Timestamp) -> Vec<Change> {
        self.layers().changes(after, until)
    }

    fn layers(&self) -> Layers<'_> {
        Layers::new(self.schedule.as_ref(), self.agents, self.forecast.as_ref())
    }
}

/// An image's part of the standby.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// What shall be ready now.
    pub(crate) standby: u32,
    /// How many more shall be on their way or there, for what comes within the image's lead time.
    pub(crate) ahead: u32,
}

/// The standby of one pass.
#[derive(Clone, Debug)]
pub(crate) struct Outlook {
    pub(crate) level: Level,
    pub(crate) next_change: Option<Change>,
    /// In the order of the pool's images.
    pub(crate) shares: Vec<Share>,
    /// The first change for which agents are started now.
    pub(crate) ahead_of: Option<Timestamp>,
    /// When the next agents are due to be started for a change.
    pub(crate) starts_at: Option<Timestamp>,
}

impl Outlook {
    /// Agents for what comes, over all images.
    pub(crate) fn ahead(&self) -> u32 {
        target::total(self.shares.iter().map(|share| share.ahead))
    }
}

/// What the standby is, and, unless the pool is being deleted, what it takes from each image by now.
///
/// An image's agents are wanted from its lead time before a change on, so that they are ready when it comes: its share is
/// the largest that it has within its lead time, so that a rise comes earlier and a fall does not.
pub(crate) fn outlook(pool: &Pool, now: Timestamp) -> Outlook {
    let level = pool.standby.level(now);
    let next_change = pool.standby.next_change(now);
    if pool.deletion.is_some() {
        let shares = vec![Share::default(); pool.images.len()];
        return Outlook { level, next_change, shares, ahead_of: None, starts_at: None };
    }
    // `ElasticPool` grows at its samples only: the last one before a start is due may be a whole interval earlier.
    let sampled = match pool.scale_out {
        ScaleOut::ElasticPool { sample_interval, .. } => sample_interval,
        ScaleOut::Exact { .. } => SignedDuration::ZERO,
    };
    let lead = |lead: SignedDuration| if lead.is_zero() { lead } else { lead.saturating_add(sampled) };
    let leads = pool.images.iter().map(|image| lead(image.lead).clamp(SignedDuration::ZERO, LONGEST_LEAD));
    let leads: Vec<SignedDuration> = leads.collect();
    // No pass sleeps longer, so nothing behind it need be known.
    let horizon = after(after(now, leads.iter().copied().max().unwrap_or_default()), LONGEST_SLEEP);
    let changes = match &next_change {
        Some(change) if change.at <= horizon => pool.standby.changes(now, horizon),
        Some(_) | None => Vec::new(),
    };
    let mut shares: Vec<Share> =
        target::shares(pool, level.agents).into_iter().map(|standby| Share { standby, ahead: 0 }).collect();
    let (mut ahead_of, mut starts_at) = (None::<Timestamp>, None::<Timestamp>);
    for change in changes {
        // Each level by itself: by largest remainder, an image may have less of a larger whole.
        let wanted = target::shares(pool, change.agents);
        for ((share, lead), wanted) in shares.iter_mut().zip(&leads).zip(wanted) {
            let more = wanted.saturating_sub(share.standby);
            if more == 0 || lead.is_zero() {
                continue;
            }
            if change.at <= after(now, *lead) {
                share.ahead = share.ahead.max(more);
                ahead_of = Some(ahead_of.map_or(change.at, |at| at.min(change.at)));
            } else if more > share.ahead {
                let due = change.at.checked_sub(*lead).unwrap_or(now);
                starts_at = Some(starts_at.map_or(due, |at| at.min(due)));
            }
        }
    }
    Outlook { level, next_change, shares, ahead_of, starts_at }
}
