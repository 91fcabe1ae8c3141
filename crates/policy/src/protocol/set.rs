//! Deeds of one or two calls: changes of a scale set, and an agent that shall take no further job.

use super::{Answer, Call, MISPLACED, Next, SetNow, done, failed, in_flight, one, only, refused};
use crate::{
    plan::{Cause, Member},
    pool::BindingName,
    snapshot::{AgentId, VmId},
};

/// A change of a scale set's capacity or tags: it is read again, must be ours, and must be as it was decided upon.
#[derive(Clone, Debug)]
pub(super) struct Change {
    binding: BindingName,
    kind: Kind,
    asked: Asked,
}

#[derive(Clone, Debug)]
enum Kind {
    Grow {
        operation: String,
        target: u32,
        capacity: u32,
    },
    /// Whoever is saved is kept from further jobs first.
    Save {
        members: Vec<Member>,
    },
    Unmark {
        vms: Vec<VmId>,
    },
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Nothing,
    Set,
    Agents,
    Disabled,
    Changed,
}

impl Change {
    pub(super) fn grow(operation: String, binding: BindingName, target: u32, capacity: u32) -> Self {
        Self { binding, kind: Kind::Grow { operation, target, capacity }, asked: Asked::Nothing }
    }

    pub(super) fn save(binding: BindingName, members: Vec<Member>) -> Self {
        Self { binding, kind: Kind::Save { members }, asked: Asked::Nothing }
    }

    pub(super) fn unmark(binding: BindingName, vms: Vec<VmId>) -> Self {
        Self { binding, kind: Kind::Unmark { vms }, asked: Asked::Nothing }
    }

    fn operation(&self) -> Option<String> {
        match &self.kind {
            Kind::Grow { operation, .. } => Some(operation.clone()),
            Kind::Save { .. } | Kind::Unmark { .. } => None,
        }
    }

    pub(super) fn next(&mut self, answers: Vec<Answer>) -> Next {
        if let Some(Answer::Failed(failure)) =
            answers.iter().find(|answer| matches!(answer, Answer::Failed(_)))
        {
            return failed(self.operation(), self.binding.clone(), failure.clone());
        }
        match self.asked {
            Asked::Nothing => {
                self.asked = Asked::Set;
                one(Call::ReadSet)
            }
            Asked::Set => match only(answers) {
                Some(Answer::Set(set)) => self.set(set),
                _ => refused(self.operation(), MISPLACED),
            },
            Asked::Agents => self.agents(answers),
            Asked::Disabled => self.mark(),
            Asked::Changed => self.changed(answers),
        }
    }

    fn set(&mut self, set: SetNow) -> Next {
        if let Some(why) = set.refused {
            return refused(self.operation(), why);
        }
        match &self.kind {
            Kind::Grow { target, capacity, .. } => {
                if set.capacity != Some(*capacity) {
                    return refused(self.operation(), "its capacity has changed");
                }
                if target < capacity {
                    return refused(self.operation(), "a capacity is never lowered");
                }
                let to = *target;
                self.asked = Asked::Changed;
                one(Call::Raise { to })
            }
            Kind::Save { members } => {
                let agents: Vec<Call> =
                    members.iter().filter_map(|member| member.agent).map(Call::ReadAgent).collect();
                if agents.is_empty() {
                    return self.mark();
                }
                self.asked = Asked::Agents;
                Next::Calls(agents)
            }
            Kind::Unmark { .. } => self.mark(),
        }
    }

    /// Who has been given a job, takes jobs, or is another's, is not saved.
    fn agents(&mut self, answers: Vec<Answer>) -> Next {
        let Kind::Save { members } = &mut self.kind else { return refused(None, MISPLACED) };
        let mut answers = answers.into_iter();
        let mut disable: Vec<AgentId> = Vec::new();
        members.retain(|member| {
            let Some(agent) = member.agent else { return true };
            match answers.next() {
                Some(Answer::Agent(None)) => true,
                Some(Answer::Agent(Some(now))) => {
                    let same = now.name.eq_ignore_ascii_case(&member.computer_name);
                    let takes_jobs = now.enabled && now.online;
                    let free = same && !now.assigned && !takes_jobs;
                    disable.extend((free && now.enabled).then_some(agent));
                    free
                }
                _ => false,
            }
        });
        if members.is_empty() {
            return refused(None, "its agent takes jobs or has one");
        }
        if disable.is_empty() {
            return self.mark();
        }
        self.asked = Asked::Disabled;
        Next::Calls(disable.into_iter().map(Call::Disable).collect())
    }

    fn mark(&mut self) -> Next {
        let (add, remove) = match &self.kind {
            Kind::Save { members } => {
                (members.iter().map(|member| member.vm_id.clone()).collect(), Vec::new())
            }
            Kind::Unmark { vms } => (Vec::new(), vms.clone()),
            Kind::Grow { .. } => return refused(self.operation(), MISPLACED),
        };
        self.asked = Asked::Changed;
        one(Call::Mark { add, remove })
    }

    fn changed(&self, answers: Vec<Answer>) -> Next {
        match (only(answers), self.operation()) {
            (Some(Answer::Accepted(url)), Some(operation)) => in_flight(operation, url, Vec::new()),
            (Some(Answer::Accepted(_) | Answer::Done), None) => done(),
            (Some(Answer::Changed), operation) => refused(operation, "somebody else changed it"),
            (_, operation) => refused(operation, MISPLACED),
        }
    }
}

/// An agent that shall take no further job.
#[derive(Clone, Debug)]
pub(super) struct Disabling {
    binding: BindingName,
    member: Member,
    read: bool,
    asked: bool,
}

impl Disabling {
    pub(super) fn new(binding: BindingName, member: Member) -> Self {
        Self { binding, member, read: false, asked: false }
    }

    pub(super) fn next(&mut self, answers: Vec<Answer>) -> Next {
        let Some(agent) = self.member.agent else { return refused(None, "it has no agent") };
        if !self.asked {
            self.asked = true;
            return one(Call::ReadAgent(agent));
        }
        match only(answers) {
            Some(Answer::Failed(failure)) => failed(None, self.binding.clone(), failure),
            Some(Answer::Agent(None)) => refused(None, "its agent is gone"),
            // Nobody is in excess who works; who leaves finishes this job and gets no other.
            Some(Answer::Agent(Some(now))) if now.assigned && self.member.cause == Cause::Excess => {
                refused(None, "it has been given a job")
            }
            Some(Answer::Agent(Some(_))) if !self.read => {
                self.read = true;
                one(Call::Disable(agent))
            }
            Some(Answer::Done) if self.read => done(),
            _ => refused(None, MISPLACED),
        }
    }
}
