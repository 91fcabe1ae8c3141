use crate::id::{AgentId, PoolId};
use crate::model::{Agent, JobRequest, Pool};
use poolkeeper_budget::Budgets;
use poolkeeper_clock::Clock;
use poolkeeper_rest::{
    Answer, Authorization, CallLog, Class, Client, Error, Http, Method, Operation, Payer, Reply, Request,
    Service, SetupError, Url,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// The version of the REST API, the newest that is not a preview.
const API_VERSION: &str = "7.1";

/// Job requests exist as a preview only.
const JOB_REQUESTS_VERSION: &str = "7.2-preview.1";

/// One organisation of Azure DevOps, or one collection of Azure DevOps Server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Organization {
    client: Client,
    authorization: Authorization,
}

/// How the removal of an agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is removed, and had no job.
    Deleted,
    /// It runs a job, and is still there.
    StillRunning,
    /// It was not there.
    Gone,
}

#[derive(Deserialize)]
struct List<T> {
    count: usize,
    value: Vec<T>,
}

impl Organization {
    /// A client of the organisation at `url`, such as `https://dev.azure.com/fabrikam`.
    ///
    /// # Errors
    /// [`SetupError`] where `url` is neither https nor this machine, or carries a user, query or fragment.
    pub fn new(
        http: Http,
        url: Url,
        authorization: Authorization,
        calls: CallLog,
    ) -> Result<Self, SetupError> {
        // Asks for 401 in the place of a redirect to the sign-in page; not every host obeys.
        let client =
            Client::new(http, Service::AzureDevOps, url, calls)?.header("x-tfs-fedauthredirect", "Suppress");
        Ok(Self { client, authorization })
    }

    /// The same client, whose calls draw on the organisation's budget; `caller` tells apart who waits for a slot.
    /// Without, nothing is kept back.
    #[must_use]
    pub fn with_budgets(self, budgets: &Budgets, clock: Clock, caller: &str) -> Self {
        let name = self.client.base().as_str().trim_end_matches('/').to_ascii_lowercase();
        let payer = Payer::organization(budgets.clone(), clock, &name, caller);
        Self { client: self.client.paid_by(payer), ..self }
    }

    /// The same client with another credential, such as a renewed token.
    #[must_use]
    pub fn with_authorization(self, authorization: Authorization) -> Self {
        Self { authorization, ..self }
    }

    /// Finds a pool by its name, without regard to case; deployment pools are passed over.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn pool_by_name(&self, name: &str) -> Result<Answer<Option<Pool>>, Error> {
        let url = self.url(&["pools"], &[("poolName", name)]);
        let pools: Answer<Vec<Pool>> = self.list(url).await?;
        Ok(pools.map(|pools| pools.into_iter().find(|pool| same(&pool.name, name) && pool.is_automation())))
    }

    /// Reads a pool.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] also where the credential may not see it.
    pub async fn pool(&self, pool: PoolId) -> Result<Answer<Pool>, Error> {
        let url = self.url(&["pools", &pool.to_string()], &[]);
        self.client.json(Request::new(Method::GET, url, Operation::Get), &self.authorization).await
    }

    /// Reads all agents of a pool, with capabilities and jobs.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn agents(&self, pool: PoolId) -> Result<Answer<Vec<Agent>>, Error> {
        self.list(self.url(&["pools", &pool.to_string(), "agents"], &INCLUDES)).await
    }

    /// Reads the agents of this name, without regard to case: one or none.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn agents_by_name(&self, pool: PoolId, name: &str) -> Result<Answer<Vec<Agent>>, Error> {
        let query = [&INCLUDES[..], &[("agentName", name)]].concat();
        let agents: Answer<Vec<Agent>> =
            self.list(self.url(&["pools", &pool.to_string(), "agents"], &query)).await?;
        Ok(agents.map(|agents| agents.into_iter().filter(|agent| same(&agent.name, name)).collect()))
    }

    /// Reads one agent, with capabilities and jobs; none where it is gone.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] where the pool, not the agent, is missing.
    pub async fn agent(&self, pool: PoolId, agent: AgentId) -> Result<Answer<Option<Agent>>, Error> {
        let request = Request::new(Method::GET, self.agent_url(pool, agent, &INCLUDES), Operation::Get);
        match self.client.json(request, &self.authorization).await {
            Ok(answer) => Ok(answer.map(Some)),
            Err(error) if is_gone(&error) => Ok(error.into_answer(None)),
            Err(error) => Err(error),
        }
    }

    /// Stops the server from giving an agent more jobs. A job that it has goes on, and one may have been given in the
    /// same moment: the answer does not tell, so read the agent before anything else.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn disable_agent(&self, pool: PoolId, agent: AgentId) -> Result<Answer<Agent>, Error> {
        let request = Request::new(Method::PATCH, self.agent_url(pool, agent, &[]), Operation::Update)
            .json(json!({ "id": agent, "enabled": false }));
        self.client.json(request, &self.authorization).await
    }

    /// Removes an agent's record. The server refuses while the agent has a job, which makes this the last, atomic check
    /// before its machine may go.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] where the pool, not the agent, is missing: then nothing is known of
    /// its job.
    pub async fn delete_agent(&self, pool: PoolId, agent: AgentId) -> Result<Answer<Removal>, Error> {
        let request = Request::new(Method::DELETE, self.agent_url(pool, agent, &[]), Operation::Delete);
        let deleted = |reply: &Reply| Ok(reply.answer(Removal::Deleted));
        let error = match self.client.decoded(request, &self.authorization, deleted).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let value = if is_gone(&error) {
            Removal::Gone
        } else if error.code() == Some("TaskAgentJobStillRunningException") {
            Removal::StillRunning
        } else {
            return Err(error);
        };
        Ok(error.into_answer(value))
    }

    /// Reads the job requests of a pool that are not finished: queued, assigned and running.
    ///
    /// `$top` is not used: it leaves out which agents match, and stops at 200.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn job_requests(&self, pool: PoolId) -> Result<Answer<Vec<JobRequest>>, Error> {
        let segments = ["_apis", "distributedtask", "pools", &pool.to_string(), "jobrequests"];
        let query = [("completedRequestCount", "0"), ("api-version", JOB_REQUESTS_VERSION)];
        self.list(self.client.url(segments, &query)).await
    }

    /// Reads a list that says how long it is; one that is not as long has lost something on its way.
    async fn list<T: DeserializeOwned>(&self, url: Url) -> Result<Answer<Vec<T>>, Error> {
        let request = Request::new(Method::GET, url, Operation::List);
        self.client.decoded(request, &self.authorization, whole).await
    }

    fn agent_url(&self, pool: PoolId, agent: AgentId, query: &[(&str, &str)]) -> Url {
        self.url(&["pools", &pool.to_string(), "agents", &agent.to_string()], query)
    }

    fn url(&self, below: &[&str], query: &[(&str, &str)]) -> Url {
        let segments = ["_apis", "distributedtask"].into_iter().chain(below.iter().copied());
        self.client.url(segments, &[query, &[("api-version", API_VERSION)]].concat())
    }
}

pub(crate) fn whole<T: DeserializeOwned>(reply: &Reply) -> Result<Answer<Vec<T>>, Error> {
    let answer: Answer<List<T>> = reply.json()?;
    let (count, length) = (answer.value.count, answer.value.value.len());
    if count == length {
        Ok(answer.map(|list| list.value))
    } else {
        Err(reply.unexpected(format!("the list says that it holds {count}, and holds {length}")))
    }
}

/// Without these an agent looks idle while it runs a job.
const INCLUDES: [(&str, &str); 3] = [
    ("includeCapabilities", "true"),
    ("includeAssignedRequest", "true"),
    ("includeLastCompletedRequest", "true"),
];

/// Whether the service itself says that the agent is missing. A page of a proxy says nothing, and a missing pool (or a
/// lost right to see it) hides agents that may be running jobs.
fn is_gone(error: &Error) -> bool {
    error.class() == Class::NotFound
        && error.code().is_some_and(|code| code != "TaskAgentPoolNotFoundException")
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}
