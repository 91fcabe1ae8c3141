//! The VMs of Flexible scale sets: VMs of the resource group, each with operations of its own.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::{
    body, cut, expands, instance,
    meter::Target,
    operation::accepted,
    page, path,
    refusal::{forbidden, invalid_parameter, no_such_call, not_found, refusal},
    scale_set::power_action,
};
use crate::{
    http::{Call, Reply},
    world::{self, AzureFault, Instance, PowerAction, ScaleSet, SetRef, World},
};

/// Segments of a VM's id.
const ID: usize = 8;

pub(super) fn answer(
    world: &mut World,
    call: &Call,
    client: usize,
    (group, name): (&str, &str),
    rest: &[&str],
) -> Reply {
    let found = find(world, call, group, name);
    let class = match (&call.method, rest) {
        (&Method::GET, _) => world::Call::MachineGet,
        (&Method::DELETE, _) | (_, ["deallocate" | "poweroff"]) => world::Call::MachineDelete,
        _ => world::Call::MachineUpdate,
    };
    let target = Target { call, client, class, set: found.map(|(set, _)| set), resource: path(call, ID) };
    target.answer(world, |world| match found {
        Some((set, number)) => handle(world, call, set, number, rest),
        // A deletion of what is not there has nothing to do.
        None if (&call.method, rest) == (&Method::DELETE, &[]) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        None => Err(not_found(call, &format!("virtualMachines/{}", call.segment(7)))),
    })
}

fn find(world: &World, call: &Call, group: &str, name: &str) -> Option<(SetRef, u64)> {
    flexible(world, call.segment(1), Some(group))
        // Names begin with the set's.
        .filter(|(_, set)| name.get(..set.name().len()).is_some_and(|it| it.eq_ignore_ascii_case(set.name())))
        .find_map(|(reference, set)| Some((reference, set.find_instance(name)?.id)))
}

/// The Flexible sets of a subscription, or of a resource group in it.
fn flexible<'a>(
    world: &'a World,
    subscription: &'a str,
    group: Option<&'a str>,
) -> impl Iterator<Item = (SetRef, &'a ScaleSet)> {
    world.sets().filter(move |(_, set)| {
        set.is_flexible()
            && set.address.subscription.eq_ignore_ascii_case(subscription)
            && group.is_none_or(|group| set.address.resource_group.eq_ignore_ascii_case(group))
    })
}

fn handle(world: &mut World, call: &Call, set: SetRef, number: u64, rest: &[&str]) -> Result<Reply, Reply> {
    let now = world.now();
    let read = |make: &dyn Fn(&ScaleSet, &Instance) -> Value| {
        let value = world.set(set).and_then(|found| Some(make(found, found.instance(number)?)));
        Ok(Reply::json(StatusCode::OK, &value.unwrap_or_default()))
    };
    let started = match (&call.method, rest) {
        (&Method::GET, []) => return read(&|set, vm| body::machine(set, vm, expands(call), now)),
        (&Method::GET, ["instanceview"]) => return read(&|set, vm| body::instance_view(set, vm, now)),
        (&Method::DELETE, []) => world.delete_instances(set, &[number]),
        (&Method::POST, ["reimage"]) => world.reimage_instances(set, Some(&[number])),
        (&Method::POST, ["redeploy"]) => world.power(set, Some(&[number]), PowerAction::Restart),
        (&Method::POST, ["simulateeviction"]) => return instance::evict(world, set, number),
        (&Method::POST, [action]) => match power_action(action) {
            Some(action) => world.power(set, Some(&[number]), action),
            None => return Err(no_such_call("no such action")),
        },
        _ => {
            return Err(no_such_call(
                "GET and DELETE of a virtual machine, GET of its instanceView, and POST of reimage, deallocate, start, restart, redeploy, poweroff and simulateEviction",
            ));
        }
    };
    started.map(|id| accepted(world, call, id)).map_err(|error| refusal(&error))
}

/// The VMs of a resource group or a subscription, those of one scale set with `$filter`.
pub(super) fn list(world: &mut World, call: &Call, client: usize, group: Option<&str>) -> Reply {
    let filter = call.parameter("$filter").map(filtered_set);
    let set = filter.as_ref().and_then(|id| world.find_set(id.as_deref()?));
    let class = world::Call::MachineList;
    let target = Target { call, client, class, set, resource: path(call, usize::MAX) };
    target.answer(world, |world| {
        match &filter {
            Some(None) => {
                return Err(invalid_parameter(
                    "The $filter must be: 'virtualMachineScaleSet/id' eq '<id of a scale set>'.",
                ));
            }
            None if expands(call) => {
                return Err(invalid_parameter("$expand needs a $filter by virtualMachineScaleSet/id."));
            }
            Some(Some(_)) | None => {}
        }
        // Who may not read one of the sets may not read the group.
        let hidden = |set: SetRef, fault| world.azure_faults(set).any(|known| known == fault);
        if flexible(world, call.segment(1), group)
            .any(|(it, _)| set.is_none_or(|set| set == it) && hidden(it, AzureFault::Forbidden))
        {
            return Err(forbidden(call));
        }
        let after = call.parameter("$skiptoken").and_then(|token| token.parse().ok());
        let rows = flexible(world, call.segment(1), group)
            .filter(|(it, _)| filter.is_none() || set == Some(*it))
            .filter(|(it, _)| !hidden(*it, AzureFault::NotFound))
            .flat_map(|(_, found)| found.instances().map(move |instance| (found, instance)));
        // VMs go by the order in which the world made them, within their sets.
        let rows = rows.enumerate().map(|(place, row)| (place_of(place), row));
        let (rows, next) = match filter {
            Some(_) => {
                let rows = rows.map(|(_, (found, vm))| (vm.id, (found, vm)));
                cut(rows, after, world.paging().instances)
            }
            None => cut(rows, after, world.paging().instances),
        };
        let expand = expands(call);
        let value: Vec<Value> =
            rows.into_iter().map(|(set, vm)| body::machine(set, vm, expand, world.now())).collect();
        Ok(page(call, &value, next))
    })
}

fn place_of(place: usize) -> u64 {
    u64::try_from(place).unwrap_or(u64::MAX)
}

/// The scale set of `'virtualMachineScaleSet/id' eq '…'`, with or without the first quotes.
fn filtered_set(filter: &str) -> Option<String> {
    let (left, right) = filter.trim().split_once(|letter: char| letter.is_whitespace())?;
    let right = right.trim_start();
    let (word, id) = right.split_once(|letter: char| letter.is_whitespace())?;
    let quoted = |text: &str| text.trim().trim_matches('\'').to_owned();
    let by_set = quoted(left).eq_ignore_ascii_case("virtualMachineScaleSet/id");
    (by_set && word.eq_ignore_ascii_case("eq")).then(|| quoted(id))
}

#[cfg(test)]
mod tests {
    use super::filtered_set;

    #[test]
    fn the_filter_is_read_with_and_without_the_first_quotes() {
        let id = Some("/subscriptions/s".to_owned());
        assert_eq!(filtered_set("'virtualMachineScaleSet/id' eq '/subscriptions/s'"), id);
        assert_eq!(filtered_set("virtualMachineScaleSet/id eq '/subscriptions/s'"), id);
        assert_eq!(filtered_set("virtualmachinescaleset/ID  EQ  '/subscriptions/s' "), id);
        assert_eq!(filtered_set("location eq 'westeurope'"), None);
        assert_eq!(filtered_set("virtualMachineScaleSet/id"), None);
    }
}
