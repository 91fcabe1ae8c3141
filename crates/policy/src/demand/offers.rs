//! What the images offer: what is declared, and what their agents report.

use std::collections::BTreeMap;

use super::Demand;
use crate::{
    index::{Index, folded},
    instance::Instance,
    pool::{BindingName, Image, Pool},
    records::{self, SEEN_VERSION},
    snapshot::{Agent, AgentId},
};

/// Chooses an image by name or alias.
pub(crate) const IMAGE_OVERRIDE: &str = "imageoverride";
/// Chooses an image that declares this version.
pub(crate) const IMAGE_VERSION_OVERRIDE: &str = "imageversionoverride";
/// Agents update themselves to the version that a job asks for at least; none goes back to an older one.
pub(crate) const AGENT_VERSION: &str = "agent.version";

/// What each image offers.
pub(crate) struct Offers<'a> {
    pub(super) pool: &'a Pool,
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
    pub(super) fn meet(&self, image: usize, demand: &Demand) -> bool {
        let Some(offered) = self.pool.images.get(image) else { return false };
        let name = demand.name();
        if self.pool.ignore_demands.contains(name) {
            return true;
        }
        let declared = offered.capabilities.get(name).map(String::as_str);
        // What the agents of a named image say of these two, we have put there.
        let named = !offered.name.is_empty();
        match name {
            AGENT_VERSION => self.runs(image, declared, demand),
            IMAGE_OVERRIDE if named => is_met(demand, names(offered)),
            IMAGE_VERSION_OVERRIDE if named => is_met(demand, declared),
            _ => is_met(demand, declared.into_iter().chain(self.reported(image, name))),
        }
    }

    fn reported(&self, image: usize, name: &str) -> impl Iterator<Item = &'a str> {
        let agents = self.agents.get(image).into_iter().flatten();
        agents.filter_map(move |agent| agent.capabilities.get(name)).map(String::as_str)
    }

    /// An exact version of the agent is met where it was seen, or none was seen yet.
    fn runs(&self, image: usize, declared: Option<&str>, demand: &Demand) -> bool {
        match demand {
            Demand::Exists(_) | Demand::AtLeast(..) => return true,
            Demand::Equals(..) => {}
        }
        let (placeholders, agents): (Vec<&Agent>, Vec<&Agent>) =
            self.agents.get(image).into_iter().flatten().copied().partition(|agent| agent.is_placeholder());
        let mut seen: Vec<&str> = agents
            .iter()
            .filter_map(|agent| agent.capabilities.get(AGENT_VERSION))
            .map(String::as_str)
            .chain(declared)
            .collect();
        if seen.is_empty() {
            let kept =
                placeholders.iter().filter_map(|placeholder| placeholder.capabilities.get(SEEN_VERSION));
            seen.extend(kept.map(String::as_str));
        }
        seen.is_empty() || is_met(demand, seen)
    }
}

fn is_met<'a>(demand: &Demand, values: impl IntoIterator<Item = &'a str>) -> bool {
    let mut values = values.into_iter();
    match demand {
        Demand::Exists(_) => values.next().is_some(),
        Demand::Equals(_, wanted) => values.any(|value| same(value, wanted)),
        Demand::AtLeast(_, wanted) => values.any(|value| version(value) >= version(wanted)),
    }
}

/// By its name and aliases.
fn names(image: &Image) -> impl Iterator<Item = &str> {
    std::iter::once(&image.name).chain(&image.aliases).map(String::as_str)
}

/// Azure DevOps compares values without regard to case, as it does names.
pub(crate) fn same(value: &str, wanted: &str) -> bool {
    folded(value) == folded(wanted)
}

/// `-gtVersion` is met by an equal version too, in spite of its name.
pub(crate) fn version(text: &str) -> Vec<u64> {
    let mut parts: Vec<u64> = text.split('.').map(|part| part.parse().unwrap_or(0)).collect();
    while parts.pop_if(|last| *last == 0).is_some() {}
    parts
}
