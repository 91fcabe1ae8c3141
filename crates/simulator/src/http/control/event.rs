//! What befalls machines, scale sets and organisations: what the control API lets happen at once.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, find_organization, find_pool, find_set, read};
use crate::{
    http::Call,
    world::{By, EvictionPolicy, Instance, PowerAction, SetRef, StartFails, StartFailure, World},
};

/// An instance by its number, its name, or its computer's.
#[derive(Deserialize)]
#[serde(untagged)]
enum InstanceName {
    Number(u64),
    Text(String),
}

/// A VM of the set: the one that is named, or any.
fn find_instance(world: &mut World, set: SetRef, name: Option<&InstanceName>) -> Result<u64, Refusal> {
    let found = match name {
        None => world.any_instance(set),
        Some(InstanceName::Number(number)) => Some(*number),
        Some(InstanceName::Text(text)) => {
            let is_it = |instance: &&Instance| {
                [&instance.name, &instance.computer_name].iter().any(|name| name.eq_ignore_ascii_case(text))
            };
            let named = world.set(set).and_then(|found| found.instances().find(is_it));
            named.map(|instance| instance.id).or_else(|| text.parse().ok())
        }
    };
    let found = found.filter(|id| world.set(set).is_some_and(|set| set.instance(*id).is_some()));
    found.ok_or_else(|| Refusal("no such instance in the scale set".into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Evict {
    scale_set: Option<String>,
    instance: Option<InstanceName>,
    policy: Option<EvictionPolicy>,
}

pub(super) fn evict(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Evict { scale_set, instance, policy } = read(call)?;
    let set = find_set(world, scale_set.as_deref())?;
    let instance = find_instance(world, set, instance.as_ref())?;
    let own = world.set(set).map(|found| found.spec.model.eviction_policy);
    world.evict(set, instance, policy.or(own).unwrap_or(EvictionPolicy::Deallocate))?;
    Ok(json!({"instance": instance}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Reboot {
    scale_set: Option<String>,
    instance: Option<InstanceName>,
}

pub(super) fn reboot(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Reboot { scale_set, instance } = read(call)?;
    let set = find_set(world, scale_set.as_deref())?;
    let instance = find_instance(world, set, instance.as_ref())?;
    world.reboot(set, instance)?;
    Ok(json!({"instance": instance}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Manual {
    scale_set: Option<String>,
    #[serde(rename = "do")]
    deed: Deed,
    instance: Option<InstanceName>,
    capacity: Option<u32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Deed {
    Deallocate,
    Start,
    Restart,
    Delete,
    Capacity,
}

/// What a person does in the portal. Who loses a job by it does not lose it to poolkeeper.
pub(super) fn manual(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Manual { scale_set, deed, instance, capacity } = read(call)?;
    let set = find_set(world, scale_set.as_deref())?;
    if matches!(deed, Deed::Capacity) {
        let capacity = capacity.ok_or_else(|| Refusal("do: capacity needs capacity".into()))?;
        world.by_hand(set, By::Capacity(capacity))?;
        return Ok(json!({"capacity": capacity}));
    }
    let instance = find_instance(world, set, instance.as_ref())?;
    let ids = [instance];
    let power = |action| By::Power(action, &ids);
    world.by_hand(
        set,
        match deed {
            Deed::Deallocate => power(PowerAction::Deallocate),
            Deed::Start => power(PowerAction::Start),
            Deed::Restart => power(PowerAction::Restart),
            Deed::Delete | Deed::Capacity => By::Deleting(&ids),
        },
    )?;
    Ok(json!({"instance": instance}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Vanish {
    scale_set: Option<String>,
    organization: Option<String>,
}

/// A scale set or an organisation is deleted, for good.
pub(super) fn vanish(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    match read(call)? {
        Vanish { scale_set: Some(name), organization: None } => {
            let set = find_set(world, Some(&name))?;
            world.vanish_set(set);
        }
        Vanish { scale_set: None, organization: Some(name) } => {
            let index = find_organization(world, Some(&name))?;
            world.vanish_organization(index);
        }
        Vanish { .. } => return Err(Refusal("give one of scaleSet, organization".into())),
    }
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    scale_set: Option<String>,
    start_fails: Option<StartFails>,
    of: Option<Of>,
}

/// Every VM, or every so manieth.
#[derive(Deserialize)]
#[serde(untagged)]
enum Of {
    Number(u32),
    Word(Word),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Word {
    Every,
}

/// How VMs fail that are created or reimaged from now on; not at all without `startFails`.
pub(super) fn image(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Image { scale_set, start_fails, of } = read(call)?;
    let of = match of {
        Some(Of::Number(0)) => return Err(Refusal("of must be every, or a number from 1 on".into())),
        Some(Of::Number(of)) => of,
        Some(Of::Word(Word::Every)) | None => 1,
    };
    let set = find_set(world, scale_set.as_deref())?;
    world.set_start_failure(set, start_fails.map(|kind| StartFailure::new(kind, of)));
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintenance {
    organization: Option<String>,
    pool: String,
    minutes: u32,
    percent: Option<u32>,
}

/// Maintenance of every agent that is online.
pub(super) fn maintenance(world: &mut World, call: &Call) -> Result<Value, Refusal> {
    let Maintenance { organization, pool, minutes, percent } = read(call)?;
    let pool = find_pool(world, organization.as_deref(), &pool)?;
    let takes = SignedDuration::from_mins(i64::from(minutes));
    Ok(json!({"requests": world.run_maintenance(pool, takes, percent)?}))
}
