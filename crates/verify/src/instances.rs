//! Facts of Azure that take VMs: growth, deletion, reimage.

use std::time::Duration;

use poolkeeper_rest::Method;
use serde_json::json;

use crate::{
    CallError,
    call::Seen,
    fact::{
        CAPACITY_ALONE, COMPUTER_NAME, DELETE_LOWERS, DELETE_TWICE, DELETE_UNKNOWN, FILTER_PLAIN,
        FILTER_QUOTED, IDS_GROW, LINK_HOST, LISTED_AT_ONCE, OPERATION_AFTER_END, PARALLEL_DELETE,
        REIMAGE_KEEPS, REIMAGE_REFUSED, REIMAGE_TIME, SECOND_DELETE, UNKNOWN_INSTANCE,
    },
    guard::MOST_VMS,
    machines::Vm,
    reads::is,
    trial::{AT_ONCE, BEFORE_LIST, BEFORE_READ, BEFORE_WRITE, Trial},
};

/// Lists after a growth, before instances that do not appear are given up.
const LISTS: u32 = 12;

/// Lists until a deleted instance must be gone: a quarter of an hour.
const LISTS_UNTIL_GONE: u32 = 60;

/// An instance id that no small set has reached, and a VM name that none has.
const NO_INSTANCE: &str = "2000000";
const NO_VM: &str = "poolkeeper-verify-none";

impl<W: AsyncFn(Duration)> Trial<W> {
    pub(crate) async fn instances(&mut self) -> Result<(), CallError> {
        let flexible = self.start.set.flexible;
        let room = MOST_VMS.saturating_sub(self.start.set.capacity);
        if room == 0 {
            let seen = "with 2 VMs, which leaves no room; scale it to 0 or 1".to_owned();
            return Err(CallError::Answer { what: "the list of instances", seen });
        }
        let first = self.grow(room).await?;
        let above = self.check_ids(&first, highest(&self.start.vms));
        self.check_names(&first);
        if flexible {
            self.filters().await?;
        }
        self.unknown(flexible).await?;
        self.deletions(&first).await?;

        self.level().await?;
        let second = self.grow(1).await?;
        self.check_ids(&second, above);
        self.check_names(&second);
        for vm in &second {
            self.reimages(vm).await?;
            self.release(&vm.computer_name).await?;
            let seen = self.action(BEFORE_WRITE, self.site.delete(flexible, &vm.id)).await?;
            self.settle(&seen.must("deletion of an instance")?).await?;
        }
        self.not_tried(LINK_HOST, "the list fitted on one page");
        if self.start.set.capacity + 1 >= MOST_VMS {
            let why = "needs room for two VMs; scale the set to 0";
            self.not_tried(if flexible { PARALLEL_DELETE } else { SECOND_DELETE }, why);
        }
        Ok(())
    }

    /// Raises the capacity, and waits until the new instances are there.
    async fn grow(&mut self, by: u64) -> Result<Vec<Vm>, CallError> {
        let before = self.list(BEFORE_LIST).await?.vms;
        let set = self.set().await?;
        let target = u64::try_from(before.len()).unwrap_or(u64::MAX).saturating_add(by).min(MOST_VMS);
        let mut seen = self.patch(json!({"sku": {"capacity": target}}), None).await?;
        let alone = seen.is_success();
        if !alone {
            self.judge(CAPACITY_ALONE, false, seen.full());
            let mut sku = set.sku.clone();
            if let Some(sku) = sku.as_object_mut() {
                sku.insert("capacity".to_owned(), json!(target));
            }
            seen = self.patch(json!({"sku": sku}), None).await?;
        }
        let seen = seen.must("PATCH of the capacity")?;

        for round in 0..LISTS {
            let before_list = if round == 0 { AT_ONCE } else { BEFORE_LIST };
            let vms = self.list(before_list).await?.vms;
            let listed = new(&before, vms);
            let count = u64::try_from(listed.len()).unwrap_or(u64::MAX);
            if round == 0 {
                let creating = listed.iter().all(|vm| vm.state.eq_ignore_ascii_case("creating"));
                let states: Vec<&str> = listed.iter().map(|vm| vm.state.as_str()).collect();
                let text = format!("{count} of {by} listed, as {}", states.join(", "));
                self.judge(LISTED_AT_ONCE, count == by && creating, text);
            }
            if count == by {
                break;
            }
        }
        if alone {
            let now = self.set().await?;
            let name = |sku: &serde_json::Value| sku.pointer("/name").cloned();
            let kept = name(&now.sku) == name(&set.sku);
            let text = format!("capacity {} and another sku.name", now.capacity);
            self.judge(CAPACITY_ALONE, kept && now.capacity == target, text);
        }
        self.settle(&seen).await?;
        // Computer names may be known only now.
        let vms = self.list(BEFORE_LIST).await?.vms;
        let listed = new(&before, vms);
        self.names.extend(listed.iter().map(|vm| vm.computer_name.clone()));
        if listed.is_empty() {
            let seen = "with no new instance".to_owned();
            return Err(CallError::Answer { what: "the list after a growth", seen });
        }
        Ok(listed)
    }

    /// Whether the ids are above all earlier ones; answers with the highest now.
    fn check_ids(&mut self, vms: &[Vm], highest: Option<u64>) -> Option<u64> {
        if self.start.set.flexible {
            return None;
        }
        let ids: Vec<Option<u64>> = vms.iter().map(|vm| vm.id.parse().ok()).collect();
        let above = ids.iter().all(|id| id.is_some_and(|id| highest.is_none_or(|highest| id > highest)));
        let text: Vec<&str> = vms.iter().map(|vm| vm.id.as_str()).collect();
        let earlier = highest.map_or("none".to_owned(), |highest| highest.to_string());
        self.judge(IDS_GROW, above, format!("{} after {earlier}", text.join(", ")));
        self::highest(vms).max(highest)
    }

    fn check_names(&mut self, vms: &[Vm]) {
        if self.start.set.flexible {
            return;
        }
        for vm in vms {
            let Ok(id) = vm.id.parse::<u64>() else { continue };
            let wanted = format!("{}{}", self.start.set.prefix, base36(id));
            let met = vm.computer_name.eq_ignore_ascii_case(&wanted);
            let tells = if id < 10 { ", which does not tell the base yet" } else { "" };
            self.judge_noting(COMPUTER_NAME, met, format!("{} for id {id}{tells}", vm.computer_name));
        }
    }

    /// Both ways to write the filter by which a Flexible set's VMs are listed.
    async fn filters(&mut self) -> Result<(), CallError> {
        let wanted = self.list(BEFORE_LIST).await?.vms.len();
        for (fact, quoted) in [(FILTER_QUOTED, true), (FILTER_PLAIN, false)] {
            let seen = self.azure(BEFORE_LIST, self.site.list_call(true, quoted)).await?;
            let listed = seen.list().map_or(0, Vec::len);
            let met = seen.is_success() && (listed == wanted || seen.text("/nextLink").is_some());
            self.judge(fact, met, format!("{}, {listed} of {wanted} VMs", seen.full()));
        }
        Ok(())
    }

    async fn unknown(&mut self, flexible: bool) -> Result<(), CallError> {
        let id = if flexible { NO_VM } else { NO_INSTANCE };
        let call = self.site.of_vm(Method::GET, flexible, id, "");
        let seen = self.azure(BEFORE_READ, call).await?;
        self.judge_noting(UNKNOWN_INSTANCE, seen.status == 404, seen.brief());
        if flexible {
            return Ok(());
        }
        let seen = self.azure(BEFORE_WRITE, self.site.delete(false, id)).await?;
        self.judge(DELETE_UNKNOWN, is(&seen, 400, "InvalidParameter"), seen.full());
        if seen.is_success() {
            self.settle(&seen).await?;
        }
        Ok(())
    }

    /// Deletes the instances: the second one while the first one goes, where there are two.
    async fn deletions(&mut self, vms: &[Vm]) -> Result<(), CallError> {
        let flexible = self.start.set.flexible;
        let before = self.set().await?.capacity;
        for vm in vms {
            self.release(&vm.computer_name).await?;
        }
        let Some((first, others)) = vms.split_first() else { return Ok(()) };
        let call = self.site.delete(flexible, &first.id);
        let begun = self.action(BEFORE_WRITE, call).await?.must("deletion of an instance")?;
        let mut going = vec![(first, begun)];
        for other in others {
            let seen = self.action(AT_ONCE, self.site.delete(flexible, &other.id)).await?;
            if flexible {
                self.judge(PARALLEL_DELETE, seen.is_success(), seen.full());
            } else {
                self.judge(SECOND_DELETE, is(&seen, 409, "Conflict"), seen.full());
            }
            if seen.is_success() {
                going.push((other, seen));
            }
        }
        let again = self.azure(AT_ONCE, self.site.delete(flexible, &first.id)).await?;
        self.judge_noting(DELETE_TWICE, again.status == 409, again.brief());
        for (_, seen) in &going {
            self.settle(seen).await?;
        }
        let gone: Vec<&Vm> = going.iter().map(|(vm, _)| *vm).collect();
        self.until_gone(&gone).await?;
        let lowered = u64::try_from(gone.len()).unwrap_or(0);
        let after = self.set().await?.capacity;
        self.judge(DELETE_LOWERS, before.saturating_sub(lowered) == after, format!("{before}, then {after}"));
        self.operation_after_end().await?;

        let left: Vec<&Vm> = others.iter().filter(|vm| !gone.iter().any(|gone| gone.id == vm.id)).collect();
        for vm in &left {
            let seen = self.action(BEFORE_WRITE, self.site.delete(flexible, &vm.id)).await?;
            self.settle(&seen.must("deletion of an instance")?).await?;
        }
        self.until_gone(&left).await
    }

    async fn until_gone(&mut self, vms: &[&Vm]) -> Result<(), CallError> {
        for _ in 0..LISTS_UNTIL_GONE {
            let listed = self.list(BEFORE_LIST).await?.vms;
            if !vms.iter().any(|vm| listed.iter().any(|listed| listed.vm_id == vm.vm_id)) {
                return Ok(());
            }
        }
        Err(CallError::Answer { what: "the list of instances", seen: "still with deleted ones".to_owned() })
    }

    async fn operation_after_end(&mut self) -> Result<(), CallError> {
        let Some(url) = self.ended.clone() else {
            self.not_tried(OPERATION_AFTER_END, "no answer had an operation to poll");
            return Ok(());
        };
        let seen = self.azure(BEFORE_READ, self.site.azure.follow(&url)?).await?;
        let state = seen.text("/status").unwrap_or_default();
        let met = seen.status == 200 && state.eq_ignore_ascii_case("succeeded");
        self.judge(OPERATION_AFTER_END, met, format!("{} {state}", seen.brief()));
        Ok(())
    }

    async fn reimages(&mut self, vm: &Vm) -> Result<(), CallError> {
        let flexible = self.start.set.flexible;
        self.release(&vm.computer_name).await?;
        let seen = self.action(BEFORE_WRITE, self.site.reimage(flexible, &vm.id)).await?;
        if flexible && !self.start.set.ephemeral {
            let why = "a Flexible set without ephemeral OS disks does not reimage";
            self.not_tried(REIMAGE_KEEPS, why);
            self.not_tried(REIMAGE_TIME, why);
            self.judge(REIMAGE_REFUSED, is(&seen, 409, "OperationNotAllowed"), seen.full());
            if seen.is_success() {
                self.settle(&seen).await?;
            }
            return Ok(());
        }
        if flexible {
            self.not_tried(REIMAGE_REFUSED, "this set's OS disks are ephemeral");
        }
        let seen = seen.must("reimage of an instance")?;
        self.settle(&seen).await?;
        let call = self.site.of_vm(Method::GET, flexible, &vm.id, "");
        let seen: Seen = self.azure(BEFORE_READ, call).await?;
        match Vm::of(&seen.json).filter(|_| seen.is_success()) {
            Some(now) => {
                let other = "another vmId under the same instance id";
                self.judge(REIMAGE_KEEPS, now.vm_id.eq_ignore_ascii_case(&vm.vm_id), other);
                let text = format!("{} after {}", now.created, vm.created);
                self.judge(REIMAGE_TIME, now.created == vm.created, text);
            }
            None => self.judge(REIMAGE_KEEPS, false, format!("no such instance: {}", seen.full())),
        }
        Ok(())
    }
}

fn highest(vms: &[Vm]) -> Option<u64> {
    vms.iter().filter_map(|vm| vm.id.parse().ok()).max()
}

/// The VMs that were not there before.
pub(crate) fn new(before: &[Vm], vms: Vec<Vm>) -> Vec<Vm> {
    vms.into_iter().filter(|vm| before.iter().all(|old| old.vm_id != vm.vm_id)).collect()
}

/// Six digits of base 36.
fn base36(id: u64) -> String {
    let digit = |place: u32| {
        let value = id / 36_u64.pow(place) % 36;
        u32::try_from(value).ok().and_then(|value| char::from_digit(value, 36)).unwrap_or('?')
    };
    (0..6).rev().map(digit).collect()
}
