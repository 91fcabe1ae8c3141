//! The history behind automatic standby: sampled by the pool's passes, kept in the ConfigMap `<pool>-history` beside it.
//!
//! Losing it costs a forecast, never an agent: until it is there again, schedule and constant hold.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use kube::{Resource as _, ResourceExt};
use poolkeeper_api::{
    AgentPool,
    agent_pool::{AutomaticHistory, HistoryDay},
    standby_schedule::{Automatic, AutomaticStrategy, Preference},
};
use poolkeeper_policy::{self as policy, Forecast, History, PoolReason, Session, Snapshot, Truth};

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
    written_at: Option<Timestamp>,
    unsaved: bool,
    /// When finished requests have last filled what was missing, or could not.
    filled_at: Option<Timestamp>,
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
        Err(error) => complain(pool, &mut cache.trouble, "read", &error, now),
    }
}

async fn read(ctx: &Context, pool: &AgentPool) -> Result<Kept, OwnedMapError> {
    let mut kept = Kept {
        history: History::default(),
        written_at: None,
        unsaved: false,
        filled_at: None,
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
    let trouble = cache.trouble.as_ref().map(|(why, _)| format!("; {why}")).unwrap_or_default();
    let plural = if days == 1 { "day" } else { "days" };
    let condition = match (sufficient, kept.set_aside) {
        (true, _) => condition(
            Truth::True,
            PoolReason::EnoughHistory,
            format!("{days} {plural}{}{trouble}", by(automatic)),
        ),
        (false, true) => condition(
            Truth::False,
            PoolReason::HistoryUnreadable,
            format!(
                "what was learned was set aside and is built anew, {days} {plural} so far: schedule and constant \
                 hold{trouble}"
            ),
        ),
        (false, false) => condition(
            Truth::False,
            PoolReason::Learning,
            format!(
                "{days} {plural} of at least {}: schedule and constant hold{trouble}",
                policy::ENOUGH_DAYS
            ),
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
        self.filled_at = Some(now);
    }
}

/// Takes up what a pass has seen; fills and writes the history where that is due.
pub(super) async fn keep(
    ctx: &Context,
    pool: &AgentPool,
    cache: &mut HistoryCache,
    clouds: Option<&Clouds>,
    seen: &Snapshot,
    now: Timestamp,
) {
    let Some(kept) = &mut cache.kept else { return };
    // What was not read in this pass is no sample. Whoever counts agents instead sees none where no VM was listed.
    if let (Some(jobs), true) = (seen.jobs.latest(), seen.jobs.fresh_at() == Some(now)) {
        let sessions = jobs.iter().filter(|job| !job.maintenance).count();
        kept.history.record(now, u32::try_from(sessions).unwrap_or(u32::MAX));
        kept.unsaved = true;
    }
    let waits = cache.trouble.as_ref().is_some_and(|(_, until)| now < *until);
    if waits || pool.metadata.deletion_timestamp.is_some() {
        return;
    }
    let due = |last: Option<Timestamp>| last.is_none_or(|last| now.duration_since(last) >= PACE);
    if let Some(clouds) = clouds
        && due(kept.filled_at)
        && !kept.history.gaps(now).is_empty()
    {
        match clouds.organization.finished_job_requests(clouds.pool, FINISHED).await {
            Ok(answer) => kept.fill(&answer.value, now),
            Err(error) if error.is_kept_back() => return,
            Err(error) => {
                // What was sampled is written all the same; the next hour tries again.
                kept.filled_at = Some(now);
                complain(pool, &mut cache.trouble, "filled from finished jobs", &error, now);
            }
        }
    }
    let Some(kept) = &mut cache.kept else { return };
    if kept.unsaved && due(kept.written_at) && (kept.filled_at.is_some() || clouds.is_none()) {
        match write(ctx, pool, &kept.history).await {
            Ok(()) => {
                (kept.unsaved, kept.written_at) = (false, Some(now));
                cache.trouble = cache.trouble.take().filter(|(_, until)| now < *until);
            }
            Err(error) => complain(pool, &mut cache.trouble, "written", &error, now),
        }
    }
}

/// What is there is read right before: a person may have deleted or replaced it.
async fn write(ctx: &Context, pool: &AgentPool, history: &History) -> Result<(), OwnedMapError> {
    let Some(owner) = pool.owner_ref(&()) else { return Ok(()) };
    let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
    let map = OwnedMap {
        namespace: &namespace,
        pool: &name,
        name: format!("{name}-history"),
        owner: &owner,
        field: FIELD,
    };
    let present = map.read(&ctx.kube).await?;
    map.write(&ctx.kube, &ctx.metrics, present.as_ref(), &history.encode()).await?;
    Ok(())
}

/// Logged once, told in the condition, tried again.
fn complain(
    pool: &AgentPool,
    trouble: &mut Option<(String, Timestamp)>,
    what: &'static str,
    error: &dyn std::error::Error,
    now: Timestamp,
) {
    let words = format!("it cannot be {what}: {}", crate::chain(error));
    if trouble.as_ref().is_none_or(|(before, _)| *before != words) {
        let (namespace, name) = (pool.namespace().unwrap_or_default(), pool.name_any());
        tracing::warn!(
            namespace,
            name,
            error = words,
            "the history of a pool is in trouble; it is tried again"
        );
    }
    *trouble = Some((words, now.checked_add(RETRY).unwrap_or(now)));
}
