//! The facts: what poolkeeper expects of the clouds and could not check without them, one row each.

/// On which scale sets a fact holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Uniform and Flexible orchestration; also whatever concerns no scale set.
    Both,
    /// Uniform orchestration.
    Uniform,
    /// Flexible orchestration.
    Flexible,
}

/// Facts that are tried together. Where one part cannot go on, the others still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Reads of Azure.
    Reads,
    /// Writes of tags.
    Tags,
    /// The life of VMs.
    Instances,
    /// Azure DevOps.
    Agents,
}

/// A fact that poolkeeper takes for granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name in reports.
    pub id: &'static str,
    /// The part that tries it.
    pub part: Part,
    /// Where it holds.
    pub on: On,
    /// What poolkeeper expects.
    pub expect: &'static str,
    /// How it is tried.
    pub how: &'static str,
    /// Where the expectation comes from.
    pub source: &'static str,
}

macro_rules! facts {
    ($($name:ident = $id:literal, $part:ident, $on:ident,
       expect $expect:literal, how $how:literal, source $source:literal;)+) => {
        $(pub(crate) const $name: Fact = Fact {
            id: $id, part: Part::$part, on: On::$on, expect: $expect, how: $how, source: $source,
        };)+
        /// Every fact that is tried, in the order of the report.
        pub const TRIED: &[Fact] = &[$($name),+];
    };
}

facts! {
    // Azure: reads.
    MISSING_VERSION = "arm-missing-api-version", Reads, Both,
        expect "400 MissingApiVersionParameter", how "GET of the set without api-version", source "assumed";
    BAD_TOKEN = "arm-bad-token", Reads, Both,
        expect "401 InvalidAuthenticationToken", how "GET of the set with a token that is none", source "assumed";
    NOT_FOUND_CODE = "arm-not-found-code", Reads, Both,
        expect "404 ResourceNotFound", how "GET of a set that does not exist", source "error lists of Azure's guides";
    NOT_FOUND_TEXT = "arm-not-found-text", Reads, Both,
        expect "a text that names type, set and resource group", how "the same call", source "seen in issues";
    PATH_CASE = "arm-path-case", Reads, Both,
        expect "200 with the same id", how "GET of the set's path in upper case", source "assumed";
    ETAG = "etag", Reads, Both,
        expect "an etag in the answer", how "GET of the set", source "swagger of Microsoft.Compute";
    BUDGET_HEADER = "ratelimit-header", Reads, Both,
        expect "x-ms-ratelimit-remaining-resource: Microsoft.Compute/<policy>;<number>", how "GET of the set",
        source "compute throttling limits";
    UNKNOWN_OPERATION = "operation-unknown", Reads, Both,
        expect "404", how "GET of an operation that does not exist", source "assumed";
    CORES = "usages-cores", Reads, Both,
        expect "a row named cores", how "GET of the region's compute usages", source "assumed";
    // Azure: tags.
    TAGS_REPLACE = "tags-patch-replaces", Tags, Both,
        expect "tags that the body leaves out are gone", how "PATCH with one tag more, then PATCH without it",
        source "assumed";
    PATCH_ANSWER = "patch-answer", Tags, Both,
        expect "200 with Azure-AsyncOperation", how "each PATCH of tags or capacity", source "Microsoft's Go client";
    IF_MATCH = "if-match", Tags, Both,
        expect "412", how "PATCH of tags with an etag that is no longer true", source "swagger of Microsoft.Compute";
    TAGS_LIMIT = "tags-limit", Tags, Both,
        expect "400, and no tag written", how "PATCH with 51 tags", source "limits of Azure Resource Manager: 50";
    // Azure: instances.
    CAPACITY_ALONE = "patch-capacity-alone", Instances, Both,
        expect "accepted, and sku.name stays", how "PATCH with sku.capacity and nothing else", source "seen in issues";
    LISTED_AT_ONCE = "growth-listed", Instances, Both,
        expect "every new instance in the first list, as Creating", how "list right after the growth's answer",
        source "scale set FAQ";
    LINK_HOST = "next-link-host", Instances, Both,
        expect "nextLink has the host that was asked", how "every list that has a second page", source "assumed";
    IDS_GROW = "instance-ids-grow", Instances, Uniform,
        expect "a number above all earlier ones", how "two growths with deletions between", source "scale set FAQ";
    COMPUTER_NAME = "computer-name", Instances, Uniform,
        expect "computerNamePrefix and six digits of the id in base 36", how "the new instances", source "assumed";
    UNKNOWN_INSTANCE = "instance-unknown", Instances, Both,
        expect "404", how "GET of an instance that does not exist", source "assumed";
    DELETE_UNKNOWN = "delete-unknown-instance", Instances, Uniform,
        expect "400 InvalidParameter", how "POST delete with an instance id that does not exist",
        source "seen in issues";
    ACTION_ANSWER = "action-answer", Instances, Both,
        expect "202 with Azure-AsyncOperation or Location", how "each accepted deletion and reimage",
        source "Microsoft's Go client";
    SECOND_DELETE = "delete-in-flight", Instances, Uniform,
        expect "409 Conflict", how "POST delete of a second instance while the first is being deleted",
        source "seen in issues";
    PARALLEL_DELETE = "delete-in-parallel", Instances, Flexible,
        expect "accepted", how "DELETE of a second VM while the first is being deleted",
        source "each VM has its own operations";
    DELETE_TWICE = "delete-twice", Instances, Both,
        expect "409", how "deletion of an instance that is being deleted", source "seen in issues";
    DELETE_LOWERS = "delete-lowers-capacity", Instances, Both,
        expect "sku.capacity is lower by the VMs deleted", how "GET of the set after a deletion",
        source "scale set guide";
    OPERATION_AFTER_END = "operation-after-end", Instances, Both,
        expect "200 Succeeded", how "GET of an operation that ended a while ago", source "assumed";
    REIMAGE_KEEPS = "reimage-keeps-identity", Instances, Both,
        expect "the same vmId", how "reimage of an instance that this run made", source "assumed";
    REIMAGE_TIME = "reimage-time-created", Instances, Both,
        expect "the same timeCreated", how "reimage of an instance that this run made", source "assumed";
    FILTER_QUOTED = "flexible-filter-quoted", Instances, Flexible,
        expect "200 with the set's VMs", how "GET virtualMachines with $filter='virtualMachineScaleSet/id' eq '…'",
        source "Microsoft's clients";
    FILTER_PLAIN = "flexible-filter-plain", Instances, Flexible,
        expect "200 with the set's VMs", how "GET virtualMachines with $filter=virtualMachineScaleSet/id eq '…'",
        source "scale set guide";
    REIMAGE_REFUSED = "flexible-reimage", Instances, Flexible,
        expect "409 OperationNotAllowed without an ephemeral OS disk", how "POST reimage of a VM that this run made",
        source "orchestration modes compared; status and code assumed";
    // Azure DevOps.
    POOL_BY_NAME = "pool-by-name", Agents, Both,
        expect "this pool and no other", how "GET pools?poolName=…", source "REST reference";
    POOL_CASE = "pool-name-case", Agents, Both,
        expect "the same pool", how "GET pools?poolName=… in another case", source "assumed";
    JOB_REQUESTS_VERSION = "job-requests-version", Agents, Both,
        expect "200", how "GET jobrequests with api-version=7.2-preview.1", source "Microsoft's Node client";
    UNFINISHED_ONLY = "job-requests-unfinished", Agents, Both,
        expect "no finished request", how "GET jobrequests?completedRequestCount=0", source "KEDA; not documented";
    VERSION_HEADER = "version-in-header", Agents, Both,
        expect "200", how "GET pools with the version in Accept only", source "Microsoft's Python client";
    BAD_PAT = "bad-pat", Agents, Both,
        expect "401, 302, or 203 with a page", how "GET pools with a token that is none", source "seen in forums";
    SUPPRESS = "fed-auth-redirect", Agents, Both,
        expect "no redirect", how "the same call with X-TFS-FedAuthRedirect: Suppress", source "Microsoft's clients";
    UNKNOWN_AGENT = "agent-unknown", Agents, Both,
        expect "404 TaskAgentNotFoundException", how "GET of an agent that does not exist", source "assumed";
    DELETE_UNKNOWN_AGENT = "agent-delete-unknown", Agents, Both,
        expect "404 TaskAgentNotFoundException", how "DELETE of an agent that does not exist", source "assumed";
    AGENT_ADDED = "agent-added", Agents, Both,
        expect "a record that is offline and enabled", how "POST agents with a name of this run", source "KEDA's guide";
    INCLUDES = "agent-includes", Agents, Both,
        expect "capabilities and requests only where asked for",
        how "list of agents with and without includeCapabilities, includeAssignedRequest and \
             includeLastCompletedRequest", source "REST reference; no job runs, so assignedRequest itself is not seen";
    AGENT_EXISTS = "agent-exists", Agents, Both,
        expect "409 TaskAgentExistsException", how "POST agents with the same name", source "assumed";
    AGENT_CASE = "agent-name-case", Agents, Both,
        expect "the same agent", how "list with agentName, and POST, in another case", source "assumed";
    DISABLE = "agent-disable", Agents, Both,
        expect "200, disabled, and nothing else changed", how "PATCH with id and enabled only", source "REST reference";
    USER_CAPABILITIES = "user-capabilities", Agents, Both,
        expect "200, and listed", how "PUT usercapabilities", source "Microsoft's clients";
    DELETE_OFFLINE = "agent-delete-offline", Agents, Both,
        expect "200 or 204, then 404", how "DELETE of an offline agent", source "REST reference";
}

/// A question that no run can answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its name in reports.
    pub id: &'static str,
    /// What is not known.
    pub what: &'static str,
    /// Why it is not tried.
    pub why: &'static str,
}

/// What stays open: it needs a job, a shortage or a size that a gentle run must not make.
pub const OPEN: &[Open] = &[
    Open {
        id: "maintenance-plan-type",
        what: "the planType of maintenance requests",
        why: "needs a maintenance job",
    },
    Open { id: "assigned-request", what: "assignedRequest of a busy agent", why: "needs a running job" },
    Open { id: "agent-delete-busy", what: "400 on DELETE of a busy agent", why: "needs a running job" },
    Open {
        id: "lost-lock",
        what: "the result of a job whose agent is lost",
        why: "needs a running job to be lost",
    },
    Open { id: "page-size", what: "instances on one page", why: "needs more than 2 VMs" },
    Open {
        id: "partial-growth",
        what: "capacity and instances after a failed allocation",
        why: "needs a shortage",
    },
    Open {
        id: "spot-delete",
        what: "sku.capacity after a spot eviction with Delete",
        why: "needs an eviction",
    },
];
