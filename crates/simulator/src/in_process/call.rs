//! One call of the protocol, answered by the world; and whole deeds, made of such calls.

use poolkeeper_policy::{
    Action, AgentId, AgentNow, Answer, BindingName, Call, End, Failure, Member, Next, Outcome, Protocol,
    RecordChange, Register, Removal, SetNow, VmId,
};

use super::{SAVED_TAG, View, failure};
use crate::world::{self, AzureError, DevOpsError, OtherAgent, ScaleSetChange, SetRef, World};

/// The state of a scale set in which it was read last; a write of its capacity or tags needs it unchanged (If-Match).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Etag(Option<String>);

impl View {
    /// Makes one call. `etag` is kept from one call of a deed to its next.
    pub fn call(&self, world: &mut World, binding: &BindingName, call: &Call, etag: &mut Etag) -> Answer {
        let set = self.bindings.get(binding).copied();
        match call {
            Call::ReadSet => {
                world.count_call(world::Call::ScaleSetGet);
                on_set(world, set, |world, set| read_set(world, set, etag))
            }
            Call::Raise { to } => {
                world.count_call(world::Call::ScaleSetUpdate);
                let change = ScaleSetChange { capacity: Some(*to), ..ScaleSetChange::default() };
                on_set(world, set, |world, set| patch(world, set, change, etag))
            }
            Call::Mark { add, remove } => {
                world.count_call(world::Call::ScaleSetUpdate);
                on_set(world, set, |world, set| mark(world, set, add, remove, etag))
            }
            Call::ReadInstance(id) => on_set(world, set, |world, set| {
                let flexible = is_flexible(world, set);
                world.count_call(if flexible { world::Call::MachineGet } else { world::Call::InstanceGet });
                let found = world.set(set).and_then(|found| found.find_instance(&id.0));
                Answer::Instance(found.map(|instance| VmId(instance.vm_id.to_string())))
            }),
            Call::RemoveAll(removal, members) => {
                on_set(world, set, |world, set| remove(world, set, *removal, members))
            }
            Call::RemoveOne(removal, member) => {
                let members = std::slice::from_ref(member);
                on_set(world, set, |world, set| remove(world, set, *removal, members))
            }
            Call::ReadAgent(_)
            | Call::Disable(_)
            | Call::DeleteAgent(_)
            | Call::ListAgents
            | Call::Reserve(_)
            | Call::Release(_)
            | Call::Register(_)
            | Call::Describe(..)
            | Call::Label(..) => self.call_devops(world, call),
        }
    }

    /// Carries an action out to its end, with nothing happening between its calls.
    pub fn apply(&self, world: &mut World, action: &Action) -> Outcome {
        let (mut protocol, mut etag) = (Protocol::new(action), Etag::default());
        let mut answers = Vec::new();
        loop {
            match protocol.next(std::mem::take(&mut answers)) {
                Next::Calls(calls) => {
                    let call = |call: &Call| self.call(world, action.binding(), call, &mut etag);
                    answers = calls.iter().map(call).collect();
                }
                Next::End(End { outcome, .. }) => return outcome,
            }
        }
    }

    /// Carries the change of an agent record out to its end.
    ///
    /// # Errors
    /// The failure of a call.
    pub fn change(&self, world: &mut World, change: &RecordChange) -> Result<End, Failure> {
        let mut calls = vec![change.begin()];
        loop {
            let Some(call) = calls.pop() else {
                return Ok(End { outcome: Outcome::Done, refused: None });
            };
            match change.next(self.call_devops(world, &call))? {
                Next::Calls(next) => calls = next,
                Next::End(end) => return Ok(end),
            }
        }
    }

    /// Makes a call that is about no scale set.
    pub fn call_devops(&self, world: &mut World, call: &Call) -> Answer {
        let counted = if call.is_write() { world::Call::AgentWrite } else { world::Call::AgentGet };
        world.count_call(counted);
        if let Some(fault) = world.devops_fault(self.pool.organization) {
            return Answer::Failed(failure::of_devops(fault));
        }
        match call {
            Call::ReadAgent(agent) => {
                let found = world.pool(self.pool).and_then(|pool| pool.agent(unsigned(*agent)));
                Answer::Agent(found.map(|agent| AgentNow {
                    name: agent.name.to_string(),
                    enabled: agent.enabled,
                    online: agent.online,
                    assigned: agent.request.is_some(),
                }))
            }
            Call::Disable(agent) => {
                written(world.set_agent_enabled(self.pool, unsigned(*agent), false), Answer::Done)
            }
            Call::DeleteAgent(agent) | Call::Release(agent) => {
                match world.delete_agent(self.pool, unsigned(*agent)) {
                    // A record that is gone already is deleted too.
                    Err(DevOpsError::AgentNotFound { .. }) => Answer::Done,
                    Err(DevOpsError::JobStillRunning { .. }) => Answer::StillRunning,
                    other => written(other, Answer::Done),
                }
            }
            Call::ListAgents => {
                let agents = world.pool(self.pool).into_iter().flat_map(world::Pool::agents);
                Answer::Names(agents.map(|agent| agent.name.to_string()).collect())
            }
            Call::Reserve(register) => match world.add_agent(self.pool, record(register)) {
                Ok(agent) => {
                    let disabled = world.set_agent_enabled(self.pool, agent, false);
                    let reserved =
                        i64::try_from(agent).map_or(Answer::Done, |id| Answer::Reserved(AgentId(id)));
                    written(disabled, reserved)
                }
                Err(DevOpsError::AgentExists { .. }) => Answer::Changed,
                Err(error) => written(Err(error), Answer::Done),
            },
            Call::Register(register) => {
                written(world.add_agent(self.pool, record(register)).map(|_| ()), Answer::Done)
            }
            Call::Describe(agent, Register { capabilities, .. }) => {
                let written_now =
                    world.set_user_capabilities(self.pool, unsigned(*agent), capabilities.clone());
                written(written_now, Answer::Done)
            }
            Call::Label(agent, capabilities) => {
                let labelled = world.set_user_capabilities(self.pool, unsigned(*agent), capabilities.clone());
                written(labelled, Answer::Done)
            }
            Call::ReadSet
            | Call::Raise { .. }
            | Call::Mark { .. }
            | Call::ReadInstance(_)
            | Call::RemoveAll(..)
            | Call::RemoveOne(..) => Answer::Failed(failure::not_there("the call needs a scale set")),
        }
    }
}

/// A record that no agent stands behind.
fn record(Register { name, capabilities }: &Register) -> OtherAgent {
    OtherAgent {
        name: name.clone(),
        version: String::new(),
        capabilities: std::collections::BTreeMap::new(),
        user_capabilities: capabilities.clone(),
        runs: false,
    }
}

fn on_set(world: &mut World, set: Option<SetRef>, act: impl FnOnce(&mut World, SetRef) -> Answer) -> Answer {
    match set {
        None => Answer::Failed(failure::not_there("the binding has no scale set")),
        Some(set) => match failure::of_set(world, set) {
            Some(failure) => Answer::Failed(failure),
            None => act(world, set),
        },
    }
}

fn read_set(world: &World, set: SetRef, etag: &mut Etag) -> Answer {
    let found = world.set(set);
    *etag = Etag(found.map(world::ScaleSet::etag));
    Answer::Set(SetNow {
        refused: None,
        capacity: found.map(|found| found.capacity),
        flexible: is_flexible(world, set),
    })
}

fn patch(world: &mut World, set: SetRef, change: ScaleSetChange, etag: &Etag) -> Answer {
    let members = world.set(set).map_or(0, world::ScaleSet::members);
    let asked = change.capacity.map_or(0, |wanted| wanted.saturating_sub(members));
    match world.patch_scale_set(set, ScaleSetChange { if_match: etag.0.clone(), ..change }) {
        Ok(id) => Answer::Accepted(Some(id.to_string())),
        Err(AzureError::PreconditionFailed { .. }) => Answer::Changed,
        Err(error) => Answer::Failed(failure::of_azure(&error, asked)),
    }
}

fn mark(world: &mut World, set: SetRef, add: &[VmId], remove: &[VmId], etag: &Etag) -> Answer {
    let Some(found) = world.set(set) else {
        return Answer::Failed(failure::not_there("there is no such scale set"));
    };
    let goes = |name: &str| {
        name.to_lowercase().strip_prefix(SAVED_TAG).is_some_and(|vm| remove.iter().any(|gone| gone.0 == vm))
    };
    let mut tags = found.tags.clone();
    tags.retain(|name, _| !goes(name));
    let now = world.now().round(jiff::Unit::Second).unwrap_or(world.now()).to_string();
    tags.extend(add.iter().map(|vm| (format!("{SAVED_TAG}{vm}"), now.clone())));
    patch(world, set, ScaleSetChange { tags: Some(tags), ..ScaleSetChange::default() }, etag)
}

/// One that is gone already has left the list of a Uniform set's ids: Azure refuses the whole call for it.
fn remove(world: &mut World, set: SetRef, removal: Removal, members: &[Member]) -> Answer {
    let flexible = is_flexible(world, set);
    let found = world.set(set);
    let id = |member: &Member| Some(found?.find_instance(&member.instance_id.0)?.id);
    let Some(mut ids) = members.iter().map(id).collect::<Option<Vec<u64>>>() else {
        return Answer::Failed(failure::not_there("there is no such instance"));
    };
    ids.sort_unstable();
    ids.dedup();
    let started = match removal {
        Removal::Delete => {
            world.count_call(if flexible { world::Call::MachineDelete } else { world::Call::InstanceDelete });
            world.delete_instances(set, &ids)
        }
        Removal::Reimage => {
            world.count_call(if flexible { world::Call::MachineUpdate } else { world::Call::ScaleSetUpdate });
            world.reimage_instances(set, Some(&ids))
        }
    };
    match started {
        Ok(id) => Answer::Accepted(Some(id.to_string())),
        Err(error) => Answer::Failed(failure::of_azure(&error, 0)),
    }
}

fn is_flexible(world: &World, set: SetRef) -> bool {
    world.set(set).is_some_and(world::ScaleSet::is_flexible)
}

fn written(result: Result<(), DevOpsError>, answer: Answer) -> Answer {
    match result {
        Ok(()) => answer,
        Err(error) => Answer::Failed(failure::not_there(&error.to_string())),
    }
}

/// Ids come from Azure DevOps; one that does not fit never did.
fn unsigned(agent: AgentId) -> u64 {
    u64::try_from(agent.0).unwrap_or(u64::MAX)
}
