//! Demands of jobs, capabilities of agents, and which meet.

use std::collections::BTreeMap;

/// What a job asks of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    /// The capability's name in lower case: names match without regard to case.
    name: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Equals(String),
    /// `-gtVersion` means "at least", in spite of its name.
    AtLeast(Vec<u64>),
}

impl Demand {
    pub(crate) fn parse(text: &str) -> Self {
        let (name, test) = if let Some((name, value)) = text.split_once(" -equals ") {
            (name, Test::Equals(value.trim().to_owned()))
        } else if let Some((name, value)) = text.split_once(" -gtVersion ") {
            (name, Test::AtLeast(version(value)))
        } else {
            (text, Test::Exists)
        };
        Self { name: name.trim().to_lowercase(), test }
    }

    fn is_met(&self, value: Option<&str>) -> bool {
        match (&self.test, value) {
            (_, None) => false,
            (Test::Exists, Some(_)) => true,
            (Test::Equals(wanted), Some(value)) => value.eq_ignore_ascii_case(wanted),
            (Test::AtLeast(least), Some(value)) => version(value) >= *least,
        }
    }

    /// Whether only the agent's own name can answer it.
    fn is_personal(&self) -> bool {
        PERSONAL.contains(&self.name.as_str())
    }
}

/// Capabilities that differ from agent to agent.
const PERSONAL: [&str; 2] = ["agent.name", "agent.computername"];

fn version(text: &str) -> Vec<u64> {
    text.trim().split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// Agents with the same capabilities, apart from their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassId(usize);

/// Jobs with the same demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DemandsId(usize);

#[derive(Debug, Clone)]
struct Demands {
    texts: Vec<String>,
    shared: Vec<Demand>,
    personal: Vec<Demand>,
}

/// Every class of agents and of jobs that a pool has seen. Matching is by class, so that assignment costs the same
/// with ten agents and ten thousand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalogue {
    classes: Vec<BTreeMap<String, String>>,
    class_ids: BTreeMap<BTreeMap<String, String>, ClassId>,
    demands: Vec<Demands>,
    demand_ids: BTreeMap<Vec<String>, DemandsId>,
    matches: BTreeMap<(ClassId, DemandsId), bool>,
}

impl Catalogue {
    /// The class of an agent with these capabilities.
    pub(crate) fn class<'a>(&mut self, capabilities: impl Iterator<Item = (&'a str, &'a str)>) -> ClassId {
        let key: BTreeMap<String, String> = capabilities
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .filter(|(name, _)| !PERSONAL.contains(&name.as_str()))
            .collect();
        if let Some(id) = self.class_ids.get(&key) {
            return *id;
        }
        let id = ClassId(self.classes.len());
        self.classes.push(key.clone());
        self.class_ids.insert(key, id);
        id
    }

    /// The id of a set of demands.
    pub(crate) fn demands(&mut self, texts: &[String]) -> DemandsId {
        if let Some(id) = self.demand_ids.get(texts) {
            return *id;
        }
        let id = DemandsId(self.demands.len());
        let (personal, shared) = texts.iter().map(|text| Demand::parse(text)).partition(Demand::is_personal);
        self.demands.push(Demands { texts: texts.to_vec(), shared, personal });
        self.demand_ids.insert(texts.to_vec(), id);
        id
    }

    /// The demands as the job states them.
    pub(crate) fn texts(&self, id: DemandsId) -> &[String] {
        self.demands.get(id.0).map_or(&[], |demands| &demands.texts)
    }

    /// Whether the name of the agent matters to these demands.
    pub(crate) fn is_personal(&self, id: DemandsId) -> bool {
        self.demands.get(id.0).is_some_and(|demands| !demands.personal.is_empty())
    }

    /// Whether agents of the class meet the demands, names apart.
    pub(crate) fn class_meets(&mut self, class: ClassId, demands: DemandsId) -> bool {
        if let Some(known) = self.matches.get(&(class, demands)) {
            return *known;
        }
        let met = self.compute(class, demands);
        self.matches.insert((class, demands), met);
        met
    }

    /// Whether this agent meets the demands, its name included.
    pub(crate) fn agent_meets(&self, class: ClassId, name: &str, demands: DemandsId) -> bool {
        let named = self
            .demands
            .get(demands.0)
            .is_some_and(|demands| demands.personal.iter().all(|demand| demand.is_met(Some(name))));
        named && self.matches.get(&(class, demands)).copied().unwrap_or_else(|| self.compute(class, demands))
    }

    fn compute(&self, class: ClassId, demands: DemandsId) -> bool {
        let (Some(class), Some(demands)) = (self.classes.get(class.0), self.demands.get(demands.0)) else {
            return false;
        };
        demands.shared.iter().all(|demand| demand.is_met(class.get(&demand.name).map(String::as_str)))
    }
}
