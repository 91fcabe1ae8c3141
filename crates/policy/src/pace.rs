//! The pace of strategy `ElasticPool`: when it samples, and whether its last step is complete.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    instance::{Instance, State, after},
    inventory::Inventory,
    memory::Memory,
    pool::{BindingName, Pool, ScaleOut},
};

/// Where strategy `ElasticPool` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// The VMs of the last step are still on their way.
    pub(crate) growing: bool,
    /// Growth and scale-in are decided in this pass: always under `Exact`, else at a sample without a step on its way.
    pub(crate) decides: bool,
    /// When the next sample is due; never under `Exact`.
    pub(crate) sample_at: Option<Timestamp>,
}

/// Where `ElasticPool` stands; a complete step is forgotten, a sample is noted.
///
/// Only a pass that has just read jobs and agents, and knows a scale set to grow (`fresh`), is a sample.
pub(crate) fn pace(
    pool: &Pool,
    memory: &mut Memory,
    inventory: &Inventory,
    ordered: &BTreeMap<BindingName, u32>,
    fresh: bool,
    now: Timestamp,
) -> Pace {
    let ScaleOut::ElasticPool { step_timeout, sample_interval, .. } = pool.scale_out else {
        memory.step = None;
        memory.sampled_at = None;
        return Pace { growing: false, decides: true, sample_at: None };
    };
    // Besides the step that is remembered, every young VM that was never online: a lost step delays nothing twice.
    let young = |instance: &Instance| {
        matches!(instance.state, State::Creating | State::Starting)
            && !instance.was_online
            && now < after(instance.since, step_timeout)
    };
    let short = memory.step.as_ref().is_some_and(|step| {
        now < after(step.started_at, step_timeout) && inventory.members(&step.binding) < step.target
    });
    let growing = short || !ordered.is_empty() || inventory.instances.iter().any(young);
    if !growing {
        memory.step = None;
    }
    let due = memory.sampled_at.is_none_or(|last| now >= after(last, sample_interval));
    let samples = due && fresh;
    if samples {
        memory.sampled_at = Some(now);
    }
    let sample_at = memory.sampled_at.map_or(now, |last| after(last, sample_interval));
    Pace { growing, decides: samples && !growing, sample_at: Some(sample_at) }
}
