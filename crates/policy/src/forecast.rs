//! What a pool's history makes likely: one figure for each hour of the week.

mod hours;

use std::{fmt, sync::Arc};

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};

use crate::{
    history::{self, History},
    schedule::WeekTime,
};

use hours::{Hours, Offsets};

/// Hours of a week.
const HOURS: usize = 168;
/// A forecast rests on at least so many days: with fewer, some weekday has not been seen once, and nothing follows from Monday
/// for Sunday.
pub const ENOUGH_DAYS: u32 = 7;

/// Which part of the past a forecast covers: from the lowest cost to the shortest waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preference {
    /// The 10th percentile.
    MostCostEffective,
    /// The 25th percentile.
    MoreCostEffective,
    /// The 50th percentile.
    #[default]
    Balanced,
    /// The 75th percentile.
    MorePerformance,
    /// The 90th percentile.
    BestPerformance,
}

impl Preference {
    /// The percentile (Managed DevOps Pools, scaling: automatic).
    #[must_use]
    pub fn percentile(self) -> u32 {
        match self {
            Self::MostCostEffective => 10,
            Self::MoreCostEffective => 25,
            Self::Balanced => 50,
            Self::MorePerformance => 75,
            Self::BestPerformance => 90,
        }
    }

    /// As it stands in a schedule.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MostCostEffective => "MostCostEffective",
            Self::MoreCostEffective => "MoreCostEffective",
            Self::Balanced => "Balanced",
            Self::MorePerformance => "MorePerformance",
            Self::BestPerformance => "BestPerformance",
        }
    }
}

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The forecast for one hour of the week.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figure {
    /// Agents on standby.
    pub agents: u32,
    /// The buckets of five minutes that it rests on: 36 in three weeks without a gap or a clock change. With none, the
    /// figure is 0.
    pub samples: u32,
}

/// One figure for each hour of the week, by the clocks of a zone. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast(Arc<Figures>);

#[derive(Debug, PartialEq, Eq)]
struct Figures {
    /// From Monday 00:00 on.
    hours: [Figure; HOURS],
    zone: TimeZone,
    highest: u32,
    lowest: u32,
    days_seen: u32,
    samples: u32,
}

impl Forecast {
    /// Each hour's percentile by nearest rank: of its n buckets in order, the one at p/100 x n, rounded up.
    ///
    /// Only buckets of the last three weeks that are over at `now` count. A bucket belongs to the hour that the clocks of
    /// the zone show at its start: an hour that a clock change skips has 12 fewer, one that comes twice 12 more. Missing
    /// ones do not count. No figure is above `most`.
    #[must_use]
    pub fn new(
        history: &History,
        preference: Preference,
        zone: TimeZone,
        most: Option<u32>,
        now: Timestamp,
    ) -> Self {
        let mut buckets: [Vec<u16>; HOURS] = std::array::from_fn(|_| Vec::new());
        let mut offsets = Offsets::new(&zone);
        let mut samples = 0_u32;
        for (number, sessions) in history.whole(now) {
            let start = history::start_second(number);
            let hour = hours::of_week(start, offsets.at(start));
            if let Some(bucket) = buckets.get_mut(hour) {
                bucket.push(sessions);
                samples = samples.saturating_add(1);
            }
        }
        let figure = |mut sessions: Vec<u16>| {
            sessions.sort_unstable();
            let agents = nearest_rank(&sessions, preference.percentile()).map_or(0, u32::from);
            Figure {
                agents: most.map_or(agents, |most| agents.min(most)),
                samples: u32::try_from(sessions.len()).unwrap_or(u32::MAX),
            }
        };
        let hours = buckets.map(figure);
        let agents = || hours.iter().map(|figure| figure.agents);
        let (highest, lowest) = (agents().max().unwrap_or(0), agents().min().unwrap_or(0));
        let days_seen = history.days_seen(now);
        Self(Arc::new(Figures { hours, zone, highest, lowest, days_seen, samples }))
    }

    /// Whether it rests on enough: at least 7 days. Until then a schedule and a constant hold alone.
    #[must_use]
    pub fn is_sufficient(&self) -> bool {
        self.0.days_seen >= ENOUGH_DAYS
    }

    /// Days of which at least half was sampled, at most 21.
    #[must_use]
    pub fn days_seen(&self) -> u32 {
        self.0.days_seen
    }

    /// All buckets that it rests on, at most 6048.
    #[must_use]
    pub fn samples(&self) -> u32 {
        self.0.samples
    }

    /// 168 figures, Monday 00:00 first, each day's 24 in a row.
    #[must_use]
    pub fn hours(&self) -> &[Figure] {
        &self.0.hours
    }

    /// The hour of the week that the clocks show at an instant, and its figure.
    #[must_use]
    pub fn hour(&self, at: Timestamp) -> (WeekTime, Figure) {
        let offset = i64::from(self.0.zone.to_offset(at).seconds());
        let hour = hours::of_week(history::second(at), offset);
        let (day, of_day) = (i64::try_from(hour / 24).unwrap_or(0), u16::try_from(hour % 24).unwrap_or(0));
        let time = WeekTime { day: Weekday::Monday.wrapping_add(day), minute: of_day * 60 };
        (time, self.figure(hour))
    }

    /// Agents on standby at an instant.
    #[must_use]
    pub fn level(&self, at: Timestamp) -> u32 {
        self.hour(at).1.agents
    }

    /// The highest figure.
    #[must_use]
    pub fn highest(&self) -> u32 {
        self.0.highest
    }

    /// The instants after `after`, up to `until`, at which the clocks begin to show another hour, in order: not where
    /// clocks go back within an hour, or repeat it.
    pub fn boundaries(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        Hours::new(&self.0.zone, after, until).map(|(at, _)| at)
    }

    /// Those at which the figure differs from the one before.
    pub(crate) fn changes(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        let hours = self.varies().then(|| Hours::new(&self.0.zone, after, until));
        let mut before = self.level(after);
        hours.into_iter().flatten().filter_map(move |(at, hour)| {
            let agents = self.figure(hour).agents;
            let differs = agents != std::mem::replace(&mut before, agents);
            differs.then_some(at)
        })
    }

    /// Not all figures are the same.
    pub(crate) fn varies(&self) -> bool {
        self.0.highest != self.0.lowest
    }

    fn figure(&self, hour: usize) -> Figure {
        self.0.hours.get(hour).copied().unwrap_or_default()
    }
}

/// The value at p/100 x n, rounded up, of n values in order; the first at least.
fn nearest_rank(ordered: &[u16], percentile: u32) -> Option<u16> {
    let rank = ordered.len().saturating_mul(usize::try_from(percentile).ok()?).div_ceil(100).max(1);
    ordered.get(rank - 1).copied()
}
