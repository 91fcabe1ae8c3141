//! Rule 3, call by call: what is asked before a VM goes, in which order, and what each answer stops.

use poolkeeper_policy::{
    Action, AgentId, AgentNow, Answer, BindingName, Call, Cause, End, Failure, FailureKind, InstanceId,
    Member, Next, Outcome, Part, Protocol, Removal, SetNow, VmId,
};
use rstest::rstest;

/// The VM of this number, with this agent.
fn member(number: i64, agent: Option<i64>) -> Member {
    Member {
        vm_id: VmId(format!("vm-{number}")),
        instance_id: InstanceId(number.to_string()),
        computer_name: format!("d4-{number}"),
        agent: agent.map(AgentId),
        cause: Cause::Used,
    }
}

fn remove(removal: Removal, members: Vec<Member>) -> Action {
    Action::Remove { operation: "op".to_owned(), binding: BindingName("d4".to_owned()), removal, members }
}

/// What the clouds answer.
struct Service {
    flexible: bool,
    agent: fn(AgentId) -> Answer,
    names: fn(u32) -> Answer,
    reserves: Answer,
    instance: fn(&InstanceId) -> Answer,
    removal: fn(u32) -> Answer,
    lists: u32,
    removals: u32,
}

const URL: &str = "https://azure/operations/1";

fn accepted() -> Answer {
    Answer::Accepted(Some(URL.to_owned()))
}

fn quiet(_: AgentId) -> Answer {
    Answer::Agent(Some(AgentNow { name: "d4-0".to_owned(), enabled: false, online: true, assigned: false }))
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "no".to_owned(), retry_after: None }
}

impl Default for Service {
    /// Everything is as it was when it was decided upon.
    fn default() -> Self {
        Self {
            flexible: false,
            agent: quiet,
            names: |_| Answer::Names(Vec::new()),
            reserves: Answer::Reserved(AgentId(77)),
            instance: |id| Answer::Instance(Some(VmId(format!("vm-{id}")))),
            removal: |_| accepted(),
            lists: 0,
            removals: 0,
        }
    }
}

impl Service {
    fn answer(&mut self, call: &Call) -> Answer {
        match call {
            Call::ReadSet => {
                Answer::Set(SetNow { refused: None, capacity: Some(2), flexible: self.flexible })
            }
            Call::ReadAgent(agent) => (self.agent)(*agent),
            Call::ListAgents => {
                self.lists += 1;
                (self.names)(self.lists)
            }
            Call::Reserve(_) => self.reserves.clone(),
            Call::ReadInstance(id) => (self.instance)(id),
            Call::RemoveAll(..) | Call::RemoveOne(..) => {
                self.removals += 1;
                (self.removal)(self.removals)
            }
            Call::DeleteAgent(_)
            | Call::Release(_)
            | Call::Disable(_)
            | Call::Raise { .. }
            | Call::Mark { .. }
            | Call::Register(_)
            | Call::Describe(..)
            | Call::Label(..) => Answer::Done,
        }
    }

    /// The calls of a deed in a few letters, and its end.
    fn play(mut self, action: &Action) -> (Vec<String>, End) {
        let (mut protocol, mut answers, mut calls) = (Protocol::new(action), Vec::new(), Vec::new());
        loop {
            match protocol.next(std::mem::take(&mut answers)) {
                Next::End(end) => return (calls, end),
                Next::Calls(next) => {
                    calls.extend(next.iter().map(name));
                    answers = next.iter().map(|call| self.answer(call)).collect();
                }
            }
        }
    }
}

fn name(call: &Call) -> String {
    match call {
        Call::ReadSet => "set".to_owned(),
        Call::ReadAgent(agent) => format!("agent {agent}"),
        Call::DeleteAgent(agent) => format!("delete agent {agent}"),
        Call::ListAgents => "list".to_owned(),
        Call::Reserve(record) => format!("reserve {}", record.name),
        Call::Release(agent) => format!("release {agent}"),
        Call::ReadInstance(id) => format!("instance {id}"),
        Call::RemoveAll(removal, members) => format!("{removal:?} {}", ids(members)),
        Call::RemoveOne(removal, member) => format!("{removal:?} {}", member.instance_id),
        other => format!("{other:?}"),
    }
}

fn ids(members: &[Member]) -> String {
    members.iter().map(|member| member.instance_id.0.as_str()).collect::<Vec<_>>().join("+")
}

#[rstest]
#[case::deleted(Removal::Delete, &[
    "set", "agent 5", "delete agent 5", "list", "reserve d4-1", "instance 0", "instance 1", "Delete 0+1",
])]
#[case::reimaged_and_the_name_is_free_again(Removal::Reimage, &[
    "set", "agent 5", "delete agent 5", "list", "reserve d4-1", "instance 0", "instance 1", "Reimage 0+1", "release 77",
])]
fn everything_is_looked_at_once_more(#[case] removal: Removal, #[case] expected: &[&str]) {
    let (calls, end) = Service::default().play(&remove(removal, vec![member(0, Some(5)), member(1, None)]));
    assert_eq!(calls, expected);
    let covered = vec![VmId("vm-0".to_owned()), VmId("vm-1".to_owned())];
    let outcome = Outcome::InFlight { operation: "op".to_owned(), url: Some(URL.to_owned()), covered };
    assert_eq!(end, End { outcome, refused: None });
}

/// The last call that is made for a VM with an agent, when an answer says that it must stay.
#[rstest]
#[case::a_job_is_assigned(
    Service { agent: |_| Answer::Agent(Some(AgentNow { name: "d4-0".to_owned(), enabled: false, online: true, assigned: true })), ..Service::default() },
    "agent 5"
)]
#[case::it_takes_jobs(
    Service { agent: |_| Answer::Agent(Some(AgentNow { name: "d4-0".to_owned(), enabled: true, online: true, assigned: false })), ..Service::default() },
    "agent 5"
)]
#[case::the_record_is_another_agents(
    Service { agent: |_| Answer::Agent(Some(AgentNow { name: "other".to_owned(), enabled: false, online: false, assigned: false })), ..Service::default() },
    "agent 5"
)]
#[case::it_cannot_be_read(Service { agent: |_| Answer::Failed(failure(FailureKind::Unreachable)), ..Service::default() }, "agent 5")]
#[case::the_list_is_missing(Service { names: |_| Answer::Failed(failure(FailureKind::Throttled)), ..Service::default() }, "list")]
#[case::it_is_back_under_its_name(Service { names: |_| Answer::Names(vec!["D4-0".to_owned()]), ..Service::default() }, "list")]
#[case::another_vm_has_its_id(Service { instance: |_| Answer::Instance(Some(VmId("new".to_owned()))), ..Service::default() }, "instance 0")]
#[case::the_vm_is_gone(Service { instance: |_| Answer::Instance(None), ..Service::default() }, "instance 0")]
#[case::the_instance_cannot_be_read(Service { instance: |_| Answer::Failed(failure(FailureKind::Unreachable)), ..Service::default() }, "instance 0")]
fn one_answer_is_enough_to_keep_a_vm(#[case] service: Service, #[case] last: &str) {
    let (calls, end) = service.play(&remove(Removal::Delete, vec![member(0, Some(5))]));
    assert_eq!(calls.last().map(String::as_str), Some(last), "{calls:?}");
    assert!(!calls.iter().any(|call| call.starts_with("Delete")), "{calls:?}");
    assert!(!matches!(end.outcome, Outcome::InFlight { .. } | Outcome::Split { .. }), "{end:?}");
}

/// The record of an attempt that failed after it had held the name reads like a quiet agent's.
#[rstest]
#[case::deleted(Removal::Delete)]
#[case::reimaged(Removal::Reimage)]
fn a_name_held_by_an_attempt_that_failed_is_held_again(#[case] removal: Removal) {
    let reservation = |_| {
        let name = "d4-0".to_owned();
        Answer::Agent(Some(AgentNow { name, enabled: false, online: false, assigned: false }))
    };
    // Its real agent registers in the moment in which the name is free.
    let service = Service { agent: reservation, reserves: Answer::Changed, ..Service::default() };
    let (calls, end) = service.play(&remove(removal, vec![member(0, Some(5))]));
    assert_eq!(calls, ["set", "agent 5", "delete agent 5", "list", "reserve d4-0"]);
    assert!(!matches!(end.outcome, Outcome::InFlight { .. }), "{end:?}");
}

#[test]
fn who_registers_while_its_name_is_held_keeps_its_vm() {
    let service = Service { reserves: Answer::Changed, ..Service::default() };
    let (calls, end) = service.play(&remove(Removal::Delete, vec![member(0, Some(5)), member(1, None)]));
    assert_eq!(calls.last().map(String::as_str), Some("Delete 0"), "{calls:?}");
    assert!(
        matches!(&end.outcome, Outcome::InFlight { covered, .. } if covered == &[VmId("vm-0".to_owned())])
    );
}

/// A name that is held and never freed would cost the VM its next agent.
#[rstest]
#[case::azure_refuses(Service { removal: |_| Answer::Failed(failure(FailureKind::Conflict)), ..Service::default() })]
#[case::the_instance_is_another(Service { instance: |_| Answer::Instance(None), ..Service::default() })]
#[case::the_instance_cannot_be_read(Service { instance: |_| Answer::Failed(failure(FailureKind::Unreachable)), ..Service::default() })]
fn the_name_of_a_vm_that_is_not_reimaged_is_free_again(#[case] service: Service) {
    let (calls, end) = service.play(&remove(Removal::Reimage, vec![member(1, None)]));
    assert_eq!(calls.last().map(String::as_str), Some("release 77"), "{calls:?}");
    assert!(!matches!(end.outcome, Outcome::InFlight { .. }), "{end:?}");
}

#[test]
fn a_service_that_holds_no_names_is_served_with_the_list_alone() {
    let service = Service { reserves: Answer::Failed(failure(FailureKind::Refused)), ..Service::default() };
    let (calls, _) = service.play(&remove(Removal::Reimage, vec![member(1, None)]));
    assert_eq!(calls.last().map(String::as_str), Some("Reimage 1"), "{calls:?}");
}

#[test]
fn flexible_vms_go_eight_at_a_time_each_few_after_a_list_of_their_own() {
    let members = (0..10).map(|number| member(number, Some(number))).collect();
    let agent = |agent: AgentId| {
        let name = format!("d4-{agent}");
        Answer::Agent(Some(AgentNow { name, enabled: false, online: false, assigned: false }))
    };
    let (calls, end) =
        Service { flexible: true, agent, ..Service::default() }.play(&remove(Removal::Delete, members));
    let lists: Vec<usize> = (0..calls.len()).filter(|place| calls[*place] == "list").collect();
    let first: Vec<usize> = (0..calls.len()).filter(|place| calls[*place].starts_with("Delete ")).collect();
    assert_eq!((lists.len(), first.len()), (2, 10), "{calls:?}");
    assert!(lists[0] < first[0] && first[7] < lists[1] && lists[1] < first[8], "{calls:?}");
    assert!(matches!(&end.outcome, Outcome::Split { parts, failure: None, .. } if parts.len() == 10));
}

/// What Azure has accepted is never forgotten for what comes after it.
#[rstest]
#[case::the_second_list(Service { names: |list| if list == 1 { Answer::Names(Vec::new()) } else { Answer::Failed(failure(FailureKind::Unreachable)) }, ..Service::default() }, 8, 2)]
#[case::the_second_few_instances(Service { instance: |id| if id.0 == "9" { Answer::Failed(failure(FailureKind::Unreachable)) } else { Answer::Instance(Some(VmId(format!("vm-{id}")))) }, ..Service::default() }, 8, 2)]
#[case::the_fourth_deletion(Service { removal: |removal| if removal == 4 { Answer::Failed(failure(FailureKind::Conflict)) } else { accepted() }, ..Service::default() }, 9, 1)]
fn a_failure_in_the_middle_leaves_what_is_done(
    #[case] service: Service,
    #[case] done: usize,
    #[case] left: usize,
) {
    let members = (0..10).map(|number| member(number, None)).collect();
    let service = Service { flexible: true, ..service };
    let (_, end) = service.play(&remove(Removal::Delete, members));
    let Outcome::Split { parts, failure: Some((vms, _)), .. } = &end.outcome else { panic!("{end:?}") };
    assert_eq!((parts.len(), vms.len()), (done, left));
    assert!(parts.iter().all(|Part { vm, .. }| !vms.contains(vm)));
}
