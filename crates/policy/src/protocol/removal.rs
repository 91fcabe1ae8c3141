//! The removal of agents and their VMs, in the steps of rule 3.

use super::{
    Answer, Call, End, MISPLACED, Mutant, Next, Outcome, Part, Register, failed, in_flight, mutant, one,
    only, refused,
};
use crate::{
    failure::Failure,
    plan::{Member, Removal},
    pool::BindingName,
    snapshot::{AgentId, VmId},
};

/// As many as are deleted at once, so that the list is never older than one call.
const AT_A_TIME: usize = 8;
const NOBODY_LEFT: &str = "none of its members is still free and the same";

/// A removal on its way. `members` shrinks to those that have passed every check so far.
#[derive(Clone, Debug)]
pub(super) struct Removing {
    operation: String,
    binding: BindingName,
    removal: Removal,
    members: Vec<Member>,
    /// Those that are removed now.
    now: Vec<Member>,
    flexible: bool,
    /// A call about one agent or VM failed; the others go on.
    failure: Option<Failure>,
    /// Whose record was disabled and offline: it may be no agent's, but hold the name since an attempt that failed.
    unsure: Vec<VmId>,
    /// Records that hold the names of VMs which are reimaged: those will register anew.
    held: Vec<AgentId>,
    /// Flexible: what Azure has accepted, and what it has not.
    parts: Vec<Part>,
    left: Vec<VmId>,
    asked: Asked,
}

#[derive(Clone, Debug)]
enum Asked {
    Nothing,
    Set,
    /// Those whose agents are read, by their place in `members`.
    Agents(Vec<usize>),
    /// Those whose records are deleted.
    Records(Vec<usize>),
    Instances,
    Names,
    /// Those whose names are reserved, by their place in `now`.
    Reserved(Vec<usize>),
    Removed,
    /// The names are free again, and this is the end.
    Released(Box<End>),
}

impl Removing {
    pub(super) fn new(
        operation: String,
        binding: BindingName,
        removal: Removal,
        members: Vec<Member>,
    ) -> Self {
        Self {
            operation,
            binding,
            removal,
            members,
            now: Vec::new(),
            flexible: false,
            failure: None,
            unsure: Vec::new(),
            held: Vec::new(),
            parts: Vec::new(),
            left: Vec::new(),
            asked: Asked::Nothing,
        }
    }

    pub(super) fn next(&mut self, answers: Vec<Answer>) -> Next {
        match self.step(answers) {
            Next::End(end) if !self.held.is_empty() => {
                self.asked = Asked::Released(Box::new(end));
                Next::Calls(self.held.drain(..).map(Call::Release).collect())
            }
            next => next,
        }
    }

    fn step(&mut self, answers: Vec<Answer>) -> Next {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => {
                self.asked = Asked::Set;
                one(Call::ReadSet)
            }
            Asked::Set => match only(answers) {
                Some(Answer::Set(set)) => match set.refused {
                    Some(why) => self.refused(why),
                    None => {
                        self.flexible = set.flexible;
                        self.read_agents()
                    }
                },
                Some(Answer::Failed(failure)) => self.failed(failure),
                _ => self.refused(MISPLACED),
            },
            Asked::Agents(places) => self.agents(&places, answers),
            Asked::Records(places) => self.records(&places, answers),
            Asked::Names => match only(answers) {
                Some(Answer::Names(names)) => self.names(&names),
                Some(Answer::Failed(failure)) => self.failed(failure),
                _ => self.refused(MISPLACED),
            },
            Asked::Instances => self.instances(answers),
            Asked::Reserved(places) => self.reserved(&places, &answers),
            Asked::Removed => self.removed(answers),
            // A name that stays held costs its VM, which then goes without a job.
            Asked::Released(end) => Next::End(*end),
        }
    }

    fn refused(&self, why: impl Into<String>) -> Next {
        refused(Some(self.operation.clone()), why)
    }

    /// What Azure has accepted so far stays known.
    fn failed(&mut self, failure: Failure) -> Next {
        if self.parts.is_empty() {
            return failed(Some(self.operation.clone()), self.binding.clone(), failure);
        }
        let waiting = self.now.drain(..).chain(self.members.drain(..));
        self.left.extend(waiting.map(|member| member.vm_id));
        self.failure = Some(failure);
        self.over()
    }

    fn with_agent(&self) -> (Vec<usize>, Vec<crate::snapshot::AgentId>) {
        let members = self.members.iter().enumerate();
        members.filter_map(|(place, member)| Some((place, member.agent?))).unzip()
    }

    fn read_agents(&mut self) -> Next {
        let (places, agents) = self.with_agent();
        if places.is_empty() {
            return self.go_on();
        }
        if mutant::is(Mutant::SkipReread) {
            self.asked = Asked::Records(places);
            return Next::Calls(agents.into_iter().map(Call::DeleteAgent).collect());
        }
        self.asked = Asked::Agents(places);
        Next::Calls(agents.into_iter().map(Call::ReadAgent).collect())
    }

    /// Who may have a job, or takes jobs, stays; so does one whose record has another name by now.
    fn agents(&mut self, places: &[usize], answers: Vec<Answer>) -> Next {
        let mut kept = Vec::with_capacity(places.len());
        for (place, answer) in places.iter().zip(answers) {
            kept.push(match (answer, self.members.get_mut(*place)) {
                (Answer::Agent(None), Some(member)) => {
                    member.agent = None;
                    true
                }
                (Answer::Agent(Some(now)), Some(member)) => {
                    if !now.enabled && !now.online {
                        self.unsure.push(member.vm_id.clone());
                    }
                    let takes_jobs = now.enabled && now.online;
                    let same = now.name.eq_ignore_ascii_case(&member.computer_name);
                    same && !now.assigned && !takes_jobs
                }
                (Answer::Failed(failure), _) => {
                    self.failure = Some(failure);
                    false
                }
                _ => false,
            });
        }
        keep(&mut self.members, places, &kept);
        let (places, agents) = self.with_agent();
        if places.is_empty() {
            return self.go_on();
        }
        self.asked = Asked::Records(places);
        Next::Calls(agents.into_iter().map(Call::DeleteAgent).collect())
    }

    fn records(&mut self, places: &[usize], answers: Vec<Answer>) -> Next {
        let mut kept = Vec::with_capacity(places.len());
        for answer in answers {
            kept.push(match answer {
                Answer::Done => true,
                Answer::Failed(failure) => {
                    self.failure = Some(failure);
                    false
                }
                _ => false,
            });
        }
        keep(&mut self.members, places, &kept);
        self.go_on()
    }

    /// Whose record is gone goes on, whatever happened to the others.
    fn go_on(&mut self) -> Next {
        if self.members.is_empty() {
            return match self.failure.take() {
                Some(failure) => self.failed(failure),
                None => self.refused(NOBODY_LEFT),
            };
        }
        self.list_again()
    }

    /// Instance ids may be reused; the VM id is not: the last look before the deed.
    fn read_now(&mut self) -> Next {
        if self.now.is_empty() {
            return self.list_again();
        }
        if mutant::is(Mutant::SkipInstance) {
            return self.remove();
        }
        self.asked = Asked::Instances;
        let ids = self.now.iter().map(|member| member.instance_id.clone());
        Next::Calls(ids.map(Call::ReadInstance).collect())
    }

    fn instances(&mut self, answers: Vec<Answer>) -> Next {
        if let Some(Answer::Failed(failure)) =
            answers.iter().find(|answer| matches!(answer, Answer::Failed(_)))
        {
            return self.failed(failure.clone());
        }
        let mut answers = answers.into_iter();
        self.now.retain(
            |member| matches!(answers.next(), Some(Answer::Instance(Some(vm))) if vm == member.vm_id),
        );
        self.remove()
    }

    /// Right before the deletion: a Flexible scale set's VMs are deleted a few at a time, and each few are listed anew.
    fn list_again(&mut self) -> Next {
        let most = if self.flexible { AT_A_TIME } else { usize::MAX };
        self.now = self.members.drain(..most.min(self.members.len())).collect();
        if self.now.is_empty() {
            return self.over();
        }
        if mutant::is(Mutant::SkipRelist) {
            return self.read_now();
        }
        self.asked = Asked::Names;
        one(Call::ListAgents)
    }

    fn names(&mut self, names: &[String]) -> Next {
        self.now.retain(|member| !names.iter().any(|name| name.eq_ignore_ascii_case(&member.computer_name)));
        let (places, reserve): (Vec<usize>, Vec<Call>) = (self.now.iter().enumerate())
            .filter(|(_, member)| member.agent.is_none() || self.unsure.contains(&member.vm_id))
            .map(|(place, member)| (place, Call::Reserve(Register::reservation(&member.computer_name))))
            .unzip();
        if reserve.is_empty() {
            return self.read_now();
        }
        self.asked = Asked::Reserved(places);
        Next::Calls(reserve)
    }

    /// Who has registered meanwhile stays. Where the service takes no such record, the list must do.
    fn reserved(&mut self, places: &[usize], answers: &[Answer]) -> Next {
        if self.removal == Removal::Reimage {
            let held =
                |answer: &Answer| if let Answer::Reserved(agent) = answer { Some(*agent) } else { None };
            self.held.extend(answers.iter().filter_map(held));
        }
        let kept: Vec<bool> = answers.iter().map(|answer| *answer != Answer::Changed).collect();
        keep(&mut self.now, places, &kept);
        self.read_now()
    }

    fn remove(&mut self) -> Next {
        if self.now.is_empty() {
            return self.list_again();
        }
        self.asked = Asked::Removed;
        let members = self.now.clone();
        if self.flexible {
            let one = |member| Call::RemoveOne(self.removal, member);
            return Next::Calls(members.into_iter().map(one).collect());
        }
        one(Call::RemoveAll(self.removal, members))
    }

    fn removed(&mut self, answers: Vec<Answer>) -> Next {
        let vms = std::mem::take(&mut self.now).into_iter().map(|member| member.vm_id);
        if !self.flexible {
            return match only(answers) {
                Some(Answer::Accepted(url)) => in_flight(self.operation.clone(), url, vms.collect()),
                Some(Answer::Failed(failure)) => self.failed(failure),
                _ => self.refused(MISPLACED),
            };
        }
        for (vm, answer) in vms.zip(answers) {
            match answer {
                Answer::Accepted(url) => self.parts.push(Part { vm, url: Some(url.unwrap_or_default()) }),
                Answer::Failed(told) => {
                    self.left.push(vm);
                    self.failure = Some(told);
                }
                _ => {}
            }
        }
        self.list_again()
    }

    /// Nobody is left to be removed.
    fn over(&mut self) -> Next {
        let (parts, left) = (std::mem::take(&mut self.parts), std::mem::take(&mut self.left));
        if parts.is_empty() && left.is_empty() {
            return self.refused(NOBODY_LEFT);
        }
        let failure = self.failure.take().filter(|_| !left.is_empty()).map(|failure| (left, failure));
        let operation = self.operation.clone();
        Next::End(End { outcome: Outcome::Split { operation, parts, failure }, refused: None })
    }
}

/// Leaves those out for which the answer, in the order of `places`, is not `true`.
fn keep(members: &mut Vec<Member>, places: &[usize], kept: &[bool]) {
    let mut place = 0;
    members.retain(|_| {
        let asked = places.iter().position(|asked| *asked == place);
        place += 1;
        asked.is_none_or(|asked| kept.get(asked).copied().unwrap_or(false))
    });
}
