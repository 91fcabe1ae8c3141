//! From the stored StandbySchedule to what policy checks. No IO.

use jiff::Timestamp;
use poolkeeper_api::{
    StandbyScheduleSpec,
    standby_schedule::{Boost, Exception, Manual, ManualType, Period, Until},
};
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule, ScheduleError,
};

/// The schedule as it was written. What an object that was stored under older rules lacks stays empty, and
/// [`check`] names it.
#[must_use]
pub fn draft(spec: &StandbyScheduleSpec) -> Draft {
    Draft {
        zone: spec.time_zone.clone(),
        manual: spec.manual.as_ref().map(manual),
        exceptions: spec.exceptions.iter().map(exception).collect(),
        boosts: spec.boosts.iter().map(boost).collect(),
    }
}

/// The schedule, checked as of `now`.
///
/// # Errors
/// The first thing that is wrong, with its path and the mend.
pub fn check(spec: &StandbyScheduleSpec, now: Timestamp) -> Result<Schedule, ScheduleError> {
    Schedule::check(&draft(spec), now)
}

fn manual(manual: &Manual) -> ManualDraft {
    match manual.type_ {
        ManualType::Weekdays => {
            let days = manual.weekdays.as_ref();
            ManualDraft::Weekdays {
                start: days.map(|days| days.start.clone()).unwrap_or_default(),
                end: days.map(|days| days.end.clone()).unwrap_or_default(),
                agents: agents(days.map_or(0, |days| days.agents)),
            }
        }
        ManualType::AllWeek => {
            ManualDraft::AllWeek { agents: agents(manual.all_week.as_ref().map_or(0, |week| week.agents)) }
        }
        ManualType::Periods => {
            ManualDraft::Periods(manual.periods.as_deref().unwrap_or_default().iter().map(period).collect())
        }
    }
}

fn period(period: &Period) -> PeriodDraft {
    PeriodDraft {
        name: period.name.clone(),
        zone: period.time_zone.clone(),
        start_day: period.start_day.into(),
        start: period.start.clone(),
        end: match (&period.end, period.until) {
            (None, Some(Until::NextPeriod)) => EndDraft::NextPeriod,
            (end, _) => {
                EndDraft::At { day: period.end_day.map(Into::into), time: end.clone().unwrap_or_default() }
            }
        },
        agents: agents(period.agents),
    }
}

fn exception(exception: &Exception) -> ExceptionDraft {
    let hours = match (&exception.start, &exception.end) {
        (None, None) => None,
        (start, end) => Some((start.clone().unwrap_or_default(), end.clone().unwrap_or_default())),
    };
    ExceptionDraft {
        name: exception.name.clone(),
        from: exception.from,
        to: exception.to,
        hours,
        agents: agents(exception.agents),
    }
}

fn boost(boost: &Boost) -> BoostDraft {
    BoostDraft {
        name: boost.name.clone(),
        from: boost.from.0,
        until: boost.until.0,
        agents: agents(boost.agents),
    }
}

/// Below zero is none; the API server refuses it.
fn agents(count: i32) -> u32 {
    u32::try_from(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Weekday;
    use rstest::rstest;

    use super::*;

    fn spec(yaml: &str) -> StandbyScheduleSpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn monday() -> Timestamp {
        "2026-11-23T08:30:00Z".parse().unwrap()
    }

    #[test]
    fn every_field_arrives() {
        let draft = draft(&spec(
            r#"
            timeZone: Europe/Stockholm
            manual:
              type: Periods
              periods:
              - {name: mornings, startDay: Monday, start: "08:00", end: "12:00", agents: 6}
              - {name: rest, startDay: Monday, start: "12:00", until: NextPeriod, agents: 2}
              - {name: weekend, startDay: Friday, start: "18:00", endDay: Monday, end: "05:00", agents: 1, timeZone: Asia/Tokyo}
            exceptions:
            - {name: christmas, from: "2026-12-24", to: "2026-12-26", agents: 0}
            - {name: eve, from: "2026-12-01", to: "2026-12-02", start: "18:00", end: "24:00", agents: 8}
            boosts:
            - {name: release, from: "2026-12-02T06:00:00+01:00", until: "2026-12-02T17:00:00Z", agents: 20}
            "#,
        ));
        let period = |name: &str, start_day, start: &str, end, agents, zone: Option<&str>| PeriodDraft {
            name: name.into(),
            zone: zone.map(Into::into),
            start_day,
            start: start.into(),
            end,
            agents,
        };
        let at = |day, time: &str| EndDraft::At { day, time: time.into() };
        let exception = |name: &str, from: &str, to: &str, hours, agents| ExceptionDraft {
            name: name.into(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            hours,
            agents,
        };
        let expected = Draft {
            zone: "Europe/Stockholm".into(),
            manual: Some(ManualDraft::Periods(vec![
                period("mornings", Weekday::Monday, "08:00", at(None, "12:00"), 6, None),
                period("rest", Weekday::Monday, "12:00", EndDraft::NextPeriod, 2, None),
                period(
                    "weekend",
                    Weekday::Friday,
                    "18:00",
                    at(Some(Weekday::Monday), "05:00"),
                    1,
                    Some("Asia/Tokyo"),
                ),
            ])),
            exceptions: vec![
                exception("christmas", "2026-12-24", "2026-12-26", None, 0),
                exception("eve", "2026-12-01", "2026-12-02", Some(("18:00".into(), "24:00".into())), 8),
            ],
            boosts: vec![BoostDraft {
                name: "release".into(),
                from: "2026-12-02T05:00:00Z".parse().unwrap(),
                until: "2026-12-02T17:00:00Z".parse().unwrap(),
                agents: 20,
            }],
        };
        assert_eq!(draft, expected);
        assert!(Schedule::check(&draft, monday()).is_ok());
    }

    #[rstest]
    #[case("{type: Weekdays, weekdays: {start: \"08:00\", end: \"18:00\", agents: 4}}", 4)]
    #[case("{type: AllWeek, allWeek: {agents: 3}}", 3)]
    fn the_other_plans_of_a_week(#[case] manual: &str, #[case] agents: u32) {
        let schedule = check(&spec(&format!("{{timeZone: UTC, manual: {manual}}}")), monday()).unwrap();
        assert_eq!(schedule.level(monday()).agents, agents);
    }

    /// What the API server refuses may still be stored, under older rules.
    #[rstest]
    #[case("manual: {type: Weekdays}", "spec.manual.weekdays.start")]
    #[case("manual: {type: AllWeek}", "spec.manual.allWeek.agents")]
    #[case("manual: {type: Periods}", "spec.manual.periods")]
    #[case("manual: {type: AllWeek, allWeek: {agents: -1}}", "spec.manual.allWeek.agents")]
    #[case(
        "manual: {type: Periods, periods: [{name: p, startDay: Monday, start: \"08:00\", agents: 1}]}",
        "spec.manual.periods[p].end"
    )]
    #[case(
        "exceptions: [{name: e, from: 2026-12-01, to: 2026-12-01, end: \"10:00\", agents: 1}]",
        "spec.exceptions[e].start"
    )]
    #[case("timeZone: Mars/Olympus", "spec.timeZone")]
    fn what_is_wrong_is_named(#[case] yaml: &str, #[case] path: &str) {
        let error = check(&spec(yaml), monday()).unwrap_err().to_string();
        assert!(error.starts_with(path), "{error}");
    }
}
