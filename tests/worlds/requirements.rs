//! Scale sets that poolkeeper must not write to as they are: each names the command that mends it, and each is mended by
//! binding another one.

use serde_json::{Value, json};

use crate::{
    cases::{Case, Mend},
    world::{BLIND_CLIENT, BLIND_CLIENT_SECRET, SUBSCRIPTION, binding, pool, secret, set_id},
};

/// A requirement that is not met: the case, the part of the world file that a scale set `<name>-too` has for it, and what
/// is said.
struct Unmet {
    name: &'static str,
    set: fn() -> Value,
    pool: fn() -> Value,
    reason: &'static str,
    says: &'static [&'static str],
    /// `scalesetbinding/<name>`
    object: &'static [&'static str],
}

const ROWS: [Unmet; 7] = [
    Unmet {
        name: "autoscaled",
        set: || json!({"autoscale": true}),
        pool: || json!({}),
        reason: "RequirementsUnmet",
        says: &["AutoscaleOff: az monitor autoscale delete -g agents -n "],
        object: &["scalesetbinding/autoscaled"],
    },
    Unmet {
        name: "rolling",
        set: || json!({"model": {"upgradePolicy": "Rolling"}}),
        pool: || json!({}),
        reason: "RequirementsUnmet",
        says: &[
            "UpgradePolicyManual: az vmss update -g agents -n rolling-too --set upgradePolicy.mode=Manual",
        ],
        object: &["scalesetbinding/rolling"],
    },
    Unmet {
        name: "protected",
        set: || json!({"capacity": 1, "protected": 1, "agents": null}),
        pool: || json!({}),
        reason: "RequirementsUnmet",
        says: &[
            "NoInstanceProtection: az vmss update -g agents -n protected-too --instance-id 0",
            "--protect-from-scale-in false",
        ],
        object: &["scalesetbinding/protected"],
    },
    Unmet {
        name: "one-group",
        set: || json!({"model": {"singlePlacementGroup": true}}),
        pool: || json!({"maxAgents": 101}),
        reason: "RequirementsUnmet",
        says: &[
            "SinglePlacementGroupOff: az vmss update -g agents -n one-group-too --set singlePlacementGroup=false",
        ],
        object: &["scalesetbinding/one-group"],
    },
    Unmet {
        name: "overprovisioned",
        set: || json!({"model": {"overprovision": true}}),
        pool: || json!({}),
        reason: "RequirementsUnmet",
        says: &[
            "OverprovisionOff: az vmss update -g agents -n overprovisioned-too --set overprovision=false",
        ],
        object: &["scalesetbinding/overprovisioned"],
    },
    Unmet {
        name: "flexible-overprovisioned",
        set: || json!({"orchestration": "Flexible", "model": {"overprovision": true, "ephemeralOSDisk": true}}),
        pool: || json!({}),
        reason: "RequirementsUnmet",
        says: &["OverprovisionOff: az vmss update -g agents -n flexible-overprovisioned-too"],
        object: &["scalesetbinding/flexible-overprovisioned"],
    },
    Unmet {
        name: "durable",
        set: || json!({"orchestration": "Flexible"}),
        pool: || json!({}),
        reason: "ReimageNeedsEphemeralDisk",
        says: &["set lifecycle.stateless.recycle of the pool to Replace"],
        object: &["scalesetbinding/durable"],
    },
];

/// All of them, and one of which it cannot be known: unknown is not met.
pub(crate) fn cases(url: &str) -> Vec<Case> {
    let name = "autoscale-unknown";
    let blind = json!({"credentials": {"clientID": BLIND_CLIENT, "secretRef": {"name": name}}});
    let unknown = Case {
        name,
        kind: "ScaleSetBinding",
        reason: "PermissionDenied",
        says: &["whether an autoscale setting sizes the scale set must be known", "Monitoring Reader"],
        wrong: vec![
            pool(url, name, &json!({})),
            binding(name, &blind),
            secret(name, "clientSecret", BLIND_CLIENT_SECRET),
        ],
        mend: Mend { apply: vec![binding(name, &json!({}))], ..Mend::default() },
    };
    let unmet = unmet(url);
    unmet.chain([unknown]).collect()
}

fn unmet(url: &str) -> impl Iterator<Item = Case> {
    ROWS.iter().map(|row| {
        let other = json!({"scaleSet": {"resourceID": set_id(SUBSCRIPTION, &format!("{}-too", row.name))}});
        Case {
            name: row.name,
            kind: "ScaleSetBinding",
            reason: row.reason,
            says: row.says,
            wrong: vec![pool(url, row.name, &(row.pool)()), binding(row.name, &other)],
            mend: Mend { delete: row.object, release: false, apply: vec![binding(row.name, &json!({}))] },
        }
    })
}

/// Their scale sets, as changes to one without a mistake: name, case, change.
pub(crate) fn scale_sets() -> impl Iterator<Item = (String, &'static str, Value)> {
    ROWS.iter().map(|row| (format!("{}-too", row.name), row.name, (row.set)()))
}
