use crate::id::SubnetId;
use crate::scale_sets::ScaleSets;
use poolkeeper_rest::{Answer, Error};
use serde::Deserialize;

/// Of the network provider: <https://learn.microsoft.com/rest/api/virtualnetwork/virtual-networks/list-usage>.
const API_VERSION: &str = "2024-05-01";

/// The addresses of a subnet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubnetSpace {
    /// Addresses in use.
    pub used: u64,
    /// Addresses that may be in use; Azure's own five of each subnet are not among them.
    pub limit: u64,
}

impl SubnetSpace {
    /// Addresses that are free.
    pub fn free(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wire {
    id: Option<String>,
    // Azure declares both as numbers with a fraction.
    current_value: f64,
    limit: f64,
    name: Option<Name>,
}

#[derive(Deserialize)]
struct Name {
    value: Option<String>,
}

/// The kind of usage that counts addresses.
const KIND: &str = "SubnetSpace";

impl Wire {
    pub(crate) fn space(&self) -> SubnetSpace {
        SubnetSpace { used: whole(self.current_value), limit: whole(self.limit) }
    }

    fn is_space_of(&self, subnet: &SubnetId) -> bool {
        let kind = self.name.as_ref().and_then(|name| name.value.as_deref());
        kind.is_none_or(|kind| kind.eq_ignore_ascii_case(KIND))
            && self.id.as_deref().is_some_and(|id| subnet.is(id))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and reads NaN as 0"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

impl ScaleSets {
    /// Reads how many addresses of a subnet are in use; none where its network does not list it.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn subnet_space(&self, subnet: &SubnetId) -> Result<Answer<Option<SubnetSpace>>, Error> {
        // Without the last two segments the id is that of its network.
        let segments = subnet.segments().take(8).chain(["usages"]);
        let usages: Answer<Vec<Wire>> =
            self.pages(self.client.url(segments, &[("api-version", API_VERSION)])).await?;
        Ok(usages.map(|usages| usages.iter().find(|usage| usage.is_space_of(subnet)).map(Wire::space)))
    }
}
