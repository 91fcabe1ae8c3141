//! From what a pass found to `metav1.Condition`.

use jiff::{Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use poolkeeper_policy::Truth;

/// Enough for a sentence with its mend and a few names; metav1 takes 32,768.
const MESSAGE: usize = 2_048;

/// A condition as a pass finds it. Negative ones are simply left out while they are not true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Its type, such as `Ready`.
    pub kind: &'static str,
    /// Its status.
    pub truth: Truth,
    /// From the closed list of its kind: see docs/conditions.md.
    pub reason: &'static str,
    /// For the person, with the mend.
    pub message: String,
}

impl From<&poolkeeper_policy::Condition> for Desired {
    fn from(condition: &poolkeeper_policy::Condition) -> Self {
        let poolkeeper_policy::Condition { kind, truth, reason, message } = condition;
        Self { kind, truth: *truth, reason: reason.as_str(), message: message.clone() }
    }
}

/// The new list, in the order given: what is not desired goes, and `lastTransitionTime` stays while a status does.
/// Messages are cut at 2,048 characters. The same finding gives the same list, whatever `now`.
#[must_use]
pub fn merge(
    previous: &[Condition],
    desired: Vec<Desired>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    // The API server stores whole seconds; anything finer would differ from what is read back.
    let now = Time(now.round(Unit::Second).unwrap_or(now));
    let condition = |Desired { kind, truth, reason, message }: Desired| {
        let status = status(truth);
        let since = previous.iter().find(|before| before.type_ == kind && before.status == status);
        Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: cut(message),
            observed_generation: generation,
            last_transition_time: since
                .map_or_else(|| now.clone(), |before| before.last_transition_time.clone()),
        }
    };
    desired.into_iter().map(condition).collect()
}

fn status(truth: Truth) -> &'static str {
    match truth {
        Truth::True => "True",
        Truth::False => "False",
        Truth::Unknown => "Unknown",
    }
}

fn cut(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
        let keep = message.char_indices().nth(MESSAGE - 1).map_or(end, |(at, _)| at);
        message.truncate(keep);
        message.push('…');
    }
    message
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use poolkeeper_policy::{BindingReason, PoolReason, ScheduleReason};
    use rstest::rstest;

    use super::*;

    const EARLY: Timestamp = Timestamp::UNIX_EPOCH;

    fn ready(truth: Truth, message: &str) -> Desired {
        Desired { kind: "Ready", truth, reason: "Managed", message: message.to_owned() }
    }

    fn later() -> Timestamp {
        "2026-11-23T08:00:00.4Z".parse().unwrap()
    }

    #[test]
    fn the_time_stays_while_the_status_does_and_moves_with_it() {
        let first = merge(&[], vec![ready(Truth::True, "a")], Some(1), EARLY);
        let second = merge(&first, vec![ready(Truth::True, "b")], Some(2), later());
        assert_eq!(second[0].last_transition_time, Time(EARLY));
        assert_eq!((second[0].message.as_str(), second[0].observed_generation), ("b", Some(2)));
        let third = merge(&second, vec![ready(Truth::False, "b")], Some(2), later());
        assert_eq!(third[0].last_transition_time, Time("2026-11-23T08:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_not_desired_goes_and_the_order_is_the_desired_one() {
        let stalled = Desired { kind: "Stalled", ..ready(Truth::True, "") };
        let before = merge(&[], vec![stalled.clone(), ready(Truth::False, "")], None, EARLY);
        let after = merge(&before, vec![ready(Truth::False, ""), stalled], None, later());
        assert_eq!(after.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Ready", "Stalled"]);
        assert_eq!(merge(&before, vec![ready(Truth::True, "")], None, later()).len(), 1);
    }

    #[test]
    fn the_same_finding_changes_nothing_after_a_trip_through_the_api_server() {
        let first = merge(&[], vec![ready(Truth::True, "a")], Some(1), later());
        let stored: Vec<Condition> = serde_json::from_value(serde_json::to_value(&first).unwrap()).unwrap();
        let again = merge(&stored, vec![ready(Truth::True, "a")], Some(1), Timestamp::MAX);
        assert_eq!(again, stored);
    }

    #[rstest]
    #[case(2_048, 2_048, false)]
    #[case(2_049, 2_048, true)]
    fn long_messages_are_cut_between_characters(
        #[case] length: usize,
        #[case] kept: usize,
        #[case] cut: bool,
    ) {
        let merged = merge(&[], vec![ready(Truth::True, &"ä".repeat(length))], None, EARLY);
        assert_eq!(merged[0].message.chars().count(), kept);
        assert_eq!(merged[0].message.ends_with('…'), cut);
    }

    #[test]
    fn a_condition_of_policy_keeps_every_part() {
        let found = poolkeeper_policy::Condition {
            kind: "Holding",
            truth: Truth::Unknown,
            reason: PoolReason::ClaimLost,
            message: "m".to_owned(),
        };
        let expected =
            Desired { kind: "Holding", truth: Truth::Unknown, reason: "ClaimLost", message: "m".to_owned() };
        assert_eq!(Desired::from(&found), expected);
    }

    /// The reasons that the page lists for a kind: the first cell of each row of its tables.
    fn documented(kind: &str) -> BTreeSet<String> {
        let page = include_str!("../docs/conditions.md");
        let heading = format!("## {kind}\n");
        let section = page.split_once(&heading).unwrap().1;
        let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        rows.map(|(reason, _)| reason.to_owned()).collect()
    }

    #[test]
    fn the_page_lists_exactly_the_reasons_that_there_are() {
        let names = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        let pools = PoolReason::ALL.iter().map(|reason| reason.as_str()).collect();
        let bindings = BindingReason::ALL.iter().map(|reason| reason.as_str()).collect();
        let schedules = ScheduleReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(documented("AgentPool"), names(pools));
        assert_eq!(documented("ScaleSetBinding"), names(bindings));
        assert_eq!(documented("StandbySchedule"), names(schedules));
    }
}
