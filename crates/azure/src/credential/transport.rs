use crate::cloud::{Cloud, METADATA};
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Request, StatusCode};
use poolkeeper_rest::{Http, Url, read_bounded};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

/// The largest answer to a token request, in bytes; real ones have a few thousand.
const LARGEST: usize = 1 << 20;

/// Carries token requests, and to one place only: `azure_identity` is told `announced`, and what it sends there goes to
/// `target`. The two differ for a simulator on this machine, which speaks plain HTTP.
#[derive(Debug)]
pub(crate) struct Transport {
    http: Http,
    announced: String,
    target: Url,
}

/// Why a token request got no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    #[error("{reason}")]
    Rejected { code: Option<String>, reason: String },
    #[error("{host} is not where tokens are asked for; nothing was sent")]
    Elsewhere { host: String },
    #[error("this kind of request is not supported")]
    Unsupported,
    #[error("{reason}")]
    Unreachable {
        reason: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("the answer of {host} could not be read; check the address, and any proxy on the way")]
    Body {
        host: String,
        #[source]
        source: poolkeeper_rest::BodyError,
    },
    #[error("{host} answered {status}")]
    Status { host: String, status: u16 },
    #[error("{host} answered {status} with a redirect, which is not followed; correct the address")]
    Redirect { host: String, status: u16 },
    #[error(
        "{host} answered {status} with something else than a token; check the address, and any proxy on the way"
    )]
    NoToken { host: String, status: u16 },
}

impl Transport {
    /// To the cloud's authority.
    pub(super) fn to_authority(http: &Http, cloud: &Cloud) -> Self {
        let target = cloud.authority().clone();
        let announced = if target.scheme() == "http" {
            let port = target.port_or_known_default().unwrap_or_default();
            format!("https://{}:{port}", target.host_str().unwrap_or_default())
        } else {
            target.to_string()
        };
        Self { http: http.clone(), announced, target }
    }

    /// To the metadata service.
    pub(super) fn to_metadata(http: &Http, cloud: &Cloud) -> Self {
        Self { http: http.clone(), announced: METADATA.to_owned(), target: cloud.metadata().clone() }
    }

    /// The address for `azure_identity`.
    pub(super) fn announced(&self) -> &str {
        &self.announced
    }

    /// Where a request really goes, if it is one that may be sent.
    fn route(&self, url: &Url) -> Option<Url> {
        let announced = Url::parse(&self.announced).ok()?;
        if url.origin() != announced.origin() {
            return None;
        }
        let mut target = self.target.clone();
        target.set_path(url.path());
        target.set_query(url.query());
        Some(target)
    }

    async fn exchange(&self, request: &Request) -> Result<(u16, Headers, Vec<u8>), TransportError> {
        let host = request.url().host_str().unwrap_or_default().to_owned();
        let Some(url) = self.route(request.url()) else {
            return Err(TransportError::Elsewhere { host });
        };
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes());
        let (Ok(method), Body::Bytes(body)) = (method, request.body().clone()) else {
            return Err(TransportError::Unsupported);
        };
        let mut call = self.http.connections(&url).request(method, url);
        for (name, value) in request.headers().iter() {
            call = call.header(name.as_str(), value.as_str());
        }
        let response = match call.body(body).send().await {
            Ok(response) => response,
            Err(source) => {
                let reason = poolkeeper_rest::unreachable(&source, &host);
                return Err(TransportError::Unreachable { reason, source: source.without_url() });
            }
        };
        let status = response.status().as_u16();
        let headers = headers(response.headers());
        let body = match read_bounded(response, LARGEST).await {
            Ok(body) => body,
            Err(source) => return Err(TransportError::Body { host, source }),
        };
        check(&host, status, &body)?;
        Ok((status, headers, body))
    }
}

/// Lets an answer pass that has a token; `azure_identity` reads it once more.
///
/// Anything but JSON comes from something in between: a proxy, a portal. Neither it nor a busy or broken service says
/// anything about the credential. The metadata service answers 404 and 410 while it starts:
/// <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#error-handling>
pub(crate) fn check(host: &str, status: u16, body: &[u8]) -> Result<(), TransportError> {
    let host = host.to_owned();
    match status {
        200..=299 => match serde_json::from_slice::<Grant<'_>>(body) {
            Ok(grant) if grant.is_plausible() => Ok(()),
            Ok(_) | Err(_) => Err(TransportError::NoToken { host, status }),
        },
        300..=399 => Err(TransportError::Redirect { host, status }),
        404 | 408 | 410 | 429 => Err(TransportError::Status { host, status }),
        400..=499 => match serde_json::from_slice::<Refusal>(body) {
            Ok(refusal) => Err(refusal.into()),
            Err(_) => Err(TransportError::Status { host, status }),
        },
        _ => Err(TransportError::Status { host, status }),
    }
}

/// What is checked of a token answer before `azure_identity` reads it.
#[derive(Deserialize)]
struct Grant<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    expires_in: Option<Value>,
}

/// Ten years, in seconds: far above a day, the longest lifetime that Entra ID gives.
const LONGEST: i64 = 10 * 365 * 24 * 3600;

impl Grant<'_> {
    /// `azure_identity` adds the lifetime to its clock, which panics where the sum is no date. The metadata service
    /// writes it as text, which is not added.
    fn is_plausible(&self) -> bool {
        let lifetime_fits = match &self.expires_in {
            Some(Value::Number(seconds)) => seconds.as_i64().is_some_and(|it| (0..=LONGEST).contains(&it)),
            Some(_) | None => true,
        };
        !self.access_token.is_empty() && lifetime_fits
    }
}

/// The error body of OAuth 2.0, with the codes that Entra ID adds.
///
/// Read here, because `azure_identity` 1.0 cannot read a description with an escaped character, and all of Entra ID's
/// have line breaks.
#[derive(Deserialize)]
struct Refusal {
    error: Option<String>,
    error_description: Option<String>,
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl From<Refusal> for TransportError {
    fn from(refusal: Refusal) -> Self {
        let code =
            refusal.error_codes.first().map(|code| format!("AADSTS{code}")).or_else(|| refusal.error.clone());
        let reason =
            refusal.error_description.or(refusal.error).unwrap_or_else(|| "no reason given".to_owned());
        Self::Rejected { code, reason }
    }
}

/// The trait is `azure_core`'s, and so is the need for `async_trait`.
#[async_trait::async_trait]
impl HttpClient for Transport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        // Of this kind no error is tried again; the metadata service's credential would else do so for 72 s.
        let (status, headers, body) =
            self.exchange(request).await.map_err(|error| azure_core::Error::new(ErrorKind::Other, error))?;
        Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body))
    }
}

fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
        }
    }
    headers
}
