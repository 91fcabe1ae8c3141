use rstest::rstest;

use super::*;

fn read(yaml: &str) -> Result<Config, String> {
    let config: Config = serde_yaml::from_str(yaml).map_err(|error| error.to_string())?;
    config.checked().map_err(|error| error.to_string())
}

const LOCAL: &str = r#"
azure: {cloud: Custom, resourceManager: "http://127.0.0.1:9000/", authority: "http://localhost:9000"}
azureDevOps: {hosts: ["127.0.0.1:9000"]}
"#;

#[test]
fn the_charts_own_values_are_taken() {
    let values = include_str!("../../charts/poolkeeper/values.yaml");
    let values: serde_json::Value = serde_yaml::from_str(values).unwrap();
    let picked: serde_json::Map<_, _> = ["azure", "azureDevOps", "ownIdentity", "watchNamespaces"]
        .into_iter()
        .map(|key| (key.to_owned(), values[key].clone()))
        .collect();
    let config = read(&serde_json::to_string(&picked).unwrap()).unwrap();
    assert!(config.host_allowed("dev.azure.com") && !config.identity_allowed_for_namespace("ci"));
    assert_eq!(config.resource_manager(), "https://management.azure.com");
    assert!(config.watch_namespaces().is_empty());
}

#[rstest]
#[case("azure: {cloud: Mars}", "Mars")]
#[case("azure: {resourcemanager: x}", "resourcemanager")]
#[case("watchNamespace: [ci]", "watchNamespace")]
#[case("azure: {cloud: Custom, authority: \"https://a.example\"}", "azure.resourceManager: is missing")]
#[case("azure: {authority: \"https://a.example\"}", "azure.authority: is only for cloud Custom")]
#[case(
    "azure: {cloud: Custom, resourceManager: \"http://arm.example\", authority: \"https://a.example\"}",
    "azure.resourceManager: \"http://arm.example\" is no address"
)]
#[case(
    "azure: {cloud: Custom, resourceManager: \"https://arm.example\", authority: \"https://u:p@a.example\"}",
    "azure.authority: "
)]
#[case(
    "azure: {cloud: Custom, resourceManager: \"https://arm.example/path\", authority: \"https://a.example\"}",
    "azure.resourceManager: "
)]
#[case("azureDevOps: {hosts: [dev.azure.com, \"https://dev.azure.com\"]}", "azureDevOps.hosts[1]: ")]
#[case("azureDevOps: {hosts: [\"dev.azure.com/fabrikam\"]}", "azureDevOps.hosts[0]: ")]
#[case("azureDevOps: {hosts: [\"*.com\"]}", "azureDevOps.hosts[0]: ")]
#[case("azureDevOps: {hosts: [\"*\"]}", "azureDevOps.hosts[0]: ")]
#[case("azureDevOps: {callsPerMinute: 0}", "azureDevOps.callsPerMinute: ")]
#[case("azureDevOps: {parallelJobs: [{organization: fabrikam, jobs: 2}]}", "parallelJobs[0].organization: ")]
#[case(
    "azureDevOps: {parallelJobs: [{organization: \"https://dev.azure.com/fabrikam\", jobs: 0}]}",
    "parallelJobs[0].jobs: "
)]
#[case(
    "azureDevOps: {parallelJobs: [{organization: \"https://dev.azure.com/a\", jobs: 1}, {organization: \"https://dev.azure.com/A/\", jobs: 2}]}",
    "parallelJobs[1].organization: is there twice"
)]
#[case("azure: {audience: \"https://a.example\"}", "azure.audience: is only for cloud Custom")]
#[case("azureDevOps: {hosts: [\"tfs.contoso.com:0\"]}", "azureDevOps.hosts[0]: ")]
#[case("ownIdentity: {namespaces: [ci, \"*\"]}", "ownIdentity.namespaces[1]: \"*\" is no name")]
#[case("ownIdentity: {scaleSetPrefixes: [\"/\"]}", "ownIdentity.scaleSetPrefixes[0]: ")]
#[case("ownIdentity: {scaleSetPrefixes: [\"/subscriptions/\"]}", "ownIdentity.scaleSetPrefixes[0]: ")]
#[case("ownIdentity: {scaleSetPrefixes: [\"/subscriptions/a/../b\"]}", "ownIdentity.scaleSetPrefixes[0]: ")]
#[case("watchNamespaces: [ci, CI]", "watchNamespaces[1]: ")]
#[case("watchNamespaces: [ci, other, ci]", "watchNamespaces[2]: \"ci\" is there twice")]
fn bad_input_is_refused_with_the_field(#[case] yaml: &str, #[case] words: &str) {
    let error = read(yaml).unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_the_line() {
    let missing = Config::load(Path::new("/nonexistent/config.yaml")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/config.yaml"), "{missing}");
    let path = std::env::temp_dir().join(format!("poolkeeper-config-{}.yaml", std::process::id()));
    std::fs::write(&path, "azure:\n  cloud: Public\n  clout: x\n").unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    std::fs::remove_file(&path).unwrap();
    assert!(error.contains("clout") && error.contains("line 3") && !error.contains('\n'), "{error}");
}

#[rstest]
#[case("dev.azure.com", true)]
#[case("DEV.azure.com", true)]
#[case("dev.azure.com:443", false)]
#[case("dev.azure.com.example.net", false)]
#[case("tfs.contoso.com:8080", true)]
#[case("tfs.contoso.com", false)]
#[case("fabrikam.visualstudio.com", true)]
#[case("a.b.visualstudio.com", true)]
#[case("visualstudio.com", false)]
#[case(".visualstudio.com", false)]
#[case("evilvisualstudio.com", false)]
#[case("", false)]
fn tokens_go_to_listed_hosts_only(#[case] host: &str, #[case] allowed: bool) {
    let hosts = "azureDevOps: {hosts: [dev.azure.com, \"TFS.contoso.com:8080\", \"*.visualstudio.com\"]}";
    assert_eq!(read(hosts).unwrap().host_allowed(host), allowed);
}

#[rstest]
#[case("ci", "/subscriptions/a/resourceGroups/agents/providers/x", true)]
#[case("ci", "/SUBSCRIPTIONS/A/resourcegroups/Agents/providers/x", true)]
#[case("ci", "/subscriptions/a/resourceGroups/agents-prod/providers/x", false)]
#[case("ci", "/subscriptions/a/resourceGroups/agents/../prod/providers/x", false)]
#[case("ci", "/subscriptions/a/resourceGroups/agents/%2e%2e/prod/providers/x", false)]
#[case("ci", "/subscriptions/a/resourceGroups/agents?x", false)]
#[case("other", "/subscriptions/a/resourceGroups/agents/providers/x", false)]
fn the_own_identity_serves_what_is_listed(#[case] namespace: &str, #[case] id: &str, #[case] allowed: bool) {
    let yaml =
        "ownIdentity: {namespaces: [ci], scaleSetPrefixes: [\"/subscriptions/a/resourceGroups/agents/\"]}";
    assert_eq!(read(yaml).unwrap().identity_allowed_for_scale_set(namespace, id), allowed);
}

#[test]
fn nothing_is_allowed_by_default() {
    let config = read("{}").unwrap();
    let id = "/subscriptions/a/resourceGroups/agents";
    assert!(!config.host_allowed("dev.azure.com") && !config.identity_allowed_for_scale_set("ci", id));
}

#[rstest]
#[case(Cloud::Public)]
#[case(Cloud::Government)]
#[case(Cloud::China)]
fn every_cloud_has_https_bases(#[case] cloud: Cloud) {
    let config = Config { azure: Azure { cloud, ..Azure::default() }, ..Config::default() };
    for base in [config.resource_manager(), config.authority()] {
        assert!(base.starts_with("https://") && !base.ends_with('/'), "{base}");
    }
    let clients = config.cloud().unwrap();
    let theirs =
        [clients.resource_manager(), clients.authority()].map(|url| url.as_str().trim_end_matches('/'));
    assert_eq!(theirs, [config.resource_manager(), config.authority()]);
}

#[test]
fn a_faster_clock_is_for_this_machine_only() {
    let fast: Clock = "origin=2026-01-01T00:00:00Z,scale=60".parse().unwrap();
    let local = read(LOCAL).unwrap();
    assert_eq!(local.resource_manager(), "http://127.0.0.1:9000");
    assert!(local.only_loopback() && local.clock(Some(fast)).is_ok_and(|clock| clock == fast));
    let one_elsewhere = LOCAL.replace("[\"127.0.0.1:9000\"]", "[\"127.0.0.1:9000\", dev.azure.com]");
    for yaml in ["{}", &one_elsewhere] {
        let config = read(yaml).unwrap();
        assert!(!config.only_loopback() && config.clock(None).is_ok());
        let error = config.clock(Some(fast)).unwrap_err().to_string();
        assert!(error.starts_with("--sim-clock: ") && error.contains("leave --sim-clock out"), "{error}");
    }
}

#[test]
fn parallel_jobs_belong_to_an_organisation_however_its_url_is_written() {
    let config =
        read("azureDevOps: {parallelJobs: [{organization: \"https://dev.azure.com/Fabrikam\", jobs: 20}]}")
            .unwrap();
    assert_eq!(config.parallel_jobs("https://dev.azure.com/fabrikam/"), Some(20));
    assert_eq!(config.parallel_jobs("https://dev.azure.com/contoso"), None);
    assert_eq!(config.calls_per_minute(), 300);
}

#[test]
fn a_custom_cloud_may_have_an_audience_of_its_own() {
    let config = read(
        "azure: {cloud: Custom, resourceManager: \"https://arm.example\", authority: \"https://login.example\", \
         audience: \"https://management.example/\"}",
    );
    assert_eq!(config.unwrap().cloud().unwrap().scope(), "https://management.example/.default");
}
