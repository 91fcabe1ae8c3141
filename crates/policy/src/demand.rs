//! Which image a waiting job goes to.

mod offers;

use std::collections::BTreeMap;

use crate::{
    index::Among,
    instance::Instance,
    pool::Pool,
    reason::PoolReason,
    snapshot::{Agent, JobRequest, RequestId, Snapshot},
};

pub(crate) use offers::{AGENT_VERSION, IMAGE_OVERRIDE, IMAGE_VERSION_OVERRIDE, Offers, same, version};

/// What a job asks of an agent. Names are compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// The capability is there.
    Exists(String),
    /// It has this value.
    Equals(String, String),
    /// It is a version at least this high.
    AtLeast(String, String),
}

impl Demand {
    /// Parses Azure DevOps' forms `name`, `name -equals value` and `name -gtVersion version`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let (operator, value) =
            rest.trim_start().split_once(char::is_whitespace).unwrap_or((rest.trim(), ""));
        let (name, value) = (name.to_lowercase(), value.trim().to_owned());
        match operator.to_lowercase().as_str() {
            "-equals" => Self::Equals(name, value),
            "-gtversion" => Self::AtLeast(name, value),
            _ => Self::Exists(name),
        }
    }

    /// Lower-case name of the capability.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Exists(name) | Self::Equals(name, _) | Self::AtLeast(name, _) => name,
        }
    }

    /// As a person writes it.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exists(name) => name.clone(),
            Self::Equals(name, value) => format!("{name} -equals {value}"),
            Self::AtLeast(name, value) => format!("{name} -gtVersion {value}"),
        }
    }
}

/// A job that no image can run: reported, not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnroutableJob {
    /// The request.
    pub request: RequestId,
    /// Its pipeline.
    pub definition: Option<String>,
    /// The demands that stand in the way.
    pub demands: Vec<String>,
    /// `NoSuchImage` or `DemandNotMet`.
    pub reason: PoolReason,
}

impl UnroutableJob {
    /// What lets it run.
    #[must_use]
    pub fn remedy(&self) -> String {
        if self.reason == PoolReason::NoSuchImage {
            return "name or alias an image so".into();
        }
        let (mut of_version, mut of_agent, mut of_others) = (None, None, None);
        for demand in self.demands.iter().map(|demand| Demand::parse(demand)) {
            match (demand.name(), &demand) {
                (IMAGE_VERSION_OVERRIDE, _) => {
                    of_version = Some(
                        "declare the version with the image that has it (capabilities: name ImageVersionOverride, and \
                         the version as value)",
                    );
                }
                (AGENT_VERSION, Demand::Equals(..)) => {
                    of_agent = Some(
                        "no agent of that version was seen: demand Agent.Version -gtVersion, to which agents update \
                         themselves, or install that agent on the image",
                    );
                }
                (AGENT_VERSION, Demand::Exists(_) | Demand::AtLeast(..)) => {}
                (_, _) => of_others = Some("add it to an image's capabilities, or to routing.ignoreDemands"),
            }
        }
        let remedies: Vec<&str> = [of_version, of_agent, of_others].into_iter().flatten().collect();
        remedies.join("; ")
    }
}

/// The waiting jobs by image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Jobs per image, in the order of the pool's images: at most what the pool's share of the parallel jobs leaves.
    pub queued: Vec<u32>,
    /// Jobs beyond that share: they wait for parallel jobs, not for agents.
    pub beyond: u32,
    /// Jobs that no image can run, by request.
    pub unroutable: Vec<UnroutableJob>,
}

/// Routes each waiting job to the first image that meets its demands.
///
/// A job that an agent of the later read says it has is not waiting any more; maintenance is bound to its agent.
pub(crate) fn route(pool: &Pool, seen: &Snapshot, instances: &[Instance]) -> Demands {
    let jobs = seen.jobs.latest().map(Vec::as_slice).unwrap_or_default();
    let agents = seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
    let taken = taken(agents);
    // Thousands of waiting jobs have a handful of different demands.
    let mut groups: BTreeMap<&[Demand], Vec<&JobRequest>> = BTreeMap::new();
    for job in jobs.iter().filter(|job| waits(job, &taken)) {
        groups.entry(job.demands.as_slice()).or_default().push(job);
    }
    let offers = Offers::new(pool, agents, instances, groups.keys().any(|demands| !demands.is_empty()));
    let mut result = Demands { queued: vec![0; pool.images.len()], ..Demands::default() };
    let runs = |job: &&JobRequest| !job.maintenance && (job.agent.is_some() || taken.contains(&job.id));
    let room = seen.parallel_jobs.map(|most| {
        usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(jobs.iter().filter(runs).count())
    });
    let mut waiting = Vec::new();
    for (demands, jobs) in groups {
        match offers.image(demands).and_then(|image| result.queued.get_mut(image).zip(Some(image))) {
            Some((_, image)) if room.is_some() => waiting.extend(jobs.iter().map(|job| (*job, image))),
            Some((queued, _)) => *queued = queued.saturating_add(amount(jobs.len())),
            None => result.unroutable.extend(unroutable(&offers, demands, &jobs)),
        }
    }
    if let Some(room) = room {
        result.beyond = amount(waiting.len().saturating_sub(room));
        if result.beyond > 0 {
            // The server hands jobs out by age; one of unknown age comes last.
            waiting.sort_unstable_by_key(|(job, _)| age(job));
        }
        for (_, image) in waiting.into_iter().take(room) {
            if let Some(queued) = result.queued.get_mut(image) {
                *queued = queued.saturating_add(1);
            }
        }
    }
    result.unroutable.sort_by_key(|job| job.request);
    result
}

/// What agents of the later read say they have.
fn taken(agents: &[Agent]) -> Among<RequestId> {
    agents.iter().filter_map(|agent| agent.assigned).collect()
}

fn waits(job: &JobRequest, taken: &Among<RequestId>) -> bool {
    job.agent.is_none() && !job.maintenance && !taken.contains(&job.id)
}

/// The order in which the server hands jobs out.
fn age(job: &JobRequest) -> (bool, Option<jiff::Timestamp>, RequestId) {
    (job.queued_at.is_none(), job.queued_at, job.id)
}

/// What waiting jobs call the image that they go to, with `ImageOverride`, the oldest first.
pub(crate) fn names_asked<'a>(
    pool: &Pool,
    seen: &'a Snapshot,
    instances: &[Instance],
) -> Vec<(usize, &'a str)> {
    let agents = seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
    let taken = taken(agents);
    let named = |job: &'a JobRequest| {
        let name = job.demands.iter().find_map(|demand| match demand {
            Demand::Equals(name, wanted) if name == IMAGE_OVERRIDE => Some(wanted.as_str()),
            Demand::Equals(..) | Demand::Exists(_) | Demand::AtLeast(..) => None,
        })?;
        Some((job, name))
    };
    let jobs = seen.jobs.latest().into_iter().flatten();
    let mut asked: Vec<_> = jobs.filter(|job| waits(job, &taken)).filter_map(named).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    asked.sort_unstable_by_key(|(job, _)| age(job));
    let offers = Offers::new(pool, agents, instances, true);
    let mut images: BTreeMap<&[Demand], Option<usize>> = BTreeMap::new();
    let mut image = |job: &'a JobRequest| {
        *images.entry(job.demands.as_slice()).or_insert_with(|| offers.image(&job.demands))
    };
    asked.into_iter().filter_map(|(job, name)| Some((image(job)?, name))).collect()
}

fn amount(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Jobs with the same demands, which no image meets.
fn unroutable(
    offers: &Offers<'_>,
    demands: &[Demand],
    jobs: &[&JobRequest],
) -> impl Iterator<Item = UnroutableJob> {
    // What no image meets by itself; where each is met somewhere, it is the combination that nobody meets.
    let met = |demand: &Demand| (0..offers.pool.images.len()).any(|image| offers.meet(image, demand));
    let mut missing: Vec<&Demand> = demands.iter().filter(|demand| !met(demand)).collect();
    if missing.is_empty() {
        missing = demands.iter().collect();
    }
    let no_image = missing.iter().any(|demand| demand.name() == IMAGE_OVERRIDE);
    let reason = if no_image { PoolReason::NoSuchImage } else { PoolReason::DemandNotMet };
    let demands: Vec<String> = missing.into_iter().map(Demand::words).collect();
    jobs.iter().map(move |job| UnroutableJob {
        request: job.id,
        definition: job.definition.clone(),
        demands: demands.clone(),
        reason,
    })
}
