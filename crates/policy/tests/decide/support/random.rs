//! Random pools, scenes and histories.

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Agent, AgentId, Basis, Image, Lifecycle, Memory, Named, Pool, Power, Provisioning, Recycle, RequestId,
    Snapshot, Verbs, decide,
};
use proptest::{
    collection::vec,
    option,
    prelude::*,
    sample::select,
    test_runner::{Config, RngSeed},
};

use super::{
    Machine, Scene, WEEK, binding, elastic, machine, minutes, monday, name,
    run::{Mishap, Run},
    scene, seconds, standby, stateful,
    world::{EXAMPLE, Times, World},
};

/// The same cases in every run.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(20_261_123), failure_persistence: None, ..Config::default() }
}

prop_compose! {
    /// One scale set; or two for one image; or two images with a scale set each.
    pub(crate) fn a_pool()(
        max in 1..9_u32,
        agents in 0..5_u32,
        total in any::<bool>(),
        increment in option::of(select(vec![10, 25, 50, 100])),
        lifecycle in select(vec![
            Lifecycle::Stateless(Recycle::Reimage),
            Lifecycle::Stateless(Recycle::Replace),
            stateful(1),
            stateful(WEEK),
        ]),
        idle_delay in select(vec![0, 5, 30]),
        shape in 0..3_u8,
        most in option::of(2..5_u32),
        (save, tries) in (0..3_u32, 1..4_u32),
        verbs in vec(0..12_u8, 0..3),
        verb in 0..4_u8,
    ) -> Pool {
        let agents = agents.min(max);
        let mut pool = increment.map_or_else(|| standby(agents), |percent| elastic(agents, percent));
        pool.max_agents = max;
        pool.standby.basis = if total { Basis::Total } else { Basis::Idle };
        pool.lifecycle = lifecycle;
        pool.idle_delay = minutes(idle_delay);
        (pool.save_for_investigation, pool.max_failed_starts) = (save.min(max), tries);
        let names = verbs.iter().map(|number| format!("d4{number}")).collect();
        let some = Named { all: false, names };
        match verb {
            0 => pool.verbs.drain = some,
            1 => pool.verbs.save = some,
            2 => pool.verbs.release_saved = some,
            _ => {}
        }
        if shape > 0 {
            let mut second = binding("spot");
            second.priority = 10;
            second.max_agents = most;
            if shape == 2 {
                pool.images.push(Image { name: "windows".to_owned(), ..Image::default() });
                second.image = 1;
            }
            pool.bindings.push(second);
        }
        pool
    }
}

fn ago(minutes: i64) -> Timestamp {
    monday().checked_sub(SignedDuration::from_mins(minutes)).unwrap()
}

prop_compose! {
    fn an_agent(name: String)(
        id in 1..40_i64,
        enabled in any::<bool>(),
        online in any::<bool>(),
        updating in any::<bool>(),
        created in option::of(0..120_i64),
        assigned in option::weighted(0.3, 1..12_i64),
        finished in option::weighted(0.3, 0..120_i64),
    ) -> Agent {
        Agent {
            id: AgentId(id),
            enabled,
            online,
            updating,
            created_at: created.map(ago),
            assigned: assigned.map(RequestId),
            last_finished_at: finished.map(ago),
            ..scene::agent(&name)
        }
    }
}

/// Some names are taken by two machines; `other` is a scale set that the pool does not list.
fn a_machine() -> impl Strategy<Value = Machine> {
    let provisioning = select(vec![
        Provisioning::Creating,
        Provisioning::Updating,
        Provisioning::Deleting,
        Provisioning::Failed,
        Provisioning::Other,
        Provisioning::Succeeded,
        Provisioning::Succeeded,
        Provisioning::Succeeded,
    ]);
    let power = select(vec![Power::On, Power::On, Power::On, Power::Off, Power::Unknown]);
    let set = select(vec!["d4", "d4", "spot", "other"]);
    (0..12_u8, provisioning, power, set, 0..120_i64).prop_flat_map(
        |(number, provisioning, power, set, age)| {
            let computer_name = format!("{set}{number}");
            option::weighted(0.8, an_agent(computer_name.clone())).prop_map(move |agent| {
                let mut machine = machine(&computer_name).on(set).provisioning(provisioning);
                machine.vm.power = power;
                machine.vm.created_at = Some(ago(age));
                machine.agent = agent;
                machine
            })
        },
    )
}

prop_compose! {
    /// Anything that two clouds could answer, also nonsense.
    pub(crate) fn a_scene()(
        mut machines in vec(a_machine(), 0..10),
        twin in any::<bool>(),
        queued in 0..6_i64,
        phantom in option::weighted(0.2, 0..12_u32),
        taken in option::weighted(0.2, 1..40_i64),
        flexible in any::<bool>(),
        parallel_jobs in option::weighted(0.3, 0..6_u32),
        marks in vec(0..14_u8, 0..3),
    ) -> Scene {
        machines.sort_by(|a, b| a.vm.vm_id.cmp(&b.vm.vm_id));
        machines.dedup_by(|a, b| a.vm.vm_id == b.vm.vm_id);
        if twin && let Some(first) = machines.first().cloned() {
            // Another VM of the same name.
            let mut second = first;
            second.vm.vm_id.0.push_str("-twin");
            second.agent = None;
            machines.push(second);
        }
        let mut scene = scene(machines).set("spot").queued(queued);
        if flexible {
            scene = scene.flexible("d4");
        }
        scene.parallel_jobs = parallel_jobs;
        for number in marks {
            // Some of them are gone.
            scene = scene.saved("d4", &format!("vm-d4{number}"));
        }
        if let Some(capacity) = phantom {
            scene = scene.capacity("d4", capacity);
        }
        if let Some(agent) = taken && let Some(job) = scene.jobs.first_mut() {
            job.agent = Some(AgentId(agent));
        }
        scene
    }
}

/// A pool, what is seen of it, and what its operator remembers of an earlier look.
#[derive(Clone, Debug)]
pub(crate) struct Situation {
    pub(crate) pool: Pool,
    pub(crate) scene: Scene,
    pub(crate) memory: Memory,
    pub(crate) now: Timestamp,
}

impl Situation {
    pub(crate) fn seen(&self) -> Snapshot {
        self.scene.seen(self.now)
    }
}

prop_compose! {
    /// The earlier look was at the same machines, of which some have changed since; Azure accepted what was begun.
    pub(crate) fn a_situation()(
        pool in a_pool(),
        scene in a_scene(),
        changed in vec(any::<bool>(), 12),
        looks in vec(select(vec![10, 40, 300, 1_900]), 0..4),
        accepted in any::<bool>(),
    ) -> Situation {
        let mut earlier = scene.clone();
        let changes = changed.iter().zip(&mut earlier.machines).filter(|(changed, _)| **changed);
        for agent in changes.filter_map(|(_, machine)| machine.agent.as_mut()) {
            agent.assigned = None;
            agent.online = true;
        }
        let mut memory = Memory::default();
        let mut now = monday();
        for wait in looks {
            memory = decide(&pool, &earlier.seen(now), &memory, now).memory;
            for operation in memory.operations.iter_mut().filter(|_| accepted) {
                operation.url.get_or_insert_with(|| operation.id.clone());
            }
            now = now.checked_add(seconds(wait)).unwrap();
        }
        Situation { pool, scene, memory, now }
    }
}

/// What happens before a pass.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) mishap: Mishap,
    /// Minutes of the jobs that arrive.
    pub(crate) jobs: Vec<i64>,
}

/// A pool, a world and what goes wrong in it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) pool: Pool,
    pub(crate) times: Times,
    /// The scale sets are Flexible, and whether their capacity counts VMs until they are gone.
    pub(crate) flexible: Option<bool>,
    pub(crate) turns: Vec<Turn>,
}

impl History {
    pub(crate) fn run(&self) -> Run {
        let bindings = self.pool.bindings.iter().map(|binding| binding.name.clone());
        let mut world = World::new(monday(), bindings, self.times);
        if let Some(lingers) = self.flexible {
            for set in world.sets.values_mut() {
                (set.flexible, set.lingers) = (true, lingers);
            }
        }
        Run::new(&self.pool, world)
    }

    /// Whether the standby fits on the scale sets.
    pub(crate) fn roomy(&self) -> bool {
        let room = |image: usize| {
            let of = self.pool.bindings.iter().filter(move |binding| binding.image == image);
            of.map(|binding| binding.max_agents.unwrap_or(self.pool.max_agents)).sum::<u32>()
        };
        (0..self.pool.images.len()).all(|image| room(image) >= self.pool.standby.agents)
    }
}

fn a_mishap() -> impl Strategy<Value = Mishap> {
    use Mishap as M;
    let bad = vec![
        M::JobsMissing,
        M::AgentsMissing,
        M::ListsMissing,
        M::ListsStale,
        M::WritesFail,
        M::OperationsFail,
        M::PartsFail,
        M::Crash,
        M::MemoryLost,
    ];
    prop_oneof![3 => Just(M::None), 1 => select(bad)]
}

prop_compose! {
    pub(crate) fn a_history()(
        pool in a_pool(),
        run_once in any::<bool>(),
        flexible in option::of(any::<bool>()),
        start in 60..500_i64,
        turns in vec((a_mishap(), vec(1..25_i64, 0..3), 0..4_u8), 1..40),
    ) -> History {
        let mut pool = pool;
        // Who lives for an hour is replaced for ever, and who is saved or asked for never comes back by itself.
        if matches!(pool.lifecycle, Lifecycle::Stateful { .. }) {
            pool.lifecycle = stateful(WEEK);
        }
        (pool.save_for_investigation, pool.verbs) = (0, Verbs::default());
        let run_once = run_once && !matches!(pool.lifecycle, Lifecycle::Stateful { .. });
        let times = Times { run_once, start: seconds(start), ..EXAMPLE };
        let turn = |(mishap, jobs, rare): (Mishap, Vec<i64>, u8)| {
            Turn { mishap, jobs: if rare == 0 { jobs } else { Vec::new() } }
        };
        History { pool, times, flexible, turns: turns.into_iter().map(turn).collect() }
    }
}

/// The names of the pool's scale sets and of those that it does not list.
pub(crate) fn sets() -> [poolkeeper_policy::BindingName; 3] {
    [name("d4"), name("spot"), name("other")]
}
