use std::collections::{BTreeMap, BTreeSet};

use super::*;

fn everything() -> Metrics {
    let (budgets, now) = (Budgets::default(), Clock::REAL.now());
    let read = poolkeeper_budget::OrganizationCall::Read;
    budgets.take_organization("https://dev.azure.com/fabrikam", read, "ci/linux", now).unwrap();
    let metrics = Metrics::new(CallLog::default(), budgets, Clock::REAL);
    metrics.pool("ci", "linux", &Counts { busy: 3, ..Counts::default() }, &JobCounts::default(), 6);
    metrics.action("Create", "Done");
    metrics.hold("ClaimLost");
    metrics.failure("Quota");
    metrics.pass("agent_pool", Outcome::Done, Duration::from_millis(3));
    metrics.api_write("AgentPool");
    metrics
}

/// Each metric with its type and its labels, as `name{labels} type`.
fn served(text: &str) -> BTreeSet<String> {
    let types: BTreeMap<&str, &str> =
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    let labels_of = |name: &str| {
        let samples = text.lines().filter_map(|line| line.split_once('{'));
        let mut own = samples
            .filter(|(sample, _)| sample.strip_prefix(name).is_some_and(|rest| !rest.contains("last")));
        let labels = own.next().map(|(_, rest)| rest.split_once('}').unwrap().0).unwrap_or_default();
        let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        names.filter(|name| *name != "le").collect::<Vec<_>>().join(", ")
    };
    let row = |(name, kind): (&&str, &&str)| {
        let total = if *kind == "counter" { "_total" } else { "" };
        let labels = if *name == "poolkeeper_cloud_calls" {
            "service, operation, class".into()
        } else {
            labels_of(name)
        };
        format!("{name}{total} ({labels}) {kind}")
    };
    types.iter().map(row).collect()
}

#[test]
fn the_page_lists_exactly_what_is_served() {
    let page = include_str!("../../docs/metrics.md");
    let rows = page.lines().filter(|line| line.starts_with("| `poolkeeper_"));
    let documented: BTreeSet<String> = rows
        .map(|row| {
            let cells: Vec<String> = row.split('|').map(|cell| cell.trim().replace('`', "")).collect();
            format!("{} ({}) {}", cells[1], cells[3], cells[2])
        })
        .collect();
    assert_eq!(documented, served(&everything().encode().unwrap()));
}

#[test]
fn a_pool_that_is_gone_leaves_no_series() {
    let metrics = everything();
    metrics.pool("ci", "windows", &Counts::default(), &JobCounts::default(), 0);
    metrics.forget_pool("ci", "linux");
    let text = metrics.encode().unwrap();
    assert!(!text.contains("linux"), "{text}");
    assert_eq!(text.matches("pool=\"windows\"").count(), AGENT_STATES.len() + JOB_STATES.len() + 1);
}

#[test]
fn counts_go_to_their_own_states() {
    let metrics = everything();
    let agents = Counts {
        busy: 1,
        idle: 2,
        starting: 3,
        recycling: 4,
        draining: 5,
        unhealthy: 6,
        saved: 7,
        foreign: 8,
    };
    let jobs = JobCounts { queued: 9, running: 10, unroutable: 11 };
    metrics.pool("ci", "linux", &agents, &jobs, 12);
    let text = metrics.encode().unwrap();
    let states = AGENT_STATES.into_iter().map(|state| ("agents", state));
    let states = states.chain(JOB_STATES.into_iter().map(|state| ("jobs", state)));
    for (count, (name, state)) in (1..).zip(states) {
        let line =
            format!("poolkeeper_{name}{{namespace=\"ci\",pool=\"linux\",state=\"{state}\"}} {count}\n");
        assert!(text.contains(&line), "{line} is not in {text}");
    }
    assert!(text.contains("poolkeeper_standby_wanted{namespace=\"ci\",pool=\"linux\"} 12\n"));
}

#[test]
fn a_failed_pass_is_no_sign_of_life() {
    let (budgets, now) = (Budgets::default(), Clock::REAL.now());
    let read = poolkeeper_budget::OrganizationCall::Read;
    budgets.take_organization("https://dev.azure.com/fabrikam", read, "ci/linux", now).unwrap();
    let metrics = Metrics::new(CallLog::default(), budgets, Clock::REAL);
    metrics.pass("agent_pool", Outcome::Failed, Duration::ZERO);
    assert!(!metrics.encode().unwrap().contains("poolkeeper_last_pass_timestamp_seconds{"));
    metrics.pass("agent_pool", Outcome::Invalid, Duration::ZERO);
    assert!(metrics.encode().unwrap().contains("poolkeeper_last_pass_timestamp_seconds{"));
}
