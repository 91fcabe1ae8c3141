use crate::charge;
use crate::cloud::Cloud;
use crate::credential::{Credential, CredentialError};
use crate::fault;
use crate::id::ScaleSetId;
use crate::model::{ScaleSet, Sku};
use crate::operation::{OperationStatus, OperationUrl, Started};
use poolkeeper_budget::Budgets;
use poolkeeper_clock::Clock;
use poolkeeper_rest::{
    Answer, Authorization, CallLog, Class, Client, Error, Http, Method, Operation, Payer, Reply, Request,
    Service, SetupError, Url,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
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
    pub(crate) client: Client,
    credential: Arc<Credential>,
    scope: String,
    budgets: Option<Budgets>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    value: Vec<T>,
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
        Ok(Self { client, credential, scope: cloud.scope().to_owned(), budgets: None })
    }

    /// The same client, whose calls draw on these budgets. Without, nothing is kept back.
    #[must_use]
    pub fn with_budgets(self, budgets: &Budgets, clock: Clock) -> Self {
        let payer = Payer::azure(budgets.clone(), clock, charge::charge, charge::throttled);
        Self { client: self.client.paid_by(payer), budgets: Some(budgets.clone()), ..self }
    }

    /// Reads a scale set. The answer's `etag` is its version, from the header or the body.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn get(&self, id: &ScaleSetId) -> Result<Answer<ScaleSet>, Error> {
        let request = Request::new(Method::GET, self.url(id, &[], &[]), Operation::Get);
        let mut answer: Answer<ScaleSet> = self.send(request, Reply::json).await?;
        answer.etag = answer.etag.or_else(|| answer.value.etag.clone());
        if let (Some(budgets), Some(location)) = (&self.budgets, &answer.value.location) {
            budgets.note_location(&id.to_string(), location);
        }
        Ok(answer)
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

    /// Reads how an operation stands.
    ///
    /// # Errors
    /// [`Error`] of any class; [`Class::NotFound`] once Azure has forgotten it, [`Class::Unexpected`] where its URL is
    /// not on this cloud's Resource Manager: nothing is sent there.
    pub async fn operation(&self, operation: &OperationUrl) -> Result<Answer<OperationStatus>, Error> {
        let request = Request::new(Method::GET, operation.url(), Operation::Poll);
        let read = |reply: &Reply| Ok(reply.answer(OperationStatus::read(reply, operation)?));
        match self.send(request, read).await {
            Ok(answer) => Ok(answer),
            Err(error) => OperationStatus::of_error(error, operation),
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

    pub(crate) async fn start(&self, request: Request) -> Result<Started, Error> {
        self.send(request, |reply| Ok(Started::of(reply, |url| self.client.is_own(url), None))).await
    }

    /// Follows a list to its end. One failed page fails the whole list.
    pub(crate) async fn pages<T: DeserializeOwned>(&self, first: Url) -> Result<Answer<Vec<T>>, Error> {
        let mut next = Some(first);
        let mut all = Answer::new(Vec::new());
        let mut pages = HashSet::new();
        while let Some(url) = next.take() {
            let request = Request::new(Method::GET, url.clone(), Operation::List);
            if !pages.insert(url) || pages.len() > MAX_PAGES {
                return Err(request
                    .error(Class::Unexpected)
                    .because("the pages of the list lead in a circle"));
            }
            let (page, link) = self.send(request, page).await?;
            all.retry_after = all.retry_after.max(page.retry_after);
            all.remaining = page.remaining;
            all.value.extend(page.value);
            next = link;
        }
        Ok(all)
    }

    pub(crate) fn url(&self, id: &ScaleSetId, below: &[&str], query: &[(&str, &str)]) -> Url {
        let query: Vec<_> = [("api-version", API_VERSION)].into_iter().chain(query.iter().copied()).collect();
        self.client.url(id.segments().chain(below.iter().copied()), &query)
    }

    /// The one way out. The token is fetched only for a URL that it may be sent to.
    pub(crate) async fn send<T>(
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
        let result = self.client.decoded(request, &Authorization::Bearer(token.secret), read).await;
        if result.as_ref().is_err_and(|error| error.status() == Some(401)) {
            // Revoked, or cut short by a changed policy: the next call signs in anew.
            self.credential.drop_token();
        }
        result
    }
}

/// One page, and where the next one is.
pub(crate) fn page<T: DeserializeOwned>(reply: &Reply) -> Result<(Answer<Vec<T>>, Option<Url>), Error> {
    let page: Answer<Page<T>> = reply.json()?;
    let link = page.value.next_link.as_deref().filter(|link| !link.is_empty()).map(Url::parse);
    let link = link.transpose().map_err(|_| reply.unexpected("nextLink is not a URL"))?;
    Ok((page.map(|page| page.value), link))
}
