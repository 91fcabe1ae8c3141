//! Access tokens that were issued.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::http::Call;

/// Whom a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) enum Audience {
    Azure,
    AzureDevOps,
}

/// The application id of Azure DevOps, the same in every tenant.
const AZURE_DEVOPS: [&str; 2] =
    ["499b84ac-1321-427f-aa17-267ca6975798", "https://app.vssps.visualstudio.com"];
/// Resource Manager in Azure's clouds, under its newer and its older name.
const AZURE: [&str; 6] = [
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
    "https://management.core.chinacloudapi.cn",
];

impl Audience {
    /// Of a resource, as a scope without its `/.default`. The simulator's own address stands for Resource Manager.
    pub(in crate::http) fn of(resource: &str, call: &Call) -> Option<Self> {
        let resource = resource.trim_end_matches('/').to_lowercase();
        if AZURE_DEVOPS.contains(&resource.as_str()) {
            Some(Self::AzureDevOps)
        } else if AZURE.contains(&resource.as_str()) || resource == call.base {
            Some(Self::Azure)
        } else {
            None
        }
    }
}

#[derive(Debug)]
struct Issued {
    client: usize,
    audience: Audience,
    expires: Timestamp,
}

/// The tokens that were issued, each to a client by its index in the world file. Clients judge their end by the wall
/// clock, so it is told by that here too, whatever the world's clock says.
#[derive(Debug, Default)]
pub(in crate::http) struct Tokens {
    issued: BTreeMap<String, Issued>,
    count: u64,
}

impl Tokens {
    pub(in crate::http) fn issue(
        &mut self,
        client: usize,
        audience: Audience,
        now: Timestamp,
        lifetime: u32,
    ) -> String {
        self.issued.retain(|_, known| now < known.expires);
        self.count += 1;
        let name = Uuid::from_u64_pair(0x7000_0000_0000_4000 + client as u64, self.count);
        let token = format!("simulated.{name}");
        let expires = now.checked_add(SignedDuration::from_secs(i64::from(lifetime))).unwrap_or(now);
        self.issued.insert(token.clone(), Issued { client, audience, expires });
        token
    }

    /// The client that calls Resource Manager, if its token is for that and still valid.
    pub(in crate::http) fn client(&self, call: &Call) -> Option<usize> {
        self.holder(call.bearer()?, Audience::Azure, Timestamp::now())
    }

    /// The client that calls Azure DevOps, if its token is for that and still valid.
    pub(in crate::http) fn devops_client(&self, call: &Call) -> Option<usize> {
        self.holder(call.bearer()?, Audience::AzureDevOps, Timestamp::now())
    }

    fn holder(&self, token: &str, audience: Audience, now: Timestamp) -> Option<usize> {
        let known = self.issued.get(token)?;
        (known.audience == audience && now < known.expires).then_some(known.client)
    }

    /// Makes all tokens invalid; says how many there were.
    pub(in crate::http) fn revoke(&mut self) -> usize {
        std::mem::take(&mut self.issued).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_audience_and_has_an_end() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut tokens = Tokens::default();
        let token = tokens.issue(3, Audience::Azure, at(100), 60);
        assert_eq!(tokens.holder(&token, Audience::Azure, at(159)), Some(3));
        assert_eq!(tokens.holder(&token, Audience::AzureDevOps, at(159)), None);
        assert_eq!(tokens.holder(&token, Audience::Azure, at(160)), None);
        let second = tokens.issue(3, Audience::AzureDevOps, at(159), 60);
        assert_ne!(token, second);
        assert_eq!(tokens.revoke(), 2);
        assert_eq!(tokens.holder(&second, Audience::AzureDevOps, at(159)), None);
        assert_ne!(
            tokens.issue(3, Audience::AzureDevOps, at(159), 60),
            second,
            "a revoked one never comes back"
        );
    }
}
