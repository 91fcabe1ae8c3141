use crate::cloud::Cloud;
use crate::credential::{Credential, CredentialError};
use crate::fault;
use crate::id::{InstanceId, InstanceIds, ScaleSetId};
use crate::model::{Instance, ScaleSet, Sku};
use crate::operation::{OperationStatus, OperationUrl, Started};
use poolkeeper_rest::{
    Answer, Authorization, CallLog, Class, Client, Error, Http, Method, Operation, Reply, Request, Service,
    SetupError, Url,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The version of the compute API: the newest whose examples Microsoft publishes in
/// <https://github.com/Azure/azure-rest-api-specs> (`specification/compute/resource-manager/Microsoft.Compute`).
pub const API_VERSION: &str = "2025-04-01";

/// More pages than any scale set has: it holds at most 1000 instances. Bounds a list whose links never end.
const MAX_PAGES: usize = 1000;

/// The scale sets that one credential sees in one cloud. Cheap to clone.
///
/// Errors are classed by Azure's code where it says more than the HTTP status: see [`fault`].
#[derive(Clone, Debug)]
pub struct ScaleSets {
    client: Client,
    credential: Arc<Credential>,
    scope: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    value: Vec<Instance>,
    next_link: Option<String>,
}

impl ScaleSets {
    /// A client of `cloud` that acts as `credential` and counts its calls in `calls`.
    ///
    /// # Errors
    /// [`SetupError`] where the cloud's address is not fit to send a credential to.
    pub fn new(
        http: Http,
        cloud: &Cloud,
        credential: Arc<Credential>,
        calls: CallLog,
    ) -> Result<Self, SetupError> {
        let client = Client::new(http, Service::ResourceManager, cloud.resource_manager().clone(), calls)?
            .refine_errors(fault::refine);
        Ok(Self { client, credential, scope: cloud.scope().to_owned() })
    }

    /// Reads a scale set. The answer's `etag` is its version, from the header or the body.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn get(&self, id: &ScaleSetId) -> Result<Answer<ScaleSet>, Error> {
        let request = Request::new(Method::GET, self.url(id, &[], &[]), Operation::Get);
        let mut answer: Answer<ScaleSet> = self.send(request, Reply::json).await?;
        answer.etag = answer.etag.or_else(|| answer.value.etag.clone());
        Ok(answer)
    }

    /// Reads all instances with their states (Uniform orchestration). One failed page fails the whole list.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Unexpected`] where a page leads to another origin.
    pub async fn list_instances(&self, id: &ScaleSetId) -> Result<Answer<Vec<Instance>>, Error> {
        let mut next = Some(self.url(id, &["virtualMachines"], &[("$expand", "instanceView")]));
        let mut all = Answer { value: Vec::new(), retry_after: None, etag: None };
        let mut known = HashSet::new();
        let mut pages = HashSet::new();
        while let Some(url) = next.take() {
            let request = Request::new(Method::GET, url.clone(), Operation::List);
            if !pages.insert(url) || pages.len() > MAX_PAGES {
                return Err(request
                    .error(Class::Unexpected)
                    .because("the pages of the list lead in a circle"));
            }
            let (page, link) = self
                .send(request, |reply| {
                    let page: Answer<Page> = reply.json()?;
                    let link =
                        page.value.next_link.as_deref().filter(|link| !link.is_empty()).map(Url::parse);
                    let link = link.transpose().map_err(|_| reply.unexpected("nextLink is not a URL"))?;
                    Ok((page, link))
                })
                .await?;
            all.retry_after = all.retry_after.max(page.retry_after);
            // An instance may move to a later page while the list is read.
            all.value
                .extend(page.value.value.into_iter().filter(|instance| known.insert(instance.id.clone())));
            next = link;
        }
        Ok(all)
    }

    /// Reads one instance with its state (Uniform orchestration).
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn get_instance(
        &self,
        id: &ScaleSetId,
        instance: &InstanceId,
    ) -> Result<Answer<Instance>, Error> {
        let url = self.url(id, &["virtualMachines", instance.as_str()], &[("$expand", "instanceView")]);
        self.send(Request::new(Method::GET, url, Operation::Get), Reply::json).await
    }

    /// Asks for `capacity` instances. To be used for growth only: a lower capacity lets Azure choose what it deletes.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Precondition`] where the set no longer has the version `if_match`.
    pub async fn set_capacity(
        &self,
        id: &ScaleSetId,
        sku: &Sku,
        capacity: u32,
        if_match: Option<&str>,
    ) -> Result<Started, Error> {
        let mut body = json!({ "name": sku.name, "capacity": capacity });
        if let (Some(tier), Some(fields)) = (&sku.tier, body.as_object_mut()) {
            fields.insert("tier".to_owned(), Value::from(tier.as_str()));
        }
        self.patch(id, json!({ "sku": body }), if_match).await
    }

    /// Puts `tags` in the place of all tags of the set. To change some, read the set first, and name its version.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Precondition`] where the set no longer has the version `if_match`.
    pub async fn replace_tags(
        &self,
        id: &ScaleSetId,
        tags: &BTreeMap<String, String>,
        if_match: Option<&str>,
    ) -> Result<Started, Error> {
        self.patch(id, json!({ "tags": tags }), if_match).await
    }

    /// Deletes instances; the capacity falls with them.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::Conflict`] while another deletion or change of capacity runs.
    pub async fn delete_instances(&self, id: &ScaleSetId, instances: &InstanceIds) -> Result<Started, Error> {
        self.act(id, "delete", instances, Operation::Delete).await
    }

    /// Puts the system disks of instances back to their image.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn reimage_instances(
        &self,
        id: &ScaleSetId,
        instances: &InstanceIds,
    ) -> Result<Started, Error> {
        self.act(id, "reimage", instances, Operation::Update).await
    }

    /// Reads how an operation stands.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] once Azure has forgotten it, [`Class::Unexpected`] where its URL is
    /// not on this cloud's Resource Manager: nothing is sent there.
    pub async fn operation(&self, operation: &OperationUrl) -> Result<Answer<OperationStatus>, Error> {
        let request = Request::new(Method::GET, operation.url(), Operation::Poll);
        let read = |reply: &Reply| {
            let value = OperationStatus::read(reply, operation)?;
            Ok(Answer { value, retry_after: reply.retry_after(), etag: None })
        };
        match self.send(request, read).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                let retry_after = error.retry_after();
                OperationStatus::of_error(error, operation).map(|value| Answer {
                    value,
                    retry_after,
                    etag: None,
                })
            }
        }
    }

    async fn patch(&self, id: &ScaleSetId, body: Value, if_match: Option<&str>) -> Result<Started, Error> {
        let request = Request::new(Method::PATCH, self.url(id, &[], &[]), Operation::Update)
            .json(body)
            .if_match(if_match);
        self.send(request, |reply| {
            let value = if reply.is_empty() { None } else { Some(reply.json()?.value) };
            Ok(Started::of(reply, |url| self.client.is_own(url), value))
        })
        .await
    }

    async fn act(
        &self,
        id: &ScaleSetId,
        action: &str,
        instances: &InstanceIds,
        operation: Operation,
    ) -> Result<Started, Error> {
        let ids: Vec<&str> = instances.as_slice().iter().map(InstanceId::as_str).collect();
        let request = Request::new(Method::POST, self.url(id, &[action], &[]), operation)
            .json(json!({ "instanceIds": ids }));
        self.send(request, |reply| Ok(Started::of(reply, |url| self.client.is_own(url), None))).await
    }

    fn url(&self, id: &ScaleSetId, below: &[&str], query: &[(&str, &str)]) -> Url {
        let query: Vec<_> = [("api-version", API_VERSION)].into_iter().chain(query.iter().copied()).collect();
        self.client.url(id.segments().chain(below.iter().copied()), &query)
    }

    /// The one way out. The token is fetched only for a URL that it may be sent to.
    async fn send<T>(
        &self,
        request: Request,
        read: impl FnOnce(&Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.client.check(&request)?;
        let token = self.credential.token(&self.scope).await.map_err(|error| {
            let class = match &error {
                CredentialError::Rejected { .. } | CredentialError::Setup { .. } => Class::Unauthenticated,
                CredentialError::Unreachable { .. } => Class::Unreachable,
            };
            request.error(class).because(error.to_string()).caused_by(error)
        })?;
        self.client.decoded(request, &Authorization::Bearer(token.secret), read).await
    }
}
