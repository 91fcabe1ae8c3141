use crate::allowance::{self, RateLimit, Remaining};
use crate::answer::{Answer, retry_after};
use crate::reply::request_id;
use jiff::SignedDuration;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;
use std::fmt;

/// What a failed call means for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The credential is missing, wrong or expired: 401, or the sign-in page of Azure DevOps.
    Unauthenticated,
    /// The credential lacks a right: 403.
    Forbidden,
    /// 404 or 410.
    NotFound,
    /// 429, or a body that says so.
    Throttled,
    /// Another change is under way: 409.
    Conflict,
    /// `If-Match` no longer holds: 412.
    Precondition,
    /// A quota of the subscription is used up.
    Quota,
    /// Azure has no machine of this kind, or the subnet no address.
    Allocation,
    /// Any other 4xx: the request will not succeed as it is.
    Invalid,
    /// 5xx and 408.
    Server,
    /// No whole answer arrived: name, connection, TLS, timeout, broken off.
    Unreachable,
    /// An answer that is not what was asked for: not JSON, other JSON, too large, a redirect, another origin.
    Unexpected,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 12] = [
        Self::Unauthenticated,
        Self::Forbidden,
        Self::NotFound,
        Self::Throttled,
        Self::Conflict,
        Self::Precondition,
        Self::Quota,
        Self::Allocation,
        Self::Invalid,
        Self::Server,
        Self::Unreachable,
        Self::Unexpected,
    ];

    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Precondition => "precondition",
            Self::Quota => "quota",
            Self::Allocation => "allocation",
            Self::Invalid => "invalid",
            Self::Server => "server",
            Self::Unreachable => "unreachable",
            Self::Unexpected => "unexpected",
        }
    }
}

/// A code and message that a service sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceError {
    /// The service's code, for Azure DevOps its `typeKey`.
    pub code: Option<String>,
    /// The service's message on one line, at most 300 characters.
    pub message: Option<String>,
}

impl ServiceError {
    /// Cleans and shortens both texts, so that they are fit for a condition or a log line.
    pub fn new(code: Option<String>, message: Option<String>) -> Self {
        let clean = |text: Option<String>| text.map(|text| one_line(&text)).filter(|text| !text.is_empty());
        Self { code: clean(code), message: clean(message) }
    }

    /// An error of Resource Manager, then its `details` and `innererror`, in the order of the text; what is of another
    /// shape is passed over. No more than 32: the first ones say what matters.
    pub fn nested(error: &Value) -> Vec<Self> {
        let mut all = Vec::new();
        Self::collect(error, &mut all);
        all
    }

    fn collect(error: &Value, all: &mut Vec<Self>) {
        const MOST: usize = 32;
        let text = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
        let said = Self::new(text("code"), text("message"));
        if all.len() >= MOST {
            return;
        }
        if said != Self::default() {
            all.push(said);
        }
        for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
            Self::collect(detail, all);
        }
        for inner in ["innererror", "innerError"] {
            if let Some(inner) = error.get(inner) {
                Self::collect(inner, all);
            }
        }
    }
}

/// The longest text taken over from a service, in characters.
const MESSAGE_LIMIT: usize = 300;

/// `text` on one line, at most [`MESSAGE_LIMIT`] characters.
pub(crate) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(MESSAGE_LIMIT) {
        Some(_) => {
            let end = line.char_indices().nth(MESSAGE_LIMIT - 1).map_or(line.len(), |(at, _)| at);
            line.truncate(end);
            line.push('…');
            line
        }
        None => line,
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed call: what was called, how it failed, and what the service said. Holds no secret, query or body.
pub struct Error(Box<Detail>);

#[derive(Debug)]
struct Detail {
    class: Class,
    method: Method,
    path: String,
    host: Option<String>,
    status: Option<u16>,
    said: Vec<ServiceError>,
    reason: Option<String>,
    request_id: Option<String>,
    retry_after: Option<SignedDuration>,
    remaining: Vec<Remaining>,
    rate_limit: Option<RateLimit>,
    is_kept_back: bool,
    source: Option<Source>,
}

impl Error {
    /// A failure of the call `method path`; `path` without a query.
    pub fn new(class: Class, method: Method, path: impl Into<String>) -> Self {
        Self(Box::new(Detail {
            class,
            method,
            path: path.into(),
            host: None,
            status: None,
            said: Vec::new(),
            reason: None,
            request_id: None,
            retry_after: None,
            remaining: Vec::new(),
            rate_limit: None,
            is_kept_back: false,
            source: None,
        }))
    }

    /// The same failure with our own words for it, on one line, at most 300 characters.
    #[must_use]
    pub fn because(mut self, reason: impl AsRef<str>) -> Self {
        self.0.reason = Some(one_line(reason.as_ref()));
        self
    }

    /// The same failure with what lies below it.
    #[must_use]
    pub fn caused_by(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    /// The same failure in another class, for a client that knows its service's codes.
    #[must_use]
    pub fn reclassified(mut self, class: Class) -> Self {
        self.0.class = class;
        self
    }

    /// The same failure, of a call that was not made because our own budget of calls has none left.
    pub(crate) fn kept_back(mut self, wait: SignedDuration) -> Self {
        self.0.is_kept_back = true;
        self.0.retry_after = Some(wait);
        let seconds = wait.as_secs();
        self.because(format!("kept back for {seconds} s, so that the service is not asked too often"))
    }

    /// The same failure, of a call that was not made because the service has refused others for a while.
    pub(crate) fn throttled(mut self, wait: SignedDuration) -> Self {
        self.0.retry_after = Some(wait);
        let seconds = wait.as_secs();
        self.because(format!("the service asks for fewer calls; asked again in {seconds} s"))
    }

    pub(crate) fn at(mut self, host: &str) -> Self {
        self.0.host = Some(host.to_owned());
        self
    }

    pub(crate) fn answered(mut self, status: u16, headers: &HeaderMap) -> Self {
        self.0.status = Some(status);
        self.0.retry_after = retry_after(headers);
        self.0.request_id = request_id(headers);
        self.0.remaining = allowance::remaining(headers);
        self.0.rate_limit = allowance::rate_limit(headers);
        self
    }

    pub(crate) fn saying(mut self, said: Vec<ServiceError>) -> Self {
        self.0.said = said;
        self
    }

    /// What the failure means.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The HTTP method called.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The URL path called, without its query.
    pub fn path(&self) -> &str {
        &self.0.path
    }

    /// The host called, with its port where the address names one.
    pub fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    /// Our own words for the failure, with what to do, on one line, at most 300 characters.
    pub fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The HTTP status, if an answer came. A write answered with 2xx may have happened although it is an error here.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The service's code for the failure, for Azure DevOps its `typeKey`.
    pub fn code(&self) -> Option<&str> {
        self.said().first().and_then(|error| error.code.as_deref())
    }

    /// The service's message, on one line, at most 300 characters.
    pub fn message(&self) -> Option<&str> {
        self.said().first().and_then(|error| error.message.as_deref())
    }

    /// All that the service said: its error, then that error's details.
    pub fn said(&self) -> &[ServiceError] {
        &self.0.said
    }

    /// The service's id of the call, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the service asks us to wait, or our own budget of calls does.
    pub fn retry_after(&self) -> Option<SignedDuration> {
        self.0.retry_after
    }

    /// Nothing was sent: our own budget of calls has none left for now.
    pub fn is_kept_back(&self) -> bool {
        self.0.is_kept_back
    }

    /// What is left of Azure's budgets, where the answer says so.
    pub fn remaining(&self) -> &[Remaining] {
        &self.0.remaining
    }

    /// What Azure DevOps says of its budget.
    pub fn rate_limit(&self) -> Option<&RateLimit> {
        self.0.rate_limit.as_ref()
    }

    /// The failure as an answer, for a call whose failure tells what it was to find out.
    pub fn into_answer<T>(self, value: T) -> Answer<T> {
        Answer {
            value,
            retry_after: self.0.retry_after,
            etag: None,
            remaining: self.0.remaining,
            rate_limit: self.0.rate_limit,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { class, method, path, host, status, reason, .. } = &*self.0;
        write!(f, "{method} {}{path}: ", host.as_deref().unwrap_or_default())?;
        match status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str(class.as_str())?,
        }
        if let Some(code) = self.code() {
            write!(f, " {code}")?;
        }
        if let Some(text) = reason.as_deref().or(self.message()) {
            write!(f, ": {text}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_one_short_line() {
        assert_eq!(one_line("a\r\n  b\u{7}c "), "a b c");
        let long = one_line(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), 300);
        assert!(long.ends_with('…'));
        assert_eq!(one_line(&"ä".repeat(300)).chars().filter(|c| *c == 'ä').count(), 300);
    }

    #[test]
    fn display_names_call_status_code_and_message() {
        let error = Error::new(Class::Forbidden, Method::GET, "/fabrikam/_apis/distributedtask/pools")
            .at("dev.azure.com")
            .answered(403, &HeaderMap::new())
            .saying(vec![ServiceError::new(Some("AccessDeniedException".into()), Some("no\nright".into()))]);
        assert_eq!(
            error.to_string(),
            "GET dev.azure.com/fabrikam/_apis/distributedtask/pools: 403 AccessDeniedException: no right"
        );
        let error = Error::new(Class::Unreachable, Method::GET, "/x").because("timed out");
        assert_eq!(error.to_string(), "GET /x: unreachable: timed out");
    }
}
