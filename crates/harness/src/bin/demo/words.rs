//! What is seen, in words.

use jiff::SignedDuration;
use poolkeeper_api::AgentPoolStatus;
use poolkeeper_api::agent_pool::RecentAction;
use poolkeeper_harness::ledger::Counts;

/// `one and other`
pub(crate) fn names<'a>(names: impl IntoIterator<Item = &'a str>, between: &str) -> String {
    names.into_iter().collect::<Vec<_>>().join(between)
}

/// A row of the table.
pub(crate) fn row(name: &str, cells: &[String; 7]) -> String {
    cells.iter().fold(format!("{name:<20}"), |row, cell| format!("{row}{cell:>10}"))
}

/// Everything that is there, and nothing else.
pub(crate) fn world(counts: &Counts) -> String {
    let Counts { busy, idle, starting, recycling, draining, deleting, failed, vms: _, queued } = *counts;
    let mut text = format!("{idle} idle, {busy} busy, {starting} starting, {recycling} recycling");
    for (count, what) in
        [(draining, "draining"), (deleting, "being deleted"), (failed, "failed"), (queued, "jobs waiting")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

pub(crate) fn status_words(status: &AgentPoolStatus) -> String {
    let mut parts = Vec::new();
    if let Some(agents) = &status.agents {
        parts.push(format!(
            "{} idle, {} busy, {} starting, {} recycling, {} draining",
            agents.idle, agents.busy, agents.starting, agents.recycling, agents.draining
        ));
    }
    if let Some(jobs) = &status.jobs {
        parts.push(format!("jobs {} queued, {} running", jobs.queued, jobs.running));
    }
    if let Some(decision) = &status.decision {
        parts.push(format!("wants {}: {}", decision.desired, decision.message));
        if decision.limited_by != "Nothing" {
            parts.push(format!("limited by {}", decision.limited_by));
        }
    }
    let failing = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == "Stalled" || condition.type_ == "Holding");
    parts.extend(
        failing.map(|condition| format!("{} ({}): {}", condition.type_, condition.reason, condition.message)),
    );
    parts.join("; ")
}

pub(crate) fn action_words(action: &RecentAction) -> String {
    let RecentAction { at: _, action, binding, count, result, message } = action;
    format!("{action} {count} on {binding}, {result}: {message}")
}

/// `h:mm:ss`
pub(crate) fn clock(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!(clock(SignedDuration::from_secs(3 * 3600 + 62)), "3:01:02");
        assert_eq!(clock(SignedDuration::from_secs(-1)), "0:00:00");
    }

    #[test]
    fn the_world_names_only_what_is_there() {
        let counts = Counts { idle: 2, deleting: 1, ..Counts::default() };
        assert_eq!(world(&counts), "2 idle, 0 busy, 0 starting, 0 recycling, 1 being deleted");
    }
}
