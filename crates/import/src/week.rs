//! The week of Managed DevOps Pools' `daysData` as the plan of a StandbySchedule.
//!
//! Managed DevOps Pools, scaling: the list has seven days from Sunday on, or one that stands for all; a day maps times
//! to counts; a count holds until the next entry, on whichever day that comes.

use std::collections::BTreeMap;

use poolkeeper_api::Weekday;

use crate::{
    ImportError,
    manifest::{Map, Node},
    read::Field,
};

const DAY: u16 = 24 * 60;
const WEEK: u16 = 7 * DAY;
/// Of a StandbySchedule.
const MOST_PERIODS: usize = 64;
/// Of every count.
const MOST_AGENTS: u32 = 10_000;

/// A plan of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// None at any time.
    Nothing,
    AllWeek(u32),
    /// Minutes of the day.
    Weekdays {
        start: u16,
        end: u16,
        agents: u32,
    },
    Periods(Vec<Span>),
}

/// So many agents for some minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Minutes since Monday 00:00.
    start: u16,
    minutes: u16,
    agents: u32,
}

impl Plan {
    pub(crate) fn read(days: &Field<'_>) -> Result<Self, ImportError> {
        let changes = changes(days)?;
        let spans = match levels(&changes) {
            Levels::Constant(0) => return Ok(Self::Nothing),
            Levels::Constant(agents) => return Ok(Self::AllWeek(agents)),
            Levels::Varying(spans) => spans,
        };
        if let Some(plan) = weekdays(&spans) {
            return Ok(plan);
        }
        let spans: Vec<Span> = spans.into_iter().flat_map(parts).collect();
        if spans.len() > MOST_PERIODS {
            return Err(ImportError::TooManyPeriods { path: days.path(), count: spans.len() });
        }
        Ok(Self::Periods(spans))
    }

    /// The largest count, and where it stands.
    pub(crate) fn highest(&self) -> Option<(u32, String)> {
        match self {
            Self::Nothing => None,
            Self::AllWeek(agents) => Some((*agents, "allWeek".to_owned())),
            Self::Weekdays { agents, .. } => Some((*agents, "weekdays".to_owned())),
            Self::Periods(spans) => {
                let highest = spans.iter().max_by_key(|span| (span.agents, std::cmp::Reverse(span.start)))?;
                Some((highest.agents, format!("period {}", highest.name())))
            }
        }
    }

    /// `spec.manual`; none for a plan of nothing.
    pub(crate) fn manual(&self) -> Option<Map> {
        let (type_, member, node) = match self {
            Self::Nothing => return None,
            Self::AllWeek(agents) => ("AllWeek", "allWeek", Node::Map(Map::new().number("agents", *agents))),
            Self::Weekdays { start, end, agents } => {
                let map = Map::new()
                    .text("start", &time(*start))
                    .text("end", &time(*end))
                    .number("agents", *agents);
                ("Weekdays", "weekdays", Node::Map(map))
            }
            Self::Periods(spans) => {
                let maps = spans.iter().map(Span::map).collect();
                ("Periods", "periods", Node::Maps(maps))
            }
        };
        Some(Map::new().text("type", type_).field(member, node))
    }
}

impl Span {
    fn name(&self) -> String {
        let time = time(self.start % DAY).replace(':', "");
        format!("{}-{time}", day(self.start)).to_ascii_lowercase()
    }

    /// An end at midnight is the evening's 24:00.
    fn map(&self) -> Map {
        let last = (self.start + self.minutes - 1) % WEEK;
        let (first, last_day) = (day(self.start), day(last));
        let map = Map::new()
            .text("name", &self.name())
            .text("startDay", first)
            .text("start", &time(self.start % DAY));
        let map = if first == last_day { map } else { map.text("endDay", last_day) };
        map.text("end", &time(last % DAY + 1)).number("agents", self.agents)
    }
}

/// When the count changes, in minutes since Monday 00:00.
fn changes(days: &Field<'_>) -> Result<BTreeMap<u16, u32>, ImportError> {
    let items = days.items()?;
    if !matches!(items.len(), 0 | 1 | 7) {
        return Err(ImportError::BadWeek { path: days.path(), count: items.len() });
    }
    let mut changes = BTreeMap::new();
    let mut midnights = BTreeMap::new();
    for (index, item) in (0..7).zip(items.iter().cycle()) {
        // Sunday is the last day of our week.
        let begin = (index + 6) % 7 * DAY;
        for (key, count) in item.members()? {
            let minute = minute(key)
                .ok_or_else(|| ImportError::BadTime { path: item.path(), found: key.to_owned() })?;
            let agents = count.whole(0, MOST_AGENTS)?.unwrap_or(0);
            let of = if minute == DAY { &mut midnights } else { &mut changes };
            of.insert((begin + minute) % WEEK, agents);
        }
    }
    // The next day's own 00:00 comes after a 24:00.
    for (minute, agents) in midnights {
        changes.entry(minute).or_insert(agents);
    }
    Ok(changes)
}

enum Levels {
    Constant(u32),
    /// What is above zero, by start; neighbours differ, across the week's end too.
    Varying(Vec<Span>),
}

fn levels(changes: &BTreeMap<u16, u32>) -> Levels {
    let mut before = changes.values().next_back().copied().unwrap_or(0);
    let mut turns: Vec<(u16, u32)> = Vec::new();
    for (minute, agents) in changes {
        if *agents != before {
            turns.push((*minute, *agents));
        }
        before = *agents;
    }
    let Some((first, _)) = turns.first().copied() else { return Levels::Constant(before) };
    let ends = turns.iter().skip(1).map(|(minute, _)| *minute).chain([first + WEEK]);
    let spans = turns.iter().zip(ends).map(|((start, agents), end)| Span {
        start: *start,
        minutes: end - start,
        agents: *agents,
    });
    Levels::Varying(spans.filter(|span| span.agents > 0).collect())
}

/// The same hours on each of the five days, and nothing else.
fn weekdays(spans: &[Span]) -> Option<Plan> {
    let monday = spans.iter().find(|span| span.start < DAY)?;
    let (start, end) = (monday.start, (monday.start + monday.minutes).min(DAY));
    let whole_days = start == 0 && end == DAY;
    let expected: Vec<Span> = if whole_days {
        vec![Span { start: 0, minutes: 5 * DAY, agents: monday.agents }]
    } else {
        (0..5)
            .map(|day| Span { start: day * DAY + start, minutes: end - start, agents: monday.agents })
            .collect()
    };
    (expected == spans).then_some(Plan::Weekdays { start, end, agents: monday.agents })
}

/// A period ends on the first such day after its start: one that ends a week later, before the hour of its start, is
/// written as two that meet at midnight.
fn parts(span: Span) -> Vec<Span> {
    let to_midnight = WEEK - span.start % DAY;
    if span.minutes <= to_midnight {
        return vec![span];
    }
    let rest = Span { start: (span.start + to_midnight) % WEEK, minutes: span.minutes - to_midnight, ..span };
    vec![Span { minutes: to_midnight, ..span }, rest]
}

fn day(minute: u16) -> &'static str {
    let index = usize::from(minute / DAY % 7);
    match Weekday::ALL.get(index) {
        Some(Weekday::Monday) | None => "Monday",
        Some(Weekday::Tuesday) => "Tuesday",
        Some(Weekday::Wednesday) => "Wednesday",
        Some(Weekday::Thursday) => "Thursday",
        Some(Weekday::Friday) => "Friday",
        Some(Weekday::Saturday) => "Saturday",
        Some(Weekday::Sunday) => "Sunday",
    }
}

fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `HH:MM:00` or `HH:MM`, up to `24:00:00`.
fn minute(text: &str) -> Option<u16> {
    let mut parts = text.split(':');
    let mut number = |most: u16| {
        let part = parts.next()?;
        let plain = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| part.parse().ok()).flatten().filter(|n: &u16| *n <= most)
    };
    let minutes = number(24)? * 60 + number(59)?;
    let seconds_are_none = match text.split(':').count() {
        2 => true,
        3 => number(0) == Some(0),
        _ => false,
    };
    (seconds_are_none && minutes <= DAY).then_some(minutes)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;
    use crate::read::Source;

    fn plan(days: &Value) -> Result<Plan, String> {
        Plan::read(&Source::new(days).field()).map_err(|error| error.to_string())
    }

    /// `Monday 09:00, 480 minutes, 4 agents` in short.
    fn periods(spans: &[(u16, u16, u16, u32)]) -> Plan {
        let span = |&(day, hour, minutes, agents): &(u16, u16, u16, u32)| Span {
            start: day * DAY + hour * 60,
            minutes,
            agents,
        };
        Plan::Periods(spans.iter().map(span).collect())
    }

    const MONDAY: u16 = 0;
    const TUESDAY: u16 = 1;
    const FRIDAY: u16 = 4;
    const SATURDAY: u16 = 5;
    const SUNDAY: u16 = 6;

    #[rstest]
    #[case::nothing(json!([]), Plan::Nothing)]
    #[case::seven_empty(json!([{}, {}, {}, {}, {}, {}, {}]), Plan::Nothing)]
    #[case::zeros(json!([{"00:00:00": 0}]), Plan::Nothing)]
    #[case::all_week(json!([{"00:00:00": 3}]), Plan::AllWeek(3))]
    #[case::all_week_from_any_hour(json!([{"10:00:00": 3}]), Plan::AllWeek(3))]
    #[case::one_entry_in_seven_days(json!([{}, {}, {"13:30:00": 2}, {}, {}, {}, {}]), Plan::AllWeek(2))]
    #[case::weekdays(
        json!([{}, {"09:00:00": 4, "17:00:00": 0}, {"09:00:00": 4, "17:00:00": 0}, {"09:00:00": 4, "17:00:00": 0},
               {"09:00:00": 4, "17:00:00": 0}, {"09:00:00": 4, "17:00:00": 0}, {}]),
        Plan::Weekdays { start: 540, end: 1020, agents: 4 })]
    #[case::weekdays_until_midnight(
        json!([{"00:00:00": 0}, {"09:00:00": 4, "24:00:00": 0}, {"09:00:00": 4, "24:00:00": 0}, {"09:00:00": 4, "24:00:00": 0},
               {"09:00:00": 4, "24:00:00": 0}, {"09:00:00": 4, "24:00:00": 0}, {}]),
        Plan::Weekdays { start: 540, end: 1440, agents: 4 })]
    #[case::whole_weekdays(
        json!([{"00:00:00": 0}, {"00:00:00": 2}, {}, {}, {}, {}, {"00:00:00": 0}]),
        Plan::Weekdays { start: 0, end: 1440, agents: 2 })]
    #[case::one_day(json!([{}, {"00:00:00": 1, "05:00:00": 0}, {}, {}, {}, {}, {}]), periods(&[(MONDAY, 0, 300, 1)]))]
    #[case::half_hours(
        json!([{}, {}, {"09:30:00": 1, "10:00:00": 0}, {}, {}, {}, {}]),
        Plan::Periods(vec![Span { start: DAY + 570, minutes: 30, agents: 1 }]))]
    #[case::over_midnight(
        json!([{}, {"22:00:00": 3}, {"06:00:00": 0}, {}, {}, {}, {}]), periods(&[(MONDAY, 22, 480, 3)]))]
    #[case::over_the_weeks_end_of_azure(
        json!([{"06:00:00": 0}, {}, {}, {}, {}, {}, {"22:00:00": 3}]), periods(&[(SATURDAY, 22, 480, 3)]))]
    #[case::over_our_weeks_end(
        json!([{"22:00:00": 3}, {"06:00:00": 0}, {}, {}, {}, {}, {}]), periods(&[(SUNDAY, 22, 480, 3)]))]
    #[case::until_midnight(
        json!([{}, {"20:00:00": 3, "24:00:00": 0}, {}, {}, {}, {}, {}]), periods(&[(MONDAY, 20, 240, 3)]))]
    #[case::the_next_days_own_midnight_wins(
        json!([{}, {"20:00:00": 3, "24:00:00": 0}, {"00:00:00": 2, "01:00:00": 0}, {}, {}, {}, {}]),
        periods(&[(MONDAY, 20, 240, 3), (TUESDAY, 0, 60, 2)]))]
    #[case::saturdays_24_and_sundays_0(
        json!([{"00:00:00": 1, "01:00:00": 0}, {}, {}, {}, {}, {}, {"23:00:00": 5, "24:00:00": 0}]),
        periods(&[(SATURDAY, 23, 60, 5), (SUNDAY, 0, 60, 1)]))]
    #[case::equal_counts_are_one_period(
        json!([{}, {"08:00:00": 2, "12:00:00": 2, "14:00:00": 0}, {}, {}, {}, {}, {}]), periods(&[(MONDAY, 8, 360, 2)]))]
    #[case::every_day_alike_from_one_item(
        json!([{"09:00:00": 1, "10:00:00": 0}]),
        periods(&[(0, 9, 60, 1), (1, 9, 60, 1), (2, 9, 60, 1), (3, 9, 60, 1), (4, 9, 60, 1), (5, 9, 60, 1), (6, 9, 60, 1)]))]
    #[case::nearly_a_week_is_cut_at_midnight(
        json!([{}, {}, {"08:00:00": 0, "09:00:00": 1}, {}, {}, {}, {}]),
        periods(&[(TUESDAY, 9, 6 * 1440 + 900, 1), (TUESDAY, 0, 480, 1)]))]
    #[case::a_week_without_its_friday_evening(
        json!([{}, {}, {}, {}, {}, {"18:00:00": 0, "24:00:00": 1}, {}]), periods(&[(SATURDAY, 0, 6 * 1440 + 1080, 1)]))]
    #[case::levels_that_meet(
        json!([{}, {}, {}, {}, {}, {"08:00:00": 1, "09:00:00": 10, "17:00:00": 0}, {}]),
        periods(&[(FRIDAY, 8, 60, 1), (FRIDAY, 9, 480, 10)]))]
    fn weeks(#[case] days: Value, #[case] expected: Plan) {
        assert_eq!(plan(&days), Ok(expected));
    }

    #[rstest]
    #[case(json!([{}, {}]), "has 2 items")]
    #[case(json!([{"09:00:00": -1}]), "[0].09:00:00 is -1; it must be a whole number from 0 to 10000")]
    #[case(json!([{"09:00:00": 1.5}]), "is 1.5")]
    #[case(json!([{"09:00:00": 10001}]), "is 10001")]
    #[case(json!([{"09:00:00": "4"}]), "must be a whole number")]
    #[case(json!([{"09:00:00": "[parameters('n')]"}]), "template expression [parameters('n')]")]
    #[case(json!([{"09:00:30": 1}]), "\"09:00:30\" is no time of day in whole minutes")]
    #[case(json!([{"25:00:00": 1}]), "is no time")]
    #[case(json!([{"24:30:00": 1}]), "is no time")]
    #[case(json!([{"nine": 1}]), "is no time")]
    #[case(json!([[1]]), "[0] is a list; it must be an object")]
    #[case(json!({"monday": {}}), "must be a list")]
    fn bad_weeks(#[case] days: Value, #[case] words: &str) {
        let error = plan(&days).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn more_periods_than_a_schedule_takes() {
        let day = |entries: u16| -> Value {
            let entry =
                |n: u16| (format!("{:02}:{:02}:00", n / 2, n % 2 * 30), json!(n % 2 + u16::from(n % 4 == 1)));
            (0..entries).map(entry).collect::<serde_json::Map<_, _>>().into()
        };
        let days = |entries| json!([{}, day(entries), day(entries), day(entries), day(entries), {}, {}]);
        assert!(matches!(plan(&days(32)), Ok(Plan::Periods(spans)) if spans.len() == 64));
        let error = plan(&days(34)).unwrap_err();
        assert!(error.contains("makes 68 periods, and a StandbySchedule takes 64"), "{error}");
    }
}
