// Tries a simulator with Microsoft's client for Azure DevOps, the only one that lists job requests.
"use strict";

const assert = require("node:assert/strict");
const { WebApi, getBearerHandler, getPersonalAccessTokenHandler } = require("azure-devops-node-api");
const {
  TaskAgentPoolOptions,
  TaskAgentPoolType,
  TaskAgentStatus,
  TaskResult,
} = require("azure-devops-node-api/interfaces/TaskAgentInterfaces");

const CLIENT = "node-azure-devops";
const POOL = "linux-build";
const UNKNOWN = 99999;
// The application id of Azure DevOps in every directory.
const AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798";

let failed = false;

// Runs a step and prints one line.
async function step(name, run) {
  try {
    await run();
    console.log(`ok ${CLIENT} ${name}`);
  } catch (error) {
    failed = true;
    console.log(`not ok ${CLIENT} ${name}: ${error.message.replaceAll(/\s*\n\s*/g, "; ")}`);
  }
}

// An environment variable that the process cannot do without.
function setting(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`set the environment variable ${name}; tests/clients/README.md lists them`);
    process.exit(2);
  }
  return value;
}

function same(what, expected, came) {
  assert.ok(Object.is(expected, came), `expected ${what} ${expected}, came ${came}`);
}

function holds(what, condition) {
  assert.ok(condition, `expected ${what}`);
}

// Checks that the service refuses with this status and these words.
async function refused(promise, status, words) {
  const error = await promise.then(
    (answer) => assert.fail(`expected status ${status}, came ${JSON.stringify(answer)}`),
    (error) => error,
  );
  same("status", status, error.statusCode);
  assert.match(error.message, words);
}

function api(organization, token) {
  return new WebApi(`${setting("SIMULATOR")}/${organization}`, getPersonalAccessTokenHandler(token));
}

// The organisation, signed in to with a token of Entra for one of the clouds.
async function entra(resource) {
  const form = {
    grant_type: "client_credentials",
    client_id: setting("CLIENT_ID"),
    client_secret: setting("CLIENT_SECRET"),
    scope: `${resource}/.default`,
  };
  const url = `${setting("SIMULATOR")}/${setting("TENANT")}/oauth2/v2.0/token`;
  const answer = await fetch(url, { method: "POST", body: new URLSearchParams(form) });
  const organization = `${setting("SIMULATOR")}/${setting("ORGANIZATION")}`;
  return new WebApi(organization, getBearerHandler((await answer.json()).access_token));
}

// What a job request of this state has: each time is there exactly from its state on.
function checkTimes(request, state) {
  const reached = ["queued", "assigned", "running", "finished"].indexOf(state);
  const times = ["queueTime", "assignTime", "receiveTime", "finishTime"];
  times.forEach((name, index) => {
    const isTime = request[name] instanceof Date && !Number.isNaN(request[name].getTime());
    same(`${name} of a ${state} request`, index <= reached, isTime);
  });
  same(`agent of a ${state} request`, reached > 0, request.reservedAgent !== undefined);
  same(`result of a ${state} request`, reached === 3 ? TaskResult.Succeeded : undefined, request.result);
}

async function main() {
  const token = setting("PAT");
  let client;
  let pool;
  let busy;
  let idle;
  let queued;

  await step("connect", async () => {
    const organization = api(setting("ORGANIZATION"), token);
    holds("connection data", (await organization.connect())?.locationServiceData);
    client = await organization.getTaskAgentApi();
  });
  await step("list pools", async () => {
    const named = await client.getAgentPools(POOL);
    same("pools of the name", 1, named.length);
    same("pools", 2, (await client.getAgentPools()).length);
    same("name", POOL, named[0].name);
    same("agents", 3, named[0].size);
    same("type", TaskAgentPoolType.Automation, named[0].poolType);
    same("hosted", false, named[0].isHosted);
    same("options", TaskAgentPoolOptions.None, named[0].options);
    pool = named[0].id;
  });
  await step("list agents", async () => {
    const agents = await client.getAgents(pool, undefined, true, true, true);
    same("agents", 3, agents.length);
    for (const agent of agents) {
      same("status", TaskAgentStatus.Online, agent.status);
      same("enabled", true, agent.enabled);
      same("Agent.Name", agent.name, agent.systemCapabilities["Agent.Name"]);
      holds("a version", agent.version);
      holds("a time of creation", agent.createdOn instanceof Date);
      holds("a time of status", agent.statusChangedOn instanceof Date);
    }
    const completed = agents.filter((agent) => agent.lastCompletedRequest);
    same("agents with a completed request", 1, completed.length);
    same("result", TaskResult.Succeeded, completed[0].lastCompletedRequest.result);
    idle = agents.filter((agent) => !agent.assignedRequest);
    same("idle agents", 2, idle.length);
    busy = agents.find((agent) => agent.assignedRequest);
    checkTimes({ reservedAgent: busy, ...busy.assignedRequest }, "running");
  });
  await step("list agents without includes", async () => {
    const agents = await client.getAgents(pool, busy.name);
    same("agents of the name", 1, agents.length);
    same("request", undefined, agents[0].assignedRequest);
    same("completed request", undefined, agents[0].lastCompletedRequest);
    same("capabilities", undefined, agents[0].systemCapabilities);
  });
  await step("list job requests", async () => {
    const requests = await client.getAgentRequests(pool, 10);
    same("requests", 3, requests.length);
    const ids = requests.map((request) => request.requestId);
    assert.deepEqual(ids, ids.toSorted((one, other) => other - one), `expected the newest first, came ${ids}`);
    let running;
    let finished;
    [queued, running, finished] = requests;
    checkTimes(queued, "queued");
    checkTimes(running, "running");
    checkTimes(finished, "finished");
    assert.deepEqual(queued.demands, ["gpu"]);
    same("agent", busy.id, running.reservedAgent.id);
    holds("a lock of the running request", running.lockedUntil instanceof Date);
    same("pool", pool, queued.poolId);
  });
  await step("list the newest job request", async () => {
    const requests = await client.getAgentRequests(pool, 1);
    same("requests", 1, requests.length);
    same("request", queued.requestId, requests[0].requestId);
  });
  await step("list job requests of an agent", async () => {
    const requests = await client.getAgentRequestsForAgent(pool, busy.id, 0);
    same("requests", 1, requests.length);
    same("request", busy.assignedRequest.requestId, requests[0].requestId);
  });
  await step("get job request", async () => {
    const request = await client.getAgentRequest(pool, queued.requestId, true);
    checkTimes(request, "queued");
    same("request", queued.requestId, request.requestId);
    same("matches all", false, request.matchesAllAgentsInPool);
    assert.deepEqual(request.matchedAgents, [], "expected no agent that matches");
  });
  await step("list assigned job requests", async () => {
    const other = await api(setting("LATE_ORGANIZATION"), token).getTaskAgentApi();
    const [late] = await other.getAgentPools();
    const requests = await other.getAgentRequests(late.id, 10);
    same("requests", 1, requests.length);
    checkTimes(requests[0], "assigned");
  });
  await step("unknown job request", async () => {
    // The service answers 404, which this client reads as nothing.
    same("request", null, await client.getAgentRequest(pool, UNKNOWN));
  });
  await step("disable agent", async () => {
    const { id, name } = idle[0];
    const changed = await client.updateAgent({ id, name, enabled: false }, pool, id);
    same("enabled in the answer", false, changed.enabled);
    same("enabled", false, (await client.getAgent(pool, id)).enabled);
  });
  await step("delete agent", async () => {
    await client.deleteAgent(pool, idle[1].id);
    same("agents", 2, (await client.getAgents(pool)).length);
  });
  await step("add placeholder agent", async () => {
    const record = { name: "placeholder", version: "4.261.0", maxParallelism: 1 };
    const { id } = await client.addAgent(record, pool);
    const changed = await client.updateAgentUserCapabilities({ gpu: "true" }, pool, id);
    same("agent in the answer", id, changed.id);
    const read = await client.getAgent(pool, id, true);
    same("status", TaskAgentStatus.Offline, read.status);
    same("capability", "true", read.userCapabilities.gpu);
    const { matchedAgents } = await client.getAgentRequest(pool, queued.requestId);
    assert.deepEqual(matchedAgents.map((agent) => agent.id), [id], "expected the one agent that matches");
    await refused(client.addAgent(record, pool), 409, /already contains an agent with name/);
  });
  await step("no delete of a running agent", async () => {
    await refused(client.deleteAgent(pool, busy.id), 400, /is running a job for pool/);
  });
  await step("unknown agent", async () => {
    same("agent", null, await client.getAgent(pool, UNKNOWN));
  });
  await step("wrong token", async () => {
    const agents = await api(setting("ORGANIZATION"), "wrong")
      .getTaskAgentApi()
      .then((stranger) => stranger.getAgents(pool))
      .catch(() => "an error");
    same("answer", "an error", agents);
  });
  await step("Entra's token", async () => {
    const member = await (await entra(AZURE_DEVOPS)).getTaskAgentApi();
    same("pools", 2, (await member.getAgentPools()).length);
  });
  await step("Entra's token for Azure", async () => {
    await refused((await entra("https://management.azure.com")).getTaskAgentApi(), 401, /TF400813|401/);
  });
  process.exitCode = failed ? 1 : 0;
}

main();
