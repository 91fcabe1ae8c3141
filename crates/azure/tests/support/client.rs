//! A client of one server on loopback, with a token that must show nowhere.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::stub::Stub;
use poolkeeper_azure::{Cloud, Credential, ScaleSetId, ScaleSets};
use poolkeeper_rest::{CallLog, Http, Limits};
use std::sync::Arc;

pub(crate) const TOKEN: &str = "t0k3n-that-nobody-may-see";
pub(crate) const PATH: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux-d4";
pub(crate) const GROUP: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents";

pub(crate) fn id() -> ScaleSetId {
    PATH.parse().unwrap()
}

pub(crate) fn client_at(url: &str, limits: Limits) -> ScaleSets {
    let cloud = Cloud::custom(url, url, "s").unwrap();
    let credential = Arc::new(Credential::fixed(TOKEN.into()));
    ScaleSets::new(Http::new(limits).unwrap(), &cloud, credential, CallLog::default()).unwrap()
}

pub(crate) fn client(arm: &Stub) -> ScaleSets {
    client_at(&arm.url, Limits::default())
}
