//! From a draft to a schedule.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::clock::{self, Edge};
use super::draft::{BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft};
use super::error::ScheduleError;
use super::period::{End, Period};
use super::{Boost, Exception, Manual, Schedule, overlap};

/// The most agents that any field takes.
const MOST_AGENTS: u32 = 10_000;
/// Dates and instants of other years are mistakes in writing.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9000;
/// The longest exception, from its first date to its last.
const EXCEPTION: SignedDuration = SignedDuration::from_hours(366 * 24);
/// The longest boost.
const BOOST: SignedDuration = SignedDuration::from_hours(30 * 24);

pub(super) fn schedule(draft: &Draft, from: Timestamp) -> Result<Schedule, ScheduleError> {
    let zone = zone("spec", &draft.zone)?;
    let manual = match &draft.manual {
        None => Manual::Flat(None),
        Some(manual) => self::manual(draft, &zone, manual)?,
    };
    if let Manual::Weekly(periods) = &manual {
        overlap::check(&draft.zone, &zone, periods, from)?;
    }
    count("spec.exceptions", draft.exceptions.len(), 0, 128)?;
    count("spec.boosts", draft.boosts.len(), 0, 64)?;
    let exceptions = draft.exceptions.iter().map(|e| exception(&zone, e)).collect::<Result<Vec<_>, _>>()?;
    for (index, first) in exceptions.iter().enumerate() {
        if let Some(second) = exceptions.iter().skip(index + 1).find(|second| collide(first, second)) {
            return Err(ScheduleError::ExceptionsOverlap {
                first: first.name.clone(),
                second: second.name.clone(),
            });
        }
    }
    let boosts = draft.boosts.iter().map(boost).collect::<Result<Vec<_>, _>>()?;
    Ok(Schedule { zone, manual, exceptions, boosts, checked: from })
}

fn manual(draft: &Draft, zone: &TimeZone, manual: &ManualDraft) -> Result<Manual, ScheduleError> {
    match manual {
        ManualDraft::AllWeek { agents } => {
            Ok(Manual::Flat(Some(self::agents("spec.manual.allWeek", *agents, 1)?)))
        }
        ManualDraft::Weekdays { start, end, agents } => {
            let entry = "spec.manual.weekdays";
            let (start, end) = hours(entry, start, end, "for nights use type Periods")?;
            let agents = self::agents(entry, *agents, 1)?;
            let days =
                [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
            let period = |day| Period {
                name: None,
                zone_name: draft.zone.clone(),
                zone: zone.clone(),
                day,
                start,
                end: End::At { days: 0, minute: end },
                agents,
            };
            Ok(Manual::Weekly(days.into_iter().map(period).collect()))
        }
        ManualDraft::Periods(periods) => {
            count("spec.manual.periods", periods.len(), 1, 64)?;
            periods
                .iter()
                .map(|period| self::period(draft, zone, period))
                .collect::<Result<_, _>>()
                .map(Manual::Weekly)
        }
    }
}

fn period(draft: &Draft, zone: &TimeZone, period: &PeriodDraft) -> Result<Period, ScheduleError> {
    let entry = format!("spec.manual.periods[{}]", period.name);
    let start = start(&entry, &period.start)?;
    let end = match &period.end {
        EndDraft::NextPeriod => End::NextPeriod,
        EndDraft::At { day, time } => {
            let minute = end(&entry, time)?;
            let to = clock::days_since_monday(day.unwrap_or(period.start_day));
            let days = (to + 7 - clock::days_since_monday(period.start_day)) % 7;
            if days == 0 && minute <= start {
                let mend = "for a period over midnight or over several days give endDay";
                return Err(ScheduleError::EndNotAfterStart { entry, mend });
            }
            End::At { days, minute }
        }
    };
    let (zone_name, zone) = match &period.zone {
        Some(name) if *name != draft.zone => (name, self::zone(&entry, name)?),
        Some(_) | None => (&draft.zone, zone.clone()),
    };
    Ok(Period {
        agents: agents(&entry, period.agents, 1)?,
        name: Some(period.name.clone()),
        zone_name: zone_name.clone(),
        zone,
        day: period.start_day,
        start,
        end,
    })
}

fn exception(zone: &TimeZone, draft: &ExceptionDraft) -> Result<Exception, ScheduleError> {
    let entry = format!("spec.exceptions[{}]", draft.name);
    let (first, last) = (draft.from, draft.to);
    if !YEARS.contains(&first.year()) || !YEARS.contains(&last.year()) {
        return Err(ScheduleError::BadDate { entry });
    }
    if last < first {
        return Err(ScheduleError::ExceptionBackwards { entry });
    }
    if last.duration_since(first) > EXCEPTION {
        return Err(ScheduleError::ExceptionTooLong { entry });
    }
    let hours = match &draft.hours {
        None => None,
        Some((start, end)) => Some(self::hours(&entry, start, end, "leave both out for whole days")?),
    };
    let agents = agents(&entry, draft.agents, 0)?;
    let begin = clock::wall(first, hours.map_or(0, |(start, _)| start))
        .and_then(|wall| clock::instant(zone, wall, Edge::Start));
    let end = match hours {
        None => last.tomorrow().ok().and_then(|next| clock::day_start(zone, next)),
        Some((_, end)) => clock::wall(last, end).and_then(|wall| clock::instant(zone, wall, Edge::End)),
    };
    let (Some(start), Some(end)) = (begin, end) else {
        return Err(ScheduleError::BadDate { entry });
    };
    Ok(Exception { name: draft.name.clone(), agents, first, last, hours, start, end })
}

/// Whether two exceptions of the same kind hold at one time.
fn collide(a: &Exception, b: &Exception) -> bool {
    let dates = a.first <= b.last && b.first <= a.last;
    let hours = match (a.hours, b.hours) {
        (None, None) => true,
        (Some(a), Some(b)) => a.0 < b.1 && b.0 < a.1,
        (None, Some(_)) | (Some(_), None) => false,
    };
    dates && hours
}

fn boost(draft: &BoostDraft) -> Result<Boost, ScheduleError> {
    let entry = format!("spec.boosts[{}]", draft.name);
    let (start, end) = (draft.from, draft.until);
    if [start, end].iter().any(|at| !YEARS.contains(&clock::date(&TimeZone::UTC, *at).year())) {
        return Err(ScheduleError::BadDate { entry });
    }
    if end <= start || end.duration_since(start) > BOOST {
        return Err(ScheduleError::BadBoostLength { entry });
    }
    Ok(Boost { agents: agents(&entry, draft.agents, 1)?, name: draft.name.clone(), start, end })
}

fn zone(entry: &str, name: &str) -> Result<TimeZone, ScheduleError> {
    // `Etc/Unknown` is in the data, and stands for no zone.
    let known = TimeZone::get(name).ok().filter(|zone| !zone.is_unknown());
    known.ok_or_else(|| ScheduleError::UnknownZone { entry: entry.to_owned(), zone: name.to_owned() })
}

fn hours(entry: &str, from: &str, to: &str, mend: &'static str) -> Result<(u16, u16), ScheduleError> {
    let (start, end) = (start(entry, from)?, end(entry, to)?);
    if end <= start {
        return Err(ScheduleError::EndNotAfterStart { entry: entry.to_owned(), mend });
    }
    Ok((start, end))
}

fn start(entry: &str, text: &str) -> Result<u16, ScheduleError> {
    clock::time_of_day(text)
        .filter(|minute| *minute < clock::DAY)
        .ok_or_else(|| ScheduleError::BadStart { entry: entry.to_owned(), value: text.to_owned() })
}

fn end(entry: &str, text: &str) -> Result<u16, ScheduleError> {
    clock::time_of_day(text)
        .ok_or_else(|| ScheduleError::BadEnd { entry: entry.to_owned(), value: text.to_owned() })
}

fn agents(entry: &str, agents: u32, least: u32) -> Result<u32, ScheduleError> {
    if (least..=MOST_AGENTS).contains(&agents) {
        Ok(agents)
    } else {
        Err(ScheduleError::BadAgents { entry: entry.to_owned(), agents, least })
    }
}

fn count(entry: &'static str, count: usize, least: usize, most: usize) -> Result<(), ScheduleError> {
    if (least..=most).contains(&count) {
        Ok(())
    } else {
        Err(ScheduleError::BadCount { entry, count, least, most })
    }
}
