//! `poolkeeper import` and `poolkeeper schedule preview`, as a person runs them, and the same as a kubectl plugin.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use anyhow::Result;
use poolkeeper_api::{AgentPool, ScaleSetBinding, agent_pool::Mode};
use poolkeeper_harness::{Binaries, Simulator, World};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_poolkeeper");
const PLUGIN: &str = env!("CARGO_BIN_EXE_kubectl-poolkeeper");
const SET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux";
const WORLD: &str = "
scaleSets:
- resourceID: /subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux
  agents: {organization: fabrikam, pool: linux-build}
organizations:
- name: fabrikam
  tokens: [{value: planted-token}]
  pools:
  - {id: 7, name: linux-build, options: 'elasticPool, preserveAgentOnJobFailure'}
  - {id: 8, name: plain}
";

fn run(program: &str, arguments: &[&str], stdin: &str, token: Option<&str>) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    if let Some(token) = token {
        command.env("AZURE_DEVOPS_EXT_PAT", token);
    }
    let pipes = [Stdio::piped(), Stdio::piped(), Stdio::piped()];
    let [input, output, errors] = pipes;
    let mut child = command.stdin(input).stdout(output).stderr(errors).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn prints(program: &str, arguments: &[&str], stdin: &str, token: Option<&str>) -> (String, String) {
    let output = run(program, arguments, stdin, token);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    (String::from_utf8(output.stdout).unwrap(), errors)
}

/// The message; nothing is on stdout, and no secret anywhere.
fn fails(code: i32, arguments: &[&str], stdin: &str, token: Option<&str>) -> String {
    let output = run(PROGRAM, arguments, stdin, token);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    assert!(!errors.contains("planted"), "{errors}");
    errors
}

#[tokio::test]
async fn an_elastic_pool_is_read_from_azure_devops() -> Result<()> {
    let simulator = Simulator::start(&Binaries::find()?, World::Text(WORLD), 1, None).await?;
    let organization = format!("{}/fabrikam", simulator.url());
    let base = ["import", "elastic-pool", "--organization", &organization, "--pool"];
    let of = |pool: &'static str| [&base[..], &[pool, "-n", "ci"]].concat();
    let token = Some("planted-token");
    for program in [PROGRAM, PLUGIN] {
        let (text, errors) = prints(program, &of("Linux-Build"), "", token);
        assert!(errors.is_empty() && !text.contains("planted"), "{errors}{text}");
        let [pool, binding]: [Value; 2] = serde_yaml::from_multiple(&text)?.try_into().unwrap();
        let pool: AgentPool = serde_json::from_value(pool)?;
        assert_eq!(
            (pool.metadata.name.as_deref(), pool.metadata.namespace.as_deref()),
            (Some("linux-build"), Some("ci"))
        );
        assert_eq!(pool.spec.organization.url, organization);
        assert_eq!((pool.spec.pool_name.as_str(), pool.spec.mode), ("linux-build", Mode::Observe));
        let binding: ScaleSetBinding = serde_json::from_value(binding)?;
        assert_eq!(binding.spec.scale_set.resource_id, SET);
        assert_eq!(binding.spec.take_over_from.as_deref(), Some("linux-build"));
        assert!(text.contains("preserveAgentOnJobFailure (true)"), "{text}");
    }
    assert!(fails(1, &of("plain"), "", token).contains("pool plain of http://127.0.0.1:"));
    assert!(fails(1, &of("plain"), "", token).contains("is no elastic pool"));
    assert!(fails(1, &of("nobodys"), "", token).contains("has no agent pool nobodys"));
    assert!(fails(1, &of("linux-build"), "", Some("planted-wrong")).contains("cannot read pool linux-build"));
    assert!(fails(1, &of("linux-build"), "", None).contains("set AZURE_DEVOPS_EXT_PAT"));
    let elsewhere = |url| ["import", "elastic-pool", "--organization", url, "--pool", "x"];
    assert!(fails(1, &elsewhere("fabrikam"), "", token).contains("\"fabrikam\" is no address"));
    assert!(fails(1, &elsewhere("http://dev.azure.com/fabrikam"), "", token).contains("https"));
    assert!(fails(1, &elsewhere("http://127.0.0.1:9/fabrikam"), "", token).contains("cannot read pool x"));
    assert!(fails(2, &["import", "elastic-pool", "--pool", "x"], "", token).contains("--organization"));
    Ok(())
}

#[test]
fn saved_pools_are_read_from_files_and_stdin() {
    let elastic =
        json!({"azureId": SET, "maxCapacity": 4, "desiredIdle": 1, "recycleAfterEachUse": true}).to_string();
    let organization = ["--organization", "https://dev.azure.com/fabrikam", "--pool", "linux"];
    let arguments = [&["import", "elastic-pool", "--file", "-"], &organization[..]].concat();
    let (text, _) = prints(PROGRAM, &arguments, &elastic, None);
    assert_eq!(text.matches("kind: ").count(), 2, "{text}");
    let managed = json!({
        "name": "ci", "maximumConcurrency": 4, "organizationProfile": {"AzureDevOps": {"organizations": [{"url": "https://dev.azure.com/fabrikam"}]}},
        "agentProfile": {"Stateless": {}, "resourcePredictionsProfile": {"Manual": {}},
            "resourcePredictions": {"timeZone": "W. Europe Standard Time", "daysData": [{"00:00:00": 2}]}},
        "fabricProfile": {"vmss": {"images": [{"wellKnownImageName": "ubuntu-22.04"}]}}
    })
    .to_string();
    let (text, _) =
        prints(PROGRAM, &["import", "managed-pool", "--file", "-", "--name", "west"], &managed, None);
    assert!(text.contains("timeZone: Europe/Berlin") && text.contains("name: west\n"), "{text}");
    // What it prints is what the preview reads.
    let preview = ["schedule", "preview", "-f", "-", "--from", "2026-11-23", "--days", "1"];
    let (table, _) = prints(PROGRAM, &preview, &text, None);
    assert!(table.contains("Mon 2026-11-23 00:00 +01:00  2       Manual"), "{table}");
    for text in ["", "{", "\u{0}"] {
        assert!(fails(1, &["import", "managed-pool", "--file", "-"], text, None).contains("not JSON"));
    }
    let error = fails(1, &["import", "managed-pool", "--file", "/nowhere/x.json"], "", None);
    assert!(error.contains("cannot read /nowhere/x.json: "), "{error}");
    assert!(
        fails(1, &["import", "managed-pool", "--file", "-"], "{}", None).contains("properties is missing")
    );
    assert!(fails(2, &["import", "managed-pool"], "", None).contains("--file"));
}

const SCHEDULES: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: office-hours}
---
apiVersion: poolkeeper.dev/v1alpha1
kind: StandbySchedule
metadata: {name: office-hours}
spec:
  timeZone: Europe/Stockholm
  manual:
    type: Periods
    periods:
    - {name: mornings, startDay: Monday, start: "08:00", end: "12:00", agents: 6}
    - {name: rest, startDay: Monday, start: "12:00", until: NextPeriod, agents: 2}
    - {name: midweek, startDay: Tuesday, start: "07:00", endDay: Thursday, end: "20:00", agents: 2}
  exceptions:
  - {name: christmas, from: "2026-12-24", to: "2026-12-26", agents: 0}
  boosts:
  - {name: release, from: "2026-11-25T05:00:00Z", until: "2026-11-25T17:00:00Z", agents: 20}
"#;

const PREVIEW: [&str; 8] = ["schedule", "preview", "-f", "-", "--from", "2026-11-23", "--days", "7"];

#[test]
fn a_schedule_is_shown_before_it_is_applied() {
    let table = "\
TIME                         AGENTS  SOURCE  NAME
Mon 2026-11-23 00:00 +01:00  0       Off     -
Mon 2026-11-23 08:00 +01:00  6       Manual  mornings
Mon 2026-11-23 12:00 +01:00  2       Manual  rest
Tue 2026-11-24 07:00 +01:00  2       Manual  midweek
Wed 2026-11-25 06:00 +01:00  20      Boost   release
Wed 2026-11-25 18:00 +01:00  2       Manual  midweek
Thu 2026-11-26 20:00 +01:00  0       Off     -
";
    for program in [PROGRAM, PLUGIN] {
        assert_eq!(prints(program, &PREVIEW, SCHEDULES, None), (table.to_owned(), String::new()));
    }
    // For programs a change of the name alone is none.
    let (text, _) = prints(PROGRAM, &[&PREVIEW[..], &["-o", "json"]].concat(), SCHEDULES, None);
    let read: Value = serde_json::from_str(&text).unwrap();
    let expected = json!([
        {"at": "2026-11-22T23:00:00Z", "agents": 0, "source": "Off"},
        {"at": "2026-11-23T07:00:00Z", "agents": 6, "source": "Manual"},
        {"at": "2026-11-23T11:00:00Z", "agents": 2, "source": "Manual"},
        {"at": "2026-11-25T05:00:00Z", "agents": 20, "source": "Boost"},
        {"at": "2026-11-25T17:00:00Z", "agents": 2, "source": "Manual"},
        {"at": "2026-11-26T19:00:00Z", "agents": 0, "source": "Off"}
    ]);
    assert_eq!(read, expected);
    let tokyo = [&PREVIEW[..], &["--zone", "Asia/Tokyo"]].concat();
    let (text, _) = prints(PROGRAM, &tokyo, SCHEDULES, None);
    assert!(text.contains("Mon 2026-11-23 00:00 +09:00  0       Off"), "{text}");
    assert!(text.contains("Mon 2026-11-23 16:00 +09:00  6       Manual"), "{text}");
    // A whole year, with its clock changes and its holidays.
    let year = ["schedule", "preview", "-f", "-", "--from", "2026-11-23", "--days", "366"];
    let (text, _) = prints(PROGRAM, &year, SCHEDULES, None);
    assert!(text.contains("Thu 2026-12-24 00:00 +01:00  0       Exception  christmas"), "{text}");
    assert!(text.contains("Mon 2027-03-29 08:00 +02:00  6       Manual"), "{text}");
    assert!(text.contains("Mon 2027-11-01 08:00 +01:00  6       Manual"), "{text}");
}

#[test]
fn what_cannot_be_shown_is_explained() {
    let schedule = |spec: &str| {
        format!(
            "apiVersion: poolkeeper.dev/v1alpha1\nkind: StandbySchedule\nmetadata: {{name: a}}\nspec: {spec}\n"
        )
    };
    for (text, words) in [
        (String::new(), "- has no StandbySchedule"),
        ("a: [".to_owned(), "- is not YAML"),
        (
            format!("{SCHEDULES}---{SCHEDULES}"),
            "several StandbySchedules: office-hours, office-hours; choose one with --name",
        ),
        (schedule("{manual: {type: Periods}}"), "StandbySchedule a: spec.manual.periods has 0 entries"),
        (schedule("{manual: {type: AllWeek, allWeek: {agents: 0}}}"), "spec.manual.allWeek.agents"),
        (
            schedule("{timeZone: Mars/Olympus, manual: {type: AllWeek, allWeek: {agents: 1}}}"),
            "spec.timeZone: unknown time zone Mars/Olympus",
        ),
        (schedule("{manual: {type: Daily}}"), "unknown variant `Daily`"),
        (schedule("{}"), "give manual, automatic or both"),
    ] {
        let error = fails(1, &PREVIEW, &text, None);
        assert!(error.contains(words), "{error}");
    }
    let two = format!(
        "{}---\n{}",
        schedule("{manual: {type: AllWeek, allWeek: {agents: 3}}}"),
        SCHEDULES
            .replace("---", "")
            .replace("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: office-hours}\n", "")
    );
    let named = |name: &'static str| [&PREVIEW[..], &["--name", name]].concat();
    assert!(prints(PROGRAM, &named("a"), &two, None).0.contains("3       Manual"));
    assert!(fails(1, &named("b"), &two, None).contains("has no StandbySchedule called b"));
    for (from, days) in [("2026-11-23", "0"), ("2026-11-23", "367"), ("today", "1")] {
        fails(2, &["schedule", "preview", "-f", "-", "--from", from, "--days", days], SCHEDULES, None);
    }
    let (table, note) = prints(PROGRAM, &PREVIEW, &schedule("{automatic: {}}"), None);
    assert!(table.contains("0       Off") && note.contains("history of each pool decides"), "{table}{note}");
    let both = schedule("{automatic: {}, manual: {type: AllWeek, allWeek: {agents: 1}}}");
    assert!(prints(PROGRAM, &PREVIEW, &both, None).1.contains("may ask for more"));
}
