"""Tries a simulator with Microsoft's client for Azure Compute."""

import json
import os
import time
import urllib.parse
import urllib.request

from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.core import MatchConditions
from azure.mgmt.compute import ComputeManagementClient

from steps import Steps, holds, raises, same, setting

GROUP, SET = "agents", "linux-d4"
FLEXIBLE_SET = "flexible"
# Its OS disks are not ephemeral.
DURABLE_SET = "durable"
# Of full, the scale set at its quota.
FULL_LOCATION = "northeurope"
# Tries of one call unless told otherwise: the first and three more.
TRIES = 4

simulator, speed = setting("SIMULATOR"), float(setting("SPEED"))
subscription = setting("SUBSCRIPTION")
steps = Steps("python-azure-mgmt-compute")


class Entra:
    """Takes tokens from the simulator; Microsoft's own identity library insists on https."""

    def get_token(self, *scopes, **_):
        form = {
            "grant_type": "client_credentials",
            "client_id": setting("CLIENT_ID"),
            "client_secret": setting("CLIENT_SECRET"),
            "scope": " ".join(scopes),
        }
        url = f"{simulator}/{setting('TENANT')}/oauth2/v2.0/token"
        with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:
            token = json.load(answer)
        return AccessToken(token["access_token"], int(time.time()) + token["expires_in"])


class Stranger:
    """Has a token that nobody issued."""

    def get_token(self, *_, **__):
        return AccessToken("stranger", int(time.time()) + 3600)


class Plain(SansIOHTTPPolicy):
    """Lets a token go over plain http, as to a simulator on loopback."""

    def on_request(self, request):
        request.context.options.setdefault("enforce_https", False)


class Clock(SansIOHTTPPolicy):
    """Translates Retry-After, which the simulator gives in seconds of its own faster clock."""

    throttled = 0

    def on_response(self, request, response):
        if response.http_response.status_code == 429:
            self.throttled += 1
        seconds = response.http_response.headers.pop("Retry-After", None)
        if seconds:
            response.http_response.headers["Retry-After-Ms"] = str(max(1, int(float(seconds) * 1000 / speed)))


def client(of=subscription, credential=None):
    return ComputeManagementClient(
        credential or Entra(),
        of,
        base_url=simulator,
        credential_scopes=["https://management.azure.com/.default"],
        per_call_policies=[Plain()],
        per_retry_policies=[clock],
    )


def control(method, path, body=None):
    """Calls the simulator's control API."""
    content = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{simulator}/_sim/{path}", content, method=method)) as answer:
        answer.read()


clock = Clock()
azure = client()


def instances(of=SET):
    return list(azure.virtual_machine_scale_set_vms.list(GROUP, of, expand="instanceView"))


def capacity(count):
    return {"sku": {"name": "Standard_D4ds_v5", "tier": "Standard", "capacity": count}}


def power(view):
    return next((status.code for status in view.statuses if status.code.startswith("PowerState/")), None)


def paged(pages):
    """All items, and how many pages they came in."""
    pages = [list(page) for page in pages.by_page()]
    return [item for page in pages for item in page], len(pages)


def refused(call, kind, status, code):
    error = raises(kind, call)
    same("status", status, error.status_code)
    same("code", code, error.error.code)
    return error


@steps.step("get set")
def _():
    got = azure.virtual_machine_scale_sets.get(GROUP, SET)
    same("name", SET, got.name)
    same("capacity", 3, got.sku.capacity)
    same("size", "Standard_D4ds_v5", got.sku.name)
    same("location", "westeurope", got.location)
    same("mode", "Uniform", got.orchestration_mode)
    same("upgrade policy", "Manual", got.upgrade_policy.mode)
    same("overprovision", False, got.overprovision)
    same("state", "Succeeded", got.provisioning_state)
    same("tags", {"team": "build"}, got.tags)
    holds("a time of creation", got.time_created is not None)
    holds("an etag", got.etag)


@steps.step("list instances in pages")
def _():
    found, pages = paged(azure.virtual_machine_scale_set_vms.list(GROUP, SET, expand="instanceView"))
    same("instances", 3, len(found))
    same("pages", 2, pages)
    for instance in found:
        same("name", f"{SET}_{instance.instance_id}", instance.name)
        same("power", "PowerState/running", power(instance.instance_view))
        holds("a VM id", instance.vm_id)
        holds("a computer name", instance.os_profile.computer_name)
        holds("a time of creation", instance.time_created is not None)


@steps.step("get instance")
def _():
    first = instances()[0]
    got = azure.virtual_machine_scale_set_vms.get(GROUP, SET, first.instance_id, expand="instanceView")
    same("VM id", first.vm_id, got.vm_id)
    same("power", "PowerState/running", power(got.instance_view))


@steps.step("grow")
def _():
    grown = azure.virtual_machine_scale_sets.begin_update(GROUP, SET, capacity(5)).result()
    same("capacity", 5, grown.sku.capacity)
    same("state", "Succeeded", grown.provisioning_state)
    found, pages = paged(azure.virtual_machine_scale_set_vms.list(GROUP, SET))
    same("instances", 5, len(found))
    same("pages", 3, pages)


@steps.step("tag")
def _():
    etag = azure.virtual_machine_scale_sets.get(GROUP, SET).etag
    tags = {"team": "build", "claimed": "yes"}

    def tag():
        return azure.virtual_machine_scale_sets.begin_update(
            GROUP, SET, {"tags": tags}, etag=etag, match_condition=MatchConditions.IfNotModified
        )

    tagged = tag().result()
    same("tags", tags, tagged.tags)
    same("capacity", 5, tagged.sku.capacity)
    refused(tag, ResourceModifiedError, 412, "PreconditionFailed")


@steps.step("reimage")
def _():
    first = instances()[0]
    azure.virtual_machine_scale_sets.begin_reimage(GROUP, SET, {"instanceIds": [first.instance_id]}).result()
    got = azure.virtual_machine_scale_set_vms.get(GROUP, SET, first.instance_id)
    same("VM id", first.vm_id, got.vm_id)
    same("state", "Succeeded", got.provisioning_state)


@steps.step("delete instances")
def _():
    ids = [instance.instance_id for instance in instances()[:2]]
    azure.virtual_machine_scale_sets.begin_delete_instances(GROUP, SET, {"instanceIds": ids}).result()
    same("capacity", 3, azure.virtual_machine_scale_sets.get(GROUP, SET).sku.capacity)
    refused(
        lambda: azure.virtual_machine_scale_set_vms.get(GROUP, SET, ids[0]),
        ResourceNotFoundError,
        404,
        "ResourceNotFound",
    )


@steps.step("list usages")
def _():
    usages = list(azure.usage.list(FULL_LOCATION))
    holds("a usage", usages)
    for usage in usages:
        holds("a name", usage.name.value and usage.name.localized_value)
        holds("a limit that holds", usage.current_value <= usage.limit)
        same("unit", "Count", usage.unit)


@steps.step("401 without a valid token")
def _():
    stranger = client(credential=Stranger())
    refused(
        lambda: stranger.virtual_machine_scale_sets.get(GROUP, SET),
        ClientAuthenticationError,
        401,
        "InvalidAuthenticationToken",
    )


@steps.step("403 in a foreign subscription")
def _():
    foreign = client(of="00000000-9999-9999-9999-999999999999")
    refused(
        lambda: foreign.virtual_machine_scale_sets.get(GROUP, SET), HttpResponseError, 403, "AuthorizationFailed"
    )


@steps.step("404 for an unknown set")
def _():
    refused(
        lambda: azure.virtual_machine_scale_sets.get(GROUP, "unknown"),
        ResourceNotFoundError,
        404,
        "ResourceNotFound",
    )


@steps.step("409 for a conflict")
def _():
    # Its poller is a thread that would ask for hours.
    azure.virtual_machine_scale_sets.begin_update(GROUP, "slow", capacity(2), polling=False)
    ids = [instances("slow")[0].instance_id]
    refused(
        lambda: azure.virtual_machine_scale_sets.begin_delete_instances(GROUP, "slow", {"instanceIds": ids}),
        ResourceExistsError,
        409,
        "Conflict",
    )


@steps.step("409 for a quota")
def _():
    error = refused(
        lambda: azure.virtual_machine_scale_sets.begin_update(GROUP, "full", capacity(2)),
        ResourceExistsError,
        409,
        "OperationNotAllowed",
    )
    for word in ["quota", "Current Limit:", FULL_LOCATION]:
        holds(f"{word} in the words {error.message}", word in error.message)


@steps.step("an operation that fails")
def _():
    control("POST", "faults", {"scaleSet": SET, "azure": "allocationFailed"})
    poller = azure.virtual_machine_scale_sets.begin_update(GROUP, SET, capacity(6))
    refused(poller.result, HttpResponseError, 200, "AllocationFailed")
    control("DELETE", "faults")


@steps.step("429 after its own retries")
def _():
    control("POST", "faults", {"scaleSet": SET, "azure": "throttle"})
    before = clock.throttled
    refused(
        lambda: azure.virtual_machine_scale_sets.get(GROUP, SET), HttpResponseError, 429, "OperationNotAllowed"
    )
    control("DELETE", "faults")
    same("tries", TRIES, clock.throttled - before)
    azure.virtual_machine_scale_sets.get(GROUP, SET)


def resource_id(name):
    return (
        f"/subscriptions/{subscription}/resourceGroups/{GROUP}"
        f"/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
    )


def machines(of=FLEXIBLE_SET):
    """All VMs of a set with their views, and the number of pages."""
    wanted = f"'virtualMachineScaleSet/id' eq '{resource_id(of)}'"
    return paged(azure.virtual_machines.list(GROUP, filter=wanted, expand="instanceView"))


def flexible():
    """Goes once through the life of a scale set with Flexible orchestration, whose instances are plain VMs."""

    @steps.step("flexible: get set")
    def _():
        got = azure.virtual_machine_scale_sets.get(GROUP, FLEXIBLE_SET)
        same("mode", "Flexible", got.orchestration_mode)
        same("capacity", 3, got.sku.capacity)

    @steps.step("flexible: list VMs by filter, in pages")
    def _():
        found, pages = machines()
        same("VMs", 3, len(found))
        same("pages", 2, pages)
        for machine in found:
            same("set", resource_id(FLEXIBLE_SET), machine.virtual_machine_scale_set.id)
            same("power", "PowerState/running", power(machine.instance_view))
            holds("a VM id", machine.vm_id)
            holds("a computer name", machine.os_profile.computer_name)
            holds("a time of creation", machine.time_created is not None)

    @steps.step("flexible: get VM and its view")
    def _():
        first = machines()[0][0]
        same("VM id", first.vm_id, azure.virtual_machines.get(GROUP, first.name).vm_id)
        view = azure.virtual_machines.instance_view(GROUP, first.name)
        same("power", "PowerState/running", power(view))

    @steps.step("flexible: grow")
    def _():
        grown = azure.virtual_machine_scale_sets.begin_update(GROUP, FLEXIBLE_SET, capacity(5)).result()
        same("capacity", 5, grown.sku.capacity)
        same("VMs", 5, len(machines()[0]))

    @steps.step("flexible: reimage VM")
    def _():
        first = machines()[0][0]
        azure.virtual_machines.begin_reimage(GROUP, first.name).result()
        got = azure.virtual_machines.get(GROUP, first.name)
        same("VM id", first.vm_id, got.vm_id)
        same("state", "Succeeded", got.provisioning_state)

    @steps.step("flexible: no reimage of a durable disk")
    def _():
        first = machines(DURABLE_SET)[0][0]
        refused(
            lambda: azure.virtual_machines.begin_reimage(GROUP, first.name),
            ResourceExistsError,
            409,
            "OperationNotAllowed",
        )

    @steps.step("flexible: delete VMs at the same time")
    def _():
        names = [machine.name for machine in machines()[0][:2]]
        for poller in [azure.virtual_machines.begin_delete(GROUP, name) for name in names]:
            poller.result()
        refused(lambda: azure.virtual_machines.get(GROUP, names[0]), ResourceNotFoundError, 404, "ResourceNotFound")
        same("capacity", 3, azure.virtual_machine_scale_sets.get(GROUP, FLEXIBLE_SET).sku.capacity)

    @steps.step("flexible: delete VMs by name through the set")
    def _():
        name = machines()[0][0].name
        azure.virtual_machine_scale_sets.begin_delete_instances(
            GROUP, FLEXIBLE_SET, {"instanceIds": [name]}
        ).result()
        same("capacity", 2, azure.virtual_machine_scale_sets.get(GROUP, FLEXIBLE_SET).sku.capacity)


if os.environ.get("FLEXIBLE") == "1":
    flexible()
steps.exit()
