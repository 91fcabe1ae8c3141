//! Calls whose status and headers are looked at, whatever they are.

use poolkeeper_azure::CredentialError;
use poolkeeper_rest::{BodyError, Http, Method, Url, read_bounded};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::access::{Authorization, Signer};

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Entra ID gives no token.
    #[error("no token; check tenant, client and secret")]
    Credential(#[source] CredentialError),
    /// The token cannot be a header.
    #[error("the token holds characters that no token has; write it again")]
    Token,
    /// The address leads to another origin.
    #[error("an address leads to {host} and not to the service; nothing was sent")]
    Origin {
        /// The host there.
        host: String,
    },
    /// No answer.
    #[error("no answer from {host}; check the network and the address")]
    Unreachable {
        /// The host called.
        host: String,
        /// What happened.
        #[source]
        source: reqwest::Error,
    },
    /// No whole answer.
    #[error("no whole answer from {host}; run it again")]
    Body {
        /// The host called.
        host: String,
        /// What happened.
        #[source]
        source: BodyError,
    },
    /// An answer that the run cannot go on with.
    #[error("{what} was answered {seen}; this part cannot go on")]
    Answer {
        /// The call, in words.
        what: &'static str,
        /// Status, code and text.
        seen: String,
    },
}

/// A service at one origin.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    http: Http,
    base: Url,
    signer: Signer,
    /// Whether every call asks for 401 in the place of a redirect to a sign-in page.
    suppress: bool,
}

/// A call to make.
#[derive(Clone)]
pub(crate) struct Call {
    method: Method,
    url: Url,
    headers: Vec<(&'static str, String)>,
    authorization: Option<Authorization>,
    body: Option<Value>,
    suppress: bool,
}

impl Call {
    #[must_use]
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With another credential than the run's.
    #[must_use]
    pub(crate) fn signed(mut self, authorization: Authorization) -> Self {
        self.authorization = Some(authorization);
        self
    }

    #[must_use]
    pub(crate) fn without_suppress(mut self) -> Self {
        self.suppress = false;
        self
    }
}

impl Service {
    pub(crate) fn azure(http: Http, base: Url, signer: Signer) -> Self {
        Self { http, base, signer, suppress: false }
    }

    pub(crate) fn azure_devops(http: Http, base: Url, signer: Signer) -> Self {
        Self { http, base, signer, suppress: true }
    }

    /// A call below the base; each segment of `path` is escaped.
    pub(crate) fn call(&self, method: Method, path: &str, query: &[(&str, &str)]) -> Call {
        let mut url = self.base.clone();
        // http and https addresses always have path segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/').filter(|segment| !segment.is_empty()));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.at(method, url)
    }

    fn at(&self, method: Method, url: Url) -> Call {
        let suppress = self.suppress;
        Call { method, url, headers: Vec::new(), authorization: None, body: None, suppress }
    }

    /// A GET of an address that the service gave.
    ///
    /// # Errors
    /// [`CallError::Origin`] where it is not the service's own.
    pub(crate) fn follow(&self, link: &str) -> Result<Call, CallError> {
        let elsewhere = |host: &str| CallError::Origin { host: host.to_owned() };
        let url = Url::parse(link).map_err(|_| elsewhere("nowhere"))?;
        if url.origin() != self.base.origin() {
            return Err(elsewhere(url.host_str().unwrap_or("nowhere")));
        }
        Ok(self.at(Method::GET, url))
    }

    /// Path and query of `link` at the service's own origin, wherever it leads.
    pub(crate) fn follow_here(&self, link: &str) -> Option<Call> {
        let link = self.base.join(link).ok()?;
        let mut url = self.base.clone();
        url.set_path(link.path());
        url.set_query(link.query());
        Some(self.at(Method::GET, url))
    }

    /// Makes the call. Every status is an answer.
    ///
    /// # Errors
    /// [`CallError`] where there is no whole answer.
    pub(crate) async fn send(&self, call: Call) -> Result<Seen, CallError> {
        let Call { method, url, headers, authorization, body, suppress } = call;
        let host = url.host_str().unwrap_or_default().to_owned();
        if url.origin() != self.base.origin() {
            return Err(CallError::Origin { host });
        }
        let authorization = match authorization {
            Some(other) => other,
            None => self.signer.sign().await?,
        };
        let mut value =
            HeaderValue::from_str(authorization.header.expose_secret()).map_err(|_| CallError::Token)?;
        value.set_sensitive(true);
        let mut request = self.http.connections(&url).request(method, url).header(AUTHORIZATION, value);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header(ACCEPT, "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if suppress {
            request = request.header("x-tfs-fedauthredirect", "Suppress");
        }
        if let Some(body) = &body {
            request = request.json(body);
        }
        let response = request
            .send()
            .await
            .map_err(|error| CallError::Unreachable { host: host.clone(), source: error.without_url() })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = read_bounded(response, self.http.limits().body)
            .await
            .map_err(|source| CallError::Body { host, source })?;
        let mut text = String::from_utf8_lossy(&body).into_owned();
        for secret in &authorization.secrets {
            if !secret.expose_secret().is_empty() {
                text = text.replace(secret.expose_secret(), "[redacted]");
            }
        }
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Seen { status, headers, json })
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    headers: HeaderMap,
    pub(crate) json: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(crate) fn is_html(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.to_ascii_lowercase().contains("html"))
    }

    /// Azure's code, or the `typeKey` of Azure DevOps.
    pub(crate) fn code(&self) -> Option<&str> {
        self.text("/error/code").or_else(|| self.text("/typeKey"))
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.text("/error/message").or_else(|| self.text("/message"))
    }

    pub(crate) fn text(&self, pointer: &str) -> Option<&str> {
        self.json.pointer(pointer)?.as_str()
    }

    /// The entries of a list; none where it is no list.
    pub(crate) fn list(&self) -> Option<&Vec<Value>> {
        self.json.pointer("/value")?.as_array()
    }

    /// Status and code, as expectations are written.
    pub(crate) fn brief(&self) -> String {
        match self.code() {
            Some(code) => format!("{} {code}", self.status),
            None if self.is_html() => format!("{} with a page", self.status),
            None => self.status.to_string(),
        }
    }

    /// Status, code and the text, shortened.
    pub(crate) fn full(&self) -> String {
        let mut full = self.brief();
        if let Some(message) = self.message() {
            let message: String = message.chars().filter(|c| !c.is_control()).take(160).collect();
            full.push_str(": ");
            full.push_str(&message);
        }
        full
    }

    /// This answer, if it is a success.
    ///
    /// # Errors
    /// [`CallError::Answer`] where it is none.
    pub(crate) fn must(self, what: &'static str) -> Result<Self, CallError> {
        if self.is_success() && !self.is_html() {
            Ok(self)
        } else {
            Err(CallError::Answer { what, seen: self.full() })
        }
    }
}
