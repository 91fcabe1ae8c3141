//! The names of an image on its agents: Azure DevOps hands a job with `ImageOverride -equals X` only to an agent that
//! has this capability, with this value.
//!
//! One value is possible at a time: the image's name, or an alias while a job waits for it. `ImageVersionOverride` goes
//! with it where the image declares a version. The write replaces all user capabilities of an agent, so whatever else
//! is among them is written again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::placeholders::IMAGE_OVERRIDE;
use crate::{
    demand,
    index::folded,
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::Memory,
    pool::{Binding, BindingName, Image, Lifecycle, Mode, Pool},
    protocol::RecordChange,
    snapshot::{Agent, AgentId, Snapshot},
};

const IMAGE_VERSION_OVERRIDE: &str = "ImageVersionOverride";
/// The rest follows in the next passes: a budget of writes is everybody's, and jobs that wait come first.
const MOST: usize = 50;
/// A list may not show yet what was just written, and a service may not keep it: the same is written again only then.
const AGAIN: SignedDuration = SignedDuration::from_mins(10);

/// A label that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    at: Timestamp,
    label: Label,
}

/// What an agent shall say of its image.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    name: String,
    version: Option<String>,
}

/// An agent of a named image.
struct Carrier<'a> {
    agent: &'a Agent,
    image: usize,
    /// Idle, so that it can be given another name.
    free: bool,
}

/// Which is written first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// A job waits for it.
    Asked,
    Free,
    Other,
}

/// The labels that agents lack.
pub(super) fn changes(
    pool: &Pool,
    seen: &Snapshot,
    memory: &mut Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> Vec<RecordChange> {
    memory.records.labelled.retain(|_, given| after(given.at, AGAIN) > now);
    let active = match pool.mode {
        Mode::Active => pool.deletion.is_none(),
        Mode::Observe | Mode::Paused => false,
    };
    if !active || pool.images.iter().all(|image| image.name.is_empty()) {
        return Vec::new();
    }
    let carriers = carriers(pool, seen, &inventory.instances);
    let names = names(pool, seen, &inventory.instances, &carriers);
    let mut lacking = Vec::new();
    for carrier in &carriers {
        let Some(image) = pool.images.get(carrier.image) else { continue };
        let (turn, name) = match names.get(&carrier.agent.id) {
            Some((turn, name)) => (*turn, *name),
            // It may be at a job that asked for this alias.
            None => (Turn::Other, called(image, carrier.agent).unwrap_or(&image.name)),
        };
        let version = image.capabilities.get(demand::IMAGE_VERSION_OVERRIDE).cloned();
        let label = Label { name: name.to_owned(), version };
        let given = memory.records.labelled.get(&carrier.agent.id);
        if !label.is_on(carrier.agent) && given.is_none_or(|given| given.label != label) {
            lacking.push((turn, carrier.agent, label));
        }
    }
    lacking.sort_by_key(|(turn, agent, _)| (*turn, agent.id));
    lacking.truncate(MOST);
    let give = |(_, agent, label): (Turn, &Agent, Label)| {
        let capabilities = label.added(&agent.user_capabilities);
        let change = RecordChange::Label {
            agent: agent.id,
            name: agent.name.clone(),
            image: label.name.clone(),
            capabilities,
        };
        memory.records.labelled.insert(agent.id, Given { at: now, label });
        change
    };
    lacking.into_iter().map(give).collect()
}

impl Label {
    fn values(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let version = self.version.as_deref().map(|version| (IMAGE_VERSION_OVERRIDE, version));
        std::iter::once((IMAGE_OVERRIDE, self.name.as_str())).chain(version)
    }

    fn is_on(&self, agent: &Agent) -> bool {
        self.values().all(|(name, value)| {
            agent.capabilities.get(folded(name).as_ref()).is_some_and(|found| demand::same(found, value))
        })
    }

    /// What others have put there stays.
    fn added(&self, before: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = before.clone();
        for (name, value) in self.values() {
            all.retain(|other, _| !demand::same(other, name));
            all.insert(name.to_owned(), value.to_owned());
        }
        all
    }
}

/// The agents that may get a job of a named image, by id: not those that are foreign, saved, or on their way out.
fn carriers<'a>(pool: &Pool, seen: &'a Snapshot, instances: &[Instance]) -> Vec<Carrier<'a>> {
    let bindings: BTreeMap<&BindingName, &Binding> =
        pool.bindings.iter().map(|binding| (&binding.name, binding)).collect();
    let agents: BTreeMap<AgentId, &Agent> =
        seen.agents.latest().into_iter().flatten().map(|agent| (agent.id, agent)).collect();
    let carrier = |instance: &Instance| {
        let agent = *agents.get(&instance.agent?)?;
        let binding = bindings.get(&instance.binding).filter(|binding| !binding.cordoned())?;
        let image =
            pool.images.get(binding.image).filter(|image| !image.name.is_empty()).map(|_| binding.image)?;
        let free = match instance.state {
            State::Idle => true,
            State::Starting => false,
            // One that runs a single job goes after it.
            State::Busy if matches!(pool.lifecycle, Lifecycle::Stateful { .. }) => false,
            State::Busy
            | State::Creating
            | State::Recycling
            | State::Used
            | State::Draining
            | State::CreationFailed
            | State::FailedToStart
            | State::WentOffline
            | State::Stopped
            | State::Saved
            | State::Deleting => return None,
        };
        // Every agent reports something of itself: where nothing is listed, nothing is known of what would be replaced.
        let known = !agent.capabilities.is_empty();
        let stays = instance.stays() && !instance.saved && !instance.ambiguous && instance.enabled;
        (known && stays).then_some(Carrier { agent, image, free })
    };
    let mut carriers: Vec<Carrier<'_>> = instances.iter().filter_map(carrier).collect();
    carriers.sort_unstable_by_key(|carrier| carrier.agent.id);
    carriers
}

/// The names of the free ones: as many have an alias as jobs wait for it, the others that of their image. A job that an
/// agent fits already leaves it as it is, so that no two jobs draw one agent to and fro.
fn names<'a>(
    pool: &'a Pool,
    seen: &Snapshot,
    instances: &[Instance],
    carriers: &[Carrier<'_>],
) -> BTreeMap<AgentId, (Turn, &'a str)> {
    let mut names = BTreeMap::new();
    let mut free: BTreeMap<(usize, &str), VecDeque<AgentId>> = BTreeMap::new();
    let mut left: BTreeMap<usize, BTreeSet<AgentId>> = BTreeMap::new();
    for carrier in carriers.iter().filter(|carrier| carrier.free) {
        let Some(image) = pool.images.get(carrier.image) else { continue };
        names.insert(carrier.agent.id, (Turn::Free, image.name.as_str()));
        left.entry(carrier.image).or_default().insert(carrier.agent.id);
        if let Some(name) = called(image, carrier.agent) {
            free.entry((carrier.image, name)).or_default().push_back(carrier.agent.id);
        }
    }
    if left.is_empty() || pool.images.iter().all(|image| image.aliases.is_empty()) {
        return names;
    }
    let asked: Vec<(usize, &str)> = demand::names_asked(pool, seen, instances)
        .into_iter()
        .filter_map(|(image, wanted)| Some((image, known(pool.images.get(image)?, wanted)?)))
        .collect();
    let mut waiting = Vec::new();
    for (image, name) in asked {
        match free.get_mut(&(image, name)).and_then(VecDeque::pop_front) {
            Some(agent) => {
                left.entry(image).or_default().remove(&agent);
                names.insert(agent, (Turn::Asked, name));
            }
            None => waiting.push((image, name)),
        }
    }
    for (image, name) in waiting {
        if let Some(agent) = left.get_mut(&image).and_then(BTreeSet::pop_first) {
            names.insert(agent, (Turn::Asked, name));
        }
    }
    names
}

/// The name or alias of its image that an agent has now.
fn called<'a>(image: &'a Image, agent: &Agent) -> Option<&'a str> {
    known(image, agent.capabilities.get(demand::IMAGE_OVERRIDE)?)
}

/// The name or alias that is meant, as it is written in the specification.
fn known<'a>(image: &'a Image, wanted: &str) -> Option<&'a str> {
    let mut all = std::iter::once(&image.name).chain(&image.aliases).map(String::as_str);
    all.find(|name| demand::same(name, wanted))
}
