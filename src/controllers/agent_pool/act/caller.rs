//! Makes the calls that policy's protocol asks for, and turns what the clouds say into its answers.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use poolkeeper_azure::{Fault, InstanceId, InstanceIds, OrchestrationMode, ScaleSet, fault};
use poolkeeper_azure_devops::{
    AgentId, AgentStatus, NewAgent, Organization, PoolId, Registration, Removal as Gone,
};
use poolkeeper_policy::{
    AgentNow, Answer, Call, Failure, FailureKind, Member, Register, Removal, SetNow, VmId,
};
use poolkeeper_rest::{Class, Error};

use super::super::{
    failure,
    observe::{Clouds, SetHandle},
};
use crate::{claim, saved};

/// A deed takes seconds. One that was held up for longer, such as by a paused machine, knows too little to go on: others
/// may have taken over the scale set, or agents may have registered.
const LONGEST: Duration = Duration::from_secs(60);
/// Calls about single agents or instances that may run at once.
const PARALLEL: usize = 8;

/// Who makes the calls of one deed.
pub(super) struct Caller<'a> {
    organization: &'a Organization,
    pool: PoolId,
    set: Option<&'a SetHandle>,
    /// How many VMs a growth asks for: what a quota says is read by it.
    missing: u32,
    now: jiff::Timestamp,
    /// When the scale set, or the agents, were last read: what is written rests on it.
    read_at: Option<Instant>,
    /// The scale set as last read, with its etag, for the write that depends on it.
    seen: Option<(ScaleSet, Option<String>)>,
    /// Azure's own words of the last failure, for what sizing needs besides its kind.
    pub(super) fault: Option<Fault>,
}

/// An answer, and what came with it.
struct Told {
    answer: Answer,
    seen: Option<(ScaleSet, Option<String>)>,
    fault: Option<Fault>,
}

impl From<Answer> for Told {
    fn from(answer: Answer) -> Self {
        Self { answer, seen: None, fault: None }
    }
}

impl<'a> Caller<'a> {
    pub(super) fn new(
        clouds: &'a Clouds,
        set: Option<&'a SetHandle>,
        missing: u32,
        now: jiff::Timestamp,
    ) -> Self {
        let Clouds { organization, pool, .. } = clouds;
        Self { organization, pool: *pool, set, missing, now, read_at: None, seen: None, fault: None }
    }

    /// Makes the calls, some at once, and answers each in its place.
    pub(super) async fn call_all(&mut self, calls: Vec<Call>) -> Vec<Answer> {
        let reads = calls.iter().any(|call| matches!(call, Call::ReadSet | Call::ListAgents));
        let begun = Instant::now();
        let late = self.read_at.is_some_and(|at| at.elapsed() > LONGEST);
        if late && calls.iter().any(Call::is_write) {
            return calls.iter().map(|_| too_late()).collect();
        }
        let this = &*self;
        let told: Vec<Told> =
            stream::iter(calls.into_iter().map(|call| this.told(call))).buffered(PARALLEL).collect().await;
        if reads {
            self.read_at = Some(begun);
        }
        let mut answers = Vec::with_capacity(told.len());
        for Told { answer, seen, fault } in told {
            answers.push(answer);
            self.seen = seen.or(self.seen.take());
            self.fault = fault.or(self.fault.take());
        }
        answers
    }

    async fn told(&self, call: Call) -> Told {
        match self.call(call).await {
            Ok(told) => told,
            Err(error) => Told {
                answer: Answer::Failed(failure::of_call(&error, self.missing)),
                seen: None,
                fault: Some(fault::of(&error)),
            },
        }
    }

    async fn call(&self, call: Call) -> Result<Told, Error> {
        let (organization, pool) = (self.organization, self.pool);
        Ok(match call {
            Call::ReadAgent(agent) => {
                let seen = organization.agent(pool, id(agent)).await?.value;
                Answer::Agent(seen.map(|seen| AgentNow {
                    name: seen.name,
                    enabled: seen.enabled,
                    online: seen.status != AgentStatus::Offline,
                    assigned: seen.assigned_request.is_some(),
                }))
            }
            Call::Disable(agent) => {
                organization.disable_agent(pool, id(agent)).await?;
                Answer::Done
            }
            Call::DeleteAgent(agent) | Call::Release(agent) => {
                match organization.delete_agent(pool, id(agent)).await?.value {
                    Gone::Deleted | Gone::Gone => Answer::Done,
                    Gone::StillRunning => Answer::StillRunning,
                }
            }
            Call::ListAgents => {
                let agents = organization.agents(pool).await?.value;
                Answer::Names(agents.into_iter().map(|agent| agent.name).collect())
            }
            Call::Reserve(Register { name, capabilities }) => {
                let record = NewAgent {
                    name,
                    version: String::new(),
                    os_description: "reserved by poolkeeper: its VM is being deleted or reimaged".to_owned(),
                    enabled: false,
                    system_capabilities: Capabilities::new(),
                    user_capabilities: capabilities,
                };
                match organization.register_agent(pool, &record).await?.value {
                    Registration::Made(agent) => {
                        Answer::Reserved(poolkeeper_policy::AgentId(i64::from(agent.id.0)))
                    }
                    Registration::Exists => Answer::Changed,
                }
            }
            Call::Register(placeholder) => {
                match organization.register_agent(pool, &new_agent(placeholder)).await?.value {
                    Registration::Made(_) | Registration::Exists => Answer::Done,
                }
            }
            Call::Describe(agent, placeholder) => {
                let (_, user) = parts(placeholder);
                organization.set_user_capabilities(pool, id(agent), &user).await?;
                Answer::Done
            }
            Call::Label(agent, label) => {
                // The call replaces all: what its own script has put there since the last list stays.
                if let Some(now) = organization.agent(pool, id(agent)).await?.value {
                    let mut all = now.user_capabilities;
                    for (name, value) in label.iter().filter(|(name, _)| poolkeeper_policy::is_label(name)) {
                        all.retain(|other, _| !other.eq_ignore_ascii_case(name));
                        all.insert(name.clone(), value.clone());
                    }
                    organization.set_user_capabilities(pool, id(agent), &all).await?;
                }
                Answer::Done
            }
            Call::ReadSet
            | Call::Raise { .. }
            | Call::Mark { .. }
            | Call::ReadInstance(_)
            | Call::RemoveAll(..)
            | Call::RemoveOne(..) => match self.set {
                Some(set) => return self.azure(set, call).await,
                None => unread(),
            },
        }
        .into())
    }

    async fn azure(&self, set: &SetHandle, call: Call) -> Result<Told, Error> {
        Ok(match call {
            Call::ReadSet => {
                let seen = set.client.get(&set.id).await?;
                let now = SetNow {
                    refused: still_ours(set, &seen.value, self.now).err(),
                    capacity: seen.value.sku.as_ref().and_then(|sku| sku.capacity),
                    flexible: set.mode == OrchestrationMode::Flexible,
                };
                let seen = Some((seen.value, seen.etag));
                return Ok(Told { answer: Answer::Set(now), seen, fault: None });
            }
            Call::Raise { to } => {
                let Some((seen, etag)) = &self.seen else { return Ok(unread().into()) };
                let Some(sku) = seen.sku.as_ref() else { return Ok(unread().into()) };
                match set.client.set_capacity(&set.id, sku, to, etag.as_deref()).await {
                    Ok(started) => Answer::Accepted(started.operation.map(|url| url.to_string())),
                    Err(error) if error.class() == Class::Precondition => Answer::Changed,
                    Err(error) => return Err(error),
                }
            }
            Call::Mark { add, remove } => {
                let Some((seen, etag)) = &self.seen else { return Ok(unread().into()) };
                let tags = saved::marked(&seen.tags, &add, &remove, self.now);
                match set.client.replace_tags(&set.id, &tags, etag.as_deref()).await {
                    Ok(_) => Answer::Done,
                    Err(error) if error.class() == Class::Precondition => Answer::Changed,
                    Err(error) => return Err(error),
                }
            }
            // An id that is none is nobody's.
            Call::ReadInstance(instance) => match instance.0.parse::<InstanceId>() {
                Err(_) => Answer::Instance(None),
                Ok(instance) => match set.client.get_instance(&set.id, &set.mode, &instance).await {
                    Ok(seen) => Answer::Instance(seen.value.vm_id.map(|vm| VmId(vm.to_string()))),
                    Err(error) if error.class() == Class::NotFound => Answer::Instance(None),
                    Err(error) => return Err(error),
                },
            },
            Call::RemoveAll(removal, members) => {
                let ids: Vec<InstanceId> = members.iter().filter_map(instance).collect();
                // Without ids Azure would take all instances.
                let Some(ids) = InstanceIds::try_from(ids).ok() else { return Ok(unread().into()) };
                let started = match removal {
                    Removal::Delete => set.client.delete_instances(&set.id, &ids).await?,
                    Removal::Reimage => set.client.reimage_instances(&set.id, &ids).await?,
                };
                Answer::Accepted(started.operation.map(|url| url.to_string()))
            }
            Call::RemoveOne(removal, member) => {
                let Some(id) = instance(&member) else { return Ok(unread().into()) };
                let started = match removal {
                    Removal::Delete => set.client.delete_machine(&set.id, &id).await?,
                    Removal::Reimage => set.client.reimage_machine(&set.id, &id).await?,
                };
                Answer::Accepted(started.operation.map(|url| url.to_string()))
            }
            Call::ReadAgent(_)
            | Call::Disable(_)
            | Call::DeleteAgent(_)
            | Call::ListAgents
            | Call::Reserve(_)
            | Call::Release(_)
            | Call::Register(_)
            | Call::Describe(..)
            | Call::Label(..) => unread(),
        }
        .into())
    }
}

fn instance(member: &Member) -> Option<InstanceId> {
    member.instance_id.0.parse().ok()
}

/// The gate lets nothing through for a set that was not read.
fn unread() -> Answer {
    let message = "the scale set was not read in this pass".to_owned();
    Answer::Failed(Failure { kind: FailureKind::Invalid, message, retry_after: None })
}

fn too_late() -> Answer {
    let message =
        format!("more than {} s have passed since the last look: looked at anew", LONGEST.as_secs());
    Answer::Failed(Failure { kind: FailureKind::Conflict, message, retry_after: None })
}

/// The claim is ours, and its VMs are managed as they were when this was decided.
fn still_ours(set: &SetHandle, seen: &ScaleSet, now: jiff::Timestamp) -> Result<(), String> {
    match &seen.orchestration_mode {
        Some(mode) if *mode != set.mode || matches!(mode, OrchestrationMode::Other(_)) => {
            Err(format!("its orchestration mode is {} now", mode.as_str()))
        }
        Some(_) | None => {
            claim::judge(&seen.tags, &set.owner, set.take_over_from.as_deref(), now).writable(now)
        }
    }
}

/// Ids come from Azure DevOps; one that does not fit never did.
fn id(agent: poolkeeper_policy::AgentId) -> AgentId {
    AgentId(u32::try_from(agent.0).unwrap_or(u32::MAX))
}

type Capabilities = std::collections::BTreeMap<String, String>;

/// What an agent would report of itself, and what a person would add to it.
fn parts(placeholder: Register) -> (Capabilities, Capabilities) {
    placeholder.capabilities.into_iter().partition(|(name, _)| name.to_lowercase().starts_with("agent."))
}

fn new_agent(placeholder: Register) -> NewAgent {
    let name = placeholder.name.clone();
    let (system_capabilities, user_capabilities) = parts(placeholder);
    let version = system_capabilities
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("agent.version"))
        .map(|(_, version)| version.clone())
        .unwrap_or_default();
    NewAgent {
        name,
        version,
        os_description: "poolkeeper placeholder".to_owned(),
        enabled: true,
        system_capabilities,
        user_capabilities,
    }
}
