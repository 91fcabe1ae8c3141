//! What the clouds answer to a call, and what it does.

use poolkeeper_policy::{AgentNow, Answer, Call, Failure, FailureKind, Member, Removal, SetNow};

use crate::{
    operator::Pass,
    variant::Variant,
    world::{Crime, PLACES, Phase, State, computer_name, place_of, vm_id},
};

/// A job was lost through the window that remains.
pub(crate) struct LostInWindow;

/// Carries a call out. `pass` is told what matters for the checks of the model.
pub(crate) fn carry_out(
    variant: &Variant,
    state: &mut State,
    pass: &mut Pass,
    call: &Call,
) -> (Answer, Option<LostInWindow>) {
    let mut lost = None;
    let answer = match call {
        Call::ReadSet => {
            pass.capacity = Some(state.capacity());
            let capacity = pass.capacity;
            Answer::Set(SetNow { refused: None, capacity, flexible: variant.flexible })
        }
        Call::Raise { to } => raise(variant, state, pass, *to),
        Call::Mark { add, .. } => {
            for place in 0..PLACES {
                if let Some(vm) = state.vm_mut(place).filter(|vm| add.contains(&vm_id(place, vm.generation)))
                {
                    vm.saved = true;
                }
            }
            Answer::Done
        }
        Call::ReadInstance(instance) => {
            let place = place_of(instance);
            pass.read.extend(place);
            let vm = place.and_then(|place| Some(vm_id(place, state.vm(place)?.generation)));
            Answer::Instance(vm)
        }
        Call::RemoveAll(removal, members) => {
            for member in members {
                lost = remove(variant, state, pass, *removal, member).or(lost);
            }
            Answer::Accepted(Some("operation".to_owned()))
        }
        Call::RemoveOne(removal, member) => {
            lost = remove(variant, state, pass, *removal, member);
            Answer::Accepted(Some("operation".to_owned()))
        }
        Call::ReadAgent(agent) => {
            pass.agents_read = true;
            Answer::Agent(state.find(*agent).and_then(|place| {
                let record = state.record(place)?;
                let name = computer_name(place);
                let (enabled, online) = (record.enabled, record.online());
                Some(AgentNow { name, enabled, online, assigned: record.busy })
            }))
        }
        Call::Disable(agent) => {
            if let Some(record) = state.find(*agent).and_then(|place| state.record_mut(place)) {
                record.unsettled = record.enabled && record.online();
                record.enabled = false;
            }
            Answer::Done
        }
        Call::DeleteAgent(agent) => delete_record(variant, state, state.find(*agent)),
        Call::ListAgents => {
            pass.listed = true;
            pass.window.clear();
            let named = (0..PLACES).filter(|place| state.record(*place).is_some());
            Answer::Names(named.map(computer_name).collect())
        }
        // The model has no placeholders.
        // The service may take no such record, so a reservation keeps nobody out here.
        Call::Reserve(_) | Call::Release(_) | Call::Register(_) | Call::Describe(..) | Call::Label(..) => {
            Answer::Done
        }
    };
    (answer, lost)
}

/// What a call answers that got lost on its way, there or back.
pub(crate) fn unreachable() -> Answer {
    let message = "no answer".to_owned();
    Answer::Failed(Failure { kind: FailureKind::Unreachable, message, retry_after: None })
}

fn raise(variant: &Variant, state: &mut State, pass: &Pass, to: u32) -> Answer {
    if pass.capacity != Some(state.capacity()) {
        return Answer::Changed;
    }
    while state.capacity() < to {
        let free = (0..variant.max_agents).find(|place| state.vm(*place).is_none());
        let Some(place) = free else {
            // Every place up to the maximum is taken, by VMs that go too.
            state.crime = Some(Crime::OverMaximum);
            break;
        };
        state.create(place, variant.newborn());
    }
    Answer::Accepted(Some("operation".to_owned()))
}

fn delete_record(variant: &Variant, state: &mut State, place: Option<usize>) -> Answer {
    let Some((place, record)) = place.and_then(|place| Some((place, state.record(place)?))) else {
        return Answer::Done;
    };
    if record.busy && variant.refuses_deletion {
        return Answer::StillRunning;
    }
    if record.busy {
        state.crime = Some(Crime::RecordOfJobDeleted);
    }
    state.put_record(place, None);
    Answer::Done
}

/// Azure looks for nothing but the instance id.
fn remove(
    variant: &Variant,
    state: &mut State,
    pass: &Pass,
    removal: Removal,
    member: &Member,
) -> Option<LostInWindow> {
    let place = place_of(&member.instance_id)?;
    let vm = state.vm(place)?;
    if vm.phase == Phase::Deleting {
        return None;
    }
    let in_window = pass.window.contains(&place);
    let mut lost = None;
    if !in_window && vm_id(place, vm.generation) != member.vm_id {
        state.crime = Some(Crime::OtherVmRemoved);
    }
    if let Some(record) = state.own_record(place) {
        if record.busy && in_window {
            lost = Some(LostInWindow);
            state.finish(place, variant.newborn());
        } else if record.busy {
            state.crime = Some(Crime::JobKilled);
        } else if record.enabled && record.online() && !in_window {
            state.crime = Some(Crime::EnabledAgentRemoved);
        }
    }
    state.machine_lost(place);
    if let Some(vm) = state.vm_mut(place) {
        vm.phase = match removal {
            Removal::Delete => Phase::Deleting,
            Removal::Reimage => Phase::Reimaging,
        };
    }
    lost
}
