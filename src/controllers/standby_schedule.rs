//! StandbySchedule: checks it, and shows what it means. The pools that follow it read its spec by themselves.

mod status;

use kube::{Resource, ResourceExt, runtime::controller::Action};
use poolkeeper_api::StandbySchedule;

use super::{Error, LONGEST, wake_at};
use crate::{context::Context, kubernetes};

/// One pass: no cloud is read, and the status is written only where it differs.
///
/// # Errors
/// If the API server does not take the status.
pub async fn reconcile(schedule: &StandbySchedule, ctx: &Context) -> Result<Action, Error> {
    if schedule.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let now = ctx.clock.now();
    let name = schedule.name_any();
    let pools = ctx.stores.pools_in(&schedule.namespace().unwrap_or_default());
    let follows = |pool: &&std::sync::Arc<poolkeeper_api::AgentPool>| {
        pool.spec.standby.schedule_ref.as_ref().is_some_and(|reference| reference.name == name)
    };
    let users: Vec<String> = pools.iter().filter(follows).map(|pool| pool.name_any()).collect();
    let (status, changes_at) = status::status(schedule, &users, now);
    if schedule.status.as_ref() != Some(&status) {
        kubernetes::apply_status(ctx, schedule, &status).await?;
    }
    Ok(changes_at.map_or_else(|| Action::requeue(LONGEST), |then| wake_at(ctx, now, then)))
}
