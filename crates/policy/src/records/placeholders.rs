//! The offline record per image, and per name of one that has names, that lets jobs wait while no agent could run them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::{
    demand::{self, IMAGE_VERSION_OVERRIDE},
    instance::{Instance, after},
    inventory::Inventory,
    memory::Memory,
    pool::{DeletionPolicy, Image, Pool},
    protocol::{RecordCause, RecordChange, Register},
    snapshot::{Agent, Snapshot},
    target,
};

/// The capability that makes an agent a placeholder; its value is the pool's name.
const MARK: &str = "poolkeeper.placeholder";
/// Names the image to jobs that ask for one.
pub(super) const IMAGE_OVERRIDE: &str = "ImageOverride";
const AGENT_VERSION: &str = "Agent.Version";
/// The newest agent that was seen on its image, for jobs that ask for one version exactly.
pub(crate) const SEEN_VERSION: &str = "poolkeeper.agentversion";
/// Azure DevOps adds `Agent.Version -gtVersion x` to nearly every job, and has agents update themselves to what a job
/// needs. A record without an agent cannot, so it claims a version that none will ask for: agents are at 4.
const ANY_VERSION: &str = "99.0.0";
/// Longest name of an agent record (a guess: 64 is the limit of GitHub's agents, which descend from these).
const NAME: usize = 64;
/// A capability's name is shorter than this, and neither begins nor ends with a blank (Azure DevOps' own words).
const CAPABILITY_NAME: usize = 256;
/// What describes one machine, not its image.
const OF_ONE_MACHINE: [&str; 3] = ["agent.name", "agent.computername", "agent.homedirectory"];
/// Machines of one image come and go with values of their own; their placeholder follows at most this often.
const DESCRIBE: SignedDuration = SignedDuration::from_mins(10);

/// An agent with the mark, of whatever pool.
pub(super) fn is_any(agent: &Agent) -> bool {
    agent.capabilities.contains_key(MARK)
}

/// A placeholder of this pool.
pub(super) fn is_of(pool: &Pool, agent: &Agent) -> bool {
    !agent.online && agent.capabilities.get(MARK).is_some_and(|name| name.eq_ignore_ascii_case(&pool.name))
}

/// The image whose placeholder an agent is.
pub(crate) fn image_of(pool: &Pool, agent: &Agent) -> Option<usize> {
    let is = |image: &Image| {
        names(image).any(|called| agent.name.eq_ignore_ascii_case(&record_name(pool, called)))
    };
    if is_of(pool, agent) { pool.images.iter().position(is) } else { None }
}

/// What placeholders lack, and those that are not needed.
pub(super) fn changes(
    pool: &Pool,
    seen: &Snapshot,
    memory: &mut Memory,
    inventory: &Inventory,
    now: Timestamp,
) -> Vec<RecordChange> {
    let agents = seen.agents.latest().map(Vec::as_slice).unwrap_or_default();
    let mut present: Vec<&Agent> = agents.iter().filter(|agent| is_of(pool, agent)).collect();
    present.sort_unstable_by_key(|agent| agent.id);
    let wanted = match pool.deletion {
        // Jobs that wait for agents that are still there are not refused: placeholders go last.
        Some(DeletionPolicy::Drain) if inventory.counts.total() > 0 => return Vec::new(),
        Some(DeletionPolicy::Drain | DeletionPolicy::Orphan) => Vec::new(),
        None => wanted(pool),
    };
    memory.records.described.retain(|_, at| after(*at, DESCRIBE) > now);
    let mut changes = Vec::new();
    let mut kept = BTreeSet::new();
    for (index, image, called) in wanted {
        let name = record_name(pool, called);
        let found = present.iter().find(|agent| agent.name.eq_ignore_ascii_case(&name));
        kept.extend(found.map(|agent| agent.id));
        let machines = online(pool, index, &inventory.instances, agents);
        let capabilities = offer(pool, image, called, &machines, found.copied());
        let register = Register { name: name.clone(), capabilities };
        match found {
            Some(found)
                if lacks(found, image, &register) && !memory.records.described.contains_key(&name) =>
            {
                memory.records.described.insert(name, now);
                changes.push(RecordChange::Describe { agent: found.id, as_: register });
            }
            Some(_) => {}
            // Somebody else's agent of that name is left alone.
            None if agents.iter().any(|agent| agent.name.eq_ignore_ascii_case(&name)) => {}
            // While no scale set of the image can be used, a job that waited for it would wait in vain.
            None if !usable(pool, seen, index) => {}
            None => changes.push(RecordChange::Register(register)),
        }
    }
    let unneeded = present.into_iter().filter(|agent| !kept.contains(&agent.id) && agent.assigned.is_none());
    changes.extend(unneeded.map(|agent| RecordChange::Forget {
        agent: agent.id,
        name: agent.name.clone(),
        cause: RecordCause::Placeholder,
    }));
    changes
}

/// The names that need one: of images that some binding serves, while there may be no agent that carries it. With a
/// constant standby on every image there is always an agent of each; but a named one has its names only once we have
/// labelled it, and one at a time.
fn wanted(pool: &Pool) -> Vec<(usize, &Image, &str)> {
    let unnamed = pool.images.iter().all(|image| image.name.is_empty());
    let never_empty = unnamed && target::shares(pool, pool.standby.agents).iter().all(|share| *share > 0);
    if !pool.placeholders || never_empty {
        return Vec::new();
    }
    let served =
        |image: usize| pool.bindings.iter().any(|binding| binding.image == image && !binding.draining);
    let images = pool.images.iter().enumerate().filter(|(image, _)| served(*image));
    images.flat_map(|(index, image)| names(image).map(move |called| (index, image, called))).collect()
}

/// The image's name, and its aliases that are not the same.
fn names(image: &Image) -> impl Iterator<Item = &str> {
    let all = || std::iter::once(&image.name).chain(&image.aliases).map(String::as_str);
    let is_first = move |(place, called): &(usize, &str)| {
        !all().take(*place).any(|earlier| demand::same(earlier, called))
    };
    all().enumerate().filter(is_first).map(|(_, called)| called)
}

/// Some scale set of the image can be written to.
fn usable(pool: &Pool, seen: &Snapshot, image: usize) -> bool {
    let free = |name| seen.sets.get(name).is_some_and(|set| set.blocked.is_none());
    pool.bindings.iter().any(|binding| binding.image == image && free(&binding.name))
}

/// `poolkeeper-<pool>-<name>`, `default` for the unnamed image; what is too long, or has letters that names of agents
/// may not have, ends in a hash of the whole.
fn record_name(pool: &Pool, called: &str) -> String {
    let of = if called.is_empty() { "default" } else { called };
    let whole = format!("poolkeeper-{}-{of}", pool.name);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if whole.len() <= NAME && whole.chars().all(is_plain) {
        return whole;
    }
    // FNV-1a: short, and the same in every version.
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    let hash = format!("-{:08x}", whole.to_lowercase().bytes().fold(2_166_136_261, step));
    let plain = whole.chars().map(|letter| if is_plain(letter) { letter } else { '-' });
    plain.take(NAME - hash.len()).chain(hash.chars()).collect()
}

/// The agents of an image that are online.
fn online<'a>(pool: &Pool, image: usize, instances: &[Instance], agents: &'a [Agent]) -> Vec<&'a Agent> {
    let of_image: BTreeSet<_> =
        pool.bindings.iter().filter(|binding| binding.image == image).map(|binding| &binding.name).collect();
    let ids: BTreeSet<_> = instances
        .iter()
        .filter(|instance| instance.online && of_image.contains(&instance.binding))
        .filter_map(|instance| instance.agent)
        .collect();
    agents.iter().filter(|agent| ids.contains(&agent.id)).collect()
}

/// What the placeholder shall offer: what is declared, what all machines that are online agree on, and, of what it
/// offers already, whatever no machine contradicts. While none is online, nothing is taken away.
fn offer(
    pool: &Pool,
    image: &Image,
    called: &str,
    machines: &[&Agent],
    before: Option<&Agent>,
) -> BTreeMap<String, String> {
    let mut reported: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for agent in machines {
        let described = agent.capabilities.iter().filter(|(name, value)| {
            of_image(agent, name, value) && (image.name.is_empty() || !is_label(name))
        });
        for (name, value) in described {
            reported.entry(name).or_default().insert(value);
        }
    }
    let mut offered: BTreeMap<String, String> = BTreeMap::new();
    let before = before.into_iter().flat_map(|before| &before.capabilities);
    offered.extend(
        before
            .filter(|(name, _)| machines.is_empty() || reported.contains_key(name.as_str()))
            .filter(|(name, _)| image.name.is_empty() || !is_label(name))
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    for (name, values) in reported {
        // What differs from machine to machine says nothing about the next one.
        if let (1, Some(value)) = (values.len(), values.first()) {
            offered.insert(name.to_owned(), (*value).to_owned());
        }
    }
    offered.extend(image.capabilities.iter().map(|(name, value)| (name.to_lowercase(), value.clone())));
    let image_name = (!image.name.is_empty()).then_some((IMAGE_OVERRIDE, called));
    let versions = machines.iter().filter_map(|agent| agent.capabilities.get(demand::AGENT_VERSION));
    let newest = versions.max_by_key(|seen| demand::version(seen)).map(|seen| (SEEN_VERSION, seen.as_str()));
    let own = [(AGENT_VERSION, ANY_VERSION), (MARK, pool.name.as_str())];
    for (name, value) in own.into_iter().chain(image_name).chain(newest) {
        offered.remove(&name.to_lowercase());
        offered.insert(name.to_owned(), value.to_owned());
    }
    offered
}

/// Says something about the image, and can be given to another record.
fn of_image(agent: &Agent, name: &str, value: &str) -> bool {
    let machine = agent.name.to_lowercase();
    !OF_ONE_MACHINE.contains(&name)
        && !value.to_lowercase().contains(&machine)
        && name.len() < CAPABILITY_NAME
        && name.trim() == name
        && !name.is_empty()
}

/// What we give to agents of named images ourselves.
fn is_label(name: &str) -> bool {
    super::is_label(name)
}

/// Something is missing of what the placeholder shall offer, or has another value; more than that does no harm, unless
/// it is a version that its image does not declare any more.
fn lacks(found: &Agent, image: &Image, register: &Register) -> bool {
    let retracted = !image.name.is_empty()
        && found.capabilities.contains_key(IMAGE_VERSION_OVERRIDE)
        && !image.capabilities.contains_key(IMAGE_VERSION_OVERRIDE);
    // What the agent says of itself is given once, with the record: Azure DevOps lets nobody change it.
    let missing = |(name, value): (&String, &String)| {
        let name = name.to_lowercase();
        !name.starts_with("agent.") && found.capabilities.get(&name) != Some(value)
    };
    retracted || register.capabilities.iter().any(missing)
}
