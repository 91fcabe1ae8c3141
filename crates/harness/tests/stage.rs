//! The stage itself: a real API server, the chart installed by Helm, and the rights that it gives.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DynamicObject, ListParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, Error};
use poolkeeper_harness::{ControlPlane, RELEASE, Tools, eventually};
use serde_json::json;

const NAMESPACE: &str = "poolkeeper";
/// The authoriser learns of a new role through a watch, usually within milliseconds.
const RBAC_DELAY: Duration = Duration::from_secs(30);

#[tokio::test]
async fn the_chart_gives_the_operator_what_it_needs_and_no_more() -> Result<()> {
    let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
    control_plane.install_chart(NAMESPACE, &json!({})).await?;
    let kubeconfig = control_plane.service_account_kubeconfig(NAMESPACE, RELEASE).await?;
    let operator = control_plane.client_with(&kubeconfig).await?;

    let pools = pools(&operator);
    let none = eventually("the operator lists pools", RBAC_DELAY, async || {
        Ok(Some(pools.list(&ListParams::default()).await?.items))
    });
    assert_eq!(none.await?.len(), 0);

    let secrets: Api<Secret> = Api::all(operator.clone());
    assert_forbidden(&secrets.list(&ListParams::default()).await);
    let secrets: Api<Secret> = Api::namespaced(operator.clone(), "default");
    assert_eq!(secrets.get_opt("none").await?, None);

    let pod = serde_json::from_value(json!({
        "metadata": {"name": "intruder"},
        "spec": {"containers": [{"name": "intruder", "image": "intruder"}]},
    }))?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(operator.clone(), "default");
    assert_forbidden(&pods.create(&PostParams::default(), &pod).await);

    let rights: [(&str, &str, &str, bool); 17] = [
        ("poolkeeper.dev", "agentpools", "patch", true),
        ("poolkeeper.dev", "agentpools/status", "patch", true),
        ("poolkeeper.dev", "scalesetbindings/status", "patch", true),
        ("poolkeeper.dev", "standbyschedules/status", "patch", true),
        ("poolkeeper.dev", "standbyschedules", "watch", true),
        ("events.k8s.io", "events", "create", true),
        ("", "events", "patch", true),
        ("poolkeeper.dev", "agentpools", "create", false),
        ("poolkeeper.dev", "agentpools", "delete", false),
        ("poolkeeper.dev", "standbyschedules", "patch", false),
        ("", "secrets", "watch", false),
        ("", "secrets", "patch", false),
        ("", "configmaps", "get", true),
        ("", "configmaps", "delete", false),
        ("coordination.k8s.io", "leases", "create", false),
        ("apiextensions.k8s.io", "customresourcedefinitions", "get", false),
        ("rbac.authorization.k8s.io", "clusterroles", "bind", false),
    ];
    for (group, resource, verb, wanted) in rights {
        assert_eq!(
            may(&operator, "default", group, resource, verb).await?,
            wanted,
            "{verb} {resource}.{group}"
        );
    }
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(operator.clone());
    let system = eventually("the operator reads the cluster's identity", RBAC_DELAY, async || {
        Ok(Some(namespaces.get("kube-system").await?))
    });
    system.await?;
    assert_forbidden(&namespaces.get("default").await);
    Ok(())
}

#[tokio::test]
async fn with_watched_namespaces_the_rights_end_there() -> Result<()> {
    let control_plane = ControlPlane::start(&Tools::ensure().await?).await?;
    let values = json!({"watchNamespaces": ["default"]});
    control_plane.install_chart(NAMESPACE, &values).await?;
    let kubeconfig = control_plane.service_account_kubeconfig(NAMESPACE, RELEASE).await?;
    let operator = control_plane.client_with(&kubeconfig).await?;

    let watched: Api<DynamicObject> = Api::namespaced_with(operator.clone(), "default", &agent_pool());
    let listed = eventually("the operator lists pools of its namespace", RBAC_DELAY, async || {
        Ok(Some(watched.list(&ListParams::default()).await?))
    });
    listed.await?;
    assert_forbidden(&pools(&operator).list(&ListParams::default()).await);
    assert!(!may(&operator, "kube-system", "", "secrets", "get").await?);

    let configuration = std::fs::read_to_string(control_plane.operator_configuration(NAMESPACE).await?)?;
    assert!(configuration.contains("watchNamespaces:\n- default\n"), "{configuration}");

    // The schema of the values refuses what the operator would refuse at its start.
    control_plane.lint_chart(&values).await?;
    for (wrong, says) in [
        (json!({"azure": {"cloud": "Custom"}}), "resourceManager"),
        (json!({"azure": {"cloud": "Public", "authority": "https://login.fabrikam.example"}}), "authority"),
        (json!({"azureDevOps": {"hosts": ["https://dev.azure.com"]}}), "hosts"),
        (json!({"ownIdentity": {"namespace": ["ci"]}}), "namespace"),
    ] {
        let error = control_plane.lint_chart(&wrong).await.unwrap_err();
        assert!(format!("{error:#}").contains(says), "{wrong}: {error:#}");
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_after_drop() -> Result<()> {
    let tools = Tools::ensure().await?;
    if tools.existing_cluster.is_some() {
        return Ok(()); // not ours to end
    }
    let control_plane = ControlPlane::start(&tools).await?;
    let client = control_plane.client().await?;
    let version = client.apiserver_version().await?;
    ensure!(version.minor == "35", "an API server of another version: {}", version.git_version);
    let folder = control_plane.directory().path().to_owned();
    let process = format!("/proc/{}", control_plane.process_id().unwrap_or_default());
    ensure!(!Path::new("/proc").exists() || Path::new(&process).exists(), "the process id is wrong");

    drop(control_plane);
    assert!(client.apiserver_version().await.is_err());
    assert!(!folder.exists());
    assert!(!Path::new(&process).exists());
    Ok(())
}

fn agent_pool() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("poolkeeper.dev", "v1alpha1", "AgentPool"))
}

fn pools(client: &Client) -> Api<DynamicObject> {
    Api::all_with(client.clone(), &agent_pool())
}

fn assert_forbidden<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    let forbidden = matches!(answer, Err(Error::Api(status)) if status.code == 403);
    assert!(forbidden, "not forbidden: {answer:?}");
}

/// Asks the API server's own authoriser.
async fn may(client: &Client, namespace: &str, group: &str, resource: &str, verb: &str) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = ResourceAttributes {
        namespace: Some(namespace.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: Some(subresource.to_owned()),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}
