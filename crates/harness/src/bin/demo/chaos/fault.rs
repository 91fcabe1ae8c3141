//! Everything that is thrown, as the simulator's control API takes it.

use jiff::SignedDuration;
use poolkeeper_harness::control::ScaleSetTruth;
use serde_json::{Value, json};

/// Wall seconds of an answer that comes late: long at this speed, and shorter than the operator's own patience.
const LATE: u32 = 2;

/// One kind of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// Azure, of one scale set.
    Azure(&'static str),
    /// Azure DevOps, of the organisation.
    AzureDevOps(&'static str),
    Entra(&'static str),
    /// Azure's answers about one scale set are spoilt on their way.
    WireOfAzure(&'static str),
    /// Answers of Azure DevOps are spoilt on their way.
    WireOfAzureDevOps(&'static str),
    /// Every token of Entra that is out is refused from now on.
    Revoked,
    /// VMs that are created or reimaged meanwhile do not become agents.
    Image(&'static str),
    /// Azure takes a spot VM away.
    Eviction(&'static str),
    Reboot,
    Person(Person),
    /// The operator is killed, and started again.
    Kill,
}

/// What somebody does by hand, past poolkeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Person {
    Deallocates,
    Deletes,
    Grows,
    Disables,
    BringsAgent,
}

const AZURE: [&str; 15] = [
    "throttle",
    "throttleSubscription",
    "conflict",
    "quota",
    "allocationFailed",
    "zonalAllocationFailed",
    "overconstrained",
    "skuNotAvailable",
    "subnetFull",
    "preempted",
    "neverEnds",
    "extensionFails",
    "forbidden",
    "unavailable",
    "notFound",
];
const AZURE_DEV_OPS: [&str; 8] =
    ["signIn", "throttle", "unavailable", "forbidden", "unauthorized", "redirect", "delayed", "slow"];
const ENTRA: [&str; 4] = ["reject", "throttle", "unavailable", "slow"];
const WIRE: [&str; 10] =
    ["html", "redirect", "closed", "empty", "truncated", "huge", "wrongType", "unknownEnums", "skew", "slow"];
const IMAGE: [&str; 4] = ["extension", "script", "silent", "creation"];
const EVICTION: [&str; 2] = ["Deallocate", "Delete"];

/// How to throw something: a call of the control API, and the one that ends it unless it ends by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) path: &'static str,
    pub(crate) body: Value,
    pub(crate) end: Option<Value>,
}

impl Fault {
    /// Each kind once, those that take machines away more often; all but [`Self::Kill`].
    pub(crate) fn deck() -> Vec<Self> {
        let mut deck: Vec<Self> = Vec::new();
        deck.extend(AZURE.map(Self::Azure));
        deck.extend(AZURE_DEV_OPS.map(Self::AzureDevOps));
        deck.extend(ENTRA.map(Self::Entra));
        deck.extend(WIRE.map(Self::WireOfAzure));
        deck.extend(WIRE.map(Self::WireOfAzureDevOps));
        deck.extend(IMAGE.map(Self::Image));
        deck.push(Self::Revoked);
        let people =
            [Person::Deallocates, Person::Deletes, Person::Grows, Person::Disables, Person::BringsAgent];
        for _ in 0..2 {
            deck.extend(EVICTION.map(Self::Eviction));
            deck.push(Self::Reboot);
            deck.extend(people.map(Self::Person));
        }
        deck
    }

    /// Who is at fault.
    pub(crate) fn group(self) -> &'static str {
        match self {
            Self::Azure(_) => "Azure",
            Self::AzureDevOps(_) => "Azure DevOps",
            Self::Entra(_) | Self::Revoked => "Entra",
            Self::WireOfAzure(_) | Self::WireOfAzureDevOps(_) => "on the wire",
            Self::Image(_) => "images",
            Self::Eviction(_) | Self::Reboot => "machines",
            Self::Person(_) => "people",
            Self::Kill => "operator",
        }
    }

    /// Its name in the sums.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Azure(kind) | Self::AzureDevOps(kind) | Self::Entra(kind) => kind.to_owned(),
            Self::WireOfAzure(kind) | Self::WireOfAzureDevOps(kind) => kind.to_owned(),
            Self::Revoked => "tokens revoked".to_owned(),
            Self::Image(kind) => format!("start fails ({kind})"),
            Self::Eviction(policy) => format!("evicted ({policy})"),
            Self::Reboot => "rebooted".to_owned(),
            Self::Person(person) => person.does().to_owned(),
            Self::Kill => "killed".to_owned(),
        }
    }

    /// Whether it concerns one pool only.
    pub(crate) fn is_of_one_pool(self) -> bool {
        match self {
            Self::Azure(_)
            | Self::WireOfAzure(_)
            | Self::Image(_)
            | Self::Eviction(_)
            | Self::Reboot
            | Self::Person(_) => true,
            Self::AzureDevOps(_)
            | Self::Entra(_)
            | Self::WireOfAzureDevOps(_)
            | Self::Revoked
            | Self::Kill => false,
        }
    }

    /// Whether it lasts, or is over at once.
    pub(crate) fn lasts(self) -> bool {
        match self {
            Self::Azure(_)
            | Self::AzureDevOps(_)
            | Self::Entra(_)
            | Self::WireOfAzure(_)
            | Self::WireOfAzureDevOps(_)
            | Self::Image(_) => true,
            Self::Revoked | Self::Eviction(_) | Self::Reboot | Self::Person(_) | Self::Kill => false,
        }
    }

    /// What to call for it; none where there is nothing that it could befall. `pick` chooses among the machines.
    pub(crate) fn call(
        self,
        set: &ScaleSetTruth,
        pool: &str,
        most: usize,
        pick: usize,
        lasts: SignedDuration,
    ) -> Option<Call> {
        let name = &set.name;
        let lasts = format!("{}s", lasts.as_secs());
        let once = |path, body| Some(Call { path, body, end: None });
        let fault = |body: Value| once("faults", body);
        let victim = || set.instances.get(pick.checked_rem(set.instances.len())?);
        let by_hand = |deed: &str| {
            let instance = &victim()?.instance_id;
            once("manual", json!({"scaleSet": name, "do": deed, "instance": instance}))
        };
        match self {
            Self::Azure(kind) => fault(json!({"scaleSet": name, "azure": kind, "for": lasts})),
            Self::AzureDevOps("slow") => fault(json!({"azureDevOps": "slow", "seconds": LATE, "for": lasts})),
            Self::AzureDevOps(kind) => fault(json!({"azureDevOps": kind, "for": lasts})),
            Self::Entra("slow") => fault(json!({"entra": "slow", "seconds": LATE, "for": lasts})),
            Self::Entra(kind) => fault(json!({"entra": kind, "for": lasts})),
            Self::WireOfAzure(kind) => fault(
                json!({"wire": kind, "service": "azure", "scaleSet": name, "seconds": LATE, "for": lasts}),
            ),
            Self::WireOfAzureDevOps(kind) => {
                fault(json!({"wire": kind, "service": "azureDevOps", "seconds": LATE, "for": lasts}))
            }
            Self::Revoked => once("tokens", json!({"revoke": true})),
            Self::Image(kind) => Some(Call {
                path: "image",
                body: json!({"scaleSet": name, "startFails": kind, "of": "every"}),
                end: Some(json!({"scaleSet": name, "startFails": null})),
            }),
            Self::Eviction(policy) => {
                let instance = &victim()?.instance_id;
                once("evict", json!({"scaleSet": name, "instance": instance, "policy": policy}))
            }
            Self::Reboot => once("reboot", json!({"scaleSet": name, "instance": victim()?.instance_id})),
            Self::Person(Person::Deallocates) => by_hand("deallocate"),
            Self::Person(Person::Deletes) => by_hand("delete"),
            // Beyond the maximum it would be that person who is above it.
            Self::Person(Person::Grows) => {
                let more = set.capacity + 1;
                let has_room = set.vms() < most && usize::try_from(more).is_ok_and(|more| more <= most);
                let body = json!({"scaleSet": name, "do": "capacity", "capacity": more});
                has_room.then(|| once("manual", body)).flatten()
            }
            Self::Person(Person::Disables) => {
                let agent = &victim()?.computer_name;
                once("agents", json!({"pool": pool, "name": agent, "enabled": false}))
            }
            Self::Person(Person::BringsAgent) => {
                let agent = format!("{FOREIGN}{}", pick % 100_000);
                // It runs elsewhere, and is off: no job of ours gets lost to it.
                once("agents", json!({"pool": pool, "name": agent, "runs": false}))
            }
            Self::Kill => None,
        }
    }
}

/// What the names of agents begin with that somebody else brings.
pub(crate) const FOREIGN: &str = "own-agent-";

impl Person {
    fn does(self) -> &'static str {
        match self {
            Self::Deallocates => "VM deallocated by hand",
            Self::Deletes => "VM deleted by hand",
            Self::Grows => "capacity raised by hand",
            Self::Disables => "agent disabled by hand",
            Self::BringsAgent => "foreign agent in the pool",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(vms: usize) -> ScaleSetTruth {
        let instances: Vec<Value> = (0..vms)
            .map(|id| json!({"instanceID": id.to_string(), "computerName": format!("vm{id}")}))
            .collect();
        let set = json!({"name": "s", "capacity": vms, "tags": {}, "instances": instances});
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn every_fault_has_its_call_and_the_operator_is_not_dealt() {
        let lasts = SignedDuration::from_mins(2);
        for fault in Fault::deck() {
            assert_ne!(fault, Fault::Kill);
            let call = fault.call(&set(2), "pool", 4, 7, lasts).unwrap();
            let ends = call.body.get("for").is_some() || call.end.is_some();
            assert_eq!(ends, fault.lasts(), "{fault:?}: {call:?}");
        }
    }

    #[test]
    fn nobody_deletes_a_vm_that_is_not_there_or_grows_beyond_the_maximum() {
        let lasts = SignedDuration::ZERO;
        let throw = |fault: Fault, vms| fault.call(&set(vms), "pool", 4, 7, lasts);
        assert_eq!(throw(Fault::Person(Person::Deletes), 0), None);
        assert_eq!(throw(Fault::Reboot, 0), None);
        assert_eq!(throw(Fault::Person(Person::Grows), 4), None);
        assert_eq!(throw(Fault::Person(Person::Grows), 3).unwrap().body["capacity"], 4);
        assert_eq!(throw(Fault::Reboot, 3).unwrap().body["instance"], "1");
    }
}
