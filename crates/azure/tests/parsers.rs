//! Answers of Resource Manager and of Entra ID, broken in thousands of ways.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/mutations.rs"]
mod mutations;

use poolkeeper_azure::fuzzing;

const ARM: [&str; 8] = [
    r#"{"name":"a","location":"westeurope","etag":"\"7\"","tags":{"a":"b"},"sku":{"name":"Standard_D4ds_v5","capacity":4},
        "properties":{"provisioningState":"Succeeded","orchestrationMode":"Uniform","overprovision":false,"platformFaultDomainCount":1,
        "virtualMachineProfile":{"priority":"Spot","storageProfile":{"osDisk":{"diffDiskSettings":{"option":"Local"}}},
        "networkProfile":{"networkInterfaceConfigurations":[{"properties":{"primary":true,"ipConfigurations":[{"properties":{"subnet":{"id":"/x"}}}]}}]},
        "extensionProfile":{"extensions":[{"name":"e"}]}}}}"#,
    r#"{"value":[{"instanceId":"7","name":"a_7","zones":["1"],"properties":{"vmId":"5d0c1c52-7f3f-4c0e-8d54-0f6f1d1f9a11",
        "timeCreated":"2026-01-01T00:00:00.1234567+00:00","protectionPolicy":{"protectFromScaleIn":true},
        "virtualMachineScaleSet":{"id":"/subscriptions/x"},"instanceView":{"statuses":[{"code":"PowerState/running"},
        {"code":"ProvisioningState/failed/AllocationFailed","level":"Error","message":"no\r\nroom"}],
        "extensions":[{"name":"s","statuses":[{"code":"ProvisioningState/failed/1"}]}]}}}],"nextLink":"https://management.azure.com/n"}"#,
    r#"{"value":[{"name":"setting","properties":{"enabled":true,"targetResourceUri":"/subscriptions/x"}}]}"#,
    r#"{"value":[{"currentValue":3,"limit":10,"name":{"value":"cores","localizedValue":"Total Regional vCPUs"}}],"nextLink":null}"#,
    r#"{"value":[{"id":"/x","currentValue":3.0,"limit":251.0,"name":{"value":"SubnetSpace"}}]}"#,
    r#"{"status":"Failed","error":{"code":"OperationNotAllowed","message":"exceeding approved Total Regional Cores quota. Current Limit: 100,",
        "details":[{"code":"AllocationFailed","message":"m"}],"innererror":{"code":"i"}}}"#,
    "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/a/providers/Microsoft.Compute/virtualMachineScaleSets/b",
    "https://management.azure.com/operations/1?p=x#location",
];

const ENTRA: [&str; 4] = [
    r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"t"}"#,
    r#"{"access_token":"t","expires_on":"4102444800","expires_in":"86399","token_type":"Bearer","resource":"r"}"#,
    r#"{"error":"invalid_client","error_codes":[7000215],"error_description":"AADSTS7000215: Invalid.\r\nTrace ID: 1"}"#,
    include_str!("keys/rsa.pkcs8.pem"),
];

#[test]
fn no_body_breaks_a_parser_or_names_all_instances() {
    let samples = ARM.map(str::as_bytes);
    for bytes in samples.into_iter().map(<[u8]>::to_vec).chain(mutations::mutations(&samples, 2500)) {
        assert_eq!(fuzzing::parse(&bytes), Vec::<String>::new(), "{}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn no_answer_breaks_a_sign_in() {
    let samples = ENTRA.map(str::as_bytes);
    for bytes in samples.into_iter().map(<[u8]>::to_vec).chain(mutations::mutations(&samples, 2500)) {
        assert_eq!(fuzzing::parse_entra(&bytes), Vec::<String>::new(), "{}", String::from_utf8_lossy(&bytes));
    }
}
