//! The shapes in which a pool of Managed DevOps Pools is written down.

use crate::{
    ImportError,
    elastic::one,
    read::{Field, same},
};

const TYPE: &str = "Microsoft.DevOpsInfrastructure/pools";

/// Where what stands.
#[derive(Debug)]
pub(crate) struct Shape<'a> {
    /// Name, location, tags and identity.
    pub(crate) envelope: Field<'a>,
    /// The same where `az` has flattened it.
    pub(crate) properties: Field<'a>,
}

impl<'a> Shape<'a> {
    pub(crate) fn find(root: Field<'a>) -> Result<Self, ImportError> {
        let root = one(root)?;
        let resources = root.member("resources");
        let envelope = if resources.is_there() { in_template(&resources)? } else { root };
        let inner = envelope.section("properties")?;
        let properties = if inner.is_there() { inner } else { envelope.clone() };
        let known = ["maximumConcurrency", "organizationProfile", "agentProfile", "fabricProfile"];
        if known.iter().any(|name| properties.member(name).is_there()) {
            return Ok(Self { envelope, properties });
        }
        Err(envelope.member("properties").missing(
            "give a pool of Managed DevOps Pools: maximumConcurrency, organizationProfile, agentProfile and \
             fabricProfile in one object",
        ))
    }
}

/// The one pool of a template; its resources are a list, or an object by symbolic names.
fn in_template<'a>(resources: &Field<'a>) -> Result<Field<'a>, ImportError> {
    let all = if resources.is_list() {
        resources.items()?
    } else {
        resources.members()?.into_iter().map(|(_, resource)| resource).collect()
    };
    let mut pools = Vec::new();
    for resource in all {
        resource.members()?;
        if resource.member("type").text()?.is_some_and(|kind| kind.eq_ignore_ascii_case(TYPE)) {
            pools.push(resource);
        }
    }
    match (pools.pop(), pools.len()) {
        (Some(pool), 0) => Ok(pool),
        (None, _) => Err(resources.missing_pool()),
        (Some(_), others) => Err(ImportError::SeveralPools { path: resources.path(), count: others + 1 }),
    }
}

impl Field<'_> {
    fn missing_pool(&self) -> ImportError {
        ImportError::Missing {
            path: format!("{}: a resource of type {TYPE}", self.path()),
            mend: "give a template that has one",
        }
    }
}

/// A profile of some kind: `{"kind": "Vmss", ...}` in Azure Resource Manager, `{"vmss": {...}}` for `az mdp pool
/// create`.
#[derive(Debug)]
pub(crate) struct Profile<'a> {
    pub(crate) kind: &'static str,
    pub(crate) outer: Field<'a>,
    inner: Option<Field<'a>>,
}

impl<'a> Profile<'a> {
    pub(crate) fn read(field: Field<'a>, kinds: &[&'static str]) -> Result<Self, ImportError> {
        let written = field.member("kind");
        if let Some(text) = written.filled()? {
            let Some(kind) = kinds.iter().find(|kind| same(kind, text)) else {
                return Err(written.wrong(text, expected(kinds)));
            };
            return Ok(Self { kind, outer: field, inner: None });
        }
        for kind in kinds {
            let inner = field.section(kind)?;
            if inner.is_there() {
                return Ok(Self { kind, outer: field, inner: Some(inner) });
            }
        }
        let mend = "give its kind, as az mdp pool show prints it";
        Err(if field.is_there() { written.missing(mend) } else { field.missing(mend) })
    }

    /// A member of the profile; az takes some beside the kind, and some in it.
    pub(crate) fn member(&self, name: &str) -> Field<'a> {
        let inside = self.inner.as_ref().map(|inner| inner.member(name));
        match inside {
            Some(field) if field.is_there() || !self.outer.member(name).is_there() => field,
            Some(_) | None => self.outer.member(name),
        }
    }
}

fn expected(kinds: &[&'static str]) -> &'static str {
    match kinds {
        ["Stateless", ..] => "Stateless or Stateful",
        ["Manual", ..] => "Manual or Automatic",
        ["AzureDevOps", ..] => "AzureDevOps or GitHub",
        _ => "Vmss",
    }
}
