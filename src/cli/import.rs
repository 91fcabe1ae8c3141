//! `poolkeeper import`: the pool of another manager as manifests.

use poolkeeper_import::Options;
use poolkeeper_rest::{
    Authorization, CallLog, Class, Client, Http, Limits, Method, Operation, Request, Service, SetupError, Url,
};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Error,
    args::{ImportElasticPool, ImportFrom, ImportManagedPool, ManifestNames},
    input,
};

/// The version of the REST API, the newest that is not a preview.
const API_VERSION: (&str, &str) = ("api-version", "7.1");

/// Why the pool of another manager could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// An address that is none.
    #[error("--organization {0:?} is no address; write it like https://dev.azure.com/fabrikam")]
    Address(String),
    /// No token.
    #[error(
        "no token for Azure DevOps: set AZURE_DEVOPS_EXT_PAT to a personal access token with the scope Agent Pools \
         (Read), or give the pool's JSON with --file"
    )]
    NoToken,
    /// No connection can be made.
    #[error("cannot reach {0} safely")]
    Setup(String, #[source] SetupError),
    /// The organization refuses, or does not answer.
    #[error("cannot read pool {pool} of {organization}")]
    Call {
        /// Which pool.
        pool: String,
        /// Where.
        organization: String,
        /// Why.
        #[source]
        source: Box<poolkeeper_rest::Error>,
    },
    /// No such pool.
    #[error("{organization} has no agent pool {pool}, or the token may not see it")]
    NoPool {
        /// Which pool.
        pool: String,
        /// Where.
        organization: String,
    },
    /// A pool that nobody sizes.
    #[error(
        "pool {pool} of {organization} is no elastic pool: nothing sizes it, so there is nothing to import; \
         examples/quickstart shows the manifests of a pool"
    )]
    NotElastic {
        /// Which pool.
        pool: String,
        /// Where.
        organization: String,
    },
}

/// The manifests.
pub(super) async fn text(from: &ImportFrom) -> Result<String, Error> {
    let manifests = match from {
        ImportFrom::ElasticPool(args) => {
            let json = match &args.file {
                Some(file) => poolkeeper_import::json(&input(file)?)?,
                None => fetch(args).await?,
            };
            let options = options(&args.names, Some(&args.organization), Some(&args.pool));
            poolkeeper_import::elastic_pool(&json, &options)?
        }
        ImportFrom::ManagedPool(ImportManagedPool { file, pool, organization, names }) => {
            let json = poolkeeper_import::json(&input(file)?)?;
            let options = options(names, organization.as_deref(), pool.as_deref());
            poolkeeper_import::managed_pool(&json, &options)?
        }
    };
    Ok(manifests.to_string())
}

fn options(names: &ManifestNames, organization: Option<&str>, pool: Option<&str>) -> Options {
    Options {
        name: names.name.clone(),
        namespace: names.namespace.clone(),
        organization: organization.map(|url| url.trim_end_matches('/').to_owned()),
        pool: pool.map(str::to_owned),
    }
}

/// The elastic pool beside its agent pool, as Azure DevOps answers them.
async fn fetch(args: &ImportElasticPool) -> Result<Value, ReadError> {
    let (pool, organization) = (args.pool.clone(), args.organization.clone());
    let url = Url::parse(&organization).map_err(|_| ReadError::Address(organization.clone()))?;
    let token = std::env::var("AZURE_DEVOPS_EXT_PAT").ok().filter(|token| !token.trim().is_empty());
    let authorization = Authorization::Pat(SecretString::from(token.ok_or(ReadError::NoToken)?));
    let setup = |error| ReadError::Setup(organization.clone(), error);
    let http = Http::new(Limits::default()).map_err(setup)?;
    let client = Client::new(http, Service::AzureDevOps, url, CallLog::default()).map_err(setup)?;
    // Asks for 401 in the place of a redirect to the sign-in page.
    let client = client.header("x-tfs-fedauthredirect", "Suppress");
    let read = async |below: &[&str], query: &[(&str, &str)], operation| {
        let segments = ["_apis", "distributedtask"].into_iter().chain(below.iter().copied());
        let url = client.url(segments, &[query, &[API_VERSION]].concat());
        client.json::<Value>(Request::new(Method::GET, url, operation), &authorization).await
    };
    let failed = |source| ReadError::Call {
        pool: pool.clone(),
        organization: organization.clone(),
        source: Box::new(source),
    };
    let found = read(&["pools"], &[("poolName", &pool)], Operation::List).await.map_err(failed)?.value;
    let listed = found.get("value").and_then(Value::as_array).into_iter().flatten();
    let named = |found: &&Value| {
        let name = found.get("name").and_then(Value::as_str);
        name.is_some_and(|name| name.to_lowercase() == pool.to_lowercase())
    };
    let Some(agent_pool) = listed.into_iter().find(named) else {
        return Err(ReadError::NoPool { pool, organization });
    };
    let id = agent_pool.get("id").and_then(Value::as_u64).unwrap_or_default().to_string();
    match read(&["elasticpools", &id], &[], Operation::Get).await {
        Ok(answer) => Ok(json!({"elasticPool": answer.value, "agentPool": agent_pool})),
        Err(error) if error.class() == Class::NotFound => Err(ReadError::NotElastic { pool, organization }),
        Err(error) => Err(failed(error)),
    }
}
