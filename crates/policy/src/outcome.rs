//! What became of an action, and how the memory takes it up.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::{
    failure::{Backoff, Failure, FailureKind},
    memory::{Memory, Operation, OperationKind},
    pool::BindingName,
    snapshot::VmId,
};

/// What became of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Done, nothing more to wait for.
    Done,
    /// Accepted; Azure reports at the URL.
    InFlight {
        /// Id of the operation in [`Memory`].
        operation: String,
        /// Where to poll.
        url: Option<String>,
        /// The members that it really covers; the others' preconditions did not hold.
        covered: Vec<VmId>,
    },
    /// A removal of a Flexible scale set, accepted as one operation per VM: each is remembered by itself, as
    /// `<operation>/<vm id>`. A VM that is named nowhere had a precondition that did not hold.
    Split {
        /// Id of the operation in [`Memory`].
        operation: String,
        /// The VMs whose operations Azure has accepted.
        parts: Vec<Part>,
        /// Those that failed: they stay in the intent and are taken up again later.
        failure: Option<(Vec<VmId>, Failure)>,
    },
    /// A precondition did not hold: looked at anew next time.
    Refused {
        /// Id of the operation in [`Memory`].
        operation: Option<String>,
    },
    /// The call failed.
    Failed {
        /// Id of the operation in [`Memory`].
        operation: Option<String>,
        /// The scale set.
        binding: BindingName,
        /// What failed.
        failure: Failure,
    },
}

/// One VM's own operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The VM.
    pub vm: VmId,
    /// Where to poll; absent if Azure did not say.
    pub url: Option<String>,
}

impl Memory {
    /// Takes up what became of an action.
    pub fn record(&mut self, outcome: Outcome, now: Timestamp) {
        match outcome {
            Outcome::Done => {}
            Outcome::InFlight { operation, url, covered } => {
                if let Some(found) = self.operations.iter_mut().find(|other| other.id == operation) {
                    let covered: BTreeSet<VmId> = covered.into_iter().collect();
                    found.url = url;
                    found.kind.retain(|vm| covered.contains(vm));
                }
            }
            Outcome::Split { operation, parts, failure } => self.split(&operation, parts, failure, now),
            Outcome::Refused { operation } => self.forget(operation.as_deref()),
            Outcome::Failed { operation, binding, failure } => {
                let id = operation.as_deref();
                let failed = self.operations.iter().find(|other| Some(other.id.as_str()) == id);
                let creates = failed.is_some_and(|other| matches!(other.kind, OperationKind::Create { .. }));
                // A failed removal may have deleted agent records: its intent stays, and is taken up again.
                if creates {
                    self.forget(id);
                }
                self.back_off(binding, creates, failure, now);
            }
        }
    }

    /// One intent becomes one operation per VM.
    fn split(&mut self, id: &str, parts: Vec<Part>, failure: Option<(Vec<VmId>, Failure)>, now: Timestamp) {
        let Some(index) = self.operations.iter().position(|other| other.id == id) else { return };
        let mut intent = self.operations.remove(index);
        let mut taken = BTreeSet::new();
        for Part { vm, url } in parts {
            if !intent.kind.covers(&vm) || !taken.insert(vm.clone()) {
                continue;
            }
            self.operations.push(Operation {
                id: format!("{id}/{vm}"),
                kind: intent.kind.only(&vm),
                url: Some(url.unwrap_or_default()),
                ..intent.clone()
            });
        }
        let Some((vms, failure)) = failure else { return };
        let failed: BTreeSet<VmId> = vms.into_iter().filter(|vm| !taken.contains(vm)).collect();
        intent.kind.retain(|vm| failed.contains(vm));
        let vms: Vec<VmId> = intent.kind.vms().to_vec();
        if !vms.is_empty() {
            self.back_off_vms(intent.binding.clone(), vms, failure, now);
            self.operations.push(intent);
        }
    }

    /// A refused operation is none, and its step no step.
    fn forget(&mut self, operation: Option<&str>) {
        let Some(id) = operation else { return };
        let gone = self.operations.extract_if(.., |other| other.id == id);
        let starts: Vec<Timestamp> = gone.map(|other| other.started_at).collect();
        self.step.take_if(|step| starts.contains(&step.started_at));
    }

    /// Growth and removal wait apart: a failing reimage delays no growth, and a used-up quota no deletion.
    pub(crate) fn back_off(&mut self, binding: BindingName, creates: bool, failure: Failure, now: Timestamp) {
        let backoffs = if creates { &mut self.backoffs } else { &mut self.removal_backoffs };
        put(backoffs, binding, failure, now);
    }

    /// Where each VM has operations of its own, one that fails delays no other; what the service says to everybody
    /// holds for all.
    pub(crate) fn back_off_vms(
        &mut self,
        binding: BindingName,
        vms: Vec<VmId>,
        failure: Failure,
        now: Timestamp,
    ) {
        match failure.kind {
            FailureKind::Throttled | FailureKind::Refused | FailureKind::Unreachable => {
                self.back_off(binding, false, failure, now);
            }
            FailureKind::Quota { .. }
            | FailureKind::Allocation
            | FailureKind::SkuUnavailable
            | FailureKind::SubnetFull
            | FailureKind::Conflict
            | FailureKind::Preempted
            | FailureKind::Invalid
            | FailureKind::StartFailed
            | FailureKind::NeverEnded => {
                for vm in vms {
                    put(&mut self.vm_backoffs, vm, failure.clone(), now);
                }
            }
        }
    }
}

fn put<K: Ord>(backoffs: &mut BTreeMap<K, Backoff>, key: K, failure: Failure, now: Timestamp) {
    let kind = failure.kind;
    let before = backoffs.get(&key);
    let backoff = Backoff::new(before, failure, now);
    // What is no failure neither shortens nor ends a wait that holds already.
    let holds = before.is_some_and(|before| before.until > backoff.until);
    if backoff.until > now && (kind.counts() || !holds) {
        backoffs.insert(key, backoff);
    }
}
