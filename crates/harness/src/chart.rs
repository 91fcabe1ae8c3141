//! The chart as Helm installs it, and the identity and configuration that it gives to the operator.

use std::path::PathBuf;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::control_plane::{run, succeeded};
use crate::{ControlPlane, Simulator, repository};

/// The name of the Helm release, and hence of the chart's `ServiceAccount` and `ConfigMap`.
pub const RELEASE: &str = "poolkeeper";

const CUSTOM_RESOURCES: [&str; 3] =
    ["agentpools.poolkeeper.dev", "standbyschedules.poolkeeper.dev", "scalesetbindings.poolkeeper.dev"];

/// Longer than any run of tests or demo, so that nothing has to renew it.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;

/// Values that point the operator at the simulator.
///
/// # Errors
/// If the simulator's URL has no host.
pub fn values_for(simulator: &Simulator) -> Result<Value> {
    let url = simulator.url();
    let host = url.strip_prefix("http://").with_context(|| format!("{url} is not http"))?;
    Ok(json!({
        "azure": {"cloud": "Custom", "resourceManager": url, "authority": url},
        "azureDevOps": {"hosts": [host]},
    }))
}

impl ControlPlane {
    /// `helm upgrade --install`, and then waits until the API server serves the three kinds.
    ///
    /// # Errors
    /// If Helm fails; the message is Helm's.
    pub async fn install_chart(&self, namespace: &str, values: &Value) -> Result<()> {
        let chart = repository().join("charts/poolkeeper");
        let arguments = [
            "upgrade",
            "--install",
            RELEASE,
            "--create-namespace",
            "--values",
            "-",
            "--namespace",
            namespace,
        ];
        let output = run(self.helm(&arguments).arg(chart), &values.to_string()).await?;
        succeeded("helm upgrade --install", &output)?;
        let mut wait =
            vec!["wait", "--for=condition=Established", "--timeout=60s", "customresourcedefinition"];
        wait.extend(CUSTOM_RESOURCES);
        succeeded("kubectl wait", &self.kubectl(&wait).await?)
    }

    /// `helm uninstall`.
    ///
    /// # Errors
    /// If Helm fails; the message is Helm's.
    pub async fn uninstall_chart(&self, namespace: &str) -> Result<()> {
        let arguments = ["uninstall", RELEASE, "--namespace", namespace];
        succeeded("helm uninstall", &run(&mut self.helm(&arguments), "").await?)
    }

    /// `helm lint --strict` of the chart with these values.
    ///
    /// # Errors
    /// If there is anything to mend; the message is Helm's.
    pub async fn lint_chart(&self, values: &Value) -> Result<()> {
        let chart = repository().join("charts/poolkeeper");
        let output =
            run(self.helm(&["lint", "--strict", "--values", "-"]).arg(chart), &values.to_string()).await?;
        succeeded("helm lint", &output).with_context(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Nothing of the user's own Helm is read or written.
    fn helm(&self, arguments: &[&str]) -> Command {
        let folder = self.directory.path().join("helm");
        let mut command = Command::new(&self.tools.helm);
        command.args(arguments).env("KUBECONFIG", self.kubeconfig());
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, &folder);
        }
        command
    }

    /// A kubeconfig with the server, its authority and a token of this `ServiceAccount`, and nothing else.
    ///
    /// # Errors
    /// If there is no such `ServiceAccount`.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec =
            TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
        let token = answer.status.context("the answer to a TokenRequest has no status")?.token;

        let admin = Kubeconfig::read_from(self.kubeconfig())?;
        let current =
            admin.current_context.context("the administrator's kubeconfig has no current context")?;
        let context = admin
            .contexts
            .into_iter()
            .find(|context| context.name == current)
            .and_then(|named| named.context);
        let cluster_name =
            context.context("the current context is not in the administrator's kubeconfig")?.cluster;
        let cluster = admin.clusters.into_iter().find(|cluster| cluster.name == cluster_name);
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster.context("the context's cluster is not in the administrator's kubeconfig")?],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": cluster_name, "user": name, "namespace": namespace}}],
            "current-context": name,
        });
        self.new_file(&format!("{namespace}-{name}.kubeconfig"), kubeconfig.to_string().as_bytes())
    }

    /// The operator's configuration as the chart made it, in a file.
    ///
    /// # Errors
    /// If the chart is not installed in this namespace.
    pub async fn operator_configuration(&self, namespace: &str) -> Result<PathBuf> {
        let maps: Api<ConfigMap> = Api::namespaced(self.client().await?, namespace);
        let configuration = maps.get(RELEASE).await?.data.and_then(|mut data| data.remove("config.yaml"));
        let text = configuration.context("the chart's ConfigMap has no config.yaml")?;
        self.new_file(&format!("{namespace}-config.yaml"), text.as_bytes())
    }

    /// A caller may ask twice, after an upgrade for example: the newer file then takes the place of the older.
    fn new_file(&self, name: &str, content: &[u8]) -> Result<PathBuf> {
        match std::fs::remove_file(self.directory.path().join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            Ok(()) | Err(_) => self.directory.write(name, content),
        }
    }
}
