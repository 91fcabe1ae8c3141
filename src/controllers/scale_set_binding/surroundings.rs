//! What requirements ask for beside the scale set's own model: autoscale settings, protected instances, the subnet.

use poolkeeper_azure::{Instance, OrchestrationMode, ScaleSet, ScaleSetId, ScaleSets};
use poolkeeper_policy::BindingReason;
use poolkeeper_rest::{Class, Error};

use super::{Fault, observe};

/// Something that was read, or why it was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Known<T> {
    #[default]
    Unread,
    Read(T),
    Failed(Fault),
}

impl<T> Known<T> {
    /// A call that was kept back by our own budget has told nothing.
    fn failed(error: &Error) -> Self {
        if error.is_kept_back() { Self::Unread } else { Self::Failed(observe::unreadable(error)) }
    }

    pub(super) fn known(&self) -> Option<&T> {
        match self {
            Self::Read(value) => Some(value),
            Self::Unread | Self::Failed(_) => None,
        }
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Failed(fault) => Some(fault),
            Self::Unread | Self::Read(_) => None,
        }
    }
}

/// Addresses of the subnet that the model names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) free: u64,
}

/// What lies around a scale set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// Names of the enabled autoscale settings that size it.
    pub(super) autoscale: Known<Vec<String>>,
    /// Ids of protected instances.
    pub(super) protected: Known<Vec<String>>,
    /// Only where the permission is given: it is an advice.
    pub(super) subnet: Known<Space>,
}

impl Surroundings {
    /// Everything that is required is known.
    pub(super) fn is_known(&self) -> bool {
        self.autoscale.known().is_some() && self.protected.known().is_some()
    }

    /// What is required and cannot be known, with the mend: unknown is not met.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.autoscale.fault().or(self.protected.fault())
    }
}

/// Reads what lies around `set`, in three calls; and the instances that one of them lists.
pub(super) async fn read(
    client: &ScaleSets,
    id: &ScaleSetId,
    set: &ScaleSet,
) -> (Surroundings, Option<Vec<Instance>>) {
    let (protected, listed) = protected(client, id, set).await;
    let around =
        Surroundings { autoscale: autoscale(client, id).await, protected, subnet: subnet(client, set).await };
    (around, listed)
}

async fn autoscale(client: &ScaleSets, id: &ScaleSetId) -> Known<Vec<String>> {
    match client.autoscale_settings(id).await {
        Ok(settings) => {
            let active = settings.value.into_iter().filter(|setting| setting.sizes(id));
            Known::Read(active.map(|setting| setting.name).collect())
        }
        Err(error) if error.class() == Class::Forbidden => {
            let id = id.to_string();
            let scope = id.split("/providers/").next().unwrap_or_default();
            Known::Failed(Fault {
                reason: BindingReason::PermissionDenied,
                message: format!(
                    "{}: whether an autoscale setting sizes the scale set must be known; az role assignment create \
                     --role \"Monitoring Reader\" --scope {scope} --assignee …",
                    crate::chain(&error)
                ),
            })
        }
        Err(error) => Known::failed(&error),
    }
}

/// A VM of Flexible orchestration says nothing of protection.
async fn protected(
    client: &ScaleSets,
    id: &ScaleSetId,
    set: &ScaleSet,
) -> (Known<Vec<String>>, Option<Vec<Instance>>) {
    let Some(mode @ OrchestrationMode::Uniform) = &set.orchestration_mode else {
        return (Known::Read(Vec::new()), None);
    };
    match client.list_instances(id, mode).await {
        Ok(instances) => {
            let held = instances.value.iter().filter(|instance| {
                let protection = instance.protection;
                protection.scale_in || protection.actions
            });
            let held = held.map(|instance| instance.id.to_string()).collect();
            (Known::Read(held), Some(instances.value))
        }
        Err(error) => (Known::failed(&error), None),
    }
}

async fn subnet(client: &ScaleSets, set: &ScaleSet) -> Known<Space> {
    let Some(id) = set.profile.as_ref().and_then(|profile| profile.subnet.as_ref()) else {
        return Known::Unread;
    };
    match client.subnet_space(id).await {
        Ok(answer) => match answer.value {
            Some(space) => Known::Read(Space { free: space.free() }),
            None => Known::Unread,
        },
        Err(error) => {
            tracing::debug!(error = crate::chain(&error), "the subnet's free addresses cannot be read");
            Known::failed(&error)
        }
    }
}
