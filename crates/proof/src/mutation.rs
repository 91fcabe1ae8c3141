//! For each safety step the scenario in which it is the one that matters: without a mutant it passes.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{Call, DeletionPolicy, Lifecycle, Recycle, mutant::Mutant};
use poolkeeper_simulator::{
    World,
    spec::{DeleteWhileRunning, Distribution, InstanceIdReuse, Orchestration},
    world::{By, JobSpec, PoolRef, SetRef},
};

use crate::{
    Adversary, Crash, Life, Mishap, Moment, Operator, STATEFUL, Scene, Script, Spite, Stage, adversary::give,
};

const UNIFORM: Orchestration = Orchestration::Uniform;
/// A half-done removal is taken up again after a restart, not only when the VM is given up.
const RESUMED_WITHIN: SignedDuration = SignedDuration::from_mins(3);

/// Plays the scenario in which this step is the one that matters.
///
/// # Errors
/// In words, what has gone wrong.
pub fn scenario(step: Mutant) -> Result<(), String> {
    match step {
        Mutant::SkipReread => {
            let mut scene = Scene::plain(UNIFORM, STATEFUL);
            scene.spec.facts.agent_delete_while_running = DeleteWhileRunning::Allowed;
            leaving(&scene, Some(re_enabled), SignedDuration::ZERO)
        }
        Mutant::SkipSettle => {
            let mut scene = Scene::plain(UNIFORM, STATEFUL);
            scene.spec.facts.agent_delete_while_running = DeleteWhileRunning::Allowed;
            leaving(&scene, Some(just_before_disabled), SignedDuration::from_secs(25))
        }
        Mutant::SkipDisable => leaving(&Scene::plain(UNIFORM, STATEFUL), None, SignedDuration::ZERO),
        Mutant::SkipRelist => {
            let mut scene = Scene::plain(UNIFORM, STATEFUL);
            late(&mut scene);
            leaving(&scene, Some(registers_late), SignedDuration::ZERO)
        }
        Mutant::SkipInstance => {
            let mut scene = Scene::plain(UNIFORM, STATEFUL);
            scene.spec.facts.instance_id_reuse = InstanceIdReuse::Lowest;
            leaving(&scene, Some(another_of_its_id), SignedDuration::ZERO)
        }
        Mutant::MissingIsEmpty => missing_list(),
        Mutant::LoseIntent => every_crash(),
        Mutant::SkipClaim => two_pools(),
    }
}

/// The agents register after everybody has given them up.
fn late(scene: &mut Scene) {
    for set in &mut scene.spec.scale_sets {
        set.timings.register = Distribution::seconds(700);
    }
}

/// Two agents stand by, then none is wanted any more.
fn leaving(scene: &Scene, script: Option<Script>, lag: SignedDuration) -> Result<(), String> {
    let (world, view) = scene.open(3).map_err(|error| error.to_string())?;
    let mut operator = Operator::new(&scene.pool, view, "proof", world.now());
    let mut stage = Stage::new(world, Adversary::new(3, Spite::NONE, 0));
    stage.lag = lag;
    stage.script = script.map(|script| (script, 0));
    run(&mut stage, &mut operator, SignedDuration::from_mins(20));
    operator.pool.standby.agents = 0;
    operator.respecify(stage.world.now());
    run(&mut stage, &mut operator, SignedDuration::from_hours(4));
    operator.pool.deletion = Some(DeletionPolicy::Drain);
    operator.respecify(stage.world.now());
    run(&mut stage, &mut operator, SignedDuration::from_hours(6));
    if script.is_some() && stage.script.is_none_or(|(_, counter)| counter == 0) {
        return Err("the script never had its moment".to_owned());
    }
    finish(stage, &operator)
}

fn finish(mut stage: Stage, operator: &Operator) -> Result<(), String> {
    if !operator.drained {
        return Err("it does not drain".to_owned());
    }
    stage.judge.close(&stage.world, &operator.view, stage.raised_by_others);
    stage.judge.check()
}

fn run(stage: &mut Stage, operator: &mut Operator, duration: SignedDuration) {
    let end = stage.world.now().checked_add(duration).unwrap_or(Timestamp::MAX);
    while stage.world.now() < end && !operator.drained {
        stage.world.advance(operator.wake.min(end));
        if operator.wake <= stage.world.now() {
            let _ = operator.pass(stage);
            if !stage.lag.is_zero() && !operator.drained {
                // Service hooks let it look again at once.
                let soon = stage.world.now().checked_add(SignedDuration::from_secs(5));
                operator.respecify(soon.unwrap_or(Timestamp::MAX));
            }
        }
        stage.judge.tick(&stage.world, &operator.view, true);
    }
}

const JOB: SignedDuration = SignedDuration::from_mins(20);

/// A person enables an agent again that is about to go, and it gets a job.
fn re_enabled(world: &mut World, pool: PoolRef, _: SetRef, moment: &Moment<'_>, counter: &mut u32) {
    let (Call::ReadAgent(id) | Call::DeleteAgent(id)) = moment.next else { return };
    let Ok(id) = u64::try_from(id.0) else { return };
    let Some(agent) = world.pool(pool).and_then(|pool| pool.agent(id)).filter(|agent| !agent.enabled) else {
        return;
    };
    let name = agent.name.to_string();
    if *counter == 0 && world.set_agent_enabled(pool, id, true).is_ok() && give(world, pool, &name, JOB) {
        *counter += 1;
    }
}

/// A job is on its way to an agent when it is disabled, and does not show for a while.
fn just_before_disabled(world: &mut World, pool: PoolRef, _: SetRef, moment: &Moment<'_>, counter: &mut u32) {
    let (Call::Disable(_), Some(member)) = (moment.next, moment.members.first()) else { return };
    if *counter == 0 && give(world, pool, &member.computer_name, JOB) {
        *counter += 1;
    }
}

/// The agent of a VM that was given up registers just before its VM is deleted, and gets a job.
fn registers_late(world: &mut World, pool: PoolRef, _: SetRef, moment: &Moment<'_>, counter: &mut u32) {
    let concerned = matches!(moment.next, Call::ListAgents | Call::ReadInstance(_));
    let Some(member) = moment.members.first().filter(|member| concerned && member.agent.is_none()) else {
        return;
    };
    if *counter > 0 {
        return;
    }
    for _ in 0..40 {
        let to = world.now().checked_add(SignedDuration::from_secs(5)).unwrap_or(Timestamp::MAX);
        world.advance(to);
        if give(world, pool, &member.computer_name, JOB) {
            *counter += 1;
            return;
        }
    }
}

/// A person deletes a VM that is about to go, and Azure gives its id to a new one, whose agent gets a job.
fn another_of_its_id(world: &mut World, pool: PoolRef, set: SetRef, moment: &Moment<'_>, counter: &mut u32) {
    let concerned = matches!(moment.next, Call::ReadInstance(_) | Call::RemoveAll(..));
    let Some(member) = moment.members.first().filter(|_| concerned && *counter == 0) else { return };
    let found =
        world.set(set).and_then(|set| Some((set.find_instance(&member.instance_id.0)?.id, set.capacity)));
    let Some((id, capacity)) = found else { return };
    let wait = |world: &mut World, seconds| {
        let to = world.now().checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        world.advance(to);
    };
    if world.by_hand(set, By::Deleting(&[id])).is_err() {
        return;
    }
    wait(world, 30);
    if world.by_hand(set, By::Capacity(capacity)).is_err() {
        return;
    }
    wait(world, 120);
    *counter += u32::from(give(world, pool, &member.computer_name, JOB));
}

/// A pool is deleted while the instances cannot be listed.
fn missing_list() -> Result<(), String> {
    let scene = Scene::plain(UNIFORM, STATEFUL);
    let (world, view) = scene.open(3).map_err(|error| error.to_string())?;
    let mut operator = Operator::new(&scene.pool, view, "proof", world.now());
    let mut stage = Stage::new(world, Adversary::new(3, Spite::NONE, 0));
    run(&mut stage, &mut operator, SignedDuration::from_mins(20));
    stage.blind.instances = true;
    operator.pool.deletion = Some(DeletionPolicy::Drain);
    operator.respecify(stage.world.now());
    // Longer than the hour for which a drain waits for the records of VMs that seem to have gone.
    run(&mut stage, &mut operator, SignedDuration::from_mins(90));
    if operator.drained {
        stage.judge.close(&stage.world, &operator.view, stage.raised_by_others);
        stage.judge.check()?;
        return Err("it is gone before anybody has seen it empty".to_owned());
    }
    stage.blind.instances = false;
    run(&mut stage, &mut operator, SignedDuration::from_hours(2));
    finish(stage, &operator)
}

/// The operator is stopped at every write; what it has begun is taken up soon after its restart.
fn every_crash() -> Result<(), String> {
    let life = Life { orchestration: UNIFORM, lifecycle: Lifecycle::Stateless(Recycle::Reimage) };
    let writes = life.play(Mishap::None)?.writes;
    for at in 1..=writes {
        let played = life.play(Mishap::Crash(Crash { at, before: true }))?;
        if played.longest_half > RESUMED_WITHIN {
            return Err(format!(
                "stopped before write {at}: a VM without a record was left for {:?}",
                played.longest_half
            ));
        }
    }
    Ok(())
}

/// Another operator with another pool of Azure DevOps is bound to the same scale set.
fn two_pools() -> Result<(), String> {
    let scene = Scene::plain(UNIFORM, STATEFUL);
    let (world, view) = scene.open(3).map_err(|error| error.to_string())?;
    let mut other = view.clone();
    other.pool = world.find_pool("fabrikam", "other").ok_or("the world has no other pool")?;
    let now = world.now();
    let mut operator = Operator::new(&scene.pool, view, "proof", now);
    let mut stage = Stage::new(world, Adversary::new(3, Spite::NONE, 0));
    run(&mut stage, &mut operator, SignedDuration::from_mins(10));
    let job = JobSpec { count: 2, ..JobSpec::new(Distribution::seconds(5400)) };
    stage.world.queue_jobs(operator.view.pool, job, None).map_err(|error| error.to_string())?;
    let mut rival = Operator::new(&scene.pool, other, "rival", stage.world.now());
    rival.pool.standby.agents = 0;
    let end = stage.world.now().checked_add(SignedDuration::from_hours(1)).unwrap_or(Timestamp::MAX);
    while stage.world.now() < end {
        stage.world.advance(operator.wake.min(rival.wake).min(end));
        for operator in [&mut operator, &mut rival] {
            if operator.wake <= stage.world.now() {
                let _ = operator.pass(&mut stage);
            }
        }
    }
    stage.judge.read(&stage.world);
    stage.judge.check()
}
