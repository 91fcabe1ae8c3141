//! Standby as Managed DevOps Pools describe theirs, sentence by sentence.
//!
//! What other tests show already is cited there and not repeated: the two examples, several days, until the next period
//! and all week in `schedule.rs`, clock changes in `schedule_clocks.rs`, overlaps in `schedule_errors.rs`, images and
//! demands in `demands.rs`, percentiles in `forecast.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[path = "decide/support/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of decisions")]
mod scene;
#[path = "explain/support.rs"]
#[allow(dead_code, reason = "shared with the tests of explanations")]
mod support;

use jiff::Timestamp;
use jiff::civil::Weekday::{self, Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
use poolkeeper_policy::schedule::{
    BoostDraft, Draft, EndDraft, ExceptionDraft, ManualDraft, PeriodDraft, Schedule, Source,
};
use poolkeeper_policy::{
    Action, Basis, Binding, BindingName, Image, Lifecycle, Plan, Pool, PoolReason, Provisioning,
};
use rstest::rstest;
use scene::{Scene, machine, scene};
use support::{Passes, binding, image, minutes, pool, with_windows};

/// A Monday morning.
fn monday() -> Timestamp {
    at("2026-11-23T08:00:00Z")
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

fn draft(manual: ManualDraft) -> Draft {
    Draft { zone: "UTC".into(), manual: Some(manual), exceptions: vec![], boosts: vec![] }
}

fn check(manual: ManualDraft) -> Schedule {
    Schedule::check(&draft(manual), monday()).unwrap()
}

fn weekdays(agents: u32) -> ManualDraft {
    ManualDraft::Weekdays { start: "08:00".into(), end: "18:00".into(), agents }
}

fn period(name: &str, start: (Weekday, &str), end: EndDraft, agents: u32) -> PeriodDraft {
    PeriodDraft { name: name.into(), zone: None, start_day: start.0, start: start.1.into(), end, agents }
}

fn until(day: Option<Weekday>, time: &str) -> EndDraft {
    EndDraft::At { day, time: time.into() }
}

fn growths(plan: &Plan) -> Vec<(&str, u32)> {
    let growth = |action: &'_ Action| match action {
        Action::Grow { by, .. } => Some(*by),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    };
    plan.actions.iter().filter_map(|action| Some((action.binding().0.as_str(), growth(action)?))).collect()
}

fn leave(plan: &Plan) -> bool {
    plan.actions.iter().any(|action| matches!(action, Action::Disable { .. } | Action::Remove { .. }))
}

/// A pool that follows a plan, without a constant.
fn follows(manual: ManualDraft) -> Pool {
    let mut pool = pool(0);
    pool.standby.schedule = Some(check(manual));
    pool
}

// ---- the mode ----

/// Managed DevOps Pools, scaling, standby agent mode: unless it is switched on nobody stands by, and a job waits for an
/// agent that is started for it (also: the mode Off).
#[rstest]
#[case::nothing(scene([]), vec![])]
#[case::a_job(scene([]).queued(1), vec![("d4", 1)])]
#[case::some_jobs(scene([]).queued(3), vec![("d4", 3)])]
fn off_is_the_default(#[case] scene: Scene, #[case] expected: Vec<(&str, u32)>) {
    let plan = Passes::of(pool(0)).look(&scene);
    assert_eq!(growths(&plan), expected);
    assert_eq!((plan.standby.agents, plan.standby.source, plan.next_change), (0, Source::Off, None));
}

/// Managed DevOps Pools, scaling, standby agent mode: what is provisioned is compared with the schedule's count time and
/// again (see `decide/cadence.rs`), and what is missing is started. They count busy agents as provisioned, which is basis `Total`.
#[rstest]
#[case::nobody_there(0, 0, 0, [3, 3])]
#[case::one_free(1, 0, 0, [2, 2])]
#[case::one_on_its_way(1, 0, 1, [1, 1])]
#[case::one_at_a_job(1, 1, 0, [2, 1])]
#[case::enough(3, 0, 0, [0, 0])]
#[case::all_at_jobs(0, 3, 0, [3, 0])]
fn the_count_is_kept(#[case] idle: u32, #[case] busy: u32, #[case] starting: u32, #[case] missing: [u32; 2]) {
    let named =
        |kind: &str, count: u32| (0..count).map(|n| machine(&format!("{kind}{n}"))).collect::<Vec<_>>();
    let machines = named("idle", idle).into_iter().map(scene::Machine::idle);
    let machines = machines.chain(named("busy", busy).into_iter().map(scene::Machine::busy));
    let coming = named("new", starting).into_iter().map(|new| new.provisioning(Provisioning::Creating));
    let scene = scene(machines.chain(coming.map(|new| new.vm(|vm| vm.created_at = Some(monday())))));
    for (basis, missing) in [Basis::Idle, Basis::Total].into_iter().zip(missing) {
        let mut pool = Pool { max_agents: 10, ..follows(ManualDraft::AllWeek { agents: 3 }) };
        pool.standby.basis = basis;
        let plan = Passes::of(pool).look(&scene);
        assert_eq!(growths(&plan).iter().map(|(_, by)| by).sum::<u32>(), missing, "{basis:?}");
    }
}

/// Managed DevOps Pools, scaling, standby agent mode, and the row of the count of periods and weekdays: a schedule's
/// count is at most the pool's maximum. The entry that a pool's maximum is compared with:
#[rstest]
#[case::weekdays(weekdays(7), None, None, "weekdays", 7)]
#[case::all_week(ManualDraft::AllWeek { agents: 7 }, None, None, "allWeek", 7)]
#[case::the_highest_period(
    ManualDraft::Periods(vec![
        period("low", (Monday, "08:00"), until(None, "12:00"), 2),
        period("high", (Monday, "12:00"), EndDraft::NextPeriod, 7),
    ]),
    None, None, "period high", 7
)]
#[case::an_exception_to_come(weekdays(7), Some(8), None, "exception release", 8)]
#[case::a_boost_to_come(weekdays(7), Some(8), Some(9), "boost fix", 9)]
fn the_highest_count(
    #[case] manual: ManualDraft,
    #[case] exception: Option<u32>,
    #[case] boost: Option<u32>,
    #[case] entry: &str,
    #[case] agents: u32,
) {
    let mut draft = draft(manual);
    draft.exceptions.extend(exception.map(|agents| ExceptionDraft {
        name: "release".into(),
        from: "2026-12-01".parse().unwrap(),
        to: "2026-12-01".parse().unwrap(),
        hours: None,
        agents,
    }));
    let (from, until) = (at("2026-12-01T10:00:00Z"), at("2026-12-01T12:00:00Z"));
    draft.boosts.extend(boost.map(|agents| BoostDraft { name: "fix".into(), from, until, agents }));
    let schedule = Schedule::check(&draft, monday()).unwrap();
    assert_eq!(schedule.highest(), Some((entry.to_owned(), agents)));
}

/// Managed DevOps Pools, scaling, standby agent mode: off, by hand, or from the history. Ours are told by what sets the
/// figure, and a constant may stand beside a schedule.
#[rstest]
#[case::off(0, None, "2026-11-24T09:00:00Z", (0, Source::Off))]
#[case::by_hand(0, Some(4), "2026-11-24T09:00:00Z", (4, Source::Manual))]
#[case::by_hand_outside_its_hours(0, Some(4), "2026-11-24T19:00:00Z", (0, Source::Off))]
#[case::constant(2, None, "2026-11-24T09:00:00Z", (2, Source::Constant))]
#[case::constant_below(2, Some(4), "2026-11-24T09:00:00Z", (4, Source::Manual))]
#[case::constant_at_night(2, Some(4), "2026-11-24T19:00:00Z", (2, Source::Constant))]
fn what_sets_the_figure(
    #[case] constant: u32,
    #[case] manual: Option<u32>,
    #[case] now: &str,
    #[case] expected: (u32, Source),
) {
    let mut pool = pool(constant);
    pool.standby.schedule = manual.map(|agents| check(weekdays(agents)));
    let mut passes = Passes::of(pool);
    passes.now = at(now);
    let plan = passes.look(&scene([]));
    assert_eq!((plan.standby.agents, plan.standby.source), expected);
    assert_eq!(growths(&plan).iter().map(|(_, by)| by).sum::<u32>(), expected.0);
}

// ---- by hand: zone and shares ----

/// Managed DevOps Pools, scaling, manual: the zone in which the plan is told (theirs and ours: UTC, unless given).
#[rstest]
#[case("UTC", "2026-11-23T08:00:00Z")]
#[case("America/New_York", "2026-11-23T13:00:00Z")]
#[case("Europe/Stockholm", "2026-11-23T07:00:00Z")]
#[case("Asia/Kolkata", "2026-11-23T02:30:00Z")]
#[case("Asia/Kathmandu", "2026-11-23T02:15:00Z")]
#[case("Pacific/Kiritimati", "2026-11-22T18:00:00Z")]
fn a_plan_is_told_in_its_zone(#[case] zone: &str, #[case] opens: &str) {
    let mut draft = draft(weekdays(4));
    draft.zone = zone.into();
    let schedule = Schedule::check(&draft, monday()).unwrap();
    // Sunday 08:00 in Kiritimati; nowhere later.
    let change = schedule.next_change(at("2026-11-21T18:00:00Z")).unwrap();
    assert_eq!((change.at, change.agents), (at(opens), 4));
    assert_eq!(schedule.level(change.at).until, Some(change.at + minutes(10 * 60)));
}

/// Managed DevOps Pools, scaling, manual: `*` for the same share of each image; or whole percentages; `*` or 100 where
/// there is one image. (That they add up to 100 is checked by the API server.)
#[rstest]
#[case::one_image_star(&[None], 5, &[5])]
#[case::one_image_100(&[Some(100)], 5, &[5])]
#[case::two_alike(&[None, None], 4, &[2, 2])]
#[case::three_alike_and_the_rest_to_the_first(&[None, None, None], 7, &[3, 2, 2])]
#[case::fewer_than_images(&[None, None, None], 2, &[1, 1, 0])]
#[case::from_0_to_100(&[Some(0), Some(100), Some(0)], 3, &[0, 3, 0])]
#[case::by_largest_remainder(&[Some(60), Some(25), Some(15)], 10, &[6, 3, 1])]
#[case::one_percent_of_little(&[Some(99), Some(1)], 10, &[10, 0])]
#[case::one_percent_of_much(&[Some(99), Some(1)], 100, &[99, 1])]
fn each_image_has_its_share(#[case] percent: &[Option<u32>], #[case] agents: u32, #[case] shares: &[u32]) {
    let names: Vec<String> = (0..percent.len()).map(|number| format!("set{number}")).collect();
    let pool = Pool {
        max_agents: 1_000,
        images: percent
            .iter()
            .zip(&names)
            .map(|(percent, name)| Image { standby_percent: *percent, ..image(name) })
            .collect(),
        bindings: names.iter().enumerate().map(|(image, name)| Binding { image, ..binding(name) }).collect(),
        ..follows(ManualDraft::AllWeek { agents })
    };
    let scene = names.iter().fold(scene([]), |scene, name| scene.set(name));
    let plan = Passes::of(pool).look(&scene);
    let wanted: Vec<u32> = names.iter().map(|set| plan.bindings[&name(set)].standby).collect();
    assert_eq!(wanted, shares);
    let grown: Vec<(&str, u32)> =
        names.iter().map(String::as_str).zip(shares.iter().copied()).filter(|(_, by)| *by > 0).collect();
    assert_eq!(growths(&plan), grown);
}

// ---- by hand: periods from scratch ----

/// Managed DevOps Pools, scaling, periods: the day on which one starts (the row of the start day).
#[rstest]
#[case(Monday, "23")]
#[case(Tuesday, "24")]
#[case(Wednesday, "25")]
#[case(Thursday, "26")]
#[case(Friday, "27")]
#[case(Saturday, "28")]
#[case(Sunday, "29")]
fn a_period_starts_on_its_day(#[case] day: Weekday, #[case] date: &str) {
    let schedule = check(ManualDraft::Periods(vec![period("p", (day, "10:15"), until(None, "11:45"), 2)]));
    let change = schedule.next_change(at("2026-11-22T12:00:00Z")).unwrap();
    assert_eq!((change.at, change.agents), (at(&format!("2026-11-{date}T10:15:00Z")), 2));
    assert_eq!(schedule.level(change.at).until, Some(at(&format!("2026-11-{date}T11:45:00Z"))));
}

/// Managed DevOps Pools, scaling, periods: the rows of the end day (needed for several days) and of the end (needed
/// unless the period lasts until the next one). Ours ends on the same day where no day is given.
#[rstest]
#[case::the_same_day((Monday, "08:00"), until(None, "18:00"), Ok("2026-11-23T18:00:00Z"))]
#[case::the_same_day_by_name((Monday, "08:00"), until(Some(Monday), "18:00"), Ok("2026-11-23T18:00:00Z"))]
#[case::midnight((Monday, "08:00"), until(None, "24:00"), Ok("2026-11-24T00:00:00Z"))]
#[case::the_next_day((Monday, "22:00"), until(Some(Tuesday), "06:00"), Ok("2026-11-24T06:00:00Z"))]
#[case::over_the_end_of_the_week((Monday, "08:00"), until(Some(Sunday), "24:00"), Ok("2026-11-30T00:00:00Z"))]
#[case::several_days_without_a_day((Monday, "22:00"), until(None, "06:00"), Err("endDay"))]
#[case::no_end((Monday, "08:00"), until(None, ""), Err("end must be a quoted time of day"))]
#[case::no_start((Monday, ""), until(None, "18:00"), Err("start must be a quoted time of day"))]
fn a_period_ends(
    #[case] start: (Weekday, &str),
    #[case] end: EndDraft,
    #[case] expected: Result<&str, &str>,
) {
    let plan = draft(ManualDraft::Periods(vec![period("p", start, end, 2)]));
    match (Schedule::check(&plan, monday()), expected) {
        (Ok(schedule), Ok(end)) => {
            let inside = at("2026-11-23T22:00:00Z").min(at(end) - minutes(1));
            let level = schedule.level(inside);
            assert_eq!((level.agents, level.until), (2, Some(at(end))));
        }
        (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
        (found, expected) => panic!("{found:?}, not {expected:?}"),
    }
}

/// Managed DevOps Pools, scaling, the rows of the count of periods and weekdays: above zero.
#[rstest]
#[case::period(|agents| ManualDraft::Periods(vec![period("p", (Monday, "08:00"), until(None, "18:00"), agents)]))]
#[case::until_the_next(|agents| ManualDraft::Periods(vec![period("p", (Monday, "08:00"), EndDraft::NextPeriod, agents)]))]
#[case::weekdays(weekdays)]
#[case::all_week(|agents| ManualDraft::AllWeek { agents })]
fn a_count_is_above_zero(#[case] plan: fn(u32) -> ManualDraft) {
    let error = Schedule::check(&draft(plan(0)), monday()).unwrap_err().to_string();
    assert!(error.contains("0 is out of bounds"), "{error}");
    assert_eq!(check(plan(1)).level(at("2026-11-23T09:00:00Z")).agents, 1);
}

/// Managed DevOps Pools, scaling, periods: one may be edited in the list, or removed from it. What lasted until it then
/// lasts until the one behind it.
#[test]
fn the_list_of_periods_is_edited() {
    let morning = period("morning", (Monday, "08:00"), EndDraft::NextPeriod, 6);
    let noon = period("noon", (Monday, "12:00"), EndDraft::NextPeriod, 2);
    let night = period("night", (Monday, "20:00"), until(None, "24:00"), 1);
    let edited = PeriodDraft { start: "13:30".into(), agents: 3, ..noon.clone() };
    let changes = |periods: &[&PeriodDraft]| {
        let schedule = check(ManualDraft::Periods(periods.iter().map(|period| (*period).clone()).collect()));
        let mut now = at("2026-11-23T00:00:00Z");
        let mut found = vec![];
        while let Some(change) =
            schedule.next_change(now).filter(|change| change.at < at("2026-11-24T01:00:00Z"))
        {
            found.push(format!("{} {}", change.at.strftime("%H:%M"), change.agents));
            now = change.at;
        }
        found
    };
    assert_eq!(changes(&[&morning, &noon, &night]), ["08:00 6", "12:00 2", "20:00 1", "00:00 0"]);
    assert_eq!(changes(&[&morning, &edited, &night]), ["08:00 6", "13:30 3", "20:00 1", "00:00 0"]);
    assert_eq!(changes(&[&morning, &night]), ["08:00 6", "20:00 1", "00:00 0"]);
}

// ---- why a start is slow, and who stays ----

/// Managed DevOps Pools, scaling, delays: a machine is started from nothing where more jobs wait than agents stand by,
/// outside the schedule, and where the count is zero.
#[rstest]
#[case::as_many_as_stand_by("2026-11-23T08:00:00Z", 2, Some(2), 2, 0)]
#[case::more_jobs_than_stand_by("2026-11-23T08:00:00Z", 2, Some(2), 3, 1)]
#[case::outside_the_schedule("2026-11-28T12:00:00Z", 0, Some(2), 1, 1)]
#[case::a_count_of_zero("2026-11-23T08:00:00Z", 0, None, 1, 1)]
fn a_job_waits_for_a_start(
    #[case] now: &str,
    #[case] idle: usize,
    #[case] manual: Option<u32>,
    #[case] queued: i64,
    #[case] started: u32,
) {
    let mut pool = pool(0);
    pool.standby.schedule = manual.map(|agents| check(weekdays(agents)));
    pool.standby.basis = Basis::Total;
    let mut passes = Passes::of(pool);
    passes.now = at(now);
    let machines = ["a", "b"].into_iter().take(idle).map(|name| machine(name).idle());
    let plan = passes.look(&scene(machines).queued(queued));
    assert_eq!(growths(&plan).iter().map(|(_, by)| by).sum::<u32>(), started);
}

/// Managed DevOps Pools, scaling, delays: a job that names no image is for the first one, and those that stand by for
/// another are of no use to it.
#[test]
fn standby_of_another_image_does_not_help() {
    let mut pool = with_windows(follows(ManualDraft::AllWeek { agents: 4 }));
    pool.max_agents = 10;
    pool.standby.basis = Basis::Total;
    pool.images[1].standby_percent = Some(50);
    pool.images[0].standby_percent = Some(50);
    let standby = || {
        [
            machine("a").idle(),
            machine("b").idle(),
            machine("c").on("win").idle(),
            machine("d").on("win").idle(),
        ]
    };
    let at_once = Passes::of(pool.clone()).look(&scene(standby()).queued(2));
    assert_eq!(growths(&at_once), []);
    let plan = Passes::of(pool).look(&scene(standby()).queued(4));
    assert_eq!(growths(&plan), [("d4", 2)]);
}

/// Managed DevOps Pools, scaling, stateful pools: without a grace period an agent stays after its job for as long as the
/// schedule wants one of its image, and goes when it no longer does.
#[rstest]
#[case::within_the_hours("2026-11-23T17:50:00Z", false)]
#[case::after_them("2026-11-23T18:00:00Z", true)]
fn a_stateful_agent_stays_within_the_schedule(#[case] now: &str, #[case] goes: bool) {
    let mut pool = follows(weekdays(1));
    pool.lifecycle = Lifecycle::Stateful { max_lifetime: minutes(7 * 24 * 60) };
    pool.idle_delay = minutes(0);
    let mut passes = Passes::of(pool);
    passes.now = at(now);
    let scene = scene([machine("a").idle().agent(|agent| agent.last_finished_at = Some(monday()))]);
    passes.pass(&scene);
    passes.wait(support::seconds(10));
    let plan = passes.look(&scene);
    assert_eq!(leave(&plan), goes, "{:?}", plan.actions);
    let met = plan.conditions.iter().find(|condition| condition.kind == "StandbyMet").unwrap();
    assert_eq!(met.reason, PoolReason::Met);
}
