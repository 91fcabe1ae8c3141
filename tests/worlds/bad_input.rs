//! What people get wrong, one row each: the manifests with the mistake, what is said about it, and what mends it.
//!
//! A case has everything to itself under its own name: AgentPool, binding, scale set, pool in Azure DevOps.

use serde_json::{Value, json};

use crate::{
    support::merge,
    world::{
        CLIENT_SECRET, NARROW_TOKEN, OTHER_CLIENT, OTHER_CLIENT_SECRET, SUBSCRIPTION, TOKEN,
        WRONG_CLIENT_SECRET, WRONG_TOKEN, binding, pool, schedule, secret, secret_ref, set_id,
    },
};

/// One mistake.
pub(crate) struct Case {
    /// Of its AgentPool, binding, scale set, and pool in Azure DevOps.
    pub(crate) name: &'static str,
    /// The kind of the object of this name that is `Stalled`.
    pub(crate) kind: &'static str,
    /// Why.
    pub(crate) reason: &'static str,
    /// What the message says, the mend above all.
    pub(crate) says: &'static [&'static str],
    /// The manifests with the mistake.
    pub(crate) wrong: Vec<Value>,
    /// What mends it.
    pub(crate) mend: Mend,
}

/// What a person does about a mistake.
#[derive(Default)]
pub(crate) struct Mend {
    /// Objects to delete first, as `kind/name`: some fields cannot be changed.
    pub(crate) delete: &'static [&'static str],
    /// The foreign claim is taken off the scale set.
    pub(crate) release: bool,
    /// Manifests to apply.
    pub(crate) apply: Vec<Value>,
}

fn apply(manifests: Vec<Value>) -> Mend {
    Mend { apply: manifests, ..Mend::default() }
}

fn delete(objects: &'static [&'static str], manifests: Vec<Value>) -> Mend {
    Mend { delete: objects, release: false, apply: manifests }
}

/// Where a case's manifests come from: pool, binding, and changes to their specs.
fn both(url: &str, name: &'static str, of_pool: &Value, of_binding: &Value) -> Vec<Value> {
    vec![pool(url, name, of_pool), binding(name, of_binding)]
}

/// All cases of pools: `elsewhere` is the address of an organisation at a host that is not listed.
pub(crate) fn of_pools(url: &str, elsewhere: &str) -> Vec<Case> {
    let none = json!({});
    let all_week = |agents: u32| json!({"type": "AllWeek", "allWeek": {"agents": agents}});
    let wrong = |name, change: Value| both(url, name, &change, &none);
    // The pool may be deleted although Azure DevOps cannot say that it is empty.
    let orphan = |mut change: Value| {
        change["deletionPolicy"] = json!("Orphan");
        change
    };
    // A placeholder would be no mistake, but a write.
    let follows = |name| {
        let schedule = json!({"name": name});
        json!({"standby": {"agents": 0, "scheduleRef": schedule}, "routing": {"placeholderAgents": "Never"}})
    };
    let case = |name, reason, says, wrong, mend| Case { name, kind: "AgentPool", reason, says, wrong, mend };
    vec![
        case(
            "secret-missing",
            "SecretNotFound",
            &["Secret secret-missing", "create it with key token"],
            wrong("secret-missing", secret_ref("secret-missing")),
            apply(vec![secret("secret-missing", "token", TOKEN)]),
        ),
        case(
            "key-missing",
            "SecretNotFound",
            &["Secret key-missing has no key token", "add it"],
            [wrong("key-missing", secret_ref("key-missing")), vec![secret("key-missing", "pat", TOKEN)]].concat(),
            apply(vec![secret("key-missing", "token", TOKEN)]),
        ),
        case(
            "token-wrong",
            "CredentialsRejected",
            &["sign-in page", "the token in Secret token-wrong, key token, is wrong or expired; replace it"],
            [wrong("token-wrong", secret_ref("token-wrong")), vec![secret("token-wrong", "token", WRONG_TOKEN)]]
                .concat(),
            apply(vec![secret("token-wrong", "token", TOKEN)]),
        ),
        // Its agent stands by already, and is wanted no more; nobody may touch it now.
        case(
            "token-expired",
            "CredentialsRejected",
            &["sign-in page", "the token in Secret token-expired, key token, is wrong or expired; replace it"],
            vec![secret("token-expired", "token", WRONG_TOKEN), pool(url, "token-expired", &{
                let mut change = secret_ref("token-expired");
                merge(&mut change, &json!({"standby": {"agents": 0}, "scaleIn": {"idleDelay": "0s"}}));
                change
            })],
            apply(vec![secret("token-expired", "token", TOKEN), pool(url, "token-expired", &secret_ref("token-expired"))]),
        ),
        case(
            "forbidden-pool",
            // Azure DevOps lists only what a token may see.
            "PoolNotFound",
            &["no agent pool forbidden-pool that this credential may see"],
            [
                wrong("forbidden-pool", secret_ref("forbidden-pool")),
                vec![secret("forbidden-pool", "token", NARROW_TOKEN)],
            ]
            .concat(),
            apply(vec![secret("forbidden-pool", "token", TOKEN)]),
        ),
        case(
            "unknown-pool",
            "PoolNotFound",
            &["no agent pool no-such-pool", "mend poolName"],
            wrong("unknown-pool", orphan(json!({"poolName": "no-such-pool"}))),
            delete(&["agentpool/unknown-pool"], vec![pool(url, "unknown-pool", &none)]),
        ),
        case(
            "elastic-pool",
            "PoolManagedElsewhere",
            &["sized-by-azure-devops", "use another pool"],
            wrong("elastic-pool", orphan(json!({"poolName": "sized-by-azure-devops"}))),
            delete(&["agentpool/elastic-pool"], vec![pool(url, "elastic-pool", &none)]),
        ),
        case(
            "host-not-allowed",
            "HostNotAllowed",
            &["may not get a token", "azureDevOps.hosts"],
            wrong("host-not-allowed", orphan(json!({"organization": {"url": elsewhere}}))),
            delete(&["agentpool/host-not-allowed"], vec![pool(url, "host-not-allowed", &none)]),
        ),
        case(
            "own-identity",
            "IdentityNotAllowed",
            &["the operator's own identity", "ownIdentity", "secretRef"],
            wrong("own-identity", json!({"organization": {"credentials": null}})),
            apply(vec![pool(url, "own-identity", &none)]),
        ),
        case(
            "duplicate",
            "DuplicatePool",
            &["AgentPool ci/first-of-two already runs pool duplicate", "delete one of the two"],
            wrong("duplicate", json!({})),
            delete(&["agentpool/first-of-two"], vec![]),
        ),
        case(
            "schedule-missing",
            "ScheduleNotFound",
            &["StandbySchedule schedule-missing does not exist", "create it"],
            wrong("schedule-missing", follows("schedule-missing")),
            apply(vec![schedule("schedule-missing", &all_week(1))]),
        ),
        case(
            "schedule-overlaps",
            "ScheduleInvalid",
            &["StandbySchedule schedule-overlaps", "overlap", "shorten"],
            [
                wrong("schedule-overlaps", follows("schedule-overlaps")),
                vec![schedule(
                    "schedule-overlaps",
                    &json!({"type": "Periods", "periods": [
                        {"name": "early", "startDay": "Monday", "start": "08:00", "end": "12:00", "agents": 1},
                        {"name": "tokyo", "startDay": "Monday", "start": "18:00", "end": "20:00", "agents": 1, "timeZone": "Asia/Tokyo"},
                    ]}),
                )],
            ]
            .concat(),
            apply(vec![schedule("schedule-overlaps", &all_week(1))]),
        ),
        case(
            "schedule-too-high",
            "ScheduleAboveMaximum",
            &["asks for 5 agents, and maxAgents is 2", "raise maxAgents"],
            [
                wrong("schedule-too-high", follows("schedule-too-high")),
                vec![schedule("schedule-too-high", &all_week(5))],
            ]
            .concat(),
            apply(vec![schedule("schedule-too-high", &all_week(1))]),
        ),
    ]
}

/// All cases of bindings.
pub(crate) fn of_bindings(url: &str) -> Vec<Case> {
    let none = json!({});
    let secret_ref = |name| json!({"credentials": {"secretRef": {"name": name}}});
    let wrong = |name, change: Value| both(url, name, &none, &change);
    let case =
        |name, reason, says, wrong, mend| Case { name, kind: "ScaleSetBinding", reason, says, wrong, mend };
    vec![
        case(
            "azure-secret-missing",
            "SecretNotFound",
            &["Secret azure-secret-missing", "create it with key clientSecret"],
            wrong("azure-secret-missing", secret_ref("azure-secret-missing")),
            apply(vec![secret("azure-secret-missing", "clientSecret", CLIENT_SECRET)]),
        ),
        case(
            "azure-secret-wrong",
            "CredentialsRejected",
            &["AADSTS7000215", "secret"],
            [
                wrong("azure-secret-wrong", secret_ref("azure-secret-wrong")),
                vec![secret("azure-secret-wrong", "clientSecret", WRONG_CLIENT_SECRET)],
            ]
            .concat(),
            apply(vec![secret("azure-secret-wrong", "clientSecret", CLIENT_SECRET)]),
        ),
        case(
            "unknown-set",
            "ScaleSetNotFound",
            &["no-such-set", "create the scale set, or delete this binding"],
            wrong("unknown-set", json!({"scaleSet": {"resourceID": set_id(SUBSCRIPTION, "no-such-set")}})),
            delete(&["scalesetbinding/unknown-set"], vec![binding("unknown-set", &none)]),
        ),
        case(
            "forbidden-set",
            "PermissionDenied",
            &["AuthorizationFailed", "Virtual Machine Contributor"],
            wrong("forbidden-set", json!({})),
            apply(vec![
                secret("other", "clientSecret", OTHER_CLIENT_SECRET),
                binding(
                    "forbidden-set",
                    &json!({"credentials": {"clientID": OTHER_CLIENT, "secretRef": {"name": "other"}}}),
                ),
            ]),
        ),
        case(
            "own-identity-of-set",
            "IdentityNotAllowed",
            &["the operator's own identity", "ownIdentity", "secretRef"],
            wrong("own-identity-of-set", json!({"credentials": null})),
            apply(vec![binding("own-identity-of-set", &none)]),
        ),
        case(
            "pool-missing",
            "PoolNotFound",
            &["AgentPool pool-missing does not exist in this namespace", "create it, or mend poolRef"],
            vec![binding("pool-missing", &none)],
            apply(vec![pool(url, "pool-missing", &none)]),
        ),
        case(
            "image-unknown",
            "ImageNotFound",
            &["AgentPool image-unknown lists no image windows", "mend imageName"],
            both(
                url,
                "image-unknown",
                &json!({"images": [{"name": "ubuntu"}]}),
                &json!({"imageName": "windows"}),
            ),
            apply(vec![binding("image-unknown", &json!({"imageName": "ubuntu"}))]),
        ),
        case(
            "bound-twice",
            "ScaleSetInUse",
            &["ScaleSetBinding ci/first-of-set already binds this scale set", "delete one of the two"],
            wrong("bound-twice", json!({})),
            delete(&["scalesetbinding/first-of-set"], vec![]),
        ),
        case(
            "foreign-claim",
            "ScaleSetInUse",
            &[
                "This virtual machine scale set is already in use by pool linux-old: delete that pool; its claim, last \
               renewed",
                "or name it in takeOverFrom",
            ],
            wrong("foreign-claim", json!({})),
            Mend { release: true, ..Mend::default() },
        ),
        case(
            "managed",
            "BootstrapFailed",
            &["this version does not install the agent extension yet", "agentBootstrap.type to External"],
            wrong("managed", json!({"agentBootstrap": null})),
            apply(vec![binding("managed", &none)]),
        ),
        case(
            "other-system",
            "OperatingSystemMismatch",
            &["the scale set runs Linux", "set operatingSystem"],
            wrong("other-system", json!({"operatingSystem": "Windows"})),
            apply(vec![binding("other-system", &json!({"operatingSystem": "Linux"}))]),
        ),
    ]
}

/// Objects of an older version, which this one cannot read; their kinds let them in only while they are loosened.
pub(crate) fn of_an_older_version(url: &str) -> Vec<Case> {
    let recycle = json!({"lifecycle": {"stateless": {"recycle": "Redeploy"}}});
    vec![
        Case {
            name: "old-pool",
            kind: "AgentPool",
            reason: "InvalidSpec",
            says: &["spec.lifecycle.stateless.recycle", "Redeploy", "change the field"],
            wrong: both(url, "old-pool", &recycle, &json!({})),
            mend: apply(vec![pool(
                url,
                "old-pool",
                &json!({"lifecycle": {"stateless": {"recycle": "Reimage"}}}),
            )]),
        },
        Case {
            name: "old-binding",
            kind: "ScaleSetBinding",
            reason: "InvalidSpec",
            says: &["spec.priority", "high", "change the field"],
            wrong: both(url, "old-binding", &json!({}), &json!({"priority": "high"})),
            mend: apply(vec![binding("old-binding", &json!({"priority": 10}))]),
        },
    ]
}
