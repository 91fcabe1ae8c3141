//! Facts of Azure DevOps.

use std::time::Duration;

use poolkeeper_rest::Method;
use serde_json::{Value, json};

use crate::{
    CallError,
    access::Authorization,
    call::Seen,
    fact::{
        AGENT_ADDED, AGENT_CASE, AGENT_EXISTS, BAD_PAT, DELETE_OFFLINE, DELETE_UNKNOWN_AGENT, DISABLE,
        INCLUDES, JOB_REQUESTS_VERSION, POOL_BY_NAME, POOL_CASE, SUPPRESS, UNFINISHED_ONLY, UNKNOWN_AGENT,
        USER_CAPABILITIES, VERSION_HEADER,
    },
    guard::{ids, is_finished},
    reads::{is, text},
    trial::Trial,
};

/// The largest id that the service's type has.
const NO_AGENT: u64 = 2_147_483_647;

/// A capability that a person might add.
const CAPABILITY: (&str, &str) = ("poolkeeper.verify", "1");

impl<W: AsyncFn(Duration)> Trial<W> {
    pub(crate) async fn agents(&mut self) -> Result<(), CallError> {
        self.pools().await?;
        self.refusals().await?;
        self.requests().await?;

        let seen = self.agent(Method::GET, NO_AGENT).await?;
        self.judge(UNKNOWN_AGENT, is(&seen, 404, "TaskAgentNotFoundException"), seen.full());
        let seen = self.agent(Method::DELETE, NO_AGENT).await?;
        self.judge(DELETE_UNKNOWN_AGENT, is(&seen, 404, "TaskAgentNotFoundException"), seen.full());

        let seen = self.add(&self.marker).await?.must("POST of an agent")?;
        let added = seen.json.clone();
        let Some(id) = added.pointer("/id").and_then(Value::as_u64) else {
            return Err(CallError::Answer { what: "POST of an agent", seen: "without an id".to_owned() });
        };
        let enabled = added.pointer("/enabled").and_then(Value::as_bool) == Some(true);
        let status = text(&added, "/status").to_owned();
        let met = enabled && status.eq_ignore_ascii_case("offline");
        self.judge(AGENT_ADDED, met, format!("status {status}, enabled {enabled}"));
        self.includes(id).await?;
        self.same_name(id).await?;
        self.changes(id).await?;

        let seen = self.agent(Method::DELETE, id).await?;
        let after = self.agent(Method::GET, id).await?;
        let met = matches!(seen.status, 200 | 204) && after.status == 404;
        self.judge_noting(DELETE_OFFLINE, met, format!("{}, then {}", seen.brief(), after.status));
        Ok(())
    }

    async fn pools(&mut self) -> Result<(), CallError> {
        let pool = self.start.pool;
        let found = ids(&self.start.pool_answer);
        self.judge(POOL_BY_NAME, found.len() == 1 && found.contains(&pool), format!("{} pools", found.len()));

        let other = swapped(&self.start.pool_name);
        let seen = self.devops(self.site.of_pools(Method::GET, "", &[("poolName", &other)])).await?;
        let met = ids(&seen).contains(&pool);
        self.judge(POOL_CASE, met, format!("{} with {} pools", seen.brief(), ids(&seen).len()));

        let call = self.site.devops.call(Method::GET, "_apis/distributedtask/pools", &[]);
        let seen = self.devops(call.header("accept", "application/json;api-version=7.1")).await?;
        let met = seen.status == 200 && seen.list().is_some();
        self.judge(VERSION_HEADER, met, seen.full());
        Ok(())
    }

    /// What a credential that is none gets, with and without the header that asks for 401.
    async fn refusals(&mut self) -> Result<(), CallError> {
        let call = self.site.of_pools(Method::GET, "", &[]).signed(Authorization::false_pat());
        let plain = self.devops(call.without_suppress()).await?;
        let refused = matches!(plain.status, 401 | 302) || (plain.status == 203 && plain.is_html());
        self.judge_noting(BAD_PAT, refused, plain.brief());
        let call = self.site.of_pools(Method::GET, "", &[]).signed(Authorization::false_pat());
        let seen = self.devops(call).await?;
        let met = !(300..400).contains(&seen.status);
        self.judge_noting(SUPPRESS, met, format!("{}; without the header {}", seen.brief(), plain.brief()));
        Ok(())
    }

    async fn requests(&mut self) -> Result<(), CallError> {
        let answer = self.start.requests_answer.full();
        self.judge(JOB_REQUESTS_VERSION, self.start.requests_answer.status == 200, answer);
        let (pool, version) = (self.start.pool, self.start.requests_version);
        let finished = |seen: &Seen| seen.list().into_iter().flatten().filter(|one| is_finished(one)).count();
        let all = self.devops(self.site.job_requests(pool, false, version)).await?;
        let unfinished = self.devops(self.site.job_requests(pool, true, version)).await?;
        match (finished(&all), finished(&unfinished)) {
            (_, some @ 1..) => self.judge(UNFINISHED_ONLY, false, format!("{some} finished ones")),
            (0, 0) => self.not_tried(UNFINISHED_ONLY, "no job has finished here; run one and try again"),
            (_, 0) => self.judge(UNFINISHED_ONLY, unfinished.status == 200, unfinished.full()),
        }
        Ok(())
    }

    /// What an agent shows without being asked for it.
    async fn includes(&mut self, id: u64) -> Result<(), CallError> {
        let pool = self.start.pool;
        let plain = self.site.of_pools(Method::GET, &format!("{pool}/agents"), &[]);
        let plain = self.devops(plain).await?.must("the list of agents")?;
        let full = self.devops(self.site.all_agents(pool)).await?.must("the list of agents")?;
        let fields = ["systemCapabilities", "assignedRequest", "lastCompletedRequest"];
        let shown: Vec<&str> = fields.into_iter().filter(|field| shows(&plain, field)).collect();
        let asked = full.list().into_iter().flatten().any(|agent| {
            agent.pointer("/id").and_then(Value::as_u64) == Some(id) && has(agent, "systemCapabilities")
        });
        let text = match shown.is_empty() {
            true => "no capabilities though asked for".to_owned(),
            false => format!("{} without being asked for", shown.join(", ")),
        };
        self.judge(INCLUDES, shown.is_empty() && asked, text);
        Ok(())
    }

    async fn same_name(&mut self, id: u64) -> Result<(), CallError> {
        let seen = self.add(&self.marker).await?;
        self.judge(AGENT_EXISTS, is(&seen, 409, "TaskAgentExistsException"), seen.full());

        let (pool, other) = (self.start.pool, self.marker.to_uppercase());
        let call = self.site.of_pools(Method::GET, &format!("{pool}/agents"), &[("agentName", &other)]);
        let listed = self.devops(call).await?;
        let added = self.add(&other).await?;
        let met = ids(&listed).contains(&id) && !added.is_success();
        let count = ids(&listed).len();
        self.judge(AGENT_CASE, met, format!("{count} listed; POST answered {}", added.brief()));
        if let Some(second) = added.json.pointer("/id").and_then(Value::as_u64).filter(|other| *other != id) {
            self.agent(Method::DELETE, second).await?;
        }
        Ok(())
    }

    async fn changes(&mut self, id: u64) -> Result<(), CallError> {
        let pool = self.start.pool;
        let call = self.site.of_pools(Method::PATCH, &format!("{pool}/agents/{id}"), &[]);
        let seen = self.devops(call.json(json!({"id": id, "enabled": false}))).await?;
        let now = self.one(id).await?;
        let disabled = now.json.pointer("/enabled").and_then(Value::as_bool) == Some(false);
        let same = now.text("/name") == Some(self.marker.as_str()) && has(&now.json, "systemCapabilities");
        let text = format!("{}, disabled {disabled}, name and capabilities kept {same}", seen.full());
        self.judge(DISABLE, seen.status == 200 && disabled && same, text);

        let call = self.site.of_pools(Method::PUT, &format!("{pool}/agents/{id}/usercapabilities"), &[]);
        let (name, value) = CAPABILITY;
        let seen = self.devops(call.json(json!({name: value}))).await?;
        let now = self.one(id).await?;
        let capabilities = now.json.pointer("/userCapabilities");
        let listed = capabilities.and_then(|all| all.get(name)).and_then(Value::as_str) == Some(value);
        self.judge(
            USER_CAPABILITIES,
            seen.status == 200 && listed,
            format!("{}, listed {listed}", seen.full()),
        );
        Ok(())
    }

    async fn add(&self, name: &str) -> Result<Seen, CallError> {
        let call = self.site.of_pools(Method::POST, &format!("{}/agents", self.start.pool), &[]);
        let body = json!({
            "name": name,
            "version": "4.0.0",
            "maxParallelism": 1,
            "osDescription": "none: made by poolkeeper verify",
            "systemCapabilities": {"Agent.Name": name, "poolkeeper.verify": "1"},
        });
        self.devops(call.json(body)).await
    }

    async fn agent(&self, method: Method, id: u64) -> Result<Seen, CallError> {
        self.devops(self.site.of_pools(method, &format!("{}/agents/{id}", self.start.pool), &[])).await
    }

    /// An agent with all that it can show.
    async fn one(&self, id: u64) -> Result<Seen, CallError> {
        let query = [("includeCapabilities", "true"), ("includeAssignedRequest", "true")];
        let path = format!("{}/agents/{id}", self.start.pool);
        self.devops(self.site.of_pools(Method::GET, &path, &query)).await
    }

    /// Removes the agent of a VM that this run made, before the VM goes: never one that has a job.
    pub(crate) async fn release(&mut self, computer_name: &str) -> Result<(), CallError> {
        let pool = self.start.pool;
        let all = self.devops(self.site.all_agents(pool)).await?.must("the list of agents")?;
        for agent in all.list().into_iter().flatten() {
            let Some(id) = agent.pointer("/id").and_then(Value::as_u64) else { continue };
            let named = text(agent, "/name").eq_ignore_ascii_case(computer_name);
            if !named || self.start.agents.contains(&id) {
                continue;
            }
            let path = format!("{pool}/agents/{id}");
            let body = json!({"id": id, "enabled": false});
            self.devops(self.site.of_pools(Method::PATCH, &path, &[]).json(body)).await?;
            if has(&self.one(id).await?.json, "assignedRequest") {
                let seen = "with a job that it has; let it finish".to_owned();
                return Err(CallError::Answer { what: "the agent of a new VM", seen });
            }
            let seen = self.agent(Method::DELETE, id).await?;
            if seen.status != 404 {
                seen.must("DELETE of a new VM's agent")?;
            }
        }
        Ok(())
    }
}

fn has(agent: &Value, field: &str) -> bool {
    agent
        .get(field)
        .is_some_and(|value| !value.is_null() && value.as_object().is_none_or(|map| !map.is_empty()))
}

fn shows(list: &Seen, field: &str) -> bool {
    list.list().into_iter().flatten().any(|agent| has(agent, field))
}

/// The name with the case of each letter turned.
fn swapped(name: &str) -> String {
    let turn = |letter: char| {
        if letter.is_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    name.chars().map(turn).collect()
}
