use crate::error::{Class, ServiceError};
use serde_json::Value;

/// The services that we call. They differ in their error bodies and in how they refuse a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Azure Resource Manager.
    ResourceManager,
    /// Azure DevOps.
    AzureDevOps,
}

impl Service {
    /// Both services.
    pub const ALL: [Self; 2] = [Self::ResourceManager, Self::AzureDevOps];

    /// The name in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ResourceManager => "Azure Resource Manager",
            Self::AzureDevOps => "Azure DevOps",
        }
    }

    /// The class of an answer by status and content type alone; `None` is success.
    ///
    /// Azure DevOps answers a bad or expired token with its sign-in page: 203, a page with 200, or a redirect to it.
    /// Read as data, that page would be an empty list.
    pub(crate) fn class(self, status: u16, is_html: bool) -> Option<Class> {
        match (self, status) {
            (Self::AzureDevOps, 203 | 302 | 303) => Some(Class::Unauthenticated),
            (Self::AzureDevOps, 200..=299) if is_html => Some(Class::Unauthenticated),
            (_, 200..=299) => None,
            (_, 401) => Some(Class::Unauthenticated),
            (_, 403) => Some(Class::Forbidden),
            (_, 404 | 410) => Some(Class::NotFound),
            (_, 409) => Some(Class::Conflict),
            (_, 412) => Some(Class::Precondition),
            (_, 429) => Some(Class::Throttled),
            (_, 408) => Some(Class::Server),
            (_, 400..=499) => Some(Class::Invalid),
            (_, 500..=599) => Some(Class::Server),
            _ => Some(Class::Unexpected),
        }
    }

    /// The error that a body carries, outermost first, then its details.
    pub(crate) fn errors(self, body: &str) -> Vec<ServiceError> {
        let Ok(body) = serde_json::from_str::<Value>(body) else {
            return Vec::new();
        };
        match self {
            // Some providers leave the envelope out.
            Self::ResourceManager => ServiceError::nested(body.get("error").unwrap_or(&body)),
            Self::AzureDevOps => {
                let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
                let said = ServiceError::new(text("typeKey"), text("message"));
                if said == ServiceError::default() { Vec::new() } else { vec![said] }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_envelopes() {
        let arm = r#"{"error":{"code":"OperationNotAllowed","message":"too many","details":[
            {"code":"TooManyRequests","target":"HighCostGet30Min","message":"{}"}, 7, null],
            "innererror":{"code":"Inner","innererror":{"exceptiontype":"X"}}}}"#;
        let codes = |body| -> Vec<String> {
            Service::ResourceManager.errors(body).into_iter().filter_map(|error| error.code).collect()
        };
        assert_eq!(codes(arm), ["OperationNotAllowed", "TooManyRequests", "Inner"]);
        assert_eq!(codes(r#"{"code":"Bare","message":7}"#), ["Bare"]);
        let endless = format!(r#"{{"error":{{"details":[{}]}}}}"#, [r#"{"code":"A"}"#; 100].join(","));
        assert_eq!(codes(&endless).len(), 32);
        let devops = r#"{"$id":"1","innerException":null,"message":"no pool","typeKey":"TaskAgentPoolNotFoundException"}"#;
        assert_eq!(
            Service::AzureDevOps.errors(devops),
            [ServiceError::new(Some("TaskAgentPoolNotFoundException".into()), Some("no pool".into()))]
        );
        assert_eq!(Service::ResourceManager.errors("<html>"), []);
        assert_eq!(Service::AzureDevOps.errors(""), []);
    }
}
