//! What clients of Azure DevOps ask before they call: which resources are where.

use serde_json::{Value, json};

/// Location id, area, resource and route of each resource, as the official clients know them.
const LOCATIONS: [(&str, &str, &str, &str); 8] = [
    ("a8c47e17-4d56-4a56-92bb-de7ea7dc65be", TASKS, "pools", "_apis/{area}/{resource}/{poolId}"),
    (
        "e298ef32-5878-4cab-993c-043836571f42",
        TASKS,
        "agents",
        "_apis/{area}/pools/{poolId}/{resource}/{agentId}",
    ),
    (
        "30ba3ada-fedf-4da8-bbb5-dacf2f82e176",
        TASKS,
        "usercapabilities",
        "_apis/{area}/pools/{poolId}/agents/{agentId}/{resource}",
    ),
    (
        "fc825784-c92a-4299-9221-998a02d1b54f",
        TASKS,
        "jobrequests",
        "_apis/{area}/pools/{poolId}/{resource}/{requestId}",
    ),
    (
        "80572e16-58f0-4419-ac07-d19fde32195c",
        TASKS,
        "maintenancedefinitions",
        "_apis/{area}/pools/{poolId}/{resource}/{definitionId}",
    ),
    ("dd3c938f-835b-4971-b99a-db75a47aad43", TASKS, "elasticpools", "_apis/{area}/{resource}/{poolId}"),
    ("e81700f7-3be2-46de-8624-2eb35882fcaa", "Location", "ResourceAreas", "_apis/{resource}/{areaId}"),
    ("00d9565f-ed9c-4a06-9a50-00e7896ccab4", "Location", "ConnectionData", "_apis/{resource}"),
];

const TASKS: &str = "distributedtask";

/// The answer to `OPTIONS /_apis` and `OPTIONS /_apis/{area}`.
pub(super) fn locations(area: Option<&str>) -> Value {
    let value: Vec<Value> = LOCATIONS
        .iter()
        .filter(|(_, known, _, _)| area.is_none_or(|area| known.eq_ignore_ascii_case(area)))
        .map(|(id, area, resource, template)| location(id, area, resource, template))
        .collect();
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
