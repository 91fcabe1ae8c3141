//! The organizations that a pool of Managed DevOps Pools serves.

use super::shape::{Profile, Shape};
use crate::{ImportError, Options};

/// Azure: `maximumConcurrency` and `parallelism` are at most so large.
const MOST_AGENTS: u32 = 10_000;

const ADDRESS: &str = "an https address without user, query or fragment";

/// The address that a person adds.
pub(crate) fn given(options: &Options) -> Result<Option<&str>, ImportError> {
    match options.organization.as_deref() {
        Some(url) if !is_address(url) => Err(ImportError::Type {
            path: "the organization (--organization)".to_owned(),
            found: format!("{url:?}"),
            expected: ADDRESS,
        }),
        url => Ok(url),
    }
}

/// An organization, and the pool that it sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Organization {
    pub(crate) url: String,
    pub(crate) pool_name: String,
    pub(crate) most: u32,
    pub(crate) comments: Vec<String>,
}

impl Organization {
    /// Its name in its address: the last segment, or for `https://fabrikam.visualstudio.com` the first of the host.
    pub(crate) fn label(&self) -> &str {
        let rest =
            self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest).trim_end_matches('/');
        match rest.rsplit_once('/') {
            Some((_, name)) => name,
            None => rest.split('.').next().unwrap_or(rest),
        }
    }
}

pub(crate) fn read(shape: &Shape<'_>, options: &Options) -> Result<Vec<Organization>, ImportError> {
    let field = shape.properties.member("maximumConcurrency");
    let Some(most) = field.whole(1, MOST_AGENTS)? else {
        return Err(field.missing("give the most agents that the pool may have"));
    };
    let section = shape.properties.section("organizationProfile")?;
    if !section.is_there() {
        let Some(url) = given(options)? else {
            return Err(section.missing("give it, or the organization's address (--organization)"));
        };
        let url = url.to_owned();
        let pool_name = pool_name(shape, options, None)?;
        return Ok(vec![Organization { url, pool_name, most, comments: Vec::new() }]);
    }
    let profile = Profile::read(section, &["AzureDevOps", "GitHub"])?;
    if profile.kind == "GitHub" {
        return Err(ImportError::GitHub { path: profile.outer.path() });
    }
    let list = profile.member("organizations");
    let items = list.items()?;
    if items.is_empty() {
        return Err(list.missing("name the organization that the pool serves"));
    }
    let common = profile.member("alias").filled()?;
    let several = items.len() > 1;
    let mut organizations = Vec::new();
    for item in items {
        item.members()?;
        let address = item.member("url");
        let Some(url) = address.filled()? else {
            return Err(address.missing("give the organization's address"));
        };
        if !is_address(url) {
            return Err(address.wrong(url, ADDRESS));
        }
        let share = item.member("parallelism");
        let own = share.whole(1, MOST_AGENTS)?;
        let mut comments = Vec::new();
        let own = match own {
            None if several => {
                return Err(share.missing("give each organization its part of maximumConcurrency"));
            }
            None => most,
            Some(own) => own,
        };
        if own != most {
            comments.push(format!("parallelism; maximumConcurrency is {most}."));
        }
        let alias = item.member("alias").filled()?.or(common);
        let pool_name = pool_name(shape, options, alias)?;
        organizations.push(Organization { url: url.to_owned(), pool_name, most: own, comments });
    }
    Ok(organizations)
}

/// The name in Azure DevOps: as the person says, the alias, or the resource's.
fn pool_name(shape: &Shape<'_>, options: &Options, alias: Option<&str>) -> Result<String, ImportError> {
    if let Some(name) = options.pool.as_deref().or(alias) {
        return Ok(name.to_owned());
    }
    let field = shape.envelope.member("name");
    match field.filled()?.or(options.name.as_deref()) {
        Some(name) => Ok(name.to_owned()),
        None => Err(field.missing("name the pool (--pool)")),
    }
}

/// As the API server takes it.
fn is_address(url: &str) -> bool {
    let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => rest,
        (None, Some(rest)) => {
            let host = rest.split(['/', ':']).next().unwrap_or_default();
            if !matches!(host, "localhost" | "127.0.0.1") {
                return false;
            }
            rest
        }
        (None, None) => return false,
    };
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | '%' | ':' | '/');
    !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(fit) && !rest.contains("//")
}
