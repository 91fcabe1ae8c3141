//! The excess of idle agents over time.

use jiff::{SignedDuration, Timestamp};

use crate::instance::after;

/// Since `since`, at least `agents` idle agents have been in excess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stair {
    /// Start of this level.
    pub since: Timestamp,
    /// Idle agents in excess.
    pub agents: u32,
}

/// The excess of idle agents as rising stairs: enough to know its minimum over any window that ends now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Staircase(Vec<Stair>);

impl Staircase {
    /// From stored stairs; those out of order are dropped, which only makes the wait longer.
    #[must_use]
    pub fn from_stairs(stairs: impl IntoIterator<Item = Stair>) -> Self {
        let mut kept: Vec<Stair> = Vec::new();
        for stair in stairs {
            let rises =
                kept.last().is_none_or(|last| last.since <= stair.since && last.agents < stair.agents);
            if rises && stair.agents > 0 {
                kept.push(stair);
            }
        }
        Self(kept)
    }

    /// The stairs, lowest and oldest first.
    #[must_use]
    pub fn stairs(&self) -> &[Stair] {
        &self.0
    }

    /// Takes up the excess seen now.
    pub fn observe(&mut self, excess: u32, now: Timestamp) {
        // A higher stair that ends was, while it lasted, at least as high as the new one.
        let mut since = now;
        while let Some(stair) = self.0.pop_if(|last| last.agents >= excess) {
            since = stair.since.min(now);
        }
        if excess > 0 {
            self.0.push(Stair { since, agents: excess });
        }
    }

    /// Takes out agents that leave by our own decision: the ones that stay have been in excess no longer than before.
    pub fn lower(&mut self, agents: u32) {
        for stair in &mut self.0 {
            stair.agents = stair.agents.saturating_sub(agents);
        }
        self.0.retain(|stair| stair.agents > 0);
    }

    /// The smallest excess over the last `delay`: how many agents may go.
    #[must_use]
    pub fn lasting(&self, delay: SignedDuration, now: Timestamp) -> u32 {
        self.0
            .iter()
            .rev()
            .find(|stair| now.duration_since(stair.since) >= delay)
            .map_or(0, |stair| stair.agents)
    }

    /// When the next stair will have lasted `delay`.
    #[must_use]
    pub fn matures(&self, delay: SignedDuration, now: Timestamp) -> Option<Timestamp> {
        self.0.iter().map(|stair| after(stair.since, delay)).find(|at| *at > now)
    }
}
