//! What stands by where a constant, a schedule and a forecast are given.

use jiff::Timestamp;

use super::timeline::{State, Timeline};
use super::{Change, FAR_HOURS, Level, Manual, NEAR_HOURS, Schedule, Source, YEAR_HOURS, later};
use crate::forecast::Forecast;

/// The largest of all, but where an exception holds, which a forecast does not raise. On a tie the constant stands
/// first, then the schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layers<'a> {
    schedule: Option<&'a Schedule>,
    constant: u32,
    /// Only one that is somewhere above what always holds.
    forecast: Option<&'a Forecast>,
}

impl<'a> Layers<'a> {
    pub(crate) fn new(schedule: Option<&'a Schedule>, constant: u32, forecast: Option<&'a Forecast>) -> Self {
        let all_week = match schedule.map(|schedule| &schedule.manual) {
            Some(Manual::Flat(Some(agents))) => *agents,
            Some(Manual::Flat(None) | Manual::Weekly(_)) | None => 0,
        };
        let forecast = forecast.filter(|forecast| forecast.highest() > constant.max(all_week));
        Self { schedule, constant, forecast }
    }

    pub(crate) fn level(&self, at: Timestamp) -> Level {
        let (state, next) = self.next_difference(at, |a, b| a == b);
        Level {
            agents: state.agents,
            source: state.source,
            name: state.name.map(str::to_owned),
            until: next.map(|(at, _)| at),
        }
    }

    pub(crate) fn next_change(&self, after: Timestamp) -> Option<Change> {
        let same = |a: &State<'_>, b: &State<'_>| (a.agents, a.source) == (b.agents, b.source);
        self.next_difference(after, same).1.map(Change::from)
    }

    /// Every change of agents, source or name after `after`, up to `until`.
    pub(crate) fn changes(&self, after: Timestamp, until: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        let (mut from, mut before) = (after, None);
        while from < until {
            let to = later(from, FAR_HOURS).min(until);
            let view = View::new(self, from, to);
            for at in view.boundaries() {
                let state = view.state(at);
                if before.is_some_and(|before| before != state) {
                    changes.push(Change::from((at, state)));
                }
                before = Some(state);
            }
            from = to;
        }
        changes
    }

    /// The state at `after`, and the first later one that is not the `same`, with its instant.
    fn next_difference(
        &self,
        after: Timestamp,
        same: impl Fn(&State<'_>, &State<'_>) -> bool,
    ) -> (State<'a>, Option<(Timestamp, State<'a>)>) {
        let year = later(after, YEAR_HOURS);
        let mut from = after;
        let mut to = later(after, NEAR_HOURS);
        let mut view = View::new(self, from, to);
        let current = view.state(after);
        loop {
            let states = view.boundaries().into_iter().map(|at| (at, view.state(at)));
            let found = states.into_iter().find(|(_, state)| !same(state, &current));
            if found.is_some() {
                return (current, found);
            }
            // What does not vary by itself can only change where an exception or a boost begins or ends.
            let next = if self.varies() && to < year { Some(to) } else { self.next_dated(to) };
            let Some(next) = next.filter(|next| *next > from && *next < Timestamp::MAX) else {
                return (current, None);
            };
            from = next;
            to = later(from, FAR_HOURS);
            view = View::new(self, from, to);
        }
    }

    fn varies(&self) -> bool {
        let manual = self.schedule.is_some_and(|schedule| matches!(schedule.manual, Manual::Weekly(_)));
        manual || self.forecast.is_some_and(Forecast::varies)
    }

    fn next_dated(&self, at: Timestamp) -> Option<Timestamp> {
        self.schedule.and_then(|schedule| schedule.next_dated(at))
    }
}

/// The layers from one instant to another.
struct View<'a> {
    timeline: Timeline<'a>,
    layers: Layers<'a>,
    from: Timestamp,
    to: Timestamp,
}

impl<'a> View<'a> {
    fn new(layers: &Layers<'a>, from: Timestamp, to: Timestamp) -> Self {
        let empty = || Timeline::empty(from, to);
        let timeline = layers.schedule.map_or_else(empty, |schedule| Timeline::new(schedule, from, to));
        Self { timeline, layers: *layers, from, to }
    }

    fn state(&self, at: Timestamp) -> State<'a> {
        let state = self.timeline.state(at);
        let above = |agents: &u32| *agents > state.agents && self.timeline.exception(at).is_none();
        let forecast = self.layers.forecast.map(|forecast| forecast.level(at)).filter(above);
        let automatic = |agents| State { agents, source: Source::Automatic, name: None };
        forecast.map_or(state, automatic).or_constant(self.layers.constant)
    }

    /// Every instant at which the state may differ from the one before, in order; `from` is one of them.
    fn boundaries(&self) -> Vec<Timestamp> {
        let mut all = self.timeline.boundaries();
        if let Some(forecast) = self.layers.forecast {
            all.extend(forecast.changes(self.from, self.to));
            all.sort_unstable();
            all.dedup();
        }
        all
    }
}

impl From<(Timestamp, State<'_>)> for Change {
    fn from((at, State { agents, source, name }): (Timestamp, State<'_>)) -> Self {
        Self { at, agents, source, name: name.map(str::to_owned) }
    }
}
