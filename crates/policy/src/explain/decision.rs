//! What is wanted, what is missing of it, and why no VM starts.

use super::{
    Facts,
    time::{at, count, length, since},
};
use crate::{
    gate,
    instance::after,
    memory::OperationKind,
    plan::{Action, Hold, HoldReason, LimitedBy},
    pool::{Binding, BindingName, DeletionPolicy, Mode, ScaleOut},
    schedule::Source,
    snapshot::{Seen, SetView},
    target::total,
};

/// One to four sentences.
pub(super) fn sentences(facts: &Facts<'_>) -> String {
    let mut sentences = vec![wanted(facts)];
    if facts.pool.deletion.is_none() {
        sentences.push(missing(facts));
    }
    sentences.extend(limit(facts));
    sentences.extend(unread(facts));
    let ended = sentences.iter().map(|sentence| {
        let mut letters = sentence.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", letters.as_str().trim_end_matches('.'))
    });
    ended.collect::<Vec<_>>().join(" ")
}

fn wanted(facts: &Facts<'_>) -> String {
    let Facts { pool, plan, .. } = facts;
    let message = &plan.decision.message;
    match pool.deletion {
        Some(DeletionPolicy::Drain) => return message.clone(),
        Some(DeletionPolicy::Orphan) => {
            return "the pool is being deleted with policy Orphan: VMs and agents are left as they are"
                .into();
        }
        None => {}
    }
    let level = &plan.standby;
    let named = level.name.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let until = level.until.map(|until| format!(" until {}", at(until, facts.now))).unwrap_or_default();
    let agents = level.agents;
    let source = match level.source {
        Source::Off => format!("no standby is set{until}"),
        Source::Constant => format!("standby {agents} is the pool's constant"),
        Source::Manual if named.is_empty() => {
            format!("standby {agents} comes from the schedule's week{until}")
        }
        Source::Manual => format!("standby {agents} comes from the schedule's period{named}{until}"),
        Source::Automatic => {
            let forecast = pool.standby.forecast.as_ref().map(|forecast| forecast.hour(facts.now));
            let hour =
                forecast.map(|(hour, figure)| format!(" for {hour} ({})", count(figure.samples, "sample")));
            format!("standby {agents} comes from the forecast{}{until}", hour.unwrap_or_default())
        }
        Source::Exception => format!("standby {agents} comes from the exception{named}{until}"),
        Source::Boost => format!("standby {agents} comes from the boost{named}{until}"),
    };
    format!("wanted: {message}; {source}")
}

fn missing(facts: &Facts<'_>) -> String {
    let plan = facts.plan;
    if plan.images.is_empty() || never_read(facts) {
        return "what is missing is not known".into();
    }
    let missing = total(plan.images.iter().map(|image| image.missing));
    let coming = total(plan.images.iter().map(|image| image.coming));
    let on_their_way = match coming {
        0 => String::new(),
        1 => "; 1 is on its way".into(),
        more => format!("; {more} are on their way"),
    };
    let lacks = match missing {
        0 if plan.decision.limited_by == LimitedBy::Nothing => {
            return format!("nothing is missing{on_their_way}");
        }
        0 => return format!("no VM is created now{on_their_way}"),
        1 => "1 agent is missing".to_owned(),
        more => format!("{more} agents are missing"),
    };
    let growths: Vec<String> = plan
        .actions
        .iter()
        .filter(|action| matches!(action, Action::Grow { .. }))
        .map(Action::words)
        .collect();
    if growths.is_empty() {
        format!("{lacks}, and no VM is created now{on_their_way}")
    } else {
        format!("{lacks}: {}{on_their_way}", growths.join(", "))
    }
}

fn never_read(facts: &Facts<'_>) -> bool {
    facts.seen.jobs.latest().is_none() || facts.seen.agents.latest().is_none()
}

/// What keeps VMs from being started, and what mends it; `None`: nothing does.
pub(super) fn limit(facts: &Facts<'_>) -> Option<String> {
    let Facts { pool, seen, plan, .. } = facts;
    if pool.deletion.is_some() {
        return plan.holds.first().map(held);
    }
    let counts = &plan.counts;
    Some(match plan.decision.limited_by {
        LimitedBy::Nothing => return turn_of_growth(facts),
        LimitedBy::MaxAgents => {
            let gone = counts.unhealthy.saturating_add(counts.draining);
            let waits = if gone > 0 { format!(", {gone} of which are leaving") } else { String::new() };
            let vms = count(counts.total(), "VM");
            format!("maxAgents {} keeps it from more ({vms}{waits}): raise it, or wait", pool.max_agents)
        }
        LimitedBy::SavedAgents => format!(
            "maxAgents {} keeps it from more, and {} of it are saved for investigation: release them with kubectl \
             annotate agentpool {} poolkeeper.dev/release-saved=<vmID>, or raise it",
            pool.max_agents, counts.saved, pool.name
        ),
        LimitedBy::BindingMaximum => no_room(facts, |_| true),
        LimitedBy::ParallelJobs => {
            let share = seen.parallel_jobs.unwrap_or(0);
            format!(
                "this pool's share of the organisation's parallel jobs, {share}, is in use: buy more, or wait"
            )
        }
        LimitedBy::Increment => increment(facts),
        LimitedBy::Quota => {
            limited(facts, "ask Azure for more quota, or add a binding of another size or region")
        }
        LimitedBy::Allocation => limited(facts, "add a binding of another size or region, or wait"),
        LimitedBy::Subnet => limited(facts, "enlarge the subnet, or add a binding in another one"),
        LimitedBy::Throttling => limited(facts, "it goes on by itself"),
        LimitedBy::FailedStarts => failed_starts(facts),
        LimitedBy::Hold => match holds_of_growth(facts) {
            Some(hold) => held(hold),
            None => gate::unreadable(seen)
                .unwrap_or_else(|| limited(facts, "mend what it says; it is tried again by itself")),
        },
        LimitedBy::Mode => match pool.mode {
            Mode::Observe if plan.observed.is_empty() => {
                "mode Observe: nothing is written to any cloud".into()
            }
            Mode::Observe => {
                let would: Vec<String> = plan.observed.iter().take(3).map(Action::words).collect();
                format!("mode Observe: nothing is written; with mode Active it would {}", would.join(", "))
            }
            Mode::Paused | Mode::Active => {
                "the pool is paused: nothing is written until mode is Active and the annotation \
                 poolkeeper.dev/paused is removed"
                    .into()
            }
        },
    })
}

fn holds_of_growth<'a>(facts: &Facts<'a>) -> Option<&'a Hold> {
    facts.plan.holds.iter().find(|hold| matches!(hold.wanted, Some(Action::Grow { .. }) | None))
}

/// A hold with what ends it.
pub(super) fn held(hold: &Hold) -> String {
    let ends = match hold.reason {
        HoldReason::SourceMissing => "; it goes on once they are read again",
        HoldReason::SourcePartial => "; it goes on once they agree, or after 5m",
        HoldReason::ClaimLost => "; it goes on once the scale set is ours to write to",
        HoldReason::Conflict | HoldReason::WriteRefused => "; it is tried again by itself",
        HoldReason::Paused => "",
    };
    format!("held: {}{ends}", hold.message)
}

fn increment(facts: &Facts<'_>) -> String {
    let ScaleOut::ElasticPool { increment_percent, step_timeout, sample_interval } = facts.pool.scale_out
    else {
        return "it grows in steps".into();
    };
    let step = facts.pool.max_agents.saturating_mul(increment_percent).div_ceil(100);
    let steps =
        format!("strategy ElasticPool grows in steps of {step}, decided every {}", length(sample_interval));
    match &facts.plan.memory.step {
        Some(step) => {
            let until = at(after(step.started_at, step_timeout), facts.now);
            let began = at(step.started_at, facts.now);
            format!(
                "{steps}: the step of {began} is on its way, and the next comes when its VMs are online, or at {until}"
            )
        }
        None => format!("{steps}: the next one comes when the VMs on their way are online"),
    }
}

/// The bindings that said no, in their own words.
fn limited(facts: &Facts<'_>, mend: &str) -> String {
    let said = |name: &BindingName, message: &str, until| {
        format!("binding {name}: {message} (tried again at {})", at(until, facts.now))
    };
    let limits = facts.plan.bindings.iter().filter_map(|(name, binding)| {
        binding.limit.as_ref().map(|limit| said(name, &limit.message, limit.until))
    });
    let mut bindings: Vec<String> = limits.collect();
    if bindings.is_empty() {
        // Some of what was asked for still fits.
        let backoffs = facts.plan.memory.backoffs.iter();
        bindings.extend(backoffs.map(|(name, backoff)| said(name, &backoff.message, backoff.until)));
    }
    if bindings.is_empty() { mend.to_owned() } else { format!("{}: {mend}", bindings.join("; ")) }
}

fn failed_starts(facts: &Facts<'_>) -> String {
    let failing = facts.plan.bindings.iter().filter_map(|(name, binding)| {
        let starts = binding.failed_starts.as_ref()?;
        let times = count(starts.count, "start");
        Some(format!("{times} in a row failed on {name} ({}: {})", starts.reason.as_str(), starts.message))
    });
    let failing: Vec<String> = failing.collect();
    format!("{}, so one VM at a time is tried: mend the image or its extension", failing.join("; "))
}

/// Why no binding of the images in question has room.
pub(super) fn no_room(facts: &Facts<'_>, of: impl Fn(usize) -> bool) -> String {
    let lacking = |image: usize| {
        let missing = facts.plan.images.get(image).is_some_and(|image| image.missing > 0);
        missing && of(image)
    };
    let mut parts = Vec::new();
    for (index, image) in facts.pool.images.iter().enumerate().filter(|(index, _)| lacking(*index)) {
        let bindings: Vec<&Binding> =
            facts.pool.bindings.iter().filter(|binding| binding.image == index).collect();
        if bindings.is_empty() {
            let pool = &facts.pool.name;
            let image =
                if image.name.is_empty() { "this pool".to_owned() } else { format!("image {}", image.name) };
            parts.push(format!(
                "no binding serves {image}: create a ScaleSetBinding with poolRef.name {pool}"
            ));
        }
        parts.extend(bindings.into_iter().filter_map(|binding| full(facts, binding)));
    }
    if parts.is_empty() {
        "no binding has room: raise a binding's maxAgents, or add one".into()
    } else {
        parts.join("; ")
    }
}

/// Why a binding takes no more VMs.
fn full(facts: &Facts<'_>, binding: &Binding) -> Option<String> {
    let name = &binding.name;
    let plan = facts.plan.bindings.get(name);
    let vms = plan.map_or(0, |plan| plan.counts.total());
    if binding.draining {
        return Some(format!("binding {name} is being deleted"));
    }
    if binding.cordoned() {
        return Some(format!("binding {name} is cordoned: raise its maxAgents above 0"));
    }
    match facts.seen.sets.get(name) {
        None => return Some(format!("binding {name} has not been read yet")),
        Some(SetView { blocked: Some(blocked), .. }) => {
            return Some(format!("binding {name} cannot be used: {}", blocked.message));
        }
        Some(SetView { blocked: None, .. }) => {}
    }
    if let Some(limit) = plan.and_then(|plan| plan.limit.as_ref()) {
        return Some(format!(
            "binding {name}: {} (tried again at {})",
            limit.message,
            at(limit.until, facts.now)
        ));
    }
    let most = binding.max_agents.filter(|most| vms >= *most)?;
    Some(format!("binding {name} is at its maxAgents {most}: raise it"))
}

/// What a growth that nothing limits waits for; `None`: nothing is missing, or it is created now.
pub(super) fn turn_of_growth(facts: &Facts<'_>) -> Option<String> {
    let grows = |action: &Action| matches!(action, Action::Grow { .. });
    let missing = |image: usize| facts.plan.images.get(image).is_some_and(|image| image.missing > 0);
    if facts.plan.actions.iter().any(grows) {
        return None;
    }
    let mut lacking = facts.pool.bindings.iter().filter(|binding| missing(binding.image));
    let waits = |binding: &Binding| {
        let name = &binding.name;
        if binding.cordoned() {
            return None;
        }
        if let Some(blocked) = facts.seen.sets.get(name).and_then(|set| set.blocked.as_ref()) {
            return blocked.pending.then(|| format!("binding {name} is not ready yet: {}", blocked.message));
        }
        Some(turn(facts, name))
    };
    lacking.find_map(waits)
}

/// What the next write to a scale set waits for.
pub(super) fn turn(facts: &Facts<'_>, binding: &BindingName) -> String {
    let memory = &facts.plan.memory;
    let mut operations = memory.operations.iter().filter(|other| &other.binding == binding);
    let running = operations.find_map(|operation| {
        let what = match &operation.kind {
            OperationKind::Create { .. } => "creation of VMs",
            OperationKind::Delete(_) if operation.url.is_some() => "deletion",
            OperationKind::Delete(_) | OperationKind::Reimage(_) => return None,
        };
        let begun = at(operation.started_at, facts.now);
        Some(format!("its turn comes after the {what} on {binding} that was begun at {begun}"))
    });
    running.unwrap_or_else(|| format!("jobs, agents and the VMs of {binding} are read once more before"))
}

/// The sources that are missing, and how old the last answer is.
fn unread(facts: &Facts<'_>) -> Option<String> {
    fn age<T>(what: &str, seen: &Seen<T>, facts: &Facts<'_>) -> Option<String> {
        match seen {
            Seen::Fresh { .. } => None,
            Seen::Missing { why, last: Some((_, read_at)) } => {
                Some(format!("{what} were last read {} ago ({})", since(*read_at, facts.now), why.message))
            }
            Seen::Missing { why, last: None } => Some(format!("{what} have not been read ({})", why.message)),
        }
    }
    let organization = [age("jobs", &facts.seen.jobs, facts), age("agents", &facts.seen.agents, facts)]
        .into_iter()
        .flatten();
    let sets = facts.seen.sets.iter().filter(|(_, set)| set.blocked.is_none());
    let sets = sets.filter_map(|(name, set)| age(&format!("the VMs of {name}"), &set.instances, facts));
    let missing: Vec<String> = organization.chain(sets).collect();
    if missing.is_empty() { None } else { Some(missing.join("; ")) }
}
