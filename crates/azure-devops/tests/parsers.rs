//! Answers of Azure DevOps, broken in thousands of ways.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test helpers outside of #[test]"
)]

#[path = "../../rest/tests/support/mutations.rs"]
mod mutations;

use poolkeeper_azure_devops::fuzzing;

const SAMPLES: [&str; 6] = [
    r#"{"count":1,"value":[{"id":44,"name":"linux","size":3,"isHosted":false,"poolType":"automation","options":"elasticPool, singleUseAgents"}]}"#,
    r#"{"count":2,"value":[{"id":7,"name":"agent000007","version":"4.250.0","enabled":true,"status":"online",
        "createdOn":"2026-01-01T00:00:00.123Z","statusChangedOn":"0001-01-01T00:00:00","systemCapabilities":{"A":"b","E":null},
        "assignedRequest":{"requestId":1,"receiveTime":"2026-01-01T00:00:00Z"},"pendingUpdate":{}},
        {"id":8,"name":"b","enabled":false,"status":"new"}]}"#,
    r#"{"count":1,"value":[{"requestId":890663,"queueTime":"2022-09-28T11:20:22.4633333Z","planType":"Build","demands":["a -equals b"],
        "reservedAgent":{"id":7,"name":"a"},"matchedAgents":[{"id":1}],"matchesAllAgentsInPool":false,
        "definition":{"id":1,"name":"n"},"result":null,"poolId":44}]}"#,
    r#"{"count":1,"value":[{"id":4,"enabled":true,"jobTimeoutInMinutes":60,"maxConcurrentAgentsPercentage":25,"pool":{"id":44},
        "options":{"workingDirectoryExpirationInDays":30},"retentionPolicy":{"numberOfHistoryRecordsToKeep":10},
        "scheduleSetting":{"scheduleJobId":"a69f552a-bc2f-4b85-af66-66f7e8657060","timeZoneId":"UTC","startHours":1,
        "startMinutes":0,"daysToBuild":28}}]}"#,
    "Europe/Berlin",
    r#"{"$id":"1","message":"No agent found for pool 44.\r\nTry another.","typeKey":"TaskAgentNotFoundException","eventId":3000}"#,
];

#[test]
fn no_body_breaks_a_parser_or_passes_for_another_list() {
    let samples = SAMPLES.map(str::as_bytes);
    for sample in samples {
        assert_eq!(fuzzing::parse(sample), Vec::<String>::new());
    }
    for bytes in mutations::mutations(&samples, 2500) {
        assert_eq!(fuzzing::parse(&bytes), Vec::<String>::new(), "{}", String::from_utf8_lossy(&bytes));
    }
}
