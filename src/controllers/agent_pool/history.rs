//! The history behind automatic standby: sampled by the pool's passes, kept in the ConfigMap `<pool>-history` beside it.
//!
//! Losing it costs a forecast, never an agent: until it is there again, schedule and constant hold.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Resource as _, ResourceExt};
use poolkeeper_api::{
    AgentPool,
    agent_pool::{AutomaticHistory, HistoryDay},
    standby_schedule::{Automatic, AutomaticStrategy, Preference},
};
use poolkeeper_policy::{self as policy, Forecast, History, Plan, PoolReason, Session, Snapshot, Truth};

use super::{count, observe::Clouds};
use crate::{
    conditions::Desired,
    context::Context,
    events::Note,
    kubernetes,
    owned_map::{OwnedMap, OwnedMapError},
};

/// The field of the ConfigMap.
const FIELD: &str = "history";
/// What an operator that is killed loses at most, and more it cannot: finished requests fill it again.
const PACE: SignedDuration = SignedDuration::from_hours(1);
/// After a read or write that failed.
const RETRY: SignedDuration = SignedDuration::from_mins(1);
/// Finished requests that a history is filled from, with one call: three weeks of a pool with a hundred jobs a day. More
/// would take Azure DevOps seconds to answer.
const FINISHED: u32 = 2_000;
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// What the passes of one pool keep of its history.
#[derive(Debug, Default)]
pub(crate) struct HistoryCache {
    /// Absent until it was read.
    kept: Option<Kept>,
    /// Why it could not be read or written, and when that is tried again.
    trouble: Option<(String, Timestamp)>,
}

#[derive(Debug)]
struct Kept {
    history: History,
    /// As it was last read or written.
    present: Option<ConfigMap>,
    written_at: Option<Timestamp>,
    unsaved: bool,
    /// Finished requests have filled what was missing.
    filled: bool,
    /// What was there before could not be read.
    set_aside: bool,
    forecast: Option<(Wanted, Timestamp, Forecast)>,
}

/// What a forecast is made for.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    preference: policy::Preference,
    zone: TimeZone,
    most: u32,
}

/// What the history says at a pass.
#[derive(Debug)]
pub(super) struct View {
    /// Only where it rests on enough days.
    pub(super) forecast: Option<Forecast>,
    pub(super) status: Option<AutomaticHistory>,
    pub(super) condition: Desired,
}

/// Reads the history once, where `automatic` needs it, and forgets it where nothing does.
pub(super) async fn load(
    ctx: &Context,
    pool: &AgentPool,
    cache: &mut HistoryCache,
    needed: bool,
    now: Timestamp,
) {
    if !needed {
        *cache = HistoryCache::default();
        return;
    }
    let waits = cache.trouble.as_ref().is_some_and(|(_, until)| now < *until);
    if cache.kept.is_some() || waits {
        return;
    }
    match read(ctx, pool).await {
        Ok(kept) => *cache = HistoryCache { kept: Some(kept), trouble: None },
        Err(error) => complain(pool, cache, "read", &error, now),
    }
}

async fn read(ctx: &Context, pool: &AgentPool) -> Result<Kept, OwnedMapError> {
    let mut kept = Kept {
        history: History::default(),
        present: None,
        written_at: None,
        unsaved: false,
        filled: false,
        set_aside: false,
        forecast: None,
    };
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    let Some(owner) = pool.owner_ref(&()) else { return Ok(kept) };
    let map = |suffix: &str| OwnedMap {
        namespace: &namespace,
        pool: &name,
        name: format!("{name}-{suffix}"),
        owner: &owner,
        field: FIELD,
    };
    let history = map("history");
    let Some(present) = history.read(&ctx.kube).await? else { return Ok(kept) };
    let text = history.text(&present).unwrap_or_default();
    match History::decode(text) {
        Ok(read) => kept.history = read,
        Err(why) => {
            // Under another name first: nothing is written over what a person may want to see.
            let aside = map("history-unreadable");
            let before = aside.read(&ctx.kube).await?;
            aside.write(&ctx.kube, &ctx.metrics, before.as_ref(), text).await?;
            let message = format!(
                "ConfigMap {}: {why}; it is kept as {}, and the history is built anew from finished jobs",
                history.name, aside.name
            );
            let note = Note {
                warning: true,
                reason: PoolReason::HistoryUnreadable.as_str(),
                action: "Rebuild",
                message,
            };
            ctx.events.publish(&kubernetes::object_reference(pool), note).await;
            (kept.set_aside, kept.unsaved) = (true, true);
        }
    }
    kept.present = Some(present);
    Ok(kept)
}

/// What the history says, as of `now`, for a pool of at most `most` agents.
pub(super) fn view(
    cache: &mut HistoryCache,
    automatic: &Automatic,
    zone: &TimeZone,
    most: u32,
    now: Timestamp,
) -> View {
    let condition = |truth, reason: PoolReason, message: String| Desired {
        kind: "HistorySufficient",
        truth,
        reason: reason.as_str(),
        message,
    };
    let Some(kept) = &mut cache.kept else {
        let why = cache.trouble.as_ref().map_or("it was not read yet", |(why, _)| why.as_str());
        let message = format!("the history is not known ({why}): schedule and constant hold");
        let condition = condition(Truth::Unknown, PoolReason::Learning, message);
        return View { forecast: None, status: None, condition };
    };
    let asked = automatic.max_agents.and_then(|most| u32::try_from(most).ok());
    let wanted = Wanted {
        preference: preference(automatic.preference),
        zone: zone.clone(),
        most: asked.map_or(most, |asked| asked.min(most)),
    };
    let forecast = kept.forecast(wanted, now);
    let (days, samples) = (kept.history.days_seen(now), kept.history.samples());
    let sufficient = forecast.is_sufficient();
    let plural = if days == 1 { "day" } else { "days" };
    let condition = match (sufficient, kept.set_aside) {
        (true, _) => {
            condition(Truth::True, PoolReason::EnoughHistory, format!("{days} {plural}{}", by(automatic)))
        }
        (false, true) => condition(
            Truth::False,
            PoolReason::HistoryUnreadable,
            format!(
                "what was learned was set aside and is built anew, {days} {plural} so far: schedule and constant hold"
            ),
        ),
        (false, false) => condition(
            Truth::False,
            PoolReason::Learning,
            format!("{days} {plural} of at least {}: schedule and constant hold", policy::ENOUGH_DAYS),
        ),
    };
    let status = AutomaticHistory {
        days_seen: count(days),
        samples: count(samples),
        basis: if sufficient { "History" } else { "Fallback" }.to_owned(),
        hours: hours(&forecast),
    };
    View { forecast: sufficient.then_some(forecast), status: Some(status), condition }
}

/// The predictive strategy has no model of its own yet; its users are told what they get.
fn by(automatic: &Automatic) -> &'static str {
    match automatic.strategy {
        AutomaticStrategy::Percentile => "",
        AutomaticStrategy::Predictive => "; strategy Predictive is not there yet, so Percentile is used",
    }
}

fn preference(preference: Preference) -> policy::Preference {
    match preference {
        Preference::MostCostEffective => policy::Preference::MostCostEffective,
        Preference::MoreCostEffective => policy::Preference::MoreCostEffective,
        Preference::Balanced => policy::Preference::Balanced,
        Preference::MorePerformance => policy::Preference::MorePerformance,
        Preference::BestPerformance => policy::Preference::BestPerformance,
    }
}

fn hours(forecast: &Forecast) -> Vec<HistoryDay> {
    let days = DAYS.iter().zip(forecast.hours().chunks(24));
    days.map(|(day, hours)| HistoryDay {
        day: (*day).to_owned(),
        agents: hours.iter().map(|hour| count(hour.agents)).collect(),
        samples: hours.iter().map(|hour| count(hour.samples)).collect(),
    })
    .collect()
}

impl Kept {
    /// The figures of the hours move with the week: once an hour is enough.
    fn forecast(&mut self, wanted: Wanted, now: Timestamp) -> Forecast {
        if let Some((made_for, made_at, forecast)) = &self.forecast
            && *made_for == wanted
            && (*made_at..made_at.checked_add(PACE).unwrap_or(Timestamp::MAX)).contains(&now)
        {
            return forecast.clone();
        }
        let Wanted { preference, zone, most } = wanted.clone();
        let forecast = Forecast::new(&self.history, preference, zone, Some(most), now);
        self.forecast = Some((wanted, now, forecast.clone()));
        forecast
    }

    /// Fills what nobody has sampled from the requests that Azure DevOps still knows.
    ///
    /// Requests older than the oldest of those are unknown, which is not none: the filling begins with it.
    fn fill(&mut self, requests: &[poolkeeper_azure_devops::JobRequest], now: Timestamp) {
        let jobs = requests.iter().filter(|request| !request.is_maintenance());
        let sessions: Vec<Session> = jobs
            .filter_map(|request| {
                Some(Session { queued_at: request.queue_time?, finished_at: request.finish_time })
            })
            .collect();
        let oldest = sessions.iter().filter_map(|session| session.finished_at).min();
        if let Some(oldest) = oldest {
            self.history.backfill(sessions, oldest, now);
            self.unsaved = true;
            self.forecast = None;
        }
        self.filled = true;
    }
}

/// Takes up what a pass has seen; fills and writes the history where that is due.
pub(super) async fn keep(
    ctx: &Context,
    pool: &AgentPool,
    cache: &mut HistoryCache,
    clouds: Option<&Clouds>,
    (seen, plan): (&Snapshot, &Plan),
    now: Timestamp,
) {
    let Some(kept) = &mut cache.kept else { return };
    // What was not read in this pass is no sample.
    if seen.jobs.fresh_at() == Some(now) && seen.agents.fresh_at() == Some(now) {
        kept.history.record(now, plan.jobs.queued.saturating_add(plan.jobs.running));
        kept.unsaved = true;
    }
    let waits = cache.trouble.as_ref().is_some_and(|(_, until)| now < *until);
    if waits || pool.metadata.deletion_timestamp.is_some() {
        return;
    }
    if let Some(clouds) = clouds.filter(|_| !kept.filled) {
        match clouds.organization.finished_job_requests(clouds.pool, FINISHED).await {
            Ok(answer) => kept.fill(&answer.value, now),
            Err(error) if error.is_kept_back() => {}
            Err(error) => {
                complain(pool, cache, "filled from finished jobs", &error, now);
                return;
            }
        }
    }
    let due = kept.written_at.is_none_or(|written| now.duration_since(written) >= PACE);
    if kept.unsaved && kept.filled && due {
        match write(ctx, pool, kept).await {
            Ok(()) => {
                (kept.unsaved, kept.written_at) = (false, Some(now));
                cache.trouble = None;
            }
            Err(error) => {
                // It may have been changed or deleted by a person.
                kept.present = reread(ctx, pool).await;
                complain(pool, cache, "written", &error, now);
            }
        }
    }
}

async fn write(ctx: &Context, pool: &AgentPool, kept: &mut Kept) -> Result<(), OwnedMapError> {
    let Some(owner) = pool.owner_ref(&()) else { return Ok(()) };
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    let map = OwnedMap {
        namespace: &namespace,
        pool: &name,
        name: format!("{name}-history"),
        owner: &owner,
        field: FIELD,
    };
    let text = kept.history.encode();
    let written = map.write(&ctx.kube, &ctx.metrics, kept.present.as_ref(), &text).await?;
    kept.present = Some(written);
    Ok(())
}

async fn reread(ctx: &Context, pool: &AgentPool) -> Option<ConfigMap> {
    read(ctx, pool).await.ok().and_then(|kept| kept.present)
}

/// Logged once, told in the condition, tried again.
fn complain(
    pool: &AgentPool,
    cache: &mut HistoryCache,
    what: &'static str,
    error: &dyn std::error::Error,
    now: Timestamp,
) {
    let words = format!("it cannot be {what}: {}", crate::chain(error));
    if cache.trouble.as_ref().is_none_or(|(before, _)| *before != words) {
        let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
        tracing::warn!(
            namespace,
            name,
            error = words,
            "the history of a pool is in trouble; it is tried again"
        );
    }
    cache.trouble = Some((words, now.checked_add(RETRY).unwrap_or(now)));
}
