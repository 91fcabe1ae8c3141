use crate::allowance::{self, Remaining};
use crate::answer::{Answer, retry_after};
use crate::error::{Class, Error, one_line};
use crate::json;
use jiff::SignedDuration;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap};
use serde::de::DeserializeOwned;

/// What to do about an answer that no such service gives.
pub(crate) const CHECK: &str = "check the address, and any proxy on the way";

/// The longest content type shown, in characters; real ones are half as long.
const MAX_KIND: usize = 60;

/// A successful answer, its body read but not yet decoded.
pub struct Reply {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// The HTTP status, from 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    /// How long the service asks us to wait.
    pub fn retry_after(&self) -> Option<SignedDuration> {
        retry_after(&self.headers)
    }

    /// What Azure DevOps says of its budget.
    pub fn rate_limit(&self) -> Option<crate::allowance::RateLimit> {
        crate::allowance::rate_limit(&self.headers)
    }

    /// What is left of Azure's budgets.
    pub fn remaining(&self) -> Vec<Remaining> {
        allowance::remaining(&self.headers)
    }

    /// The answer with another value than its body.
    pub fn answer<T>(&self, value: T) -> Answer<T> {
        Answer {
            value,
            retry_after: self.retry_after(),
            etag: self.header(ETAG.as_str()).map(str::to_owned),
            remaining: self.remaining(),
            rate_limit: allowance::rate_limit(&self.headers),
        }
    }

    /// Whether the body is empty.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// Decodes the body.
    ///
    /// # Errors
    /// [`Class::Unexpected`] where it is not JSON, or not the JSON that `T` needs; the error names the path.
    pub fn json<T: DeserializeOwned>(&self) -> Result<Answer<T>, Error> {
        let host = &self.host;
        if self.is_empty() {
            let reason = format!("{host} answered with an empty body instead of JSON; {CHECK}");
            return Err(self.unexpected(reason));
        }
        if !is(&self.headers, "json") {
            let kind = one_line(self.header(CONTENT_TYPE.as_str()).unwrap_or("no content type"));
            let kind: String = kind.chars().take(MAX_KIND).collect();
            return Err(self.unexpected(format!("{host} answered with {kind} instead of JSON; {CHECK}")));
        }
        let value = json::decode(&self.body).map_err(|(path, error)| {
            // Decoding errors quote values; the reason keeps them short, and the source would not.
            let what = if error.is_eof() { "JSON that is cut off" } else { "unexpected JSON" };
            self.unexpected(format!("{host} answered with {what}, at {path}: {error}"))
        })?;
        Ok(self.answer(value))
    }

    /// The error for an answer that is well-formed but not what was asked for.
    pub fn unexpected(&self, reason: impl AsRef<str>) -> Error {
        Error::new(Class::Unexpected, self.method.clone(), &self.path)
            .at(&self.host)
            .answered(self.status, &self.headers)
            .because(reason)
    }
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}, {} bytes", self.method, self.path, self.status, self.body.len())
    }
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Whether the content type's subtype is `subtype`, or ends in `+subtype`.
pub(crate) fn is(headers: &HeaderMap, subtype: &str) -> bool {
    let kind = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let (_, subtype_given) = kind.split(';').next().unwrap_or_default().split_once('/').unwrap_or_default();
    subtype_given.trim().rsplit('+').next().is_some_and(|given| given.eq_ignore_ascii_case(subtype))
}

/// Azure's id of a call, or the activity of Azure DevOps.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    text(headers, "x-ms-request-id").or_else(|| text(headers, "activityid")).map(one_line)
}
