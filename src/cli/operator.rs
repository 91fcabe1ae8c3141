//! The operator's own answer about a pool: at its address, or of its pod through the API server.

use axum::http::{Request, Uri};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, Config, ResourceExt as _, api::ListParams, core::Status};

use super::{
    Error, Place,
    args::Operator,
    cluster::{self, Cluster},
};
use crate::{explanation::PoolView, http::NOT_SEEN, kubernetes};

/// As in the chart.
const LABEL: &str = "app.kubernetes.io/name=poolkeeper";
/// As in the chart.
const PORT_NAME: &str = "http";
const DEFAULT_PORT: i32 = 8080;

/// Asks the operator about a pool.
pub(super) async fn view(at: &Place, operator: &Operator) -> Result<PoolView, Error> {
    if let Some(url) = &operator.operator {
        let namespace = cluster::namespace(at).await?;
        let uri = address(url)?;
        let mut config = Config::new(uri);
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|_| Error::Address(url.clone()))?;
        let path = format!("/pools/{namespace}/{}", at.pool);
        return ask(&client, &path).await.map_err(|refusal| match refusal {
            Refusal::NotSeen => Error::NotSeen { namespace, name: at.pool.clone() },
            Refusal::Other(error) => failed(format!("ask the operator at {url}"), &error),
        });
    }
    let cluster = Cluster::connect(at).await?;
    through_the_api_server(&cluster, &at.pool, operator.operator_namespace.as_deref()).await
}

fn address(url: &str) -> Result<Uri, Error> {
    let uri: Uri = url.trim_end_matches('/').parse().map_err(|_| Error::Address(url.to_owned()))?;
    let usable = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if usable { Ok(uri) } else { Err(Error::Address(url.to_owned())) }
}

/// Several operators may share a cluster: the first that knows the pool answers.
async fn through_the_api_server(
    cluster: &Cluster,
    pool: &str,
    operator_namespace: Option<&str>,
) -> Result<PoolView, Error> {
    let (pods, place): (Api<Pod>, _) = match operator_namespace {
        Some(namespace) => {
            (Api::namespaced(cluster.client.clone(), namespace), format!("namespace {namespace}"))
        }
        None => (Api::all(cluster.client.clone()), "any namespace".to_owned()),
    };
    let running = ListParams::default().labels(LABEL).fields("status.phase=Running");
    let found = kubernetes::read(pods.list(&running)).await.map_err(|error| {
        let mend = "name the operator's namespace with --operator-namespace, or its address with --operator \
                    (docs/cli.md has the rights)";
        refused("list pods".to_owned(), error, mend)
    })?;
    let mut pods = found.items;
    pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
    pods.sort_by_key(|pod| (!is_ready(pod), pod.namespace(), pod.name_any()));
    let mut last = None;
    for pod in &pods {
        let (namespace, name) = (pod.namespace().unwrap_or_default(), pod.name_any());
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods/{name}:{}/proxy/pools/{}/{pool}",
            port(pod),
            cluster.namespace
        );
        last = Some(match ask(&cluster.client, &path).await {
            Ok(view) => return Ok(view),
            Err(Refusal::NotSeen) => {
                Error::NotSeen { namespace: cluster.namespace.clone(), name: pool.to_owned() }
            }
            Err(Refusal::Other(error)) => {
                let mend = "you need `get` on pods/proxy in that namespace (docs/cli.md has a Role), or forward its \
                            port and use --operator";
                refused(format!("ask the operator's pod {namespace}/{name}"), error, mend)
            }
        });
    }
    match last {
        None => Err(Error::NoOperator(place)),
        Some(Error::NotSeen { namespace, name }) if cluster.has_pool(pool).await == Some(false) => {
            Err(Error::NoPool { namespace, name })
        }
        Some(error) => Err(error),
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn port(pod: &Pod) -> i32 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.find(|port| port.name.as_deref() == Some(PORT_NAME));
    named.map_or(DEFAULT_PORT, |port| port.container_port)
}

enum Refusal {
    NotSeen,
    Other(kube::Error),
}

async fn ask(client: &Client, path: &str) -> Result<PoolView, Refusal> {
    let request =
        Request::get(path).body(Vec::new()).map_err(|error| Refusal::Other(kube::Error::HttpError(error)))?;
    kubernetes::read(client.request::<PoolView>(request)).await.map_err(|error| match &error {
        kube::Error::Api(status) if is_not_seen(status) => Refusal::NotSeen,
        _ => Refusal::Other(error),
    })
}

/// The API server answers 404 as well, where the pod has just gone.
fn is_not_seen(status: &Status) -> bool {
    status.code == 404 && status.reason == NOT_SEEN
}

fn refused(what: String, error: kube::Error, mend: &'static str) -> Error {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            Error::Forbidden { what, message: status.message.clone(), mend }
        }
        other => failed(what, &other),
    }
}

pub(super) fn failed(what: String, error: &kube::Error) -> Error {
    let message = match error {
        kube::Error::Api(status) if status.message.is_empty() => format!("it answers {}", status.code),
        kube::Error::Api(status) => status.message.clone(),
        other => crate::chain(other),
    };
    Error::Failed { what, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_host() {
        for url in ["http://127.0.0.1:8080", "http://127.0.0.1:8080/", "https://poolkeeper.ci.svc/x"] {
            assert!(address(url).is_ok(), "{url}");
        }
        for url in ["127.0.0.1:8080", "localhost", "ftp://x", "http://", ""] {
            assert!(matches!(address(url), Err(Error::Address(_))), "{url}");
        }
    }
}
