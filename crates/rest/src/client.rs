use crate::answer::Answer;
use crate::authorization::Authorization;
use crate::calls::{CallLog, Operation};
use crate::error::{Class, Error};
use crate::http::{BodyError, Http, SetupError, checked_base, host, read_bounded, unreachable};
use crate::payer::Payer;
use crate::reply::{CHECK, Reply, is, text};
use crate::service::Service;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LOCATION};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;

/// A call to make.
#[derive(Clone, Debug)]
pub struct Request {
    method: Method,
    url: Url,
    operation: Operation,
    if_match: Option<String>,
    body: Option<serde_json::Value>,
}

impl Request {
    /// A call of `url`, counted as `operation`.
    pub fn new(method: Method, url: Url, operation: Operation) -> Self {
        Self { method, url, operation, if_match: None, body: None }
    }

    /// Sends `body` as JSON.
    #[must_use]
    pub fn json(mut self, body: serde_json::Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Lets the call succeed only while the resource has this version, quotes included.
    #[must_use]
    pub fn if_match(mut self, etag: Option<&str>) -> Self {
        self.if_match = etag.map(str::to_owned);
        self
    }

    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn operation(&self) -> Operation {
        self.operation
    }

    /// A failure of this call, such as one before it was sent.
    pub fn error(&self, class: Class) -> Error {
        Error::new(class, self.method.clone(), self.url.path()).at(&host(&self.url))
    }
}

/// A client of one service at one address. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
    service: Service,
    base: Url,
    headers: HeaderMap,
    calls: CallLog,
    refine: fn(Error) -> Error,
    payer: Option<Payer>,
}

impl Client {
    /// A client of `service` at `base`, which counts its calls in `calls`.
    ///
    /// # Errors
    /// [`SetupError`] where `base` is neither https nor this machine, or carries a user, query or fragment.
    pub fn new(http: Http, service: Service, base: Url, calls: CallLog) -> Result<Self, SetupError> {
        Ok(Self {
            http,
            service,
            base: checked_base(base)?,
            headers: HeaderMap::new(),
            calls,
            refine: |error| error,
            payer: None,
        })
    }

    /// The same client with one more header on every call.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// The same client, whose errors pass through `refine`: it may know the service's codes better.
    #[must_use]
    pub fn refine_errors(mut self, refine: fn(Error) -> Error) -> Self {
        self.refine = refine;
        self
    }

    /// The same client, whose calls `payer` pays for. Without one nothing is kept back.
    #[must_use]
    pub fn paid_by(mut self, payer: Payer) -> Self {
        self.payer = Some(payer);
        self
    }

    /// The address that it was built for.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The address below the base with these path segments, each escaped.
    pub fn url<'a>(&self, segments: impl IntoIterator<Item = &'a str>, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        // http and https addresses always have path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether `url` has this client's scheme, host and port.
    pub fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    /// Whether `request` stays with this client's origin. Every call is checked; this is for who must know before
    /// fetching a token.
    ///
    /// # Errors
    /// [`Class::Unexpected`] where it leads elsewhere.
    pub fn check(&self, request: &Request) -> Result<(), Error> {
        if self.is_own(&request.url) {
            return Ok(());
        }
        Err(request.error(Class::Unexpected).because(format!(
            "the address leads to another origin than {}; nothing was sent",
            self.base.origin().ascii_serialization()
        )))
    }

    /// Makes one call and decodes its answer.
    ///
    /// # Errors
    /// [`Error`] of any class.
    pub async fn json<T: DeserializeOwned>(
        &self,
        request: Request,
        authorization: &Authorization,
    ) -> Result<Answer<T>, Error> {
        self.decoded(request, authorization, Reply::json).await
    }

    /// Makes one call and hands its successful answer to `read`, whose verdict counts as the call's.
    ///
    /// # Errors
    /// [`Error`] of any class. Nothing is sent to another origin than this client's: that is
    /// [`Class::Unexpected`], whoever gave the address.
    pub async fn decoded<T>(
        &self,
        request: Request,
        authorization: &Authorization,
        read: impl FnOnce(&Reply) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.check(&request)?;
        let header = authorization.header().map_err(|error| {
            let reason = "the token holds characters that no token has; check the Secret";
            request.error(Class::Unauthenticated).because(reason).caused_by(error)
        })?;
        let operation = request.operation;
        if let Some(payer) = &self.payer {
            payer.admit(&request)?;
        }
        let answer = self.exchange(&request, authorization, header).await.map_err(self.refine);
        if let Some(payer) = &self.payer {
            payer.settle(&request, &answer);
        }
        let result = answer.and_then(|reply| read(&reply).map_err(self.refine));
        self.calls.add(self.service, operation, result.as_ref().err().map(Error::class));
        result
    }

    async fn exchange(
        &self,
        request: &Request,
        authorization: &Authorization,
        header: HeaderValue,
    ) -> Result<Reply, Error> {
        let mut call = self
            .http
            .connections(&request.url)
            .request(request.method.clone(), request.url.clone())
            .headers(self.headers.clone())
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, header);
        if let Some(etag) = &request.if_match {
            call = call.header(IF_MATCH, etag);
        }
        if let Some(body) = &request.body {
            call = call.json(body);
        }
        let response = call.send().await.map_err(|error| {
            let reason = unreachable(&error, &host(&request.url));
            request.error(Class::Unreachable).because(reason).caused_by(error.without_url())
        })?;

        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_bounded(response, self.http.limits().body).await;
        answer(self.service, request, status, headers, body, |text| authorization.redact(text))
    }
}

/// What an answer is: a [`Reply`] to decode, or an error.
pub(crate) fn answer(
    service: Service,
    request: &Request,
    status: u16,
    headers: HeaderMap,
    body: Result<Vec<u8>, BodyError>,
    redact: impl Fn(&str) -> String,
) -> Result<Reply, Error> {
    let host = host(&request.url);
    let is_html = is(&headers, "html");
    let class = service.class(status, is_html);
    let failed = |class: Class| request.error(class).answered(status, &headers);
    let body = match (body, class) {
        (Ok(body), _) => body,
        // The status alone says what went wrong.
        (Err(_), Some(_)) => Vec::new(),
        (Err(error @ BodyError::TooLarge { .. }), None) => {
            return Err(failed(Class::Unexpected).because(format!("{host}: {error}; {CHECK}")));
        }
        (Err(error @ BodyError::Broken(_)), None) => {
            let reason = format!("the body of {host}'s answer broke off");
            return Err(failed(Class::Unreachable).because(reason).caused_by(error));
        }
    };
    let Some(class) = class else {
        return Ok(Reply {
            method: request.method.clone(),
            path: request.url.path().to_owned(),
            host,
            status,
            headers,
            body,
        });
    };

    // Before anything is shortened: half a token is a leak too.
    let error = failed(class).saying(service.errors(&redact(&String::from_utf8_lossy(&body))));
    Err(match (class, status) {
        (Class::Unauthenticated, 200..=399) => error.because(format!(
            "{host} answered with its sign-in page; the token is wrong, expired, or of another organization"
        )),
        (_, 300..=399) => {
            let target = text(&headers, LOCATION.as_str()).and_then(|target| Url::parse(target).ok());
            let target = target.as_ref().and_then(Url::host_str).unwrap_or("another address").to_owned();
            error.because(format!("{host} redirects to {target}, which is not followed; correct the address"))
        }
        _ if is_html && error.said().is_empty() => {
            error.because(format!("{host} answered with a web page; {CHECK}"))
        }
        _ => error,
    })
}
