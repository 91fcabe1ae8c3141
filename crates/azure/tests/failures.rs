//! What an instance says of its failure: the machine, an extension, or a custom script.
#![allow(clippy::unwrap_used, reason = "test helpers outside of #[test]")]

use poolkeeper_azure::{FailureKind, Instance};
use rstest::rstest;
use serde_json::{Value, json};

const FAILED: &str = "ProvisioningState/failed/VMExtensionProvisioningError";

#[allow(clippy::needless_pass_by_value, reason = "reads better with json!")]
fn instance(machine: Value, extensions: Value) -> Instance {
    let view = json!({"statuses": [machine, {"code": "PowerState/running"}], "extensions": extensions});
    serde_json::from_value(json!({"instanceId": "7", "properties": {"instanceView": view}})).unwrap()
}

fn extension(name: &str, kind: Option<&str>, code: &str) -> Value {
    let status = json!({"code": format!("ProvisioningState/{code}"), "message": format!("{name}: {code}")});
    json!({"name": name, "type": kind, "statuses": [status]})
}

#[rstest]
#[case("setup", Some("Microsoft.Azure.Extensions.CustomScript"), FailureKind::Script)]
#[case("setup", Some("Microsoft.Compute.CustomScriptExtension"), FailureKind::Script)]
#[case("setup", Some("microsoft.compute.customscriptextension"), FailureKind::Script)]
#[case("CustomScript", None, FailureKind::Script)]
#[case(
    "CustomScript",
    Some("Microsoft.VisualStudio.Services.TeamServicesAgentLinux"),
    FailureKind::Extension
)]
#[case("Microsoft.Azure.DevOps.Pipelines.Agent", None, FailureKind::Extension)]
#[case("", None, FailureKind::Extension)]
fn an_extension_tells_whether_it_is_a_script(
    #[case] name: &str,
    #[case] kind: Option<&str>,
    #[case] expected: FailureKind,
) {
    let machine = json!({"code": FAILED, "level": "Error", "message": "an extension failed"});
    let extensions = json!([
        extension("first", kind, "succeeded"),
        extension("second", None, "transitioning"),
        extension(name, kind, "failed/1"),
    ]);
    let instance = instance(machine, extensions);
    let failure = instance.failure().unwrap();
    assert_eq!((failure.kind(), failure.extension_type.as_deref()), (expected, kind));
    assert_eq!(failure.message, Some(format!("{name}: failed/1").trim().to_owned()));
    assert_eq!(instance.failures.len(), 2);
}

#[test]
fn a_machine_that_names_no_extension_of_its_own_says_so_itself() {
    let machine = json!({"code": FAILED, "level": "Error", "message": "an extension failed"});
    let alone = instance(machine, json!([]));
    let failure = alone.failure().unwrap();
    assert_eq!(
        (failure.kind(), failure.message.as_deref()),
        (FailureKind::Extension, Some("an extension failed"))
    );
}

#[test]
fn a_machine_that_was_not_made_comes_before_its_extensions() {
    let machine = json!({"code": "ProvisioningState/failed/AllocationFailed", "message": "no room"});
    let both = instance(machine, json!([extension("setup", None, "failed")]));
    let failure = both.failure().unwrap();
    assert_eq!((failure.kind(), failure.code.as_deref()), (FailureKind::Creation, Some("AllocationFailed")));
}

#[test]
fn what_did_not_fail_has_no_failure() {
    let machine = json!({"code": "ProvisioningState/succeeded", "level": "Info"});
    assert_eq!(instance(machine, json!([extension("setup", None, "succeeded")])).failure(), None);
}
