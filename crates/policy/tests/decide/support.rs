//! Small pools and short questions about plans.

pub(crate) mod random;
pub(crate) mod run;
pub(crate) mod scene;
pub(crate) mod world;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Action, Basis, Binding, BindingName, Cause, Existing, HoldReason, Image, Lifecycle, Memory, Mode, Named,
    Plan, Pool, PoolReason, Recycle, Removal, Sampling, ScaleOut, Standby, State, Truth, Verbs, decide,
};

pub(crate) use scene::{Machine, Scene, machine, scene};

/// A Monday morning.
pub(crate) fn monday() -> Timestamp {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub(crate) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(crate) fn name(binding: &str) -> BindingName {
    BindingName(binding.to_owned())
}

pub(crate) fn binding(name: &str) -> Binding {
    Binding {
        name: self::name(name),
        image: 0,
        priority: 0,
        max_agents: None,
        draining: false,
        existing: Existing::Adopt,
        claimed_at: None,
    }
}

/// Up to 4 stateless agents on one scale set `d4`, none on standby.
pub(crate) fn pool() -> Pool {
    Pool {
        name: "linux-build".to_owned(),
        mode: Mode::Active,
        deletion: None,
        max_agents: 4,
        images: vec![Image::default()],
        bindings: vec![binding("d4")],
        standby: Standby { agents: 0, basis: Basis::Idle, schedule: None, forecast: None },
        ignore_demands: BTreeSet::new(),
        scale_out: ScaleOut::Exact { sampling: Sampling::Decaying },
        idle_delay: minutes(30),
        lifecycle: Lifecycle::Stateless(Recycle::Reimage),
        save_for_investigation: 0,
        max_failed_starts: 3,
        placeholders: false,
        verbs: Verbs::default(),
        start_timeout: minutes(10),
    }
}

pub(crate) fn standby(agents: u32) -> Pool {
    let mut pool = pool();
    pool.standby.agents = agents;
    pool
}

/// Stateful agents that live so many hours.
pub(crate) fn stateful(hours: i64) -> Lifecycle {
    Lifecycle::Stateful { max_lifetime: SignedDuration::from_hours(hours) }
}

/// The longest lifetime that a pool may ask for, in hours.
pub(crate) const WEEK: i64 = 168;

pub(crate) fn elastic(standby: u32, increment_percent: u32) -> Pool {
    let mut pool = self::standby(standby);
    pool.scale_out =
        ScaleOut::ElasticPool { increment_percent, step_timeout: minutes(20), sample_interval: minutes(5) };
    pool
}

/// An operator's passes over scenes, with its memory and its clock.
pub(crate) struct Passes {
    pub(crate) pool: Pool,
    pub(crate) memory: Memory,
    pub(crate) now: Timestamp,
}

impl Passes {
    pub(crate) fn of(pool: &Pool) -> Self {
        Self { pool: pool.clone(), memory: Memory::default(), now: monday() }
    }

    pub(crate) fn look(&mut self, scene: &Scene) -> Plan {
        let plan = decide(&self.pool, &scene.seen(self.now), &self.memory, self.now);
        self.memory = plan.memory.clone();
        plan
    }

    /// Looks at the same scene every 10 s for so long; the last plan.
    pub(crate) fn watch(&mut self, scene: &Scene, duration: SignedDuration) -> Plan {
        let until = self.now.checked_add(duration).unwrap();
        loop {
            let plan = self.look(scene);
            if self.now >= until {
                return plan;
            }
            self.wait(seconds(10));
        }
    }

    pub(crate) fn wait(&mut self, duration: SignedDuration) {
        self.now = self.now.checked_add(duration).unwrap();
    }

    /// Azure accepts everything that was begun.
    pub(crate) fn accepted(&mut self) {
        for operation in &mut self.memory.operations {
            operation.url.get_or_insert_with(|| format!("https://azure/{}", operation.id));
        }
    }
}

/// The first pass of a new operator.
pub(crate) fn first_look(pool: &Pool, scene: &Scene) -> Plan {
    Passes::of(pool).look(scene)
}

/// How many VMs the plan creates.
pub(crate) fn grown(plan: &Plan) -> u32 {
    let by = |action: &Action| match action {
        Action::Grow { by, .. } => *by,
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => 0,
    };
    plan.actions.iter().map(by).sum()
}

/// Growth by binding, in order.
pub(crate) fn growths(plan: &Plan) -> Vec<(&str, u32)> {
    let growth = |action: &'_ Action| match action {
        Action::Grow { by, .. } => Some(*by),
        Action::Disable { .. } | Action::Remove { .. } | Action::Save { .. } | Action::Unmark { .. } => None,
    };
    plan.actions.iter().filter_map(|action| Some((action.binding().0.as_str(), growth(action)?))).collect()
}

/// Computer names of the agents that the plan disables, and why.
pub(crate) fn disabled(plan: &Plan) -> Vec<(&str, Cause)> {
    let disabled = |action: &'_ Action| matches!(action, Action::Disable { .. });
    plan.actions.iter().filter(|action| disabled(action)).flat_map(members).collect()
}

/// Computer names of the VMs that the plan deletes, and why.
pub(crate) fn deleted(plan: &Plan) -> Vec<(&str, Cause)> {
    removed(plan, Removal::Delete)
}

/// Computer names of the VMs that the plan reimages, and why.
pub(crate) fn reimaged(plan: &Plan) -> Vec<(&str, Cause)> {
    removed(plan, Removal::Reimage)
}

fn removed(plan: &Plan, wanted: Removal) -> Vec<(&str, Cause)> {
    let fits = |action: &Action| matches!(action, Action::Remove { removal, .. } if *removal == wanted);
    plan.actions.iter().filter(|action| fits(action)).flat_map(members).collect()
}

fn members(action: &Action) -> Vec<(&str, Cause)> {
    let members = match action {
        Action::Grow { .. } | Action::Unmark { .. } => &[],
        Action::Disable { member, .. } => std::slice::from_ref(member),
        Action::Remove { members, .. } | Action::Save { members, .. } => members.as_slice(),
    };
    members.iter().map(|member| (member.computer_name.as_str(), member.cause)).collect()
}

/// Computer names of the VMs that the plan saves, and why.
pub(crate) fn saved(plan: &Plan) -> Vec<(&str, Cause)> {
    let saves = |action: &Action| matches!(action, Action::Save { .. });
    plan.actions.iter().filter(|action| saves(action)).flat_map(members).collect()
}

/// Ids of the VMs whose marks the plan removes.
pub(crate) fn unmarked(plan: &Plan) -> Vec<&str> {
    plan.actions
        .iter()
        .filter_map(|action| if let Action::Unmark { vms, .. } = action { Some(vms) } else { None })
        .flatten()
        .map(|vm| vm.0.as_str())
        .collect()
}

/// States by computer name, in the order of the plan.
pub(crate) fn states(plan: &Plan) -> Vec<State> {
    plan.instances.iter().map(|instance| instance.state).collect()
}

/// Status, reason and message of a condition, if it is there.
pub(crate) fn condition(plan: &Plan, kind: &str) -> Option<(Truth, PoolReason, String)> {
    let found = plan.conditions.iter().find(|condition| condition.kind == kind)?;
    Some((found.truth, found.reason, found.message.clone()))
}

/// Some instances by agent name or VM id; `*`: all.
pub(crate) fn named(names: &[&str]) -> Named {
    let all = names == ["*"];
    let names = names.iter().filter(|_| !all).map(|name| (*name).to_owned()).collect();
    Named { all, names }
}

/// Why the plan holds.
pub(crate) fn held(plan: &Plan) -> BTreeSet<HoldReason> {
    plan.holds.iter().map(|hold| hold.reason).collect()
}
