use rstest::rstest;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn monday() -> Timestamp {
    at("2026-11-23T08:30:00Z")
}

fn object(spec: &str) -> StandbySchedule {
    let mut object = StandbySchedule::new("office-hours", serde_yaml::from_str(spec).unwrap());
    object.metadata.generation = Some(3);
    object
}

const OFFICE: &str = r#"
timeZone: Europe/Stockholm
manual:
  type: Periods
  periods:
  - {name: mornings, startDay: Monday, start: "08:00", end: "12:00", agents: 6}
  - {name: monday-rest, startDay: Monday, start: "12:00", until: NextPeriod, agents: 2}
  - {name: weekend, startDay: Friday, start: "18:00", endDay: Monday, end: "05:00", agents: 1}
exceptions:
- {name: christmas, from: "2025-12-24", to: "2025-12-26", agents: 0}
"#;

#[test]
fn a_valid_schedule_shows_now_and_next_and_the_week() {
    let users = ["linux-build".to_owned(), "windows-ui".to_owned()];
    let (status, changes_at) = status(&object(OFFICE), &users, monday());
    assert_eq!(status.observed_generation, Some(3));
    let [ready] = status.conditions.as_slice() else { panic!("{:?}", status.conditions) };
    assert_eq!(
        (ready.type_.as_str(), ready.status.as_str(), ready.reason.as_str()),
        ("Ready", "True", "Valid")
    );
    assert_eq!(ready.message, "used by linux-build, windows-ui; past: exception christmas");
    let noon = at("2026-11-23T11:00:00Z");
    let current = status.current.unwrap();
    assert_eq!(
        (current.agents, current.source.as_str(), current.name.as_deref()),
        (6, "Manual", Some("mornings"))
    );
    assert_eq!(current.until, Some(Time(noon)));
    let next = status.next_change.unwrap();
    assert_eq!((next.at, next.agents, next.name.as_deref()), (Time(noon), 2, Some("monday-rest")));
    assert_eq!(changes_at, Some(noon));
    let rows: Vec<_> =
        status.week.iter().map(|row| (&*row.start, &*row.end, row.agents, &*row.period)).collect();
    assert_eq!(
        rows,
        [
            ("Monday 00:00", "Monday 05:00", 1, "weekend"),
            ("Monday 08:00", "Monday 12:00", 6, "mornings"),
            ("Monday 12:00", "Friday 18:00", 2, "monday-rest"),
            ("Friday 18:00", "Sunday 24:00", 1, "weekend"),
        ]
    );
}

#[test]
fn a_second_look_at_the_same_world_finds_the_same_status() {
    let mut object = object(OFFICE);
    object.status = Some(status(&object, &[], monday()).0);
    // As it comes back from the API server.
    let stored: StandbySchedule = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
    let (again, _) = status(&stored, &[], at("2026-11-23T10:59:59.5Z"));
    assert_eq!(Some(again), stored.status);
}

#[rstest]
#[case(
    r#"manual: {type: Periods, periods: [
        {name: a, startDay: Monday, start: "08:00", end: "12:00", agents: 1},
        {name: b, startDay: Monday, start: "11:00", end: "13:00", agents: 1}]}"#,
    "PeriodsOverlap",
    "periods a and b overlap"
)]
#[case(
    "{timeZone: Mars/Olympus, manual: {type: AllWeek, allWeek: {agents: 1}}}",
    "InvalidSpec",
    "spec.timeZone"
)]
fn a_bad_schedule_stalls_and_ready_says_the_same(
    #[case] spec: &str,
    #[case] reason: &str,
    #[case] words: &str,
) {
    let (status, changes_at) = status(&object(spec), &["a".to_owned()], monday());
    let found: Vec<_> =
        status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str(), c.reason.as_str())).collect();
    assert_eq!(found, [("Ready", "False", reason), ("Stalled", "True", reason)]);
    assert!(status.conditions[0].message.starts_with(words), "{}", status.conditions[0].message);
    assert_eq!(status.conditions[0].message, status.conditions[1].message);
    assert_eq!((status.current, status.next_change, changes_at), (None, None, None));
}

#[test]
fn what_history_decides_is_not_shown() {
    let (learned, changes_at) = status(&object("automatic: {}"), &[], monday());
    assert_eq!(
        (learned.conditions[0].reason.as_str(), learned.current, learned.next_change),
        ("Valid", None, None)
    );
    assert_eq!((learned.conditions[0].message.as_str(), changes_at), ("not used by any pool", None));

    let closed =
        object("{automatic: {}, exceptions: [{name: fair, from: 2026-11-24, to: 2026-11-24, agents: 9}]}");
    let (before, _) = status(&closed, &[], monday());
    assert_eq!((before.current, before.next_change.map(|next| next.agents)), (None, Some(9)));
    let (during, _) = status(&closed, &[], at("2026-11-24T12:00:00Z"));
    assert_eq!((during.current.map(|current| current.agents), during.next_change), (Some(9), None));
}
