//! The organisation's parallel jobs.

use jiff::SignedDuration;
use poolkeeper_policy::{Image, JobRequest, LimitedBy, Plan, PoolReason};
use rstest::rstest;

use crate::support::{
    Scene, binding, first_look, grown, growths, machine, monday, pool, scene, scene::job, standby,
};

fn limited(plan: &Plan) -> Option<PoolReason> {
    let found = plan.conditions.iter().find(|condition| condition.kind == "CapacityLimited")?;
    Some(found.reason)
}

#[rstest]
#[case::no_limit(None, 4)]
#[case::room_for_all(Some(5), 4)]
#[case::room_for_some(Some(3), 2)]
#[case::none_left(Some(1), 0)]
#[case::more_run_than_allowed(Some(0), 0)]
fn jobs_beyond_the_share_raise_nothing(#[case] share: Option<u32>, #[case] expected: u32) {
    let mut pool = pool();
    pool.max_agents = 20;
    let mut scene = scene([machine("a").busy()]).queued(4);
    scene.parallel_jobs = share;
    let plan = first_look(&pool, &scene);
    assert_eq!(grown(&plan), expected);
    let bites = expected < 4;
    let limit = if bites { LimitedBy::ParallelJobs } else { LimitedBy::Nothing };
    assert_eq!((plan.decision.limited_by, plan.jobs.queued), (limit, 4));
    assert_eq!(limited(&plan), bites.then_some(PoolReason::ParallelJobs));
    if expected == 2 {
        let told = "1 busy + 2 queued + 0 standby = 3 of at most 20; 2 more jobs wait for parallel jobs";
        assert_eq!(plan.decision.message, told);
    }
}

#[test]
fn standby_is_not_capped() {
    let plan = first_look(&standby(2), &scene([machine("a").busy()]).queued(3).parallel_jobs(1));
    assert_eq!((grown(&plan), plan.decision.limited_by), (2, LimitedBy::ParallelJobs));
}

#[test]
fn a_maintenance_request_takes_no_parallel_job() {
    let busy = scene([machine("a").busy()]).queued(1).parallel_jobs(1);
    let mut maintained: Scene = busy.clone();
    let agent = maintained.machines[0].agent.clone().unwrap();
    let request = JobRequest { maintenance: true, agent: Some(agent.id), ..job(agent.id.0) };
    maintained.jobs.push(request);
    assert_eq!((grown(&first_look(&pool(), &busy)), grown(&first_look(&pool(), &maintained))), (0, 1));
}

#[test]
fn the_oldest_jobs_are_counted_first_whatever_their_image() {
    let mut pool = pool();
    pool.max_agents = 20;
    let image = |name: &str| Image { name: name.into(), ..Image::default() };
    pool.images = vec![image("ubuntu"), image("windows")];
    pool.bindings.push(poolkeeper_policy::Binding { image: 1, ..binding("win") });
    let mut scene = scene([]).set("win").parallel_jobs(2);
    for (number, (age, windows)) in [(10, false), (40, true), (30, true), (20, false)].into_iter().enumerate()
    {
        let demands = if windows { vec!["ImageOverride -equals windows"] } else { Vec::new() };
        scene = scene.job_that_demands(&demands);
        let queued_at = monday().checked_sub(SignedDuration::from_secs(age)).unwrap();
        scene.jobs[number].queued_at = Some(queued_at);
    }
    // One whose age nobody knows comes last.
    scene.jobs.push(JobRequest { queued_at: None, ..job(9) });
    assert_eq!(growths(&first_look(&pool, &scene)), [("win", 2)]);
}
