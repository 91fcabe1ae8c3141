//! Refuses what is not scratch, or is in use.

use std::collections::BTreeSet;

use jiff::Timestamp;
use poolkeeper_azure::ScaleSetId;
use poolkeeper_rest::{CallLog, Client, Http, Method, SetupError, Url};
use serde_json::Value;

use crate::{
    Access, CallError, Report,
    access::Signer,
    call::{Seen, Service},
    machines::{SetView, Site, Vm},
    trial::Trial,
};

/// The tag, and its value, that says that a scale set may be tried on.
pub(crate) const SCRATCH: (&str, &str) = ("poolkeeper-verify", "scratch");

/// The most VMs that a run has at any time.
pub(crate) const MOST_VMS: u64 = 2;
const MOST_AGENTS: usize = 2;

/// The versions that job requests are asked with: poolkeeper's, and an older one.
pub(crate) const JOB_REQUEST_VERSIONS: [&str; 2] = ["7.2-preview.1", "7.1-preview.1"];

/// Tags of those who size scale sets, in lower case.
const OWNERS: [&str; 3] = ["poolkeeper-owner", "_azuredevopselasticpool", "__azuredevopselasticpool"];

/// What to try it on.
#[derive(Clone, Debug)]
pub struct Options {
    /// The scratch scale set.
    pub scale_set: ScaleSetId,
    /// The organisation, such as `https://dev.azure.com/fabrikam`.
    pub organization: Url,
    /// The name of the scratch pool.
    pub pool: String,
}

/// Why nothing was tried.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// An address is not usable.
    #[error("{what} is not usable")]
    Address {
        /// Which one.
        what: &'static str,
        /// Why.
        #[source]
        source: SetupError,
    },
    /// A read failed.
    #[error("{what} cannot be read")]
    Unread {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: CallError,
    },
    /// The scale set is not marked.
    #[error(
        "scale set {name} is not marked as scratch; make a set for this purpose and give it the tag \
         poolkeeper-verify: scratch"
    )]
    NotScratch {
        /// Its name.
        name: String,
    },
    /// Somebody sizes the scale set.
    #[error("scale set {name} is in use, says its tag {tag}; take a set that nobody manages")]
    Managed {
        /// Its name.
        name: String,
        /// The tag.
        tag: String,
    },
    /// The scale set has too many VMs.
    #[error("scale set {name} has {vms} VMs; scale it to 0 or 1, 2 is the most")]
    TooManyVms {
        /// Its name.
        name: String,
        /// How many.
        vms: u64,
    },
    /// The scale set changes.
    #[error("scale set {name} is changing; wait until capacity and instances agree and nothing runs")]
    Changing {
        /// Its name.
        name: String,
    },
    /// There is no such pool.
    #[error("there is no agent pool {name} that this credential sees; check the name and the rights")]
    NoPool {
        /// Its name.
        name: String,
    },
    /// Azure DevOps sizes the pool.
    #[error("agent pool {name} is sized by Azure DevOps; take a self-hosted pool of its own")]
    PoolManaged {
        /// Its name.
        name: String,
    },
    /// The pool has too many agents.
    #[error("agent pool {name} has {agents} agents; take one with at most 2")]
    TooManyAgents {
        /// Its name.
        name: String,
        /// How many.
        agents: usize,
    },
    /// The pool has jobs.
    #[error("agent pool {name} has {jobs} unfinished jobs; wait until it has none")]
    Busy {
        /// Its name.
        name: String,
        /// How many.
        jobs: usize,
    },
    /// The user says no.
    #[error("it was not agreed to; answer yes, or give --yes")]
    Declined,
}

/// What there was before.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) at: Timestamp,
    pub(crate) set: SetView,
    pub(crate) vms: Vec<Vm>,
    /// Links between pages, seen while reading.
    pub(crate) links: Vec<String>,
    pub(crate) pool: u64,
    pub(crate) pool_name: String,
    pub(crate) agents: BTreeSet<u64>,
    /// How the pool was found.
    pub(crate) pool_answer: Seen,
    /// The answer to the first version of job requests.
    pub(crate) requests_answer: Seen,
    /// The version that was answered.
    pub(crate) requests_version: &'static str,
}

/// A scale set and a pool that may be tried on.
#[derive(Debug)]
pub struct Prepared {
    site: Site,
    start: Start,
}

/// All of it: reads, asks `confirm` whether the plan may be carried out, tries every fact at the pace of the wall
/// clock, and puts everything back, also where `stop` comes before the end. `say` hears each finding as it is made.
///
/// A refusal is a report too: [`Report::exit_code`] is 2 then.
pub async fn run(
    options: Options,
    access: &Access,
    confirm: impl FnOnce(&str) -> bool,
    say: fn(&str),
    stop: impl Future<Output = ()>,
) -> Report {
    let scale_set = options.scale_set.to_string();
    let prepared = match prepare(options, access).await {
        Ok(prepared) if confirm(&prepared.plan()) => prepared,
        Ok(_) => return Report::refused(scale_set, &Refusal::Declined),
        Err(refusal) => return Report::refused(scale_set, &refusal),
    };
    prepared.run(say, crate::pause, stop).await
}

/// Reads the scale set and the pool, and changes nothing.
///
/// # Errors
/// [`Refusal`] where they are not scratch, are in use, or cannot be read.
pub async fn prepare(options: Options, access: &Access) -> Result<Prepared, Refusal> {
    let Options { scale_set, organization, pool } = options;
    let (http, service) = (&access.http, poolkeeper_rest::Service::ResourceManager);
    let arm = base(http, service, access.cloud.resource_manager().clone(), "the address of Azure")?;
    let service = poolkeeper_rest::Service::AzureDevOps;
    let devops = base(http, service, organization, "the organization's url")?;
    let site = Site {
        azure: Service::azure(http.clone(), arm, Signer::azure(access)),
        devops: Service::azure_devops(http.clone(), devops, Signer::azure_devops(access)),
        set: scale_set,
    };

    let unread = |what| move |source| Refusal::Unread { what, source };
    let seen = site.azure.send(site.of_set(Method::GET, "")).await.and_then(|seen| seen.must("GET"));
    let set = SetView::of(&seen.map_err(unread("the scale set"))?);
    check_tags(&site, &set)?;
    let listing = site.list(set.flexible, async |call| site.azure.send(call).await).await;
    let listing = listing.map_err(unread("the list of instances"))?;
    check_size(&site, &set, &listing.vms)?;

    let seen = site.devops.send(site.of_pools(Method::GET, "", &[("poolName", &pool)])).await;
    let pool_answer = seen.and_then(|seen| seen.must("GET")).map_err(unread("the agent pool"))?;
    let found = pool_answer.list().into_iter().flatten().find(|found| {
        let name = found.pointer("/name").and_then(Value::as_str);
        name.is_some_and(|name| name.eq_ignore_ascii_case(&pool))
    });
    let id = found.and_then(|found| found.pointer("/id")).and_then(Value::as_u64);
    let (Some(found), Some(id)) = (found, id) else { return Err(Refusal::NoPool { name: pool }) };
    let options = found.pointer("/options").and_then(Value::as_str).unwrap_or_default();
    if options.to_lowercase().contains("elasticpool") {
        return Err(Refusal::PoolManaged { name: pool });
    }
    let seen = site.devops.send(site.all_agents(id)).await.and_then(|seen| seen.must("GET"));
    let agents = ids(&seen.map_err(unread("the list of agents"))?);
    if agents.len() > MOST_AGENTS {
        return Err(Refusal::TooManyAgents { name: pool, agents: agents.len() });
    }
    let [version, older] = JOB_REQUEST_VERSIONS;
    let call = site.job_requests(id, true, version);
    let requests_answer = site.devops.send(call).await.map_err(unread("the job requests"))?;
    let (requests_version, requests) = if requests_answer.is_success() {
        (version, Ok(requests_answer.clone()))
    } else {
        (older, site.devops.send(site.job_requests(id, true, older)).await)
    };
    let requests = requests.and_then(|seen| seen.must("GET")).map_err(unread("the job requests"))?;
    let jobs = requests.list().into_iter().flatten().filter(|request| !is_finished(request)).count();
    if jobs > 0 {
        return Err(Refusal::Busy { name: pool, jobs });
    }
    let start = Start {
        at: Timestamp::now(),
        set,
        vms: listing.vms,
        links: listing.links,
        pool: id,
        pool_name: pool,
        agents,
        pool_answer,
        requests_answer,
        requests_version,
    };
    Ok(Prepared { site, start })
}

impl Prepared {
    /// What a run will do, to be agreed to.
    pub fn plan(&self) -> String {
        let Start { set, vms, pool_name, .. } = &self.start;
        format!(
            "This takes 10 to 30 minutes. It writes and removes tags of scale set {} (resource group {}), which has \
             {} VMs now, creates and deletes up to {} VMs there (Azure charges for them), and adds and deletes \
             offline agents in pool {pool_name}. {} VMs are the most at any time; VMs and agents that are there \
             already stay as they are. Everything is put back at the end, also after Ctrl-C.",
            self.site.set.name(),
            self.site.set.resource_group(),
            vms.len(),
            MOST_VMS.saturating_sub(set.capacity) + 1,
            MOST_VMS,
        )
    }

    /// Tries everything, and puts everything back, also where `stop` comes before the end.
    ///
    /// `say` hears each finding as it is made. `wait` lets time pass, which keeps the run far below the rate limits:
    /// [`crate::pause`] but in tests.
    pub async fn run(
        self,
        say: fn(&str),
        wait: impl AsyncFn(std::time::Duration),
        stop: impl Future<Output = ()>,
    ) -> Report {
        let Self { site, start } = self;
        let mut trial = Trial::new(site, start, say, wait);
        let stopped = tokio::select! {
            () = trial.all() => false,
            () = stop => true,
        };
        let unrestored = trial.restore().await;
        trial.report(stopped, unrestored)
    }
}

fn base(
    http: &Http,
    service: poolkeeper_rest::Service,
    url: Url,
    what: &'static str,
) -> Result<Url, Refusal> {
    let client = Client::new(http.clone(), service, url, CallLog::default());
    Ok(client.map_err(|source| Refusal::Address { what, source })?.base().clone())
}

fn check_tags(site: &Site, set: &SetView) -> Result<(), Refusal> {
    let name = site.set.name().to_owned();
    let owned = set.tags.keys().find(|tag| OWNERS.contains(&tag.to_lowercase().as_str()));
    if let Some(tag) = owned {
        return Err(Refusal::Managed { name, tag: tag.clone() });
    }
    let scratch =
        set.tags.iter().any(|(tag, value)| tag.eq_ignore_ascii_case(SCRATCH.0) && value == SCRATCH.1);
    if scratch { Ok(()) } else { Err(Refusal::NotScratch { name }) }
}

fn check_size(site: &Site, set: &SetView, vms: &[Vm]) -> Result<(), Refusal> {
    let name = site.set.name().to_owned();
    let listed = u64::try_from(vms.len()).unwrap_or(u64::MAX);
    let most = listed.max(set.capacity);
    if most > MOST_VMS {
        return Err(Refusal::TooManyVms { name, vms: most });
    }
    let still = ["succeeded", "failed"].iter().any(|state| set.provisioning.eq_ignore_ascii_case(state));
    if listed == set.capacity && still { Ok(()) } else { Err(Refusal::Changing { name }) }
}

/// The ids of a list's entries.
pub(crate) fn ids(seen: &Seen) -> BTreeSet<u64> {
    let entries = seen.list().into_iter().flatten();
    entries.filter_map(|entry| entry.pointer("/id").and_then(Value::as_u64)).collect()
}

pub(crate) fn is_finished(request: &Value) -> bool {
    ["/result", "/finishTime"]
        .iter()
        .any(|field| request.pointer(field).is_some_and(|value| !value.is_null()))
}
