use crate::scale_sets::{API_VERSION, ScaleSets};
use poolkeeper_rest::{Answer, Class, Error, Method, Operation, Request};
use serde::Deserialize;

/// How much of one quota of a subscription in a region is in use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Usage {
    /// The quota's name, such as `cores` or `standardDSv5Family`.
    pub name: String,
    /// Its name for people, such as `Total Regional vCPUs`.
    pub localized_name: Option<String>,
    /// What is in use, in its own unit: cores, VMs.
    pub current: u64,
    /// What may be in use; none without a limit.
    pub limit: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    name: Name,
    current_value: i64,
    limit: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    value: String,
    localized_value: Option<String>,
}

impl From<Wire> for Usage {
    fn from(wire: Wire) -> Self {
        Self {
            name: wire.name.value,
            localized_name: wire.name.localized_value,
            current: u64::try_from(wire.current_value).unwrap_or_default(),
            // Azure writes -1 where there is no limit.
            limit: u64::try_from(wire.limit).ok(),
        }
    }
}

impl ScaleSets {
    /// Reads the compute quotas of a subscription in a region, such as `westeurope` or `West Europe`.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Unexpected`] where `subscription` or `location` is no such name.
    pub async fn usages(&self, subscription: &str, location: &str) -> Result<Answer<Vec<Usage>>, Error> {
        let location = location.replace(' ', "").to_lowercase();
        let segments = [
            "subscriptions",
            subscription,
            "providers",
            "Microsoft.Compute",
            "locations",
            &location,
            "usages",
        ];
        let url = self.client.url(segments, &[("api-version", API_VERSION)]);
        let is_name =
            |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !is_name(subscription) || !is_name(&location) {
            let reason =
                format!("{subscription:?} and {location:?} must be a subscription's GUID and a region");
            return Err(Request::new(Method::GET, url, Operation::List)
                .error(Class::Unexpected)
                .because(reason));
        }
        self.pages(url).await
    }
}
