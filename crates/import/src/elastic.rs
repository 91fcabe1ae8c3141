//! From an elastic pool of Azure DevOps, which it calls scale set agents.

use serde_json::Value;

use crate::{
    ImportError, Manifests, Options,
    manifest::{Map, Node, Object},
    name::{self, Names},
    read::{Field, Leaf, Source, same},
};

/// Of every count of agents.
const MOST_AGENTS: u32 = 10_000;
/// Of `unhealthy.saveForInvestigation`.
const MOST_SAVED: u32 = 100;
/// Of `scaleIn.idleDelay`: 168 hours, in minutes.
const LONGEST_DELAY: u32 = 7 * 24 * 60;

/// Shown beside every organization: which credentials are right, no definition says.
pub(crate) const CREDENTIALS: &str = "Choose how poolkeeper signs in to Azure DevOps; the default is the operator's \
    workload identity. With a token in a Secret: credentials: {type: PersonalAccessToken, secretRef: {name: \
    azure-devops, key: token}}";
/// The same for Azure.
pub(crate) const AZURE_CREDENTIALS: &str = "Choose how poolkeeper signs in to Azure; the default is the operator's \
    workload identity. With a Secret: credentials: {type: ServicePrincipal, tenantID: ..., clientID: ..., secretRef: \
    {name: azure}}";
/// Every pool begins so.
pub(crate) const OBSERVE: &str = "Observe decides and explains, and writes to no cloud. Take over with Active: \
    docs/moving-in.md.";

struct Elastic {
    resource_id: String,
    operating_system: &'static str,
    flexible: bool,
    most: u32,
    idle: u32,
    recycle: bool,
    delay: u32,
    saved: u32,
    interactive: bool,
    connection: Option<(String, Option<String>)>,
    unknown: Vec<Leaf>,
}

pub(crate) fn manifests(json: &Value, options: &Options) -> Result<Manifests, ImportError> {
    let source = Source::new(json);
    let root = one(source.field())?;
    let wrapped = root.section("elasticPool")?;
    let pool = if wrapped.is_there() { wrapped } else { root.clone() };
    let agent_pool = root.section("agentPool")?;
    let pool_name = match agent_pool.member("name").filled()?.or(options.pool.as_deref()) {
        Some(name) => name,
        None => return Err(agent_pool.member("name").missing("name the pool (--pool)")),
    };
    let Some(url) = crate::managed::given(options)? else {
        let organization = root.member("organization");
        return Err(organization.missing("give the organization's address (--organization)"));
    };
    let base = base(options, pool_name)?;
    let settings = settings(&agent_pool)?;
    let elastic = read(&pool)?;

    let mut manifests = Manifests::default();
    let object = Object { kind: "AgentPool", name: &base, namespace: options.namespace.as_deref() };
    let from = format!("From the elastic pool {pool_name} of Azure DevOps.");
    manifests.push(&[from], object, agent_pool_spec(&elastic, url, pool_name, &settings));
    let set = elastic.resource_id.rsplit('/').next().unwrap_or_default();
    let binding = Names::default().give(&base, set);
    let object = Object { kind: "ScaleSetBinding", name: &binding, ..object };
    manifests.push(&[], object, binding_spec(&elastic, &base, pool_name));
    Ok(manifests)
}

/// The name of the AgentPool, once both names can be ones.
pub(crate) fn base(options: &Options, pool: &str) -> Result<String, ImportError> {
    if let Some(namespace) = &options.namespace {
        name::check("a namespace", namespace)?;
    }
    let base = options.name.clone().unwrap_or_else(|| name::slug(pool));
    name::check("the name of an AgentPool (--name)", &base)?;
    Ok(base)
}

/// The one pool of a list, as `az` and the REST API print them.
pub(crate) fn one(root: Field<'_>) -> Result<Field<'_>, ImportError> {
    let value = root.member("value");
    let list = if value.is_list() { value } else { root };
    if !list.is_list() {
        list.members()?;
        return Ok(list);
    }
    let mut items = list.items()?;
    match (items.pop(), items.len()) {
        (Some(item), 0) => {
            item.members()?;
            Ok(item)
        }
        (None, count) => Err(ImportError::SeveralPools { path: list.path(), count }),
        (Some(_), others) => Err(ImportError::SeveralPools { path: list.path(), count: others + 1 }),
    }
}

fn read(pool: &Field<'_>) -> Result<Elastic, ImportError> {
    let azure_id = pool.member("azureId");
    let Some(resource_id) = azure_id.filled()? else {
        return Err(azure_id.missing("give the JSON of an elastic pool, which names its scale set"));
    };
    if !is_scale_set(resource_id) {
        return Err(azure_id.wrong(resource_id, "the resource id of a virtual machine scale set"));
    }
    let os_type = pool.member("osType");
    let operating_system = match os_type.filled()? {
        None => "Linux",
        Some(system) if same(system, "linux") => "Linux",
        Some(system) if same(system, "windows") => "Windows",
        Some(other) => return Err(os_type.wrong(other, "linux or windows")),
    };
    let orchestration = pool.member("orchestrationType");
    let flexible = match orchestration.filled()? {
        None => false,
        Some(mode) if same(mode, "uniform") => false,
        Some(mode) if same(mode, "flexible") => true,
        Some(other) => return Err(orchestration.wrong(other, "uniform or flexible")),
    };
    let capacity = pool.member("maxCapacity");
    let Some(most) = capacity.whole(1, MOST_AGENTS)? else {
        return Err(capacity.missing("give the most VMs that the pool may have"));
    };
    let endpoint = pool.member("serviceEndpointId").filled()?;
    let scope = pool.member("serviceEndpointScope").filled()?.map(str::to_owned);
    let mut elastic = Elastic {
        resource_id: resource_id.to_owned(),
        operating_system,
        flexible,
        most,
        idle: pool.member("desiredIdle").whole(0, u32::MAX)?.unwrap_or(0),
        recycle: pool.member("recycleAfterEachUse").flag()?.unwrap_or(false),
        // Azure DevOps: agents in excess go after 30 minutes.
        delay: pool.member("timeToLiveMinutes").whole(0, u32::MAX)?.unwrap_or(30),
        saved: pool.member("maxSavedNodeCount").whole(0, u32::MAX)?.unwrap_or(0),
        interactive: pool.member("agentInteractiveUI").flag()?.unwrap_or(false),
        connection: endpoint.map(|endpoint| (endpoint.to_owned(), scope)),
        unknown: Vec::new(),
    };
    // What the pool is at, not what it should be.
    for state in ["poolId", "state", "offlineSince", "desiredSize", "sizingAttempts", "count"] {
        pool.member(state).skip();
    }
    pool.member("agentPool").skip();
    pool.member("agentQueue").skip();
    let prefix = pool.prefix();
    elastic.unknown = pool.rest();
    for leaf in &mut elastic.unknown {
        leaf.path = leaf.path.strip_prefix(&prefix).unwrap_or(&leaf.path).trim_start_matches('.').to_owned();
    }
    Ok(elastic)
}

/// `/subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachineScaleSets/<name>`.
fn is_scale_set(id: &str) -> bool {
    let parts: Vec<&str> = id.split('/').collect();
    let [nothing, subscriptions, subscription, groups, group, providers, compute, sets, set] = parts[..]
    else {
        return false;
    };
    let known = |text: &str, word: &str| text.eq_ignore_ascii_case(word);
    nothing.is_empty()
        && known(subscriptions, "subscriptions")
        && is_guid(subscription)
        && known(groups, "resourceGroups")
        && (1..=90).contains(&group.chars().count())
        && known(providers, "providers")
        && known(compute, "Microsoft.Compute")
        && known(sets, "virtualMachineScaleSets")
        && (1..=64).contains(&set.chars().count())
}

fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Settings that stay with the pool in Azure DevOps.
fn settings(agent_pool: &Field<'_>) -> Result<String, ImportError> {
    let mut words = Vec::new();
    for name in ["autoUpdate", "autoProvision"] {
        let known = agent_pool.member(name).flag()?;
        words.push(known.map_or_else(|| name.to_owned(), |value| format!("{name} ({value})")));
    }
    let options = agent_pool.member("options").filled()?;
    let keeps =
        options.map(|all| all.split(',').any(|option| same(option.trim(), "preserveAgentOnJobFailure")));
    let known = keeps.map_or_else(String::new, |keeps| format!(" ({keeps})"));
    Ok(format!(
        "{} and preserveAgentOnJobFailure{known} stay settings of the pool in Azure DevOps.",
        words.join(", ")
    ))
}

fn agent_pool_spec(elastic: &Elastic, url: &str, pool_name: &str, settings: &str) -> Map {
    let organization = Map::new().text("url", url);
    let organization = match &elastic.connection {
        None => organization,
        Some((endpoint, scope)) => {
            let scope = scope.as_ref().map_or_else(String::new, |scope| format!(" of project {scope}"));
            organization.comment(format!("The service connection {endpoint}{scope} has no equal."))
        }
    };
    let idle = elastic.idle.min(elastic.most);
    let standby = if idle < elastic.idle {
        let words = format!("desiredIdle is {}, which is above maxCapacity.", elastic.idle);
        Map::new().comment(words)
    } else {
        Map::new()
    };
    let delay = elastic.delay.min(LONGEST_DELAY);
    let scale_in = if delay < elastic.delay {
        let words = format!("timeToLiveMinutes is {}; idleDelay is at most a week.", elastic.delay);
        Map::new().comment(words)
    } else {
        Map::new()
    };
    let saved = elastic.saved.min(MOST_SAVED).min(elastic.most);
    let unhealthy = if saved < elastic.saved {
        let words = format!("maxSavedNodeCount is {}; at most {saved} can be kept here.", elastic.saved);
        Map::new().comment(words)
    } else {
        Map::new()
    };
    let spec = Map::new()
        .map("organization", organization.comment(CREDENTIALS))
        .comment(
            "As long as Azure DevOps sizes this pool, poolkeeper does not (PoolManagedElsewhere): docs/moving-in.md.",
        )
        .comment(settings)
        .text("poolName", pool_name)
        .comment(OBSERVE)
        .text("mode", "Observe")
        .number("maxAgents", elastic.most)
        .map("standby", standby.number("agents", idle).text("basis", "Idle"))
        .comment(
            "Azure DevOps samples every 5 minutes and adds VMs in steps, each up to 20 minutes long; here the missing \
             ones come at once. For its pace: scaleOut: {strategy: ElasticPool}",
        )
        .map("scaleIn", scale_in.text("idleDelay", &format!("{delay}m")));
    let spec = if elastic.recycle {
        let words =
            "The scale set is Flexible: Reimage needs an ephemeral OS disk; without one write Replace.";
        let stateless = if elastic.flexible { Map::new().comment(words) } else { Map::new() };
        let lifecycle =
            Map::new().text("type", "Stateless").map("stateless", stateless.text("recycle", "Reimage"));
        spec.map("lifecycle", lifecycle)
    } else {
        let words = "Agents now live at most 7 days (stateful.maxAgentLifetime), and go after a job.";
        spec.map("lifecycle", Map::new().comment(words).text("type", "Stateful"))
    };
    let spec = if saved > 0 || saved < elastic.saved {
        spec.map("unhealthy", unhealthy.number("saveForInvestigation", saved))
    } else {
        spec
    };
    match listed(&elastic.unknown, "") {
        None => spec,
        Some(words) => spec.comment(format!("Left out, unknown to poolkeeper: {words}")),
    }
}

fn binding_spec(elastic: &Elastic, base: &str, pool_name: &str) -> Map {
    let spec = Map::new()
        .map("poolRef", Map::new().text("name", base))
        .map("scaleSet", Map::new().text("resourceID", &elastic.resource_id))
        .comment(AZURE_CREDENTIALS)
        .text("operatingSystem", elastic.operating_system)
        .comment("The claim of the old pool on the scale set then lapses after two hours, not four.")
        .text("takeOverFrom", pool_name);
    bootstrap(spec, elastic.interactive, elastic.operating_system, None)
}

/// `agentBootstrap`, where something differs from its defaults.
pub(crate) fn bootstrap(spec: Map, interactive: bool, operating_system: &str, folder: Option<&str>) -> Map {
    let windows = operating_system == "Windows";
    let spec = if interactive && !windows {
        spec.comment("The pool is interactive, which agents on Linux cannot be: logon is left out.")
    } else {
        spec
    };
    let logon = (interactive && windows).then(|| Node::Text("Interactive".to_owned()));
    let env = folder.map(|folder| {
        Node::Maps(vec![Map::new().text("name", "VSTS_AGENT_INPUT_WORK").text("value", folder)])
    });
    if logon.is_none() && env.is_none() {
        return spec;
    }
    let managed = Map::new().maybe("logon", logon).maybe("env", env);
    spec.map("agentBootstrap", Map::new().map("managed", managed))
}

/// What was not read, with `prefix` left out of the paths; none where all was.
pub(crate) fn listed(leaves: &[Leaf], prefix: &str) -> Option<String> {
    let words = leaves.iter().map(|leaf| {
        let path = leaf.path.strip_prefix(prefix).unwrap_or(&leaf.path).trim_start_matches('.');
        format!("{path} {}", leaf.value)
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}
