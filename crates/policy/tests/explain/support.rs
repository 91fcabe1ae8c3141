//! Small pools, and passes over scenes.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use poolkeeper_policy::{
    Basis, Binding, Existing, Explanation, Image, Lifecycle, Memory, Mode, Plan, Pool, Recycle, Sampling,
    ScaleOut, Snapshot, Standby, Verbs, decide, explain,
};

use super::{monday, name, scene::Scene};

pub(crate) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

pub(crate) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(crate) fn binding(name: &str) -> Binding {
    Binding {
        name: super::name(name),
        image: 0,
        priority: 0,
        max_agents: None,
        draining: false,
        existing: Existing::Adopt,
        claimed_at: None,
    }
}

pub(crate) fn image(name: &str) -> Image {
    Image { name: name.to_owned(), ..Image::default() }
}

/// Up to 4 stateless agents of an unnamed image on scale set `d4`.
pub(crate) fn pool(standby: u32) -> Pool {
    Pool {
        name: "linux-build".to_owned(),
        mode: Mode::Active,
        deletion: None,
        max_agents: 4,
        images: vec![Image::default()],
        bindings: vec![binding("d4")],
        standby: Standby { agents: standby, basis: Basis::Idle, schedule: None, forecast: None },
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

/// An operator's passes, with its memory and its clock.
pub(crate) struct Passes {
    pub(crate) pool: Pool,
    pub(crate) memory: Memory,
    pub(crate) now: Timestamp,
}

impl Passes {
    pub(crate) fn of(pool: Pool) -> Self {
        Self { pool, memory: Memory::default(), now: monday() }
    }

    pub(crate) fn look(&mut self, scene: &Scene) -> Plan {
        self.look_at(&scene.seen(self.now))
    }

    /// Looks, whatever comes of it.
    pub(crate) fn pass(&mut self, scene: &Scene) {
        drop(self.look(scene));
    }

    pub(crate) fn look_at(&mut self, seen: &Snapshot) -> Plan {
        let plan = decide(&self.pool, seen, &self.memory, self.now);
        self.memory = plan.memory.clone();
        plan
    }

    pub(crate) fn explain(&mut self, scene: &Scene) -> Explanation {
        self.explain_at(&scene.seen(self.now))
    }

    pub(crate) fn explain_at(&mut self, seen: &Snapshot) -> Explanation {
        let before = self.memory.clone();
        let plan = self.look_at(seen);
        explain(&self.pool, seen, &before, &plan, self.now)
    }

    pub(crate) fn wait(&mut self, duration: SignedDuration) {
        self.now = self.now.checked_add(duration).unwrap();
    }

    /// Looks at the same scene every 10 s for so long.
    pub(crate) fn watch(&mut self, scene: &Scene, duration: SignedDuration) {
        let until = self.now.checked_add(duration).unwrap();
        while self.now < until {
            self.pass(scene);
            self.wait(seconds(10));
        }
    }

    /// Azure accepts everything that was begun.
    pub(crate) fn accepted(&mut self) {
        for operation in &mut self.memory.operations {
            operation.url.get_or_insert_with(|| format!("https://azure/{}", operation.id));
        }
    }
}

/// A second binding of another image.
pub(crate) fn with_windows(mut pool: Pool) -> Pool {
    pool.images = vec![image("ubuntu"), image("windows")];
    pool.bindings.push(Binding { image: 1, name: name("win"), ..binding("win") });
    pool
}
