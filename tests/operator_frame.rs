//! The frame of the operator against a real API server: readiness, schedules, an object of another version, quiet.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use k8s_openapi::{
    api::events::v1::Event, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams},
};
use poolkeeper_api::StandbySchedule;
use poolkeeper_harness::{Binaries, ControlPlane, Operator, Tools, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "ci";

/// Schedules as any JSON, since one of them is not to be read.
fn schedules(client: &Client) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), NAMESPACE, &ApiResource::erase::<StandbySchedule>(&()))
}

async fn create(client: &Client, name: &str, spec: Value) -> Result<()> {
    let kind = ApiResource::erase::<StandbySchedule>(&());
    let object = DynamicObject::new(name, &kind).data(json!({"spec": spec}));
    schedules(client).create(&PostParams::default(), &object).await?;
    Ok(())
}

/// `type=status/reason: message` of each condition.
async fn conditions(client: &Client, name: &str) -> Result<Vec<String>> {
    let object = schedules(client).get(name).await?;
    let listed =
        object.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |condition: &Value, key: &str| {
        condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let words = |c: &Value| {
        format!("{}={}/{}: {}", text(c, "type"), text(c, "status"), text(c, "reason"), text(c, "message"))
    };
    Ok(listed.iter().map(words).collect())
}

async fn wait_for(client: &Client, name: &str, wanted: &[&str]) -> Result<()> {
    eventually(&format!("the conditions of {name}"), PATIENCE, async || {
        let found = conditions(client, name).await?;
        let fits = found.len() == wanted.len() && found.iter().zip(wanted).all(|(f, w)| f.starts_with(w));
        ensure!(fits, "{found:#?}");
        Ok(Some(()))
    })
    .await
}

/// The sum of a metric's samples.
async fn sum(operator: &Operator, sample: &str) -> Result<f64> {
    let text = operator.metrics().await?;
    let values = text.lines().filter(|line| line.starts_with(sample)).filter_map(|line| line.split_once(' '));
    Ok(values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
}

/// As an older or newer version of the definition would have let it in.
async fn let_any_spec_in(client: &Client) -> Result<()> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    let patch = serde_json::from_value(json!([{"op": "replace", "path": path, "value": any}]))?;
    let name = "standbyschedules.poolkeeper.dev";
    definitions.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch)).await?;
    eventually("the definition lets anything in", PATIENCE, async || {
        let kind = ApiResource::erase::<StandbySchedule>(&());
        let probe =
            DynamicObject::new("probe", &kind).data(json!({"spec": {"manual": {"type": "Fortnightly"}}}));
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        schedules(client).create(&dry, &probe).await?;
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn schedules_are_served_and_one_that_cannot_be_read_stops_nobody() -> Result<()> {
    let binaries = Binaries { operator: env!("CARGO_BIN_EXE_poolkeeper").into(), simulator: PathBuf::new() };
    let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
    let admin = control_plane.client().await?;
    let local = "http://127.0.0.1:9";
    let values = json!({
        "azure": {"cloud": "Custom", "resourceManager": local, "authority": local},
        "azureDevOps": {"hosts": ["127.0.0.1:9"]}
    });

    // Before the CRDs are there, it is alive, waits, and says for what.
    let configuration = control_plane.directory().write("config.yaml", values.to_string().as_bytes())?;
    let early = Operator::start(&binaries, control_plane.kubeconfig(), &configuration, None, &[]).await?;
    let readyz = format!("{}/readyz", early.url());
    eventually("readiness names the missing definition", PATIENCE, async || {
        let answer = reqwest::Client::builder().no_proxy().build()?.get(&readyz).send().await?;
        let (status, text) = (answer.status().as_u16(), answer.text().await?);
        ensure!(
            status == 503 && text.contains("does not know standbyschedules.poolkeeper.dev"),
            "{status}: {text}"
        );
        Ok(Some(()))
    })
    .await?;
    control_plane.install_chart("poolkeeper", &values).await?;
    early.wait_ready().await?;
    ensure!(early.stop().await?.success(), "SIGTERM is a good end");

    control_plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: ci}}").await?;
    let_any_spec_in(&admin).await?;
    create(&admin, "odd", json!({"timeZone": "UTC", "manual": {"type": "Fortnightly"}})).await?;
    let identity = control_plane.service_account_kubeconfig("poolkeeper", "poolkeeper").await?;
    let configuration = control_plane.operator_configuration("poolkeeper").await?;
    let operator = Operator::start(&binaries, &identity, &configuration, None, &[]).await?;
    operator.wait_ready().await?;

    let flat = json!({"timeZone": "UTC", "manual": {"type": "AllWeek", "allWeek": {"agents": 4}}});
    create(&admin, "good", flat.clone()).await?;
    wait_for(&admin, "good", &["Ready=True/Valid: not used by any pool"]).await?;
    let words = "InvalidSpec: spec.manual.type: unknown variant `Fortnightly`";
    wait_for(&admin, "odd", &[&format!("Ready=False/{words}"), &format!("Stalled=True/{words}")]).await?;
    let events: Api<Event> = Api::namespaced(admin.clone(), NAMESPACE);
    eventually("the event", PATIENCE, async || {
        let all = events.list(&Default::default()).await?;
        let about = |event: &&Event| {
            event.regarding.as_ref().is_some_and(|object| object.name.as_deref() == Some("odd"))
        };
        Ok(all.iter().find(about).filter(|event| event.reason.as_deref() == Some("InvalidSpec")).map(|_| ()))
    })
    .await?;

    // Looked at again, they are left as they are.
    let passes = "poolkeeper_passes_total{controller=\"standby_schedule\"";
    let (writes_before, passes_before) =
        (sum(&operator, "poolkeeper_api_writes_total").await?, sum(&operator, passes).await?);
    for name in ["good", "odd"] {
        let look = json!({"metadata": {"annotations": {"look": "again"}}});
        schedules(&admin).patch(name, &PatchParams::default(), &Patch::Merge(&look)).await?;
    }
    eventually("two more passes", PATIENCE, async || {
        let passes = sum(&operator, passes).await?;
        ensure!(passes >= passes_before + 2.0, "{passes} after {passes_before}");
        Ok(Some(()))
    })
    .await?;
    ensure!(
        sum(&operator, "poolkeeper_api_writes_total").await? == writes_before,
        "a pass without news wrote"
    );

    // What was found of an object is never written to its successor of the same name.
    let kind = ApiResource::erase::<StandbySchedule>(&());
    let other = json!({
        "apiVersion": kind.api_version, "kind": kind.kind,
        "metadata": {"name": "good", "uid": "6f0e0000-0000-0000-0000-000000000000"}, "status": {}
    });
    let apply = PatchParams::apply("poolkeeper").force();
    let refused = schedules(&admin).patch_status("good", &apply, &Patch::Apply(&other)).await;
    ensure!(
        matches!(&refused, Err(kube::Error::Api(status)) if matches!(status.code, 409 | 422)),
        "{refused:?}"
    );

    // A pool that names the schedule stands in its message, and mending the odd one mends its conditions.
    control_plane
        .apply(
            r#"
apiVersion: poolkeeper.dev/v1alpha1
kind: AgentPool
metadata: {name: linux-build, namespace: ci}
spec:
  organization: {url: "http://127.0.0.1:9/fabrikam", credentials: {type: PersonalAccessToken, secretRef: {name: none}}}
  poolName: linux-build
  maxAgents: 10
  standby: {scheduleRef: {name: good}}
"#,
        )
        .await?;
    wait_for(&admin, "good", &["Ready=True/Valid: used by linux-build"]).await?;
    let mended = json!({"spec": flat});
    schedules(&admin).patch("odd", &PatchParams::default(), &Patch::Merge(&mended)).await?;
    wait_for(&admin, "odd", &["Ready=True/Valid: not used by any pool"]).await?;
    let odd = schedules(&admin).get("odd").await?;
    ensure!(
        odd.managed_fields().iter().filter(|field| field.manager.as_deref() == Some("poolkeeper")).count()
            == 1
    );
    ensure!(operator.stop().await?.success(), "SIGTERM is a good end");
    Ok(())
}
