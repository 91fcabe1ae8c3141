use crate::id::{AgentId, MaintenanceId, PoolId};
use crate::model::{Agent, JobRequest, Maintenance, MaintenanceDefinition, NewAgent, Pool};
use poolkeeper_budget::Budgets;
use poolkeeper_clock::Clock;
use poolkeeper_rest::{
    Answer, Authorization, CallLog, Class, Client, Error, Http, Method, Operation, Payer, Reply, Request,
    Service, SetupError, Url,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use std::collections::BTreeMap;

/// The version of the REST API, the newest that is not a preview.
const API_VERSION: &str = "7.1";

/// Job requests and maintenance exist as previews only.
const PREVIEW: &str = "7.2-preview.1";

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

/// How the registration of an agent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It is there now, without its jobs.
    Made(Box<Agent>),
    /// The pool has an agent of that name, with whatever capabilities; nothing changed.
    Exists,
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

    /// Adds an agent record that no process stands behind.
    ///
    /// Guessed, since no documentation says it: the service takes a record without a public key, and keeps its user
    /// capabilities.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Conflict`] only where it is not about the name.
    pub async fn register_agent(
        &self,
        pool: PoolId,
        agent: &NewAgent,
    ) -> Result<Answer<Registration>, Error> {
        let mut body = json!(agent);
        if let Some(body) = body.as_object_mut() {
            // An agent takes one job at a time; the field is required.
            body.insert("maxParallelism".into(), json!(1));
        }
        let url = self.url(&["pools", &pool.to_string(), "agents"], &[]);
        let request = Request::new(Method::POST, url, Operation::Update).json(body);
        match self.client.json(request, &self.authorization).await {
            Ok(answer) => Ok(answer.map(|agent| Registration::Made(Box::new(agent)))),
            Err(error) if error.code() == Some("TaskAgentExistsException") => {
                Ok(error.into_answer(Registration::Exists))
            }
            Err(error) => Err(error),
        }
    }

    /// Puts `capabilities` in the place of all that people have said of an agent.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] where the agent or its pool is missing.
    pub async fn set_user_capabilities(
        &self,
        pool: PoolId,
        agent: AgentId,
        capabilities: &BTreeMap<String, String>,
    ) -> Result<Answer<()>, Error> {
        let below = ["pools", &pool.to_string(), "agents", &agent.to_string(), "usercapabilities"];
        let request =
            Request::new(Method::PUT, self.url(&below, &[]), Operation::Update).json(json!(capabilities));
        let answer: Answer<IgnoredAny> = self.client.json(request, &self.authorization).await?;
        Ok(answer.map(|_| ()))
    }

    /// Reads the maintenance definitions of a pool: none, or one, since the portal makes no more.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn maintenance_definitions(
        &self,
        pool: PoolId,
    ) -> Result<Answer<Vec<MaintenanceDefinition>>, Error> {
        self.list(self.maintenance_url(pool, None)).await
    }

    /// Gives a pool a maintenance definition.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn create_maintenance_definition(
        &self,
        pool: PoolId,
        maintenance: &Maintenance,
    ) -> Result<Answer<MaintenanceDefinition>, Error> {
        let request = Request::new(Method::POST, self.maintenance_url(pool, None), Operation::Update);
        self.client.json(request.json(maintenance.body()), &self.authorization).await
    }

    /// Writes a maintenance definition, as it was read but for what shall change.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] where it is gone.
    pub async fn update_maintenance_definition(
        &self,
        pool: PoolId,
        definition: &MaintenanceDefinition,
    ) -> Result<Answer<MaintenanceDefinition>, Error> {
        let url = self.maintenance_url(pool, Some(definition.id));
        let request = Request::new(Method::PUT, url, Operation::Update).json(definition.body());
        self.client.json(request, &self.authorization).await
    }

    /// Reads the job requests of a pool that are not finished: queued, assigned and running.
    ///
    /// `$top` is not used: it leaves out which agents match, and stops at 200.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn job_requests(&self, pool: PoolId) -> Result<Answer<Vec<JobRequest>>, Error> {
        let segments = ["_apis", "distributedtask", "pools", &pool.to_string(), "jobrequests"];
        let query = [("completedRequestCount", "0"), ("api-version", PREVIEW)];
        self.list(self.client.url(segments, &query)).await
    }

    /// Reads the last job requests of a pool that are finished, at most `most`, and those that are not.
    ///
    /// Slow where there are tens of thousands: not for every pass.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn finished_job_requests(
        &self,
        pool: PoolId,
        most: u32,
    ) -> Result<Answer<Vec<JobRequest>>, Error> {
        let segments = ["_apis", "distributedtask", "pools", &pool.to_string(), "jobrequests"];
        let query = [("completedRequestCount", most.to_string()), ("api-version", PREVIEW.to_owned())];
        let query = query.each_ref().map(|(name, value)| (*name, value.as_str()));
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

    fn maintenance_url(&self, pool: PoolId, definition: Option<MaintenanceId>) -> Url {
        let (pool, definition) = (pool.to_string(), definition.map(|id| id.to_string()));
        let segments = ["_apis", "distributedtask", "pools", &pool, "maintenancedefinitions"];
        let segments = segments.into_iter().chain(definition.as_deref());
        self.client.url(segments, &[("api-version", PREVIEW)])
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
