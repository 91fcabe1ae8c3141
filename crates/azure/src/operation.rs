use crate::fault::{self, Fault};
use crate::model::ScaleSet;
use jiff::SignedDuration;
use poolkeeper_rest::{Answer, Class, Error, Remaining, Reply, ServiceError, Url};
use serde::Deserialize;
use std::fmt;
use std::str::FromStr;

/// Where the outcome of a long-running operation can be read.
///
/// As text it is the URL that Azure gave, fit for a status. Azure knows two kinds, with different answers; a `Location`
/// carries the fragment `#location`, which is never sent.
#[derive(Clone, PartialEq, Eq)]
pub struct OperationUrl {
    url: Url,
    is_location: bool,
}

const LOCATION: &str = "location";

impl OperationUrl {
    /// The operation that an accepted change names; `Azure-AsyncOperation` says more, so it goes first.
    fn of(reply: &Reply) -> Option<Self> {
        let (text, is_location) = match reply.header("azure-asyncoperation") {
            Some(text) => (text, false),
            None => (reply.header(LOCATION)?, true),
        };
        Some(Self { url: without_fragment(Url::parse(text).ok()?), is_location })
    }

    /// The URL to read.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }
}

fn without_fragment(mut url: Url) -> Url {
    url.set_fragment(None);
    url
}

/// The text is no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the text is not the URL of an operation")]
pub struct NotAnOperation;

impl FromStr for OperationUrl {
    type Err = NotAnOperation;

    fn from_str(text: &str) -> Result<Self, NotAnOperation> {
        let url = Url::parse(text).map_err(|_| NotAnOperation)?;
        let is_location = url.fragment() == Some(LOCATION);
        Ok(Self { url: without_fragment(url), is_location })
    }
}

impl fmt::Display for OperationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = &self.url;
        let mark = if self.is_location { "#location" } else { "" };
        write!(f, "{url}{mark}")
    }
}

impl fmt::Debug for OperationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Azure puts a signature into the query.
        write!(f, "OperationUrl({}…)", self.url.path())
    }
}

/// A change that Azure accepted. It may be under way still, or over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Where its outcome can be read. Without it (Azure named none, or one elsewhere) only the resource itself tells.
    pub operation: Option<OperationUrl>,
    /// How long Azure asks us to wait before the first look.
    pub retry_after: Option<SignedDuration>,
    /// What is left of Azure's budgets.
    pub remaining: Vec<Remaining>,
    /// The scale set as the change leaves it, where Azure shows it.
    pub value: Option<ScaleSet>,
}

impl Started {
    pub(crate) fn of(reply: &Reply, is_own: impl Fn(&Url) -> bool, value: Option<ScaleSet>) -> Self {
        let operation = OperationUrl::of(reply).filter(|operation| {
            let own = is_own(&operation.url);
            if !own {
                tracing::warn!(host = operation.url.host_str(), "ignoring an operation on another origin");
            }
            own
        });
        Self { operation, retry_after: reply.retry_after(), remaining: reply.remaining(), value }
    }
}

/// How a long-running operation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OperationStatus {
    /// Under way.
    InProgress,
    /// Over, and done.
    Succeeded,
    /// Over, and not done, or in part.
    Failed(OperationError),
    /// Ended before it was done, often by a later operation.
    Canceled(OperationError),
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationError {
    /// What it means.
    pub fault: Fault,
    /// Azure's code.
    pub code: Option<String>,
    /// Azure's message, on one line, at most 300 characters.
    pub message: Option<String>,
}

impl OperationError {
    fn new(status: Option<u16>, said: &[ServiceError]) -> Self {
        let outer = said.first().cloned().unwrap_or_default();
        Self { fault: fault::first(status, said), code: outer.code, message: outer.message }
    }
}

#[derive(Deserialize)]
struct Wire {
    status: String,
    error: Option<serde_json::Value>,
}

impl OperationStatus {
    /// A `Location` answers 202 until the operation is over; an `Azure-AsyncOperation` always answers with a status,
    /// of which any but three words means that it goes on.
    pub(crate) fn read(reply: &Reply, of: &OperationUrl) -> Result<Self, Error> {
        if of.is_location {
            return Ok(if reply.status() == 202 { Self::InProgress } else { Self::Succeeded });
        }
        let wire: Wire = reply.json()?.value;
        let said = wire.error.as_ref().map(ServiceError::nested).unwrap_or_default();
        let error = || OperationError::new(None, &said);
        Ok(match wire.status.to_ascii_lowercase().as_str() {
            "succeeded" => Self::Succeeded,
            "failed" => Self::Failed(error()),
            "canceled" | "cancelled" => Self::Canceled(error()),
            _ => Self::InProgress,
        })
    }

    /// A `Location` reports the failure of its operation as its own; the call's own failures stay errors.
    pub(crate) fn of_error(error: Error, of: &OperationUrl) -> Result<Answer<Self>, Error> {
        match error.class() {
            Class::Conflict | Class::Precondition | Class::Quota | Class::Allocation | Class::Invalid
                if of.is_location && !error.said().is_empty() =>
            {
                let failed = Self::Failed(OperationError::new(error.status(), error.said()));
                Ok(error.into_answer(failed))
            }
            Class::Conflict
            | Class::Precondition
            | Class::Quota
            | Class::Allocation
            | Class::Invalid
            | Class::Unauthenticated
            | Class::Forbidden
            | Class::NotFound
            | Class::Throttled
            | Class::Server
            | Class::Unreachable
            | Class::Unexpected => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_an_operation_keeps_its_kind_and_its_url() {
        let text = "https://management.azure.com/operations/1?p=x&api-version=2025-04-01";
        for text in [text.to_owned(), format!("{text}#location")] {
            let operation: OperationUrl = text.parse().unwrap();
            assert_eq!(operation.to_string(), text);
            assert_eq!(operation.is_location, text.ends_with("#location"));
            assert_eq!(operation.url().as_str(), text.trim_end_matches("#location"));
            assert!(!format!("{operation:?}").contains("p=x"));
        }
        assert_eq!("operations/1".parse::<OperationUrl>(), Err(NotAnOperation));
    }
}
