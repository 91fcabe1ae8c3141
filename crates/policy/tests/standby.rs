//! Constant, schedule, exceptions, boosts and forecast in one figure, and agents that are ready when it rises.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "decide/support/scene.rs"]
#[allow(dead_code, reason = "shared with the tests of decisions")]
mod scene;
#[path = "explain/support.rs"]
#[allow(dead_code, reason = "shared with the tests of explanations")]
mod support;
#[path = "standby/support.rs"]
mod weeks;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::schedule::{Change, Source};
use poolkeeper_policy::{
    Action, Basis, BindingName, DeletionPolicy, Forecast, Plan, Pool, Preference, ScaleOut, Standby, Truth,
};
use rstest::rstest;
use scene::{Machine, Scene, machine, scene};
use support::{Passes, minutes, pool, with_windows};
use weeks::{boost, check, draft, exception, forecast, on, period};

/// A Monday morning.
fn monday() -> Timestamp {
    on("23T08:00")
}

fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

/// A week with everything in it, in UTC.
fn everything(constant: u32) -> Standby {
    let mut draft = draft(
        "UTC",
        vec![
            period("early", Weekday::Monday, "08:00", "09:00", 3),
            period("late", Weekday::Tuesday, "08:30", "09:30", 4),
        ],
    );
    draft.exceptions.push(exception("freeze", ("2026-11-25", "2026-11-25"), Some(("08:00", "08:30")), 1));
    draft.boosts.push(boost("little", on("25T08:15"), on("25T08:45"), 2));
    draft.boosts.push(boost("release", on("26T08:30"), on("26T09:30"), 7));
    let figures = |day: i64, hour: i64| match (day, hour) {
        (0, 7) => 5,
        (0, 8) => 3,
        (1, 8) => 6,
        (2, 8) => 4,
        (3, 8) => 7,
        _ => 0,
    };
    let forecast = Some(forecast("UTC", figures));
    Standby { agents: constant, basis: Basis::Idle, schedule: Some(check(&draft)), forecast }
}

/// `23 08:00 3 Manual early`.
fn words(change: &Change) -> String {
    let name = change.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    format!("{} {} {}{name}", change.at.strftime("%d %H:%M"), change.agents, change.source)
}

#[rstest]
#[case::no_constant(0, &[
    "23 07:00 5 Automatic",
    // A tie: the schedule stands first.
    "23 08:00 3 Manual early",
    "23 09:00 0 Off",
    // The period of 08:30 is below the forecast until that ends.
    "24 08:00 6 Automatic",
    "24 09:00 4 Manual late",
    "24 09:30 0 Off",
    // The forecast of 4 does not count while the exception holds, also under the boost.
    "25 08:00 1 Exception freeze",
    "25 08:15 2 Boost little",
    "25 08:30 4 Automatic",
    "25 09:00 0 Off",
    "26 08:00 7 Automatic",
    "26 08:30 7 Boost release",
    "26 09:30 0 Off",
])]
#[case::a_constant_of_3(3, &[
    "23 07:00 5 Automatic",
    "23 08:00 3 Constant",
    "24 08:00 6 Automatic",
    "24 09:00 4 Manual late",
    "24 09:30 3 Constant",
    "25 08:30 4 Automatic",
    "25 09:00 3 Constant",
    "26 08:00 7 Automatic",
    "26 08:30 7 Boost release",
    "26 09:30 3 Constant",
])]
#[case::a_constant_that_hides_all(7, &[])]
fn the_largest_wins_but_for_exceptions(#[case] constant: u32, #[case] expected: &[&str]) {
    let standby = everything(constant);
    let (from, until) = (on("23T00:00"), on("29T00:00"));
    let changes: Vec<String> = standby.changes(from, until).iter().map(words).collect();
    assert_eq!(changes, expected);
    // One by one they are the same.
    let next = |change: &Change| standby.next_change(change.at);
    let chain = std::iter::successors(standby.next_change(from), next);
    let chain: Vec<String> =
        chain.take_while(|change| change.at < until).map(|change| words(&change)).collect();
    assert_eq!(chain, expected);
}

#[test]
fn the_changes_of_a_quarter_are_those_found_one_by_one() {
    let standby = everything(1);
    let (from, until) = (on("23T00:00"), "2027-02-23T00:00:00Z".parse().unwrap());
    let chain = std::iter::successors(standby.next_change(from), |change| standby.next_change(change.at));
    let chain: Vec<Change> = chain.take_while(|change| change.at <= until).collect();
    assert!(chain.len() > 100);
    assert_eq!(standby.changes(from, until), chain);
}

#[test]
fn a_level_says_until_when_it_holds() {
    let standby = everything(0);
    let level = standby.level(on("23T07:59"));
    let told = (level.agents, level.source, level.name, level.until);
    assert_eq!(told, (5, Source::Automatic, None, Some(on("23T08:00"))));
    // Next Monday has the same.
    let change = standby.next_change(on("26T12:00")).unwrap();
    assert_eq!((change.at, change.source), (on("30T07:00"), Source::Automatic));
}

#[test]
fn hours_with_the_same_figure_are_one_level() {
    let forecast = forecast("UTC", |_, hour| if (9..17).contains(&hour) { 4 } else { 1 });
    let standby = Standby { agents: 0, basis: Basis::Idle, schedule: None, forecast: Some(forecast) };
    let level = standby.level(on("23T10:30"));
    assert_eq!((level.agents, level.until), (4, Some(on("23T17:00"))));
    assert_eq!(standby.next_change(on("23T10:30")).map(|change| change.agents), Some(1));
}

#[test]
fn a_forecast_that_never_changes_has_no_next_change() {
    let standby = |agents, figure| {
        let forecast = Some(forecast("Europe/Stockholm", |_, _| figure));
        Standby { agents, basis: Basis::Idle, schedule: None, forecast }
    };
    for (standby, expected) in [
        (standby(0, 4), (4, Source::Automatic)),
        (standby(4, 4), (4, Source::Constant)),
        (standby(0, 0), (0, Source::Off)),
    ] {
        let level = standby.level(monday());
        assert_eq!(((level.agents, level.source), level.until), (expected, None));
        assert_eq!(standby.next_change(monday()), None);
    }
}

#[test]
fn an_exception_of_0_silences_the_forecast_and_not_the_constant() {
    let mut draft = draft("Europe/Stockholm", vec![]);
    draft.exceptions.push(exception("christmas", ("2026-12-24", "2026-12-26"), None, 0));
    let standby = |agents| Standby {
        agents,
        basis: Basis::Idle,
        schedule: Some(check(&draft)),
        forecast: Some(forecast("Europe/Stockholm", |_, _| 5)),
    };
    let eve = "2026-12-23T23:00:00Z".parse().unwrap();
    let after = "2026-12-26T23:00:00Z".parse().unwrap();
    let found = standby(0).changes(monday(), "2027-01-10T00:00:00Z".parse().unwrap());
    let found: Vec<_> = found.into_iter().map(|change| (change.at, change.agents, change.source)).collect();
    assert_eq!(found, [(eve, 0, Source::Exception), (after, 5, Source::Automatic)]);
    // Also where it is a year away.
    let next = standby(0).next_change(monday()).unwrap();
    assert_eq!((next.at, next.agents), (eve, 0));
    let level = standby(2).level("2026-12-25T12:00:00Z".parse().unwrap());
    assert_eq!((level.agents, level.source), (2, Source::Constant));
}

/// From 09:00 to 10:00 on Monday there are 4; the image's agents need 10 minutes.
fn office(lead: i64) -> Pool {
    let mut pool = pool(0);
    pool.max_agents = 40;
    pool.images[0].lead = minutes(lead);
    let draft = draft("UTC", vec![period("office", Weekday::Monday, "09:00", "10:00", 4)]);
    pool.standby.schedule = Some(check(&draft));
    pool
}

/// The first pass at that time; growth per binding.
fn look(pool: &Pool, at: Timestamp, scene: &Scene) -> Plan {
    Passes { now: at, ..Passes::of(pool.clone()) }.look(scene)
}

fn grown(plan: &Plan) -> Vec<(&str, u32)> {
    let grown = plan.actions.iter().filter_map(|action| match action {
        Action::Grow { binding, by, .. } => Some((binding.0.as_str(), *by)),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    });
    grown.collect()
}

/// Growth over all bindings in a first pass at that time without any VM.
fn wanted(pool: &Pool, at: &str) -> u32 {
    let scene = scene([]).set("win");
    grown(&look(pool, on(at), &scene)).iter().map(|(_, by)| by).sum()
}

fn met(plan: &Plan) -> Truth {
    plan.conditions.iter().find(|condition| condition.kind == "StandbyMet").unwrap().truth
}

fn idle(count: u8) -> Scene {
    scene((0..count).map(|number| machine(&format!("vm{number}")).idle()))
}

#[test]
fn starting_begins_a_lead_time_before_a_rise() {
    let pool = office(10);
    assert_eq!(wanted(&pool, "23T08:49:59"), 0);
    let plan = look(&pool, on("23T08:50"), &scene([]));
    assert_eq!(grown(&plan), [("d4", 4)]);
    // What is told is the standby of now, and what is started for later stands beside it.
    assert_eq!((plan.standby.agents, plan.standby.source), (0, Source::Off));
    assert_eq!(plan.next_change.as_ref().map(|change| change.at), Some(on("23T09:00")));
    let message = "0 busy + 0 queued + 0 standby + 4 ahead of 09:00Z = 4 of at most 40";
    assert_eq!((plan.decision.message.as_str(), plan.decision.desired), (message, 4));
    let image = plan.images[0];
    assert_eq!((image.standby, image.ahead, image.missing), (0, 4, 4));
    assert_eq!(plan.bindings[&name("d4")].standby, 0);
    assert_eq!(wanted(&office(0), "23T08:59:59"), 0);
    assert_eq!(wanted(&office(0), "23T09:00"), 4);
}

#[test]
fn the_pool_wakes_in_time_to_start_ahead() {
    let mut passes = Passes::of(office(10));
    let mut plan = passes.look(&scene([]));
    for _ in 0..1_000 {
        if !grown(&plan).is_empty() {
            break;
        }
        passes.now = plan.next_wakeup;
        plan = passes.look(&scene([]));
    }
    assert_eq!((passes.now, grown(&plan)), (on("23T08:50"), vec![("d4", 4)]));
}

#[test]
fn standby_is_met_by_what_is_wanted_now() {
    let pool = office(10);
    // Nothing is wanted yet.
    assert_eq!(met(&look(&pool, on("23T08:55"), &scene([]))), Truth::True);
    assert_eq!(met(&look(&pool, on("23T09:00"), &idle(3))), Truth::False);
    assert_eq!(met(&look(&pool, on("23T09:00"), &idle(4))), Truth::True);
}

#[test]
fn what_was_started_ahead_is_not_in_excess() {
    let mut pool = office(10);
    pool.idle_delay = SignedDuration::ZERO;
    for basis in [Basis::Idle, Basis::Total] {
        pool.standby.basis = basis;
        let surplus = |time: &str| {
            let plan = look(&pool, on(time), &idle(4));
            (plan.images[0].surplus, plan.actions.len())
        };
        // Too early, on time, held, and over.
        assert_eq!(surplus("23T08:49:59"), (4, 4), "{basis:?}");
        assert_eq!(surplus("23T08:50"), (0, 0));
        assert_eq!(surplus("23T08:59:59"), (0, 0));
        assert_eq!(surplus("23T09:59:59"), (0, 0));
        assert_eq!(surplus("23T10:00"), (4, 4));
    }
}

#[test]
fn each_image_is_started_by_its_own_lead_time() {
    let mut pool = with_windows(office(0));
    pool.images[0].lead = minutes(10);
    pool.images[1].lead = minutes(30);
    let scene = scene([]).set("win");
    let plan = |time: &str| look(&pool, on(time), &scene);
    assert_eq!(grown(&plan("23T08:29:59")), []);
    let at_half_past = plan("23T08:30");
    assert_eq!(grown(&at_half_past), [("win", 2)]);
    assert!(at_half_past.decision.message.contains("0 standby + 2 ahead of 09:00Z = 2"));
    assert_eq!(grown(&plan("23T08:49:59")), [("win", 2)]);
    assert_eq!(grown(&plan("23T08:50")), [("d4", 2), ("win", 2)]);
    // The next start is due at 08:50, not at the change.
    assert_eq!(plan("23T08:49:58").next_wakeup, on("23T08:50"));
}

#[test]
fn a_gap_shorter_than_the_lead_time_is_no_gap() {
    let mut pool = office(45);
    pool.idle_delay = SignedDuration::ZERO;
    let periods = vec![
        period("first", Weekday::Monday, "08:00", "09:00", 4),
        period("second", Weekday::Monday, "09:30", "10:30", 3),
    ];
    pool.standby.schedule = Some(check(&draft("UTC", periods)));
    let plan = look(&pool, on("23T09:00"), &idle(4));
    let image = plan.images[0];
    assert_eq!((image.standby, image.ahead, image.surplus), (0, 3, 1));
    // Before, the fall is not brought forward, and the second is below what stands by already.
    let plan = look(&pool, on("23T08:59:59"), &idle(4));
    assert_eq!((plan.images[0].standby, plan.images[0].ahead, plan.images[0].surplus), (4, 0, 0));
    assert_eq!(plan.decision.message, "0 busy + 0 queued + 4 standby = 4 of at most 40");
}

#[test]
fn a_lead_time_reaches_over_midnight_and_the_end_of_the_week() {
    let mut pool = office(20);
    let periods = vec![period("early", Weekday::Monday, "00:10", "05:00", 2)];
    pool.standby.schedule = Some(check(&draft("America/New_York", periods)));
    // 23:50 on Sunday in New York.
    assert_eq!((wanted(&pool, "23T04:49:59"), wanted(&pool, "23T04:50")), (0, 2));
    let mut long = pool;
    long.images[0].lead = SignedDuration::from_hours(24 * 365);
    // A day at most.
    assert_eq!((wanted(&long, "22T05:09:59"), wanted(&long, "22T05:10")), (0, 2));
    long.images[0].lead = SignedDuration::MIN;
    assert_eq!((wanted(&long, "23T05:09:59"), wanted(&long, "23T05:10")), (0, 2));
}

#[rstest]
#[case::an_exception(|pool: &mut Pool| {
    let mut draft = draft("UTC", vec![]);
    draft.exceptions.push(exception("eve", ("2026-11-23", "2026-11-23"), Some(("09:00", "10:00")), 4));
    pool.standby.schedule = Some(check(&draft));
})]
#[case::a_boost(|pool: &mut Pool| {
    let mut draft = draft("UTC", vec![]);
    draft.boosts.push(boost("release", on("23T09:00"), on("23T10:00"), 4));
    pool.standby.schedule = Some(check(&draft));
})]
#[case::the_forecast(|pool: &mut Pool| {
    pool.standby.schedule = None;
    pool.standby.forecast = Some(forecast("UTC", |_, hour| if hour == 9 { 4 } else { 0 }));
})]
fn whatever_raises_the_standby_is_started_ahead(#[case] plan: fn(&mut Pool)) {
    let mut pool = office(10);
    plan(&mut pool);
    assert_eq!((wanted(&pool, "23T08:49:59"), wanted(&pool, "23T08:50")), (0, 4));
}

#[test]
fn an_image_that_gets_less_of_more_keeps_what_it_has() {
    // By largest remainder, 14 percent of 10 are 2, and of 11 they are 1.
    let mut pool = office(10);
    let image = |percent| poolkeeper_policy::Image {
        name: format!("i{percent}"),
        standby_percent: Some(percent),
        lead: minutes(10),
        ..Default::default()
    };
    pool.images = vec![image(43), image(43), image(14)];
    let periods = vec![
        period("ten", Weekday::Monday, "09:00", "09:05", 10),
        period("eleven", Weekday::Monday, "09:05", "10:00", 11),
    ];
    pool.standby.schedule = Some(check(&draft("UTC", periods)));
    let shares = |time: &str| {
        let plan = look(&pool, on(time), &scene([]));
        plan.images.iter().map(|image| (image.standby, image.ahead)).collect::<Vec<_>>()
    };
    assert_eq!(shares("23T08:50"), [(0, 4), (0, 4), (0, 2)]);
    assert_eq!(shares("23T08:55"), [(0, 5), (0, 5), (0, 2)]);
    assert_eq!(shares("23T09:00"), [(4, 1), (4, 1), (2, 0)]);
    assert_eq!(shares("23T09:05"), [(5, 0), (5, 0), (1, 0)]);
}

#[test]
fn every_strategy_and_basis_says_what_is_ahead() {
    let mut pool = office(10);
    pool.standby.basis = Basis::Total;
    let at = on("23T08:50");
    let message = |pool: &Pool| look(pool, at, &scene([])).decision.message;
    assert_eq!(
        message(&pool),
        "the larger of 0 standby + 4 ahead of 09:00Z and 0 busy + 0 queued = 4 of at most 40"
    );
    pool.standby.basis = Basis::Idle;
    pool.scale_out = ScaleOut::ElasticPool {
        increment_percent: 10,
        step_timeout: minutes(20),
        sample_interval: minutes(5),
    };
    assert_eq!(
        message(&pool),
        "0 idle of 0 standby + 4 ahead of 09:00Z, 0 busy, 0 queued: 4 of at most 40 in steps of 4"
    );
    assert_eq!(wanted(&pool, "23T08:50"), 4);
}

#[test]
fn nothing_is_started_ahead_for_a_pool_that_is_being_deleted() {
    let mut pool = office(10);
    pool.deletion = Some(DeletionPolicy::Drain);
    let plan = look(&pool, on("23T08:55"), &scene([]));
    assert_eq!((grown(&plan), plan.images[0].ahead), (vec![], 0));
}

#[test]
fn an_explanation_names_the_hour_of_the_forecast_and_its_samples() {
    let mut pool = office(10);
    pool.max_agents = 4;
    pool.standby.schedule = None;
    pool.standby.forecast = Some(forecast("Europe/Stockholm", |_, hour| if hour == 9 { 2 } else { 1 }));
    let machines: [Machine; 2] = [machine("a").idle(), machine("b").idle()];
    let explanation = Passes::of(pool).explain(&scene(machines));
    assert_eq!(
        explanation.decision,
        "Wanted: 0 busy + 0 queued + 2 standby = 2 of at most 4; standby 2 comes from the forecast for Monday 09:00 \
         (36 samples) until 09:00Z. Nothing is missing."
    );
}

#[test]
fn without_any_sample_a_forecast_adds_nothing() {
    let empty = Forecast::new(
        &poolkeeper_policy::History::default(),
        Preference::BestPerformance,
        TimeZone::UTC,
        None,
        monday(),
    );
    let standby = Standby { agents: 2, basis: Basis::Idle, schedule: None, forecast: Some(empty) };
    let level = standby.level(monday());
    assert_eq!((level.agents, level.source, level.until), (2, Source::Constant, None));
}
