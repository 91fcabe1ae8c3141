"""Tries a simulator with Microsoft's client for Azure DevOps."""

from azure.devops.connection import Connection
from azure.devops.exceptions import AzureDevOpsServiceError
from azure.devops.v7_1.task_agent.models import TaskAgent
from msrest.authentication import BasicAuthentication

from steps import Steps, Unexpected, holds, raises, same, setting

POOL = "linux-build"
UNKNOWN = 99999

url = f"{setting('SIMULATOR')}/{setting('ORGANIZATION')}"
steps = Steps("python-azure-devops")
# What one step found out for the next ones.
found = {}


def clients(token):
    return Connection(base_url=url, creds=BasicAuthentication("", token)).clients_v7_1


def refused(call, kind):
    error = raises(AzureDevOpsServiceError, call)
    same("type", kind, error.type_key)
    holds("a message", error.message)


@steps.step("connect")
def _():
    found["client"] = clients(setting("PAT")).get_task_agent_client()


@steps.step("list pools")
def _():
    client = found["client"]
    (named,) = client.get_agent_pools(pool_name=POOL)
    same("name", POOL, named.name)
    same("agents", 3, named.size)
    same("type", "automation", named.pool_type)
    same("hosted", False, named.is_hosted)
    same("options", "none", named.options)
    same("pools", 2, len(client.get_agent_pools()))
    found["pool"] = named.id


@steps.step("list elastic pools")
def _():
    client = clients(setting("PAT")).get_elastic_client()
    (pool,) = client.get_elastic_pools()
    same("pool", pool.pool_id, client.get_elastic_pool(pool.pool_id).pool_id)
    same("state", "online", pool.state)
    same("options", "elasticPool", found["client"].get_agent_pool(pool.pool_id).options)


@steps.step("list agents")
def _():
    agents = found["client"].get_agents(
        found["pool"], include_capabilities=True, include_assigned_request=True, include_last_completed_request=True
    )
    same("agents", 3, len(agents))
    for agent in agents:
        same("status", "online", agent.status)
        same("enabled", True, agent.enabled)
        same("Agent.Name", agent.name, agent.system_capabilities["Agent.Name"])
        holds("a version", agent.version)
        holds("a time of creation", agent.created_on)
        holds("a time of status", agent.status_changed_on)
    (busy,) = [agent for agent in agents if agent.assigned_request]
    holds("a time of receipt", busy.assigned_request.receive_time)
    holds("a request id", busy.assigned_request.request_id)
    (completed,) = [agent for agent in agents if agent.last_completed_request]
    same("result", "succeeded", completed.last_completed_request.result)
    found["busy"] = busy
    found["idle"] = [agent for agent in agents if not agent.assigned_request]


@steps.step("list agents without includes")
def _():
    (agent,) = found["client"].get_agents(found["pool"], agent_name=found["busy"].name)
    same("request", None, agent.assigned_request)
    same("completed request", None, agent.last_completed_request)
    same("capabilities", None, agent.system_capabilities)


@steps.step("disable agent")
def _():
    client, pool, agent = found["client"], found["pool"], found["idle"][0]
    change = TaskAgent(id=agent.id, name=agent.name, enabled=False)
    same("enabled in the answer", False, client.update_agent(change, pool, agent.id).enabled)
    same("enabled", False, client.get_agent(pool, agent.id).enabled)


@steps.step("delete agent")
def _():
    client, pool = found["client"], found["pool"]
    client.delete_agent(pool, found["idle"][1].id)
    same("agents", 2, len(client.get_agents(pool)))


@steps.step("no delete of a running agent")
def _():
    refused(
        lambda: found["client"].delete_agent(found["pool"], found["busy"].id), "TaskAgentJobStillRunningException"
    )


@steps.step("unknown agent")
def _():
    client, pool = found["client"], found["pool"]
    refused(lambda: client.get_agent(pool, UNKNOWN), "TaskAgentNotFoundException")
    refused(lambda: client.delete_agent(pool, UNKNOWN), "TaskAgentNotFoundException")


@steps.step("unknown pool")
def _():
    refused(lambda: found["client"].get_agents(UNKNOWN), "TaskAgentPoolNotFoundException")


@steps.step("wrong token")
def _():
    try:
        agents = clients("wrong").get_task_agent_client().get_agents(found["pool"])
    except Exception:
        return
    raise Unexpected(f"expected an error, came {agents!r}")


steps.exit()
