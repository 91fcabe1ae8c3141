//! The images that a pool offers.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// An image that a pool offers; bindings serve it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// Name by which bindings serve it, and jobs ask for it (demand ImageOverride); case does not count. Its agents get
    /// it as user capability.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Up to 8 more names for it, for ImageOverride: idle agents carry them while jobs wait for them.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub aliases: Vec<String>,
    /// Share of the standby agents: "*" (default) for equal shares, then of all images, or 0 to 100 percent, a number
    /// or a string, 100 in sum. Equal shares pass over images that declare a version.
    #[serde(default = "equal_shares")]
    #[schemars(extend("maxLength" = 3))]
    #[x_kube(validation = rules::standby_percent())]
    pub standby_percent: IntOrString,
    /// What its agents offer, for jobs that come before any agent was seen; learned ones are added. ImageVersionOverride
    /// declares which version it is: jobs that ask for this version go there only, and its agents get it as user
    /// capability.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub capabilities: Vec<Capability>,
}

fn equal_shares() -> IntOrString {
    IntOrString::String("*".to_owned())
}

/// A capability of an agent, as Azure DevOps compares it with a job's demands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// Name; case does not count.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Value, for demands with `-equals`; may be empty.
    #[schemars(length(max = 1024))]
    pub value: String,
}
