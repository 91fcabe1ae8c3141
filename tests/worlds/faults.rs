//! The table of faults: what goes wrong, what is said about it, and how soon all is well again after it.

use serde_json::{Value, json};

/// Where a fault is, so that no other pool has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    ScaleSet,
    Organization,
    /// Entra knows neither: such rows come one after the other, and in one mode, as no scale set is asked.
    Everywhere,
}

/// A condition while the fault lasts.
#[derive(Clone, Debug)]
pub(crate) struct Shows {
    /// `AgentPool` or `ScaleSetBinding`.
    pub(crate) kind: &'static str,
    /// `Holding=True/SourceMissing`
    pub(crate) begins: &'static str,
    /// What its message says; `HOST` is that of both clouds.
    pub(crate) says: &'static [&'static str],
}

/// What the fault does to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum While {
    /// It cannot grow; whatever else it has to do goes on.
    Limited,
    /// Nothing is written to either cloud.
    Held,
    /// The same, looked at for so many simulated minutes.
    Watched(i64),
    /// It goes on: all jobs end while the fault lasts.
    Works,
    /// The same, and what is left of them is tidied up later.
    Slows,
}

/// How the next successful action comes after relief.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Within one sample and a Retry-After.
    Sample,
    /// When a back-off of so many seconds is over.
    BackOff(i64),
    /// Nothing had stopped, or it goes on by itself.
    Any,
}

/// What the pool wants meanwhile. Its standby stays wanted until it can be had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    pub(crate) jobs: u64,
    pub(crate) job_minutes: u32,
    /// Agents that stand by before the fault and after it began.
    pub(crate) standby: (u64, u64),
    pub(crate) most: u32,
    /// Jobs that run while the fault lasts, where that is part of the row.
    pub(crate) busy: Option<u64>,
}

/// A row: one fault.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// The body for `/_sim/faults`, without its place; none where tokens are revoked only.
    pub(crate) fault: Option<Value>,
    pub(crate) place: Place,
    pub(crate) lasts: While,
    pub(crate) shows: Vec<Shows>,
    pub(crate) limited_by: Option<&'static str>,
    pub(crate) event: Option<&'static str>,
    pub(crate) metric: Option<&'static str>,
    pub(crate) next: Next,
    pub(crate) demand: Demand,
    /// VMs may be deleted in the moment in which their agents register: then the records stay.
    pub(crate) may_leave_records: bool,
}

const POOL: &str = "AgentPool";
const BINDING: &str = "ScaleSetBinding";

/// One agent runs a job when a second is wanted, and one more on standby.
const TWO_JOBS: Demand = Demand { jobs: 2, job_minutes: 4, standby: (1, 2), most: 4, busy: None };
/// Eight are wanted at once.
const EIGHT_JOBS: Demand = Demand { jobs: 8, job_minutes: 10, standby: (0, 0), most: 8, busy: Some(3) };
/// Longer than an agent may be offline before it is lost (5 minutes), so that a wrong loss would show.
const LONG: i64 = 6;

const HOLDS: &str = "poolkeeper_holds_total reason=\"SourceMissing\"";

impl Row {
    fn new(name: &'static str, place: Place, fault: Value) -> Self {
        Self {
            name,
            fault: Some(fault),
            place,
            lasts: While::Held,
            shows: Vec::new(),
            limited_by: None,
            event: None,
            metric: None,
            next: Next::Sample,
            demand: TWO_JOBS,
            may_leave_records: name == "never-ends",
        }
    }

    fn shows(mut self, kind: &'static str, begins: &'static str, says: &'static [&'static str]) -> Self {
        self.shows.push(Shows { kind, begins, says });
        self
    }

    fn limited(self, by: &'static str, event: &'static str, metric: &'static str, next: Next) -> Self {
        let (limited_by, event, metric) = (Some(by), Some(event), Some(metric));
        Self { lasts: While::Limited, limited_by, event, metric, next, ..self }
    }

    /// Something cannot be read: `limitedBy` is Hold, and nothing is written.
    fn held(self) -> Self {
        Self { limited_by: Some("Hold"), event: Some("SourceMissing"), metric: Some(HOLDS), ..self }
    }

    /// A person must mend the binding; until then its pool has none.
    fn blocked(self, metric: &'static str) -> Self {
        let row = self.shows(POOL, "CapacityLimited=True/BindingsBlocked", &["mend the blocked ones"]);
        let (limited_by, event) = (Some("BindingMaximum"), Some("BindingsBlocked"));
        Self { limited_by, event, metric: Some(metric), ..row }
    }

    fn lasts(self, lasts: While) -> Self {
        let next = if matches!(lasts, While::Works | While::Slows) { Next::Any } else { self.next };
        Self { lasts, next, ..self }
    }

    fn wants(self, demand: Demand) -> Self {
        Self { demand, ..self }
    }
}

fn azure(name: &'static str, kind: &str) -> Row {
    Row::new(name, Place::ScaleSet, json!({"azure": kind}))
}

fn shortage(name: &'static str, kind: &str, stage: &str) -> Row {
    Row::new(name, Place::ScaleSet, json!({"azure": kind, "in": stage}))
}

fn quota(row: Row) -> Row {
    row.shows(POOL, "CapacityLimited=True/QuotaExceeded", &["exceeding approved", "tried again at"])
        .shows(BINDING, "Ready=False/QuotaExceeded", &["exceeding approved", "tried again at"])
        .limited("Quota", "QuotaExceeded", "poolkeeper_failures_total kind=\"Quota\"", Next::Sample)
}

/// The capacity stays as asked, and the list does not: so long nothing is asked for again.
fn part(row: Row) -> Row {
    Row { next: Next::BackOff(300), ..row }
}

fn allocation(row: Row) -> Row {
    // Five minutes, as nobody can ask whether Azure has machines again.
    row.shows(POOL, "CapacityLimited=True/AllocationFailed", &["Allocation failed", "tried again at"])
        .shows(BINDING, "Ready=False/AllocationFailed", &["Allocation failed"])
        .limited(
            "Allocation",
            "AllocationFailed",
            "poolkeeper_failures_total kind=\"Allocation\"",
            Next::BackOff(300),
        )
}

/// Faults of Azure that concern one scale set.
pub(crate) fn of_azure() -> Vec<Row> {
    let size = |row: Row| {
        row.shows(POOL, "CapacityLimited=True/SKUUnavailable", &["currently not available in location"])
            .shows(BINDING, "Ready=False/SKUUnavailable", &["currently not available in location"])
            .limited(
                "Allocation",
                "SKUUnavailable",
                "poolkeeper_failures_total kind=\"SkuUnavailable\"",
                Next::BackOff(3_600),
            )
    };
    let subnet = |row: Row| {
        row.shows(POOL, "CapacityLimited=True/SubnetFull", &["enough capacity for", "tried again at"])
            .shows(BINDING, "Ready=False/SubnetFull", &["enough capacity for"])
            .limited(
                "Subnet",
                "SubnetFull",
                "poolkeeper_failures_total kind=\"SubnetFull\"",
                Next::BackOff(600),
            )
    };
    let three = |stage: &str| json!({"azure": "quota", "in": stage, "allows": 3});
    vec![
        // The longest waits first.
        size(shortage("sku-call", "skuNotAvailable", "call")),
        size(shortage("sku-operation", "skuNotAvailable", "operation")),
        // What is asked for goes on by itself, and fills the pool as soon as it may.
        azure("never-ends", "neverEnds")
            .shows(POOL, "CapacityLimited=True/AtMaximum", &["maxAgents"])
            .limited("MaxAgents", "NeverEnded", "poolkeeper_failures_total kind=\"NeverEnded\"", Next::Any),
        subnet(shortage("subnet-call", "subnetFull", "call")),
        subnet(shortage("subnet-operation", "subnetFull", "operation")),
        allocation(shortage("allocation-call", "allocationFailed", "call")),
        allocation(shortage("allocation-operation", "allocationFailed", "operation")),
        allocation(shortage("zone-call", "zonalAllocationFailed", "call")),
        allocation(shortage("zone-operation", "zonalAllocationFailed", "operation")),
        allocation(shortage("constraints-call", "overconstrained", "call")),
        allocation(shortage("constraints-operation", "overconstrained", "operation")),
        quota(shortage("quota-call", "quota", "call")),
        part(quota(shortage("quota-operation", "quota", "operation"))),
        quota(Row::new("quota-3-of-8-call", Place::ScaleSet, three("call"))).wants(EIGHT_JOBS),
        part(quota(Row::new("quota-3-of-8-op", Place::ScaleSet, three("operation")))).wants(EIGHT_JOBS),
        // Back-off: 10 s, doubled up to two minutes.
        azure("conflict", "conflict")
            .shows(POOL, "CapacityLimited=True/BindingsBlocked", &["409 Conflict", "tried again at"])
            .shows(BINDING, "Ready=False/Conflict", &["409 Conflict", "tried again at"])
            .limited("Hold", "Conflict", "poolkeeper_failures_total kind=\"Conflict\"", Next::BackOff(120)),
        azure("preempted", "preempted").lasts(While::Works),
        // The VMs are there, and their agents are waited for as long as they may take to start; then one is tried at a time.
        azure("extension-fails", "extensionFails")
            .shows(POOL, "CapacityLimited=True/FailedStarts", &["in a row have failed", "Enable failed"])
            .shows(BINDING, "ImageUnhealthy=True", &["Enable failed"])
            .limited(
                "FailedStarts",
                "StartFailed",
                "poolkeeper_failures_total kind=\"StartFailed\"",
                Next::BackOff(600),
            ),
        // The binding says so too, as soon as its own read is not kept back by our budget of calls.
        azure("throttle", "throttle").shows(POOL, "Holding=True/SourceMissing", &["HOST", "429"]).held(),
        azure("throttle-subscription", "throttleSubscription")
            .shows(POOL, "Holding=True/SourceMissing", &["HOST", "SubscriptionRequestsThrottled"])
            .held(),
        azure("unavailable", "unavailable")
            .shows(POOL, "Holding=True/SourceMissing", &["HOST", "503"])
            .shows(BINDING, "ScaleSetReachable=False/Unreachable", &["HOST", "503", "tried again"])
            .held(),
        azure("forbidden", "forbidden")
            .shows(
                BINDING,
                "Stalled=True/PermissionDenied",
                &["HOST", "AuthorizationFailed", "Virtual Machine Contributor"],
            )
            .shows(BINDING, "ScaleSetReachable=False/PermissionDenied", &["HOST"])
            .blocked("poolkeeper_cloud_calls_total class=\"forbidden\""),
        azure("not-found", "notFound")
            .shows(BINDING, "Stalled=True/ScaleSetNotFound", &["HOST", "create the scale set"])
            .blocked("poolkeeper_cloud_calls_total class=\"not_found\""),
    ]
}

/// Faults of one organisation.
pub(crate) fn of_azure_devops() -> Vec<Row> {
    let row = |name, kind: &str| Row::new(name, Place::Organization, json!({"azureDevOps": kind}));
    let rejected = |row: Row, says| {
        row.shows(POOL, "Stalled=True/CredentialsRejected", says)
            .shows(POOL, "OrganizationReachable=False/CredentialsRejected", says)
            .shows(POOL, "Holding=True/SourceMissing", &["cannot be read"])
            .held()
    };
    vec![
        rejected(row("sign-in", "signIn"), &["HOST", "sign-in page", "replace it"]),
        rejected(row("unauthorized", "unauthorized"), &["HOST", "401", "replace it"]),
        rejected(row("sign-in-redirect", "redirect"), &["HOST", "replace it"]),
        row("devops-forbidden", "forbidden")
            .shows(POOL, "Stalled=True/PermissionDenied", &["HOST", "403", "Agent Pools (read and manage)"])
            .shows(POOL, "Holding=True/SourceMissing", &["cannot be read"])
            .held(),
        row("devops-throttle", "throttle")
            .shows(POOL, "OrganizationReachable=False/Throttled", &["HOST", "429", "asks for fewer calls"])
            .shows(POOL, "Holding=True/SourceMissing", &["Throttled"])
            .held(),
        row("devops-unavailable", "unavailable")
            .shows(POOL, "OrganizationReachable=False/Unreachable", &["HOST", "503", "tried again"])
            .shows(POOL, "Holding=True/SourceMissing", &["Unreachable"])
            .held(),
        row("devops-delayed", "delayed").lasts(While::Slows),
    ]
}

/// What can happen to an answer on its way, and what is made of it: no whole answer, or another one. A page, or the way
/// to one, is how Azure DevOps itself says that a token is no good.
const WIRE: [(&str, [&str; 2], [&str; 2]); 7] = [
    ("html", ["azure-html", "devops-html"], [ANOTHER[0], SIGN_IN]),
    ("redirect", ["azure-redirect", "devops-redirect"], [ANOTHER[0], SIGN_IN]),
    ("truncated", ["azure-truncated", "devops-truncated"], NONE),
    ("huge", ["azure-huge", "devops-huge"], ANOTHER),
    ("wrongType", ["azure-wrong-type", "devops-wrong-type"], ANOTHER),
    ("empty", ["azure-empty", "devops-empty"], ANOTHER),
    ("closed", ["azure-closed", "devops-closed"], NONE),
];
const ANOTHER: [&str; 2] =
    ["ScaleSetReachable=False/UnexpectedAnswer", "OrganizationReachable=False/UnexpectedAnswer"];
const NONE: [&str; 2] = ["ScaleSetReachable=False/Unreachable", "OrganizationReachable=False/Unreachable"];
const SIGN_IN: &str = "OrganizationReachable=False/CredentialsRejected";

/// Answers that do not arrive as they were sent, of one scale set or one organisation.
pub(crate) fn of_the_wire() -> Vec<Row> {
    let of_azure = |name, kind| Row::new(name, Place::ScaleSet, json!({"wire": kind, "service": "azure"}));
    let of_devops =
        |name, kind| Row::new(name, Place::Organization, json!({"wire": kind, "service": "azureDevOps"}));
    let mut rows = Vec::new();
    for (kind, [azure, devops], [reachable, organization]) in WIRE {
        // To read so much over and over leaves others too little of two cores.
        let lasts = if kind == "huge" { While::Held } else { While::Watched(LONG) };
        let mend: &[&str] =
            if organization == SIGN_IN { &["HOST", "sign-in page"] } else { &["HOST", "tried again"] };
        let of_set = of_azure(azure, kind).shows(POOL, "Holding=True/SourceMissing", &["HOST"]).shows(
            BINDING,
            reachable,
            &["HOST", "tried again"],
        );
        let of_organization = of_devops(devops, kind).shows(POOL, organization, mend).shows(
            POOL,
            "Holding=True/SourceMissing",
            &["cannot be read"],
        );
        rows.extend([of_set, of_organization].map(|row| row.held().lasts(lasts)));
    }
    rows.extend([
        of_azure("azure-unknown", "unknownEnums")
            .shows(BINDING, "Stalled=True/UnsupportedSystem", &["unheardOf", "bind a scale set"])
            .blocked("poolkeeper_holds_total reason=\"ClaimLost\"")
            .lasts(While::Watched(LONG)),
        of_devops("devops-unknown", "unknownEnums")
            .shows(POOL, "Holding=True/SourceMissing", &["cannot be read"])
            .held()
            .lasts(While::Watched(LONG)),
        of_azure("azure-skew", "skew").lasts(While::Works),
        of_devops("devops-skew", "skew").lasts(While::Works),
    ]);
    rows
}

/// Faults of Entra: every token that is out is revoked as well, so that they show at once.
pub(crate) fn of_entra() -> Vec<Row> {
    let row = |name, kind: &str| Row::new(name, Place::Everywhere, json!({"entra": kind}));
    vec![
        Row { fault: None, ..row("entra-revoked", "") }.lasts(While::Works),
        row("entra-reject", "reject")
            .shows(BINDING, "Stalled=True/CredentialsRejected", &["AADSTS7000112"])
            .blocked("poolkeeper_cloud_calls_total class=\"unauthenticated\""),
        row("entra-unavailable", "unavailable")
            .shows(
                BINDING,
                "ScaleSetReachable=False/Unreachable",
                &["Microsoft Entra", "127.0.0.1 answered 503"],
            )
            .shows(POOL, "Holding=True/SourceMissing", &["127.0.0.1 answered 503"])
            .held(),
    ]
}
