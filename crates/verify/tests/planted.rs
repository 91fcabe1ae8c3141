//! Each fact changed, alone: the run finds it, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod support;

use std::collections::BTreeSet;

use poolkeeper_verify::fact::TRIED;
use support::{Bench, differing, ephemeral, flexible, lines, not_tried, uniform};

#[derive(Clone, Copy)]
enum In {
    Uniform,
    Flexible,
    Ephemeral,
}
use In::{Ephemeral, Flexible, Uniform};

/// The fact, where, what is planted, and a part of what the run says it saw.
const PLANTED: &[(&str, In, &str, &str)] = &[
    ("arm-missing-api-version", Uniform, r#"{"apiVersionOptional": true}"#, "200"),
    ("arm-bad-token", Uniform, r#"{"badTokenCode": "ExpiredAuthenticationToken"}"#, "401 ExpiredAuth"),
    ("arm-not-found-code", Uniform, r#"{"notFoundCode": "NotFound"}"#, "404 NotFound"),
    ("arm-not-found-text", Uniform, r#"{"notFoundText": "There is no such thing."}"#, "no such thing"),
    ("arm-path-case", Uniform, r#"{"pathCaseMatters": true}"#, "404"),
    ("etag", Uniform, r#"{"etag": false}"#, "none"),
    ("ratelimit-header", Uniform, r#"{"budgetHeaders": false}"#, "no such header"),
    ("operation-unknown", Uniform, r#"{"unknownOperation": 204}"#, "204"),
    ("usages-cores", Uniform, r#"{"coresName": "totalCores"}"#, "totalCores"),
    ("tags-patch-replaces", Uniform, r#"{"tagsPatch": "Merge"}"#, "they stay"),
    ("patch-answer", Uniform, r#"{"patchStatus": 202}"#, "202"),
    ("patch-answer", Flexible, r#"{"patchStatus": 202}"#, "202"),
    ("if-match", Uniform, r#"{"ifMatch": false}"#, "200"),
    ("tags-limit", Uniform, r#"{"mostTags": 60}"#, "200"),
    ("patch-capacity-alone", Uniform, r#"{"capacityAlone": false}"#, "400 InvalidParameter"),
    ("patch-capacity-alone", Flexible, r#"{"capacityAlone": false}"#, "400 InvalidParameter"),
    ("growth-listed", Uniform, r#"{"listedAfter": "PT25S"}"#, "0 of 2 listed"),
    ("growth-listed", Flexible, r#"{"listedAfter": "PT25S"}"#, "0 of 2 listed"),
    ("next-link-host", Uniform, r#"{"nextLinkHost": "westeurope.contoso.com"}"#, "westeurope.contoso.com"),
    ("next-link-host", Flexible, r#"{"nextLinkHost": "westeurope.contoso.com"}"#, "westeurope.contoso.com"),
    ("instance-ids-grow", Uniform, "reuseInstanceIDs", "0 after 1"),
    ("computer-name", Uniform, r#"{"computerNameDigits": 5}"#, "trial00000 for id 0"),
    ("instance-unknown", Uniform, r#"{"unknownInstance": 400}"#, "400"),
    ("instance-unknown", Flexible, r#"{"unknownInstance": 400}"#, "400"),
    ("delete-unknown-instance", Uniform, r#"{"deleteUnknown": 404}"#, "404"),
    ("action-answer", Uniform, r#"{"actionStatus": 200}"#, "200"),
    ("action-answer", Flexible, r#"{"actionStatus": 200}"#, "200"),
    ("delete-in-flight", Uniform, r#"{"uniformParallelDeletes": true}"#, "202"),
    ("delete-in-parallel", Flexible, r#"{"flexibleParallelDeletes": false}"#, "409 Conflict"),
    ("delete-twice", Uniform, r#"{"deleteTwice": 204}"#, "204"),
    ("delete-twice", Flexible, r#"{"deleteTwice": 204}"#, "204"),
    ("delete-lowers-capacity", Uniform, r#"{"deleteLowersCapacity": false}"#, "2, then 2"),
    ("delete-lowers-capacity", Flexible, r#"{"deleteLowersCapacity": false}"#, "2, then 2"),
    ("operation-after-end", Uniform, r#"{"operationKept": false}"#, "404 NotFound"),
    ("reimage-keeps-identity", Uniform, r#"{"reimageKeepsVmId": false}"#, "another vmId"),
    ("reimage-keeps-identity", Ephemeral, r#"{"reimageKeepsVmId": false}"#, "another vmId"),
    ("reimage-time-created", Uniform, r#"{"reimageKeepsTimeCreated": false}"#, " after "),
    ("reimage-time-created", Ephemeral, r#"{"reimageKeepsTimeCreated": false}"#, " after "),
    ("flexible-filter-quoted", Flexible, r#"{"filterQuoted": false}"#, "400"),
    ("flexible-filter-plain", Flexible, r#"{"filterPlain": false}"#, "400"),
    ("flexible-reimage", Flexible, r#"{"flexibleReimageCode": "BadRequest"}"#, "409 BadRequest"),
    ("pool-by-name", Uniform, r#"{"poolNameFilter": false}"#, "2 pools"),
    ("pool-name-case", Uniform, r#"{"poolNameCaseMatters": true}"#, "200 with 0 pools"),
    (
        "job-requests-version",
        Uniform,
        r#"{"jobRequestsRefuse": "7.2-preview.1"}"#,
        "400 VssVersionOutOfRange",
    ),
    ("job-requests-unfinished", Uniform, r#"{"completedRequestCount": false}"#, "1 finished ones"),
    ("version-in-header", Uniform, r#"{"versionInHeader": false}"#, "400 VssVersionNotSpecified"),
    ("bad-pat", Uniform, r#"{"badToken": "EmptyList"}"#, "200"),
    ("fed-auth-redirect", Uniform, r#"{"suppressRedirect": false}"#, "302"),
    ("agent-unknown", Uniform, r#"{"agentNotFoundKey": "AgentNotFoundException"}"#, "404 AgentNotFound"),
    ("agent-delete-unknown", Uniform, r#"{"deleteUnknownAgent": 204}"#, "204"),
    ("agent-added", Uniform, r#"{"addedAgentEnabled": false}"#, "status offline, enabled false"),
    ("agent-includes", Uniform, r#"{"includesNeeded": false}"#, "systemCapabilities"),
    ("agent-exists", Uniform, r#"{"agentExistsKey": "AgentExistsException"}"#, "409 AgentExists"),
    ("agent-name-case", Uniform, r#"{"agentNameCaseMatters": true}"#, "0 listed"),
    ("agent-disable", Uniform, r#"{"patchNeedsName": true}"#, "400 VssPropertyValidation"),
    ("user-capabilities", Uniform, r#"{"userCapabilities": false}"#, "404 VssResourceNotFound"),
    ("agent-delete-offline", Uniform, r#"{"deleteAgent": 202}"#, "202, then 404"),
];

/// Facts whose outcome another one hides.
fn hidden_by(fact: &str) -> &'static [&'static str] {
    match fact {
        "etag" => &["if-match"],
        _ => &[],
    }
}

#[test]
fn every_fact_has_a_planted_difference() {
    let planted: BTreeSet<&str> = PLANTED.iter().map(|(fact, ..)| *fact).collect();
    let tried: BTreeSet<&str> = TRIED.iter().map(|fact| fact.id).collect();
    assert_eq!(planted, tried);
    assert_eq!(tried.len(), TRIED.len(), "an id is there twice");
}

#[tokio::test]
async fn each_planted_difference_is_found_alone() {
    let mut untried = Vec::new();
    for mode in [Uniform, Flexible, Ephemeral] {
        untried.push(not_tried(&bench(mode, "{}").await.run().await));
    }
    for (fact, mode, facts, seen) in PLANTED {
        let bench = bench(*mode, facts).await;
        let before = bench.snapshot();
        let report = bench.run().await;
        let text = lines(&report);
        assert_eq!(differing(&report), [*fact], "{facts}\n{text}");
        let line = text.lines().find(|line| line.starts_with(&format!("{fact}: differs: expected ")));
        let told = line.and_then(|line| line.split(", seen ").last());
        assert!(told.is_some_and(|told| told.contains(seen)), "{facts}: {seen} not in {line:?}");
        let mut usual = untried[*mode as usize].clone();
        usual.extend(hidden_by(fact));
        let (now, usual): (BTreeSet<_>, BTreeSet<_>) =
            (not_tried(&report).into_iter().collect(), usual.into_iter().collect());
        assert_eq!(now, usual, "{facts}\n{text}");
        assert_eq!(report.exit_code(), 1, "{facts}: {:?}", report.unrestored());
        assert_eq!(bench.snapshot(), before, "{facts}");
    }
}

async fn bench(mode: In, planted: &str) -> Bench {
    let mut spec = match mode {
        Uniform => uniform(),
        Flexible => flexible(),
        Ephemeral => ephemeral(),
    };
    let Some(facts) = planted.strip_prefix('{') else {
        assert_eq!(planted, "reuseInstanceIDs");
        spec.scale_sets[0].reuse_instance_ids = true;
        return Bench::new(spec).await;
    };
    let bench = Bench::new(spec).await;
    bench.plant(&format!("{{{facts}")).await;
    bench
}
