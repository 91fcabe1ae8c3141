//! What clients of Azure DevOps ask before they call: which resources are where.

use serde_json::{Value, json};

/// Location ids of the distributedtask area, as the official clients know them.
const LOCATIONS: [(&str, &str, &str); 3] = [
    ("a8c47e17-4d56-4a56-92bb-de7ea7dc65be", "pools", "_apis/{area}/{resource}/{poolId}"),
    ("e298ef32-5878-4cab-993c-043836571f42", "agents", "_apis/{area}/pools/{poolId}/{resource}/{agentId}"),
    (
        "fc825784-c92a-4299-9221-998a02d1b54f",
        "jobrequests",
        "_apis/{area}/pools/{poolId}/{resource}/{requestId}",
    ),
];

/// The answer to `OPTIONS /_apis` and `OPTIONS /_apis/{area}`.
pub(super) fn locations(area: Option<&str>) -> Value {
    let mut value: Vec<Value> = LOCATIONS
        .iter()
        .filter(|_| area.is_none_or(|area| area == "distributedtask"))
        .map(|(id, resource, template)| location(id, "distributedtask", resource, template))
        .collect();
    if area.is_none_or(|area| area == "location") {
        value.push(location(
            "e81700f7-3be2-46de-8624-2eb35882fcaa",
            "Location",
            "ResourceAreas",
            "_apis/{resource}/{areaId}",
        ));
    }
    json!({"count": value.len(), "value": value})
}

fn location(id: &str, area: &str, resource: &str, template: &str) -> Value {
    json!({
        "id": id,
        "area": area,
        "resourceName": resource,
        "routeTemplate": template,
        "resourceVersion": 1,
        "minVersion": "1.0",
        "maxVersion": "7.2",
        "releasedVersion": "7.1",
    })
}
