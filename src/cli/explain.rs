//! `poolkeeper explain`: a pool, a VM or a job in sentences.

use std::fmt::Write as _;

use super::{
    Error, Output,
    agents::ID,
    json,
    table::{Column, age, paragraph, table},
};
use crate::explanation::{AgentView, JobView, PoolView, RecordView};

const JOBS: [Column; 5] = [
    Column("JOB", 12),
    Column("DEFINITION", 32),
    Column("QUEUED", 8),
    Column("IMAGE", 24),
    Column("WHY", usize::MAX),
];

const VMS: [Column; 5] = [
    Column("NAME", 40),
    Column("BINDING", 24),
    Column("STATE", 14),
    Column("SINCE", 8),
    Column("WHY", usize::MAX),
];

/// The pool, or only one job or VM of it.
pub(super) fn text(
    view: &PoolView,
    job: Option<i64>,
    vm: Option<&str>,
    output: Output,
    width: Option<usize>,
) -> Result<String, Error> {
    if let Some(request) = job {
        let found = view.jobs.iter().find(|job| job.request == request);
        let found = found.ok_or_else(|| Error::NoJob { job: request, pool: view.name.clone() })?;
        return match output {
            Output::Json => json(found),
            Output::Table => Ok(of_job(found, view, width)),
        };
    }
    if let Some(vm) = vm {
        return match (find(view, vm)?, output) {
            (Found::Agent(agent), Output::Json) => json(agent),
            (Found::Agent(agent), Output::Table) => Ok(of_vm(agent, view, width)),
            (Found::Record(record), Output::Json) => json(record),
            (Found::Record(record), Output::Table) => Ok(of_record(record, width)),
        };
    }
    match output {
        Output::Json => json(view),
        Output::Table => Ok(of_pool(view, width)),
    }
}

fn of_pool(view: &PoolView, width: Option<usize>) -> String {
    let mut text = paragraph(&view.decision.why, "", width);
    let limit = match view.decision.limited_by.as_str() {
        "Nothing" => "Nothing limits it".to_owned(),
        limit => format!("Limited by: {limit}"),
    };
    let _infallible = writeln!(text, "{limit}; as seen {} ago.", age(view.made_at, view.now));
    let waiting: Vec<&JobView> = view.jobs.iter().filter(|job| job.agent.is_none()).collect();
    if waiting.is_empty() {
        text.push_str("\nNo job waits.\n");
    } else {
        text.push_str("\nJobs that wait:\n");
        let row = |job: &&JobView| {
            vec![
                job.request.to_string(),
                job.definition.clone().unwrap_or_default(),
                job.queued_at.map(|at| age(at, view.now)).unwrap_or_default(),
                job.image.clone().unwrap_or_default(),
                job.why.clone(),
            ]
        };
        text.push_str(&table(&JOBS, &waiting.iter().map(row).collect::<Vec<_>>(), width));
    }
    let settled = |agent: &&AgentView| !matches!(agent.state.as_str(), "Idle" | "Busy");
    let moving: Vec<&AgentView> = view.agents.iter().filter(settled).collect();
    if view.agents.is_empty() {
        text.push_str("\nThere are no VMs.\n");
    } else if moving.is_empty() {
        text.push_str("\nEvery VM is idle or busy.\n");
    } else {
        text.push_str("\nVMs that are neither idle nor busy:\n");
        let row = |agent: &&AgentView| {
            vec![
                agent.name.clone(),
                agent.binding.clone(),
                agent.state.clone(),
                agent.since.map(|since| age(since, view.now)).unwrap_or_default(),
                agent.why.clone(),
            ]
        };
        text.push_str(&table(&VMS, &moving.iter().map(row).collect::<Vec<_>>(), width));
    }
    text
}

fn of_job(job: &JobView, view: &PoolView, width: Option<usize>) -> String {
    let mut words = format!("Job {}", job.request);
    if let Some(definition) = &job.definition {
        let _infallible = write!(words, " of {definition}");
    }
    if let Some(at) = job.queued_at {
        let _infallible = write!(words, ", queued {} ago", age(at, view.now));
    }
    match job.demands.as_slice() {
        [] => words.push_str(", asks for nothing special"),
        demands => _ = write!(words, ", asks for {}", demands.join(", ")),
    }
    match job.image.as_deref() {
        None | Some("") => {}
        Some(image) => _ = write!(words, "; it goes to image {image}"),
    }
    words.push('.');
    paragraph(&words, "", width) + &paragraph(&job.why, "", width)
}

fn of_vm(agent: &AgentView, view: &PoolView, width: Option<usize>) -> String {
    let AgentView { name, vm_id, instance_id, binding, state, .. } = agent;
    let mut words =
        format!("{name} is instance {instance_id} of binding {binding}, VM {vm_id}. State: {state}");
    if let Some(since) = agent.since {
        let _infallible = write!(words, " since {}", age(since, view.now));
    }
    match agent.agent {
        None => words.push_str("; it has no agent."),
        Some(id) => {
            let online = if agent.online { "online" } else { "offline" };
            let enabled = if agent.enabled { "enabled" } else { "disabled" };
            let _infallible = write!(words, "; agent {id} is {online} and {enabled}.");
        }
    }
    paragraph(&words, "", width) + &paragraph(&agent.why, "", width)
}

fn of_record(record: &RecordView, width: Option<usize>) -> String {
    let RecordView { agent, name, kind, online, why } = record;
    let online = if *online { "online" } else { "offline" };
    let words = format!("{name} is agent {agent}, {online}, on none of the pool's VMs: {kind}.");
    paragraph(&words, "", width) + &paragraph(why, "", width)
}

enum Found<'a> {
    Agent(&'a AgentView),
    Record(&'a RecordView),
}

/// By a whole name or id, else by the beginning of an id, as the table of agents shows it.
fn find<'a>(view: &'a PoolView, vm: &str) -> Result<Found<'a>, Error> {
    let is = |text: &str| text.eq_ignore_ascii_case(vm);
    let whole = |agent: &&AgentView| is(&agent.vm_id) || is(&agent.name) || is(&agent.instance_id);
    let begins = |agent: &&AgentView| vm.chars().count() >= ID && agent.vm_id.get(..vm.len()).is_some_and(is);
    let mut found: Vec<&AgentView> = view.agents.iter().filter(whole).collect();
    if found.is_empty() {
        found = view.agents.iter().filter(begins).collect();
    }
    match found.as_slice() {
        [agent] => Ok(Found::Agent(agent)),
        [] => {
            let record = view.records.iter().find(|record| is(&record.name));
            let none = || Error::NoVm { vm: vm.to_owned(), pool: view.name.clone() };
            record.map(Found::Record).ok_or_else(none)
        }
        several => {
            let found = several.iter().map(|agent| format!("{} ({})", agent.vm_id, agent.name));
            Err(Error::SeveralVms { vm: vm.to_owned(), found: found.collect::<Vec<_>>().join(", ") })
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::explanation::DecisionView;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn agent(number: u32, vm: &str, state: &str, since: &str, why: &str) -> AgentView {
        AgentView {
            name: format!("linux-d400000{number}"),
            vm_id: format!("{vm}-1111-2222-3333-444444444444"),
            instance_id: number.to_string(),
            binding: "linux-build-d4".into(),
            state: state.into(),
            since: Some(at(since)),
            agent: (state != "Starting").then(|| 10 + i64::from(number)),
            enabled: true,
            online: true,
            job: (state == "Busy").then_some(41),
            why: why.into(),
        }
    }

    /// A pool with something of everything.
    pub(in crate::cli) fn view() -> PoolView {
        let job = |request, agent, why: &str| JobView {
            request,
            definition: Some("build".into()),
            queued_at: Some(at("08:41:00")),
            demands: vec!["ImageOverride -equals ubuntu-22.04".into(), "docker".into()],
            image: Some("ubuntu-22.04".into()),
            agent,
            why: why.into(),
        };
        let record = |agent, name: &str, kind: &str, why: &str| RecordView {
            agent,
            name: name.into(),
            kind: kind.into(),
            online: false,
            why: why.into(),
        };
        let idle = "kept: standby wants 2 and 2 are idle, so that a job finds an agent at once";
        PoolView {
            namespace: "ci".into(),
            name: "linux-build".into(),
            now: at("08:42:00"),
            made_at: at("08:41:48"),
            decision: DecisionView {
                desired: 4,
                limited_by: "MaxAgents".into(),
                sum: "1 busy + 1 queued + 2 standby = 4 of at most 4".into(),
                why: "4 agents are wanted: 1 busy, 1 queued, 2 on standby. No more VMs start: maxAgents is 4; raise \
                      it to have more."
                    .into(),
            },
            agents: vec![
                agent(0, "0b6c2f1e", "Busy", "08:30:00", "its job 41 runs since 08:30Z"),
                agent(1, "7d1a9c30", "Idle", "08:38:40", idle),
                agent(2, "7d1a9c31", "Starting", "08:41:15", "given up at 08:52Z"),
            ],
            jobs: vec![
                job(41, Some(10), "runs on linux-d4000000"),
                job(42, None, "waits: 1 agent is starting, expected by 08:44Z"),
            ],
            records: vec![
                record(7, "mac-mini-3", "Foreign", "runs on none of the pool's VMs"),
                record(8, "poolkeeper-x", "Placeholder", "lets jobs wait"),
            ],
        }
    }

    fn said(job: Option<i64>, vm: Option<&str>) -> String {
        text(&view(), job, vm, Output::Table, Some(100)).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn a_pool_is_explained() {
        let expected = "\
4 agents are wanted: 1 busy, 1 queued, 2 on standby. No more VMs start: maxAgents is 4; raise it to
have more.
Limited by: MaxAgents; as seen 12s ago.

Jobs that wait:
JOB  DEFINITION  QUEUED  IMAGE         WHY
42   build       60s     ubuntu-22.04  waits: 1 agent is starting, expected by 08:44Z

VMs that are neither idle nor busy:
NAME            BINDING         STATE     SINCE  WHY
linux-d4000002  linux-build-d4  Starting  45s    given up at 08:52Z
";
        assert_eq!(said(None, None), expected);
        let mut quiet = view();
        quiet.jobs.clear();
        quiet.agents.truncate(2);
        quiet.decision.limited_by = "Nothing".into();
        quiet.decision.why = "Nothing is missing.".into();
        let expected = "\
Nothing is missing.
Nothing limits it; as seen 12s ago.

No job waits.

Every VM is idle or busy.
";
        assert_eq!(of_pool(&quiet, Some(100)), expected);
    }

    #[test]
    fn a_vm_is_found_by_name_id_or_instance_and_explained() {
        let expected = "\
linux-d4000000 is instance 0 of binding linux-build-d4, VM 0b6c2f1e-1111-2222-3333-444444444444.
State: Busy since 12m; agent 10 is online and enabled.
its job 41 runs since 08:30Z
";
        for vm in
            ["linux-d4000000", "LINUX-D4000000", "0", "0b6c2f1e", "0b6c2f1e-1111-2222-3333-444444444444"]
        {
            assert_eq!(said(None, Some(vm)), expected, "{vm}");
        }
        assert!(said(None, Some("2")).contains("State: Starting since 45s; it has no agent."));
        assert_eq!(
            said(None, Some("mac-mini-3")),
            "mac-mini-3 is agent 7, offline, on none of the pool's VMs: Foreign.\nruns on none of the pool's VMs\n"
        );
    }

    #[test]
    fn what_is_no_vm_of_the_pool_or_several_is_an_error_with_the_mend() {
        assert_eq!(
            said(None, Some("0b6c2f1")),
            "pool linux-build has no VM \"0b6c2f1\"; poolkeeper agents linux-build lists names, ids and instance ids"
        );
        let mut twice = view();
        twice.agents.extend(view().agents.into_iter().take(1).map(|agent| AgentView {
            vm_id: "0b6c2f1e-9999-2222-3333-444444444444".into(),
            name: "other".into(),
            ..agent
        }));
        for vm in ["0", "0b6c2f1e"] {
            let error = text(&twice, None, Some(vm), Output::Table, None).unwrap_err().to_string();
            assert!(error.ends_with("give a whole id") && error.contains("0b6c2f1e-9999"), "{error}");
        }
    }

    #[test]
    fn a_job_is_explained() {
        let expected = "\
Job 42 of build, queued 60s ago, asks for ImageOverride -equals ubuntu-22.04, docker; it goes to
image ubuntu-22.04.
waits: 1 agent is starting, expected by 08:44Z
";
        assert_eq!(said(Some(42), None), expected);
        assert_eq!(
            said(Some(5), None),
            "pool linux-build has no unfinished job 5; poolkeeper explain linux-build -o json lists those that it has"
        );
    }

    #[test]
    fn json_is_the_whole_pool_or_the_one_asked_for() {
        let whole = text(&view(), None, None, Output::Json, None).unwrap();
        assert_eq!(serde_json::from_str::<PoolView>(&whole).unwrap(), view());
        let vm = text(&view(), None, Some("7d1a9c30"), Output::Json, None).unwrap();
        assert_eq!(&serde_json::from_str::<AgentView>(&vm).unwrap(), &view().agents[1]);
        let job = text(&view(), Some(41), None, Output::Json, None).unwrap();
        assert_eq!(&serde_json::from_str::<JobView>(&job).unwrap(), &view().jobs[0]);
    }
}
