//! Which image a waiting job goes to.

use std::collections::BTreeMap;

use crate::{
    index::{Among, Index},
    instance::Instance,
    pool::{BindingName, Image, Pool},
    reason::PoolReason,
    records,
    snapshot::{Agent, AgentId, JobRequest, RequestId, Snapshot},
};

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

/// Names of demands that choose an image instead of asking for a capability.
const IMAGE_OVERRIDE: &str = "imageoverride";
const IMAGE_VERSION_OVERRIDE: &str = "imageversionoverride";
/// Agents update themselves to the version that a job asks for.
const AGENT_VERSION: &str = "agent.version";

/// Routes each waiting job to the first image that meets its demands.
///
/// A job that an agent of the later read says it has is not waiting any more; maintenance is bound to its agent.
pub(crate) fn route(pool: &Pool, seen: &Snapshot, instances: &[Instance]) -> Demands {
    let jobs = seen.jobs.latest().map(Vec::as_slice).unwrap_or_default();
    let agents = seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
    let taken: Among<RequestId> = agents.iter().filter_map(|agent| agent.assigned).collect();
    let waits = |job: &&JobRequest| job.agent.is_none() && !job.maintenance && !taken.contains(&job.id);
    // Thousands of waiting jobs have a handful of different demands.
    let mut groups: BTreeMap<&[Demand], Vec<&JobRequest>> = BTreeMap::new();
    for job in jobs.iter().filter(waits) {
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
            waiting.sort_unstable_by_key(|(job, _)| (job.queued_at.is_none(), job.queued_at, job.id));
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

fn amount(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// What the images offer: what is declared, and what their agents report.
pub(crate) struct Offers<'a> {
    pool: &'a Pool,
    agents: Vec<Vec<&'a Agent>>,
}

impl<'a> Offers<'a> {
    pub(crate) fn new(pool: &'a Pool, agents: &'a [Agent], instances: &[Instance], asked: bool) -> Self {
        let mut offers = Self { pool, agents: vec![Vec::new(); pool.images.len()] };
        if !asked {
            return offers;
        }
        let image_of: BTreeMap<&BindingName, usize> =
            pool.bindings.iter().map(|binding| (&binding.name, binding.image)).collect();
        let images: Index<AgentId, usize> = instances
            .iter()
            .filter_map(|instance| Some((instance.agent?, *image_of.get(&instance.binding)?)))
            .collect();
        for agent in agents {
            if let Some(of_image) = images.get(&agent.id).and_then(|image| offers.agents.get_mut(*image)) {
                of_image.push(agent);
            }
            // A placeholder remembers what the agents of its image have offered.
            let kept = records::image_of(pool, agent).and_then(|image| offers.agents.get_mut(image));
            kept.into_iter().for_each(|of_image| of_image.push(agent));
        }
        offers
    }

    /// The first image that meets all demands.
    pub(crate) fn image(&self, demands: &[Demand]) -> Option<usize> {
        (0..self.pool.images.len()).find(|image| demands.iter().all(|demand| self.meet(*image, demand)))
    }

    /// The image is called so, declares it, or has an agent that reports it; mostly its first agent does.
    fn meet(&self, image: usize, demand: &Demand) -> bool {
        let Some(offered) = self.pool.images.get(image) else { return false };
        let name = demand.name();
        let ignored = self.pool.ignore_demands.contains(name);
        if ignored || name == AGENT_VERSION || name == IMAGE_VERSION_OVERRIDE {
            return true;
        }
        if name == IMAGE_OVERRIDE {
            return match demand {
                Demand::Equals(_, wanted) => is_called(offered, wanted),
                Demand::Exists(_) | Demand::AtLeast(..) => true,
            };
        }
        let reported = self.agents.get(image).into_iter().flatten();
        let declared = offered.capabilities.get(name).into_iter();
        let mut values = declared.chain(reported.filter_map(|agent| agent.capabilities.get(name)));
        match demand {
            Demand::Exists(_) => values.next().is_some(),
            Demand::Equals(_, wanted) => values.any(|value| value.eq_ignore_ascii_case(wanted)),
            Demand::AtLeast(_, wanted) => values.any(|value| version(value) >= version(wanted)),
        }
    }
}

fn is_called(image: &Image, wanted: &str) -> bool {
    std::iter::once(&image.name).chain(&image.aliases).any(|name| name.eq_ignore_ascii_case(wanted))
}

fn version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    while parts.pop_if(|last| *last == 0).is_some() {}
    parts
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
