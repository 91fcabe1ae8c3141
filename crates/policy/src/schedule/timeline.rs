//! The layers of a schedule between two instants.

use jiff::{Timestamp, ToSpan};

use super::clock::{self, Edge};
use super::{Exception, Manual, Schedule, Source, later, period};

/// What holds at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State<'a> {
    pub(super) agents: u32,
    pub(super) source: Source,
    pub(super) name: Option<&'a str>,
}

impl State<'_> {
    /// The larger of the two; the constant, unless it is 0, also where they are equal.
    pub(super) fn or_constant(self, constant: u32) -> Self {
        if constant == 0 || constant < self.agents {
            self
        } else {
            Self { agents: constant, source: Source::Constant, name: None }
        }
    }
}

/// One entry's count from `start` to before `end`.
#[derive(Clone, Copy, Debug)]
struct Stretch<'a> {
    start: Timestamp,
    end: Timestamp,
    agents: u32,
    name: Option<&'a str>,
}

/// All entries that touch the time from `from` to `to`, both included.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    from: Timestamp,
    to: Timestamp,
    manual: Vec<Stretch<'a>>,
    whole_days: Vec<Stretch<'a>>,
    parts_of_days: Vec<Stretch<'a>>,
    boosts: Vec<Stretch<'a>>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(schedule: &'a Schedule, from: Timestamp, to: Timestamp) -> Self {
        let mut timeline = Self { manual: manual(&schedule.manual, from, to), ..Self::empty(from, to) };
        for exception in schedule.exceptions.iter().filter(|e| e.start <= to && e.end > from) {
            match exception.hours {
                None => timeline.whole_days.push(exception.stretch(exception.start, exception.end)),
                Some(hours) => timeline.parts_of_days.extend(exception.parts(schedule, hours, from, to)),
            }
        }
        for boost in schedule.boosts.iter().filter(|boost| boost.start <= to && boost.end > from) {
            let name = Some(boost.name.as_str());
            timeline.boosts.push(Stretch { start: boost.start, end: boost.end, agents: boost.agents, name });
        }
        timeline
    }

    /// Where there is no schedule.
    pub(super) fn empty(from: Timestamp, to: Timestamp) -> Self {
        let none = Vec::new;
        Self { from, to, manual: none(), whole_days: none(), parts_of_days: none(), boosts: none() }
    }

    /// What holds at an instant between `from` and `to`.
    pub(super) fn state(&self, at: Timestamp) -> State<'a> {
        let planned = || strongest(&self.manual, at).map(|stretch| stretch.state(Source::Manual));
        let base = self.exception(at).or_else(planned).unwrap_or(State {
            agents: 0,
            source: Source::Off,
            name: None,
        });
        strongest(&self.boosts, at)
            .filter(|boost| boost.agents > base.agents)
            .map_or(base, |boost| boost.state(Source::Boost))
    }

    /// The exception that holds at an instant; one for a part of the day wins over whole days.
    pub(super) fn exception(&self, at: Timestamp) -> Option<State<'a>> {
        let stretch = strongest(&self.parts_of_days, at).or_else(|| strongest(&self.whole_days, at))?;
        Some(stretch.state(Source::Exception))
    }

    /// Every instant at which the state may differ from the one before, in order; `from` is one of them.
    pub(super) fn boundaries(&self) -> Vec<Timestamp> {
        let layers = [&self.manual, &self.whole_days, &self.parts_of_days, &self.boosts];
        let edges = layers.into_iter().flatten().flat_map(|stretch| [stretch.start, stretch.end]);
        let inside = edges.filter(|at| self.from < *at && *at <= self.to);
        let mut all: Vec<Timestamp> = std::iter::once(self.from).chain(inside).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl<'a> Stretch<'a> {
    fn state(&self, source: Source) -> State<'a> {
        State { agents: self.agents, source, name: self.name }
    }
}

impl Exception {
    fn stretch(&self, start: Timestamp, end: Timestamp) -> Stretch<'_> {
        Stretch { start, end, agents: self.agents, name: Some(&self.name) }
    }

    /// Its part of each day that may touch the time from `from` to `to`.
    fn parts(
        &self,
        schedule: &Schedule,
        (start, end): (u16, u16),
        from: Timestamp,
        to: Timestamp,
    ) -> impl Iterator<Item = Stretch<'_>> {
        let zone = &schedule.zone;
        // A part that ends at 24:00 may pass midnight where clocks go back, hence the day before.
        let first = clock::date(zone, from).saturating_sub(1.days()).max(self.first);
        let last = clock::date(zone, to).min(self.last);
        let dates = std::iter::successors(Some(first), |date| date.tomorrow().ok());
        dates.take_while(move |date| *date <= last).filter_map(move |date| {
            let start = clock::instant(zone, clock::wall(date, start)?, Edge::Start)?;
            let end = clock::instant(zone, clock::wall(date, end)?, Edge::End)?;
            Some(self.stretch(start, end))
        })
    }
}

fn manual(manual: &Manual, from: Timestamp, to: Timestamp) -> Vec<Stretch<'_>> {
    match manual {
        Manual::Flat(None) => Vec::new(),
        Manual::Flat(Some(agents)) => {
            vec![Stretch { start: Timestamp::MIN, end: Timestamp::MAX, agents: *agents, name: None }]
        }
        Manual::Weekly(periods) => period::occurrences(periods, from, later(to, 1))
            .into_iter()
            .filter(|turn| turn.start <= to && turn.end > from)
            .map(|turn| Stretch {
                start: turn.start,
                end: turn.end,
                agents: turn.period.agents,
                name: turn.period.name.as_deref(),
            })
            .collect(),
    }
}

/// The stretch that holds at an instant. Two of one layer meet only where clocks go back between an end and the start
/// that follows (there the larger count holds), or where boosts overlap.
fn strongest<'s, 'a>(stretches: &'s [Stretch<'a>], at: Timestamp) -> Option<&'s Stretch<'a>> {
    let holding = stretches.iter().filter(|stretch| stretch.start <= at && at < stretch.end);
    holding.max_by_key(|stretch| (stretch.agents, stretch.start, stretch.name))
}
