//! Tags that say who is saved.

use poolkeeper_policy::{Agent, BindingName, Member, Outcome, SavedMark, VmId};

use super::World;

impl World {
    /// Whoever takes jobs, or has one, is not saved.
    pub(super) fn save(&mut self, binding: &BindingName, members: &[Member]) -> Outcome {
        let now = self.now;
        for member in members {
            let agent = member.agent.and_then(|agent| self.agents.get_mut(&agent));
            let taken = |agent: &Agent| agent.assigned.is_some() || (agent.enabled && agent.online);
            if agent.as_ref().is_some_and(|agent| taken(agent)) {
                continue;
            }
            if let Some(agent) = agent {
                agent.enabled = false;
            }
            let marks = &mut self.sets.get_mut(binding).unwrap().saved;
            marks.insert(member.vm_id.clone(), SavedMark { at: Some(now) });
        }
        Outcome::Done
    }

    pub(super) fn unmark(&mut self, binding: &BindingName, vms: &[VmId]) -> Outcome {
        self.sets.get_mut(binding).unwrap().saved.retain(|vm, _| !vms.contains(vm));
        Outcome::Done
    }
}
